//! Rows of `tasks`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub token: String,
    pub kind: String,
    pub server_id: Option<i64>,
    pub server_name: Option<String>,
    pub parent_id: Option<i64>,
    pub requested_by: i64,
    pub state: String,
    pub progress: i64,
    pub note: String,
    pub failure: Option<String>,
    pub undoing: bool,
    pub cancel_requested: bool,
    pub owner: Option<String>,
    pub epoch: i64,
    pub lease_until_ms: Option<i64>,
    pub next_run_ms: Option<i64>,
    pub waiting_slot: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub policy: String,
    pub turn: i64,
    pub payload: Option<String>,
    pub undoes: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
