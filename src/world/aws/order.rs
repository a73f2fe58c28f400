//! Answers of IAM and STS as the SDK reads them: [`in_order`].
//!
//! The SDK takes the two elements of an answer in one order only, and Ceph has the other one: `ResponseMetadata` first. It holds
//! the number of the request and nothing else, so it is left out.

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http_body_util::Limited;

use super::sized::ANSWER;

#[derive(Debug)]
struct Client(SharedHttpClient);

#[derive(Debug)]
struct Connector(SharedHttpConnector);

/// The same configuration of a client, with the elements of its answers in the order that the SDK knows.
pub(super) fn in_order(config: SdkConfig) -> SdkConfig {
    let client = config.http_client().map(|client| SharedHttpClient::new(Client(client)));
    let mut builder = config.into_builder();
    builder.set_http_client(client);
    builder.build()
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let body = SdkBody::from_body_1_x(Limited::new(answer.take_body(), ANSWER.size()));
            let body = ByteStream::new(body).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?.to_vec();
            answer.headers_mut().remove("content-length");
            *answer.body_mut() = SdkBody::from(without_metadata(body));
            Ok(answer)
        })
    }
}

/// An answer without its metadata, wherever they stand.
fn without_metadata(body: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&body) else { return body };
    let [empty, start, end] = ["<ResponseMetadata/>", "<ResponseMetadata>", "</ResponseMetadata>"];
    if let Some((before, after)) = text.split_once(empty) {
        return [before, after].concat().into_bytes();
    }
    match text.split_once(start).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1))) {
        Some((before, after)) => [before, after].concat().into_bytes(),
        None => body,
    }
}

#[cfg(test)]
mod tests {
    use super::without_metadata;

    #[test]
    fn metadata_are_left_out_wherever_they_stand() {
        let metadata = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>";
        for (given, wanted) in [
            (format!("<A>{metadata}<AResult>x</AResult></A>"), "<A><AResult>x</AResult></A>"),
            (format!("<A><AResult>x</AResult>{metadata}</A>"), "<A><AResult>x</AResult></A>"),
            ("<A><ResponseMetadata/><AResult/></A>".to_owned(), "<A><AResult/></A>"),
            ("<A><AResult/></A>".to_owned(), "<A><AResult/></A>"),
            ("<A><ResponseMetadata><AResult/></A>".to_owned(), "<A><ResponseMetadata><AResult/></A>"),
        ] {
            assert_eq!(String::from_utf8(without_metadata(given.into_bytes())).unwrap(), wanted);
        }
        assert_eq!(without_metadata(vec![0xff, 0xfe]), [0xff, 0xfe]);
    }
}
