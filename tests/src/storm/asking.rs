//! Asking for one thing and holding the answer: what was accepted goes into the book, what was refused must
//! be a refusal that there is, and an end is held against the cluster at the moment it is told.

use super::book::{End, Told, Wish};
use super::caller::{Answer, Ask};
use super::judge;
use super::storm::Storm;
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

impl Storm {
    pub(crate) fn keys_work(&self) -> bool {
        self.keys_work
    }

    /// What became of a request for one server; its task when it was accepted.
    pub(crate) async fn accepted_one(
        &self,
        client: usize,
        wish: Wish,
        answer: Answer,
    ) -> anyhow::Result<Option<String>> {
        let mut begun = self.accepted_many(client, vec![wish], answer).await?;
        Ok(begun.pop())
    }

    /// What became of a request for servers; their tasks when it was accepted.
    pub(crate) async fn accepted_many(
        &self,
        client: usize,
        wishes: Vec<Wish>,
        answer: Answer,
    ) -> anyhow::Result<Vec<String>> {
        if answer.status == 409 && answer.repeated && answer.code() == "NAME_TAKEN" {
            return self.look_up(client, wishes).await;
        }
        let body = &answer.body;
        if answer.status == 201 {
            let single = [json!({ "server_id": body["server_id"], "task_id": body["task_id"] })];
            let many = body["servers"].as_array();
            let made: &[Value] = many.map_or(&single, |many| many);
            ensure!(made.len() == wishes.len(), "I1: {} of {body}", wishes.len());
            let mut begun = Vec::new();
            let mut book = self.book.open();
            for (wish, made) in wishes.into_iter().zip(made) {
                let id = made["server_id"].as_i64().context("no server_id")?;
                let token = made["task_id"].as_str().context("no task_id")?;
                book.accept_server(client, id, wish, token);
                begun.push(token.to_owned());
            }
            if many.is_some() {
                let token = body["task_id"].as_str().context("no task_id")?;
                book.accept_task(token, "bulk_create", None);
                if let Some(work) = book.tasks.get_mut(token) {
                    work.children.clone_from(&begun);
                }
            }
            return Ok(begun);
        }
        let expected = matches!(
            answer.code(),
            "ADDRESSES_EXHAUSTED" | "ADDRESS_TAKEN" | "NAME_TAKEN" | "NO_CAPACITY"
        );
        ensure!(
            answer.status == 409 && expected,
            "a create was answered with {} {body}",
            answer.status
        );
        self.book.open().refused += 1;
        Ok(Vec::new())
    }

    /// A request whose answer was lost had been carried out: finds what it made by the names.
    async fn look_up(&self, client: usize, wishes: Vec<Wish>) -> anyhow::Result<Vec<String>> {
        let mut begun = Vec::new();
        for wish in wishes {
            let path = format!("/api/servers?name={}&limit=500", wish.name);
            let body = self.caller.get(&path).await?;
            let found = body["servers"].as_array().context("no servers")?;
            let server = found
                .iter()
                .rev()
                .find(|server| server["name"] == wish.name.as_str() && server["cpu"] == wish.cpu);
            // Somebody else's request for the same name came first.
            let Some(id) = server.and_then(|server| server["id"].as_i64()) else {
                continue;
            };
            let Some(token) = self.task_of(id, "create_server").await? else {
                anyhow::bail!("I1: server {id} ({}) has no task", wish.name);
            };
            let mut book = self.book.open();
            book.looked_up += 1;
            if !book.servers.contains_key(&id) {
                book.accept_server(client, id, wish, &token);
                begun.push(token);
            }
        }
        Ok(begun)
    }

    /// The newest task of a kind that works or worked on a server.
    async fn task_of(&self, id: i64, kind: &str) -> anyhow::Result<Option<String>> {
        let path = format!("/api/tasks?server_id={id}&kind={kind}&limit=1");
        let body = self.caller.get(&path).await?;
        Ok(body["tasks"][0]["task_id"].as_str().map(str::to_owned))
    }

    pub(crate) async fn cancel(&self, token: &str) -> anyhow::Result<()> {
        let path = format!("/api/tasks/{token}/cancel");
        let ask = Ask::of(Method::POST, &path, None);
        let answer = self.caller.definite(ask).await?;
        ensure!(
            answer.status == 200 || answer.code() == "TASK_ENDED",
            "cancel: {} {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    /// Deletes a server that was seized; the task that does.
    pub(crate) async fn delete(&self, told: &Told) -> anyhow::Result<Option<String>> {
        let path = format!("/api/servers/{}", told.id);
        let ask = Ask::of(Method::DELETE, &path, None);
        let answer = self.caller.definite(ask).await?;
        let token = match (answer.status, answer.body["task_id"].as_str()) {
            (200, Some(token)) => Some(token.to_owned()),
            (404, _) if answer.repeated => self.task_of(told.id, "delete_server").await?,
            _ => None,
        };
        match token {
            Some(token) => {
                let mut book = self.book.open();
                book.accept_task(&token, "delete_server", Some(told.id));
                if let Some(told) = book.servers.get_mut(&told.id) {
                    told.deleting = true;
                }
                Ok(Some(token))
            }
            // The sweep is removing what was left of it.
            None if answer.code() == "SERVER_BUSY" => {
                self.book.open().let_go(told.id);
                Ok(None)
            }
            None => self.unexpected("delete", told, &answer).map(|()| None),
        }
    }

    /// Deletes several at once; the tasks that do.
    pub(crate) async fn delete_several(
        &self,
        several: &[Told],
        key: &str,
    ) -> anyhow::Result<Vec<String>> {
        let ids: Vec<i64> = several.iter().map(|told| told.id).collect();
        let body = json!({ "server_ids": ids });
        let ask = Ask::post("/api/servers/bulk-delete", &body, key);
        let answer = self.caller.definite(ask).await?;
        let mut tokens = Vec::new();
        if answer.status == 201 || answer.status == 200 {
            let made = answer.body["servers"].as_array().context("no servers")?;
            for made in made {
                tokens.push(made["task_id"].as_str().context("no task_id")?.to_owned());
            }
        } else if answer.repeated && matches!(answer.status, 404 | 409) {
            for id in &ids {
                let token = self.task_of(*id, "delete_server").await?;
                tokens.push(token.context("I1: a bulk-delete has no task")?);
            }
        } else if answer.code() == "SERVER_BUSY" {
            let mut book = self.book.open();
            ids.iter().for_each(|id| book.let_go(*id));
            return Ok(tokens);
        } else {
            for told in several {
                self.unexpected("bulk-delete", told, &answer)?;
            }
        }
        let mut book = self.book.open();
        for (id, token) in ids.iter().zip(&tokens) {
            book.accept_task(token, "delete_server", Some(*id));
            if let Some(told) = book.servers.get_mut(id) {
                told.deleting = true;
            }
        }
        if let (Some(token), 200 | 201) = (answer.body["task_id"].as_str(), answer.status) {
            book.accept_task(token, "bulk_delete", None);
            if let Some(work) = book.tasks.get_mut(token) {
                work.children.clone_from(&tokens);
            }
        }
        Ok(tokens)
    }

    /// An answer that nothing explains.
    pub(crate) fn unexpected(
        &self,
        what: &str,
        told: &Told,
        answer: &Answer,
    ) -> anyhow::Result<()> {
        anyhow::bail!(
            "{what} of server {} ({:?}) was answered with {} {}",
            told.id,
            told.stage,
            answer.status,
            answer.body
        )
    }

    /// Looks at a task; whether it has ended. What it ended with is noted and held against the cluster.
    pub(crate) async fn look(&self, token: &str) -> anyhow::Result<bool> {
        let answer = self
            .caller
            .definite(Ask::get(&format!("/api/tasks/{token}")))
            .await?;
        if answer.status != 200 {
            let text = format!("task {token} is gone: {} {}", answer.status, answer.body);
            self.violate("I1", &text, &[]);
            return Ok(true);
        }
        let body = answer.body;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = text(&body["status"]);
        if matches!(status.as_str(), "pending" | "running") {
            return Ok(false);
        }
        let end = End {
            status,
            code: text(&body["error"]["code"]),
            step: text(&body["error"]["details"]["step"]),
        };
        let server = {
            let book = self.book.open();
            let work = book.tasks.get(token);
            let known = work.is_some_and(|work| work.end.is_some());
            work.and_then(|work| work.server).filter(|_| !known)
        };
        // What is known of it is learnt before it is anybody else's.
        if let Some(id) = server {
            self.learn(id).await?;
        }
        self.hold_against_cluster(token, end);
        Ok(true)
    }

    async fn learn(&self, id: i64) -> anyhow::Result<()> {
        let answer = self
            .caller
            .definite(Ask::get(&format!("/api/servers/{id}")))
            .await?;
        if answer.status == 200 {
            let vmid = answer.body["vmid"]
                .as_u64()
                .and_then(|n| u32::try_from(n).ok());
            let address = answer.body["ip_address"].as_str().map(str::to_owned);
            self.book.open().learn(id, vmid, address);
        }
        Ok(())
    }

    /// Notes an end and, at the moment it is told, looks whether it is true.
    fn hold_against_cluster(&self, token: &str, end: End) {
        // Nobody acts on the server between the two: it becomes free with the end.
        let mut book = self.book.open();
        let work = book.tasks.get(token).cloned();
        let told = work
            .as_ref()
            .and_then(|work| book.servers.get(&work.server?).cloned());
        let fresh = work.as_ref().is_some_and(|work| work.end.is_none());
        let mut wrong: Vec<(&'static str, String)> = Vec::new();
        if let (true, Some(work), Some(told)) = (fresh, &work, &told) {
            let guest = told
                .vmid
                .and_then(|vmid| self.installation.simulator.guest(vmid));
            let mut told = told.clone();
            let done = end.status == "completed";
            match work.kind {
                "create_server" if done => {
                    told.power = Some("running");
                    let found = judge::wrong_with(&told, guest.as_ref());
                    wrong.extend(found.into_iter().map(|text| ("I3", text)));
                }
                "create_server" | "delete_server"
                    if done || end.status == "cancelled" && work.kind == "create_server" =>
                {
                    if let Some(guest) = guest
                        && judge::marked_for(&guest) == Some(told.id)
                        && !(book.stubs.contains(&guest.vmid) && judge::is_locked_by_clone(&guest))
                    {
                        wrong.push(("I4", format!("the guest is still there: {guest:?}")));
                    }
                }
                _ => {}
            }
        }
        let noted = book.end(token, end.clone());
        drop(book);
        if let Err(before) = noted {
            let text = format!("task {token} ended as {before:?}, then as {end:?}");
            self.violate("I2", &text, &[]);
        }
        for (invariant, text) in wrong {
            let (id, vmid) = told.as_ref().map_or((0, None), |told| (told.id, told.vmid));
            let text = format!("task {token} {} of server {id}: {text}", end.status);
            self.violate(invariant, &text, &vmid.into_iter().collect::<Vec<_>>());
        }
    }
}
