//! Where templates live.

use crate::ProxmoxProvisioner;
use crate::error::of_read;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tpm_domain::FailureCode;
use tpm_provisioner::{Fate, ProvisionError};

/// Templates hardly ever move; a stale answer costs one refused clone.
const REMEMBER: Duration = Duration::from_secs(30);

/// Where a template is, when that was seen, and on which storage its disk lies.
#[derive(Debug)]
struct Known {
    node: String,
    seen: Instant,
    storage: Option<String>,
}

/// Templates seen lately.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<HashMap<u32, Known>>);

impl Templates {
    fn get(&self, vmid: u32) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&vmid)
            .filter(|known| known.seen.elapsed() < REMEMBER)
            .map(|known| known.node.clone())
    }

    /// The storage of a template's disk, as long as it is on that node.
    pub(crate) fn storage(&self, vmid: u32, node: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&vmid)
            .filter(|known| known.node == node)
            .and_then(|known| known.storage.clone())
    }

    pub(crate) fn keep_storage(&self, vmid: u32, node: &str, storage: &str) {
        self.put(vmid, node);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&vmid) {
            known.storage = Some(storage.to_owned());
        }
    }

    fn put(&self, vmid: u32, node: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = known
            .remove(&vmid)
            .filter(|known| known.node == node)
            .and_then(|known| known.storage);
        let fresh = Known {
            node: node.to_owned(),
            seen: Instant::now(),
            storage,
        };
        known.insert(vmid, fresh);
    }

    pub(crate) fn forget(&self, vmid: u32) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&vmid);
    }
}

impl ProxmoxProvisioner {
    /// The node a template is on.
    pub(crate) async fn template_node(&self, template: u32) -> Result<String, ProvisionError> {
        if let Some(node) = self.templates.get(template) {
            return Ok(node);
        }
        let resources = self.watch.since(Instant::now()).await;
        let resources = resources.map_err(|error| of_read(&error))?;
        let found = resources
            .iter()
            .find(|resource| resource.vmid == Some(template));
        match found {
            Some(resource) if resource.template == Some(true) => {
                let node = resource.node.clone().unwrap_or_default();
                self.templates.put(template, &node);
                Ok(node)
            }
            Some(_) => Err(missing(format!("VM {template} is not a template"))),
            None => Err(missing(format!("there is no VM {template} in the cluster"))),
        }
    }
}

fn missing(text: String) -> ProvisionError {
    ProvisionError::new(Fate::Refused, FailureCode::TemplateMissing, text)
}
