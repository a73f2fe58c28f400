//! Reading a backup, all of which was verified before: [`Reader`].

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{CONTENTS, Contents, Digest, FORMAT, Key, MANIFEST, Manifest};
use crate::error::{Error, Result};
use crate::text::digest::hex;
use crate::world::typed::Source;

/// How every age file begins, and one of the only form so far.
const MAGIC: &[u8] = b"age-encryption.org/";
const MAGIC_1: &[u8] = b"age-encryption.org/v1\n";
/// The most bytes that are taken into memory of an entry that is read whole, other than a piece of a part.
const LARGEST: u64 = 256 << 20;

/// Lines and bytes that a header may have: those of some hundred recipients.
const LINES: usize = 2000;
const HEADER: usize = 128 << 10;

type Stream = StreamReader<BufReader<Source>>;

/// A backup that was decrypted to its end, each entry as the manifest says.
pub(crate) struct Reader {
    stream: Mutex<Stream>,
    entries: BTreeMap<String, Span>,
    pub contents: Contents,
}

/// Where an entry's content stands in the archive.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    size: u64,
}

/// A backup whose header was read, and nothing else.
pub(crate) struct Sealed {
    decryptor: Decryptor<BufReader<Source>>,
    path: String,
}

impl Sealed {
    /// Whether a passphrase opens it.
    pub fn wants_passphrase(&self) -> bool {
        self.decryptor.is_scrypt()
    }

    /// What is encrypted, of whatever form.
    ///
    /// # Errors
    /// A key that does not open it, or a header that is damaged. That it is cut off is told where its end is read.
    pub fn open(self, key: &Key) -> Result<impl Read + Send + use<>> {
        self.stream(key).map(|(stream, _)| stream)
    }

    /// The stream, and what errors call the file.
    fn stream(self, key: &Key) -> Result<(Stream, String)> {
        let Self { decryptor, path } = self;
        match (decryptor.is_scrypt(), key.is_passphrase()) {
            (true, false) => {
                return Err(Error::new(format!("`{path}` is encrypted with a passphrase, not to a recipient"))
                    .hint("leave `--identity` out, and give the passphrase"));
            }
            (false, true) => {
                return Err(Error::new(format!("`{path}` is encrypted to recipients, not with a passphrase"))
                    .hint("give the key of one of them: `--identity FILE`"));
            }
            _ => {}
        }
        let stream = key.with(|identities| decryptor.decrypt(identities));
        let stream = stream.map_err(|error| match error {
            DecryptError::Io(error) => damaged(&path, &error),
            DecryptError::InvalidMac | DecryptError::InvalidHeader => broken_header(&path),
            DecryptError::ExcessiveWork { .. } => {
                Error::new(format!("`{path}` needs more work to decrypt than a backup should"))
                    .hint("`age -d` opens it, if you trust where it comes from")
            }
            _ => key.refused(&path),
        })?;
        Ok((stream, path))
    }
}

impl Reader {
    /// Reads the header of a backup; `path` is what errors call it.
    pub fn sealed(mut file: Source, path: &str) -> Result<Sealed> {
        let mut beginning = Vec::new();
        let read = file.by_ref().take(HEADER as u64).read_to_end(&mut beginning).and_then(|_| file.rewind());
        read.map_err(|error| damaged(path, &error))?;
        let start = &beginning[..beginning.len().min(MAGIC_1.len())];
        if start.is_empty() {
            return Err(Error::new(format!("`{path}` is empty")).hint(NOTHING));
        }
        if !MAGIC.starts_with(start) && !start.starts_with(MAGIC) {
            return Err(Error::new(format!("`{path}` is no backup: it is not encrypted with age"))
                .hint("`provision backup NAME FILE` writes one"));
        }
        // It reads a header anew with each line, so it is given no more than a header may have before that is known to end.
        let lines = beginning.split_inclusive(|byte| *byte == b'\n').take(LINES);
        let header = &beginning[..lines.map(<[u8]>::len).sum()];
        let is_part = beginning.len() == HEADER || header.len() < beginning.len();
        if is_part && matches!(Decryptor::new_buffered(header), Err(DecryptError::Io(_))) {
            let what = format!("the header of `{path}` has no end within {LINES} lines and {HEADER} bytes");
            return Err(Error::new(what).hint(NOTHING));
        }
        match Decryptor::new_buffered(BufReader::new(file)) {
            Ok(decryptor) => Ok(Sealed { decryptor, path: path.to_owned() }),
            Err(DecryptError::Io(error)) => Err(damaged(path, &error)),
            Err(DecryptError::UnknownFormat) if start != MAGIC_1 => {
                Err(Error::new(format!("`{path}` is of a newer form of age"))
                    .hint("open it with the version of provision that wrote it, or a newer one"))
            }
            Err(_) => Err(broken_header(path)),
        }
    }

    /// Decrypts a backup to its end, and compares every entry with the manifest.
    ///
    /// # Errors
    /// A key that does not open it, a newer form, a file that is cut off or damaged: each told apart.
    pub fn open(sealed: Sealed, key: &Key) -> Result<Self> {
        let (stream, path) = sealed.stream(key)?;
        Self::verify(stream, &path)
    }

    fn verify(mut stream: Stream, path: &str) -> Result<Self> {
        let fail = |error: io::Error| damaged(path, &error);
        let foreign = || {
            Error::new(format!("`{path}` is no backup: something else is encrypted in it"))
                .hint("`provision backup NAME FILE` writes one")
        };
        let mut start = Vec::new();
        stream.by_ref().take(CONTENTS.len() as u64 + 1).read_to_end(&mut start).map_err(fail)?;
        if start.strip_prefix(CONTENTS.as_bytes()) != Some(&[0]) {
            return Err(foreign());
        }
        stream.rewind().map_err(fail)?;
        let mut archive = tar::Archive::new(stream);
        let mut contents = None;
        let mut manifest = None;
        let (mut found, mut spans) = (Manifest::default(), BTreeMap::new());
        for entry in archive.entries().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            let name = entry.path().map_err(fail)?.to_string_lossy().into_owned();
            let span = Span { start: entry.raw_file_position(), size: entry.size() };
            let wanted = [CONTENTS, MANIFEST].contains(&name.as_str());
            let (digest, content) = digest(&mut entry, wanted).map_err(fail)?;
            match name.as_str() {
                CONTENTS => contents = Some(read_contents(&content, path)?),
                MANIFEST => manifest = Some(parse::<Manifest>(&content).ok_or_else(|| inconsistent(path, MANIFEST))?),
                _ => {}
            }
            if name != MANIFEST {
                found.entries.insert(name.clone(), digest);
            }
            spans.insert(name, span);
        }
        let mut stream = archive.into_inner();
        // Only its very end proves that nothing was cut off.
        io::copy(&mut stream, &mut io::sink()).map_err(fail)?;
        let contents = contents.ok_or_else(|| inconsistent(path, CONTENTS))?;
        let manifest = manifest.ok_or_else(|| inconsistent(path, MANIFEST))?;
        if let Some(name) = differs(&manifest, &found) {
            return Err(inconsistent(path, name));
        }
        Ok(Self { stream: Mutex::new(stream), entries: spans, contents })
    }

    /// The names of the entries below a folder, without it.
    pub fn names<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries.keys().filter_map(move |name| name.strip_prefix(folder)?.strip_prefix('/'))
    }

    /// An entry's content; none if there is no such entry.
    pub fn entry(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(span) = self.entries.get(name).filter(|span| span.size <= LARGEST) else { return Ok(None) };
        let content = self.read(*span);
        content.map(Some).map_err(|error| Error::new(format!("cannot read `{name}` in the backup: {error}")))
    }

    fn read(&self, span: Span) -> io::Result<Vec<u8>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.seek(SeekFrom::Start(span.start))?;
        let mut content = vec![0; usize::try_from(span.size).map_err(io::Error::other)?];
        stream.read_exact(&mut content)?;
        Ok(content)
    }

    /// The stream that was cut into the pieces of this name, and its bytes in all.
    pub fn part(self: &Arc<Self>, name: &str) -> (impl Read + Send + use<>, u64) {
        let number = |entry: &str| {
            let number = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let rest: VecDeque<Span> =
            self.entries.iter().filter(|(entry, _)| number(entry)).map(|(_, span)| *span).collect();
        let total = rest.iter().map(|span| span.size).sum();
        (Joined { reader: self.clone(), rest, piece: Cursor::default() }, total)
    }
}

/// The pieces of a part, one after the other. One of them is in memory.
struct Joined {
    reader: Arc<Reader>,
    rest: VecDeque<Span>,
    piece: Cursor<Vec<u8>>,
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (self.piece.read(buffer)?, self.rest.is_empty()) {
                (0, false) if !buffer.is_empty() => {}
                (read, _) => return Ok(read),
            }
            if let Some(span) = self.rest.pop_front() {
                self.piece = Cursor::new(self.reader.read(span)?);
            }
        }
    }
}

/// Reads an entry to its end; its content is kept only if it is wanted.
fn digest(entry: &mut impl Read, wanted: bool) -> io::Result<(Digest, Vec<u8>)> {
    let mut hash = openssl::sha::Sha256::new();
    let (mut size, mut content) = (0, Vec::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = entry.read(&mut buffer)?;
        if read == 0 {
            return Ok((Digest { size, sha256: hex(&hash.finish()) }, content));
        }
        hash.update(&buffer[..read]);
        size += read as u64;
        if wanted && size <= LARGEST {
            content.extend_from_slice(&buffer[..read]);
        }
    }
}

fn parse<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    serde_json::from_slice(content).ok()
}

fn read_contents(content: &[u8], path: &str) -> Result<Contents> {
    #[derive(Deserialize)]
    struct Form {
        format: u32,
        provision: String,
    }
    let form: Form = parse(content).ok_or_else(|| inconsistent(path, CONTENTS))?;
    if form.format != FORMAT {
        return Err(Error::new(format!(
            "`{path}` was written by another version of provision ({}, form {}, and this one reads {FORMAT})",
            form.provision, form.format
        ))
        .hint("restore it with that version, or a newer one; nothing was changed"));
    }
    parse(content).ok_or_else(|| inconsistent(path, CONTENTS))
}

/// The first entry that is not as the manifest says.
fn differs<'a>(manifest: &'a Manifest, found: &'a Manifest) -> Option<&'a str> {
    let names = manifest.entries.keys().chain(found.entries.keys());
    names.into_iter().find(|name| manifest.entries.get(*name) != found.entries.get(*name)).map(String::as_str)
}

const NOTHING: &str = "nothing was changed; fetch it again from where it was written to, or use another backup";

fn damaged(path: &str, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::new(format!("`{path}` is cut off: its end is missing")).hint(NOTHING),
        ErrorKind::InvalidData => {
            Error::new(format!("`{path}` is cut off or damaged: it cannot be decrypted to its end")).hint(NOTHING)
        }
        _ => crate::world::files::failed("read", path.as_ref(), error),
    }
}

fn broken_header(path: &str) -> Error {
    Error::new(format!("`{path}` is damaged: its first lines are not as they were written")).hint(NOTHING)
}

fn inconsistent(path: &str, entry: &str) -> Error {
    Error::new(format!("`{path}` is damaged: its entry `{entry}` is missing, or not as it was written")).hint(NOTHING)
}
