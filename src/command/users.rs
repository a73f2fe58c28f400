//! `provision users`: who may log in to a registry, beside the user that the playbook names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::apply;
use super::turn::{Halt, Turn};
use crate::deployment::{Record, Store};
use crate::error::{Error, Result, did_you_mean};
use crate::formats::htpasswd::{self, Entry, HIGHEST_COST};
use crate::formats::yaml::Source;
use crate::report::{self, Style, ask_hidden, line};
use crate::resource::pki::htpasswd::{Added, own_users};
use crate::session::{Session, Target};
use crate::text::shell;
use crate::world::stop::Stopper;
use crate::world::{host, typed};

/// What is to be done with the users.
pub(crate) enum Task {
    List,
    Add {
        user: String,
        password: Password,
    },
    /// Takes over the entries of a password file.
    Import {
        file: String,
    },
    Password {
        user: String,
        password: Password,
    },
    Remove {
        user: String,
    },
}

/// Where a password comes from.
pub(crate) enum Password {
    Asked,
    Generated,
    /// A file that holds nothing else, where `-` is the standard input.
    File(String),
}

/// bcrypt's cost for a generated password; one that a person chose has the highest: its 190 bits are not guessed however fast a guess is.
const GENERATED_COST: u32 = 5;
const GENERATED_LENGTH: usize = 32;

/// The users of one password file.
struct Users {
    /// The resource that the file belongs to.
    id: String,
    own: BTreeMap<String, Entry>,
    added: Added,
}

/// What was read for a task before the deployment's lock is taken: meanwhile somebody else may work.
enum Material {
    Nothing,
    Secret(String),
    /// A password file.
    Entries(Arc<Source>),
}

pub(crate) async fn run(session: &Session, name: &str, task: Task, style: Style) -> Result<()> {
    let (store, _) = open(name)?;
    let users = Users::read(&store)?;
    if matches!(task, Task::List) {
        users.list(style);
        return Ok(());
    }
    let material = task.obtain(&session.stopper).await?;
    let started = Instant::now();
    session.alone(name, "users", async |turn| within(session, name, &task, &material, turn, started).await).await?;
    if let Task::Add { user, password: Password::Generated } | Task::Password { user, password: Password::Generated } =
        &task
        && Users::read(&store)?.added.passwords.contains_key(user)
    {
        let command = shell::line(["provision", "secrets", name, &format!("{}.{user}", users.id)]);
        let text = format!("`{command}` prints the password of `{user}`");
        session.events.note(None, text);
    }
    Ok(())
}

fn open(name: &str) -> Result<(Store, Record)> {
    let (store, record) = Store::existing(name)?;
    if record.kept {
        return Err(Error::new(format!("the deployment `{name}` was destroyed, and its data was kept"))
            .hint(format!("`provision apply {name}` takes the data up again")));
    }
    Ok((store, record))
}

/// Changes the users as they are now, and brings the changed file to where it is used, proven as by every run.
async fn within(
    session: &Session,
    name: &str,
    task: &Task,
    material: &Material,
    turn: &Turn,
    started: Instant,
) -> std::result::Result<(), Halt> {
    let (store, record) = open(name)?;
    let mut users = Users::read(&store)?;
    let before = users.added.clone();
    let changed = users.change(task, material, &store, &record, session)?;
    users.added.write(&users.id, &store)?;
    let carried_out = apply::within(session, &Target::again(name, &record)?, turn, started).await;
    if carried_out.is_err() {
        // As it was: the file in use does not know the change either.
        drop(before.write(&users.id, &store));
        if let Some((key, text)) = changed {
            drop(store.put(&key, &text));
        }
    }
    carried_out
}

impl Task {
    async fn obtain(&self, stopper: &Stopper) -> Result<Material> {
        Ok(match self {
            Self::Add { user, password } | Self::Password { user, password } => {
                Material::Secret(password.obtain(user, stopper).await?)
            }
            Self::Import { file } => {
                let text = typed::text_apart(file, stopper).await;
                let text = text.map_err(|error| error.or_hint("check the path; nothing was changed"))?;
                Material::Entries(Source::new(file.to_owned(), text))
            }
            Self::List | Self::Remove { .. } => Material::Nothing,
        })
    }
}

impl Password {
    async fn obtain(&self, user: &str, stopper: &Stopper) -> Result<String> {
        let password = self.take(user, stopper).await?;
        htpasswd::check_password(user, &password)?;
        Ok(password)
    }

    async fn take(&self, user: &str, stopper: &Stopper) -> Result<String> {
        match self {
            Self::Generated => host::random_text(GENERATED_LENGTH),
            Self::File(path) => {
                typed::secret_apart(path, "password", stopper).await.map(|secret| secret.expose().to_owned())
            }
            Self::Asked => {
                let nobody = || {
                    Error::usage("no terminal to ask for the password")
                        .hint("give `--password-file FILE`, where `-` is the standard input, or `--generate`")
                };
                let first = ask_hidden(&format!("Password of `{user}`"), stopper).await?.ok_or_else(nobody)?;
                if first.expose().is_empty() {
                    return Err(Error::usage("no password was given"));
                }
                let second = ask_hidden("Repeat it", stopper).await?.ok_or_else(nobody)?;
                if first != second {
                    return Err(Error::usage("the two passwords differ").hint("nothing was changed; try again"));
                }
                Ok(first.expose().to_owned())
            }
        }
    }

    fn cost(&self) -> u32 {
        if matches!(self, Self::Generated) { GENERATED_COST } else { HIGHEST_COST }
    }
}

impl Users {
    /// Carries a task out. The key of a secret that it changed and the old text come back.
    fn change(
        &mut self,
        task: &Task,
        material: &Material,
        store: &Store,
        record: &Record,
        session: &Session,
    ) -> Result<Option<(String, String)>> {
        let name = store.name();
        match (task, material) {
            (Task::Add { user, password }, Material::Secret(secret)) => self.add(user, password, secret, name)?,
            (Task::Password { user, password }, Material::Secret(secret)) if self.added.entries.contains_key(user) => {
                self.set(user, password, secret)?;
            }
            (Task::Password { user, .. }, Material::Secret(secret)) => {
                return self.own_password(user, secret, store, record).map(Some);
            }
            (Task::Remove { user }, _) => self.remove(user)?,
            (Task::Import { .. }, Material::Entries(source)) => self.import(source, name, session)?,
            _ => {}
        }
        Ok(None)
    }

    fn read(store: &Store) -> Result<Self> {
        let name = store.name();
        let mut ids: Vec<String> = store.names("htpasswd")?.into_iter().map(|id| id.replace('.', "/")).collect();
        let Some(id) = ids.pop() else {
            return Err(Error::new(format!("the deployment `{name}` has no password file"))
                .hint("`provision list` shows what there is; a `registry` has one"));
        };
        if let Some(other) = ids.pop() {
            return Err(Error::new(format!("the deployment `{name}` has several password files: `{other}`, `{id}`"))
                .hint("name the users in its playbook instead"));
        }
        let added = Added::read(&id, store)?;
        let mut own = own_users(&id, store)?;
        own.retain(|user, _| !added.entries.contains_key(user));
        Ok(Self { id, own, added })
    }

    fn list(&self, style: Style) {
        let all = self.own.values().map(|entry| (entry, "playbook"));
        let all = all.chain(self.added.entries.values().map(|entry| (entry, "added")));
        let mut all: Vec<(&Entry, &str)> = all.collect();
        all.sort_by_key(|(entry, _)| &entry.name);
        if style == Style::Json {
            let rows: Vec<_> =
                all.iter().map(|(entry, of)| json!({ "user": entry.name, "hash": entry.scheme(), "of": of })).collect();
            report::json(&json!(rows));
            return;
        }
        let width = all.iter().map(|(entry, _)| entry.name.chars().count()).max().unwrap_or_default();
        all.iter().for_each(|(entry, of)| line(&format!("{:width$}  {of:8}  {}", entry.name, entry.scheme())));
    }

    fn set(&mut self, user: &str, password: &Password, secret: &str) -> Result<()> {
        self.added.entries.insert(user.to_owned(), Entry::new(user, secret, password.cost())?);
        self.added.passwords.remove(user);
        if matches!(password, Password::Generated) {
            self.added.passwords.insert(user.to_owned(), secret.to_owned());
        }
        Ok(())
    }

    fn add(&mut self, user: &str, password: &Password, secret: &str, name: &str) -> Result<()> {
        htpasswd::check_name(user)?;
        if self.own.contains_key(user) || self.added.entries.contains_key(user) {
            return Err(Error::new(format!("the user `{user}` exists already")).hint(format!(
                "`{}` gives a new password",
                shell::line(["provision", "users", name, "password", user])
            )));
        }
        self.set(user, password, secret)
    }

    fn unknown(&self, user: &str) -> Error {
        let known: Vec<&str> = self.own.keys().chain(self.added.entries.keys()).map(String::as_str).collect();
        Error::new(format!("there is no user `{user}`")).hint(did_you_mean(user, &known))
    }

    fn remove(&mut self, user: &str) -> Result<()> {
        self.added.passwords.remove(user);
        if self.added.entries.remove(user).is_some() {
            return Ok(());
        }
        if !self.own.contains_key(user) {
            return Err(self.unknown(user));
        }
        Err(Error::new(format!("`{user}` is the playbook's own user"))
            .hint("the playbook proves the registry with it; its input `--user` gives it another name"))
    }

    /// Gives the playbook's own user a new password: it is one of the deployment's secrets. Its key and the old text come back.
    fn own_password(&self, user: &str, secret: &str, store: &Store, record: &Record) -> Result<(String, String)> {
        let entry = self.own.get(user).ok_or_else(|| self.unknown(user))?;
        for secret_name in store.names("secret")? {
            let key = format!("secret/{secret_name}");
            let Some(old) = store.get(&key)?.filter(|old| entry.opens(old)) else { continue };
            if let Some(input) = record.inputs.iter().find(|(_, value)| value.as_str() == Some(old.as_str())) {
                return Err(Error::new(format!("the password of `{user}` is an input of the playbook")).hint(format!(
                    "give the new one to `provision apply {}`: `--set {}=@FILE`",
                    store.name(),
                    input.0
                )));
            }
            // Hashed anew from the secret by the run that follows.
            Entry::new(user, secret, GENERATED_COST)?;
            store.put(&key, secret)?;
            return Ok((key, old));
        }
        Err(Error::new(format!("the password of `{user}` is no secret of this deployment"))
            .hint("it stands in the playbook itself: change it there"))
    }

    fn import(&mut self, source: &Source, name: &str, session: &Session) -> Result<()> {
        let file = &source.name;
        let found = htpasswd::read(source)?;
        for (line, why) in &found.others {
            session.events.note(None, format!("line {line} of `{file}` was not imported: {why}"));
        }
        let (usable, others): (Vec<Entry>, Vec<Entry>) = found.entries.into_iter().partition(Entry::is_bcrypt);
        for entry in &others {
            let command = shell::line(["provision", "users", name, "add", &entry.name]);
            let text = format!(
                "`{}` was not imported: today's registry does not accept its hash ({}); `{command}` gives a new password",
                entry.name,
                entry.scheme()
            );
            session.events.note(None, text);
        }
        if usable.is_empty() {
            return Err(Error::new(format!("`{file}` holds no entry that today's registry accepts"))
                .hint("it reads hashes by bcrypt alone, as `htpasswd -B` writes them"));
        }
        self.refuse_costly(&usable, name)?;
        for entry in usable {
            let known = self.own.get(&entry.name).or(self.added.entries.get(&entry.name));
            match known {
                Some(known) if known.hash != entry.hash => {
                    return Err(Error::new(format!("the user `{}` exists already, with another password", entry.name))
                        .hint("nothing was imported; take the line out of the file, or remove the user first"));
                }
                Some(_) => {}
                None => drop(self.added.entries.insert(entry.name.clone(), entry)),
            }
        }
        Ok(())
    }

    /// Hashes that hold everybody up are not taken in; those that are here already may stand in the file.
    fn refuse_costly(&self, found: &[Entry], name: &str) -> Result<()> {
        let new = |entry: &&Entry| self.added.entries.get(&entry.name).is_none_or(|known| known != *entry);
        let costly: Vec<&Entry> = found.iter().filter(|entry| entry.is_costly()).filter(new).collect();
        let Some(first) = costly.first() else { return Ok(()) };
        let named: Vec<String> = costly.iter().map(|entry| format!("`{}` ({})", entry.name, entry.scheme())).collect();
        let command = shell::line(["provision", "users", name, "add", &first.name, "--generate"]);
        Err(Error::new(format!("hashes of a cost above {HIGHEST_COST} are not imported: {}", named.join(", "))).hint(
            format!(
                "nginx lets everybody wait while it checks a password, and cannot hash one anew at a login: take their lines out of the file, and give each a new password, as by `{command}`"
            ),
        ))
    }
}
