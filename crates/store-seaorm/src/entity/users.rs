//! Rows of `users`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub username: String,
    pub password_hash: String,
    pub created_ms: i64,
    pub assignments: String,
    pub disabled: bool,
    pub language: Option<String>,
    pub updated_ms: i64,
    pub deleted_ms: Option<i64>,
    pub password_ends_ms: Option<i64>,
    pub factor: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
