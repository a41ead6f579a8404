//! A real PostgreSQL, started by the test as a user that is not root, and gone afterwards.

use crate::program::{Program, free_port, signal};
use anyhow::{Context, bail};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The programs are not on this machine.
#[derive(Clone, Copy, Debug)]
pub struct PostgresMissing;

impl fmt::Display for PostgresMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgreSQL (initdb, postgres) is not installed")
    }
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    program: Program,
    port: u16,
    bin: PathBuf,
    databases: AtomicU32,
    durable: bool,
    dir: TempDir,
}

/// The first folder that has all of these programs.
fn find(programs: &[&str]) -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&in_path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    places
        .into_iter()
        .find(|place| programs.iter().all(|program| place.join(program).exists()))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

/// PostgreSQL refuses to run as root: as `nobody` then.
fn command(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(program);
        command.env("HOME", "/");
        command
    } else {
        Command::new(program)
    }
}

/// What it says goes into `log`.
fn server(bin: &Path, data: &Path, port: u16, durable: bool, log: File) -> Command {
    let fsync = if durable { "fsync=on" } else { "fsync=off" };
    let mut server = command(&bin.join("postgres"));
    server
        .arg("-D")
        .arg(data)
        .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()])
        .args(["-c", "max_connections=300", "-c", fsync])
        .stdout(Stdio::null())
        .stderr(log);
    server
}

/// What the server said since it was started last.
const LOG: &str = "server.log";

fn new_log(dir: &TempDir) -> anyhow::Result<File> {
    Ok(File::create(dir.path().join(LOG))?)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The process that started this one; `None` when it is gone, or dead and not yet buried.
fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

fn is_alive(id: u32) -> bool {
    parent_of(id).is_some()
}

impl Postgres {
    /// Starts one, or says that there is none. With `CI=true` a missing one is an error.
    ///
    /// # Errors
    /// When it is there and does not start, or is missing on CI.
    pub fn start() -> anyhow::Result<Result<Self, PostgresMissing>> {
        Self::start_as(false)
    }

    /// The same with every commit on the disk, for tests that kill it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_durable() -> anyhow::Result<Result<Self, PostgresMissing>> {
        Self::start_as(true)
    }

    fn start_as(durable: bool) -> anyhow::Result<Result<Self, PostgresMissing>> {
        let Some(bin) = find(&["initdb", "postgres"]) else {
            if std::env::var("CI").is_ok_and(|ci| ci == "true") {
                bail!("{PostgresMissing}, and CI may not skip it");
            }
            return Ok(Err(PostgresMissing));
        };
        let dir = tempfile::Builder::new().prefix("tpm-pg-").tempdir()?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data)?;
        if is_root() {
            run(Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(dir.path()))?;
        }
        let locale = [
            "--encoding=UTF8",
            "--locale=C",
            "--auth=trust",
            "--username=tpm",
        ];
        run(command(&bin.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(locale)
            .arg("--no-sync"))?;
        let port = free_port()?;
        let program = Program::start(&mut server(&bin, &data, port, durable, new_log(&dir)?))?;
        let started = Self {
            program,
            port,
            bin,
            databases: AtomicU32::new(0),
            durable,
            dir,
        };
        started.wait_until_ready()?;
        Ok(Ok(started))
    }

    /// Kills it and everything it started at once, as when its machine loses power. What was committed is
    /// still there after [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        // Before its children: it would take the death of one for a reason to restart them all.
        let children = self.children()?;
        self.program.kill()?;
        for child in &children {
            signal(*child, "KILL").ok();
        }
        // Whoever is left would keep the next one from starting.
        let began = Instant::now();
        while children.iter().any(|child| is_alive(*child)) {
            if began.elapsed() > Duration::from_secs(30) {
                bail!("PostgreSQL's processes do not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts it again after [`kill`](Self::kill); comes back once it answers.
    ///
    /// # Errors
    /// When it does not answer within half a minute.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let data = self.dir.path().join("data");
        let began = Instant::now();
        loop {
            self.program = Program::start(&mut server(
                &self.bin,
                &data,
                self.port,
                self.durable,
                new_log(&self.dir)?,
            ))?;
            // As long as parts of the killed one are about, it refuses to start.
            while self.program.is_running()? {
                if run(self.psql().args(["-d", "postgres", "-c", "SELECT 1"])).is_ok() {
                    return Ok(());
                }
                if began.elapsed() > Duration::from_secs(30) {
                    let said = std::fs::read_to_string(self.dir.path().join(LOG));
                    bail!(
                        "PostgreSQL does not answer again: {}",
                        said.unwrap_or_default()
                    );
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads every index and table of a database and compares them (`pg_amcheck`).
    ///
    /// # Errors
    /// What it found.
    pub fn check(&self, url: &str) -> anyhow::Result<()> {
        let name = url.rsplit('/').next().unwrap_or_default();
        let bin = find(&["pg_amcheck"]).context("there is no pg_amcheck")?;
        let mut check = Command::new(bin.join("pg_amcheck"));
        check
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "tpm", "--install-missing", "--heapallindexed", name]);
        run(&mut check)
    }

    /// Freezes it: connections stay, new ones are made, and nothing answers until [`thaw`](Self::thaw).
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.program.signal("STOP")?;
        for child in self.children()? {
            signal(child, "STOP").ok();
        }
        Ok(())
    }

    /// Ends a [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw(&self) -> anyhow::Result<()> {
        for child in self.children()? {
            signal(child, "CONT").ok();
        }
        self.program.signal("CONT")
    }

    /// Its processes, one for each connection among them. They lead sessions of their own, so no signal
    /// reaches them as a group.
    fn children(&self) -> anyhow::Result<Vec<u32>> {
        let parent = self.program.id();
        let mut children = Vec::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            if parent_of(id) == Some(parent) {
                children.push(id);
            }
        }
        Ok(children)
    }

    /// The answer to a question about the server, as text.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, sql: &str) -> anyhow::Result<String> {
        self.ask_in("postgres", sql)
    }

    /// The answer to a question in one of its databases, as text.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask_in(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = self.psql();
        let output = psql
            .args(["-d", database, "-A", "-t", "-c", sql])
            .output()?;
        if !output.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn psql(&self) -> Command {
        let local = self.bin.join("psql");
        let mut psql = Command::new(if local.exists() { local } else { "psql".into() });
        psql.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            "tpm",
            "-q",
        ]);
        psql
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let asked = run(self.psql().args(["-d", "postgres", "-c", "SELECT 1"]));
            match asked {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// A new empty database's URL.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        run(self
            .psql()
            .args(["-d", "postgres", "-c", &format!("CREATE DATABASE {name}")]))?;
        Ok(format!("postgres://tpm@127.0.0.1:{}/{name}", self.port))
    }

    /// Cuts every connection to its databases, as a restart does.
    ///
    /// # Errors
    /// When it does not answer itself.
    pub fn cut_connections(&self) -> anyhow::Result<()> {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        run(self.psql().args(["-d", "postgres", "-c", cut]))
    }

    /// Its process, to be paused or killed.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }
}
