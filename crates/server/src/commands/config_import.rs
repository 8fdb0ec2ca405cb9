//! `tidings config import`: the configuration of a Centrifugo server (version 5 or 6, JSON or TOML) as a `tidings.toml`, as far
//! as it goes; what cannot be said here, or means something else, is named.

use crate::config::Config;
use crate::plain::{plain, plain_lines};
use anyhow::{Context, bail};
use std::fmt::Write;
use std::path::Path;
use toml::{Table, Value};

/// Prints the configuration on standard output, and what it leaves open on standard error.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let imported = import(&parse(file, &text)?)?;
    print!("{}", plain_lines(&imported.text));
    for note in imported.notes {
        eprintln!("{}", plain(&note));
    }
    Ok(())
}

/// What became of a configuration.
struct Imported {
    text: String,
    /// What cannot be said here, or must be done by hand.
    notes: Vec<String>,
}

fn parse(file: &Path, text: &str) -> anyhow::Result<Table> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => {
            let json: serde_json::Value = serde_json::from_str(text).context("the file is no JSON")?;
            Table::try_from(without_null(json)).context("the file is no object")
        }
        Some("toml") => toml::from_str(text).context("the file is no TOML"),
        _ => bail!("give a file that ends in .json or .toml; YAML can be converted with any YAML tool"),
    }
}

/// TOML has no null, and there it means absent.
fn without_null(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name, without_null(value))).collect()
        }
        serde_json::Value::Array(items) => items.into_iter().map(without_null).collect(),
        other => other,
    }
}

/// A configuration that is taken apart: what was used is taken out, and what is left has no counterpart.
struct Import {
    rest: Table,
    own: Table,
    notes: Vec<String>,
}

fn import(given: &Table) -> anyhow::Result<Imported> {
    let mut import = Import { rest: given.clone(), own: Table::new(), notes: Vec::new() };
    import.client();
    import.server();
    import.namespaces()?;
    import.leftovers();
    let Import { own, notes, .. } = import;
    let text = format!(
        "# From a Centrifugo configuration. What could not be brought along was named when this was made.\n\n{own}"
    );
    Config::check_text(&text).context("what came of it is refused")?;
    Ok(Imported { text, notes })
}

impl Import {
    /// Takes a value out by its place in version 6, or by its name in version 5.
    fn take(&mut self, path: &str, old: &str) -> Option<Value> {
        take(&mut self.rest, path).or_else(|| self.rest.remove(old))
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn set(&mut self, path: &str, value: impl Into<Value>) {
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = &mut self.own;
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let inner = table.entry(name).or_insert_with(|| Table::new().into());
            let Value::Table(inner) = inner else { return };
            table = inner;
        }
        table.insert(key.to_owned(), value.into());
    }

    fn client(&mut self) {
        if let Some(Value::Array(origins)) = self.take("client.allowed_origins", "allowed_origins") {
            if origins.iter().any(|origin| origin.as_str().is_some_and(|origin| origin.contains('*'))) {
                self.note(
                    "allowed_origins: patterns are not taken; list each origin exactly, as https://app.example.org",
                );
            }
            let exact =
                origins.into_iter().filter(|origin| origin.as_str().is_some_and(|origin| !origin.contains('*')));
            self.set("allowed_origins", exact.collect::<Vec<_>>());
        }
        let anonymous =
            self.take("client.allow_anonymous_connect_without_token", "allow_anonymous_connect_without_token");
        if anonymous == Some(true.into()) {
            self.set("client.anonymous", true);
        }
        if self.take("client.insecure", "client_insecure") == Some(true.into()) {
            self.note("client.insecure: not brought along; here it refuses to listen beyond loopback. Set it by hand for development");
        }
        for (path, old) in [
            ("client.token.hmac_secret_key", "token_hmac_secret_key"),
            ("client.subscription_token.hmac_secret_key", "subscription_token_hmac_secret_key"),
        ] {
            if self.take(path, old).is_some() {
                self.note(format!(
                    "{path}: a secret is not written into the configuration; start with TIDINGS_TOKEN_SECRET set to it"
                ));
            }
        }
        for (path, old, what) in [
            ("client.token.rsa_public_key", "token_rsa_public_key", "algorithms = [\"RS256\"], key = …"),
            ("client.token.ecdsa_public_key", "token_ecdsa_public_key", "algorithms = [\"ES256\"], key = …"),
            (
                "client.token.jwks_public_endpoint",
                "token_jwks_public_endpoint",
                "algorithms = [\"RS256\"], jwks_url = …",
            ),
        ] {
            if self.take(path, old).is_some() {
                self.note(format!("{path}: write it as an entry of [[client.token.issuers]] with {what}"));
            }
        }
        for (path, old, own) in [
            ("client.token.audience", "token_audience", "token_audience"),
            ("client.token.issuer", "token_issuer", "token_issuer"),
        ] {
            if let Some(value) = self.take(path, old) {
                self.set(own, value);
            }
        }
        self.note(
            "tokens: the claim exp is required here; client.token.allow_without_exp = true takes those without, for ever",
        );
        for (path, old, own) in [
            ("client.channel_limit", "client_channel_limit", "limits.channels_per_connection_max"),
            ("client.user_connection_limit", "client_user_connection_limit", "limits.connections_per_user_max"),
            ("client.queue_max_size", "client_queue_max_size", "limits.outbox_bytes_max"),
            ("websocket.message_size_limit", "websocket_message_size_limit", "limits.message_bytes_max"),
        ] {
            match self.take(path, old) {
                Some(Value::Integer(0)) | None => {}
                Some(value) => self.set(own, value),
            }
        }
        for (path, old, own) in [
            ("client.ping_interval", "ping_interval", "ping_interval"),
            ("client.pong_timeout", "pong_timeout", "pong_timeout"),
        ] {
            if let Some(seconds) = self.take(path, old).as_ref().and_then(seconds) {
                self.set(own, seconds);
            }
        }
    }

    fn server(&mut self) {
        let port = self.take("http_server.port", "port");
        let address = self.take("http_server.address", "address");
        if port.is_some() || address.is_some() {
            let shown = |value: Option<Value>, otherwise: &str| {
                value.map_or_else(|| otherwise.to_owned(), |value| value.to_string().trim_matches('"').to_owned())
            };
            let (address, port) = (shown(address, "0.0.0.0"), shown(port, "8000"));
            let address = if address.is_empty() { "0.0.0.0".to_owned() } else { address };
            let address = if address.contains(':') { format!("[{address}]") } else { address };
            self.set("listen", format!("{address}:{port}"));
        }
        if self.take("http_api.key", "api_key").is_some() {
            self.note(
                "http_api.key: a secret is not written into the configuration; start with TIDINGS_API_KEY set to it",
            );
        }
        for (path, old, own) in [
            ("http_server.tls.cert_pem_file", "tls_cert", "tls_cert"),
            ("http_server.tls.key_pem_file", "tls_key", "tls_key"),
        ] {
            if let Some(value) = self.take(path, old) {
                self.set(own, value);
            }
        }
    }

    fn namespaces(&mut self) -> anyhow::Result<()> {
        // Version 5 has the options of channels without a namespace beside everything else.
        let plain = match take(&mut self.rest, "channel.without_namespace") {
            Some(Value::Table(plain)) => plain,
            _ => OPTIONS.iter().filter_map(|name| Some(((*name).to_owned(), self.rest.remove(*name)?))).collect(),
        };
        let options = self.options("channels", plain);
        self.set("channels", options);
        let personal = take(&mut self.rest, "client.subscribe_to_user_personal_channel");
        let namespaces = take(&mut self.rest, "channel.namespaces").or_else(|| self.rest.remove("namespaces"));
        for namespace in namespaces.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let Value::Table(mut options) = namespace.clone() else { bail!("a namespace is no table") };
            let Some(Value::String(name)) = options.remove("name") else { bail!("a namespace has no name") };
            if matches!(&*name, "room" | "user") {
                self.note(format!("namespace {name}: is the chat's own here; its channels need another name"));
                continue;
            }
            let options = self.options(&format!("namespaces.{name}"), options);
            self.set(&format!("namespaces.{name}"), options);
        }
        if let Some(Value::Table(personal)) = personal
            && personal.get("enabled") == Some(&true.into())
        {
            let namespace = personal.get("personal_channel_namespace").and_then(Value::as_str).unwrap_or_default();
            let table = if namespace.is_empty() { "channels".to_owned() } else { format!("namespaces.{namespace}") };
            self.set(&format!("{table}.personal"), true);
            if personal.get("single_connection") == Some(&true.into()) {
                self.note("subscribe_to_user_personal_channel.single_connection: there is none here");
            }
        }
        for (path, own) in [
            ("channel.private_prefix", "$"),
            ("channel.namespace_boundary", ":"),
            ("channel.user_boundary", "#"),
            ("channel.user_separator", ","),
        ] {
            if take(&mut self.rest, path).is_some_and(|value| value.as_str() != Some(own)) {
                self.note(format!("{path}: is always {own} here"));
            }
        }
        Ok(())
    }

    /// The options of one namespace. There nothing is allowed unless it is said, here the other way round.
    fn options(&mut self, table: &str, mut given: Table) -> Table {
        let mut own = Table::new();
        let mut is = |name: &str| given.remove(name) == Some(true.into());
        let when = |force: bool, allow: bool| {
            if force {
                "always"
            } else if allow {
                "on_request"
            } else {
                "off"
            }
        };
        let who = |names: [(&str, bool); 3]| {
            let named = names.into_iter().filter(|(_, allowed)| *allowed);
            named.map(|(name, _)| Value::from(name)).collect::<Vec<_>>()
        };
        let (force, allow) = (is("force_recovery"), is("allow_recovery"));
        let recovery = when(force, allow);
        let (force, allow) = (is("force_positioning"), is("allow_positioning"));
        let positioning = when(force, allow);
        let joins = (is("join_leave"), is("force_push_join_leave"));
        own.insert("join_leave".into(), when(joins.0 && joins.1, joins.0).into());
        own.insert("presence".into(), is("presence").into());
        let subscribe = who([
            ("token", true),
            ("user", is("allow_subscribe_for_client")),
            ("anonymous", is("allow_subscribe_for_anonymous")),
        ]);
        own.insert("subscribe".into(), subscribe.into());
        for (key, operation) in [("publish", "publish"), ("see_presence", "presence"), ("see_history", "history")] {
            let who = who([
                ("user", is(&format!("allow_{operation}_for_client"))),
                ("anonymous", is(&format!("allow_{operation}_for_anonymous"))),
                ("subscriber", is(&format!("allow_{operation}_for_subscriber"))),
            ]);
            own.insert(key.into(), who.into());
        }
        own.insert("user_limited".into(), is("allow_user_limited_channels").into());
        own.insert("tags_filter".into(), is("allow_tags_filter").into());
        let publishes_deltas = is("delta_publish");
        let takes_deltas = given.remove("allowed_delta_types").is_some();
        own.insert("delta".into(), when(takes_deltas && publishes_deltas, takes_deltas).into());
        let size = given.remove("history_size").and_then(|size| size.as_integer()).unwrap_or(0);
        let ttl = given.remove("history_ttl").as_ref().and_then(seconds).unwrap_or(0);
        let size = if ttl == 0 { 0 } else { size };
        own.insert("history_size".into(), size.into());
        if size > 0 {
            own.insert("history_ttl".into(), ttl.into());
            own.insert("recovery".into(), recovery.into());
            own.insert("positioning".into(), positioning.into());
        }
        if let Some(mode) = given.remove("force_recovery_mode").filter(|_| size > 0) {
            own.insert("recovery_mode".into(), mode);
        }
        if let Some(regex) = given.remove("channel_regex") {
            own.insert("name_regex".into(), regex);
        }
        if given.remove("publication_data_format").is_none_or(|format| format.as_str() != Some("json")) {
            own.insert("publication_format".into(), "any".into());
        }
        given.remove("history_meta_ttl");
        for name in given.keys() {
            self.notes.push(format!("{table}.{name}: has no counterpart here"));
        }
        own
    }

    fn leftovers(&mut self) {
        let mut names = Vec::new();
        names_of(&self.rest, "", &mut names);
        for name in names {
            self.note(format!("{name}: has no counterpart here"));
        }
    }
}

/// The options of a namespace, for version 5, which has them at the top for channels without one.
const OPTIONS: [&str; 29] = [
    "presence",
    "join_leave",
    "force_push_join_leave",
    "history_size",
    "history_ttl",
    "history_meta_ttl",
    "force_positioning",
    "allow_positioning",
    "force_recovery",
    "allow_recovery",
    "force_recovery_mode",
    "allow_subscribe_for_client",
    "allow_subscribe_for_anonymous",
    "allow_publish_for_client",
    "allow_publish_for_anonymous",
    "allow_publish_for_subscriber",
    "allow_presence_for_client",
    "allow_presence_for_anonymous",
    "allow_presence_for_subscriber",
    "allow_history_for_client",
    "allow_history_for_anonymous",
    "allow_history_for_subscriber",
    "allow_user_limited_channels",
    "channel_regex",
    "delta_publish",
    "allowed_delta_types",
    "allow_tags_filter",
    "publication_data_format",
    "subscribe_proxy_enabled",
];

/// Takes a value out of nested tables.
fn take(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        Some((outer, rest)) => {
            let inner = table.get_mut(outer)?.as_table_mut()?;
            let taken = take(inner, rest);
            if inner.is_empty() {
                table.remove(outer);
            }
            taken
        }
        None => table.remove(path),
    }
}

fn names_of(table: &Table, prefix: &str, names: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => names_of(inner, &format!("{prefix}{name}."), names),
            _ => names.push(format!("{prefix}{name}")),
        }
    }
}

/// A duration as `300s`, `5m`, `1h30m` or a number of seconds, in whole seconds of at least one.
fn seconds(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Integer(seconds) => return Some(*seconds),
        Value::String(text) => text,
        _ => return None,
    };
    let (mut total, mut number) = (0.0, String::new());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() || letter == '.' {
            number.write_char(letter).ok()?;
            continue;
        }
        let is_milli = letter == 'm' && letters.next_if_eq(&'s').is_some();
        let factor = match letter {
            _ if is_milli => 0.001,
            'h' => 3_600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        number.clear();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a duration of a configuration")]
    let whole = total.ceil() as i64;
    number.is_empty().then_some(if total > 0.0 { whole.max(1) } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_version_6_comes_along_and_what_does_not_is_named() {
        let given = r#"{
            "client": {
                "token": {"hmac_secret_key": "secret", "audience": "app"},
                "allowed_origins": ["https://app.example.org", "https://*.example.com"],
                "subscribe_to_user_personal_channel": {"enabled": true, "personal_channel_namespace": "me"},
                "proxy": {"connect": {"enabled": true}}
            },
            "http_api": {"key": "key"},
            "http_server": {"port": 9000},
            "channel": {
                "without_namespace": {"allow_subscribe_for_client": true},
                "namespaces": [
                    {"name": "chat", "presence": true, "join_leave": true, "force_push_join_leave": true, "history_size": 10,
                     "history_ttl": "5m", "force_recovery": true, "allow_publish_for_subscriber": true,
                     "allowed_delta_types": ["fossil"], "subscribe_proxy_enabled": true},
                    {"name": "me"},
                    {"name": "room"}
                ]
            }
        }"#;
        let Imported { text, notes } = import(&parse(Path::new("config.json"), given).unwrap()).unwrap();
        let own: Table = toml::from_str(&text).unwrap();
        assert_eq!(own["listen"].as_str(), Some("0.0.0.0:9000"));
        assert_eq!(own["allowed_origins"].as_array().unwrap().len(), 1);
        let chat = own["namespaces"]["chat"].as_table().unwrap();
        for (key, value) in [("recovery", "always"), ("join_leave", "always"), ("delta", "on_request")] {
            assert_eq!(chat[key].as_str(), Some(value), "{key}");
        }
        assert_eq!((chat["history_ttl"].as_integer(), chat["history_size"].as_integer()), (Some(300), Some(10)));
        assert_eq!(chat["subscribe"].to_string(), r#"["token"]"#);
        assert_eq!(chat["publish"].to_string(), r#"["subscriber"]"#);
        assert_eq!(own["channels"]["subscribe"].to_string(), r#"["token", "user"]"#);
        assert_eq!(own["namespaces"]["me"]["personal"].as_bool(), Some(true));
        for said in [
            "https://app.example.org",
            "hmac_secret_key: a secret",
            "http_api.key: a secret",
            "exp is required",
            "namespace room",
            "namespaces.chat.subscribe_proxy_enabled",
            "client.proxy.connect.enabled: has no",
        ] {
            assert!(notes.iter().any(|note| note.contains(said)), "nothing says {said}: {notes:#?}");
        }
    }

    #[test]
    fn a_configuration_of_version_5_comes_along_too() {
        let given = "token_audience = \"app\"\nallow_subscribe_for_client = true\nhistory_size = 5\nhistory_ttl = \"60s\"\n\
                     [[namespaces]]\nname = \"news\"\nallow_history_for_client = true\n";
        let Imported { text, .. } = import(&parse(Path::new("config.toml"), given).unwrap()).unwrap();
        let own: Table = toml::from_str(&text).unwrap();
        assert_eq!(own["token_audience"].as_str(), Some("app"));
        assert_eq!(own["channels"]["history_size"].as_integer(), Some(5));
        assert_eq!(own["namespaces"]["news"]["see_history"].to_string(), r#"["user"]"#);
        assert_eq!(own["namespaces"]["news"]["history_size"].as_integer(), Some(0));
    }

    #[test]
    fn durations_are_read_as_they_are_written_there() {
        let read = |text: &str| seconds(&Value::from(text));
        assert_eq!(
            (read("300s"), read("5m"), read("1h30m"), read("500ms")),
            (Some(300), Some(300), Some(5_400), Some(1))
        );
        assert_eq!((read("soon"), read("5"), seconds(&Value::Integer(7))), (None, None, Some(7)));
    }
}
