//! The service as a whole, one module per feature.

mod faults;
mod main_job;
