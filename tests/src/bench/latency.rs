//! From the moment a server is asked for to the moment a worker begins with its first step, one at a time:
//! over HTTP, through the database, by the bell that wakes the worker.

use crate::crew::{Crew, Databases, Empty, On};
use crate::measure::{Size, percentile, say, weather};
use anyhow::Context;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tpm_test_support::Stack;

/// One kind of database, with a worker that is idle, and how long each request took in milliseconds.
struct Bed<'a> {
    on: On<'a>,
    stack: Stack,
    crew: Crew,
    began: UnboundedReceiver<Instant>,
    answered_ms: Vec<f64>,
    begun_ms: Vec<f64>,
}

impl<'a> Bed<'a> {
    async fn make(on: On<'a>, size: &Size) -> anyhow::Result<Self> {
        let stack = on.stack(size).await?;
        let (tell, began) = unbounded_channel();
        let hired = Crew::hire(&stack, &Arc::new(Empty::telling(tell)), 1).await?;
        let mut bed = Self {
            on,
            stack,
            crew: Crew::start(hired),
            began,
            answered_ms: Vec::new(),
            begun_ms: Vec::new(),
        };
        // The first one also waits for the worker to start.
        bed.ask("first").await?;
        Ok(bed)
    }

    /// Milliseconds from sending the request to its answer, and to the beginning of the first step.
    async fn ask(&mut self, name: &str) -> anyhow::Result<(f64, f64)> {
        let sent = Instant::now();
        let (task, _) = self.stack.client.create(name, json!({})).await?;
        let answered = sent.elapsed().as_secs_f64() * 1000.0;
        let began = self.began.recv().await.context("the worker is gone")?;
        let begun = began.duration_since(sent).as_secs_f64() * 1000.0;
        self.crew.completed(&self.stack, &task).await?;
        Ok((answered, begun))
    }
}

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let databases = Databases::start()?;
    let mut beds = Vec::new();
    for on in databases.each() {
        beds.push(Bed::make(on, size).await?);
    }
    let each = size.requests.div_ceil(size.rounds);
    for round in 1..=size.rounds {
        for bed in &mut beds {
            let weather = weather(bed.stack.dir.path())?;
            for n in 0..each {
                let (answered, begun) = bed.ask(&format!("r{round}-{n}")).await?;
                bed.answered_ms.push(answered);
                bed.begun_ms.push(begun);
            }
            say(&format!(
                "latency on {}, round {round} of {}: {weather}",
                bed.on.name(),
                size.rounds
            ));
        }
    }
    say(&format!(
        "\n| `POST /api/servers/create`, {} one after the other, idle worker | p50, ms | p99, ms |\n\
         |---|---|---|",
        each * size.rounds
    ));
    for bed in &beds {
        for (what, times) in [
            ("to the answer", &bed.answered_ms),
            ("**to the first step**", &bed.begun_ms),
        ] {
            say(&format!(
                "| {}, {what} | {:.1} | {:.1} |",
                bed.on.name(),
                percentile(times, 50),
                percentile(times, 99)
            ));
        }
    }
    say("");
    for bed in beds {
        bed.crew.stop().await?;
        bed.stack.stop().await?;
    }
    Ok(())
}
