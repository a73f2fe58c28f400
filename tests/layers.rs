//! What each module of `src/` may use: a layer uses those below it, and within a layer nothing goes round.
//!
//! Every path in the code counts: `use`, paths in expressions, types, tests and macros. A re-export stands for what it
//! re-exports. There is no list of exceptions.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the sources, and tells a failure by a panic"
)]

#[path = "layers/edges.rs"]
mod edges;
#[path = "layers/paths.rs"]
mod paths;

use std::collections::BTreeMap;

use edges::{Edge, circles, edges, unit};
use paths::Sources;

/// The layers from the top to the bottom. A module of `src/` that is none of them fails the test.
const LAYERS: [&str; 18] = [
    "main",
    "cli",
    "command",
    "ci",
    "adopt",
    "session",
    "execution",
    "resource",
    "registry",
    "deployment",
    "language",
    "formats",
    "report",
    "world",
    "event",
    "secret",
    "error",
    "text",
];

/// What goes up, in words; `crate` itself is above all but the program.
fn upward(edges: &[Edge]) -> Vec<String> {
    let level = |module: &[String]| match module.first() {
        None => Ok(1),
        Some(top) => LAYERS.iter().position(|layer| layer == top).map(|at| at * 2).ok_or(top.clone()),
    };
    let mut found = Vec::new();
    for edge in edges {
        match (level(&edge.from), level(&edge.to)) {
            (Ok(from), Ok(to)) if to < from => found.push(format!("up: {edge}")),
            (Ok(_), Ok(_)) => {}
            (Err(top), _) | (_, Err(top)) => found.push(format!("`{top}` is no layer: add it to LAYERS ({edge})")),
        }
    }
    found
}

fn wrong(sources: &Sources) -> Vec<String> {
    let edges = edges(sources);
    let mut found = upward(&edges);
    let mut units: BTreeMap<_, Vec<&Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| edge.from.first() == edge.to.first()) {
        units.entry((unit(sources, &edge.from), unit(sources, &edge.to))).or_default().push(edge);
    }
    for circle in circles(&units.keys().cloned().collect::<Vec<_>>()) {
        let within = |(from, to): &(String, String)| from != to && circle.contains(from) && circle.contains(to);
        let edges = units.iter().filter(|(pair, _)| within(pair)).flat_map(|(_, edges)| edges.iter().take(1));
        let edges: String = edges.map(|edge| format!("\n    {edge}")).collect();
        found.push(format!("round: {}{edges}", circle.join(", ")));
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn nothing_goes_up_or_round() {
    let found = wrong(&Sources::read("src"));
    assert!(found.is_empty(), "{} paths that must not be:\n{}", found.len(), found.join("\n"));
}

/// Adds text to the end of a module.
fn with(sources: &Sources, module: &str, text: &str) -> Sources {
    let mut sources = sources.clone();
    sources.add(module, text);
    sources
}

#[test]
fn any_one_path_up_is_found() {
    let sources = Sources::read("src");
    let there: Vec<&str> = LAYERS.into_iter().filter(|layer| sources.has(layer)).collect();
    assert!(there.len() > 12, "{there:?}");
    for (at, lower) in there.iter().enumerate() {
        for upper in &there[..at] {
            for line in [
                format!("use crate::{upper};"),
                format!("fn added() {{ crate::{upper}::added() }}"),
                format!("mod tests {{ use super::super::{upper}::{{added, again as other}}; }}"),
                format!("a_macro! {{ 1 => crate::{upper}::added }}"),
            ] {
                let added = with(&Sources::default(), upper, "");
                let found = upward(&edges(&with(&added, lower, &line)));
                assert_eq!(found.len(), if line.contains("again") { 2 } else { 1 }, "`{line}` in {lower}: {found:?}");
            }
        }
    }
    for (lower, upper) in [("text::size", "world"), ("world::files", "resource"), ("resource::docker::image", "cli")] {
        let found = wrong(&with(&sources, lower, &format!("use crate::{upper};")));
        assert_eq!(found, [format!("up: {lower} → {upper} (`crate::{upper}`)")]);
    }
}

#[test]
fn what_goes_round_is_found_through_a_re_export_too() {
    let mut sources = Sources::default();
    for (module, text) in [
        ("world", "mod a; mod b; pub(crate) use a::Thing;"),
        ("world::a", "pub struct Thing; use crate::world::b::other;"),
        ("world::b", "pub fn other() {}"),
    ] {
        sources.add(module, text);
    }
    assert_eq!(wrong(&sources), Vec::<String>::new());
    let found = wrong(&with(&sources, "world::b", "use super::Thing;"));
    assert!(found.len() == 1 && found[0].starts_with("round: world::a, world::b"), "{found:?}");
    let found = wrong(&with(&sources, "error", "fn added() -> crate::world::Thing { crate::world::Thing }"));
    assert!(found.iter().any(|wrong| wrong.contains("error → world::a")), "{found:?}");
}
