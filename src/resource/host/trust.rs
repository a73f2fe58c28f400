//! A registry's authority where clients of this host look for it: [`TrustKind`].
//!
//! The folders of clients are read at every operation, so no daemon has to be restarted (`docs.docker.com`, "Verify repository
//! client with certificates"; `containers-certs.d(5)`). The system's own store is for those who ask for it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::formats::x509::{self, Phase};
use crate::resource::change::{Action, Change, Field};
use crate::resource::content::fingerprint;
use crate::resource::hostfile::{HostFile, Undo};
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::text::shell;
use crate::text::unknown::is_unknown;
use crate::world::{authorities, files, host};

pub(crate) struct TrustKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The registries, exactly as image references name them: `localhost:5000`.
    hosts: Vec<String>,
    /// The certificate of the authority, in PEM, and those of its earlier roots.
    certificate: String,
    /// The certificates of other authorities, in PEM, that clients go on trusting until they end: such as the one before this.
    #[serde(default)]
    also: String,
    /// Which programs are to trust it.
    #[serde(default = "clients")]
    clients: Vec<Client>,
}

/// A family of programs that share a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Client {
    /// The Docker engine.
    Docker,
    /// podman, skopeo and buildah.
    Containers,
    /// All programs that trust what the system trusts, whatever host it is about.
    System,
}

fn clients() -> Vec<Client> {
    vec![Client::Docker, Client::Containers]
}

/// One place where certificates belong.
pub(crate) struct Place {
    key: String,
    path: PathBuf,
    content: String,
    file: Option<HostFile>,
}

impl Place {
    fn is_right(&self) -> bool {
        let found = self.file.as_ref().and_then(|file| file.found.as_ref());
        let closed = self.file.iter().any(|file| !file.folders.is_empty());
        !closed && found.is_some_and(|found| found.content == self.content.as_bytes() && found.mode == 0o644)
    }
}

/// The places where it belongs, what the system's store lacks of it, and files of an earlier run that belong nowhere any more.
pub(crate) struct Actual {
    places: Vec<Place>,
    lacking: Vec<Field>,
    stale: Vec<Owned>,
}

/// Whether a file is one of the system's store.
fn is_system(path: &Path) -> bool {
    path.starts_with(authorities::FOLDER)
}

impl Client {
    fn word(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Containers => "Containers",
            Self::System => "System",
        }
    }

    /// The folders for these registries, each with the word that tells it from others. They are those of root, or of this user.
    fn folders(self, hosts: &[String]) -> Result<Vec<(String, PathBuf)>> {
        let name = match self {
            Self::Docker => "docker",
            Self::Containers => "containers",
            Self::System => return Ok(vec![("System".to_owned(), PathBuf::from(authorities::FOLDER))]),
        };
        let base = if host::is_root() { PathBuf::from("/etc") } else { host::home()?.join(".config") };
        let folder = base.join(name).join("certs.d");
        let word = |host: &str| format!("{}-{}", self.word(), host.replace(['/', ':'], "_"));
        Ok(hosts.iter().map(|host| (word(host), folder.join(host))).collect())
    }
}

impl Spec {
    /// The certificates of the authority: everybody may read the files, so nothing else ever stands in them.
    fn own(&self) -> Result<String> {
        if is_unknown(&self.certificate) { Ok(self.certificate.clone()) } else { x509::certificates(&self.certificate) }
    }

    /// All that is trusted, as one text: both kinds of clients read every certificate of a file.
    fn bundle(&self, at: &At) -> Result<String> {
        let ended = |block: &String| x509::read(block).is_ok_and(|facts| facts.phase(at.run.now) == Phase::Over);
        let own = self.own()?;
        if self.also.trim().is_empty() {
            return Ok(own);
        }
        let also = x509::certificates(&self.also)?;
        let also: String = x509::blocks(&also).into_iter().filter(|block| !ended(block)).collect();
        Ok(if own == also { own } else { format!("{own}{also}") })
    }

    /// The authority's own certificates for the system's store, which takes one a file: the name of each file, and what is in it.
    fn of_the_system(&self, at: &At) -> Result<Vec<(String, String)>> {
        let own = format!("provision-{}", at.store().name());
        let all = self.own()?;
        let blocks = x509::blocks(&all);
        if blocks.len() < 2 {
            return Ok(vec![(own, all)]);
        }
        let name = |(index, block): (usize, String)| match x509::read(&block) {
            Ok(facts) if index > 0 => (format!("{own}-{}", &facts.fingerprint[..12]), block),
            _ => (own.clone(), block),
        };
        Ok(blocks.into_iter().enumerate().map(name).collect())
    }

    fn places(&self, at: &At) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        let mut place = |word: String, path: PathBuf, content: String| -> Result<()> {
            let key = format!("{}@{word}", at.key());
            places.push(Place { file: HostFile::read(&key, &path, at)?, key, path, content });
            Ok(())
        };
        // The file has the deployment's name, so that others may keep theirs in the same folder.
        let own = format!("provision-{}", at.store().name());
        for client in &self.clients {
            for (word, folder) in client.folders(&self.hosts)? {
                if *client != Client::System {
                    place(word, folder.join(format!("{own}.crt")), self.bundle(at)?)?;
                    continue;
                }
                for (name, content) in self.of_the_system(at)? {
                    let word = format!("{word}{}", name.strip_prefix(&own).unwrap_or_default());
                    place(word, folder.join(format!("{name}.crt")), content)?;
                }
            }
        }
        Ok(places)
    }

    /// What the system's store lacks of the certificate, whether or not its file is there.
    fn lacking(&self, at: &At) -> Result<Vec<Field>> {
        let mut fields: Vec<Field> = Vec::new();
        for place in self.places(at)?.iter().filter(|place| is_system(&place.path)) {
            if !authorities::is_linked(&place.path) {
                let link = authorities::link(&place.path).display().to_string();
                fields.extend(Field::compare(link, "", &format!("→ {}", place.path.display())));
            }
            if !authorities::bundle_holds(&place.content)? {
                fields.extend(Field::compare(authorities::BUNDLE, "", &fingerprint(place.content.as_bytes())));
            }
        }
        Ok(fields)
    }

    /// Fails if the certificate cannot be put into the system's store.
    fn check_system(&self) -> Result<()> {
        if !self.clients.contains(&Client::System) {
            return Ok(());
        }
        authorities::check()?;
        if !host::is_root() {
            return Err(Error::new("only root may change what the system trusts")
                .hint("run the command with `sudo`, or leave out `--trust system`"));
        }
        Ok(())
    }

    /// The commands that put the certificate where an engine of root looks: where this user has none that is theirs alone.
    fn commands_of_root(&self, at: &At) -> Result<Vec<String>> {
        let name = format!("provision-{}.crt", at.store().name());
        let mut commands = Vec::new();
        for client in self.clients.iter().filter(|client| matches!(client, Client::Docker)) {
            for ((_, here), host) in client.folders(&self.hosts)?.iter().zip(&self.hosts) {
                let there = format!("/etc/docker/certs.d/{host}");
                let here = here.join(&name).display().to_string();
                commands.push(shell::line(["sudo", "install", "-d", "-m", "0755", &there]));
                commands.push(shell::line(["sudo", "install", "-m", "0644", &here, &there]));
            }
        }
        Ok(commands)
    }

    /// Tells what cannot be done from here.
    fn advise(&self, at: &At) {
        if self.clients.contains(&Client::System) {
            at.events().note(Some(&at.id), "programs that run already, a Docker engine among them, read the system's store when they start: for `docker push` that does not matter, since the engine's own folder is read each time");
        }
        if !host::is_root()
            && let Ok(commands) = self.commands_of_root(at)
            && !commands.is_empty()
        {
            let commands: String = commands.iter().map(|command| format!(" `{command}`")).collect();
            let why = "the engine's own folder belongs to root; if `docker push` does not know the authority, these commands put its certificate there:";
            at.events().note(Some(&at.id), format!("{why}{commands}"));
        }
    }
}

/// Removes a file that was written, in the system's store with all that was made of it.
async fn take_away(owned: &Owned, at: &At) -> Result<()> {
    if is_system(Path::new(&owned.label)) {
        authorities::forget(Path::new(&owned.label)).await?;
    }
    HostFile::remove(owned, at)
}

impl Kind for TrustKind {
    const NAME: &'static str = "trust";
    const ABOUT: &'static str = "an authority's certificate where the clients of this host look for it";
    const OUTPUTS: &'static [Output] = &[public("paths"), public("hosts"), public("certificate")];
    const OF_THIS_HOST: bool = true;
    const FOR_CLIENTS: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let places = spec.places(at)?;
        let mut stale = HostFile::owned(at)?;
        stale.retain(|owned| owned.id == at.id && !places.iter().any(|place| place.key == owned.handle));
        let exists = !stale.is_empty() || places.iter().any(|place| place.file.is_some());
        Ok(exists.then_some(Actual { places, lacking: spec.lacking(at)?, stale }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        if !spec.also.is_empty() {
            let faults = x509::faults(&spec.also, at.run.now);
            for (name, fault) in faults.map_err(|error| error.within("the authority that is trusted as well"))? {
                at.run.note_once(&format!(
                    "the authority `{name}`, which is trusted as well, {fault}: no client accepts it"
                ));
            }
        }
        if change.is_change() {
            spec.check_system()?;
            for place in actual.iter().flat_map(|actual| &actual.places) {
                HostFile::check(&place.path, place.file.as_ref())?;
            }
        }
        Ok(())
    }

    fn diff(_: &Spec, actual: &Actual, _: &At) -> Change {
        let mut fields: Vec<Field> = Vec::new();
        for place in actual.places.iter().filter(|place| !place.is_right()) {
            let name = place.path.display().to_string();
            let found = place.file.as_ref().and_then(|file| file.found.as_ref());
            let old =
                found.map(|found| format!("{} {:04o}", fingerprint(&found.content), found.mode)).unwrap_or_default();
            fields.extend(Field::compare(name, &old, &format!("{} 0644", fingerprint(place.content.as_bytes()))));
        }
        let folders = actual.places.iter().filter_map(|place| place.file.as_ref()).flat_map(|file| &file.folders);
        fields.extend(folders.cloned());
        fields.extend(actual.lacking.iter().cloned());
        fields.extend(actual.stale.iter().filter_map(|owned| Field::compare(owned.label.clone(), "trusted", "")));
        Change::of(Action::Update, fields)
    }

    fn outputs(spec: &Spec, _: Option<&Actual>, at: &At) -> Outputs {
        let places = spec.places(at).unwrap_or_default();
        let paths: Vec<String> = places.iter().map(|place| place.path.display().to_string()).collect();
        let certificate = spec.bundle(at).unwrap_or_default();
        Outputs::default().with("paths", paths).with("hosts", spec.hosts.clone()).with("certificate", certificate)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        for owned in actual.iter().flat_map(|actual| &actual.stale) {
            HostFile::will_remove(owned, at)?;
            take_away(owned, at).await?;
        }
        for place in spec.places(at)?.iter().filter(|place| !place.is_right()) {
            HostFile::check(&place.path, place.file.as_ref())?;
            if is_system(&place.path) && place.file.is_some() {
                // The store looks at names alone: of one that has another content it would keep the old links.
                let owned = Owned {
                    id: at.id.clone(),
                    handle: place.key.clone(),
                    label: place.path.display().to_string(),
                    data: false,
                };
                HostFile::will_remove(&owned, at)?;
                take_away(&owned, at).await?;
            }
            HostFile::write(&place.key, &place.path, place.content.as_bytes(), 0o644, at).await?;
        }
        if !spec.lacking(at)?.is_empty() {
            authorities::update().await?;
        }
        spec.advise(at);
        Ok(())
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let path = undo.path().to_owned();
        undo.restore(at)?;
        match is_system(&path) {
            true if files::exists(&path) => authorities::update().await,
            true => authorities::forget(&path).await,
            false => Ok(()),
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        HostFile::owned(at)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        take_away(owned, at).await
    }
}
