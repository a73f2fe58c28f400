//! What a path of a store stands for: [`Item`].

use super::Digest;

/// What a file of the store is, by its path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// The bytes of a blob.
    Blob(Digest),
    /// The link by which a repository may serve a blob.
    Layer {
        repository: &'a str,
        digest: Digest,
    },
    /// The same by a digest of another algorithm; its content names the blob.
    OtherLayer {
        repository: &'a str,
    },
    /// The link that makes a blob a manifest of the repository.
    Revision {
        repository: &'a str,
        digest: Digest,
    },
    /// What a tag is.
    Current {
        repository: &'a str,
        tag: &'a str,
    },
    /// What a tag is or was.
    Index {
        repository: &'a str,
        tag: &'a str,
        digest: Digest,
    },
    /// A part of an upload that has not ended.
    Upload {
        repository: &'a str,
        upload: &'a str,
    },
    Unknown,
}

impl<'a> Item<'a> {
    pub fn of(path: &'a str) -> Self {
        Self::known(path).unwrap_or(Self::Unknown)
    }

    fn known(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("blobs/sha256/") {
            let (shard, rest) = rest.split_once('/')?;
            let hex = rest.strip_suffix("/data")?;
            return Digest::of_hex(hex).filter(|_| hex.starts_with(shard) && shard.len() == 2).map(Self::Blob);
        }
        // No part of a repository's name begins with `_`.
        let (repository, rest) = path.strip_prefix("repositories/")?.split_once("/_")?;
        match rest.split('/').collect::<Vec<_>>()[..] {
            ["layers", "sha256", hex, "link"] => Some(Self::Layer { repository, digest: Digest::of_hex(hex)? }),
            ["layers", _, _, "link"] => Some(Self::OtherLayer { repository }),
            ["manifests", "revisions", "sha256", hex, "link"] => {
                Some(Self::Revision { repository, digest: Digest::of_hex(hex)? })
            }
            ["manifests", "tags", tag, "current", "link"] => Some(Self::Current { repository, tag }),
            ["manifests", "tags", tag, "index", "sha256", hex, "link"] => {
                Some(Self::Index { repository, tag, digest: Digest::of_hex(hex)? })
            }
            ["uploads", upload, _, ..] => Some(Self::Upload { repository, upload }),
            _ => None,
        }
    }
}

/// The link by which a repository may serve a blob.
pub(crate) fn layer(repository: &str, digest: &Digest) -> String {
    format!("repositories/{repository}/_layers/sha256/{}/link", digest.hex())
}

/// The link that makes a blob a manifest of the repository.
pub(crate) fn revision(repository: &str, digest: &Digest) -> String {
    format!("repositories/{repository}/_manifests/revisions/sha256/{}/link", digest.hex())
}

pub(crate) fn current(repository: &str, tag: &str) -> String {
    format!("repositories/{repository}/_manifests/tags/{tag}/current/link")
}

pub(crate) fn index(repository: &str, tag: &str, digest: &Digest) -> String {
    format!("repositories/{repository}/_manifests/tags/{tag}/index/sha256/{}/link", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_what_it_says() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        let repository = "team/app";
        let cases = [
            (digest.data(), Item::Blob(digest)),
            (layer(repository, &digest), Item::Layer { repository, digest }),
            (revision(repository, &digest), Item::Revision { repository, digest }),
            (current(repository, "v1"), Item::Current { repository, tag: "v1" }),
            (index(repository, "v1", &digest), Item::Index { repository, tag: "v1", digest }),
            (format!("repositories/{repository}/_layers/sha512/00/link"), Item::OtherLayer { repository }),
            (format!("repositories/{repository}/_uploads/u/data"), Item::Upload { repository, upload: "u" }),
            (
                format!("repositories/{repository}/_uploads/u/hashstates/sha256/0"),
                Item::Upload { repository, upload: "u" },
            ),
            // What a crash leaves of a link, and what belongs to nobody.
            (format!("{}.0d1f.tmp", layer(repository, &digest)), Item::Unknown),
            (format!("blobs/sha256/zz/{hex}/data"), Item::Unknown),
            (format!("blobs/sha256/{}/{hex}/data.bak", &hex[..2]), Item::Unknown),
            ("repositories/README".to_owned(), Item::Unknown),
        ];
        for (path, item) in &cases {
            assert_eq!(Item::of(path), *item, "{path}");
        }
    }
}
