//! The subcommands other than `serve`, a file each.

pub(crate) mod backup;
pub(crate) mod config;
mod config_import;
pub(crate) mod migrate;
pub(crate) mod publish;
pub(crate) mod restore;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod user;
