//! A PostgreSQL of its own: its data in the stack's folder, its port free, its password nobody's but ours.

use super::child::Child;
use super::random_password;
use crate::workspace;
use anyhow::{Context as _, bail};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

const USER: &str = "tpm";
/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: &str = "65534";

pub(super) struct Postgres {
    pub(super) server: Child,
    /// With the password, for the processes alone.
    pub(super) url: String,
    /// Without it.
    pub(super) shown: String,
}

/// Starts it, making its data folder the first time; comes back when it answers.
///
/// # Errors
/// When it is not installed or does not start.
pub(super) async fn start(folder: &Path) -> anyhow::Result<Postgres> {
    let Some(programs) = workspace::postgres() else {
        bail!("PostgreSQL (initdb, postgres) is not installed; on Debian: postgresql");
    };
    let root = is_root();
    if root {
        // so that the other user comes through to its own folder; everything else in it stays closed
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
    }
    let command = |program: &str| {
        let program = programs.join(program);
        if !root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let who = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        command
            .args(who)
            .args(["--clear-groups", "--"])
            .arg(program);
        command.env("HOME", "/");
        command
    };
    let data = folder.join("postgres");
    let password = password(folder)?;
    if !data.join("PG_VERSION").exists() {
        fs::create_dir_all(&data)?;
        if root {
            std::os::unix::fs::chown(&data, Some(65534), Some(65534))?;
        }
        println!("making a PostgreSQL in {} …", data.display());
        let file = folder.join("postgres-password.once");
        write_secret(&file, &password)?;
        if root {
            std::os::unix::fs::chown(&file, Some(65534), Some(65534))?;
        }
        let made = make(command("initdb"), &data, &file).await;
        fs::remove_file(&file)?;
        made?;
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut serve = command("postgres");
    serve.arg("-D").arg(&data).env("LC_ALL", "C");
    serve.args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]);
    serve.args(["-c", "max_connections=400"]);
    // INT: sessions are ended, and what is in memory is written
    let mut server = Child::spawn("postgres", serve, "INT", folder)?;
    server.says("ready to accept connections").await?;
    Ok(Postgres {
        server,
        url: format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres"),
        shown: format!("postgres://{USER}@127.0.0.1:{port}/postgres"),
    })
}

async fn make(mut initdb: Command, data: &Path, password: &Path) -> anyhow::Result<()> {
    let ended = initdb
        .arg("-D")
        .arg(data)
        .arg(format!("--username={USER}"))
        .arg("--auth=scram-sha-256")
        .arg("--pwfile")
        .arg(password)
        .args(["--encoding=UTF8", "--locale=C"])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot start initdb")?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("initdb failed: {}", said.trim());
    }
    Ok(())
}

/// Kept, because the data folder is.
fn password(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("postgres-password");
    if let Ok(kept) = fs::read_to_string(&file) {
        return Ok(kept.trim().to_owned());
    }
    let password = random_password()?;
    write_secret(&file, &password)?;
    Ok(password)
}

fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    let _ = fs::remove_file(file);
    let mut opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(opened, "{text}")?;
    Ok(())
}

fn is_root() -> bool {
    let id = std::process::Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}
