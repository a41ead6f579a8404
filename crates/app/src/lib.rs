//! Use cases: authorize, decide, write, enqueue.
