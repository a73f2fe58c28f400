//! A bucket that is looked for, and why it cannot be seen.

use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::aws::{Aws, Fault, Settings};
use crate::world::host;

/// How often a bucket that was just made is looked for, and the milliseconds between.
const TRIES: u32 = 20;
const PAUSE: u64 = 250;

/// Waits until a bucket that was just made is there for all, and gives its settings.
pub(super) async fn appears(name: &str, aws: &Aws, at: &At) -> Result<Settings> {
    let mut round = 0;
    loop {
        round += 1;
        let later = |fault: &Fault| fault.is_no_bucket() && round < TRIES;
        match aws.is_empty(name).await {
            Ok(_) => match aws.settings(name).await {
                Err(fault) if later(&fault) => {}
                answer => return Ok(answer?),
            },
            Err(fault) if later(&fault) => {}
            Err(fault) => return Err(unseen(name, fault)),
        }
        host::sleep(PAUSE).await;
        at.run.check_cancelled()?;
    }
}

/// The error for a bucket that cannot be looked at.
pub(super) fn unseen(name: &str, fault: Fault) -> Error {
    if fault.is_elsewhere() && fault.region.is_some() {
        let region = fault.region.unwrap_or_default();
        return Error::new(format!("the bucket `{name}` is in the region `{region}`, not in the one that was asked"))
            .hint(format!("give the right one: `--region {region}`"));
    }
    if fault.is(&["NoSuchKey"]) {
        let endpoint = fault.call.endpoint.clone().unwrap_or_default();
        return Error::from(fault).within(format!("the bucket `{name}` was taken for an object")).hint(format!(
            "the endpoint `{endpoint}` seems to stand for one bucket: give the address of the store, without the bucket's name"
        ));
    }
    if fault.is_denied() {
        let statement = fault.call.statement();
        return Error::from(fault).within(format!("the bucket `{name}` exists, or may not be looked for")).hint(format!(
            "if it is somebody else's, choose another name: bucket names are shared by everybody; if it is yours, a policy with this statement would allow it: {statement}"
        ));
    }
    fault.into()
}
