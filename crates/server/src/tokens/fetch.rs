//! Fetches a small document from an address that the configuration names, and from nowhere else: no redirect is followed, no
//! proxy of the environment is used, nothing of ours is sent along.

use crate::limits::JWKS_BYTES_MAX;
use bytes::Bytes;
use http::header::{ACCEPT, LOCATION};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::sync::Arc;

/// Makes the connections.
pub(crate) struct Fetcher(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// Whether that is an address to fetch from: by HTTPS, or on this machine.
pub(crate) fn check_address(uri: &Uri) -> Result<(), &'static str> {
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not carry a user name or a password: none is sent, because public keys are no secret");
    }
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(()),
        (Some("http"), Some(host)) if is_loopback(host) => Ok(()),
        _ => Err(
            "must begin with https://, or with http:// on this machine alone: whoever is on the way could put their own keys in it",
        ),
    }
}

/// Whether a name of a host, as it stands in a URL, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

impl Fetcher {
    pub(crate) fn new() -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self(Client::builder(TokioExecutor::new()).build(https))
    }

    /// What is there.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn get(&self, uri: &Uri) -> Result<Bytes, String> {
        let request = Request::get(uri.clone()).header(ACCEPT, "application/json").body(Empty::new());
        let request = request.map_err(|error| error.to_string())?;
        let response = self.0.request(request).await.map_err(|error| in_full(&error))?;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            return Err(refused(parts.status, &parts.headers));
        }
        match Limited::new(body, JWKS_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(format!("it has more than {JWKS_BYTES_MAX} bytes")),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn refused(status: StatusCode, headers: &HeaderMap) -> String {
    let target = headers.get(LOCATION).and_then(|location| location.to_str().ok()).filter(|_| status.is_redirection());
    match target {
        Some(target) => {
            format!("it answers {status} and leads to {target:?}, where nobody goes; give the address that it ends at")
        }
        None => format!("it answers {status}"),
    }
}

/// With what caused it: the client's own words are few.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
