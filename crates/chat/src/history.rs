//! A room's history as the hub reads it: the same events under the same numbers as in the REST pages, from the store.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tidings_hub::{ChannelName, ChannelOptions, History, HistoryError, HistoryQuery, JoinLeave, Source};
use tidings_protocol::StreamPosition;

use crate::{
    announce::publication,
    limits::HISTORY_READ_MAX,
    model::{EventPage, PageFrom, PageQuery, RoomId},
    store::{Store, StoreError},
};

/// The history of `room:` channels. It asks nobody for permission: that is the policy's part.
pub(crate) struct RoomHistory {
    store: Arc<dyn Store>,
}

impl RoomHistory {
    /// How the channels of rooms work: kept by the store, told who is there and who comes and goes.
    pub(crate) fn room_options(store: Arc<dyn Store>) -> ChannelOptions {
        ChannelOptions {
            history: Source::External(Arc::new(Self::new(store))),
            recovery: true,
            presence: true,
            join_leave: JoinLeave::Always,
            ..ChannelOptions::default()
        }
    }

    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn page(&self, channel: &ChannelName, page: PageQuery) -> Result<EventPage, HistoryError> {
        let room = channel.name_in("room").and_then(RoomId::parse).ok_or(HistoryError::UnknownChannel)?;
        let page = self.store.events(room, None, page).await.map_err(unavailable)?;
        page.ok_or(HistoryError::UnknownChannel)
    }
}

impl History for RoomHistory {
    fn position<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, Result<StreamPosition, HistoryError>> {
        Box::pin(async move {
            let page = self.page(channel, PageQuery { from: PageFrom::End, limit: 0 }).await?;
            Ok(StreamPosition { offset: page.offset, epoch: page.epoch })
        })
    }

    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> BoxFuture<'a, Result<tidings_hub::HistoryPage, HistoryError>> {
        Box::pin(async move {
            let from = match (query.since, query.reverse) {
                (None, true) => PageFrom::End,
                (Some(number), true) => PageFrom::Before(number),
                (since, false) => PageFrom::After(since.unwrap_or(0)),
            };
            let limit = u32::try_from(query.limit).unwrap_or(u32::MAX).min(HISTORY_READ_MAX);
            let page = self.page(channel, PageQuery { from, limit }).await?;
            let mut publications: Vec<_> = page.events.iter().map(publication).collect();
            if query.reverse {
                publications.reverse();
            }
            let top = StreamPosition { offset: page.offset, epoch: page.epoch };
            Ok(tidings_hub::HistoryPage { publications, top })
        })
    }
}

fn unavailable(error: StoreError) -> HistoryError {
    HistoryError::Unavailable(Box::new(error))
}
