//! The store on SeaORM: SQLite and PostgreSQL.
