//! Throw-away databases, PostgreSQL, wired stacks; for tests only.
