//! An access key of an IAM user, made once and kept, or one that a file holds: [`AccessKeyKind`].
//!
//! A store shows the secret of a key once, so it is kept in the moment it arrives. Before a key is made, the keys that are
//! there are written down: whatever a run that died has made beyond them is found, deleted and made anew.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::run::Anew;
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::secret::Secret;
use crate::text::unknown::is_unknown;
use crate::world::aws::{AccessKey, Aws, Place, is_key, read_key};
use crate::world::host;

pub(crate) struct AccessKeyKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The user of IAM whose key it is; without one, `file` holds the key.
    user: Option<String>,
    /// The key of a store that has no IAM, in two lines, id and secret; or the file that holds it, so or in the form of
    /// AWS's own.
    file: Option<Secret>,
    /// The region; by default what the environment or the profile says.
    region: Option<String>,
    /// The URL of a store that is not Amazon's.
    endpoint: Option<String>,
    /// An access key in two lines, id and secret, or the file that holds one; used where the usual chain has none.
    credentials: Option<Secret>,
    /// Authorities that an endpoint with `https://` is trusted by, beside those of the system, in PEM.
    authority: Option<String>,
}

/// What is kept of a key.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    user: String,
    place: Place,
    current: Option<Held>,
    /// The one that `current` takes the place of, until all that used it has the new one.
    previous: Option<String>,
    /// While a key is being made: the keys that were there before.
    making: Option<Vec<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Held {
    id: String,
    secret: String,
}

/// What there is: what is kept here, and the keys that the user has.
pub(crate) struct Actual {
    held: Held,
    record: Option<Record>,
    keys: Vec<AccessKey>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    Kept(Kept),
    /// A key was made; these were there before.
    Made {
        place: Place,
        user: String,
        before: Vec<String>,
    },
    /// A key was switched on.
    Activated {
        place: Place,
        user: String,
        id: String,
    },
    /// Once the whole run has succeeded, this one goes.
    Retire {
        place: Place,
        user: String,
        id: String,
    },
}

/// How many keys a user can have (IAM's documented limit).
const MOST: usize = 2;
/// How often a key is tried to be made, and the milliseconds before the second try; each pause is twice the last.
const TRIES: u32 = 5;
const PAUSE: u64 = 300;

impl Spec {
    fn place(&self) -> Place {
        let (region, endpoint, authority) =
            (self.region.as_deref(), self.endpoint.as_deref(), self.authority.as_deref());
        Place::of(region, endpoint, self.credentials.as_ref(), authority)
    }

    fn user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }

    fn file(&self) -> Option<&str> {
        self.file.as_ref().map(Secret::expose).filter(|file| !file.is_empty())
    }
}

impl Actual {
    /// Keys that a run which died has left: made by us, and held by nobody.
    fn orphans(&self) -> Vec<String> {
        let Some(record) = &self.record else { return Vec::new() };
        let made = |key: &&AccessKey| {
            let fresh = record.making.as_ref().is_some_and(|before| !before.contains(&key.id));
            fresh && record.current.as_ref().is_none_or(|held| held.id != key.id)
        };
        self.keys.iter().filter(made).map(|key| key.id.clone()).collect()
    }

    fn previous(&self) -> Option<&String> {
        self.record.as_ref().and_then(|record| record.previous.as_ref())
    }

    fn is_active(&self) -> bool {
        self.keys.iter().any(|key| key.id == self.held.id && key.active)
    }
}

fn save(record: &Record, at: &At) -> Result<()> {
    at.store().put(&at.key(), &serde_json::json!(record).to_string())
}

/// Makes a key and keeps it. An answer that got lost may have made one: that is deleted before the next try.
async fn make(user: &str, place: &Place, previous: Option<String>, aws: &Aws, at: &At) -> Result<()> {
    let before: Vec<String> = aws.access_keys(user).await?.into_iter().map(|key| key.id).collect();
    if before.len() >= MOST {
        return Err(Error::new(format!("the user `{user}` has two access keys already: {}", before.join(", ")))
            .hint("a user has two at most; delete the one that nothing uses, then run the command again"));
    }
    at.will(&Undo::Kept(Kept { key: at.key(), before: at.store().get(&at.key())? }))?;
    let current = at.kept_json::<Record>()?.and_then(|record| record.current);
    let making = Some(before.clone());
    let mut record = Record { user: user.to_owned(), place: aws.settled(place), current, previous: None, making };
    save(&record, at)?;
    at.will(&Undo::Made { place: place.clone(), user: user.to_owned(), before: before.clone() })?;
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        match aws.create_access_key(user).await {
            Ok((id, secret)) => {
                record.current = Some(Held { id, secret: secret.expose().to_owned() });
                record.making = None;
                record.previous = previous;
                return save(&record, at);
            }
            Err(fault) if attempt < TRIES && (fault.is_uncertain() || fault.is_missing()) => {
                host::sleep(pause).await;
                pause *= 2;
                delete_others(user, &before, aws).await?;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

/// Deletes every key of a user but these.
async fn delete_others(user: &str, these: &[String], aws: &Aws) -> Result<()> {
    for key in aws.access_keys(user).await?.into_iter().filter(|key| !these.contains(&key.id)) {
        aws.delete_access_key(user, &key.id).await?;
    }
    Ok(())
}

impl Kind for AccessKeyKind {
    const NAME: &'static str = "access-key";
    const ABOUT: &'static str = "an access key of an IAM user, or of a file; `provision rotate` makes it anew";
    const OUTPUTS: &'static [Output] = &[public("id"), hidden("secret")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        if let Some(file) = spec.file() {
            let (id, secret) = read_key(file)?;
            let held = Held { id, secret: secret.expose().to_owned() };
            return Ok(Some(Actual { held, record: None, keys: Vec::new() }));
        }
        let user = spec.user().filter(|user| !is_unknown(user));
        let user = user.ok_or_else(|| Error::new("an access key needs either `user` or `file`"))?;
        let record = at.kept_json::<Record>()?.filter(|record| record.user == user);
        let keys = at.aws(&spec.place()).await?.access_keys(user).await?;
        let held = record.as_ref().and_then(|record| record.current.clone());
        let held = held.filter(|held| keys.iter().any(|key| key.id == held.id));
        Ok(held.map(|held| Actual { held, record, keys }))
    }

    async fn check(spec: &Spec, _: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        match spec.file() {
            Some(file) if at.run.options.makes_anew(Anew::Keys) => Err(Error::new(if is_key(file) {
                "the key was given, and none is made here".to_owned()
            } else {
                format!("the key comes from the file `{file}`")
            })
            .hint("make a new one where the old one was made, give that one, and run the playbook again")),
            _ => Ok(()),
        }
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        if spec.file().is_some() {
            return Change::unchanged();
        }
        let mut fields: Vec<Field> = Vec::new();
        let gone = |name: &str, id: &str| Field { name: name.to_owned(), old: id.to_owned(), new: "(none)".to_owned() };
        fields.extend(actual.orphans().iter().map(|id| gone("orphan", id)));
        if let Some(previous) = actual.previous() {
            fields.push(gone("previous", previous));
        } else if at.run.options.makes_anew(Anew::Keys) {
            fields.push(Field { name: "id".to_owned(), old: actual.held.id.clone(), new: "(another)".to_owned() });
        }
        if !actual.is_active() {
            fields.extend(Field::compare("status", "Inactive", "Active"));
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        match actual {
            Some(actual) => {
                Outputs::default().with("id", actual.held.id.as_str()).with("secret", actual.held.secret.as_str())
            }
            None => Outputs::unknown(Self::OUTPUTS, &at.id),
        }
    }

    fn pending(spec: &Spec, actual: &Actual, at: &At) -> Outputs {
        let renewed = at.run.options.makes_anew(Anew::Keys) && actual.previous().is_none();
        Self::outputs(spec, Some(actual).filter(|_| !renewed), at)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let (Some(user), place) = (spec.user(), spec.place()) else { return Ok(()) };
        let aws = at.aws(&place).await?;
        let Some(actual) = actual else {
            // Whatever a run that died has made.
            let died = at.kept_json::<Record>()?.filter(|record| record.user == user).and_then(|record| record.making);
            if let Some(before) = died {
                let known = aws.access_keys(user).await?;
                let kept: Vec<String> = known.into_iter().map(|key| key.id).filter(|id| before.contains(id)).collect();
                delete_others(user, &kept, &aws).await?;
            }
            return make(user, &place, None, &aws, at).await;
        };
        for orphan in actual.orphans() {
            aws.delete_access_key(user, &orphan).await?;
        }
        if let Some(record) = actual.record.clone().filter(|record| record.making.is_some()) {
            save(&Record { making: None, ..record }, at)?;
        }
        if !actual.is_active() {
            at.will(&Undo::Activated { place: place.clone(), user: user.to_owned(), id: actual.held.id.clone() })?;
            aws.set_access_key(user, &actual.held.id, true).await?;
        }
        let previous = match actual.previous() {
            // A rotation that died: all that is left is to let go of the old one.
            Some(previous) => previous.clone(),
            None if at.run.options.makes_anew(Anew::Keys) => {
                make(user, &place, Some(actual.held.id.clone()), &aws, at).await?;
                actual.held.id
            }
            None => return Ok(()),
        };
        at.will(&Undo::Retire { place, user: user.to_owned(), id: previous })
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        match undo {
            Undo::Kept(kept) => kept.restore(at),
            Undo::Retire { .. } => Ok(()),
            Undo::Made { place, user, before } => delete_others(&user, &before, &*at.aws(&place).await?).await,
            Undo::Activated { place, user, id } => Ok(at.aws(&place).await?.set_access_key(&user, &id, false).await?),
        }
    }

    async fn settle(undo: Undo, at: &At) -> Result<()> {
        let Undo::Retire { place, user, id } = undo else { return Ok(()) };
        at.aws(&place).await?.delete_access_key(&user, &id).await?;
        match at.kept_json::<Record>()? {
            Some(record) => save(&Record { previous: None, ..record }, at),
            None => Ok(()),
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        let at = At { id: owned.id.clone(), ..at.clone() };
        if let Some(record) = at.kept_json::<Record>()? {
            let aws = at.aws(&record.place).await?;
            let before = record.making.clone().unwrap_or_default();
            let ours = record.current.into_iter().map(|held| held.id).chain(record.previous);
            for id in ours {
                aws.delete_access_key(&record.user, &id).await?;
            }
            if record.making.is_some() {
                delete_others(&record.user, &before, &aws).await?;
            }
        }
        at.store().delete(&owned.handle)
    }
}
