//! The running service against its OpenAPI document, asked by Schemathesis: what the document allows and what
//! it forbids, from a seed. A finding is an answer with 500 or more, or one that is not documented. Before that,
//! the collection made of that document is run by Newman, against a service of its own.

use super::newman;
use super::outside::Outside;
use crate::client::Client;
use crate::stack::{self, Plan, Profile, Size, Stack};
use crate::workspace;
use anyhow::Context as _;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same requests every time.
const SEED: &str = "1";
/// Requests for each operation in each phase.
const EXAMPLES: &str = "20";
/// Another number of them, for longer runs by hand.
const EXAMPLES_VARIABLE: &str = "TPM_CONFORMANCE_EXAMPLES";
/// Tells it which of the document's ways of being known the session is, so that it knows where it leaves it out.
const CONFIG: &str = "tests/peers/schemathesis/schemathesis.toml";
/// These may end the session that all the others need: logging out, ending one that was listed, giving the admin
/// another password. Events are answered for as long as somebody reads.
const NOT_ASKED: [&str; 4] = ["logout", "endSession", "changeUser", "followEvents"];
/// Whether a request that the document allows is accepted depends on the installation too: on its roles, its
/// bounds, and the room there is.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// # Errors
/// When something is found.
pub(super) fn run(outside: &Outside) -> anyhow::Result<Option<String>> {
    let (newman, schemathesis) = (outside.newman(), outside.schemathesis());
    if newman.is_none() && schemathesis.is_none() {
        return Ok(Some(
            "no Newman and no Schemathesis: the document was not tried out".into(),
        ));
    }
    let programs = workspace::built_with_all()?;
    if let Some(newman) = newman {
        with_service(&programs, |url, plan| newman::run(newman, url, plan))?;
    }
    let Some(schemathesis) = schemathesis else {
        return Ok(Some(
            "no Schemathesis: only the collection was tried out".into(),
        ));
    };
    with_service(&programs, |url, plan| tried(schemathesis, url, plan))?;
    Ok(newman
        .is_none()
        .then(|| "no Newman: the collection was not tried out".into()))
}

/// Asks a service that is made for it and stopped after it.
fn with_service(
    programs: &HashMap<&'static str, PathBuf>,
    ask: impl FnOnce(&str, &Plan) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("tpm-conformance-")
        .tempdir()?;
    let plan = Plan {
        peers: None,
        stage: None,
        folder: folder.path().to_path_buf(),
        simulator: "127.0.0.1:0",
        api: "127.0.0.1:0",
        profile: Profile::Instant,
        keep_cluster: false,
        admin_password: stack::random_password()?,
        outer_settings: false,
        size: Size::SMALLEST,
    };
    let runtime = stack::runtime()?;
    let stack = runtime.block_on(Stack::start(&plan, programs))?;
    let url = stack.api_urls.first().context("an api")?;
    let asked = ask(url, &plan);
    let stopped = runtime.block_on(stack.stop_or_kill());
    asked.and(stopped)
}

fn tried(program: &Path, url: &str, plan: &Plan) -> anyhow::Result<()> {
    let client = Client::login(url, "admin", &plan.admin_password)?;
    let mut command = Command::new(program);
    // It writes what it remembers where it stands.
    command.current_dir(&plan.folder);
    command
        .arg("--config-file")
        .arg(workspace::root().join(CONFIG));
    command.args(["run", &format!("{url}/api/openapi.json")]);
    let (name, session) = client.session().context("a session")?;
    anyhow::ensure!(name == "tpm_session", "the session is called {name}");
    command.env("TPM_SESSION", session);
    for operation in NOT_ASKED {
        command.args(["--exclude-operation-id", operation]);
    }
    command.args(["--exclude-checks", NOT_CHECKED]);
    let examples = std::env::var(EXAMPLES_VARIABLE).unwrap_or_else(|_| EXAMPLES.into());
    command.args(["--seed", SEED, "--max-examples", &examples]);
    command.args(["--workers", "1", "--continue-on-failure", "--no-color"]);
    workspace::run(&mut command)
}
