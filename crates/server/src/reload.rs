//! The configuration, read again while the server runs: at SIGHUP, and by the server API.
//!
//! It is taken as a whole or not at all. What cannot change while the server runs is named, and holds from the next start.

use crate::api::keys::Key;
use crate::app::App;
use crate::config::Config;
use crate::secrets::API_KEY;
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

/// The keys of the server API, which are compared by themselves: their values are not among the settings.
const API_KEYS: &str = "api_keys";

/// Reads the configuration again. It has to be waited for to its end.
///
/// # Errors
/// With what is wrong; everything stays as it was.
pub(crate) async fn reload(app: &App) -> anyhow::Result<Reloaded> {
    let mut in_effect = app.in_effect.lock().await;
    let config = Config::load(&app.sources)?;
    let generated = Key::generated(&API_KEY.load(&app.config.storage.data_dir, config.secret_bytes_min())?);
    let mut keys = config.api_keys(Some(&generated))?;
    keys.push(generated);
    // The files that it names may have changed also where it has not.
    let issuers = config.token_issuers_with(&app.token_secret)?;
    let (mut changed, mut at_next_start) = (Vec::new(), Vec::new());
    // Compared with what holds, and with what the server was started with, where that still holds.
    for key in config.settings.differing_keys(&in_effect).into_iter().filter(|key| key != API_KEYS) {
        let at_once = AT_ONCE.iter().any(|table| key == *table || key.starts_with(&format!("{table}.")));
        if at_once { &mut changed } else { &mut at_next_start }.push(key);
    }
    app.channels.replace(config.channels());
    if app.keys.replace(keys) {
        changed.push(API_KEYS.to_owned());
    }
    in_effect.api_keys = config.settings.api_keys;
    app.tokens.replace(issuers);
    app.tokens.fetch_keys();
    in_effect.client.token.issuers = config.settings.client.token.issuers.clone();
    in_effect.channels = config.settings.channels;
    in_effect.namespaces = config.settings.namespaces;
    app.hub.options_changed().await;
    tracing::info!(changed = changed.join(" "), at_next_start = at_next_start.join(" "), "configuration read again");
    Ok(Reloaded { changed, at_next_start })
}
