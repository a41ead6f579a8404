//! Growing the first disk to an absolute size: the same again does nothing.

use crate::ProxmoxProvisioner;
use crate::error::{of_value, of_write};
use crate::guest::Begun;
use serde_json::json;
use tpm_domain::{FailureCode, GuestSize};
use tpm_provisioner::{Acted, Fate, Learned, Observed, Operation, ProvisionError, StepCall};
use tpm_pve_client::GuestConfig;

const GIB: u64 = 1 << 30;

impl ProxmoxProvisioner {
    pub(crate) async fn observe_resize(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        match self.begun(call).await? {
            Begun::Running(wait) => return Ok(wait),
            Begun::Failed(error) if error.fate != Fate::Ask => return Err(error),
            Begun::Nothing | Begun::Ended | Begun::Failed(_) => {}
        }
        let found = self.ours_lately(call).await?;
        let (disk, size) = first_disk(&found.config)?;
        let want = u64::from(call.server.spec.disk_gb) * GIB;
        let restored = matches!(call.operation, Operation::Restore | Operation::RestoreNew);
        if size > want && restored {
            // What the backup was made of had a larger disk: the row follows, it holds what it holds.
            let evidence = json!({ "disk": disk, "size_bytes": size });
            let learned = Learned {
                disk_gb: u32::try_from(size.div_ceil(GIB)).ok(),
                ..Learned::default()
            };
            return Ok(Observed::Done { evidence, learned });
        }
        if size > want {
            let text = format!(
                "{disk} of the template has {} GiB already; shrinking disks is not supported",
                size.div_ceil(GIB)
            );
            return Err(ProvisionError::new(
                Fate::Refused,
                FailureCode::ProxmoxRefused,
                text,
            ));
        }
        // A disk that others made may have a size between two.
        let as_imported = call.server.kept.imported && size.div_ceil(GIB) * GIB == want;
        if size == want || as_imported {
            let evidence = json!({ "disk": disk, "size_bytes": size });
            return Ok(Observed::Done {
                evidence,
                learned: Learned::default(),
            });
        }
        Ok(Observed::Needed(
            json!({ "node": found.node, "disk": disk, "size_bytes": want }),
        ))
    }

    pub(crate) async fn act_resize(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let found = self.ours_lately(call).await?;
        let (disk, _) = first_disk(&found.config)?;
        let want = u64::from(call.server.spec.disk_gb) * GIB;
        let digest = found.config.digest();
        let upid = self
            .client
            .resize(&found.node, call.server.vmid.0, &disk, want, digest)
            .await;
        let upid = upid.map_err(|error| of_write(&error))?;
        Ok(self.begun_task(call.server.vmid, &upid))
    }
}

/// How large a guest is; `None` when its configuration does not say.
pub(crate) fn size(config: &GuestConfig) -> Option<GuestSize> {
    let (_, bytes) = first_disk(config).ok()?;
    Some(GuestSize {
        cpu: config.cores().unwrap_or(1) * config.sockets().unwrap_or(1),
        memory_mb: u32::try_from(config.memory_mb().unwrap_or(512)).ok()?,
        disk_gb: u32::try_from(bytes.div_ceil(GIB)).ok()?,
    })
}

/// The disk the guest boots from, with its size in bytes.
fn first_disk(config: &GuestConfig) -> Result<(String, u64), ProvisionError> {
    let refused =
        |text: String| ProvisionError::new(Fate::Refused, FailureCode::ProxmoxRefused, text);
    let (name, disk) = config
        .boot_disk()
        .map_err(of_value)?
        .ok_or_else(|| refused("the template has no disk".into()))?;
    let size = disk
        .size_bytes()
        .ok_or_else(|| refused(format!("Proxmox does not say how large {name} is")))?;
    Ok((name, size))
}
