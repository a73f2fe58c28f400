//! One image in all its parts.

use serde_json::{Value as Json, json};

use super::Reference;
use crate::error::Result;
use crate::registry::client::{Manifest, Registry};
use crate::registry::images::configuration;
use crate::report::{self, Style, clean_line};
use crate::text::size::readable;

pub(super) async fn run(registry: &Registry, image: &Reference, style: Style) -> Result<()> {
    let found = registry.manifest(&image.repository, &image.reference).await?;
    let manifest = found.ok_or_else(|| image.missing(registry))?;
    let configuration = configuration(registry, &image.repository, &manifest).await?;
    let referrers = registry.referrers(&image.repository, &manifest.digest).await?;
    if style == Style::Json {
        let referrers = json!(referrers);
        report::json(&json!({
            "image": image.shown(), "digest": manifest.digest, "media_type": manifest.kind, "manifest": manifest.content,
            "config": configuration, "referrers": referrers,
        }));
        return Ok(());
    }
    let mut lines = head(image, &manifest, &configuration)?;
    lines.extend(history(&configuration));
    for referrer in referrers {
        let kind = referrer.artifact_type.unwrap_or(referrer.media_type);
        lines.push(format!("referrer    {} {kind}", referrer.digest));
    }
    lines.iter().for_each(|line| report::line(&clean_line(line)));
    Ok(())
}

fn head(image: &Reference, manifest: &Manifest, configuration: &Json) -> Result<Vec<String>> {
    let mut lines = vec![
        format!("image       {}", image.shown()),
        format!("digest      {}", manifest.digest),
        format!("media type  {}", manifest.kind),
    ];
    let text = |name: &str| configuration[name].as_str();
    if let (Some(os), Some(architecture)) = (text("os"), text("architecture")) {
        lines.push(format!("platform    {os}/{architecture}"));
    }
    lines.extend(text("created").map(|created| format!("created     {created}")));
    if let Some(subject) = manifest.subject()? {
        lines.push(format!("refers to   {}", subject.digest));
    }
    let annotations = manifest.content["annotations"].as_object().into_iter().flatten();
    lines.extend(annotations.map(|(name, value)| format!("annotation  {name}={}", value.as_str().unwrap_or_default())));
    let labels = configuration["config"]["Labels"].as_object().into_iter().flatten();
    lines.extend(labels.map(|(name, value)| format!("label       {name}={}", value.as_str().unwrap_or_default())));
    for child in manifest.manifests()? {
        let platform = child
            .platform
            .map_or_else(|| "-".to_owned(), |platform| format!("{}/{}", platform.os, platform.architecture));
        lines.push(format!("manifest    {} {platform}", child.digest));
    }
    lines.extend(manifest.config()?.map(|config| format!("config      {} {}", config.digest, readable(config.size))));
    lines.extend(
        manifest.layers()?.iter().map(|layer| format!("layer       {} {}", layer.digest, readable(layer.size))),
    );
    Ok(lines)
}

fn history(configuration: &Json) -> Vec<String> {
    let steps = configuration["history"].as_array().into_iter().flatten();
    let step = |step: &Json| {
        let said = step["created_by"].as_str().or(step["comment"].as_str()).unwrap_or_default();
        format!("history     {said}")
    };
    steps.map(step).collect()
}
