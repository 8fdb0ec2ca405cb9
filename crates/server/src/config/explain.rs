//! What the keys mean, in words: an example file with all of them, and one key explained.

use super::api_keys::ApiKeySettings;
use super::channels::ChannelSettings;
use super::limits::LimitSettings;
use super::{ConfigError, Settings, wrong};
use clap::{Arg, Args, Command};
use std::fmt::Write;
use toml::{Table, Value};

/// A `tidings.toml` with every key, its meaning and its default. All are commented out: as it is, it changes nothing.
pub(crate) fn example() -> String {
    let mut text =
        String::from("# Every key of Tidings with its default. What is commented out holds as it stands here.\n");
    let defaults = table_of(&Settings::default());
    for arg in arguments::<Settings>() {
        entry(&mut text, &arg, at(&defaults, arg.get_id().as_str()));
    }
    text += "\n# What one connection, one user and one address may take.\n# [limits]\n";
    let defaults = table_of(&LimitSettings::default());
    for arg in arguments::<LimitSettings>() {
        entry(&mut text, &arg, defaults.get(arg.get_id().as_str()));
    }
    text += "\n# Who may sign client tokens beside whoever has the token secret; docs/tokens.md has every key.\n\
             # [[client.token.issuers]]\n# iss = \"https://login.example.org\"\n# algorithms = [\"RS256\"]\n\
             # jwks_url = \"https://login.example.org/keys.json\"\n";
    text += "\n# Keys of the server API beside the generated one; docs/server-api.md has every key.\n\
             # [[api_keys]]\n# name = \"shop\"\n# key = \"at-least-16-bytes-that-nobody-guesses\"\n# scopes = [\"publish\"]\n";
    text += "\n# Channels without a namespace.\n# [channels]\n";
    let defaults = table_of(&ChannelSettings::default());
    for arg in arguments::<ChannelSettings>() {
        entry(&mut text, &arg, defaults.get(arg.get_id().as_str()));
    }
    text += "\n# The channels news:…, with the same keys. Once there is a namespace, the names of others are unknown (error 102).\n\
             # [namespaces.news]\n# history_size = 10\n";
    text
}

fn entry(text: &mut String, arg: &Arg, default: Option<&Value>) {
    let (id, help) = (arg.get_id(), help_of(arg));
    let value = default.map_or_else(|| "…".to_owned(), ToString::to_string);
    write!(text, "\n# {help}\n# {id} = {value}\n").expect("a string takes everything");
}

/// What a key means, its default, and what it is now.
///
/// # Errors
/// [`ConfigError`] when there is no such key, with the nearest one.
pub(crate) fn explain(key: &str, settings: &Settings) -> Result<String, ConfigError> {
    let (table, own) = key.rsplit_once('.').unwrap_or(("", key));
    let mut now = at(&table_of(settings), key).cloned();
    let (args, defaults, own) = match table {
        "api_keys" => (arguments::<ApiKeySettings>(), table_of(&ApiKeySettings::default()), own),
        "limits" => (arguments::<LimitSettings>(), table_of(&LimitSettings::default()), own),
        "channels" => (arguments::<ChannelSettings>(), table_of(&ChannelSettings::default()), own),
        _ if table.starts_with("namespaces.") => {
            // A namespace's name may have dots too, with quotes around it as in the file or without.
            let name = table["namespaces.".len()..].trim_matches(['"', '\'']);
            now = settings.namespaces.get(name).and_then(|namespace| at(&table_of(namespace), own).cloned());
            (arguments::<ChannelSettings>(), table_of(&ChannelSettings::default()), own)
        }
        _ => (arguments::<Settings>(), table_of(&Settings::default()), key),
    };
    let Some(arg) = args.iter().find(|arg| arg.get_id() == own) else {
        let ids = args.iter().map(|arg| arg.get_id().as_str());
        let nearest = ids.min_by_key(|id| strsim::damerau_levenshtein(own, id)).unwrap_or_default();
        return Err(wrong("key", key, format!("there is no such key; did you mean `{nearest}`?")));
    };
    let mut text = format!("{key}: {}\n", help_of(arg));
    let shown = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), ToString::to_string);
    writeln!(text, "default: {}", shown(at(&defaults, own))).expect("a string takes everything");
    writeln!(text, "now: {}", shown(now.as_ref())).expect("a string takes everything");
    if let Some(long) = arg.get_long().filter(|_| own == key) {
        let variable = arg.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        writeln!(text, "flag: --{long}\nenvironment: {variable}").expect("a string takes everything");
    }
    Ok(text)
}

/// The value at a dotted path.
fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((outer, rest)) => at(table.get(outer)?.as_table()?, rest),
        None => table.get(path),
    }
}

fn arguments<K: Args>() -> Vec<Arg> {
    K::augment_args(Command::new("keys")).get_arguments().cloned().collect()
}

fn table_of<K: serde::Serialize>(keys: &K) -> Table {
    Table::try_from(keys).expect("the keys came from TOML")
}

fn help_of(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if values.is_empty() || values == ["true", "false"] { help } else { format!("{help} ({})", values.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_changes_nothing_and_is_a_configuration_with_everything_in_it_switched_on() {
        let example = example();
        let nothing: Settings = toml::from_str(&example).unwrap();
        assert_eq!(nothing.differing_keys(&Settings::default()), Vec::<String>::new());
        let is_key = |line: &str| line.starts_with("# [") || (line.contains(" = ") && !line.ends_with('…'));
        let uncommented: String = example
            .lines()
            .filter(|line| is_key(line) && line.split(' ').nth(2) == Some("=") || line.starts_with("# ["))
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let all: Settings = toml::from_str(&uncommented).unwrap();
        let expected = ["api_keys".to_owned(), "client.token.issuers".to_owned(), "namespaces.news".to_owned()];
        assert_eq!(all.differing_keys(&Settings::default()), expected);
    }

    #[test]
    fn a_key_is_explained_with_its_default_and_what_it_is_now() {
        let settings: Settings = toml::from_str("[namespaces.news]\nhistory_size = 7\n").unwrap();
        let text = explain("namespaces.news.history_size", &settings).unwrap();
        assert!(text.starts_with("namespaces.news.history_size: Publications that a channel keeps"), "{text}");
        assert!(text.ends_with("default: 100\nnow: 7\n"), "{text}");
        let dotted: Settings = toml::from_str("[namespaces.\"a.b\"]\nhistory_size = 7\n").unwrap();
        for key in ["namespaces.a.b.history_size", "namespaces.\"a.b\".history_size"] {
            let text = explain(key, &dotted).unwrap();
            assert!(text.ends_with("default: 100\nnow: 7\n"), "{text}");
        }
        assert!(explain("namespaces.a.history_size", &dotted).unwrap().ends_with("now: none\n"));
        let text = explain("listen", &settings).unwrap();
        assert!(text.contains("flag: --listen\nenvironment: TIDINGS_LISTEN\n"), "{text}");
        let text = explain("client.token.allow_without_exp", &settings).unwrap();
        assert!(text.contains("default: false\nnow: false\nflag: --client-token-allow-without-exp\n"), "{text}");
        let error = explain("namespaces.news.histroy_size", &settings).unwrap_err().to_string();
        assert!(error.ends_with("did you mean `history_size`?"), "{error}");
    }
}
