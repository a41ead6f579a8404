//! Servers in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::examples;
use super::operation::{Op, paging, query_text, query_word, server_id};
use super::shapes::joined;
use super::words::words;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_app::DriftChoice;
use tpm_domain::{BulkPolicy, FailureCode, OnExpiry, Rung, ServerState, Spread};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

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
pub(super) struct FailureView {
    /// For programs.
    code: FailureWord,
    /// For people, in the language asked for.
    message: String,
    /// Where, and what the outside said.
    details: FailureDetails,
}

/// Where something failed, and what the outside said.
#[derive(ToSchema)]
struct FailureDetails {
    /// The step it happened in.
    #[schema(example = "clone")]
    step: Option<String>,
    /// What Proxmox VE, Terraform or the network said, never translated.
    proxmox: Option<String>,
}

/// A server in a list.
#[derive(ToSchema)]
pub(super) struct ServerInList {
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
struct ServerList {
    /// The page.
    servers: Vec<ServerInList>,
    /// How many there are beyond the page.
    #[schema(minimum = 0)]
    total: u64,
}

/// What a server by itself has beyond one in a list.
#[derive(ToSchema)]
struct ServerDetails {
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
struct Nic {
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
struct RungView {
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
pub(super) struct PlannedFieldView {
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
struct PlacementView {
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

/// A server to be made.
#[derive(ToSchema)]
struct CreateServer {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "web-server-02"
    )]
    name: String,
    /// What it is for: a role of the settings; `web`, `was` and `db` unless set otherwise.
    #[schema(example = "web")]
    role: String,
    /// CPU cores: 1 to `limits.max_cpu`, 128 unless set otherwise.
    #[schema(minimum = 1, example = 2)]
    cpu: u32,
    /// Memory in MiB: `limits.min_memory_mb` to `limits.max_memory_mb`, 128 to 1048576 unless set otherwise.
    #[schema(minimum = 1, example = 4096)]
    memory: u32,
    /// Disk in GiB: from the size of the role's template (10 unless set otherwise) to `limits.max_disk_gb`,
    /// 16384 unless set otherwise.
    #[schema(minimum = 1, example = 50)]
    disk_size: u32,
    /// What makes it: `direct` or `terraform`; the setting `engine` when not said.
    #[schema(example = "direct")]
    engine: Option<String>,
    /// Its tags, at most 32; those of its role when not said. Kept in lower case, in order, each once.
    #[schema(max_items = 32, example = json!(["blue", "shop"]))]
    tags: Option<Vec<Tag>>,
    /// What people say about it: at most 2000 characters, no control characters but line feed and tab.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// Its network interfaces: one, or a list of 1 to `limits.max_nics` (8 unless set otherwise). Not said: one
    /// in the default network, by DHCP when there is none.
    network_config: Option<NetworkConfigs>,
    /// Name of its project; `default` when not said.
    #[schema(example = "default")]
    project: Option<String>,
    /// Where it is wished to be.
    placement: Option<PlacementWish>,
    /// The end of its time: a moment to come, RFC 3339 with any offset.
    #[schema(format = "date-time", example = "2099-01-15T10:30:00Z")]
    expires_at: Option<String>,
    /// What happens then; `stop` when not said. Needs `expires_at`.
    on_expiry: Option<ExpiryAction>,
}

/// A tag as Proxmox VE takes it.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 64, pattern = "^[A-Za-z0-9_][A-Za-z0-9_+.-]*$")]
struct Tag(String);

/// One network interface, or a list of them.
struct NetworkConfigs;

impl utoipa::PartialSchema for NetworkConfigs {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(Ref::from_schema_name(NetworkConfig::name()))
            .min_items(Some(1));
        OneOfBuilder::new()
            .description(Some("One network interface, or a list of them."))
            .item(Ref::from_schema_name(NetworkConfig::name()))
            .item(list)
            .into()
    }
}

impl ToSchema for NetworkConfigs {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((
            NetworkConfig::name().into_owned(),
            <NetworkConfig as utoipa::PartialSchema>::schema(),
        ));
        NetworkConfig::schemas(schemas);
    }
}

/// A network interface as asked for. Its address comes from `ip_address`, `ip_range` or `network`; from the
/// default network, or by DHCP, when none is given.
#[derive(ToSchema)]
struct NetworkConfig {
    /// One IPv4 address, with `subnet`; `dhcp`; or an address of `network`. Not beside `ip_range`.
    #[schema(example = "192.168.0.22")]
    ip_address: Option<String>,
    /// A range to take the first free address of, `FIRST-LAST`, both included, with `subnet`.
    #[schema(example = "192.168.0.21-192.168.0.30")]
    ip_range: Option<String>,
    /// Length of the prefix in bits, 1 to 32, as a number or a text.
    subnet: Option<Prefix>,
    /// The way out: an IPv4 address inside the subnet.
    #[schema(format = "ipv4", example = "192.168.0.1")]
    gateway: Option<String>,
    /// The bridge of the node, at most 15 characters; the network's or the setting's when not said.
    #[schema(max_length = 15, pattern = "^[A-Za-z0-9_.-]+$", example = "vmbr0")]
    bridge: Option<String>,
    /// VLAN tag; the network's or the setting's when not said.
    #[schema(minimum = 1, maximum = 4094)]
    vlan: Option<u16>,
    /// Name of a network whose addresses are handed out; prefix, gateway and the rest are its own then.
    #[schema(example = "office")]
    network: Option<String>,
}

/// Length of a prefix in bits.
pub(super) struct Prefix;

impl utoipa::PartialSchema for Prefix {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(32));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^([1-9]|[12][0-9]|3[0-2])$"));
        OneOfBuilder::new()
            .description(Some("Length of a prefix in bits, as a number or a text."))
            .item(number)
            .item(text)
            .into()
    }
}

impl ToSchema for Prefix {}

/// Where a server is wished to be.
#[derive(ToSchema)]
struct PlacementWish {
    /// This node and no other.
    #[schema(example = "pve1")]
    node: Option<String>,
    /// Not these nodes.
    exclude: Option<Vec<String>>,
    /// This storage and no other.
    storage: Option<String>,
    /// Whether it keeps away from servers of its role; the role's own rule when not said.
    spread: Option<SpreadWord>,
}

/// A create that was accepted.
#[derive(ToSchema)]
struct Accepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it.
    #[schema(pattern = "^task_[0-9a-f]{20}$")]
    task_id: String,
    /// The server.
    server_id: i64,
}

/// What a create would come to.
#[derive(ToSchema)]
struct PlannedServer {
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

/// Servers to be made together.
#[derive(ToSchema)]
struct BulkCreate {
    /// The servers: 1 to `limits.max_bulk`, 500 unless set otherwise.
    #[schema(min_items = 1)]
    servers: Vec<CreateServer>,
    /// The interfaces of those that have none of their own. An `ip_range` is handed out in order.
    network_config: Option<NetworkConfigs>,
    /// What becomes of the others when one fails; `keep` when not said.
    policy: Option<PolicyWord>,
}

/// A server of a bulk, and its task.
#[derive(ToSchema)]
pub(super) struct ServerTask {
    /// The server.
    server_id: i64,
    /// The task that is at work on it.
    task_id: String,
}

/// A bulk that was accepted.
#[derive(ToSchema)]
pub(super) struct BulkAccepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task above all of them.
    task_id: String,
    /// Each server with its own task.
    servers: Vec<ServerTask>,
}

/// Servers to be deleted together.
#[derive(ToSchema)]
struct BulkDelete {
    /// Their numbers, each once: 1 to `limits.max_bulk`, 500 unless set otherwise.
    #[schema(min_items = 1, example = json!([1, 2, 3]))]
    server_ids: Vec<i64>,
}

/// Servers to be switched together.
#[derive(ToSchema)]
struct BulkPower {
    /// Their numbers, each once: 1 to `limits.max_bulk`, 500 unless set otherwise.
    #[schema(min_items = 1, example = json!([1, 2, 3]))]
    server_ids: Vec<i64>,
    /// What their power is to be.
    status: PowerWord,
}

/// A bulk of switches that was accepted.
#[derive(ToSchema)]
struct BulkPowerAccepted {
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
struct Removal {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it.
    task_id: String,
}

/// A change that was accepted.
#[derive(ToSchema)]
struct Change {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it; `null` when nothing has to be done on the guest.
    task_id: Option<String>,
}

/// A power to be had.
#[derive(ToSchema)]
struct SetStatus {
    /// What the power is to be.
    status: PowerWord,
}

/// What is to be changed of a server: one field at least. What is not said, or `null`, stays as it is;
/// `expires_at` alone takes `null` as "no end".
#[derive(ToSchema)]
#[schema(min_properties = 1)]
struct ChangeServer {
    /// CPU cores: 1 to `limits.max_cpu`, 128 unless set otherwise.
    #[schema(minimum = 1)]
    cpu: Option<u32>,
    /// Memory in MiB: `limits.min_memory_mb` to `limits.max_memory_mb`, 128 to 1048576 unless set otherwise.
    #[schema(minimum = 1)]
    memory: Option<u32>,
    /// Disk in GiB: what it has, or more.
    #[schema(minimum = 1)]
    disk_size: Option<u32>,
    /// All of its tags, at most 32.
    #[schema(max_items = 32)]
    tags: Option<Vec<Tag>>,
    /// What people say about it: at most 2000 characters, no control characters but line feed and tab.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// The end of its time: a moment to come, RFC 3339 with any offset; `null` takes it away.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// What happens then; `stop` when not said. Needs `expires_at`.
    on_expiry: Option<ExpiryAction>,
    /// Name of the project it is to belong to.
    project: Option<String>,
    /// The server's own name, as consent to a change that destroys what it holds.
    confirm: Option<String>,
}

/// A guest that is to be taken over. It is not changed by it.
#[derive(ToSchema)]
struct ImportServer {
    /// The guest's number in Proxmox VE.
    #[schema(minimum = 100, maximum = 999_999_999, example = 105)]
    vmid: u32,
    /// The server's name; the guest's when not said.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "legacy-db"
    )]
    name: Option<String>,
    /// What it is for: a role of the settings; the one whose tags the guest has when not said.
    #[schema(example = "db")]
    role: Option<String>,
    /// The engine that is to have it, which it gets when that would change nothing on the guest.
    #[schema(example = "terraform")]
    engine: Option<String>,
    /// Name of its project; `default` when not said.
    project: Option<String>,
}

/// An import that was accepted.
#[derive(ToSchema)]
struct Import {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it; it has the server's number when it is done.
    task_id: String,
}

/// How a server and its guest differ, as it was seen last.
#[derive(ToSchema)]
struct Drift {
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
struct DriftChange {
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

/// What is to become of each option that differs.
#[derive(ToSchema)]
struct DecideDrift {
    /// Option by option, one at least.
    #[schema(example = json!({ "memory": "adopt" }))]
    fields: BTreeMap<String, DriftChoiceWord>,
}

/// Something that was done at once.
#[derive(ToSchema)]
pub(super) struct Done {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
}

/// What a new server may lack.
pub(super) const SHORT: &[&str] = &[
    "NAME_TAKEN",
    "ADDRESS_TAKEN",
    "ADDRESSES_EXHAUSTED",
    "VMIDS_EXHAUSTED",
    "NO_CAPACITY",
    "QUOTA_EXCEEDED",
    "CLUSTER_UNSEEN",
    "OVERLOADED",
];

fn said(what: Answer) -> String {
    answer(Lang::En, what)
}

fn change_example(what: Answer) -> Value {
    json!({ "success": true, "message": said(what), "task_id": examples::TASK })
}

fn bulk_example(what: Answer) -> Value {
    json!({
        "success": true,
        "message": said(what),
        "task_id": examples::TASK,
        "servers": [{ "server_id": 1, "task_id": examples::OTHER_TASK }],
    })
}

fn reads() -> Vec<Op> {
    let states = ServerState::ALL.map(ServerState::as_str);
    vec![
        Op::get("/api/servers", "listServers", "List servers")
            .queries([
                query_word("status", "Only servers with this status.", states, None),
                query_text(
                    "project",
                    "Only servers of the project of this name.",
                    "default",
                ),
                query_text("role", "Only servers of this role.", "web"),
                query_text(
                    "name",
                    "Only servers whose name contains this text, taken literally.",
                    "web",
                ),
                query_word(
                    "sort",
                    "What the servers are sorted by.",
                    ["id", "name", "status", "role", "created_at", "updated_at"],
                    Some("id"),
                ),
                query_word(
                    "order",
                    "Upwards or downwards.",
                    ["asc", "desc"],
                    Some("asc"),
                ),
            ])
            .queries(paging("servers"))
            .answers::<ServerList>(
                200,
                "A page of servers.",
                json!({ "servers": [examples::server_in_list()], "total": 1 }),
            ),
        Op::get("/api/servers/{server_id}", "getServer", "Get a server")
            .takes(server_id())
            .answers::<Server>(200, "The server.", examples::server())
            .refuses(&["NOT_FOUND"]),
        Op::get(
            "/api/servers/{server_id}/drift",
            "getDrift",
            "How a server and its guest differ",
        )
        .about("As a worker saw it last, every `worker.sweep_ms` (30 s unless set otherwise).")
        .takes(server_id())
        .answers::<Drift>(
            200,
            "The differences; `none` when there are none.",
            json!({
                "server_id": 1,
                "drift": "changed",
                "node": "pve1",
                "changes": [{ "option": "memory", "wanted": "4096", "found": "2048" }],
                "ignored": [],
                "problem": null,
            }),
        )
        .refuses(&["NOT_FOUND"]),
    ]
}

fn creates() -> Vec<Op> {
    let dry_run = query_word(
        "dry_run",
        "`true` answers 200 with what the create would come to, and makes nothing.",
        ["false", "true"],
        Some("false"),
    );
    vec![
        Op::post("/api/servers/create", "createServer", "Create a server")
            .about(
                "The server's row, addresses and VMID are reserved, and a task makes the guest. Follow the \
                 task until it has ended.",
            )
            .queries([dry_run])
            .keyed()
            .asks::<CreateServer>(examples::create_server())
            .answers::<Accepted>(
                201,
                "Accepted.",
                json!({
                    "success": true,
                    "message": said(Answer::CreateStarted),
                    "task_id": examples::TASK,
                    "server_id": 1,
                }),
            )
            .answers::<PlannedServer>(
                200,
                "With `dry_run=true`: what the create would come to.",
                examples::planned_server(),
            )
            .refuses(SHORT),
        Op::post(
            "/api/servers/plan",
            "planServer",
            "What a create would come to",
        )
        .about("The same as creating with `dry_run=true`: nothing is made or reserved.")
        .asks::<CreateServer>(examples::create_server())
        .answers::<PlannedServer>(200, "What it would come to.", examples::planned_server())
        .refuses(&["INVALID_IDEMPOTENCY_KEY"])
        .refuses(SHORT),
        Op::post(
            "/api/servers/bulk-create",
            "createServers",
            "Create several servers",
        )
        .about("All are accepted, or none.")
        .keyed()
        .asks::<BulkCreate>(examples::bulk_create())
        .answers::<BulkAccepted>(
            201,
            "Accepted.",
            bulk_example(Answer::BulkCreateStarted(1)),
        )
        .refuses(SHORT),
        Op::post(
            "/api/servers/import",
            "importServer",
            "Take over a guest that others made",
        )
        .about("The guest is not changed by it.")
        .keyed()
        .asks::<ImportServer>(json!({ "vmid": 105, "name": "legacy-db", "role": "db" }))
        .answers::<Import>(201, "Accepted.", change_example(Answer::ImportStarted))
        .refuses(&["GUEST_KNOWN", "NAME_TAKEN", "OVERLOADED"]),
        Op::post(
            "/api/servers/{server_id}/recreate",
            "recreateServer",
            "Make a server again whose guest is gone",
        )
        .about(
            "With the same name, size and addresses and another VMID; only while its status is `missing` or \
             `identity_conflict`.",
        )
        .takes(server_id())
        .keyed()
        .asks_nothing()
        .answers::<Accepted>(
            201,
            "Accepted.",
            json!({
                "success": true,
                "message": said(Answer::RecreateStarted),
                "task_id": examples::TASK,
                "server_id": 1,
            }),
        )
        .refuses(&["NOT_FOUND", "SERVER_BUSY", "WRONG_STATE"])
        .refuses(SHORT),
    ]
}

fn changes() -> Vec<Op> {
    let at_work: &[&str] = &["NOT_FOUND", "SERVER_BUSY"];
    vec![
        Op::patch(
            "/api/servers/{server_id}",
            "changeServer",
            "Change a server's size, tags, project or end",
        )
        .takes(server_id())
        .keyed()
        .asks::<ChangeServer>(json!({ "cpu": 4, "memory": 8192 }))
        .answers::<Change>(200, "Accepted, or done.", change_example(Answer::ChangeStarted))
        .refuses(at_work)
        .refuses(&["WRONG_STATE", "NO_CAPACITY", "QUOTA_EXCEEDED", "OVERLOADED"]),
        Op::put(
            "/api/servers/{server_id}/status",
            "setServerStatus",
            "Start, stop or restart a server",
        )
        .about("Asked for again while the same is under way, it answers with the task at work.")
        .takes(server_id())
        .keyed()
        .asks::<SetStatus>(json!({ "status": "stopped" }))
        .answers::<Change>(
            200,
            "Accepted; `task_id` is `null` when it is so already.",
            change_example(Answer::PowerStarted),
        )
        .refuses(at_work)
        .refuses(&["WRONG_STATE"]),
        Op::post(
            "/api/servers/bulk-power",
            "setServersStatus",
            "Start, stop or restart several servers",
        )
        .about("All are accepted, or none. Those that are so already are left alone.")
        .keyed()
        .asks::<BulkPower>(json!({ "server_ids": [1, 2], "status": "stopped" }))
        .answers::<BulkPowerAccepted>(
            200,
            "Accepted.",
            json!({
                "success": true,
                "message": said(Answer::BulkPowerStarted(1, 1)),
                "task_id": examples::TASK,
                "servers": [{ "server_id": 1, "task_id": examples::OTHER_TASK }],
                "unchanged": [2],
            }),
        )
        .refuses(at_work)
        .refuses(&["WRONG_STATE"]),
        Op::post(
            "/api/servers/{server_id}/drift",
            "decideDrift",
            "Decide what becomes of changes made by hand",
        )
        .about(
            "With one option that is reverted, every other one that differs has to be decided about too: the \
             guest is put back as a whole.",
        )
        .takes(server_id())
        .keyed()
        .asks::<DecideDrift>(json!({ "fields": { "memory": "adopt" } }))
        .answers::<Change>(200, "Decided.", json!({
            "success": true,
            "message": said(Answer::Saved),
            "task_id": null,
        }))
        .refuses(at_work)
        .refuses(&["WRONG_STATE", "NO_CAPACITY", "QUOTA_EXCEEDED", "OVERLOADED"]),
    ]
}

fn removals() -> Vec<Op> {
    vec![
        Op::delete("/api/servers/{server_id}", "deleteServer", "Delete a server")
            .about(
                "Its guest and disks are destroyed. Asked for again while it is being deleted, it answers with \
                 the task at work.",
            )
            .takes(server_id())
            .answers::<Removal>(200, "Accepted.", change_example(Answer::DeleteStarted))
            .refuses(&["NOT_FOUND", "SERVER_BUSY"]),
        Op::post(
            "/api/servers/bulk-delete",
            "deleteServers",
            "Delete several servers",
        )
        .about("All are accepted, or none.")
        .keyed()
        .asks::<BulkDelete>(json!({ "server_ids": [1, 2, 3] }))
        .answers::<BulkAccepted>(200, "Accepted.", bulk_example(Answer::BulkDeleteStarted(1)))
        .refuses(&["NOT_FOUND", "SERVER_BUSY"]),
        Op::post(
            "/api/servers/{server_id}/forget",
            "forgetServer",
            "Take a server off the list whose guest is gone",
        )
        .about("Nothing is done on the cluster; only while its status is `missing` or `identity_conflict`.")
        .takes(server_id())
        .asks_nothing()
        .answers::<Done>(
            200,
            "Done.",
            json!({ "success": true, "message": said(Answer::Forgotten) }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND", "SERVER_BUSY", "WRONG_STATE", "OVERLOADED"]),
    ]
}

pub(super) fn operations() -> Vec<Op> {
    let mut all = reads();
    all.extend(creates());
    all.extend(changes());
    all.extend(removals());
    all
}
