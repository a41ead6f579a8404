//! Backing guests up and restoring them.

use std::collections::BTreeMap;

use crate::{
    client::Client,
    error::Error,
    params::{Method, Params, node_path},
    task::Upid,
};

/// How a running guest is treated while it is backed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupMode {
    /// It runs on.
    #[default]
    Snapshot,
    /// It is paused for a while.
    Suspend,
    /// It is shut down and started again at once.
    Stop,
}

/// One backup of one guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupRequest {
    /// The guest, which must be on the node asked.
    pub vmid: u32,
    /// Where the archive goes; PVE's default is `local`.
    pub storage: Option<String>,
    /// How a running guest is treated.
    pub mode: BackupMode,
    /// `zstd`, `gzip`, `lzo` or `0`.
    pub compress: Option<String>,
    /// Notes, with `{{guestname}}`, `{{node}}`, `{{vmid}}` and `{{cluster}}` filled in.
    pub notes_template: Option<String>,
    /// Keep the archive from deletion.
    pub protected: Option<bool>,
    /// Whether older archives are pruned by the storage's rule. PVE's default is yes.
    pub remove: Option<bool>,
}

/// One archive, and the guest to make of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreRequest {
    /// The guest's id.
    pub vmid: u32,
    /// Volume id of the archive.
    pub archive: String,
    /// Storage for the disks; else the one named in the archive.
    pub storage: Option<String>,
    /// Replace an existing guest, which must be stopped. Its disks are destroyed first.
    pub force: bool,
    /// New hardware addresses and a new UUID.
    pub unique: bool,
    /// The pool it joins.
    pub pool: Option<String>,
    /// Start it afterwards.
    pub start: bool,
    /// Options that the guest gets instead of those in the archive, by their names in PVE; drives cannot be
    /// among them.
    pub options: BTreeMap<String, String>,
}

impl Client {
    /// Starts a backup. `None` when PVE found nothing to do: the guest is not on this node.
    ///
    /// One backup runs at a time on a node; another waits in its task for hours if need be. A failed
    /// backup ends as `job errors`, its reason stands only in the log.
    ///
    /// # Errors
    /// As every call.
    pub async fn vzdump(&self, node: &str, request: &BackupRequest) -> Result<Option<Upid>, Error> {
        let mode = match request.mode {
            BackupMode::Snapshot => "snapshot",
            BackupMode::Suspend => "suspend",
            BackupMode::Stop => "stop",
        };
        let params = Params::new()
            .with("vmid", request.vmid)
            .with("mode", mode)
            .maybe("storage", request.storage.as_deref())
            .maybe("compress", request.compress.as_deref())
            .maybe("notes-template", request.notes_template.as_deref())
            .maybe("protected", request.protected.map(u8::from))
            .maybe("remove", request.remove.map(u8::from));
        let path = node_path(node, &["vzdump"])?;
        let reply = self.call(Method::Post, &path, &params).await?;
        if reply.data.as_str() == Some("OK") {
            return Ok(None);
        }
        reply.read(Method::Post.access()).map(Some)
    }

    /// Restores a guest from an archive.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Exists`] when the id is taken and `force` is not set.
    pub async fn restore(&self, node: &str, request: &RestoreRequest) -> Result<Upid, Error> {
        let set = |flag: bool| flag.then_some(1);
        let mut params = Params::new()
            .with("vmid", request.vmid)
            .with("archive", &request.archive)
            .maybe("storage", request.storage.as_deref())
            .maybe("force", set(request.force))
            .maybe("unique", set(request.unique))
            .maybe("pool", request.pool.as_deref())
            .maybe("start", set(request.start));
        for (option, value) in &request.options {
            params.set(option.clone(), value);
        }
        self.task(Method::Post, node_path(node, &["qemu"])?, params)
            .await
    }
}
