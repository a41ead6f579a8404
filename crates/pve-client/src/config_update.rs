//! A change of a guest's configuration, put together option by option.
//!
//! It makes sure that an option is not both set and deleted, and that values with a syntax of their own
//! are built from types. What PVE accepts beyond that, PVE decides.

use std::{borrow::Cow, fmt, net::IpAddr};

use secrecy::SecretString;

use crate::{
    params::{Params, percent_encode},
    property::{AgentOption, IpConfig, Net, PropertyError},
};

/// Options to set and to unset. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub struct ConfigUpdate {
    set: Params,
    delete: Vec<String>,
    digest: Option<String>,
}

impl ConfigUpdate {
    /// No change yet. PVE answers an empty change with an error.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is set or deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty()
    }

    /// Sets any option to a value that is already in PVE's syntax.
    #[must_use]
    pub fn set(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        let key = key.into();
        self.delete.retain(|deleted| *deleted != key);
        self.set.set(key, value);
        self
    }

    /// Unsets an option. Unsetting one that is not set is no error.
    ///
    /// # Errors
    /// Refuses what is not the name of an option: the list is separated by commas and blanks.
    pub fn delete(mut self, key: &str) -> Result<Self, PropertyError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if key.is_empty() || !key.bytes().all(plain) {
            return Err(PropertyError::new("delete", key));
        }
        self.set.remove(key);
        if !self.delete.iter().any(|deleted| deleted == key) {
            self.delete.push(key.to_owned());
        }
        Ok(self)
    }

    /// Keeps only the changes of options that `keep` says yes to.
    #[must_use]
    pub fn retain(mut self, keep: impl Fn(&str) -> bool) -> Self {
        let set: Vec<String> = self.set.keys().map(str::to_owned).collect();
        for key in set.iter().filter(|key| !keep(key)) {
            self.set.remove(key);
        }
        self.delete.retain(|key| keep(key));
        self
    }

    /// Makes PVE refuse the change if the configuration no longer has this digest.
    #[must_use]
    pub fn digest(mut self, digest: impl Into<String>) -> Self {
        self.digest = Some(digest.into());
        self
    }

    /// Cores for each socket.
    #[must_use]
    pub fn cores(self, cores: u32) -> Self {
        self.set("cores", cores)
    }

    /// Memory in MiB.
    #[must_use]
    pub fn memory_mb(self, mib: u64) -> Self {
        self.set("memory", mib)
    }

    /// Name, a DNS name.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.set("name", name)
    }

    /// Description, at most 8192 characters.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.set("description", text)
    }

    /// Tags, replacing all.
    ///
    /// # Errors
    /// Refuses what PVE does not take for a tag (`[a-z0-9_][a-z0-9_-+.]*`, any case), so that no tag can
    /// turn into two.
    pub fn tags<S: AsRef<str>>(
        self,
        tags: impl IntoIterator<Item = S>,
    ) -> Result<Self, PropertyError> {
        let mut joined = Vec::new();
        for tag in tags {
            let tag = tag.as_ref();
            let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let ok = tag.bytes().next().is_some_and(first)
                && tag
                    .bytes()
                    .all(|b| first(b) || matches!(b, b'-' | b'+' | b'.'));
            if !ok {
                return Err(PropertyError::new("tags", tag));
            }
            joined.push(tag.to_owned());
        }
        if joined.is_empty() {
            self.delete("tags")
        } else {
            Ok(self.set("tags", joined.join(";")))
        }
    }

    /// The user cloud-init makes.
    #[must_use]
    pub fn ciuser(self, user: &str) -> Self {
        self.set("ciuser", user)
    }

    /// The password cloud-init sets. PVE hashes it and never shows it again.
    #[must_use]
    pub fn cipassword(mut self, password: SecretString) -> Self {
        self.delete.retain(|deleted| deleted != "cipassword");
        self.set.set_secret("cipassword", password);
        self
    }

    /// The public keys cloud-init installs, one line each, replacing all.
    ///
    /// PVE wants the value percent-encoded once by the caller, and encoded again like any form value.
    ///
    /// # Errors
    /// Refuses an empty key and one with a line break or another control character.
    pub fn sshkeys<S: AsRef<str>>(
        self,
        keys: impl IntoIterator<Item = S>,
    ) -> Result<Self, PropertyError> {
        let mut lines = Vec::new();
        for key in keys {
            let key = key.as_ref().trim();
            if key.is_empty() || key.chars().any(char::is_control) {
                return Err(PropertyError::new("sshkeys", key));
            }
            lines.push(key.to_owned());
        }
        if lines.is_empty() {
            return self.delete("sshkeys");
        }
        Ok(self.set("sshkeys", percent_encode(&lines.join("\n"))))
    }

    /// Name servers for cloud-init, replacing all.
    #[must_use]
    pub fn nameserver(self, servers: impl IntoIterator<Item = IpAddr>) -> Self {
        let servers: Vec<_> = servers.into_iter().map(|ip| ip.to_string()).collect();
        self.set("nameserver", servers.join(" "))
    }

    /// Search domain for cloud-init.
    #[must_use]
    pub fn searchdomain(self, domain: &str) -> Self {
        self.set("searchdomain", domain)
    }

    /// Cloud-init address settings of network device `n`.
    #[must_use]
    pub fn ipconfig(self, n: u8, config: &IpConfig) -> Self {
        self.set(format!("ipconfig{n}"), config)
    }

    /// Network device `n`.
    #[must_use]
    pub fn net(self, n: u8, net: &Net) -> Self {
        self.set(format!("net{n}"), net)
    }

    /// Settings of the guest agent.
    #[must_use]
    pub fn agent(self, agent: &AgentOption) -> Self {
        self.set("agent", agent)
    }

    /// Whether it starts with the node. A clone inherits this from its source.
    #[must_use]
    pub fn onboot(self, on: bool) -> Self {
        self.set("onboot", u8::from(on))
    }

    /// Whether it is kept from being destroyed. A clone inherits this from its source.
    #[must_use]
    pub fn protection(self, on: bool) -> Self {
        self.set("protection", u8::from(on))
    }

    /// The parameters as they are sent.
    #[must_use]
    pub fn params(&self) -> Params {
        let mut params = self.set.clone();
        if !self.delete.is_empty() {
            params.set("delete", self.delete.join(","));
        }
        if let Some(digest) = &self.digest {
            params.set("digest", digest);
        }
        params
    }
}
