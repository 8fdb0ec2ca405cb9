//! The chat as its use cases see it: its parts, and the way to a change. They are put together in `open`.

use std::{
    fs::File,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Instant,
};

use tidings_hub::ChannelOptions;
use tokio::sync::OnceCell;

use crate::{
    announce::Announcer,
    changes::TakeDeviceKey,
    device::DeviceKey,
    hashing::Hasher,
    model::{Clock, Code, MessageKey, PersonId, StoredHash},
    rates::Limiters,
    security::SecurityLines,
    standing::Standing,
    store::{Change, ChangeError, Store, StoreError},
    supervision::Failures,
    writer::Writer,
};

/// The chat. Cheap to clone.
#[derive(Clone)]
pub struct Chat(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) standing: Arc<Standing>,
    /// How the channels of rooms and of persons work.
    pub(crate) room_options: Arc<ChannelOptions>,
    pub(crate) person_options: Arc<ChannelOptions>,
    pub(crate) hasher: Hasher,
    /// For what is stored and shown.
    pub(crate) clock: Clock,
    /// For the limiters and the security log's bound.
    pub(crate) steady: Clock<Instant>,
    pub(crate) limiters: Limiters,
    pub(crate) security: SecurityLines,
    /// Read from the database when it is first needed.
    pub(crate) device_key: OnceCell<DeviceKey>,
    /// Of the digests by which repeated sends are recognised.
    pub(crate) message_key: MessageKey,
    /// Made anew at each start; good for one set-up.
    pub(crate) set_up_code: Code,
    /// Whether the first account is known to exist; it never stops existing.
    pub(crate) is_set_up: AtomicBool,
    /// Held until the chat is closed.
    pub(crate) lock: Mutex<Option<File>>,
    pub(crate) failures: Failures,
}

impl Chat {
    /// Has the change made: durable and announced when this answers. Refusals and failures come in the words of the
    /// operation that asks.
    pub(crate) async fn write<C, E>(&self, change: C) -> Result<C::Answer, E>
    where
        C: Change,
        E: From<C::Refusal> + From<StoreError>,
    {
        self.0.writer.write(change).await.map_err(ChangeError::into_error)
    }

    /// The key of the cookies by which devices are known; `None` while the database cannot give or keep one. Then all devices
    /// are strange.
    pub(crate) async fn device_key(&self) -> Option<&DeviceKey> {
        let take = || async { self.write::<_, StoreError>(TakeDeviceKey { fresh: DeviceKey::fresh() }).await };
        self.0
            .device_key
            .get_or_try_init(take)
            .await
            .inspect_err(|error| tracing::warn!(%error, "no device is known"))
            .ok()
    }

    /// What marks the device of somebody who has just signed in with the password of this hash.
    pub(crate) async fn mark_device(&self, person: PersonId, password: &StoredHash) -> Option<String> {
        Some(self.device_key().await?.issue(person, password))
    }
}
