//! Everybody at one moment: more servers at once than one api takes at a time, then more than there are
//! addresses.

use crate::storm::book::{Network, Wish};
use crate::storm::caller::{Answer, Ask};
use crate::storm::person::body;
use crate::storm::storm::Storm;
use anyhow::ensure;
use futures::future::try_join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;

/// A range of as many addresses as the last number says, and how many ask for one of them.
const RANGE: (&str, u8) = ("10.66.0", 100);
const ASK_FOR_RANGE: usize = 300;

pub(super) async fn rage(storm: &Arc<Storm>) -> anyhow::Result<()> {
    let many = usize::try_from(storm.args.kills)?;
    let (made, took) = at_once(storm, many, "rush", |_| Network::Pool).await?;
    ensure!(made == many || storm.is_violated(), "{made} of {many}");
    storm.find(format!(
        "{made} creates at one moment over {} apis, all accepted in {took:.1?}",
        storm.args.apis()
    ));
    let range = |_| Network::Range(RANGE.0.into(), 1, RANGE.1);
    let (made, _) = at_once(storm, ASK_FOR_RANGE, "range", range).await?;
    let text = format!(
        "{ASK_FOR_RANGE} creates for {} addresses at one moment: {made} accepted",
        RANGE.1
    );
    if made != usize::from(RANGE.1) {
        storm.violate("I6", &text, &[]);
    }
    storm.find(text);
    distinct(storm).await?;
    storm.kill.store(storm.args.kills, Ordering::SeqCst);
    let began = Instant::now();
    storm.over.cancel();
    storm.come_to_rest().await?;
    storm.find(format!(
        "all of them had ended {:.1?} later",
        began.elapsed()
    ));
    Ok(())
}

/// How many were accepted, and how long the slowest answer took.
async fn at_once(
    storm: &Arc<Storm>,
    many: usize,
    name: &str,
    network: impl Fn(usize) -> Network,
) -> anyhow::Result<(usize, Duration)> {
    let barrier = Arc::new(Barrier::new(many + 1));
    let mut asking = Vec::new();
    for n in 0..many {
        let wish = Wish {
            name: format!("{name}-{n}"),
            role: "web",
            cpu: 1,
            memory: 512,
            disk: 10,
            network: network(n),
        };
        let (storm, barrier) = (Arc::clone(storm), Arc::clone(&barrier));
        asking.push(tokio::spawn(async move {
            let body = body(&wish);
            let key = format!("storm-{}-{}", storm.seed, wish.name);
            barrier.wait().await;
            let answer = storm
                .caller
                .definite(Ask::post("/api/servers/create", &body, &key))
                .await?;
            anyhow::Ok((wish, answer))
        }));
    }
    barrier.wait().await;
    let began = Instant::now();
    let answers: Vec<anyhow::Result<(Wish, Answer)>> = try_join_all(asking).await?;
    let took = began.elapsed();
    let mut made = 0;
    for answered in answers {
        let (wish, answer) = answered?;
        made += usize::from(storm.accepted_one(0, wish, answer).await?.is_some());
    }
    Ok((made, took))
}

/// No number and no address twice, by what the apis list.
async fn distinct(storm: &Storm) -> anyhow::Result<()> {
    let listed = storm.caller.all("/api/servers", "servers").await?;
    for field in ["id", "vmid", "name", "ip_address"] {
        let values: BTreeSet<String> = listed.iter().map(|s| s[field].to_string()).collect();
        if values.len() != listed.len() {
            let text = format!("{} servers, {} of {field}", listed.len(), values.len());
            storm.violate("I6", &text, &[]);
        }
    }
    Ok(())
}
