//! One storm from its first process to its last question.

use super::args::{Args, Mode};
use super::book::Network;
use super::book::Wish;
use super::caller::{Ask, Caller};
use super::installation::{Installation, SharedPostgres};
use super::modes;
use super::person::{Person, body};
use super::report::Outcome;
use super::storm::Storm;
use super::watch::watch;
use anyhow::{Context, ensure};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the clients may take to come to their last answer.
const LAST_ANSWERS: Duration = Duration::from_secs(90);

/// Runs one seed.
///
/// # Errors
/// When the storm itself fails, not when it finds something.
pub(crate) async fn run(
    args: &Args,
    seed: u64,
    postgres: Option<SharedPostgres>,
    progress: impl Fn(&Storm),
) -> anyhow::Result<Outcome> {
    let installation = Installation::start(args, seed, postgres).await?;
    let caller = match Caller::login(installation.urls.clone()).await {
        Ok(caller) => caller,
        Err(error) => {
            let said = std::fs::read_to_string(installation.apis[0].log())?;
            return Err(error.context(format!("nobody answers: {said}")));
        }
    };
    let keys_work = probe(&caller).await.context("the first create")?;
    let (first, keys_work) = keys_work;
    let storm = Storm::new(args.clone(), seed, installation, caller, keys_work)?;
    storm
        .book
        .open()
        .accept_server(usize::MAX, first.1, first.0, &first.2);
    let storm = Arc::new(storm);
    let watching = CancellationToken::new();
    let watcher = tokio::spawn(watch(Arc::clone(&storm), watching.clone()));
    let people = spawn_people(&storm);
    let raged = {
        let mut raging = pin!(modes::rage(&storm));
        loop {
            tokio::select! {
                raged = &mut raging => break raged,
                () = tokio::time::sleep(Duration::from_millis(200)) => progress(&storm),
            }
        }
    };
    storm.over.cancel();
    if let Err(error) = raged {
        storm.violate("storm", &format!("{error:#}"), &[]);
    }
    join_people(&storm, people).await;
    let judged = judge(&storm).await;
    watching.cancel();
    watcher.await?;
    if let Err(error) = judged {
        storm.violate("answers", &format!("{error:#}"), &[]);
    }
    progress(&storm);
    end(&storm).await?;
    let storm = Arc::try_unwrap(storm)
        .ok()
        .context("somebody is still at the storm")?;
    Outcome::of(storm)
}

type First = ((Wish, i64, String), bool);

/// The first server, asked for twice under one key: whether keys are understood.
async fn probe(caller: &Caller) -> anyhow::Result<First> {
    let wish = Wish {
        name: "first".into(),
        role: "web",
        cpu: 1,
        memory: 512,
        disk: 10,
        network: Network::Pool,
    };
    let body = body(&wish);
    let ask = Ask::post("/api/servers/create", &body, "storm-first");
    let made = caller.definite(ask.clone()).await?;
    ensure!(made.status == 201, "{} {}", made.status, made.body);
    let again = caller.definite(ask).await?;
    let id = made.body["server_id"].as_i64().context("no server_id")?;
    let token = made.body["task_id"].as_str().context("no task_id")?;
    let same = again.status == 201 && again.body == made.body;
    ensure!(same || again.code() == "NAME_TAKEN", "{}", again.body);
    Ok(((wish, id, token.to_owned()), same))
}

fn spawn_people(storm: &Arc<Storm>) -> JoinSet<anyhow::Result<()>> {
    let mut people = JoinSet::new();
    let living = if storm.args.mode.has_people() {
        storm.args.clients
    } else {
        0
    };
    for number in 0..living {
        people.spawn(Person::new(Arc::clone(storm), number).live());
    }
    let over = Arc::clone(storm);
    // Whatever happens to a client ends the storm.
    people.spawn(async move {
        over.over.cancelled().await;
        Ok(())
    });
    people
}

async fn join_people(storm: &Storm, mut people: JoinSet<anyhow::Result<()>>) {
    let joined = tokio::time::timeout(LAST_ANSWERS, async {
        while let Some(done) = people.join_next().await {
            match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => storm.violate("answers", &format!("{error:#}"), &[]),
                Err(error) => storm.violate("storm", &format!("a client broke: {error}"), &[]),
            }
        }
    });
    if joined.await.is_err() {
        storm.violate("answers", "a client has no last answer", &[]);
    }
}

/// Everything that is looked at after the storm. What is found first ends it: whatever follows would only
/// follow from it.
async fn judge(storm: &Storm) -> anyhow::Result<()> {
    if storm.args.mode == Mode::Restore {
        // What the clients were told, the database has forgotten: the mode judges by itself.
        return Ok(());
    }
    storm.come_to_rest().await?;
    if storm.is_violated() {
        return Ok(());
    }
    storm.wait_for_sweep().await?;
    storm.hold_up().await?;
    if storm.is_violated() {
        return Ok(());
    }
    storm.clear_away().await?;
    if storm.is_violated() {
        return Ok(());
    }
    storm.once_more().await?;
    if storm.is_violated() {
        return Ok(());
    }
    storm.verify_audit().await?;
    storm.read_rows().await
}

/// Asks every process to end.
async fn end(storm: &Storm) -> anyhow::Result<()> {
    for process in storm.installation.processes() {
        let (status, took) = tokio::task::block_in_place(|| process.stop())?;
        if !status.success() && !storm.is_violated() {
            let text = format!("{} ended with {status} after {took:?}", process.name);
            storm.violate("exit", &text, &[]);
        }
    }
    Ok(())
}
