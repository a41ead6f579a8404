//! What a plan is going to do, from Terraform's JSON to words of Proxmox VE.

use crate::render::ADDRESS;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tpm_domain::{ChangeEffect, PlanAction, PlannedChange, PlannedField};

#[derive(Debug, Deserialize)]
struct PlanFile {
    #[serde(default)]
    resource_changes: Vec<ResourceChange>,
    #[serde(default)]
    errored: bool,
}

#[derive(Debug, Deserialize)]
struct ResourceChange {
    address: String,
    change: Change,
}

#[derive(Debug, Deserialize)]
struct Change {
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    importing: Option<Value>,
    #[serde(default)]
    replace_paths: Option<Vec<Vec<Value>>>,
}

/// Fields that only Terraform and its provider have: no guest is different for them.
const OF_TERRAFORM: &[&str] = &[
    "agent.timeout",
    "agent.wait_for_ip",
    "clone",
    "delete_unreferenced_disks_on_destroy",
    "disk.file_format",
    "disk.path_in_datastore",
    "id",
    "initialization.file_format",
    "initialization.upgrade",
    "ipv4_addresses",
    "ipv6_addresses",
    "mac_addresses",
    "migrate",
    "network_interface_names",
    "purge_on_destroy",
    "reboot",
    "reboot_after_update",
    "started",
    "stop_on_destroy",
];

/// Fields that a running guest takes on at its next start.
const AT_START: &[&str] = &[
    "agent.enabled",
    "agent.type",
    "bios",
    "cpu.",
    "initialization.",
    "keyboard_layout",
    "machine",
    "memory.",
    "network_device.model",
    "scsi_hardware",
    "vga.",
];

/// Reads `terraform show -json` of a plan.
///
/// # Errors
/// When it is not one, or does something to anything but the one guest.
pub(crate) fn read(text: &str) -> Result<PlannedChange, String> {
    let plan: PlanFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if plan.errored {
        return Err("the plan is incomplete".into());
    }
    let mut ours = None;
    for change in plan.resource_changes {
        if change.address != ADDRESS {
            return Err(format!("the plan touches {}", change.address));
        }
        if ours.replace(change).is_some() {
            return Err("the plan has the guest twice".into());
        }
    }
    Ok(ours.map_or_else(PlannedChange::default, |ours| understand(&ours.change)))
}

fn understand(change: &Change) -> PlannedChange {
    let has = |action: &str| change.actions.iter().any(|a| a == action);
    let action = match (has("create"), has("delete")) {
        (true, true) => PlanAction::Replace,
        (true, false) => PlanAction::Create,
        (false, true) => PlanAction::Destroy,
        (false, false) if has("update") => PlanAction::Update,
        (false, false) => PlanAction::Nothing,
    };
    let replaced = change.replace_paths.as_deref().unwrap_or_default();
    let forces: Vec<String> = replaced.iter().map(|path| path_name(path)).collect();
    let mut fields = Vec::new();
    if matches!(action, PlanAction::Update | PlanAction::Replace) {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &change.before, &mut before);
        flatten("", &change.after, &mut after);
        let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (old, new) = (before.get(key), after.get(key));
            if old == new || (new.is_none() && matches!(change.after, Value::Null)) {
                continue;
            }
            let general = without_numbers(key);
            if OF_TERRAFORM.iter().any(|own| is_under(&general, own)) {
                continue;
            }
            // Unset on one side and the same as unset on the other.
            let plain = |value: Option<&String>| value.cloned().unwrap_or_default();
            if is_nothing(&plain(old)) && is_nothing(&plain(new)) {
                continue;
            }
            fields.push(PlannedField {
                effect: effect(&general, old, new, &forces),
                field: key.clone(),
                before: old.cloned(),
                after: new.cloned(),
            });
        }
    }
    PlannedChange {
        action,
        imports: change.importing.is_some(),
        fields,
    }
}

fn effect(
    general: &str,
    old: Option<&String>,
    new: Option<&String>,
    forces: &[String],
) -> ChangeEffect {
    if forces.iter().any(|path| is_under(general, path)) {
        return ChangeEffect::Replaces;
    }
    if general.starts_with("disk.") && new.is_none() && old.is_some() {
        return ChangeEffect::Destroys;
    }
    if AT_START.iter().any(|start| general.starts_with(start)) {
        ChangeEffect::NextStart
    } else {
        ChangeEffect::Online
    }
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "false" | "0")
}

fn is_under(key: &str, prefix: &str) -> bool {
    key == prefix
        || key
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('.'))
}

fn path_name(path: &[Value]) -> String {
    let parts: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
    parts.join(".")
}

/// `disk.0.size` is `disk.size` when it is about what kind of field it is.
fn without_numbers(key: &str) -> String {
    let parts: Vec<&str> = key
        .split('.')
        .filter(|part| part.parse::<usize>().is_err())
        .collect();
    parts.join(".")
}

fn flatten(prefix: &str, value: &Value, to: &mut BTreeMap<String, String>) {
    let under = |key: &str| match prefix {
        "" => key.to_owned(),
        prefix => format!("{prefix}.{key}"),
    };
    match value {
        Value::Null => {}
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| flatten(&under(key), value, to)),
        Value::Array(list) => {
            for (n, value) in list.iter().enumerate() {
                flatten(&under(&n.to_string()), value, to);
            }
        }
        Value::String(text) => {
            to.insert(prefix.to_owned(), text.clone());
        }
        other => {
            to.insert(prefix.to_owned(), other.to_string());
        }
    }
}

/// What a state says of the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct StateGuest {
    pub(crate) vm_id: u32,
    pub(crate) node_name: String,
    /// A create that failed half way: Terraform would replace it.
    pub(crate) tainted: bool,
}

#[derive(Deserialize)]
struct StateFile {
    #[serde(default)]
    serial: u64,
    #[serde(default)]
    lineage: String,
    #[serde(default)]
    resources: Vec<StateResource>,
}

#[derive(Deserialize)]
struct StateResource {
    #[serde(default)]
    module: String,
    #[serde(default)]
    instances: Vec<StateInstance>,
}

#[derive(Deserialize)]
struct StateInstance {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    attributes: Value,
}

/// A state file, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateView {
    pub(crate) serial: u64,
    pub(crate) lineage: String,
    pub(crate) guest: Option<StateGuest>,
}

impl StateView {
    /// Reads one.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let file: StateFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let instance = file
            .resources
            .iter()
            .filter(|resource| resource.module == "module.server")
            .flat_map(|resource| &resource.instances)
            .next();
        let guest = instance.and_then(|instance| {
            Some(StateGuest {
                vm_id: u32::try_from(instance.attributes["vm_id"].as_u64()?).ok()?,
                node_name: instance.attributes["node_name"].as_str()?.to_owned(),
                tainted: instance.status.as_deref() == Some("tainted"),
            })
        });
        Ok(Self {
            serial: file.serial,
            lineage: file.lineage,
            guest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(actions: &[&str], before: &Value, after: &Value) -> PlannedChange {
        let text = json!({
            "resource_changes": [{
                "address": ADDRESS,
                "change": { "actions": actions, "before": before, "after": after }
            }]
        });
        read(&text.to_string()).expect("a plan")
    }

    #[test]
    fn fields_say_when_they_apply() {
        let before = json!({
            "memory": [{ "dedicated": 2048 }],
            "disk": [{ "size": 20 }, { "size": 4, "interface": "scsi1" }],
            "description": "a",
            "agent": [{ "timeout": "15m" }],
            "ipv4_addresses": [["192.0.2.1"]],
            "protection": false,
        });
        let after = json!({
            "memory": [{ "dedicated": 4096 }],
            "disk": [{ "size": 30 }],
            "description": "b",
            "agent": [{ "timeout": "5s" }],
            "protection": null,
        });
        let plan = plan(&["update"], &before, &after);
        let shown: Vec<(&str, ChangeEffect)> = plan
            .fields
            .iter()
            .map(|field| (field.field.as_str(), field.effect))
            .collect();
        assert_eq!(
            shown,
            [
                ("description", ChangeEffect::Online),
                ("disk.0.size", ChangeEffect::Online),
                ("disk.1.interface", ChangeEffect::Destroys),
                ("disk.1.size", ChangeEffect::Destroys),
                ("memory.0.dedicated", ChangeEffect::NextStart),
            ]
        );
        assert!(plan.is_destructive());
    }

    #[test]
    fn what_is_only_terraforms_is_no_change() {
        let plan = plan(
            &["update"],
            &json!({ "agent": [{ "timeout": "15m" }], "started": true }),
            &json!({ "agent": [{ "timeout": "5s" }], "started": false }),
        );
        assert!(plan.is_empty() && !plan.is_destructive());
    }

    #[test]
    fn a_replacement_is_destructive() {
        let value = json!({ "name": "a" });
        assert!(plan(&["delete", "create"], &value, &value).is_destructive());
        assert!(plan(&["create", "delete"], &value, &value).is_destructive());
        assert!(!plan(&["create"], &Value::Null, &value).is_destructive());
    }

    #[test]
    fn a_plan_about_something_else_is_refused() {
        let text = json!({
            "resource_changes": [{
                "address": "module.server.proxmox_virtual_environment_vm.other",
                "change": { "actions": ["create"] }
            }]
        });
        assert!(read(&text.to_string()).is_err());
        assert!(read("{\"errored\": true}").is_err());
    }
}
