//! The file of rules, a list in YAML: [`Rules`].

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node, Source};
use crate::text::pattern;

/// Rules in the order of their file. All of those whose pattern fits a repository count for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules(pub Vec<Rule>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// A pattern of repositories.
    pub repositories: String,
    /// Which tags stay; none if the rule is not about tags.
    pub keep: Option<Keep>,
    /// Seconds after its last push that a manifest without a tag stays; for ever if there are none.
    pub untagged: Option<u64>,
}

/// A tag stays if one of these holds for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keep {
    /// It is one of the last so many that were pushed.
    pub last: Option<usize>,
    /// Its name fits one of these patterns.
    pub tags: Vec<String>,
    /// It was pushed less than so many seconds ago.
    pub younger: Option<u64>,
}

const RULE: [&str; 3] = ["repositories", "keep", "untagged"];
const KEEP: [&str; 3] = ["last", "tags", "younger"];
/// Ten years: more is a mistake.
const LONGEST: u64 = 3650 * 86400;
/// Whoever keeps more keeps all.
const MOST: usize = 1_000_000;

impl Rules {
    /// Reads a file of rules.
    ///
    /// # Errors
    /// A mistake in it, with its place.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let source = Source::new(name, text);
        let node = Node::parse(&source).map_err(Error::into_usage)?;
        let rules = Reader { source: &source }.list(&node, "the rules", "a rule", Reader::rule)?;
        if rules.is_empty() {
            return Err(Error::usage(format!("`{name}` has no rules")).hint(EXAMPLE));
        }
        Ok(Self(rules))
    }

    /// The rules about a repository, each with its number in the file.
    pub fn about<'a>(&'a self, repository: &'a str) -> impl Iterator<Item = (usize, &'a Rule)> {
        let numbered = self.0.iter().enumerate().map(|(at, rule)| (at + 1, rule));
        numbered.filter(move |(_, rule)| pattern::fits(&rule.repositories, repository))
    }

    /// How long a manifest without a tag stays in a repository: as long as the rule that keeps it longest says.
    pub fn untagged(&self, repository: &str) -> Option<u64> {
        self.about(repository).filter_map(|(_, rule)| rule.untagged).max()
    }
}

const EXAMPLE: &str = "write rules such as `- { repositories: \"team/*\", keep: { last: 10, tags: [\"v*\"], younger: 30d }, untagged: 30d }`";

struct Reader<'a> {
    source: &'a Source,
}

impl Reader<'_> {
    fn wrong(&self, node: &Node, what: String) -> Error {
        Error::usage(what).at(self.source.place(node.span)).hint(EXAMPLE)
    }

    fn list<T>(&self, node: &Node, name: &str, one: &str, read: impl Fn(&Self, &Node) -> Result<T>) -> Result<Vec<T>> {
        let Content::List(items) = &node.value else {
            return Err(self.wrong(node, format!("{name} are a list with {one} an item, not {}", node.describe())));
        };
        items.iter().map(|item| read(self, item)).collect()
    }

    /// The entries of a mapping, all of which must be known.
    fn entries<'n>(&self, node: &'n Node, name: &str, known: &[&str]) -> Result<&'n [(Key, Node)]> {
        let Content::Map(entries) = &node.value else {
            return Err(self.wrong(node, format!("{name} is a mapping, not {}", node.describe())));
        };
        match entries.iter().find(|(key, _)| !known.contains(&key.text.as_str())) {
            None => Ok(entries),
            Some((key, _)) => Err(Error::usage(format!("{name} has no `{}`", key.text))
                .at(self.source.place(key.span))
                .hint(did_you_mean(&key.text, known))),
        }
    }

    fn text<'n>(&self, node: &'n Node) -> Result<&'n str> {
        match &node.value {
            Content::Scalar { text, .. } if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(node, format!("here stands one text, not {}", node.describe()))),
        }
    }

    fn time(&self, node: &Node) -> Result<u64> {
        let text = self.text(node)?;
        let found = crate::text::duration::seconds(text).filter(|seconds| (1..=LONGEST).contains(seconds));
        found.ok_or_else(|| {
            Error::usage(format!("`{text}` is no time"))
                .at(self.source.place(node.span))
                .hint("write `12h` or `30d`, ten years at most")
        })
    }

    fn pattern(&self, node: &Node) -> Result<String> {
        self.text(node).map(str::to_owned)
    }

    fn rule(&self, node: &Node) -> Result<Rule> {
        let mut rule = Rule::default();
        for (key, value) in self.entries(node, "a rule", &RULE)? {
            match key.text.as_str() {
                "repositories" => rule.repositories = self.pattern(value)?,
                "keep" => rule.keep = Some(self.keep(value)?),
                _ => rule.untagged = Some(self.time(value)?),
            }
        }
        if rule.repositories.is_empty() {
            return Err(self.wrong(node, "a rule names its `repositories`: `\"*\"` is all of them".to_owned()));
        }
        if rule.keep.is_none() && rule.untagged.is_none() {
            return Err(self.wrong(node, "a rule has `keep` or `untagged`: this one says nothing".to_owned()));
        }
        Ok(rule)
    }

    fn keep(&self, node: &Node) -> Result<Keep> {
        let mut keep = Keep::default();
        for (key, value) in self.entries(node, "`keep`", &KEEP)? {
            match key.text.as_str() {
                "last" => {
                    let number = self.text(value)?.parse().ok().filter(|number| (1..=MOST).contains(number));
                    keep.last = Some(number.ok_or_else(|| self.wrong(value, "`last` is a number from 1".to_owned()))?);
                }
                "tags" => keep.tags = self.list(value, "`tags`", "a pattern", Self::pattern)?,
                _ => keep.younger = Some(self.time(value)?),
            }
        }
        if keep == Keep::default() {
            return Err(self.wrong(node, "`keep` keeps nothing, so all tags would go".to_owned()));
        }
        Ok(keep)
    }
}
