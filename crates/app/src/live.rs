//! Live events: what changed, told to everybody who follows and may see it.
//!
//! The store's feed is the truth. One reader per process follows it, reads each thing that changed once for
//! all followers of the process, and hands it on. Who comes back tells the place of the last event it had and
//! goes on from there, at whichever process; who falls behind, or was away for too long, is told to look at
//! everything anew. A slow follower holds up nobody.

mod read;
mod sight;

use crate::{App, Ctx, Result, ServerView};
use bytes::Bytes;
use read::thing;
use sight::{Reader, Sight};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, broadcast};
use tpm_domain::{Notification, ProjectId, ServerId, Task, TaskId};
use tpm_store::{Changed, FeedPlace, FeedRow};

/// The feed is looked at this often while anybody follows.
const EVERY: Duration = Duration::from_millis(50);
/// After a fault of the database it is asked again after this long.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// Rows read at once.
const PORTION: u64 = 500;
/// Events that are kept for who comes back, and how far a follower may fall behind.
const KEPT: usize = 4096;

/// What changed, as it stands now.
#[derive(Clone, Debug)]
pub enum LiveThing {
    /// A server.
    Server(Box<ServerView>),
    /// A server that is deleted.
    ServerGone(ServerId),
    /// A task.
    Task(Box<Task>),
    /// A notification.
    Notification(Box<Notification>),
    /// Something was missed: everything has to be looked at anew.
    Resync,
}

/// A change, told.
pub struct LiveEvent {
    /// Its place; going on from there nothing is lost and nothing comes twice.
    pub place: FeedPlace,
    /// What changed.
    pub thing: LiveThing,
    sight: Sight,
    shown: [OnceLock<Bytes>; 2],
}

impl fmt::Debug for LiveEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveEvent")
            .field("place", &self.place)
            .field("thing", &self.thing)
            .finish_non_exhaustive()
    }
}

impl LiveEvent {
    /// The event as it goes over the wire in one of two ways, made once for all followers.
    pub fn shown(&self, way: bool, make: impl FnOnce(&Self) -> Bytes) -> Bytes {
        let slot = &self.shown[usize::from(way)];
        slot.get_or_init(|| make(self)).clone()
    }

    fn new(place: FeedPlace, thing: LiveThing, sight: Sight) -> Arc<Self> {
        Arc::new(Self {
            place,
            thing,
            sight,
            shown: Default::default(),
        })
    }

    fn resync(place: FeedPlace) -> Arc<Self> {
        Self::new(place, LiveThing::Resync, Sight::default())
    }
}

/// What was told last.
#[derive(Default)]
struct Ring {
    /// Up to where the feed was read; `None` while nobody follows.
    at: Option<FeedPlace>,
    /// Everything after this place is in `events`.
    from: FeedPlace,
    events: VecDeque<Arc<LiveEvent>>,
}

/// What the followers of a process share.
pub(crate) struct Live {
    ring: Mutex<Ring>,
    sender: broadcast::Sender<Arc<LiveEvent>>,
    /// Somebody follows.
    wanted: Notify,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            ring: Mutex::default(),
            sender: broadcast::Sender::new(KEPT),
            wanted: Notify::new(),
        }
    }
}

/// One follower's view.
pub struct Following {
    app: App,
    reader: Reader,
    receiver: broadcast::Receiver<Arc<LiveEvent>>,
    /// What comes before anything of the receiver.
    backlog: VecDeque<Arc<LiveEvent>>,
    /// Whether the feed itself has to be read up to now.
    behind: bool,
    /// Whether something was missed and has not been told of.
    missed: bool,
    last: FeedPlace,
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Following {
    /// The place of the last event that was looked at.
    #[must_use]
    pub fn place(&self) -> FeedPlace {
        self.last
    }

    /// Goes on with what the person may see now.
    ///
    /// # Errors
    /// Forbidden when that is nothing.
    pub fn read_as(&mut self, ctx: &Ctx) -> Result<()> {
        self.reader = Reader::new(&ctx.actor)?;
        Ok(())
    }

    /// The next event that the follower may see. Nothing is lost when it is dropped before it is ready.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn next(&mut self) -> Result<Arc<LiveEvent>> {
        loop {
            while let Some(event) = self.backlog.pop_front() {
                if self.takes(&event) {
                    return Ok(event);
                }
            }
            if self.missed {
                self.start_anew().await?;
                continue;
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            match self.receiver.recv().await {
                Ok(event) if self.takes(&event) => return Ok(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.missed = true,
                // The use cases are gone, and so is the service.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn takes(&mut self, event: &LiveEvent) -> bool {
        if event.place <= self.last {
            return false;
        }
        self.last = event.place;
        self.reader.sees(event)
    }

    async fn catch_up(&mut self) -> Result<()> {
        let rows = {
            let reads = self.app.store().reads();
            reads.feed_after(self.last, PORTION).await?
        };
        match rows {
            Some(rows) => match rows.last() {
                Some(end) => {
                    self.backlog = self.app.told(&rows, &mut BTreeMap::new()).await?.into();
                    if self.backlog.is_empty() {
                        self.last = end.place;
                    }
                }
                None => self.behind = false,
            },
            None => self.missed = true,
        }
        Ok(())
    }

    /// Leaves out what was missed, and tells so.
    async fn start_anew(&mut self) -> Result<()> {
        let receiver = self.receiver.resubscribe();
        let place = self.app.store().reads().feed_end().await?;
        self.receiver = receiver;
        (self.behind, self.missed) = (false, false);
        self.backlog = [LiveEvent::resync(place)].into();
        // So that the event itself is not passed over.
        self.last = FeedPlace {
            row: place.row - 1,
            ..place
        };
        Ok(())
    }
}

impl App {
    /// How many follow at this process.
    pub(crate) fn followers(&self) -> usize {
        self.live.sender.receiver_count()
    }

    /// Follows what changes from now on, or from after a place on.
    ///
    /// # Errors
    /// Forbidden when the person may see nothing of it, or the store does not answer.
    pub async fn follow(&self, ctx: &Ctx, after: Option<FeedPlace>) -> Result<Following> {
        let reader = Reader::new(&ctx.actor)?;
        let mut ring = self.live.ring.lock().await;
        let receiver = self.live.sender.subscribe();
        let at = match ring.at {
            Some(at) => at,
            None => {
                let end = self.store().reads().feed_end().await?;
                (ring.at, ring.from) = (Some(end), end);
                self.live.wanted.notify_one();
                end
            }
        };
        let last = after.unwrap_or(at);
        let kept = ring.from <= last && last <= at;
        let missed = ring.events.iter().filter(|event| event.place > last);
        let backlog = if kept {
            missed.cloned().collect()
        } else {
            VecDeque::new()
        };
        Ok(Following {
            app: self.clone(),
            reader,
            receiver,
            backlog,
            behind: !kept,
            missed: false,
            last,
        })
    }

    /// Hands on what changes for as long as it is polled; a process that lets people follow runs it once.
    pub async fn run_live(&self) {
        let mut bulks = BTreeMap::new();
        loop {
            match self.look_at_feed(&mut bulks).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(EVERY).await,
                Err(error) => {
                    tracing::warn!(?error, "live events");
                    tokio::time::sleep(AFTER_FAULT).await;
                }
            }
        }
    }

    /// Hands on a portion; whether there may be more.
    async fn look_at_feed(&self, bulks: &mut BTreeMap<TaskId, Sight>) -> Result<bool> {
        let at = {
            let mut ring = self.live.ring.lock().await;
            if self.live.sender.receiver_count() == 0 {
                *ring = Ring::default();
            }
            ring.at
        };
        let Some(at) = at else {
            self.live.wanted.notified().await;
            return Ok(true);
        };
        let rows = self.store().reads().feed_after(at, PORTION).await?;
        let more = rows
            .as_ref()
            .is_none_or(|rows| rows.len() as u64 == PORTION);
        let (events, end) = match rows {
            Some(rows) => {
                let end = rows.last().map_or(at, |row| row.place);
                (self.told(&rows, bulks).await?, end)
            }
            None => {
                let end = self.store().reads().feed_end().await?;
                (vec![LiveEvent::resync(end)], end)
            }
        };
        let mut ring = self.live.ring.lock().await;
        for event in events {
            if matches!(event.thing, LiveThing::Resync) {
                ring.events.clear();
                ring.from = event.place;
            }
            if ring.events.len() == KEPT
                && let Some(oldest) = ring.events.pop_front()
            {
                ring.from = oldest.place;
            }
            ring.events.push_back(Arc::clone(&event));
            // Nobody to hear it is no fault.
            let _ = self.live.sender.send(event);
        }
        ring.at = Some(end);
        Ok(more)
    }

    /// Reads what changed; each thing once.
    async fn told(
        &self,
        rows: &[FeedRow],
        bulks: &mut BTreeMap<TaskId, Sight>,
    ) -> Result<Vec<Arc<LiveEvent>>> {
        let reads = self.store().reads();
        let mut seen: BTreeMap<Changed, Option<(LiveThing, Sight)>> = BTreeMap::new();
        let mut names: BTreeMap<ProjectId, String> = BTreeMap::new();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let known = match seen.get(&row.changed) {
                Some(known) => known.clone(),
                None => {
                    let found = thing(&*reads, row.changed, &mut names, bulks).await?;
                    seen.entry(row.changed).or_insert(found).clone()
                }
            };
            if let Some((thing, sight)) = known {
                events.push(LiveEvent::new(row.place, thing, sight));
            }
        }
        Ok(events)
    }
}
