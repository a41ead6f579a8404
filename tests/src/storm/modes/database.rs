//! PostgreSQL is killed and started again, its backends end one by one, and its tables are locked for half a
//! minute: nobody ends, nothing is lost, and how soon things go on.

use crate::storm::storm::Storm;
use anyhow::Context;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tpm_test_support::Postgres;

/// How often it is killed.
const RESTARTS: usize = 20;
/// How long its tables are locked.
const LOCKED_SECS: u64 = 30;
/// How long it is watched before anything happens, for what is usual.
const USUAL: Duration = Duration::from_secs(10);
/// What counts as going on as usual is looked for in windows of this length.
const WINDOW: Duration = Duration::from_secs(2);
/// Longest time until it does.
const LONGEST: Duration = Duration::from_secs(20);

const END_ONE: &str = "SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
    ORDER BY random() LIMIT 1) AS one";

/// How often the lock is asked for again.
const DEADLOCKS: u32 = 50;

const LOCK: &str = "BEGIN; LOCK TABLE tasks, steps, servers IN ACCESS EXCLUSIVE MODE;
    SELECT pg_sleep({secs}); COMMIT;";

pub(super) async fn rage(storm: &Storm) -> anyhow::Result<()> {
    let usual = ended_in(storm, USUAL).await / USUAL.as_secs_f64();
    storm.find(format!("{usual:.1} tasks/s as usual"));
    let mut back = Vec::new();
    for _ in 0..RESTARTS {
        if storm.over.is_cancelled() {
            return Ok(());
        }
        with(storm, |postgres| {
            postgres.kill()?;
            postgres.start_again()
        })?;
        storm.count(|counts| counts.postgres += 1);
        back.push(recovery(storm, usual).await);
    }
    tell(storm, &format!("killed {RESTARTS} times"), back);
    for n in 1..=storm.args.kills {
        if storm.over.is_cancelled() {
            return Ok(());
        }
        with(storm, |postgres| postgres.ask(END_ONE).map(|_| ()))?;
        storm.count(|counts| counts.cuts += 1);
        storm.kill.store(n, Ordering::SeqCst);
        tokio::time::sleep(storm.args.interval()).await;
    }
    let after = recovery(storm, usual).await;
    tell(
        storm,
        &format!("after {} ended backends", storm.args.kills),
        vec![after],
    );
    let url = storm.installation.database.clone();
    let name = url.rsplit('/').next().context("a database's name")?;
    with(storm, |postgres| {
        let sql = LOCK.replace("{secs}", &LOCKED_SECS.to_string());
        // Whoever asks for so much may be the one that is sacrificed when two wait for each other.
        let mut tries = 0;
        loop {
            match postgres.ask_in(name, &sql) {
                Err(error) if error.to_string().contains("deadlock") && tries < DEADLOCKS => {
                    tries += 1
                }
                done => return done.map(|_| ()),
            }
        }
    })?;
    let after = recovery(storm, usual).await;
    tell(
        storm,
        &format!("after {LOCKED_SECS} s without its tables"),
        vec![after],
    );
    Ok(())
}

fn with(
    storm: &Storm,
    what: impl FnOnce(&mut Postgres) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let postgres = storm.installation.postgres.as_ref();
    let postgres = postgres.context("needs --database postgres")?;
    tokio::task::block_in_place(|| {
        what(&mut postgres.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
async fn ended_in(storm: &Storm, time: Duration) -> f64 {
    let before = storm.book.open().ended;
    tokio::time::sleep(time).await;
    (storm.book.open().ended - before) as f64
}

/// How long it takes until tasks end again, and until as many end as usual.
async fn recovery(storm: &Storm, usual: f64) -> (Duration, Option<Duration>) {
    let began = Instant::now();
    let first = storm.book.open().ended;
    let mut going = None;
    let mut seen = Vec::new();
    while began.elapsed() < LONGEST && !storm.over.is_cancelled() {
        let ended = storm.book.open().ended;
        if ended > first && going.is_none() {
            going = Some(began.elapsed());
        }
        seen.push((began.elapsed(), ended));
        let from = seen
            .iter()
            .rev()
            .find(|(at, _)| began.elapsed().saturating_sub(*at) >= WINDOW);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let as_usual = from.is_some_and(|(_, before)| {
            (ended - before) as f64 >= 0.95 * usual * WINDOW.as_secs_f64()
        });
        if as_usual {
            let since = began.elapsed().saturating_sub(WINDOW);
            return (going.unwrap_or(since), Some(since));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (going.unwrap_or(LONGEST), None)
}

fn tell(storm: &Storm, what: &str, back: Vec<(Duration, Option<Duration>)>) {
    let mut first: Vec<Duration> = back.iter().map(|(first, _)| *first).collect();
    let mut usual: Vec<Duration> = back.iter().filter_map(|(_, usual)| *usual).collect();
    first.sort_unstable();
    usual.sort_unstable();
    let middle = |of: &[Duration]| of.get(of.len() / 2).copied().unwrap_or_default();
    let last = |of: &[Duration]| of.last().copied().unwrap_or_default();
    storm.find(format!(
        "{what}: a task ended after {:.1?} (longest {:.1?}); 95 % of the usual rate after {:.1?} \
         (longest {:.1?}), {} of {} times within {LONGEST:?}",
        middle(&first),
        last(&first),
        middle(&usual),
        last(&usual),
        usual.len(),
        back.len(),
    ));
}
