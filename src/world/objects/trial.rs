//! Whether a bucket is one that a collection can rely on: [`Trial`].

use super::bucket::Bucket;
use crate::error::{Error, Result};
use crate::text::digest::hex;
use crate::world::host;

/// What the names of objects for a trial begin with. Ones that a run left which was killed go with the next.
const NAME: &str = "provision-trial/";
/// How far the clock of the store and that of this host may be apart, in seconds: the longest that S3 takes requests from.
const APART: i128 = 15 * 60;

/// What was found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trial {
    /// What is deleted stays as a version, and so does its space.
    pub keeps_versions: bool,
}

/// Makes an object, finds it in a list, deletes it, and finds it no more.
pub(super) fn of(bucket: &Bucket) -> Result<Trial> {
    let path = format!("{NAME}{}", hex(&host::random::<8>()?));
    let made = bucket.put(&path, b"whether objects can be made and deleted here\n");
    made.map_err(|error| error.or_hint("nothing was changed: the store is read-only, or full"))?;
    let made = listed(bucket)?;
    let ours = made.iter().find(|entry| entry.path == path).ok_or_else(|| late(bucket, "made"))?;
    let apart = (host::now().unix_timestamp_nanos() - ours.modified) / 1_000_000_000;
    let paths: Vec<&str> = made.iter().map(|entry| entry.path.as_str()).collect();
    let (deleted, keeps_versions) = bucket.delete_and_tell(&paths);
    if let Some(error) = deleted.failed {
        return Err(error.or_hint("nothing was changed: the store refuses deletions"));
    }
    if listed(bucket)?.iter().any(|entry| entry.path == path) {
        return Err(late(bucket, "deleted"));
    }
    if apart.abs() > APART {
        return Err(Error::new(format!(
            "the clock of this host and that of `{}` are {} min apart",
            bucket.name,
            apart.abs() / 60
        ))
        .hint("nothing was changed; `sudo timedatectl set-ntp true` sets the clock of this host"));
    }
    Ok(Trial { keeps_versions })
}

fn listed(bucket: &Bucket) -> Result<Vec<super::Entry>> {
    let mut walk = bucket.walk(NAME);
    let mut found = Vec::new();
    // Of many, some are enough.
    while found.len() < super::bucket::AT_ONCE
        && let Some(entry) = walk.next()?
    {
        found.push(entry);
    }
    Ok(found)
}

/// A list that shows what was a moment ago tells nothing of what is needed now.
fn late(bucket: &Bucket, what: &str) -> Error {
    let error =
        format!("the list of `{}` is late: it does not show that an object was {what} a moment ago", bucket.name);
    Error::new(error).hint("nothing was changed: what is needed cannot be told from such a list; run the command again, or let the registry collect itself while no client can reach it")
}
