//! Channels: where notifications are sent to beside the inbox. A worker sends; here is said where to.

use crate::project::label_taken;
use crate::{App, AppError, Ctx, Result};
use secrecy::{SecretSlice, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tpm_domain::{
    AuditTarget, Backlog, Channel, ChannelFormat, ChannelId, ChannelLanguage, ChannelSpec,
    Delivery, DeliveryId, Error, FieldErrors, HookUrl, Permission, Reason, ResourceKind,
    ServerName, Severity,
};
use tpm_notify::{ChannelKeys, Policy};
use tpm_store::{DeliveryQuery, Page, Reads, StoreError};

/// Random bytes that a channel's signing keys are made from, beside the installation's key.
const SALT: usize = 16;

/// What may be called, and what is signed with.
#[derive(Clone)]
pub struct Channels {
    /// Which URLs may be called.
    pub policy: Policy,
    /// The signing keys.
    pub keys: Arc<ChannelKeys>,
}

impl Channels {
    /// With keys that are made from this one.
    #[must_use]
    pub fn new(policy: Policy, key: SecretSlice<u8>) -> Self {
        Self {
            policy,
            keys: Arc::new(ChannelKeys::new(key)),
        }
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A channel as asked for; `None` stays as it is, or is the default of a new one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChannelDraft {
    /// Its name.
    pub name: Option<String>,
    /// Where to.
    pub url: Option<String>,
    /// Which notifications: all of them.
    pub types: Option<Vec<String>>,
    /// How they are written: as events.
    pub format: Option<ChannelFormat>,
    /// In which language: Korean.
    pub language: Option<ChannelLanguage>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
}

/// A channel and how much it has yet to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// The channel.
    pub channel: Channel,
    /// What waits.
    pub backlog: Backlog,
}

/// A channel that was made, or has a new key: it is shown this once.
#[derive(Debug)]
pub struct ChannelKey {
    /// The channel.
    pub id: ChannelId,
    /// The signing key.
    pub key: SecretString,
}

fn target(id: ChannelId) -> AuditTarget {
    AuditTarget::new("channel", id)
}

fn missing(id: ChannelId) -> AppError {
    AppError::Refused(Error::not_found(ResourceKind::Channel, id))
}

impl ChannelDraft {
    fn types(&self, errors: &mut FieldErrors) -> Option<BTreeSet<Severity>> {
        let words = self.types.as_ref()?;
        if words.is_empty() {
            let (min, max) = (1, Severity::ALL.len());
            errors.add("types", Reason::Count { min, max });
        }
        let mut types = BTreeSet::new();
        for (n, word) in words.iter().enumerate() {
            match Severity::ALL.into_iter().find(|one| one.as_str() == word) {
                Some(one) => {
                    types.insert(one);
                }
                None => {
                    let allowed = Severity::ALL.map(|one| one.as_str().to_owned());
                    let allowed = allowed.to_vec();
                    errors.add(format!("types[{n}]"), Reason::OneOf { allowed });
                }
            }
        }
        Some(types)
    }

    /// The channel that this makes of `before`; `None` when something is wrong.
    fn understand(
        &self,
        before: Option<&ChannelSpec>,
        policy: &Policy,
        errors: &mut FieldErrors,
    ) -> Option<ChannelSpec> {
        let noted = errors.len();
        let name = match &self.name {
            None => before.map(|spec| spec.name.clone()),
            Some(text) => ServerName::new(text).or_else(|| {
                errors.add("name", Reason::ServerName);
                None
            }),
        };
        let url = match &self.url {
            None => before.map(|spec| spec.url.clone()),
            Some(text) => match policy.check(text) {
                Ok(url) => Some(HookUrl::new(url.into())),
                Err(fault) => {
                    errors.add("url", Reason::Url(fault));
                    None
                }
            },
        };
        let types = self.types(errors);
        let types = types.or_else(|| before.map(|spec| spec.types.clone()));
        if errors.len() > noted {
            return None;
        }
        Some(ChannelSpec {
            name: name?,
            url: url?,
            types: types.unwrap_or_else(|| Severity::ALL.into_iter().collect()),
            format: self
                .format
                .or(before.map(|spec| spec.format))
                .unwrap_or(ChannelFormat::Event),
            language: self
                .language
                .or(before.map(|spec| spec.language))
                .unwrap_or(ChannelLanguage::Ko),
            enabled: self
                .enabled
                .or(before.map(|spec| spec.enabled))
                .unwrap_or(true),
        })
    }
}

impl App {
    fn hooks(&self) -> &Channels {
        &self.parts().channels
    }

    /// All channels, by name.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn channels(&self, ctx: &Ctx) -> Result<Vec<ChannelView>> {
        ctx.authorize(Permission::ReadChannels)?;
        let reads = self.store().reads();
        let backlogs: BTreeMap<ChannelId, Backlog> = reads.backlogs().await?;
        let all = reads.channels().await?;
        let view = |channel: Channel| {
            Ok(ChannelView {
                backlog: backlogs.get(&channel.id).copied().unwrap_or_default(),
                channel: self.opened(channel)?,
            })
        };
        all.into_iter().map(view).collect()
    }

    async fn channel_of(
        &self,
        reads: &(dyn Reads + Send + Sync),
        id: ChannelId,
    ) -> Result<Channel> {
        let stored = reads.channel(id).await?;
        self.opened(stored.ok_or_else(|| missing(id))?)
    }

    fn opened(&self, stored: Channel) -> Result<Channel> {
        let opened = self.hooks().keys.opened(stored);
        opened.map_err(|error| AppError::Fault(error.into()))
    }

    /// As it is stored: its URL may be a secret.
    fn sealed(&self, salt: &str, spec: &ChannelSpec) -> Result<ChannelSpec> {
        let url = self.hooks().keys.sealed(salt, &spec.url);
        Ok(ChannelSpec {
            url: url.map_err(|error| AppError::Fault(error.into()))?,
            ..spec.clone()
        })
    }

    fn stored(&self, channel: &Channel) -> Result<Channel> {
        Ok(Channel {
            spec: self.sealed(&channel.salt, &channel.spec)?,
            ..channel.clone()
        })
    }

    /// One channel.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn channel(&self, ctx: &Ctx, id: ChannelId) -> Result<ChannelView> {
        let all = self.channels(ctx).await?;
        let found = all.into_iter().find(|view| view.channel.id == id);
        found.ok_or_else(|| missing(id))
    }

    /// Makes a channel.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict when the name is taken, or the store does not answer.
    pub async fn create_channel(
        &self,
        ctx: &Ctx,
        draft: &ChannelDraft,
        mut errors: FieldErrors,
    ) -> Result<ChannelKey> {
        ctx.authorize(Permission::WriteChannels)?;
        if errors.is_empty() {
            for (field, is_missing) in
                [("name", draft.name.is_none()), ("url", draft.url.is_none())]
            {
                if is_missing {
                    errors.add(field, Reason::Required);
                }
            }
        }
        let spec = draft.understand(None, &self.hooks().policy, &mut errors);
        let spec = errors
            .into_result(spec)?
            .ok_or_else(crate::server::incomplete)?;
        let tx = self.store().begin().await?;
        // The key is made from the row, so the first answer can be given again.
        let id = match ctx.replay(&*tx).await? {
            Some(done) => return self.shown(self.channel_of(&*tx, done).await?),
            None => {
                let salt = self.random_hex(SALT);
                let sealed = self.sealed(&salt, &spec)?;
                match tx.insert_channel(&sealed, &salt).await {
                    Err(StoreError::Constraint(_)) => return Err(label_taken(&spec.name)),
                    done => done?,
                }
            }
        };
        ctx.remember(&*tx, &id).await?;
        let made = self.channel_of(&*tx, id).await?;
        self.commit(ctx, tx, target(id)).await?;
        self.shown(made)
    }

    fn shown(&self, channel: Channel) -> Result<ChannelKey> {
        Ok(ChannelKey {
            id: channel.id,
            key: self.hooks().keys.shown(&channel),
        })
    }

    /// Changes a channel. What already waits goes where it now says.
    ///
    /// # Errors
    /// As for making one, and not found.
    pub async fn change_channel(
        &self,
        ctx: &Ctx,
        id: ChannelId,
        draft: &ChannelDraft,
        mut errors: FieldErrors,
    ) -> Result<()> {
        ctx.authorize(Permission::WriteChannels)?;
        let tx = self.store().begin().await?;
        let mut channel = self.channel_of(&*tx, id).await?;
        let spec = draft.understand(Some(&channel.spec), &self.hooks().policy, &mut errors);
        channel.spec = errors
            .into_result(spec)?
            .ok_or_else(crate::server::incomplete)?;
        match tx.save_channel(&self.stored(&channel)?).await {
            Err(StoreError::Constraint(_)) => return Err(label_taken(&channel.spec.name)),
            done => done?,
        }
        self.commit(ctx, tx, target(id)).await
    }

    /// Gives a channel a new signing key; the old one signs, too, for a day.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn rotate_channel(&self, ctx: &Ctx, id: ChannelId) -> Result<ChannelKey> {
        ctx.authorize(Permission::WriteChannels)?;
        let tx = self.store().begin().await?;
        let mut channel = self.channel_of(&*tx, id).await?;
        channel.generation += 1;
        channel.rotated_at = Some(tx.now());
        tx.save_channel(&self.stored(&channel)?).await?;
        self.commit(ctx, tx, target(id)).await?;
        self.shown(channel)
    }

    /// Asks for a test to be sent.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn test_channel(&self, ctx: &Ctx, id: ChannelId) -> Result<DeliveryId> {
        ctx.authorize(Permission::WriteChannels)?;
        let tx = self.store().begin().await?;
        self.channel_of(&*tx, id).await?;
        let delivery = tx.add_test(id).await?;
        self.commit(ctx, tx, target(id)).await?;
        Ok(delivery)
    }

    /// Removes a channel, with what waits to be sent to it.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn delete_channel(&self, ctx: &Ctx, id: ChannelId) -> Result<()> {
        ctx.authorize(Permission::WriteChannels)?;
        let tx = self.store().begin().await?;
        if !tx.delete_channel(id).await? {
            return Err(missing(id));
        }
        self.commit(ctx, tx, target(id)).await
    }

    /// A page of what was sent to a channel, or is to be.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn deliveries(&self, ctx: &Ctx, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        ctx.authorize(Permission::ReadChannels)?;
        let reads = self.store().reads();
        self.channel_of(&*reads, query.channel).await?;
        Ok(reads.deliveries(query).await?)
    }
}
