//! What clients and the server see of channels: publishing, presence, history, recovery, server control. Section numbers
//! are those of `crates/protocol/PROTOCOL.md`.

mod announcing;
mod forms;
mod history;
mod presence;
mod publishing;
mod recovery;
mod server;
mod time;
mod who;

use std::time::Duration;

use crate::world::{HISTORY_SIZE, HISTORY_TTL, Who, World, memory, name, text, texts};
use tidings_hub::{
    Allowance, ChannelOptions, ConnectionOptions, Expiry, Grant, Heartbeat, HistoryQuery, Identity, Keep, Limits,
    NewPublication, Offered, Order, Overrides, PresenceError, PublishError, Rate, ReadError, Remote, Source, Target,
};
use tidings_protocol::{ClientInfo, Disconnect, Error, Publication, PushEvent, Response, Unsubscribe};

const SECOND: Duration = Duration::from_secs(1);

fn is_pub(event: &PushEvent) -> bool {
    matches!(event, PushEvent::Pub(_))
}

fn joins_and_leaves(event: &PushEvent) -> bool {
    matches!(event, PushEvent::Join(_) | PushEvent::Leave(_))
}
