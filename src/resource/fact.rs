//! What a look at a resource tells of the whole deployment, beside how the resource differs: [`Fact`].

use std::path::PathBuf;

use time::OffsetDateTime;

use crate::world::aws::Place;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It has served since then; none if it does not.
    Up(Option<OffsetDateTime>),
    /// A certificate that somebody else manages ends then.
    CertificateEnd(OffsetDateTime),
    /// Its data lies in this volume of the engine.
    Volume(String),
    /// A container that runs has this volume at this path.
    Mount { container: String, path: String, volume: String },
    /// Its data lies in this folder of the host.
    Folder(PathBuf),
    /// Its data lies in this bucket.
    Bucket { place: Place, name: String },
}

/// Since when all of it has served: since the last of its parts began to; none if one does not, or there is none.
pub(crate) fn up_since(facts: &[Fact]) -> Option<OffsetDateTime> {
    let starts = facts.iter().filter_map(|fact| match fact {
        Fact::Up(since) => Some(*since),
        _ => None,
    });
    let starts: Vec<Option<OffsetDateTime>> = starts.collect();
    if starts.contains(&None) { None } else { starts.into_iter().flatten().max() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_up_since_the_last_part_of_it_is() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        let up = |starts: &[Option<i64>]| {
            let facts: Vec<Fact> = starts.iter().map(|start| Fact::Up(start.and_then(at))).collect();
            up_since(&facts)
        };
        assert_eq!(up(&[]), None);
        assert_eq!(up(&[Some(5)]), at(5));
        assert_eq!(up(&[Some(5), Some(9), Some(7)]), at(9));
        assert_eq!(up(&[Some(5), None]), None);
        assert_eq!(up_since(&[Fact::Volume("data".to_owned())]), None);
    }
}
