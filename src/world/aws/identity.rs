//! Whose credentials these are.

use serde::{Deserialize, Serialize};

use super::{Aws, Fault};

/// Who calls, as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The name of the user or role; of a store that cannot tell, the id of the key.
    pub arn: String,
    /// The number of the account; empty where the store has none.
    pub account: String,
}

impl Aws {
    /// Asks whose credentials are in use. A store that only resembles AWS may know no STS: then its IAM is asked for the
    /// user, and where there is no IAM either, the key's own id stands for its owner.
    pub async fn identity(&self) -> Result<Identity, Fault> {
        let answer = self.send(self.call("sts", "GetCallerIdentity", ""), self.sts.get_caller_identity().send()).await;
        match answer {
            Ok(found) if found.arn().is_some() => Ok(Identity {
                arn: found.arn().unwrap_or_default().to_owned(),
                account: found.account().unwrap_or_default().to_owned(),
            }),
            Err(fault) if self.is_amazon() || fault.status.is_none() || fault.is_about_the_key() => Err(fault),
            _ => self.identity_without_sts().await,
        }
    }

    async fn identity_without_sts(&self) -> Result<Identity, Fault> {
        let answer = self.send(self.call("iam", "GetUser", ""), self.iam.get_user().send()).await;
        let arn = answer.ok().and_then(|found| found.user().map(|user| user.arn().to_owned()));
        if let Some(arn) = arn.filter(|arn| !arn.is_empty()) {
            let account = arn.split(':').nth(4).unwrap_or_default().to_owned();
            return Ok(Identity { arn, account });
        }
        let key = self.key_id().await.unwrap_or_default();
        Ok(Identity { arn: format!("access key {key}"), account: String::new() })
    }
}
