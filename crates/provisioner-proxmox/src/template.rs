//! Where templates live.

use crate::ProxmoxProvisioner;
use crate::error::of_read;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tpm_domain::FailureCode;
use tpm_provisioner::{Fate, ProvisionError};
use tpm_pve_client::ResourceKind;

/// Templates hardly ever move; a stale answer costs one refused clone.
const REMEMBER: Duration = Duration::from_secs(30);

/// The nodes of templates seen lately.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<HashMap<u32, (String, Instant)>>);

impl Templates {
    fn get(&self, vmid: u32) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&vmid)
            .filter(|(_, seen)| seen.elapsed() < REMEMBER)
            .map(|(node, _)| node.clone())
    }

    fn put(&self, vmid: u32, node: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(vmid, (node.to_owned(), Instant::now()));
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
        let resources = self.client.cluster_resources(Some(ResourceKind::Vm)).await;
        let resources = resources.map_err(|error| of_read(&error))?;
        let found = resources
            .into_iter()
            .find(|resource| resource.vmid == Some(template));
        match found {
            Some(resource) if resource.template == Some(true) => {
                let node = resource.node.unwrap_or_default();
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
