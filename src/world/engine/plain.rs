//! Questions to an engine whose answers are read loosely, because engines differ in them.

use std::collections::BTreeMap;

use bollard::errors::Error as Cause;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value as Json;

use super::transport::Transport;
use super::{Engine, body};
use crate::error::Result;

/// Asks an engine for what stands at a path, and gives the answer as it is.
pub(super) async fn ask(path: &str, transport: &Transport) -> std::result::Result<Json, Cause> {
    let request = Request::get(format!("http://engine{path}")).body(String::new());
    read(transport.send(request.map_err(|err| Cause::HttpClientError { err })?).await?).await
}

/// Reads an answer that is JSON.
pub(super) async fn read(answer: Response<Incoming>) -> std::result::Result<Json, Cause> {
    let status_code = answer.status().as_u16();
    let content = body(answer.into_body()).await?;
    if status_code != 200 {
        let message = String::from_utf8_lossy(&content).trim().to_owned();
        return Err(Cause::DockerResponseServerError { status_code, message });
    }
    Ok(serde_json::from_slice(&content)?)
}

impl Engine {
    /// The bytes of each volume. The engine counts them file by file, which may take long.
    pub async fn volume_sizes(&self) -> Result<BTreeMap<String, u64>> {
        // Engines before the API 1.42 count all that they have, whatever is asked for.
        let answer = ask("/system/df?type=volume&verbose=1", &self.transport).await;
        answer
            .map(|answer| sizes(&answer))
            .map_err(|error| self.failed("ask the engine how large its volumes are", &error))
    }
}

/// The sizes in an answer of the API: up to 1.51 below `Volumes`, and from 1.52 on below `VolumeUsage`.
fn sizes(answer: &Json) -> BTreeMap<String, u64> {
    let listed = [&answer["Volumes"], &answer["VolumeUsage"]["Items"]];
    let volumes = listed.into_iter().filter_map(Json::as_array).flatten();
    // It is -1 where the driver does not tell.
    let size = |volume: &Json| Some((volume["Name"].as_str()?.to_owned(), volume["UsageData"]["Size"].as_u64()?));
    volumes.filter_map(size).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read_from_the_answers_of_old_and_new_engines() {
        let volumes = json!([
            { "Name": "data", "UsageData": { "Size": 5, "RefCount": 1 } },
            { "Name": "far", "UsageData": { "Size": -1 } },
            { "Name": "unknown", "UsageData": null },
        ]);
        let expected = BTreeMap::from([("data".to_owned(), 5)]);
        assert_eq!(sizes(&json!({ "Volumes": volumes, "Images": [] })), expected);
        assert_eq!(sizes(&json!({ "VolumeUsage": { "Items": volumes, "TotalSize": 5 } })), expected);
        assert_eq!(sizes(&json!({ "Volumes": null })), BTreeMap::new());
    }
}
