//! What a personal token may do over the REST API: a scope for each route, or nothing at all.
//!
//! A route that has no row is closed to tokens, and a test says that it needs one.

use axum::http::Method;
use tidings_chat::Scope;

/// Each route, and what a token needs for it; `None`: no token may. Those are of the account itself (sessions, tokens, password,
/// address), of who may do what on the server, and of people who have no account yet.
const ROUTES: &[(&str, &str, Option<Scope>)] = &[
    ("POST", "/v1/setup", None),
    ("POST", "/v1/accounts", None),
    ("POST", "/v1/session", None),
    ("DELETE", "/v1/session", None),
    ("GET", "/v1/sessions", None),
    ("DELETE", "/v1/sessions", None),
    ("DELETE", "/v1/sessions/{session}", None),
    ("PUT", "/v1/me/password", None),
    ("PUT", "/v1/me/email", None),
    ("GET", "/v1/me/tokens", None),
    ("POST", "/v1/me/tokens", None),
    ("DELETE", "/v1/me/tokens/{token}", None),
    ("PATCH", "/v1/people/{person}", None),
    ("GET", "/v1/me", Some(Scope::Read)),
    ("GET", "/v1/me/profile", Some(Scope::Read)),
    ("GET", "/v1/people", Some(Scope::Read)),
    ("GET", "/v1/people/{person}", Some(Scope::Read)),
    ("GET", "/v1/profiles", Some(Scope::Read)),
    ("GET", "/v1/rooms", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/members", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/events", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/messages", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/messages/{message}", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/messages/{message}/edits", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/messages/{message}/reactions/{emoji}", Some(Scope::Read)),
    ("GET", "/v1/rooms/{room}/messages/{message}/thread", Some(Scope::Read)),
    ("GET", "/v1/threads", Some(Scope::Read)),
    ("GET", "/v1/activity", Some(Scope::Read)),
    ("PATCH", "/v1/me/profile", Some(Scope::Write)),
    ("PATCH", "/v1/rooms/{room}/preferences", Some(Scope::Write)),
    ("PUT", "/v1/rooms/{room}/messages/{message}/thread/following", Some(Scope::Write)),
    ("DELETE", "/v1/rooms/{room}/messages/{message}/thread/following", Some(Scope::Write)),
    ("PUT", "/v1/rooms/{room}/messages/{message}/thread/read", Some(Scope::Write)),
    ("POST", "/v1/direct", Some(Scope::Write)),
    ("POST", "/v1/rooms/read-all", Some(Scope::Write)),
    ("PUT", "/v1/rooms/{room}/read", Some(Scope::Write)),
    ("POST", "/v1/rooms/{room}/messages", Some(Scope::Write)),
    ("PATCH", "/v1/rooms/{room}/messages/{message}", Some(Scope::Write)),
    ("DELETE", "/v1/rooms/{room}/messages/{message}", Some(Scope::Write)),
    ("POST", "/v1/rooms/{room}/messages/{message}/restore", Some(Scope::Write)),
    ("PUT", "/v1/rooms/{room}/messages/{message}/reactions/{emoji}", Some(Scope::Write)),
    ("DELETE", "/v1/rooms/{room}/messages/{message}/reactions/{emoji}", Some(Scope::Write)),
    ("POST", "/v1/rooms", Some(Scope::Rooms)),
    ("PATCH", "/v1/rooms/{room}", Some(Scope::Rooms)),
    ("POST", "/v1/rooms/{room}/members", Some(Scope::Rooms)),
    ("PUT", "/v1/rooms/{room}/members/me", Some(Scope::Rooms)),
    ("DELETE", "/v1/rooms/{room}/members/me", Some(Scope::Rooms)),
    ("PATCH", "/v1/rooms/{room}/members/{person}", Some(Scope::Rooms)),
    ("DELETE", "/v1/rooms/{room}/members/{person}", Some(Scope::Rooms)),
    ("GET", "/v1/rooms/{room}/invite", Some(Scope::Rooms)),
    ("PUT", "/v1/rooms/{room}/invite", Some(Scope::Rooms)),
    ("POST", "/v1/rooms/{room}/invite", Some(Scope::Rooms)),
    ("DELETE", "/v1/rooms/{room}/invite", Some(Scope::Rooms)),
    ("POST", "/v1/invites/look-up", Some(Scope::Rooms)),
    ("POST", "/v1/invites/accept", Some(Scope::Rooms)),
];

/// What a token needs for a route; `None` where no token may.
pub(super) fn scope_of(method: &Method, path: &str) -> Option<Scope> {
    ROUTES.iter().find(|(of, at, _)| of == &method.as_str() && *at == path).and_then(|(.., scope)| *scope)
}

/// All routes that have a row, by method and path.
#[cfg(test)]
pub(crate) fn rows() -> impl Iterator<Item = (String, String)> {
    ROUTES.iter().map(|(method, path, _)| ((*path).to_owned(), (*method).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_on_personal_tokens_has_each_route_under_its_scope() {
        let page = include_str!("../../../../docs/personal-tokens.md");
        for (method, path, scope) in ROUTES {
            let row = scope.map_or("none", Scope::as_str);
            let line =
                page.lines().find(|line| line.starts_with(&format!("| `{row}` |"))).expect("each scope has its row");
            assert!(line.contains(&format!("`{method} {path}`")), "{method} {path} under {row}");
        }
    }
}
