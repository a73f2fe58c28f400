//! A playbook as it is written: inputs, declarations, outputs, each with its place: [`Playbook`].

mod parts;
mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use include_dir::{Dir, include_dir};
use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{self, Content, Key, Node, Source, Span};
use crate::language::input::Input;
use crate::language::input::condition::Condition;
use crate::text::shell;
use crate::world::files;
use reader::Reader;

/// Every file of `playbooks/`, compiled into the binary.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/playbooks");

/// Names that an input cannot have, because they mean something in the expressions of every playbook.
pub(crate) const RESERVED: [&str; 2] = ["name", "rendering"];

const FIELDS: [&str; 8] = ["about", "parts", "inputs", "variables", "values", "rules", "resources", "outputs"];

/// The names of the kinds that a playbook may use.
pub(crate) type Kinds = &'static [&'static str];

#[derive(Debug, Clone)]
pub(crate) struct Playbook {
    pub name: String,
    /// What it and the playbooks that it includes may use.
    kinds: Kinds,
    pub source: Arc<Source>,
    /// Where templates and included playbooks are looked for first; none for one that is part of the binary.
    pub folder: Option<PathBuf>,
    pub about: String,
    pub inputs: Vec<Input>,
    /// Variables of the environment that stand for inputs.
    pub variables: Vec<Variable>,
    /// Expressions with a name, each of inputs, resources and the values before it.
    pub values: Vec<(Key, Node)>,
    pub rules: Vec<Rule>,
    pub declarations: Vec<Declaration>,
    pub outputs: Vec<(Key, Node)>,
}

/// One item of `variables:`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub name: String,
    /// The input that it stands for.
    pub input: Option<String>,
    /// What its values are called here; one that is not listed is taken as it is.
    pub values: BTreeMap<String, String>,
    /// What a user should know of it, such as what to do instead.
    pub note: Option<String>,
    /// Where it counts; without one, where its input does.
    pub when: Option<Condition>,
    /// Whether it counts in a file alone, and not in the environment, where it may be about something else.
    pub file_only: bool,
}

/// One item of `rules:`: inputs that do not go together, or of which a user should know something.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub when: Node,
    /// True for what cannot be done, false for a warning.
    pub refuse: bool,
    pub text: Node,
    pub hint: Option<Node>,
}

/// One item of `resources:`.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub kind: Key,
    pub name: Key,
    pub fields: Vec<(Key, Node)>,
    pub when: Option<Node>,
    /// A list of names, or an expression that yields one.
    pub after: Option<Node>,
    pub span: Span,
}

/// The names of the playbooks that are commands, in order.
pub(crate) fn builtin_names() -> Vec<&'static str> {
    let mut names: Vec<_> = EMBEDDED.files().filter_map(|file| file.path().to_str()?.strip_suffix(".yml")).collect();
    names.sort_unstable();
    names
}

/// Whether a playbook is named by its file.
pub(crate) fn is_file_name(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ["yml", "yaml"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// What a built-in playbook is about, without reading the rest of it.
pub(crate) fn builtin_about(name: &str) -> String {
    builtin(name).and_then(|text| yaml::value_of(text, "about")).unwrap_or_default()
}

fn builtin(name: &str) -> Option<&'static str> {
    EMBEDDED.get_file(format!("{name}.yml"))?.contents_utf8()
}

impl Playbook {
    /// The built-in playbook of that name; it is read once, however often it is asked for.
    pub fn builtin(name: &str, kinds: Kinds) -> Option<Result<Self>> {
        static READ: Mutex<BTreeMap<String, Playbook>> = Mutex::new(BTreeMap::new());
        let text = builtin(name)?;
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(name) {
            return Some(Ok(known.clone()));
        }
        let source = Source::new(format!("playbooks/{name}.yml"), text);
        let playbook = Self::load(name, &source, None, kinds);
        Some(playbook.inspect(|playbook| drop(read.insert(name.to_owned(), playbook.clone()))))
    }

    /// Loads a playbook file of the user.
    pub fn file(path: &str, kinds: Kinds) -> Result<Self> {
        Self::file_as(path, path, kinds)
    }

    /// The same of a file that messages call by another path.
    pub fn file_as(shown: &str, path: &str, kinds: Kinds) -> Result<Self> {
        let missing = !files::exists(Path::new(path));
        let text = files::read_text(Path::new(path)).map_err(|error| {
            if missing { error.hint("`provision list` shows the built-in playbooks") } else { error }
        })?;
        let absolute = PathBuf::from(files::absolute(path)?);
        let stem = absolute.file_stem().and_then(|stem| stem.to_str()).unwrap_or("playbook");
        let name: String =
            stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let folder = absolute.parent().map(Path::to_path_buf);
        Self::load(name.trim_matches('-'), &Source::new(shown, text), folder, kinds)
    }

    /// Reads a playbook with the parts that it names.
    fn load(name: &str, source: &Arc<Source>, folder: Option<PathBuf>, kinds: Kinds) -> Result<Self> {
        let main = Node::parse(source)?;
        match parts::joined(source, &main, folder.as_deref())? {
            Some((all, documents)) => Self::read(name, &all, documents, folder, kinds),
            None => Self::read(name, source, vec![main], folder, kinds),
        }
    }

    /// The files of a user that it is made of; one that is part of the binary has none.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let files = self.source.each().map(|(name, text)| (PathBuf::from(name), text.to_owned()));
        files.filter(|_| self.folder.is_some())
    }

    /// Loads the playbook that this one includes under that name.
    pub fn included(&self, name: &str) -> Result<Self> {
        let own = self.folder.as_ref().map(|folder| folder.join(name)).filter(|_| is_file_name(name));
        if let Some(path) = own {
            return Self::file(&path.to_string_lossy(), self.kinds);
        }
        let part = Self::builtin(&format!("parts/{name}"), self.kinds);
        part.or_else(|| Self::builtin(name, self.kinds)).unwrap_or_else(|| {
            let parts = EMBEDDED.get_dir("parts").into_iter().flat_map(Dir::files);
            let mut known: Vec<&str> = parts.filter_map(|file| file.path().file_stem()?.to_str()).collect();
            known.extend(builtin_names());
            Err(Error::new(format!("no playbook `{name}` to include")).hint(did_you_mean(name, &known)))
        })
    }

    /// The text of a template that stands beside a user's playbook.
    pub fn own_template(&self, path: &str) -> Option<String> {
        files::read_text(&self.folder.as_ref()?.join(path)).ok()
    }

    /// Reads a playbook that has its parts in its text.
    pub fn parse(name: &str, source: &Arc<Source>, folder: Option<PathBuf>, kinds: Kinds) -> Result<Self> {
        let documents = match source.each().count() {
            1 => vec![Node::parse(source)?],
            _ => Node::documents(source)?,
        };
        Self::read(name, source, documents, folder, kinds)
    }

    fn read(
        name: &str,
        source: &Arc<Source>,
        documents: Vec<Node>,
        folder: Option<PathBuf>,
        kinds: Kinds,
    ) -> Result<Self> {
        let reader = Reader::new(source, kinds);
        let (mut variables, mut conditions) = (Vec::new(), Vec::new());
        let mut playbook = Self {
            name: name.to_owned(),
            kinds,
            source: source.clone(),
            folder,
            about: String::new(),
            inputs: Vec::new(),
            variables: Vec::new(),
            values: Vec::new(),
            rules: Vec::new(),
            declarations: Vec::new(),
            outputs: Vec::new(),
        };
        for section in parts::sections(source, documents)? {
            let reader = reader.where_holds(section.when.as_ref());
            for (key, node) in section.fields {
                match key.text.as_str() {
                    "about" if !section.is_part => playbook.about = reader.text(&node, "`about`")?,
                    "inputs" => reader.inputs(node, &mut playbook.inputs, &mut conditions)?,
                    "variables" => variables.push((node, section.when.clone())),
                    "values" => reader.values(node, &mut playbook.values)?,
                    "rules" => reader.rules(node, &mut playbook.rules)?,
                    "resources" => reader.declarations(node, &mut playbook.declarations)?,
                    "outputs" => reader.outputs(node, &mut playbook.outputs)?,
                    other => {
                        let (of, known) = if section.is_part {
                            ("part of a playbook", &parts::FIELDS[..])
                        } else {
                            ("playbook", &FIELDS[..])
                        };
                        return Err(Error::new(format!("unknown field `{other}` of a {of}"))
                            .at(source.place(key.span))
                            .hint(did_you_mean(other, known)));
                    }
                }
            }
        }
        reader.distinct(&playbook.declarations)?;
        // They name inputs, wherever those stand.
        reader.conditions(&mut playbook.inputs, conditions)?;
        for (node, when) in variables {
            let found = reader.where_holds(when.as_ref()).variables(node, &playbook.inputs)?;
            playbook.variables.extend(found);
        }
        Ok(playbook)
    }

    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// The defaults, overlaid with what was given.
    ///
    /// # Errors
    /// An input without a default that was not given.
    pub fn settle(&self, given: &BTreeMap<String, Json>) -> Result<BTreeMap<String, Json>> {
        let mut values = BTreeMap::new();
        for input in &self.inputs {
            // A user's own playbook is named by its file.
            let own = self.folder.as_ref().map(|_| format!("plan {}", shell::quoted(&self.source.name)));
            let value = given.get(&input.name).or(input.default.as_ref()).ok_or_else(|| {
                let about = if input.about.is_empty() { String::new() } else { format!(": {}", input.about) };
                Error::usage(format!("`{}` is needed{about}", input.given_by()))
                    .hint(format!("`provision {} --help` shows every input", own.as_deref().unwrap_or(&self.name)))
            })?;
            values.insert(input.name.clone(), input.settled(value));
        }
        Ok(values)
    }
}

impl Declaration {
    /// The name by which expressions know it: its own, or for an included playbook what `as` says, else its file's.
    pub fn alias(&self) -> Key {
        let given = self.fields.iter().find(|(key, _)| self.kind.text == "playbook" && key.text == "as");
        match given {
            Some((_, Node { value: Content::Scalar { text, .. }, span })) => Key { text: text.clone(), span: *span },
            _ if self.kind.text == "playbook" && is_file_name(&self.name.text) => {
                let stem = Path::new(&self.name.text).file_stem().and_then(|stem| stem.to_str());
                Key { text: stem.unwrap_or_default().to_owned(), span: self.name.span }
            }
            _ => self.name.clone(),
        }
    }
}
