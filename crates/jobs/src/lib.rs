//! The worker: durable steps, sagas, reconcilers.
