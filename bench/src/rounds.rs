//! Who is measured, and when: each server in each setting, in turn, round after round, each time freshly started.
//!
//! A machine becomes faster and slower by itself. Servers that are measured in turn and compared round by round differ by
//! what they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustix::fs::statfs;

use crate::cli::{LimitsArg, TargetArgs};
use crate::cores::{self, Layout};
use crate::limits;
use crate::process::{Process, raise_descriptors};
use crate::report::{Figure, Outcome, Report, Setting};
use crate::target::{self, Key, Target, Wanted};

/// What one command measures.
pub(crate) trait Measurement {
    /// The title of its result.
    const NAME: &'static str;

    /// What is varied.
    type Case;

    /// Every case, in the order of the result.
    fn cases(&self) -> Vec<Self::Case>;

    fn setting(&self, case: &Self::Case) -> Setting;

    /// Connections that it opens, at either end.
    fn connections(&self, case: &Self::Case) -> u32;

    /// Limits of the server that it cannot be measured within.
    fn keys(&self, _case: &Self::Case) -> Vec<Key> {
        Vec::new()
    }

    /// Whether the server speaks TLS.
    fn tls(&self) -> bool {
        false
    }

    /// Measures a server that does nothing else. Every round gives the same figures in the same order.
    async fn measure(&self, target: &Arc<Target>, case: &Self::Case) -> Result<Vec<Figure>>;
}

/// A server that is measured beside others.
struct Candidate {
    program: Option<PathBuf>,
    label: String,
    layout: Layout,
    limits: LimitsArg,
}

/// Runs a command: measures, and writes the result.
pub(crate) async fn run<M: Measurement>(measurement: &M, args: &TargetArgs) -> Result<String> {
    let raised = raise_descriptors();
    let free = cores::allowed()?;
    let candidates = candidates(args, &free)?;
    let _unpinned = Unpin(free);
    let mut outcomes = outcomes(measurement, &candidates).await?;
    for round in 0..args.rounds {
        for number in order(round, outcomes.len(), candidates.len()) {
            let outcome = &mut outcomes[number];
            if outcome.impossible.is_some() {
                continue;
            }
            let candidate = &candidates[number % candidates.len()];
            let case = &measurement.cases()[number / candidates.len()];
            if !args.json {
                let Outcome { server, setting, .. } = &*outcome;
                let words: Vec<String> = setting.iter().map(|(name, value)| format!("{name} {value}")).collect();
                eprintln!("round {} of {}: {server}, {}", round + 1, args.rounds, words.join(", "));
            }
            match measure(measurement, args, candidate, case).await {
                Ok(figures) => outcome.rounds.push(figures),
                // That it does not get there is what this server is measured for.
                Err(error) if candidate.limits == LimitsArg::Default && !measurement.keys(case).is_empty() => {
                    outcome.impossible = Some(format!("not within the default limits: {error:#}"));
                    outcome.rounds.clear();
                }
                Err(error) => return Err(error),
            }
        }
    }
    let report = Report { measurement: M::NAME, notes: notes(args, &candidates, &outcomes, raised), outcomes };
    report.write(args.json)
}

/// Every outcome once: case by case, the servers of each forwards in one round and backwards in the next, so that none
/// always comes after another.
fn order(round: u32, outcomes: usize, candidates: usize) -> impl Iterator<Item = usize> {
    let is_back = !round.is_multiple_of(2);
    let place = move |at: usize| if is_back { candidates - 1 - at } else { at };
    (0..outcomes).map(move |number| number / candidates * candidates + place(number % candidates))
}

/// Without figures yet; for each case every candidate.
async fn outcomes<M: Measurement>(measurement: &M, candidates: &[Candidate]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for case in measurement.cases() {
        for candidate in candidates {
            let keys = candidate.keys(measurement, &case);
            let mut impossible = None;
            for key in &keys {
                if let Some(program) = &candidate.program
                    && !target::knows(program, key).await?
                {
                    impossible = Some(format!("this version has no key {}, and its limit is lower", key.name));
                }
            }
            let raised: Vec<String> = keys.iter().map(ToString::to_string).collect();
            let server = [vec![candidate.label.clone()], raised.clone()].concat().join(", ");
            let setting = measurement.setting(&case);
            outcomes.push(Outcome { setting, server, raised, impossible, rounds: Vec::new() });
        }
    }
    Ok(outcomes)
}

async fn measure<M: Measurement>(
    measurement: &M,
    args: &TargetArgs,
    candidate: &Candidate,
    case: &M::Case,
) -> Result<Vec<Figure>> {
    let layout = candidate.layout.clone();
    if layout.is_pinned {
        cores::pin_process(&layout.generator)?;
    }
    let keys = candidate.keys(measurement, case);
    let target = match (&args.server, &candidate.program) {
        (Some(url), _) => Target::running(url, args, layout)?,
        (None, Some(program)) => {
            let (settle, scratch) = (args.settle, args.scratch.as_deref());
            let wanted = Wanted { program, layout, keys: &keys, tls: measurement.tls(), settle, scratch };
            Target::start(wanted).await?
        }
        (None, None) => unreachable!("without a running server there is a program"),
    };
    let target = Arc::new(target);
    target.ensure_room(measurement.connections(case))?;
    let figures = measurement.measure(&target, case).await;
    // Tasks that the measurement ended let go of the server when they have noticed.
    let mut target = target;
    let alone = loop {
        match Arc::try_unwrap(target) {
            Ok(alone) => break alone,
            Err(shared) => target = shared,
        }
        tokio::task::yield_now().await;
    };
    alone.stop().await;
    figures
}

fn candidates(args: &TargetArgs, free: &[usize]) -> Result<Vec<Candidate>> {
    if args.server.is_some() {
        let layout = match args.server_pid.filter(|_| !args.unpinned) {
            Some(process) => Layout::beside(Process::new(process).cores(), free),
            None => Layout::unpinned(free),
        };
        let label = "running".to_owned();
        return Ok(vec![Candidate { program: None, label, layout, limits: LimitsArg::Default }]);
    }
    let programs = match args.server_binary.as_slice() {
        [] => vec![target::this_program()?],
        programs => programs.iter().map(|program| absolute(program)).collect::<Result<_>>()?,
    };
    let labels = labels(&programs, args.server_binary.is_empty());
    let mut candidates = Vec::new();
    for (program, name) in programs.iter().zip(&labels) {
        for &cores in &args.server_cores {
            for &limits in &args.limits {
                let layout = match args.unpinned {
                    true => Layout::unpinned(free),
                    // A machine with one core shares it.
                    false => Layout::new(free, cores.into())?,
                };
                let mut label = name.clone();
                if args.server_cores.len() > 1 {
                    label = format!("{label}, {cores} {}", if cores == 1 { "core" } else { "cores" });
                }
                candidates.push(Candidate { program: Some(program.clone()), label, layout, limits });
            }
        }
    }
    ensure!(candidates.len() <= limits::CANDIDATES_MAX, "at most {} servers in one run", limits::CANDIDATES_MAX);
    Ok(candidates)
}

/// The server runs in another folder.
fn absolute(program: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(program).with_context(|| format!("--server-binary {}", program.display()))
}

/// Short names: what is different about the paths.
fn labels(programs: &[PathBuf], is_this: bool) -> Vec<String> {
    if is_this {
        return vec!["this".to_owned()];
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = programs.iter().map(name).collect();
    let is_unique = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let label = |(path, name): (&PathBuf, &String)| {
        if is_unique(name) { name.clone() } else { path.display().to_string() }
    };
    programs.iter().zip(&names).map(label).collect()
}

impl Candidate {
    fn keys<M: Measurement>(&self, measurement: &M, case: &M::Case) -> Vec<Key> {
        match self.limits {
            LimitsArg::Raised => measurement.keys(case),
            LimitsArg::Default => Vec::new(),
        }
    }
}

fn notes(
    args: &TargetArgs,
    candidates: &[Candidate],
    outcomes: &[Outcome],
    descriptors: Option<(u64, u64)>,
) -> Vec<String> {
    let mut layouts: Vec<String> = candidates.iter().map(|candidate| candidate.layout.words()).collect();
    layouts.dedup();
    let mut notes = vec![format!("{}; {}.", layouts.join("; "), rounds(args.rounds))];
    let mut raised: Vec<&str> = outcomes.iter().flat_map(|outcome| &outcome.raised).map(String::as_str).collect();
    raised.sort_unstable();
    raised.dedup();
    if !raised.is_empty() {
        notes.push(format!(
            "Raised for this: {}; every other limit of the server is as by default (--limits default,raised shows both).",
            raised.join(", ")
        ));
    }
    if let Some((from, to)) = descriptors {
        notes.push(format!("The generator may open {to} files (raised from {from}); a server raises its own."));
    }
    if args.server.is_none() && is_in_memory(args.scratch.as_deref()) {
        notes.push(
            "The server's data was kept in memory (tmpfs): what waits for a disk did not wait here. Name a folder on a \
             disk with --scratch."
                .to_owned(),
        );
    }
    notes
}

fn rounds(count: u32) -> String {
    match count {
        1 => "one round".to_owned(),
        _ => format!("median of {count} rounds in turn, ± half of the way from the least to the most"),
    }
}

/// The kernel's number for a file system in memory.
const TMPFS: i64 = 0x0102_1994;

fn is_in_memory(scratch: Option<&Path>) -> bool {
    let folder = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
    #[allow(clippy::useless_conversion, reason = "its type differs between architectures")]
    statfs(&folder).is_ok_and(|found| i64::from(found.f_type) == TMPFS)
}

/// Lets this process run on all its cores again, at the end.
struct Unpin(Vec<usize>);

impl Drop for Unpin {
    fn drop(&mut self) {
        let _ = cores::pin_process(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_is_always_measured_after_another() {
        assert_eq!(order(0, 4, 2).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(order(1, 4, 2).collect::<Vec<_>>(), [1, 0, 3, 2]);
        assert_eq!(order(1, 3, 1).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn servers_are_named_by_what_is_different_about_them() {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(labels(&paths(&["/a/tidings"]), true), ["this"]);
        assert_eq!(labels(&paths(&["/a/before", "/b/tidings"]), false), ["before", "tidings"]);
        assert_eq!(labels(&paths(&["/a/tidings", "/b/tidings"]), false), ["/a/tidings", "/b/tidings"]);
    }

    #[test]
    fn every_server_is_measured_with_every_number_of_cores_and_both_kinds_of_limits() {
        let args = TargetArgs {
            server_cores: vec![1, 2],
            limits: vec![LimitsArg::Default, LimitsArg::Raised],
            ..TargetArgs::default()
        };
        let labels: Vec<String> = candidates(&args, &[0, 1]).unwrap().into_iter().map(|one| one.label).collect();
        assert_eq!(labels, ["this, 1 core", "this, 1 core", "this, 2 cores", "this, 2 cores"]);
        assert!(candidates(&args, &[0]).is_err());
    }
}
