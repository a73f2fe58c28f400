//! What a resource keeps in the deployment's folder because it cannot be read back from anywhere: [`Kept`].

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use crate::deployment::pending::{Kept, PENDING};
use crate::error::Result;
use crate::formats::x509::{self, Facts, Pair};
use crate::resource::Owned;
use crate::resource::context::At;
use crate::secret::Secret;

impl At {
    /// Keeps a text in the deployment's folder, with a way back.
    pub async fn keep(&self, key: &str, text: &str) -> Result<()> {
        self.will(&Kept { key: key.to_owned(), before: self.store().get(key).unwrap_or_default() })?;
        self.store().put_with_others(key, text).await
    }

    /// Keeps texts that belong together: should the run be killed, the next one finds all of them or, as before, none.
    pub async fn keep_all(&self, texts: &[(&str, &str)]) -> Result<()> {
        let pending = format!("{PENDING}/{}.{}", self.kind, self.id.replace('/', "."));
        let before = |(key, _): &(&str, &str)| Ok(Kept { key: (*key).to_owned(), before: self.store().get(key)? });
        let before = texts.iter().map(before).collect::<Result<Vec<Kept>>>();
        // What is damaged already is not put back.
        self.store().put_brief(&pending, &serde_json::json!(before.unwrap_or_default()).to_string())?;
        let mut kept = Ok(());
        for (key, text) in texts {
            if kept.is_ok() {
                kept = self.keep(key, text).await;
            }
        }
        self.store().delete(&pending)?;
        kept
    }

    /// The key of this resource's own texts: `secret/password`, `certificate/tls.server`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind, self.id.replace('/', "."))
    }

    /// What this resource has kept as JSON.
    ///
    /// # Errors
    /// The file is there and cannot be read: the folder is damaged.
    pub fn kept_json<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.store().json(&self.key())
    }

    /// Keeps something as JSON, with a way back.
    pub async fn keep_json(&self, value: &impl Serialize) -> Result<()> {
        self.keep(&self.key(), &serde_json::json!(value).to_string()).await
    }

    /// Everything kept by resources of this kind.
    pub fn owned_keys(&self, data: bool) -> Result<Vec<Owned>> {
        let names = self.store().names(self.kind)?;
        let owned = names.into_iter().map(|name| Owned {
            id: name.replace('.', "/"),
            handle: format!("{}/{name}", self.kind),
            label: name,
            data,
        });
        Ok(owned.collect())
    }

    /// Removes what [`At::owned_keys`] told of: one text, or a folder of them, all in one step.
    pub fn remove_kept(&self, owned: &Owned) -> Result<()> {
        self.store().delete_all(&owned.handle)
    }
}

impl Kept {
    pub fn restore(self, at: &At) -> Result<()> {
        // What is kept tells where to find what may still exist.
        if at.run.journal.is_left(&at.id) {
            return Ok(());
        }
        at.store().put_back(self)
    }
}

/// A certificate that is kept with its key.
pub(crate) struct KeptPair {
    pub pair: Pair,
    pub facts: Facts,
}

impl KeptPair {
    /// Reads a certificate and its key from under two keys; none if neither is there.
    ///
    /// # Errors
    /// One of them is gone, cut off or no PEM, or they do not belong together: the folder is damaged.
    pub fn read(at: &At, certificate: &str, key: &str) -> Result<Option<Self>> {
        let pair = match (at.store().get(certificate)?, at.store().get(key)?) {
            (Some(certificate), Some(key)) => Pair { certificate, key: Secret::new(key) },
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(at.store().damaged(key, "is gone")),
            (None, Some(_)) => return Err(at.store().damaged(certificate, "is gone")),
        };
        let facts = x509::read(&pair.certificate)
            .map_err(|error| at.store().damaged(certificate, &format!("cannot be read: {error}")))?;
        match x509::matches(&pair.certificate, &pair.key) {
            Ok(true) => Ok(Some(Self { pair, facts })),
            Ok(false) => Err(at.store().damaged(key, "does not belong to its certificate")),
            Err(error) => Err(at.store().damaged(key, &format!("cannot be read: {error}"))),
        }
    }
}
