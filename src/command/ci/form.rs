//! The forms in which the environment of a registry is told: [`Form`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ci::access::Access;
use crate::ci::job::Job;
use crate::error::{Error, Result};
use crate::text::shell::quoted;
use crate::world::{files, host};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `export NAME='VALUE'`, for `eval`.
    Sh,
    /// `NAME=VALUE`, as `docker run --env-file` reads it.
    Env,
    Json,
    /// Files of GitHub Actions, and a mask for the password.
    Github,
    /// A dotenv report of GitLab, which another job reads: that has the contents of files, and their paths only if it is on the same
    /// host.
    Gitlab,
}

impl Form {
    pub const WORDS: [&str; 5] = ["sh", "env", "json", "github", "gitlab"];

    pub fn parse(word: &str) -> Self {
        match word {
            "env" => Self::Env,
            "json" => Self::Json,
            "github" => Self::Github,
            "gitlab" => Self::Gitlab,
            _ => Self::Sh,
        }
    }

    /// Fails if there is nowhere to tell it.
    pub fn check(self, file: Option<&Path>) -> Result<()> {
        if self == Self::Github && file.is_none() && host::variable("GITHUB_ENV").is_none() {
            return Err(Error::usage(
                "`--format github` writes to the file that `GITHUB_ENV` names, and it is not set",
            )
            .hint("run it in a step of GitHub Actions, or give a file with `--env-file`"));
        }
        Ok(())
    }

    /// Tells the environment: the text for standard output. With a file, the environment is added to that instead.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn tell(self, job: &Job, access: &Access, expires: i64, file: Option<&Path>) -> Result<String> {
        let text = self.text(job, access, expires);
        let given = file.map(Path::to_path_buf);
        if self != Self::Github {
            return given.map_or(Ok(text.clone()), |path| files::append(&path, &text).map(|()| String::new()));
        }
        let named = |variable: &str| host::variable(variable).map(PathBuf::from);
        for path in [given.or_else(|| named("GITHUB_ENV")), named("GITHUB_OUTPUT")].into_iter().flatten() {
            files::append(&path, &text)?;
        }
        // GitHub then shows `***` wherever a step prints it.
        Ok(format!("::add-mask::{}\n", access.password.expose()))
    }

    fn text(self, job: &Job, access: &Access, expires: i64) -> String {
        let (name, variables) = (&job.name, &access.variables);
        match self {
            Self::Json => format!("{:#}\n", serde_json::json!(variables)),
            Self::Env | Self::Github => plain(variables),
            Self::Gitlab if job.around.container.is_some() => plain(&access.contents),
            Self::Gitlab => plain(&access.contents.clone().into_iter().chain(variables.clone()).collect()),
            Self::Sh => {
                let until =
                    OffsetDateTime::from_unix_timestamp(expires).ok().and_then(|time| time.format(&Rfc3339).ok());
                let lines: String =
                    variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
                format!(
                    "# {name}: a registry at {}, until {}. To use it: eval \"$(provision ci)\"\n{lines}# To end it: provision ci down {name}\n",
                    access.registry,
                    until.unwrap_or_default(),
                )
            }
        }
    }
}

fn plain(variables: &BTreeMap<String, String>) -> String {
    variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}
