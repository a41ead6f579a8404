//! Routes, extractors, DTOs, error answers.
