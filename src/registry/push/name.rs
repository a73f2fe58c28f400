//! The names that images get in a registry: [`Name`].

use crate::error::{Error, Result};

/// A repository and a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub repository: String,
    pub tag: String,
}

impl Name {
    /// The name that an image of the engine gets: what `docker images` shows, less the registry's own host, below `prefix`.
    ///
    /// # Errors
    /// The image has no name, or one that a registry cannot have.
    pub fn of(image: &str, registry: &str, prefix: Option<&str>) -> Result<Self> {
        if image.starts_with("sha256:") || image.contains('@') {
            return Err(Error::usage(format!("`{image}` is a digest, and no name that it could be pushed under"))
                .hint("`docker tag` gives an image a name"));
        }
        // `localhost/` is what podman puts before a name without a registry.
        let path = image.strip_prefix(registry).and_then(|rest| rest.strip_prefix('/'));
        let path = path.or_else(|| image.strip_prefix("localhost/")).unwrap_or(image);
        let (repository, tag) = match path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((repository, tag)) => (repository, tag),
            None => (path, "latest"),
        };
        let prefix = prefix.map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty());
        let repository = prefix.map_or_else(|| repository.to_owned(), |prefix| format!("{prefix}/{repository}"));
        check(&repository, tag).map_err(|what| {
            Error::usage(format!("`{image}` cannot be pushed: {what}"))
                .hint(format!("give it another name: `docker tag {image} NAME:TAG`"))
        })?;
        Ok(Self { repository, tag: tag.to_owned() })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// Fails for what is no repository or no tag (OCI distribution specification 1.1, "Pulling manifests").
pub(crate) fn check(repository: &str, tag: &str) -> std::result::Result<(), String> {
    let word = |word: &str| {
        let edges = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let inner = |c: char| edges(c) || matches!(c, '.' | '_' | '-');
        word.chars().all(inner) && word.starts_with(edges) && word.ends_with(edges)
    };
    if repository.len() > 255 || !repository.split('/').all(word) {
        return Err(format!(
            "`{repository}` is no name of a repository: small letters, digits, and `.`, `_`, `-` between them"
        ));
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if tag.is_empty() || tag.len() > 128 || !tag.chars().all(inner) || tag.starts_with(['.', '-']) {
        return Err(format!("`{tag}` is no tag"));
    }
    Ok(())
}

/// Whether a name fits a pattern, in which `*` stands for any text and `?` for one character.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    (at, of) = (before + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_docker_shows_less_the_registry_s_own_host() {
        let cases = [
            ("app", None, "app:latest"),
            ("team/app:1.0", None, "team/app:1.0"),
            ("localhost:5000/team/app:1", None, "team/app:1"),
            ("localhost:5000/app", None, "app:latest"),
            ("ghcr.io/team/app:1", None, "ghcr.io/team/app:1"),
            ("localhost/team/app:1", None, "team/app:1"),
            ("app:1", Some("mirror/"), "mirror/app:1"),
        ];
        for (image, prefix, expected) in cases {
            assert_eq!(Name::of(image, "localhost:5000", prefix).unwrap().to_string(), expected, "{image}");
        }
        for image in ["sha256:00", "app@sha256:00", "other:5000/app:1", "App", "a//b", "app:", "-a", "a-"] {
            assert!(Name::of(image, "localhost:5000", None).unwrap_err().next_step().is_some(), "{image}");
        }
    }

    #[test]
    fn a_pattern_fits_as_in_a_shell() {
        for (pattern, name) in
            [("team/*", "team/app"), ("*", ""), ("*/app?", "a/b/app1"), ("a*b*c", "aXbbXc"), ("app", "app")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("team/*", "other/app"), ("app", "app1"), ("?", ""), ("a*b", "ac")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
