//! Everything over HTTP but the server API: the page, the REST API under `/v1/`, health and metrics.
//!
//! A file a noun (`people`, `account`, `profiles`, `personal_tokens`, `session`, `invites`, `rooms`, `reading`, `activity`, `messages`, `threads`, `reactions`), which imports no other noun; what they share is in
//! the files below them: who asks (`caller`, `cookie`, `credentials`, `signed_in`, `scopes`, `origin`), what comes and goes (`body`, `bodies`,
//! `ids`, `page`, `schemas`, `problem`). `crate::router` puts the routes together.

pub(crate) mod account;
pub(crate) mod activity;
mod bodies;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod cookie;
mod credentials;
pub(crate) mod deadline;
pub(crate) mod directory;
pub(crate) mod headers;
pub(crate) mod health;
mod ids;
pub(crate) mod invites;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod origin;
mod page;
pub(crate) mod people;
pub(crate) mod personal_tokens;
pub(crate) mod preferences;
pub(crate) mod problem;
pub(crate) mod profiles;
pub(crate) mod reactions;
pub(crate) mod reading;
pub(crate) mod rooms;
mod schemas;
pub(crate) mod scopes;
pub(crate) mod session;
pub(crate) mod shell;
mod signed_in;
pub(crate) mod threads;
