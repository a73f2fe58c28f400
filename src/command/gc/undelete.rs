//! `provision gc --undelete`: puts back what was deleted, untagged or taken by retention, while it is not freed yet.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::registry::client::Registry;
use crate::registry::removed::Removed;
use crate::session::Session;
use crate::text::columns::aligned;
use crate::world::host;

/// What is not there any more under a name that it had.
struct Lost<'a> {
    removed: &'a Removed,
    /// A tag, or the digest of what had none.
    reference: String,
    /// Whether the tag is another image by now.
    is_taken: bool,
}

impl Lost<'_> {
    fn image(&self) -> String {
        let sign = if self.reference.contains(':') { '@' } else { ':' };
        format!("{}{sign}{}", self.removed.repository, self.reference)
    }
}

/// Puts images back, or lists all that can be.
pub(crate) async fn run(session: &Session, name: &str, images: &[String]) -> Result<()> {
    let (store, record) = Store::existing(name)?;
    let registry = Registry::of_deployment(&store, &record).await?;
    let known = Removed::read(&store)?;
    let lost = lost(&registry, &known).await?;
    if images.is_empty() {
        list(session, &lost);
        return Ok(());
    }
    for image in images {
        let (removed, reference) = find(name, image, &lost, &known)?;
        removed.put_back(&registry, &reference).await?;
        session.events.note(None, format!("{image} is back: {}", removed.digest));
    }
    Ok(())
}

async fn lost<'a>(registry: &Registry, known: &'a [Removed]) -> Result<Vec<Lost<'a>>> {
    let mut lost = Vec::new();
    for removed in known {
        if removed.tags.is_empty() && registry.look_up(&removed.repository, &removed.digest).await?.is_none() {
            lost.push(Lost { removed, reference: removed.digest.clone(), is_taken: false });
        }
        for tag in &removed.tags {
            let found = registry.look_up(&removed.repository, tag).await?;
            if found.as_ref().is_none_or(|found| found.digest.as_str() != removed.digest) {
                lost.push(Lost { removed, reference: tag.clone(), is_taken: found.is_some() });
            }
        }
    }
    Ok(lost)
}

fn find<'a>(name: &str, image: &str, lost: &[Lost<'a>], known: &'a [Removed]) -> Result<(&'a Removed, String)> {
    if let Some((repository, digest)) = image.split_once('@') {
        let found = known.iter().find(|removed| removed.repository == repository && removed.digest == digest);
        return found.map(|removed| (removed, digest.to_owned())).ok_or_else(|| unknown(name, image));
    }
    // The latest one of that name.
    let found = lost.iter().find(|lost| lost.image() == image).ok_or_else(|| unknown(name, image))?;
    if found.is_taken {
        let digest = &found.removed.digest;
        return Err(Error::new(format!("`{image}` is another image by now")).hint(format!(
            "`provision gc {name} --undelete {}@{digest}` puts the earlier one back without a tag",
            found.removed.repository
        )));
    }
    Ok((found.removed, found.reference.clone()))
}

fn unknown(name: &str, image: &str) -> Error {
    Error::new(format!("`{image}` is not among what was removed and can be put back"))
        .hint(format!("`provision gc {name} --undelete` lists that"))
}

fn list(session: &Session, lost: &[Lost]) {
    if lost.is_empty() {
        session.events.note(None, "nothing that was removed in the last 30 days is missing");
        return;
    }
    let now = host::now().unix_timestamp();
    let rows: Vec<[String; 3]> = lost
        .iter()
        .map(|lost| {
            let end = hour(lost.removed.end());
            let kept = if lost.removed.end() > now {
                format!("kept until {end} at least")
            } else {
                format!("freed since {end}, unless nothing was collected")
            };
            let taken = if lost.is_taken {
                format!("the tag is another image by now; this was {}", lost.removed.digest)
            } else {
                String::new()
            };
            [lost.image(), kept, taken]
        })
        .collect();
    aligned(&rows).into_iter().for_each(|line| session.events.note(None, line));
}

fn hour(seconds: i64) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(form).ok()).unwrap_or_default()
}
