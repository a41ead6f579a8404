//! The service as a whole, one module per feature.

mod access;
mod api;
mod backups;
mod bad_inputs;
mod bulk;
mod channels;
mod connections;
mod contract;
mod events;
mod examples;
mod faults;
mod fleet;
mod hostile;
mod jobs;
mod main_job;
mod monitoring;
mod openapi;
mod own_metrics;
mod power;
mod reference;
mod several;
mod simulation;
mod store;
mod system;
mod terraform;
mod vault;
