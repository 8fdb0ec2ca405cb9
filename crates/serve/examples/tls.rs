//! HTTP and HTTPS from one router: `cargo run -p tidings-serve --example tls -- 127.0.0.1:8443 cert.pem key.pem`.
//!
//! Without files it makes a certificate for `localhost` that nobody trusts (`curl -k`). With files, replacing them is
//! enough: new connections get the new certificate within half a minute, or at once after SIGHUP.

use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use tidings_serve::{Caller, Listen, Server, Tls};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8443".to_owned());
    let tls = if let (Some(chain), Some(key)) = (arguments.next(), arguments.next()) {
        Tls::files(chain, key).reload_on_hangup()
    } else {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        Tls::pem(made.cert.pem(), made.signing_key.serialize_pem())
    };
    let hello =
        |caller: Caller| async move { format!("hello over {}\n", if caller.is_https { "https" } else { "http" }) };
    let sleep = || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        "slept 50 ms\n"
    };
    let app = Router::new().route("/", get(hello)).route("/sleep", any(sleep));
    let server = Server::bind(Listen::tcp(address).tls(tls)).and_bind("127.0.0.1:0").serve(app).await?;
    println!("listening on {}", server.url());
    for address in server.local_addrs().skip(1) {
        println!("and on http://{address}");
    }
    tidings_serve::stop_signal().await?;
    server.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
