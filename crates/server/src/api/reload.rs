//! `reload`: the configuration and the keys, read again.

use super::refusal::bad_request;
use super::{Call, Perform};
use crate::reload::reload;
use tidings_api::{Error, ReloadRequest, ReloadResult};

impl Perform for ReloadRequest {
    async fn perform(self, call: &Call) -> Result<ReloadResult, Error> {
        let done = reload(&call.app).map_err(|error| bad_request(&format!("everything stays as it was: {error:#}")))?;
        Ok(ReloadResult { changed: done.changed, at_next_start: done.at_next_start })
    }
}
