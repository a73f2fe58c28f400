//! How this program comes to another host: [`command`] is what `ssh` starts there, [`Program`] is what is sent.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Error, Result};
use crate::text::digest::sha256;
use crate::text::size::readable;

/// What stands before each of its own words in the output there, below whatever a login shell may print.
pub(super) const MARK: &str = "provision-far:";
/// What `sudo` there asks with.
pub(super) const SUDO: &str = "provision-sudo:";

/// Starts the program in the cache folder there. If it is not there, it says what kind of host that is, and waits for `go` with the
/// number of bytes that come. Every login shell hands it to `sh` as it is, so there is no `'`, `!`, backslash or line end in it. The
/// folder is the one of `files::cache_home`.
const SCRIPT: &str = r#"umask 077; c=${PROVISION_HOME:+$PROVISION_HOME/cache}; d=${c:-${XDG_CACHE_HOME:-$HOME/.cache}/provision}/bin; f=$d/provision-HASH; say() { echo "provision-far:$*"; }; if [ "$(wc -c 2>/dev/null <"$f")" -eq SIZE ] 2>/dev/null; then say ready; exec "$f" far; fi; t=; gone() { [ -z "$t" ] || rm -f "$t"; }; trap gone EXIT; trap "gone; exit 1" HUP INT TERM; mkdir -p "$d" || { say folder "$d"; exit 1; }; find "$d" -name ".new.*" -mmin +60 -exec rm -f {} + 2>/dev/null; t=$(mktemp "$d/.new.XXXXXX") || { t=; say folder "$d"; exit 1; }; echo "exit 0" >"$t" && chmod 700 "$t" && "$t" || { say noexec "$d"; exit 1; }; set -- $(df -Pk "$d" | tail -n 1); say need "$(uname -s)" "$(uname -m)" "${4:-0}" "$(getconf GNU_LIBC_VERSION 2>/dev/null || echo other 0)" "$d"; read go n || exit 1; head -c "$n" | gzip -dc >"$t" || { say short "$d"; exit 1; }; [ "$(wc -c <"$t")" -eq SIZE ] || { say short "$d"; exit 1; }; m=$("$t" --version 2>&1) || { say cannot "$m"; exit 1; }; mv -f "$t" "$f" || exit 1; t=; say ready; exec "$f" far"#;

/// This program, as it is sent.
pub(crate) struct Program {
    content: Vec<u8>,
    hash: String,
    packed: OnceLock<Vec<u8>>,
}

/// The words of a host that does not have the program yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    system: String,
    machine: String,
    /// Bytes that are free in the cache folder.
    free: u64,
    /// The C library and its version.
    library: String,
    version: Vec<u32>,
    folder: String,
}

impl Program {
    /// Reads this program.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub fn read() -> Result<Self> {
        let content = std::fs::read("/proc/self/exe")
            .map_err(|error| Error::new(format!("cannot read the program that runs now: {error}")))?;
        Ok(Self { hash: sha256(&content), content, packed: OnceLock::new() })
    }

    /// What `ssh` starts on another host.
    pub(super) fn command(&self, sudo: bool) -> String {
        let script = SCRIPT.replace("HASH", &self.hash[..16]).replace("SIZE", &self.content.len().to_string());
        let sudo = if sudo { format!("sudo -S -H -p {SUDO} ") } else { String::new() };
        format!("{sudo}sh -c '{script}'")
    }

    /// The program, compressed.
    pub(super) fn packed(&self) -> &[u8] {
        self.packed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let packed = encoder.write_all(&self.content).and_then(|()| encoder.finish());
            packed.expect("memory takes what is written to it")
        })
    }

    /// The newest version of glibc that it needs; none if it needs none.
    fn library(&self) -> Option<Vec<u32>> {
        const NAME: &[u8] = b"GLIBC_2.";
        let found = self.content.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
        let versions = found.filter_map(|(at, _)| {
            let rest: String = self.content[at + 6..]
                .iter()
                .take(8)
                .map_while(|byte| (*byte != 0).then_some(char::from(*byte)))
                .collect();
            version(&rest)
        });
        versions.max()
    }

    /// Why it cannot run on a host, if it cannot.
    pub(super) fn fits(&self, facts: &Facts) -> Result<()> {
        let Facts { system, machine, free, library, version, folder } = facts;
        let here = std::env::consts::ARCH;
        if system != "Linux" || machine != here {
            return Err(Error::new(format!(
                "it is a host of {system} on `{machine}`, and this program is for Linux on `{here}`"
            ))
            .hint(format!("install provision there, built for `{machine}`, and run it there")));
        }
        if let Some(needed) = self.library() {
            let shown = needed.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            let hint =
                format!("use a provision that was built on a system as old as that host; this one needs glibc {shown}");
            if library != "glibc" {
                return Err(Error::new("it has no glibc, which this program needs").hint(hint));
            }
            if *version < needed {
                let found = version.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
                return Err(Error::new(format!("its glibc is {found}, which is too old for this program")).hint(hint));
            }
        }
        let wanted = self.content.len() as u64 + (1 << 20);
        if *free < wanted {
            return Err(Error::new(format!(
                "there is no space for this program in `{folder}`: {} are needed, and {} are free",
                readable(wanted),
                readable(*free)
            ))
            .hint("make room there; `XDG_CACHE_HOME` in the environment of that user names another folder"));
        }
        Ok(())
    }
}

fn version(text: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> = text.trim().split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| !parts.is_empty())
}

impl Facts {
    /// Reads what follows `need`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(6, ' ');
        let mut word = || words.next().map(str::to_owned);
        let (system, machine, free, library, number) = (word()?, word()?, word()?, word()?, word()?);
        Some(Self {
            system,
            machine,
            // `df -Pk` counts units of 1024 bytes.
            free: free.parse::<u64>().ok()?.saturating_mul(1024),
            library,
            version: version(&number)?,
            folder: word()?,
        })
    }
}

/// Why a host does not start it, by what it says in place of that.
pub(super) fn obstacle(word: &str, rest: &str, said: &str) -> Error {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says no more");
    let elsewhere = "`XDG_CACHE_HOME` in the environment of that user names another folder";
    match word {
        "folder" => Error::new(format!("the cache folder `{rest}` cannot be written: {last}")).hint(elsewhere),
        "noexec" => Error::new(format!("programs in the cache folder `{rest}` cannot be run: {last}"))
            .hint(format!("its file system may be mounted with `noexec`; {elsewhere}")),
        "short" => Error::new(format!("this program could not be copied to `{rest}`: {last}"))
            .hint("make room there, and run the command again"),
        "cannot" => Error::new(format!("this program cannot run there: {rest}"))
            .hint("`sudo apt-get install libssl3` there installs the library of OpenSSL, if it is that"),
        _ => Error::new(format!("it gives another answer than a shell: {word} {rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program { content: b"\0GLIBC_2.2.5\0GLIBC_2.34\0".to_vec(), hash: "0".repeat(64), packed: OnceLock::new() }
    }

    #[test]
    fn every_login_shell_hands_the_script_on_as_it_is() {
        assert!(!SCRIPT.contains(['\'', '!', '\\', '\n']));
        assert!(SCRIPT.contains(MARK));
        let command = program().command(true);
        assert!(command.starts_with("sudo -S -H -p provision-sudo: sh -c 'umask"), "{command}");
        assert!(!command.contains("HASH") && !command.contains("SIZE"));
    }

    #[test]
    fn a_host_on_which_it_cannot_run_is_told() {
        let here = std::env::consts::ARCH;
        for (facts, told) in [
            (format!("Linux {here} 999999 glibc 2.36 /root/.cache"), None),
            ("Linux riscv64 999999 glibc 2.36 /c".to_owned(), Some("a host of Linux on `riscv64`")),
            (format!("Darwin {here} 999999 other 0 /c"), Some("a host of Darwin")),
            (format!("Linux {here} 999999 glibc 2.31 /c"), Some("its glibc is 2.31, which is too old")),
            (format!("Linux {here} 999999 other 0 /c"), Some("it has no glibc")),
            (format!("Linux {here} 10 glibc 2.36 /a b"), Some("no space for this program in `/a b`")),
        ] {
            let fits = program().fits(&Facts::parse(&facts).unwrap());
            match told {
                None => assert!(fits.is_ok(), "{facts}"),
                Some(told) => assert!(fits.unwrap_err().to_string().contains(told), "{facts}"),
            }
        }
        assert_eq!(Facts::parse("Linux"), None);
    }
}
