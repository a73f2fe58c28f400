//! The file of a dump: as it is, packed by gzip, encrypted by age: [`open`].

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;

use crate::deployment::backup::{Key, Reader};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::typed;

/// How files begin that are not read here, what they are, and what reads them.
const FOREIGN: [(&[u8], &str, &str); 6] = [
    (b"-----BEGIN AGE", "encrypted by age in its form of text", "age -d"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"\xfd7zXZ\0", "packed by xz", "xz -dc"),
    (b"BZh", "packed by bzip2", "bzip2 -dc"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "zstd -dc"),
    (b"\x89PNG", "an image", "file"),
];
const AGE: &[u8] = b"age-encryption.org/";
const GZIP: &[u8] = b"\x1f\x8b";
/// How the archive begins that is in a backup of a whole deployment.
const BACKUP: &[u8] = b"backup.json\0";
/// Bytes that tell the form of a file.
const START: u64 = 32;

/// What opens a dump that is encrypted.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    /// A file with identities of age; empty if there is none.
    pub identity: String,
    pub passphrase: Option<Secret>,
}

/// Opens a dump from its beginning, unpacked.
///
/// # Errors
/// It cannot be read or decrypted, or is of a form that is not read here.
pub(super) fn open(path: &str, opening: &Opening) -> Result<Box<dyn Read + Send>> {
    let unreadable = |error: &io::Error| crate::world::files::failed("read", path.as_ref(), error);
    if !typed::is_plain(path) && typed::exists(path) {
        return Err(Error::new(format!("`{path}` is no regular file, and a dump is read more than once"))
            .hint("write it to a file first"));
    }
    let mut file = typed::reader(path).map_err(|error| error.or_hint("check the path of `--import`"))?;
    let mut start = Vec::new();
    file.by_ref().take(START).read_to_end(&mut start).map_err(|error| unreadable(&error))?;
    file.seek(SeekFrom::Start(0)).map_err(|error| unreadable(&error))?;
    if !start.starts_with(AGE) {
        return unpacked(BufReader::new(file), path);
    }
    let sealed = Reader::sealed(file, path)?;
    let key = match (sealed.wants_passphrase(), &opening.passphrase) {
        (true, Some(passphrase)) => Key::Passphrase(passphrase.clone()),
        (true, None) => {
            return Err(Error::new(format!("`{path}` is encrypted with a passphrase"))
                .hint("give it: `--import-passphrase @FILE`"));
        }
        (false, _) if opening.identity.is_empty() => {
            return Err(Error::new(format!("`{path}` is encrypted to recipients"))
                .hint("give the key of one of them: `--import-identity FILE`"));
        }
        (false, _) => Key::identities(&typed::read_text(&opening.identity)?, &opening.identity)?,
    };
    let hint = "nothing was changed; give `--import-identity` or `--import-passphrase` what the dump was encrypted for";
    unpacked(BufReader::new(sealed.open(&key).map_err(|error| error.hint(hint))?), path)
}

fn unpacked<R: Read + Send + 'static>(mut input: BufReader<R>, path: &str) -> Result<Box<dyn Read + Send>> {
    let start = input.fill_buf().map_err(|error| damaged(path, &error))?;
    if start.starts_with(BACKUP) {
        return Err(Error::new(format!("`{path}` is a backup of a whole deployment, and not the dump of a database"))
            .hint(format!("`provision restore NAME {path}` sets it up as it was")));
    }
    if let Some((_, what, program)) = FOREIGN.iter().find(|(mark, ..)| start.starts_with(mark)) {
        return Err(Error::new(format!("`{path}` is {what}, and no dump that is read here")).hint(format!(
            "unpack it first, `{program} {path} >dump.sql`: SQL is read as it is, packed by gzip, and encrypted by age"
        )));
    }
    if start.starts_with(GZIP) { Ok(Box::new(MultiGzDecoder::new(input))) } else { Ok(Box::new(input)) }
}

/// The error for a dump that cannot be read to its end.
pub(super) fn damaged(path: &str, error: &io::Error) -> Error {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("it is cut off ({error})"),
        _ => error.to_string(),
    };
    Error::new(format!("the dump `{path}` cannot be read to its end: {what}"))
        .hint("nothing was changed; make the dump again, or copy it again from where it was made")
}
