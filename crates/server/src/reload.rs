//! The configuration, read again while the server runs: at SIGHUP, and by the server API.
//!
//! It is taken as a whole or not at all. What cannot change while the server runs is named, and holds from the next start.

use crate::app::App;
use crate::config::{Config, ConfigError};
use serde::Serialize;

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reloaded {
    /// Keys that have changed, and hold now.
    pub(crate) changed: Vec<String>,
    /// Keys that have changed, and hold from the next start.
    pub(crate) at_next_start: Vec<String>,
}

/// Tables of which every key holds at once.
const AT_ONCE: [&str; 3] = ["channels", "client.token.issuers", "namespaces"];

/// Reads the configuration again.
///
/// # Errors
/// [`ConfigError`] with what is wrong; everything stays as it was.
pub(crate) fn reload(app: &App) -> Result<Reloaded, ConfigError> {
    let config = Config::load(&app.sources)?;
    // The files that it names may have changed also where it has not.
    let issuers = config.token_issuers_with(&app.token_secret)?;
    let mut in_effect = app.in_effect();
    let (mut changed, mut at_next_start) = (Vec::new(), Vec::new());
    // Compared with what holds, and with what the server was started with, where that still holds.
    for key in config.settings.differing_keys(&in_effect) {
        let at_once = AT_ONCE.iter().any(|table| key == *table || key.starts_with(&format!("{table}.")));
        if at_once { &mut changed } else { &mut at_next_start }.push(key);
    }
    app.channels.replace(config.channels());
    app.tokens.replace(issuers);
    app.tokens.fetch_keys();
    in_effect.client.token.issuers = config.settings.client.token.issuers.clone();
    in_effect.channels = config.settings.channels;
    in_effect.namespaces = config.settings.namespaces;
    tracing::info!(changed = changed.join(" "), at_next_start = at_next_start.join(" "), "configuration read again");
    Ok(Reloaded { changed, at_next_start })
}
