//! The subcommands other than `serve`, a file a noun. Those that ask a running server share `remote` and `table`.

pub(crate) mod backup;
pub(crate) mod call;
pub(crate) mod channels;
pub(crate) mod config;
mod config_import;
pub(crate) mod connections;
pub(crate) mod denials;
pub(crate) mod history;
pub(crate) mod info;
pub(crate) mod migrate;
mod postgres;
pub(crate) mod presence;
pub(crate) mod publish;
pub(crate) mod reload;
mod remote;
pub(crate) mod restore;
pub(crate) mod subscriptions;
mod table;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod user;
