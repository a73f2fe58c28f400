//! Objects of which there may be very many: listed page by page, read in part, and deleted by requests that are sent once.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{Aws, Fault};

type Answer<T> = Result<T, Fault>;

/// How many objects a page of a list has: S3's own limit.
pub(crate) const PAGE: i32 = 1000;
/// How long the body of an answer may take.
const BODY: Duration = Duration::from_mins(1);
/// How long a deletion may take: somebody may be waiting for its end.
const DELETION: Duration = Duration::from_secs(5);
/// How many are deleted at the same time where each needs a request of its own.
const TOGETHER: usize = 16;

/// An object as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub key: String,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
    /// The MD5 of its content, if it came by one request and is not encrypted with a key of its own; otherwise any number.
    pub md5: Option<[u8; 16]>,
}

/// A part of a list, and where the next one begins.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub found: Vec<Stored>,
    pub next: Option<String>,
}

/// What became of an object that was to be deleted.
#[derive(Debug)]
pub(crate) enum Fate {
    Gone {
        /// It is only marked as deleted: the bucket keeps versions, and its space is not free.
        is_marked: bool,
    },
    Stays(Fault),
}

impl Aws {
    /// A part of the list of objects whose names begin with a prefix, a thousand at most.
    pub async fn page(&self, bucket: &str, prefix: &str, from: Option<String>, most: i32) -> Answer<Page> {
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).max_keys(most);
        let request = request.set_continuation_token(from);
        let answer = self.send(self.call("s3", "ListObjectsV2", bucket), request.send()).await?;
        let next = answer.next_continuation_token().filter(|_| answer.is_truncated() == Some(true));
        let found = answer.contents().iter().filter_map(|object| {
            Some(Stored {
                key: object.key()?.to_owned(),
                size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                modified: object.last_modified().map_or(0, aws_sdk_s3::primitives::DateTime::as_nanos),
                md5: object.e_tag().and_then(md5),
            })
        });
        Ok(Page { found: found.collect(), next: next.map(str::to_owned) })
    }

    /// The first bytes of an object.
    pub async fn beginning(&self, bucket: &str, key: &str, limit: usize) -> Answer<Vec<u8>> {
        let request = self.s3.get_object().bucket(bucket).key(key);
        self.body(bucket, key, limit, request.send()).await
    }

    /// The bytes of an object from one place to another, the last one included. The object has that many.
    pub async fn part(&self, bucket: &str, key: &str, from: u64, to: u64) -> Answer<Vec<u8>> {
        let request = self.s3.get_object().bucket(bucket).key(key).range(format!("bytes={from}-{to}"));
        let length = usize::try_from(to + 1 - from).unwrap_or(usize::MAX);
        let part = self.body(bucket, key, length, request.send()).await?;
        if part.len() == length {
            return Ok(part);
        }
        let call = self.call("s3", "GetObject", &format!("{bucket}/{key}"));
        Err(Fault::broken_off(call, &format!("{} bytes came instead of {length}", part.len())))
    }

    async fn body<E>(
        &self,
        bucket: &str,
        key: &str,
        limit: usize,
        answer: impl Future<
            Output = Result<
                aws_sdk_s3::operation::get_object::GetObjectOutput,
                aws_sdk_s3::error::SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
            >,
        > + Send,
    ) -> Answer<Vec<u8>>
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let call = self.call("s3", "GetObject", &format!("{bucket}/{key}"));
        let mut body = self.send(call.clone(), answer).await?.body;
        match tokio::time::timeout(BODY, start(&mut body, limit)).await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(error)) => Err(Fault::broken_off(call, &error.to_string())),
            Err(_) => Err(Fault::broken_off(call, &format!("it takes longer than {} s", BODY.as_secs()))),
        }
    }

    /// Deletes objects, a thousand at most, by a request that is sent once: one that is sent again may be carried out long after
    /// its answer was given up. What became of each is told in their order.
    pub async fn delete_once(&self, bucket: &str, keys: &[String]) -> Answer<Vec<Fate>> {
        let named = keys.iter().filter_map(|key| ObjectIdentifier::builder().key(key).build().ok()).collect();
        let named = Delete::builder().set_objects(Some(named)).build().expect("there are objects");
        let target = match keys {
            [key] => format!("{bucket}/{key}"),
            _ => format!("{bucket}/*"),
        };
        let request = self.s3.delete_objects().bucket(bucket).delete(named).customize().config_override(once());
        let answer = match self.send(self.call("s3", "DeleteObjects", &target), request.send()).await {
            Ok(answer) => answer,
            // Some stores have no such request, and some ask for the right to it at the bucket itself.
            Err(fault) if fault.is_not_understood() || fault.is_denied() => {
                return self.delete_each_once(bucket, keys).await;
            }
            Err(fault) => return Err(fault),
        };
        let gone: BTreeMap<&str, bool> = answer
            .deleted()
            .iter()
            .filter_map(|gone| Some((gone.key()?, gone.delete_marker().unwrap_or_default())))
            .collect();
        let refused: BTreeMap<&str, (&str, &str)> = answer
            .errors()
            .iter()
            .filter_map(|left| {
                Some((left.key()?, (left.code().unwrap_or_default(), left.message().unwrap_or_default())))
            })
            .collect();
        let fate = |key: &String| {
            let refused = refused.get(key.as_str()).copied();
            if let Some(is_marked) = gone.get(key.as_str()).filter(|_| refused.is_none()) {
                return Fate::Gone { is_marked: *is_marked };
            }
            let (code, message) = refused.unwrap_or(("", "the answer does not say what became of it"));
            if code == "NoSuchKey" {
                return Fate::Gone { is_marked: false };
            }
            let call = self.call("s3", "DeleteObjects", &format!("{bucket}/{key}"));
            Fate::Stays(Fault::told(call, code, message))
        };
        let mut fates: Vec<Fate> = keys.iter().map(fate).collect();
        // A store may refuse in one request what it allows by itself.
        let is_denied = |fate: &Fate| matches!(fate, Fate::Stays(fault) if fault.is_denied());
        let denied: Vec<usize> = (0..keys.len()).filter(|at| is_denied(&fates[*at])).collect();
        let again: Vec<String> = denied.iter().map(|at| keys[*at].clone()).collect();
        if !again.is_empty() {
            denied
                .into_iter()
                .zip(self.delete_each_once(bucket, &again).await?)
                .for_each(|(at, fate)| fates[at] = fate);
        }
        Ok(fates)
    }

    /// The same for a store that deletes one object at a time.
    async fn delete_each_once(&self, bucket: &str, keys: &[String]) -> Answer<Vec<Fate>> {
        let mut fates: Vec<Fate> = Vec::new();
        // One that is refused stands for all that follow.
        for some in keys.chunks(TOGETHER) {
            if let Some(Fate::Stays(fault)) = fates.iter().find(|fate| matches!(fate, Fate::Stays(_))) {
                let fault = fault.clone();
                fates.resize_with(keys.len(), || Fate::Stays(fault.clone()));
                break;
            }
            let answers = some.iter().map(|key| self.delete_it_once(bucket, key));
            for answer in futures_util::future::join_all(answers).await {
                fates.push(answer?);
            }
        }
        Ok(fates)
    }

    async fn delete_it_once(&self, bucket: &str, key: &str) -> Answer<Fate> {
        let request = self.s3.delete_object().bucket(bucket).key(key).customize().config_override(once());
        let call = self.call("s3", "DeleteObject", &format!("{bucket}/{key}"));
        match self.send(call, request.send()).await {
            Ok(answer) => Ok(Fate::Gone { is_marked: answer.delete_marker().unwrap_or_default() }),
            Err(fault) if fault.is_uncertain() => Err(fault),
            Err(fault) => Ok(Fate::Stays(fault)),
        }
    }
}

/// For a request that is sent once, and given up soon.
fn once() -> Builder {
    let timeouts = TimeoutConfig::builder().operation_timeout(DELETION).connect_timeout(DELETION).build();
    Builder::new().retry_config(RetryConfig::disabled()).timeout_config(timeouts)
}

/// The first bytes of a body.
async fn start(body: &mut ByteStream, limit: usize) -> Result<Vec<u8>, aws_sdk_s3::primitives::ByteStreamError> {
    let mut content = Vec::new();
    while content.len() < limit
        && let Some(part) = body.try_next().await?
    {
        content.extend_from_slice(&part);
    }
    content.truncate(limit);
    Ok(content)
}

/// The number in an entity tag that is one of 128 bits.
fn md5(tag: &str) -> Option<[u8; 16]> {
    let digits = tag.trim_matches('"');
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::md5;

    #[test]
    fn a_tag_of_one_part_is_a_number() {
        let whole = "\"d41d8cd98f00b204e9800998ecf8427e\"";
        assert_eq!(md5(whole).map(|bytes| bytes[0]), Some(0xd4));
        assert_eq!(md5("\"d41d8cd98f00b204e9800998ecf8427e-3\""), None);
        assert_eq!(md5("\"d41d8cd98f00b204e9800998ecf842zz\""), None);
        assert_eq!(md5(""), None);
    }
}
