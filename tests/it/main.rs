//! The service as a whole, one module per feature.

mod main_job;
