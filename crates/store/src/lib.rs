//! Repository traits, unit of work, job queue trait.
