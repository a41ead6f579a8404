//! `up`: the demo's stack on the standard ports, until Ctrl-C, with data that stays; on PostgreSQL and with
//! several of each when asked to.

use crate::stack::{self, Interrupted, Plan, Profile, Size, Stack};
use crate::workspace;
use anyhow::Context as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// # Errors
/// When something does not start, a port is taken, or a process ends by itself.
pub(crate) fn run(data: &Path, profile: Profile, size: Size) -> anyhow::Result<()> {
    let programs = stack::build()?;
    let folder = workspace::root().join(data);
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    let plan = Plan {
        peers: None,
        stage: None,
        simulator: "127.0.0.1:8006",
        api: "127.0.0.1:5000",
        profile,
        keep_cluster: true,
        admin_password: password(&folder)?,
        outer_settings: true,
        size,
        folder,
    };
    stack::runtime()?.block_on(async {
        let mut stack = tokio::select! {
            stack = Stack::start(&plan, &programs) => stack?,
            _ = stack::interrupted() => return Err(Interrupted.into()),
        };
        println!("running until Ctrl-C");
        match &stack.proxy_url {
            Some(url) => println!("  service    {url} (a certificate of its own)"),
            None if size.apis > 1 => {
                println!("  no TLS proxy in front: nginx or openssl is not installed");
            }
            None => {}
        }
        for url in &stack.api_urls {
            println!("  api        {url}");
        }
        println!("  workers    {}", size.workers);
        if let Some(url) = &stack.database {
            println!("  database   {url} (password in postgres-password)");
        }
        println!("  simulator  {}", stack.simulator_url);
        println!("  log in as  admin / {}", plan.admin_password);
        println!("  data       {}", plan.folder.display());
        let ended = tokio::select! {
            error = stack.watch() => Err(error),
            asked = stack::interrupted() => asked,
        };
        println!("stopping …");
        let stopped = stack.stop_or_kill().await;
        ended.and(stopped)
    })
}

/// The first start makes `admin` with it; it is kept because later starts cannot ask the database.
fn password(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("admin-password");
    if let Ok(kept) = fs::read_to_string(&file) {
        return Ok(kept.trim().to_owned());
    }
    let password = match std::env::var("TPM__AUTH__ADMIN_PASSWORD") {
        Ok(wanted) if !wanted.is_empty() => wanted,
        _ => stack::random_password()?,
    };
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file);
    let mut opened = opened.with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(opened, "{password}")?;
    Ok(password)
}
