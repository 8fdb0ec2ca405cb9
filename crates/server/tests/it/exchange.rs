//! Questions and answers as text: what changes from run to run has a name, everything else stands as it came.

use crate::server::Answer;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use std::fmt::Write;

/// The headers of an answer that belong to the API.
const INTERESTING: [&str; 8] = [
    "content-type",
    "cache-control",
    "location",
    "set-cookie",
    "allow",
    "www-authenticate",
    "retry-after",
    "access-control-allow-origin",
];
/// What a browser heeds where a page comes; other answers have them too.
const OF_PAGES: [&str; 6] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
];
/// A longer text is shown by its beginning and its length.
const TEXT_CHARS_SHOWN: usize = 400;
/// The client ids of these tests begin so; every other id is the server's.
const OURS: &str = "01890000-";

/// A question.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Headers that this question is about.
    shown: Vec<String>,
}

impl Question {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: String::new(), shown: Vec::new() }
    }

    /// A header that everybody sends.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// A header that the transcript shows.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.shown.push(format!("{name}: {value}"));
        self.header(name, value)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }
}

/// One question with its answer, and what it is about.
pub(crate) struct Exchange {
    title: String,
    question: Question,
    answer: Answer,
}

impl Exchange {
    pub(crate) fn new(title: impl Into<String>, question: Question, answer: Answer) -> Self {
        Self { title: title.into(), question, answer }
    }

    pub(crate) fn write(&self, out: &mut String, names: &Names) {
        let mut text = String::new();
        let Self { title, question, answer } = self;
        let _ = writeln!(text, "{} {}", question.method, question.path);
        for header in &question.shown {
            let _ = writeln!(text, "{header}");
        }
        if !question.body.is_empty() {
            let _ = writeln!(text, "{}", shortened(&question.body));
        }
        let _ = writeln!(text, "\n{}", answer.status);
        let kind = answer.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        let is_page = kind.starts_with("text/html");
        for name in INTERESTING.iter().chain(OF_PAGES.iter().filter(|_| is_page)) {
            for value in answer.headers.get_all(*name) {
                let _ = writeln!(text, "{name}: {}", without_device(value.to_str().unwrap()));
            }
        }
        let body = String::from_utf8_lossy(&answer.body);
        match serde_json::from_slice(&answer.body) {
            Ok(json) => text.push_str(&pretty(&redacted(&json))),
            // What is in the page, the browser's tests say.
            Err(_) if is_page => {}
            // Which figures there are; their values are of the moment.
            Err(_) if kind.starts_with("application/openmetrics-text") => {
                body.lines().filter(|line| line.starts_with('#')).for_each(|line| text.push_str(&format!("{line}\n")));
            }
            Err(_) => text.push_str(&shortened(&body)),
        }
        let _ = write!(out, "# {title}\n\n{}\n\n", names.apply(&text).trim_end());
    }
}

/// A device cookie is another one each time.
fn without_device(header: &str) -> String {
    const DEVICE: &str = "tidings-device=";
    match header.strip_prefix(DEVICE).and_then(|rest| rest.split_once(';')) {
        Some((_, attributes)) => format!("{DEVICE}[device];{attributes}"),
        None => header.to_owned(),
    }
}

/// What the values of one run are called in every run.
#[derive(Default)]
pub(crate) struct Names(Vec<(String, String)>);

impl Names {
    pub(crate) fn name(&mut self, name: &str, value: impl Into<String>) {
        self.replace(value, format!("[{name}]"));
    }

    pub(crate) fn replace(&mut self, value: impl Into<String>, text: impl Into<String>) {
        self.0.push((value.into(), text.into()));
    }

    fn apply(&self, text: &str) -> String {
        let named = self.0.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
        let mut out = String::new();
        let mut rest = named.as_str();
        while let Some(at) = rest.char_indices().map(|(at, _)| at).find(|at| is_foreign_uuid(&rest[*at..])) {
            out.push_str(&rest[..at]);
            out.push_str("[uuid]");
            rest = &rest[at + UUID_CHARS..];
        }
        out + rest
    }
}

const UUID_CHARS: usize = 36;

fn is_foreign_uuid(text: &str) -> bool {
    let fits = |(at, c): (usize, u8)| if [8, 13, 18, 23].contains(&at) { c == b'-' } else { c.is_ascii_hexdigit() };
    text.len() >= UUID_CHARS && text.bytes().take(UUID_CHARS).enumerate().all(fits) && !text.starts_with(OURS)
}

/// The same, with a word in place of what the clock, the network and chance decide; only where it looks as it must.
fn redacted(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(redacted).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), redacted_field(key, value))).collect(),
        Value::String(text) => shortened(text).into(),
        other => other.clone(),
    }
}

fn redacted_field(key: &str, value: &Value) -> Value {
    /// 2020, in milliseconds.
    const LONG_AGO: i64 = 1_577_836_800_000;
    let is_time = value.as_i64().is_some_and(|time| time > LONG_AGO);
    let is_text = value.as_str().is_some_and(|text| !text.is_empty());
    match key {
        "time" | "edited" | "since" | "created" | "last_seen" | "last_message" | "changed" | "expires" if is_time => {
            json!("[milliseconds]")
        }
        "uptime" | "cpu" if value.is_number() => json!("[seconds]"),
        "rss" if value.is_number() => json!("[bytes]"),
        "epoch" if is_text => json!("[epoch]"),
        "request_id" if is_text => json!("[request id]"),
        "version" if value == env!("CARGO_PKG_VERSION") => json!("[version]"),
        _ => redacted(value),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_SHOWN) {
        Some(_) => format!("{}… ({} bytes)", text.chars().take(20).collect::<String>(), text.len()),
        None => text.to_owned(),
    }
}

/// Pretty, with the fields in one order whatever serde_json is built with.
fn pretty(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Array(values) => values.iter().map(sorted).collect(),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| *key);
                fields.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
            }
            other => other.clone(),
        }
    }
    format!("{:#}", sorted(value))
}
