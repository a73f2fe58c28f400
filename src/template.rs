//! Expressions and templates: a text with `{{ … }}` in it, strict about names: [`Expression`].

mod url;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter};

use crate::error::{Error, did_you_mean};
use crate::escape::Target;
use crate::yaml::Source;

/// Every file of `templates/`, compiled into the binary.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Names that minijinja itself brings; they are no resource and no input.
const BUILTIN: [&str; 4] = ["range", "dict", "debug", "namespace"];

/// What the name of a template begins with whose values are written for a form of file.
const FORM: &str = "form:";

/// Words of the expression language.
const WORDS: [&str; 12] = ["and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "self", "true"];

/// A text with expressions in it. One that is a single `{{ … }}` keeps the type of its value.
#[derive(Debug)]
pub(crate) struct Expression {
    text: String,
    /// Whether it is one expression, without braces. It is compiled anew at each use: kept compiled it would take 11 kB.
    whole: bool,
    names: BTreeSet<String>,
    /// The form of the file that its values are written for.
    target: Option<Target>,
}

/// Why an expression does not compile or has no value, with the line in its text (from 1) and the bytes if they are known.
#[derive(Debug)]
pub(crate) struct Fault {
    pub message: String,
    pub line: usize,
    pub range: Option<std::ops::Range<usize>>,
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.expect("the default delimiters are valid"));
        environment.set_auto_escape_callback(|name| {
            let target = name.strip_prefix(FORM).and_then(Target::parse);
            target.map_or(AutoEscape::None, |target| AutoEscape::Custom(target.word().into()))
        });
        for (word, target) in Target::ALL {
            environment.add_filter(word, move |value: Value| written(target, &value).map(Value::from_safe_string));
        }
        environment.add_filter("did_you_mean", |name: String, known: Vec<String>| {
            did_you_mean(&name, &known.iter().map(String::as_str).collect::<Vec<_>>())
        });
        environment.add_filter("url", |text: String| url::parts(&text));
        // Configuration files write `true`, not Python's `True`.
        environment.set_formatter(|out, state, value| match bool::try_from(value.clone()) {
            Ok(truth) if value.kind() == ValueKind::Bool => {
                escape_formatter(out, state, &Value::from_safe_string(truth.to_string()))
            }
            _ => match state.auto_escape() {
                AutoEscape::Custom(word) if !value.is_safe() => match Target::parse(word) {
                    Some(target) => Ok(out.write_str(&written(target, value)?)?),
                    None => escape_formatter(out, state, value),
                },
                _ => escape_formatter(out, state, value),
            },
        });
        environment
    })
}

/// A value as it stands in a file of a form.
fn written(target: Target, value: &Value) -> Result<String, minijinja::Error> {
    let refused = |what: String| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, what);
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => Ok(value.to_string()),
        // One that is written already.
        _ if value.is_safe() => Ok(value.to_string()),
        ValueKind::Seq | ValueKind::Map if matches!(target, Target::Json | Target::Yaml) => {
            serde_json::to_string(value).map_err(|error| refused(error.to_string()))
        }
        _ => target.write(&value.to_string()).map_err(refused),
    }
}

/// The text of an embedded template, named by its path below `templates/`.
pub(crate) fn embedded(path: &str) -> Option<&'static str> {
    EMBEDDED.get_file(path)?.contents_utf8()
}

/// The files directly in an embedded folder: (file name, content), in the order of their names.
pub(crate) fn embedded_folder(path: &str) -> Option<Vec<(String, &'static [u8])>> {
    let mut files: Vec<_> = EMBEDDED
        .get_dir(path)?
        .files()
        .filter_map(|file| Some((file.path().file_name()?.to_str()?.to_owned(), file.contents())))
        .collect();
    files.sort();
    Some(files)
}

/// The paths of all embedded templates.
pub(crate) fn embedded_paths() -> Vec<&'static str> {
    fn walk(folder: &'static Dir<'static>, paths: &mut Vec<&'static str>) {
        paths.extend(folder.files().filter_map(|file| file.path().to_str()));
        folder.dirs().for_each(|inner| walk(inner, paths));
    }
    let mut paths = Vec::new();
    walk(&EMBEDDED, &mut paths);
    paths.sort_unstable();
    paths
}

/// True for a word that means something in an expression, and so cannot name an input or a resource.
pub(crate) fn is_word(name: &str) -> bool {
    BUILTIN.contains(&name) || WORDS.contains(&name)
}

/// True for a text that has to be evaluated.
pub(crate) fn is_expression(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

impl Expression {
    /// Compiles a text that holds `{{ … }}`.
    pub fn text(text: &str) -> Result<Self, Fault> {
        let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        if let Some(inner) = inner.filter(|inner| !inner.contains("{{") && !inner.contains("}}")) {
            // A hyphen beside a brace eats white space, of which there is none.
            let inner = inner.strip_prefix('-').unwrap_or(inner);
            return Self::bare(inner.strip_suffix('-').unwrap_or(inner).trim());
        }
        let template = environment().template_from_str(text).map_err(Fault::from)?;
        let names = names(template.undeclared_variables(true));
        Ok(Self { text: text.to_owned(), whole: false, names, target: None })
    }

    /// Compiles a template, whose values are written as the form of its file wants them.
    pub fn file(text: &str, target: Option<Target>) -> Result<Self, Fault> {
        Ok(Self { target, ..Self::text(text)? })
    }

    /// Compiles an expression that stands without braces, as in `when:`.
    pub fn bare(text: &str) -> Result<Self, Fault> {
        let expression = environment().compile_expression(text).map_err(Fault::from)?;
        let names = names(expression.undeclared_variables(true));
        Ok(Self { text: text.to_owned(), whole: true, names, target: None })
    }

    /// The names it looks up, dotted as far as they are plain attributes: `port`, `ca.certificate`.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    pub fn evaluate(&self, scope: Value) -> Result<Value, Fault> {
        let value = if self.whole {
            environment().compile_expression(&self.text).and_then(|expression| expression.eval(scope))
        } else {
            let name = self.target.map_or_else(|| "text".to_owned(), |target| format!("{FORM}{}", target.word()));
            environment().render_named_str(&name, &self.text, scope).map(Value::from)
        };
        value.map_err(Fault::from)
    }
}

fn names(found: std::collections::HashSet<String>) -> BTreeSet<String> {
    found.into_iter().filter(|name| !BUILTIN.contains(&name.as_str())).collect()
}

impl Fault {
    /// The error for a fault in a template of its own file.
    pub fn in_template(&self, source: &Source, what: &str) -> Error {
        let span = self.range.clone().map_or_else(|| source.line(self.line), |range| source.span(range));
        Error::new(format!("{what}: {}", self.message)).at(source.place(span))
    }
}

impl From<minijinja::Error> for Fault {
    fn from(error: minijinja::Error) -> Self {
        let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        Self { message, line: error.line().unwrap_or(1), range: error.range() }
    }
}
