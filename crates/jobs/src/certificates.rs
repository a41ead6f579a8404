//! When certificates end, as it is remembered: nobody asks for them at every look.

use crate::worker::Worker;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tpm_provisioner::{Certificate, Certificates};

/// A certificate ends on a day that was known for long.
const REMEMBER: Duration = Duration::from_secs(3600);
/// Who did not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(300);

/// When somebody was asked, and what he said if he answered.
type Answer = (Instant, Option<Vec<Certificate>>);

/// What was last heard of each place.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<BTreeMap<String, Answer>>);

/// What is known of certificates.
#[derive(Debug, Default)]
pub(crate) struct KnownCertificates {
    /// By whose they are.
    pub(crate) known: Vec<(String, Certificate)>,
    /// Those who did not answer, or are not there just now.
    pub(crate) silent: BTreeSet<String>,
}

impl Worker {
    /// The certificates of all nodes that are online and our own; those of others are not known.
    pub(crate) async fn certificates(&self, nodes: &[(String, bool)]) -> KnownCertificates {
        let online = nodes.iter().filter(|(_, online)| *online);
        let online: Vec<String> = online.map(|(name, _)| name.clone()).collect();
        let offline = nodes.iter().filter(|(_, online)| !*online);
        let mut result = KnownCertificates {
            silent: offline.map(|(name, _)| name.clone()).collect(),
            ..KnownCertificates::default()
        };
        let mut heard = self.heard_of_certificates().0.lock().await;
        for source in self.certificate_sources() {
            let places = source.places(&online);
            let is_fresh = |place: &&String| {
                heard.get(*place).is_some_and(|(at, told)| {
                    let kept = if told.is_some() { REMEMBER } else { AGAIN };
                    at.elapsed() < kept
                })
            };
            // All at once: one that does not answer holds up none of the others.
            let old = places.iter().filter(|place| !is_fresh(place));
            let asked = old.map(|place| async { (place.clone(), ask(source, place).await) });
            for (place, told) in join_all(asked).await {
                heard.insert(place, (Instant::now(), told));
            }
            for place in places {
                match heard.get(&place).and_then(|(_, told)| told.as_ref()) {
                    Some(told) => {
                        let told = told.iter().map(|one| (place.clone(), one.clone()));
                        result.known.extend(told);
                    }
                    None => {
                        result.silent.insert(place);
                    }
                }
            }
        }
        result
    }
}

async fn ask(source: &Arc<dyn Certificates>, place: &str) -> Option<Vec<Certificate>> {
    match source.of(place).await {
        Ok(told) => Some(told),
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(place, error, "cannot see when certificates end");
            None
        }
    }
}
