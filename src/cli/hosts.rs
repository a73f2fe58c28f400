//! `--host` and what belongs to it: the command line as it is to be carried out on other hosts.

mod list;

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, ValueHint};

use crate::command::elsewhere::{Host, Wanted};
use crate::error::{Error, Result, did_you_mean};
use crate::language::playbook::builtin_names;
use crate::report::Style;
use crate::world::ssh::Target;
use list::Listed;

/// Where they stand in a help: after the playbook's own.
const ORDER: usize = 900;
/// The options of all verbs that say where they are carried out.
pub(super) const NAMES: [&str; 4] = ["host", "hosts", "group", "sudo"];

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
    let hosts = Arg::new("hosts").long("hosts").value_name("FILE").value_hint(ValueHint::FilePath);
    let hosts = hosts.action(ArgAction::Append).global(true).display_order(ORDER);
    let group = Arg::new("group").long("group").value_name("NAME").action(ArgAction::Append).global(true);
    let group = group.display_order(ORDER).help("Of --hosts: only those of this group [may be repeated]");
    let hosts = hosts.help("Do it on the hosts of this YAML file, `NAME: { host, groups, inputs }`");
    command.arg(host).arg(hosts).arg(group).arg(sudo.help("With --host: do it there as root, by sudo"))
}

/// The words of a command line that say where it is carried out, and the rest.
#[derive(Default)]
struct Words {
    hosts: Vec<String>,
    files: Vec<String>,
    groups: Vec<String>,
    sudo: bool,
    rest: Vec<String>,
}

impl Words {
    fn read(words: &[String]) -> Result<Self> {
        let mut read = Self::default();
        let mut at = words.iter();
        while let Some(word) = at.next() {
            let (flag, value) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
            let into = match flag {
                "--sudo" if value.is_none() => {
                    read.sudo = true;
                    continue;
                }
                "--host" => &mut read.hosts,
                "--hosts" => &mut read.files,
                "--group" => &mut read.groups,
                _ => {
                    read.rest.push(word.clone());
                    continue;
                }
            };
            let value = value.map(str::to_owned).or_else(|| at.next().cloned());
            into.push(value.ok_or_else(|| Error::usage(format!("`{flag}` needs a value")).hint(FORM))?);
        }
        Ok(read)
    }

    /// Fails if there is something about hosts, and no host.
    fn check(&self) -> Result<()> {
        let lone = |flag: &str, with: &str| Err(Error::usage(format!("`{flag}` goes with `{with}`")).hint(FORM));
        match (self.sudo, self.groups.is_empty()) {
            (_, false) if self.files.is_empty() => lone("--group", "--hosts"),
            (true, _) if self.files.is_empty() && self.hosts.is_empty() => lone("--sudo", "--host")
                .map_err(|error: Error| error.hint("on this host, run the whole command by it: `sudo provision …`")),
            _ => Ok(()),
        }
    }

    /// Whether the command takes inputs of a playbook.
    fn takes_inputs(&self) -> bool {
        let first = self.rest.iter().find(|word| !word.starts_with('-')).map(String::as_str).unwrap_or_default();
        ["apply", "plan", "render", "graph"].contains(&first) || builtin_names().contains(&first)
    }

    fn all(&self) -> Result<Vec<Host>> {
        let mut all = Vec::new();
        for host in &self.hosts {
            let target = read(host)?;
            all.push(Host { name: target.short(), target, arguments: self.rest.clone() });
        }
        for path in &self.files {
            let listed = list::read(path)?;
            let known: Vec<&str> = listed.iter().flat_map(|host| &host.groups).map(String::as_str).collect();
            if let Some(group) = self.groups.iter().find(|group| !known.contains(&group.as_str())) {
                let what = format!("no host in `{path}` is of the group `{group}`");
                return Err(Error::usage(what).hint(did_you_mean(group, &known)));
            }
            let wanted =
                |host: &Listed| self.groups.is_empty() || host.groups.iter().any(|group| self.groups.contains(group));
            for host in listed.into_iter().filter(wanted) {
                let mut arguments = self.rest.clone();
                if self.takes_inputs() {
                    arguments.extend(host.inputs.into_iter().flat_map(|input| ["--set".to_owned(), input]));
                }
                all.push(Host { name: host.name, target: host.target, arguments });
            }
        }
        Ok(all)
    }
}

/// What is to be done elsewhere; none if it is to be done here, or is about the command line itself.
///
/// # Errors
/// A host that is none, or something about hosts without one.
pub(super) fn take(arguments: &[OsString]) -> Result<Option<Wanted>> {
    let words: Option<Vec<String>> = arguments.iter().skip(1).map(|word| word.to_str().map(str::to_owned)).collect();
    let Some(words) = words else { return Ok(None) };
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let asks = |word: &String| ["-h", "--help", "-V", "--version"].contains(&word.as_str());
    let about_itself = words.first().is_some_and(|word| ["help", "complete", "completions"].contains(&word.as_str()));
    if about_itself || words[..own].iter().any(asks) {
        return Ok(None);
    }
    let read = Words::read(&words[..own])?;
    read.check()?;
    if read.hosts.is_empty() && read.files.is_empty() {
        return Ok(None);
    }
    let mut hosts = read.all()?;
    if let Some((_, twice)) =
        hosts.iter().enumerate().find(|(at, host)| hosts[..*at].iter().any(|other| other.target == host.target))
    {
        return Err(Error::usage(format!("`{}` is named twice", twice.target)).hint("leave one of them out"));
    }
    hosts.iter_mut().for_each(|host| host.arguments.extend_from_slice(&words[own..]));
    Ok(Some(Wanted {
        several: hosts.len() > 1 || !read.files.is_empty(),
        hosts,
        sudo: read.sudo,
        style: style(&read.rest),
    }))
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

    fn taken(line: &str) -> Result<Option<Wanted>> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        take(&words)
    }

    #[test]
    fn a_command_line_is_split_into_hosts_and_the_rest() {
        let text = |line: &str| {
            let wanted = taken(line).unwrap().unwrap();
            let hosts: Vec<String> = wanted.hosts.iter().map(|host| host.target.to_string()).collect();
            let rest = wanted.hosts[0].arguments.join(" ");
            format!("{} | {rest}{}", hosts.join(" "), if wanted.sudo { " | sudo" } else { "" })
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
            assert!(taken(line).err().unwrap().is_usage(), "{line}");
        }
    }
}
