//! `provision rotate`: new keys or certificates for a deployment that goes on meanwhile.

use super::{Session, Target};
use crate::deployment::Store;
use crate::error::{Error, Result};

/// Carries the deployment's playbook out again; the options of the run say what is made anew.
pub(crate) async fn run(session: &Session, name: &str) -> Result<()> {
    let (_, record) = Store::existing(name)?;
    if record.kept {
        return Err(Error::new(format!("the deployment `{name}` was destroyed, and its data was kept"))
            .hint(format!("`provision apply {name}` takes the data up again")));
    }
    let kind = if session.options.rotate_keys { "access-key" } else { "certificate" };
    if !record.kinds.contains(kind) {
        return Err(Error::new(format!("the deployment `{name}` has no {} to rotate", kind.replace('-', " "))));
    }
    super::apply::run(session, Target::again(name, &record)?).await
}
