//! The nginx of this host, and whether one more site has room in it: [`NginxKind`].

mod sites;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::Result;
use crate::resource::change::Change;
use crate::resource::{At, Kind, Output, Outputs, public};
use crate::world::accounts::{self, GROUPS};
use crate::world::nginx;
use sites::Sites;

pub(crate) struct NginxKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// What the file of the site is called, and how the names of its upstreams and zones begin.
    site: String,
    /// The names that the site answers to.
    names: Vec<String>,
    /// The TCP port that it listens on.
    port: u16,
    /// Whether it speaks https there.
    tls: bool,
    /// Files of an earlier set-up that step aside for it: what stands in them is in nobody's way.
    #[serde(default)]
    replaces: Vec<String>,
}

pub(crate) struct Actual {
    /// Its configuration; none where there is no nginx yet, or a tree is rendered for a host that is not known.
    sites: Option<Sites>,
}

impl Kind for NginxKind {
    const NAME: &'static str = "nginx";
    const ABOUT: &'static str =
        "the nginx of this host: where it reads a site from, as whom it runs, and whether a site clashes with another";
    /// `file` is where the site stands, `link` what makes nginx read it where that is another path, `group` that of its workers.
    const OUTPUTS: &'static [Output] = &[public("file"), public("link"), public("group")];
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = ();

    async fn actual(_: &Spec, at: &At) -> Result<Option<Actual>> {
        if at.store().is_rendering() {
            return Ok(Some(Actual { sites: None }));
        }
        Ok(Some(Actual { sites: nginx::written().await?.map(|files| Sites::read(&files)) }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, _: &Change, _: &At) -> Result<()> {
        let Some(sites) = actual.and_then(|actual| actual.sites.as_ref()) else { return Ok(()) };
        let (file, link) = sites.place(&spec.site)?;
        // nginx tells a site by the path by which it has found it.
        let mut own = vec![file, link];
        own.extend(spec.replaces.iter().cloned());
        sites.check(&spec.site, &spec.names, (spec.port, spec.tls), &own)
    }

    fn diff(_: &Spec, _: &Actual, _: &At) -> Change {
        Change::unchanged()
    }

    fn outputs(spec: &Spec, actual: Option<&Actual>, _: &At) -> Outputs {
        let sites = actual.and_then(|actual| actual.sites.as_ref());
        let (file, link) =
            sites.and_then(|sites| sites.place(&spec.site).ok()).unwrap_or_else(|| sites::of_debian(&spec.site));
        let group = sites.and_then(Sites::group).unwrap_or_else(|| {
            // As its packages were built, Debian's and nginx.org's.
            let theirs = ["www-data", "nginx"].into_iter().find(|group| accounts::id_of(GROUPS, group).is_some());
            theirs.unwrap_or("www-data").to_owned()
        });
        Outputs::default().with("file", file).with("link", link).with("group", group)
    }

    async fn apply(_: &Spec, _: Option<Actual>, _: &Change, _: &At) -> Result<()> {
        Ok(())
    }

    async fn undo((): (), _: &At) -> Result<()> {
        Ok(())
    }
}
