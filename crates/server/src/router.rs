//! Every route of the server, and what all of them go through.

use crate::app::App;
use crate::http::deadline::answer_in_time;
use crate::http::problem::{Problem, named};
use crate::http::{
    account, activity, directory, headers, health, invites, members, messages, origin, people, personal_tokens,
    preferences, profiles, reactions, reading, rooms, session, shell, threads,
};
use crate::{api, live};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use std::future::ready;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(info(
    title = "Tidings",
    description = "The chat's REST API. A person's session cookie says who one is; requests that change something are \
                   JSON and come from the server's own origin. A program shows a personal token instead (`Authorization: \
                   Bearer tdp_…`), needs no origin, and does what the token's scopes allow. Errors are problem details (RFC 9457)."
))]
struct Description;

/// The REST API, and its description.
fn rest() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(people::routes())
        .merge(session::routes())
        .merge(account::routes())
        .merge(profiles::routes())
        .merge(personal_tokens::routes())
        .merge(invites::routes())
        .merge(reactions::routes())
        .merge(rooms::routes())
        .merge(preferences::routes())
        .merge(reading::routes())
        .merge(activity::routes())
        .merge(members::routes())
        .merge(directory::routes())
        .merge(messages::routes())
        .merge(threads::routes())
        .split_for_parts()
}

/// Every route of the server.
pub(crate) fn router(app: App) -> Router {
    let (rest, description) = rest();
    let rest =
        rest.layer(from_fn_with_state(app.clone(), origin::require_same_origin)).layer(map_response(never_cached));
    let answered =
        Router::new().merge(rest).merge(api::routes(&app)).merge(api::grpc::routes()).layer(from_fn(answer_in_time));
    // What does not change while the server runs is written once.
    let description = Bytes::from(description.to_json().expect("a description can be written"));
    let description = move || ready(([(header::CONTENT_TYPE, "application/json")], description.clone()));
    Router::new()
        .merge(answered)
        .merge(streams(&app))
        .route("/openapi.json", get(description))
        .route("/connection/websocket", any(live::upgrade).layer(map_response(named)))
        .route("/connection/uni_websocket", any(live::uni_upgrade).layer(map_response(named)))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/assets/{name}", get(shell::serve_asset))
        .route("/", get(shell::shell))
        .route("/setup", get(shell::shell))
        .route("/invite", get(shell::shell))
        .route("/activity", get(shell::shell))
        .route("/settings", get(shell::shell))
        .route("/settings/{section}", get(shell::shell))
        .route("/rooms/{room}", get(shell::shell))
        .route("/rooms/{room}/{message}", get(shell::shell))
        .route("/rooms/{room}/thread/{root}", get(shell::shell))
        .route("/threads", get(shell::shell))
        .fallback(shell::not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), headers::add_security_headers))
        .with_state(app)
}

/// The server API over gRPC, for a listener of its own.
pub(crate) fn grpc_router(app: App) -> Router {
    api::grpc::routes()
        .layer(from_fn(answer_in_time))
        .layer(from_fn_with_state(app.clone(), headers::add_security_headers))
        .with_state(app)
}

/// Live connections over plain HTTP.
fn streams(app: &App) -> Router<App> {
    Router::new()
        .route("/connection/http_stream", post(live::http_stream).options(live::preflight))
        .route("/connection/sse", get(live::sse).post(live::sse).options(live::preflight))
        .route("/connection/uni_http_stream", post(live::uni_http_stream).options(live::preflight))
        .route("/connection/uni_sse", get(live::uni_sse).post(live::uni_sse).options(live::preflight))
        .route("/emulation", post(live::emulation).options(live::preflight))
        .layer(Extension(live::Uplinks::default()))
        .layer(from_fn_with_state(app.clone(), live::share_with_listed_sites))
        .layer(map_response(named))
}

/// What the REST API says concerns one person at one moment.
async fn never_cached(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    response
}

/// A method that a route does not have, and OPTIONS, which every route has; the router adds `Allow` to both.
async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = format!("{method} is not possible here; the header Allow says what is.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::config::Config;
    use clap::Parser;
    use std::collections::{BTreeMap, BTreeSet};

    /// What is no part of the REST API, and so not described.
    const OTHERS: [(&str, &str); 35] = [
        ("/", "GET"),
        ("/setup", "GET"),
        ("/invite", "GET"),
        ("/activity", "GET"),
        ("/settings", "GET"),
        ("/settings/{section}", "GET"),
        ("/rooms/{room}", "GET"),
        ("/rooms/{room}/{message}", "GET"),
        ("/rooms/{room}/thread/{root}", "GET"),
        ("/threads", "GET"),
        ("/assets/{name}", "GET"),
        ("/openapi.json", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/metrics", "GET"),
        ("/api", "POST"),
        ("/api/{method}", "POST"),
        ("/api/openapi.json", "GET"),
        ("/api/server_api.proto", "GET"),
        ("/connection/websocket", "any"),
        ("/tidings.api.ServerApi/{method}", "POST"),
        ("/centrifugal.centrifugo.api.CentrifugoApi/{method}", "POST"),
        ("/connection/uni_websocket", "any"),
        ("/connection/http_stream", "POST"),
        ("/connection/http_stream", "OPTIONS"),
        ("/connection/sse", "GET"),
        ("/connection/sse", "POST"),
        ("/connection/sse", "OPTIONS"),
        ("/connection/uni_http_stream", "POST"),
        ("/connection/uni_http_stream", "OPTIONS"),
        ("/connection/uni_sse", "GET"),
        ("/connection/uni_sse", "POST"),
        ("/connection/uni_sse", "OPTIONS"),
        ("/emulation", "POST"),
        ("/emulation", "OPTIONS"),
    ];

    type Routes = BTreeSet<(String, String)>;

    #[tokio::test]
    async fn the_openapi_document_describes_every_route_of_the_rest_api_with_every_method_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let cli = Cli::try_parse_from(["tidings", "--data-dir", folder.path().to_str().unwrap()]).unwrap();
        let app = crate::serve::open(Config::load(&cli.serve).unwrap(), cli.serve).await.unwrap();
        let debug = format!("{:?}", router(app));
        let routed = routes_of(&debug);
        assert!(
            routed.len() > OTHERS.len(),
            "the debug form of axum's router reads differently in this version of axum: adapt `routes_of` and `allowed` \
             below, they found {routed:?} in {debug}"
        );
        let (_, description) = rest();
        let described = described_by(&serde_json::to_value(&description).unwrap());
        assert!(described.len() > 20, "{described:?}");
        let others: Routes = OTHERS.map(|(path, method)| (path.into(), method.into())).into();
        let expected: Routes = described.union(&others).cloned().collect();
        let missing: Vec<_> = routed.symmetric_difference(&expected).collect();
        assert!(
            missing.is_empty(),
            "routed but not described, or the other way round: {missing:?}. A route of the REST API belongs into a \
             `routes()` that `rest` merges, any other into `OTHERS`; after an update of axum, see whether `routes_of` still \
             reads its debug form: {debug}"
        );
    }

    #[test]
    fn s43_every_route_of_the_rest_api_says_what_a_personal_token_needs_for_it() {
        let (_, description) = rest();
        let described = described_by(&serde_json::to_value(&description).unwrap());
        let rows: Routes = crate::http::scopes::rows().collect();
        let missing: Vec<_> = described.difference(&rows).collect();
        assert!(missing.is_empty(), "closed to tokens until they have a row in http::scopes: {missing:?}");
    }

    fn described_by(description: &serde_json::Value) -> Routes {
        let paths = description["paths"].as_object().unwrap();
        let methods = |(path, item): (&String, &serde_json::Value)| {
            let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
            methods.into_iter().map(|method| (path.clone(), method)).collect::<Vec<_>>()
        };
        paths.iter().flat_map(methods).collect()
    }

    /// The paths and methods of a router, which says them in its debug form alone.
    fn routes_of(debug: &str) -> Routes {
        let own = debug.split("fallback_router").next().unwrap_or_default();
        let (mut paths, mut methods) = (BTreeMap::new(), BTreeMap::new());
        for entry in own.split("RouteId(").skip(1) {
            let Some((id, rest)) = entry.split_once("): ") else { continue };
            match rest.strip_prefix('"') {
                Some(path) => drop(paths.insert(id, path.split('"').next().unwrap())),
                None => drop(methods.insert(id, allowed(rest))),
            }
        }
        // The node also maps paths back to their routes.
        let known = methods.into_iter().filter_map(|(id, methods)| Some((*paths.get(id)?, methods)));
        let routes = known.flat_map(|(path, methods)| methods.into_iter().map(move |method| (path.into(), method)));
        routes.collect()
    }

    /// The methods in a route's `Allow`, in which GET brings HEAD along; `any` where all are taken.
    fn allowed(route: &str) -> Vec<String> {
        let Some((_, rest)) = route.split_once("allow_header: Bytes(b\"") else { return vec!["any".into()] };
        let methods = rest.split('"').next().unwrap().split(',');
        methods.filter(|method| *method != "HEAD").map(Into::into).collect()
    }
}
