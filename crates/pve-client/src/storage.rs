//! Storages and the volumes on them.

use serde::Deserialize;

use crate::{
    client::Client,
    error::Error,
    lenient,
    params::{ApiPath, Method, Params, node_path},
    task::Upid,
};

/// One entry of `GET /nodes/{node}/storage`. A live call that may hang on a dead network share.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Its name.
    pub storage: String,
    /// Its state.
    #[serde(flatten)]
    pub status: StorageStatus,
}

/// The state of a storage on a node, from `GET /nodes/{node}/storage/{storage}/status`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StorageStatus {
    /// Such as `dir`, `lvmthin`, `zfspool`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What it may hold: `images`, `iso`, `backup`…
    #[serde(deserialize_with = "lenient::words")]
    pub content: Vec<String>,
    /// Whether all nodes see the same volumes.
    #[serde(deserialize_with = "lenient::bool")]
    pub shared: Option<bool>,
    /// Whether it may be used.
    #[serde(deserialize_with = "lenient::bool")]
    pub enabled: Option<bool>,
    /// Whether it works at the moment.
    #[serde(deserialize_with = "lenient::bool")]
    pub active: Option<bool>,
    /// Bytes in all.
    #[serde(deserialize_with = "lenient::u64")]
    pub total: Option<u64>,
    /// Bytes in use.
    #[serde(deserialize_with = "lenient::u64")]
    pub used: Option<u64>,
    /// Bytes left.
    #[serde(deserialize_with = "lenient::u64")]
    pub avail: Option<u64>,
}

/// A volume on a storage.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// `storage:name`. Absent when one volume is asked for.
    pub volid: Option<String>,
    /// `images`, `iso`, `backup`…
    pub content: Option<String>,
    /// Such as `raw`, `qcow2`, `vma.zst`.
    pub format: Option<String>,
    /// Bytes; of an image its virtual size.
    #[serde(deserialize_with = "lenient::u64")]
    pub size: Option<u64>,
    /// Bytes really taken.
    #[serde(deserialize_with = "lenient::u64")]
    pub used: Option<u64>,
    /// Seconds since 1970.
    #[serde(deserialize_with = "lenient::u64")]
    pub ctime: Option<u64>,
    /// The guest it belongs to.
    #[serde(deserialize_with = "lenient::u32")]
    pub vmid: Option<u32>,
    /// The volume it is linked to.
    pub parent: Option<String>,
    /// Notes; in lists the first line only.
    #[serde(deserialize_with = "lenient::text")]
    pub notes: Option<String>,
    /// Whether it is kept from deletion. Absent means no.
    #[serde(deserialize_with = "lenient::bool")]
    pub protected: Option<bool>,
    /// `qemu` or `lxc` for backups.
    pub subtype: Option<String>,
    /// What a Proxmox Backup Server found when it checked it last.
    pub verification: Option<Verification>,
    /// Path on the node, when one volume is asked for.
    pub path: Option<String>,
}

/// What a Proxmox Backup Server found when it checked a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Verification {
    /// `ok` or `failed`.
    pub state: String,
    /// Its task.
    pub upid: Option<String>,
}

/// What to change on a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeUpdate {
    /// New notes.
    pub notes: Option<String>,
    /// Keep it from deletion, or no longer.
    pub protected: Option<bool>,
}

impl Client {
    /// The storages a node can use; with `content` only enabled ones that may hold it (`images`,
    /// `backup`…). Those one may not see are left out without an error.
    ///
    /// # Errors
    /// As every call.
    pub async fn storages(&self, node: &str, content: Option<&str>) -> Result<Vec<Storage>, Error> {
        self.get(
            node_path(node, &["storage"])?,
            Params::new().maybe("content", content),
        )
        .await
    }

    /// The state of one storage on a node.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Rejected`] for an unknown or disabled one.
    pub async fn storage_status(&self, node: &str, storage: &str) -> Result<StorageStatus, Error> {
        self.get(
            node_path(node, &["storage", storage, "status"])?,
            Params::new(),
        )
        .await
    }

    /// The volumes on a storage, of one content type and of one guest if given. Volumes one may not see
    /// are left out without an error.
    ///
    /// # Errors
    /// As every call.
    pub async fn storage_content(
        &self,
        node: &str,
        storage: &str,
        content: Option<&str>,
        vmid: Option<u32>,
    ) -> Result<Vec<Volume>, Error> {
        let params = Params::new().maybe("content", content).maybe("vmid", vmid);
        self.get(node_path(node, &["storage", storage, "content"])?, params)
            .await
    }

    /// One volume with all its notes.
    ///
    /// # Errors
    /// As every call.
    pub async fn volume(&self, node: &str, volid: &str) -> Result<Volume, Error> {
        self.get(volume_path(node, volid)?, Params::new()).await
    }

    /// Changes notes and protection of a volume.
    ///
    /// # Errors
    /// As every call.
    pub async fn update_volume(
        &self,
        node: &str,
        volid: &str,
        update: &VolumeUpdate,
    ) -> Result<(), Error> {
        let params = Params::new()
            .maybe("notes", update.notes.as_deref())
            .maybe("protected", update.protected.map(u8::from));
        self.done(Method::Put, volume_path(node, volid)?, params)
            .await
    }

    /// Deletes a volume. PVE does not look whether a guest uses it. An absent backup is no error; a
    /// protected one fails in the task.
    ///
    /// # Errors
    /// As every call.
    pub async fn delete_volume(&self, node: &str, volid: &str) -> Result<Option<Upid>, Error> {
        self.typed(Method::Delete, volume_path(node, volid)?, Params::new())
            .await
    }
}

fn volume_path(node: &str, volid: &str) -> Result<ApiPath, Error> {
    let Some((storage, _)) = volid.split_once(':') else {
        return Err(Error::refused(format!("{volid:?} is not a volume id")));
    };
    node_path(node, &["storage", storage, "content"])?.volume(volid)
}
