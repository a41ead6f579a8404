//! The command line that runs of Terraform need: what is in PATH, otherwise an OpenTofu, built from the Go module
//! proxy into the cache folder, once.

use crate::golang;
use crate::provider::Missing;
use crate::workspace::{self, in_path};
use std::path::PathBuf;

/// Pinned in the `go.mod` beside its sums.
const VERSION: &str = "1.12.6";
/// By which tests find the program, and a person names another one.
pub(crate) const VARIABLE: &str = "TPM_TERRAFORM";
/// Where its `go.mod` is.
const MODULE: &str = "tests/peers/opentofu";
const PACKAGE: &str = "github.com/opentofu/opentofu";

/// The program, built when there is none; or what is missing.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn program() -> anyhow::Result<Result<PathBuf, Missing>> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let there = named
        .or_else(|| in_path("terraform"))
        .or_else(|| in_path("tofu"));
    if let Some(program) = there {
        return Ok(Ok(program));
    }
    let folder = workspace::cache()?.join(format!("terraform-proxmox-manager/opentofu-{VERSION}"));
    let program = folder.join("tofu");
    if program.is_file() {
        return Ok(Ok(program));
    }
    if in_path("go").is_none() {
        return Ok(Err(Missing(
            "neither terraform nor tofu is there, nor Go, which builds the latter".into(),
        )));
    }
    println!("building OpenTofu {VERSION}, once; this takes some minutes");
    std::fs::create_dir_all(&folder)?;
    let draft = folder.join(format!("tofu-{}", std::process::id()));
    let release = format!("{PACKAGE}/version.dev=no");
    golang::build(MODULE, &format!("{PACKAGE}/cmd/tofu"), &release, &draft)?;
    // Others may build at the same time: what is in place is whole.
    std::fs::rename(&draft, &program)?;
    Ok(Ok(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_names_the_same_version() {
        let path = workspace::root().join(MODULE).join("go.mod");
        let text = std::fs::read_to_string(path).expect("the module");
        assert!(text.contains(&format!("{PACKAGE} v{VERSION}")), "{text}");
    }
}
