//! Signing what is sent, so that receivers can tell that it is ours and not older than it seems:
//! HMAC-SHA256 over `id.timestamp.body`, as [Standard Webhooks](https://www.standardwebhooks.com) describes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use std::fmt;
use tpm_domain::{Channel, HookUrl, Timestamp};
use tpm_secrets::{Seal, SealError};

/// What a signing key begins with when it is shown.
const PREFIX: &str = "whsec_";
/// What a URL begins with that is sealed. No URL does that may be called.
const SEALED: &str = "sealed:";

/// The keys of all channels, and the one that their URLs are sealed with. None is stored: each is made from the installation's key and what the channel's row
/// says.
pub struct ChannelKeys(SecretSlice<u8>);

impl fmt::Debug for ChannelKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelKeys(***)")
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl ChannelKeys {
    /// From the installation's key.
    #[must_use]
    pub fn new(key: SecretSlice<u8>) -> Self {
        Self(key)
    }

    fn seal(&self) -> Result<Seal, SealError> {
        Seal::new(&mac(self.0.expose_secret(), &[b"urls of channels"]))
    }

    /// A URL as it is stored, with the channel's salt: whoever has it may write there.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn sealed(&self, salt: &str, url: &HookUrl) -> Result<HookUrl, SealError> {
        let sealed = self.seal()?.seal(&of(salt), url.expose().as_bytes())?;
        Ok(HookUrl::new(format!("{SEALED}{}", STANDARD.encode(sealed))))
    }

    /// A stored channel with its URL. One of before URLs were sealed is as it was.
    ///
    /// # Errors
    /// When it was sealed with another key or for another channel, or was altered.
    pub fn opened(&self, mut channel: Channel) -> Result<Channel, SealError> {
        let Some(text) = channel.spec.url.expose().strip_prefix(SEALED) else {
            return Ok(channel);
        };
        let sealed = STANDARD.decode(text).map_err(|_| SealError::Opaque)?;
        let url = self.seal()?.open(&of(&channel.salt), &sealed)?;
        let url = String::from_utf8(url).map_err(|_| SealError::Opaque)?;
        channel.spec.url = HookUrl::new(url);
        Ok(channel)
    }

    fn key(&self, channel: &Channel, generation: i64) -> SecretSlice<u8> {
        let of = format!("webhook/{}/{}/{generation}", channel.id, channel.salt);
        let key = mac(self.0.expose_secret(), &[of.as_bytes()]);
        key.to_vec().into()
    }

    /// The channel's newest key, as receivers are given it.
    #[must_use]
    pub fn shown(&self, channel: &Channel) -> SecretString {
        let key = self.key(channel, channel.generation);
        format!("{PREFIX}{}", STANDARD.encode(key.expose_secret())).into()
    }

    /// The value of `webhook-signature`: one for each key that is good at that moment.
    #[must_use]
    pub fn signature(&self, channel: &Channel, id: &str, at: Timestamp, body: &str) -> String {
        let seconds = seconds(at).to_string();
        let sign = |generation| {
            let key = self.key(channel, generation);
            let parts = [id, ".", &seconds, ".", body].map(str::as_bytes);
            let signed = mac(key.expose_secret(), &parts);
            format!("v1,{}", STANDARD.encode(signed))
        };
        let all: Vec<String> = channel.signing(at).into_iter().map(sign).collect();
        all.join(" ")
    }
}

/// What a sealed URL is bound to.
fn of(salt: &str) -> String {
    format!("channel/{salt}")
}

/// The value of `webhook-timestamp`.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpm_domain::{ChannelFormat, ChannelId, ChannelLanguage, ChannelSpec, HookUrl, ServerName};

    /// The example of the specification.
    #[test]
    fn signs_as_the_specification_shows() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = mac(
            &key,
            &[b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}"],
        );
        assert_eq!(
            STANDARD.encode(signed),
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    fn channel(id: i64, salt: &str, generation: i64) -> Channel {
        let at = Timestamp(1_700_000_000_000);
        Channel {
            id: ChannelId(id),
            spec: ChannelSpec {
                name: ServerName::new("ops").unwrap(),
                url: HookUrl::new("https://hooks.example.com/a".into()),
                types: [tpm_domain::Severity::Error].into_iter().collect(),
                format: ChannelFormat::Event,
                language: ChannelLanguage::Ko,
                enabled: true,
            },
            salt: salt.into(),
            generation,
            rotated_at: (generation > 0).then_some(at),
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn every_channel_and_generation_has_a_key_of_its_own() {
        let keys = ChannelKeys::new(vec![7; 32].into());
        let shown = |channel: &Channel| keys.shown(channel).expose_secret().to_owned();
        let all = [
            shown(&channel(1, "a", 0)),
            shown(&channel(2, "a", 0)),
            shown(&channel(1, "b", 0)),
            shown(&channel(1, "a", 1)),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|key| key.starts_with("whsec_")));
        assert_eq!(format!("{keys:?}"), "ChannelKeys(***)");
    }

    #[test]
    fn a_replaced_key_still_signs() {
        let keys = ChannelKeys::new(vec![7; 32].into());
        let at = Timestamp(1_700_000_001_000);
        let old = keys.signature(&channel(1, "a", 0), "m", at, "{}");
        let both = keys.signature(&channel(1, "a", 1), "m", at, "{}");
        let parts: Vec<&str> = both.split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1], old);
        assert_ne!(parts[0], old);
    }

    #[test]
    fn a_url_is_opened_for_its_channel_alone() -> Result<(), SealError> {
        let keys = ChannelKeys::new(vec![7; 32].into());
        let plain = channel(1, "one", 0);
        assert_eq!(keys.opened(plain.clone())?, plain);
        let mut stored = plain.clone();
        stored.spec.url = keys.sealed("one", &plain.spec.url)?;
        assert!(!stored.spec.url.expose().contains("example"));
        assert_eq!(keys.opened(stored.clone())?, plain);
        let mut moved = stored.clone();
        moved.salt = "two".into();
        assert!(keys.opened(moved).is_err());
        let others = ChannelKeys::new(vec![8; 32].into());
        assert!(others.opened(stored.clone()).is_err());
        stored.spec.url = HookUrl::new("sealed:AAAA".into());
        assert!(keys.opened(stored).is_err());
        Ok(())
    }
}
