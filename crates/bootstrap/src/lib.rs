//! Settings to adapters to api and worker: composition, telemetry, lifecycle.
