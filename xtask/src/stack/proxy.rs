//! A TLS reverse proxy in front of several apis, when nginx and openssl are installed.

use super::child::Child;
use crate::workspace;
use anyhow::Context as _;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Where it listens.
const LISTEN: &str = "127.0.0.1:5443";
/// Its address for people.
pub(super) const URL: &str = "https://localhost:5443";

/// nginx and openssl, when both are there.
pub(super) fn find() -> Option<(PathBuf, PathBuf)> {
    // not in everybody's PATH on Debian
    let system = PathBuf::from("/usr/sbin/nginx");
    let nginx = workspace::in_path("nginx").or_else(|| system.is_file().then_some(system));
    Some((nginx?, workspace::in_path("openssl")?))
}

/// Starts it in front of these addresses (`127.0.0.1:5000`); comes back when it listens.
///
/// # Errors
/// When a certificate cannot be made, or it does not start.
pub(super) async fn start(
    (nginx, openssl): (PathBuf, PathBuf),
    apis: &[String],
    folder: &Path,
) -> anyhow::Result<Child> {
    let here = folder.join("proxy");
    fs::create_dir_all(&here)?;
    if !here.join("key.pem").exists() {
        certificate(&openssl, &here)?;
    }
    let file = here.join("nginx.conf");
    fs::write(&file, settings(apis, &here))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(&here).arg("-c").arg(&file);
    command.args(["-e", "stderr"]);
    // QUIT: requests in flight are answered first
    let mut proxy = Child::spawn("proxy", command, "QUIT", folder)?;
    proxy.until(|| TcpStream::connect(LISTEN).ok()).await?;
    Ok(proxy)
}

fn certificate(openssl: &Path, here: &Path) -> anyhow::Result<()> {
    let mut openssl = std::process::Command::new(openssl);
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-days", "365", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(here.join("key.pem"))
        .arg("-out")
        .arg(here.join("cert.pem"));
    workspace::output(&mut openssl).map(drop)
}

/// The same as `config/several-nodes/nginx.conf`, with paths of its own.
fn settings(apis: &[String], here: &Path) -> String {
    let here = here.display();
    let servers: String = apis
        .iter()
        .map(|api| format!("        server {api} max_fails=1 fail_timeout=2s;\n"))
        .collect();
    format!(
        "# Written anew at every start by `cargo xtask up`.\n\
         daemon off;\nworker_processes 1;\nerror_log stderr;\npid \"{here}/nginx.pid\";\n\
         events {{}}\n\
         http {{\n    access_log off;\n    client_max_body_size 64m;\n\
         \x20   client_body_temp_path \"{here}/body\";\n    proxy_temp_path \"{here}/proxy\";\n\
         \x20   fastcgi_temp_path \"{here}/fastcgi\";\n    uwsgi_temp_path \"{here}/uwsgi\";\n\
         \x20   scgi_temp_path \"{here}/scgi\";\n\
         \x20   upstream apis {{\n{servers}    }}\n\
         \x20   server {{\n        listen {LISTEN} ssl http2;\n        ssl_certificate \"{here}/cert.pem\";\n\
         \x20       ssl_certificate_key \"{here}/key.pem\";\n\
         \x20       location / {{\n            proxy_pass http://apis;\n\
         \x20           proxy_set_header Host $host;\n\
         \x20           proxy_set_header X-Forwarded-For $remote_addr;\n\
         \x20           proxy_set_header X-Forwarded-Proto https;\n\
         \x20           proxy_buffering off;\n        }}\n    }}\n}}\n"
    )
}
