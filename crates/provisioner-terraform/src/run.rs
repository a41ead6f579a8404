//! One run: a folder with the code, the state service, and the command line in between.

use crate::TerraformProvisioner;
use crate::backend::Backend;
use crate::cli::{self, CliError, Ended, Run};
use crate::plan;
use crate::progress::{Stage, Stages};
use crate::render::{self, Values, pretty};
use crate::room::{OpenPlan, RoomError};
use crate::settings::ProviderLogin;
use crate::steps::PLAN;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::{SemaphorePermit, mpsc};
use tpm_domain::ServerId;
use tpm_provisioner::StepCall;
use tpm_store::Fence;

const PLAN_FILE: &str = "plan.bin";

/// Why a run failed.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// The command line could not be run.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// A folder or a file of the run.
    #[error("the run's folder")]
    Folder(#[from] std::io::Error),
    /// The state or the plan.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// Terraform said no: its diagnostics.
    #[error("{0}")]
    Said(String),
    /// It was killed by somebody else: by a person, or because the machine had no memory left.
    #[error("{0} was killed before it had ended")]
    Killed(String),
    /// The plan is not one that this engine makes.
    #[error("{0}")]
    Plan(String),
}

/// Made ready once for the process.
#[derive(Debug)]
pub(crate) struct Ready {
    rc: PathBuf,
}

/// What a run begins from.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) values: Values,
    /// Whether the guest is to be taken into the state first.
    pub(crate) import: bool,
    /// The state; `None` when there never was one.
    pub(crate) state: Option<Vec<u8>>,
    /// Its serial; 0 when there is none.
    pub(crate) serial: u64,
    /// The guest's configuration digest; `None` when there is no guest.
    pub(crate) digest: Option<String>,
    /// Whether the guest's disk stands on a template's.
    pub(crate) linked: bool,
}

/// An open run.
pub(crate) struct Session<'a> {
    engine: &'a TerraformProvisioner,
    server: ServerId,
    fence: Fence,
    from: Start,
    /// Whether its plan is what people are shown.
    shows: bool,
    dir: TempDir,
    env: BTreeMap<&'static str, OsString>,
    secrets: Vec<SecretString>,
    stages: Stages<'a>,
    log: mpsc::Sender<Vec<String>>,
    writing: tokio::task::JoinHandle<()>,
    backend: Backend,
    _place: SemaphorePermit<'a>,
}

fn write(dir: &Path, name: &str, text: &str) -> std::io::Result<()> {
    std::fs::write(dir.join(name), text)
}

/// Removes what runs of workers that died left behind; younger folders may be another worker's.
fn clear_left_over(work: &Path, age: Duration) -> std::io::Result<()> {
    for entry in std::fs::read_dir(work)? {
        let entry = entry?;
        let is_run = entry.file_name().to_string_lossy().starts_with("run-");
        let old = entry.metadata().and_then(|meta| meta.modified());
        let old = old.is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed > age));
        if is_run && old {
            // Somebody else may be faster.
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
    Ok(())
}

impl TerraformProvisioner {
    /// The provider, where every run finds it, and the version of the command line.
    async fn ready(&self) -> Result<&Ready, RunError> {
        self.ready.get_or_try_init(|| self.make_ready()).await
    }

    async fn make_ready(&self) -> Result<Ready, RunError> {
        let work = &self.settings.work_dir;
        std::fs::create_dir_all(work)?;
        let work = work.canonicalize()?;
        let version = cli::version(&self.settings, &work).await?;
        let mirror = match &self.settings.mirror {
            Some(mirror) => mirror.canonicalize()?,
            None => self.fetch_provider(&work).await?,
        };
        clear_left_over(&work, self.settings.run_timeout * 2)?;
        let path = serde_json::to_string(&mirror.display().to_string()).unwrap_or_default();
        let text = format!(
            "disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n"
        );
        // Put in place whole: workers that share the folder write the same.
        let rc = work.join("provider.tfrc");
        let draft = tempfile::NamedTempFile::new_in(&work)?;
        std::fs::write(draft.path(), text)?;
        draft.persist(&rc).map_err(|error| error.error)?;
        tracing::info!(
            binary = %self.settings.binary.display(),
            version,
            provider = render::PROVIDER_VERSION,
            "Terraform is ready"
        );
        Ok(Ready { rc })
    }

    /// Fetches the provider from the registry once, into a folder that every run links to: fetching at the same
    /// time into one cache is not safe, reading from one is.
    async fn fetch_provider(&self, work: &Path) -> Result<PathBuf, RunError> {
        let kept = work.join(format!("provider-{}", render::PROVIDER_VERSION));
        let providers = kept.join(".terraform").join("providers");
        if providers.is_dir() {
            return Ok(providers);
        }
        let draft = tempfile::Builder::new().prefix("fetch-").tempdir_in(work)?;
        let (_, versions) = render::MODULE[3];
        write(draft.path(), "versions.tf", versions)?;
        let rc = draft.path().join("fetch.tfrc");
        std::fs::write(&rc, "disable_checkpoint = true\n")?;
        let ended = Run {
            dir: draft.path(),
            args: &["init", "-input=false", "-no-color"],
            env: cli::environment(&self.settings, draft.path(), &rc),
            secrets: &[],
            tell: None,
            stages: None,
        }
        .finish(&self.settings)
        .await?;
        if !ended.ok {
            return Err(RunError::Said(said(&ended)));
        }
        // Somebody else may have been faster: then theirs is as good.
        let draft = draft.keep();
        if std::fs::rename(&draft, &kept).is_err() {
            std::fs::remove_dir_all(&draft)?;
        }
        Ok(providers)
    }

    /// Opens a run: waits for a place, writes the code, begins to serve the state, initializes.
    pub(crate) async fn open<'a>(
        &'a self,
        call: &StepCall<'a>,
        from: Start,
    ) -> Result<Session<'a>, RunError> {
        let ready = self.ready().await?;
        let place = self
            .runs
            .acquire()
            .await
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let dir = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&self.settings.work_dir)?;
        let path = dir.path();
        let module = path.join(render::MODULE_DIR);
        std::fs::create_dir(&module)?;
        for (name, text) in render::MODULE {
            write(&module, name, text)?;
        }
        write(
            path,
            render::ROOT_FILE,
            &pretty(&render::root(&from.values, true)),
        )?;
        write(path, render::VALUES_FILE, &pretty(&from.values))?;
        if from.import {
            write(
                path,
                render::IMPORT_FILE,
                &pretty(&render::import(&from.values)),
            )?;
        }
        let fence = Fence {
            task: call.task.clone(),
            epoch: call.epoch,
        };
        let backend = Backend::start(
            self.room.clone(),
            call.server.id,
            fence.clone(),
            from.state.clone(),
        )
        .await?;
        let mut env = cli::environment(&self.settings, path, &ready.rc);
        cli::provider(&self.settings, call.attempt, &mut env);
        for (name, value) in backend.environment() {
            env.insert(name, value.into());
        }
        let mut secrets = vec![backend.password()];
        secrets.push(match &self.settings.login {
            ProviderLogin::Token { secret, .. } => secret.clone(),
            ProviderLogin::Password { password, .. } => password.clone(),
        });
        let (log, mut lines) = mpsc::channel::<Vec<String>>(16);
        let (room, task) = (self.room.clone(), call.task.clone());
        let writing = tokio::spawn(async move {
            let mut unwritten = Vec::new();
            while let Some(portion) = lines.recv().await {
                unwritten.extend(portion);
                match room.store().append_log(&task, &unwritten).await {
                    Ok(()) => unwritten.clear(),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(%task, error, lines = unwritten.len(), "log not written yet");
                    }
                }
            }
            if !unwritten.is_empty() {
                tracing::warn!(%task, lines = unwritten.len(), "log lost");
            }
        });
        let session = Session {
            engine: self,
            server: call.server.id,
            fence,
            from,
            shows: call.step == PLAN,
            dir,
            env,
            secrets,
            stages: Stages::of(call),
            log,
            writing,
            backend,
            _place: place,
        };
        session.must(&["init", "-input=false", "-no-color"]).await?;
        session.stages.reached(Stage::Initialized);
        Ok(session)
    }
}

impl Session<'_> {
    async fn run(&self, args: &[&str], tell: bool) -> Result<Ended, RunError> {
        let run = Run {
            dir: self.dir.path(),
            args,
            env: self.env.clone(),
            secrets: &self.secrets,
            tell: tell.then(|| self.log.clone()),
            stages: Some(self.stages),
        };
        if tell {
            self.note("info", &format!("run: {}", args.join(" "))).await;
        }
        let ended = run.finish(&self.engine.settings).await;
        match &ended {
            Ok(ended) if !ended.killed => {}
            Ok(_) => self.note("error", "run: killed").await,
            Err(error) => self.note("error", &format!("run: {error}")).await,
        }
        Ok(ended?)
    }

    /// A line of our own among those of the runs.
    async fn note(&self, level: &str, text: &str) {
        let line = json!({ "@level": level, "type": "run", "@message": text });
        // The log ends with the session.
        let _ = self.log.send(vec![line.to_string()]).await;
    }

    /// Runs what must succeed.
    async fn must(&self, args: &[&str]) -> Result<Ended, RunError> {
        let tell = args.first() != Some(&"show");
        let ended = self.run(args, tell).await?;
        if ended.ok {
            Ok(ended)
        } else if ended.killed {
            let command = args.first().copied().unwrap_or_default();
            Err(RunError::Killed(command.to_owned()))
        } else {
            Err(RunError::Said(said(&ended)))
        }
    }

    /// Plans, and keeps the plan for the task.
    pub(crate) async fn plan(&self, destroy: bool) -> Result<OpenPlan, RunError> {
        let out = format!("-out={PLAN_FILE}");
        let mut args = vec!["plan", "-json", "-input=false", "-lock-timeout=20s", &out];
        if destroy {
            args.push("-destroy");
        }
        self.must(&args).await?;
        let shown = self.must(&["show", "-json", PLAN_FILE]).await?;
        let change = plan::read(&shown.lines.join("\n")).map_err(RunError::Plan)?;
        let file = std::fs::read(self.dir.path().join(PLAN_FILE))?;
        let plan = OpenPlan {
            hash: hex::encode(Sha256::digest(&file)),
            base_serial: self.from.serial,
            guest_digest: self.from.digest.clone(),
            file,
            change,
            values: pretty(&self.from.values),
        };
        // What people were shown stays; a plan made again in the same task finishes the same work. Unless it
        // is about another guest by now: under another number, or on another node.
        let room = &self.engine.room;
        let before = room.plan(self.server, &self.fence.task).await?;
        if self.shows || before.is_none_or(|before| before.values != plan.values) {
            room.put_plan(self.server, &self.fence, &plan).await?;
        }
        self.stages.reached(Stage::Planned);
        Ok(plan)
    }

    /// Carries out exactly this plan.
    pub(crate) async fn apply(&self, plan: &OpenPlan) -> Result<(), RunError> {
        if hex::encode(Sha256::digest(&plan.file)) != plan.hash {
            return Err(RunError::Plan(
                "the plan is not the one that was made".into(),
            ));
        }
        std::fs::write(self.dir.path().join(PLAN_FILE), &plan.file)?;
        self.must(&[
            "apply",
            "-json",
            "-input=false",
            "-lock-timeout=20s",
            PLAN_FILE,
        ])
        .await?;
        self.stages.reached(Stage::Settled);
        Ok(())
    }

    /// Ends it once everything it printed is written down.
    pub(crate) async fn close(self) {
        self.backend.release().await;
        drop(self.log);
        // It ends with the last sender.
        let _ = self.writing.await;
    }
}

/// The errors among what a run printed, on one line.
fn said(ended: &Ended) -> String {
    let diagnostics: Vec<String> = ended
        .lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["type"] == "diagnostic" && line["@level"] == "error")
        .map(|line| {
            let part = |key: &str| {
                line["diagnostic"][key]
                    .as_str()
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            };
            match (part("summary"), part("detail")) {
                (summary, detail) if detail.is_empty() => summary,
                (summary, detail) => format!("{summary}: {detail}"),
            }
        })
        .collect();
    let text = if diagnostics.is_empty() {
        ended.errors.clone()
    } else {
        diagnostics.join("; ")
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.join(" ") {
        text if text.is_empty() => "it ended without a word".into(),
        text => text.chars().take(2000).collect(),
    }
}
