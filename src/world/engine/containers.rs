//! Containers of an engine.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bollard::body_full;
use bollard::container::LogOutput;
use bollard::errors::Error as Cause;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerSummary, ContainerUpdateBody, RestartPolicy,
};
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::StreamExt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Engine, ID, gone, labelled, optional};
use crate::error::{Error, Result};
use crate::world::host;
use crate::world::limit::Limit;
use crate::world::read;

/// What is taken of a file of a container, beside what an archive adds to it.
const FILE: Limit = Limit::new(read::FILE.bytes + (64 << 10), 150);
/// What is taken of the words of a program in a container, which may be asked to wait for something.
const WORDS: Limit = Limit::new(16 << 20, 3600);
/// What is taken of a log, in one go or of one line while it is followed.
const LOG: Limit = Limit::new(16 << 20, 60);
const LINE: Limit = Limit::new(1 << 20, 24 * 3600);

/// What the engine tells of a file in a container without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archived {
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    pub directory: bool,
    /// The time of the last change as the engine writes it (RFC 3339, with nanoseconds).
    pub modified: String,
}

/// What a program in a container printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    pub code: i64,
    pub output: String,
}

/// What became of listening to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Said,
    Ended,
    /// The engine keeps no log of it that can be read.
    Unreadable,
}

/// How long a removal that somebody else began may take, and the milliseconds between two looks.
const REMOVAL: Duration = Duration::from_mins(1);
const PAUSE: u64 = 50;

/// Whether a container is being removed already: the engine tells it by a text.
fn is_under_way(error: &Cause) -> bool {
    matches!(error, Cause::DockerResponseServerError { status_code: 409, message } if message.contains("already in progress"))
}

impl Engine {
    pub async fn container(&self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        let found = self.docker.inspect_container(name, None::<query::InspectContainerOptions>).await;
        optional(found).map_err(|error| self.failed(&format!("inspect the container `{name}`"), &error))
    }

    /// The containers of one deployment, running or not.
    pub async fn containers_of(&self, id: &str) -> Result<Vec<ContainerSummary>> {
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(&labelled(ID, id)).build();
        self.docker.list_containers(Some(options)).await.map_err(|error| self.failed("list the containers", &error))
    }

    /// Every container, running or not.
    pub async fn all_containers(&self) -> Result<Vec<ContainerSummary>> {
        let options = query::ListContainersOptionsBuilder::default().all(true).build();
        self.docker.list_containers(Some(options)).await.map_err(|error| self.failed("list the containers", &error))
    }

    /// Every running container.
    pub async fn running_containers(&self) -> Result<Vec<ContainerSummary>> {
        let options = query::ListContainersOptionsBuilder::default().build();
        self.docker.list_containers(Some(options)).await.map_err(|error| self.failed("list the containers", &error))
    }

    /// The whole id of a container that runs, and the word for its network; none if no such container does.
    pub async fn running_container(&self, id: &str) -> Result<Option<(String, String)>> {
        let Some(found) = self.container(id).await? else { return Ok(None) };
        let runs = found.state.and_then(|state| state.running).unwrap_or_default();
        let network = found.host_config.and_then(|config| config.network_mode).unwrap_or_default();
        Ok(found.id.filter(|_| runs).map(|id| (id, network)))
    }

    /// The host by which a published port is reached; none if no container publishes it. A port may be bound to one address of
    /// the engine's host alone.
    pub async fn published_at(&self, port: u16) -> Result<Option<String>> {
        let running = self.running_containers().await?;
        let ports = running.iter().flat_map(|container| container.ports.iter().flatten());
        let bound: Vec<&str> = ports
            .filter(|bound| bound.public_port == Some(port))
            .map(|bound| bound.ip.as_deref().unwrap_or_default())
            .collect();
        let far = self.endpoint.socket().is_none();
        let anywhere = |ip: &&str| {
            let address = ip.parse::<IpAddr>().ok();
            address.is_none_or(|address| address.is_unspecified() || (far && address.is_loopback()))
        };
        Ok(match bound.iter().find(|ip| anywhere(ip)).or_else(|| bound.first()) {
            None => None,
            Some(ip) if anywhere(ip) => Some(self.host().to_owned()),
            Some(ip) if ip.contains(':') => Some(format!("[{ip}]")),
            Some(ip) => Some((*ip).to_owned()),
        })
    }

    /// Creates a container and gives its id.
    pub async fn create_container(&self, name: &str, body: ContainerCreateBody) -> Result<String> {
        let options = query::CreateContainerOptionsBuilder::default().name(name).build();
        let created = self.docker.create_container(Some(options), body).await;
        created
            .map(|created| created.id)
            .map_err(|error| self.failed(&format!("create the container `{name}`"), &error))
    }

    pub async fn start_container(&self, name: &str) -> Result<()> {
        let started = self.docker.start_container(name, None::<query::StartContainerOptions>).await;
        started.map_err(|error| self.failed(&format!("start the container `{name}`"), &error))
    }

    /// Stops a container; one that does not end in 10 seconds is killed.
    pub async fn stop_container(&self, name: &str) -> Result<()> {
        let options = query::StopContainerOptionsBuilder::default().t(10).build();
        let stopped = self.docker.stop_container(name, Some(options)).await;
        gone(stopped).map_err(|error| self.failed(&format!("stop the container `{name}`"), &error))
    }

    /// Says whether the engine starts a container by itself.
    pub async fn set_restart_policy(&self, name: &str, policy: RestartPolicy) -> Result<()> {
        let body = ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
        let updated = self.docker.update_container(name, body).await;
        updated.map_err(|error| self.failed(&format!("set the restart policy of the container `{name}`"), &error))
    }

    pub async fn rename_container(&self, name: &str, new: &str) -> Result<()> {
        let options = query::RenameContainerOptionsBuilder::default().name(new).build();
        let renamed = self.docker.rename_container(name, options).await;
        renamed.map_err(|error| self.failed(&format!("rename the container `{name}`"), &error))
    }

    /// Removes a container, running or not, with its anonymous volumes.
    ///
    /// # Errors
    /// The engine refuses, or a removal that somebody else began does not end within a minute.
    pub async fn remove_container(&self, name: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match gone(self.docker.remove_container(name, Some(options)).await) {
                // Somebody else removes it: it is gone when that has ended, and is tried again if that fails.
                Err(error) if is_under_way(&error) && started.elapsed() < REMOVAL => host::sleep(PAUSE).await,
                removed => {
                    return removed.map_err(|error| self.failed(&format!("remove the container `{name}`"), &error));
                }
            }
        }
    }

    /// Unpacks a tar archive into a folder of a container, running or not.
    pub async fn upload(&self, name: &str, folder: &str, archive: Vec<u8>) -> Result<()> {
        let options = query::UploadToContainerOptionsBuilder::default().path(folder).build();
        let sent = self.docker.upload_to_container(name, Some(options), body_full(Bytes::from(archive))).await;
        sent.map_err(|error| self.failed(&format!("upload into `{folder}` of the container `{name}`"), &error))
    }

    /// Looks at a file in a container; none if it is not there.
    pub async fn stat(&self, name: &str, path: &str) -> Result<Option<Archived>> {
        let options = query::ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let found = optional(self.docker.get_container_archive_info(name, Some(options)).await);
        let found =
            found.map_err(|error| self.failed(&format!("look at `{path}` in the container `{name}`"), &error))?;
        Ok(found.map(|stat| Archived {
            size: u64::try_from(stat.size).unwrap_or_default(),
            // The lower nine bits are the permissions; the highest says directory (Go's os.FileMode).
            mode: stat.file_mode & 0o777,
            directory: stat.file_mode & (1 << 31) != 0,
            modified: stat.modification_time.unwrap_or_default(),
        }))
    }

    /// A tar archive of a file in a container; none if it is not there.
    ///
    /// # Errors
    /// It is larger than [`read::FILE`].
    pub async fn download(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let options = query::DownloadFromContainerOptionsBuilder::default().path(path).build();
        let (docker, meter) = self.flowing(FILE);
        let mut stream = Box::pin(docker.download_from_container(name, Some(options)));
        let mut archive = Vec::new();
        while let Some(part) = stream.next().await {
            match optional(part) {
                Ok(Some(part)) => archive.extend_from_slice(&part),
                Ok(None) => return Ok(None),
                Err(error) => {
                    return Err(self.cut(&format!("read `{path}` in the container `{name}`"), &meter, &error));
                }
            }
        }
        Ok(Some(self.remap.map_or_else(|| archive.clone(), |remap| remap.archive(&archive))))
    }

    /// The last lines that a container printed.
    pub async fn logs(&self, name: &str, lines: usize) -> Vec<String> {
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        self.lines(name, options).await
    }

    async fn lines(&self, name: &str, options: query::LogsOptions) -> Vec<String> {
        let (docker, meter) = self.flowing(LOG);
        let mut stream = Box::pin(docker.logs(name, Some(options)));
        let mut text = String::new();
        while let Some(Ok(part)) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(&part.into_bytes()));
        }
        let cut = meter.breach().map(|breach| format!("(the log is not read to its end: {breach})"));
        text.lines().map(str::to_owned).chain(cut).collect()
    }

    /// Runs a program in a running container and waits for it.
    pub async fn execute(&self, name: &str, command: &[String]) -> Result<Execution> {
        self.execute_as(None, name, command).await
    }

    /// The same as one of the container's users: a name or a number.
    pub async fn execute_as(&self, user: Option<&str>, name: &str, command: &[String]) -> Result<Execution> {
        let task = || format!("run `{}` in the container `{name}`", command.join(" "));
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            user: user.map(str::to_owned),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let (docker, meter) = self.flowing(WORDS);
        let exec = self.docker.create_exec(name, options).await.map_err(|error| self.failed(&task(), &error))?;
        let started = docker.start_exec(&exec.id, None).await.map_err(|error| self.failed(&task(), &error))?;
        let mut output = String::new();
        if let StartExecResults::Attached { output: mut stream, .. } = started {
            while let Some(Ok(part)) = stream.next().await {
                let part: LogOutput = part;
                output.push_str(&String::from_utf8_lossy(&part.into_bytes()));
            }
        }
        if let Some(breach) = meter.breach() {
            return Err(Error::new(format!("cannot {}: what it prints: {breach}", task())));
        }
        let ended = self.docker.inspect_exec(&exec.id).await.map_err(|error| self.failed(&task(), &error))?;
        Ok(Execution { code: ended.exit_code.unwrap_or(-1), output })
    }
}

impl Engine {
    /// Lets a paused container go on.
    pub async fn unpause_container(&self, name: &str) -> Result<()> {
        let resumed = self.docker.unpause_container(name).await;
        resumed.map_err(|error| self.failed(&format!("let the container `{name}` go on"), &error))
    }

    /// Reads what a container prints after a time, by the engine's clock, until a line holds `text`.
    pub async fn logs_until(&self, name: &str, after: OffsetDateTime, text: &str) -> Heard {
        // The engine counts in whole seconds: what it said earlier in the same one is told by the time before each line.
        let since = i32::try_from(after.unix_timestamp().max(0)).unwrap_or_default();
        let options = query::LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true);
        let options = options.timestamps(true).since(since).build();
        let is_later = |time: &str| OffsetDateTime::parse(time, &Rfc3339).is_ok_and(|time| time > after);
        let (docker, meter) = self.flowing(LINE);
        let mut stream = Box::pin(docker.logs(name, Some(options)));
        let mut unfinished = String::new();
        while let Some(part) = stream.next().await {
            let part = match part {
                Ok(part) => part,
                // Whatever the reason: a driver that keeps nothing to be read, `none` for one, says so in words of its own.
                Err(Cause::DockerResponseServerError { .. } | Cause::DockerStreamError { .. }) => {
                    return Heard::Unreadable;
                }
                Err(_) => return Heard::Ended,
            };
            meter.mark();
            if unfinished.len() > LINE.size() {
                unfinished.clear();
            }
            unfinished.push_str(&String::from_utf8_lossy(&part.into_bytes()));
            let mut lines = unfinished.lines().filter_map(|line| line.split_once(' '));
            if lines.any(|(time, said)| said.contains(text) && is_later(time)) {
                return Heard::Said;
            }
            let line = unfinished.rfind('\n').map_or(0, |end| end + 1);
            unfinished.drain(..line);
        }
        Heard::Ended
    }
}
