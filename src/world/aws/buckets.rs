//! Buckets and their settings, read in one go and written one by one.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint, CreateBucketConfiguration,
    ExpirationStatus, LifecycleRule, LifecycleRuleFilter, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging,
};
use serde::{Deserialize, Serialize};

use super::{Aws, Fault};

type Answer<T> = Result<T, Fault>;

/// The rule of a bucket's lifecycle that is ours; those of others stay.
const RULE: &str = "provision-abort-incomplete-uploads";

/// One setting of a bucket, as far as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setting<T> {
    /// The store does not know this setting.
    Unknown,
    /// The store knows it and says that the bucket has none. Only then may it be deleted again: a store that does not know
    /// it may take that for the deletion of the bucket itself, as Ceph's does.
    Absent,
    Is(T),
}

/// How objects are encrypted where they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    /// `AES256` or `aws:kms`.
    pub algorithm: String,
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether ACLs that open it are blocked, and ignored, and policies that open it are blocked, and restricted.
    pub public_access: Setting<[bool; 4]>,
    pub encryption: Setting<Encryption>,
    pub ownership: Setting<String>,
    /// After how many days an upload that was not completed is given up.
    pub abort_after: Setting<i32>,
    pub tags: Setting<BTreeMap<String, String>>,
}

/// What a look at a bucket found.
#[derive(Debug, Clone)]
pub(crate) enum Bucket {
    Missing,
    Found(Box<Settings>),
}

/// An answer of the store to the question for a setting; `codes` are its words for "none". A store that is not Amazon's may
/// answer anything to what it does not know.
fn setting<A, T>(
    answer: Answer<A>,
    amazon: bool,
    codes: &[&str],
    read: impl FnOnce(A) -> Option<T>,
) -> Answer<Setting<T>> {
    match answer {
        Ok(answer) => Ok(read(answer).map_or(Setting::Unknown, Setting::Is)),
        Err(fault) if fault.is(codes) => Ok(Setting::Absent),
        Err(fault) if !amazon && fault.is_no_setting() => Ok(Setting::Unknown),
        Err(fault) => Err(fault),
    }
}

impl<T> Setting<T> {
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }
}

impl Aws {
    /// Looks at a bucket with all its settings, in one round of calls.
    pub async fn bucket(&self, name: &str) -> Answer<Bucket> {
        let (listed, settings) = futures_util::join!(self.is_empty(name), self.settings(name));
        match listed {
            Ok(_) => Ok(Bucket::Found(Box::new(settings?))),
            Err(fault) if fault.is_no_bucket() => Ok(Bucket::Missing),
            Err(fault) => Err(fault),
        }
    }

    pub async fn settings(&self, name: &str) -> Answer<Settings> {
        let block = self
            .send(self.call("s3", "GetPublicAccessBlock", name), self.s3.get_public_access_block().bucket(name).send());
        let encryption = self
            .send(self.call("s3", "GetBucketEncryption", name), self.s3.get_bucket_encryption().bucket(name).send());
        let ownership = self.send(
            self.call("s3", "GetBucketOwnershipControls", name),
            self.s3.get_bucket_ownership_controls().bucket(name).send(),
        );
        let tags =
            self.send(self.call("s3", "GetBucketTagging", name), self.s3.get_bucket_tagging().bucket(name).send());
        let amazon = self.is_amazon();
        let (block, encryption, ownership, rules, tags) =
            futures_util::join!(block, encryption, ownership, self.lifecycle(name), tags);
        Ok(Settings {
            public_access: setting(block, amazon, &["NoSuchPublicAccessBlockConfiguration"], |answer| {
                let found = answer.public_access_block_configuration?;
                Some([
                    found.block_public_acls.unwrap_or_default(),
                    found.ignore_public_acls.unwrap_or_default(),
                    found.block_public_policy.unwrap_or_default(),
                    found.restrict_public_buckets.unwrap_or_default(),
                ])
            })?,
            encryption: setting(encryption, amazon, &["ServerSideEncryptionConfigurationNotFoundError"], |answer| {
                let rules = answer.server_side_encryption_configuration?.rules;
                let default = rules.into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default)?;
                let key = default.kms_master_key_id.unwrap_or_default();
                Some(Encryption { algorithm: default.sse_algorithm.as_str().to_owned(), key })
            })?,
            ownership: setting(ownership, amazon, &["OwnershipControlsNotFoundError"], |answer| {
                // A store that does not know it may answer with nothing.
                Some(answer.ownership_controls?.rules.first()?.object_ownership.as_str().to_owned())
            })?,
            abort_after: match rules? {
                Setting::Is(rules) => rules.iter().find_map(days).map_or(Setting::Absent, Setting::Is),
                Setting::Absent => Setting::Absent,
                Setting::Unknown => Setting::Unknown,
            },
            tags: setting(tags, amazon, &["NoSuchTagSet", "NoSuchTagSetError"], |answer| {
                Some(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
            })?,
        })
    }

    async fn lifecycle(&self, name: &str) -> Answer<Setting<Vec<LifecycleRule>>> {
        let answer = self
            .send(
                self.call("s3", "GetBucketLifecycleConfiguration", name),
                self.s3.get_bucket_lifecycle_configuration().bucket(name).send(),
            )
            .await;
        setting(answer, self.is_amazon(), &["NoSuchLifecycleConfiguration"], |answer| {
            Some(answer.rules.unwrap_or_default())
        })
    }

    pub async fn create_bucket(&self, name: &str) -> Answer<()> {
        let mut request = self.s3.create_bucket().bucket(name);
        if self.is_amazon() {
            request = request.object_ownership(ObjectOwnership::BucketOwnerEnforced);
        }
        // Amazon takes no name for its first region; other stores want theirs or none.
        if self.region != "us-east-1" && self.is_amazon() {
            let place = BucketLocationConstraint::from(self.region.as_str());
            request = request
                .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
        }
        match self.send(self.call("s3", "CreateBucket", name), request.send()).await {
            // It was not there a moment ago: an answer was lost, and the call was sent again.
            Err(fault) if fault.is(&["BucketAlreadyOwnedByYou"]) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Deletes a bucket if it is empty; nothing happens if there is none.
    pub async fn delete_bucket(&self, name: &str) -> Answer<()> {
        match self.send(self.call("s3", "DeleteBucket", name), self.s3.delete_bucket().bucket(name).send()).await {
            Err(fault) if !fault.is_missing() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Blocks public access in four ways; none takes a setting back that the store is known to have.
    pub async fn put_public_access(&self, name: &str, block: Option<[bool; 4]>) -> Answer<()> {
        let Some([acls, ignore, policy, restrict]) = block else {
            let request = self.s3.delete_public_access_block().bucket(name);
            return self.send(self.call("s3", "DeletePublicAccessBlock", name), request.send()).await.map(drop);
        };
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(acls)
            .ignore_public_acls(ignore)
            .block_public_policy(policy)
            .restrict_public_buckets(restrict)
            .build();
        let request = self.s3.put_public_access_block().bucket(name).public_access_block_configuration(block);
        self.send(self.call("s3", "PutPublicAccessBlock", name), request.send()).await.map(drop)
    }

    pub async fn put_encryption(&self, name: &str, encryption: Option<&Encryption>) -> Answer<()> {
        let Some(encryption) = encryption else {
            let request = self.s3.delete_bucket_encryption().bucket(name);
            return self.send(self.call("s3", "DeleteBucketEncryption", name), request.send()).await.map(drop);
        };
        let default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(ServerSideEncryption::from(encryption.algorithm.as_str()))
            .set_kms_master_key_id(Some(encryption.key.clone()).filter(|key| !key.is_empty()))
            .build()
            .expect("the algorithm is given");
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(default)
            // One request to the key service for a bucket instead of one for each object.
            .bucket_key_enabled(!encryption.key.is_empty())
            .build();
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build().expect("there is a rule");
        let request = self.s3.put_bucket_encryption().bucket(name).server_side_encryption_configuration(rules);
        self.send(self.call("s3", "PutBucketEncryption", name), request.send()).await.map(drop)
    }

    pub async fn put_ownership(&self, name: &str, ownership: Option<&str>) -> Answer<()> {
        let Some(ownership) = ownership else {
            let request = self.s3.delete_bucket_ownership_controls().bucket(name);
            return self.send(self.call("s3", "DeleteBucketOwnershipControls", name), request.send()).await.map(drop);
        };
        let rule = OwnershipControlsRule::builder().object_ownership(ObjectOwnership::from(ownership));
        let rule = rule.build().expect("the ownership is given");
        let controls = OwnershipControls::builder().rules(rule).build().expect("there is a rule");
        let request = self.s3.put_bucket_ownership_controls().bucket(name).ownership_controls(controls);
        self.send(self.call("s3", "PutBucketOwnershipControls", name), request.send()).await.map(drop)
    }

    /// Sets after how many days an upload that was not completed is given up; the rules of others stay.
    pub async fn put_abort_after(&self, name: &str, after: Option<i32>) -> Answer<()> {
        let mut rules = match self.lifecycle(name).await? {
            Setting::Is(rules) => rules,
            Setting::Absent if after.is_some() => Vec::new(),
            // Whether others have rules there is not known, or there is none to take away.
            Setting::Absent | Setting::Unknown => return Ok(()),
        };
        rules.retain(|rule| rule.id() != Some(RULE));
        if let Some(after) = after {
            let rule = LifecycleRule::builder()
                .id(RULE)
                .status(ExpirationStatus::Enabled)
                .filter(LifecycleRuleFilter::builder().prefix("").build())
                .abort_incomplete_multipart_upload(
                    AbortIncompleteMultipartUpload::builder().days_after_initiation(after).build(),
                )
                .build()
                .expect("the status is given");
            rules.push(rule);
        }
        if rules.is_empty() {
            // There was a rule, so the store knows the setting.
            let request = self.s3.delete_bucket_lifecycle().bucket(name);
            return self.send(self.call("s3", "DeleteBucketLifecycle", name), request.send()).await.map(drop);
        }
        let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().expect("there are rules");
        let request = self.s3.put_bucket_lifecycle_configuration().bucket(name).lifecycle_configuration(rules);
        self.send(self.call("s3", "PutBucketLifecycleConfiguration", name), request.send()).await.map(drop)
    }

    pub async fn put_tags(&self, name: &str, tags: Option<&BTreeMap<String, String>>) -> Answer<()> {
        let Some(tags) = tags.filter(|tags| !tags.is_empty()) else {
            let request = self.s3.delete_bucket_tagging().bucket(name);
            return self.send(self.call("s3", "DeleteBucketTagging", name), request.send()).await.map(drop);
        };
        let tags = tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect();
        let tags = Tagging::builder().set_tag_set(Some(tags)).build().expect("there are tags");
        let request = self.s3.put_bucket_tagging().bucket(name).tagging(tags);
        self.send(self.call("s3", "PutBucketTagging", name), request.send()).await.map(drop)
    }
}

/// The days of our own rule.
fn days(rule: &LifecycleRule) -> Option<i32> {
    let ours = rule.id() == Some(RULE) && rule.status() == &ExpirationStatus::Enabled;
    rule.abort_incomplete_multipart_upload().filter(|_| ours)?.days_after_initiation()
}
