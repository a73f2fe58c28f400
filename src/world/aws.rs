//! Amazon Web Services, and stores that speak its language: [`Aws`], one client of S3, IAM and STS for each [`Place`].
//!
//! Nothing here is set up before the first resource asks for it.

mod buckets;
mod fault;
mod identity;
mod objects;
mod order;
mod sized;
mod stored;
mod transfer;
mod users;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::secret::Secret;
use crate::world::proxy::{Proxies, Proxy};
use crate::world::{files, host};

pub(crate) use buckets::{Bucket, Encryption, Setting, Settings};
pub(crate) use fault::{Call, Fault};
pub(crate) use identity::Identity;
use order::in_order;
use sized::Sized;
pub(crate) use stored::{Fate, PAGE, Page, Stored};
pub(crate) use users::{AccessKey, User};

/// How often a call is sent before its error is told, with the SDK's growing pauses between.
const ATTEMPTS: u32 = 5;
/// Where a machine asks for its own role: no proxy knows whose that is.
const OF_THE_MACHINE: &str =
    "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23,localhost,127.0.0.1,::1";
/// Where a store that has no regions of its own is taken to be; the name goes into signatures only.
const ANYWHERE: &str = "us-east-1";

/// Which store, and with whose credentials.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// None or empty: what the environment or the profile says.
    pub region: Option<String>,
    /// None or empty: Amazon's own, or what `AWS_ENDPOINT_URL` says.
    pub endpoint: Option<String>,
    /// A key or a file with one, used where the usual chain has none.
    pub credentials: Option<String>,
    /// Authorities that are trusted beside those of the system, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

impl Place {
    /// The store that the fields of a resource name.
    pub fn of(
        region: Option<&str>,
        endpoint: Option<&str>,
        credentials: Option<&Secret>,
        authority: Option<&str>,
    ) -> Self {
        Self {
            region: region.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
            credentials: credentials.map(|key| key.expose().to_owned()),
            authority: authority.map(str::to_owned),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, endpoint, .. } = self;
        f.debug_struct("Place").field("region", region).field("endpoint", endpoint).finish_non_exhaustive()
    }
}

/// The clients of one place.
pub(crate) struct Aws {
    s3: aws_sdk_s3::Client,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    /// What the client of S3 was made of.
    config: SdkConfig,
    region: String,
    endpoint: Option<String>,
    watcher: Option<Events>,
    credentials: Option<SharedCredentialsProvider>,
    /// Keys of users that were read beside the users and not yet asked for.
    keys: Mutex<BTreeMap<String, Vec<AccessKey>>>,
}

/// The clients of a run, each made at its first use.
#[derive(Default)]
pub(crate) struct Clients(tokio::sync::Mutex<BTreeMap<Place, Arc<Aws>>>);

impl Clients {
    pub async fn get(&self, place: &Place, proxies: &Proxies, watcher: Option<Events>) -> Result<Arc<Aws>> {
        let mut clients = self.0.lock().await;
        if let Some(found) = clients.get(place) {
            return Ok(found.clone());
        }
        let made = Arc::new(Aws::connect(place, None, proxies, watcher).await?);
        clients.insert(place.clone(), made.clone());
        Ok(made)
    }
}

/// Whether an address is one of Amazon's own.
fn is_amazon(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or(url).split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|domain| host.ends_with(domain))
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

impl Place {
    /// Where S3 is asked for, if that is not Amazon's own address.
    pub fn endpoint(&self) -> Option<String> {
        let variable = || host::variable("AWS_ENDPOINT_URL_S3").or_else(|| host::variable("AWS_ENDPOINT_URL"));
        given(self.endpoint.as_ref())
            .map(str::to_owned)
            .or_else(variable)
            .map(|url| url.trim_end_matches('/').to_owned())
    }

    fn service_endpoint(&self, service: &str) -> Option<String> {
        let same = || self.endpoint().filter(|url| !is_amazon(url));
        host::variable(&format!("AWS_ENDPOINT_URL_{service}")).or_else(same)
    }

    async fn region(&self) -> Result<String> {
        if let Some(region) = given(self.region.as_ref()) {
            return Ok(region.to_owned());
        }
        if let Some(region) = host::variable("AWS_REGION").or_else(|| host::variable("AWS_DEFAULT_REGION")) {
            return Ok(region);
        }
        if let Some(region) = ProfileFileRegionProvider::builder().build().region().await {
            return Ok(region.to_string());
        }
        if self.endpoint().is_some() {
            return Ok(ANYWHERE.to_owned());
        }
        let here = ImdsRegionProvider::builder().build().region().await;
        here.map(|region| region.to_string()).ok_or_else(|| {
            Error::new("no region of AWS is given").hint("give one: `--region eu-central-1`, or set `AWS_REGION`")
        })
    }
}

/// Whether a text is a key itself, and no path of one: it has more than one line.
pub(crate) fn is_key(text: &str) -> bool {
    text.contains('\n')
}

/// Reads a key, or the file that holds it: two lines, id and secret, or the form of AWS's own credentials file.
///
/// # Errors
/// The file cannot be read, or there is no key; the text is not shown.
pub(crate) fn read_key(given: &str) -> Result<(String, Secret)> {
    let (name, text) = if is_key(given) {
        ("what was given".to_owned(), given.to_owned())
    } else {
        (format!("`{given}`"), files::read_text(Path::new(given))?)
    };
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let value = |name: &str| {
        let pairs = lines.iter().filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let found = match (value("aws_access_key_id"), value("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Some((id, secret)),
        _ if lines.len() == 2 && lines.iter().all(|line| !line.contains(char::is_whitespace)) => {
            Some((lines[0], lines[1]))
        }
        _ => None,
    };
    let found = found.filter(|(id, secret)| !id.is_empty() && !secret.is_empty());
    found.map(|(id, secret)| (id.to_owned(), Secret::new(secret))).ok_or_else(|| {
        Error::new(format!("{name} holds no access key")).hint(
            "write two lines, the id and the secret; or `aws_access_key_id = …` and `aws_secret_access_key = …` as in `~/.aws/credentials`",
        )
    })
}

/// What is known of TLS with stores; none where none is spoken, and the certificates of the system need not be read.
fn tls_context(addresses: &[String], authority: Option<&str>) -> Result<Option<TlsContext>> {
    if addresses.iter().all(|url| url.starts_with("http://")) {
        return Ok(None);
    }
    let mut trusted = TrustStore::empty().with_native_roots(true);
    if let Some(path) = host::variable("AWS_CA_BUNDLE") {
        trusted.add_pem_certificate(files::read_text(Path::new(&path))?.into_bytes());
    }
    if let Some(pem) = authority {
        trusted.add_pem_certificate(pem.as_bytes());
    }
    let context = TlsContext::builder().with_trust_store(trusted).build();
    context.map(Some).map_err(|error| Error::new(format!("cannot make an HTTPS client: {error}")))
}

/// A client for what is reached through a proxy, or directly.
fn http_client(context: Option<&TlsContext>, proxy: Option<&Proxy>) -> Result<SharedHttpClient> {
    let route = match proxy {
        None => ProxyConfig::disabled(),
        Some(proxy) => {
            let route = ProxyConfig::all(proxy.url.as_str())
                .map_err(|error| Error::new(format!("the proxy `{}` cannot be used: {error}", proxy.url)))?
                .no_proxy(OF_THE_MACHINE);
            match &proxy.login {
                Some((user, password)) => route.with_basic_auth(user, password),
                None => route,
            }
        }
    };
    let context = context.cloned();
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().proxy_config(route.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        match &context {
            Some(context) => {
                builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context.clone()).build()
            }
            None => builder.build_http(),
        }
    }))
}

impl Aws {
    /// Clients that sign with a given key, or with what the usual chain finds: the environment, the profile, SSO, the
    /// machine's own role.
    pub async fn connect(
        place: &Place,
        key: Option<(&str, &Secret)>,
        proxies: &Proxies,
        watcher: Option<Events>,
    ) -> Result<Self> {
        let region = place.region().await?;
        let [s3, iam, sts] = [place.endpoint(), place.service_endpoint("IAM"), place.service_endpoint("STS")];
        let at_amazon = |service: &str, endpoint: &Option<String>| {
            endpoint.clone().unwrap_or_else(|| format!("https://{service}.{region}.amazonaws.com"))
        };
        let addresses = [at_amazon("s3", &s3), at_amazon("iam", &iam), at_amazon("sts", &sts)];
        let context = tls_context(&addresses, given(place.authority.as_ref()))?;
        let client = |url: &str| http_client(context.as_ref(), proxies.of_url(url).as_ref());
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(sized::ANSWER.time)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client(&addresses[2])?)
            .region(Region::new(region.clone()))
            .retry_config(
                RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(200)),
            )
            .timeout_config(timeouts)
            // Stores that only resemble S3 know no checksums beside the signature.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let config = match credentials(place, key).await? {
            Some(provider) => loader.credentials_provider(provider).load().await,
            None => loader.load().await,
        };
        let at = |endpoint: Option<String>, url: &str| -> Result<SdkConfig> {
            let mut builder = config.clone().into_builder();
            builder.set_endpoint_url(endpoint);
            if proxies.of_url(url) != proxies.of_url(&addresses[2]) {
                builder.set_http_client(Some(client(url)?));
            }
            Ok(builder.build())
        };
        let path_style = s3.is_some();
        let s3_config = at(s3.clone(), &addresses[0])?;
        Ok(Self {
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&s3_config).force_path_style(path_style).interceptor(Sized).build(),
            ),
            iam: aws_sdk_iam::Client::from_conf(
                aws_sdk_iam::config::Builder::from(&in_order(at(iam, &addresses[1])?)).interceptor(Sized).build(),
            ),
            sts: aws_sdk_sts::Client::from_conf(
                aws_sdk_sts::config::Builder::from(&in_order(at(sts, &addresses[2])?)).interceptor(Sized).build(),
            ),
            config: s3_config,
            region,
            endpoint: s3,
            watcher,
            credentials: config.credentials_provider(),
            keys: Mutex::default(),
        })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where S3 is, if that is not Amazon's own address.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The same place with the region that was found for it, so that it is found again whatever the environment says then.
    pub fn settled(&self, place: &Place) -> Place {
        Place { region: Some(self.region.clone()), endpoint: self.endpoint.clone(), ..place.clone() }
    }

    /// Whether this is Amazon's own, which knows every setting.
    pub fn is_amazon(&self) -> bool {
        self.endpoint.as_deref().is_none_or(is_amazon)
    }

    /// A client of S3 that signs nothing, as anybody can ask. A store may break at that, and is not asked often.
    fn anybody(&self) -> aws_sdk_s3::Client {
        let mut config = self.config.clone().into_builder();
        config.set_credentials_provider(None);
        config.set_retry_config(Some(RetryConfig::standard().with_max_attempts(2)));
        let config = aws_sdk_s3::config::Builder::from(&config.build()).force_path_style(self.endpoint.is_some());
        aws_sdk_s3::Client::from_conf(config.allow_no_auth().interceptor(Sized).build())
    }

    /// The first part of the names of things there (`arn:aws:…`), which differs in China and for the US government.
    pub fn partition(&self) -> &'static str {
        match self.region.split('-').take(2).collect::<Vec<_>>().as_slice() {
            ["cn", ..] => "aws-cn",
            ["us", "gov"] => "aws-us-gov",
            _ => "aws",
        }
    }

    /// The key that calls are signed with; for stores that cannot tell whose it is.
    pub async fn key_id(&self) -> Option<String> {
        use aws_sdk_s3::config::ProvideCredentials;
        self.credentials.as_ref()?.provide_credentials().await.ok().map(|found| found.access_key_id().to_owned())
    }

    fn call(&self, service: &'static str, operation: &'static str, target: &str) -> Call {
        Call {
            service,
            operation,
            target: target.to_owned(),
            endpoint: self.endpoint.clone(),
            partition: self.partition(),
        }
    }

    /// Sends a call and gives its error as one that can be looked at and told. The SDK's futures are large: it is boxed.
    fn send<'a, T, E>(
        &self,
        call: Call,
        answer: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<T, Fault>> + Send + 'a>>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        if let Some(events) = &self.watcher {
            let method = format!("{} {}", call.service, call.operation);
            events.send(Event::Request { method, path: call.target.clone() });
        }
        Box::pin(async move { answer.await.map_err(|error| Fault::of(call, &error)) })
    }

    fn deposit(&self, user: &str, keys: Vec<AccessKey>) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), keys);
    }

    fn withdraw(&self, user: &str) -> Option<Vec<AccessKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(user)
    }
}

/// Whose credentials are used, if that is not the usual chain.
async fn credentials(place: &Place, key: Option<(&str, &Secret)>) -> Result<Option<SharedCredentialsProvider>> {
    let fixed = |id: &str, secret: &Secret| Credentials::new(id, secret.expose(), None, None, "provision");
    if let Some((id, secret)) = key {
        return Ok(Some(SharedCredentialsProvider::new(fixed(id, secret))));
    }
    let Some(key) = given(place.credentials.as_ref()) else { return Ok(None) };
    let (id, secret) = read_key(key)?;
    if host::variable("AWS_PROFILE").is_some() || host::variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").is_some() {
        let usual = DefaultCredentialsChain::builder().build().await;
        return Ok(Some(SharedCredentialsProvider::new(usual)));
    }
    // The machine's own role is not asked for: that takes seconds where there is none.
    let chain = CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().build())
        .or_else("File", fixed(&id, &secret));
    Ok(Some(SharedCredentialsProvider::new(chain)))
}
