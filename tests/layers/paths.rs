//! The paths that stand in the sources: [`Sources`].

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What stands in each module, by the module's path: `language::input`.
#[derive(Debug, Clone, Default)]
pub struct Sources(pub BTreeMap<Vec<String>, Module>);

#[derive(Debug, Clone, Default)]
pub struct Module {
    /// Every path that is written in it.
    pub written: Vec<Written>,
    /// Whether it holds nothing but modules.
    pub is_folder: bool,
}

/// A path as it is written, in a module.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where it counts from: the module of the file, and the modules within the file.
    pub scope: Vec<String>,
    pub segments: Vec<String>,
    /// The name that it has from here on, where it is imported, and whether others may use that.
    pub import: Option<(String, bool)>,
}

fn split(module: &str) -> Vec<String> {
    module.split("::").map(str::to_owned).collect()
}

impl Sources {
    pub fn read(folder: &str) -> Self {
        let mut sources = Self::default();
        sources.read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &[]);
        sources
    }

    fn read_folder(&mut self, folder: &Path, module: &[String]) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let below = [module, std::slice::from_ref(&name)].concat();
            if path.is_dir() {
                self.read_folder(&path, &below);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = if name == "lib" && module.is_empty() { Vec::new() } else { below };
                let text = std::fs::read_to_string(&path).unwrap();
                let only_modules =
                    text.lines().all(|line| line.is_empty() || line.starts_with("//") || line.contains("mod "));
                self.0.entry(below.clone()).or_default().is_folder = only_modules;
                self.add_to(&below, &text);
            }
        }
    }

    /// Adds text to a module.
    pub fn add(&mut self, module: &str, text: &str) {
        self.add_to(&split(module), text);
    }

    fn add_to(&mut self, module: &[String], text: &str) {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{module:?}: {error}"));
        read(tokens, module, &mut self.0.entry(module.to_vec()).or_default().written);
    }

    pub fn has(&self, module: &str) -> bool {
        self.0.contains_key(&split(module))
    }
}

fn word(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

/// Whether `::` stands there.
fn joined(trees: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(trees.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    colon(at) && colon(at + 1)
}

fn read(tokens: TokenStream, scope: &[String], found: &mut Vec<Written>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    let mut public = false;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Ident(name) if name == "use" => {
                let end = (at..trees.len())
                    .find(|at| matches!(&trees[*at], TokenTree::Punct(mark) if mark.as_char() == ';'))
                    .unwrap_or(trees.len());
                imports(&trees[at + 1..end], &[], scope, public, found);
                at = end;
            }
            TokenTree::Ident(name) if name == "mod" => {
                // The braces of a module within the file; of one that is a file, a semicolon.
                if let (Some(name), Some(TokenTree::Group(body))) = (word(trees.get(at + 1)), trees.get(at + 2)) {
                    read(body.stream(), &[scope, &[name]].concat(), found);
                    at += 2;
                }
            }
            TokenTree::Ident(name) => {
                public |= name == "pub";
                let mut segments = vec![name.to_string()];
                while joined(&trees, at + 1)
                    && let Some(next) = word(trees.get(at + 3))
                {
                    segments.push(next);
                    at += 3;
                }
                if segments.len() > 1 {
                    found.push(Written { scope: scope.to_vec(), segments, import: None });
                }
                at += 1;
                continue;
            }
            TokenTree::Group(group) => {
                read(group.stream(), scope, found);
                // That of `pub(crate)` leaves what follows public.
                public &= group.delimiter() == Delimiter::Parenthesis;
                at += 1;
                continue;
            }
            _ => {}
        }
        public = false;
        at += 1;
    }
}

/// The paths of one `use`: each branch of its tree.
fn imports(trees: &[TokenTree], before: &[String], scope: &[String], public: bool, found: &mut Vec<Written>) {
    let is_comma = |tree: &TokenTree| matches!(tree, TokenTree::Punct(mark) if mark.as_char() == ',');
    for branch in trees.split(is_comma) {
        let mut segments = before.to_vec();
        let mut name = None;
        let mut group = None;
        for (at, tree) in branch.iter().enumerate() {
            match tree {
                TokenTree::Ident(word) if word == "as" => name = branch.get(at + 1).map(ToString::to_string),
                TokenTree::Ident(word) if name.is_none() && (word != "self" || segments.is_empty()) => {
                    segments.push(word.to_string());
                }
                TokenTree::Punct(mark) if mark.as_char() == '*' => name = Some("*".to_owned()),
                TokenTree::Group(branches) => group = Some(branches.stream()),
                _ => {}
            }
        }
        match group {
            Some(branches) => {
                let branches: Vec<TokenTree> = branches.into_iter().collect();
                imports(&branches, &segments, scope, public, found);
            }
            None if !segments.is_empty() => {
                let name = name.or_else(|| segments.last().cloned()).unwrap();
                found.push(Written { scope: scope.to_vec(), segments, import: Some((name, public)) });
            }
            None => {}
        }
    }
}
