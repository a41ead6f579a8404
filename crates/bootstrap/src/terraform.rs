//! From settings to the Terraform engine, where its program is found.

use crate::keys::{mark_key, state_key};
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tpm_provisioner::{MarkSigner, Provisioner};
use tpm_provisioner_terraform::{
    GuestSettings, ProviderLogin, Renderer, RoleCode, Seal, StateRoom, TerraformProvisioner,
    TerraformSettings,
};
use tpm_pve_client::Client;
use tpm_settings::{CloneMode, Settings, TerraformMode};
use tpm_store::TerraformStore;

/// Where the program is; `None` when it is not to be used or not there.
fn program(settings: &Settings) -> anyhow::Result<Option<PathBuf>> {
    let terraform = &settings.terraform;
    let given = (!terraform.binary.is_empty()).then(|| PathBuf::from(&terraform.binary));
    let found = || {
        let path = std::env::var_os("PATH")?;
        ["terraform", "tofu"]
            .iter()
            .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
            .find(|file| file.is_file())
    };
    match terraform.mode {
        TerraformMode::Off => Ok(None),
        // The provider can check a certificate only by its CA.
        TerraformMode::Auto if settings.proxmox.ca_file.is_empty() => Ok(None),
        TerraformMode::Auto => Ok(given.or_else(found).filter(|file| file.is_file())),
        TerraformMode::On => match given.or_else(found) {
            Some(file) if file.is_file() => Ok(Some(file)),
            Some(file) => bail!("terraform.binary: there is no {}", file.display()),
            None => bail!("terraform.mode is on, but neither terraform nor tofu is in PATH"),
        },
    }
}

/// Where states are kept: also for processes that run nothing.
pub(crate) fn room(
    settings: &Settings,
    store: Arc<dyn TerraformStore>,
) -> anyhow::Result<StateRoom> {
    let seal = Seal::new(&state_key(settings)?).context("security.state_key")?;
    Ok(StateRoom::new(store, seal))
}

/// What tells guests of that cluster as code.
pub(crate) fn renderer(
    settings: &Settings,
    direct: Arc<dyn Provisioner>,
    client: Client,
    instance: &str,
) -> anyhow::Result<Renderer> {
    let roles = settings.roles.iter().map(|(name, role)| {
        let code = RoleCode {
            user: role.user.clone(),
            ssh_keys: role.ssh_keys.clone(),
            tags: role.tags.clone(),
        };
        (name.clone(), code)
    });
    let dns = settings.network.dns.iter();
    let dns = dns.map(|ip| ip.parse().context("network.dns"));
    let search_domain = &settings.network.search_domain;
    let guests = GuestSettings {
        roles: roles.collect(),
        full_clone: settings.proxmox.clone_mode == CloneMode::Full,
        dns: dns.collect::<anyhow::Result<_>>()?,
        search_domain: (!search_domain.is_empty()).then(|| search_domain.clone()),
    };
    let signer = MarkSigner::new(instance, &mark_key(settings)?)?;
    Ok(Renderer::new(direct, client, signer, guests))
}

/// The engine on the renderer's cluster; `None` without the program.
pub(crate) fn engine(
    settings: &Settings,
    renderer: Renderer,
    room: StateRoom,
) -> anyhow::Result<Option<TerraformProvisioner>> {
    let Some(binary) = program(settings)? else {
        return Ok(None);
    };
    let proxmox = &settings.proxmox;
    let terraform = &settings.terraform;
    let login = if proxmox.token_id.is_empty() {
        ProviderLogin::Password {
            username: proxmox.username.clone(),
            password: proxmox.password.clone(),
        }
    } else {
        ProviderLogin::Token {
            id: proxmox.token_id.clone(),
            secret: proxmox.token_secret.clone(),
        }
    };
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let ca_file = std::path::absolute(&proxmox.ca_file).context("proxmox.ca_file")?;
    let terraform_settings = TerraformSettings {
        binary,
        work_dir: settings.data_dir.join("terraform"),
        mirror: some(&terraform.mirror).map(PathBuf::from),
        max_runs: terraform.max_runs,
        memory_mb: terraform.memory_mb,
        run_timeout: Duration::from_secs(terraform.run_timeout_secs),
        step_timeout: Duration::from_secs(proxmox.step_timeout_secs),
        endpoints: proxmox.endpoints.clone(),
        login,
        ca_file,
    };
    Ok(Some(TerraformProvisioner::new(
        renderer,
        room,
        terraform_settings,
    )))
}
