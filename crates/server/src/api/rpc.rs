//! `rpc`: methods of the application, of which there are none yet.

use super::refusal::other;
use super::{Call, Perform};
use tidings_api::{Error, RpcRequest, RpcResult};

impl Perform for RpcRequest {
    async fn perform(self, _: &Call) -> Result<RpcResult, Error> {
        Err(other(
            &tidings_protocol::Error::METHOD_NOT_FOUND,
            "method not found: nothing answers calls of this server yet",
        ))
    }
}
