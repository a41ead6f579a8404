//! The repository traits, one file per resource, on a pool or on a transaction.

mod account;
mod audit;
mod backup;
mod channel;
mod cluster;
mod drill;
mod event;
mod feed;
mod figure;
mod idempotency;
mod lease;
mod monitoring;
mod network;
mod process;
mod project;
mod reservation;
mod schedule;
mod secret;
mod server;
pub(crate) mod task;
mod terraform;

use crate::connect::begin;
use crate::entity::servers;
use crate::error::broken;
use crate::session::Session;
use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::{ColumnTrait, DatabaseConnection};
use std::collections::BTreeSet;
use tpm_domain::ProjectId;
use tpm_store::{Result, UnitOfWork};

/// The numbers of servers of these projects, deleted ones too.
pub(crate) fn servers_of(projects: &BTreeSet<ProjectId>) -> SelectStatement {
    Query::select()
        .column(servers::Column::Id)
        .from(servers::Entity)
        .and_where(servers::Column::ProjectId.is_in(projects.iter().map(|id| id.0)))
        .to_owned()
}

/// For `LIKE`, escaped with a backslash: what is asked for means itself.
pub(crate) fn literally(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

/// Gives this installation a name, unless it has one.
pub(crate) async fn make_instance_id(db: &DatabaseConnection) -> Result<()> {
    let session = begin(db).await?;
    let fresh = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
    session
        .run(
            "INSERT INTO instance (id, instance_id, created_ms) VALUES (1, $1, $2)
             ON CONFLICT (id) DO NOTHING",
            [fresh.into(), session.now_ms.into()],
        )
        .await?;
    Box::new(session).commit().await
}

/// This installation's name.
pub(crate) async fn instance_id(db: &DatabaseConnection) -> Result<String> {
    let session = Session::outside(db.clone());
    let row = session
        .first("SELECT instance_id FROM instance WHERE id = 1", [])
        .await?;
    row.ok_or_else(|| broken("no instance row"))?
        .try_get("", "instance_id")
        .map_err(crate::error::store_error)
}
