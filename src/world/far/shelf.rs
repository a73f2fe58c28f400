//! The files of this machine that another host may read and write while it carries a command out: [`Shelf`].
//!
//! Only what the command line names, or a file that is named there, is ever opened for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::world::limit::Breach;
use crate::world::unfinished::{self, Unfinished};
use crate::world::wire::{Answer, CHUNK, Question, Refused};
use crate::world::{files, read};

/// How many files may be open at once.
const OPEN: usize = 64;
/// The largest text that may name further files.
const NAMING: usize = 1 << 20;

/// What is open.
enum Open {
    /// A file to be read in any order.
    File(File),
    /// What came through a pipe.
    Whole(Vec<u8>),
    /// A file that is being written, and whether something went wrong with that.
    New { path: PathBuf, unfinished: Unfinished, writer: File, failed: Option<Error> },
    /// One that takes the place of another once it is whole.
    Content { path: PathBuf, mode: u32, content: Vec<u8> },
}

#[derive(Default)]
pub(crate) struct Shelf {
    /// The paths that may be opened, as they were typed.
    named: BTreeSet<String>,
    /// What was read of pipes, which can be read once only.
    piped: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<u64, Open>,
    next: u64,
}

impl Shelf {
    /// The files that a command line may mean.
    pub fn of(arguments: &[String]) -> Self {
        let mut named = BTreeSet::new();
        for word in arguments.iter().take_while(|word| *word != "--") {
            let value = word.split_once('=').map(|(_, value)| value);
            for text in
                [Some(word.as_str()), value, value.and_then(|value| value.split_once('=')).map(|(_, value)| value)]
            {
                let text = text.unwrap_or_default();
                named.extend([text.to_owned(), text.trim_start_matches('@').to_owned()]);
            }
        }
        named.remove("");
        Self { named, ..Self::default() }
    }

    fn path(&self, path: &str) -> Result<PathBuf> {
        if !self.named.contains(path) {
            return Err(Error::new(format!(
                "`{path}` is named nowhere on the command line, so it is kept from that host"
            ))
            .hint("a file of this machine that is to be used there has to be named here"));
        }
        files::absolute(path).map(PathBuf::from)
    }

    /// Answers a question about files; the bytes go with it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn answer(&mut self, question: Question) -> std::result::Result<(Answer, Vec<u8>), Refused> {
        match question {
            Question::Vacant { path } => {
                unfinished::refuse_existing(&self.path(&path)?)?;
                Ok((Answer::Done, Vec::new()))
            }
            Question::Open { path } => self.begin_to_read(&path),
            Question::Read { file, from } => Ok((Answer::Bytes, self.part(file, from)?)),
            Question::Create { path, mode, replace } => {
                let path = self.path(&path)?;
                let open = if replace {
                    files::check_writable(&path)?;
                    Open::Content { path, mode, content: Vec::new() }
                } else {
                    let unfinished = Unfinished::create(&path)?;
                    Open::New { writer: unfinished.writer()?, path, unfinished, failed: None }
                };
                Ok((self.put(open, 0)?, Vec::new()))
            }
            Question::Publish { file } => {
                self.publish(file)?;
                Ok((Answer::Done, Vec::new()))
            }
            Question::Line { .. } | Question::Told => Err(Error::new("that is no question about files").into()),
        }
    }

    fn put(&mut self, open: Open, size: u64) -> Result<Answer> {
        if self.open.len() >= OPEN {
            return Err(Error::new("that host has too many files open"));
        }
        self.next += 1;
        self.open.insert(self.next, open);
        Ok(Answer::File { file: self.next, size })
    }

    fn begin_to_read(&mut self, name: &str) -> std::result::Result<(Answer, Vec<u8>), Refused> {
        let input = name == "-" && self.named.contains("-");
        let path = if input { PathBuf::from("/dev/stdin") } else { self.path(name)? };
        if !input && files::is_plain(&path) {
            let file = files::reader(&path)?;
            let size = files::size(&path)?;
            self.learn(&file, size, name);
            return Ok((self.put(Open::File(file), size)?, Vec::new()));
        }
        let content = match self.piped.get(name) {
            Some(content) => content.clone(),
            None if input => read::stream(io::stdin(), "the standard input", read::FILE)?,
            None if !files::exists(&path) => {
                let error = files::failed("read", Path::new(name), &io::Error::from_raw_os_error(2));
                return Err(Refused { missing: true, ..error.into() });
            }
            None if files::is_folder(&path) => {
                return Err(files::reader(&path)
                    .map(drop)
                    .map_or_else(Refused::from, |()| Error::new(format!("`{name}` is a folder")).into()));
            }
            None => files::read_through(&path)?.unwrap_or_default(),
        };
        self.piped.insert(name.to_owned(), content.clone());
        let size = content.len() as u64;
        Ok((self.put(Open::Whole(content), size)?, Vec::new()))
    }

    /// The files that a file names may be opened as well: a list of inputs says `secret-key: "@FILE"`, and a playbook includes one that
    /// stands beside it.
    fn learn(&mut self, file: &File, size: u64, name: &str) {
        let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(NAMING)];
        let Ok(count) = file.read_at(&mut content, 0) else { return };
        let Ok(text) = std::str::from_utf8(&content[..count]) else { return };
        let words = text
            .split(|c: char| c.is_whitespace() || "\"'[]{},".contains(c))
            .filter(|word| word.contains(['/', '.', '@']));
        let words: Vec<&str> = words.map(|word| word.trim_start_matches('@')).filter(|word| !word.is_empty()).collect();
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        let beside = words.iter().map(Path::new);
        let beside = beside.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
        let beside: Vec<String> = beside.map(|path| folder.join(path).display().to_string()).collect();
        self.named.extend(words.into_iter().map(str::to_owned).chain(beside));
    }

    fn part(&self, file: u64, from: u64) -> Result<Vec<u8>> {
        let fail = |error: io::Error| Error::new(format!("cannot read it: {error}"));
        let whole = |content: &[u8]| {
            let start = usize::try_from(from).unwrap_or(usize::MAX).min(content.len());
            content[start..content.len().min(start.saturating_add(CHUNK))].to_vec()
        };
        let at = |file: &File| {
            let mut part = vec![0; CHUNK];
            let mut filled = 0;
            while filled < CHUNK {
                match file.read_at(&mut part[filled..], from + filled as u64).map_err(fail)? {
                    0 => break,
                    count => filled += count,
                }
            }
            part.truncate(filled);
            Ok(part)
        };
        match self.open.get(&file) {
            Some(Open::File(file)) => at(file),
            Some(Open::New { writer, .. }) => at(writer),
            Some(Open::Whole(content) | Open::Content { content, .. }) => Ok(whole(content)),
            None => Err(Error::new("that file is not open")),
        }
    }

    /// Writes at the end of a file. Whatever goes wrong is told when it is to be published.
    pub fn write(&mut self, file: u64, bytes: &[u8]) {
        match self.open.get_mut(&file) {
            Some(Open::New { path, writer, failed, .. }) if failed.is_none() => {
                if let Err(error) = writer.write_all(bytes) {
                    *failed = Some(files::failed("write", path, &error));
                }
            }
            // One that is too large is never published.
            Some(Open::Content { content, .. }) if content.len() <= read::FILE.size() => {
                content.extend_from_slice(bytes);
            }
            _ => {}
        }
    }

    fn publish(&mut self, file: u64) -> Result<()> {
        match self.open.remove(&file) {
            Some(Open::New { failed: Some(error), .. }) => Err(error),
            Some(Open::New { unfinished, .. }) => {
                // Flushed before it gets its name.
                unfinished.reader()?;
                unfinished.publish()
            }
            Some(Open::Content { path, content, .. }) if content.len() > read::FILE.size() => {
                Err(Error::new(format!("cannot write `{}`: {}", path.display(), read::FILE.told(Breach::Bytes))))
            }
            Some(Open::Content { path, mode, content }) => files::write(&path, &content, mode & 0o777),
            _ => Err(Error::new("that file is not being written")),
        }
    }

    pub fn close(&mut self, file: u64) {
        self.open.remove(&file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(shelf: &mut Shelf, path: &str) -> std::result::Result<(u64, u64), Refused> {
        match shelf.answer(Question::Open { path: path.to_owned() })?.0 {
            Answer::File { file, size } => Ok((file, size)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_named_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, text) in
            [("key", "geheim"), ("inputs", "a: 1\nsecret-key: \"@FOLDER/second\"\n"), ("second", "2"), ("other", "3")]
        {
            std::fs::write(path(name), text.replace("FOLDER", &path(""))).unwrap();
        }
        let words = [
            "registry",
            "--secret-key",
            &format!("@{}", path("key")),
            &format!("--inputs={}", path("inputs")),
            "--",
            &path("other"),
        ];
        let mut shelf = Shelf::of(&words.map(str::to_owned));
        let (file, size) = open(&mut shelf, &path("key")).unwrap();
        assert_eq!(size, 6);
        let (_, bytes) = shelf.answer(Question::Read { file, from: 2 }).unwrap();
        assert_eq!(bytes, b"heim");
        let named = format!("{}/second", path(""));
        assert!(open(&mut shelf, &named).is_err(), "nothing has named it yet");
        open(&mut shelf, &path("inputs")).unwrap();
        open(&mut shelf, &named).unwrap();
        for kept in [path("other"), "/etc/passwd".to_owned(), "-".to_owned(), format!("{}/../other", path("key"))] {
            assert!(open(&mut shelf, &kept).unwrap_err().what.contains("named nowhere"), "{kept}");
        }
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.age").display().to_string();
        let mut shelf = Shelf::of(&["backup".to_owned(), "x".to_owned(), path.clone()]);
        let create = |shelf: &mut Shelf, replace| match shelf.answer(Question::Create {
            path: path.clone(),
            mode: 0o600,
            replace,
        }) {
            Ok((Answer::File { file, .. }, _)) => Ok(file),
            Ok(other) => panic!("{other:?}"),
            Err(refused) => Err(refused.what),
        };
        let file = create(&mut shelf, false).unwrap();
        shelf.write(file, b"half");
        shelf.close(file);
        assert!(!files::exists(Path::new(&path)));
        let file = create(&mut shelf, false).unwrap();
        shelf.write(file, b"one ");
        shelf.write(file, b"two");
        assert!(!files::exists(Path::new(&path)));
        shelf.answer(Question::Publish { file }).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one two");
        assert!(create(&mut shelf, false).unwrap_err().contains("exists already"));
        let file = create(&mut shelf, true).unwrap();
        shelf.write(file, b"3");
        shelf.answer(Question::Publish { file }).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"3");
    }
}
