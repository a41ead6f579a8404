//! The real peer of the Terraform engine: the provider `bpg/proxmox` at the version that the module names,
//! built from the Go module proxy into a filesystem mirror in the cache folder, once.

use crate::workspace::{self, in_path};
use crate::{golang, tofu};
use std::path::{Path, PathBuf};

/// Pinned in the `go.mod` beside its sums; the module in `terraform/` names the same.
pub(crate) const VERSION: &str = "0.111.1";
/// Where tests find the mirror.
pub(crate) const VARIABLE: &str = "TPM_PROVIDER_MIRROR";
/// Where its `go.mod` is.
const MODULE: &str = "tests/peers/bpg";
const PACKAGE: &str = "github.com/bpg/terraform-provider-proxmox";

/// What is missing for runs of Terraform, in words.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

/// What runs of Terraform need.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    /// `terraform` or `tofu`.
    pub(crate) program: PathBuf,
    /// The mirror with the provider.
    pub(crate) mirror: PathBuf,
}

impl Peers {
    /// What tests find them by.
    pub(crate) fn variables(&self) -> [(&'static str, &Path); 2] {
        [(tofu::VARIABLE, &self.program), (VARIABLE, &self.mirror)]
    }
}

/// The command line and the provider, made when they are not there; or what is missing.
///
/// # Errors
/// When one of them cannot be built.
pub(crate) fn peers() -> anyhow::Result<Result<Peers, Missing>> {
    let program = match tofu::program()? {
        Ok(program) => program,
        Err(missing) => return Ok(Err(missing)),
    };
    Ok(mirror()?.map(|mirror| Peers { program, mirror }))
}

/// Where `terraform` and `tofu` look for it.
fn places(mirror: &Path) -> Vec<PathBuf> {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ["registry.terraform.io", "registry.opentofu.org"]
        .iter()
        .map(|host| {
            mirror
                .join(host)
                .join("bpg/proxmox")
                .join(VERSION)
                .join(format!("{os}_{arch}"))
        })
        .collect()
}

/// The mirror, built when it is not there.
fn mirror() -> anyhow::Result<Result<PathBuf, Missing>> {
    let folder = workspace::cache()?.join(format!("terraform-proxmox-manager/bpg-{VERSION}"));
    let mirror = folder.join("mirror");
    let places = places(&mirror);
    let program = format!("terraform-provider-proxmox_v{VERSION}");
    if places.iter().all(|place| place.join(&program).is_file()) {
        return Ok(Ok(mirror));
    }
    if in_path("go").is_none() {
        return Ok(Err(Missing(
            "Go, which builds the provider, is not there".into(),
        )));
    }
    println!("building the provider bpg/proxmox {VERSION}, once; this takes some minutes");
    let draft = folder.join(format!("provider-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let version = format!("{PACKAGE}/version.ProviderVersion={VERSION}");
    golang::build(MODULE, PACKAGE, &version, &draft)?;
    for place in &places {
        std::fs::create_dir_all(place)?;
        let beside = place.join(format!(".{program}-{}", std::process::id()));
        std::fs::copy(&draft, &beside)?;
        // Others may build at the same time: what is in place is whole.
        std::fs::rename(&beside, place.join(&program))?;
    }
    std::fs::remove_file(&draft)?;
    Ok(Ok(mirror))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_and_the_peer_name_the_same_version() {
        let read = |path: &str| std::fs::read_to_string(workspace::root().join(path));
        let module = read("terraform/modules/server/versions.tf").expect("the module");
        assert!(
            module.contains(&format!("version = \"{VERSION}\"")),
            "{module}"
        );
        let peer = read(&format!("{MODULE}/go.mod")).expect("the peer");
        assert!(peer.contains(&format!("{PACKAGE} v{VERSION}")), "{peer}");
    }
}
