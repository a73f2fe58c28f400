//! `docs/reference/`: what the binary says of itself, so that it is never out of date. `make reference` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::sandbox::Sandbox;

/// Set to write the files instead of comparing them.
const UPDATE: &str = "UPDATE_REFERENCE";

#[test]
fn the_reference_is_what_the_binary_says() {
    let sandbox = Sandbox::new();
    let playbooks = playbooks();
    let verbs: Vec<String> =
        commands(&help(&sandbox, "")).into_iter().filter(|verb| verb != "help" && !playbooks.contains(verb)).collect();
    let pages = [
        ("verbs.md", verbs_page(&sandbox, &verbs)),
        ("playbooks.md", playbooks_page(&sandbox, &playbooks)),
        ("kinds.md", kinds_page(&sandbox)),
    ];
    for (name, page) in pages {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        let differs = written.lines().zip(page.lines()).find(|(written, page)| written != page);
        assert!(
            written == page,
            "{} is not what the binary says (first difference: {differs:?}): run `make reference`",
            path.display()
        );
    }
}

/// The names of the built-in playbooks.
fn playbooks() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let path = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path();
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(path).filter(|path| path.is_file()).collect();
    files.sort();
    files.iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

fn help(sandbox: &Sandbox, line: &str) -> String {
    let outcome = sandbox.run(&format!("{line} --help"));
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    // Where it runs is the test's own folder, which has another name each time.
    let folder = sandbox.path("").display().to_string();
    outcome.stdout.replace(folder.trim_end_matches('/'), "the current folder")
}

/// The subcommands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let name =
        |line: &str| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()).map(str::to_owned);
    lines.filter_map(name).collect()
}

fn verbs_page(sandbox: &Sandbox, verbs: &[String]) -> String {
    let mut page = String::from("# Verbs\n\nEach verb as its `--help` describes it.\n");
    for verb in verbs {
        let text = help(sandbox, verb);
        section(&mut page, "##", verb, &text);
        for inner in commands(&text).iter().filter(|inner| *inner != "help") {
            let line = format!("{verb} {inner}");
            section(&mut page, "###", &line, &help(sandbox, &line));
        }
    }
    page
}

fn playbooks_page(sandbox: &Sandbox, playbooks: &[String]) -> String {
    let mut page = String::from(
        "# Playbooks\n\nEach built-in playbook with its inputs, which are its flags. In a file for `--inputs` and in a playbook that \
         includes it, an input is written without the two dashes.\n",
    );
    for name in playbooks.iter().filter(|name| *name != "ci") {
        section(&mut page, "##", name, &help(sandbox, name));
        page.push_str(&outputs_of(name));
    }
    section(&mut page, "##", "ci", &help(sandbox, "ci"));
    page
}

/// The names of a playbook's outputs, as its file declares them.
fn outputs_of(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks").join(format!("{name}.yml"));
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| *line != "outputs:").skip(1).take_while(|line| line.starts_with(' '));
    let names: Vec<String> = lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| Some(format!("`{}`", line.trim().split_once(':')?.0)))
        .collect();
    if names.is_empty() { String::new() } else { format!("\nOutputs: {}.\n", names.join(", ")) }
}

fn section(page: &mut String, level: &str, title: &str, text: &str) {
    write!(page, "\n{level} {title}\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
}

fn kinds_page(sandbox: &Sandbox) -> String {
    let schema: Json = serde_json::from_str(&sandbox.run("schema").stdout).unwrap();
    let kinds = schema["properties"]["resources"]["items"]["oneOf"].as_array().unwrap();
    let mut page = String::from(
        "# Kinds\n\nThe kinds of resources that a playbook is made of, with their fields and outputs. Every resource may also have `when`, an \
         expression of inputs, and `after`, a list of names of other resources. `provision schema` prints all of it as JSON Schema, for \
         editors. A field in bold must be given.\n",
    );
    for kind in kinds {
        let properties = kind["properties"].as_object().unwrap();
        let required: Vec<&str> = kind["required"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        // The key that names a resource is the kind itself.
        let name = *required.last().unwrap();
        write!(page, "\n## {name}\n\n{}.\n", capital(kind["description"].as_str().unwrap())).unwrap();
        let fields: BTreeMap<&String, &Json> =
            properties.iter().filter(|(field, _)| ![name, "when", "after"].contains(&field.as_str())).collect();
        if !fields.is_empty() {
            page.push_str("\n| field | type | default | description |\n|---|---|---|---|\n");
        }
        for (field, schema) in fields {
            let schema = plain(schema);
            let label = if required.contains(&field.as_str()) { format!("**{field}**") } else { field.clone() };
            let default = schema.get("default").filter(|value| !value.is_null()).map(|value| format!("`{value}`"));
            writeln!(
                page,
                "| {label} | {} | {} | {} |",
                kind_of(&schema),
                cell(&default.unwrap_or_default()),
                cell(&description(&schema))
            )
            .unwrap();
        }
        if let Some(outputs) = kind["x-outputs"].as_object().filter(|outputs| !outputs.is_empty()) {
            let name = |(name, output): (&String, &Json)| {
                format!("`{name}`{}", if output["secret"] == true { " (secret)" } else { "" })
            };
            writeln!(page, "\nOutputs: {}.", outputs.iter().map(name).collect::<Vec<_>>().join(", ")).unwrap();
        }
    }
    page
}

/// The schema of a field without the other form that each has, an expression.
fn plain(schema: &Json) -> Map<String, Json> {
    let outer = schema.as_object().unwrap();
    let mut inner = match outer.get("anyOf").and_then(Json::as_array) {
        Some(forms) => forms.iter().find(|form| form["type"] != "null").and_then(Json::as_object).unwrap().clone(),
        None => return outer.clone(),
    };
    let own = outer.iter().filter(|(key, _)| *key != "anyOf");
    inner.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    inner
}

fn kind_of(schema: &Map<String, Json>) -> String {
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return words.iter().filter_map(Json::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ");
    }
    if let Some(forms) = schema.get("oneOf").and_then(Json::as_array) {
        let words: Vec<String> =
            forms.iter().filter_map(|form| form["const"].as_str()).map(|word| format!("`{word}`")).collect();
        return if words.is_empty() { "mapping".to_owned() } else { words.join(" ") };
    }
    match schema.get("type") {
        Some(Json::String(kind)) if kind == "array" => "list".to_owned(),
        Some(Json::String(kind)) if kind == "object" => "mapping".to_owned(),
        Some(Json::String(kind)) => kind.clone(),
        Some(Json::Array(kinds)) => {
            kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null").unwrap_or("").to_owned()
        }
        _ => "any".to_owned(),
    }
}

fn description(schema: &Map<String, Json>) -> String {
    let text = schema.get("description").and_then(Json::as_str).unwrap_or_default();
    let bounds = match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!(" From {least} to {most}."),
        _ => String::new(),
    };
    format!("{text}{bounds}")
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
