//! The fields of a service in a playbook.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::language::format::Format;
use crate::resource::At;
use crate::resource::content::{Content, Mode};
use crate::secret::Secret;
use crate::world::init::Init;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name, as `systemctl` and `service` know it; by default the resource's.
    unit: Option<String>,
    /// The program that starts it.
    #[serde(default)]
    init: Which,
    /// Its files by their paths. A path that ends in a slash is a folder.
    #[serde(default)]
    files: BTreeMap<String, FileSpec>,
    /// A command that brings its program, where no package does. It is told with a rendered tree, and nothing else runs it.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Files of an earlier set-up that step aside for this one: they are removed, or written over, and come back when it goes.
    #[serde(default)]
    replaces: Vec<String>,
    /// A command that must succeed with the new files before they are taken up.
    #[serde(default)]
    pub check: Vec<String>,
    /// How it takes up changed files.
    #[serde(default)]
    pub change: OnChange,
    /// TCP ports that it is going to listen on.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Whether it may listen on one of these ports already, for others as well: sites of one server that are told by their names.
    #[serde(default)]
    pub shares: bool,
    /// When it counts as ready: this socket can be connected to.
    pub socket: Option<String>,
    /// The file of variables that it reads when it starts, where it calls out to the world: the deployment's proxies stand in it.
    calls_out: Option<CallsOut>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallsOut {
    /// Whether it does.
    #[serde(default = "yes")]
    when: bool,
    /// `NAME='VALUE'` in each line. There is none where there are no proxies.
    file: String,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSpec {
    content: Option<Secret>,
    template: Option<Content>,
    /// Makes it a link to this path.
    link: Option<String>,
    /// The permission bits, in octal; by default 0644, and 0755 for a folder.
    mode: Option<Mode>,
    /// `USER:GROUP`, by name or number.
    #[serde(default = "root")]
    owner: String,
    /// A form that the content must have; it is checked before anything is changed.
    check: Option<Format>,
    /// The only program that starts services for which it is of use. Rendered files are for any.
    only: Option<Init>,
    /// Whether it is written into a rendered tree alone, for whoever installs that to decide about.
    #[serde(default)]
    rendered: bool,
}

/// An init program, or the one that runs this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Which {
    #[default]
    Auto,
    Systemd,
    Upstart,
    Sysv,
}

fn root() -> String {
    "root:root".to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnChange {
    #[default]
    Restart,
    Reload,
}

impl OnChange {
    pub fn verb(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
}

/// A file, a link or a folder as it should be.
pub(crate) struct File<'a> {
    /// Where it stands on the host.
    pub path: &'a str,
    pub body: Body<'a>,
    pub mode: Mode,
    pub user: &'a str,
    pub group: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    File(&'a str),
    Link(&'a str),
    Folder,
    /// Nothing is to stand there.
    Gone,
}

impl Spec {
    pub fn unit(&self, at: &At) -> String {
        let own = at.id.rsplit('/').next().unwrap_or(&at.id);
        self.unit.clone().unwrap_or_else(|| own.to_owned())
    }

    pub fn init(&self, at: &At) -> Init {
        match self.init {
            // Of the host that it is for nothing is known but that it is one of today.
            Which::Auto if at.store().is_rendering() => Init::Systemd,
            Which::Auto => Init::of_this_host(),
            Which::Systemd => Init::Systemd,
            Which::Upstart => Init::Upstart,
            Which::Sysv => Init::Sysv,
        }
    }

    /// Adds the proxies to a service that calls out. A rendered tree is for another host, which may have others.
    pub fn complete(&mut self, at: &At) -> Result<()> {
        let Some(out) = self.calls_out.clone().filter(|out| out.when && !at.store().is_rendering()) else {
            return Ok(());
        };
        let variables = at.run.proxies()?.variables(&[]);
        let lines: String = variables.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
        if !lines.is_empty() {
            // A login in it is a secret: what starts services reads it as root.
            self.files.insert(out.file, FileSpec::secret(lines));
        }
        Ok(())
    }

    /// Its files, in the order of their paths. Those for other init programs, or for a rendered tree alone, are among them only
    /// where such a tree is rendered. What it replaces and does not write itself is among them as gone.
    pub fn files(&self, at: &At) -> Result<Vec<File<'_>>> {
        let (init, rendered) = (self.init(at), at.store().is_rendering());
        let here = |file: &FileSpec| !file.rendered && file.only.is_none_or(|only| only == init);
        let mine = self.files.iter().filter(|(_, file)| rendered || here(file));
        let mut files = mine.map(|(path, file)| file.file(path)).collect::<Result<Vec<_>>>()?;
        // A rendered tree is laid over whatever its host has.
        let replaced = self.replaces.iter().filter(|_| !rendered);
        for path in replaced.collect::<std::collections::BTreeSet<_>>() {
            if !files.iter().any(|file| file.path == path) {
                files.push(File::gone(path)?);
            }
        }
        files.sort_by_key(|file| file.path);
        Ok(files)
    }

    /// Whether what stands at a path may be written over, whoever wrote it.
    pub fn takes_over(&self, path: &str) -> bool {
        self.replaces.iter().any(|replaced| replaced == path)
    }

    pub fn replaced(&self) -> impl Iterator<Item = &str> {
        self.replaces.iter().map(String::as_str)
    }

    /// Finds what no schema can say.
    pub fn check_files(&self, at: &At) -> Result<()> {
        for file in self.files(at)? {
            let format = self.files.get(file.path).and_then(|spec| spec.check);
            if let (Some(format), Body::File(content)) = (format, file.body) {
                format.check(file.path, content)?;
            }
        }
        Ok(())
    }
}

impl FileSpec {
    fn secret(content: String) -> Self {
        Self {
            content: Some(Secret::new(content)),
            template: None,
            link: None,
            mode: Some(Mode::new(0o600)),
            owner: root(),
            check: None,
            only: None,
            rendered: false,
        }
    }

    fn file<'a>(&'a self, path: &'a str) -> Result<File<'a>> {
        let folder = path.ends_with('/');
        let wrong = |what: &str| Err(Error::new(format!("`{path}` {what}")));
        check_path(path)?;
        let body = match (&self.content, &self.template, &self.link) {
            (None, None, None) if folder => Body::Folder,
            _ if folder => return wrong("is a folder and has no content"),
            (Some(content), None, None) => Body::File(content.expose()),
            (None, Some(template), None) => Body::File(template.expose()),
            (None, None, Some(link)) => Body::Link(link),
            _ => return wrong("needs one of `content`, `template` and `link`"),
        };
        let mode = self.mode.unwrap_or(Mode::new(if folder { 0o755 } else { 0o644 }));
        let Some((user, group)) = self.owner.split_once(':') else {
            return wrong("has an owner that is not `USER:GROUP`, as in `root:www-data`");
        };
        Ok(File { path, body, mode, user, group })
    }
}

/// Fails for what is no path of a host.
fn check_path(path: &str) -> Result<()> {
    if path.starts_with('/') && path.split('/').all(|part| part != "..") {
        return Ok(());
    }
    Err(Error::new(format!("`{path}` is no path of a host: it must start with a slash and have no `..`")))
}

impl<'a> File<'a> {
    fn gone(path: &'a str) -> Result<Self> {
        check_path(path)?;
        Ok(Self { path, body: Body::Gone, mode: Mode::new(0o644), user: "root", group: "root" })
    }

    /// Where it stands below the root of a host.
    pub fn below(&self, root: &std::path::Path) -> PathBuf {
        root.join(self.path.trim_matches('/'))
    }
}
