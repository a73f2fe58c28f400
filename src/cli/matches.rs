//! Values of what was typed.

use clap::ArgMatches;

use crate::report::Style;

pub(super) fn word<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
}

pub(super) fn words(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.try_get_many::<String>(name).ok().flatten().into_iter().flatten().cloned().collect()
}

pub(super) fn flag_is_set(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default()
}

/// The same as [`word`] of an argument that must be there, or has a default.
pub(super) fn text(matches: &ArgMatches, name: &str) -> String {
    word(matches, name).unwrap_or_default().to_owned()
}

/// How the run is told.
pub(super) fn style(matches: &ArgMatches) -> Style {
    if word(matches, "output").is_some_and(|style| style == "json") { Style::Json } else { Style::Text }
}
