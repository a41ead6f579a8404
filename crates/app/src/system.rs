//! How the service, what it depends on and the machine it runs on are doing.

use crate::{App, Ctx, Result};
use async_trait::async_trait;
use std::time::Duration;
use tpm_domain::{Permission, Timestamp};

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

/// Something the service depends on.
#[async_trait]
pub trait ServiceProbe: Send + Sync {
    /// Its name in the answer.
    fn name(&self) -> &'static str;
    /// Asks it, in bounded time. The reason is for people: no secrets, no addresses with credentials.
    async fn probe(&self) -> (ServiceState, Option<String>);
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
    /// How it is doing.
    pub state: ServiceState,
    /// Why it is down.
    pub reason: Option<String>,
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
    /// The machine.
    pub host: HostUse,
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
            let (state, reason) = probe.probe().await;
            services.push(ServiceStatus {
                name: probe.name(),
                state,
                reason,
            });
        }
        let database = match self.store().ping().await {
            Ok(()) => (ServiceState::Running, None),
            Err(error) => (ServiceState::Down, Some(error.to_string())),
        };
        services.push(ServiceStatus {
            name: "database",
            state: database.0,
            reason: database.1,
        });
        let now = self.now();
        Ok(SystemStatus {
            healthy: services
                .iter()
                .all(|service| service.state != ServiceState::Down),
            uptime: now.since(self.parts().started_at),
            version: env!("CARGO_PKG_VERSION"),
            measured_at: now,
            services,
            host: self.parts().host.measure().await,
        })
    }

    /// Whether the service can do its work: its database answers.
    pub async fn ready(&self) -> bool {
        self.store().ping().await.is_ok()
    }
}
