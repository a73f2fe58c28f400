//! A playbook as it is written: inputs, declarations, outputs, each with its place: [`Playbook`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::input::{Input, InputType};
use crate::resource;
use crate::template::{is_expression, is_word};
use crate::world::files;
use crate::yaml::{Content, Key, Node, Source, Span};

/// Every file of `playbooks/`, compiled into the binary.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/playbooks");

/// Names that an input cannot have, because every playbook has them already.
pub(crate) const RESERVED: [&str; 9] =
    ["name", "output", "yes", "images", "renew", "verbose", "help", "version", "exit-code"];

#[derive(Debug)]
pub(crate) struct Playbook {
    pub name: String,
    pub source: Arc<Source>,
    /// Where templates and included playbooks are looked for first; none for one that is part of the binary.
    pub folder: Option<PathBuf>,
    pub about: String,
    pub inputs: Vec<Input>,
    pub declarations: Vec<Declaration>,
    pub outputs: Vec<(Key, Node)>,
}

/// One item of `resources:`.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub kind: Key,
    pub name: Key,
    pub fields: Vec<(Key, Node)>,
    pub when: Option<Node>,
    pub after: Vec<Key>,
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
pub(crate) fn builtin_about(name: &str) -> &'static str {
    builtin(name).and_then(|text| text.lines().find_map(|line| line.strip_prefix("about: "))).unwrap_or_default()
}

fn builtin(name: &str) -> Option<&'static str> {
    EMBEDDED.get_file(format!("{name}.yml"))?.contents_utf8()
}

impl Playbook {
    /// Loads the built-in playbook of that name.
    pub fn builtin(name: &str) -> Option<Result<Self>> {
        let text = builtin(name)?;
        Some(Self::parse(name, &Source::new(format!("playbooks/{name}.yml"), text), None))
    }

    /// Loads a playbook file of the user.
    pub fn file(path: &str) -> Result<Self> {
        let missing = !files::exists(Path::new(path));
        let text = files::read_text(Path::new(path)).map_err(|error| {
            if missing { error.hint("`provision list` shows the built-in playbooks") } else { error }
        })?;
        let absolute = PathBuf::from(files::absolute(path)?);
        let stem = absolute.file_stem().and_then(|stem| stem.to_str()).unwrap_or("playbook");
        let name: String =
            stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let folder = absolute.parent().map(Path::to_path_buf);
        Self::parse(name.trim_matches('-'), &Source::new(path, text), folder)
    }

    /// Loads the playbook that this one includes under that name.
    pub fn included(&self, name: &str) -> Result<Self> {
        let own = self.folder.as_ref().map(|folder| folder.join(name)).filter(|_| is_file_name(name));
        if let Some(path) = own {
            return Self::file(&path.to_string_lossy());
        }
        Self::builtin(&format!("parts/{name}")).or_else(|| Self::builtin(name)).unwrap_or_else(|| {
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

    pub fn parse(name: &str, source: &Arc<Source>, folder: Option<PathBuf>) -> Result<Self> {
        let node = Node::parse(source)?;
        let reader = Reader { source };
        let mut playbook = Self {
            name: name.to_owned(),
            source: source.clone(),
            folder,
            about: String::new(),
            inputs: Vec::new(),
            declarations: Vec::new(),
            outputs: Vec::new(),
        };
        for (key, node) in reader.map(node, "a playbook")? {
            match key.text.as_str() {
                "about" => playbook.about = reader.text(&node, "`about`")?,
                "inputs" => playbook.inputs = reader.inputs(node)?,
                "resources" => playbook.declarations = reader.declarations(node)?,
                "outputs" => playbook.outputs = reader.map(node, "`outputs`")?,
                other => {
                    return Err(Error::new(format!("unknown field `{other}` of a playbook"))
                        .at(source.place(key.span))
                        .hint(did_you_mean(other, &["about", "inputs", "resources", "outputs"])));
                }
            }
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
            let value = given.get(&input.name).or(input.default.as_ref()).ok_or_else(|| {
                Error::usage(format!("`--{}` is needed: {}", input.name, input.about))
                    .hint(format!("`provision {} --help` shows every input", self.name))
            })?;
            values.insert(input.name.clone(), value.clone());
        }
        Ok(values)
    }
}

struct Reader<'a> {
    source: &'a Source,
}

impl Reader<'_> {
    fn wrong(&self, span: Span, what: impl Into<String>) -> Error {
        Error::new(what).at(self.source.place(span))
    }

    fn map(&self, node: Node, name: &str) -> Result<Vec<(Key, Node)>> {
        match node.value {
            Content::Map(entries) => Ok(entries),
            _ => Err(self.wrong(node.span, format!("{name} wants a mapping, not {}", node.describe()))),
        }
    }

    fn list(&self, node: Node, name: &str) -> Result<Vec<Node>> {
        match node.value {
            Content::List(items) => Ok(items),
            _ => Err(self.wrong(node.span, format!("{name} wants a list, not {}", node.describe()))),
        }
    }

    fn text(&self, node: &Node, name: &str) -> Result<String> {
        match &node.value {
            Content::Scalar { text, .. } => Ok(text.clone()),
            _ => Err(self.wrong(node.span, format!("{name} wants a text, not {}", node.describe()))),
        }
    }

    /// A name of an input or resource: lower-case words joined by hyphens, so that it is also a flag and an expression.
    fn name(&self, key: &Key, of: &str) -> Result<()> {
        let first = key.text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        let rest = key.text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let hyphens = key.text.ends_with('-') || key.text.contains("--");
        if is_word(&key.text) {
            return Err(self
                .wrong(key.span, format!("`{}` cannot be a name: it is a word of expressions", key.text))
                .hint(format!("give the {of} another name, such as `my-{}`", key.text)));
        }
        if first && rest && !hyphens {
            return Ok(());
        }
        let what =
            if key.text.is_empty() { format!("the {of} has no name") } else { format!("`{}` is no name", key.text) };
        Err(self
            .wrong(key.span, what)
            .hint("a name is lower-case words and digits with hyphens between them, a letter first"))
    }

    fn inputs(&self, node: Node) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        for (key, node) in self.map(node, "`inputs`")? {
            self.name(&key, "input")?;
            if RESERVED.contains(&key.text.as_str()) {
                return Err(self
                    .wrong(key.span, format!("an input cannot be called `{}`", key.text))
                    .hint("every playbook has a flag of that name already"));
            }
            inputs.push(self.input(key, node)?);
        }
        Ok(inputs)
    }

    fn input(&self, key: Key, node: Node) -> Result<Input> {
        let title = format!("input `{}`", key.text);
        let mut fields: BTreeMap<String, (Key, Node)> =
            self.map(node, &title)?.into_iter().map(|(key, node)| (key.text.clone(), (key, node))).collect();
        let places: BTreeMap<String, Span> = fields.iter().map(|(field, (key, _))| (field.clone(), key.span)).collect();
        let mut text = |field: &str| {
            fields.remove(field).map(|(_, node)| Ok::<_, Error>((self.text(&node, field)?, node.span))).transpose()
        };
        let typed = |given: Option<(String, Span)>| {
            given
                .map(|(text, span)| InputType::parse(&text).map_err(|error| error.at(self.source.place(span))))
                .transpose()
        };
        let about = text("about")?.map(|(about, _)| about).unwrap_or_default();
        let kind = typed(text("type")?)?.ok_or_else(|| {
            self.wrong(key.span, format!("{title} needs a `type`"))
                .hint(format!("one of: {}", InputType::NAMES.join(", ")))
        })?;
        let of = typed(text("of")?)?.unwrap_or(InputType::String);
        let choices = match fields.remove("choices") {
            Some((_, node)) => {
                self.list(node, "`choices`")?.iter().map(|item| self.text(item, "a choice")).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        let default = fields.remove("default").map(|(_, node)| node);
        if let Some((unknown, _)) = fields.into_values().next() {
            return Err(self
                .wrong(unknown.span, format!("unknown field `{}` of {title}", unknown.text))
                .hint(did_you_mean(&unknown.text, &["type", "default", "about", "choices", "of"])));
        }
        let mut input = Input { name: key.text, kind, default: None, about, choices, of };
        self.fits(&input, key.span, &places)?;
        input.default = default.map(|node| self.default(&input, node)).transpose()?;
        Ok(input)
    }

    /// Checks that `of` and `choices` stand where they mean something.
    fn fits(&self, input: &Input, name: Span, places: &BTreeMap<String, Span>) -> Result<()> {
        let wants_choices = [input.kind, input.of].contains(&InputType::Choice);
        let given = |field: &str, fits: bool| places.get(field).copied().filter(|_| !fits);
        if let Some(span) = given("of", input.kind == InputType::List) {
            return Err(self.wrong(span, "`of` belongs to an input of the type `list`"));
        }
        if let Some(span) = given("of", input.of != InputType::List) {
            return Err(self.wrong(span, "a list of lists cannot be given by flags"));
        }
        if let Some(span) = given("choices", wants_choices) {
            return Err(self.wrong(span, "`choices` belong to an input of the type `choice`"));
        }
        if wants_choices && input.choices.is_empty() {
            return Err(self
                .wrong(name, format!("input `{}` needs `choices`", input.name))
                .hint("add them as in `choices: [local, s3]`"));
        }
        Ok(())
    }

    /// The default of an input. An empty text stands for "not given" whatever the type, as with an absent flag.
    fn default(&self, input: &Input, node: Node) -> Result<Json> {
        let name = format!("the default of `{}`", input.name);
        if input.kind == InputType::List {
            let items = self.list(node, &name)?;
            return items.iter().map(|item| self.value(input, item, &name)).collect();
        }
        match self.text(&node, &name)?.as_str() {
            "" => Ok(Json::from("")),
            _ if input.kind == InputType::Secret => Err(self
                .wrong(node.span, format!("{name} would show in the playbook"))
                .hint("leave the default empty: a `secret` resource makes one where none is given")),
            _ => self.value(input, &node, &name),
        }
    }

    fn value(&self, input: &Input, node: &Node, name: &str) -> Result<Json> {
        let text = self.text(node, name)?;
        if is_expression(&text) {
            return Err(self.wrong(node.span, format!("{name} cannot be an expression")).hint(format!(
                "leave it empty, and write `{{{{ {} or … }}}}` where the input is used",
                input.name.replace('-', "_")
            )));
        }
        input.parse(&text).map_err(|error| error.within(name).at(self.source.place(node.span)))
    }

    fn declarations(&self, node: Node) -> Result<Vec<Declaration>> {
        let items = self.list(node, "`resources`")?;
        let declarations = items.into_iter().map(|item| self.declaration(item)).collect::<Result<Vec<_>>>()?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for declaration in &declarations {
            let name = declaration.alias().text.replace('-', "_");
            if let Some(line) = seen.insert(name, declaration.span.line) {
                let name = declaration.alias();
                return Err(self
                    .wrong(name.span, format!("a resource `{}` stands on line {line} already", name.text))
                    .hint("every resource of a playbook has a name of its own, whatever its kind"));
            }
        }
        Ok(declarations)
    }

    fn declaration(&self, node: Node) -> Result<Declaration> {
        let span = node.span;
        let mut fields = self.map(node, "a resource")?;
        if fields.is_empty() {
            return Err(self.wrong(span, "an empty resource"));
        }
        let (kind, first) = fields.remove(0);
        if kind.text != "playbook" && resource::kind(&kind.text).is_none() {
            return Err(self.unknown_kind(&kind, &fields));
        }
        let name = Key { text: self.text(&first, &format!("the name of a `{}`", kind.text))?, span: first.span };
        let mut declaration = Declaration { kind, name, fields: Vec::new(), when: None, after: Vec::new(), span };
        for (key, node) in fields {
            match key.text.as_str() {
                "when" => declaration.when = Some(node),
                "after" => {
                    for item in self.list(node, "`after`")? {
                        declaration.after.push(Key { text: self.text(&item, "`after`")?, span: item.span });
                    }
                }
                _ => declaration.fields.push((key, node)),
            }
        }
        let of = if declaration.kind.text == "playbook" { "included playbook" } else { &declaration.kind.text };
        self.name(&declaration.alias(), of)?;
        Ok(declaration)
    }

    fn unknown_kind(&self, kind: &Key, others: &[(Key, Node)]) -> Error {
        let mut known = resource::names();
        known.push("playbook");
        let hint = match others.iter().find(|(key, _)| known.contains(&key.text.as_str())) {
            Some((late, _)) => format!("the kind comes first: put `{}:` before `{}:`", late.text, kind.text),
            None => did_you_mean(&kind.text, &known),
        };
        self.wrong(kind.span, format!("unknown kind `{}`", kind.text)).hint(hint)
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
