//! A user of IAM with one inline policy, whose drift is told action by action: [`IamUserKind`].

mod policy;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::content::Content;
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, public};
use crate::secret::Secret;
use crate::world::aws::{Aws, Place, User};

pub(crate) struct IamUserKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name; by default the deployment's name and the resource's.
    name: Option<String>,
    /// The region; by default what the environment or the profile says. It decides between AWS, its part in China, and that for the US government.
    region: Option<String>,
    /// The URL of a store that is not Amazon's.
    endpoint: Option<String>,
    /// An access key in two lines, id and secret, or the file that holds one; used where the usual chain has none.
    credentials: Option<Secret>,
    /// Authorities that an endpoint with `https://` is trusted by, beside those of the system, in PEM.
    authority: Option<String>,
    /// What it may do: a policy in JSON. `arn:aws:` in it becomes what the region wants.
    policy: Option<String>,
    /// The same, as a template.
    template: Option<Content>,
}

/// What is kept of a user: where to find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    place: Place,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    Kept(Kept),
    /// It was made.
    Created(Place, String),
    /// Its policy was written; what stood there before.
    Policy(Place, String, Option<String>),
    /// Its tags were written. Others than ours were left alone, so nothing is to be taken back.
    Tagged,
}

/// The name of the inline policy.
const POLICY: &str = "provision";

impl Spec {
    fn place(&self) -> Place {
        let (region, endpoint, authority) =
            (self.region.as_deref(), self.endpoint.as_deref(), self.authority.as_deref());
        Place::of(region, endpoint, self.credentials.as_ref(), authority)
    }

    fn name(&self, at: &At) -> String {
        self.name.clone().unwrap_or_else(|| at.default_name())
    }

    fn document(&self) -> &str {
        self.policy.as_deref().or(self.template.as_ref().map(Content::expose)).unwrap_or_default()
    }

    /// The policy as it is sent: without white space, and with the names of things as the region has them.
    fn localized(&self, partition: &str) -> String {
        let policy: Json = serde_json::from_str(self.document()).unwrap_or_default();
        policy.to_string().replace("arn:aws:", &format!("arn:{partition}:"))
    }
}

/// The second mark of ownership, which a store that drops tags keeps too.
fn path(at: &At) -> String {
    format!("/provision/{}/", at.store().id())
}

/// A user as it is, with what its place makes of names.
pub(crate) struct Actual {
    user: User,
    partition: &'static str,
    has_tags: bool,
}

async fn put_policy(spec: &Spec, before: Option<String>, aws: &Aws, at: &At) -> Result<()> {
    let name = spec.name(at);
    at.will(&Undo::Policy(spec.place(), name.clone(), before))?;
    Ok(aws.put_user_policy(&name, POLICY, &spec.localized(aws.partition())).await?)
}

/// Removes a user of this deployment. One of the same name that somebody else made is left alone.
async fn remove_ours(place: &Place, name: &str, at: &At) -> Result<()> {
    let aws = at.aws(place).await?;
    if aws.user(name, POLICY).await?.is_some_and(|user| user.path == path(at)) {
        aws.delete_user(name).await?;
    }
    Ok(())
}

impl Kind for IamUserKind {
    const NAME: &'static str = "iam-user";
    const ABOUT: &'static str = "a user of IAM that may do what its policy says, and nothing else";
    const OUTPUTS: &'static [Output] = &[public("name"), public("arn")];
    const BARE: Option<&'static str> = Some("name");

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let aws = at.aws(&spec.place()).await?;
        let found = aws.user(&spec.name(at), POLICY).await?;
        Ok(found.map(|user| {
            let has_tags = aws.is_amazon() || !user.tags.is_empty();
            Actual { user, partition: aws.partition(), has_tags }
        }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        policy::check(spec.document())?;
        match actual {
            Some(actual) if actual.user.path != path(at) => Err(Error::new(format!(
                "the IAM user `{}` exists already at the path `{}`, and it was not made by this deployment",
                spec.name(at),
                actual.user.path
            ))
            .hint("give this deployment another name with `--name`")),
            _ => Ok(()),
        }
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let found = actual.user.policy.as_deref().unwrap_or_default();
        let mut fields = policy::compare(found, &spec.localized(actual.partition));
        let tags = |key: &str| actual.user.tags.get(key).cloned().unwrap_or_default();
        let wanted = at.labels();
        let tagged = wanted.iter().filter(|_| actual.has_tags);
        fields.extend(tagged.filter_map(|(key, value)| Field::compare(format!("tags.{key}"), &tags(key), value)));
        Change::of(Action::Update, fields)
    }

    fn outputs(spec: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let arn = actual.map_or_else(|| crate::text::unknown::unknown(&at.id), |actual| actual.user.arn.clone());
        Outputs::default().with("name", spec.name(at)).with("arn", arn)
    }

    fn pending(spec: &Spec, actual: &Actual, at: &At) -> Outputs {
        Self::outputs(spec, Some(actual), at)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, change: &Change, at: &At) -> Result<()> {
        let (place, name) = (spec.place(), spec.name(at));
        let aws = at.aws(&place).await?;
        if let Some(actual) = actual {
            if change.fields.iter().any(|field| field.name.starts_with("tags.")) {
                at.will(&Undo::Tagged)?;
                aws.tag_user(&name, &at.labels()).await?;
            }
            if change.fields.iter().any(|field| field.name.starts_with("policy.")) {
                put_policy(spec, actual.user.policy, &aws, at).await?;
            }
            return Ok(());
        }
        let record = serde_json::json!(Record { name: name.clone(), place: aws.settled(&place) }).to_string();
        at.will(&Undo::Kept(Kept { key: at.key(), before: at.store().get(&at.key())? }))?;
        at.store().put(&at.key(), &record)?;
        at.will(&Undo::Created(place, name.clone()))?;
        let tags: BTreeMap<String, String> = at.labels();
        match aws.create_user(&name, &path(at), &tags).await {
            // An answer was lost, and the call was sent again.
            Err(fault) if fault.is(&["EntityAlreadyExists", "EntityAlreadyExistsException"]) => {
                let found = aws.user(&name, POLICY).await?;
                if found.is_none_or(|user| user.path != path(at)) {
                    return Err(fault.into());
                }
            }
            answer => answer?,
        }
        put_policy(spec, None, &aws, at).await
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        match undo {
            Undo::Kept(kept) => kept.restore(at),
            Undo::Tagged => Ok(()),
            Undo::Created(place, name) => remove_ours(&place, &name, at).await,
            Undo::Policy(place, name, before) => {
                let aws = at.aws(&place).await?;
                match before {
                    Some(document) => Ok(aws.put_user_policy(&name, POLICY, &document).await?),
                    None => Ok(aws.delete_user_policy(&name, POLICY).await?),
                }
            }
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        let at = At { id: owned.id.clone(), ..at.clone() };
        if let Some(record) = at.kept_json::<Record>()? {
            remove_ours(&record.place, &record.name, &at).await?;
        }
        at.store().delete(&owned.handle)
    }
}
