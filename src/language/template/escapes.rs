//! What templates write by the form of their file.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Value as Json, json};

use super::{Expression, embedded, embedded_paths};
use crate::formats::yaml::{Content, Node, Source};
use crate::language::escape::Target;

const HOSTILE: [&str; 14] = [
    "",
    "plain",
    "/srv/a b",
    "a\"b'c",
    "back\\slash\\",
    "x: y # z",
    "- {a: [b]}",
    "100% $HOME `id` ${x}",
    "no",
    "0x10",
    "12:30:45",
    "line\nadmin: true\r\n\u{85}\u{2028}",
    "&a *a !b |",
    "é\u{1b}\u{7f}\u{9b}",
];

#[test]
fn what_is_written_as_yaml_or_json_reads_back() {
    for text in HOSTILE {
        let written = Target::Yaml.write(text).unwrap();
        let source = Source::new("x", format!("a: {written}\nb: [{written}]\n"));
        let Content::Map(entries) = Node::parse(&source).unwrap().value else { panic!("{written}") };
        assert_eq!(entries.len(), 2, "{written}");
        assert!(matches!(&entries[0].1.value, Content::Scalar { text: read, .. } if read == text), "{written}");
        let json: String = serde_json::from_str(&Target::Json.write(text).unwrap()).unwrap();
        assert_eq!(json, text);
    }
}

#[test]
fn what_nginx_and_systemd_cannot_be_told_is_refused() {
    for target in [Target::Ini, Target::Nginx, Target::Systemd] {
        assert_eq!(target.write("a b\"c\\").unwrap(), "\"a b\\\"c\\\\\"");
        assert!(target.write("a\nb").is_err());
    }
    assert!(Target::Nginx.write("$host").is_err() && Target::Ini.write("${host}").is_err());
    assert_eq!(Target::Systemd.write("/srv/100% $x").unwrap(), "\"/srv/100%% $x\"");
    assert_eq!(Target::Options.write("a\"b\\#").unwrap(), "a\\\"b\\\\#");
}

#[test]
fn a_template_of_ones_own_has_the_form_of_its_ending() {
    let cases = [
        ("a.json", Some(Target::Json)),
        ("deep/a.yml.j2", Some(Target::Yaml)),
        ("a.yaml", Some(Target::Yaml)),
        ("run.sh", Some(Target::Shell)),
        ("x.service", Some(Target::Systemd)),
        ("nginx.conf", Some(Target::Nginx)),
        ("nginx/site.conf", Some(Target::Nginx)),
        ("site.nginx", Some(Target::Nginx)),
        ("my.cnf", Some(Target::Options)),
        ("page.conf", None),
        ("json", None),
        ("note.txt", None),
    ];
    for (path, target) in cases {
        assert_eq!(Target::of_own(path), target, "{path}");
    }
}

#[test]
fn every_template_with_expressions_has_a_form() {
    let own = [
        // It writes its values by a macro of its own, for a shell and for systemd at once.
        "registry-v1/environment",
        // Apache's: all that it writes are addresses of networks, an input of a type that takes nothing else.
        "wordpress/behind-proxy.conf",
    ];
    for path in embedded_paths().into_iter().filter(|path| !own.contains(path)) {
        let text = embedded(path).unwrap_or_default();
        assert!(!text.contains("{{") || Target::of(path).is_some(), "{path}");
    }
}

/// A template with the same text for everything that it names, but for what decides which parts it has.
fn rendered(path: &str, decided: &Json, leaf: &str) -> String {
    let template = Expression::file(embedded(path).unwrap(), Target::of(path)).unwrap();
    let mut scope = json!({});
    for name in template.names() {
        let mut place = &mut scope;
        for part in name.split('.') {
            place = &mut place[part];
        }
        if place.is_null() {
            *place = Json::from(leaf);
        }
    }
    for (name, value) in decided.as_object().unwrap() {
        scope[name] = value.clone();
    }
    let scope: BTreeMap<String, Json> = serde_json::from_value(scope).unwrap();
    template.evaluate(Value::from(Serde(&scope))).unwrap().to_string()
}

/// Each scalar of a text and the way to it.
fn scalars(node: &Node, way: &str, found: &mut Vec<(String, String)>) {
    match &node.value {
        Content::Scalar { text, .. } => found.push((way.to_owned(), text.clone())),
        Content::List(items) => items.iter().for_each(|item| scalars(item, &format!("{way}[]"), found)),
        Content::Map(entries) => {
            entries.iter().for_each(|(key, node)| scalars(node, &format!("{way}.{}", key.text), found));
        }
    }
}

fn read(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    scalars(&Node::parse(&Source::new("x", text)).unwrap(), "", &mut found);
    found
}

#[test]
fn no_value_changes_what_else_a_configuration_says() {
    let common = json!({ "on": "host", "generation": "3", "redirect": "auto", "delete": true, "endpoint": "http://store/", "mirror_of": "https://m" });
    let mut cases = vec![("registry/throw-away.yml", json!({}))];
    for flavor in ["local", "s3", "gcs", "azure", "swift", "oss"] {
        let mut decided = common.clone();
        decided["flavor"] = Json::from(flavor);
        cases.push(("registry/config.yml", decided));
    }
    for (path, decided) in cases {
        let plain = read(&rendered(path, &decided, "plain"));
        assert!(plain.iter().any(|(_, text)| text.contains("plain")), "{path}");
        for hostile in HOSTILE.iter().filter(|text| !text.is_empty()) {
            let wanted: Vec<_> =
                plain.iter().map(|(way, text)| (way.clone(), text.replace("plain", hostile))).collect();
            assert_eq!(read(&rendered(path, &decided, hostile)), wanted, "{path}: {hostile:?}");
        }
    }
    for hostile in HOSTILE {
        let decided = json!({ "policy": "least", "root": "", "bucket": hostile });
        let policy: Json = serde_json::from_str(&rendered("aws/registry-policy.json", &decided, hostile)).unwrap();
        assert_eq!(policy["Statement"][1]["Resource"], format!("arn:aws:s3:::{hostile}/*"));
    }
}
