//! What flows out of containers and into them, of any size.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::body_try_stream;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::Engine;
use super::containers::Execution;
use super::remap::Stream;
use super::transport::Meter;
use crate::error::{Error, Result};
use crate::world::host;
use crate::world::limit::Limit;

/// What is taken of one part of a stream; the whole goes to a file, and may be of any size. An upload is answered when its last
/// byte has been unpacked.
const PART: Limit = Limit::new(8 << 20, 7 * 24 * 3600);
/// How many bytes are kept of what a program says beside its data.
const WORDS: usize = 8 * 1024;

/// Takes the next bytes of a stream.
pub(crate) type Sink<'a> = &'a mut (dyn FnMut(&[u8]) -> Result<()> + Send);

impl Engine {
    /// Reads a folder of a container, running or not, as a tar archive with names that count from the folder.
    pub async fn read_folder(&self, name: &str, path: &str, sink: Sink<'_>) -> Result<()> {
        let folder = format!("{}/.", path.trim_end_matches('/'));
        let options = query::DownloadFromContainerOptionsBuilder::default().path(&folder).build();
        let (docker, meter) = self.flowing(PART);
        let mut stream = Box::pin(docker.download_from_container(name, Some(options)));
        let mut turned = Stream::new(self.remap);
        while let Some(part) = stream.next().await {
            let failed = |error| self.cut(&format!("read `{path}` in the container `{name}`"), &meter, &error);
            sink(&turned.turn(&part.map_err(failed)?))?;
            meter.mark();
        }
        Ok(())
    }

    /// Unpacks a tar archive into a folder of a container, running or not.
    pub async fn write_folder(
        &self,
        name: &str,
        path: &str,
        archive: impl Iterator<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let options = query::UploadToContainerOptionsBuilder::default().path(path).build();
        let broken: Arc<Mutex<Option<String>>> = Arc::default();
        let seen = broken.clone();
        // The client only tells that the body ended early, not why.
        let archive = archive.inspect(move |part| {
            if let Err(error) = part {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        });
        let body = body_try_stream(futures_util::stream::iter(archive));
        let patient = self.flowing(PART).0.with_timeout(PART.time);
        let task = format!("write `{path}` in the container `{name}`");
        patient.upload_to_container(name, Some(options), body).await.map_err(|error| {
            match broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(reason) => Error::new(format!("cannot {task}: {reason}")),
                None => self.failed(&task, &error),
            }
        })
    }

    /// Runs a program in a running container; its standard output goes to `sink`, the end of its standard error is kept.
    pub async fn read_program(&self, name: &str, command: &[String], sink: Sink<'_>) -> Result<Execution> {
        let (id, started, meter) = self.begin(name, command, false).await?;
        let mut words = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(part) = output.next().await {
                match part.map_err(|error| self.cut(&task(name, command), &meter, &error))? {
                    LogOutput::StdErr { message } => keep(&mut words, &message),
                    other => sink(&other.into_bytes())?,
                }
                meter.mark();
            }
        }
        self.ended(name, command, &id, &words).await
    }

    /// Runs a program in a running container with `data` on its standard input; the end of what it prints is kept.
    pub async fn write_program(
        &self,
        name: &str,
        command: &[String],
        data: impl Iterator<Item = io::Result<Bytes>> + Send,
    ) -> Result<Execution> {
        let (id, started, meter) = self.begin(name, command, true).await?;
        let mut words = Vec::new();
        if let StartExecResults::Attached { mut output, mut input } = started {
            let write = async {
                for part in data {
                    let part = part.map_err(|error| Error::new(format!("cannot {}: {error}", task(name, command))))?;
                    // A program that ends early says why by its exit code.
                    if input.write_all(&part).await.is_err() {
                        break;
                    }
                }
                drop(input.shutdown().await);
                Ok(())
            };
            let read = async {
                while let Some(part) = output.next().await {
                    let part = part.map_err(|error| self.cut(&task(name, command), &meter, &error))?;
                    keep(&mut words, &part.into_bytes());
                    meter.mark();
                }
                Ok::<_, Error>(())
            };
            futures_util::future::try_join(write, read).await?;
        }
        self.ended(name, command, &id, &words).await
    }

    async fn begin(&self, name: &str, command: &[String], input: bool) -> Result<(String, StartExecResults, Meter)> {
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdin: Some(input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let failed = |error| self.failed(&task(name, command), &error);
        let exec = self.docker.create_exec(name, options).await.map_err(failed)?;
        let (docker, meter) = self.flowing(PART);
        let started = docker.start_exec(&exec.id, None).await.map_err(failed)?;
        Ok((exec.id, started, meter))
    }

    async fn ended(&self, name: &str, command: &[String], id: &str, words: &[u8]) -> Result<Execution> {
        // Its output can end a moment before it does.
        for pause in [0, 5, 20, 100, 500, 2000] {
            host::sleep(pause).await;
            let found = self.docker.inspect_exec(id).await;
            let found = found.map_err(|error| self.failed(&task(name, command), &error))?;
            if !found.running.unwrap_or_default() {
                let output = String::from_utf8_lossy(words).into_owned();
                return Ok(Execution { code: found.exit_code.unwrap_or(-1), output });
            }
        }
        Err(Error::new(format!("cannot {}: it closed its output and goes on", task(name, command))))
    }
}

fn task(name: &str, command: &[String]) -> String {
    format!("run `{}` in the container `{name}`", command.join(" "))
}

/// Keeps the end of what is said.
fn keep(words: &mut Vec<u8>, more: &[u8]) {
    words.extend_from_slice(more);
    let superfluous = words.len().saturating_sub(WORDS);
    words.drain(..superfluous);
}
