//! Where a job runs: on a host, or in a container of the engine that it uses: [`Around`].

use crate::error::{Error, Result};
use crate::world::contained;
use crate::world::engine::Engine;

/// How many containers may be in the network of each other.
const DEEPEST: u32 = 8;

/// What is around a job.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Around {
    /// The id of the container that it runs in. Whoever asks the engine later learns from it whether the job can still run.
    pub container: Option<String>,
    /// The container whose network it is in, where that is not the engine's own: `localhost` is another one there.
    pub network: Option<String>,
}

impl Around {
    /// Finds it out; or is told which container it is. On a host nothing is asked of an engine.
    ///
    /// # Errors
    /// The engine does not answer, or has no such container that runs.
    pub async fn find(given: Option<&str>) -> Result<Self> {
        let named = given.filter(|id| !id.is_empty());
        let ids = named.map_or_else(contained::ids, |id| vec![id.to_owned()]);
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let engine = Engine::connect(None)?;
        for id in ids {
            if let Some((container, network)) = engine.running_container(&id).await? {
                let network = network_of(&engine, &container, network).await?;
                return Ok(Self { container: Some(container), network });
            }
        }
        match named {
            None => Ok(Self::default()),
            Some(id) => Err(Error::usage(format!("`--job-container {id}`: the engine runs no such container"))
                .hint("`docker ps` shows those that run; without this flag it is found out")),
        }
    }
}

/// The container that has the network which a container is in; none if that is the engine's own.
async fn network_of(engine: &Engine, container: &str, network: String) -> Result<Option<String>> {
    let (mut owner, mut network) = (container.to_owned(), network);
    for _ in 0..DEEPEST {
        let Some(next) = network.strip_prefix("container:") else {
            return Ok((network != "host").then_some(owner));
        };
        let Some(found) = engine.running_container(next).await? else { return Ok(None) };
        (owner, network) = found;
    }
    Ok(None)
}
