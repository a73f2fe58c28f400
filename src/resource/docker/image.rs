//! An image: present, else pulled, else built from Debian's packages where no registry can be reached: [`ImageKind`].

use std::collections::HashMap;

use bollard::models::ImageInspect;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::language::template::embedded_folder;
use crate::resource::change::{Action, Change};
use crate::resource::run::Images;
use crate::resource::{At, Kind, Output, Outputs, public};
use crate::text::digest::sha256;
use crate::world::engine::{PullError, Step};
use crate::world::{authorities as store, files, host};

pub(crate) struct ImageKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The image as `docker pull` takes it: `registry:3.1.1`. Without one it is built in any case.
    #[serde(default)]
    reference: String,
    /// A registry to pull from instead of Docker Hub: `registry.mirrors.aliyuncs.com/library`.
    #[serde(default)]
    mirror: String,
    /// The folder below `templates/images/` that it can be built from.
    build: Option<String>,
    /// The release of Debian to build from.
    #[serde(default = "suite")]
    suite: String,
}

fn suite() -> String {
    "trixie".to_owned()
}

/// The label of a built image, with the digest of everything that went into it.
const BUILD: &str = "provision.build";
/// The label of a built image, with the reference in whose place it was built.
const STANDS_FOR: &str = "provision.for";
/// The options of a base system.
const BASE: &[&str] = &[
    "--quiet",
    "--variant=apt",
    "--include=ca-certificates",
    "--dpkgopt=force-unsafe-io",
    "--aptopt=Acquire::Languages \"none\"",
    "--aptopt=APT::Install-Recommends \"false\"",
    TRIM,
];
/// Takes out what belongs to the building host and what a container does not need: no names of this host, no
/// documentation but the licences, no translations.
const TRIM: &str = "--customize-hook=cd \"$1\" && rm -rf etc/resolv.conf etc/hostname usr/share/man/* usr/share/locale/* usr/share/zoneinfo/* \
&& find usr/share/doc -type f ! -name copyright -delete \
&& printf \"path-exclude=/usr/share/%s/*\\n\" man locale doc lintian >etc/dpkg/dpkg.cfg.d/provision \
&& echo \"path-include=/usr/share/doc/*/copyright\" >>etc/dpkg/dpkg.cfg.d/provision";

/// An image that the engine has, and the reference that finds it.
pub(crate) struct Actual {
    reference: String,
    image: ImageInspect,
}

impl Actual {
    /// What a container of it runs by default: its entry point and its command in one line.
    fn command(&self) -> String {
        let config = self.image.config.clone().unwrap_or_default();
        let words = config.entrypoint.into_iter().chain(config.cmd).flatten();
        words.collect::<Vec<_>>().join(" ")
    }
}

impl Spec {
    /// What to pull: the reference, from the mirror if there is one and the reference names no registry itself.
    fn pulled(&self) -> String {
        let first = self.reference.split('/').next().unwrap_or_default();
        let own = self.reference.contains('/') && (first.contains(['.', ':']) || first == "localhost");
        let mirror = self.mirror.trim_end_matches('/');
        let reference =
            if mirror.is_empty() || own { self.reference.clone() } else { format!("{mirror}/{}", self.reference) };
        let name = reference.rsplit('/').next().unwrap_or_default();
        if name.contains([':', '@']) { reference } else { format!("{reference}:latest") }
    }

    /// The reference of the image that is built. It holds the digest of all that goes into it and of what it stands for, so
    /// that an image built in place of one is not taken for another.
    fn built(&self) -> Result<Option<String>> {
        let Some(build) = &self.build else { return Ok(None) };
        let context = context(build, &[])?;
        let digest =
            sha256(format!("{}\n{}\n{}\n{}", self.reference, self.suite, BASE.concat(), sha256(&context)).as_bytes());
        Ok(Some(format!("provision/{build}:{}-{}", self.suite, &digest[..12])))
    }

    fn base(&self) -> String {
        format!("provision/base:{}-{}", self.suite, &sha256(BASE.concat().as_bytes())[..12])
    }
}

/// A tar archive of the folder that an image is built from and of more files: the same bytes for the same files.
fn context(build: &str, more: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let files = embedded_folder(&format!("images/{build}"))
        .ok_or_else(|| Error::new(format!("there is nothing to build an image `{build}` from")))?;
    let mut archive = tar::Builder::new(Vec::new());
    let fail = |error: std::io::Error| Error::new(format!("cannot pack the build of `{build}`: {error}"));
    let mut add = |name: &str, content: &[u8], mode: u32| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        archive.append_data(&mut header, name, content).map_err(fail)
    };
    for (name, content) in files {
        add(&name, content, if name.ends_with(".sh") { 0o755 } else { 0o644 })?;
    }
    for (name, content) in more {
        add(name, content, if name.ends_with('/') { 0o755 } else { 0o644 })?;
    }
    archive.into_inner().map_err(fail)
}

/// The authorities that this host trusts beside those of Debian. A build that fetches something by TLS may need them, where a
/// proxy stands between it and the world; they are no part of what is built.
fn authorities() -> Vec<(String, Vec<u8>)> {
    let folder = ("authorities/".to_owned(), Vec::new());
    let found = store::added().into_iter().map(|(name, content)| (format!("authorities/{name}"), content));
    [folder].into_iter().chain(found).collect()
}

impl ImageKind {
    async fn pull(spec: &Spec, at: &At) -> std::result::Result<(), PullError> {
        let reference = spec.pulled();
        let engine = at.engine().await.map_err(PullError::Refused)?;
        let watch = |step: Step| at.progress(step.part, step.done, step.total);
        let pull = async { Ok(engine.pull(&reference, &watch).await) };
        at.run.interruptible(pull).await.map_err(PullError::Refused)?
    }

    async fn build(spec: &Spec, at: &At) -> Result<()> {
        let (Some(build), Some(reference)) = (&spec.build, spec.built()?) else {
            let what = if spec.reference.is_empty() { &at.id } else { &spec.reference };
            return Err(Error::new(format!("no build recipe for `{what}`"))
                .hint("give `reference`, `build` or both; and leave `--images build` out"));
        };
        let base = Self::make_base(spec, at).await?;
        let proxies = at.run.proxies()?;
        // These are known to every build, and stand neither in the image nor in its history.
        let mut arguments: HashMap<String, String> = proxies.variables(&[]).into_iter().collect();
        arguments.insert("BASE".to_owned(), base);
        let network = proxies.on_loopback().map(|_| "host");
        let digest = reference.rsplit('-').next().unwrap_or_default().to_owned();
        let labels = HashMap::from([(BUILD.to_owned(), digest), (STANDS_FOR.to_owned(), spec.reference.clone())]);
        let watch = |step: Step| at.progress(step.part, step.done, step.total);
        let engine = at.engine().await?;
        let context = context(build, &authorities())?;
        let work = engine.build(context, &reference, (&arguments, network), &labels, &watch);
        at.run.interruptible(work).await
    }

    /// The image of a small Debian system that others are built on. One run makes it once.
    async fn make_base(spec: &Spec, at: &At) -> Result<String> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let _guard = ONE_AT_A_TIME.lock().await;
        let engine = at.engine().await?;
        let reference = spec.base();
        if engine.image(&reference).await?.is_some() {
            return Ok(reference);
        }
        at.progress(format!("making a base system of Debian {}", spec.suite), 0, 0);
        let folder = files::scratch()?;
        let archive = folder.path().join("base.tar");
        let target = archive.display().to_string();
        let mut arguments: Vec<&str> = BASE.to_vec();
        if spec.suite == "sid" {
            // Its Release file may be older than its validity, and then apt refuses it.
            arguments.push("--aptopt=Acquire::Check-Valid-Until \"false\"");
        }
        arguments.extend([spec.suite.as_str(), target.as_str()]);
        let variables = at.run.proxies()?.variables(&[]);
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let made = at.run.interruptible(host::ask("mmdebstrap", &arguments, &variables)).await?;
        made.ok("mmdebstrap")?;
        let (repository, tag) = reference.split_once(':').unwrap_or((&reference, "latest"));
        engine.import(&archive, repository, tag).await?;
        Ok(reference)
    }
}

impl Kind for ImageKind {
    const NAME: &'static str = "image";
    const ABOUT: &'static str =
        "an image: present, pulled, or built from Debian's packages where no registry can be reached";
    const OUTPUTS: &'static [Output] = &[public("reference"), public("id"), public("command")];

    type Spec = Spec;
    type Actual = Actual;
    /// Images stay: they are a cache that other deployments use too.
    type Undo = ();

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let engine = at.engine().await?;
        let images = at.run.options.images;
        let pulled = (images != Images::Build && !spec.reference.is_empty()).then(|| spec.pulled());
        let built = if images == Images::Pull && pulled.is_some() { None } else { spec.built()? };
        for reference in [pulled, built].into_iter().flatten() {
            if let Some(image) = engine.image(&reference).await? {
                return Ok(Some(Actual { reference, image }));
            }
        }
        Ok(None)
    }

    fn diff(_: &Spec, _: &Actual, _: &At) -> Change {
        Change::unchanged()
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        match actual {
            Some(actual) => Outputs::default()
                .with("reference", actual.reference.as_str())
                .with("id", actual.image.id.clone().unwrap_or_default())
                .with("command", actual.command()),
            None => Outputs::unknown(Self::OUTPUTS, &at.id),
        }
    }

    async fn apply(spec: &Spec, _: Option<Actual>, change: &Change, at: &At) -> Result<()> {
        debug_assert_eq!(change.action, Action::Create, "an image that is there is never changed");
        let images = at.run.options.images;
        if images == Images::Build || spec.reference.is_empty() {
            return Self::build(spec, at).await;
        }
        match Self::pull(spec, at).await {
            Ok(()) => Ok(()),
            Err(PullError::Unreachable(_)) if images == Images::Auto && spec.build.is_some() => {
                let text = format!("no registry can be reached for `{}`: building it from Debian's packages ({}) instead", spec.pulled(), spec.suite);
                at.events().note(Some(&at.id), text);
                Self::build(spec, at).await
            }
            Err(PullError::Unreachable(error)) => Err(error.hint("check the network, give a nearer registry with `--mirror PREFIX`, or load the image with `docker load`")),
            Err(PullError::Refused(error)) => Err(error.hint(match spec.build {
                Some(_) => "check the name of the image, log in with `docker login`, or build it with `--images build`",
                None => "check the name of the image, or log in with `docker login`",
            })),
        }
    }

    async fn undo((): (), _: &At) -> Result<()> {
        Ok(())
    }
}
