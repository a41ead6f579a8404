//! What Proxmox VE shows of a guest, and how we know that it is ours.

use crate::{Drift, Mark, NodeName, Vmid};
use serde::{Deserialize, Serialize};

/// A guest's power state as Proxmox VE reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// The guest's process runs.
    Running,
    /// No process.
    Stopped,
}

/// What was recorded when a guest was made, compared before anything destructive is done to it.
///
/// A VMID names a place, not a machine: it may be given to a stranger behind our back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `uuid` of the `smbios1` option; stays for the life of the guest.
    pub smbios_uuid: Option<String>,
    /// `vmgenid`: Proxmox VE gives a new one when a guest is cloned, restored or rolled back.
    #[serde(default)]
    pub vmgenid: Option<String>,
    /// Our signed mark's text, as it stands in the description.
    pub mark: String,
    /// `ctime` of the `meta` option: Unix seconds.
    pub created_secs: Option<i64>,
}

/// Two identities that should be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityMismatch {
    /// What we recorded.
    pub expected: String,
    /// What Proxmox VE shows now.
    pub found: String,
}

impl Identity {
    /// Whether `found` is the guest that this identity was recorded of.
    ///
    /// # Errors
    /// [`IdentityMismatch`] with both sides' texts when the mark, the SMBIOS uuid or the vmgenid differ.
    pub fn check(&self, found: &Self) -> Result<(), IdentityMismatch> {
        let differs = |ours: &Option<String>, theirs: &Option<String>| {
            ours.is_some() && ours.as_ref() != theirs.as_ref()
        };
        if self.mark != found.mark
            || differs(&self.smbios_uuid, &found.smbios_uuid)
            || differs(&self.vmgenid, &found.vmgenid)
        {
            return Err(IdentityMismatch {
                expected: self.describe(),
                found: found.describe(),
            });
        }
        Ok(())
    }

    /// The identity on one line, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let uuid = self.smbios_uuid.as_deref().unwrap_or("-");
        let generation = self.vmgenid.as_deref().unwrap_or("-");
        let mark = if self.mark.is_empty() {
            "-"
        } else {
            &self.mark
        };
        format!("uuid={uuid} vmgenid={generation} mark={mark}")
    }
}

/// How large a guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestSize {
    /// Virtual CPU cores.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Its first disk in GiB, rounded up.
    pub disk_gb: u32,
}

/// One look at a guest.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestView {
    /// The guest's number.
    pub vmid: Vmid,
    /// The node it lives on at this moment.
    pub node: NodeName,
    /// Its power state.
    pub power: PowerState,
    /// The mark found on it, when it carries one of ours.
    pub mark: Option<Mark>,
    /// Both identities, when it is not the guest that was made.
    pub conflict: Option<String>,
    /// How large it is, when that could be read.
    pub size: Option<GuestSize>,
    /// What is not as the server's row says.
    pub drift: Vec<Drift>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(uuid: Option<&str>, mark: &str) -> Identity {
        Identity {
            smbios_uuid: uuid.map(Into::into),
            vmgenid: None,
            mark: mark.into(),
            created_secs: None,
        }
    }

    #[test]
    fn a_guest_is_ours_only_when_mark_and_uuid_agree() {
        let ours = identity(Some("a"), "m");
        assert!(ours.check(&identity(Some("a"), "m")).is_ok());
        assert!(ours.check(&identity(Some("b"), "m")).is_err());
        assert!(ours.check(&identity(None, "m")).is_err());
        assert!(ours.check(&identity(Some("a"), "")).is_err());
        let mismatch = ours.check(&identity(Some("b"), "m")).unwrap_err();
        assert_eq!(mismatch.expected, "uuid=a vmgenid=- mark=m");
        let renewed = Identity {
            vmgenid: Some("h".into()),
            ..identity(Some("a"), "m")
        };
        let recorded = Identity {
            vmgenid: Some("g".into()),
            ..identity(Some("a"), "m")
        };
        assert!(recorded.check(&renewed).is_err());
        assert!(identity(Some("a"), "m").check(&renewed).is_ok());
        assert_eq!(mismatch.found, "uuid=b vmgenid=- mark=m");
    }
}
