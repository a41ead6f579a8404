//! Every sentence a person can read, Korean and English.
