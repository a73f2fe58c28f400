//! The sites in a configuration of nginx, and what of one more would clash with them: [`Sites`].

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::formats::nginx::{Directive, WORDS, all, parse};

/// Where Debian's nginx reads sites from, by links to the folder beside.
const ENABLED: &str = "/etc/nginx/sites-enabled";
/// How the names of variables begin that a site of ours computes for all of nginx.
const VARIABLES: [&str; 3] = ["$password_", "$watch_", "$registry_api_version"];

/// A configuration, file by file.
pub(super) struct Sites {
    files: Vec<(String, Vec<Directive>)>,
}

/// One `listen`.
#[derive(Debug, PartialEq, Eq)]
struct Listen {
    /// None for all addresses.
    address: Option<String>,
    port: u16,
    tls: bool,
}

/// The file of a site on Debian's nginx, and the link to it.
pub(super) fn of_debian(site: &str) -> (String, String) {
    (format!("/etc/nginx/sites-available/{site}.conf"), format!("{ENABLED}/{site}.conf"))
}

impl Sites {
    /// Reads files; the first is the main one. One that cannot be understood counts as empty: nginx itself accepts it.
    pub fn read(files: &[(String, String)]) -> Self {
        let mut left = WORDS;
        let read = |(path, text): &(String, String)| (path.clone(), parse(text, &mut left).unwrap_or_default());
        Self { files: files.iter().map(read).collect() }
    }

    /// The group of its workers, if it is written (`user`; where that names no group, it is that of the user's name).
    pub fn group(&self) -> Option<String> {
        let (_, main) = self.files.first()?;
        main.iter().find(|directive| directive.name == "user")?.words.last().cloned()
    }

    /// Where the file of a site belongs, and the link that makes nginx read it, which may be empty.
    ///
    /// # Errors
    /// It includes no folder of sites.
    pub fn place(&self, site: &str) -> Result<(String, String)> {
        let (main, directives) =
            self.files.first().map_or(("", &[][..]), |(path, all)| (path.as_str(), all.as_slice()));
        let http = directives.iter().filter(|directive| directive.name == "http").flat_map(|http| &http.block);
        let includes = http.filter(|directive| directive.name == "include").filter_map(Directive::word);
        let base = main.rsplit_once('/').map_or("/etc/nginx", |(folder, _)| folder);
        let whole = |pattern: String| if pattern.starts_with('/') { pattern } else { format!("{base}/{pattern}") };
        let folders: Vec<String> = includes
            .map(whole)
            .filter_map(|pattern| {
                let folder = pattern.strip_suffix("/*.conf").or_else(|| pattern.strip_suffix("/*"))?;
                (!folder.contains('*')).then(|| folder.to_owned())
            })
            .collect();
        if folders.iter().any(|folder| folder == ENABLED) {
            return Ok(of_debian(site));
        }
        match folders.iter().find(|folder| folder.ends_with("/conf.d")).or(folders.first()) {
            Some(folder) => Ok((format!("{folder}/{site}.conf"), String::new())),
            None => Err(Error::new(format!("the nginx of this host includes no folder of sites in `{main}`"))
                .hint("add `include /etc/nginx/conf.d/*.conf;` to its `http`, and run the command again")),
        }
    }

    /// Fails if a site with these names on this port, https or not, would clash with another one. `own` are the files that are the
    /// site's own, or that step aside for it.
    ///
    /// # Errors
    /// The first clash: with whose name, and in which file.
    pub fn check(&self, site: &str, names: &[String], (port, tls): (u16, bool), own: &[String]) -> Result<()> {
        let includes =
            self.files.iter().filter(|(path, _)| own.contains(path)).flat_map(|(_, all_of)| all(all_of, "include"));
        let own: BTreeSet<String> = own.iter().cloned().chain(includes.filter_map(Directive::word)).collect();
        let of = |mine: bool| {
            self.files.iter().filter({
                let own = &own;
                move |(path, _)| own.contains(path) == mine
            })
        };
        let servers = |directives: &[Directive]| -> Vec<(Vec<Listen>, BTreeSet<String>)> {
            let blocks = all(directives, "server").into_iter().filter(|directive| directive.words.is_empty());
            blocks.map(|server| (listens(&server.block), names_of(&server.block))).collect()
        };
        // What it has already, it has beside the others as they are.
        let there: Vec<_> = of(true).flat_map(|(_, directives)| servers(directives)).collect();
        let has = |name: &str| {
            there
                .iter()
                .any(|(listens, names)| names.contains(name) && listens.iter().any(|listen| listen.port == port))
        };
        let wanted: Vec<String> = names.iter().map(|name| written(name)).filter(|name| !has(name)).collect();
        for (path, directives) in of(false) {
            shared(site, path, directives)?;
            if wanted.is_empty() {
                continue;
            }
            for (listens, names) in servers(directives) {
                for listen in listens.iter().filter(|listen| listen.port == port) {
                    beside(listen, tls, path)?;
                    if let Some(name) = wanted.iter().find(|name| names.contains(*name)) {
                        return Err(Error::new(format!(
                            "`{name}` on port {port} is a site of nginx already: `{path}`"
                        ))
                        .hint(
                            "give this one a name of its own with `--cn`, another `--port`, or take that site away",
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Fails if a site on all addresses of a port cannot be told by its name beside one that listens like this.
fn beside(listen: &Listen, tls: bool, path: &str) -> Result<()> {
    let port = listen.port;
    if listen.tls != tls {
        let word = if listen.tls { "https" } else { "plain http" };
        return Err(Error::new(format!("port {port} is taken by a site of nginx that speaks {word} there: `{path}`"))
            .hint("choose another port with `--port`, or take that site away"));
    }
    match &listen.address {
        None => Ok(()),
        Some(address) => Err(Error::new(format!(
            "a site of nginx listens on {address}:{port}, and what comes there is no other site's: `{path}`"
        ))
        .hint(format!(
            "have that one listen on all addresses, `listen {port}{};`, or choose another port with `--port`",
            if tls { " ssl" } else { "" }
        ))),
    }
}

/// Fails if a file has what is one for all of nginx under a name of ours.
fn shared(site: &str, path: &str, directives: &[Directive]) -> Result<()> {
    let clash = |what: &str, name: &str| {
        Err(Error::new(format!("nginx has {what} `{name}` already, which is a name of this site's: `{path}`"))
            .hint("rename it there, or take that file away if it is of an earlier set-up"))
    };
    let ours = |name: &str| name == site || name.strip_prefix(site).is_some_and(|rest| rest.starts_with('-'));
    if let Some(name) = all(directives, "upstream").into_iter().filter_map(Directive::word).find(|name| ours(name)) {
        return clash("an upstream", &name);
    }
    for kind in ["limit_req_zone", "limit_conn_zone"] {
        for words in all(directives, kind).into_iter().map(|directive| &directive.words) {
            let zones = words.iter().filter_map(|word| word.strip_prefix("zone="));
            if let Some(name) = zones.filter_map(|zone| zone.split(':').next()).find(|name| ours(name)) {
                return clash("a zone", name);
            }
        }
    }
    let computed = ["map", "geo", "split_clients"].into_iter().flat_map(|kind| all(directives, kind));
    let mut variables = computed.filter_map(|directive| directive.words.last());
    match variables.find(|name| VARIABLES.iter().any(|start| name.starts_with(start))) {
        Some(name) => clash("a variable", name),
        None => Ok(()),
    }
}

/// A name as a site of ours writes it.
fn written(name: &str) -> String {
    if name.contains(':') { format!("[{name}]") } else { name.to_lowercase() }
}

fn names_of(server: &[Directive]) -> BTreeSet<String> {
    let names =
        server.iter().filter(|directive| directive.name == "server_name").flat_map(|directive| &directive.words);
    names.map(|name| name.to_lowercase()).collect()
}

fn listens(server: &[Directive]) -> Vec<Listen> {
    let ssl = server.iter().any(|directive| directive.name == "ssl" && directive.words == ["on"]);
    let found = server.iter().filter(|directive| directive.name == "listen");
    let mut found: Vec<Listen> = found.filter_map(|directive| listen(&directive.words, ssl)).collect();
    if !server.iter().any(|directive| directive.name == "listen") {
        found.push(Listen { address: None, port: 80, tls: ssl });
    }
    found
}

/// `443`, `*:443`, `[::]:443`, `192.0.2.1`, `192.0.2.1:443`, with what follows (`ngx_http_core_module`, "listen").
fn listen(words: &[String], ssl: bool) -> Option<Listen> {
    let (place, more) = words.split_first()?;
    if place.starts_with("unix:") {
        return None;
    }
    let tls = ssl || more.iter().any(|word| word == "ssl");
    if let Ok(port) = place.parse() {
        return Some(Listen { address: None, port, tls });
    }
    let (address, port) = match place.rsplit_once(':') {
        Some((address, port)) if !place.ends_with(']') => (address, port.parse().ok()?),
        _ => (place.as_str(), 80),
    };
    let everywhere = ["*", "0.0.0.0", "[::]"].contains(&address);
    Some(Listen { address: (!everywhere).then(|| address.to_owned()), port, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "user www-data; http { include mime.types; include /etc/nginx/conf.d/*.conf; include /etc/nginx/sites-enabled/*; }";

    fn sites(main: &str, more: &[(&str, &str)]) -> Sites {
        let main = ("/etc/nginx/nginx.conf", main);
        let files = std::iter::once(&main).chain(more);
        Sites::read(&files.map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn a_site_stands_where_nginx_reads_it() {
        let place = |main: &str| sites(main, &[]).place("r").map_err(|error| error.to_string());
        let in_folder = |file: &str| Ok((file.to_owned(), String::new()));
        assert_eq!(place(MAIN), Ok(of_debian("r")));
        assert_eq!(
            place("user nginx; http { include /etc/nginx/conf.d/*.conf; }"),
            in_folder("/etc/nginx/conf.d/r.conf")
        );
        assert_eq!(place("http { include vhosts/*.conf; }"), in_folder("/etc/nginx/vhosts/r.conf"));
        assert!(place("http { include mime.types; }").unwrap_err().contains("includes no folder of sites"));
        assert_eq!(sites("user nginx;", &[]).group().as_deref(), Some("nginx"));
        assert_eq!(sites("user web workers;", &[]).group().as_deref(), Some("workers"));
        assert_eq!(sites("http {}", &[]).group(), None);
    }

    #[test]
    fn sites_stand_beside_each_other_by_name_and_clashes_are_found() {
        let check = |site: &str| {
            let text = site.to_owned();
            let found = sites(MAIN, &[("/etc/nginx/sites-enabled/other", &text)]);
            let names = ["hub.example.com".to_owned(), "2001:db8::1".to_owned()];
            let own = ["/etc/nginx/sites-enabled/r.conf".to_owned()];
            found.check("r", &names, (443, true), &own).map_err(|error| error.to_string())
        };
        for beside in [
            "server { listen 443 ssl default_server; server_name www.example.com; }",
            "server { listen [::]:443 ssl; server_name *.example.com; }",
            "server { listen 80; server_name hub.example.com; }",
            "server { server_name hub.example.com; }",
            "server { listen unix:/run/x.sock; server_name hub.example.com; }",
            "upstream registry { server 127.0.0.1:5000; } limit_req_zone $remote_addr zone=r2:1m rate=1r/s;",
        ] {
            assert_eq!(check(beside), Ok(()), "{beside}");
        }
        for (clash, told) in [
            ("server { listen 443 ssl; server_name a HUB.example.com; }", "`hub.example.com` on port 443 is a site"),
            ("server { listen 443 ssl; server_name [2001:db8::1]; }", "`[2001:db8::1]` on port 443"),
            ("server { listen 443; server_name www; }", "speaks plain http"),
            ("server { listen 192.0.2.1:443 ssl; server_name www; }", "192.0.2.1:443"),
            ("upstream r-password { server 127.0.0.1:1; }", "an upstream `r-password`"),
            ("limit_conn_zone $remote_addr zone=r-of:1m;", "a zone `r-of`"),
            ("map $a $password_of { default 1; }", "a variable `$password_of`"),
        ] {
            assert!(check(clash).unwrap_err().contains(told), "{clash}: {:?}", check(clash));
        }
    }

    #[test]
    fn what_a_site_has_already_is_no_clash() {
        let server = "server { listen 443 ssl; server_name hub; }";
        let files = [("/etc/nginx/sites-enabled/a", server), ("/etc/nginx/sites-enabled/r.conf", server)];
        let own = ["/etc/nginx/sites-enabled/r.conf".to_owned()];
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            sites(MAIN, &files).check("r", &names, (443, true), &own)
        };
        assert!(check(&["hub"]).is_ok());
        assert!(check(&["hub", "new"]).is_ok());
        // A file that steps aside is in nobody's way.
        let own = files.map(|(path, _)| path.to_owned());
        assert!(sites(MAIN, &files).check("r", &["new".to_owned()], (443, true), &own).is_ok());
    }
}
