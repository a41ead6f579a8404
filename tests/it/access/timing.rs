//! Nobody learns from a login whether a name is somebody's.

use super::person;
use anyhow::ensure;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tpm_test_support::Stack;

/// People, and guesses at each before anybody has to wait.
const PEOPLE: usize = 8;
const GUESSES: usize = 4;

struct Refusal {
    took: Duration,
    status: u16,
    body: Value,
    headers: Vec<String>,
}

/// A guess, from an address of its own behind a proxy of ours.
async fn guess(stack: &Stack, name: &str, from: usize) -> anyhow::Result<Refusal> {
    let url = format!("{}/api/auth/login", stack.client.base());
    let http = reqwest::Client::builder().no_proxy().build()?;
    let request = http
        .post(url)
        .header("x-forwarded-for", format!("198.51.100.{from}"))
        .json(&json!({ "username": name, "password": "nonsense" }));
    let began = Instant::now();
    let answer = request.send().await?;
    let names = |headers: &HeaderMap| headers.keys().map(ToString::to_string).collect();
    let (status, headers) = (answer.status().as_u16(), names(answer.headers()));
    let body = answer.json().await?;
    Ok(Refusal {
        took: began.elapsed(),
        status,
        body,
        headers,
    })
}

/// How often, of all pairs, the first one took longer: a half when they come from the same distribution.
fn longer(first: &[Refusal], second: &[Refusal]) -> f64 {
    let pairs = || {
        first
            .iter()
            .flat_map(|a| second.iter().map(move |b| (a, b)))
    };
    let count = pairs().filter(|(a, b)| a.took > b.took).count();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let share = count as f64 / pairs().count() as f64;
    share
}

/// Guesses at people, at people who are kept out and at nobody, in turn. What they are answered is the same to
/// the letter. How long it takes is compared by rank: of two samples of 32 from one distribution, the share of
/// pairs has a standard deviation of 0.07, so that 0.2 and 0.8 are four of them away.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_told_apart_by_neither_answer_nor_time() -> anyhow::Result<()> {
    let builder = Stack::builder().set("API__TRUSTED_PROXIES", "127.0.0.1");
    let stack = builder.start().await?;
    for n in 0..PEOPLE {
        person(&stack, &format!("known{n}"), json!(["viewer"])).await?;
        let (id, _) = person(&stack, &format!("kept-out{n}"), json!(["viewer"])).await?;
        let path = format!("/api/users/{id}");
        let answer = stack
            .client
            .patch(&path, &json!({ "disabled": true }))
            .await?;
        ensure!(answer.status == 200, "{}", answer.body);
    }
    let (mut known, mut kept_out, mut nobody) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..PEOPLE * GUESSES {
        let n = round % PEOPLE;
        let from = 3 * round + 1;
        known.push(guess(&stack, &format!("known{n}"), from).await?);
        nobody.push(guess(&stack, &format!("nobody{n}"), from + 1).await?);
        kept_out.push(guess(&stack, &format!("kept-out{n}"), from + 2).await?);
    }
    for refusal in known.iter().chain(&nobody).chain(&kept_out) {
        ensure!(
            refusal.status == 401 && refusal.body == known[0].body,
            "{} {}",
            refusal.status,
            refusal.body
        );
        ensure!(refusal.headers == known[0].headers, "{:?}", refusal.headers);
    }
    for (what, others) in [("nobody", &nobody), ("kept out", &kept_out)] {
        let share = longer(&known, others);
        ensure!(
            (0.2..=0.8).contains(&share),
            "a name that is somebody's takes longer than {what} in {share:.2} of all pairs"
        );
    }
    stack.stop().await
}
