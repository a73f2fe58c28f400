//! A registry that lives as long as the job or the test that needs it: [`Registry`].
//!
//! ```no_run
//! # async fn example() -> provision::Result<()> {
//! let registry = provision::ci::Registry::start().await?;
//! let status = std::process::Command::new("docker")
//!     .args(["push", &format!("{}/app:1", registry.host)])
//!     .envs(&registry.environment)
//!     .status();
//! # drop(status);
//! // Gone when it is dropped, also by a panic; and if the process is killed, with the next one that is started.
//! # Ok(())
//! # }
//! ```

pub(crate) mod access;
pub(crate) mod around;
pub(crate) mod job;
pub(crate) mod name;
pub(crate) mod reap;
pub(crate) mod seed;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::mpsc::unbounded_channel;

use crate::error::{Error, Result, did_you_mean};
use crate::event::Events;
use crate::language::playbook::Playbook;
use crate::resource::NAMES;
use crate::resource::run::Options;
use crate::secret::Secret;
use crate::session::{Session, Target};
use crate::world::stop::Stopper;
use job::Job;
pub(crate) use name::{PLAYBOOK, is_name};

/// Seconds that a lease lasts where its owner cannot be seen.
pub(crate) const LASTING: i64 = 3600;

/// A private registry with TLS and a password on a free port, which is gone when this is dropped.
///
/// Dropping it waits until everything is removed, a few hundred milliseconds.
#[derive(Debug)]
pub struct Registry {
    /// `HOST:PORT`, as image references begin.
    pub host: String,
    pub user: String,
    pub password: Secret,
    /// A file with the password and nothing else.
    pub password_file: PathBuf,
    /// The certificate of its authority, in PEM.
    pub ca: PathBuf,
    /// What a command has to have in its environment, so that Docker, skopeo, podman and curl use it without a login.
    pub environment: BTreeMap<String, String>,
    job: Option<Job>,
}

impl Registry {
    /// Brings one up. It can be pushed to when this returns.
    ///
    /// # Errors
    /// No engine answers, or a step failed; nothing is left then.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Brings one up with inputs of `provision ci`, such as `("storage", "2g")`.
    ///
    /// # Errors
    /// As [`Registry::start`], and an input that there is not or that has a wrong value.
    pub async fn start_with(inputs: &[(&str, &str)]) -> Result<Self> {
        let playbook =
            Playbook::builtin(PLAYBOOK, NAMES).ok_or_else(|| Error::new("the playbook `ci` is missing"))??;
        let mut given: BTreeMap<String, Json> = BTreeMap::new();
        for (name, value) in inputs {
            let input = playbook.input(name).ok_or_else(|| {
                let known: Vec<&str> = playbook.inputs.iter().map(|input| input.name.as_str()).collect();
                Error::usage(format!("`{name}` is no input of `{PLAYBOOK}`")).hint(did_you_mean(name, &known))
            })?;
            given.insert(input.name.clone(), input.flag([value])?);
        }
        let session = Session {
            // Nobody listens: what goes wrong is in the error.
            events: Events::new(unbounded_channel().0),
            options: Options::default(),
            yes: true,
            wait: Duration::ZERO,
            stopper: Stopper::default(),
        };
        let target = Target {
            brought: None,
            playbook,
            path: None,
            given,
            environment: None,
            name: None,
            again: false,
            root: None,
            warnings: Vec::new(),
        };
        let mut job = Job::begin(&session, target, LASTING).await?;
        match job.bring_up().await {
            Ok(access) => Ok(Self {
                host: access.registry,
                user: access.user,
                password: access.password,
                password_file: access.password_file,
                ca: access.ca,
                environment: access.variables,
                job: Some(job),
            }),
            Err(error) => {
                drop(job.tear_down().await);
                Err(error)
            }
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        // The runtime of whoever drops it may be ending or be blocked by this very call: this has one of its own.
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // What cannot be removed now has its lease.
            runtime.map(|runtime| drop(runtime.block_on(job.tear_down_anew())))
        });
        drop(work.join());
    }
}
