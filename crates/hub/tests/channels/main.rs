//! What clients and the server see of channels: publishing, presence, history, recovery, server control. Section numbers
//! are those of `crates/protocol/PROTOCOL.md`.

#[path = "../world/mod.rs"]
mod world;

mod announcing;
mod history;
mod presence;
mod publishing;
mod recovery;
mod server;
mod time;
mod who;

use std::time::Duration;

use tidings_hub::{
    ConnectionOptions, Expiry, Grant, Heartbeat, Identity, Limits, PublishError, PublishOptions, Query, ReadError,
    Target,
};
use tidings_protocol::{ClientInfo, Disconnect, Error, Publication, PushEvent, Response, Unsubscribe};
use world::{HISTORY_SIZE, HISTORY_TTL, World, name, text, texts};

const SECOND: Duration = Duration::from_secs(1);

fn is_pub(event: &PushEvent) -> bool {
    matches!(event, PushEvent::Pub(_))
}

fn joins_and_leaves(event: &PushEvent) -> bool {
    matches!(event, PushEvent::Join(_) | PushEvent::Leave(_))
}
