//! `--host` and what belongs to it: the command line as it is to be carried out on other hosts.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, ValueHint};

use crate::command::elsewhere::{Host, Wanted};
use crate::error::{Error, Result};
use crate::report::Style;
use crate::world::ssh::Target;

/// Where they stand in a help: after the playbook's own.
const ORDER: usize = 900;
/// The options of all verbs that say where they are carried out.
pub(super) const NAMES: [&str; 3] = ["host", "hosts", "sudo"];

pub(super) fn flags(command: Command) -> Command {
    let host = Arg::new("host")
        .long("host")
        .value_name("HOST")
        .value_hint(ValueHint::Hostname)
        .action(ArgAction::Append)
        .global(true)
        .display_order(ORDER)
        .help("Do it on this host by ssh: `ssh://USER@HOST:PORT`, or a name in ~/.ssh/config [may be repeated]");
    let sudo = Arg::new("sudo").long("sudo").action(ArgAction::SetTrue).global(true).display_order(ORDER);
    command.arg(host).arg(sudo.help("With --host: do it there as root, by sudo"))
}

/// What is to be done elsewhere; none if it is to be done here, or is about the command line itself.
///
/// # Errors
/// A host that is none, or `--sudo` without one.
pub(super) fn take(arguments: &[OsString]) -> Result<Option<Wanted>> {
    let words: Option<Vec<String>> = arguments.iter().skip(1).map(|word| word.to_str().map(str::to_owned)).collect();
    let Some(words) = words else { return Ok(None) };
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let asks = |word: &String| ["-h", "--help", "-V", "--version"].contains(&word.as_str());
    if words[..own].iter().any(asks) || words.first().is_some_and(|word| word == "help") {
        return Ok(None);
    }
    let (mut hosts, mut sudo, mut rest) = (Vec::new(), false, Vec::new());
    let mut at = words[..own].iter();
    while let Some(word) = at.next() {
        match word.strip_prefix("--host").map(|rest| rest.strip_prefix('=').ok_or(rest)) {
            _ if word == "--sudo" => sudo = true,
            Some(Ok(host)) => hosts.push(host.to_owned()),
            Some(Err("")) => {
                let host = at.next().ok_or_else(|| Error::usage("`--host` needs a host").hint(FORM))?;
                hosts.push(host.clone());
            }
            _ => rest.push(word.clone()),
        }
    }
    if hosts.is_empty() {
        return match sudo {
            true => Err(Error::usage("`--sudo` goes with `--host`")
                .hint("on this host, run the whole command by it: `sudo provision …`")),
            false => Ok(None),
        };
    }
    let style = style(&rest);
    rest.extend_from_slice(&words[own..]);
    let hosts = hosts.iter().map(|host| read(host)).collect::<Result<Vec<_>>>()?;
    if let Some(twice) = hosts.iter().enumerate().find(|(at, host)| hosts[..*at].contains(host)) {
        return Err(Error::usage(format!("`{}` is named twice", twice.1)).hint("leave one of them out"));
    }
    let hosts = hosts.into_iter().map(|target| Host { target, arguments: rest.clone() }).collect();
    Ok(Some(Wanted { hosts, sudo, style }))
}

const FORM: &str = "write `--host ssh://USER@HOST:PORT`, or the name of a host in ~/.ssh/config";

fn read(text: &str) -> Result<Target> {
    let target = Target::parse(text.strip_prefix("ssh://").unwrap_or(text));
    target
        .filter(|target| !target.has_socket())
        .ok_or_else(|| Error::usage(format!("`--host {text}` is no host that `ssh` can reach")).hint(FORM))
}

/// How it is to be told, as far as that can be known here.
fn style(words: &[String]) -> Style {
    let json = words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json");
    if json { Style::Json } else { Style::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &str) -> Result<Option<(Vec<String>, Vec<String>, bool)>> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Ok(take(&words)?.map(|wanted| {
            let hosts = wanted.hosts.iter().map(|host| host.target.to_string()).collect();
            (hosts, wanted.hosts[0].arguments.clone(), wanted.sudo)
        }))
    }

    #[test]
    fn a_command_line_is_split_into_hosts_and_the_rest() {
        let text = |line: &str| {
            let (hosts, rest, sudo) = taken(line).unwrap().unwrap();
            format!("{} | {}{}", hosts.join(" "), rest.join(" "), if sudo { " | sudo" } else { "" })
        };
        for (line, wanted) in [
            ("provision --host far status", "ssh://far | status"),
            ("provision registry --host=ssh://me@far:2222 --port 5001", "ssh://me@far:2222 | registry --port 5001"),
            ("provision plan x --host a --host b --sudo", "ssh://a ssh://b | plan x | sudo"),
            ("provision ci --host a -- make --host b", "ssh://a | ci -- make --host b"),
        ] {
            assert_eq!(text(line), wanted);
        }
        for line in [
            "provision status",
            "provision registry --host a --help",
            "provision help registry --host a",
            "provision ci -- x --host a",
        ] {
            assert!(taken(line).unwrap().is_none(), "{line}");
        }
        for line in [
            "provision status --host",
            "provision --host -oProxyCommand=x",
            "provision --host far/x",
            "provision status --sudo",
            "provision status --host a --host ssh://a",
        ] {
            assert!(taken(line).unwrap_err().is_usage(), "{line}");
        }
    }
}
