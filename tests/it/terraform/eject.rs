//! From a create to the code that people take away.

use super::{changed, completed, ejected, has_no_changes, ours, running, stack};
use crate::fleet::{hand, is, refused, with};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::{Stack, Terraform};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_made_changed_taken_away_and_removed() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    has_no_changes(&stack, &terraform, id).await?;

    let before = stack.client.server(id).await?;
    let body = json!({ "cpu": 3, "memory": 4096, "disk_size": 24 });
    let task = changed(&stack, id, &body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let plan = format!(
        "/api/tasks/{}/plan",
        task["task_id"].as_str().context("id")?
    );
    let plan = is(stack.client.get(&plan).await?, 200)?;
    let texts: Vec<&str> = plan["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|change| change["text"].as_str())
        .collect();
    let memory = format!("메모리 {} → 4096 MB, 재시작 후 적용", before["memory"]);
    ensure!(texts.contains(&memory.as_str()), "{plan:#}");
    ensure!(plan["destructive"] == false, "{plan:#}");
    has_no_changes(&stack, &terraform, id).await?;
    let guest = stack.simulator.guest(vmid).context("the guest")?;
    let waits = guest.pending.get("memory").cloned().flatten();
    ensure!(waits.as_deref() == Some("4096"), "{guest:#?}");

    let path = format!("/api/servers/{id}/state");
    let states = is(stack.client.get(&path).await?, 200)?;
    let serials: Vec<u64> = states["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|version| version["serial"].as_u64())
        .collect();
    ensure!(
        serials.len() >= 2 && serials.is_sorted_by(|a, b| a > b),
        "{states:#}"
    );
    let first = serials.last().context("a serial")?;
    let state = is(stack.client.get(&format!("{path}/{first}")).await?, 200)?;
    ensure!(state["serial"] == *first, "{state:#}");
    let diff = async |query: &str| {
        let latest = serials[0];
        let path = format!("{path}/{latest}/diff{query}");
        is(stack.client.get(&path).await?, 200)
    };
    let found = diff("").await?;
    ensure!(found["from"] == serials[1], "{found:#}");
    let grown = diff(&format!("?from={first}")).await?;
    let memory = grown["changes"].as_array().context("changes")?.iter();
    let mut memory = memory.filter(|change| change["field"] == "memory.0.dedicated");
    let memory = memory.next().context("memory")?;
    let was = before["memory"].to_string();
    ensure!(
        memory["before"] == was && memory["after"] == "4096",
        "{grown:#}"
    );
    ensure!(
        diff(&format!("?from={}", serials[0])).await?["changes"] == json!([]),
        "it differs from itself"
    );
    refused(
        stack
            .client
            .get(&format!("{path}/{first}/diff?from=999"))
            .await?,
        404,
        "NOT_FOUND",
    )?;
    refused(
        stack.client.get(&format!("{path}/999")).await?,
        404,
        "NOT_FOUND",
    )?;
    let restored = is(
        stack
            .client
            .post(&format!("{path}/{first}/restore"), &json!({}))
            .await?,
        200,
    )?;
    ensure!(restored["serial"] == serials[0] + 1, "{restored:#}");
    // The older state says less memory than there is: the next run looks, and nothing is undone by it.
    let task = changed(&stack, id, &json!({ "cpu": 4 })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    has_no_changes(&stack, &terraform, id).await?;

    let answer = stack.client.delete(&format!("/api/servers/{id}")).await?;
    hand(&stack)?.drain().await?;
    completed(&stack, answer.body["task_id"].as_str().context("task_id")?).await?;
    ensure!(ours(&stack).is_empty(), "{:#?}", stack.simulator.guests());
    stack.stop().await
}

/// An older state is put on top once for each key, however often it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_sent_again_has_no_second_effect() -> anyhow::Result<()> {
    let Some((builder, _)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, _) = running(&stack, "web-1").await?;
    let (other, _) = running(&stack, "web-2").await?;
    let serials = async |id: i64| {
        let path = format!("/api/servers/{id}/state");
        let states = is(stack.client.get(&path).await?, 200)?;
        let versions = states["versions"].as_array().context("versions")?.iter();
        anyhow::Ok(
            versions
                .filter_map(|v| v["serial"].as_u64())
                .collect::<Vec<u64>>(),
        )
    };
    let restore = async |id: i64, serial: u64, body: Value| {
        let path = format!("/api/servers/{id}/state/{serial}/restore");
        crate::fleet::keys::send(&stack.client, &path, "again", &body).await
    };
    let before = serials(id).await?;
    let [.., oldest] = before[..] else {
        bail!("{before:?}")
    };
    let next = before[0] + 1;
    let (one, two) = tokio::join!(
        restore(id, oldest, json!({})),
        restore(id, oldest, json!({}))
    );
    let (one, two) = (is(one?, 200)?, is(two?, 200)?);
    ensure!(one["serial"] == next && one == two, "{one} {two}");
    let third = is(restore(id, oldest, json!({})).await?, 200)?;
    ensure!(third == one, "{third}");
    let after = serials(id).await?;
    ensure!(
        after[0] == next && after.len() == before.len() + 1,
        "{after:?}"
    );

    // The same key with anything else is another request.
    refused(
        restore(id, next, json!({})).await?,
        422,
        "IDEMPOTENCY_KEY_REUSED",
    )?;
    refused(
        restore(other, oldest, json!({})).await?,
        422,
        "IDEMPOTENCY_KEY_REUSED",
    )?;
    let body = json!({ "why": "x" });
    refused(restore(id, oldest, body).await?, 400, "INVALID_REQUEST")?;
    ensure!(serials(id).await? == after);
    stack.stop().await
}

/// What was ejected can also be imported instead of taking the state along.
#[tokio::test(flavor = "multi_thread")]
async fn an_ejected_server_can_be_imported() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, _) = running(&stack, "web-1").await?;
    let dir = tempfile::tempdir()?;
    ejected(&stack, id, dir.path()).await?;
    std::fs::remove_file(dir.path().join("terraform.tfstate"))?;
    tokio::task::block_in_place(|| {
        terraform.by_hand(&stack, dir.path(), &["init", "-no-color"])?;
        let plan = terraform.by_hand(&stack, dir.path(), &["plan", "-no-color"])?;
        ensure!(
            plan.contains("1 to import, 0 to add") && plan.contains("0 to destroy"),
            "{plan}"
        );
        Ok(())
    })?;
    stack.stop().await
}

/// What an import cannot know: how the provider is to go about the guest.
const OF_THE_PROVIDER: [&str; 2] = ["reboot_after_update", "stop_on_destroy"];

/// What plans of an ejected server without a state say: its guest is taken in, nothing of it is changed, and
/// nothing is left to do then.
fn is_only_imported(stack: &Stack, terraform: &Terraform, dir: &Path) -> anyhow::Result<()> {
    tokio::task::block_in_place(|| {
        let run = |args: &[&str]| terraform.by_hand(stack, dir, args);
        run(&["init", "-no-color"])?;
        let plan = run(&["plan", "-no-color"])?;
        ensure!(
            plan.contains("1 to import, 0 to add,") && plan.contains("0 to destroy"),
            "{plan}"
        );
        for line in plan
            .lines()
            .filter_map(|line| line.trim().strip_prefix("~ "))
        {
            let name = line.split_whitespace().next().unwrap_or_default();
            let expected =
                OF_THE_PROVIDER.contains(&name) || ["update", "resource"].contains(&name);
            ensure!(expected, "{line}: {plan}");
        }
        run(&["apply", "-no-color", "-auto-approve"])?;
        let plan = run(&["plan", "-no-color"])?;
        ensure!(plan.contains("No changes."), "{plan}");
        Ok(())
    })
}

/// A server that Terraform did not make is taken away by its block, whatever it was cloned like.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_direct_engine_is_taken_away() -> anyhow::Result<()> {
    for clone_mode in ["linked", "full"] {
        let Some((builder, terraform)) = stack()? else {
            return Ok(());
        };
        let builder = builder.set("PROXMOX__CLONE_MODE", clone_mode);
        let stack = builder.start().await?;
        let wishes =
            json!({ "cpu": 3, "disk_size": 24, "tags": ["b", "a"], "description": "of\nours" });
        let (task, id) = stack.client.create("web-1", wishes).await?;
        hand(&stack)?.drain().await?;
        completed(&stack, &task).await?;
        let vmid = stack.client.server(id).await?["vmid"].clone();
        let vmid = u32::try_from(vmid.as_u64().context("vmid")?)?;
        let behind = stack.simulator.behind_the_back();
        // Where it is now is where it is looked for.
        if clone_mode == "full" {
            behind.migrate(vmid, "pve2").map_err(anyhow::Error::msg)?;
        }
        let before = stack.simulator.guest(vmid).context("the guest")?;
        let dir = tempfile::tempdir()?;
        ejected(&stack, id, dir.path()).await?;
        ensure!(!dir.path().join("terraform.tfstate").exists());
        is_only_imported(&stack, &terraform, dir.path()).context(clone_mode)?;
        let after = stack.simulator.guest(vmid).context("the guest")?;
        ensure!(after == before, "{before:#?} {after:#?}");
        let states = format!("/api/servers/{id}/state");
        ensure!(is(stack.client.get(&states).await?, 200)?["total"] == 0);
        stack.stop().await?;
    }
    Ok(())
}

/// Nothing is told of a guest that is not there, is another, or cannot be looked at.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_taken_away() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (task, id) = stack.client.create("web-1", json!({})).await?;
    let path = format!("/api/servers/{id}/terraform");
    refused(stack.client.get(&path).await?, 404, "NOT_FOUND")?;
    hand(&stack)?.drain().await?;
    completed(&stack, &task).await?;
    let cut = Fault {
        method: None,
        ..Fault::once("GET", "/**", FaultKind::DropBefore).times(0)
    };
    let cut = stack.simulator.faults().inject(cut);
    let answer = stack.client.get(&path).await?;
    refused(answer, 503, "PROXMOX_UNREACHABLE")?;
    stack.simulator.faults().remove(cut);

    let vmid = stack.client.server(id).await?["vmid"].clone();
    let vmid = u32::try_from(vmid.as_u64().context("vmid")?)?;
    let behind = stack.simulator.behind_the_back();
    behind.recreate(vmid).map_err(anyhow::Error::msg)?;
    refused(stack.client.get(&path).await?, 409, "NOT_RENDERABLE")?;
    behind.destroy(vmid).map_err(anyhow::Error::msg)?;
    refused(stack.client.get(&path).await?, 404, "NOT_FOUND")?;
    stack.stop().await
}

/// What is downloaded is called as the server is: not as whoever asks says, and a server's name has no letter that a header
/// could be broken with.
#[tokio::test(flavor = "multi_thread")]
async fn downloads_are_named_by_us() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    for name in [
        "a\"b", "a;b", "a\r\nb", "../a", "a/b", "웹", "a.zip", "a b", "A",
    ] {
        let body = with(crate::fleet::server("web-1"), json!({ "name": name }));
        let answer = stack.client.post("/api/servers/create", &body).await?;
        refused(answer, 400, "INVALID_REQUEST")?;
    }
    let (task, id) = stack.client.create("web-1", json!({})).await?;
    hand(&stack)?.drain().await?;
    completed(&stack, &task).await?;
    for query in [
        "",
        "?filename=..%2Fevil.exe",
        "?name=evil.exe",
        "?download=a%22;b",
    ] {
        let url = format!("{}/api/servers/{id}/terraform{query}", stack.client.base());
        let answer = stack.client.http().get(url).send().await?;
        if !query.is_empty() && answer.status() == 400 {
            continue;
        }
        ensure!(answer.status() == 200, "{query}: {answer:?}");
        let said = &answer.headers()["content-disposition"];
        ensure!(said == "attachment; filename=\"web-1.zip\"", "{said:?}");
        let archive = zip::ZipArchive::new(std::io::Cursor::new(answer.bytes().await?))?;
        let files = archive.file_names().collect::<Result<Vec<_>, _>>()?;
        ensure!(
            files.iter().all(|file| file.starts_with("web-1/")),
            "{files:?}"
        );
    }
    stack.stop().await
}

/// What a create would come to is told without reserving anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reserves_nothing() -> anyhow::Result<()> {
    let stack = tpm_test_support::Stack::builder().start().await?;
    let body = crate::fleet::server("web-1");
    let one = is(stack.client.post("/api/servers/plan", &body).await?, 200)?;
    let two = is(
        stack
            .client
            .post("/api/servers/create?dry_run=true", &body)
            .await?,
        200,
    )?;
    ensure!(
        one == two && one["vmid"] == 10000 && one["dry_run"] == true,
        "{one:#} {two:#}"
    );
    ensure!(one["placement"]["node"].is_string(), "{one:#}");
    let list = is(stack.client.get("/api/servers").await?, 200)?;
    ensure!(list["total"] == 0, "{list:#}");
    let wrong = with(body, json!({ "role": "none" }));
    refused(
        stack.client.post("/api/servers/plan", &wrong).await?,
        400,
        "INVALID_REQUEST",
    )?;
    stack.stop().await
}

/// The module and its example under `dir`; where the example is.
pub(super) fn example(dir: &Path) -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    for folder in ["example", "modules/server"] {
        std::fs::create_dir_all(dir.join(folder))?;
        for file in std::fs::read_dir(source.join(folder))? {
            let file = file?;
            std::fs::copy(file.path(), dir.join(folder).join(file.file_name()))?;
        }
    }
    Ok(dir.join("example"))
}

/// The module by hand, as its example shows: by the command line alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_module_works_by_hand() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let dir = tempfile::tempdir()?;
    let example = example(dir.path())?;
    tokio::task::block_in_place(|| {
        let run = |args: &[&str]| terraform.by_hand(&stack, &example, args);
        run(&["init", "-no-color"])?;
        run(&["apply", "-no-color", "-auto-approve"])?;
        let plan = run(&["plan", "-no-color"])?;
        ensure!(plan.contains("No changes."), "{plan}");
        let guest = stack.simulator.guest(4001).context("the guest")?;
        ensure!(guest.status == "running", "{guest:#?}");
        run(&["destroy", "-no-color", "-auto-approve"])?;
        ensure!(stack.simulator.guest(4001).is_none(), "still there");
        let wrong = run(&["plan", "-no-color", "-var", "none=1"]);
        ensure!(wrong.is_err(), "an unknown variable is taken");
        Ok(())
    })?;
    stack.stop().await
}
