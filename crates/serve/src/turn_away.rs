//! What a client is told for whom the budget has no place.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::budget::OverBudget;
use crate::connection::refused;
use crate::limits::{RETRY_AFTER_SECONDS, TURN_AWAY_TIME};
use crate::shared::Shared;
use crate::stats::count;
use crate::stream::{BoxIo, Stream};

/// Tells a client over the budget to come back later, or closes when too many are being told already.
///
/// A TLS client is closed without a word: a handshake costs more than the request it would refuse.
pub(crate) fn turn_away(stream: Stream, over: OverBudget, tls: bool, shared: &Arc<Shared>) {
    count(refused(over, shared));
    let turned_away = shared.budget.turned_away.clone();
    if tls || turned_away.fetch_add(1, Relaxed) >= shared.budget.turned_away_max {
        if !tls {
            turned_away.fetch_sub(1, Relaxed);
        }
        return;
    }
    let stream = stream.boxed();
    shared.runtime.spawn(async move {
        let _ = tokio::time::timeout(TURN_AWAY_TIME, say_later(stream)).await;
        turned_away.fetch_sub(1, Relaxed);
    });
}

async fn say_later(mut stream: BoxIo) -> std::io::Result<()> {
    // Closing with unread bytes resets the connection, and the client would lose the answer: so read the request first.
    let mut request = [0; 1024];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER_SECONDS}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}
