//! A password file of users and bcrypt hashes, as nginx and the registry read it: [`HtpasswdKind`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, Kept, Kind, Output, Outputs, Owned, hidden};
use crate::change::{Action, Change, Field, is_unknown};
use crate::content::sha256;
use crate::error::{Error, Result};
use crate::secret::Secret;

pub(crate) struct HtpasswdKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Each user's password; 72 bytes at most, which is all that bcrypt looks at.
    users: BTreeMap<String, Secret>,
    /// The cost of bcrypt: each step doubles the time of a check, and 10 is about 50 ms.
    #[serde(default = "cost")]
    #[schemars(range(min = 4, max = 17))]
    cost: u32,
}

fn cost() -> u32 {
    10
}

/// What is kept of a user: the hash, and what it was made from, so that a check costs no bcrypt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    hash: String,
    /// SHA-256 of password and hash. It stands in the same folder as the password itself, so it gives nothing away.
    proof: String,
}

fn proof(password: &Secret, hash: &str) -> String {
    sha256(format!("{hash}\n{}", password.expose()).as_bytes())
}

impl HtpasswdKind {
    fn keys(at: &At) -> [String; 2] {
        ["htpasswd", "proofs"].map(|file| format!("{}/{file}", at.key()))
    }

    fn file(users: &BTreeMap<String, User>) -> String {
        users.iter().map(|(name, user)| format!("{name}:{}\n", user.hash)).collect()
    }
}

impl Kind for HtpasswdKind {
    const NAME: &'static str = "htpasswd";
    const ABOUT: &'static str = "a password file with bcrypt hashes";
    const OUTPUTS: &'static [Output] = &[hidden("content")];

    type Spec = Spec;
    type Actual = BTreeMap<String, User>;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Self::Actual>> {
        let [file, proofs] = Self::keys(at);
        let (Some(file), Some(proofs)) = (at.store().get(&file)?, at.store().get(&proofs)?) else { return Ok(None) };
        let proofs: BTreeMap<&str, &str> = proofs.lines().filter_map(|line| line.split_once(':')).collect();
        let users = file.lines().filter_map(|line| line.split_once(':')).map(|(name, hash)| {
            let proof = proofs.get(name).copied().unwrap_or_default().to_owned();
            (name.to_owned(), User { hash: hash.to_owned(), proof })
        });
        Ok(Some(users.collect()))
    }

    fn diff(spec: &Spec, actual: &Self::Actual, _: &At) -> Change {
        let mut fields: Vec<Field> = Vec::new();
        for (name, password) in &spec.users {
            let field = |old: &str, new: &str| Field {
                name: format!("users.{name}"),
                old: old.to_owned(),
                new: new.to_owned(),
            };
            match actual.get(name) {
                None => fields.push(field("(none)", "(secret)")),
                Some(user) if is_unknown(password.expose()) || user.proof != proof(password, &user.hash) => {
                    fields.push(field("(secret)", "(another secret)"));
                }
                Some(user) if !user.hash.contains(&format!("${:02}$", spec.cost)) => {
                    let old = user.hash.split('$').nth(2).unwrap_or_default();
                    fields.extend(Field::compare("cost", old, &spec.cost.to_string()));
                }
                Some(_) => {}
            }
        }
        for name in actual.keys().filter(|name| !spec.users.contains_key(*name)) {
            fields.push(Field { name: format!("users.{name}"), old: "(secret)".to_owned(), new: "(none)".to_owned() });
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Self::Actual>, at: &At) -> Outputs {
        match actual {
            Some(users) => Outputs::default().with("content", Self::file(users)),
            None => Outputs::unknown::<Self>(&at.id),
        }
    }

    async fn apply(spec: &Spec, actual: Option<Self::Actual>, _: &Change, at: &At) -> Result<()> {
        let mut users = BTreeMap::new();
        for (name, password) in &spec.users {
            if name.is_empty() || name.contains([':', '\n', ' ']) {
                return Err(Error::new(format!("`{name}` cannot be a user's name"))
                    .hint("a name has no colon, space or line end"));
            }
            if password.expose().len() > 72 {
                return Err(Error::new(format!("the password of `{name}` is longer than 72 bytes"))
                    .hint("bcrypt looks at 72 bytes only; choose a shorter one"));
            }
            let cost = format!("${:02}$", spec.cost);
            let kept = actual.as_ref().and_then(|users| users.get(name));
            let kept = kept.filter(|user| user.proof == proof(password, &user.hash) && user.hash.contains(&cost));
            let user = if let Some(user) = kept {
                user.clone()
            } else {
                let hash = bcrypt::hash(password.expose(), spec.cost)
                    .map_err(|error| Error::new(format!("cannot hash a password: {error}")))?;
                User { proof: proof(password, &hash), hash }
            };
            users.insert(name.clone(), user);
        }
        let proofs: String = users.iter().map(|(name, user)| format!("{name}:{}\n", user.proof)).collect();
        let [file, proofs_key] = Self::keys(at);
        at.keep(&proofs_key, &proofs)?;
        at.keep(&file, &Self::file(&users))
    }

    async fn undo(undo: Kept, at: &At) -> Result<()> {
        undo.restore(at)
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.remove_kept(owned)
    }
}
