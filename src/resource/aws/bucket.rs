//! A bucket of S3, private and encrypted, compared setting by setting: [`BucketKind`].

mod look;
mod name;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change};
use crate::resource::fact::Fact;
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, public};
use crate::secret::Secret;
use crate::world::aws::{Aws, Bucket, Place, Settings};
use crate::world::engine::{DEPLOYMENT, ID};
use look::unseen;
use settings::{Before, Part, Wanted};

pub(crate) struct BucketKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name; no other bucket of anybody has the same.
    name: String,
    /// The region; by default what the environment or the profile says.
    region: Option<String>,
    /// The URL of a store that is not Amazon's.
    endpoint: Option<String>,
    /// An access key in two lines, id and secret, or the file that holds one; used where the usual chain has none.
    credentials: Option<Secret>,
    /// Authorities that an endpoint with `https://` is trusted by, beside those of the system, in PEM.
    authority: Option<String>,
    /// Whether a bucket that is there already is taken over; it is then not deleted with the deployment.
    #[serde(default)]
    adopt: bool,
    /// The key of the key service (KMS) that objects are encrypted with; by default the store's own.
    kms_key: Option<String>,
    /// Days after which an upload that was not completed is given up.
    #[serde(default = "abort_after")]
    #[schemars(range(min = 1, max = 365))]
    abort_after: i32,
}

fn abort_after() -> i32 {
    7
}

/// What is kept of a bucket: where to find it again, and what its store does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    place: Place,
    adopted: bool,
    /// Settings that the store refused as unknown.
    unknown: BTreeSet<Part>,
}

pub(crate) struct Actual {
    settings: Settings,
    record: Option<Record>,
    /// Whether another bucket was used until now.
    again: bool,
    region: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    Kept(Kept),
    /// It was made.
    Created {
        place: Place,
        name: String,
    },
    /// A setting was changed.
    Set {
        place: Place,
        name: String,
        before: Before,
    },
}

/// The tag of a bucket that was there before this deployment.
const ADOPTED: &str = "provision.adopted";

impl Spec {
    fn place(&self) -> Place {
        let (region, endpoint, authority) =
            (self.region.as_deref(), self.endpoint.as_deref(), self.authority.as_deref());
        Place::of(region, endpoint, self.credentials.as_ref(), authority)
    }

    fn kms_key(&self) -> Option<&str> {
        self.kms_key.as_deref().filter(|key| !key.is_empty())
    }
}

impl Actual {
    fn tags(&self) -> Option<&BTreeMap<String, String>> {
        self.settings.tags.get()
    }

    /// Whether it belongs to this deployment: by its tags or, where the store has none, by what was kept.
    fn is_ours(&self, at: &At) -> bool {
        match self.tags().and_then(|tags| tags.get(ID)) {
            Some(id) => id == at.store().id(),
            None => self.record.is_some(),
        }
    }

    fn is_adopted(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.adopted)
            || self.tags().is_some_and(|tags| tags.contains_key(ADOPTED))
    }

    /// The settings that the store does not have, as far as is known.
    fn left_out(&self) -> BTreeSet<Part> {
        settings::unknown(&self.settings).into_iter().chain(self.unknown()).collect()
    }

    fn unknown(&self) -> BTreeSet<Part> {
        self.record.as_ref().map(|record| record.unknown.clone()).unwrap_or_default()
    }
}

impl BucketKind {
    fn adopts(spec: &Spec, actual: &Actual, at: &At) -> bool {
        actual.is_adopted() || (spec.adopt && !actual.is_ours(at))
    }

    fn wanted(spec: &Spec, actual: &Actual, at: &At) -> Wanted {
        let mut tags = at.labels();
        if Self::adopts(spec, actual, at) {
            tags.insert(ADOPTED.to_owned(), "true".to_owned());
        }
        Wanted { kms_key: spec.kms_key().map(str::to_owned), abort_after: spec.abort_after, tags }
    }

    /// The settings that have to change, as they are before.
    fn differing(wanted: &Wanted, actual: &Actual) -> Vec<Before> {
        let unknown = actual.unknown();
        wanted.differing(&actual.settings).into_iter().filter(|before| !unknown.contains(&before.part())).collect()
    }

    /// Brings all settings that differ to what they should be, all at once. What the store does not know is told and kept.
    /// Of a bucket that this run made, the one way back is its end.
    async fn set(spec: &Spec, actual: &Actual, fresh: bool, at: &At) -> Result<()> {
        let (place, name) = (spec.place(), &spec.name);
        let aws = at.aws(&place).await?;
        let wanted = Self::wanted(spec, actual, at);
        let differing = Self::differing(&wanted, actual);
        for before in differing.iter().filter(|_| !fresh) {
            at.will(&Undo::Set { place: place.clone(), name: name.clone(), before: before.clone() })?;
        }
        let mut left_out = actual.left_out();
        left_out.extend(Self::set_all(&wanted, &differing, name, &aws).await?);
        Self::refuse_key(spec, &left_out)?;
        if left_out.contains(&Part::PublicAccess) || left_out.contains(&Part::Encryption) {
            settings::prove_private(name, &aws).await?;
        }
        for part in left_out.difference(&actual.unknown()) {
            at.events().note(Some(&at.id), format!("the store of the bucket `{name}` has no {part}: left out"));
        }
        let adopted = Self::adopts(spec, actual, at);
        Self::keep(&Record { name: name.clone(), place: aws.settled(&place), adopted, unknown: left_out }, at)
    }

    /// Fails if objects are to be encrypted with a key and the store has no such setting.
    fn refuse_key(spec: &Spec, left_out: &BTreeSet<Part>) -> Result<()> {
        if spec.kms_key().is_none() || !left_out.contains(&Part::Encryption) {
            return Ok(());
        }
        Err(Error::new(format!("the store of the bucket `{}` has no encryption with a key of its own", spec.name))
            .hint("leave `--kms-key` out, or use a store that has a key service"))
    }

    /// Sets all that differs, and tells what the store does not have. Amazon's own has everything.
    async fn set_all(wanted: &Wanted, differing: &[Before], name: &str, aws: &Aws) -> Result<BTreeSet<Part>> {
        let answers = join_all(differing.iter().map(|before| wanted.set(before, name, aws))).await;
        let (mut set, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for (before, answer) in differing.iter().zip(answers) {
            match answer {
                Ok(()) => drop(set.insert(before.part())),
                Err(fault) if !aws.is_amazon() && fault.is_no_setting() => drop(left_out.insert(before.part())),
                Err(fault) => return Err(fault.into()),
            }
        }
        if !aws.is_amazon() && !set.is_empty() {
            left_out.extend(wanted.not_kept(&set, name, aws).await?);
        }
        let encryption = differing.iter().find(|before| before.part() == Part::Encryption);
        if let Some(before) = encryption.filter(|before| !left_out.contains(&before.part()))
            && !wanted.prove_encryption(name, aws, before).await?
        {
            left_out.insert(Part::Encryption);
        }
        Ok(left_out)
    }

    fn keep(record: &Record, at: &At) -> Result<()> {
        if at.kept_json::<Record>()?.as_ref() == Some(record) {
            return Ok(());
        }
        let mut steps = at.succession(|kept: &Record| kept.name == record.name)?;
        steps.push((at.key(), Some(serde_json::json!(record).to_string())));
        for (key, text) in steps {
            at.will(&Undo::Kept(Kept { key: key.clone(), before: at.store().get(&key)? }))?;
            at.store().put_back(Kept { key, before: text })?;
        }
        Ok(())
    }
}

impl Kind for BucketKind {
    const NAME: &'static str = "bucket";
    const ABOUT: &'static str = "a bucket of S3: private, encrypted, and marked as this deployment's";
    const OUTPUTS: &'static [Output] = &[public("name"), public("region")];
    const BARE: Option<&'static str> = Some("name");
    const STAYS: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        name::check(&spec.name)?;
        let aws = at.aws(&spec.place()).await?;
        let found = aws.bucket(&spec.name).await.map_err(|fault| unseen(&spec.name, fault))?;
        let aside = at.aside::<Record>()?.into_iter().map(|(_, record)| record);
        let own: Option<Record> = at.kept_json()?;
        let again = own.as_ref().is_some_and(|record| record.name != spec.name);
        let record = own.into_iter().chain(aside).find(|record| record.name == spec.name);
        Ok(match found {
            Bucket::Missing => None,
            Bucket::Found(settings) => {
                Some(Actual { settings: *settings, record, again, region: aws.region().to_owned() })
            }
        })
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        let Some(actual) = actual else { return Ok(()) };
        Self::refuse_key(spec, &actual.left_out())?;
        if actual.is_ours(at) {
            return Ok(());
        }
        let name = &spec.name;
        let owner = actual.tags().and_then(|tags| tags.get(DEPLOYMENT));
        match owner {
            Some(owner) => Err(Error::new(format!(
                "the bucket `{name}` exists already, and it belongs to another deployment called `{owner}`"
            ))
            .hint("choose another name for this one's bucket")),
            None if spec.adopt => Ok(()),
            None => Err(Error::new(format!("the bucket `{name}` exists already, and it was not made by provision"))
                .hint("`--adopt` takes it over with all that is in it, and leaves it there when the deployment goes; or choose another name")),
        }
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let wanted = Self::wanted(spec, actual, at);
        let fields = Self::differing(&wanted, actual).iter().flat_map(|before| wanted.fields(before)).collect();
        let change = Change::of(Action::Update, fields);
        if change.is_change() && !actual.is_ours(at) {
            return change.because("it is there already and is adopted");
        }
        if !actual.is_ours(at) || actual.record.is_none() {
            // Its marks are right, or the store has none: only what is kept of it here is missing.
            return Change::new(Action::Update).because("it is adopted");
        }
        if actual.again && !change.is_change() {
            return Change::new(Action::Update).because("it is used again");
        }
        change
    }

    fn facts(spec: &Spec, actual: Option<&Actual>, _: &At) -> Vec<Fact> {
        let bucket = || Fact::Bucket { place: spec.place(), name: spec.name.clone() };
        actual.iter().map(|_| bucket()).collect()
    }

    fn outputs(spec: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let region = actual.map(|actual| actual.region.clone()).or_else(|| spec.region.clone());
        let region = region.unwrap_or_else(|| crate::text::unknown::unknown(&at.id));
        Outputs::default().with("name", spec.name.as_str()).with("region", region)
    }

    fn pending(spec: &Spec, actual: &Actual, at: &At) -> Outputs {
        Self::outputs(spec, Some(actual), at)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        if let Some(actual) = actual {
            return Self::set(spec, &actual, false, at).await;
        }
        let (place, name) = (spec.place(), spec.name.clone());
        let aws = at.aws(&place).await?;
        let record =
            Record { name: name.clone(), place: aws.settled(&place), adopted: false, unknown: BTreeSet::new() };
        Self::keep(&record, at)?;
        at.will(&Undo::Created { place, name: name.clone() })?;
        aws.create_bucket(&name).await.map_err(|fault| {
            if fault.is(&["BucketAlreadyExists"]) {
                Error::new(format!("the bucket `{name}` belongs to somebody else"))
                    .hint("choose another name: bucket names are shared by everybody")
            } else {
                fault.into()
            }
        })?;
        at.run.check_cancelled()?;
        let settings = look::appears(&name, &aws, at).await?;
        let made = Actual { settings, record: Some(record), again: false, region: String::new() };
        Self::set(spec, &made, true, at).await
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        match undo {
            Undo::Kept(kept) => kept.restore(at),
            Undo::Created { place, name } => {
                let aws = at.aws(&place).await?;
                match aws.is_empty(&name).await {
                    // It was never made, or it is somebody else's.
                    Err(fault) if fault.is_missing() || fault.is_denied() || fault.is_elsewhere() => Ok(()),
                    Err(fault) => Err(fault.into()),
                    Ok(_) => Ok(aws.delete_bucket(&name).await?),
                }
            }
            Undo::Set { place, name, before } => {
                let aws = at.aws(&place).await?;
                match before.restore(&name, &aws).await {
                    // It may have been one that its store does not know.
                    Err(fault) if !fault.is_missing() && (aws.is_amazon() || !fault.is_no_setting()) => {
                        Err(fault.into())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        let mut all = Vec::new();
        for mut owned in at.owned_keys(false)? {
            let at = At { id: owned.id.clone(), ..at.clone() };
            let Some(record) = at.kept_json::<Record>()? else { continue };
            let empty = match at.aws(&record.place).await?.is_empty(&record.name).await {
                Err(fault) if fault.is_missing() => true,
                answer => answer.map_err(|fault| unseen(&record.name, fault))?,
            };
            owned.data = !empty && !record.adopted;
            owned.label = if record.adopted { format!("{} (adopted: it stays)", record.name) } else { record.name };
            all.push(owned);
        }
        Ok(all)
    }

    async fn may_remove(owned: &Owned, at: &At) -> Result<()> {
        if !owned.data || at.run.options.delete_data.contains(&owned.label) {
            return Ok(());
        }
        Err(Error::new(format!("there are objects in the bucket `{}`", owned.label)).hint(
            "nothing was removed; `--keep-data` leaves the bucket, and `provision destroy --help` tells what deletes its objects too",
        ))
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        Self::may_remove(owned, at).await?;
        let at = At { id: owned.id.clone(), ..at.clone() };
        if let Some(record) = at.kept_json::<Record>()? {
            let aws = at.aws(&record.place).await?;
            if record.adopted {
                release(&record.name, &aws, &at).await?;
            } else {
                if owned.data {
                    let watch = |gone| at.progress("objects deleted", gone, 0);
                    aws.empty_bucket(&record.name, &watch).await?;
                }
                aws.delete_bucket(&record.name).await?;
            }
        }
        at.store().delete(&owned.handle)
    }
}

/// Takes our marks off a bucket that stays.
async fn release(name: &str, aws: &Aws, at: &At) -> Result<()> {
    let Bucket::Found(settings) = aws.bucket(name).await.map_err(|fault| unseen(name, fault))? else {
        return Ok(());
    };
    let Some(found) = settings.tags.get() else { return Ok(()) };
    let ours = at.labels();
    let mut left = found.clone();
    left.retain(|key, _| key != ADOPTED && !ours.contains_key(key));
    if left.len() < found.len() {
        aws.put_tags(name, Some(&left)).await?;
    }
    Ok(())
}
