//! The examples of docs/server-api.md, said to the real program.

use crate::server::Server;
use serde_json::{Value, json};
use tidings_api::{Method, OPENAPI};

const PAGE: &str = include_str!("../../../../docs/server-api.md");

/// What differs each time.
const ANYTHING: &str = "…";

/// A method, what it is asked, and what it answers.
fn examples() -> Vec<(String, Value, Value)> {
    let blocks: Vec<_> = PAGE.split("```").skip(1).step_by(2).collect();
    let mut examples = Vec::new();
    for pair in blocks.windows(2) {
        let Some((method, body)) = pair[0].trim_start().strip_prefix("POST /api/").and_then(|ask| ask.split_once('\n'))
        else {
            continue;
        };
        let answer = pair[1].strip_prefix("json").unwrap_or_else(|| panic!("{method}: an answer follows its question"));
        let read =
            |text: &str| serde_json::from_str(text).unwrap_or_else(|error| panic!("{method}: {error} in {text}"));
        examples.push((method.to_owned(), read(body), read(answer)));
    }
    examples
}

fn is_as_shown(told: &Value, shown: &Value) -> bool {
    match (told, shown) {
        (_, Value::String(text)) if text == ANYTHING => true,
        (Value::Array(told), Value::Array(shown)) => {
            told.len() == shown.len() && told.iter().zip(shown).all(|(told, shown)| is_as_shown(told, shown))
        }
        (Value::Object(told), Value::Object(shown)) => {
            let shown_for = |name: &String| shown.get(name).or_else(|| shown.get(ANYTHING));
            // What waits to be written is of the moment, and left out where nothing does.
            let told: Vec<_> = told.iter().filter(|(name, _)| *name != "queued_bytes").collect();
            told.len() == shown.len()
                && told.into_iter().all(|(name, told)| shown_for(name).is_some_and(|shown| is_as_shown(told, shown)))
        }
        (told, shown) => told == shown,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_has_an_example_and_each_is_answered_as_the_page_says() {
    let server = Server::start();
    let user = server.client("42").await;
    let _news = user.listen("news").await;
    let examples = examples();
    for method in Method::ALL.iter().map(|method| method.name()).chain(["batch"]) {
        assert!(examples.iter().any(|(shown, ..)| shown == method), "docs/server-api.md has no example of {method}");
        assert!(PAGE.contains(&format!("\n### {method}\n")), "{method}");
    }
    for (method, question, answer) in examples {
        let told = server.api(&method, &question).await;
        assert!(is_as_shown(&told, &answer), "{method} is answered with\n{told:#}\nand the page says\n{answer:#}");
        // What the server was told to do to the client has reached it before the next example looks.
        user.settle().await;
    }
}

#[tokio::test]
async fn the_descriptions_are_there_for_everybody() {
    let server = Server::start();
    let answer = server.get_at(server.address, "/api/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, serde_json::from_str(OPENAPI).unwrap()));
    let paths = answer.json()["paths"].as_object().unwrap().len();
    assert_eq!(paths, Method::ALL.len() + 1);
    let answer = server.get_at(server.address, "/api/server_api.proto").await;
    assert!(String::from_utf8_lossy(&answer.body).contains("service ServerApi {"));
    assert_eq!(server.api("info", &json!({})).await["result"]["nodes"].as_array().unwrap().len(), 1);
}
