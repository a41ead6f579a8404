//! A backup: an archive of a server's guest on a storage of the cluster, and how we know that it is ours.

use crate::{DrillId, Failure, NodeName, Prunable, ScheduleId, ServerId, Timestamp, UserId, Vmid};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The database's number of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(pub i64);

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A backup's public name, `backup_<token>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupToken(pub String);

impl fmt::Display for BackupToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $one:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of])* $one),+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$one),+];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$one => $text),+
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// How a backup stands.
    BackupState {
        /// Asked for; the archive is not there so far.
        Pending = "pending",
        /// The archive is there and whole.
        Completed = "completed",
        /// It could not be made; nothing is left of it.
        Failed = "failed",
        /// The archive is gone, and nobody asked us for that.
        Missing = "missing",
        /// It is being deleted.
        Deleting = "deleting",
    }
}

words! {
    /// How a running guest is treated while it is backed up.
    BackupMode {
        /// It runs on.
        Snapshot = "snapshot",
        /// It is paused for a while.
        Suspend = "suspend",
        /// It is shut down, and started again at once.
        Stop = "stop",
    }
}

words! {
    /// How an archive is packed. A Proxmox Backup Server packs in its own way, whatever is asked for.
    Compression {
        /// Quick and small.
        Zstd = "zstd",
        /// Known everywhere.
        Gzip = "gzip",
        /// Quick and not so small.
        Lzo = "lzo",
        /// Not at all.
        Plain = "none",
    }
}

words! {
    /// Where a backup comes from.
    BackupOrigin {
        /// Somebody asked for it.
        Asked = "asked",
        /// A schedule.
        Schedule = "schedule",
        /// Made before another backup was restored over the server.
        Safety = "safety",
        /// Others made it; it was found on a storage.
        Found = "found",
    }
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The database's number.
    pub id: BackupId,
    /// Its public name.
    pub token: BackupToken,
    /// Whose guest it is of; the server may be deleted by now.
    pub server: ServerId,
    /// That server's name when it was made or found.
    pub server_name: String,
    /// The guest's number then.
    pub vmid: Vmid,
    /// The node that made it, or that it was seen from; `None` before it is made.
    pub node: Option<NodeName>,
    /// The storage it is on.
    pub storage: String,
    /// Its name in Proxmox VE, `storage:backup/…`; `None` before it is made.
    pub volume: Option<String>,
    /// How it stands.
    pub state: BackupState,
    /// Where it comes from.
    pub origin: BackupOrigin,
    /// How the guest was treated; `None` when others made it.
    pub mode: Option<BackupMode>,
    /// How it is packed; `None` when others made it.
    pub compression: Option<Compression>,
    /// What people say about it, one line.
    pub notes: String,
    /// Whether it is kept from deletion.
    pub protected: bool,
    /// Bytes on the storage.
    pub size_bytes: Option<u64>,
    /// What Proxmox VE warned of while it was made, one line each.
    pub warnings: Vec<String>,
    /// Why it could not be made.
    pub failure: Option<Failure>,
    /// The schedule that made it.
    pub schedule: Option<ScheduleId>,
    /// Who had it condemned: no rule keeps it, and it is deleted once nothing else is at work on its server.
    pub condemned_by: Option<UserId>,
    /// When it was proved that it restores, and how.
    pub verified: Option<Verified>,
    /// When it was asked for; of one that was found, when it was made.
    pub created_at: Timestamp,
    /// When its archive was whole.
    pub finished_at: Option<Timestamp>,
}

/// A proof that a backup restores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When.
    pub at: Timestamp,
    /// How: `restore` when it was restored, `drill` when it was tried, `pbs` when the backup server checked it.
    pub how: String,
}

impl Backup {
    /// Whether it can be restored.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.state == BackupState::Completed && self.volume.is_some()
    }

    /// As retention sees it: by the moment at which it was begun.
    #[must_use]
    pub fn prunable(&self) -> Prunable {
        Prunable {
            id: self.id,
            at: self.created_at,
            protected: self.protected,
            good: self.is_good(),
        }
    }

    /// Its note on the archive.
    #[must_use]
    pub fn note(&self) -> BackupNote<'_> {
        BackupNote {
            token: &self.token.0,
            text: &self.notes,
        }
    }

    /// Writes down the archive it has become.
    pub fn take(&mut self, archive: &Archive, now: Timestamp) {
        self.node = Some(archive.node.clone());
        self.storage.clone_from(&archive.storage);
        self.volume = Some(archive.volume.clone());
        self.size_bytes = archive.size_bytes;
        self.protected = archive.protected;
        self.warnings.clone_from(&archive.warnings);
        self.state = BackupState::Completed;
        self.failure = None;
        self.finished_at = Some(now);
    }
}

/// An archive as it lies on a storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The node it was seen from.
    pub node: NodeName,
    /// The storage.
    pub storage: String,
    /// Its name there, `storage:backup/…`.
    pub volume: String,
    /// The guest it says it is of.
    pub vmid: Option<Vmid>,
    /// Bytes on the storage, when it says so.
    pub size_bytes: Option<u64>,
    /// When it was begun.
    pub created_at: Option<Timestamp>,
    /// The first line of its notes.
    pub notes: Option<String>,
    /// Whether it is kept from deletion.
    pub protected: bool,
    /// Whether the backup server that it is on checked it, and found it whole.
    pub verified: Option<bool>,
    /// What was warned of while it was made.
    pub warnings: Vec<String>,
}

/// The archives of the storages that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSurvey {
    /// The storages that were read whole: the node and the storage; without a node when all share it.
    pub read: Vec<(Option<NodeName>, String)>,
    /// What is on them.
    pub archives: Vec<Archive>,
}

impl ArchiveSurvey {
    /// Whether a backup would have been seen if it were there.
    #[must_use]
    pub fn covers(&self, backup: &Backup) -> bool {
        self.read.iter().any(|(node, storage)| {
            *storage == backup.storage && (node.is_none() || *node == backup.node)
        })
    }
}

/// What stands on an archive that is ours: its token, and what people say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupNote<'a> {
    /// The backup's token.
    pub token: &'a str,
    /// What people say.
    pub text: &'a str,
}

impl fmt::Display for BackupNote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NOTE_PREFIX}{}", self.token)?;
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

/// What the notes of our archives begin with.
const NOTE_PREFIX: &str = "tpm:";

impl<'a> BackupNote<'a> {
    /// The most characters of what people say.
    pub const MAX: usize = 200;

    /// Reads the first line of an archive's notes; `None` when it is not ours.
    #[must_use]
    pub fn parse(notes: &'a str) -> Option<Self> {
        let line = notes.lines().next()?;
        let rest = line.strip_prefix(NOTE_PREFIX)?;
        let (token, text) = rest.split_once(' ').unwrap_or((rest, ""));
        token.starts_with("backup_").then_some(Self { token, text })
    }

    /// Whether people may say this: one line, and nothing that Proxmox VE would fill in.
    #[must_use]
    pub fn may_say(text: &str) -> bool {
        !text.chars().any(char::is_control) && !text.contains("{{") && !text.contains('\\')
    }
}

/// What a task about backups is about, kept with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPayload {
    /// The backup that is made, restored or deleted.
    pub backup: BackupId,
    /// The backup that is made of the server before another one is restored over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<BackupId>,
    /// What its schedule says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<BackupBounds>,
    /// The drill that it is tried by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillId>,
}

impl BackupPayload {
    /// Of one backup, and nothing else.
    #[must_use]
    pub fn of(backup: BackupId) -> Self {
        Self {
            backup,
            safety: None,
            bounds: None,
            drill: None,
        }
    }
}

/// Bounds of a schedule on each of its backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupBounds {
    /// It is not begun after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_before: Option<Timestamp>,
    /// It is not begun on a node while so many run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_node: Option<u32>,
    /// It is not begun while so many run to its storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_storage: Option<u32>,
}

/// A size for people, as `2.5GB`: thousands of thousands, one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeText(pub u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
        let (mut unit, mut size) = (0, 1_u128);
        let rounded = |size: u128| (u128::from(self.0) * 10 + size / 2) / size;
        // What would be rounded to a thousand is one of the next unit.
        while rounded(size) >= 10_000 && unit + 1 < UNITS.len() {
            unit += 1;
            size *= 1000;
        }
        let tenths = rounded(size);
        let (whole, tenth) = (tenths / 10, tenths % 10);
        if tenth == 0 {
            write!(f, "{whole}{}", UNITS[unit])
        } else {
            write!(f, "{whole}.{tenth}{}", UNITS[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back_and_only_whole_tokens_match() {
        let note = BackupNote {
            token: "backup_0a",
            text: "before the upgrade",
        };
        assert_eq!(note.to_string(), "tpm:backup_0a before the upgrade");
        assert_eq!(BackupNote::parse(&note.to_string()), Some(note));
        let plain = BackupNote { text: "", ..note };
        assert_eq!(BackupNote::parse("tpm:backup_0a\nmore"), Some(plain));
        assert_ne!(BackupNote::parse("tpm:backup_0ab"), Some(plain));
        assert_eq!(BackupNote::parse("web1 tpm:backup_0a"), None);
        assert_eq!(BackupNote::parse("tpm:v1 i=a"), None);
        assert!(BackupNote::may_say("before the upgrade {1}"));
        for bad in ["a\nb", "{{guestname}}", "a\\n"] {
            assert!(!BackupNote::may_say(bad), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_told_as_in_the_reference() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1KB"),
            (2_500_000_000, "2.5GB"),
            (2_549_999_999, "2.5GB"),
            (999_960_000, "1GB"),
            (u64::MAX, "18446.7PB"),
        ] {
            assert_eq!(SizeText(bytes).to_string(), text, "{bytes}");
        }
    }

    #[test]
    fn words_parse_back() {
        for state in BackupState::ALL {
            assert_eq!(BackupState::parse(state.as_str()), Some(*state));
        }
        assert_eq!(BackupMode::parse("nap"), None);
        assert_eq!(Compression::parse("none"), Some(Compression::Plain));
    }
}
