//! Why a request is refused, independent of any transport.

use crate::{NodeName, QuotaShortage, TaskToken, Unfit, Vmid};
use std::fmt;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It must be there.
    Required,
    /// It is not one of the known fields.
    UnknownField,
    /// It has the wrong JSON type.
    Type {
        /// `string`, `integer`, `object`, `list`, …
        expected: &'static str,
    },
    /// A number outside its bounds, both included.
    Range {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A list with too few or too many elements, both bounds included.
    Count {
        /// Fewest elements.
        min: usize,
        /// Most elements.
        max: usize,
    },
    /// A text that is too long, counted in characters.
    TooLong {
        /// Most characters.
        max: usize,
    },
    /// Not a server name.
    ServerName,
    /// Not one of these values.
    OneOf {
        /// The known values.
        allowed: Vec<String>,
    },
    /// Not an IPv4 address.
    Address,
    /// The network's own address or its broadcast.
    AddressReserved,
    /// Not `FIRST-LAST`, or the last before the first.
    AddressRange,
    /// An address that lies outside the network.
    OutsideSubnet,
    /// The gateway itself cannot be given to a server.
    IsGateway,
    /// The same value twice in one request.
    Duplicate,
    /// More addresses than a network may have.
    RangeTooLarge {
        /// Most addresses.
        max: u64,
    },
    /// Not a moment in RFC 3339 form.
    Moment,
    /// A moment that has passed.
    Past,
    /// A moment that does not lie after that of another field.
    NotAfter {
        /// The other field.
        field: &'static str,
    },
    /// A moment that is too far away.
    TooFar {
        /// Most days.
        days: u32,
    },
    /// Not a name to log in with.
    UserName,
    /// Not `mount/key`, or with other letters than those that are harmless everywhere.
    SecretPath,
    /// Not a URL that may be called.
    Url(crate::UrlFault),
    /// A password that is easily guessed.
    Guessable,
    /// Not the present password.
    WrongPassword,
    /// A code that is wrong, over, or was used before.
    WrongCode,
    /// Nothing of that name exists.
    NoSuch,
    /// Consent is given by the server's own name.
    NotItsName,
    /// Disks only grow.
    Shrinks {
        /// The size it has.
        from: i64,
    },
    /// At least one of these fields is needed.
    OneNeeded {
        /// The fields.
        of: &'static [&'static str],
    },
    /// Cannot stand together with another field.
    Excludes {
        /// The other field.
        other: &'static str,
    },
    /// More than one line, or something that Proxmox VE would fill in.
    OneLine,
    /// Not a calendar expression of minute, hour, day, month and weekday, or one that never comes true.
    Calendar,
    /// Needs another field beside it.
    Needs {
        /// The other field.
        other: &'static str,
    },
}

/// One field of a request and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field: `servers[1].network_config.gateway`.
    pub field: String,
    /// What is wrong.
    pub reason: Reason,
}

/// Everything that is wrong with a request, gathered before it is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Notes one more.
    pub fn add(&mut self, field: impl Into<String>, reason: Reason) {
        self.0.push(FieldError {
            field: field.into(),
            reason,
        });
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many things are wrong.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order they were noted.
    #[must_use]
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// `value` when nothing is wrong.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all of them.
    pub fn into_result<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Error::Invalid(self.0))
        }
    }
}

/// What kind of thing was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A server.
    Server,
    /// A task.
    Task,
    /// A notification.
    Notification,
    /// A project.
    Project,
    /// A network.
    Network,
    /// A channel.
    Channel,
    /// A secret.
    Secret,
    /// A version of a state.
    State,
    /// A plan.
    Plan,
    /// The code of a server: only engines that keep servers as code have it.
    Code,
    /// A person.
    User,
    /// A role.
    Role,
    /// A key.
    Key,
    /// A session.
    Session,
    /// A backup.
    Backup,
    /// A restore drill.
    Drill,
    /// A schedule.
    Schedule,
}

/// Something there is not enough of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Addresses in a range or pool.
    Addresses {
        /// The range, `FIRST-LAST`.
        pool: String,
        /// How many more would be needed.
        missing: usize,
    },
    /// VMIDs in the configured range.
    Vmids {
        /// The range, `FIRST-LAST`.
        pool: String,
        /// How many more would be needed.
        missing: usize,
    },
    /// Room on the nodes.
    Capacity {
        /// Servers that found no place.
        missing: usize,
        /// Why each node could not take the first of them.
        nodes: Vec<(NodeName, Unfit)>,
    },
    /// What a project may have.
    Quota {
        /// The project's name.
        project: String,
        /// Every bound that would be passed.
        bounds: Vec<QuotaShortage>,
    },
}

/// Why a request cannot be carried out as things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Another server has that name.
    NameTaken {
        /// The name.
        name: String,
    },
    /// A server has that guest already.
    GuestKnown {
        /// The guest.
        vmid: Vmid,
        /// The server's name.
        server: String,
    },
    /// Another server has that address.
    AddressTaken {
        /// The address.
        address: String,
    },
    /// Not enough of something.
    Shortage(Shortage),
    /// A task is already working on the server.
    ServerBusy {
        /// That task.
        task: TaskToken,
    },
    /// Another version of a secret is the latest one.
    VersionChanged {
        /// The latest; 0 when there is none.
        current: u64,
    },
    /// The store of secrets cannot do that, or may not.
    SecretsRefused {
        /// Why, in its words; never with a value.
        why: String,
    },
    /// The server's guest cannot be told as Terraform code.
    NotRenderable {
        /// Why.
        why: String,
    },
    /// The server's state does not allow it.
    WrongState {
        /// The state it is in, as on the wire.
        state: &'static str,
    },
    /// The task has already ended.
    TaskEnded,
    /// Nothing of the task failed.
    NothingToRetry,
    /// Nobody would be left who may do everything.
    LastAdmin,
    /// A role that is always there.
    BuiltIn,
    /// The person has a second factor.
    FactorThere,
    /// The person has none, or has begun none.
    NoFactor,
    /// People have the role.
    RoleInUse {
        /// How many.
        users: usize,
    },
    /// The person, role, project or network of that name exists.
    LabelTaken {
        /// The name.
        name: String,
    },
    /// Another network has some of these addresses.
    NetworkOverlaps {
        /// That network.
        network: String,
    },
    /// Servers hold addresses of the network.
    NetworkInUse {
        /// How many.
        addresses: usize,
    },
    /// The backup is kept from deletion.
    BackupProtected,
    /// It is the only backup of its server that can be restored.
    OnlyBackup,
    /// The backup is not in a state for it.
    BackupState {
        /// The state it is in, as on the wire.
        state: &'static str,
    },
    /// There is no network of the name that drills are made on, or it is the one that servers are on.
    NoDrillNetwork {
        /// That name.
        network: String,
    },
    /// The database was restored from an older copy, and no admin has accepted that so far.
    RestoredCopy,
    /// A run of the schedule is not over.
    ScheduleRuns,
    /// The server has a guest, which would be lost.
    WouldOverwrite {
        /// The server's name.
        server: String,
    },
    /// The project has more than that already.
    QuotaBelowUse {
        /// `servers`, `cpu`, `memory` or `disk`.
        resource: &'static str,
        /// What it has.
        used: u64,
    },
}

/// A refusal that the caller may be told in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request itself is wrong.
    Invalid(Vec<FieldError>),
    /// Nobody is logged in, or the session has ended.
    Unauthenticated,
    /// Name or password is wrong; which of them is not told.
    BadCredentials,
    /// Name and password are right, and a code of the second factor is missing.
    SecondFactorNeeded,
    /// The person has to set a second factor up before anything else.
    SecondFactorMissing,
    /// The last login is too long ago for this.
    LoginAgain,
    /// Too many attempts.
    Throttled {
        /// Seconds until the next one may succeed.
        retry_after_secs: u64,
    },
    /// A key sends more requests than it may.
    RateLimited {
        /// When the next one is welcome.
        retry_after_secs: u64,
    },
    /// The person may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound {
        /// What kind of thing.
        kind: ResourceKind,
        /// What was asked for.
        id: String,
    },
    /// Not possible as things stand.
    Conflict(Conflict),
    /// The store does not answer at the moment.
    Unavailable {
        /// Seconds until it is worth trying again.
        retry_after_secs: u64,
    },
    /// No worker saw the cluster lately, so nothing can be promised on it.
    ClusterUnseen {
        /// Seconds until it is worth trying again.
        retry_after_secs: u64,
    },
    /// The cluster does not answer.
    ClusterUnreachable {
        /// Seconds until it is worth trying again.
        retry_after_secs: u64,
    },
    /// The store of secrets does not answer, or is sealed.
    SecretsAway {
        /// Whether it is sealed.
        sealed: bool,
        /// Seconds until it is worth trying again.
        retry_after_secs: u64,
    },
    /// Too many requests wait to reserve; nothing was reserved for this one.
    Overloaded {
        /// Seconds until it is worth trying again.
        retry_after_secs: u64,
    },
    /// The idempotency key was used for another request.
    KeyReused,
    /// The disk is full.
    StorageFull,
}

impl Error {
    /// A missing thing of that kind.
    #[must_use]
    pub fn not_found(kind: ResourceKind, id: impl fmt::Display) -> Self {
        Self::NotFound {
            kind,
            id: id.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(fields) => write!(f, "{} invalid fields", fields.len()),
            Self::Unauthenticated => f.write_str("not authenticated"),
            Self::BadCredentials => f.write_str("bad credentials"),
            Self::SecondFactorNeeded => f.write_str("second factor needed"),
            Self::SecondFactorMissing => f.write_str("second factor missing"),
            Self::LoginAgain => f.write_str("login too long ago"),
            Self::Throttled { .. } => f.write_str("too many attempts"),
            Self::RateLimited { .. } => f.write_str("too many requests"),
            Self::Forbidden => f.write_str("forbidden"),
            Self::NotFound { kind, id } => write!(f, "{kind:?} {id} not found"),
            Self::Conflict(conflict) => write!(f, "conflict: {conflict:?}"),
            Self::Unavailable { .. } => f.write_str("store unavailable"),
            Self::ClusterUnseen { .. } => f.write_str("cluster not seen lately"),
            Self::ClusterUnreachable { .. } => f.write_str("the cluster does not answer"),
            Self::SecretsAway { .. } => f.write_str("the store of secrets is away"),
            Self::Overloaded { .. } => f.write_str("too many requests wait to reserve"),
            Self::KeyReused => f.write_str("idempotency key used for another request"),
            Self::StorageFull => f.write_str("storage full"),
        }
    }
}

impl std::error::Error for Error {}
