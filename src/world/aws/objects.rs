//! Objects: put, got, listed and deleted, one call a method, so that a probe can try each.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{Aws, Fault};

type Answer<T> = Result<T, Fault>;

/// More than this is read of no object.
const SMALL: usize = 1 << 20;
/// A part that is not the last has 5 MiB at least (S3's documented limit).
const PART: usize = 5 << 20;

impl Aws {
    /// Whether nothing is in a bucket.
    pub async fn is_empty(&self, bucket: &str) -> Answer<bool> {
        let request = self.s3.list_objects_v2().bucket(bucket).max_keys(1);
        let answer = self.send(self.call("s3", "ListObjectsV2", bucket), request.send()).await?;
        Ok(answer.contents().is_empty())
    }

    /// The bytes of all objects as they are now. A listing has a thousand objects, so this may take long.
    pub async fn size(&self, bucket: &str) -> Answer<u64> {
        let (mut bytes, mut more) = (0, None);
        loop {
            let request = self.s3.list_objects_v2().bucket(bucket).set_continuation_token(more);
            let answer = self.send(self.call("s3", "ListObjectsV2", bucket), request.send()).await?;
            bytes += answer.contents().iter().filter_map(|one| u64::try_from(one.size()?).ok()).sum::<u64>();
            more = answer.next_continuation_token().map(str::to_owned);
            if more.is_none() || answer.is_truncated() != Some(true) {
                return Ok(bytes);
            }
        }
    }

    /// The names of some objects that begin with a prefix.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Answer<Vec<String>> {
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).max_keys(10);
        let answer = self.send(self.call("s3", "ListObjectsV2", bucket), request.send()).await?;
        Ok(answer.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    pub async fn list_uploads(&self, bucket: &str, prefix: &str) -> Answer<()> {
        let request = self.s3.list_multipart_uploads().bucket(bucket).prefix(prefix).max_uploads(1);
        self.send(self.call("s3", "ListMultipartUploads", bucket), request.send()).await.map(drop)
    }

    pub async fn list_buckets(&self) -> Answer<Vec<String>> {
        let answer = self.send(self.call("s3", "ListBuckets", ""), self.s3.list_buckets().send()).await?;
        Ok(answer.buckets().iter().filter_map(|bucket| bucket.name().map(str::to_owned)).collect())
    }

    /// Puts an object, and gives its version where the bucket keeps them.
    pub async fn put(&self, bucket: &str, key: &str, content: &[u8]) -> Answer<Option<String>> {
        let body = ByteStream::from(content.to_vec());
        let request = self.s3.put_object().bucket(bucket).key(key).body(body);
        let answer = self.send(self.call("s3", "PutObject", &format!("{bucket}/{key}")), request.send()).await?;
        Ok(answer.version_id)
    }

    /// Gets a small object, or the beginning of a large one.
    pub async fn get(&self, bucket: &str, key: &str) -> Answer<Vec<u8>> {
        let request = self.s3.get_object().bucket(bucket).key(key);
        let mut answer = self.send(self.call("s3", "GetObject", &format!("{bucket}/{key}")), request.send()).await?;
        let mut content = Vec::new();
        while let Some(Ok(part)) = answer.body.next().await
            && content.len() < SMALL
        {
            content.extend_from_slice(&part);
        }
        Ok(content)
    }

    /// Asks for an object without a signature.
    pub async fn get_as_anybody(&self, bucket: &str, key: &str) -> Answer<()> {
        let request = self.anybody().get_object().bucket(bucket).key(key);
        self.send(self.call("s3", "GetObject", &format!("{bucket}/{key}")), request.send()).await.map(drop)
    }

    /// Lists a bucket without a signature.
    pub async fn list_as_anybody(&self, bucket: &str) -> Answer<()> {
        let request = self.anybody().list_objects_v2().bucket(bucket).max_keys(1);
        self.send(self.call("s3", "ListObjectsV2", bucket), request.send()).await.map(drop)
    }

    pub async fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Answer<()> {
        let request = self.s3.delete_object().bucket(bucket).key(key).set_version_id(version.map(str::to_owned));
        self.send(self.call("s3", "DeleteObject", &format!("{bucket}/{key}")), request.send()).await.map(drop)
    }

    /// Begins an upload in parts, sends one, lists the parts, and gives the upload up.
    pub async fn try_multipart(&self, bucket: &str, key: &str) -> Answer<()> {
        let target = format!("{bucket}/{key}");
        let request = self.s3.create_multipart_upload().bucket(bucket).key(key);
        let upload = self.send(self.call("s3", "CreateMultipartUpload", &target), request.send()).await?;
        let upload = upload.upload_id.unwrap_or_default();
        let part = self.s3.upload_part().bucket(bucket).key(key).upload_id(&upload).part_number(1);
        let part = part.body(ByteStream::from(vec![0; PART]));
        let sent = self.send(self.call("s3", "UploadPart", &target), part.send()).await;
        let parts = self.s3.list_parts().bucket(bucket).key(key).upload_id(&upload);
        let listed = match self.send(self.call("s3", "ListParts", &target), parts.send()).await {
            Err(fault) if fault.is_done() => Ok(()),
            answer => answer.map(drop),
        };
        let abort = self.s3.abort_multipart_upload().bucket(bucket).key(key).upload_id(&upload);
        let aborted = self.send(self.call("s3", "AbortMultipartUpload", &target), abort.send()).await;
        sent.map(drop).and(listed).and(aborted.map(drop))
    }

    /// Deletes everything in a bucket: all versions of all objects, and uploads that were not completed. `watch` is told how
    /// many are gone so far.
    pub async fn empty_bucket(&self, bucket: &str, watch: &(dyn Fn(u64) + Send + Sync)) -> Answer<()> {
        let mut gone = 0;
        loop {
            let found = self.some_versions(bucket).await?;
            if found.is_empty() {
                break;
            }
            gone += found.len() as u64;
            let request = Delete::builder().quiet(true).set_objects(Some(found)).build().expect("there are objects");
            let request = self.s3.delete_objects().bucket(bucket).delete(request);
            let answer = self.send(self.call("s3", "DeleteObjects", &format!("{bucket}/*")), request.send()).await?;
            for left in answer.errors() {
                // Asked for alone, it says why it cannot be deleted.
                self.delete(bucket, left.key().unwrap_or_default(), left.version_id()).await?;
            }
            watch(gone);
        }
        let request = self.s3.list_multipart_uploads().bucket(bucket);
        let Ok(uploads) = self.send(self.call("s3", "ListMultipartUploads", bucket), request.send()).await else {
            return Ok(());
        };
        for upload in uploads.uploads() {
            let (key, id) = (upload.key().unwrap_or_default(), upload.upload_id().unwrap_or_default());
            let request = self.s3.abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
            self.send(self.call("s3", "AbortMultipartUpload", &format!("{bucket}/{key}")), request.send()).await?;
        }
        Ok(())
    }

    /// Up to a thousand objects with their versions. A store without versions is asked for its objects.
    async fn some_versions(&self, bucket: &str) -> Answer<Vec<ObjectIdentifier>> {
        let identifier = |key: Option<&str>, version: Option<&str>| {
            ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build().ok()
        };
        let request = self.s3.list_object_versions().bucket(bucket).max_keys(1000);
        match self.send(self.call("s3", "ListObjectVersions", bucket), request.send()).await {
            Ok(answer) => {
                let versions = answer.versions().iter().filter_map(|one| identifier(one.key(), one.version_id()));
                let marks = answer.delete_markers().iter().filter_map(|one| identifier(one.key(), one.version_id()));
                Ok(versions.chain(marks).collect())
            }
            Err(fault) if fault.is_not_understood() => {
                let request = self.s3.list_objects_v2().bucket(bucket).max_keys(1000);
                let answer = self.send(self.call("s3", "ListObjectsV2", bucket), request.send()).await?;
                Ok(answer.contents().iter().filter_map(|one| identifier(one.key(), None)).collect())
            }
            Err(fault) => Err(fault),
        }
    }
}
