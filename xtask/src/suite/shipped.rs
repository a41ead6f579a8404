//! What the two processes that are installed are made of: known cryptography and no other, nothing that only tests or
//! debugging need.

use crate::workspace;
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The processes that are installed.
const PROGRAMS: [&str; 2] = ["tpm-bin-api", "tpm-bin-worker"];
/// Every crate about cryptography, by its own category or keywords, and what it is there for. A new one is looked at before
/// it is added here: by whom it is kept, and what it computes.
const CRYPTOGRAPHY: [(&str, &str); 40] = [
    ("argon2", "passwords"),
    (
        "aws-lc-rs",
        "TLS, sealing, SSH keys; AWS-LC, which is FIPS-validated",
    ),
    ("base64ct", "text"),
    ("blake2", "inside of Argon2"),
    ("block-buffer", "inside of the hashes"),
    ("chacha20", "randomness of `rand`"),
    ("cipher", "inside of ssh-key; no cipher itself"),
    ("cmov", "comparison in constant time"),
    ("const-oid", "names"),
    ("crypto-common", "traits"),
    ("ctutils", "comparison in constant time"),
    ("digest", "traits"),
    ("hkdf", "PostgreSQL's SCRAM"),
    ("hmac", "marks, audit, channels; PostgreSQL's SCRAM"),
    (
        "md-5",
        "PostgreSQL's old way in, where a server asks for it",
    ),
    ("password-hash", "how a hash of a password is written"),
    ("pem", "text"),
    ("pem-rfc7468", "text"),
    ("phc", "how a hash of a password is written"),
    ("ppv-lite86", "randomness of `rand`"),
    ("rustls", "TLS"),
    ("rustls-native-certs", "authorities of the machine"),
    ("rustls-pki-types", "types"),
    ("rustls-webpki", "certificates"),
    ("secrecy", "values that do not print"),
    (
        "sha1",
        "codes of authenticator apps (HMAC), which know no other",
    ),
    ("sha2", "digests"),
    ("signature", "traits"),
    ("siphasher", "tables in memory"),
    (
        "ssh-cipher",
        "inside of ssh-key; keys are written unencrypted into the sealed store",
    ),
    ("ssh-encoding", "text"),
    ("ssh-key", "how OpenSSH writes keys"),
    ("subtle", "comparison in constant time"),
    ("tokio-rustls", "TLS"),
    ("x509-parser", "when a certificate ends"),
    ("zeroize", "wiping"),
    ("zeroize_derive", "wiping"),
    ("constant_time_eq", "comparison in constant time"),
    ("getrandom", "randomness of the system"),
    ("rand", "randomness"),
];
/// What only tests and development need.
const FOR_TESTS: [&str; 11] = [
    "tpm-test-support",
    "tpm-tests",
    "tpm-simulation",
    "tpm-pve-simulator",
    "tpm-store-memory",
    "xtask",
    "mockall",
    "proptest",
    "console-subscriber",
    "tokio-console",
    "jsonschema",
];
/// The only lines of ours that name what aws-lc computes.
const AWS_LC: [&str; 6] = [
    "use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};",
    "use aws_lc_rs::digest::{SHA256, digest};",
    "use aws_lc_rs::encoding::AsBigEndian;",
    "use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};",
    "let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());",
    "rustls::crypto::aws_lc_rs::default_provider()",
];
/// Words of algorithms that are not approved, as they are written in code.
const WEAK: [&str; 12] = [
    "md5", "Md5", "md4", "sha1::", "Sha1", "SHA1_", "ECB", "CBC", "RC4", "3DES", "Blowfish",
    "ripemd",
];

/// # Errors
/// When something is built in that is not known, or only tests need.
pub(super) fn check() -> anyhow::Result<()> {
    let shipped = Shipped::read()?;
    let mut wrong = shipped.unknown_cryptography();
    wrong.extend(shipped.for_tests());
    wrong.extend(weak(&shipped.sources()?));
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// The packages of both processes, without what only builds or tests them.
struct Shipped {
    /// What cargo says of each.
    packages: Vec<Value>,
    /// The features that each of ours is built with.
    features: Vec<(String, String)>,
    /// The workspace's profile for releases.
    release: String,
}

impl Shipped {
    fn read() -> anyhow::Result<Self> {
        let mut cargo = workspace::cargo();
        cargo.args(["metadata", "--locked", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&workspace::output(&mut cargo)?)?;
        let mut cargo = workspace::cargo();
        cargo.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
        cargo.args(["--format", "{p}|{f}"]);
        for program in PROGRAMS {
            cargo.args(["--package", program]);
        }
        let tree = workspace::output(&mut cargo)?;
        let manifest = fs::read_to_string(workspace::root().join("Cargo.toml"))?;
        let release = manifest.split("[profile.release]").nth(1);
        let release = release.context("a profile for releases")?;
        Ok(Self {
            release: release.split("\n[").next().unwrap_or_default().to_owned(),
            ..Self::of(&metadata, &tree)
        })
    }

    /// The packages that the lines of `cargo tree` (`name v1.2.3 (…)|feature,feature`) name.
    fn of(metadata: &Value, tree: &str) -> Self {
        let mut shipped = BTreeSet::new();
        let mut features = BTreeSet::new();
        for line in tree.lines() {
            let (package, on) = line.split_once('|').unwrap_or((line, ""));
            let mut words = package.split_whitespace();
            let (Some(name), Some(version)) = (words.next(), words.next()) else {
                continue;
            };
            shipped.insert((name, version.trim_start_matches('v')));
            let on = on.trim_end_matches("(*)").trim();
            if name.starts_with("tpm-") && !on.is_empty() {
                features.insert((name.to_owned(), on.to_owned()));
            }
        }
        let all = metadata["packages"].as_array().into_iter().flatten();
        let packages = all.filter(|one| {
            let of = |field: &str| one[field].as_str().unwrap_or_default();
            shipped.contains(&(of("name"), of("version")))
        });
        Self {
            packages: packages.cloned().collect(),
            features: features.into_iter().collect(),
            release: String::new(),
        }
    }

    fn name(package: &Value) -> &str {
        package["name"].as_str().unwrap_or_default()
    }

    fn unknown_cryptography(&self) -> Vec<String> {
        let says = |package: &Value, list: &str, word: &str| {
            let words = package[list].as_array().into_iter().flatten();
            words.filter_map(Value::as_str).any(|one| one == word)
        };
        let about = self.packages.iter().filter(|package| {
            says(package, "categories", "cryptography")
                || says(package, "keywords", "crypto")
                || says(package, "keywords", "cryptography")
                || says(package, "keywords", "cipher")
        });
        let names: BTreeSet<&str> = about.map(Self::name).collect();
        let known = |name: &&str| CRYPTOGRAPHY.iter().any(|(known, _)| known == name);
        names
            .into_iter()
            .filter(|name| !known(name))
            .map(|name| format!("{name} is about cryptography, and nobody said what for"))
            .collect()
    }

    fn for_tests(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let names = self.packages.iter().map(Self::name);
        let odd = names.filter(|name| FOR_TESTS.contains(name));
        wrong.extend(odd.map(|name| format!("{name} is shipped and only tests need it")));
        let with = |(name, on): &(String, String)| format!("{name} is shipped with {on}");
        wrong.extend(self.features.iter().map(with));
        // What a build for people says otherwise than cargo's own profile.
        let lines = self.release.lines().map(str::trim);
        let odd = lines.filter(|line| !line.is_empty() && *line != "strip = \"symbols\"");
        wrong.extend(odd.map(|line| format!("releases are built with {line}")));
        wrong
    }

    /// The sources of ours, without their tests.
    fn sources(&self) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let ours = self.packages.iter();
        let ours = ours.filter(|package| Self::name(package).starts_with("tpm-"));
        let mut all = Vec::new();
        for package in ours {
            let manifest = package["manifest_path"].as_str().context("a manifest")?;
            let folder = Path::new(manifest).parent().context("a folder")?;
            walk(&folder.join("src"), &mut all)?;
        }
        Ok(all)
    }
}

fn walk(folder: &Path, all: &mut Vec<(PathBuf, String)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, all)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path)?;
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            all.push((path, text.to_owned()));
        }
    }
    Ok(())
}

/// Lines that name an algorithm which is not decided on, or are only there in some builds.
fn weak(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        let is_comment = |line: &&str| line.starts_with("//");
        for line in text.lines().map(str::trim).filter(|line| !is_comment(line)) {
            let other = line.contains("aws_lc_rs") && !AWS_LC.contains(&line);
            let odd = other
                || WEAK.iter().any(|word| line.contains(word))
                || line.contains("debug_assertions");
            if odd {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_known_and_what_only_tests_need_is_told() {
        let package = |name: &str, version: &str, keywords: Value| json!({ "name": name, "version": version, "keywords": keywords });
        let metadata = json!({ "packages": [
            package("tpm-app", "0.1.0", json!([])),
            package("rot13", "1.0.0", json!(["crypto"])),
            package("rot13", "2.0.0", json!([])),
            package("mockall", "1.0.0", json!([])),
            package("rot26", "1.0.0", json!(["crypto"])),
        ] });
        let tree = "tpm-app v0.1.0 (/somewhere)|loud\nrot13 v1.0.0|x\nrot13 v2.0.0|\nmockall v1.0.0| (*)\n\n";
        let shipped = Shipped::of(&metadata, tree);
        let unknown = "rot13 is about cryptography, and nobody said what for";
        assert_eq!(shipped.unknown_cryptography(), [unknown]);
        let wrong = [
            "mockall is shipped and only tests need it",
            "tpm-app is shipped with loud",
        ];
        assert_eq!(shipped.for_tests(), wrong);
        let code =
            "use md5::Md5;\n// Md5\n#[cfg(debug_assertions)]\nuse aws_lc_rs::aead::AES_128_GCM;\n";
        let found = weak(&[(PathBuf::from("a.rs"), code.to_owned())]);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn only_known_cryptography_is_shipped() -> anyhow::Result<()> {
        let shipped = Shipped::read()?;
        assert!(shipped.packages.len() > 200, "{}", shipped.packages.len());
        assert_eq!(shipped.unknown_cryptography(), Vec::<String>::new());
        Ok(())
    }

    #[test]
    fn our_code_uses_the_decided_algorithms_alone() -> anyhow::Result<()> {
        let sources = Shipped::read()?.sources()?;
        assert!(sources.len() > 200, "{}", sources.len());
        assert_eq!(weak(&sources), Vec::<String>::new());
        Ok(())
    }

    #[test]
    fn nothing_for_tests_or_debugging_is_shipped() -> anyhow::Result<()> {
        assert_eq!(Shipped::read()?.for_tests(), Vec::<String>::new());
        Ok(())
    }
}
