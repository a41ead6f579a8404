//! Rows of `foreign_addresses`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "foreign_addresses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub vmid: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub ip: String,
    pub name: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
