//! `tidings user`: looks after the people of the chat, in the database itself, so that it works with and without a
//! running server.

use crate::cli::{UserArgs, UserCommand};
use crate::config::{Config, Storage};
use crate::logs;
use crate::plain::plain;
use anyhow::{Context, ensure};
use std::io::{BufRead, IsTerminal};
use tidings_chat::{Desk, Email, NewPassword, Person, Role, SECURITY_LOG};

pub(crate) async fn run(args: UserArgs) -> anyhow::Result<()> {
    // What is done here belongs into the security log of whoever runs it.
    logs::start(&format!("{SECURITY_LOG}=info"), None)?;
    let (UserCommand::List { common }
    | UserCommand::Password { common, .. }
    | UserCommand::Deactivate { common, .. }
    | UserCommand::Role { common, .. }
    | UserCommand::Activate { common, .. }) = &args.command;
    let storage = Config::load_storage(common)?;
    match &args.command {
        UserCommand::List { .. } => at_the_desk(&storage, list).await,
        UserCommand::Password { email, .. } => set_password(&storage, email).await,
        UserCommand::Deactivate { email, .. } => {
            at_the_desk(&storage, async |desk| set_active(desk, email, false).await).await
        }
        UserCommand::Role { email, role, .. } => {
            let role = Role::parse(role).context("a role is one of owner, admin, member and guest")?;
            at_the_desk(&storage, async |desk| set_role(desk, email, role).await).await
        }
        UserCommand::Activate { email, .. } => {
            at_the_desk(&storage, async |desk| set_active(desk, email, true).await).await
        }
    }
}

/// Does this at the desk, and closes it whatever comes of it.
async fn at_the_desk(storage: &Storage, work: impl AsyncFnOnce(&Desk) -> anyhow::Result<()>) -> anyhow::Result<()> {
    storage.ensure_there()?;
    let opened = Desk::open(storage.options()).await;
    let desk = opened.map_err(|error| {
        let what = storage.cannot_open(&error);
        anyhow::Error::new(error).context(what)
    })?;
    let done = work(&desk).await;
    desk.close().await;
    done
}

async fn find(desk: &Desk, email: &str) -> anyhow::Result<Person> {
    let email = Email::of_account(email).context("this is not an e-mail address")?;
    desk.find(&email).await?.with_context(|| {
        format!("nobody has an account with {}; 'tidings user list' shows who has one", email.as_str())
    })
}

/// A line each: address, role, name, id (by which the security log names people), and `deactivated` where it is so.
async fn list(desk: &Desk) -> anyhow::Result<()> {
    for person in desk.people().await? {
        let state = if person.is_active { "" } else { "\tdeactivated" };
        let Person { email, role, name, id, .. } = person;
        println!("{}\t{}\t{}\t{id}{state}", plain(email.as_str()), role.as_str(), plain(name.as_str()));
    }
    Ok(())
}

async fn set_password(storage: &Storage, email: &str) -> anyhow::Result<()> {
    // First, so that nobody thinks of a password for an account that is not there. And the folder is not held while
    // somebody thinks of one: a server could not start meanwhile.
    at_the_desk(storage, async |desk| find(desk, email).await.map(drop)).await?;
    let password = ask()?;
    at_the_desk(storage, async |desk| give_password(desk, email, &password).await).await
}

async fn give_password(desk: &Desk, email: &str, password: &str) -> anyhow::Result<()> {
    let person = find(desk, email).await?;
    let password = NewPassword::parse(password, &person.email).context("this password cannot be used")?;
    desk.set_password(&person, password).await?;
    println!("{} has a new password and is signed out everywhere.", plain(person.name.as_str()));
    Ok(())
}

async fn set_active(desk: &Desk, email: &str, is_active: bool) -> anyhow::Result<()> {
    let person = find(desk, email).await?;
    let name = plain(person.name.as_str());
    if person.is_active == is_active {
        println!("{name} is {} already; nothing was changed.", if is_active { "active" } else { "deactivated" });
        return Ok(());
    }
    desk.set_active(&person, is_active).await?;
    if is_active {
        println!("{name} can sign in again.");
    } else {
        println!("{name} cannot sign in any more and is signed out everywhere. What they wrote stays.");
    }
    Ok(())
}

async fn set_role(desk: &Desk, email: &str, role: Role) -> anyhow::Result<()> {
    let person = find(desk, email).await?;
    let (name, role_name) = (plain(person.name.as_str()), role.as_str());
    if person.role == role {
        println!("{name} is {role_name} already; nothing was changed.");
        return Ok(());
    }
    desk.set_role(&person, role).await?;
    println!("{name} is {role_name} from now on.");
    Ok(())
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
