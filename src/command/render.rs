//! `provision render`: writes every file that an installation on a host needs into a folder, and tells what remains to be done.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;

use super::apply;
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::event::{Event, RenderedFile};
use crate::resource::host::{folder, package, service};
use crate::session::{Session, Target};
use crate::text::shell::{self, quoted};
use crate::world::files;
use crate::world::init::Init;

pub(crate) async fn run(session: &Session, mut target: Target, out: &str) -> Result<()> {
    let host = target.playbook.input("on").filter(|input| input.choices.iter().any(|choice| choice == "host"));
    if host.is_none() {
        return Err(Error::usage(format!("the playbook `{}` installs nothing on a host", target.playbook.name))
            .hint("`provision render registry --out DIR` writes the files of a registry"));
    }
    target.given.insert("on".to_owned(), Json::from("host"));
    let name = target.name.get_or_insert_with(|| format!("{}-render", target.playbook.name)).clone();
    let root = files::absolute(out)?;
    if root == "/" {
        return Err(Error::usage("files are rendered into a folder of their own, not over this host")
            .hint(format!("`provision {} --on host` installs on this host", target.playbook.name)));
    }
    target.root = Some(root.clone());
    apply::run(session, target, "render").await?;
    let (store, _) = Store::existing(&name)?;
    let files = entries(&store)?;
    let commands = commands(&store, &root, &files)?;
    session.events.send(Event::Rendered { root, files, commands });
    Ok(())
}

fn entries(store: &Store) -> Result<Vec<RenderedFile>> {
    let mut entries = Vec::new();
    for service in service::Record::all(store)? {
        let files = service.files.into_iter();
        entries.extend(files.map(|(path, file)| RenderedFile { mode: file.mode, owner: file.owner, path }));
    }
    let folders = folder::Record::all(store)?;
    let marked = folders.iter().filter(|folder| folder.mark);
    entries.extend(marked.map(|folder| RenderedFile {
        mode: "0644".to_owned(),
        owner: "root:root".to_owned(),
        path: folder.mark(),
    }));
    let folders = folders.into_iter();
    entries.extend(folders.map(|folder| RenderedFile {
        mode: folder.mode,
        owner: folder.owner,
        path: format!("{}/", folder.path),
    }));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn commands(store: &Store, root: &str, entries: &[RenderedFile]) -> Result<Vec<String>> {
    let packages: BTreeSet<String> =
        package::Record::all(store)?.into_iter().flat_map(|record| record.wanted).collect();
    let mut commands = Vec::new();
    if !packages.is_empty() {
        commands.push(format!("apt-get install {}", shell::line(packages)));
    }
    // Folders that the host has keep their owner and mode.
    commands.push(format!("tar -C {} -cf - . | tar -C / -xf - --no-same-owner --no-overwrite-dir", quoted(root)));
    let services = service::Record::all(store)?;
    // It also makes the users that files belong to.
    commands
        .extend(services.iter().filter(|service| !service.setup.is_empty()).map(|service| shell::line(&service.setup)));
    let foreign = entries.iter().filter(|entry| entry.owner != "root:root");
    commands.extend(foreign.map(|entry| shell::line(["chown", &entry.owner, &entry.path])));
    if services.iter().any(|service| service.init == Init::Systemd) {
        commands.push("systemctl daemon-reload".to_owned());
    }
    commands.extend(services.iter().map(start));
    if entries.iter().any(|entry| Path::new(&entry.path).starts_with("/usr/local/share/ca-certificates")) {
        commands.push("update-ca-certificates   # only if programs of that host are to trust the authority".to_owned());
    }
    Ok(commands)
}

/// How a service takes up its files. The package's own may run already, or not yet.
fn start(service: &service::Record) -> String {
    let tested = if service.check.is_empty() { String::new() } else { format!("{} && ", shell::line(&service.check)) };
    let unit = quoted(&service.unit);
    match (service.init, service.verb.as_str()) {
        (Init::Systemd, "reload") => format!("{tested}systemctl reload-or-restart {unit}"),
        (Init::Systemd, _) => format!("{tested}systemctl enable {unit} && systemctl restart {unit}"),
        (Init::Sysv, _) => format!("{tested}update-rc.d {unit} defaults && service {unit} restart"),
        // Upstart restarts nothing that does not run.
        (Init::Upstart, _) => format!("{tested}service {unit} restart || service {unit} start"),
    }
}
