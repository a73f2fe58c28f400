//! Users of IAM with their inline policies and access keys.

use std::collections::BTreeMap;

use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::types::{StatusType, Tag};

use super::{Aws, Fault};
use crate::secret::Secret;

/// A user as it is.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub arn: String,
    pub path: String,
    pub tags: BTreeMap<String, String>,
    /// The inline policy that was asked for, as JSON; none if the user has none of that name.
    pub policy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessKey {
    pub id: String,
    pub active: bool,
}

type Answer<T> = Result<T, Fault>;

fn found<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.is_missing() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// IAM gives documents as a URL writes them (RFC 3986).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tag_list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect()
}

impl Aws {
    /// Reads a user with one inline policy; none if there is no such user. Its keys are read in the same moment, for who
    /// asks next.
    pub async fn user(&self, name: &str, policy: &str) -> Answer<Option<User>> {
        let user = self.send(self.call("iam", "GetUser", name), self.iam.get_user().user_name(name).send());
        let document = self.send(
            self.call("iam", "GetUserPolicy", name),
            self.iam.get_user_policy().user_name(name).policy_name(policy).send(),
        );
        let (user, document, keys) = futures_util::join!(user, document, self.list_keys(name));
        let Some(user) = found(user)?.and_then(|answer| answer.user) else { return Ok(None) };
        self.deposit(name, keys?);
        let document = found(document)?;
        let tags = user.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
        Ok(Some(User {
            arn: user.arn().to_owned(),
            path: user.path().to_owned(),
            tags: tags.collect(),
            policy: document.map(|answer| decoded(answer.policy_document())),
        }))
    }

    async fn list_keys(&self, user: &str) -> Answer<Vec<AccessKey>> {
        let answer = self
            .send(self.call("iam", "ListAccessKeys", user), self.iam.list_access_keys().user_name(user).send())
            .await;
        let keys = found(answer)?.map(|answer| answer.access_key_metadata).unwrap_or_default();
        let keys = keys.into_iter().filter_map(|key| {
            let active = key.status() != Some(&StatusType::Inactive);
            Some(AccessKey { id: key.access_key_id?, active })
        });
        Ok(keys.collect())
    }

    /// The keys of a user; none if there is no such user.
    pub async fn access_keys(&self, user: &str) -> Answer<Vec<AccessKey>> {
        match self.withdraw(user) {
            Some(keys) => Ok(keys),
            None => self.list_keys(user).await,
        }
    }

    pub async fn create_user(&self, name: &str, path: &str, tags: &BTreeMap<String, String>) -> Answer<()> {
        let request = self.iam.create_user().user_name(name).path(path).set_tags(Some(tag_list(tags)));
        self.send(self.call("iam", "CreateUser", name), request.send()).await.map(drop)
    }

    pub async fn tag_user(&self, name: &str, tags: &BTreeMap<String, String>) -> Answer<()> {
        let request = self.iam.tag_user().user_name(name).set_tags(Some(tag_list(tags)));
        self.send(self.call("iam", "TagUser", name), request.send()).await.map(drop)
    }

    pub async fn put_user_policy(&self, user: &str, policy: &str, document: &str) -> Answer<()> {
        let request = self.iam.put_user_policy().user_name(user).policy_name(policy).policy_document(document);
        self.send(self.call("iam", "PutUserPolicy", user), request.send()).await.map(drop)
    }

    pub async fn delete_user_policy(&self, user: &str, policy: &str) -> Answer<()> {
        let request = self.iam.delete_user_policy().user_name(user).policy_name(policy);
        found(self.send(self.call("iam", "DeleteUserPolicy", user), request.send()).await).map(drop)
    }

    /// Makes a key. It is not tried again by itself: a second try could make a second key.
    pub async fn create_access_key(&self, user: &str) -> Answer<(String, Secret)> {
        let once = aws_sdk_iam::config::Builder::new().retry_config(RetryConfig::disabled());
        let request = self.iam.create_access_key().user_name(user).customize().config_override(once);
        let answer = self.send(self.call("iam", "CreateAccessKey", user), request.send()).await?;
        let key = answer.access_key();
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        Ok((
            text(key.map(aws_sdk_iam::types::AccessKey::access_key_id)),
            Secret::new(text(key.map(aws_sdk_iam::types::AccessKey::secret_access_key))),
        ))
    }

    pub async fn set_access_key(&self, user: &str, id: &str, active: bool) -> Answer<()> {
        let status = if active { StatusType::Active } else { StatusType::Inactive };
        let request = self.iam.update_access_key().user_name(user).access_key_id(id).status(status);
        self.send(self.call("iam", "UpdateAccessKey", user), request.send()).await.map(drop)
    }

    pub async fn delete_access_key(&self, user: &str, id: &str) -> Answer<()> {
        let request = self.iam.delete_access_key().user_name(user).access_key_id(id);
        found(self.send(self.call("iam", "DeleteAccessKey", user), request.send()).await).map(drop)
    }

    /// Removes a user with all that hangs on it; nothing happens if there is none.
    pub async fn delete_user(&self, name: &str) -> Answer<()> {
        for key in self.list_keys(name).await? {
            self.delete_access_key(name, &key.id).await?;
        }
        let policies = self
            .send(self.call("iam", "ListUserPolicies", name), self.iam.list_user_policies().user_name(name).send())
            .await;
        for policy in found(policies)?.map(|answer| answer.policy_names).unwrap_or_default() {
            self.delete_user_policy(name, &policy).await?;
        }
        let request = self.iam.delete_user().user_name(name);
        found(self.send(self.call("iam", "DeleteUser", name), request.send()).await).map(drop)
    }

    /// Lists users, which a registry's key must not be allowed to.
    pub async fn list_users(&self) -> Answer<()> {
        self.send(self.call("iam", "ListUsers", ""), self.iam.list_users().max_items(1).send()).await.map(drop)
    }
}
