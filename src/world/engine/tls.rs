//! TLS with an engine: whom it is believed, and with which certificate of our own: [`Material`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, Result};
use crate::world::files;

/// The files `ca.pem`, `cert.pem` and `key.pem` of a folder, as far as they are there.
#[derive(Default)]
pub(super) struct Material {
    authority: Option<File>,
    certificate: Option<File>,
    key: Option<File>,
}

struct File {
    path: PathBuf,
    content: Vec<u8>,
}

impl Material {
    /// Reads what is there; none if nothing is. Where `needed`, there must be an authority.
    pub fn in_folder(folder: &Path, needed: bool) -> Result<Option<Self>> {
        let read = |name: &str| -> Result<Option<File>> {
            let path = folder.join(name);
            Ok(files::read_through(&path)?.map(|content| File { path, content }))
        };
        let found = Self { authority: read("ca.pem")?, certificate: read("cert.pem")?, key: read("key.pem")? };
        if needed && found.authority.is_none() {
            return Err(Error::new(format!(
                "TLS with the engine is asked for, and there is no `{}`",
                folder.join("ca.pem").display()
            ))
            .hint("put `ca.pem`, `cert.pem` and `key.pem` there, or name their folder with `DOCKER_CERT_PATH`"));
        }
        let any = found.authority.is_some() || found.certificate.is_some() || found.key.is_some();
        Ok(any.then_some(found))
    }

    /// How the engine is spoken to with it. Without an authority of its own those of the system count; where nothing is
    /// verified, whoever answers is taken for the engine.
    pub fn settle(self, verify: bool) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(format!("cannot speak TLS: {error}")))?;
        let builder = if verify {
            builder.with_root_certificates(self.roots()?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        };
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = certificate.certificates()?;
        let secret = PrivateKeyDer::from_pem_slice(&key.content).map_err(|_| {
            key.wrong("no private key that can be read")
                .hint("a key with a passphrase must be stored without: `openssl pkey -in key.pem -out plain.pem`")
        })?;
        let config = builder.with_client_auth_cert(chain, secret);
        config.map(Arc::new).map_err(|error| {
            key.wrong(&format!("no key of `{}`: {error}", certificate.path.display()))
                .hint("both files must have been made together")
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(authority) = &self.authority else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        let (added, _) = roots.add_parsable_certificates(authority.certificates()?);
        if added == 0 {
            return Err(authority.wrong("no certificate of an authority").hint("it must hold one in PEM"));
        }
        Ok(roots)
    }
}

impl File {
    fn wrong(&self, what: &str) -> Error {
        Error::new(format!("`{}` holds {what}", self.path.display()))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.content).collect();
        found
            .ok()
            .filter(|found| !found.is_empty())
            .ok_or_else(|| self.wrong("no certificate that can be read").hint("it must hold one in PEM"))
    }
}

/// A host as a certificate names it.
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

/// Takes any certificate, as `docker` does where it is told not to verify the server. Its signature must still be right.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
