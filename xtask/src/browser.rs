//! The page in a browser, against a live stack that is put up for it and taken down after it: tests, and pictures.
//!
//! Tests may stop and start the api; they ask for it at a door on loopback, which lives as long as they do.

use crate::stack::{self, Interrupted, Plan, Profile, Size, Stack, Stage};
use crate::{web, workspace};
use anyhow::{Context as _, bail};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// What npm runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Tests.
    Tests,
    /// A picture of each page in each look.
    Screenshots,
}

impl Script {
    fn name(self) -> &'static str {
        match self {
            Self::Tests => "e2e",
            Self::Screenshots => "screenshots",
        }
    }
}

/// The cluster is slow enough for states on the way to be seen. What happens behind the manager's back is seen soon.
const TIME_SCALE: &str = "0.2";

/// Channels may be told at the door.
fn settings(door: u16) -> String {
    format!(
        "[worker]\nmetrics_listen = \"\"\nlook_ms = 1000\nsweep_ms = 2000\n\n[backups]\nlook_ms = 2000\n\n\
         [terraform]\nmode = \"off\"\n\n\
         [notify]\nnetworks = [\"127.0.0.0/8\"]\nports = [\"{door}\"]\nhttp = true\n"
    )
}

/// Chromium, by the variable that the tests read or by its usual names.
pub(crate) fn chromium() -> Option<PathBuf> {
    let given = std::env::var_os("CHROMIUM").filter(|value| !value.is_empty());
    let named = given.map(PathBuf::from);
    named.or_else(|| {
        ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .find_map(|name| workspace::in_path(name))
    })
}

/// What is missing here for a browser to look at the page, in one line.
pub(crate) fn missing() -> Option<String> {
    if web::npm(&[]).is_none() {
        return Some("no npm (Node 20 or newer): the page is not looked at".into());
    }
    match chromium() {
        Some(_) => None,
        None => Some("no Chromium in PATH or CHROMIUM: the page is not looked at".into()),
    }
}

/// By hand: builds what is needed, and hands the words on to vitest.
///
/// # Errors
/// When something is missing, does not build, or a test fails.
pub(crate) fn tests(words: &[String]) -> anyhow::Result<()> {
    if let Some(missing) = missing() {
        bail!(missing);
    }
    run(Script::Tests, words, &[], stack::build)
}

/// Writes pictures of all pages into a folder; `screenshots` in the folder that cargo builds into, when none is named.
///
/// # Errors
/// When something is missing, does not build, or a page has a fault.
pub(crate) fn screenshots(folder: Option<PathBuf>) -> anyhow::Result<()> {
    if let Some(missing) = missing() {
        bail!(missing);
    }
    let folder = match folder {
        Some(folder) => std::env::current_dir()?.join(folder),
        None => workspace::target()?.join("screenshots"),
    };
    let shown = folder.display().to_string();
    let variables = [("SCREENSHOTS", shown.as_str())];
    run(Script::Screenshots, &[], &variables, stack::build)?;
    println!("pictures are in {shown}");
    Ok(())
}

/// Programs, by name.
type Programs = HashMap<&'static str, PathBuf>;

/// Runs the script with its stack.
///
/// # Errors
/// When something does not build or start, or the script fails.
pub(crate) fn run(
    script: Script,
    words: &[String],
    variables: &[(&str, &str)],
    programs: impl FnOnce() -> anyhow::Result<Programs>,
) -> anyhow::Result<()> {
    if let Some(missing) = web::build_with_tools()? {
        bail!(missing);
    }
    let programs = programs()?;
    let folder = tempfile::Builder::new().prefix("tpm-page-").tempdir()?;
    let runtime = stack::runtime()?;
    let door = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let plan = Plan {
        peers: None,
        stage: Some(Stage {
            time_scale: TIME_SCALE,
            settings: settings(door.local_addr()?.port()),
        }),
        folder: folder.path().to_path_buf(),
        simulator: "127.0.0.1:0",
        api: "127.0.0.1:0",
        profile: Profile::Realistic,
        keep_cluster: false,
        admin_password: stack::random_password()?,
        outer_settings: false,
        size: Size::SMALLEST,
    };
    let result = runtime.block_on(async {
        let mut stack = tokio::select! {
            stack = Stack::start(&plan, &programs) => stack?,
            _ = stack::interrupted() => return Err(Interrupted.into()),
        };
        let played = play((script, words, variables), &plan, &mut stack, &door).await;
        let stopped = stack.stop_or_kill().await;
        played.and(stopped)
    });
    if result
        .as_ref()
        .is_err_and(|error| !error.is::<Interrupted>())
    {
        eprintln!("the logs are kept in {}", folder.keep().display());
    }
    result
}

async fn play(
    (script, words, variables): (Script, &[String], &[(&str, &str)]),
    plan: &Plan,
    stack: &mut Stack,
    door: &TcpListener,
) -> anyhow::Result<()> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if !words.is_empty() {
        words.insert(0, "--");
    }
    let all: Vec<&str> = ["run", script.name()].into_iter().chain(words).collect();
    let mut npm = Command::from(web::npm(&all).context("no npm")?);
    let api = stack.api_urls.first().context("no api")?;
    npm.env("BASE_URL", api)
        .env("ADMIN_PASSWORD", &plan.admin_password)
        .env("API_DOOR", format!("http://{}", door.local_addr()?))
        .env(
            "SIMULATOR_URL",
            stack.control_url.as_deref().context("no control door")?,
        )
        .env("CHROMIUM", chromium().context("no Chromium")?)
        .envs(variables.iter().copied())
        .process_group(0);
    let mut npm = npm.spawn().context("cannot start npm")?;
    let ended = until_the_end(&mut npm, door, stack).await;
    if ended.is_err() {
        end(&mut npm).await?;
    }
    match ended? {
        status if status.success() => Ok(()),
        status => bail!("`npm run {}` failed: {status}", script.name()),
    }
}

async fn until_the_end(
    npm: &mut Child,
    door: &TcpListener,
    stack: &mut Stack,
) -> anyhow::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = npm.wait() => return Ok(status?),
            caller = door.accept() => answer(caller?.0, stack).await?,
            error = stack.watch() => return Err(error),
            asked = stack::interrupted() => return asked.and(Err(Interrupted.into())),
        }
    }
}

/// Ends npm and all that it started.
async fn end(npm: &mut Child) -> anyhow::Result<()> {
    if let Some(id) = npm.id() {
        let group = format!("-{id}");
        let mut kill = Command::new("kill");
        kill.args(["-TERM", "--", &group]).status().await?;
    }
    npm.wait().await?;
    Ok(())
}

/// `POST /stop` and `POST /start`, of the api, are answered when it is done; whatever is posted to `/hook` is taken.
async fn answer(mut caller: TcpStream, stack: &mut Stack) -> anyhow::Result<()> {
    let Some(path) = asked(&mut caller).await else {
        return Ok(());
    };
    let done = match path.as_str() {
        "/stop" => stack.stop_api().await,
        "/start" => stack.start_api().await,
        "/hook" => Ok(()),
        _ => Err(anyhow::anyhow!("there is /stop, /start and /hook")),
    };
    let (status, text) = match done {
        Ok(()) => ("200 OK", String::new()),
        Err(error) => ("500 Internal Server Error", format!("{error:#}")),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    // Who does not wait for the answer does not get it.
    let _ = caller.write_all(answer.as_bytes()).await;
    Ok(())
}

/// The path of a request that was read to its end.
async fn asked(caller: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or_default() {
                return head.split(' ').nth(1).map(str::to_owned);
            }
        }
        match caller.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => read.extend_from_slice(&part[..more]),
        }
    }
}
