//! Networks in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, id};
use super::servers::{Done, Prefix};
use super::shapes::joined;
use serde_json::{Value, json};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};

/// A network in a list.
#[derive(ToSchema)]
struct NetworkInList {
    /// Its number.
    id: i64,
    /// Its name, unique among networks.
    #[schema(example = "office")]
    name: String,
    /// The addresses that are handed out, `FIRST-LAST`, both included.
    #[schema(example = "192.168.0.21-192.168.0.99")]
    range: String,
    /// Length of the prefix in bits.
    #[schema(minimum = 1, maximum = 32)]
    prefix: u8,
    /// The way out; `null` without.
    #[schema(format = "ipv4", example = "192.168.0.1")]
    gateway: Option<String>,
    /// DNS servers for cloud-init; the node's own when empty.
    dns: Vec<String>,
    /// The bridge of the node.
    #[schema(example = "vmbr0")]
    bridge: String,
    /// VLAN tag; `null` without.
    #[schema(minimum = 1, maximum = 4094)]
    vlan: Option<u16>,
    /// Parts of the range that are not handed out, `FIRST-LAST`.
    exclusions: Vec<String>,
    /// How many addresses the range has.
    size: u64,
    /// How many servers hold.
    held: u64,
    /// How many guests of others have.
    foreign: u64,
    /// How many can still be handed out.
    free: u64,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// All networks, by name.
#[derive(ToSchema)]
struct NetworkList {
    /// The networks.
    networks: Vec<NetworkInList>,
    /// How many there are.
    total: u64,
}

/// What a network by itself has beyond one in a list.
#[derive(ToSchema)]
struct NetworkDetails {
    /// Who holds what: servers first, lowest address first, then guests of others.
    addresses: Vec<HeldAddress>,
}

joined!(
    Network,
    "A network by itself.",
    NetworkInList,
    NetworkDetails
);

/// An address that is taken, by a server or by a guest of others.
struct HeldAddress;

/// An address that a server holds.
#[derive(ToSchema)]
struct AddressOfServer {
    /// The IPv4 address.
    #[schema(format = "ipv4")]
    ip_address: String,
    /// The server's number.
    server_id: i64,
    /// The server's name.
    server_name: String,
}

/// An address that a guest of others has.
#[derive(ToSchema)]
struct AddressOfForeign {
    /// The IPv4 address.
    #[schema(format = "ipv4")]
    ip_address: String,
    /// The guest's number in Proxmox VE.
    vmid: u32,
    /// The guest's name.
    name: String,
}

impl utoipa::PartialSchema for HeldAddress {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some(
                "An address that is taken, by a server or by a guest of others.",
            ))
            .item(Ref::from_schema_name(AddressOfServer::name()))
            .item(Ref::from_schema_name(AddressOfForeign::name()))
            .into()
    }
}

impl ToSchema for HeldAddress {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        use utoipa::PartialSchema;
        schemas.push((
            AddressOfServer::name().into_owned(),
            AddressOfServer::schema(),
        ));
        schemas.push((
            AddressOfForeign::name().into_owned(),
            AddressOfForeign::schema(),
        ));
    }
}

/// A network to be made.
#[derive(ToSchema)]
struct CreateNetwork {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "office"
    )]
    name: String,
    /// The addresses to hand out, `FIRST-LAST`, both included, in one subnet: at most 65536.
    #[schema(example = "10.20.0.10-10.20.0.99")]
    range: String,
    /// Length of the prefix in bits, 1 to 32.
    prefix: Prefix,
    /// The way out: an IPv4 address inside the subnet; none when not said.
    #[schema(format = "ipv4", example = "10.20.0.1")]
    gateway: Option<String>,
    /// DNS servers for cloud-init, IPv4; the node's own when not said.
    #[schema(example = json!(["10.20.0.2"]))]
    dns: Option<Vec<String>>,
    /// The bridge of the node, at most 15 characters; the setting's when not said.
    #[schema(max_length = 15, pattern = "^[A-Za-z0-9_.-]+$", example = "vmbr0")]
    bridge: Option<String>,
    /// VLAN tag; none when not said.
    #[schema(minimum = 1, maximum = 4094)]
    vlan: Option<u16>,
    /// Parts of the subnet that are not handed out: `FIRST-LAST`, or one address.
    #[schema(example = json!(["10.20.0.50-10.20.0.59"]))]
    exclusions: Option<Vec<String>>,
}

/// What is to be changed of a network; what is not said stays as it is. Servers keep the addresses they have.
#[derive(ToSchema)]
struct ChangeNetwork {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "office"
    )]
    name: Option<String>,
    /// The addresses to hand out, `FIRST-LAST`, both included, in one subnet: at most 65536.
    #[schema(example = "10.20.0.10-10.20.0.199")]
    range: Option<String>,
    /// Length of the prefix in bits, 1 to 32.
    prefix: Option<Prefix>,
    /// The way out: an IPv4 address inside the subnet; `null` takes it away.
    #[schema(format = "ipv4", example = "10.20.0.1")]
    gateway: Option<String>,
    /// DNS servers for cloud-init, IPv4.
    dns: Option<Vec<String>>,
    /// The bridge of the node, at most 15 characters.
    #[schema(max_length = 15, pattern = "^[A-Za-z0-9_.-]+$", example = "vmbr0")]
    bridge: Option<String>,
    /// VLAN tag; `null` takes it away.
    #[schema(minimum = 1, maximum = 4094)]
    vlan: Option<u16>,
    /// Parts of the subnet that are not handed out: `FIRST-LAST`, or one address.
    exclusions: Option<Vec<String>>,
}

/// A network that was made.
#[derive(ToSchema)]
struct NetworkCreated {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Its number.
    network_id: i64,
}

fn network_id() -> Parameter {
    id("network_id", "The network's number.", 1)
}

fn in_list() -> Value {
    json!({
        "id": 2,
        "name": "office",
        "range": "10.20.0.10-10.20.0.99",
        "prefix": 24,
        "gateway": "10.20.0.1",
        "dns": ["10.20.0.2"],
        "bridge": "vmbr0",
        "vlan": null,
        "exclusions": ["10.20.0.50-10.20.0.59"],
        "size": 90,
        "held": 1,
        "foreign": 1,
        "free": 78,
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:00Z",
    })
}

fn by_itself() -> Value {
    let mut example = in_list();
    example["addresses"] = json!([
        { "ip_address": "10.20.0.10", "server_id": 1, "server_name": "web-server-01" },
        { "ip_address": "10.20.0.11", "vmid": 105, "name": "legacy-db" },
    ]);
    example
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::get("/api/networks", "listNetworks", "List networks").answers::<NetworkList>(
            200,
            "All networks, by name.",
            json!({ "networks": [in_list()], "total": 1 }),
        ),
        Op::post("/api/networks", "createNetwork", "Create a network")
            .keyed()
            .asks::<CreateNetwork>(json!({
                "name": "office",
                "range": "10.20.0.10-10.20.0.99",
                "prefix": 24,
                "gateway": "10.20.0.1",
                "dns": ["10.20.0.2"],
                "exclusions": ["10.20.0.50-10.20.0.59"],
            }))
            .answers::<NetworkCreated>(
                201,
                "Made.",
                json!({
                    "success": true,
                    "message": answer(Lang::En, Answer::LabelCreated),
                    "network_id": 2,
                }),
            )
            .refuses(&["NAME_TAKEN", "NETWORK_OVERLAPS", "OVERLOADED"]),
        Op::get("/api/networks/{network_id}", "getNetwork", "Get a network")
            .takes(network_id())
            .answers::<Network>(200, "The network.", by_itself())
            .refuses(&["NOT_FOUND"]),
        Op::patch(
            "/api/networks/{network_id}",
            "changeNetwork",
            "Change a network",
        )
        .takes(network_id())
        .asks_maybe::<ChangeNetwork>(json!({ "range": "10.20.0.10-10.20.0.199", "vlan": null }))
        .answers::<Network>(200, "The network as it is now.", by_itself())
        .refuses(&[
            "INVALID_IDEMPOTENCY_KEY",
            "NOT_FOUND",
            "NAME_TAKEN",
            "NETWORK_OVERLAPS",
            "OVERLOADED",
        ]),
        Op::delete(
            "/api/networks/{network_id}",
            "deleteNetwork",
            "Delete a network",
        )
        .about("Only one that no server holds an address of.")
        .takes(network_id())
        .answers::<Done>(
            200,
            "Done.",
            json!({ "success": true, "message": answer(Lang::En, Answer::NetworkDeleted) }),
        )
        .refuses(&["NOT_FOUND", "NETWORK_IN_USE", "OVERLOADED"]),
    ]
}
