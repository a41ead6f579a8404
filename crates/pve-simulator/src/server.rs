//! Listeners and the simulator's public face.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::behind::BehindTheBack;
use crate::config::SimulatorConfig;
use crate::control;
use crate::dispatch;
use crate::faults::Faults;
use crate::http::Connection;
use crate::ledger::{Counters, Effect};
use crate::seed::{self, Saved};
use crate::sim::Sim;
use crate::tls::{self, Identity};
use crate::view::{self, GuestView, RunningTask};

const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificates could not be made.
    #[error("cannot make certificates")]
    Certificates(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The state file could not be read.
    #[error("cannot read the state file")]
    State(#[source] std::io::Error),
}

/// A running simulator. Dropping it stops the listeners.
#[derive(Debug)]
pub struct Simulator {
    sim: Arc<Sim>,
    address: SocketAddr,
    control: Option<SocketAddr>,
    ca_pem: String,
    tracker: TaskTracker,
}

impl Simulator {
    /// Builds the cluster and starts listening.
    ///
    /// # Errors
    /// When an address cannot be bound or the state file cannot be read.
    pub async fn start(config: SimulatorConfig) -> Result<Self, StartError> {
        let mut names = vec![
            config.listen.ip().to_string(),
            "127.0.0.1".into(),
            "::1".into(),
            "localhost".into(),
        ];
        names.extend(config.nodes.iter().map(|node| node.name.clone()));
        names.dedup();
        let Identity {
            ca_pem,
            fingerprint,
            acceptor,
        } = tls::identity(&names).map_err(StartError::Certificates)?;
        let saved = match &config.state {
            Some(path) => seed::load(path).map_err(StartError::State)?,
            None => None,
        };
        let (world, tasks) = match saved {
            Some(Saved { world, tasks }) => (world, tasks),
            None => (seed::world(&config), Vec::new()),
        };
        let (listener, address) = listen(config.listen).await?;
        let control = match config.control {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let sim = Arc::new(Sim::new(config, world, fingerprint));
        sim.tasks.restore(tasks);
        if !sim.config.cold_start {
            crate::api::broadcast_all(&sim);
        }
        let tracker = TaskTracker::new();
        let api = Arc::clone(&sim);
        tracker.spawn(accept(
            Arc::clone(&sim),
            listener,
            tracker.clone(),
            move |stream| {
                let (acceptor, sim) = (acceptor.clone(), Arc::clone(&api));
                async move {
                    let handshake =
                        tokio::time::timeout(Duration::from_secs(5), acceptor.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        Connection::new(stream)
                            .serve(|request| dispatch::answer(Arc::clone(&sim), request))
                            .await;
                    }
                }
            },
        ));
        let control = control.map(|(listener, address)| {
            let door = Arc::clone(&sim);
            tracker.spawn(accept(
                Arc::clone(&sim),
                listener,
                tracker.clone(),
                move |stream| {
                    let sim = Arc::clone(&door);
                    async move {
                        Connection::new(stream)
                            .serve(|request| control::answer(Arc::clone(&sim), request))
                            .await;
                    }
                },
            ));
            address
        });
        tracker.spawn(broadcast(Arc::clone(&sim)));
        if sim.config.state.is_some() {
            tracker.spawn(keep(Arc::clone(&sim)));
        }
        tracker.close();
        tracing::info!(%address, "simulator listens");
        Ok(Self {
            sim,
            address,
            control,
            ca_pem,
            tracker,
        })
    }

    /// `https://host:port` of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `http://host:port` of the control door, when it is open.
    #[must_use]
    pub fn control_url(&self) -> Option<String> {
        self.control.map(|address| format!("http://{address}"))
    }

    /// The authority that signed the API's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// SHA-256 of the server certificate, as PVE prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.sim.fingerprint
    }

    /// `user@realm!name=secret` of the first configured token.
    #[must_use]
    pub fn token(&self) -> String {
        let users = self.sim.config.users.iter();
        users
            .flat_map(|user| user.tokens.iter().map(move |token| (user, token)))
            .map(|(user, token)| format!("{}!{}={}", user.userid, token.tokenid, token.secret))
            .next()
            .unwrap_or_default()
    }

    /// Faults to inject.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.sim.faults
    }

    /// Numbers so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.sim.ledger.counters()
    }

    /// Starts counting from zero.
    pub fn reset_counters(&self) {
        self.sim.ledger.reset_counters();
    }

    /// Every change of the cluster's state, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.sim.ledger.effects()
    }

    /// How many changes there were so far.
    #[must_use]
    pub fn effect_count(&self) -> usize {
        self.sim.ledger.effect_count()
    }

    /// Acts without the API.
    #[must_use]
    pub fn behind_the_back(&self) -> BehindTheBack<'_> {
        BehindTheBack(&self.sim)
    }

    /// Every guest as it is now.
    #[must_use]
    pub fn guests(&self) -> Vec<GuestView> {
        view::guests(&self.sim)
    }

    /// One guest as it is now.
    #[must_use]
    pub fn guest(&self, vmid: u32) -> Option<GuestView> {
        view::guest(&self.sim, vmid)
    }

    /// The archives of a guest on all storages, by name.
    #[must_use]
    pub fn archives(&self, vmid: u32) -> Vec<String> {
        view::archives(&self.sim, vmid)
    }

    /// The tasks that are at work now, oldest first.
    #[must_use]
    pub fn running_tasks(&self) -> Vec<RunningTask> {
        view::running_tasks(&self.sim)
    }

    /// Hash of every guest without a description line that starts with `mark`.
    #[must_use]
    pub fn foreign_hash(&self, mark: &str) -> String {
        view::foreign_hash(&self.sim, mark)
    }

    /// Stops listening, drops open connections, writes the state.
    pub async fn shutdown(self) {
        self.sim.stop.cancel();
        self.tracker.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.sim.stop.cancel();
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let wrap = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(wrap)?;
    let bound = listener.local_addr().map_err(wrap)?;
    Ok((listener, bound))
}

async fn accept<F, Fut>(sim: Arc<Sim>, listener: TcpListener, tracker: TaskTracker, serve: F)
where
    F: Fn(TcpStream) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sim.stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let connection = serve(stream);
        let stop = sim.stop.clone();
        tracker.spawn(async move {
            tokio::select! {
                () = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// The status daemon: what lists know about guests is as old as its last round.
async fn broadcast(sim: Arc<Sim>) {
    let interval = sim.config.metrics_interval_secs;
    if interval <= 0.0 {
        return;
    }
    let pause = sim
        .clock
        .scaled(Duration::from_secs_f64(interval))
        .max(Duration::from_millis(5));
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => crate::api::broadcast_all(&sim),
            () = sim.stop.cancelled() => return,
        }
    }
}

/// Writes the state file now and then, and once at the end.
async fn keep(sim: Arc<Sim>) {
    loop {
        let is_last = tokio::select! {
            () = tokio::time::sleep(SAVE_INTERVAL) => false,
            () = sim.stop.cancelled() => true,
        };
        if sim.take_changed() || is_last {
            write(&sim).await;
        }
        if is_last {
            return;
        }
    }
}

async fn write(sim: &Arc<Sim>) {
    let Some(path) = sim.config.state.clone() else {
        return;
    };
    let tasks = sim.tasks.with(|records| records.clone());
    let bytes = {
        let world = sim.world();
        serde_json::to_vec(&serde_json::json!({"world": &*world, "tasks": tasks}))
            .unwrap_or_default()
    };
    let written = tokio::task::spawn_blocking(move || seed::save(&path, &bytes)).await;
    if let Ok(Err(error)) = written {
        tracing::error!(%error, "cannot write the state file");
    }
}
