//! The inputs of a deployment that is restored beside the one it was made of: its own port, and nothing of the host's.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::language::playbook::Playbook;
use crate::world::host;

/// How many ports are tried.
const TRIES: usize = 100;
/// Ports that no system gives to connections by itself.
const FIRST: u16 = 20000;
const COUNT: u16 = 12000;

/// What is given of those that the playbook has.
pub(super) fn beside(playbook: &Playbook) -> Result<BTreeMap<String, Json>> {
    let mut given = BTreeMap::from([
        ("port", json!(free_port()?)),
        ("bind", json!("127.0.0.1")),
        // Neither a client nor a name of the host is told of it.
        ("trust", json!("no")),
        ("also-trust", json!("")),
        ("hosts-entry", json!(false)),
        ("replaces-containers", json!([])),
        // Nobody is in front of it, and its own authority issues its certificate.
        ("public-url", json!("")),
        ("plain-http", json!(false)),
        ("trusted-proxy", json!([])),
        ("certificate", json!("")),
        ("certificate-key", json!("")),
        ("restart", json!("no")),
    ]);
    // It sends no mail.
    for input in ["smtp", "smtp-password", "smtp-ca", "mail-from"] {
        given.insert(input, json!(""));
    }
    let known = given.into_iter().filter(|(name, _)| playbook.input(name).is_some());
    Ok(known.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn free_port() -> Result<u16> {
    for _ in 0..TRIES {
        let port = FIRST + u16::from_le_bytes(host::random::<2>()?) % COUNT;
        if host::port_is_free(port) {
            return Ok(port);
        }
    }
    Err(Error::new(format!("no free port was found ({TRIES} were tried)"))
        .hint("`ss -tln` shows which ports are taken"))
}
