//! The people of a chat that is measured: made by the ways that people come, the set-up link and an invite.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use crate::http_wire::HttpWire;
use crate::target::Target;

/// Accounts made at the same time: each is a password's hash, and more would only wait in line.
const AT_ONCE: usize = 4;

/// Long enough for every rule.
const PASSWORD: &str = "a long passphrase of the load generator";

/// People who are in the same room.
pub(crate) struct People {
    pub(crate) room: String,
    /// Of each person's session, as a request sends it.
    pub(crate) cookies: Vec<String>,
}

#[derive(Deserialize)]
struct SetUpDone {
    room: Room,
    invite: Invite,
}

#[derive(Deserialize)]
struct Room {
    id: String,
}

#[derive(Deserialize)]
struct Invite {
    code: String,
}

impl People {
    /// Makes so many, the first of them by setting the server up.
    pub(crate) async fn gather(target: &Arc<Target>, count: u32) -> Result<People> {
        let mut wire = HttpWire::dial(target.authority()?, &[]).await?;
        let form = json!({
            "code": target.set_up_code().await?,
            "name": "Person 0",
            "email": email(0),
            "password": PASSWORD,
        });
        let answer = wire.post("/v1/setup", &form.to_string()).await?;
        answer.ensure_ok().context("setting the server up")?;
        let first = answer.cookie.clone().context("nobody was signed in")?;
        let SetUpDone { room, invite } = serde_json::from_str(answer.body).context("reading the set-up's answer")?;

        let mut cookies = vec![first];
        let mut joining = JoinSet::new();
        let mut numbers = 1..count;
        loop {
            while joining.len() < AT_ONCE {
                let Some(number) = numbers.next() else { break };
                joining.spawn(join(Arc::clone(target), invite.code.clone(), number));
            }
            let Some(joined) = joining.join_next().await else { break };
            cookies.push(joined.context("a task failed")??);
        }
        Ok(People { room: room.id, cookies })
    }
}

async fn join(target: Arc<Target>, invite: String, number: u32) -> Result<String> {
    let mut wire = HttpWire::dial(target.authority()?, &[]).await?;
    let form = json!({
        "invite": invite,
        "name": format!("Person {number}"),
        "email": email(number),
        "password": PASSWORD,
    });
    let answer = wire.post("/v1/accounts", &form.to_string()).await?;
    answer.ensure_ok().with_context(|| format!("making account {number}"))?;
    answer.cookie.clone().context("nobody was signed in")
}

fn email(number: u32) -> String {
    format!("person-{number}@example.com")
}
