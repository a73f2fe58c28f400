//! Forms of files that are checked before a program reads them: [`Format`].

mod registry_v1;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Node, Source};
use crate::language::form::Checker;
use crate::language::template::embedded;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// Any YAML.
    Yaml,
    /// An object of JSON, such as the key of a service account. Its text is not shown.
    JsonObject,
    /// The configuration of a registry (distribution 2.8 and 3.x), which itself ignores keys that it does not know.
    RegistryConfig,
    /// The configuration of the first registry (docker-registry 0.9.1), with its flavors.
    RegistryV1Config,
    /// The variables of that configuration: `NAME="VALUE"` a line. No value is shown.
    RegistryV1Environment,
}

/// The storage drivers of distribution; a configuration names exactly one.
const DRIVERS: [&str; 7] = ["filesystem", "inmemory", "s3", "azure", "gcs", "swift", "oss"];

impl Format {
    /// Checks a text; `name` is what errors call the file.
    ///
    /// # Errors
    /// The first thing that is wrong, with line, column and the nearest name that would be right.
    pub fn check(self, name: &str, text: &str) -> Result<()> {
        let source = Source::new(name, text);
        let checked = match self {
            Self::JsonObject => json_object(name, text),
            Self::Yaml => Node::parse(&source).map(drop),
            Self::RegistryConfig => registry(&source),
            Self::RegistryV1Config => registry_v1::config(&source),
            Self::RegistryV1Environment => registry_v1::environment(name, text),
        };
        // The text is rendered, and what it was rendered from may be secret.
        checked.map_err(Error::veiled)
    }
}

fn registry(source: &Arc<Source>) -> Result<()> {
    let node = Node::parse(source)?;
    let schema = embedded("registry/config.schema.json").and_then(|text| serde_json::from_str::<Json>(text).ok());
    let schema = schema.expect("the schema of a registry's configuration is part of the binary");
    let checker = Checker { source, template: &|_| None, veiled: true };
    checker.check(&node, &schema, "the registry's configuration")?;
    one_driver(source, &node)
}

fn json_object(name: &str, text: &str) -> Result<()> {
    let read = serde_json::from_str::<serde_json::Map<String, Json>>(text);
    read.map(drop).map_err(|error| {
        let what = if error.is_eof() { "it ends too early" } else { "it is something else" };
        Error::new(format!("`{name}` is to hold an object of JSON: {what} (line {})", error.line()))
            .hint("to give what a file holds, write `@FILE`")
    })
}

fn one_driver(source: &Source, node: &Node) -> Result<()> {
    let Content::Map(entries) = &node.value else { return Ok(()) };
    let Some((key, Node { value: Content::Map(storage), .. })) = entries.iter().find(|(key, _)| key.text == "storage")
    else {
        return Ok(());
    };
    let drivers: Vec<&str> =
        storage.iter().map(|(key, _)| key.text.as_str()).filter(|key| DRIVERS.contains(key)).collect();
    if drivers.len() == 1 {
        return Ok(());
    }
    let what = format!("`storage` names {} drivers, and a registry has exactly one", drivers.len());
    let hint =
        if drivers.is_empty() { did_you_mean("", &DRIVERS) } else { format!("keep one of: {}", drivers.join(", ")) };
    Err(Error::new(what).at(source.place(key.span)).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::Format;

    fn told(text: &str) -> String {
        Format::RegistryConfig.check("config.yml", text).map_or_else(|error| error.render(), |()| "ok".to_owned())
    }

    #[test]
    fn an_object_of_json_is_not_shown() {
        assert!(Format::JsonObject.check("key", "{\"type\": \"service_account\"}").is_ok());
        for bad in ["./key.json", "{\"secret\": ", "[1]", "\"secret\"", ""] {
            let error = Format::JsonObject.check("key", bad).unwrap_err().render();
            assert!(error.contains("`key` is to hold an object of JSON") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_registrys_configuration_is_checked_key_by_key() {
        let good = "version: 0.1\nstorage:\n  filesystem: { rootdirectory: /var/lib/registry }\n  delete: { enabled: true }\nhttp: { addr: ':5000' }\n";
        assert_eq!(told(good), "ok");
        let cases = [
            (good.replace("rootdirectory", "rootdirectoy"), "config.yml:3:17", "did you mean `rootdirectory`?"),
            (good.replace("enabled: true", "enabled: maybe"), "wants `true` or `false`, not a text", "config.yml:4:22"),
            (good.replace("http:", "htpp:"), "unknown field `htpp`", "did you mean `http`?"),
            (good.replace("version: 0.1\n", ""), "needs the field `version`", "config.yml:1:1"),
            (good.replace("  delete", "  inmemory: {}\n  delete"), "names 2 drivers", "filesystem, inmemory"),
            (good.replace("  filesystem: { rootdirectory: /var/lib/registry }\n", ""), "names 0 drivers", "filesystem"),
            (
                good.replace("delete: { enabled: true }", "maintenance: { uploadpurging: { enabled: true } }"),
                "needs the field `age`",
                "config.yml:4",
            ),
            ("version: [".to_owned(), "not valid YAML", "config.yml:1"),
        ];
        for (text, what, more) in cases {
            let told = told(&text);
            assert!(told.contains(what) && told.contains(more), "{told}");
        }
    }
}
