//! A container that does one thing and is gone: [`Helper`].

use std::collections::BTreeMap;

use bollard::container::AttachContainerResults;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters as query;
use futures_util::StreamExt;

use super::transport::Meter;
use super::{DEPLOYMENT, Engine};
use crate::error::{Error, Result};
use crate::world::limit::Limit;

/// What is taken of its output from one line to the next, and how long nothing at all may come.
const OUTPUT: Limit = Limit::new(64 << 20, 24 * 3600);
/// Bytes of its standard error that are kept.
const WORDS: usize = 8 * 1024;
/// What it may use: far more than it needs, far less than would hurt others.
const MEMORY: i64 = 512 << 20;
const PROCESSES: i64 = 64;

pub(crate) struct Helper {
    pub name: String,
    pub deployment: String,
    /// Labels beside that of the deployment.
    pub labels: BTreeMap<String, String>,
    /// An image that is there already; nothing of it is used but that it can be run.
    pub image: String,
    pub user: String,
    pub command: Vec<String>,
    /// What is laid into its root before it starts, as a tar archive.
    pub files: Vec<u8>,
    /// Volumes: name, path, and whether it may only read.
    pub volumes: Vec<(String, String, bool)>,
    /// The container whose processes it sees.
    pub processes_of: Option<String>,
    /// The network that it is in; none of its own by default.
    pub network: Option<String>,
    /// Capabilities that it has beside none.
    pub powers: Vec<String>,
    /// Whether it goes on as long as this process holds its standard input open.
    pub is_held: bool,
}

/// A helper that goes on until it is let go, or this process ends.
pub(crate) struct Held {
    engine: Engine,
    id: String,
    name: String,
    attached: AttachContainerResults,
    meter: Meter,
    unfinished: Vec<u8>,
    words: Vec<u8>,
}

impl Helper {
    fn body(&self) -> ContainerCreateBody {
        let mounts = self.volumes.iter().map(|(volume, path, read_only)| Mount {
            source: Some(volume.clone()),
            target: Some(path.clone()),
            typ: Some(MountType::VOLUME),
            read_only: Some(*read_only),
            ..Mount::default()
        });
        let mut labels = self.labels.clone();
        labels.insert(DEPLOYMENT.to_owned(), self.deployment.clone());
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(self.command.clone()),
            cmd: Some(Vec::new()),
            user: Some(self.user.clone()),
            attach_stdin: Some(self.is_held),
            open_stdin: Some(self.is_held),
            stdin_once: Some(self.is_held),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(labels.into_iter().collect()),
            host_config: Some(HostConfig {
                mounts: Some(mounts.collect()),
                auto_remove: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(self.powers.clone()),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                memory: Some(MEMORY),
                pids_limit: Some(PROCESSES),
                pid_mode: self.processes_of.as_ref().map(|name| format!("container:{name}")),
                network_mode: Some(self.network.clone().unwrap_or_else(|| "none".to_owned())),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

impl Engine {
    /// Runs a helper to its end; each line that it prints is given to `line`. What it says on its standard error is the result.
    ///
    /// # Errors
    /// It cannot be made or started, or its output ends early. Whatever happens, it is removed.
    pub async fn help(&self, helper: &Helper, line: &mut (dyn FnMut(&str) + Send)) -> Result<String> {
        let id = self.create_container(&helper.name, helper.body()).await.map_err(|error| {
            error.or_hint(format!("`docker rm -f {}` takes away what an earlier run left", helper.name))
        })?;
        let done = self.helped(&id, helper, line).await;
        // The engine removes it once it ends; one that did not start stays.
        let removed = self.remove_container(&id).await;
        done.and_then(|words| removed.map(|()| words))
    }

    /// Starts a helper that goes on as long as it is held. What an earlier run left of it is removed first.
    ///
    /// # Errors
    /// It cannot be made or started; it is removed then.
    pub async fn hold(&self, helper: &Helper) -> Result<Held> {
        self.remove_container(&helper.name).await?;
        let id = self.create_container(&helper.name, helper.body()).await?;
        match self.started(&id, helper).await {
            Ok(held) => Ok(held),
            Err(error) => {
                self.remove_container(&id).await?;
                Err(error)
            }
        }
    }

    async fn started(&self, id: &str, helper: &Helper) -> Result<Held> {
        self.write_folder(id, "/", std::iter::once(Ok(helper.files.clone().into()))).await?;
        let (docker, meter) = self.flowing(OUTPUT);
        let options = query::AttachContainerOptionsBuilder::default();
        let options = options.stdin(true).stdout(true).stderr(true).stream(true).build();
        let attached = docker.attach_container(id, Some(options)).await;
        let (name, task) = (helper.name.clone(), format!("follow the container `{}`", helper.name));
        let attached = attached.map_err(|error| self.failed(&task, &error))?;
        self.start_container(id).await?;
        let (engine, id) = (self.clone(), id.to_owned());
        Ok(Held { engine, id, name, attached, meter, unfinished: Vec::new(), words: Vec::new() })
    }

    async fn helped(&self, id: &str, helper: &Helper, line: &mut (dyn FnMut(&str) + Send)) -> Result<String> {
        self.write_folder(id, "/", std::iter::once(Ok(helper.files.clone().into()))).await?;
        let (docker, meter) = self.flowing(OUTPUT);
        let options = query::AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
        let attached = docker.attach_container(id, Some(options)).await;
        let task = format!("follow the container `{}`", helper.name);
        let AttachContainerResults { mut output, .. } = attached.map_err(|error| self.failed(&task, &error))?;
        self.start_container(id).await?;
        let (mut unfinished, mut words) = (Vec::new(), Vec::new());
        while let Some(part) = output.next().await {
            match part.map_err(|error| self.cut(&task, &meter, &error))? {
                bollard::container::LogOutput::StdErr { message } => words.extend_from_slice(&message),
                other => unfinished.extend_from_slice(&other.into_bytes()),
            }
            meter.mark();
            let superfluous = words.len().saturating_sub(WORDS);
            words.drain(..superfluous);
            while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
                let said: Vec<u8> = unfinished.drain(..=end).collect();
                line(String::from_utf8_lossy(&said).trim_end());
            }
        }
        if let Some(breach) = meter.breach() {
            return Err(Error::new(format!("cannot {task}: {breach}")));
        }
        Ok(String::from_utf8_lossy(&words).into_owned())
    }
}

impl Held {
    /// The next line that it prints; none once it has ended.
    pub async fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.unfinished.iter().position(|byte| *byte == b'\n') {
                let said: Vec<u8> = self.unfinished.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&said).trim_end().to_owned()));
            }
            let Some(part) = self.attached.output.next().await else { return Ok(None) };
            let failed = |error| self.engine.cut(&format!("follow the container `{}`", self.name), &self.meter, &error);
            match part.map_err(failed)? {
                bollard::container::LogOutput::StdErr { message } => self.words.extend_from_slice(&message),
                other => self.unfinished.extend_from_slice(&other.into_bytes()),
            }
            self.meter.mark();
            let superfluous = self.words.len().saturating_sub(WORDS);
            self.words.drain(..superfluous);
        }
    }

    /// What it said on its standard error.
    pub fn words(&self) -> String {
        String::from_utf8_lossy(&self.words).into_owned()
    }

    /// Ends and removes it.
    pub async fn release(self) -> Result<()> {
        let Self { engine, id, attached, .. } = self;
        drop(attached);
        engine.remove_container(&id).await
    }
}
