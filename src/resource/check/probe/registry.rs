//! A push and a pull at a registry, as a client makes them: [`round_trip`].

use futures_util::future::try_join;
use serde_json::json;

use crate::error::{Error, Result};
use crate::registry::client::{Digest, Manifest, PROBED as REPOSITORY, Registry, media};
use crate::world::host;

const TAG: &str = "probe";

/// Pushes a small image, pulls it, compares the digests and deletes it.
pub(super) async fn round_trip(registry: &Registry) -> Result<()> {
    let layer = host::random::<1024>()?.to_vec();
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let pushed = push(registry, &config, &layer).await?;
    let pulled = pull(registry, &pushed).await;
    let (config, layer) = (Digest::of(&config), Digest::of(&layer));
    let blobs =
        async { try_join(registry.delete_blob(REPOSITORY, &config), registry.delete_blob(REPOSITORY, &layer)).await };
    let manifest = registry.delete_manifest(REPOSITORY, pushed.digest.as_str());
    let deleted = try_join(manifest, blobs).await.map(drop);
    pulled.and(deleted)
}

/// Begins to push and cancels that.
pub(super) async fn begin_and_cancel(registry: &Registry) -> Result<()> {
    registry.upload(REPOSITORY).await?.cancel().await
}

async fn push(registry: &Registry, config: &[u8], layer: &[u8]) -> Result<Manifest> {
    let (config_digest, layer_digest) = (Digest::of(config), Digest::of(layer));
    let config_sent = registry.send_bytes(REPOSITORY, config, &config_digest);
    try_join(config_sent, registry.send_bytes(REPOSITORY, layer, &layer_digest)).await?;
    let descriptor =
        |kind: &str, blob: &[u8], digest: &Digest| json!({ "mediaType": kind, "size": blob.len(), "digest": digest });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::CONFIG, config, &config_digest),
        "layers": [descriptor(media::LAYER, layer, &layer_digest)],
    });
    let manifest = Manifest::read(manifest.to_string().into_bytes(), media::MANIFEST)?;
    registry.push_manifest(REPOSITORY, TAG, &manifest).await?;
    Ok(manifest)
}

/// Pulls what was pushed; the client compares each digest.
async fn pull(registry: &Registry, pushed: &Manifest) -> Result<()> {
    let layers = pushed.layers()?;
    let layer = layers.first().ok_or_else(|| Error::new("the image of the probe has no layer"))?;
    let (manifest, _) = try_join(registry.manifest(REPOSITORY, TAG), registry.small_blob(REPOSITORY, layer)).await?;
    let found = manifest.map(|manifest| manifest.digest);
    if found.as_ref() == Some(&pushed.digest) {
        return Ok(());
    }
    let found = found.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
    Err(Error::new(format!("the registry gave back another manifest: pushed {}, pulled {found}", pushed.digest)))
}
