//! The QEMU guest agent. These calls hold one of PVE's few workers until the guest answers: ask rarely.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    classify::Access,
    client::Client,
    error::Error,
    lenient,
    params::{Method, Params, guest_path},
    property::MacAddr,
};

/// A network interface as the guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the guest, such as `eth0`.
    pub name: String,
    /// Its hardware address; tunnels have none.
    pub mac: Option<MacAddr>,
    /// Its addresses; none while it is not configured.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix.
    pub prefix: Option<u8>,
}

/// How a command in a guest is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExecStatus {
    /// Whether it has ended. An answer that says so is given once.
    #[serde(default, deserialize_with = "ended")]
    pub exited: bool,
    /// What it ended with; none when a signal ended it.
    #[serde(default)]
    pub exitcode: Option<i64>,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i64>,
    /// What it said; the guest's agent keeps a part of it.
    #[serde(default)]
    pub out_data: String,
    /// What it complained of.
    #[serde(default)]
    pub err_data: String,
}

fn ended<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(lenient::bool(value)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct Begun {
    pid: i64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawInterface {
    name: String,
    #[serde(default)]
    hardware_address: Option<String>,
    #[serde(default)]
    ip_addresses: Vec<RawAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawAddress {
    ip_address: String,
    #[serde(default, deserialize_with = "lenient::u64")]
    prefix: Option<u64>,
}

impl RawAddress {
    fn read(&self) -> Option<InterfaceAddress> {
        // a link-local address may carry its interface: fe80::1%eth0
        let ip = self.ip_address.split('%').next()?.parse().ok()?;
        Some(InterfaceAddress {
            ip,
            prefix: self.prefix.and_then(|n| u8::try_from(n).ok()),
        })
    }
}

impl Client {
    /// Whether the agent answers.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Busy`] while the agent does not answer, [`crate::ErrorClass::Rejected`] when
    /// none is configured or the guest does not run.
    pub async fn agent_ping(&self, node: &str, vmid: u32) -> Result<(), Error> {
        self.done(
            Method::Post,
            guest_path(node, vmid, &["agent", "ping"])?,
            Params::new(),
        )
        .await
    }

    /// Begins a command in the guest, each word an argument; its number there. Needs `VM.GuestAgent.Unrestricted`.
    ///
    /// # Errors
    /// As [`Client::agent_ping`]; [`crate::ErrorClass::Ambiguous`] when it may have begun.
    pub async fn agent_exec(
        &self,
        node: &str,
        vmid: u32,
        command: &[String],
    ) -> Result<i64, Error> {
        let path = guest_path(node, vmid, &["agent", "exec"])?;
        let params = command
            .iter()
            .fold(Params::new(), |params, word| params.and("command", word));
        let begun: Begun = self.typed(Method::Post, path, params).await?;
        Ok(begun.pid)
    }

    /// How a command is doing.
    ///
    /// # Errors
    /// As [`Client::agent_ping`]; [`crate::ErrorClass::Rejected`] for a number that the guest does not know, which is
    /// so after its end was told.
    pub async fn agent_exec_status(
        &self,
        node: &str,
        vmid: u32,
        pid: i64,
    ) -> Result<ExecStatus, Error> {
        let path = guest_path(node, vmid, &["agent", "exec-status"])?;
        self.get(path, Params::new().with("pid", pid)).await
    }

    /// The interfaces of the guest, loopback included. Addresses that cannot be read are left out.
    ///
    /// # Errors
    /// As [`Client::agent_ping`]; also when the guest answers something else than a list.
    pub async fn agent_interfaces(&self, node: &str, vmid: u32) -> Result<Vec<Interface>, Error> {
        let path = guest_path(node, vmid, &["agent", "network-get-interfaces"])?;
        let answer: Answer = self.get(path, Params::new()).await?;
        if let Some(why) = answer.result.pointer("/error/desc").and_then(Value::as_str) {
            return Err(Error::reply(
                Access::Read,
                format!("the guest agent answered: {why}"),
            ));
        }
        let raw = Vec::<RawInterface>::deserialize(answer.result).map_err(|error| {
            Error::reply(
                Access::Read,
                format!("unexpected answer of the agent: {error}"),
            )
        })?;
        let interfaces = raw.into_iter().map(|raw| Interface {
            mac: raw.hardware_address.as_deref().and_then(MacAddr::parse_any),
            addresses: raw
                .ip_addresses
                .iter()
                .filter_map(RawAddress::read)
                .collect(),
            name: raw.name,
        });
        Ok(interfaces.collect())
    }
}
