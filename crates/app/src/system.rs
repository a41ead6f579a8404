//! How the service, what it depends on and the machine it runs on are doing.

use crate::{App, Ctx, Result};
use async_trait::async_trait;
use std::time::{Duration, Instant};
use tpm_domain::{AuditTarget, FieldErrors, Permission, Reason, Timestamp};
use tpm_store::{LogLevel, LogLine, LogQuery, Page, Process, RESTORED};

/// Under what the level of the logs is set for all processes.
pub const LOG_LEVEL: &str = "log_level";
/// A process that was heard of within this time is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// How something the service depends on is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It answered.
    Running,
    /// It did not.
    Down,
    /// Nobody asked for it.
    NotConfigured,
}

/// What a service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// How it is doing.
    pub state: ServiceState,
    /// Why it is down. For people: no secrets, no addresses with credentials.
    pub reason: Option<String>,
    /// How long it took to answer.
    pub latency: Option<Duration>,
}

/// Something the service depends on.
#[async_trait]
pub trait ServiceProbe: Send + Sync {
    /// Its name in the answer.
    fn name(&self) -> &'static str;
    /// Asks it, in bounded time.
    async fn probe(&self) -> Probed;
}

/// How much of the machine is in use, each 0 to 100; `None` is "not measured".
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostUse {
    /// Of all cores.
    pub cpu: Option<f64>,
    /// Of the memory.
    pub memory: Option<f64>,
    /// Of the disk the data lies on.
    pub disk: Option<f64>,
}

/// The machine.
#[async_trait]
pub trait HostResources: Send + Sync {
    /// What is in use now.
    async fn measure(&self) -> HostUse;
}

/// One service's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its name.
    pub name: &'static str,
    /// What it said.
    pub probed: Probed,
}

/// A process of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// The process.
    pub process: Process,
    /// Whether it was heard of lately.
    pub alive: bool,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingView {
    /// Its path: `api.listen`.
    pub key: String,
    /// What holds.
    pub value: SettingValue,
    /// Where it came from: `default`, `file`, `environment`.
    pub source: &'static str,
}

/// What of a setting's value may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// All of it.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// That there is a secret, or none.
    Secret(bool),
}

/// The settings of a process, and what was set for all of them while they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigView {
    /// Each setting, by key.
    pub settings: Vec<SettingView>,
    /// The level that is logged from on; `None` is as configured.
    pub log_level: Option<LogLevel>,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct SystemStatus {
    /// Whether everything that is configured answers.
    pub healthy: bool,
    /// Time since the process began.
    pub uptime: Duration,
    /// The service's version.
    pub version: &'static str,
    /// When this was measured.
    pub measured_at: Timestamp,
    /// The services.
    pub services: Vec<ServiceStatus>,
    /// The processes of the service, apis first.
    pub processes: Vec<ProcessView>,
    /// The machine.
    pub host: HostUse,
    /// Since when the database is known to be an older copy that nobody has accepted; nothing is changed then.
    pub restored_at: Option<Timestamp>,
}

impl App {
    /// How everything is doing.
    ///
    /// # Errors
    /// Forbidden.
    pub async fn system_status(&self, ctx: &Ctx) -> Result<SystemStatus> {
        ctx.authorize(Permission::ReadSystem)?;
        let mut services = Vec::new();
        for probe in &self.parts().services {
            services.push(ServiceStatus {
                name: probe.name(),
                probed: probe.probe().await,
            });
        }
        let asked = Instant::now();
        let database = self.store().ping().await;
        services.push(ServiceStatus {
            name: "database",
            probed: match database {
                Ok(()) => Probed {
                    state: ServiceState::Running,
                    reason: None,
                    latency: Some(asked.elapsed()),
                },
                Err(error) => Probed {
                    state: ServiceState::Down,
                    reason: Some(error.to_string()),
                    latency: None,
                },
            },
        });
        let now = self.now();
        // The database's own state is told above.
        let processes = self.store().reads().processes().await.unwrap_or_default();
        let processes = self.process_views(processes);
        let works = |view: &ProcessView| view.alive && view.process.kind == "worker";
        let worker = processes.iter().any(works);
        services.push(ServiceStatus {
            name: "worker",
            probed: Probed {
                state: if worker {
                    ServiceState::Running
                } else {
                    ServiceState::Down
                },
                reason: (!worker).then(|| "no worker was heard of lately".to_owned()),
                latency: None,
            },
        });
        let restored_at = self.restored_at().await;
        let up = |service: &ServiceStatus| service.probed.state != ServiceState::Down;
        Ok(SystemStatus {
            healthy: services.iter().all(up) && restored_at.is_none(),
            restored_at,
            uptime: now.since(self.parts().started_at),
            version: env!("CARGO_PKG_VERSION"),
            measured_at: now,
            services,
            processes,
            host: self.parts().host.measure().await,
        })
    }

    pub(crate) fn process_views(&self, processes: Vec<Process>) -> Vec<ProcessView> {
        let now = self.now();
        let view = |process: Process| ProcessView {
            alive: now.since(process.seen_at) < ALIVE,
            process,
        };
        processes.into_iter().map(view).collect()
    }

    /// A page of what the processes logged, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn logs(&self, ctx: &Ctx, query: &LogQuery) -> Result<Page<LogLine>> {
        ctx.authorize(Permission::ReadLogs)?;
        Ok(self.store().reads().logs(query).await?)
    }

    /// The settings of this process, and what is set for all.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn system_config(&self, ctx: &Ctx) -> Result<ConfigView> {
        ctx.authorize(Permission::ReadConfig)?;
        let set = self.store().reads().run_time_setting(LOG_LEVEL).await?;
        let word = |level: &LogLevel| set.as_deref() == Some(level.as_str());
        Ok(ConfigView {
            settings: self.parts().settings.clone(),
            log_level: LogLevel::ALL.into_iter().find(word),
        })
    }

    /// Sets the level that every process logs from on; as configured when it is `None`. They take it up within
    /// seconds.
    ///
    /// # Errors
    /// Forbidden, invalid, or the store does not answer.
    pub async fn set_log_level(
        &self,
        ctx: &Ctx,
        level: Option<Option<LogLevel>>,
        mut errors: FieldErrors,
    ) -> Result<()> {
        ctx.authorize(Permission::WriteSystem)?;
        if level.is_none() && errors.is_empty() {
            errors.add("level", Reason::Required);
        }
        errors.into_result(())?;
        let level = level.flatten();
        let tx = self.store().begin().await?;
        tx.set_run_time_setting(LOG_LEVEL, level.map(LogLevel::as_str))
            .await?;
        self.commit(ctx, tx, AuditTarget::new("setting", LOG_LEVEL))
            .await
    }

    /// Since when the database is known to be an older copy; `None` too when it does not answer.
    async fn restored_at(&self) -> Option<Timestamp> {
        let reads = self.store().reads();
        let set = reads.run_time_setting(RESTORED).await.ok().flatten();
        set.and_then(|text| text.parse().ok()).map(Timestamp)
    }

    /// Accepts that the database is an older copy: from now on it is changed again, and its tasks go on.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn accept_restored(&self, ctx: &Ctx) -> Result<()> {
        ctx.authorize(Permission::WriteSystem)?;
        let tx = self.store().begin().await?;
        tx.set_run_time_setting(RESTORED, None).await?;
        let about = AuditTarget::new("setting", RESTORED);
        self.commit_in_a_copy(ctx, tx, about).await?;
        self.store().queue().wake().await;
        Ok(())
    }

    /// Whether the service can do its work: its database answers.
    pub async fn ready(&self) -> bool {
        self.store().ping().await.is_ok()
    }
}
