//! The dump of a database of `WordPress`, loaded once into a server that is ready: [`DatabaseImportKind`].
//!
//! A mark, a table of its own, stands in the database from before the first statement until the site's addresses are rewritten, which
//! is another container's work: what a run that was killed has left is thrown away and loaded anew, and nothing else ever is.

mod source;

use std::io;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::formats::sql::{Chosen, Look, Statements};
use crate::resource::change::{Action, Change, Field};
use crate::resource::record::Kept;
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::secret::Secret;
use crate::text::size::readable;
use crate::text::unknown::is_unknown;
use crate::world::apart::apart;
use source::Opening;

pub(crate) struct DatabaseImportKind;

/// The table that says how far an import is; `import.php` takes it away.
const MARK: &str = "provision_import";
/// How many of the client's last lines an error shows.
const LINES: usize = 10;
/// Bytes after which it is told again how far a load is.
const NEWS: u64 = 8 << 20;
/// What the server does not check while rows are loaded, and takes as it stood in the old one.
const PRELUDE: &str = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, unique_checks = 0;\n";

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The dump: SQL, packed by gzip or not, encrypted by age or not. With `--host` it is a file of the machine where the command is typed.
    dump: String,
    /// A file with the identity of age that opens it.
    #[serde(default)]
    identity: String,
    /// The passphrase that opens it.
    passphrase: Option<Secret>,
    /// The container of the server.
    container: String,
    /// A command in it that takes SQL on its standard input, logged in as who owns the database.
    #[schemars(length(min = 1))]
    client: Vec<String>,
    server: Server,
    /// The name of the database.
    database: String,
    /// How the names of the site's tables begin.
    prefix: String,
    /// The address that the site gets, for what is told.
    #[serde(default)]
    address: String,
    /// A text that another volume for the database has not: what was loaded into one that is gone is loaded again.
    volume: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Server {
    Mysql,
    Mariadb,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Imported {
    file: String,
    /// The site's address until then.
    address: String,
    volume: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Undo {
    /// That it is there was written down.
    Kept(Kept),
    /// Rows were put into a database that was empty.
    Loaded { container: String, client: Vec<String>, database: String },
}

/// How far an earlier run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Empty,
    Loading,
    Loaded,
    /// It holds tables that no import of here has made.
    Taken,
}

impl Server {
    fn word(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

impl Spec {
    fn opening(&self) -> Opening {
        let passphrase = self.passphrase.clone().filter(|passphrase| !passphrase.expose().is_empty());
        Opening { identity: self.identity.clone(), passphrase }
    }

    /// Reads the dump to its end, and finds the site in it.
    async fn look(&self) -> Result<Chosen> {
        let spec = self.clone();
        let work = move || {
            let mut statements = Statements::new(source::open(&spec.dump, &spec.opening())?);
            let mut look = Look::default();
            while let Some(statement) = statements.next().map_err(|error| source::damaged(&spec.dump, &error))? {
                look.add(&statement);
            }
            let chosen = look.choose(&spec.prefix, spec.server.word());
            chosen.map_err(|error| error.within(format!("`{}`", spec.dump)))
        };
        apart(work).await?
    }

    /// Asks the server something; each line is a row.
    async fn ask(&self, sql: &str, at: &At) -> Result<Vec<String>> {
        let mut command = self.client.clone();
        command.extend(["-N", "-B", "-e", sql].map(str::to_owned));
        let mut output = Vec::new();
        let mut sink = |bytes: &[u8]| {
            output.extend_from_slice(bytes);
            Ok(())
        };
        let ended = at.engine().await?.read_program(&self.container, &command, &mut sink).await?;
        if ended.code != 0 {
            return Err(Error::new(format!("the database `{}` cannot be asked", self.database))
                .detail(ended.output.lines().map(str::to_owned)));
        }
        Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
    }

    async fn stage(&self, at: &At) -> Result<Stage> {
        let of = text(&self.database);
        let tables = format!("SELECT table_name FROM information_schema.tables WHERE table_schema = {of} LIMIT 100000");
        let tables = self.ask(&tables, at).await?;
        if !tables.iter().any(|table| table == MARK) {
            return Ok(if tables.is_empty() { Stage::Empty } else { Stage::Taken });
        }
        let of = format!("WHERE stage <> 'loading' AND file = {}", text(&self.dump));
        let loaded = self.ask(&format!("SELECT 1 FROM {}.{MARK} {of}", quoted(&self.database)), at).await?;
        Ok(if loaded.is_empty() { Stage::Loading } else { Stage::Loaded })
    }

    /// Whether the server can be asked, and how far an import of it is.
    async fn known_stage(&self, at: &At) -> Result<Option<Stage>> {
        if is_unknown(&self.container) {
            return Ok(None);
        }
        let runs = at.engine().await?.running_container(&self.container).await?.is_some();
        if runs { self.stage(at).await.map(Some) } else { Ok(None) }
    }

    fn taken(&self, at: &At) -> Error {
        Error::new(format!("the database `{}` holds tables already, and an import would mix with them", self.database))
            .hint(format!(
                "set the imported site up beside it: `--name {0}-2`; or end this one with its data, `provision destroy {0}`, and then import",
                at.store().name()
            ))
    }

    /// Loads the dump by the server's own client.
    async fn load(&self, at: &At) -> Result<()> {
        let mut chosen = self.look().await?;
        let mut statements = Statements::new(source::open(&self.dump, &self.opening())?);
        let (events, resource) = (at.events().clone(), at.id.clone());
        let (mut begun, mut done, mut told) = (false, 0_u64, 0_u64);
        let data = std::iter::from_fn(move || {
            if !std::mem::replace(&mut begun, true) {
                return Some(Ok(Bytes::from_static(PRELUDE.as_bytes())));
            }
            loop {
                let statement: io::Result<Option<Vec<u8>>> = statements.next();
                let statement = match statement {
                    Ok(Some(statement)) => statement,
                    Ok(None) => return None,
                    Err(error) => return Some(Err(error)),
                };
                done += statement.len() as u64;
                if done - told >= NEWS {
                    told = done;
                    let text = format!("load {}", readable(done));
                    events.send(Event::Progress { resource: resource.clone(), text, done, total: 0 });
                }
                if let Some(taken) = chosen.take(&statement) {
                    return Some(Ok(Bytes::from([taken.as_ref(), b"\n"].concat())));
                }
            }
        });
        let mut command = self.client.clone();
        // Only SQL, and `DELIMITER`: no command of the client that runs programs or reads files.
        let options = ["--binary-mode", "--default-character-set=utf8mb4", "--max-allowed-packet=1G", &self.database];
        command.extend(options.map(str::to_owned));
        let loading = at.engine().await?.write_program(&self.container, &command, data);
        let ended = at.run.interruptible(loading).await?;
        if ended.code == 0 {
            return Ok(());
        }
        let lines: Vec<String> = ended.output.lines().map(str::to_owned).collect();
        Err(Error::new(format!("the database does not take the dump `{}`", self.dump))
            .detail(lines[lines.len().saturating_sub(LINES)..].to_vec())
            .hint("a dump of another kind of server may need `--database mysql` or `--database mariadb`; the lines above are the server's own words"))
    }
}

/// What makes a database an empty one.
fn emptied(database: &str) -> String {
    format!("DROP DATABASE IF EXISTS {0}; CREATE DATABASE {0}", quoted(database))
}

impl Kind for DatabaseImportKind {
    const NAME: &'static str = "database-import";
    const ABOUT: &'static str =
        "the dump of a WordPress's database, loaded once into an empty database of a server that is ready";
    const OUTPUTS: &'static [Output] = &[public("volume")];

    type Spec = Spec;
    type Actual = Imported;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Imported>> {
        let kept: Option<Imported> = at.kept_json()?;
        // A backup brings what was imported.
        Ok(kept.filter(|kept| kept.volume == spec.volume || at.run.restore.is_some()))
    }

    async fn check(spec: &Spec, actual: Option<&Imported>, _: &Change, at: &At) -> Result<()> {
        if let Some(imported) = actual {
            return if imported.file == spec.dump || at.run.restore.is_some() {
                Ok(())
            } else {
                Err(Error::new(format!(
                    "`{}` was imported into this deployment already, and a second dump would go over it",
                    imported.file
                ))
                .hint(format!("give `--import {}`, or import the other one beside it with `--name`", imported.file)))
            };
        }
        let chosen = spec.look().await?;
        if spec.known_stage(at).await? == Some(Stage::Taken) {
            return Err(spec.taken(at));
        }
        let become_ = if spec.address.is_empty() { String::new() } else { format!(", which becomes {}", spec.address) };
        at.run.note_once(&format!(
            "the dump `{}` holds {} tables of the site {}{become_}",
            spec.dump, chosen.tables, chosen.address
        ));
        Ok(())
    }

    fn diff(spec: &Spec, actual: &Imported, _: &At) -> Change {
        Change::of(Action::Update, Field::compare("volume", &actual.volume, &spec.volume).into_iter().collect())
    }

    fn outputs(spec: &Spec, _: Option<&Imported>, _: &At) -> Outputs {
        Outputs::default().with("volume", spec.volume.clone())
    }

    async fn apply(spec: &Spec, actual: Option<Imported>, _: &Change, at: &At) -> Result<()> {
        if let Some(imported) = actual {
            return at.keep_json(&Imported { volume: spec.volume.clone(), ..imported }).await;
        }
        let address = spec.look().await?.address;
        let stage = spec.stage(at).await?;
        if stage == Stage::Taken {
            return Err(spec.taken(at));
        }
        let (container, client, database) = (spec.container.clone(), spec.client.clone(), spec.database.clone());
        at.will(&Undo::Loaded { container, client, database })?;
        if stage != Stage::Loaded {
            let mark = format!("{}.{MARK}", quoted(&spec.database));
            let begin = format!(
                "{}; CREATE TABLE {mark} (stage VARCHAR(20), file TEXT) ENGINE=InnoDB; INSERT INTO {mark} VALUES ('loading', {})",
                emptied(&spec.database),
                text(&spec.dump),
            );
            spec.ask(&begin, at).await?;
            spec.load(at).await?;
            spec.ask(&format!("UPDATE {mark} SET stage = 'loaded'"), at).await?;
        }
        at.keep_json(&Imported { file: spec.dump.clone(), address, volume: spec.volume.clone() }).await
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let (container, mut command, database) = match undo {
            Undo::Kept(kept) => return kept.restore(at),
            Undo::Loaded { container, client, database } => (container, client, database),
        };
        let engine = at.engine().await?;
        if engine.running_container(&container).await?.is_none() {
            return Ok(());
        }
        command.extend(["-e".to_owned(), emptied(&database)]);
        let ended = engine.execute(&container, &command).await?;
        if ended.code == 0 {
            return Ok(());
        }
        Err(Error::new(format!("the database `{database}` cannot be emptied again"))
            .detail(ended.output.lines().map(str::to_owned)))
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.remove_kept(owned)
    }
}
