//! `provision complete`, which the completion scripts run.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Arguments, DONE, command};
use crate::cli::matches::words;
use crate::cli::position::{self, Position};
use crate::command::complete::{self, Names};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Complete {
    names: Option<Names>,
    current: String,
}

impl Arguments for Complete {
    const NAME: &'static str = "complete";
    const ABOUT: &'static str = "Print the names that may stand at the end of a command line";

    fn options(command: Command) -> Command {
        let index = Arg::new("index").required(true).value_parser(value_parser!(usize));
        let words = Arg::new("words").action(ArgAction::Append).num_args(0..).trailing_var_arg(true);
        command.hide(true).args([index, words.allow_hyphen_values(true)])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let mut words = words(matches, "words");
        words.truncate(matches.get_one::<usize>("index").copied().unwrap_or_default().saturating_add(1));
        let index = matches.get_one::<usize>("index").copied().unwrap_or_default();
        let current = if words.len() > index { words.pop().unwrap_or_default() } else { String::new() };
        let names = position::after(&command(), &words, &current).map(|position| match position {
            Position::Deployment => Names::Deployments,
            Position::Target => Names::Targets,
            Position::Image { registry } => Names::Images { registry },
            Position::EngineImage => Names::EngineImages,
            Position::Place => Names::Places,
        });
        Ok(Self { names, current })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        if let Some(names) = self.names {
            Box::pin(complete::run(session, names, &self.current)).await?;
        }
        Ok(DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, command};
    use crate::cli::position::after;

    #[test]
    fn what_is_named_is_known_from_the_words_before() {
        let image = |registry: &str| Some(Position::Image { registry: registry.to_owned() });
        let cases = [
            ("status ", Some(Position::Deployment)),
            ("destroy --yes ", Some(Position::Deployment)),
            ("images ", Some(Position::Deployment)),
            ("images reg delete ", image("reg")),
            ("images reg delete a:1 b", image("reg")),
            ("images https://h:1 show --output json x", image("https://h:1")),
            ("images reg show a:1 ", None),
            ("images reg ", None),
            ("push ", Some(Position::Deployment)),
            ("push reg ", Some(Position::EngineImage)),
            ("push reg a --as team b", Some(Position::EngineImage)),
            ("push reg --as ", None),
            ("push reg --", None),
            ("--output json du ", Some(Position::Deployment)),
            ("migrate a ", Some(Position::Deployment)),
            ("copy ", Some(Position::Place)),
            ("copy a/b:1 c", Some(Position::Place)),
            ("plan ", Some(Position::Target)),
            ("output reg ", None),
            ("nothing ", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let mut words: Vec<String> = format!("provision {line}").split(' ').map(str::to_owned).collect();
            let current = words.pop().unwrap();
            words.retain(|word| !word.is_empty());
            assert_eq!(after(&command(), &words, &current), expected, "{line}");
        }
    }
}
