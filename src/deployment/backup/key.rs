//! What a backup is encrypted with and opened with: [`Seal`], [`Key`].

use age::secrecy::{ExposeSecret, SecretString};
use age::{Encryptor, Identity, IdentityFile, Recipient, scrypt, x25519};

use crate::error::{Error, Result};
use crate::secret::Secret;

/// The work of trying one passphrase, as the program `age` has it: 2^18 rounds, which need 256 MiB and about a second.
const WORK: u8 = 18;
/// The most work that a file may ask for: 1 GiB and about four seconds.
const MOST_WORK: u8 = 20;

/// What a backup is encrypted with.
pub(crate) enum Seal {
    Passphrase(Secret),
    Recipients(Vec<x25519::Recipient>),
}

/// What a backup is opened with.
pub(crate) enum Key {
    Passphrase(Secret),
    /// Identities, and the file that they stand in.
    Identities(Vec<Box<dyn Identity + Send + Sync>>, String),
}

impl Seal {
    pub fn recipients(texts: &[String]) -> Result<Self> {
        let recipients = texts.iter().map(|text| {
            text.parse().map_err(|reason| {
                Error::usage(format!("`{text}` is no recipient: {reason}"))
                    .hint("`age-keygen -o key.txt` makes a key, and prints its recipient, which starts with `age1`")
            })
        });
        recipients.collect::<Result<_>>().map(Self::Recipients)
    }

    /// What encrypts a backup, and what opens it so that it can be verified.
    ///
    /// The recipients' keys are elsewhere, so a key of our own, which is never written down, is one more recipient.
    pub fn encryptor(self) -> Result<(Encryptor, Key)> {
        let failed = |error| Error::new(format!("cannot encrypt: {error}"));
        match self {
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(secret(&passphrase));
                recipient.set_work_factor(WORK);
                let recipient: &dyn Recipient = &recipient;
                let encryptor = Encryptor::with_recipients(std::iter::once(recipient)).map_err(failed)?;
                Ok((encryptor, Key::Passphrase(passphrase)))
            }
            Self::Recipients(recipients) => {
                let own = x25519::Identity::generate();
                let public = own.to_public();
                let all = recipients.iter().chain([&public]).map(|recipient| recipient as &dyn Recipient);
                let encryptor = Encryptor::with_recipients(all).map_err(failed)?;
                Ok((encryptor, Key::Identities(vec![Box::new(own)], "memory".to_owned())))
            }
        }
    }
}

impl Key {
    /// A new key as an identity file has it, and its recipient.
    pub fn pair() -> (Secret, String) {
        let identity = x25519::Identity::generate();
        (Secret::new(identity.to_string().expose_secret()), identity.to_public().to_string())
    }

    /// Reads the text of an identity file, as `age-keygen` writes it.
    pub fn identities(text: &str, path: &str) -> Result<Self> {
        let hint = "an identity file holds lines that start with `AGE-SECRET-KEY-1`, as `age-keygen -o key.txt` writes them; an encrypted one is decrypted first: `age -d`";
        let found = IdentityFile::from_buffer(text.as_bytes()).ok().and_then(|file| file.into_identities().ok());
        match found {
            Some(found) if !found.is_empty() => Ok(Self::Identities(found, path.to_owned())),
            _ => Err(Error::new(format!("`{path}` holds no identities of age")).hint(hint)),
        }
    }

    pub fn is_passphrase(&self) -> bool {
        matches!(self, Self::Passphrase(_))
    }

    /// Hands out what age opens a file with.
    pub(super) fn with<T>(&self, open: impl FnOnce(&mut dyn Iterator<Item = &dyn Identity>) -> T) -> T {
        match self {
            Self::Passphrase(passphrase) => {
                let mut identity = scrypt::Identity::new(secret(passphrase));
                identity.set_max_work_factor(MOST_WORK);
                let identity: &dyn Identity = &identity;
                open(&mut std::iter::once(identity))
            }
            Self::Identities(identities, _) => {
                open(&mut identities.iter().map(|identity| identity.as_ref() as &dyn Identity))
            }
        }
    }

    /// The error for a file that this does not open.
    pub(super) fn refused(&self, path: &str) -> Error {
        match self {
            Self::Passphrase(_) => Error::new(format!("the passphrase does not open `{path}`"))
                .hint("nothing was changed; try again with the passphrase that it was made with"),
            Self::Identities(_, file) => Error::new(format!("no identity in `{file}` opens `{path}`"))
                .hint("nothing was changed; give `--identity` the file with the key of one of its recipients"),
        }
    }
}

fn secret(passphrase: &Secret) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}
