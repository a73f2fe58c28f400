#![expect(clippy::disallowed_methods, reason = "a test writes the files that are read")]

use std::fs;

use super::*;
use crate::language::playbook::{Playbook, builtin, builtin_names};

const KINDS: &[&str] = &["secret"];

/// A playbook with a part beside it.
fn playbook(main: &str, part: &str) -> Result<Playbook> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.yml"), main).unwrap();
    fs::write(folder.path().join("part.yml"), part).unwrap();
    let path = folder.path().join("main.yml");
    Playbook::file_as("main.yml", path.to_str().unwrap(), KINDS)
}

fn refused(main: &str, part: &str) -> String {
    playbook(main, part).unwrap_err().render()
}

const MAIN: &str = "parts: [{ part: part.yml, when: on == 'host' }]
inputs:
  on: { type: choice, choices: [engine, host], default: engine }
resources:
  - secret: first
";

#[test]
fn what_a_part_has_belongs_to_the_playbook_and_is_there_where_its_condition_holds() {
    let part = "takes: [first]
inputs:
  folder: { type: path, default: /srv }
  size: { type: size, default: 1m, when: folder == '/srv' or folder == '/var' }
rules:
  - warn: it is large
    when: size > 5
resources:
  - secret: second
    value: \"{{ first }}\"
";
    let read = playbook(MAIN, part).unwrap();
    assert_eq!(read.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["on", "folder", "size"]);
    let told = |name: &str| read.input(name).unwrap().when.as_ref().unwrap().told(&read.inputs);
    assert_eq!(told("folder"), "`on == 'host'`");
    assert_eq!(told("size"), "`on == 'host' and (folder == '/srv' or folder == '/var')`");
    let Content::Scalar { text, .. } = &read.rules[0].when.value else { panic!() };
    assert_eq!(text, "on == 'host' and size > 5");
    assert!(read.declarations[0].when.is_none());
    let Content::Scalar { text, .. } = &read.declarations[1].when.as_ref().unwrap().value else { panic!() };
    assert_eq!(text, "on == 'host'");
    // As it is kept, it is read again without its files.
    let kept = Source::joined("main.yml", read.source.text.clone());
    let again = Playbook::parse("main", &kept, None, KINDS).unwrap();
    assert_eq!(again.declarations.len(), 2);
    assert_eq!(again.source.text, read.source.text);
}

#[test]
fn an_error_in_a_part_names_its_file_and_line() {
    let error = refused(MAIN, "resources:\n  - sekret: x\n");
    assert!(error.contains("part.yml:2:5"), "{error}");
    let error = refused(MAIN, "resources: [\n");
    assert!(error.contains("part.yml:"), "{error}");
    let error = refused(MAIN, "\nresources:\n  - secret: first\n");
    assert!(error.contains("part.yml:3:13") && error.contains("stands in `main.yml`, line 5, already"), "{error}");
    let error = refused(MAIN, "about: x\n");
    assert!(error.contains("unknown field `about` of a part of a playbook"), "{error}");
    let error = refused("parts: [elsewhere.yml]\n", "");
    assert!(error.contains("elsewhere.yml"), "{error}");
    let error = refused("parts: [../part.yml]\n", "");
    assert!(error.contains("no file beside this playbook"), "{error}");
    let error = refused("parts: [part.yml, part.yml]\n", "");
    assert!(error.contains("named twice"), "{error}");
    let error = refused("parts: [{ part: part.yml, if: x }]\n", "");
    assert!(error.contains("unknown field `if`"), "{error}");
}

#[test]
fn a_part_lists_what_it_takes() {
    let uses = "resources:\n  - secret: second\n    value: \"{{ first }}\"\n";
    let error = refused(MAIN, uses);
    assert!(error.contains("part.yml:3:16") && error.contains("`takes` does not list it"), "{error}");
    assert!(playbook(MAIN, &format!("takes: [first]\n{uses}")).is_ok());
    let error = refused(MAIN, &format!("takes: [first, on]\n{uses}"));
    assert!(error.contains("part.yml:1:16") && error.contains("nothing in this part uses it"), "{error}");
    let error = refused(MAIN, "resources:\n  - secret: second\n    after: [frist]\n");
    assert!(error.contains("unknown name `frist`") && error.contains("first"), "{error}");
    let error = refused(MAIN, "takes: first\n");
    assert!(error.contains("`takes` wants a list"), "{error}");
}

#[test]
fn the_parts_of_the_binary_list_what_they_take() {
    for name in builtin_names() {
        let source = Source::new(format!("playbooks/{name}.yml"), builtin(name).unwrap());
        let main = Node::parse(&source).unwrap();
        if let Some((all, documents)) = joined(&source, &main, None).unwrap() {
            check(&all, &documents).unwrap_or_else(|error| panic!("{}", error.render()));
        }
    }
}

#[test]
fn no_line_of_a_playbook_is_wider_than_the_code() {
    fn each(folder: &'static include_dir::Dir<'static>) {
        folder.dirs().for_each(each);
        for file in folder.files() {
            for (index, line) in file.contents_utf8().unwrap().lines().enumerate() {
                let width = line.chars().count();
                assert!(width <= 120, "{}:{}: {width} columns", file.path().display(), index + 1);
            }
        }
    }
    each(&EMBEDDED);
}
