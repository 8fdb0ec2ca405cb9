//! `info`: how the server is.

use super::{Call, Perform};
use crate::process::Figures;
use tidings_api::{Error, InfoRequest, InfoResult, NodeResult, Process};

impl Perform for InfoRequest {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number of pages")]
    async fn perform(self, call: &Call) -> Result<InfoResult, Error> {
        let app = &call.app;
        let figures = app.hub.metrics();
        let count = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let process = |process: Figures| Process { cpu: process.cpu_seconds, rss: process.resident_bytes as i64 };
        let node = NodeResult {
            uid: app.node.clone(),
            name: app.address().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            num_clients: count(figures.connections),
            num_users: count(app.hub.num_users() as u64),
            num_channels: count(figures.channels),
            num_subs: count(figures.subscriptions),
            uptime: count(crate::process::started().elapsed().as_secs()),
            process: Figures::read().map(process),
        };
        Ok(InfoResult { nodes: vec![node] })
    }
}
