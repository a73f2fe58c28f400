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
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use configured::Configured;
pub(crate) use listing::Listing;

use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::registry::client::Registry;
use crate::world::held::released;
use crate::world::nginx::Nginx;
use gate::Gate;
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
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let work = carry_out(self, Events::new(sender), say);
        let tell = async {
            while let Some(event) = told.recv().await {
                if let Event::Progress { text, done, .. } = event {
                    say(Word::Carrying { text, bytes: done });
                }
            }
        };
        // The channel ends with the work.
        futures_util::future::join(work, tell).await.0
    }
}

/// The failure of a helper that nobody holds any more.
fn left_alone() -> Error {
    Error::new("the run that wanted the images carried over has ended")
}

async fn carry_out(carry: &Carry, events: Events, say: Say<'_>) -> Result<()> {
    let mut held = released();
    let (from, to) = (Registry::at_socket(&carry.from, "old-store")?, Registry::at_socket(&carry.to, "new-store")?);
    let mut pass = Pass::new(from, to, !carry.is_late, events);
    for _ in 0..PASSES {
        let copied = tokio::select! {
            copied = pass.go(&carry.listing) => copied?,
            _ = &mut held => return Err(left_alone()),
        };
        if copied <= FEW {
            break;
        }
    }
    let gate = Gate::open(&carry.folder)?;
    // One that answers nginx from here on without a break.
    let mut serving = pin!(gate.serve());
    let last = async {
        Nginx::of(carry.nginx)?.reload_and_wait_at_most(OLDER).await?;
        pass.go(&carry.listing).await?;
        pass.carried().await
    };
    let carried = tokio::select! {
        carried = last => carried?,
        () = &mut serving => return Err(Error::new("nginx is not answered any more")),
        _ = &mut held => return Err(left_alone()),
    };
    say(Word::Carried(carried));
    tokio::select! {
        () = &mut serving => {}
        _ = &mut held => {}
    }
    Ok(())
}
