//! Least privilege, proven with the key itself: what it needs works, and what it does not need is denied: [`S3ProbeKind`].

use std::time::Duration;

use futures_util::future::{try_join, try_join5};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::resource::change::Change;
use crate::resource::{At, Kind, Output, Outputs};
use crate::secret::Secret;
use crate::text::digest::hex;
use crate::world::aws::{Aws, Fault, Place};
use crate::world::host;

pub(crate) struct S3ProbeKind;

/// Milliseconds before the second attempt, and the most between two: IAM takes some seconds until all its servers know.
const PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 2000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    bucket: String,
    /// The objects that the key is for begin with this.
    #[serde(default)]
    prefix: String,
    /// The region; by default what the environment or the profile says.
    region: Option<String>,
    /// The URL of a store that is not Amazon's.
    endpoint: Option<String>,
    /// An access key in two lines, id and secret, or the file that holds one; used where the usual chain has none. The usual credentials only look for another bucket, and clean
    /// up where the key may not.
    credentials: Option<Secret>,
    /// Authorities that an endpoint with `https://` is trusted by, beside those of the system, in PEM.
    authority: Option<String>,
    id: String,
    secret: Secret,
    /// What must be denied.
    #[serde(default)]
    denied: Denied,
    /// Seconds until all is as it should be.
    #[serde(default = "timeout")]
    timeout: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Denied {
    /// Whatever is not needed under the prefix.
    #[default]
    Rest,
    /// Other buckets, and IAM.
    Outside,
    /// Nothing is tried.
    Nothing,
}

fn timeout() -> u32 {
    60
}

/// A call that went as it must not.
struct Surprise {
    error: Error,
    /// Whether it may pass by itself.
    passes: bool,
}

impl From<Fault> for Surprise {
    fn from(fault: Fault) -> Self {
        let passes = fault.is_denied() || fault.is_about_the_key() || fault.is_uncertain() || fault.is_missing();
        Self { error: Error::from(fault).within("the key cannot do what it is for"), passes }
    }
}

impl From<Error> for Surprise {
    fn from(error: Error) -> Self {
        Self { error, passes: false }
    }
}

impl Spec {
    fn place(&self) -> Place {
        let (region, endpoint, authority) =
            (self.region.as_deref(), self.endpoint.as_deref(), self.authority.as_deref());
        Place::of(region, endpoint, self.credentials.as_ref(), authority)
    }

    fn key(&self, name: &str) -> String {
        let prefix = self.prefix.trim_matches('/');
        if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
    }

    /// Everything that a registry does with its store.
    async fn works(&self, aws: &Aws, object: &str) -> std::result::Result<(), Surprise> {
        let (bucket, content) = (&self.bucket, b"provision".as_slice());
        aws.put(bucket, object, content).await?;
        let got = async {
            let found = aws.get(bucket, object).await?;
            if found == content {
                Ok(())
            } else {
                Err(Surprise::from(Error::new(format!("the bucket `{bucket}` gave back another object than was put"))))
            }
        };
        let listed = async { Ok::<_, Surprise>(aws.list(bucket, object).await.map(drop)?) };
        let uploads = async { Ok::<_, Surprise>(aws.list_uploads(bucket, object).await?) };
        let parts = async { Ok::<_, Surprise>(aws.try_multipart(bucket, &format!("{object}-parts")).await?) };
        // A missing object must be told as missing: without the right to list, S3 says that it is denied.
        let missing = async {
            match aws.get(bucket, &format!("{object}-missing")).await {
                Err(fault) if !fault.is_missing() => Err(Surprise::from(fault)),
                _ => Ok(()),
            }
        };
        try_join5(got, listed, uploads, parts, missing).await.map(drop)
    }

    /// Everything that it must not be able to do.
    async fn is_denied(&self, aws: &Aws, other: Option<&str>, at: &At) -> std::result::Result<(), Surprise> {
        let outside = async {
            denied("iam ListUsers", aws.list_users().await)?;
            match aws.list_buckets().await {
                // A store may answer everybody, with what is the caller's own.
                Ok(found) if !aws.is_amazon() && found.is_empty() => {}
                answer => denied("s3 ListBuckets", answer.map(drop))?,
            }
            if let Some(other) = other {
                denied(&format!("s3 ListObjectsV2 of the bucket `{other}`"), aws.is_empty(other).await.map(drop))?;
                denied(
                    &format!("s3 GetObject of the bucket `{other}`"),
                    aws.get(other, "provision-probe").await.map(drop),
                )?;
            }
            Ok(())
        };
        let rest = async {
            if self.denied != Denied::Rest {
                return Ok(());
            }
            // It is not empty now, so nothing is lost should it be allowed.
            denied("s3 DeleteBucket", aws.delete_bucket(&self.bucket).await)?;
            if !self.prefix.trim_matches('/').is_empty() {
                self.other_prefix(aws, at).await?;
            }
            Ok(())
        };
        try_join(outside, rest).await.map(drop)
    }

    async fn other_prefix(&self, aws: &Aws, at: &At) -> std::result::Result<(), Surprise> {
        let object = format!("provision-probe-{}", hex(&host::random::<8>()?));
        let put = aws.put(&self.bucket, &object, b"provision").await;
        if let Ok(version) = &put {
            // The key may be able to put it and not to delete it.
            at.aws(&self.place()).await?.delete(&self.bucket, &object, version.as_deref()).await?;
        }
        denied(&format!("s3 PutObject of `{object}`, outside the prefix,"), put.map(drop))?;
        // A missing object outside must not even be told as missing.
        match aws.get(&self.bucket, &object).await {
            Err(fault) if fault.is_missing() && !aws.is_amazon() => {}
            answer => denied(&format!("s3 GetObject of `{object}`, outside the prefix,"), answer.map(drop))?,
        }
        match aws.list(&self.bucket, "provision-probe").await {
            Ok(_) if !aws.is_amazon() => {
                let text = "this store ignores policy conditions: the key can list names outside its prefix";
                at.events().note(Some(&at.id), text);
                Ok(())
            }
            answer => denied("s3 ListObjectsV2 outside the prefix", answer.map(drop)),
        }
    }

    async fn attempt(&self, aws: &Aws, other: Option<&str>, at: &At) -> std::result::Result<(), Surprise> {
        let object = self.key(&format!("provision-probe-{}", hex(&host::random::<8>()?)));
        let tried = async {
            self.works(aws, &object).await?;
            if self.denied == Denied::Nothing { Ok(()) } else { self.is_denied(aws, other, at).await }
        };
        let tried = tried.await;
        match aws.delete(&self.bucket, &object, None).await {
            Err(fault) if tried.is_ok() => Err(fault.into()),
            Err(_) => {
                // Nothing is left of a probe that failed.
                drop(at.aws(&self.place()).await?.delete(&self.bucket, &object, None).await);
                tried
            }
            Ok(()) => tried,
        }
    }

    /// Another bucket of the account, if there is one and the usual credentials may see it.
    async fn other_bucket(&self, at: &At) -> Result<Option<String>> {
        if self.denied == Denied::Nothing {
            return Ok(None);
        }
        let found = at.aws(&self.place()).await?.list_buckets().await;
        Ok(found.unwrap_or_default().into_iter().find(|name| *name != self.bucket))
    }
}

/// Success if a call was denied, or if the store has no such call.
fn denied(call: &str, answer: std::result::Result<(), Fault>) -> std::result::Result<(), Surprise> {
    match answer {
        Err(fault) if fault.is_denied() || fault.is_unknown_call() => Ok(()),
        Err(fault) if fault.is_about_the_key() || fault.is_uncertain() => Err(fault.into()),
        // Whatever else the answer was: the call was looked at.
        _ => Err(Surprise {
            error: Error::new(format!("the key may do more than it should: {call} was not denied"))
                .hint("another policy of the user, of its groups or of the bucket allows it: take that away"),
            passes: true,
        }),
    }
}

impl Kind for S3ProbeKind {
    const NAME: &'static str = "s3-probe";
    const ABOUT: &'static str = "a check that an access key can do what a registry needs and no more, carried out whenever something that it names has changed";
    const OUTPUTS: &'static [Output] = &[];
    const FOLLOWS: bool = true;

    type Spec = Spec;
    type Actual = ();
    type Undo = ();

    /// Nothing is tried for a look: policy and key are compared by their own kinds.
    async fn actual(_: &Spec, _: &At) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn diff(_: &Spec, (): &(), _: &At) -> Change {
        Change::unchanged()
    }

    fn outputs(_: &Spec, _: Option<&()>, _: &At) -> Outputs {
        Outputs::default()
    }

    async fn apply(spec: &Spec, _: Option<()>, _: &Change, at: &At) -> Result<()> {
        let place = spec.place();
        let aws = Aws::connect(&place, Some((&spec.id, &spec.secret)), &at.run.proxies()?, at.run.watcher()).await?;
        let other = spec.other_bucket(at).await?;
        let deadline = Instant::now() + Duration::from_secs(spec.timeout.into());
        let mut pause = PAUSE;
        loop {
            at.run.check_cancelled()?;
            match spec.attempt(&aws, other.as_deref(), at).await {
                Ok(()) => return Ok(()),
                Err(surprise) if !surprise.passes || Instant::now() >= deadline => return Err(surprise.error),
                Err(_) => host::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn undo((): (), _: &At) -> Result<()> {
        Ok(())
    }
}
