//! Images of an engine: found, pulled, imported, built.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use bollard::errors::Error as Cause;
use bollard::models::ImageInspect;
use bollard::query_parameters as query;
use bollard::{body_full, body_try_stream};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::{Engine, optional};
use crate::error::{Error, Result};
use crate::world::files;
use crate::world::limit::Limit;

/// What is taken of one message about how far a pull or a build is, and of one part of an image.
const PART: Limit = Limit::new(8 << 20, 24 * 3600);
/// How many of the last lines of a build are kept for its error.
const LINES: usize = 12;

/// How far a pull or a build is: the part that it works on (a layer, a Dockerfile step), and bytes done of how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub part: String,
    pub done: u64,
    pub total: u64,
}

/// Why an image could not be pulled.
#[derive(Debug)]
pub(crate) enum PullError {
    /// No registry could be reached at all.
    Unreachable(Error),
    /// The registry was reached, and has no such image or does not give it out.
    Refused(Error),
}

impl Engine {
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInspect>> {
        let found = optional(self.docker.inspect_image(reference).await);
        found.map_err(|error| self.failed(&format!("inspect the image `{reference}`"), &error))
    }

    pub async fn pull(
        &self,
        reference: &str,
        watch: &(dyn Fn(Step) + Send + Sync),
    ) -> std::result::Result<(), PullError> {
        let options = query::CreateImageOptionsBuilder::default().from_image(reference).build();
        let (docker, meter) = self.flowing(PART);
        let mut stream = Box::pin(docker.create_image(Some(options), None, None));
        while let Some(part) = stream.next().await {
            let info = part.map_err(|error| match meter.breach() {
                Some(_) => PullError::Refused(self.cut(&format!("pull the image `{reference}`"), &meter, &error)),
                None => self.not_pulled(reference, &error),
            })?;
            meter.mark();
            let detail = info.progress_detail.unwrap_or_default();
            let part = [info.id, info.status].into_iter().flatten().collect::<Vec<_>>().join(" ");
            watch(Step { part, done: unsigned(detail.current), total: unsigned(detail.total) });
        }
        Ok(())
    }

    fn not_pulled(&self, reference: &str, error: &Cause) -> PullError {
        let text = error.to_string();
        let failed = self.failed(&format!("pull the image `{reference}`"), error);
        // The engine gives the reason of a failed pull as text only.
        let network = [
            "dial tcp",
            "no such host",
            "lookup ",
            "connection refused",
            "i/o timeout",
            "context deadline",
            "Client.Timeout",
            "unreachable",
            "EOF",
            "TLS handshake",
            "proxyconnect",
        ];
        if network.iter().any(|sign| text.contains(sign)) {
            PullError::Unreachable(failed)
        } else {
            PullError::Refused(failed)
        }
    }

    /// Makes an image of a tar archive of a file system, and gives its id.
    pub async fn import(&self, archive: &Path, repository: &str, tag: &str) -> Result<String> {
        let file = files::open(archive).await?;
        let body = futures_util::stream::unfold(file, |mut file| async move {
            let mut buffer = vec![0; 1 << 20];
            match file.read(&mut buffer).await {
                Ok(0) => None,
                Ok(read) => {
                    buffer.truncate(read);
                    Some((Ok(Bytes::from(buffer)), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        });
        let options = query::CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).build();
        let (docker, meter) = self.flowing(PART);
        let mut stream = Box::pin(docker.create_image(Some(options), Some(body_try_stream(body)), None));
        while let Some(part) = stream.next().await {
            part.map_err(|error| self.cut(&format!("import the image `{repository}:{tag}`"), &meter, &error))?;
            meter.mark();
        }
        let reference = format!("{repository}:{tag}");
        let image = self.image(&reference).await?.and_then(|image| image.id);
        image.ok_or_else(|| Error::new(format!("the engine took the image `{reference}` but does not know it")))
    }

    /// All images that have a name: their ids and names.
    pub async fn images(&self) -> Result<Vec<(String, Vec<String>)>> {
        let found = self.docker.list_images(None::<query::ListImagesOptions>).await;
        let found = found.map_err(|error| self.failed("list the images", &error))?;
        let named = |name: &String| !name.contains("<none>");
        Ok(found.into_iter().map(|image| (image.id, image.repo_tags.into_iter().filter(named).collect())).collect())
    }

    /// Whether it keeps images as containerd does: as they were pulled or built, layers compressed.
    pub async fn keeps_as_pulled(&self) -> Result<bool> {
        let info = self.docker.info().await.map_err(|error| self.failed("ask the engine for its storage", &error))?;
        let status = info.driver_status.unwrap_or_default();
        Ok(status.iter().flatten().any(|value| value.starts_with("io.containerd.snapshotter")))
    }

    /// Reads images with all their layers, each layer once, as `docker save` writes them.
    pub async fn export_images(&self, images: &[String], to: mpsc::Sender<std::io::Result<Bytes>>) -> Result<()> {
        let names: Vec<&str> = images.iter().map(String::as_str).collect();
        let (docker, meter) = self.flowing(PART);
        let mut stream = Box::pin(docker.export_images(&names));
        while let Some(part) = stream.next().await {
            let part = part.map_err(|error| self.cut("read the images", &meter, &error));
            let failed = part.as_ref().err().map(ToString::to_string);
            let handed =
                to.send(part.as_ref().map(Bytes::clone).map_err(|_| std::io::Error::other(failed.unwrap_or_default())));
            if handed.await.is_err() {
                return Ok(());
            }
            part?;
            meter.mark();
        }
        Ok(())
    }

    /// Builds an image from a tar archive with a Dockerfile in it, with arguments, on a network that is not the usual.
    ///
    /// # Errors
    /// The last lines of the build's own output are part of the error.
    pub async fn build(
        &self,
        context: Vec<u8>,
        reference: &str,
        (arguments, network): (&HashMap<String, String>, Option<&str>),
        labels: &HashMap<String, String>,
        watch: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<()> {
        let options = query::BuildImageOptionsBuilder::default()
            .t(reference)
            .rm(true)
            .forcerm(true)
            .buildargs(arguments)
            .labels(labels);
        let options = match network {
            Some(network) => options.networkmode(network).build(),
            None => options.build(),
        };
        let (docker, meter) = self.flowing(PART);
        let mut stream = Box::pin(docker.build_image(options, None, Some(body_full(Bytes::from(context)))));
        let mut output: VecDeque<String> = VecDeque::new();
        let failed = |error: Error, output: &VecDeque<String>| error.detail(output.iter().cloned());
        while let Some(part) = stream.next().await {
            let info = part.map_err(|error| {
                failed(self.cut(&format!("build the image `{reference}`"), &meter, &error), &output)
            })?;
            meter.mark();
            for line in info.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
                if line.starts_with("Step ") {
                    watch(Step { part: line.to_owned(), done: 0, total: 0 });
                }
                output.push_back(line.to_owned());
                if output.len() > LINES {
                    output.pop_front();
                }
            }
            if let Some(message) = info.error_detail.and_then(|detail| detail.message) {
                return Err(failed(Error::new(format!("cannot build the image `{reference}`: {message}")), &output));
            }
        }
        Ok(())
    }
}

fn unsigned(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}
