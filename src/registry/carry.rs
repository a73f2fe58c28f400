//! All images of a registry, carried over to another store while clients go on: [`Carry`].
//!
//! Two registries run beside each other, the one that serves and its successor on the other store. Images are copied from socket to
//! socket, pass by pass, while everybody pulls and pushes. Before the last pass nginx begins to ask here before it takes a manifest, and
//! is told to refuse it, so that nothing is pushed that would be left behind. That lasts until the run that wanted it has ended, in
//! whichever way: with the end of this process nginx takes pushes again.

mod configured;
mod gate;
mod listing;
mod pass;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use configured::Configured;
pub(crate) use listing::Listing;

use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::registry::client::Registry;
use crate::world::held::released;
use crate::world::nginx::Nginx;
use pass::Pass;

/// How often all is looked through while pushes go on.
const PASSES: usize = 4;
/// A pass that copied so few images is followed by the last one.
const FEW: usize = 4;
/// How long requests that nginx took before are waited for. What is longer on its way is a layer, and no manifest.
const OLDER: Duration = Duration::from_secs(30);

/// What is to be carried, and how nginx is kept from taking pushes meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Carry {
    /// The sockets of the registry that serves, and of its successor.
    pub from: PathBuf,
    pub to: PathBuf,
    /// Where the list of all that is to be carried is read.
    pub listing: Listing,
    /// Whether the successor serves already, so that what differs there is newer.
    pub is_late: bool,
    /// The folder where nginx asks, and its master.
    pub folder: PathBuf,
    pub nginx: u32,
}

/// What is said of it while it lasts.
#[derive(Debug)]
pub(crate) enum Word {
    Carrying { text: String, bytes: u64 },
    Carried(Carried),
}

/// Tells somebody how far it is.
pub(crate) type Say<'a> = &'a (dyn Fn(Word) + Send + Sync);

/// What was carried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    /// Tags that are the same on both sides now, by their digests.
    pub tags: u64,
    /// Manifests without a tag that are there now.
    pub untagged: u64,
    /// The bytes of layers that were sent.
    pub bytes: u64,
    /// What cannot be pulled from the old store either, and is not there for that reason.
    pub broken: Vec<String>,
    /// What differs because it was pushed to the new store since.
    pub newer: Vec<String>,
    /// Tags that only the new store has, from before.
    pub extra: Vec<String>,
}

impl Carry {
    /// Does it, and keeps pushes away until nobody holds the other end of this process's standard input any more.
    ///
    /// # Errors
    /// What kept an image from being carried; or the run that wanted it has ended.
    pub async fn run(&self, say: Say<'_>) -> Result<()> {
        let work = async {
            let (carried, gate) = self.carried(say).await?;
            say(Word::Carried(carried));
            Ok::<_, Error>(gate)
        };
        let mut held = released();
        tokio::pin!(work);
        let gate = tokio::select! {
            done = &mut work => done?,
            _ = &mut held => return Err(Error::new("the run that wanted the images carried over has ended")),
        };
        drop(held.await);
        drop(gate);
        Ok(())
    }

    async fn carried(&self, say: Say<'_>) -> Result<(Carried, gate::Gate)> {
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let work = async {
            let events = Events::new(sender);
            let (from, to) = (Registry::at_socket(&self.from, "old-store")?, Registry::at_socket(&self.to, "new-store")?);
            let mut pass = Pass::new(from, to, !self.is_late, events);
            for _ in 0..PASSES {
                if pass.go(&self.listing).await? <= FEW {
                    break;
                }
            }
            let gate = gate::Gate::open(&self.folder)?;
            Nginx::of(self.nginx)?.reload_and_wait_at_most(OLDER).await?;
            pass.go(&self.listing).await?;
            Ok::<_, Error>((pass.carried().await?, gate))
        };
        let tell = async {
            while let Some(event) = told.recv().await {
                if let Event::Progress { text, done, .. } = event {
                    say(Word::Carrying { text, bytes: done });
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = work => done,
            () = tell => Err(Error::new("nothing is told any more")),
        }
    }
}
