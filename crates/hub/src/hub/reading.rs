//! Reading what was published, and announcing what the application stored.

use tidings_protocol::{Publication, StreamPosition, SubscribeRequest};
use tokio::time::Instant;

use super::{Hub, PublishError, with_epoch};
use crate::Channel;
use crate::history::{History, HistoryError, Page, Query};
use crate::metrics::Metrics;
use crate::policy::{ChannelOptions, Source};
use crate::recovery::{self, Start};
use crate::subscribers::Subscribers;

/// What was published could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The channel keeps no history.
    #[error("this channel keeps no history")]
    NotKept,
    /// The position lies in another epoch.
    #[error("the position lies in another epoch")]
    OtherEpoch,
    /// The keeper of the history failed.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A channel cannot be made.
    #[error(transparent)]
    Channel(#[from] PublishError),
}

impl Hub {
    /// Reads what was published in a channel; `epoch` is that of `query.since`, or empty when unknown.
    ///
    /// # Errors
    /// [`ReadError`] when there is nothing to read from, or the position is of another epoch.
    pub async fn history(&self, channel: &Channel, query: Query, epoch: &str) -> Result<Page, ReadError> {
        let page = match self.options(channel).history {
            Source::None => return Err(ReadError::NotKept),
            Source::Memory { .. } => self.read_memory(channel, query),
            Source::External(history) => read_stored(&*history, channel, query).await?,
        };
        if query.since.is_some() && !epoch.is_empty() && epoch != page.top.epoch {
            return Err(ReadError::OtherEpoch);
        }
        Ok(page)
    }

    /// Announces what the application has stored (then its offset is the channel's next number) or wants to pass on
    /// (offset 0). Call it in the order of numbers; it may be called again for the same number.
    ///
    /// A number that was delivered already is dropped. Before a number that leaves a gap, the missing ones are read
    /// from the channel's [`History`], so that a lost announcement heals.
    ///
    /// # Errors
    /// [`HistoryError`] when the missing ones could not be read; the next announcement tries again.
    pub async fn announce(&self, channel: &Channel, publication: Publication) -> Result<(), HistoryError> {
        let started = Instant::now();
        let offset = publication.offset;
        if offset == 0 {
            let delivered = self.deliver_passing(channel, publication);
            self.account_publication(delivered, started);
            return Ok(());
        }
        let limits = &self.0.limits;
        let next = self.look_mut(channel, |subscribers| {
            let mut delivered = subscribers.renew(channel, &publication.epoch, offset - 1, limits).unwrap_or_default();
            let announced = &mut subscribers.announced;
            announced.heard = announced.heard.max(offset);
            match announced.last {
                Some(last) if offset <= last => Next::Nothing,
                _ if announced.filling => Next::Nothing,
                Some(last) if offset > last + 1 => Next::Fill,
                _ => {
                    announced.last = Some(offset);
                    let publication = with_epoch(publication, &announced.epoch);
                    delivered.add(subscribers.deliver(channel, publication, limits));
                    Next::Delivered(delivered)
                }
            }
        });
        match next {
            Some(Next::Delivered(delivered)) => self.account_publication(delivered, started),
            Some(Next::Fill) => self.fill(channel).await?,
            Some(Next::Nothing) | None => {}
        }
        Ok(())
    }

    /// Delivers what was stored but not announced, up to the highest number heard of.
    pub(super) async fn fill(&self, channel: &Channel) -> Result<(), HistoryError> {
        let Source::External(history) = self.options(channel).history else { return Ok(()) };
        let Some(mut filling) = Filling::begin(self, channel) else { return Ok(()) };
        while let Some(last) = filling.next_missing() {
            let limit = self.0.limits.history_publications_max;
            let page = history.read(channel, Query { since: Some(last), limit, reverse: false }).await?;
            filling.apply(page);
        }
        Ok(())
    }

    /// Where a subscription starts; `None` when the channel has no positions.
    pub(crate) async fn start(
        &self,
        channel: &Channel,
        options: &ChannelOptions,
        request: &SubscribeRequest,
    ) -> Result<Option<Start>, ReadError> {
        if !options.recovery {
            return Ok(None);
        }
        let limits = &self.0.limits;
        let limit = if request.recover { limits.recovery_publications_max } else { 0 };
        let query = Query { since: Some(request.offset), limit, reverse: false };
        let page = match &options.history {
            Source::None => return Ok(None),
            Source::Memory { .. } => self.begin_memory(channel, query)?,
            Source::External(history) => read_stored(&**history, channel, query).await?,
        };
        if !request.recover {
            return Ok(Some(Start::fresh(page.top)));
        }
        let start = recovery::decide(request, page, limits);
        let metrics = &self.0.metrics;
        Metrics::add(if start.recovered { &metrics.recovered } else { &metrics.unrecovered }, 1);
        Ok(Some(start))
    }

    /// Where a channel's stream stands.
    ///
    /// # Errors
    /// [`ReadError`] when it has none.
    pub async fn position(&self, channel: &Channel) -> Result<StreamPosition, ReadError> {
        Ok(self.history(channel, Query::default(), "").await?.top)
    }

    /// Makes nothing: whoever asks for names that it made up takes no memory.
    fn read_memory(&self, channel: &Channel, query: Query) -> Page {
        let now = Instant::now().into_std();
        let read = |subscribers: &mut Subscribers| Some(subscribers.stream.as_mut()?.read(query, now));
        let unborn = || StreamPosition { offset: 0, epoch: self.0.epochs.of(channel) };
        self.look_mut(channel, read).flatten().unwrap_or_else(|| Page { publications: Vec::new(), top: unborn() })
    }

    /// Reads, for a subscription: from here on the channel's numbering goes on as long as somebody relies on it.
    fn begin_memory(&self, channel: &Channel, query: Query) -> Result<Page, PublishError> {
        let now = Instant::now();
        self.with(channel, true, |subscribers| {
            let stream = self.stream(channel, subscribers, now);
            stream.read(query, now.into_std())
        })
    }
}

async fn read_stored(history: &dyn History, channel: &Channel, query: Query) -> Result<Page, HistoryError> {
    if query.limit == 0 {
        let top = history.position(channel).await?;
        return Ok(Page { publications: Vec::new(), top });
    }
    history.read(channel, query).await
}

enum Next {
    Delivered(super::Delivered),
    Fill,
    Nothing,
}

/// The right to read the missing publications of a channel; one at a time has it, also when its future is dropped.
struct Filling<'a> {
    hub: &'a Hub,
    channel: &'a Channel,
    held: bool,
}

impl<'a> Filling<'a> {
    fn begin(hub: &'a Hub, channel: &'a Channel) -> Option<Self> {
        let begun = hub.look_mut(channel, |subscribers| !std::mem::replace(&mut subscribers.announced.filling, true));
        (begun == Some(true)).then_some(Self { hub, channel, held: true })
    }

    /// The last number that was delivered, while there are more; otherwise the right is given back in the same
    /// moment, so that nobody who hears of another number relies on it.
    fn next_missing(&mut self) -> Option<u64> {
        let after = |subscribers: &mut Subscribers| {
            let in_use = subscribers.len() > 0;
            let announced = &mut subscribers.announced;
            let last = announced.last.filter(|last| *last < announced.heard && in_use);
            announced.filling = last.is_some();
            last
        };
        let last = self.hub.look_mut(self.channel, after).flatten();
        self.held = last.is_some();
        last
    }

    fn apply(&self, page: Page) {
        let started = Instant::now();
        let limits = &self.hub.0.limits;
        let delivered = self.hub.look_mut(self.channel, |subscribers| {
            let Some(last) = subscribers.announced.last else { return Vec::new() };
            let continues = page.publications.first().is_some_and(|first| first.offset == last + 1);
            if let Some(renewed) = subscribers.renew(self.channel, &page.top.epoch, page.top.offset, limits) {
                return vec![renewed];
            }
            if !continues {
                // What is missing cannot be had: everybody starts again from what history has.
                subscribers.announced.last = Some(page.top.offset.max(subscribers.announced.heard));
                return vec![subscribers.give_up_all(self.channel, limits)];
            }
            let mut delivered = Vec::with_capacity(page.publications.len());
            for publication in page.publications {
                let last = publication.offset;
                delivered.push(subscribers.deliver(self.channel, with_epoch(publication, &page.top.epoch), limits));
                subscribers.announced.last = Some(last);
            }
            delivered
        });
        for delivered in delivered.into_iter().flatten() {
            self.hub.account_publication(delivered, started);
        }
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if self.held {
            self.hub.look_mut(self.channel, |subscribers| subscribers.announced.filling = false);
        }
    }
}
