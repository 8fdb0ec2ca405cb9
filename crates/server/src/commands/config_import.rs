//! `tidings config import`: the configuration of a Centrifugo server (version 5 or 6, JSON or TOML) as a `tidings.toml`, as far
//! as it goes; what cannot be said here, or means something else, is named.

use crate::config::Config;
use crate::plain::{plain, plain_lines};
use anyhow::{Context, anyhow, bail};
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
    import.client()?;
    import.server()?;
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

    fn take_text(&mut self, path: &str, old: &str) -> anyhow::Result<Option<String>> {
        self.take(path, old).map(|value| text(path, value)).transpose()
    }

    fn take_number(&mut self, path: &str, old: &str) -> anyhow::Result<Option<i64>> {
        self.take(path, old).map(|value| number(path, &value)).transpose()
    }

    fn take_flag(&mut self, path: &str, old: &str) -> anyhow::Result<bool> {
        self.take(path, old).map_or(Ok(false), |value| flag(path, &value))
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

    fn client(&mut self) -> anyhow::Result<()> {
        if let Some(origins) = self.take("client.allowed_origins", "allowed_origins") {
            let origins = list("client.allowed_origins", origins)?;
            if origins.iter().any(|origin| origin.contains('*')) {
                self.note(
                    "allowed_origins: patterns are not taken; list each origin exactly, as https://app.example.org",
                );
            }
            let exact = origins.into_iter().filter(|origin| !origin.contains('*'));
            self.set("allowed_origins", exact.collect::<Vec<_>>());
        }
        if self.take_flag("client.allow_anonymous_connect_without_token", "allow_anonymous_connect_without_token")? {
            self.set("client.anonymous", true);
        }
        if self.take_flag("client.insecure", "client_insecure")? {
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
            if let Some(value) = self.take_text(path, old)? {
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
            if let Some(number) = self.take_number(path, old)?.filter(|number| *number != 0) {
                self.set(own, number);
            }
        }
        for (path, old, own) in [
            ("client.ping_interval", "ping_interval", "ping_interval"),
            ("client.pong_timeout", "pong_timeout", "pong_timeout"),
        ] {
            if let Some(value) = self.take(path, old) {
                self.set(own, duration(path, &value)?);
            }
        }
        Ok(())
    }

    fn server(&mut self) -> anyhow::Result<()> {
        let port = self.take_number("http_server.port", "port")?;
        let address = self.take_text("http_server.address", "address")?;
        if port.is_some() || address.is_some() {
            let port = port.unwrap_or(8000);
            let address = address.filter(|address| !address.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
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
            if let Some(value) = self.take_text(path, old)? {
                self.set(own, value);
            }
        }
        Ok(())
    }

    fn namespaces(&mut self) -> anyhow::Result<()> {
        // Version 5 has the options of channels without a namespace beside everything else.
        let plain = match take(&mut self.rest, "channel.without_namespace") {
            Some(plain) => table("channel.without_namespace", plain)?,
            None => OPTIONS.iter().filter_map(|name| Some(((*name).to_owned(), self.rest.remove(*name)?))).collect(),
        };
        let mut plain = self.options("channels", plain)?;
        let mut named = Table::new();
        let namespaces = take(&mut self.rest, "channel.namespaces").or_else(|| self.rest.remove("namespaces"));
        for namespace in namespaces.map_or(Ok(Vec::new()), |namespaces| array("channel.namespaces", namespaces))? {
            let mut options = table("channel.namespaces", namespace)?;
            let name = options.remove("name").context("a namespace has no name")?;
            let name = text("channel.namespaces.name", name)?;
            if matches!(&*name, "room" | "user") {
                self.note(format!("namespace {name}: is the chat's own here; its channels need another name"));
                continue;
            }
            let options = self.options(&format!("namespaces.{name}"), options)?;
            if named.insert(name.clone(), options.into()).is_some() {
                bail!("channel.namespaces: the namespace {name:?} is there twice; which one holds cannot be known");
            }
        }
        if let Some(personal) = take(&mut self.rest, PERSONAL) {
            self.personal(table(PERSONAL, personal)?, &mut plain, &mut named)?;
        }
        self.set("channels", plain);
        if !named.is_empty() {
            self.set("namespaces", named);
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

    /// Everybody's own channels. Where they belong into a namespace that there is not, none is made: it would be open to all.
    fn personal(&mut self, mut given: Table, plain: &mut Table, named: &mut Table) -> anyhow::Result<()> {
        let mut is =
            |key: &str| given.remove(key).map_or(Ok(false), |value| flag(&format!("{PERSONAL}.{key}"), &value));
        let (enabled, single) = (is("enabled")?, is("single_connection")?);
        let namespace = given.remove("personal_channel_namespace");
        let namespace = namespace
            .map_or(Ok(String::new()), |name| text(&format!("{PERSONAL}.personal_channel_namespace"), name))?;
        for name in given.keys() {
            self.note(format!("{PERSONAL}.{name}: has no counterpart here"));
        }
        if !enabled {
            return Ok(());
        }
        let own =
            if namespace.is_empty() { Some(plain) } else { named.get_mut(&namespace).and_then(Value::as_table_mut) };
        let Some(own) = own else {
            self.note(format!("{PERSONAL}: is not brought along, because there is no namespace {namespace:?}; make one with personal = true"));
            return Ok(());
        };
        own.insert("personal".into(), true.into());
        if single {
            own.insert("single_connection".into(), true.into());
        }
        Ok(())
    }

    /// The options of one namespace. There nothing is allowed unless it is said, here the other way round.
    fn options(&mut self, table: &str, mut given: Table) -> anyhow::Result<Table> {
        let mut own = Table::new();
        let path = |name: &str| format!("{table}.{name}");
        let mut is = |name: &str| given.remove(name).map_or(Ok(false), |value| flag(&path(name), &value));
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
        let recovery = when(is("force_recovery")?, is("allow_recovery")?);
        let positioning = when(is("force_positioning")?, is("allow_positioning")?);
        let (joins, forced) = (is("join_leave")?, is("force_push_join_leave")?);
        own.insert("join_leave".into(), when(joins && forced, joins).into());
        own.insert("presence".into(), is("presence")?.into());
        let subscribe = who([
            ("token", true),
            ("user", is("allow_subscribe_for_client")?),
            ("anonymous", is("allow_subscribe_for_anonymous")?),
        ]);
        own.insert("subscribe".into(), subscribe.into());
        for (key, operation) in [("publish", "publish"), ("see_presence", "presence"), ("see_history", "history")] {
            let who = who([
                ("user", is(&format!("allow_{operation}_for_client"))?),
                ("anonymous", is(&format!("allow_{operation}_for_anonymous"))?),
                ("subscriber", is(&format!("allow_{operation}_for_subscriber"))?),
            ]);
            own.insert(key.into(), who.into());
        }
        own.insert("user_limited".into(), is("allow_user_limited_channels")?.into());
        own.insert("tags_filter".into(), is("allow_tags_filter")?.into());
        let publishes_deltas = is("delta_publish")?;
        let mut take = |name: &str| given.remove(name).map(|value| (path(name), value));
        let deltas = take("allowed_delta_types").map_or(Ok(Vec::new()), |(path, types)| list(&path, types))?;
        let takes_deltas = !deltas.is_empty();
        own.insert("delta".into(), when(takes_deltas && publishes_deltas, takes_deltas).into());
        let size = take("history_size").map_or(Ok(0), |(path, size)| number(&path, &size))?;
        let ttl = take("history_ttl").map_or(Ok(0), |(path, ttl)| duration(&path, &ttl))?;
        let size = if ttl == 0 { 0 } else { size };
        own.insert("history_size".into(), size.into());
        if size > 0 {
            own.insert("history_ttl".into(), ttl.into());
            own.insert("recovery".into(), recovery.into());
            own.insert("positioning".into(), positioning.into());
        }
        let mode = take("force_recovery_mode").map(|(path, mode)| text(&path, mode)).transpose()?;
        if let Some(mode) = mode.filter(|mode| size > 0 && !mode.is_empty()) {
            own.insert("recovery_mode".into(), mode.into());
        }
        let regex = take("channel_regex").map(|(path, regex)| text(&path, regex)).transpose()?;
        if let Some(regex) = regex.filter(|regex| !regex.is_empty()) {
            own.insert("name_regex".into(), regex.into());
        }
        let format = take("publication_data_format").map(|(path, format)| text(&path, format)).transpose()?;
        if format.as_deref() != Some("json") {
            own.insert("publication_format".into(), "any".into());
        }
        given.remove("history_meta_ttl");
        for name in given.keys() {
            self.notes.push(format!("{table}.{name}: has no counterpart here"));
        }
        Ok(own)
    }

    fn leftovers(&mut self) {
        let mut names = Vec::new();
        names_of(&self.rest, "", &mut names);
        for name in names {
            self.note(format!("{name}: has no counterpart here"));
        }
    }
}

/// Where it says who has a channel of their own.
const PERSONAL: &str = "client.subscribe_to_user_personal_channel";

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

/// What is written otherwise than it should be. The value is not repeated: it may be a secret.
fn unlike(path: &str, value: &Value, expected: &str) -> anyhow::Error {
    anyhow!(
        "{path}: must be {expected}, and is {}",
        match value {
            Value::Table(_) => "an object",
            Value::Array(_) => "a list",
            Value::String(_) => "a text that says something else",
            Value::Boolean(_) => "true or false",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Datetime(_) => "a date",
        }
    )
}

/// A text. There, numbers and booleans may stand for one, and it for them.
fn text(path: &str, value: Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        other => Err(unlike(path, &other, "a text")),
    }
}

fn number(path: &str, value: &Value) -> anyhow::Result<i64> {
    let read = match value {
        Value::Integer(number) => Some(*number),
        Value::Float(number) => number.to_string().parse().ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    read.ok_or_else(|| unlike(path, value, "a whole number"))
}

fn flag(path: &str, value: &Value) -> anyhow::Result<bool> {
    let read = match value {
        Value::Boolean(flag) => Some(*flag),
        Value::Integer(number @ (0 | 1)) => Some(*number == 1),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Some(true),
            "false" | "f" | "0" | "" => Some(false),
            _ => None,
        },
        _ => None,
    };
    read.ok_or_else(|| unlike(path, value, "true or false"))
}

/// A list of texts, which may stand in one with spaces or commas between them.
fn list(path: &str, value: Value) -> anyhow::Result<Vec<String>> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| text(path, item)).collect(),
        Value::String(text) => {
            let items = text.split([' ', ',', '\n']).filter(|item| !item.is_empty());
            Ok(items.map(str::to_owned).collect())
        }
        other => Err(unlike(path, &other, "a list of texts")),
    }
}

fn array(path: &str, value: Value) -> anyhow::Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(unlike(path, &other, "a list")),
    }
}

fn table(path: &str, value: Value) -> anyhow::Result<Table> {
    match value {
        Value::Table(table) => Ok(table),
        other => Err(unlike(path, &other, "an object")),
    }
}

fn duration(path: &str, value: &Value) -> anyhow::Result<i64> {
    seconds(value).filter(|seconds| *seconds >= 0).ok_or_else(|| unlike(path, value, "a duration such as 300s"))
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
    // Digits alone are a number of seconds that was given as a text.
    let of_digits = || text.trim().parse::<i64>().ok();
    if number.is_empty() { Some(if total > 0.0 { whole.max(1) } else { 0 }) } else { of_digits() }
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

    fn imported(json: &str) -> anyhow::Result<Imported> {
        import(&parse(Path::new("config.json"), json)?)
    }

    #[test]
    fn the_name_of_a_namespace_may_have_dots_and_be_there_once() {
        let given = r#"{"channel": {"namespaces": [{"name": "a.b", "presence": true}, {"name": "a"}]}}"#;
        let own: Table = toml::from_str(&imported(given).unwrap().text).unwrap();
        assert_eq!(own["namespaces"]["a.b"]["presence"].as_bool(), Some(true));
        assert_eq!(own["namespaces"]["a"]["presence"].as_bool(), Some(false));
        let twice = r#"{"channel": {"namespaces": [{"name": "a", "presence": true}, {"name": "a"}]}}"#;
        assert!(imported(twice).err().unwrap().to_string().contains("\"a\" is there twice"));
    }

    #[test]
    fn numbers_and_booleans_may_be_texts_there_and_are_none_here() {
        let given = r#"{
            "client": {"allowed_origins": "https://a.example https://b.example", "channel_limit": "64", "ping_interval": "30",
                       "allow_anonymous_connect_without_token": "true", "token": {"audience": 7}},
            "http_server": {"port": "9000", "address": ""},
            "channel": {"without_namespace": {"presence": "true", "history_size": "10", "history_ttl": "300", "join_leave": "false",
                                              "allow_publish_for_client": 1, "allowed_delta_types": []}}
        }"#;
        let own: Table = toml::from_str(&imported(given).unwrap().text).unwrap();
        assert_eq!(own["allowed_origins"].to_string(), r#"["https://a.example", "https://b.example"]"#);
        assert_eq!(own["limits"]["channels_per_connection_max"].as_integer(), Some(64));
        assert_eq!(own["ping_interval"].as_integer(), Some(30));
        assert_eq!(own["client"]["anonymous"].as_bool(), Some(true));
        assert_eq!(own["token_audience"].as_str(), Some("7"));
        assert_eq!(own["listen"].as_str(), Some("0.0.0.0:9000"));
        let channels = own["channels"].as_table().unwrap();
        let history = ["history_size", "history_ttl"].map(|key| channels[key].as_integer());
        assert_eq!((channels["presence"].as_bool(), history), (Some(true), [Some(10), Some(300)]));
        assert_eq!((channels["join_leave"].as_str(), channels["delta"].as_str()), (Some("off"), Some("off")));
        assert_eq!(channels["publish"].to_string(), r#"["user"]"#);
    }

    #[test]
    fn what_is_no_such_value_is_named_and_not_passed_over() {
        for (given, says) in [
            (r#"{"http_server": {"port": {"a": 1}}}"#, "http_server.port: must be a whole number, and is an object"),
            (r#"{"http_server": {"port": "soon"}}"#, "http_server.port: must be a whole number, and is a text"),
            (
                r#"{"client": {"token": {"audience": {"a": 1}}}}"#,
                "client.token.audience: must be a text, and is an object",
            ),
            (r#"{"client": {"allowed_origins": {"a": 1}}}"#, "client.allowed_origins: must be a list of texts"),
            (r#"{"client": {"insecure": {}}}"#, "client.insecure: must be true or false, and is an object"),
            (r#"{"channel": {"namespaces": {"name": "a"}}}"#, "channel.namespaces: must be a list, and is an object"),
            (r#"{"channel": {"namespaces": ["a"]}}"#, "channel.namespaces: must be an object"),
            (r#"{"channel": {"namespaces": [{"name": {}}]}}"#, "channel.namespaces.name: must be a text"),
            (r#"{"channel": {"without_namespace": true}}"#, "channel.without_namespace: must be an object"),
            (
                r#"{"channel": {"namespaces": [{"name": "a", "history_size": {}}]}}"#,
                "namespaces.a.history_size: must be a whole number, and is an object",
            ),
            (
                r#"{"channel": {"namespaces": [{"name": "a", "history_ttl": "soon"}]}}"#,
                "namespaces.a.history_ttl: must be a duration",
            ),
            (
                r#"{"channel": {"namespaces": [{"name": "a", "presence": "perhaps"}]}}"#,
                "namespaces.a.presence: must be true or false",
            ),
            (
                r#"{"client": {"subscribe_to_user_personal_channel": {"enabled": "perhaps"}}}"#,
                "personal_channel.enabled: must be",
            ),
        ] {
            let refused = imported(given).err().unwrap_or_else(|| panic!("{given}")).to_string();
            assert!(refused.contains(says), "{refused}\nshould say\n{says}");
        }
    }

    #[test]
    fn personal_channels_come_along_with_their_one_connection_and_never_without_their_namespace() {
        let given = |namespace: &str| {
            let personal = format!(
                r#"{{"enabled": true, "single_connection": true, "personal_channel_namespace": "{namespace}"}}"#
            );
            let given = format!(
                r#"{{"client": {{"subscribe_to_user_personal_channel": {personal}}}, "channel": {{"namespaces": [{{"name": "me"}}, {{"name": "room"}}]}}}}"#
            );
            let Imported { text, notes } = imported(&given).unwrap();
            (toml::from_str::<Table>(&text).unwrap(), notes)
        };
        let (own, _) = given("me");
        assert_eq!(own["namespaces"]["me"]["personal"].as_bool(), Some(true));
        assert_eq!(own["namespaces"]["me"]["single_connection"].as_bool(), Some(true));
        assert_eq!(own["namespaces"]["me"]["subscribe"].to_string(), r#"["token"]"#);
        let (own, _) = given("");
        assert_eq!(own["channels"]["personal"].as_bool(), Some(true));
        for missing in ["you", "room"] {
            let (own, notes) = given(missing);
            assert_eq!(own["namespaces"].as_table().unwrap().keys().collect::<Vec<_>>(), ["me"]);
            assert!(own["namespaces"]["me"].get("personal").is_none() && own["channels"].get("personal").is_none());
            assert!(notes.iter().any(|note| note.contains(&format!("there is no namespace {missing:?}"))), "{notes:?}");
        }
    }

    #[test]
    fn durations_are_read_as_they_are_written_there() {
        let read = |text: &str| seconds(&Value::from(text));
        assert_eq!(
            (read("300s"), read("5m"), read("1h30m"), read("500ms")),
            (Some(300), Some(300), Some(5_400), Some(1))
        );
        assert_eq!((read("soon"), read("5"), seconds(&Value::Integer(7))), (None, Some(5), Some(7)));
    }
}
