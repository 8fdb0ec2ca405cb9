//! `reload`: the configuration and the keys, read again.

use super::refusal::{bad_request, refused};
use super::{Call, Perform};
use crate::reload::reload;
use tidings_api::{Error, ReloadRequest, ReloadResult};

impl Perform for ReloadRequest {
    async fn perform(self, call: &Call) -> Result<ReloadResult, Error> {
        let app = call.app.clone();
        // By itself, so that it is not left half done when the caller goes away.
        let done = tokio::spawn(async move { reload(&app).await }).await;
        let done = done.map_err(|_| refused(tidings_protocol::Error::INTERNAL))?;
        let done = done.map_err(|error| bad_request(&format!("everything stays as it was: {error:#}")))?;
        Ok(ReloadResult { changed: done.changed, at_next_start: done.at_next_start })
    }
}
