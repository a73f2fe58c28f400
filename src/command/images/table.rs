//! The table of images.

use std::collections::BTreeMap;

use crate::registry::images::Image;
use crate::report::clean_line;
use crate::text::columns::aligned;
use crate::text::size::readable;

const TITLES: [&str; 6] = ["image", "digest", "platforms", "size", "of it own", "created"];

/// A line for each image, and one that counts them all: what several have is counted once.
pub(super) fn lines(images: &[Image]) -> Vec<String> {
    if images.is_empty() {
        return vec!["no images".to_owned()];
    }
    let uses = uses(images);
    let rows: Vec<[String; 6]> = [TITLES.map(str::to_owned)]
        .into_iter()
        .chain(images.iter().map(|image| cells(image, &uses).map(|cell| clean_line(&cell))))
        .collect();
    let mut lines = aligned(&rows);
    let bytes: u64 = uses.values().map(|(bytes, _)| bytes).sum();
    lines.push(format!("{} tags, {} in all", images.len(), readable(bytes)));
    lines
}

/// Each content, its bytes, and how many different manifests have it.
fn uses(images: &[Image]) -> BTreeMap<&str, (u64, usize)> {
    let mut uses: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
    let manifests: BTreeMap<&str, &Image> = images.iter().map(|image| (image.digest.as_str(), image)).collect();
    for (digest, bytes) in manifests.values().flat_map(|image| &image.details.contents) {
        uses.entry(digest).or_insert((*bytes, 0)).1 += 1;
    }
    uses
}

fn cells(image: &Image, uses: &BTreeMap<&str, (u64, usize)>) -> [String; 6] {
    let details = &image.details;
    let own =
        details.contents.iter().filter(|(digest, _)| uses.get(digest.as_str()).is_none_or(|(_, count)| *count == 1));
    let hash = image.digest.split_once(':').map_or("", |(_, hash)| hash);
    [
        format!("{}:{}", image.repository, image.tag),
        hash.chars().take(12).collect(),
        if details.platforms.is_empty() { "-".to_owned() } else { details.platforms.join(",") },
        readable(details.bytes()),
        readable(own.map(|(_, bytes)| bytes).sum()),
        details.created.as_deref().and_then(|time| time.get(..10)).unwrap_or("-").to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::lines;
    use crate::registry::images::{Details, Image};

    fn image(tag: &str, digest: &str, contents: &[(&str, u64)]) -> Image {
        let contents = contents.iter().map(|(digest, bytes)| ((*digest).to_owned(), *bytes)).collect();
        let details = Details { platforms: vec!["linux/amd64".to_owned()], contents, ..Details::default() };
        Image { repository: "app".to_owned(), tag: tag.to_owned(), digest: format!("sha256:{digest}"), details }
    }

    #[test]
    fn what_several_images_have_is_counted_once() {
        let images = [image("1", "aaaa", &[("x", 1000), ("y", 2000)]), image("2", "bbbb", &[("x", 1000), ("z", 4000)])];
        let told = lines(&images);
        assert!(told[1].contains("3 kB") && told[1].contains("2 kB"), "{told:?}");
        assert_eq!(told[3], "2 tags, 7 kB in all");
        // Two tags of one manifest take no more than one.
        let images = [image("1", "aaaa", &[("x", 1000)]), image("2", "aaaa", &[("x", 1000)])];
        assert_eq!(lines(&images)[3], "2 tags, 1 kB in all");
        assert_eq!(lines(&[]), ["no images"]);
    }
}
