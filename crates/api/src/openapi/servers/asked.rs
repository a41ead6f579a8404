//! What requests about servers hold.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::shown::{DriftChoiceWord, ExpiryAction, PolicyWord, PowerWord, SpreadWord};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

/// A server to be made.
#[derive(ToSchema)]
pub(crate) struct CreateServer {
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
pub(crate) struct Tag(String);

/// One network interface, or a list of them.
pub(crate) struct NetworkConfigs;

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
pub(crate) struct NetworkConfig {
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
pub(crate) struct Prefix;

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
pub(crate) struct PlacementWish {
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

/// Servers to be made together.
#[derive(ToSchema)]
pub(crate) struct BulkCreate {
    /// The servers: 1 to `limits.max_bulk`, 500 unless set otherwise.
    #[schema(min_items = 1)]
    servers: Vec<CreateServer>,
    /// The interfaces of those that have none of their own. An `ip_range` is handed out in order.
    network_config: Option<NetworkConfigs>,
    /// What becomes of the others when one fails; `keep` when not said.
    policy: Option<PolicyWord>,
}

/// Servers to be deleted together.
#[derive(ToSchema)]
pub(crate) struct BulkDelete {
    /// Their numbers, each once: 1 to `limits.max_bulk`, 500 unless set otherwise.
    #[schema(min_items = 1, example = json!([1, 2, 3]))]
    server_ids: Vec<i64>,
}

/// Servers to be switched together.
#[derive(ToSchema)]
pub(crate) struct BulkPower {
    /// Their numbers, each once: 1 to `limits.max_bulk`, 500 unless set otherwise.
    #[schema(min_items = 1, example = json!([1, 2, 3]))]
    server_ids: Vec<i64>,
    /// What their power is to be.
    status: PowerWord,
}

/// A power to be had.
#[derive(ToSchema)]
pub(crate) struct SetStatus {
    /// What the power is to be.
    status: PowerWord,
}

/// What is to be changed of a server: one field at least. What is not said, or `null`, stays as it is;
/// `expires_at` alone takes `null` as "no end".
#[derive(ToSchema)]
#[schema(min_properties = 1)]
pub(crate) struct ChangeServer {
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
pub(crate) struct ImportServer {
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

/// What is to become of each option that differs.
#[derive(ToSchema)]
pub(crate) struct DecideDrift {
    /// Option by option, one at least.
    #[schema(example = json!({ "memory": "adopt" }))]
    fields: BTreeMap<String, DriftChoiceWord>,
}
