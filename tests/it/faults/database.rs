//! The database gone, locked or full, at every step.
