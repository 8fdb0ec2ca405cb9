//! Every command of the load generator, tiny, against the real server.
//!
//! The server is the program that was built beside these tests (`cargo test --workspace` builds it), or the one that
//! `TIDINGS_BIN` names.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Parser;
use serde_json::Value;
use tidings_bench::cli::BenchArgs;
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    bench: BenchArgs,
}

fn tidings() -> String {
    let beside = || {
        let this = std::env::current_exe().unwrap();
        this.parent().and_then(|deps| deps.parent()).unwrap().join("tidings")
    };
    let path = std::env::var_os("TIDINGS_BIN").map_or_else(beside, PathBuf::from);
    assert!(path.exists(), "there is no server at {}: build it with cargo build -p tidings", path.display());
    path.into_os_string().into_string().unwrap()
}

/// What `tidings bench` says to these words, of one server, in one round.
async fn bench(words: &str) -> Value {
    bench_with(&format!("{words} --rounds 1 --settle 0 --unpinned --server-binary {}", tidings())).await
}

async fn bench_with(words: &str) -> Value {
    let words = ["bench"].into_iter().chain(words.split_whitespace()).chain(["--json"]);
    let said = tidings_bench::measure(Program::try_parse_from(words).unwrap().bench).await.unwrap();
    serde_json::from_str(&said).unwrap()
}

/// The median of a figure in the given result.
fn figure(report: &Value, result: usize, key: &str) -> f64 {
    let figure = &report["results"][result]["figures"][key]["median"];
    figure.as_f64().unwrap_or_else(|| panic!("no {key} in {report:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_is_measured_in_a_closed_loop() {
    let report = bench("fanout -n 20 -w 4 -d 1 --messages 50").await;
    assert!((figure(&report, 0, "publications") - 50.0).abs() < 0.5);
    assert!((figure(&report, 0, "deliveries") - 1000.0).abs() < 0.5);
    assert!(figure(&report, 0, "server_cpu_us_per_delivery") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_is_measured_at_a_fixed_rate_into_several_channels_of_each_connection() {
    let report = bench("fanout -n 10 --rate 100 --channels-per-connection 3 -d 1").await;
    assert!((figure(&report, 0, "publications") - 100.0).abs() < 0.5, "{report:#}");
    assert!(figure(&report, 0, "p999_us") >= figure(&report, 0, "p50_us"));
    assert!(figure(&report, 0, "generator_late_p99_us") >= 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_measured_cold_and_warm_with_and_without_a_delivery() {
    let report = bench("channels -n 300 --connections 5 --messages 100 --publishers 4 --via api,client").await;
    for result in 0..2 {
        for key in ["first_publication", "publication_cold", "publication_warm", "delivered_publication_cold"] {
            assert!(figure(&report, result, &format!("server_cpu_us_per_{key}")) > 0.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_the_key_of_a_limit_is_left_out_and_the_result_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (before, this) = (folder.path().join("before"), tidings());
    std::fs::write(&before, format!("#!/bin/sh\n[ \"$2\" = --help ] || exec {this} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&before, std::fs::Permissions::from_mode(0o755)).unwrap();
    let words = format!("--server-binary {} --server-binary {this} --rounds 1 --settle 0 --unpinned", before.display());
    let report = bench_with(&format!("chat --people 2 --in-flight 2 -d 1 {words}")).await;
    assert_eq!(report["results"][0]["server"], "before, rate_limits=false");
    let why = report["results"][0]["impossible"].as_str().unwrap();
    assert!(why.starts_with("this version has no key rate_limits"), "{why}");
    assert!(report["results"][1]["impossible"].is_null() && figure(&report, 1, "acknowledged_per_second") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_limits_can_be_shown_beside_the_raised_ones() {
    let report = bench("chat --people 2 --in-flight 4 --limits default,raised -d 1").await;
    assert_eq!(report["results"][0]["raised"], serde_json::json!([]));
    assert_eq!(report["results"][1]["raised"], serde_json::json!(["rate_limits=false"]));
    assert!(report["notes"].to_string().contains("Raised for this: rate_limits=false"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_are_measured_by_both_ways() {
    let report = bench("publish -p 4 --channels 1,10 -d 1").await;
    let ways: Vec<&Value> = (0..4).map(|result| &report["results"][result]["setting"]["via"]).collect();
    assert_eq!(ways, ["api", "api", "client", "client"]);
    assert!((0..4).all(|result| figure(&report, result, "publications_per_second") > 0.0));
    assert!((0..4).all(|result| figure(&report, result, "server_cpu_us_per_publication") > 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_are_measured_with_and_without_a_subscription_and_over_tls() {
    let report = bench("connect -n 100 --subscribe none,own --tls").await;
    for result in 0..2 {
        assert_eq!(report["results"][result]["setting"]["over"], "TLS");
        assert!(figure(&report, result, "server_cpu_us_per_connect") > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_measured_over_tls_with_a_subscription() {
    let report = bench("idle -n 50 -d 1 --subscribe shared --tls").await;
    assert!(figure(&report, 0, "server_bytes_per_connection") >= 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_measured_by_both_ways_and_loses_nothing() {
    let report = bench("chat --people 3 --in-flight 4 --readers 5 --via rpc,rest -d 1").await;
    for result in 0..2 {
        assert_eq!(report["results"][result]["raised"], serde_json::json!(["rate_limits=false"]));
        assert!(figure(&report, result, "acknowledged_per_second") > 0.0);
        assert!(figure(&report, result, "seen_p999_us") > 0.0);
        for wrong in ["lost", "doubled", "reordered", "refused"] {
            assert!(figure(&report, result, wrong) < 0.5, "{wrong}: {report:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_at_a_rate_that_people_may_have_needs_no_other_limits() {
    let report = bench("chat --people 4 --rate 40 --posters 4 --via rpc,rest -d 1").await;
    for result in 0..2 {
        assert_eq!(report["results"][result]["raised"], serde_json::json!([]));
        assert!(figure(&report, result, "lost") + figure(&report, result, "refused") < 0.5, "{report:#}");
        assert!(figure(&report, result, "acknowledged_p99_us") > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_are_measured_in_turn_and_compared() {
    let tidings = tidings();
    let words = format!("--server-binary {tidings} --server-binary {tidings} --rounds 2 --settle 0");
    let report = bench_with(&format!("connect -n 50 --subscribe none {words}")).await;
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
    let compared = &report["results"][1]["figures"]["server_cpu_us_per_connect"];
    assert_eq!(compared["rounds"].as_array().unwrap().len(), 2);
    assert!(compared["ratio"]["median"].as_f64().unwrap() > 0.0);
    assert!(report["notes"][0].as_str().unwrap().contains("median of 2 rounds in turn"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_measured_again_and_again() {
    let (folder, secret) = (tempfile::tempdir().unwrap(), "0123456789abcdef");
    let mut server = tokio::process::Command::new(tidings())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .env("TIDINGS_TOKEN_SECRET", secret)
        .env("TIDINGS_API_KEY", secret)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = said.next_line().await.unwrap().unwrap().replace("listening on http://", "");
    let pid = server.id().unwrap();
    let words = format!(
        "--server ws://{address}/connection/websocket --server-pid {pid} --token-secret {secret} --api-key {secret}"
    );
    let report = bench_with(&format!("publish -p 2 --channels 3 -d 1 --rounds 2 --settle 0 {words}")).await;
    assert!((0..2).all(|result| figure(&report, result, "server_cpu_us_per_publication") > 0.0), "{report:#}");
}
