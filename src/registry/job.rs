//! What is to be done with a store, in a form that reaches the place where the store is: [`Job`], [`Said`].

use std::path::Path;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use super::carry::{Carried, Carry, Word};
use super::fsck::{self, Findings};
use super::garbage::{Collected, Collection};
use super::retention::{Planned, Retention};
use super::store::{BELOW, Digest, Store};
use super::usage::Usage;
use crate::error::{Error, Result};
use crate::world::objects::{Address, Goes, Objects};
use crate::world::owners;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    /// The root folder of the registry, in the bucket if there is one.
    pub root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Address>,
    pub task: Task,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Task {
    Fsck {
        deep: bool,
    },
    Collect(Collection),
    /// Takes tags away, or only lists them if the collection is a dry run.
    Retain(Box<Retention>, Collection),
    Measure,
    /// Gives all that is in the folder to a user and a group.
    Give {
        user: u32,
        group: u32,
        only_of_root: bool,
    },
    /// Carries all images over, and goes on until its standard input ends.
    Carry(Box<Carry>),
    /// Deletes the bytes of these digests (`sha256:…`) where they are other ones, so that a push brings the right ones.
    Discard(Vec<String>),
}

/// What is said of it, a line each; the last one is a result or a failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Said {
    Examined(Box<Findings>),
    Collected(Collected),
    Planned(Planned),
    Measured(Usage),
    Discarded(u64),
    /// How many entries were given, and whose something is that was left.
    Given {
        count: u64,
        other: Option<(u32, u32)>,
    },
    Carrying {
        text: String,
        bytes: u64,
    },
    Carried(Carried),
    LetGo,
    Failed {
        what: String,
        hint: Option<String>,
    },
}

/// Tells somebody what is said before the end.
pub(crate) type Say<'a> = &'a (dyn Fn(&Said) + Send + Sync);

impl Job {
    /// Does it here, and says how it went; what is told before the end is given to `say`.
    pub async fn carry_out(&self, say: Say<'_>) -> Said {
        match self.attempt(say).await {
            Ok(said) => said,
            Err(error) => Said::Failed { what: error.to_string(), hint: error.next_step().map(str::to_owned) },
        }
    }

    async fn attempt(&self, say: Say<'_>) -> Result<Said> {
        let objects = match &self.bucket {
            Some(bucket) => Objects::bucket(bucket, &format!("{}/{BELOW}", self.root.trim_matches('/'))).await?,
            None => Objects::folder(&Path::new(&self.root).join(BELOW)),
        };
        let store = Store::new(objects);
        match &self.task {
            Task::Fsck { deep } => Ok(Said::Examined(Box::new(fsck::examine(&store, *deep).await?))),
            Task::Retain(retention, collection) => Ok(Said::Planned(collection.retain(&store, retention).await?)),
            Task::Collect(collection) => Ok(Said::Collected(collection.run(&store).await?)),
            Task::Carry(carry) => {
                let word = |word| match word {
                    Word::Carrying { text, bytes } => say(&Said::Carrying { text, bytes }),
                    Word::Carried(carried) => say(&Said::Carried(carried)),
                };
                // Its type would be too large for the compiler otherwise.
                let run: Pin<Box<dyn Future<Output = Result<()>>>> = Box::pin(carry.run(&word));
                run.await.map(|()| Said::LetGo)
            }
            Task::Give { user, group, only_of_root } => {
                let (root, right) = (Path::new(&self.root), |found: u32| found == *user);
                let count = owners::give(
                    root,
                    |found| if *only_of_root { found == 0 } else { !right(found) },
                    (*user, *group),
                )?;
                Ok(Said::Given { count, other: owners::sample(root, right)?.example.map(|(_, owner)| owner) })
            }
            Task::Discard(digests) => Ok(Said::Discarded(discard(&store, digests)?)),
            Task::Measure => Ok(Said::Measured(Usage::of_store(&store).await?)),
        }
    }
}

/// Deletes bytes that are not what their digest says; gives how many there were.
fn discard(store: &Store, digests: &[String]) -> Result<u64> {
    let mut count = 0;
    for digest in digests.iter().filter_map(|text| Digest::read(text)) {
        let mut hash = openssl::sha::Sha256::new();
        let there = store.objects.stream(&digest.data(), &mut |part| hash.update(part))?;
        if there && hash.finish() != digest.0 {
            let path = digest.data();
            let deleted = store.objects.delete(&[Goes { path: &path, above: "blobs/sha256" }]);
            deleted.failed.map_or(Ok(()), Err)?;
            count += 1;
        }
    }
    Ok(count)
}

impl Task {
    /// What it has to know of the nginx in front, if it changes anything.
    pub fn collection(&mut self) -> Option<&mut Collection> {
        match self {
            Self::Collect(collection) | Self::Retain(_, collection) => Some(collection),
            _ => None,
        }
    }
}

impl Said {
    /// The failure as an error.
    pub fn checked(self) -> Result<Self> {
        match self {
            Self::Failed { what, hint } => Err(Error::new(what).or_hint(hint.unwrap_or_default())),
            said => Ok(said),
        }
    }
}
