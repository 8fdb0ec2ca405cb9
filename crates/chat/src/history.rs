//! A room's history as the hub reads it: the same events under the same numbers as in the REST pages, from the store.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tidings_hub::{ChannelName, ChannelOptions, History, HistoryError, HistoryQuery, Offered, Source};
use tidings_protocol::StreamPosition;

use crate::{
    announce::publication,
    following::Following,
    limits::HISTORY_READ_MAX,
    model::{EventPage, PageFrom, PageQuery, RoomId, Stand},
    standing::Standing,
    store::{Store, StoreError},
};

/// The history of `room:` channels. It asks nobody for permission: that is the policy's part.
pub(crate) struct RoomHistory {
    store: Arc<dyn Store>,
    standing: Arc<Standing>,
    /// Of a store that others write to.
    following: Option<Arc<Following>>,
}

impl RoomHistory {
    /// How the channels of rooms work: kept by the store, told who is there and who comes and goes.
    pub(crate) fn room_options(self) -> ChannelOptions {
        ChannelOptions {
            history: Source::External(Arc::new(self)),
            recovery: Offered::Always,
            presence: true,
            join_leave: Offered::Always,
            ..ChannelOptions::default()
        }
    }

    pub(crate) fn new(store: Arc<dyn Store>, standing: Arc<Standing>, following: Option<Arc<Following>>) -> Self {
        Self { store, standing, following }
    }

    async fn page(&self, room: RoomId, page: PageQuery, bytes_max: usize) -> Result<EventPage, HistoryError> {
        let page = self.store.events(room, None, page, bytes_max).await.map_err(unavailable)?;
        let page = page.ok_or(HistoryError::UnknownChannel)?;
        // Whoever reads this may have lost the right to it before its last event (G5).
        if let Some(following) = &self.following {
            following.carry_out(page.revoked).await.map_err(unavailable)?;
        }
        self.standing.was_read(&Stand { room, offset: page.offset, epoch: page.epoch.clone() });
        Ok(page)
    }
}

impl History for RoomHistory {
    fn position<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, Result<StreamPosition, HistoryError>> {
        Box::pin(async move {
            let room = room_of(channel)?;
            if let Some(position) = self.standing.position(room) {
                return Ok(position);
            }
            let page = self.page(room, PageQuery { from: PageFrom::End, limit: 0 }, 0).await?;
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
            let room = room_of(channel)?;
            // Most who come back have missed nothing. Who has seen more than is known here may have read it in a page before
            // the writer told of it: the database knows.
            if let PageFrom::After(number) = from
                && let Some(top) = self.standing.position(room).filter(|top| top.offset == number)
            {
                return Ok(tidings_hub::HistoryPage { publications: Vec::new(), top });
            }
            let limit = u32::try_from(query.limit).unwrap_or(u32::MAX).min(HISTORY_READ_MAX);
            let bytes_max = query.bytes_max.unwrap_or(usize::MAX);
            let page = self.page(room, PageQuery { from, limit }, bytes_max).await?;
            let mut publications = Vec::with_capacity(page.events.len());
            let mut bytes = 0;
            let mut events = page.events.iter();
            while let Some(event) = if query.reverse { events.next_back() } else { events.next() } {
                // The store has counted texts, and with the trees of their marks they may be several times as long.
                if bytes > bytes_max {
                    break;
                }
                let publication = publication(event);
                bytes += publication.data.as_ref().map_or(0, |data| data.as_bytes().len());
                publications.push(publication);
            }
            let top = StreamPosition { offset: page.offset, epoch: page.epoch };
            Ok(tidings_hub::HistoryPage { publications, top })
        })
    }
}

fn room_of(channel: &ChannelName) -> Result<RoomId, HistoryError> {
    channel.name_in("room").and_then(RoomId::parse).ok_or(HistoryError::UnknownChannel)
}

fn unavailable(error: StoreError) -> HistoryError {
    HistoryError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        announce::room_channel,
        model::{ClientId, MessageId, Time},
        store::{contract, memory::Memory, submit},
    };

    #[tokio::test]
    async fn g4_who_comes_from_a_number_that_is_committed_and_not_told_of_yet_has_missed_nothing() {
        let store = Arc::new(Memory::default());
        let history = RoomHistory::new(store.clone(), Arc::default(), None);
        let (set_up, post) = contract::set_up_and_first_post();
        let channel = room_channel(set_up.room.id);
        store.apply(0, vec![submit(set_up).0], Time::from_millis(0)).await.unwrap();
        assert_eq!(history.position(&channel).await.unwrap().offset, 1);

        store.apply(0, vec![submit(post).0], Time::from_millis(0)).await.unwrap();
        assert_eq!(history.position(&channel).await.unwrap().offset, 1, "the writer has yet to tell of it");
        let since = |since| HistoryQuery { since: Some(since), limit: 100, reverse: false, bytes_max: None };
        // With a top below theirs the client would be told to begin anew.
        assert_eq!(history.read(&channel, since(2)).await.unwrap().top.offset, 2);
        let missed = history.read(&channel, since(1)).await.unwrap();
        assert_eq!((missed.publications.len(), missed.top.offset), (1, 2));
    }

    #[tokio::test]
    async fn a_page_ends_once_its_texts_with_their_trees_are_more_than_was_asked_for() {
        let store = Arc::new(Memory::default());
        let history = RoomHistory::new(store.clone(), Arc::default(), None);
        let (set_up, post) = contract::set_up_and_first_post();
        let room = set_up.room.id;
        let again = |body: &str| {
            let mut again = post.clone();
            (again.0.id, again.0.client_id) = (MessageId::fresh(), ClientId::fresh());
            again.0.body = body.into();
            submit(again).0
        };
        let posts = (0..20).map(|_| again(&"*a* ".repeat(1_000))).collect();
        store.apply(0, vec![submit(set_up).0], Time::from_millis(0)).await.unwrap();
        store.apply(0, posts, Time::from_millis(0)).await.unwrap();
        for reverse in [false, true] {
            let query = HistoryQuery { since: (!reverse).then_some(1), limit: 100, reverse, bytes_max: Some(100_000) };
            let read = history.read(&room_channel(room), query).await.unwrap().publications;
            let bytes: usize = read.iter().map(|publication| publication.data.as_ref().unwrap().as_bytes().len()).sum();
            assert!((100_000..150_000).contains(&bytes), "{bytes} bytes in {} publications", read.len());
        }
    }
}
