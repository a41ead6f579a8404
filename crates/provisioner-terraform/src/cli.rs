//! Running the command line: in an environment made from nothing, in a process group of its own, never
//! outliving the worker.
//!
//! Between the worker and the command stands a small shell that waits for either of them: when the worker
//! dies, however it dies, the pipe to it closes and the shell kills the whole group, the provider included. It
//! does the same when the command itself is killed: a provider would go on working for nobody.

use crate::progress::Stages;
use crate::settings::{ProviderLogin, TerraformSettings};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Runs `$@` until it ends or standard input does. A run that takes too much memory is what the kernel is to
/// take first.
const GUARD: &str = r#"
echo 500 > /proc/self/oom_score_adj 2>/dev/null
exec 3<&0
"$@" </dev/null 3<&- &
run=$!
{ cat <&3 >/dev/null; kill -KILL 0; } >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$run"
code=$?
[ "$code" -gt 128 ] && kill -KILL 0
kill "$watch" 2>/dev/null
exit "$code"
"#;

/// Oldest versions that the engine works with.
const LEAST: (u32, u32) = (1, 9);
/// Standard error beyond this is not kept.
const MOST_ERRORS: u64 = 64 * 1024;
/// Lines are handed on in such portions.
const PORTION: usize = 100;
/// Longest line that is kept whole.
const LONGEST: usize = 8 * 1024;

/// Why a run did not come to its end.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// It could not be started or read.
    #[error("cannot run {binary}")]
    Start {
        binary: String,
        #[source]
        source: std::io::Error,
    },
    /// It took too long and was killed.
    #[error("killed after {0} s")]
    TooLong(u64),
    /// It is too old.
    #[error("version {0} is older than {least}.{minor}", least = LEAST.0, minor = LEAST.1)]
    TooOld(String),
    /// It printed something else than expected.
    #[error("it printed what cannot be read: {0}")]
    Unreadable(String),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether it succeeded.
    pub(crate) ok: bool,
    /// Whether it was killed, by whomever.
    pub(crate) killed: bool,
    /// What it wrote to standard output, line by line.
    pub(crate) lines: Vec<String>,
    /// What it wrote to standard error.
    pub(crate) errors: String,
}

#[derive(Deserialize)]
struct Version {
    terraform_version: String,
}

/// What a run is given beyond its arguments.
pub(crate) struct Run<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) args: &'a [&'a str],
    pub(crate) env: BTreeMap<&'static str, OsString>,
    /// Values that are struck from everything it prints.
    pub(crate) secrets: &'a [SecretString],
    /// Where its lines go as they come.
    pub(crate) tell: Option<mpsc::Sender<Vec<String>>>,
    /// Who is told of the stages that its lines tell of.
    pub(crate) stages: Option<Stages<'a>>,
}

/// The environment of every run. Nothing of the worker's own is in it.
pub(crate) fn environment(
    settings: &TerraformSettings,
    dir: &Path,
    rc: &Path,
) -> BTreeMap<&'static str, OsString> {
    let mut env: BTreeMap<&'static str, OsString> = BTreeMap::new();
    env.insert("PATH", "/usr/local/bin:/usr/bin:/bin".into());
    env.insert("HOME", dir.into());
    env.insert("TMPDIR", dir.into());
    env.insert("LANG", "C.UTF-8".into());
    env.insert("TF_CLI_CONFIG_FILE", rc.into());
    env.insert("TF_IN_AUTOMATION", "1".into());
    env.insert("TF_INPUT", "0".into());
    env.insert("CHECKPOINT_DISABLE", "1".into());
    env.insert("GOMEMLIMIT", format!("{}MiB", settings.memory_mb).into());
    env
}

/// What the provider needs: where the cluster is, and how to log in.
pub(crate) fn provider(
    settings: &TerraformSettings,
    attempt: u32,
    env: &mut BTreeMap<&'static str, OsString>,
) {
    // The provider knows one endpoint; the next attempt takes the next one.
    let turn = usize::try_from(attempt).unwrap_or(0);
    let endpoints = &settings.endpoints;
    if let Some(endpoint) = endpoints.get(turn % endpoints.len().max(1)) {
        env.insert("PROXMOX_VE_ENDPOINT", endpoint.into());
    }
    env.insert("SSL_CERT_FILE", settings.ca_file.clone().into());
    match &settings.login {
        ProviderLogin::Token { id, secret } => {
            let token = format!("{id}={}", secret.expose_secret());
            env.insert("PROXMOX_VE_API_TOKEN", token.into());
        }
        ProviderLogin::Password { username, password } => {
            env.insert("PROXMOX_VE_USERNAME", username.into());
            env.insert("PROXMOX_VE_PASSWORD", password.expose_secret().into());
        }
    }
}

/// Asks for the version; one that is too old is an error.
pub(crate) async fn version(settings: &TerraformSettings, dir: &Path) -> Result<String, CliError> {
    let env = environment(settings, dir, Path::new("/dev/null"));
    let run = Run {
        dir,
        args: &["version", "-json"],
        env,
        secrets: &[],
        tell: None,
        stages: None,
    };
    let ended = run.finish(settings).await?;
    let text = ended.lines.join("\n");
    let version: Version =
        serde_json::from_str(&text).map_err(|_| CliError::Unreadable(text.clone()))?;
    let mut parts = version.terraform_version.split('.');
    let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
    match (part(), part()) {
        (Some(major), Some(minor)) if (major, minor) >= LEAST => Ok(version.terraform_version),
        _ => Err(CliError::TooOld(version.terraform_version)),
    }
}

impl Run<'_> {
    /// Runs it.
    pub(crate) async fn finish(self, settings: &TerraformSettings) -> Result<Ended, CliError> {
        let start = |source| CliError::Start {
            binary: settings.binary.display().to_string(),
            source,
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(&settings.binary)
            .args(self.args)
            .current_dir(self.dir)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        // Closing it is what kills the run, so it is held as long as the run is waited for.
        let life = child.stdin.take();
        let done = tokio::time::timeout(settings.run_timeout, self.follow(&mut child)).await;
        drop(life);
        match done {
            Ok(ended) => ended.map_err(start),
            Err(_) => {
                child.wait().await.map_err(start)?;
                Err(CliError::TooLong(settings.run_timeout.as_secs()))
            }
        }
    }

    async fn follow(&self, child: &mut Child) -> std::io::Result<Ended> {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (lines, errors) = tokio::join!(self.lines(out), self.errors(err));
        let status = child.wait().await?;
        Ok(Ended {
            ok: status.success(),
            killed: status.code().is_none(),
            lines: lines?,
            errors: errors?,
        })
    }

    async fn lines<R: AsyncRead + Unpin>(&self, from: Option<R>) -> std::io::Result<Vec<String>> {
        let mut all = Vec::new();
        let Some(from) = from else { return Ok(all) };
        let mut reader = BufReader::new(from).lines();
        let mut told = 0;
        loop {
            let next = tokio::time::timeout(Duration::from_secs(1), reader.next_line()).await;
            let (quiet, ended) = match next {
                Err(_) => (true, false),
                Ok(line) => match line? {
                    Some(line) => {
                        if let Some(stages) = &self.stages {
                            stages.heard(&line);
                        }
                        all.push(self.clean(line));
                        (false, false)
                    }
                    None => (false, true),
                },
            };
            let new = all.get(told..).unwrap_or_default();
            if let Some(tell) = &self.tell
                && !new.is_empty()
                && (quiet || ended || new.len() >= PORTION)
            {
                // Nobody listens any more: the run goes on all the same.
                let _ = tell
                    .send(new.iter().map(|line| shortened(line)).collect())
                    .await;
                told = all.len();
            }
            if ended {
                return Ok(all);
            }
        }
    }

    async fn errors<R: AsyncRead + Unpin>(&self, from: Option<R>) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            (&mut from)
                .take(MOST_ERRORS)
                .read_to_end(&mut bytes)
                .await?;
            tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
        }
        Ok(self.clean(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn clean(&self, line: String) -> String {
        cleaned(self.secrets, line)
    }
}

/// Without the secrets, as they are and as JSON writes them.
fn cleaned(secrets: &[SecretString], mut line: String) -> String {
    for secret in secrets {
        let plain = secret.expose_secret();
        let quoted = serde_json::Value::from(plain).to_string();
        let escaped = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        for form in [plain, escaped] {
            if !form.is_empty() && line.contains(form) {
                line = line.replace(form, "***");
            }
        }
    }
    line
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_however_they_are_written() {
        let secrets = ["to\"ken\\".to_owned().into(), String::new().into()];
        let told = serde_json::json!({ "@message": "with to\"ken\\ in it" }).to_string();
        let struck = cleaned(&secrets, told);
        assert_eq!(struck, "{\"@message\":\"with *** in it\"}");
        assert_eq!(cleaned(&secrets, "to\"ken\\ end".into()), "*** end");
    }

    fn settings(binary: &Path) -> TerraformSettings {
        TerraformSettings {
            binary: binary.to_owned(),
            work_dir: "/nonexistent".into(),
            mirror: None,
            max_runs: 1,
            memory_mb: 128,
            run_timeout: Duration::from_secs(60),
            step_timeout: Duration::from_secs(60),
            endpoints: Vec::new(),
            login: ProviderLogin::Password {
                username: String::new(),
                password: String::new().into(),
            },
            ca_file: "/nonexistent".into(),
        }
    }

    /// What a command that is killed had started does not live on.
    #[tokio::test]
    async fn who_is_killed_takes_the_group_along() -> Result<(), Box<dyn std::error::Error>> {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir()?;
        let binary = dir.path().join("terraform");
        let text = "#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho $!\nkill -KILL $$\n";
        std::fs::write(&binary, text)?;
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o700))?;
        let settings = settings(&binary);
        let run = Run {
            dir: dir.path(),
            args: &["apply"],
            env: environment(&settings, dir.path(), Path::new("/dev/null")),
            secrets: &[],
            tell: None,
            stages: None,
        };
        let ended = run.finish(&settings).await?;
        assert!(ended.killed && !ended.ok, "{ended:?}");
        let program = Path::new("/proc").join(&ended.lines[0]).join("exe");
        // The signal is sent; it is gone in a moment, or in ten minutes.
        let gone = async {
            while std::fs::read_link(&program).is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await?;
        Ok(())
    }

    #[test]
    fn long_lines_are_cut_between_letters() {
        let line = "가".repeat(LONGEST + 1);
        assert_eq!(shortened(&line).chars().count(), LONGEST + 1);
        assert_eq!(shortened("short"), "short");
    }
}
