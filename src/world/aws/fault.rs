//! What a call to AWS came back with instead of an answer, and what to do about it: [`Fault`].

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::Error;

/// One call: what an error names, and what a policy would have to allow.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub service: &'static str,
    pub operation: &'static str,
    /// The bucket, `BUCKET/KEY`, or the user that it is about.
    pub target: String,
    pub endpoint: Option<String>,
    pub partition: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub call: Box<Call>,
    /// None where the answer had none, as with `HEAD`, or where there was no answer.
    pub code: Option<String>,
    pub status: Option<u16>,
    message: String,
    /// The store's clock, as its answer told it.
    date: Option<String>,
    /// The region that a bucket is in, as an answer told it.
    pub region: Option<String>,
    html: bool,
}

/// Codes of a key that is not known, of a secret that is another, of a token that has run out, and of clocks that differ.
const UNKNOWN_KEY: [&str; 4] =
    ["InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"];
const WRONG_SECRET: [&str; 2] = ["SignatureDoesNotMatch", "IncompleteSignature"];
const EXPIRED: [&str; 4] = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"];
const CLOCK: [&str; 4] = ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", "InvalidSignatureException"];
const ELSEWHERE: [&str; 4] =
    ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect"];
const NO_CREDENTIALS: &str = "there are no credentials in the environment, in the profile, or of this machine";
const BROKEN_OFF: &str = "its answer broke off";
const BUSY: [&str; 5] = ["SlowDown", "ServiceUnavailable", "Throttling", "InternalError", "RequestTimeout"];
/// The answers of a store that has to do with the caller or with the moment, whatever is asked for.
const NOT_ABOUT_THE_CALL: [u16; 4] = [401, 403, 429, 503];

impl Call {
    /// The action that a policy must allow for it (AWS's service authorization reference; some differ from the call).
    fn action(&self) -> String {
        let action = match self.operation {
            "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
            "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "PutBucketPublicAccessBlock",
            "GetBucketEncryption" => "GetEncryptionConfiguration",
            "PutBucketEncryption" | "DeleteBucketEncryption" => "PutEncryptionConfiguration",
            "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
            "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "PutLifecycleConfiguration",
            "DeleteBucketOwnershipControls" => "PutBucketOwnershipControls",
            "DeleteBucketTagging" => "PutBucketTagging",
            "ListObjectsV2" | "HeadBucket" => "ListBucket",
            "ListObjectVersions" => "ListBucketVersions",
            "ListMultipartUploads" => "ListBucketMultipartUploads",
            "ListParts" => "ListMultipartUploadParts",
            "CreateMultipartUpload" | "UploadPart" => "PutObject",
            "DeleteObjects" => "DeleteObject",
            "HeadObject" => "GetObject",
            "ListBuckets" => "ListAllMyBuckets",
            other => other,
        };
        format!("{}:{action}", self.service)
    }

    fn resource(&self) -> String {
        match self.service {
            "s3" if self.target.is_empty() => "*".to_owned(),
            "s3" => format!("arn:{}:s3:::{}", self.partition, self.target),
            "iam" if !self.target.is_empty() => format!("arn:{}:iam::*:user/*{}", self.partition, self.target),
            _ => "*".to_owned(),
        }
    }

    /// The statement of a policy that allows it.
    pub fn statement(&self) -> String {
        format!(r#"{{"Effect":"Allow","Action":"{}","Resource":"{}"}}"#, self.action(), self.resource())
    }

    /// As an error names it: ``s3 CreateBucket of `acme` at `http://host` ``.
    pub fn describe(&self) -> String {
        let target = if self.target.is_empty() { String::new() } else { format!(" of `{}`", self.target) };
        let endpoint = self.endpoint.as_ref().map_or(String::new(), |endpoint| format!(" at `{endpoint}`"));
        format!("{} {}{target}{endpoint}", self.service, self.operation)
    }
}

/// The text between two XML tags.
fn tag(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut cause, mut parts) = (error, Vec::<String>::new());
    while let Some(inner) = cause.source() {
        cause = inner;
        parts.push(cause.to_string());
    }
    // The outer layers say no more than that something failed.
    parts.dedup();
    let from = parts.len().saturating_sub(2);
    if parts.is_empty() { error.to_string() } else { parts[from..].join(": ") }
}

/// Why a call was never sent, or got no answer.
fn dispatch(error: &(dyn std::error::Error + 'static)) -> String {
    let text = innermost(error);
    if text.contains("no credentials found") || text.contains("credential provider was not enabled") {
        return NO_CREDENTIALS.to_owned();
    }
    text.lines().next().unwrap_or_default().to_owned()
}

impl Fault {
    pub(super) fn of<E>(call: Call, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let raw = error.raw_response();
        let status = raw.map(|raw| raw.status().as_u16());
        let body = raw.and_then(|raw| raw.body().bytes()).map(String::from_utf8_lossy).unwrap_or_default();
        let header = |name: &str| raw.and_then(|raw| raw.headers().get(name)).map(str::to_owned);
        // Some stores call their errors HTML though they are XML: what it is, counts.
        let start: String = body.trim_start().chars().take(14).collect::<String>().to_ascii_lowercase();
        let html = start.starts_with("<!doctype html") || start.starts_with("<html");
        let code = error.code().map(str::to_owned).or_else(|| tag(&body, "Code"));
        let message = match error.message() {
            Some(message) => message.to_owned(),
            None if raw.is_none() => dispatch(error),
            None if raw.is_some_and(|raw| raw.status().is_success()) => {
                format!("its answer cannot be understood: {}", innermost(error))
            }
            None => tag(&body, "Message").unwrap_or_default(),
        };
        Self {
            region: header("x-amz-bucket-region").or_else(|| tag(&body, "Region")),
            date: header("date"),
            code: code.filter(|code| !code.is_empty()),
            call: Box::new(call),
            status,
            message,
            html,
        }
    }

    /// An answer that began, and broke off.
    pub(super) fn broken_off(call: Call, why: &str) -> Self {
        let message = format!("{BROKEN_OFF}: {why}");
        Self { call: Box::new(call), code: None, status: None, message, date: None, region: None, html: false }
    }

    pub fn is_broken_off(&self) -> bool {
        self.status.is_none() && self.message.starts_with(BROKEN_OFF)
    }

    /// What an answer about several things told of one of them.
    pub(super) fn told(call: Call, code: &str, message: &str) -> Self {
        // The same codes come with a status where the call is about one thing alone.
        let status = if code == "AccessDenied" { 403 } else { 200 };
        let code = Some(code.to_owned()).filter(|code| !code.is_empty());
        let message = message.to_owned();
        Self { call: Box::new(call), code, status: Some(status), message, date: None, region: None, html: false }
    }

    pub fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Whether the thing that the call is about is not there.
    pub fn is_missing(&self) -> bool {
        self.status == Some(404) || self.is(&["NoSuchBucket", "NoSuchEntity", "NoSuchKey", "NotFound"])
    }

    /// Whether these credentials may not make the call. A denial of IAM has no code that the SDK knows.
    pub fn is_denied(&self) -> bool {
        self.status == Some(403) && !self.is_about_the_key() && !self.is(&CLOCK)
    }

    /// Whether it is the key itself that is not known, or not known yet.
    pub fn is_about_the_key(&self) -> bool {
        self.is_unknown_key() || self.is_wrong_secret() || self.is(&EXPIRED)
    }

    pub fn has_no_credentials(&self) -> bool {
        self.status.is_none() && self.message == NO_CREDENTIALS
    }

    /// Garage has one code for all denials, and tells them apart by its words.
    fn is_unknown_key(&self) -> bool {
        self.is(&UNKNOWN_KEY) || self.message.contains("No such key: ")
    }

    fn is_wrong_secret(&self) -> bool {
        self.is(&WRONG_SECRET) || self.message.contains("Invalid signature")
    }

    /// Whether the store does not know such a call at all.
    pub fn is_unknown_call(&self) -> bool {
        let codes =
            ["NotImplemented", "MethodNotAllowed", "InvalidAction", "UnknownOperationException", "XNotImplemented"];
        self.is(&codes) || matches!(self.status, Some(405 | 501))
    }

    /// Whether the store took the call for something else, as one does that does not know the setting.
    pub fn is_not_understood(&self) -> bool {
        let meant = self.is(&ELSEWHERE) || self.is_about_the_key() || self.is(&CLOCK) || self.html;
        self.is_unknown_call() || (self.status == Some(400) && !meant)
    }

    /// Whether a store that gives this answer to a setting of a bucket has no such setting. What is about the caller, the place
    /// or the moment is an error; whatever else it says is the answer of a store that does not know what it was asked.
    pub fn is_no_setting(&self) -> bool {
        let passes = self.is(&["SlowDown", "ServiceUnavailable", "Throttling", "RequestTimeout"]);
        let caller = self.is_elsewhere() || self.is_about_the_key() || self.is(&CLOCK);
        !passes && !caller && self.status.is_some_and(|status| !NOT_ABOUT_THE_CALL.contains(&status))
    }

    /// Whether there is no such bucket. Another thing that is not there means that no store was asked for a bucket.
    pub fn is_no_bucket(&self) -> bool {
        let silent = self.code.as_deref().is_none_or(|code| code == "NotFound");
        self.is(&["NoSuchBucket"]) || (self.status == Some(404) && silent && !self.html)
    }

    /// Whether an unsigned request was turned away, or not even told that there is something.
    pub fn is_turned_away(&self) -> bool {
        matches!(self.status, Some(401 | 403 | 404))
    }

    /// Whether the call may have been carried out though no answer said so.
    pub fn is_uncertain(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }

    /// Whether the call was carried out, though its answer has a form that the SDK does not know.
    pub fn is_done(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the bucket is in another region than the call was signed for.
    pub fn is_elsewhere(&self) -> bool {
        self.is(&ELSEWHERE) || self.status == Some(301)
    }

    fn reason(&self) -> String {
        let parts: Vec<String> =
            [self.code.clone(), self.status.map(|status| format!("status {status}"))].into_iter().flatten().collect();
        let message = self.message.trim().trim_end_matches('.');
        match (message.is_empty(), parts.is_empty()) {
            (true, _) => parts.join(", "),
            (false, true) => message.to_owned(),
            (false, false) => format!("{message} ({})", parts.join(", ")),
        }
    }

    fn hint(&self) -> Option<String> {
        let clock = || {
            let theirs = self.date.as_ref().map_or(String::new(), |date| format!("; the store's clock says {date}"));
            format!("the clock of this host is wrong: `sudo timedatectl set-ntp true` sets it{theirs}")
        };
        let lower = self.message.to_lowercase();
        if self.html {
            return Some(
                "the endpoint is a web page, a proxy or a console and no S3: give the address of the API".to_owned(),
            );
        }
        if self.has_no_credentials() {
            return Some(
                "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`; `aws sts get-caller-identity` shows whether they work"
                    .to_owned(),
            );
        }
        if self.is(&CLOCK) || lower.contains("signature expired") || lower.contains("signature not yet current") {
            return Some(clock());
        }
        if self.is(&EXPIRED) {
            return Some("the session has ended: log in anew, with `aws sso login` for instance".to_owned());
        }
        if self.is_unknown_key() {
            return Some(
                "the store does not know this access key: see `AWS_ACCESS_KEY_ID`, `AWS_PROFILE` and `--endpoint`"
                    .to_owned(),
            );
        }
        if self.is_wrong_secret() {
            return Some(
                "the secret does not belong to the access key: see `AWS_SECRET_ACCESS_KEY` or the profile".to_owned(),
            );
        }
        if self.is_elsewhere() {
            return Some(match &self.region {
                Some(region) => format!("give the right region: `--region {region}`"),
                None => "give the region that the bucket is in with `--region`".to_owned(),
            });
        }
        if self.is_denied() {
            return Some(format!("a policy with this statement would allow it: {}", self.call.statement()));
        }
        match (self.is(&BUSY), self.status) {
            (true, _) | (_, Some(500..)) => Some("it was tried several times; run the command again later".to_owned()),
            (_, None) => Some(match &self.call.endpoint {
                Some(endpoint) => format!("check that something serves S3 at `{endpoint}`, then run the command again"),
                None => "check the network, then run the command again".to_owned(),
            }),
            _ => None,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let call = fault.call.describe();
        let what = match (fault.html, fault.status) {
            (true, _) => format!("{call} was answered with a web page (HTML), not by S3"),
            (_, None) => format!("{call} got no answer: {}", fault.reason()),
            _ if fault.is_denied() => format!("{call} is denied: {}", fault.reason()),
            _ => format!("{call} failed: {}", fault.reason()),
        };
        let error = Self::new(what);
        match fault.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
