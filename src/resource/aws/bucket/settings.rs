//! The settings of a bucket as they should be, against what they are: [`Wanted`] and [`Before`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::Field;
use crate::text::digest::hex;
use crate::world::aws::{Aws, Encryption, Fault, Setting, Settings};
use crate::world::host;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    PublicAccess,
    Encryption,
    Ownership,
    AbortAfter,
    Tags,
}

/// A setting that has to change, as it was before; none where the store said that there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Before {
    PublicAccess(Option<[bool; 4]>),
    Encryption(Option<Encryption>),
    Ownership(Option<String>),
    AbortAfter(Option<i32>),
    Tags(Option<BTreeMap<String, String>>),
}

/// What the settings of a bucket should be.
pub(super) struct Wanted {
    pub kms_key: Option<String>,
    pub abort_after: i32,
    /// Ours; the tags of others stay.
    pub tags: BTreeMap<String, String>,
}

/// Objects belong to the bucket's owner, whoever put them, and ACLs count for nothing.
const OWNERSHIP: &str = "BucketOwnerEnforced";
const PUBLIC_ACCESS: [&str; 4] =
    ["block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets"];
/// How often a setting is tried that another change of the same bucket stands in the way of, and the milliseconds between.
const TRIES: u32 = 8;
const PAUSE: u64 = 250;
/// How often it is looked whether what was set is there.
const LOOKS: u32 = 3;

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicAccess => "block of public access",
            Self::Encryption => "encryption",
            Self::Ownership => "ownership of objects",
            Self::AbortAfter => "lifecycle of uploads",
            Self::Tags => "tags",
        })
    }
}

/// The setting as it was before, if the store knows it and it is not as wanted.
fn before<T: Clone>(
    setting: &Setting<T>,
    is_right: impl FnOnce(&T) -> bool,
    named: fn(Option<T>) -> Before,
) -> Option<Before> {
    match setting {
        Setting::Unknown => None,
        Setting::Absent => Some(named(None)),
        Setting::Is(value) => (!is_right(value)).then(|| named(Some(value.clone()))),
    }
}

/// The settings that the store does not know.
pub(super) fn unknown(found: &Settings) -> BTreeSet<Part> {
    let parts = [
        (Part::PublicAccess, found.public_access == Setting::Unknown),
        (Part::Encryption, found.encryption == Setting::Unknown),
        (Part::Ownership, found.ownership == Setting::Unknown),
        (Part::AbortAfter, found.abort_after == Setting::Unknown),
        (Part::Tags, found.tags == Setting::Unknown),
    ];
    parts.into_iter().filter_map(|(part, unknown)| unknown.then_some(part)).collect()
}

/// Proves by an object of its own that nobody gets in without a signature, where no setting says so.
///
/// # Errors
/// Anybody can read or list the bucket, or the store's answer proves nothing.
pub(super) async fn prove_private(bucket: &str, aws: &Aws) -> Result<()> {
    let key = format!("provision-probe-{}", hex(&host::random::<8>()?));
    let version = aws.put(bucket, &key, b"provision").await?;
    let (got, listed) = futures_util::join!(aws.get_as_anybody(bucket, &key), aws.list_as_anybody(bucket));
    aws.delete(bucket, &key, version.as_deref()).await?;
    let taken = |answer: &std::result::Result<(), Fault>| answer.as_ref().map_or_else(Fault::is_done, |()| true);
    if let Some((_, what)) = [(&got, "read"), (&listed, "list")].into_iter().find(|(answer, _)| taken(answer)) {
        return Err(Error::new(format!("the bucket `{bucket}` is open: anybody can {what} its objects, without a key"))
            .hint("this store cannot block public access: take away the policy, the ACL or the setting of the store that opens it"));
    }
    // A list that fails is none; an object that is not given for another reason may be given tomorrow.
    if let Some(fault) = got.err().filter(|fault| !fault.is_turned_away()) {
        return Err(Error::from(fault).within(format!("cannot prove that the bucket `{bucket}` is private")));
    }
    Ok(())
}

impl Wanted {
    fn encryption(&self) -> Encryption {
        match &self.kms_key {
            Some(key) => Encryption { algorithm: "aws:kms".to_owned(), key: key.clone() },
            None => Encryption { algorithm: "AES256".to_owned(), key: String::new() },
        }
    }

    /// Every setting that the store knows and that is not as it should be.
    pub fn differing(&self, found: &Settings) -> Vec<Before> {
        let tagged =
            |tags: &BTreeMap<String, String>| self.tags.iter().all(|(key, value)| tags.get(key) == Some(value));
        let all = [
            before(&found.public_access, |block| *block == [true; 4], Before::PublicAccess),
            before(&found.encryption, |encryption| *encryption == self.encryption(), Before::Encryption),
            before(&found.ownership, |ownership| ownership == OWNERSHIP, Before::Ownership),
            before(&found.abort_after, |days| *days == self.abort_after, Before::AbortAfter),
            before(&found.tags, tagged, Before::Tags),
        ];
        all.into_iter().flatten().collect()
    }

    /// How one setting differs, field by field.
    pub fn fields(&self, before: &Before) -> Vec<Field> {
        let days = |days: i32| format!("{days} days");
        match before {
            Before::PublicAccess(old) => {
                let old = |index: usize| old.map_or(String::new(), |block| block[index].to_string());
                let fields = PUBLIC_ACCESS.iter().enumerate();
                fields.filter_map(|(index, name)| Field::compare(*name, &old(index), "true")).collect()
            }
            Before::Encryption(old) => {
                let (old, new) = (old.clone(), self.encryption());
                let old = old.unwrap_or(Encryption { algorithm: String::new(), key: String::new() });
                let algorithm = Field::compare("encryption", &old.algorithm, &new.algorithm);
                algorithm.into_iter().chain(Field::compare("encryption.key", &old.key, &new.key)).collect()
            }
            Before::Ownership(old) => {
                Field::compare("ownership", old.as_deref().unwrap_or_default(), OWNERSHIP).into_iter().collect()
            }
            Before::AbortAfter(old) => {
                let old = old.map(days).unwrap_or_default();
                Field::compare("abort_after", &old, &days(self.abort_after)).into_iter().collect()
            }
            Before::Tags(old) => {
                let old = |key: &str| old.as_ref().and_then(|tags| tags.get(key)).cloned().unwrap_or_default();
                let tags = self.tags.iter();
                tags.filter_map(|(key, value)| Field::compare(format!("tags.{key}"), &old(key), value)).collect()
            }
        }
    }

    async fn set_once(&self, before: &Before, bucket: &str, aws: &Aws) -> std::result::Result<(), Fault> {
        match before {
            Before::PublicAccess(_) => aws.put_public_access(bucket, Some([true; 4])).await,
            Before::Encryption(_) => aws.put_encryption(bucket, Some(&self.encryption())).await,
            Before::Ownership(_) => aws.put_ownership(bucket, Some(OWNERSHIP)).await,
            Before::AbortAfter(_) => aws.put_abort_after(bucket, Some(self.abort_after)).await,
            Before::Tags(old) => {
                let mut tags = old.clone().unwrap_or_default();
                tags.extend(self.tags.clone());
                aws.put_tags(bucket, Some(&tags)).await
            }
        }
    }

    /// Brings one setting to what it should be.
    pub async fn set(&self, before: &Before, bucket: &str, aws: &Aws) -> std::result::Result<(), Fault> {
        let mut answer = self.set_once(before, bucket, aws).await;
        for _ in 1..TRIES {
            let in_the_way =
                |fault: &Fault| fault.is(&["OperationAborted", "ConditionalRequestConflict", "NoSuchBucket"]);
            if !answer.as_ref().is_err_and(in_the_way) {
                break;
            }
            host::sleep(PAUSE).await;
            answer = self.set_once(before, bucket, aws).await;
        }
        answer
    }

    /// What is not as it should be though it was set: the store took the call for something else, or did not heed it.
    pub async fn not_kept(&self, set: &BTreeSet<Part>, bucket: &str, aws: &Aws) -> Result<BTreeSet<Part>> {
        let mut left = set.clone();
        for round in 0..LOOKS {
            let found = aws.settings(bucket).await?;
            let differing: BTreeSet<Part> = self.differing(&found).iter().map(Before::part).collect();
            let missing = unknown(&found);
            left.retain(|part| differing.contains(part) || missing.contains(part));
            if left.is_empty() || round + 1 == LOOKS {
                break;
            }
            host::sleep(PAUSE).await;
        }
        Ok(left)
    }

    /// Proves by an object that what is put can still be put: a store may take the setting for encryption and then have no
    /// keys. Where that is so, the setting is taken back if the store knows how.
    pub async fn prove_encryption(&self, bucket: &str, aws: &Aws, before: &Before) -> Result<bool> {
        let key = format!("provision-probe-{}", hex(&host::random::<8>()?));
        match aws.put(bucket, &key, b"provision").await {
            Ok(version) => {
                aws.delete(bucket, &key, version.as_deref()).await?;
                Ok(true)
            }
            Err(fault) if aws.is_amazon() || self.kms_key.is_some() || fault.is_denied() => {
                Err(Error::from(fault).within("with its new encryption the bucket takes no objects"))
            }
            Err(_) => {
                before.restore(bucket, aws).await?;
                Ok(false)
            }
        }
    }
}

impl Before {
    pub fn part(&self) -> Part {
        match self {
            Self::PublicAccess(_) => Part::PublicAccess,
            Self::Encryption(_) => Part::Encryption,
            Self::Ownership(_) => Part::Ownership,
            Self::AbortAfter(_) => Part::AbortAfter,
            Self::Tags(_) => Part::Tags,
        }
    }

    fn is_none(&self) -> bool {
        match self {
            Self::PublicAccess(before) => before.is_none(),
            Self::Encryption(before) => before.is_none(),
            Self::Ownership(before) => before.is_none(),
            Self::AbortAfter(before) => before.is_none(),
            Self::Tags(before) => before.is_none(),
        }
    }

    /// Whether there is something to take away.
    fn is_there(&self, found: &Settings) -> bool {
        match self {
            Self::PublicAccess(_) => found.public_access.get().is_some(),
            Self::Encryption(_) => found.encryption.get().is_some(),
            Self::Ownership(_) => found.ownership.get().is_some(),
            Self::AbortAfter(_) => found.abort_after.get().is_some(),
            Self::Tags(_) => found.tags.get().is_some(),
        }
    }

    /// Brings the setting back to what it was. One that was not there is deleted only where the store shows that it has it: a
    /// store that does not know it may take that for the deletion of the bucket itself.
    pub async fn restore(&self, bucket: &str, aws: &Aws) -> std::result::Result<(), Fault> {
        if self.is_none() && !self.is_there(&aws.settings(bucket).await?) {
            return Ok(());
        }
        match self {
            Self::PublicAccess(block) => aws.put_public_access(bucket, *block).await,
            Self::Encryption(encryption) => aws.put_encryption(bucket, encryption.as_ref()).await,
            Self::Ownership(ownership) => aws.put_ownership(bucket, ownership.as_deref()).await,
            Self::AbortAfter(days) => aws.put_abort_after(bucket, *days).await,
            Self::Tags(tags) => aws.put_tags(bucket, tags.as_ref()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Before, Wanted};
    use crate::world::aws::{Encryption, Setting, Settings};
    use std::collections::BTreeMap;

    fn wanted() -> Wanted {
        let tags = BTreeMap::from([("provision.id".to_owned(), "1".to_owned())]);
        Wanted { kms_key: None, abort_after: 7, tags }
    }

    fn right() -> Settings {
        Settings {
            public_access: Setting::Is([true; 4]),
            encryption: Setting::Is(Encryption { algorithm: "AES256".to_owned(), key: String::new() }),
            ownership: Setting::Is("BucketOwnerEnforced".to_owned()),
            abort_after: Setting::Is(7),
            tags: Setting::Is(BTreeMap::from(
                [("provision.id", "1"), ("team", "a")].map(|(k, v)| (k.into(), v.into())),
            )),
        }
    }

    fn told(found: &Settings) -> Vec<String> {
        let (wanted, shown) = (wanted(), |before: &Before| wanted().fields(before));
        let fields = wanted.differing(found).iter().flat_map(shown).collect::<Vec<_>>();
        fields.iter().map(|field| format!("{}: {} → {}", field.name, field.old, field.new)).collect()
    }

    #[test]
    fn each_setting_is_told_field_by_field() {
        assert_eq!(told(&right()), Vec::<String>::new());
        let cases: [(Settings, &[&str]); 7] = [
            (
                Settings { public_access: Setting::Is([true, false, true, true]), ..right() },
                &["ignore_public_acls: false → true"],
            ),
            (
                Settings { public_access: Setting::Absent, ..right() },
                &[
                    "block_public_acls: (none) → true",
                    "ignore_public_acls: (none) → true",
                    "block_public_policy: (none) → true",
                    "restrict_public_buckets: (none) → true",
                ],
            ),
            (Settings { encryption: Setting::Absent, ..right() }, &["encryption: (none) → AES256"]),
            (
                Settings {
                    encryption: Setting::Is(Encryption { algorithm: "aws:kms".into(), key: "k".into() }),
                    ..right()
                },
                &["encryption: aws:kms → AES256", "encryption.key: k → (none)"],
            ),
            (
                Settings { ownership: Setting::Is("ObjectWriter".into()), ..right() },
                &["ownership: ObjectWriter → BucketOwnerEnforced"],
            ),
            (Settings { abort_after: Setting::Is(1), ..right() }, &["abort_after: 1 days → 7 days"]),
            (Settings { tags: Setting::Absent, ..right() }, &["tags.provision.id: (none) → 1"]),
        ];
        for (found, fields) in cases {
            assert_eq!(told(&found), fields);
        }
    }

    #[test]
    fn what_a_store_does_not_know_is_no_difference() {
        let found = Settings {
            public_access: Setting::Unknown,
            encryption: Setting::Unknown,
            ownership: Setting::Unknown,
            abort_after: Setting::Unknown,
            tags: Setting::Unknown,
        };
        assert_eq!(told(&found), Vec::<String>::new());
    }
}
