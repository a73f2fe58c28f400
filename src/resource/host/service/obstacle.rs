//! What stands in the way of a service: files of somebody else, and ports that somebody else holds.

use std::path::Path;

use super::spec::{Body, File};
use super::{Actual, Spec};
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::{dpkg, host, inode};

/// Finds what somebody else put where a file is to stand. What a package brought and nobody changed may be replaced.
pub(super) async fn foreign(file: &File<'_>, spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
    let known = actual.record.as_ref().is_some_and(|record| record.files.contains_key(file.path));
    let Some(Some(found)) = actual.found.get(file.path).filter(|_| !known) else { return Ok(()) };
    let path = file.below(at.store().root());
    match (&found.body, file.body) {
        (inode::Body::Folder, Body::Folder) => return Ok(()),
        (inode::Body::Folder, Body::Gone) => {
            return Err(Error::new(format!("`{}` is a folder, and files alone can be replaced", path.display()))
                .hint("name the files in it"));
        }
        _ if spec.takes_over(file.path) => return Ok(()),
        (inode::Body::File(content), Body::File(wanted)) if content == wanted.as_bytes() => return Ok(()),
        (inode::Body::Link(target), Body::Link(wanted)) if target == Path::new(wanted) => return Ok(()),
        (inode::Body::File(content), Body::File(_)) if dpkg::is_unchanged(&path, content).await => return Ok(()),
        _ => {}
    }
    Err(Error::new(format!("`{}` is there already and was not written by this deployment", path.display()))
        .hint("look what it is for; move it away if it is in the way. Nothing was changed"))
}

/// Finds who holds a port that the service is going to listen on.
pub(super) fn ports(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
    for port in spec.ports.iter().filter(|_| actual.record.is_none()) {
        if host::port_is_free(*port) {
            continue;
        }
        let holder = host::port_holder(*port);
        if holder.as_ref().is_some_and(|holder| lets_go(spec, actual, *port, holder, at)) {
            continue;
        }
        let holder = holder.map_or_else(|| "another process".to_owned(), |holder| format!("`{holder}`"));
        return Err(Error::new(format!("port {port} is taken by {holder}"))
            .hint("stop that one, or take its site away; or choose another port with `--port`"));
    }
    Ok(())
}

/// Whether the service itself holds a port and shares it, or because a file that steps aside says so: then it goes over to the
/// new ones.
fn lets_go(spec: &Spec, actual: &Actual, port: u16, holder: &str, at: &At) -> bool {
    let own = holder.split(' ').next() == Some(&spec.unit(at));
    if own && spec.shares {
        return true;
    }
    let port = port.to_string();
    let says = |content: &[u8]| {
        let text = String::from_utf8_lossy(content).into_owned();
        text.split(|c: char| !c.is_ascii_digit()).any(|word| word == port)
    };
    let mut found = spec.replaced().filter_map(|path| actual.found.get(path)?.as_ref());
    own && found.any(|found| matches!(&found.body, inode::Body::File(content) if says(content)))
}
