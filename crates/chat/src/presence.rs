//! Who does nothing at their open pages: each page says it of itself, and others see it beside who is there.
//!
//! Nothing is stored. It is a part of what others see of a connection, and so it is gone with it (G6): whoever has another page
//! open and works there is not idle, which is for those who look to add up.

use serde::{Deserialize, Serialize};
use tidings_hub::{Hub, Peer, Target};
use tidings_protocol::Payload;

use crate::{
    announce::{room_channel, tell},
    chat::Chat,
    limits::IDLE_TOLD_CLIENTS_MAX,
    model::{PersonId, RoomId},
    policy::is_of_person,
    rates::RetryAfter,
};

/// What others see of a connection beside its person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Info {
    pub(crate) name: String,
    /// Nobody does anything there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) idle: bool,
}

/// Told in the rooms that the connection is in: of the moment, and never stored.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "presence")]
struct Notice<'a> {
    client: &'a str,
    user: PersonId,
    idle: bool,
}

impl Chat {
    /// Somebody at this connection does nothing, or something again. Whoever asks who is there sees it; those who are there are
    /// told, where they are no crowd.
    ///
    /// # Errors
    /// When that is said too often; then nothing has changed.
    pub(crate) async fn show_idle(&self, person: PersonId, client: &Peer, is_idle: bool) -> Result<(), RetryAfter> {
        let (limiters, now) = (&self.0.limiters, self.0.steady.now());
        limiters.idles.take(person, now)?;
        let (Some(hub), client) = (self.0.announcer.hub(), client.id()) else { return Ok(()) };
        let Some(connection) = hub.connections(&Target::Client(client.clone())).pop() else { return Ok(()) };
        let Some(mut info) = info_of(&connection.peer).filter(|info| info.idle != is_idle) else { return Ok(()) };
        info.idle = is_idle;
        describe(hub, &client, &info);
        let notice = Notice { client: &client, user: person, idle: is_idle };
        let Ok(notice) = Payload::from_own(&notice) else { return Ok(()) };
        let rooms = connection.channels.iter().filter_map(|channel| RoomId::parse(channel.name_in("room")?));
        for room in rooms {
            let channel = room_channel(room);
            let is_crowd = hub.presence_stats(&channel).await.num_clients > IDLE_TOLD_CLIENTS_MAX;
            if !is_crowd && limiters.idles_in.take(room, now).is_ok() {
                tell(hub, &channel, notice.clone()).await;
            }
        }
        Ok(())
    }
}

/// From now on others see this name on all connections of the person.
pub(crate) fn rename(hub: &Hub, person: PersonId, name: &str) {
    for connection in hub.connections(&Target::User(person.to_string())) {
        let Some(info) = info_of(&connection.peer).filter(|info| info.name != name) else { continue };
        describe(hub, &connection.client, &Info { name: name.to_owned(), ..info });
    }
}

/// Nothing of who came with a client token, whatever its `sub` reads like.
fn info_of(peer: &Peer) -> Option<Info> {
    peer.identity().filter(|_| is_of_person(peer))?.info.as_ref()?.to_value().ok()
}

fn describe(hub: &Hub, client: &str, info: &Info) {
    if let Ok(info) = Payload::from_own(info) {
        hub.describe(client, info);
    }
}
