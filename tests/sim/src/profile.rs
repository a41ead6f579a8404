//! How rough a run is: drawn from its seed, so that some runs have one kind of trouble and some have all.

use crate::random::Dice;
use std::time::Duration;

/// Of 10,000 requests to the cluster, so many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClusterTrouble {
    /// A question is not answered.
    pub(crate) unread: u32,
    /// A request does not reach it.
    pub(crate) not_sent: u32,
    /// A lock is held.
    pub(crate) busy: u32,
    /// It says no.
    pub(crate) refused: u32,
    /// It is done, and the answer is lost.
    pub(crate) lost_done: u32,
    /// It is not done, and the answer is lost.
    pub(crate) lost_undone: u32,
    /// The answer is lost, and it is done seconds later.
    pub(crate) late: u32,
    /// The task that was begun fails.
    pub(crate) task_fails: u32,
    /// The task that was begun is killed and cleans up nothing.
    pub(crate) task_killed: u32,
    /// A guest that was started never has an agent.
    pub(crate) no_agent: u32,
}

/// Of 10,000 transactions and questions, so many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreTrouble {
    /// It takes a while.
    pub(crate) slow: u32,
    /// It is refused.
    pub(crate) refused: u32,
    /// It is done, and the answer is lost.
    pub(crate) answer_lost: u32,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) workers: usize,
    pub(crate) concurrency: usize,
    pub(crate) lease: Duration,
    pub(crate) scan: Duration,
    /// Requests of people.
    pub(crate) requests: usize,
    /// Blows of fate.
    pub(crate) blows: usize,
    /// How long requests and blows go on.
    pub(crate) rough: Duration,
    pub(crate) cluster: ClusterTrouble,
    pub(crate) store: StoreTrouble,
    /// Numbers for guests.
    pub(crate) vmids: u32,
    /// Most clones at once.
    pub(crate) clones: u32,
}

impl Profile {
    pub(crate) fn draw(dice: &Dice) -> Self {
        // Each kind of trouble is absent in half of all runs.
        let some = |most: u32| {
            if dice.chance(5000) {
                0
            } else {
                u32::try_from(dice.below(most.into())).unwrap_or(0)
            }
        };
        let cluster = ClusterTrouble {
            unread: some(1500),
            not_sent: some(1500),
            busy: some(1500),
            refused: some(150),
            lost_done: some(1500),
            lost_undone: some(1000),
            late: some(1000),
            task_fails: some(400),
            task_killed: some(300),
            no_agent: some(2000),
        };
        let store = StoreTrouble {
            slow: some(2000),
            refused: some(200),
            answer_lost: some(200),
        };
        let blows = if dice.chance(2000) { 0 } else { dice.below(9) };
        Self {
            workers: if dice.chance(5000) { 2 } else { 3 },
            concurrency: if dice.chance(3000) { 2 } else { 8 },
            lease: Duration::from_secs(4),
            scan: Duration::from_millis(dice.between(2, 8) * 125),
            requests: usize::try_from(dice.between(2, 9)).unwrap_or(2),
            blows: usize::try_from(blows).unwrap_or(0),
            rough: Duration::from_secs(dice.between(8, 40)),
            cluster,
            store,
            vmids: u32::try_from(dice.between(24, 60)).unwrap_or(24),
            clones: u32::try_from(dice.between(1, 4)).unwrap_or(1),
        }
    }
}
