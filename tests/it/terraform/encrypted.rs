//! How a run reaches its state: by TLS, with a certificate of its own, and in no other way.

use super::{completed, running, stack};
use crate::fleet::hand;
use anyhow::{Context, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tpm_test_support::{Stack, Terraform};

/// What a run is told of where providers come from: the folder, and nothing else it could fall back to.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_of_its_mirror_and_no_registry() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    let seen = tempfile::tempdir()?;
    let (script, out) = (seen.path().join("terraform"), seen.path().display());
    let text = format!(
        "#!/bin/sh\n\
         [ \"$1\" = init ] && cp \"$TF_CLI_CONFIG_FILE\" \"{out}/rc\" && env > \"{out}/env\"\n\
         exec \"{}\" \"$@\"\n",
        terraform.binary.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o700))?;
    let terraform = Terraform {
        binary: script,
        mirror: terraform.mirror.clone(),
    };
    let stack = Stack::builder().terraform(&terraform).start().await?;
    running(&stack, "web-1").await?;
    let told = fs::read_to_string(seen.path().join("rc"))?;
    let words: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let mirror = terraform.mirror.canonicalize()?;
    let wanted = format!(
        "disable_checkpoint = true provider_installation {{ filesystem_mirror {{ path = \"{}\" }} }}",
        mirror.display()
    );
    ensure!(words == wanted, "{told}");
    // Nor by a proxy that this process was given.
    let environment = fs::read_to_string(seen.path().join("env"))?;
    let proxy = |line: &str| line.to_ascii_lowercase().contains("_proxy=");
    ensure!(!environment.lines().any(proxy), "a proxy");
    ensure!(environment.contains("TF_CLI_CONFIG_FILE="));
    stack.stop().await
}

/// How long something may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reaches_its_state_by_tls_alone() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    let seen = tempfile::tempdir()?;
    let (script, out) = (seen.path().join("terraform"), seen.path().display());
    // Says where its state is, and waits to be let go.
    let text = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = apply ]; then\n\
           echo \"$TF_HTTP_ADDRESS\" > \"{out}/address.draft\"\n\
           mv \"{out}/address.draft\" \"{out}/address\"\n\
           while [ ! -e \"{out}/go\" ]; do sleep 0.1; done\n\
         fi\n\
         exec \"{}\" \"$@\"\n",
        terraform.binary.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o700))?;
    let terraform = Terraform {
        binary: script,
        mirror: terraform.mirror.clone(),
    };
    let stack = Stack::builder().terraform(&terraform).start().await?;
    let look = async {
        let (file, begun) = (seen.path().join("address"), Instant::now());
        while !file.exists() {
            ensure!(begun.elapsed() < STUCK, "no run");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let address = fs::read_to_string(&file)?.trim().to_owned();
        ensure!(address.starts_with("https://127.0.0.1:"), "{address}");
        let place = address.split('/').nth(2).context("a place")?;
        let mut stream = TcpStream::connect(place).await?;
        stream
            .write_all(b"GET /state HTTP/1.1\r\nHost: x\r\n\r\n")
            .await?;
        let mut told = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(STUCK, stream.read_to_end(&mut told)).await?;
        ensure!(!told.starts_with(b"HTTP"), "{told:?}");
        // Who was not given the run's certificate does not know it.
        let stranger = reqwest::Client::builder().no_proxy().build()?;
        ensure!(stranger.get(&address).send().await.is_err());
        fs::write(seen.path().join("go"), "")?;
        anyhow::Ok(())
    };
    let (ran, looked) = tokio::join!(running(&stack, "web-1"), look);
    looked?;
    // The run itself verified it.
    let (id, _) = ran?;
    let answer = stack.client.delete(&format!("/api/servers/{id}")).await?;
    hand(&stack)?.drain().await?;
    completed(&stack, answer.body["task_id"].as_str().context("task_id")?).await?;
    stack.stop().await
}
