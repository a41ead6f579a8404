//! What a failed call means for the one who made it, decided in one pure function.
//!
//! Proxmox VE tells most of its failures apart by text alone: a missing guest, a busy lock and a full
//! disk are all `500`. [`classify`] turns phase, status and text into the seven classes a caller can act
//! on. It refuses to guess in the caller's favour: a write whose text it does not know is
//! [`ErrorClass::Ambiguous`], never "nothing happened".

/// What the caller may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// Nothing was changed: the request never reached the code that acts, or it was only a read that got
    /// no answer. May be repeated freely.
    NotSent,
    /// Somebody else holds a lock, or the cluster has no quorum. Nothing was changed; try again later.
    Busy,
    /// PVE understood and refused. Repeating the same call gives the same answer.
    Rejected,
    /// The thing to be created is already there. Read whose it is before doing anything else.
    Exists,
    /// The outcome is unknown: the change may have been made, may still be made, or was made in part.
    /// Read the state again; never assume.
    Ambiguous,
    /// The credentials were not accepted. Every such answer takes PVE three seconds.
    Auth,
    /// The guest (or its configuration file) does not exist on that node.
    Missing,
}

/// Whether a call can change anything on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// `GET`, and the login, which changes nothing either.
    Read,
    /// Everything else.
    Write,
}

/// Where a failure arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// This crate refused to send the request (invalid name, too large).
    Request,
    /// No connection could be made: refused, unreachable, unknown host, timed out.
    Connect,
    /// The TLS handshake failed or the certificate is not trusted. No request byte was sent.
    Tls,
    /// The connection broke, or time ran out, after the request may have been sent.
    Transport(Access),
    /// The status was a success, but the answer could not be read: the task id in it is lost.
    Reply(Access),
    /// PVE answered with an error status.
    Http(Access),
    /// A task ended with this text as its `exitstatus`.
    Task,
}

/// Decides the class of a failure.
///
/// `status` is the HTTP status when there was one; `text` is PVE's message, with the texts of the refused
/// parameters joined to it. Task exit texts go through the same rules with [`Origin::Task`] and no status.
///
/// The order is: phase, then statuses that stand for themselves (401, 403, 595 to 599, redirects), then
/// texts, then what is left of the statuses. Texts come before 400 because PVE reports a taken VMID and a
/// half-done hot-unplug as parameter errors.
#[must_use]
pub fn classify(origin: Origin, status: Option<u16>, text: &str) -> ErrorClass {
    let access = match origin {
        Origin::Request => return ErrorClass::Rejected,
        Origin::Connect | Origin::Tls => return ErrorClass::NotSent,
        Origin::Transport(Access::Read) => return ErrorClass::NotSent,
        Origin::Transport(Access::Write) | Origin::Reply(_) => return ErrorClass::Ambiguous,
        Origin::Http(access) => access,
        Origin::Task => Access::Write,
    };
    match (status, access) {
        (Some(401), _) => return ErrorClass::Auth,
        // the answer to a missing privilege may quote names of pools and storages: no text rule applies
        (Some(403), _) => return ErrorClass::Rejected,
        // the proxying node could not open a connection, so nobody saw the request
        (Some(595), _) => return ErrorClass::NotSent,
        (Some(596..=599), Access::Read) => return ErrorClass::NotSent,
        // PVE gives up after 30 s and still applies the write afterwards
        (Some(596..=599), Access::Write) => return ErrorClass::Ambiguous,
        (Some(300..=399), _) => return ErrorClass::Rejected,
        (Some(429), _) => return ErrorClass::Busy,
        _ => {}
    }
    if let Some(class) = by_text(text) {
        return class;
    }
    match status {
        // PVE answers a bare 400 when its error text holds a carriage return: the text, and with it the
        // meaning, is lost
        Some(400) if access == Access::Write && is_bare(text) => ErrorClass::Ambiguous,
        Some(400..=499 | 501 | 505 | 506) => ErrorClass::Rejected,
        _ => ErrorClass::Ambiguous,
    }
}

fn is_bare(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.eq_ignore_ascii_case("bad request")
}

/// One rule: every part must occur in the lower-cased text.
type Rule = (ErrorClass, &'static [&'static str]);

/// Tried in this order. The first that fits decides.
const RULES: &[Rule] = &[
    // the parent stops the worker before it may begin
    (ErrorClass::NotSent, &["got no worker upid"]),
    // stopped half-way, whatever else the text says
    (ErrorClass::Ambiguous, &["received interrupt"]),
    (ErrorClass::Ambiguous, &["interrupted by signal"]),
    (ErrorClass::Ambiguous, &["unexpected status"]),
    (ErrorClass::Ambiguous, &["-locked command timed out"]),
    (ErrorClass::Ambiguous, &["hotplug problem"]),
    (ErrorClass::Ambiguous, &["no such task"]),
    // another writer was first: read again, then decide
    (ErrorClass::Ambiguous, &["checksum mismatch"]),
    (ErrorClass::Ambiguous, &["detected modified configuration"]),
    // the wished state may be there already
    (ErrorClass::Ambiguous, &["already running"]),
    // waiting helps
    (ErrorClass::Busy, &["can't lock file", "got timeout"]),
    (ErrorClass::Busy, &["can't acquire lock", "got timeout"]),
    (ErrorClass::Busy, &["got lock request timeout"]),
    (ErrorClass::Busy, &["vm is locked ("]),
    (ErrorClass::Busy, &["ct is locked ("]),
    (ErrorClass::Busy, &["no quorum"]),
    (ErrorClass::Busy, &["trying to get global lock"]),
    (ErrorClass::Busy, &["guest agent is not running"]),
    // the guest itself
    (
        ErrorClass::Missing,
        &["configuration file '", ".conf' does not exist"],
    ),
    (
        ErrorClass::Missing,
        &["unable to find configuration file for vm"],
    ),
    (
        ErrorClass::Missing,
        &["unable to find configuration file for ct"],
    ),
    // somebody is there already
    (ErrorClass::Exists, &["already exists"]),
    (ErrorClass::Exists, &["file exists"]),
    (ErrorClass::Exists, &["already used"]),
    (ErrorClass::Exists, &["refusing to override existing file"]),
    // definite refusals
    (ErrorClass::Rejected, &["does not exist"]),
    (ErrorClass::Rejected, &["no such cluster node"]),
    (ErrorClass::Rejected, &["no such file '"]),
    (ErrorClass::Rejected, &["hostname lookup", "failed"]),
    (ErrorClass::Rejected, &["shrinking disks is not supported"]),
    (ErrorClass::Rejected, &["can't resize a cdrom"]),
    (ErrorClass::Rejected, &["has no associated volume"]),
    (ErrorClass::Rejected, &["not enough space"]),
    (ErrorClass::Rejected, &["not enough free space"]),
    (ErrorClass::Rejected, &["insufficient free space"]),
    (ErrorClass::Rejected, &["no space left on device"]),
    (ErrorClass::Rejected, &["disk quota exceeded"]),
    (ErrorClass::Rejected, &["max backup limit"]),
    (ErrorClass::Rejected, &["is still in use by linked clone"]),
    (ErrorClass::Rejected, &["protection mode enabled"]),
    (ErrorClass::Rejected, &["cannot remove protected volume"]),
    (ErrorClass::Rejected, &["is running - destroy failed"]),
    (ErrorClass::Rejected, &["vm is running"]),
    (ErrorClass::Rejected, &["vm is paused - cannot shutdown"]),
    (ErrorClass::Rejected, &["used in ha resources"]),
    (ErrorClass::Rejected, &["without --online"]),
    (ErrorClass::Rejected, &["if it's a template"]),
    (ErrorClass::Rejected, &["can't convert a"]),
    (ErrorClass::Rejected, &["vm contains snapshots"]),
    (ErrorClass::Rejected, &["snapshot feature is not available"]),
    (
        ErrorClass::Rejected,
        &["linked clone feature is not supported"],
    ),
    (ErrorClass::Rejected, &["not allowed for linked clones"]),
    (ErrorClass::Rejected, &["can't clone"]),
    (ErrorClass::Rejected, &["does not support vm images"]),
    (ErrorClass::Rejected, &["is disabled"]),
    (ErrorClass::Rejected, &["is not available on node"]),
    (ErrorClass::Rejected, &["no qemu guest agent configured"]),
    (ErrorClass::Rejected, &["ssh public key validation error"]),
    (ErrorClass::Rejected, &["balloon value too large"]),
    (ErrorClass::Rejected, &["invalid bootorder"]),
    (
        ErrorClass::Rejected,
        &["cloud-init drive is already attached"],
    ),
    (ErrorClass::Rejected, &["only root can set"]),
    (ErrorClass::Rejected, &["no options specified"]),
    (ErrorClass::Rejected, &["malformed json string"]),
    (
        ErrorClass::Rejected,
        &["could not load supported machine versions"],
    ),
];

fn by_text(text: &str) -> Option<ErrorClass> {
    let text = text.to_ascii_lowercase();
    RULES
        .iter()
        .find(|(_, parts)| parts.iter().all(|part| text.contains(part)))
        .map(|(class, _)| *class)
        .or_else(|| is_not_running(&text).then_some(ErrorClass::Rejected))
}

/// `VM 100 not running` and `VM 100 is not running`, the answer to a reset or an agent call.
fn is_not_running(text: &str) -> bool {
    text.trim_end().ends_with("not running") && text.contains("vm ")
}
