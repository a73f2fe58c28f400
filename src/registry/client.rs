//! One client of registries, for all that speak the OCI distribution specification 1.1: [`Registry`].
//!
//! Everything streams: of a layer, a few parts are in memory, whatever its size. Every digest is checked, in both
//! directions. What is lost on the way is taken up where it stopped: a download by a range, an upload where the registry
//! says that it is. Requests are repeated after 429 and 5xx as `Retry-After` says.
//!
//! `oci-client` (0.18) was judged first. It has no deletion, follows no `Link` to the next page, repeats nothing, resumes no
//! upload, reads no credential helper, and has a connection of its own that cannot be told where a deployment's name is to be
//! found. `oci-spec` drops the fields that it does not know, and a manifest must stay as it is to the byte. So both are
//! left out, and a manifest is its bytes with a loose look at them.

mod address;
mod auth;
mod blob;
mod call;
mod digest;
mod fault;
mod list;
mod login;
mod manifest;
mod open;
mod upload;

use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};

pub(crate) use address::Address;
pub(crate) use blob::{Download, Parts};
pub(crate) use digest::{Digest, Hasher};
pub(crate) use list::fallback_tag;
pub(crate) use login::Login;
pub(crate) use manifest::{Descriptor, LARGEST, Manifest, media, named};
pub(crate) use upload::{Begun, Upload};

use crate::error::{Error, Result};
use crate::world::http::Route;
use crate::world::web::{Trust, Web};
use auth::Auth;

/// The repository in which a probe has its image for a moment.
pub(crate) const PROBED: &str = "provision-probe";
/// How many connections there are to one registry at most.
const CONNECTIONS: usize = 8;

/// A client of one registry. Copies are the same client.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Inner>);

struct Inner {
    address: Address,
    web: Web,
    /// For what the registry sends its clients to: the storage of its layers, a server of tokens.
    foreign: OnceCell<Web>,
    auth: Auth,
    slots: Arc<Semaphore>,
    nature: Nature,
    /// Whether it lists itself what refers to a manifest.
    lists: OnceCell<bool>,
}

/// What is known of a registry before it is asked: of one that a deployment of ours made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Nature {
    /// The deployment's name.
    pub deployment: Option<String>,
    /// The registry that it passes pulls on to; it then takes no pushes.
    pub mirror_of: Option<String>,
    /// Whether it is set up to delete nothing.
    pub keeps_all: bool,
}

impl Registry {
    /// A client of a registry whose address, route, trust and login are known.
    ///
    /// # Errors
    /// A certificate that cannot be read.
    pub fn new(address: Address, route: &Route, trust: &Trust<'_>, login: Option<Login>) -> Result<Self> {
        Self::with(address, route, trust, login, Nature::default())
    }

    fn with(address: Address, route: &Route, trust: &Trust<'_>, login: Option<Login>, nature: Nature) -> Result<Self> {
        let web = Web::new(&address.host, route, trust)?;
        // Where one authority alone is trusted, it is a registry of ours, and that wants the password itself.
        let basic = matches!(trust, Trust::Authority(_));
        let (foreign, auth) = (OnceCell::new(), Auth::new(login, basic));
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(Self(Arc::new(Inner { address, web, foreign, auth, slots, nature, lists: OnceCell::new() })))
    }

    /// The registry as names of images begin with it: `HOST` or `HOST:PORT`.
    pub fn name(&self) -> &str {
        &self.0.address.name
    }

    /// # Errors
    /// It passes pulls on to another registry, and takes no pushes.
    pub fn check_takes_pushes(&self) -> Result<()> {
        let Some(other) = &self.0.nature.mirror_of else { return Ok(()) };
        Err(Error::new(format!("the registry `{}` passes pulls on to `{other}`, and takes no pushes", self.name()))
            .hint("push there, or set up another registry without `--mirror-of`: `provision registry --name NAME`"))
    }

    /// `https://HOST[:PORT]`
    pub fn base(&self) -> &str {
        &self.0.address.base
    }

    pub fn nature(&self) -> &Nature {
        &self.0.nature
    }
}
