//! `provision du`: what takes the space of a registry.

use serde_json::json;

use super::gc;
use super::store::Place;
use crate::deployment::{self, Store};
use crate::error::{Error, Result};
use crate::registry::client::Registry;
use crate::registry::garbage::Unneeded;
use crate::registry::images::{self, Known};
use crate::registry::job::{Said, Task};
use crate::registry::usage::Usage;
use crate::report::{self, Style, clean_line};
use crate::session::Session;
use crate::text::columns::aligned;
use crate::text::size::readable;

const TITLES: [&str; 4] = ["repository", "tags", "size", "of it own"];

/// What the rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Size,
    Name,
}

pub(crate) async fn run(session: &Session, registry: &str, sort: Sort, style: Style) -> Result<()> {
    let place = store_of(session, registry)?;
    let mut usage = match &place {
        Some(place) => measured(place).await?,
        None => listed(registry).await?,
    };
    if sort == Sort::Size {
        usage.repositories.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    }
    if style == Style::Json {
        report::json(&json!(usage));
        return Ok(());
    }
    // Where nothing is collected, there is no command that frees it.
    let collects =
        place.as_ref().is_some_and(|place| gc::check(&place.prepared.record, registry).is_ok()).then_some(registry);
    lines(&usage, collects).iter().for_each(|line| report::line(&clean_line(line)));
    Ok(())
}

/// The store of a registry, if it is a deployment with one that can be read; none for any other registry.
fn store_of(session: &Session, registry: &str) -> Result<Option<Place>> {
    if !deployment::names()?.iter().any(|name| name == registry) {
        return Ok(None);
    }
    let (_, record) = Store::existing(registry)?;
    if record.kept || !Place::is_one(&record)? {
        return Ok(None);
    }
    Place::find(session, registry).map(Some)
}

async fn measured(place: &Place) -> Result<Usage> {
    match place.carry_out(Task::Measure).await?.checked()? {
        Said::Measured(usage) => Ok(usage),
        _ => Err(Error::new("the examination of the store gave no sizes")),
    }
}

async fn listed(registry: &str) -> Result<Usage> {
    let (registry, known) = (Registry::open(registry).await?, Known::read());
    let images = images::list(&registry, "*", &known).await;
    known.write();
    Ok(Usage::of_images(&images?))
}

/// The table, and below it what all takes, and what could go by a collection of this deployment.
fn lines(usage: &Usage, collects: Option<&str>) -> Vec<String> {
    let rows = usage.repositories.iter().map(|share| {
        [share.repository.clone(), share.tags.to_string(), readable(share.bytes), readable(share.own_bytes)]
    });
    let rows: Vec<[String; 4]> = std::iter::once(TITLES.map(str::to_owned)).chain(rows).collect();
    let mut lines = if usage.repositories.is_empty() { vec!["no images".to_owned()] } else { aligned(&rows) };
    let tags = usage.repositories.iter().map(|share| share.tags).sum::<u64>();
    let repositories = counted(usage.repositories.len() as u64, "repository", "repositories");
    let tags = counted(tags, "tag", "tags");
    lines.push(format!("{repositories}, {tags}: {}, with what several share counted once", readable(usage.bytes)));
    match &usage.unneeded {
        Some(unneeded) => lines.extend(free(unneeded, collects)),
        None => lines.push("what no image needs is not among it: only the registry's own store shows that".to_owned()),
    }
    lines
}

fn free(unneeded: &Unneeded, collects: Option<&str>) -> Vec<String> {
    let by = |more: &str| collects.map_or_else(String::new, |name| format!(": `provision gc {name}{more}` frees that"));
    let mut lines = Vec::new();
    if unneeded.blobs == 0 {
        lines.push("garbage collection would free nothing: images need all blobs".to_owned());
    } else {
        let blobs = counted(unneeded.blobs, "blob", "blobs");
        lines.push(format!("no image needs {blobs}, {}{}", readable(unneeded.bytes), by("")));
    }
    if unneeded.untagged_manifests > 0 {
        let manifests = counted(unneeded.untagged_manifests, "manifest", "manifests");
        let what =
            format!("no tag leads to {manifests}, {} with what only they need", readable(unneeded.untagged_bytes));
        lines.push(format!("{what}{}", by(" --untagged 30d").replace("frees that", "frees the older ones")));
    }
    if unneeded.uploads > 0 {
        let uploads = counted(unneeded.uploads, "upload has", "uploads have");
        let bytes = readable(unneeded.upload_bytes);
        lines.push(format!("{uploads} not ended, {bytes}: the registry removes what is a week old"));
    }
    lines
}

fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::usage::Share;

    #[test]
    fn what_could_go_is_told_with_the_command_that_frees_it() {
        let share = Share { repository: "team/app".to_owned(), tags: 2, bytes: 3_200_000_000, own_bytes: 1000 };
        let unneeded =
            Unneeded { blobs: 1, bytes: 5000, untagged_manifests: 2, untagged_bytes: 7000, ..Unneeded::default() };
        let mut usage = Usage { repositories: vec![share], bytes: 3_200_000_000, unneeded: Some(unneeded) };
        let told = lines(&usage, Some("reg"));
        assert_eq!(
            told,
            [
                "repository  tags  size    of it own",
                "team/app    2     3.2 GB  1 kB",
                "1 repository, 2 tags: 3.2 GB, with what several share counted once",
                "no image needs 1 blob, 5 kB: `provision gc reg` frees that",
                "no tag leads to 2 manifests, 7 kB with what only they need: `provision gc reg --untagged 30d` frees the older ones",
            ]
        );
        usage.unneeded = Some(Unneeded { uploads: 1, upload_bytes: 1_500_000, ..Unneeded::default() });
        let told = lines(&usage, None);
        assert_eq!(told[3], "garbage collection would free nothing: images need all blobs");
        assert_eq!(told[4], "1 upload has not ended, 1.5 MB: the registry removes what is a week old");
        let empty = lines(&Usage::default(), None);
        assert_eq!(empty[0], "no images");
        assert!(empty[2].contains("own store"), "{empty:?}");
    }
}
