//! What is to become of options that were changed on a guest by hand: the row takes them over, the guest is
//! put back, or they are left as they are.

use super::change::ChangeOutcome;
use super::delete::{existing, target};
use super::reserve::{Crossings, Refusal};
use crate::{App, Ctx, Result};
use std::collections::BTreeMap;
use tpm_domain::{
    Drift, Error, Event, EventKind, FieldErrors, MARK_PREFIX, Permission, Reason, Server, ServerId,
    ServerSpec,
};

/// What becomes of one option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftChoice {
    /// The server is from now on what the guest is.
    Adopt,
    /// The guest becomes what the server is.
    Revert,
    /// It is left as it is, whatever it becomes.
    Ignore,
    /// It is no longer left as it is.
    Watch,
}

impl DriftChoice {
    /// All of them, in the order above.
    pub const ALL: [Self; 4] = [Self::Adopt, Self::Revert, Self::Ignore, Self::Watch];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Revert => "revert",
            Self::Ignore => "ignore",
            Self::Watch => "watch",
        }
    }
}

impl App {
    /// Decides about options that differ. With one that is reverted, every other one that differs has to be
    /// decided about too: the guest is put back as a whole.
    ///
    /// # Errors
    /// Invalid with every wrong option, forbidden, not found, conflict (a task is at work, no room, beyond
    /// the quota), or the store does not answer. Nothing is decided then.
    pub async fn decide_drift(
        &self,
        ctx: &Ctx,
        id: ServerId,
        choices: &BTreeMap<String, DriftChoice>,
        errors: FieldErrors,
    ) -> Result<ChangeOutcome> {
        ctx.reach(Permission::WriteServers)?;
        errors.into_result(())?;
        let mut crossings = Crossings::default();
        let done = loop {
            match self.try_decide(ctx, id, choices).await {
                Err(refusal) if crossings.again(&refusal) => {}
                done => break done?,
            }
        };
        if matches!(done, ChangeOutcome::Started(_)) {
            self.store().queue().wake().await;
        }
        Ok(done)
    }

    async fn try_decide(
        &self,
        ctx: &Ctx,
        id: ServerId,
        choices: &BTreeMap<String, DriftChoice>,
    ) -> std::result::Result<ChangeOutcome, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let before = existing(ctx, &*tx, id).await?;
        let (server, adopted, ignored) = decided(&before, choices)?;
        let reverts = choices
            .values()
            .any(|choice| *choice == DriftChoice::Revert);
        if server.spec != before.spec {
            self.gate(&*tx, &before, &server).await?;
        }
        let outcome = if reverts {
            // What is adopted stays when putting the rest back does not work out.
            ChangeOutcome::Started(self.enqueue_change(ctx, &*tx, &server, false).await?)
        } else {
            self.refuse_busy(&*tx, id).await?;
            ChangeOutcome::Saved
        };
        tx.save_server(&server).await?;
        if !adopted.is_empty() || !ignored.is_empty() {
            let event = Event {
                kind: EventKind::DriftDecided { adopted, ignored },
                server: Some(id),
                server_name: server.name.to_string(),
                task: None,
            };
            tx.add_event(&event).await?;
        }
        ctx.remember(&*tx, &outcome).await?;
        self.commit(ctx, tx, target(&server)).await?;
        Ok(outcome)
    }
}

/// The server after the decisions, and what was adopted and ignored.
fn decided(
    before: &Server,
    choices: &BTreeMap<String, DriftChoice>,
) -> std::result::Result<(Server, Vec<String>, Vec<String>), Error> {
    let mut errors = FieldErrors::default();
    let mut server = before.clone();
    let (mut adopted, mut ignored) = (Vec::new(), Vec::new());
    for (option, choice) in choices {
        let field = format!("fields.{option}");
        let drift = before.drift.iter().find(|drift| drift.option == *option);
        match (choice, drift) {
            (DriftChoice::Watch, _) if before.kept.options.contains(option) => {
                server.kept.options.remove(option);
            }
            (DriftChoice::Watch, _) | (_, None) => errors.add(field, Reason::NoSuch),
            (DriftChoice::Revert, Some(_)) => {}
            (DriftChoice::Ignore, Some(_)) => {
                server.kept.options.insert(option.clone());
                server.drift.retain(|drift| drift.option != *option);
                ignored.push(option.clone());
            }
            (DriftChoice::Adopt, Some(drift)) => match adopt(&mut server.spec, before, drift) {
                Some(()) => {
                    server.drift.retain(|drift| drift.option != *option);
                    adopted.push(option.clone());
                }
                None => {
                    let allowed = vec!["revert".into(), "ignore".into()];
                    errors.add(field, Reason::OneOf { allowed });
                }
            },
        }
    }
    if choices
        .values()
        .any(|choice| *choice == DriftChoice::Revert)
    {
        for drift in &before.drift {
            if !choices.contains_key(&drift.option) {
                errors.add(format!("fields.{}", drift.option), Reason::Required);
            }
        }
    }
    errors.into_result((server, adopted, ignored))
}

/// Puts onto the row what the guest is; `None` for what belongs to a role or network rather than to a server.
fn adopt(spec: &mut ServerSpec, before: &Server, drift: &Drift) -> Option<()> {
    let found = drift.found.as_deref();
    let number = |default: u32| found.map_or(Some(default), |text| text.parse().ok());
    match drift.option.as_str() {
        "memory" => spec.memory_mb = number(512)?,
        "cores" => {
            // Several sockets have their part in it.
            let sockets = before.drift.iter().find(|drift| drift.option == "sockets");
            let sockets = sockets.and_then(|drift| drift.found.as_deref());
            let sockets: u32 = sockets.map_or(Some(1), |text| text.parse().ok())?;
            spec.cpu = number(1)?.checked_mul(sockets).filter(|cpu| *cpu > 0)?;
        }
        // Taken over with the cores.
        "sockets" => {}
        "tags" => {
            let tags = found.unwrap_or_default().split([';', ',', ' ']);
            let tags = tags.filter(|tag| !tag.is_empty());
            spec.tags = Some(ServerSpec::canonical_tags(tags));
        }
        "description" => {
            let lines = found.unwrap_or_default().lines();
            let lines: Vec<&str> = lines
                .filter(|line| !line.trim().starts_with(MARK_PREFIX))
                .collect();
            spec.description = Some(lines.join("\n").trim_end().to_owned());
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpm_domain::{
        Expiry, Kept, ProjectId, ServerName, ServerState, TaskToken, Timestamp, Vmid,
    };

    fn drift(option: &str, found: &str) -> Drift {
        Drift {
            option: option.into(),
            wanted: None,
            found: Some(found.into()),
        }
    }

    fn server(drift: Vec<Drift>) -> Server {
        Server {
            id: ServerId(1),
            name: ServerName::new("web").expect("a name"),
            project: ProjectId(1),
            spec: ServerSpec {
                role: "web".into(),
                cpu: 2,
                memory_mb: 2048,
                disk_gb: 20,
                nics: Vec::new(),
                tags: None,
                description: None,
            },
            placement: None,
            expiry: Expiry::default(),
            drift,
            kept: Kept::default(),
            state: ServerState::Running,
            engine: "direct".into(),
            vmid: Vmid(100),
            node: None,
            identity: None,
            created_by: TaskToken("task_a".into()),
            ip_address: None,
            problem: None,
            readiness: Vec::new(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    fn choices(of: &[(&str, DriftChoice)]) -> BTreeMap<String, DriftChoice> {
        of.iter().map(|(name, it)| ((*name).into(), *it)).collect()
    }

    #[test]
    fn what_is_adopted_stands_on_the_row() {
        let before = server(vec![
            drift("cores", "2"),
            drift("description", "by hand\n\ntpm:v1 i=1 s=1 o=t v=100 h=0\n"),
            drift("memory", "4096"),
            drift("sockets", "2"),
            drift("tags", "web;db"),
        ]);
        let all = ["cores", "description", "memory", "sockets", "tags"];
        let all: Vec<_> = all.iter().map(|it| (*it, DriftChoice::Adopt)).collect();
        let (after, adopted, _) = decided(&before, &choices(&all)).expect("decided");
        assert_eq!((after.spec.cpu, after.spec.memory_mb), (4, 4096));
        assert_eq!(after.spec.description.as_deref(), Some("by hand"));
        assert_eq!(after.spec.tags, Some(vec!["db".into(), "web".into()]));
        assert!(after.drift.is_empty() && adopted.len() == 5);
    }

    #[test]
    fn what_is_ignored_is_kept_until_it_is_watched_again() {
        let before = server(vec![drift("net0", "e1000=x")]);
        let (after, _, ignored) =
            decided(&before, &choices(&[("net0", DriftChoice::Ignore)])).expect("decided");
        assert!(after.kept.has("net0") && after.drift.is_empty());
        assert_eq!(ignored, ["net0"]);
        let (again, ..) =
            decided(&after, &choices(&[("net0", DriftChoice::Watch)])).expect("decided");
        assert!(!again.kept.has("net0"));
    }

    #[test]
    fn every_wrong_decision_is_told() {
        let before = server(vec![drift("net0", "x"), drift("memory", "1024")]);
        let wrong = |of: &[(&str, DriftChoice)]| match decided(&before, &choices(of)) {
            Err(Error::Invalid(errors)) => errors.into_iter().map(|e| e.field).collect(),
            _ => Vec::<String>::new(),
        };
        // Not an option that differs; not one that is left; not one that a row can take over.
        assert_eq!(
            wrong(&[
                ("cores", DriftChoice::Adopt),
                ("memory", DriftChoice::Watch),
                ("net0", DriftChoice::Adopt)
            ]),
            ["fields.cores", "fields.memory", "fields.net0"]
        );
        // Putting back is of the whole guest.
        assert_eq!(wrong(&[("net0", DriftChoice::Revert)]), ["fields.memory"]);
    }
}
