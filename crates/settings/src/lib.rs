//! Typed settings sections and their layered load.
