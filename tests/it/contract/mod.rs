//! What every engine promises, whatever it works with: the same suite, written against the port, for each.
//!
//! An engine is driven by hand, step by step, as the worker would: look, act, look again.

use super::terraform::with_terraform;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{FailureCode, GuestView, Server, TaskToken};
use tpm_provisioner::{
    Learned, Observed, Operation, ProvisionError, Provisioner, StepCall, StepSpec,
};
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_store::{ClaimOrder, Store};
use tpm_test_support::Stack;

/// Looks before a step counts as one that never ends.
const LOOKS: usize = 400;

/// One engine on a cluster of its own, with one server.
struct Bench {
    stack: Stack,
    engine: Arc<dyn Provisioner>,
    server: Server,
    task: TaskToken,
    epoch: i64,
}

/// How an act comes out in the middle of a walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it should.
    Plain,
    /// Each act is delivered twice.
    Twice,
    /// Each act meets a cluster that answers nothing but errors, once.
    Broken,
}

impl Bench {
    /// A server that was asked for and not made.
    async fn new(engine: &str) -> anyhow::Result<Option<Self>> {
        let builder = match engine {
            "terraform" => match with_terraform()? {
                Some(builder) => builder,
                None => return Ok(None),
            },
            _ => Stack::builder(),
        };
        let stack = builder.start().await?;
        let more = json!({ "engine": engine });
        let (task, id) = stack.client.create("web-1", more).await?;
        let store = stack.service.store();
        // Held for the whole test: what an engine writes is fenced by it.
        let hour = Duration::from_secs(3600);
        let claim = store
            .queue()
            .claim("contract", hour, ClaimOrder::SmallTurns);
        let claim = claim.await?.context("a claim")?;
        ensure!(claim.task.token.0 == task);
        let server = store.reads().server(tpm_domain::ServerId(id)).await?;
        Ok(Some(Self {
            engine: stack.service.engine(engine).context("the engine")?,
            server: server.context("the server")?,
            task: claim.task.token,
            epoch: claim.lease.epoch,
            stack,
        }))
    }

    fn learn(&mut self, learned: Learned) {
        if let Some(node) = learned.node {
            self.server.node = Some(node);
        }
        if let Some(identity) = learned.identity {
            self.server.identity = Some(identity);
        }
    }

    fn guest(&self) -> Option<tpm_pve_simulator::GuestView> {
        self.stack.simulator.guest(self.server.vmid.0)
    }

    /// How often something was done to the cluster.
    fn done(&self, kind: &str) -> usize {
        let effects = self.stack.simulator.effects();
        effects.iter().filter(|effect| effect.kind == kind).count()
    }

    fn break_cluster(&self) -> u64 {
        let no = FaultKind::Status {
            code: 500,
            reason: "got timeout".into(),
            body: None,
            applied: false,
        };
        let every = Fault {
            method: None,
            ..Fault::once("GET", "/**", no).times(0)
        };
        self.stack.simulator.faults().inject(every)
    }

    /// Takes one step to its end; how often it acted.
    async fn step(
        &mut self,
        operation: Operation,
        spec: &StepSpec,
        way: Way,
    ) -> Result<u32, ProvisionError> {
        let engine = Arc::clone(&self.engine);
        let mut intent: Option<Value> = None;
        let mut handle: Option<String> = None;
        let mut attempt = 0;
        let mut broken = false;
        for look in 0..LOOKS {
            let (server, task) = (self.server.clone(), self.task.clone());
            let base = StepCall {
                operation,
                step: spec.name,
                server: &server,
                task: &task,
                epoch: self.epoch,
                consent: operation == Operation::Destroy,
                undoing: false,
                intent: None,
                handle: None,
                attempt,
                elapsed: Duration::from_millis(100) * u32::try_from(look).unwrap_or(u32::MAX),
                report: None,
                backup: None,
                safety: None,
                bounds: None,
                drill: None,
                earlier: &[],
            };
            let looked = StepCall {
                intent: intent.as_ref(),
                handle: handle.as_deref(),
                ..base.clone()
            };
            match engine.observe(&looked).await? {
                Observed::Done { learned, .. } => {
                    self.learn(learned);
                    return Ok(attempt);
                }
                Observed::Wait { after, .. } => {
                    tokio::time::sleep(after.min(Duration::from_millis(50))).await;
                }
                Observed::Needed(wanted) => {
                    attempt += 1;
                    let call = StepCall {
                        intent: Some(&wanted),
                        attempt,
                        ..base
                    };
                    if way == Way::Broken && !broken {
                        broken = true;
                        let fault = self.break_cluster();
                        let acted = engine.act(&call, &wanted).await;
                        self.stack.simulator.faults().remove(fault);
                        handle = None;
                        // A step that only writes down what was found before needs no cluster.
                        if let Ok(acted) = acted {
                            handle = acted.handle;
                        }
                        intent = Some(wanted);
                        continue;
                    }
                    let acted = engine.act(&call, &wanted).await?;
                    if way == Way::Twice {
                        // The second one may find it done, or be refused: it must do no harm.
                        engine.act(&call, &wanted).await.ok();
                    }
                    handle = acted.handle;
                    intent = Some(wanted);
                    tokio::time::sleep(acted.look_after.min(Duration::from_millis(50))).await;
                }
            }
        }
        let text = format!("{operation:?}/{} never ends", spec.name);
        Err(ProvisionError::new(
            tpm_provisioner::Fate::Refused,
            FailureCode::DeadlineExceeded,
            text,
        ))
    }

    /// All steps of an operation; how many acts there were.
    async fn walk(&mut self, operation: Operation, way: Way) -> anyhow::Result<u32> {
        let specs = self.engine.steps(operation).to_vec();
        let mut acts = 0;
        for spec in &specs {
            let taken = self.step(operation, spec, way).await;
            acts += taken.with_context(|| format!("{operation:?}/{}", spec.name))?;
        }
        Ok(acts)
    }

    /// The same operation once more finds everything done.
    async fn again(&mut self, operation: Operation) -> anyhow::Result<()> {
        let before = self.guest();
        self.walk(operation, Way::Plain).await?;
        ensure!(self.guest() == before, "{operation:?} did something again");
        Ok(())
    }

    async fn look(&self) -> anyhow::Result<Option<GuestView>> {
        Ok(self.engine.look(&self.server).await?)
    }

    /// The guest is as the row says.
    fn is_as_asked(&self) -> anyhow::Result<()> {
        let guest = self.guest().context("no guest")?;
        let option = |key: &str| {
            let waits = guest.pending.get(key).cloned().flatten();
            waits
                .or_else(|| guest.config.get(key).cloned())
                .unwrap_or_default()
        };
        let spec = &self.server.spec;
        ensure!(option("cores") == spec.cpu.to_string(), "{guest:#?}");
        ensure!(option("memory") == spec.memory_mb.to_string(), "{guest:#?}");
        let size = format!("size={}G", spec.disk_gb);
        ensure!(option("scsi0").contains(&size), "{guest:#?}");
        ensure!(guest.name == self.server.name.as_str(), "{guest:#?}");
        ensure!(guest.description.contains("tpm:v1 "), "{guest:#?}");
        let address = spec.nics[0].address.context("an address")?.ip.to_string();
        ensure!(option("ipconfig0").contains(&address), "{guest:#?}");
        Ok(())
    }
}

/// The whole life of a server, each act carried out in this way.
async fn life(engine: &str, way: Way) -> anyhow::Result<()> {
    let Some(mut bench) = Bench::new(engine).await? else {
        return Ok(());
    };
    bench.walk(Operation::Create, way).await?;
    bench.is_as_asked()?;
    ensure!(bench.done("clone") == 1, "{} clones", bench.done("clone"));
    ensure!(bench.server.identity.is_some() && bench.server.node.is_some());
    bench.again(Operation::Create).await?;

    bench.server.spec.cpu += 1;
    bench.server.spec.memory_mb *= 2;
    bench.server.spec.disk_gb += 4;
    let acts = bench.walk(Operation::Change, way).await?;
    ensure!(acts > 0, "nothing was changed");
    bench.is_as_asked()?;

    bench.walk(Operation::Stop, way).await?;
    ensure!(bench.guest().context("no guest")?.status == "stopped");
    bench.again(Operation::Stop).await?;
    bench.walk(Operation::Start, way).await?;
    ensure!(bench.guest().context("no guest")?.status == "running");
    bench.again(Operation::Start).await?;
    bench.walk(Operation::Restart, way).await?;
    ensure!(bench.guest().context("no guest")?.status == "running");
    bench.is_as_asked()?;

    bench.walk(Operation::Destroy, way).await?;
    ensure!(bench.guest().is_none() && bench.look().await?.is_none());
    bench.again(Operation::Destroy).await?;
    ensure!(
        bench.done("destroy") == 1,
        "{} destroys",
        bench.done("destroy")
    );
    bench.stack.stop().await
}

/// What others change is seen, and put right by a change.
async fn foreign_change(engine: &str) -> anyhow::Result<()> {
    let Some(mut bench) = Bench::new(engine).await? else {
        return Ok(());
    };
    bench.walk(Operation::Create, Way::Plain).await?;
    bench.walk(Operation::Stop, Way::Plain).await?;
    let view = bench.look().await?.context("no guest")?;
    ensure!(view.conflict.is_none() && view.drift.is_empty(), "{view:?}");
    let vmid = bench.server.vmid.0;
    let behind = bench.stack.simulator.behind_the_back();
    behind
        .set_option(vmid, "cores", Some("7"))
        .map_err(anyhow::Error::msg)?;
    let view = bench.look().await?.context("no guest")?;
    ensure!(
        view.drift.iter().any(|drift| drift.option == "cores"),
        "{view:?}"
    );
    bench.walk(Operation::Change, Way::Plain).await?;
    bench.is_as_asked()?;
    bench.stack.stop().await
}

/// Another guest under the number: every operation refuses with both identities, and it is never touched.
async fn stranger(engine: &str) -> anyhow::Result<()> {
    let Some(mut bench) = Bench::new(engine).await? else {
        return Ok(());
    };
    bench.walk(Operation::Create, Way::Plain).await?;
    let behind = bench.stack.simulator.behind_the_back();
    behind
        .recreate(bench.server.vmid.0)
        .map_err(anyhow::Error::msg)?;
    let hash = bench.stack.simulator.foreign_hash("tpm:v1 ");
    let view = bench.look().await?.context("no guest")?;
    ensure!(view.conflict.is_some(), "{view:?}");
    for operation in [
        Operation::Change,
        Operation::Stop,
        Operation::Start,
        Operation::Restart,
        Operation::Destroy,
    ] {
        bench.server.spec.cpu += 1;
        let first = bench.engine.steps(operation)[0].clone();
        match bench.step(operation, &first, Way::Plain).await {
            Err(error) if error.failure.code == FailureCode::IdentityConflict => {
                let text = error.failure.detail.unwrap_or_default();
                ensure!(
                    text.contains("expected uuid=") && text.contains("found uuid="),
                    "{text}"
                );
            }
            other => bail!("{operation:?}: {other:?}"),
        }
    }
    ensure!(
        hash == bench.stack.simulator.foreign_hash("tpm:v1 "),
        "touched"
    );
    bench.stack.stop().await
}

macro_rules! contract {
    ($($engine:ident),*) => {$(
        mod $engine {
            use super::Way;

            const ENGINE: &str = stringify!($engine);

            #[tokio::test(flavor = "multi_thread")]
            async fn a_whole_life() -> anyhow::Result<()> {
                super::life(ENGINE, Way::Plain).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn every_act_delivered_twice() -> anyhow::Result<()> {
                super::life(ENGINE, Way::Twice).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn every_act_fails_once() -> anyhow::Result<()> {
                super::life(ENGINE, Way::Broken).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn what_others_change_is_seen() -> anyhow::Result<()> {
                super::foreign_change(ENGINE).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_stranger_is_left_alone() -> anyhow::Result<()> {
                super::stranger(ENGINE).await
            }
        }
    )*};
}

contract!(direct, terraform);
