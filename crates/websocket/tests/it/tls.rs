//! TLS for a test: a certificate that nobody else trusts.

use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, rustls};

/// TLS for `localhost`, and a client's that trusts it.
pub(crate) fn tls() -> (TlsAcceptor, Arc<rustls::ClientConfig>) {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = certificate.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server.with_single_cert(vec![der], key).unwrap())), Arc::new(client))
}
