//! `tidings migrate`: moves everything between a data folder and a Postgres database, and says how far it is.

use super::backup::describe;
use crate::cli::MigrateArgs;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::secrets::{SECRET_BYTES_MIN, Secrets};
use crate::serve::{Stop, clock};
use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};
use tidings_chat::{Desk, MoveError, MoveProgress, OpenError, Place, Planned, PostgresOptions};

/// Between two lines where nobody looks at a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Why what an earlier move has brought is no beginning of this one.
const BEGUN_ANEW: &str = "A part of it had been moved, and is copied once more: a server or a command was at work on the source since, or both sides had differed.";

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    let (from, to) = Config::load_places(&args)?;
    if let Place::Folder(folder) = &from {
        ensure!(folder.is_dir(), "there is no data folder {}; say with --from where the data is", folder.display());
    }
    if args.dry_run { estimate(&from, &to).await } else { migrate(&args, &from, &to).await }
}

async fn estimate(from: &Place, to: &Place) -> anyhow::Result<()> {
    let Planned { moved: found, took, held } = explained(from, Desk::estimate_migration(from, to, &clock()).await)?;
    println!("{from}: {}; {} rows in all.", describe(found.people, found.rooms, found.messages), found.rows);
    if found.went_on {
        println!("A part of it has been moved already.");
    }
    if found.begun_anew {
        println!("{BEGUN_ANEW}");
    }
    println!("Moving all of it to {to} would take {}, by a sample. Nothing was written.", in_words(took));
    for holder in held {
        println!("For the move itself, stop the server first, or it is refused: {holder}.");
    }
    Ok(())
}

async fn migrate(args: &MigrateArgs, from: &Place, to: &Place) -> anyhow::Result<()> {
    // On another machine there is none yet.
    let target = match to {
        Place::Folder(folder) => Some(DataDir::at(folder)),
        Place::Postgres(_) => None,
    };
    let is_new = target.as_ref().filter(|folder| !folder.path().exists());
    target.as_ref().map_or(Ok(()), DataDir::make)?;
    let mut stop = Stop::listen()?;
    let mut progress = Progress::new();
    let moved = tokio::select! {
        moved = async { Desk::migrate(from, to, &clock(), &mut |now| progress.show(now)).await } => Some(moved),
        () = stop.requested() => None,
    };
    progress.end();
    let Some(moved) = moved else { bail!("stopped before its end; the same command goes on from where it was") };
    if let (Some(folder), Err(_)) = (is_new, &moved) {
        folder.remove_if_unused();
    }
    let moved = explained(from, moved)?;
    println!("Moved to {to}: {}.", describe(moved.people, moved.rooms, moved.messages));
    println!("All {} rows are the same on both sides, by counts and checksums of every room.", moved.rows);
    if let Some(kept) = moved.kept {
        println!("What had been moved away from there before is {kept}.");
    }
    println!("Marked as moved, so that no server starts on it any more: {from}.");
    println!("{}", how_to_start(args, from, to)?);
    Ok(())
}

/// How the server is started on what was moved.
fn how_to_start(args: &MigrateArgs, from: &Place, to: &Place) -> anyhow::Result<String> {
    let address = PostgresOptions::without_password(&args.to);
    let password = match to {
        Place::Postgres(options) if options.is_given_a_password() => PASSWORD,
        _ => "",
    };
    Ok(match (from, to) {
        (Place::Folder(folder), _) => format!(
            "Start the server with the same data folder, which has its secrets{password}:\n\n  tidings --data-dir {} --database '{address}'\n",
            folder.display(),
        ),
        (_, Place::Folder(folder)) => {
            let start = format!("Start the server with:\n\n  tidings --data-dir {}\n", folder.display());
            if Secrets::were_made(&DataDir::at(folder), SECRET_BYTES_MIN)? {
                start
            } else {
                format!("{}\n{start}", bring_secrets(folder))
            }
        }
        _ => format!(
            "Start the server with its data folder, which has its secrets, and --database '{address}'{password}."
        ),
    })
}

/// What the address that is shown does not have.
const PASSWORD: &str =
    ", and with the password in TIDINGS_DATABASE_PASSWORD or in the file that database_password_file names";

fn bring_secrets(folder: &Path) -> String {
    format!(
        "Copy api-key, token-secret and message-key from the data folder that the server had into {} first; without them it makes new ones.",
        folder.display()
    )
}

fn explained<T>(from: &Place, result: Result<T, MoveError>) -> anyhow::Result<T> {
    let is_held = |source: &OpenError| matches!(source, OpenError::InUse(_) | OpenError::Held(_));
    match result {
        Err(MoveError::Open { source, .. }) if is_held(&source) => Err(source).context("stop the server first"),
        Err(MoveError::Open { place, source: OpenError::Password(why) }) => {
            let own = if place == from.to_string() { "TIDINGS_FROM_PASSWORD" } else { "TIDINGS_TO_PASSWORD" };
            bail!(
                "cannot use {place}: {why}; its password comes from {own}, from TIDINGS_DATABASE_PASSWORD, or from the file that \
                 database_password_file names"
            )
        }
        other => Ok(other?),
    }
}

fn in_words(took: Duration) -> String {
    match took.as_secs() {
        0..10 => "some seconds".into(),
        seconds @ 10..120 => format!("about {seconds} s"),
        seconds @ 120..7_200 => format!("about {} minutes", seconds.div_ceil(60)),
        seconds => format!("about {} hours", seconds.div_ceil(3_600)),
    }
}

/// A bar on a terminal; else a line now and then, on standard error, and one at the end of each step.
struct Progress {
    bar: Option<ProgressBar>,
    said: Option<(Instant, bool)>,
    /// What no line has said yet.
    unsaid: Option<MoveProgress>,
}

impl Progress {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:>9} [{bar:40}] {human_pos} of {human_len} rows, {eta} left");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, said: None, unsaid: None }
    }

    fn show(&mut self, now: MoveProgress) {
        let is_first = self.said.is_none_or(|(_, was_comparing)| was_comparing != now.is_comparing);
        if now.begun_anew && self.said.is_none() {
            eprintln!("{BEGUN_ANEW}");
        }
        match &self.bar {
            Some(bar) => {
                if is_first {
                    bar.reset();
                    bar.set_message(step(now));
                    self.said = Some((Instant::now(), now.is_comparing));
                }
                bar.set_length(now.of);
                bar.set_position(now.rows);
            }
            None if is_first || self.said.is_some_and(|(at, _)| at.elapsed() > LINE_INTERVAL) => {
                if is_first {
                    self.say_the_last();
                }
                say(now);
                self.said = Some((Instant::now(), now.is_comparing));
                self.unsaid = None;
            }
            None => self.unsaid = Some(now),
        }
    }

    fn say_the_last(&mut self) {
        self.unsaid.take().into_iter().for_each(say);
    }

    fn end(&mut self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => self.say_the_last(),
        }
    }
}

fn step(now: MoveProgress) -> &'static str {
    if now.is_comparing { "comparing" } else { "copying" }
}

fn say(now: MoveProgress) {
    eprintln!("{}: {} of {} rows", step(now), now.rows, now.of);
}
