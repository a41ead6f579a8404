//! What is told of servers.

#![expect(dead_code, reason = "these types only describe the wire")]

use crate::openapi::shapes::joined;
use crate::openapi::words::words;
use tpm_app::DriftChoice;
use tpm_domain::{BulkPolicy, FailureCode, OnExpiry, Rung, ServerState, Spread};
use utoipa::ToSchema;

words!(
    ServerStatus,
    "Where a server stands. `missing`: its guest is gone; `identity_conflict`: another guest stands under \
     its VMID; `unknown`: what became of it could not be found out; `error`: it could not be made.",
    ServerState::ALL,
    ServerState::as_str
);
words!(
    ExpiryAction,
    "What happens at the end of a server's time: it is shut down, or shut down and, after \
     `limits.expiry_grace_hours` (24 h unless set otherwise), deleted.",
    OnExpiry::ALL,
    OnExpiry::as_str
);
words!(
    SpreadWord,
    "Whether servers of one role keep away from each other: nodes with fewer of them are `preferred`, a \
     node without one is `required`, or it does not matter (`off`).",
    Spread::ALL,
    Spread::as_str
);
words!(
    RungWord,
    "A rung of the ladder: the guest was created, configured, started, its agent answers, it has its \
     address.",
    [
        Rung::Created,
        Rung::Configured,
        Rung::Started,
        Rung::Agent,
        Rung::Address,
    ],
    Rung::as_str
);
words!(
    FailureWord,
    "Why a task failed.",
    FailureCode::ALL,
    FailureCode::as_str
);
words!(
    PowerWord,
    "What the power is to be.",
    ["running", "stopped", "restarted"],
    |word| word
);
words!(
    PolicyWord,
    "What becomes of a bulk's other servers when one fails: they are kept, or all are undone.",
    BulkPolicy::ALL,
    BulkPolicy::as_str
);
words!(
    DriftChoiceWord,
    "What becomes of an option: `adopt` makes the server what the guest is, `revert` the guest what the \
     server is, `ignore` leaves it as it is from now on, `watch` no longer does.",
    DriftChoice::ALL,
    DriftChoice::as_str
);
words!(
    DriftKind,
    "`missing`: the guest is gone; `replaced`: another guest stands under the VMID; `changed`: options \
     differ.",
    ["missing", "replaced", "changed", "none"],
    |word| word
);
words!(
    PlanEffect,
    "When a changed field applies: at once (`online`), from the `next_start` on, or by destroying what it \
     stands for (`destroys`) or the whole guest (`replaces`).",
    ["online", "next_start", "destroys", "replaces"],
    |word| word
);

/// Why a task failed, or a server is not as it should be.
#[derive(ToSchema)]
pub(crate) struct FailureView {
    /// For programs.
    code: FailureWord,
    /// For people, in the language asked for.
    message: String,
    /// Where, and what the outside said.
    details: FailureDetails,
}

/// Where something failed, and what the outside said.
#[derive(ToSchema)]
pub(crate) struct FailureDetails {
    /// The step it happened in.
    #[schema(example = "clone")]
    step: Option<String>,
    /// What Proxmox VE, Terraform or the network said, never translated.
    proxmox: Option<String>,
}

/// A server in a list.
#[derive(ToSchema)]
pub(crate) struct ServerInList {
    /// Its number. Never given again.
    id: i64,
    /// Its name, unique among servers.
    #[schema(example = "web-server-01")]
    name: String,
    /// The IPv4 address of its first interface; `null` while it is not known.
    #[schema(format = "ipv4", example = "192.168.0.21")]
    ip_address: Option<String>,
    /// What it is for: a role of the settings.
    #[schema(example = "web")]
    role: String,
    /// Where it stands.
    status: ServerStatus,
    /// CPU cores.
    cpu: u32,
    /// Memory in MiB.
    memory: u32,
    /// Disk in GiB.
    disk_size: u32,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    updated_at: String,
    /// The guest's number in Proxmox VE.
    vmid: u32,
    /// The node its guest is on; `null` until there is one.
    node: Option<String>,
    /// What makes and changes it: `direct` or `terraform`.
    #[schema(example = "direct")]
    engine: String,
    /// Name of its project.
    project: String,
    /// The end of its time, RFC 3339, UTC, to the second; `null` when it has none.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// What happens then; `null` when its time has no end.
    on_expiry: Option<ExpiryAction>,
    /// What was changed on the guest by hand: `option: wanted, found`.
    drift: Vec<String>,
    /// Its own tags, in order; `null` when it has those of its role.
    tags: Option<Vec<String>>,
    /// What people say about it; `null` when nobody said anything.
    description: Option<String>,
    /// Whether its guest was made by others and taken over.
    imported: bool,
    /// What is wrong with it; `null` when nothing is.
    error: Option<FailureView>,
}

/// A page of servers.
#[derive(ToSchema)]
pub(crate) struct ServerList {
    /// The page.
    servers: Vec<ServerInList>,
    /// How many there are beyond the page.
    #[schema(minimum = 0)]
    total: u64,
}

/// What a server by itself has beyond one in a list.
#[derive(ToSchema)]
pub(crate) struct ServerDetails {
    /// Its network interfaces, the first one first.
    network_config: Vec<Nic>,
    /// How far it got on the way to being usable.
    readiness: Vec<RungView>,
    /// How an imported guest differs from what the engine asked for would have made.
    import_differences: Vec<PlannedFieldView>,
    /// The place it was given; `null` for engines that place nothing, and for imported ones.
    placement: Option<PlacementView>,
    /// The task at work on it; `null` when none is.
    task_id: Option<String>,
}

joined!(Server, "A server by itself.", ServerInList, ServerDetails);

/// A network interface.
#[derive(ToSchema)]
pub(crate) struct Nic {
    /// The bridge of the node it is plugged into.
    #[schema(example = "vmbr0")]
    bridge: String,
    /// VLAN tag; `null` without.
    #[schema(minimum = 1, maximum = 4094)]
    vlan: Option<u16>,
    /// Its IPv4 address; `null` with DHCP.
    #[schema(format = "ipv4", example = "192.168.0.22")]
    ip_address: Option<String>,
    /// Length of the prefix in bits; `null` with DHCP.
    #[schema(minimum = 1, maximum = 32)]
    subnet: Option<u8>,
    /// The way out; `null` without.
    #[schema(format = "ipv4", example = "192.168.0.1")]
    gateway: Option<String>,
    /// Whether it gets its address by DHCP.
    dhcp: bool,
}

/// How far a server got.
#[derive(ToSchema)]
pub(crate) struct RungView {
    /// The rung.
    rung: RungWord,
    /// Whether it was reached.
    reached: bool,
    /// When, RFC 3339, UTC, to the millisecond; `null` when it was not.
    #[schema(format = "date-time")]
    at: Option<String>,
    /// Milliseconds since the rung before it, or since the task began.
    took_ms: u64,
}

/// A field that a plan changes.
#[derive(ToSchema)]
pub(crate) struct PlannedFieldView {
    /// Its name as the engine has it.
    #[schema(example = "memory.0.dedicated")]
    field: String,
    /// What it is; `null` when it is unset.
    before: Option<String>,
    /// What it is to be; `null` when it is to be unset.
    after: Option<String>,
    /// When that applies.
    effect: PlanEffect,
    /// The same in words, in the language asked for.
    text: String,
}

/// The place a server was given, with the figures that decided.
#[derive(ToSchema)]
pub(crate) struct PlacementView {
    /// The node.
    #[schema(example = "pve1")]
    node: String,
    /// VMID of the template it is made of.
    template: u32,
    /// The storage of its disks.
    storage: String,
    /// Whether servers of its role keep away from each other.
    spread: SpreadWord,
    /// Whether the request named the node.
    pinned: bool,
    /// Why this node, in words, in the language asked for.
    reason: String,
    /// How many nodes could have taken it.
    candidates: u32,
    /// Servers of the same role on the node before it.
    same_role: u32,
    /// Memory in MiB that could still be promised on the node, before it.
    free_memory: u64,
    /// Cores that could still be promised on the node, before it.
    free_cpu: u64,
    /// GiB that could still be promised on the storage, before it.
    free_disk: u64,
    /// The node that was given first and was lost; `null` when this is the first choice.
    instead_of: Option<String>,
}

/// A create that was accepted.
#[derive(ToSchema)]
pub(crate) struct Accepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it.
    #[schema(pattern = "^task_[0-9a-z_]{1,59}$")]
    task_id: String,
    /// The server.
    server_id: i64,
}

/// What a create would come to.
#[derive(ToSchema)]
pub(crate) struct PlannedServer {
    /// Always `true`: nothing was made.
    dry_run: bool,
    /// Its name.
    name: String,
    /// What would make it.
    engine: String,
    /// The number its guest would have.
    vmid: u32,
    /// CPU cores.
    cpu: u32,
    /// Memory in MiB.
    memory: u32,
    /// Disk in GiB.
    disk_size: u32,
    /// Its network interfaces with the addresses they would have.
    network_config: Vec<Nic>,
    /// The place it would be given; `null` for engines that place nothing.
    placement: Option<PlacementView>,
}

/// A server of a bulk, and its task.
#[derive(ToSchema)]
pub(crate) struct ServerTask {
    /// The server.
    server_id: i64,
    /// The task that is at work on it.
    task_id: String,
}

/// A bulk that was accepted.
#[derive(ToSchema)]
pub(crate) struct BulkAccepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task above all of them.
    task_id: String,
    /// Each server with its own task.
    servers: Vec<ServerTask>,
}

/// A bulk of switches that was accepted.
#[derive(ToSchema)]
pub(crate) struct BulkPowerAccepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task above all of them; `null` when none had to be switched.
    task_id: Option<String>,
    /// Each server that is switched, with its own task.
    servers: Vec<ServerTask>,
    /// Numbers of servers that are so already.
    unchanged: Vec<i64>,
}

/// A removal that was accepted.
#[derive(ToSchema)]
pub(crate) struct Removal {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it.
    task_id: String,
}

/// A change that was accepted.
#[derive(ToSchema)]
pub(crate) struct Change {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it; `null` when nothing has to be done on the guest.
    task_id: Option<String>,
}

/// An import that was accepted.
#[derive(ToSchema)]
pub(crate) struct Import {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it; it has the server's number when it is done.
    task_id: String,
}

/// How a server and its guest differ, as it was seen last.
#[derive(ToSchema)]
pub(crate) struct Drift {
    /// The server.
    server_id: i64,
    /// In which way.
    drift: DriftKind,
    /// The node its guest is on; `null` until there is one.
    node: Option<String>,
    /// The options that differ.
    changes: Vec<DriftChange>,
    /// Options that are left as they are, whatever they become.
    ignored: Vec<String>,
    /// Why the guest is missing or another; `null` when it is neither.
    problem: Option<FailureView>,
}

/// An option that differs.
#[derive(ToSchema)]
pub(crate) struct DriftChange {
    /// Its name in Proxmox VE.
    #[schema(example = "memory")]
    option: String,
    /// What it should be; `null` is unset.
    #[schema(example = "4096")]
    wanted: Option<String>,
    /// What the guest has; `null` is unset.
    #[schema(example = "2048")]
    found: Option<String>,
}

/// Something that was done at once.
#[derive(ToSchema)]
pub(crate) struct Done {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
}
