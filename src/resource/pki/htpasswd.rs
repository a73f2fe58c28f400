//! A password file of users and bcrypt hashes, as nginx and the registry read it: [`HtpasswdKind`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::deployment::Store;
use crate::error::Result;
use crate::formats::htpasswd::{Entry, HIGHEST_COST, check_password};
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, hidden};
use crate::secret::Secret;
use crate::text::digest::sha256;
use crate::text::shell;
use crate::text::unknown::is_unknown;

pub(crate) struct HtpasswdKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Each user's password; 72 bytes at most, which is all that bcrypt looks at.
    users: BTreeMap<String, Secret>,
    /// The cost of bcrypt, from 4 to 8: each step doubles the time of a check, for which nginx lets everybody wait, and 8 is
    /// about 12 ms. A higher one counts as 8.
    #[serde(default = "cost")]
    #[schemars(range(min = 4, max = 17))]
    cost: u32,
}

fn cost() -> u32 {
    HIGHEST_COST
}

/// What is kept of a user: the hash, and what it was made from, so that a check costs no bcrypt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    entry: Entry,
    /// SHA-256 of password and hash. It stands in the same folder as the password itself, so it gives nothing away.
    proof: String,
}

/// The users that a file has, and those that it should have beside the playbook's.
#[derive(Debug)]
pub(crate) struct Actual {
    users: BTreeMap<String, User>,
    added: Added,
}

/// Users that `provision users` added to those of the playbook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Added {
    pub entries: BTreeMap<String, Entry>,
    /// The passwords that were generated for them.
    pub passwords: BTreeMap<String, String>,
}

impl Added {
    /// Where the htpasswd resource `id` keeps them: hashes, and generated passwords.
    fn keys(id: &str) -> [String; 2] {
        ["added", "passwords"].map(|file| format!("{}/{}/{file}", HtpasswdKind::NAME, id.replace('/', ".")))
    }

    pub fn read(id: &str, store: &Store) -> Result<Self> {
        let [entries, passwords] = Self::keys(id).map(|key| store.get(&key));
        let map = |text: Option<String>| -> BTreeMap<String, String> {
            let lines = text.unwrap_or_default();
            lines.lines().filter_map(|line| line.split_once(':')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
        };
        let entries = map(entries?).into_iter().map(|(name, hash)| (name.clone(), Entry { name, hash }));
        Ok(Self { entries: entries.collect(), passwords: map(passwords?) })
    }

    pub fn write(&self, id: &str, store: &Store) -> Result<()> {
        let [entries, passwords] = Self::keys(id);
        let put = |key: &str, text: String| if text.is_empty() { store.delete(key) } else { store.put(key, &text) };
        put(&passwords, self.passwords.iter().map(|(name, password)| format!("{name}:{password}\n")).collect())?;
        put(&entries, self.entries.values().map(|entry| format!("{}:{}\n", entry.name, entry.hash)).collect())
    }

    /// Tells of those whom an earlier version took in with a hash that takes nginx long: they can log in as before.
    fn tell_costly(&self, at: &At) {
        let costly: Vec<&str> =
            self.entries.values().filter(|entry| entry.is_costly()).map(|entry| entry.name.as_str()).collect();
        let Some(first) = costly.first() else { return };
        let command = shell::line(["provision", "users", at.store().name(), "password", first, "--generate"]);
        let named: Vec<String> = costly.iter().map(|name| format!("`{name}`")).collect();
        at.run.note_once(&format!(
            "hashed at a cost above {HIGHEST_COST}, so that nginx lets everybody wait while it checks a password: {}; `{command}` gives a new one",
            named.join(", ")
        ));
    }

    /// Those who are not the playbook's own.
    fn beside<'a>(&'a self, own: &'a BTreeMap<String, Secret>) -> impl Iterator<Item = &'a Entry> {
        self.entries.values().filter(|entry| !own.contains_key(&entry.name))
    }
}

/// The users that stand in the file of the resource `id`, whoever named them.
pub(crate) fn own_users(id: &str, store: &Store) -> Result<BTreeMap<String, Entry>> {
    let file = store.get(&format!("{}/{}/htpasswd", HtpasswdKind::NAME, id.replace('/', ".")))?.unwrap_or_default();
    let users = file.lines().filter_map(|line| line.split_once(':'));
    Ok(users.map(|(name, hash)| (name.to_owned(), Entry { name: name.to_owned(), hash: hash.to_owned() })).collect())
}

fn proof(password: &Secret, hash: &str) -> String {
    sha256(format!("{hash}\n{}", password.expose()).as_bytes())
}

impl HtpasswdKind {
    fn keys(at: &At) -> [String; 2] {
        ["htpasswd", "proofs"].map(|file| format!("{}/{file}", at.key()))
    }

    fn file(users: &BTreeMap<String, User>) -> String {
        users.iter().map(|(name, user)| format!("{name}:{}\n", user.entry.hash)).collect()
    }
}

impl Kind for HtpasswdKind {
    const NAME: &'static str = "htpasswd";
    const ABOUT: &'static str = "a password file with bcrypt hashes";
    const OUTPUTS: &'static [Output] = &[hidden("content")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Kept;

    fn complete(spec: &mut Spec, at: &At) -> Result<()> {
        if spec.cost > HIGHEST_COST {
            at.run.note_once(&format!(
                "`{}`: `cost: {}` counts as {HIGHEST_COST}, for nginx lets everybody wait while it checks a password",
                at.id, spec.cost
            ));
            spec.cost = HIGHEST_COST;
        }
        Ok(())
    }

    async fn check(spec: &Spec, actual: Option<&Self::Actual>, _: &Change, at: &At) -> Result<()> {
        if let Some(actual) = actual {
            actual.added.tell_costly(at);
        }
        for (name, password) in spec.users.iter().filter(|(_, password)| !is_unknown(password.expose())) {
            let kept = actual.and_then(|actual| actual.users.get(name));
            // One that is in use already goes on being used.
            if kept.is_none_or(|user| user.proof != proof(password, &user.entry.hash)) {
                check_password(name, password.expose())?;
            }
        }
        Ok(())
    }

    async fn actual(_: &Spec, at: &At) -> Result<Option<Self::Actual>> {
        let [file, proofs] = Self::keys(at);
        let (Some(file), Some(proofs)) = (at.store().get(&file)?, at.store().get(&proofs)?) else { return Ok(None) };
        let proofs: BTreeMap<&str, &str> = proofs.lines().filter_map(|line| line.split_once(':')).collect();
        let users = file.lines().filter_map(|line| line.split_once(':')).map(|(name, hash)| {
            let proof = proofs.get(name).copied().unwrap_or_default().to_owned();
            (name.to_owned(), User { entry: Entry { name: name.to_owned(), hash: hash.to_owned() }, proof })
        });
        Ok(Some(Actual { users: users.collect(), added: Added::read(&at.id, at.store())? }))
    }

    fn diff(spec: &Spec, actual: &Self::Actual, _: &At) -> Change {
        let mut fields: Vec<Field> = Vec::new();
        let field = |name: &str, old: &str, new: &str| Field {
            name: format!("users.{name}"),
            old: old.to_owned(),
            new: new.to_owned(),
        };
        for (name, password) in &spec.users {
            match actual.users.get(name) {
                None => fields.push(field(name, "(none)", "(secret)")),
                Some(user) if is_unknown(password.expose()) || user.proof != proof(password, &user.entry.hash) => {
                    fields.push(field(name, "(secret)", "(another secret)"));
                }
                Some(user) if !user.entry.hash.contains(&format!("${:02}$", spec.cost)) => {
                    let old = user.entry.hash.split('$').nth(2).unwrap_or_default();
                    fields.extend(Field::compare("cost", old, &spec.cost.to_string()));
                }
                Some(_) => {}
            }
        }
        for entry in actual.added.beside(&spec.users) {
            match actual.users.get(&entry.name) {
                None => fields.push(field(&entry.name, "(none)", "(secret)")),
                Some(user) if user.entry != *entry => fields.push(field(&entry.name, "(secret)", "(another secret)")),
                Some(_) => {}
            }
        }
        let wanted = |name: &String| spec.users.contains_key(name) || actual.added.entries.contains_key(name);
        fields.extend(actual.users.keys().filter(|name| !wanted(name)).map(|name| field(name, "(secret)", "(none)")));
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Self::Actual>, at: &At) -> Outputs {
        match actual {
            Some(actual) => Outputs::default().with("content", Self::file(&actual.users)),
            None => Outputs::unknown(Self::OUTPUTS, &at.id),
        }
    }

    async fn apply(spec: &Spec, actual: Option<Self::Actual>, _: &Change, at: &At) -> Result<()> {
        let cost = format!("${:02}$", spec.cost);
        let mut users = BTreeMap::new();
        for entry in Added::read(&at.id, at.store())?.beside(&spec.users) {
            users.insert(entry.name.clone(), User { entry: entry.clone(), proof: String::new() });
        }
        for (name, password) in &spec.users {
            let kept = actual.as_ref().and_then(|actual| actual.users.get(name));
            let kept =
                kept.filter(|user| user.proof == proof(password, &user.entry.hash) && user.entry.hash.contains(&cost));
            let user = if let Some(user) = kept {
                user.clone()
            } else {
                let entry = Entry::new(name, password.expose(), spec.cost)?;
                User { proof: proof(password, &entry.hash), entry }
            };
            users.insert(name.clone(), user);
        }
        let proofs: String = users.iter().map(|(name, user)| format!("{name}:{}\n", user.proof)).collect();
        let [file, proofs_key] = Self::keys(at);
        at.keep_all(&[(&proofs_key, &proofs), (&file, &Self::file(&users))]).await
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
