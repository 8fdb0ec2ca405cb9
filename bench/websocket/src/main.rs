//! Compares WebSocket engines on one machine, each in a process of its own with one thread:
//! `websocket-bench compare [--quick]` prints a table and writes results.json; `websocket-bench serve ENGINE` is the child.
//! `websocket-bench echo ENGINE BYTES WINDOW`, `fan-out`, `echo-instructions` and `fan-out-instructions` print one cell.
//!
//! The figure is CPU time of the server per message, from the kernel's accounting, because it stays the same when the
//! machine is busy; throughput does not. Where valgrind is installed, instructions in user space are counted too: they are the
//! same in every run, and leave out the kernel, which costs the most. The client is the same for all: raw sockets, frames built beforehand, answers
//! only counted.

mod bare;
mod engines;
mod load;

use std::{fs, process::ExitCode};

const ENGINES: [&str; 8] =
    ["bare", "tidings", "tungstenite", "tokio-websockets", "fastwebsockets", "yawc", "sockudo-ws", "gorilla"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", "bare"] => bare::serve(),
        ["serve", engine] => engines::serve(engine),
        ["echo", engine, size, window] => {
            let (size, window) = (number(size), number(window));
            println!("{:.3}", load::echo(engine, size, window, echo_messages(size, window)));
        }
        ["fan-out", engine, size, window] => {
            println!(
                "{:.3}",
                load::fan_out(engine, SUBSCRIBERS, number(size), number(window), fan_out_messages(number(window)))
            );
        }
        ["echo-instructions", engine, size, window] => {
            println!("{:.1}", load::echo_instructions(engine, number(size), number(window)));
        }
        ["fan-out-instructions", engine, size, window] => {
            println!("{:.1}", load::fan_out_instructions(engine, COUNTED_SUBSCRIBERS, number(size), number(window)));
        }
        ["compare", ref rest @ ..] => compare(rest.contains(&"--quick")),
        _ => {
            eprintln!(
                "usage: websocket-bench compare [--quick] | (echo|fan-out)[-instructions] ENGINE BYTES WINDOW | serve ENGINE"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Subscribers in fan-out.
const SUBSCRIBERS: usize = 1000;

/// The same where instructions are counted, which is slow.
const COUNTED_SUBSCRIBERS: usize = 100;

/// Messages published in fan-out.
fn fan_out_messages(window: usize) -> usize {
    if window == 1 { 160 } else { 800 }
}

/// Messages echoed: fewer when they cost more, so that a turn takes a tenth of a second of CPU time at least.
fn echo_messages(size: usize, window: usize) -> usize {
    let short = if window == 1 { 40_000 } else { 200_000 };
    short / (1 + size / 8192)
}

fn number(text: &str) -> usize {
    text.parse().expect("a number of bytes or messages")
}

struct Row {
    what: String,
    figures: Vec<(&'static str, f64)>,
}

fn compare(quick: bool) {
    let mut engines = ENGINES.to_vec();
    engines.retain(|engine| *engine != "gorilla" || load::gorilla().exists());
    let mut rows = Vec::new();
    let rounds = if quick { 2 } else { 6 };
    for size in [16, 128, 1024, 65536] {
        for window in [1, 16] {
            let messages = echo_messages(size, window) / if quick { 3 } else { 1 };
            let run = |engine: &str| load::echo(engine, size, window, messages);
            rows.push(row(format!("echo {size} B, {window} in flight, µs CPU"), rounds, &engines, run));
        }
    }
    for window in [1, 16] {
        let messages = fan_out_messages(window) / if quick { 5 } else { 1 };
        let run = |engine: &str| load::fan_out(engine, SUBSCRIBERS, 128, window, messages);
        rows.push(row(format!("fan-out 128 B to 1000, {window} in flight, µs CPU"), rounds, &engines[1..], run));
    }
    if load::can_count() {
        // Go's runtime does not run there.
        let counted: Vec<_> = engines.iter().copied().filter(|engine| *engine != "gorilla").collect();
        for (size, window) in [(128, 1), (128, 16), (1024, 16), (65536, 16)] {
            let run = |engine: &str| load::echo_instructions(engine, size, window);
            rows.push(row(format!("echo {size} B, {window} in flight, instructions"), 1, &counted, run));
        }
        let run = |engine: &str| load::fan_out_instructions(engine, COUNTED_SUBSCRIBERS, 128, 16);
        rows.push(row(
            format!("fan-out 128 B to {COUNTED_SUBSCRIBERS}, 16 in flight, instructions"),
            1,
            &counted[1..],
            run,
        ));
    } else {
        println!("valgrind is not installed: instructions are left out");
    }
    let connections = if quick { 2000 } else { 10_000 };
    let idle = |engine: &str| load::idle(engine, connections);
    rows.push(row(format!("idle, {connections} connections, bytes each"), 1, &engines[1..], idle));
    let json: Vec<String> = rows
        .iter()
        .map(|row| {
            let figures: Vec<String> =
                row.figures.iter().map(|(engine, figure)| format!("{engine:?}: {figure:.3}")).collect();
            format!("  {{\"what\": {:?}, \"figures\": {{{}}}}}", row.what, figures.join(", "))
        })
        .collect();
    fs::write("results.json", format!("[\n{}\n]\n", json.join(",\n"))).expect("the folder can be written to");
}

/// One row: the best of some rounds for each engine, the engines taking turns.
fn row(what: String, rounds: usize, engines: &[&'static str], run: impl Fn(&str) -> f64) -> Row {
    let mut figures: Vec<_> = engines.iter().map(|engine| (*engine, f64::INFINITY)).collect();
    for _ in 0..rounds {
        for (engine, figure) in &mut figures {
            *figure = figure.min(run(engine));
        }
    }
    let cells: Vec<String> = figures.iter().map(|(engine, figure)| format!("{engine} {figure:.2}")).collect();
    println!("{what}: {}", cells.join(" · "));
    Row { what, figures }
}
