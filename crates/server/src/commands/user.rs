//! `tidings user`: looks after the people of the chat, in the database itself, so that it works with and without a
//! running server.

use crate::cli::{UserArgs, UserCommand};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::serve::clock;
use anyhow::{Context, bail, ensure};
use std::io::{BufRead, IsTerminal};
use tidings_chat::{Desk, Email, NewPassword, Options};

pub(crate) async fn run(args: UserArgs) -> anyhow::Result<()> {
    match args.command {
        UserCommand::List { common } => list(&Config::load_data_dir(&common)?).await,
        UserCommand::Password { common, email } => set_password(&Config::load_data_dir(&common)?, &email).await,
    }
}

async fn desk(data_dir: &DataDir) -> anyhow::Result<Desk> {
    data_dir.ensure_there()?;
    Desk::open(Options::new(data_dir.path(), clock()))
        .await
        .with_context(|| format!("cannot open the data folder {data_dir}"))
}

async fn list(data_dir: &DataDir) -> anyhow::Result<()> {
    for person in desk(data_dir).await?.people().await? {
        println!("{}\t{}\t{}", person.email.as_str(), person.role.as_str(), person.name.as_str());
    }
    Ok(())
}

async fn set_password(data_dir: &DataDir, email: &str) -> anyhow::Result<()> {
    let desk = desk(data_dir).await?;
    let email = Email::parse(email).context("this is not an e-mail address")?;
    let password = NewPassword::parse(&ask()?, &email).context("this password cannot be used")?;
    match desk.set_password(&email, password).await? {
        Some(person) => {
            println!("{} has a new password and is signed out everywhere.", person.name.as_str());
            Ok(())
        }
        None => bail!("nobody has an account with {}; 'tidings user list' shows who has one", email.as_str()),
    }
}

/// Asked for twice and not shown on a terminal, otherwise the first line of standard input: no password is in a command
/// line or its history.
fn ask() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let password = rpassword::prompt_password("New password (at least 10 characters): ")?;
        ensure!(rpassword::prompt_password("The same again: ")? == password, "the two were not the same");
        return Ok(password);
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).context("reading the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
