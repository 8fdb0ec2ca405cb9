//! Every route of the server, and what all of them go through.

use crate::app::App;
use crate::http::deadline::answer_in_time;
use crate::http::problem::Problem;
use crate::http::{headers, health, invites, messages, origin, people, rooms, session, shell};
use crate::{api, live};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(info(
    title = "Tidings",
    description = "The chat's REST API. A person's session cookie says who one is; requests that change something are \
                   JSON and come from the server's own origin. Errors are problem details (RFC 9457)."
))]
struct Description;

/// Every route of the server.
pub(crate) fn router(app: App) -> Router {
    let (rest, description) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(people::routes())
        .merge(session::routes())
        .merge(invites::routes())
        .merge(rooms::routes())
        .merge(messages::routes())
        .split_for_parts();
    let rest =
        rest.layer(from_fn_with_state(app.clone(), origin::require_same_origin)).layer(map_response(never_cached));
    let answered = Router::new().merge(rest).merge(api::routes(&app)).layer(from_fn(answer_in_time));
    Router::new()
        .merge(answered)
        .route("/openapi.json", get(move || std::future::ready(Json(description.clone()))))
        .route("/connection/websocket", any(live::upgrade))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/assets/{name}", get(shell::serve_asset))
        .route("/", get(shell::shell))
        .route("/setup", get(shell::shell))
        .route("/invite", get(shell::shell))
        .route("/rooms/{room}", get(shell::shell))
        .fallback(shell::not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), headers::add_security_headers))
        .with_state(app)
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
