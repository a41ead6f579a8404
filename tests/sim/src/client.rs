//! People: they ask through the use cases, lose answers, and ask again under the same key.

use crate::engine::ENGINE;
use crate::random::Dice;
use crate::scene::Scene;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tpm_app::{
    App, AppError, AppParts, BackupPolicy, Channels, Ctx, HookPolicy, HostResources, HostUse,
    IdempotencyKey, Limits, Measured, NetworkDefaults, Policy, RoleProfile, Secrets, ServerChange,
    ServerDraft, ServerQuery, TaskQuery,
};
use tpm_domain::{
    Actor, Assignment, BulkPolicy, Conflict, Error, FieldErrors, PowerTarget, Role, ServerId,
    Spread, TaskToken, UserId,
};
use tpm_store::{Store, VmidRange};

/// How often a request without an answer is sent.
const SENDS: usize = 8;

struct NoHost;

#[async_trait]
impl HostResources for NoHost {
    async fn measure(&self) -> HostUse {
        HostUse::default()
    }
}

/// The use cases on a store.
pub(crate) fn app(store: Arc<dyn Store>, scene: &Arc<Scene>, dice: &Dice, vmids: VmidRange) -> App {
    let random = Arc::new(dice.split());
    let role = RoleProfile {
        tags: Vec::new(),
        min_disk_gb: 10,
        spread: Spread::Off,
    };
    let policy = Policy {
        second_factor: false,
        roles: [("web".to_owned(), role)].into(),
        default_engine: ENGINE.to_owned(),
        engines: vec![ENGINE.to_owned()],
        vmids,
        network: NetworkDefaults {
            bridge: "vmbr0".to_owned(),
            vlan: None,
        },
        placement: [].into(),
        backup: BackupPolicy::default(),
        limits: Limits {
            max_cpu: 8,
            min_memory_mb: 512,
            max_memory_mb: 8192,
            max_disk_gb: 100,
            max_bulk: 16,
            max_nics: 1,
        },
    };
    App::new(AppParts {
        measured: Measured::default(),
        secrets: Secrets::default(),
        channels: Channels::new(HookPolicy::default(), vec![7; 32].into()),
        store,
        policy,
        clock: scene.clone(),
        random: Arc::new(move |buffer: &mut [u8]| {
            for chunk in buffer.chunks_mut(8) {
                let bytes = random.next().to_le_bytes();
                chunk.copy_from_slice(&bytes[..chunk.len()]);
            }
        }),
        services: Vec::new(),
        code: None,
        host: Arc::new(NoHost),
        metrics: None,
        settings: Vec::new(),
        audit_key: vec![7; 32].into(),
        started_at: scene.now(),
    })
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Create,
    Bulk(usize, BulkPolicy),
    Delete,
    Power(PowerTarget),
    PowerOfAll(PowerTarget),
    Change(i64),
    Cancel,
    Retry,
    Recreate,
}

impl Wish {
    pub(crate) fn draw(dice: &Dice) -> Self {
        match dice.below(24) {
            0..=4 => Self::Create,
            5..=7 => Self::Bulk(count(dice), BulkPolicy::Keep),
            8..=10 => Self::Bulk(count(dice), BulkPolicy::AllOrNothing),
            11..=13 => Self::Delete,
            14 => Self::Power(PowerTarget::Running),
            15 => Self::Power(PowerTarget::Stopped),
            16 => Self::Power(PowerTarget::Restarted),
            17 => Self::PowerOfAll(PowerTarget::Stopped),
            18 => Self::Change(i64::try_from(dice.between(1, 8)).unwrap_or(1)),
            19..=21 => Self::Cancel,
            22 => Self::Retry,
            _ => Self::Recreate,
        }
    }
}

fn count(dice: &Dice) -> usize {
    usize::try_from(dice.between(1, 4)).unwrap_or(1)
}

/// Somebody who asks.
pub(crate) struct Person {
    pub(crate) app: App,
    pub(crate) scene: Arc<Scene>,
    pub(crate) dice: Dice,
    pub(crate) id: UserId,
    /// Tells the requests of one run apart.
    pub(crate) number: usize,
}

type Answer = Result<Vec<TaskToken>, AppError>;

impl Person {
    fn draft(&self, index: usize) -> ServerDraft {
        ServerDraft {
            name: Some(format!("r{}-{index}", self.number)),
            role: Some("web".to_owned()),
            cpu: Some(2),
            memory: Some(1024),
            disk_size: Some(20),
            ..ServerDraft::default()
        }
    }

    fn ctx(&self) -> Ctx {
        let everything = [Assignment {
            role: Role::ADMIN.to_owned(),
            project: None,
        }];
        let actor = Actor::new(self.id, "sim".to_owned(), &everything, &Role::built_in());
        Ctx {
            key: Some(IdempotencyKey {
                key: format!("key-{}", self.number),
                request_hash: format!("hash-{}", self.number),
            }),
            ..Ctx::new(actor)
        }
    }

    /// Some server there is.
    async fn some_server(&self, ctx: &Ctx) -> Result<Option<ServerId>, AppError> {
        let list = self.app.servers(ctx, &ServerQuery::default(), None).await?;
        Ok(self.dice.pick(&list.items).map(|view| view.server.id))
    }

    async fn some_task(&self, ctx: &Ctx) -> Result<Option<TaskToken>, AppError> {
        let list = self.app.tasks(ctx, &TaskQuery::default()).await?;
        Ok(self.dice.pick(&list.items).map(|task| task.token.clone()))
    }

    async fn ask(&self, ctx: &Ctx, wish: &Wish, on: Option<ServerId>) -> Answer {
        let none = FieldErrors::default();
        match (wish, on) {
            (Wish::Create, _) => {
                let draft = self.draft(0);
                let done = self.app.create_server(ctx, &draft, none).await?;
                Ok(vec![done.task])
            }
            (Wish::Bulk(count, policy), _) => {
                let drafts: Vec<_> = (0..*count).map(|index| self.draft(index)).collect();
                let done = self.app.create_servers(ctx, &drafts, &None, *policy, none);
                let done = done.await?;
                let children = done.children.into_iter().map(|child| child.task);
                Ok([done.task].into_iter().chain(children).collect())
            }
            (Wish::Delete, Some(server)) => {
                Ok(vec![self.app.delete_server(ctx, server).await?.task])
            }
            (Wish::Power(target), Some(server)) => {
                self.app.set_power(ctx, server, Some(*target), none).await?;
                Ok(Vec::new())
            }
            (Wish::PowerOfAll(target), _) => {
                let list = self.app.servers(ctx, &ServerQuery::default(), None).await?;
                let ids: Vec<_> = list.items.iter().map(|view| view.server.id).collect();
                let target = Some(*target);
                self.app.set_power_of_all(ctx, &ids, target, none).await?;
                Ok(Vec::new())
            }
            (Wish::Change(cores), Some(server)) => {
                let change = ServerChange {
                    cpu: Some(*cores),
                    ..ServerChange::default()
                };
                self.app.change_server(ctx, server, &change, none).await?;
                Ok(Vec::new())
            }
            (Wish::Cancel, _) => {
                if let Some(task) = self.some_task(ctx).await? {
                    self.app.cancel_task(ctx, &task).await?;
                }
                Ok(Vec::new())
            }
            (Wish::Retry, _) => {
                if let Some(task) = self.some_task(ctx).await? {
                    self.app.retry_task(ctx, &task).await?;
                }
                Ok(Vec::new())
            }
            (Wish::Recreate, Some(server)) => {
                Ok(vec![self.app.recreate_server(ctx, server).await?.task])
            }
            (Wish::Delete | Wish::Power(_) | Wish::Change(_) | Wish::Recreate, None) => {
                Ok(Vec::new())
            }
        }
    }

    /// Asks until there is an answer; what was accepted.
    pub(crate) async fn insist(self, wish: Wish) -> Vec<TaskToken> {
        let ctx = self.ctx();
        let who = format!("client{}", self.number);
        let mut on = None;
        for _ in 0..SENDS {
            if on.is_none() {
                on = self.some_server(&ctx).await.unwrap_or(None);
            }
            // Sometimes the connection is cut, and the request with it.
            let patience = if self.dice.chance(1000) {
                Duration::from_millis(self.dice.below(50))
            } else {
                Duration::from_secs(30)
            };
            let answer = tokio::time::timeout(patience, self.ask(&ctx, &wish, on)).await;
            match answer {
                Ok(Ok(tasks)) => {
                    self.scene
                        .tell(&who, format_args!("{wish:?} {on:?}: {tasks:?}"));
                    return tasks;
                }
                Ok(Err(AppError::Refused(Error::Unavailable { .. }))) | Err(_) => {
                    self.scene
                        .tell(&who, format_args!("{wish:?} {on:?}: no answer"));
                }
                Ok(Err(AppError::Refused(refusal))) => {
                    self.scene
                        .tell(&who, format_args!("{wish:?} {on:?}: {refusal:?}"));
                    if matches!(refusal, Error::Conflict(Conflict::NameTaken { .. }))
                        && !matches!(wish, Wish::Retry | Wish::Recreate)
                    {
                        self.scene
                            .wrong(format_args!("{wish:?} of {who} had two effects"));
                    }
                    return Vec::new();
                }
                Ok(Err(AppError::Fault(fault))) => {
                    self.scene
                        .wrong(format_args!("{wish:?} of {who}: {fault:#}"));
                    return Vec::new();
                }
            }
            tokio::time::sleep(Duration::from_millis(self.dice.between(100, 2000))).await;
        }
        Vec::new()
    }
}
