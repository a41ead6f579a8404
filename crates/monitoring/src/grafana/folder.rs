//! The folder that our dashboards are in.

use serde_json::json;

use super::{
    GrafanaError, Outcome,
    wire::{Asked, Call, Wire},
};

pub(super) const UID: &str = "tpm";
const TITLE: &str = "Terraform Proxmox Manager";
const ASKED: Asked = Asked::Folder;

/// A title that people gave it stays.
pub(super) async fn ensure(wire: &Wire) -> Result<Outcome, GrafanaError> {
    if is_there(wire).await? {
        return Ok(Outcome::Unchanged);
    }
    let call = Call::post(
        ASKED,
        &["api", "folders"],
        json!({ "uid": UID, "title": TITLE }),
    );
    let answer = wire.send(call).await?;
    // Somebody else, another worker perhaps, may have made it just now.
    if matches!(answer.status, 409 | 412) && is_there(wire).await? {
        return Ok(Outcome::Unchanged);
    }
    let made = answer.accepted()?;
    if made["uid"] == UID {
        Ok(Outcome::Created)
    } else {
        Err(GrafanaError::BadAnswer {
            asked: ASKED.name(),
        })
    }
}

async fn is_there(wire: &Wire) -> Result<bool, GrafanaError> {
    let call = Call::get(ASKED, &["api", "folders", UID]);
    match wire.send(call).await?.found()? {
        None => Ok(false),
        Some(folder) if folder["uid"] == UID => Ok(true),
        Some(_) => Err(GrafanaError::BadAnswer {
            asked: ASKED.name(),
        }),
    }
}
