//! An echo server over TLS that speaks HTTP/2 and HTTP/1.1, with nothing but hyper:
//! `cargo run -p tidings-websocket --example echo_http2 -- 127.0.0.1:9005`
//!
//! Open https://127.0.0.1:9005/ and accept its certificate, which is made at the start. A browser that loaded the page over
//! HTTP/2 opens the socket as one more stream of the same connection (RFC 8441). The socket's first message names the
//! version of HTTP that brought it.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{convert::Infallible, error::Error, sync::Arc};
use tidings_websocket::{DeflateOptions, Upgrade};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, pki_types::PrivateKeyDer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9005".to_owned());
    let tls = TlsAcceptor::from(Arc::new(self_signed()?));
    let listener = TcpListener::bind(address).await?;
    println!("listening on https://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let tls = tls.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, tls).await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = TokioIo::new(tls.accept(stream).await?);
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Without this setting, browsers open a second connection for the socket, over HTTP/1.1.
    http.http2().enable_connect_protocol();
    http.serve_connection_with_upgrades(stream, service_fn(answer)).await
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let version = format!("{:?}", request.version());
    let (mut head, _) = request.into_parts();
    if !Upgrade::is_attempt(&head) {
        return Ok(Response::builder().header("content-type", "text/html").body(PAGE.into()).expect("it is valid"));
    }
    let accepted = Upgrade::from_parts(&mut head).and_then(|upgrade| {
        upgrade.deflate(DeflateOptions::default()).accept(|mut socket| async move {
            let mut sent = socket.send(version).await;
            while let (Ok(()), Some(Ok(message))) = (&sent, socket.receive().await) {
                sent = socket.send(message).await;
            }
        })
    });
    Ok(match accepted {
        Ok(response) => response.map(|()| Full::default()),
        Err(refusal) => refusal.response().map(Into::into),
    })
}

fn self_signed() -> Result<ServerConfig, Box<dyn Error>> {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Echo over HTTP/2</title>
<form><input autofocus><button>Send</button></form><pre></pre>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
socket.onmessage = (event) => document.querySelector("pre").append(event.data + "\n");
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  socket.send(document.querySelector("input").value);
};
</script>"#;
