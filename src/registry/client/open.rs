//! From what a user types to a client: a deployment's name, or an address.

use std::path::{Path, PathBuf};

use super::{Address, Login, Nature, Registry};
use crate::deployment::{Record, Store, names};
use crate::error::{Error, Result, did_you_mean};
use crate::secret::Secret;
use crate::world::engine::Engine;
use crate::world::http::{Route, resolve};
use crate::world::proxy::Proxies;
use crate::world::web::Trust;
use crate::world::{files, host};

impl Registry {
    /// Opens a registry: a deployment of ours by its name, with its authority and login, or any other by its address, with
    /// the authorities and logins that Docker and podman know for it. Nothing is asked of it yet.
    ///
    /// # Errors
    /// There is no such deployment, it is no registry of today, or the address cannot be understood.
    pub async fn open(place: &str) -> Result<Self> {
        if place.contains("://") {
            return Self::elsewhere(Address::parse(place)?).await;
        }
        let deployments = names()?;
        if deployments.iter().any(|name| name == place) {
            let (store, record) = Store::existing(place)?;
            return Self::of_deployment(&store, &record).await;
        }
        if place.contains(['.', ':']) || place == "localhost" {
            return Self::elsewhere(Address::parse(place)?).await;
        }
        let known: Vec<&str> = deployments.iter().map(String::as_str).collect();
        Err(Error::new(format!("`{place}` is no deployment, and no address of a registry")).hint(if known.is_empty() {
            "write `https://HOST:PORT`; `provision registry` sets one up".to_owned()
        } else {
            format!("{}; the address of another registry is written `https://HOST:PORT`", did_you_mean(place, &known))
        }))
    }

    /// The registry of a deployment.
    pub async fn of_deployment(store: &Store, record: &Record) -> Result<Self> {
        let name = store.name();
        if record.kept {
            return Err(Error::new(format!("the deployment `{name}` was destroyed, and its data was kept"))
                .hint(format!("`provision apply {name}` takes the data up again")));
        }
        let output = |name: &str| record.outputs.get(name).cloned().filter(|value| !value.is_empty());
        if record.playbook.name == "registry-v1" {
            return Err(Error::new(format!(
                "the registry of `{name}` speaks the first API, which no client of today speaks"
            ))
            .hint("`provision registry` sets up one of today"));
        }
        let url = output("direct")
            .or_else(|| output("url"))
            .or_else(|| output("registry").map(|registry| format!("https://{registry}")));
        let (Some(url), Some(user)) = (url, output("user")) else {
            return Err(Error::new(format!("the deployment `{name}` is no registry, or its set-up did not end"))
                .hint(format!("`provision status {name}` shows what it has")));
        };
        let address = Address::parse(&url)?;
        let password = store.get("secret/password")?.map(Secret::new);
        let login = password.map(|password| Login::Password { user, password });
        // With a certificate that another program manages, or a proxy in front that has one, it is trusted as any other.
        let authority = output("ca").map(|ca| files::read_text(&PathBuf::from(ca))).transpose()?;
        let trust = authority.as_deref().map_or(Trust::System(&[]), Trust::Authority);
        // On whichever host it is, a name that others know it by may mean nothing here.
        let far =
            if record.engine.is_some() { Engine::connect(None)?.host().to_owned() } else { "127.0.0.1".to_owned() };
        let route = resolve(&format!("{far}:{}", address.port)).await.map_or(Route::Direct, Route::Address);
        let input = |name: &str| record.inputs.get(name);
        let nature = Nature {
            deployment: Some(name.to_owned()),
            mirror_of: input("mirror-of").and_then(|url| url.as_str()).filter(|url| !url.is_empty()).map(str::to_owned),
            keeps_all: input("delete").is_some_and(|delete| *delete == false),
        };
        Self::with(address, &route, &trust, login, nature)
    }

    /// A registry behind a socket of this host, which asks nobody who they are. `name` stands for it in messages.
    ///
    /// # Errors
    /// No client can be made.
    pub fn at_socket(path: &Path, name: &str) -> Result<Self> {
        let (name, host) = (name.to_owned(), "localhost".to_owned());
        let address = Address { base: "http://localhost".to_owned(), name, host, port: 80 };
        Self::new(address, &Route::Socket(path.to_owned()), &Trust::Authority(""), None)
    }

    async fn elsewhere(address: Address) -> Result<Self> {
        let proxies = Proxies::of_environment()?;
        let route = proxies.of_url(&address.base).map_or(Route::Direct, Route::Through);
        let login = Login::stored(&address.name).await?;
        let authorities = authorities(&address.name)?;
        Self::new(address, &route, &Trust::System(&authorities), login)
    }
}

/// The certificates that Docker and podman were given for a registry (`containers-certs.d(5)`).
fn authorities(name: &str) -> Result<Vec<Vec<u8>>> {
    let own = host::home().ok().map(|home| home.join(".config/containers/certs.d"));
    let folders = ["/etc/docker/certs.d", "/etc/containers/certs.d"].into_iter().map(PathBuf::from).chain(own);
    let mut found = Vec::new();
    for folder in folders.map(|folder| folder.join(name)).filter(|folder| files::is_folder(folder)) {
        for file in files::names(&folder)?.iter().filter(|file| file.ends_with(".crt")) {
            found.extend(files::read_through(&folder.join(file))?);
        }
    }
    Ok(found)
}
