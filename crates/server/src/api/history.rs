//! `history` and `history_remove`: what was published.

use super::refusal::{not_available, other, refused};
use super::{Call, Perform};
use crate::limits::PAGE_BYTES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tidings_api::{
    ClientInfo, Error, HistoryRemoveRequest, HistoryRemoveResult, HistoryRequest, HistoryResult, Publication,
};
use tidings_hub::{ChannelName, HistoryQuery, ReadError};
use tidings_protocol::{Payload, StreamPosition};

impl Perform for HistoryRequest {
    async fn perform(self, call: &Call) -> Result<HistoryResult, Error> {
        let (channel, _) = call.channel(&self.channel)?;
        let since = self.since.map(|since| StreamPosition { offset: since.offset, epoch: since.epoch });
        let epoch = since.as_ref().map(|since| since.epoch.clone()).unwrap_or_default();
        let request = tidings_protocol::HistoryRequest {
            limit: self.limit,
            since,
            reverse: self.reverse,
            ..tidings_protocol::HistoryRequest::default()
        };
        let query = HistoryQuery::of(&request, call.app.hub.limits().history_publications_max);
        let page = call.app.hub.history(&channel, query, &epoch).await;
        let mut page = page.map_err(|error| unread(&error, &channel))?;
        page.cut(PAGE_BYTES_MAX);
        let publications = page.publications.into_iter().map(publication).collect();
        Ok(HistoryResult { publications, epoch: page.top.epoch, offset: page.top.offset })
    }
}

impl Perform for HistoryRemoveRequest {
    async fn perform(self, call: &Call) -> Result<HistoryRemoveResult, Error> {
        let (channel, _) = call.channel(&self.channel)?;
        call.app.hub.remove_history(&channel).await.map_err(|error| unread(&error, &channel))?;
        Ok(HistoryRemoveResult {})
    }
}

fn unread(error: &ReadError, channel: &ChannelName) -> Error {
    use tidings_protocol::Error as Code;
    match error {
        ReadError::NotKept => {
            not_available("not available: this channel has no history; see history_size of its namespace")
        }
        ReadError::OtherEpoch => other(
            &Code::UNRECOVERABLE_POSITION,
            "unrecoverable position: the stream has begun anew since; read it from its beginning",
        ),
        ReadError::History(_) | ReadError::Broker(_) => {
            tracing::error!(%error, %channel, "a history was not read");
            refused(Code::INTERNAL)
        }
    }
}

fn publication(publication: tidings_protocol::Publication) -> Publication {
    let data = publication.data.as_ref();
    let is_json = data.is_none_or(Payload::is_json);
    Publication {
        data: data.map(bytes_of).unwrap_or_default(),
        info: publication.info.as_ref().map(client_info),
        offset: publication.offset,
        tags: publication.tags,
        b64data: data.filter(|_| !is_json).map(|data| STANDARD.encode(data.as_bytes())).unwrap_or_default(),
    }
}

pub(super) fn client_info(info: &tidings_protocol::ClientInfo) -> ClientInfo {
    let bytes = |payload: &Option<Payload>| payload.as_ref().map(bytes_of).unwrap_or_default();
    ClientInfo {
        user: info.user.clone(),
        client: info.client.clone(),
        conn_info: bytes(&info.conn_info),
        chan_info: bytes(&info.chan_info),
    }
}

fn bytes_of(payload: &Payload) -> Bytes {
    Bytes::copy_from_slice(payload.as_bytes())
}
