//! A file of hosts, which `--hosts` takes: [`read`].
//!
//! ```yaml
//! paris:  { host: ssh://root@paris.example.com, groups: [web], inputs: { cn: paris.example.com } }
//! lisbon: { groups: [web, test] }     # `ssh lisbon`
//! ```

use std::path::Path;

use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node, Source};
use crate::world::files;
use crate::world::ssh::Target;

const FIELDS: [&str; 3] = ["host", "groups", "inputs"];
const FORM: &str = "write a line `NAME: { host: ssh://USER@HOST }` for each host";

/// A host of the file.
pub(super) struct Listed {
    pub name: String,
    pub target: Target,
    pub groups: Vec<String>,
    /// Its own inputs, as `--set` takes them.
    pub inputs: Vec<String>,
}

/// Reads a file of hosts.
///
/// # Errors
/// It cannot be read, or something in it is no host: with its place.
pub(super) fn read(path: &str) -> Result<Vec<Listed>> {
    let text = files::read_text(Path::new(path));
    parse(path, text.map_err(|error| error.within("`--hosts`").into_usage().or_hint("it takes a file of hosts"))?)
}

fn parse(path: &str, text: String) -> Result<Vec<Listed>> {
    let source = Source::new(path, text);
    let node = Node::parse(&source).map_err(Error::into_usage)?;
    let Content::Map(entries) = node.value else {
        return Err(Error::usage("the hosts are a mapping").at(source.place(node.span)).hint(FORM));
    };
    entries.into_iter().map(|(key, node)| host(&source, &key, node)).collect()
}

fn host(source: &Source, key: &Key, node: Node) -> Result<Listed> {
    let wrong = |node: &Node, wanted: &str| {
        Error::usage(format!("this is {wanted}, not {}", node.describe())).at(source.place(node.span)).hint(FORM)
    };
    let text = |node: &Node, wanted: &str| match &node.value {
        Content::Scalar { text, .. } if !text.is_empty() => Ok(text.clone()),
        _ => Err(wrong(node, wanted)),
    };
    let (mut address, mut groups, mut inputs) = (key.text.clone(), Vec::new(), Vec::new());
    let fields = match node.value {
        Content::Map(fields) => fields,
        Content::Scalar { ref text, .. } if text.is_empty() => Vec::new(),
        _ => return Err(wrong(&node, "a mapping")),
    };
    for (field, node) in fields {
        match (field.text.as_str(), &node.value) {
            ("host", _) => address = text(&node, "the address of a host")?,
            ("groups", Content::List(items)) => {
                groups = items.iter().map(|item| text(item, "the name of a group")).collect::<Result<_>>()?;
            }
            ("inputs", Content::Map(entries)) => {
                for (name, node) in entries {
                    let values = match &node.value {
                        Content::List(items) => items.iter().collect(),
                        _ => vec![node],
                    };
                    for value in values {
                        inputs.push(format!("{}={}", name.text, text(value, "a value")?));
                    }
                }
            }
            ("groups" | "inputs", _) => return Err(wrong(&node, "a list of groups, or a mapping of inputs")),
            (other, _) => {
                return Err(Error::usage(format!("unknown field `{other}` of a host"))
                    .at(source.place(field.span))
                    .hint(did_you_mean(other, &FIELDS)));
            }
        }
    }
    let target = super::read(&address).map_err(|error| error.at(source.place(key.span)))?;
    Ok(Listed { name: key.text.clone(), target, groups, inputs })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn hosts_have_groups_and_inputs_of_their_own() {
        let text = "paris: { host: ssh://root@paris.example.com, groups: [web], inputs: { cn: a.test, san: [b, c] } }\nlisbon:\n";
        let hosts = parse("hosts.yml", text.to_owned()).unwrap();
        let shown: Vec<String> = hosts
            .iter()
            .map(|host| format!("{} {} {:?} {:?}", host.name, host.target, host.groups, host.inputs))
            .collect();
        assert_eq!(shown[0], r#"paris ssh://root@paris.example.com ["web"] ["cn=a.test", "san=b", "san=c"]"#);
        assert_eq!(shown[1], "lisbon ssh://lisbon [] []");
    }

    #[test]
    fn what_is_no_host_is_told_with_its_place() {
        for (text, told) in [
            ("[a]", "the hosts are a mapping"),
            ("a: b", "not `b`"),
            ("a: { hots: b }", "unknown field `hots`"),
            ("a: { host: '-oX' }", "is no host that `ssh` can reach"),
            ("a: { groups: web }", "a list of groups"),
            ("a: { inputs: { cn: {} } }", "a value"),
        ] {
            let error = parse("hosts.yml", text.to_owned()).err().unwrap();
            assert!(error.is_usage() && error.render().contains(told), "{text}: {}", error.render());
            assert!(error.place().is_some(), "{text}");
        }
    }
}
