//! Which module uses which: [`edges`], and where that goes round: [`circles`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::paths::{Sources, Written};

/// A module uses something of another one.
#[derive(Debug, Clone)]
pub struct Edge {
    pub from: Vec<String>,
    pub to: Vec<String>,
    written: Vec<String>,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |module: &[String]| if module.is_empty() { "crate".to_owned() } else { module.join("::") };
        write!(f, "{} → {} (`{}`)", name(&self.from), name(&self.to), self.written.join("::"))
    }
}

/// What a name means in a module: the path that was imported under it.
type Names = BTreeMap<(Vec<String>, String), Vec<String>>;

struct Resolver<'a> {
    sources: &'a Sources,
    imported: Names,
    exported: Names,
}

impl Resolver<'_> {
    fn is_module(&self, path: &[String]) -> bool {
        self.sources.0.contains_key(path)
    }

    /// The path from the crate's root; none if it is of another crate, or a name that is no module.
    fn absolute(&self, written: &Written) -> Option<Vec<String>> {
        let (first, rest) = written.segments.split_first()?;
        let mut base = match first.as_str() {
            "crate" | "provision" => Vec::new(),
            "self" => written.scope.clone(),
            "super" => written.scope[..written.scope.len().checked_sub(1)?].to_vec(),
            name => {
                let below = [written.scope.as_slice(), &[name.to_owned()]].concat();
                let import = self.imported.get(&(written.scope.clone(), name.to_owned()));
                if self.is_module(&below) { below } else { import?.clone() }
            }
        };
        let mut rest = rest;
        while let Some((next, after)) = rest.split_first()
            && next == "super"
        {
            base.pop();
            rest = after;
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module that holds what a path names, whatever re-exports lead there.
    fn home(&self, path: &[String], depth: usize) -> Vec<String> {
        assert!(depth < 32, "re-exports that lead round: {path:?}");
        let whole = (0..=path.len()).rev().find(|length| self.is_module(&path[..*length])).unwrap_or_default();
        let (module, rest) = path.split_at(whole);
        let re_export = rest.first().and_then(|name| self.exported.get(&(module.to_vec(), name.clone())));
        match re_export {
            Some(to) => self.home(&[to, &rest[1..]].concat(), depth + 1),
            None => module.to_vec(),
        }
    }
}

/// Every use of one module by another. What stands in a module within a file is used by the file.
pub fn edges(sources: &Sources) -> Vec<Edge> {
    let mut resolver = Resolver { sources, imported: Names::new(), exported: Names::new() };
    // Names that are imported by way of other imports need those first.
    for _ in 0..3 {
        for one in sources.0.values().flat_map(|module| &module.written) {
            let (Some((name, public)), Some(path)) = (&one.import, resolver.absolute(one)) else { continue };
            let key = (one.scope.clone(), name.clone());
            if *public {
                resolver.exported.insert(key.clone(), path.clone());
            }
            if path.last() != Some(name) || key.0 != path[..path.len().saturating_sub(1)] {
                resolver.imported.insert(key, path);
            }
        }
    }
    let mut found = Vec::new();
    for (module, held) in &sources.0 {
        for one in &held.written {
            let Some(path) = resolver.absolute(one) else { continue };
            let to = resolver.home(&path, 0);
            if to != *module {
                found.push(Edge { from: module.clone(), to, written: one.segments.clone() });
            }
        }
    }
    found
}

/// What a module is part of within its layer: what stands in the folder of the layer, or in a folder below it that holds
/// nothing but modules.
pub fn unit(sources: &Sources, module: &[String]) -> String {
    let is_folder = |module: &[String]| sources.0.get(module).is_some_and(|module| module.is_folder);
    let mut length = module.len().min(2);
    while length < module.len() && is_folder(&module[..length]) {
        length += 1;
    }
    module[..length].join("::")
}

/// The sets of nodes that reach each other.
pub fn circles(edges: &[(String, String)]) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        next.entry(from).or_default().insert(to);
    }
    let reach = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(node) = open.pop() {
            for to in next.get(node.as_str()).into_iter().flatten() {
                if seen.insert((*to).to_owned()) {
                    open.push((*to).to_owned());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<String, BTreeSet<String>> =
        next.keys().map(|node| ((*node).to_owned(), reach(node))).collect();
    let with = |node: &str| {
        let mutual = |other: &&String| reached.get(*other).is_some_and(|back| back.contains(node));
        reached[node].iter().filter(mutual).cloned().collect::<Vec<String>>()
    };
    let found: BTreeSet<Vec<String>> =
        reached.keys().map(|node| with(node)).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}
