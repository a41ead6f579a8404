//! Keys for programs: `tpm_` and 43 letters and digits (256 bits), and six more that check them. Shown once;
//! what is stored is a digest.

use crate::account::{digest, tell_untouched};
use crate::{App, AppError, Ctx, Origin, Result};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::time::Duration;
use tpm_domain::{AuditTarget, Error, FieldErrors, Permissions, Reason, ResourceKind, Timestamp};
use tpm_store::{ApiKey, KeyId, NewApiKey};

/// What every key begins with: scanners for secrets find it.
const PREFIX: &str = "tpm_";
/// Letters and digits between the prefix and the check.
const BODY: usize = 43;
/// Letters and digits of the check.
const CHECK: usize = 6;
/// What is stored of a key to know it by.
const SHOWN: usize = 12;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Longest name.
const MAX_NAME: usize = 100;
/// Most networks.
const MAX_NETWORKS: usize = 32;
/// A key ends after so long at the latest.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A key's use is noted at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// A key as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyDraft {
    /// What its owner calls it.
    pub name: Option<String>,
    /// What it allows at most: `servers:read`, `servers:*`, `*`.
    pub scopes: Option<Vec<String>>,
    /// Networks it may be used from (CIDR); from anywhere when there are none.
    pub networks: Option<Vec<String>>,
    /// When it ends; after a year when not said.
    pub expires_at: Option<Timestamp>,
}

/// A key that was made, with its text: it is shown this once.
#[derive(Debug)]
pub struct MadeKey {
    /// Its number.
    pub id: KeyId,
    /// Its text.
    pub text: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Six letters and digits of the CRC-32 of a text.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [ALPHABET[0]; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

/// Whether a text can be a key: a mistyped one is told without asking the database.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return false;
    };
    let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain
        && rest.len() == BODY + CHECK
        && check(&text[..PREFIX.len() + BODY]) == text[PREFIX.len() + BODY..]
}

impl App {
    /// A new text, every letter alike likely.
    fn key_text(&self) -> String {
        let mut text = PREFIX.to_owned();
        let mut buffer = [0_u8; 64];
        while text.len() < PREFIX.len() + BODY {
            (self.parts().random)(&mut buffer);
            // 248 is the largest multiple of 62 in a byte.
            let fair = buffer.iter().filter(|byte| **byte < 248);
            let missing = PREFIX.len() + BODY - text.len();
            text.extend(
                fair.take(missing)
                    .map(|byte| char::from(ALPHABET[usize::from(byte % 62)])),
            );
        }
        let check = check(&text);
        text + &check
    }

    /// Makes a key for the person.
    ///
    /// # Errors
    /// Forbidden for a key, login again when the last one is long ago, invalid with every wrong field, or the store does not answer.
    pub async fn create_key(
        &self,
        ctx: &Ctx,
        draft: &KeyDraft,
        mut errors: FieldErrors,
    ) -> Result<MadeKey> {
        self.freshly(ctx)?;
        let now = self.now();
        let name = draft.name.clone().unwrap_or_default().trim().to_owned();
        if name.is_empty() && errors.is_empty() {
            errors.add("name", Reason::Required);
        } else if name.chars().count() > MAX_NAME {
            errors.add("name", Reason::TooLong { max: MAX_NAME });
        }
        let words = draft.scopes.clone().unwrap_or_default();
        if words.is_empty() && errors.is_empty() {
            errors.add("scopes", Reason::Required);
        }
        let scopes = Permissions::parse(&words).unwrap_or_else(|wrong| {
            for n in wrong {
                errors.add(format!("scopes[{n}]"), Reason::NoSuch);
            }
            Permissions::default()
        });
        let networks = draft.networks.clone().unwrap_or_default();
        if networks.len() > MAX_NETWORKS {
            let max = MAX_NETWORKS;
            errors.add("networks", Reason::Count { min: 0, max });
        }
        for (n, text) in networks.iter().enumerate().take(MAX_NETWORKS) {
            if parsed(text).is_none() {
                let expected = "network (CIDR)";
                errors.add(format!("networks[{n}]"), Reason::Type { expected });
            }
        }
        let latest = now.plus(LONGEST);
        let expires_at = draft.expires_at.unwrap_or(latest);
        if expires_at <= now {
            errors.add("expires_at", Reason::Past);
        } else if expires_at > latest {
            let days = 366;
            errors.add("expires_at", Reason::TooFar { days });
        }
        errors.into_result(())?;
        let text = self.key_text();
        let tx = self.store().begin().await?;
        let key = NewApiKey {
            digest: digest(&text),
            user: ctx.actor.id,
            name,
            prefix: text[..SHOWN].to_owned(),
            scopes,
            networks,
            expires_at: Some(expires_at),
        };
        let id = tx.insert_api_key(&key).await?;
        self.commit(ctx, tx, AuditTarget::new("key", id.0)).await?;
        Ok(MadeKey {
            id,
            text: text.into(),
            expires_at,
        })
    }

    /// The person's keys, the latest first.
    ///
    /// # Errors
    /// Forbidden for a key, or the store does not answer.
    pub async fn keys(&self, ctx: &Ctx) -> Result<Vec<ApiKey>> {
        ctx.in_person()?;
        Ok(self.store().reads().api_keys_of(ctx.actor.id).await?)
    }

    /// Removes a key of the person's; it is refused from then on.
    ///
    /// # Errors
    /// Forbidden for a key, not found, or the store does not answer.
    pub async fn delete_key(&self, ctx: &Ctx, id: KeyId) -> Result<()> {
        ctx.in_person()?;
        let tx = self.store().begin().await?;
        if !tx.delete_api_key(ctx.actor.id, id).await? {
            let missing = Error::not_found(ResourceKind::Key, id.0);
            return Err(AppError::Refused(missing));
        }
        self.commit(ctx, tx, AuditTarget::new("key", id.0)).await
    }

    /// Whose a key is, within what it allows.
    ///
    /// # Errors
    /// Unauthenticated when it is unknown, over, or used from elsewhere, or its owner is kept out; or the
    /// store does not answer.
    pub async fn authenticate_key(&self, text: &SecretString, origin: Origin) -> Result<Ctx> {
        let (ctx, key) = self.key_holds(text, origin).await?;
        let now = self.now();
        let fresh = |at: Timestamp| now.since(at) <= TOUCH_EVERY;
        if !key.last_used_at.is_some_and(fresh) {
            let touched = async {
                let tx = self.store().begin().await?;
                tx.touch_api_key(key.id, &ctx.origin.address).await?;
                tx.commit().await
            };
            tell_untouched(touched.await);
        }
        Ok(ctx)
    }

    /// Whose a key is, and the key; this is no use of it.
    pub(crate) async fn key_holds(
        &self,
        text: &SecretString,
        origin: Origin,
    ) -> Result<(Ctx, ApiKey)> {
        let refused = || AppError::Refused(Error::Unauthenticated);
        if !is_key(text.expose_secret()) {
            return Err(refused());
        }
        let digest = digest(text.expose_secret());
        let reads = self.store().reads();
        let (key, user) = reads.api_key(&digest).await?.ok_or_else(refused)?;
        let over = key.expires_at.is_some_and(|end| end <= self.now());
        if over || user.disabled || !is_from(&key.networks, &origin.address) {
            return Err(refused());
        }
        let actor = self.actor_of(&*reads, &user).await?.within(&key.scopes);
        let ctx = Ctx {
            actor,
            key: None,
            origin: origin.by_key(key.id),
            language: user.language,
            begun: None,
            confined: false,
        };
        Ok((ctx, key))
    }
}

/// A network, or one address.
fn parsed(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// Whether an address is in one of these networks; in none, anywhere.
fn is_from(networks: &[String], address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return networks.is_empty();
    };
    let address = address.to_canonical();
    networks.is_empty()
        || networks
            .iter()
            .filter_map(|text| parsed(text))
            .any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_is_told() {
        let body = format!("tpm_{}", "aB3".repeat(15));
        let body = &body[..PREFIX.len() + BODY];
        let key = format!("{body}{}", check(body));
        assert!(is_key(&key), "{key}");
        for n in PREFIX.len()..key.len() {
            let mut wrong = key.clone().into_bytes();
            wrong[n] = if wrong[n] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).expect("letters");
            assert!(!is_key(&wrong), "{wrong}");
        }
        for wrong in ["", "tpm_", &key[1..], &key[..key.len() - 1], "tpm_가나다"] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }

    #[test]
    fn networks_bind_a_key() {
        let office = ["192.0.2.0/24".to_owned(), "2001:db8::7".to_owned()];
        assert!(is_from(&office, "192.0.2.9") && is_from(&office, "::ffff:192.0.2.9"));
        assert!(is_from(&office, "2001:db8::7") && !is_from(&office, "2001:db8::8"));
        assert!(!is_from(&office, "198.51.100.1") && !is_from(&office, "local"));
        assert!(is_from(&[], "local"));
    }
}
