//! The account of AWS, or of a store like it, that a deployment is in: [`AccountKind`].

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, public};
use crate::secret::Secret;
use crate::world::aws::{Identity, Place};
use crate::world::http::{connects, resolve};

pub(crate) struct AccountKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The region; by default what the environment or the profile says.
    region: Option<String>,
    /// The URL of a store that is not Amazon's.
    endpoint: Option<String>,
    /// An access key in two lines, id and secret, or the file that holds one; used where the usual chain (environment, profile, role) has none.
    credentials: Option<Secret>,
    /// Authorities that an endpoint with `https://` is trusted by, beside those of the system, in PEM.
    authority: Option<String>,
    /// Whether containers have to reach the endpoint too.
    #[serde(default)]
    containers: bool,
}

/// What is kept at the first run: whose credentials it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pin {
    identity: Identity,
    place: Place,
}

pub(crate) struct Actual {
    pinned: Option<Identity>,
    now: Identity,
    region: String,
    endpoint: String,
}

impl Spec {
    fn place(&self) -> Place {
        let (region, endpoint, authority) =
            (self.region.as_deref(), self.endpoint.as_deref(), self.authority.as_deref());
        Place::of(region, endpoint, self.credentials.as_ref(), authority)
    }
}

fn named(identity: &Identity) -> String {
    if identity.account.is_empty() {
        format!("`{}`", identity.arn)
    } else {
        format!("`{}` of the account {}", identity.arn, identity.account)
    }
}

/// Fails if other credentials are in use than those that the deployment was made with. Two users of one account are the
/// same; where accounts are not known, the user or the key itself counts.
fn refuse_other(pinned: Option<&Identity>, now: &Identity) -> Result<()> {
    let same = |pinned: &&Identity| match (pinned.account.as_str(), now.account.as_str()) {
        ("", "") => pinned.arn == now.arn,
        (pinned, now) => pinned == now,
    };
    let Some(other) = pinned.filter(|pinned| !same(pinned)) else { return Ok(()) };
    Err(Error::new(format!(
        "this deployment was made with the credentials of {}, and these are those of {}",
        named(other),
        named(now)
    ))
    .hint("use the former again, with `AWS_PROFILE` for instance, or set up another deployment with `--name`")
    .decisive())
}

impl Kind for AccountKind {
    const NAME: &'static str = "account";
    const ABOUT: &'static str =
        "the account of AWS, or of a store like it, whose credentials are in use; another one later is refused";
    const OUTPUTS: &'static [Output] = &[public("arn"), public("account"), public("region"), public("endpoint")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Kept;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let aws = at.aws(&spec.place()).await?;
        let pinned = at.kept_json::<Pin>()?.map(|pin| pin.identity);
        let now = aws.identity().await.map_err(|fault| {
            // Every other call fails for the same reason, and this one tells it best.
            let for_all = fault.is_about_the_key() || fault.has_no_credentials();
            if for_all { Error::from(fault).decisive() } else { fault.into() }
        })?;
        let (region, endpoint) = (aws.region().to_owned(), aws.endpoint().unwrap_or_default().to_owned());
        Ok(Some(Actual { pinned, now, region, endpoint }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        if let Some(actual) = actual {
            refuse_other(actual.pinned.as_ref(), &actual.now)?;
        }
        match actual.filter(|_| spec.containers) {
            Some(actual) if !actual.endpoint.is_empty() => reachable(&actual.endpoint, at).await,
            _ => Ok(()),
        }
    }

    fn diff(_: &Spec, actual: &Actual, _: &At) -> Change {
        let field = |name: &str, new: &str| Field::compare(name, "", new);
        if actual.pinned.is_some() {
            return Change::unchanged();
        }
        let fields = [field("arn", &actual.now.arn), field("account", &actual.now.account)];
        Change::of(Action::Create, fields.into_iter().flatten().collect())
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown(Self::OUTPUTS, &at.id) };
        Outputs::default()
            .with("arn", actual.now.arn.as_str())
            .with("account", actual.now.account.as_str())
            .with("region", actual.region.as_str())
            .with("endpoint", actual.endpoint.as_str())
    }

    fn pending(spec: &Spec, actual: &Actual, at: &At) -> Outputs {
        Self::outputs(spec, Some(actual), at)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let Some(actual) = actual else { return Ok(()) };
        let place = at.aws(&spec.place()).await?.settled(&spec.place());
        at.keep_json(&Pin { identity: actual.now, place }).await
    }

    async fn undo(undo: Kept, at: &At) -> Result<()> {
        undo.restore(at)
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    /// With other credentials, what is to be removed would not be found, and would be left behind.
    async fn may_remove(owned: &Owned, at: &At) -> Result<()> {
        let at = At { id: owned.id.clone(), ..at.clone() };
        let Some(pin) = at.kept_json::<Pin>()? else { return Ok(()) };
        let now = at.aws(&pin.place).await?.identity().await?;
        refuse_other(Some(&pin.identity), &now)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.store().delete(&owned.handle)
    }
}

/// Fails if containers cannot reach an endpoint because it stands on the loopback, and says by which address they can.
async fn reachable(endpoint: &str, at: &At) -> Result<()> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
        Some((host, port)) => (host, port.parse().unwrap_or_default()),
        None => (authority, if scheme == "https" { 443 } else { 80 }),
    };
    let bare = host.trim_matches(['[', ']']);
    let loopback = bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
        || resolve(&format!("{host}:{port}")).await.is_some_and(|address| address.ip().is_loopback());
    if !loopback {
        return Ok(());
    }
    let what = format!("containers cannot reach `{endpoint}`: in a container, `{host}` is the container itself");
    let gateway = at.engine().await?.bridge_gateway().await?;
    let Some(gateway) = gateway else {
        return Err(Error::new(what).hint("give an address of this host that others reach: `--endpoint`"));
    };
    let instead = format!("{scheme}://{gateway}:{port}");
    let listens = match gateway.parse::<IpAddr>() {
        Ok(address) => connects(SocketAddr::new(address, port)).await,
        Err(_) => false,
    };
    Err(Error::new(what).hint(if listens {
        format!("give the address by which they reach this host: `--endpoint {instead}`")
    } else {
        format!("have the store listen on {gateway} (it listens on the loopback only), and give `--endpoint {instead}`")
    }))
}
