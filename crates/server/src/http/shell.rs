//! The page that carries the web UI: a template, into which goes what the page needs to know (3.5, 3.6), and its assets.
//!
//! Both are embedded in the binary; with `--web-dir` they are read from a folder at every request instead, so that
//! editing a template changes the page without recompiling.

use super::caller::Caller;
use super::problem::Problem;
use crate::app::App;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::{Environment, context};
use rust_embed::Embed;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Component, Path as FilePath};

#[derive(Embed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Assets;

#[derive(Embed)]
#[folder = "../../web/templates"]
struct Templates;

/// What the build of the web UI wrote: the names of its files, which carry a hash of their content.
#[derive(Debug, Deserialize)]
struct Manifest {
    js: String,
    css: String,
    icon: Option<String>,
}

/// What the page needs to know before its first request.
#[derive(Debug, Serialize)]
struct Boot<'a> {
    server_name: &'a str,
    version: &'static str,
    websocket_url: String,
    /// Nobody has an account yet: the set-up link is in the terminal.
    setup_needed: bool,
    /// The server listens on a loopback address, and no public URL says otherwise.
    only_this_computer: bool,
    public_url: String,
}

/// `GET /` and every address that is a view of the page.
pub(crate) async fn shell(State(app): State<App>, caller: Caller) -> Response {
    match render(&app, caller.base_url).await {
        Ok(page) => ([(header::CACHE_CONTROL, "no-store")], Html(page)).into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

async fn render(app: &App, base: String) -> anyhow::Result<String> {
    let boot = Boot {
        server_name: &app.config.settings.server_name,
        version: env!("CARGO_PKG_VERSION"),
        websocket_url: format!("{}/connection/websocket", base.replacen("http", "ws", 1)),
        setup_needed: !app.chat.is_set_up().await?,
        only_this_computer: app.config.public_url.is_none() && app.address().ip().is_loopback(),
        public_url: base,
    };
    let manifest: Option<Manifest> = match asset(app, "manifest.json") {
        Some(file) => Some(serde_json::from_slice(&file)?),
        None => None,
    };
    let name = if manifest.is_some() { "shell.html" } else { "not-built.html" };
    let mut environment = Environment::new();
    environment.add_template_owned(name, template(app, name)?)?;
    let values = context! {
        server_name => app.config.settings.server_name.as_str(),
        boot => serde_json::to_string(&boot)?,
        js => manifest.as_ref().map(|manifest| manifest.js.as_str()),
        css => manifest.as_ref().map(|manifest| manifest.css.as_str()),
        icon => manifest.as_ref().and_then(|manifest| manifest.icon.as_deref()),
    };
    Ok(environment.get_template(name)?.render(values)?)
}

fn template(app: &App, name: &str) -> anyhow::Result<String> {
    let file = file::<Templates>(app, "templates", name);
    let file = file.ok_or_else(|| anyhow::anyhow!("the template {name} is missing"))?;
    Ok(String::from_utf8(file.into_owned())?)
}

/// Everything else: a page for a browser, a problem for a program.
pub(crate) async fn not_found(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/html") {
        return Problem::not_found().into_response();
    }
    let page = template(&app, "not-found.html").and_then(|template| {
        let values = context! { server_name => app.config.settings.server_name.as_str(), home => caller.base_url };
        let mut environment = Environment::new();
        environment.add_template_owned("not-found.html", template)?;
        Ok(environment.get_template("not-found.html")?.render(values)?)
    });
    match page {
        Ok(page) => (StatusCode::NOT_FOUND, Html(page)).into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// `GET /assets/{name}`: the name carries a hash of the content, so a browser may keep it for ever. Compressed as far as
/// the browser accepts it; the build has written the variants.
pub(crate) async fn serve_asset(State(app): State<App>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let variants = [("br", "br"), ("gzip", "gz")].into_iter().filter(|(encoding, _)| accepts(accepted, encoding));
    let compressed =
        variants.filter_map(|(encoding, suffix)| Some((encoding, asset(&app, &format!("{name}.{suffix}"))?)));
    let Some((encoding, file)) = compressed.chain(asset(&app, &name).map(|file| ("identity", file))).next() else {
        return Problem::not_found().into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "map") => "application/json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    let cache = if name == "manifest.json" { "no-cache" } else { "public, max-age=31536000, immutable" };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_ENCODING, encoding),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "Accept-Encoding"),
    ];
    let mut response = (headers, file).into_response();
    if encoding == "identity" {
        response.headers_mut().remove(header::CONTENT_ENCODING);
    }
    response
}

/// Whether `Accept-Encoding` names this coding without refusing it by `q=0` (RFC 9110 §12.5.3).
fn accepts(accepted: &str, encoding: &str) -> bool {
    accepted.split(',').any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).is_some_and(|q: f32| q <= 0.0);
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn asset(app: &App, name: &str) -> Option<Cow<'static, [u8]>> {
    file::<Assets>(app, "dist", name)
}

/// A file of the web UI: embedded, or from `folder` under `--web-dir`. `name` is a plain file name.
fn file<E: Embed>(app: &App, folder: &str, name: &str) -> Option<Cow<'static, [u8]>> {
    let Some(dir) = &app.config.settings.web_dir else { return E::get(name).map(|file| file.data) };
    let mut components = FilePath::new(name).components();
    let (Some(Component::Normal(name)), None) = (components.next(), components.next()) else { return None };
    std::fs::read(dir.join(folder).join(name)).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn a_coding_is_used_when_the_browser_names_it_and_does_not_refuse_it() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("br;q=0.5", "br"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("", "br"));
    }
}
