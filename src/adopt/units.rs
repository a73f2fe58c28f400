//! Finds what starts a registry on a host.

use super::host::Reader;
use super::unit::Unit;
use super::words;
use crate::world::tree::Look;

/// Where jobs and units stand, and which files there may be one.
const UNITS: [(&str, &str); 3] =
    [("/etc/init", ".conf"), ("/etc/systemd/system", ".service"), ("/lib/systemd/system", ".service")];
const DEFAULTS: [&str; 2] = ["/etc/default/docker-registry", "/etc/default/registry"];
/// Whether a job starts a registry, in Python or of today. One that listens on a socket is `provision`'s own.
fn runs_registry(text: &str) -> bool {
    ["docker_registry", "docker-registry", "registry serve"].iter().any(|word| text.contains(word))
        && !text.contains("for nginx alone: it listens on a socket")
}

impl Reader<'_> {
    pub(super) fn units(&mut self) {
        for (folder, ending) in UNITS {
            for name in self.names(folder) {
                let path = format!("{folder}/{name}");
                let Some(unit) = name.strip_suffix(ending) else { continue };
                let Some(seen) = self.file(&path) else { continue };
                if runs_registry(&seen.text) && !self.host.units.iter().any(|known| known.name == unit) {
                    let unit = self.whole(Unit::new(path, unit, seen));
                    self.host.units.push(unit);
                }
            }
        }
        for path in DEFAULTS {
            if let Some(seen) = self.file(path) {
                self.host.units.push(Unit::new(path.to_owned(), "", seen));
            }
        }
    }

    /// A unit with what is added to it, and with the variables of files that it reads, which go before its own
    /// (systemd.unit(5), systemd.exec(5), init(5) of upstart).
    fn whole(&mut self, mut unit: Unit) -> Unit {
        let mut additions = vec![format!("/etc/init/{}.override", unit.name)];
        for (folder, ending) in UNITS.iter().rev() {
            let folder = format!("{folder}/{}{ending}.d", unit.name);
            if matches!(self.tree.look(&folder), Look::Folder) {
                let names = self.names(&folder).into_iter().filter(|name| name.ends_with(".conf"));
                additions.extend(names.map(|name| format!("{folder}/{name}")));
            }
        }
        for path in additions {
            let Some(seen) = self.file(&path) else { continue };
            unit.variables.extend(words::variables(&seen.text));
            unit.text.push('\n');
            unit.text.push_str(&seen.text);
            unit.additions.push(path);
        }
        for path in words::variable_files(&unit.text) {
            if let Some(seen) = self.file(&path) {
                unit.variables.extend(words::variables(&seen.text));
            } else if !self.host.unread.contains(&path)
                && !path.starts_with("/etc/default/")
                && !path.starts_with("/lib/")
            {
                self.host.unclear.insert(format!("`{}` reads `{path}`, which is not there", unit.path));
            }
        }
        unit
    }
}
