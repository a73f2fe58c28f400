//! `provision rotate`: new keys, certificates or a new authority for a deployment that goes on meanwhile.

use std::time::Instant;

use super::apply;
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::resource::run::Anew;
use crate::session::{Session, Target};

/// Carries the deployment's playbook out again; the options of the run say what is made anew.
pub(crate) async fn run(session: &Session, name: &str) -> Result<()> {
    let started = Instant::now();
    target(session, name)?;
    session
        .alone(name, "rotate", async |turn| apply::within(session, &target(session, name)?, turn, started).await)
        .await
}

/// The deployment as it is now, if it has what is to be made anew.
fn target(session: &Session, name: &str) -> Result<Target> {
    let (_, record) = Store::existing(name)?;
    if record.kept {
        return Err(Error::new(format!("the deployment `{name}` was destroyed, and its data was kept"))
            .hint(format!("`provision apply {name}` takes the data up again")));
    }
    let kind = match &session.options {
        options if options.makes_anew(Anew::Keys) => "access-key",
        options if options.makes_anew(Anew::Authority) => "authority",
        _ => "certificate",
    };
    if !record.kinds.contains(kind) {
        return Err(Error::new(format!("the deployment `{name}` has no {} to rotate", kind.replace('-', " "))));
    }
    Target::again(name, &record)
}
