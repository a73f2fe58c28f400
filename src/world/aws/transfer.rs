//! Files of any size as objects: put in parts, compared with what is there, listed by the names that they begin with.

use std::io::{self, Read, Seek, Write};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::Aws;
use super::stored::PAGE;
use crate::error::{Error, Result};

/// What one request carries, in bytes: less than the limit of an answer.
const PART: u64 = 8 << 20;
/// S3 takes 10,000 parts of one object at most (its documented limit).
const PARTS: u64 = 9_000;
/// More names than this are not listed.
const NAMES: usize = 100_000;

impl Aws {
    /// The keys that begin with a prefix.
    ///
    /// # Errors
    /// The bucket cannot be listed, or has more than 100,000 of them.
    pub async fn keys_below(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let (mut keys, mut from) = (Vec::new(), None);
        loop {
            let page = self.page(bucket, prefix, from, PAGE).await?;
            keys.extend(page.found.into_iter().map(|object| object.key));
            if keys.len() > NAMES {
                return Err(Error::new(format!("`s3://{bucket}/{prefix}` has more than {NAMES} objects"))
                    .hint("give a prefix that nothing else uses"));
            }
            from = page.next;
            if from.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Puts a file of that size as an object, and reads it back: what is there afterwards is what was read here, or an error is told
    /// and nothing of it is there.
    ///
    /// # Errors
    /// The store refuses it, or gives something else back.
    pub async fn put_file(&self, bucket: &str, key: &str, file: &mut (impl Read + Seek), size: u64) -> Result<()> {
        let done = match self.send_file(bucket, key, file, size).await {
            Ok(()) => self.compare(bucket, key, file, size).await,
            Err(error) => return Err(error),
        };
        if done.is_err() {
            // What cannot be read back is no file that somebody may rely on.
            let _ = self.delete(bucket, key, None).await;
        }
        done
    }

    /// Writes an object into a file, and gives its size.
    ///
    /// # Errors
    /// There is no such object, it is cut off, or the file cannot be written.
    pub async fn get_file(&self, bucket: &str, key: &str, file: &mut impl Write) -> Result<u64> {
        let target = format!("{bucket}/{key}");
        let request = self.s3.head_object().bucket(bucket).key(key);
        let found = self.send(self.call("s3", "HeadObject", &target), request.send()).await;
        let found = found.map_err(|fault| {
            if fault.is_missing() {
                Error::new(format!("there is no `s3://{target}`"))
                    .hint(format!("`aws s3 ls s3://{bucket}/` shows what there is"))
            } else {
                fault.into()
            }
        })?;
        let size = found.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let mut from = 0;
        while from < size {
            let to = size.min(from + PART);
            let content = self.part(bucket, key, from, to - 1).await?;
            let failed = |error: io::Error| Error::new(format!("`s3://{target}` cannot be kept on this host: {error}"));
            file.write_all(&content).map_err(failed)?;
            from = to;
        }
        Ok(size)
    }

    async fn send_file(&self, bucket: &str, key: &str, file: &mut impl Read, size: u64) -> Result<()> {
        let target = format!("{bucket}/{key}");
        if size <= PART {
            self.put(bucket, key, &read(file, size, &target)?).await?;
            return Ok(());
        }
        let request = self.s3.create_multipart_upload().bucket(bucket).key(key);
        let upload = self.send(self.call("s3", "CreateMultipartUpload", &target), request.send()).await?;
        let upload = upload.upload_id.unwrap_or_default();
        match self.send_parts(bucket, key, &upload, file, size).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let abort = self.s3.abort_multipart_upload().bucket(bucket).key(key).upload_id(&upload);
                let _ = self.send(self.call("s3", "AbortMultipartUpload", &target), abort.send()).await;
                Err(error)
            }
        }
    }

    async fn send_parts(&self, bucket: &str, key: &str, upload: &str, file: &mut impl Read, size: u64) -> Result<()> {
        let target = format!("{bucket}/{key}");
        let step = PART.max(size.div_ceil(PARTS));
        let (mut parts, mut left) = (Vec::new(), size);
        while left > 0 {
            let number = i32::try_from(parts.len() + 1).unwrap_or(i32::MAX);
            let content = read(file, step.min(left), &target)?;
            left -= content.len() as u64;
            let part = self.s3.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
            let part = part.body(ByteStream::from(content));
            let sent = self.send(self.call("s3", "UploadPart", &target), part.send()).await?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        let request = request.multipart_upload(parts);
        self.send(self.call("s3", "CompleteMultipartUpload", &target), request.send()).await?;
        Ok(())
    }

    /// Compares an object with a file, byte by byte.
    async fn compare(&self, bucket: &str, key: &str, file: &mut (impl Read + Seek), size: u64) -> Result<()> {
        let target = format!("{bucket}/{key}");
        file.rewind().map_err(|error| unreadable(&target, &error))?;
        let mut from = 0;
        while from < size {
            let wanted = read(file, PART.min(size - from), &target)?;
            let to = from + wanted.len() as u64;
            if self.part(bucket, key, from, to - 1).await? != wanted {
                return Err(Error::new(format!("`s3://{target}` is not what was sent, from byte {from} on"))
                    .hint("nothing was kept; check the store, or name another one"));
            }
            from = to;
        }
        Ok(())
    }
}

/// The next bytes of a file.
fn read(file: &mut impl Read, bytes: u64, target: &str) -> Result<Vec<u8>> {
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let found = file.take(bytes).read_to_end(&mut content).map_err(|error| unreadable(target, &error))?;
    if found as u64 != bytes {
        return Err(unreadable(target, &io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    Ok(content)
}

fn unreadable(target: &str, error: &io::Error) -> Error {
    Error::new(format!("the file for `s3://{target}` cannot be read: {error}"))
}
