//! Expressions and templates: a text with `{{ … }}` in it, strict about names: [`Expression`]. Whatever stands in one, its
//! evaluation ends, takes no more than its [allowance](within), and brings nothing down.

mod address;
mod allowance;
mod builtins;
#[cfg(test)]
mod escapes;
mod source;
mod takes;
#[cfg(test)]
mod tests;
mod tokens;
mod url;

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Once, OnceLock};

use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter};

pub(crate) use self::allowance::within;
use self::allowance::{refused, spend, stand_at, stood_at};
use self::source::Checked;
use crate::error::Error;
use crate::formats::yaml::Source;
use crate::language::escape::Target;

/// Every file of `templates/`, compiled into the binary.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// How a name with hyphens is written in an expression.
pub(crate) fn variable(name: &str) -> String {
    name.replace('-', "_")
}

/// Names that minijinja itself brings; they are no resource and no input.
const BUILTIN: [&str; 4] = ["range", "dict", "debug", "namespace"];

/// How many steps an evaluation may take: a loop of 10,000 items that writes five values of each takes half of it.
const STEPS: u64 = 500_000;

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
    /// In their order, each once. A set would take 300 bytes for a single one.
    names: Box<[String]>,
    /// The form of the file that its values are written for.
    target: Option<Target>,
}

/// Why an expression does not compile or has no value, with the line in its text (from 1) and the bytes if they are known.
#[derive(Debug)]
pub(crate) struct Fault {
    pub message: String,
    pub line: usize,
    pub range: Option<Range<usize>>,
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
        environment.set_fuel(Some(STEPS));
        builtins::add_to(&mut environment);
        environment.set_formatter(write);
        environment
    })
}

/// Writes a value where it stands in braces. Configuration files write `true`, not Python's `True`.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let text = match (bool::try_from(value.clone()), state.auto_escape()) {
        (Ok(truth), _) if value.kind() == ValueKind::Bool => truth.to_string(),
        (_, AutoEscape::Custom(word)) if !value.is_safe() => match Target::parse(word) {
            Some(target) => written(target, value)?,
            None => return escape_formatter(out, state, value),
        },
        (_, AutoEscape::None) if !value.is_undefined() => value.to_string(),
        _ => {
            // HTML writes six letters for some.
            spend(6 * value.to_string().len() as u64)?;
            return escape_formatter(out, state, value);
        }
    };
    spend(text.len() as u64)?;
    Ok(out.write_str(&text)?)
}

/// A value as it stands in a file of a form.
fn written(target: Target, value: &Value) -> Result<String, minijinja::Error> {
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
        let checked = Checked::template(text)?;
        let names = guarded(&checked, || {
            Ok(names(environment().template_from_str(&checked.text)?.undeclared_variables(true)))
        })?;
        Ok(Self { text: text.to_owned(), whole: false, names, target: None })
    }

    /// Compiles a template, whose values are written as the form of its file wants them.
    pub fn file(text: &str, target: Option<Target>) -> Result<Self, Fault> {
        let expression = Self { target, ..Self::text(text)? };
        takes::check(text, &expression.names)?;
        Ok(expression)
    }

    /// Compiles an expression that stands without braces, as in `when:`.
    pub fn bare(text: &str) -> Result<Self, Fault> {
        let checked = Checked::expression(text)?;
        let names = guarded(&checked, || {
            Ok(names(environment().compile_expression(&checked.text)?.undeclared_variables(true)))
        })?;
        Ok(Self { text: text.to_owned(), whole: true, names, target: None })
    }

    /// The names it looks up, dotted as far as they are plain attributes: `port`, `ca.certificate`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The value with these values of its names.
    ///
    /// # Errors
    /// It cannot be computed, or not within the limits of the language.
    pub fn evaluate(&self, scope: Value) -> Result<Value, Fault> {
        if self.whole {
            let checked = Checked::expression(&self.text)?;
            return guarded(&checked, || environment().compile_expression(&checked.text)?.eval(scope));
        }
        let name = self.target.map_or_else(|| "text".to_owned(), |target| format!("{FORM}{}", target.word()));
        let checked = Checked::template(&self.text)?;
        guarded(&checked, || environment().render_named_str(&name, &checked.text, scope).map(Value::from))
    }
}

impl Expression {
    /// Checks that what a template gives is what its file is to hold, where the form of it can be read.
    ///
    /// # Errors
    /// What it should be, and on which line it is not. The text is not shown: it may hold secrets.
    pub fn check_form(&self, given: &serde_json::Value) -> Result<(), String> {
        let text = given.as_str().unwrap_or_default();
        if self.target != Some(Target::Json) {
            return Ok(());
        }
        let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
        read.map(drop).map_err(|error| format!("JSON (line {} of what it gives)", error.line()))
    }
}

thread_local! {
    /// Whether a panic is caught and told as an error.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does something with a text that minijinja is given, within an allowance; a panic becomes a fault, which is told nowhere else.
fn guarded<T>(checked: &Checked, work: impl FnOnce() -> Result<T, minijinja::Error>) -> Result<T, Fault> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                before(panic);
            }
        }));
    });
    stand_at(None);
    CAUGHT.set(true);
    let done = within(|| catch_unwind(AssertUnwindSafe(work)));
    CAUGHT.set(false);
    match done {
        Ok(Ok(_)) if !checked.whole => Err(Fault::new("it cannot be taken apart")),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let fault = Fault::from(error);
            Err(Fault { range: fault.range.map(|range| checked.origins(range)), ..fault })
        }
        Err(panic) => Err(Fault {
            range: stood_at().map(|at| at..at + 2),
            ..Fault::new(format!("it cannot be computed ({})", reason(panic.as_ref())))
        }),
    }
}

/// What a panic says.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

fn names(found: std::collections::HashSet<String>) -> Box<[String]> {
    let foreign = |name: &String| name != source::AT && !BUILTIN.contains(&name.as_str());
    let sorted: BTreeSet<String> = found.into_iter().filter(foreign).collect();
    sorted.into_iter().collect()
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: 1, range: None }
    }

    fn at(source: &str, range: Range<usize>, message: impl Into<String>) -> Self {
        let line = source[..range.start].matches('\n').count() + 1;
        Self { range: Some(range), line, ..Self::new(message) }
    }

    /// The error for a fault in a template of its own file.
    pub fn in_template(&self, source: &Source, what: &str) -> Error {
        let span = self.range.clone().map_or_else(|| source.line(self.line), |range| source.span(range));
        Error::new(format!("{what}: {}", self.message)).at(source.place(span))
    }
}

impl From<minijinja::Error> for Fault {
    fn from(error: minijinja::Error) -> Self {
        let message = match error.kind() {
            ErrorKind::OutOfFuel => format!("it takes more than {STEPS} steps"),
            kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
        };
        Self { message, line: error.line().unwrap_or(1), range: error.range() }
    }
}
