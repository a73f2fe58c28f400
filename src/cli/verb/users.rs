//! `provision users`.

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, wait};
use crate::cli::matches::{style, text};
use crate::command::users::{self, Password, Task};
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Users {
    deployment: String,
    task: Task,
    style: Style,
}

impl Arguments for Users {
    const NAME: &'static str = "users";
    const ABOUT: &'static str = "Manage the users who may log in to a registry";

    fn options(command: Command) -> Command {
        let user = || Arg::new("user").value_name("USER").help("The user's name");
        let generate = Arg::new("generate")
            .long("generate")
            .action(ArgAction::SetTrue)
            .conflicts_with("password-file")
            .help("Generate the password; `provision secrets` prints it");
        let password_file = Arg::new("password-file")
            .long("password-file")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .help("Read the password from this file; `-` is standard input [default: ask]");
        let import = Arg::new("import")
            .long("import")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .conflicts_with_all(["generate", "password-file", "user"])
            .help("Import the users of a password file, and name those whose hash is not supported");
        let verb = |name: &'static str, about: &'static str| Command::new(name).about(about);
        command
            .arg(deployment())
            .arg(wait().global(true))
            .subcommand(verb("list", "List users (default)"))
            .subcommand(verb("add", "Add a user, or those of a password file").args([
                user().required_unless_present("import"),
                generate.clone(),
                password_file.clone(),
                import,
            ]))
            .subcommand(verb("remove", "Remove a user").arg(user().required(true)))
            .subcommand(verb("password", "Give a user a new password").args([
                user().required(true),
                generate,
                password_file,
            ]))
            .disable_help_subcommand(true)
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { deployment: text(matches, "deployment"), task: task(matches), style: style(matches) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        users::run(session, &self.deployment, self.task, self.style).await?;
        Ok(DONE)
    }
}

/// What is to be done with the users of a deployment.
fn task(matches: &ArgMatches) -> Task {
    let Some((verb, matches)) = matches.subcommand() else { return Task::List };
    let word = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let user = word("user").unwrap_or_default();
    let generate = matches.try_get_one::<bool>("generate").ok().flatten().copied().unwrap_or_default();
    let password = match word("password-file") {
        Some(file) => Password::File(file),
        None if generate => Password::Generated,
        None => Password::Asked,
    };
    match (verb, word("import")) {
        ("add", Some(file)) => Task::Import { file },
        ("add", None) => Task::Add { user, password },
        ("password", _) => Task::Password { user, password },
        ("remove", _) => Task::Remove { user },
        _ => Task::List,
    }
}
