//! Restore drills: asking for one, booking what it needs, seeing how they came out.
//!
//! A drill has a server of its own, with a number, addresses and room that are reserved as any other's, on a network
//! whose bridge leads nowhere. The same booking is used by who asks and by schedules.

use super::about;
use super::create::word;
use crate::policy::DrillPolicy;
use crate::server::{Crossings, Gate, MadeOf, Refusal, Wanted, only_node};
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use tpm_domain::{
    Backup, BackupToken, Conflict, Drill, DrillGoal, DrillId, DrillSpec, DrillToken, DrillWish,
    Error, EventKind, Expiry, FieldErrors, Network, Nic, Permission, PlacementPolicy,
    PlacementWish, Reason, ResourceKind, RunItemId, ScheduleId, Server, ServerId, ServerName,
    ServerSpec, Shortage, TaskToken, UserId,
};
use tpm_store::{DrillQuery, NewDrill, Page, StoreError, UnitOfWork, VmidRange};

type Tx = dyn UnitOfWork + Send + Sync;

/// A request for a drill before it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrillDraft {
    /// How far its guest has to come.
    pub goal: Option<String>,
    /// A command that has to succeed in it.
    pub command: Option<Vec<String>>,
}

/// A drill that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillAccepted {
    /// Its name.
    pub drill: DrillToken,
    /// The task to watch.
    pub task: TaskToken,
    /// The backup that is tried.
    pub backup: BackupToken,
    /// The server that is made for it, and deleted again.
    pub server: ServerId,
}

impl DrillDraft {
    pub(crate) fn understand(&self, at: &str, errors: &mut FieldErrors) -> DrillWish {
        let goal = self.goal.as_ref().map(|_| {
            let (all, name) = (&DrillGoal::ALL, DrillGoal::as_str);
            let field = format!("{at}goal");
            word(
                self.goal.as_ref(),
                &field,
                DrillGoal::Address,
                all,
                name,
                errors,
            )
        });
        let command = self.command.clone().unwrap_or_default();
        let field = format!("{at}command");
        if command.len() > DrillSpec::MOST_WORDS {
            let (min, max) = (0, DrillSpec::MOST_WORDS);
            errors.add(&field, Reason::Count { min, max });
        }
        for (n, word) in command.iter().enumerate().take(DrillSpec::MOST_WORDS) {
            let max = DrillSpec::LONGEST_WORD;
            if word.chars().count() > max {
                errors.add(format!("{field}[{n}]"), Reason::TooLong { max });
            } else if word.contains('\0') || (n == 0 && word.is_empty()) {
                let expected = "text without NUL";
                errors.add(format!("{field}[{n}]"), Reason::Type { expected });
            }
        }
        DrillWish { goal, command }
    }
}

/// What a drill is booked with.
pub struct Booking<'a> {
    /// Where its guest is made.
    pub policy: &'a DrillPolicy,
    /// How servers are placed, by engine.
    pub placement: &'a BTreeMap<String, PlacementPolicy>,
    /// Numbers for guests.
    pub vmids: VmidRange,
    /// On whose behalf.
    pub by: UserId,
    /// The drill's name, unique.
    pub drill: DrillToken,
    /// Its task's name, unique.
    pub task: TaskToken,
    /// What it is to prove.
    pub spec: DrillSpec,
    /// The schedule and the part of its run that it is.
    pub scheduled: Option<(ScheduleId, RunItemId)>,
}

/// A drill that has all that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Its number.
    pub drill: DrillId,
    /// Its guest's server.
    pub server: ServerId,
}

/// Why a drill has not.
#[derive(Debug, thiserror::Error)]
pub enum NotBooked {
    /// Something is missing: a network, an address, a number, room, quota.
    #[error(transparent)]
    Refused(Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of ours.
    #[error("internal fault")]
    Fault(#[source] anyhow::Error),
}

/// Reserves and writes a drill with its server and its task, or nothing: `tx` is to be dropped then.
///
/// # Errors
/// When something is missing, or the database does not answer.
pub async fn book_drill(
    tx: &Tx,
    booking: &Booking<'_>,
    backup: &Backup,
    origin: &Server,
) -> std::result::Result<Booked, NotBooked> {
    let done = async {
        tx.lock_reservations().await?;
        book(tx, booking, backup, origin).await
    };
    done.await.map_err(|refusal| match refusal {
        Refusal::Store(error) => NotBooked::Store(error),
        Refusal::App(AppError::Refused(error)) => NotBooked::Refused(error),
        Refusal::App(AppError::Fault(error)) => NotBooked::Fault(error),
    })
}

/// The same; `lock_reservations` was called before.
async fn book(
    tx: &Tx,
    booking: &Booking<'_>,
    backup: &Backup,
    origin: &Server,
) -> std::result::Result<Booked, Refusal> {
    let nics = nics(tx, &booking.policy.network, origin).await?;
    let (schedule, item) = booking.scheduled.unzip();
    let drill = tx
        .insert_drill(&NewDrill {
            token: booking.drill.clone(),
            backup: backup.id,
            backup_token: backup.token.clone(),
            server: origin.id,
            server_name: origin.name.to_string(),
            spec: booking.spec.clone(),
            item,
            schedule,
            asked_by: booking.by,
            failure: None,
        })
        .await?;
    let named = || AppError::Fault(anyhow::anyhow!("no server can be called {}", booking.drill));
    let name = booking.drill.0.replace('_', "-");
    let wanted = Wanted {
        row: None,
        name: ServerName::new(&name).ok_or_else(named)?,
        project: origin.project,
        spec: ServerSpec {
            nics,
            description: None,
            ..origin.spec.clone()
        },
        engine: booking.policy.engine.clone(),
        wish: PlacementWish {
            node: only_node(tx, backup).await?,
            ..PlacementWish::default()
        },
        expiry: Expiry::default(),
        at: String::new(),
        archive: Some(MadeOf {
            backup: backup.id,
            drill: Some(drill),
        }),
    };
    let gate = Gate {
        placement: booking.placement,
        vmids: booking.vmids,
        by: booking.by,
        name_task: &|| booking.task.clone(),
    };
    let event = EventKind::DrillRequested {
        backup: backup.token.0.clone(),
    };
    let made = gate.reserve(tx, vec![wanted], None, &event).await?;
    let made = made.into_iter().next();
    let server = made.ok_or_else(crate::server::incomplete)?.server;
    tx.begin_drill(drill, server, &booking.task).await?;
    Ok(Booked { drill, server })
}

/// The interfaces of the origin, each with an address of the network of drills.
async fn nics(tx: &Tx, name: &str, origin: &Server) -> std::result::Result<Vec<Nic>, Refusal> {
    let networks = tx.networks().await?;
    let refused = || {
        let network = name.to_owned();
        Refusal::from(Error::Conflict(Conflict::NoDrillNetwork { network }))
    };
    let network = networks.iter().find(|one| one.name.as_str() == name);
    let network = network.ok_or_else(refused)?;
    let spec = &network.spec;
    let same = |bridge: &str, vlan| bridge == spec.bridge && vlan == spec.vlan;
    let shared =
        |other: &Network| other.id != network.id && same(&other.spec.bridge, other.spec.vlan);
    let own = |nic: &Nic| same(&nic.bridge, nic.vlan);
    if networks.iter().any(shared) || origin.spec.nics.iter().any(own) {
        return Err(refused());
    }
    let taken = tx.addresses_taken().await?;
    let is_taken = |ip: Ipv4Addr| taken.contains(&ip) || spec.excludes(ip);
    let count = origin.spec.nics.len();
    let addresses = spec.pool().pick(count, is_taken);
    if addresses.len() < count {
        let missing = count - addresses.len();
        let pool = spec.range.to_string();
        let shortage = Shortage::Addresses { pool, missing };
        return Err(Error::Conflict(Conflict::Shortage(shortage)).into());
    }
    let nic = |address| Nic {
        bridge: spec.bridge.clone(),
        vlan: spec.vlan,
        address: Some(address),
        dns: spec.dns.clone(),
    };
    Ok(addresses.into_iter().map(nic).collect())
}

impl App {
    /// Tries a backup: makes a guest of it where nobody else can reach it, waits until it has come as far as it is
    /// to, runs a command in it, and destroys it.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, not found, conflict when the backup is not whole or what is needed
    /// is not there, or the store does not answer.
    pub async fn drill_backup(
        &self,
        ctx: &Ctx,
        token: &BackupToken,
        draft: &DrillDraft,
        mut errors: FieldErrors,
    ) -> Result<DrillAccepted> {
        ctx.reach(Permission::WriteBackups)?;
        ctx.reach(Permission::WriteServers)?;
        let wish = draft.understand("", &mut errors);
        let wish = errors.into_result(wish)?;
        let mut crossings = Crossings::default();
        let done = loop {
            match self.drill_once(ctx, token, &wish).await {
                Err(refusal) if crossings.again(&refusal) => {}
                done => break done?,
            }
        };
        self.store().queue().wake().await;
        Ok(done)
    }

    async fn drill_once(
        &self,
        ctx: &Ctx,
        token: &BackupToken,
        wish: &DrillWish,
    ) -> std::result::Result<DrillAccepted, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let (backup, origin) = self.good_backup(ctx, &*tx, token).await?;
        if !ctx.actor.may_on(Permission::WriteServers, &origin) {
            return Err(Error::Forbidden.into());
        }
        let booking = Booking {
            policy: &self.policy().backup.drill,
            placement: &self.policy().placement,
            vmids: self.policy().vmids,
            by: ctx.actor.id,
            drill: DrillToken(format!("drill_{}", self.random_hex(10))),
            task: self.new_task_token(),
            spec: wish.of(&origin),
            scheduled: None,
        };
        let booked = book(&*tx, &booking, &backup, &origin).await?;
        let done = DrillAccepted {
            drill: booking.drill,
            task: booking.task,
            backup: backup.token,
            server: booked.server,
        };
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, about(&done.backup, &origin)).await?;
        Ok(done)
    }

    /// A page of drills, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn drills(&self, ctx: &Ctx, query: &DrillQuery) -> Result<Page<Drill>> {
        let reach = ctx.reach(Permission::ReadBackups)?;
        let query = DrillQuery {
            within: reach.bound().cloned(),
            ..query.clone()
        };
        Ok(self.store().reads().drills(&query).await?)
    }

    /// One drill.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn drill(&self, ctx: &Ctx, token: &DrillToken) -> Result<Drill> {
        ctx.reach(Permission::ReadBackups)?;
        let missing = || AppError::Refused(Error::not_found(ResourceKind::Drill, token));
        let reads = self.store().reads();
        let drill = reads.drill_named(token).await?.ok_or_else(missing)?;
        let server = reads.server_ever(drill.server).await?;
        let server = server.ok_or_else(missing)?;
        match ctx.actor.may_on(Permission::ReadBackups, &server) {
            true => Ok(drill),
            false => Err(missing()),
        }
    }
}
