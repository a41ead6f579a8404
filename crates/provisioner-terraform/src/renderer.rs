//! From a guest as it stands to the values of the module.

use crate::render::{Facts, Surroundings, Template, Values, values};
use crate::settings::GuestSettings;
use std::fmt;
use std::sync::Arc;
use tpm_domain::{FailureCode, Server};
use tpm_provisioner::{Fate, MarkSigner, ProvisionError, Provisioner};
use tpm_pve_client::{Client, Error, ErrorClass, GuestConfig};

/// Looks at guests and tells them as the module's values. Writes nothing, needs no Terraform.
#[derive(Clone)]
pub struct Renderer {
    direct: Arc<dyn Provisioner>,
    client: Client,
    signer: MarkSigner,
    settings: Arc<GuestSettings>,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renderer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A guest that is there, rendered.
pub(crate) struct Rendered {
    pub(crate) values: Values,
    /// The digest of its configuration.
    pub(crate) digest: String,
    /// Whether its disk stands on a template's.
    pub(crate) linked: bool,
}

fn of_read(error: &Error) -> ProvisionError {
    let (fate, code) = match error.class() {
        ErrorClass::Auth => (Fate::Auth, FailureCode::ProxmoxAuth),
        ErrorClass::Busy => (Fate::Busy, FailureCode::ProxmoxBusy),
        ErrorClass::Rejected => (Fate::Refused, FailureCode::ProxmoxRefused),
        ErrorClass::Missing => (Fate::Ask, FailureCode::GuestMissing),
        ErrorClass::NotSent | ErrorClass::Ambiguous | ErrorClass::Exists => {
            (Fate::NotSent, FailureCode::ProxmoxUnreachable)
        }
    };
    ProvisionError::new(fate, code, error.text().to_owned())
}

fn refused(code: FailureCode, text: impl Into<String>) -> ProvisionError {
    ProvisionError::new(Fate::Refused, code, text)
}

fn unreadable(error: impl fmt::Display) -> ProvisionError {
    refused(FailureCode::ProxmoxRefused, error.to_string())
}

impl Renderer {
    /// On the cluster of `direct`, which `client` speaks to as well.
    #[must_use]
    pub fn new(
        direct: Arc<dyn Provisioner>,
        client: Client,
        signer: MarkSigner,
        settings: GuestSettings,
    ) -> Self {
        Self {
            direct,
            client,
            signer,
            settings: Arc::new(settings),
        }
    }

    /// The engine that looks.
    pub(crate) fn direct(&self) -> &Arc<dyn Provisioner> {
        &self.direct
    }

    async fn config(&self, node: &str, vmid: u32) -> Result<GuestConfig, ProvisionError> {
        let config = self.client.guest_config(node, vmid, false).await;
        config.map_err(|error| of_read(&error))
    }

    /// The template and where it is; none where others made the guest.
    pub(crate) async fn template(
        &self,
        server: &Server,
    ) -> Result<Option<Template>, ProvisionError> {
        if server.kept.imported {
            return Ok(None);
        }
        let placement = server.placement.as_ref();
        let placement = placement
            .ok_or_else(|| refused(FailureCode::Internal, "the server has no placement"))?;
        let vm_id = placement.template.0;
        let resources = self.client.cluster_resources(None).await;
        let resources = resources.map_err(|error| of_read(&error))?;
        let found = resources.iter().find(|r| r.vmid == Some(vm_id));
        let node_name = found.and_then(|resource| resource.node.clone());
        let node_name = node_name.ok_or_else(|| {
            let text = format!("there is no VM {vm_id} in the cluster");
            refused(FailureCode::TemplateMissing, text)
        })?;
        Ok(Some(Template { vm_id, node_name }))
    }

    fn surroundings(&self, server: &Server) -> Result<Surroundings<'_>, ProvisionError> {
        if server.kept.imported {
            return Ok(Surroundings::default());
        }
        let settings = &self.settings;
        let role = settings.roles.get(&server.spec.role).ok_or_else(|| {
            let text = format!("the role {} is no longer configured", server.spec.role);
            refused(FailureCode::TemplateMissing, text)
        })?;
        let of_network: Vec<String> = server
            .spec
            .nics
            .first()
            .map(|nic| nic.dns.iter().map(ToString::to_string).collect())
            .unwrap_or_default();
        let dns = if of_network.is_empty() {
            settings.dns.iter().map(ToString::to_string).collect()
        } else {
            of_network
        };
        Ok(Surroundings {
            user: &role.user,
            ssh_keys: &role.ssh_keys,
            tags: &role.tags,
            dns,
            search_domain: settings.search_domain.clone(),
            full_clone: settings.full_clone,
            mark: self.signer.mark(server).to_string(),
        })
    }

    /// A server whose guest is to be made, on the node that was chosen.
    pub(crate) async fn wanted(
        &self,
        server: &Server,
        template: Template,
    ) -> Result<Values, ProvisionError> {
        let around = self.surroundings(server)?;
        let node = server.placement.as_ref().map(|p| p.node.0.clone());
        let node = node.unwrap_or_else(|| template.node_name.clone());
        let config = self.config(&template.node_name, template.vm_id).await?;
        let facts = Facts::of_template(&config).map_err(unreadable)?;
        Ok(values(server, &node, Some(template), &facts, &around))
    }

    /// A server whose guest is on that node.
    pub(crate) async fn present(
        &self,
        server: &Server,
        node: &str,
        template: Option<Template>,
    ) -> Result<Rendered, ProvisionError> {
        let around = self.surroundings(server)?;
        let config = self.config(node, server.vmid.0).await?;
        let facts = Facts::of_guest(&config).map_err(unreadable)?;
        Ok(Rendered {
            values: values(server, node, template, &facts, &around),
            digest: config.digest().unwrap_or_default().to_owned(),
            linked: facts.is_linked(),
        })
    }

    /// A server as it stands; `None` when its guest is not there.
    pub(crate) async fn as_it_stands(
        &self,
        server: &Server,
    ) -> Result<Option<Values>, ProvisionError> {
        let Some(view) = self.direct.look(server).await? else {
            return Ok(None);
        };
        if let Some(both) = view.conflict {
            return Err(refused(FailureCode::IdentityConflict, both));
        }
        // A guest outlives its template.
        let template = match self.template(server).await {
            Err(error) if error.failure.code == FailureCode::TemplateMissing => None,
            found => found?,
        };
        let rendered = self.present(server, &view.node.0, template).await?;
        Ok(Some(rendered.values))
    }
}
