//! Where daily backups are kept: a folder of this host, or a bucket: [`Shelf`].

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::resource::run::Run;
use crate::world::aws::Place;
use crate::world::typed::{Source, Unfinished};
use crate::world::{files, unfinished};

pub(super) enum Shelf {
    Folder(PathBuf),
    /// The prefix is empty, or ends with `/`.
    Bucket {
        bucket: String,
        prefix: String,
    },
}

impl Shelf {
    /// What `--backup-to` was given.
    pub fn of(text: &str) -> Self {
        let Some(rest) = text.strip_prefix("s3://") else { return Self::Folder(text.into()) };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self::Bucket { bucket: bucket.to_owned(), prefix }
    }

    /// What a file on it is called where people read of it.
    pub fn shown(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Bucket { bucket, prefix } => format!("s3://{bucket}/{prefix}{name}"),
        }
    }

    /// The name of a file that is on it, by what it is shown as.
    pub fn name_of<'s>(&self, shown: &'s str) -> Option<&'s str> {
        let name = shown.rsplit('/').next()?;
        (self.shown(name) == shown).then_some(name)
    }

    /// The names of all files on it.
    pub async fn names(&self, run: &Run) -> Result<Vec<String>> {
        match self {
            Self::Folder(folder) => files::names(folder),
            Self::Bucket { bucket, prefix } => {
                let keys = run.aws(&Place::default()).await?.keys_below(bucket, prefix).await?;
                Ok(keys.iter().filter_map(|key| key.strip_prefix(prefix.as_str()).map(str::to_owned)).collect())
            }
        }
    }

    /// Begins a file that is to be put on it. For a bucket it is kept in the cache of this host meanwhile, without a name.
    pub fn begin(&self, name: &str) -> Result<Unfinished> {
        let path = match self {
            Self::Folder(folder) => folder.join(name),
            Self::Bucket { .. } => {
                let cache = files::cache_home()?;
                files::make_folder(&cache, 0o700)?;
                cache.join(name)
            }
        };
        Ok(Unfinished::Here(unfinished::Unfinished::create(&path)?))
    }

    /// Puts a file on it that was begun and is whole.
    pub async fn publish(&self, run: &Run, name: &str, unfinished: Unfinished) -> Result<()> {
        let Self::Bucket { bucket, prefix } = self else { return unfinished.publish() };
        let mut file: Source = unfinished.reader()?;
        let size = file.size();
        let aws = run.aws(&Place::default()).await?;
        let key = format!("{prefix}{name}");
        Box::pin(run.interruptible(aws.put_file(bucket, &key, &mut file, size))).await
    }

    pub async fn remove(&self, run: &Run, name: &str) -> Result<()> {
        match self {
            Self::Folder(folder) => files::remove(&folder.join(name)),
            Self::Bucket { bucket, prefix } => {
                let aws = run.aws(&Place::default()).await?;
                aws.delete(bucket, &format!("{prefix}{name}"), None).await.map_err(Error::from)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shelf;

    #[test]
    fn a_name_is_known_by_what_it_is_shown_as() {
        for (text, shown) in [
            ("/srv/backups", "/srv/backups/a.age"),
            ("s3://acme", "s3://acme/a.age"),
            ("s3://acme/", "s3://acme/a.age"),
            ("s3://acme/hub/daily/", "s3://acme/hub/daily/a.age"),
        ] {
            let shelf = Shelf::of(text);
            assert_eq!(shelf.shown("a.age"), shown);
            assert_eq!(shelf.name_of(shown), Some("a.age"));
            assert_eq!(shelf.name_of("/elsewhere/a.age"), None);
        }
    }
}
