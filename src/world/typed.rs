//! Files as the command line names them. They are of the machine where it was typed, which is this one, or with `--host` another.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::apart::apart;
use crate::world::limit::{Breach, Limit};
use crate::world::near::{self, NearAppender, NearFile, NearWriter};
use crate::world::stop::Stopper;
use crate::world::wire::Refused;
use crate::world::{encoding, files, read, unfinished};

/// A file that is read in any order.
pub(crate) enum Source {
    Here(File),
    Near(NearFile),
}

/// A large file that gets its name only once it is whole.
pub(crate) enum Unfinished {
    Here(unfinished::Unfinished),
    Near(NearWriter),
}

/// What writes into one.
pub(crate) enum Writer {
    Here(File),
    Near(NearAppender),
}

impl Source {
    pub fn size(&self) -> u64 {
        match self {
            Self::Here(file) => file.metadata().map(|metadata| metadata.len()).unwrap_or_default(),
            Self::Near(file) => file.size(),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(file) => file.read(buffer),
            Self::Near(file) => file.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Here(file) => file.seek(to),
            Self::Near(file) => file.seek(to),
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Here(file) => file.write(bytes),
            Self::Near(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Here(file) => file.flush(),
            Self::Near(file) => file.flush(),
        }
    }
}

impl Unfinished {
    /// Begins a file where nothing stands yet.
    ///
    /// # Errors
    /// Something does, or it cannot be written.
    pub fn create(path: &str) -> Result<Self> {
        if near::get().is_some() {
            return NearWriter::create(path, 0o600, false).map(Self::Near);
        }
        unfinished::Unfinished::create(Path::new(path)).map(Self::Here)
    }

    pub fn writer(&self) -> Result<Writer> {
        match self {
            Self::Here(file) => file.writer().map(Writer::Here),
            Self::Near(file) => Ok(Writer::Near(file.writer())),
        }
    }

    /// What was written, from its beginning.
    pub fn reader(&self) -> Result<Source> {
        match self {
            Self::Here(file) => file.reader().map(Source::Here),
            Self::Near(file) => Ok(Source::Near(file.reader())),
        }
    }

    /// Gives it its name. A file that has taken the name in the meantime stays.
    pub fn publish(self) -> Result<()> {
        match self {
            Self::Here(file) => file.publish(),
            Self::Near(mut file) => file.publish(),
        }
    }
}

/// Fails if the command was typed on another machine, and an option of it is about folders or files that only this one could have.
///
/// # Errors
/// As a mistake of usage.
pub(crate) fn only_here(option: &str) -> Result<()> {
    if near::get().is_none() {
        return Ok(());
    }
    Err(Error::usage(format!("`{option}` does not go with `--host`: its files would be those of that host"))
        .hint("run the command there, or without `--host`"))
}

/// How messages and records call a file: by its whole path where it is one of this machine.
pub(crate) fn shown(path: &str) -> Result<String> {
    if near::get().is_some() { Ok(path.to_owned()) } else { files::absolute(path) }
}

/// Whether something stands at a path.
pub(crate) fn exists(path: &str) -> bool {
    match near::get() {
        Some(near) => near.vacant(path).is_err(),
        None => files::exists(Path::new(path)),
    }
}

/// Fails if a file could not be written at a path of this machine; of another it is told when it is begun.
pub(crate) fn check_writable(path: &str) -> Result<()> {
    if near::get().is_some() { Ok(()) } else { files::check_writable(Path::new(path)) }
}

/// Fails if something stands at a path.
pub(crate) fn refuse_existing(path: &str) -> Result<()> {
    match near::get() {
        Some(near) => near.vacant(path),
        None => unfinished::refuse_existing(&PathBuf::from(files::absolute(path)?)),
    }
}

/// Opens a file to be read in any order.
pub(crate) fn reader(path: &str) -> Result<Source> {
    if near::get().is_some() {
        return NearFile::open(path).map(Source::Near).map_err(|refused| refused.error());
    }
    files::reader(Path::new(path)).map(Source::Here)
}

/// Writes a file whole.
///
/// # Errors
/// It cannot be written, or something stands there that is not to be replaced.
pub(crate) fn write(path: &str, content: &[u8], mode: u32, replace: bool) -> Result<()> {
    if near::get().is_none() {
        let path = PathBuf::from(files::absolute(path)?);
        if !replace {
            unfinished::refuse_existing(&path)?;
        }
        return files::write(&path, content, mode);
    }
    let mut file = NearWriter::create(path, mode, replace)?;
    file.writer().write_all(content).map_err(|error| files::failed("write", path.as_ref(), &error))?;
    file.publish()
}

/// Reads a text that somebody wrote, without a byte-order mark.
///
/// # Errors
/// It is not there, too large, or no text.
pub(crate) fn read_text(path: &str) -> Result<String> {
    if near::get().is_none() {
        return files::read_text(Path::new(path));
    }
    brought(path, path, read::FILE).map_err(|refused| refused.error()).and_then(|bytes| encoding::decode(bytes, path))
}

/// Reads a small file of the machine where the command was typed.
///
/// # Errors
/// It is not there, or too large.
pub(crate) fn brought(path: &str, name: &str, limit: Limit) -> std::result::Result<Vec<u8>, Refused> {
    let file = NearFile::open(path)?;
    let told = |why: &str| Refused::from(Error::new(format!("cannot read `{name}`: {why}")));
    if file.size() > limit.bytes {
        return Err(told(&limit.told(Breach::Bytes)));
    }
    let mut content = Vec::new();
    file.take(limit.bytes).read_to_end(&mut content).map_err(|error| told(&error.to_string()))?;
    Ok(content)
}

/// Whether a file can be read more than once. Of another machine it is read once, and kept there as long as this runs.
pub(crate) fn is_plain(path: &str) -> bool {
    near::get().is_some() || files::is_plain(Path::new(path))
}

/// The value of a secret flag: `@FILE` reads a file, `-` reads standard input, anything else is the secret itself.
pub(crate) fn secret_argument(text: &str) -> Result<String> {
    let read = match text.strip_prefix('@') {
        Some(path) => read_text(path)?,
        None if text == "-" && near::get().is_some() => {
            let input = brought("-", "the standard input", read::SECRET).map_err(|refused| refused.error())?;
            encoding::decode(input, "-")?
        }
        None if text == "-" => {
            let input = read::stream(io::stdin(), "the standard input", read::SECRET)?;
            encoding::decode(input, "-")?
        }
        None => text.to_owned(),
    };
    let secret = read.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(Error::usage("an empty secret"));
    }
    if secret.contains('\0') {
        return Err(Error::usage("a secret with a zero byte, at which most programs cut it off")
            .hint("give one without it; `tr -d '\\000' <FILE` leaves zero bytes out"));
    }
    Ok(secret.to_owned())
}

/// The passphrase or password (`what`) in a file, where `-` is the standard input.
pub(crate) fn secret_in(path: &str, what: &str) -> Result<Secret> {
    let argument = if path == "-" { path.to_owned() } else { format!("@{path}") };
    secret_argument(&argument).map(Secret::new).map_err(|error| {
        if !error.is_usage() {
            return error.or_hint("check the path; nothing was changed");
        }
        Error::usage(format!("there is no {what} in `{path}`"))
            .hint(format!("the file holds the {what}, and nothing else"))
    })
}

/// The same, read while signals are heard: it may be a pipe that nobody writes to.
pub(crate) async fn secret_apart(path: &str, what: &'static str, stopper: &Stopper) -> Result<Secret> {
    let path = path.to_owned();
    stopper.or_end(apart(move || secret_in(&path, what))).await??
}

/// Reads the text of a file that may be a pipe.
pub(crate) async fn text_apart(path: &str, stopper: &Stopper) -> Result<String> {
    let path = path.to_owned();
    stopper.or_end(apart(move || read_text(&path))).await??
}
