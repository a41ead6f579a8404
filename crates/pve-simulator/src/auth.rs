//! Tickets, CSRF tokens and API tokens: who is calling.
//!
//! Reasons for a refusal are never told apart, as PVE does not tell them apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::acl::Who;
use crate::answer::Failure;
use crate::http::Request;
use crate::sim::Sim;

const LIFETIME_SECS: i64 = 7200;
const FUTURE_SECS: i64 = 300;

fn refused() -> Failure {
    Failure::bare(401, "Authentication failed!")
}

/// Finds out who sent a request. The cookie wins over the header.
pub(crate) fn authenticate(sim: &Sim, request: &Request) -> Result<Who, Failure> {
    let header = request.header("authorization").unwrap_or_default();
    if let Some(ticket) = cookie(request).or_else(|| strip(header, "PVEAuthCookie")) {
        let ticket = percent_decode_str(&ticket).decode_utf8_lossy().into_owned();
        let user = check_ticket(sim, &ticket).ok_or_else(refused)?;
        let is_upload = request.path.ends_with("/upload");
        if request.method != "GET" && !is_upload {
            let given = request.header("csrfpreventiontoken").unwrap_or_default();
            if !check_csrf(sim, &user, given) {
                return Err(Failure::bare(401, "Permission denied - invalid csrf token"));
            }
        }
        return Ok(Who { user, token: None });
    }
    let Some(token) = strip(header, "PVEAPIToken") else {
        return Err(Failure::bare(401, "No ticket"));
    };
    check_token(sim, &token).ok_or_else(refused)
}

/// Is the password (or still valid ticket) right for the user?
pub(crate) fn check_password(sim: &Sim, userid: &str, password: &str) -> bool {
    if check_ticket(sim, password).is_some_and(|owner| owner == userid || owner == "root@pam") {
        return is_active(sim, userid);
    }
    let right = sim
        .world()
        .users
        .get(userid)
        .is_some_and(|user| user.password.as_deref() == Some(password));
    right && is_active(sim, userid)
}

pub(crate) fn issue_ticket(sim: &Sim, user: &str) -> String {
    let time = sim.clock.now();
    format!(
        "PVE:{user}:{time:08X}::{}",
        sign(sim, &format!("ticket:{user}:{time}"), 6)
    )
}

pub(crate) fn issue_csrf(sim: &Sim, user: &str) -> String {
    let time = sim.clock.now();
    format!(
        "{time:08X}:{}",
        sign(sim, &format!("csrf:{user}:{time}"), 1)
    )
}

fn check_ticket(sim: &Sim, ticket: &str) -> Option<String> {
    let rest = ticket.strip_prefix("PVE:")?;
    let (rest, signature) = rest.split_once("::")?;
    let (user, time) = rest.rsplit_once(':')?;
    let time = i64::from_str_radix(time, 16).ok()?;
    let age = sim.clock.now() - time;
    let is_current = (-FUTURE_SECS..LIFETIME_SECS).contains(&age);
    let is_signed = signature == sign(sim, &format!("ticket:{user}:{time}"), 6);
    (is_current && is_signed && is_active(sim, user)).then(|| user.to_owned())
}

fn check_csrf(sim: &Sim, user: &str, token: &str) -> bool {
    token.split_once(':').is_some_and(|(time, signature)| {
        i64::from_str_radix(time, 16).is_ok_and(|time| {
            let age = sim.clock.now() - time;
            (-FUTURE_SECS..LIFETIME_SECS).contains(&age)
                && signature == sign(sim, &format!("csrf:{user}:{time}"), 1)
        })
    })
}

fn check_token(sim: &Sim, text: &str) -> Option<Who> {
    let text = percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (full, secret) = text.split_once('=')?;
    let (user, token) = full.split_once('!')?;
    let now = sim.clock.now();
    let is_right = {
        let world = sim.world();
        let entry = world.users.get(user)?.tokens.get(token)?;
        entry.secret == secret && (entry.expire == 0 || entry.expire > now)
    };
    (is_right && is_active(sim, user)).then(|| Who {
        user: user.to_owned(),
        token: Some(token.to_owned()),
    })
}

fn is_active(sim: &Sim, user: &str) -> bool {
    let now = sim.clock.now();
    sim.world()
        .users
        .get(user)
        .is_some_and(|user| user.enable && (user.expire == 0 || user.expire > now))
}

/// A signature long enough to look like the real one.
fn sign(sim: &Sim, text: &str, blocks: u8) -> String {
    let mut bytes = Vec::new();
    for block in 0..blocks {
        bytes.extend(Sha256::digest(format!("{}:{block}:{text}", sim.key)));
    }
    BASE64.encode(bytes)
}

fn cookie(request: &Request) -> Option<String> {
    request
        .header("cookie")?
        .split(';')
        .find_map(|part| part.trim().strip_prefix("PVEAuthCookie="))
        .map(str::to_owned)
}

fn strip(header: &str, scheme: &str) -> Option<String> {
    let rest = header.strip_prefix(scheme)?;
    Some(rest.strip_prefix(['=', ' '])?.to_owned())
}
