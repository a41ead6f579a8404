//! The backup of the service itself: one compressed file of lines, the keys in the first, the database's in the others.
//!
//! It is read back before it has its name, so that a file that has it is whole. It belongs to its owner alone: whoever
//! has it has everything that is in the database and can open what is sealed there.

use crate::{chores::say, engine, keys, secrets};
use anyhow::{Context, bail, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tpm_settings::Settings;
use tpm_store_seaorm::SeaStore;

/// The keys that are files of ours.
const KEYS: [&str; 3] = [keys::MARK, keys::STATE, secrets::FILE];

/// The first line.
#[derive(Default, Serialize, Deserialize)]
struct Keys {
    keys: BTreeMap<String, String>,
}

/// Readable by its owner alone, and not there before.
fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn keys_of(settings: &Settings) -> anyhow::Result<Keys> {
    let mut all = Keys::default();
    for name in KEYS {
        let path = settings.data_dir.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                all.keys.insert(name.to_owned(), text);
            }
            // It is given from outside, or was needed by nobody so far.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    Ok(all)
}

/// Writes everything to a file that is not there.
///
/// # Errors
/// When it is there, or cannot be written or read back; nothing is left of it then.
pub(crate) async fn write(
    settings: &Settings,
    store: &SeaStore,
    file: &Path,
    with_keys: bool,
) -> anyhow::Result<()> {
    let shown = file.display();
    ensure!(!file.exists(), "{shown} is there already");
    let keys = match with_keys {
        true => keys_of(settings)?,
        false => Keys::default(),
    };
    // A name that is nobody else's: it is removed whatever comes of it.
    let draft = file.with_extension(format!("draft-{:016x}", rand::random::<u64>()));
    let written = pack(store, &keys, &draft).await;
    let linked = written.and_then(|rows| {
        // Unlike a renaming it replaces nobody's file.
        fs::hard_link(&draft, file).with_context(|| format!("cannot write {shown}"))?;
        Ok(rows)
    });
    fs::remove_file(&draft).ok();
    let rows = linked?;
    for name in KEYS {
        let what = match (keys.keys.contains_key(name), with_keys) {
            (true, _) => "in it",
            (false, true) => "not in it: it is no file of the data directory",
            (false, false) => "not in it, as asked",
        };
        say(&format!("{name}: {what}"))?;
    }
    say(&format!("{rows} rows; {shown} was read back and is whole"))
}

async fn pack(store: &SeaStore, keys: &Keys, draft: &Path) -> anyhow::Result<u64> {
    let place = || format!("cannot write {}", draft.display());
    let out = create(draft).with_context(place)?;
    let mut out = GzEncoder::new(BufWriter::new(out), Compression::default());
    serde_json::to_writer(&mut out, keys)?;
    out.write_all(b"\n").with_context(place)?;
    let (_, rows) = store.export(&mut out).await.context("database")?;
    let out = out.finish().with_context(place)?;
    let out = out.into_inner().map_err(|error| error.into_error());
    out.with_context(place)?.sync_all()?;
    // Two lines beside the rows' own: the keys, and what the database says of itself; and one at the end.
    let lines = BufReader::new(GzDecoder::new(File::open(draft)?)).lines();
    let mut there = 0;
    for line in lines {
        line.context("it cannot be read back")?;
        there += 1;
    }
    ensure!(
        there == rows + 3,
        "it was not read back whole: {there} lines"
    );
    Ok(rows)
}

/// Makes database and keys of a file.
///
/// # Errors
/// When there is a database or another key already, or the file is not whole; nothing is left of it then.
pub(crate) async fn restore(settings: &Settings, file: &Path) -> anyhow::Result<()> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = BufReader::new(GzDecoder::new(opened));
    let mut first = String::new();
    lines.read_line(&mut first).context("it is no backup")?;
    let keys: Keys = serde_json::from_str(&first).context("it is no backup")?;
    let made = put_keys(settings, &keys)?;
    let done = SeaStore::import(&engine::database_url(settings)?, &mut lines).await;
    let (copied, rows) = match done {
        Ok(done) => done,
        Err(error) => {
            for path in made {
                fs::remove_file(path).ok();
            }
            return Err(error).context("database");
        }
    };
    for path in &made {
        say(&format!("{}: made", path.display()))?;
    }
    say(&format!("{rows} rows of installation {}", copied.instance))?;
    say("nothing is changed until an admin accepts the copy: POST /api/system/restored/accept")
}

/// Writes the keys that are not there; those that it wrote.
fn put_keys(settings: &Settings, keys: &Keys) -> anyhow::Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for (name, key) in &keys.keys {
        ensure!(KEYS.contains(&&**name), "it has a key that is not known");
        let path = settings.data_dir.join(name);
        match fs::read_to_string(&path) {
            Ok(there) if there == *key => {}
            Ok(_) => bail!("{} is another key", path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push((path, key)),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
    let mut made = Vec::new();
    for (path, key) in missing {
        if let Err(error) = put_key(&path, key) {
            for path in made {
                fs::remove_file(path).ok();
            }
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        made.push(path);
    }
    Ok(made)
}

/// Whole, or not at all.
fn put_key(path: &Path, key: &str) -> std::io::Result<()> {
    let mut file = create(path)?;
    let written = file
        .write_all(key.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        fs::remove_file(path).ok();
    }
    written
}
