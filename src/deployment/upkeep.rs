//! How a deployment is looked after by itself: [`Upkeep`], which its record remembers, and [`Asked`], what a command line changes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::deployment::backup::{Key, Seal};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::{files, host};

/// How many backups are kept where that was never said.
const KEEP: u32 = 7;
/// The word that takes a setting away again.
const NONE: &str = "none";
/// What says which engine and which account of AWS a run is about. None of them holds a secret.
pub(crate) const VARIABLES: [&str; 15] = [
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "XDG_RUNTIME_DIR",
];

/// What a command line says of upkeep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub maintain: Option<bool>,
    pub backup_to: Option<String>,
    pub recipients: Vec<String>,
    pub keep: Option<u32>,
    pub notify: Option<Secret>,
    pub gc: Option<bool>,
    pub drill: Option<String>,
    pub drill_key: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Upkeep {
    /// Whether the timer looks after it; none if that was never said.
    #[serde(skip_serializing_if = "Option::is_none")]
    maintain: Option<bool>,
    /// The folder that backups are written into, or a bucket as in `s3://BUCKET/PREFIX`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_to: Option<String>,
    /// Whom backups are encrypted for: recipients of age.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Receiver>,
    /// Whether what no image of a registry needs is freed; none if that was never said, and then it is only listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gc: Option<bool>,
    /// How often the last backup is restored beside, to see whether it could be: `monthly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<String>,
    /// The file with the identity of age that opens it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill_key: Option<String>,
    /// Which engine and which account it is about, as the environment of the last run had it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

/// Who is told that something fails: a URL or a command. Either may hold a token, so it is shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Receiver(String);

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(receiver)")
    }
}

impl Receiver {
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_url(&self) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.0.starts_with(scheme))
    }

    /// A URL, or a command that begins with the whole path of a program.
    fn read(text: &str) -> Result<Self> {
        let receiver = Self(text.trim().to_owned());
        let has_place =
            receiver.0.split_once("://").is_some_and(|(_, place)| !place.starts_with('/') && !place.is_empty());
        if receiver.is_url() && has_place && !receiver.0.contains(char::is_whitespace) {
            return Ok(receiver);
        }
        let program = receiver.0.split_whitespace().next().unwrap_or_default();
        let hint = "write `https://HOST/PATH`, or the absolute path of a program and its arguments, separated by spaces; no shell is used";
        if !program.starts_with('/') {
            return Err(Error::usage("`--notify` is neither a URL nor the absolute path of a program").hint(hint));
        }
        if !files::is_program(Path::new(program)) {
            return Err(Error::usage(format!("`--notify`: `{program}` is not an executable file")).hint(hint));
        }
        Ok(receiver)
    }
}

impl Upkeep {
    /// Whether a timer is to look after it.
    pub fn is_wanted(&self) -> bool {
        self.maintain.unwrap_or(true)
    }

    /// Whether there is nothing to remember.
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    /// How many backups are kept.
    pub fn keep(&self) -> usize {
        usize::try_from(self.keep.unwrap_or(KEEP)).unwrap_or(usize::MAX)
    }

    /// The settings after what a command line says of them.
    ///
    /// # Errors
    /// A setting that cannot be carried out by itself, such as a backup that nothing encrypts.
    pub fn with(mut self, asked: &Asked) -> Result<Self> {
        self.maintain = asked.maintain.or(self.maintain);
        self.keep = asked.keep.or(self.keep);
        self.gc = asked.gc.or(self.gc);
        if !asked.recipients.is_empty() {
            Seal::recipients(&asked.recipients)?;
            self.recipients.clone_from(&asked.recipients);
        }
        match asked.backup_to.as_deref() {
            Some(NONE) => {
                let (drill, drill_key) = (None, None);
                self = Self { backup_to: None, recipients: Vec::new(), keep: None, drill, drill_key, ..self };
            }
            Some(folder) => self.backup_to = Some(place(folder)?),
            None => {}
        }
        if self.backup_to.is_some() && self.recipients.is_empty() {
            return Err(Error::usage("`--backup-to` needs `--backup-recipient`: a timer cannot ask for a passphrase")
                .hint("`provision backup --new-key FILE` creates a key and prints its recipient"));
        }
        if self.backup_to.is_none() && (asked.keep.is_some() || !self.recipients.is_empty()) {
            return Err(Error::usage("`--backup-recipient` and `--keep` need `--backup-to`")
                .hint("add `--backup-to FOLDER` or `--backup-to s3://BUCKET/PREFIX`"));
        }
        self = self.drilled(asked)?;
        match asked.notify.as_ref().map(Secret::expose) {
            Some(NONE) => self.notify = None,
            Some(text) => self.notify = Some(Receiver::read(text)?),
            None => {}
        }
        Ok(self)
    }

    /// What a command line says of drills.
    fn drilled(self, asked: &Asked) -> Result<Self> {
        let key = asked.drill_key.as_deref().map(key_file).transpose()?.or_else(|| self.drill_key.clone());
        let drill = asked.drill.clone().or_else(|| self.drill.clone());
        if drill.as_deref() == Some(NONE) {
            return Ok(Self { drill: None, drill_key: None, ..self });
        }
        let hint =
            "write `--drill monthly --drill-key FILE`, with the key of one of the recipients of `--backup-recipient`";
        match (&drill, &key) {
            (Some(_), None) => {
                Err(Error::usage("`--drill` needs `--drill-key`: a timer cannot ask what opens a backup").hint(hint))
            }
            (None, Some(_)) => Err(Error::usage("`--drill-key` needs `--drill`").hint(hint)),
            (Some(_), Some(_)) if self.backup_to.is_none() => {
                Err(Error::usage("`--drill` needs `--backup-to`: it restores the last of the daily backups")
                    .hint("add `--backup-to FOLDER`"))
            }
            _ => Ok(Self { drill, drill_key: key, ..self }),
        }
    }

    /// What nobody looks after.
    pub fn none() -> Self {
        Self { maintain: Some(false), ..Self::default() }
    }

    /// The same with the environment of this process, if upkeep is to go on with it.
    pub fn in_this_environment(self) -> Self {
        let found = VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), host::variable(name)?)));
        let environment = if self.is_wanted() && !is_off() { found.collect() } else { BTreeMap::new() };
        Self { environment, ..self }
    }
}

/// Whether the environment wants no timer, whatever a deployment says.
pub(crate) fn is_off() -> bool {
    host::variable("PROVISION_MAINTAIN").as_deref() == Some("no")
}

/// The file that backups are opened with, whole.
fn key_file(path: &str) -> Result<String> {
    let path = files::absolute(path)?;
    let text = files::read_text(Path::new(&path)).map_err(|error| error.within("`--drill-key`").into_usage())?;
    Key::identities(&text, &path).map_err(|error| error.within("`--drill-key`").into_usage())?;
    Ok(path)
}

/// The folder of backups, whole, or the bucket.
fn place(given: &str) -> Result<String> {
    if let Some(rest) = given.strip_prefix("s3://") {
        return bucket(given, rest);
    }
    if given.contains("://") {
        return Err(Error::usage(format!("`--backup-to {given}` is neither a folder of this host nor a bucket"))
            .hint("give a folder, or `s3://BUCKET/PREFIX`"));
    }
    let folder = files::absolute(given)?;
    if !files::is_folder(Path::new(&folder)) {
        return Err(Error::usage(format!("`--backup-to`: there is no folder `{folder}`"))
            .hint("create it first: `install -d -m 700 FOLDER`"));
    }
    Ok(folder)
}

/// A bucket with a prefix, which a timer can reach.
fn bucket(given: &str, rest: &str) -> Result<String> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // As S3 names buckets (its documentation, "General purpose bucket naming rules").
    let is_name = (3..=63).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !is_name || prefix.len() > 500 || prefix.chars().any(char::is_control) {
        return Err(Error::usage(format!("`--backup-to {given}` names no bucket"))
            .hint("write it as in `s3://acme-backups/registry`"));
    }
    if host::variable("AWS_ACCESS_KEY_ID").is_some() {
        return Err(Error::usage("`--backup-to`: the timer does not get the key in AWS_ACCESS_KEY_ID of this shell")
            .hint("put the key into a profile and name that: `aws configure --profile backups`, then `AWS_PROFILE=backups`; and `unset AWS_ACCESS_KEY_ID`"));
    }
    Ok(format!(
        "s3://{name}{}",
        if prefix.is_empty() { String::new() } else { format!("/{}", prefix.trim_matches('/')) }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn asked() -> Asked {
        Asked { backup_to: Some("/tmp".to_owned()), recipients: vec![RECIPIENT.to_owned()], ..Asked::default() }
    }

    #[test]
    fn settings_are_remembered_and_changed_one_by_one() {
        let first = Upkeep::default().with(&asked()).unwrap();
        assert!(first.is_wanted() && first.keep() == 7);
        let second = first.clone().with(&Asked { keep: Some(3), maintain: Some(false), ..Asked::default() }).unwrap();
        assert_eq!((second.keep(), second.is_wanted()), (3, false));
        assert_eq!((&second.backup_to, &second.recipients), (&first.backup_to, &first.recipients));
        let gone = second.with(&Asked { backup_to: Some("none".to_owned()), ..Asked::default() }).unwrap();
        assert_eq!((gone.backup_to, gone.keep), (None, None));
    }

    #[test]
    fn what_a_timer_cannot_do_is_refused() {
        let cases = [
            (Asked { recipients: Vec::new(), ..asked() }, "needs `--backup-recipient`"),
            (Asked { backup_to: None, ..asked() }, "need `--backup-to`"),
            (Asked { keep: Some(3), ..Asked::default() }, "need `--backup-to`"),
            (Asked { recipients: vec!["age1x".to_owned()], ..asked() }, "is no recipient"),
            (Asked { backup_to: Some("/nowhere".to_owned()), ..asked() }, "there is no folder"),
            (
                Asked { backup_to: Some("ftp://bucket".to_owned()), ..asked() },
                "neither a folder of this host nor a bucket",
            ),
            (Asked { backup_to: Some("s3://".to_owned()), ..asked() }, "names no bucket"),
            (Asked { backup_to: Some("s3://Acme/x".to_owned()), ..asked() }, "names no bucket"),
            (Asked { notify: Some(Secret::new("mail me")), ..Asked::default() }, "neither a URL nor"),
            (Asked { notify: Some(Secret::new("/no/program")), ..Asked::default() }, "is not an executable"),
            (Asked { notify: Some(Secret::new("https://")), ..Asked::default() }, "neither a URL nor"),
        ];
        for (asked, text) in cases {
            let error = Upkeep::default().with(&asked).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(text) && error.next_step().is_some(), "{error}");
        }
    }

    #[test]
    fn who_is_told_is_shown_nowhere() {
        let asked = Asked { notify: Some(Secret::new("https://hook.example/token")), ..Asked::default() };
        let upkeep = Upkeep::default().with(&asked).unwrap();
        assert!(upkeep.notify.as_ref().unwrap().is_url());
        assert!(!format!("{upkeep:?} {asked:?}").contains("token"));
        let told = Upkeep::default().with(&Asked { notify: Some(Secret::new("/bin/cat -u")), ..Asked::default() });
        assert!(!told.unwrap().notify.unwrap().is_url());
    }
}
