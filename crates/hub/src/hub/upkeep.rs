//! What the hub does by itself, and how it ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tidings_protocol::Disconnect;
use tokio::time::Instant;

use super::Hub;
use crate::limits::SWEEP_INTERVAL;
use crate::policy::Source;
use crate::registry::{Target, lock};

/// Connections closed at a time during a shutdown: their clients come back together.
const SHUTDOWN_STEP: Duration = Duration::from_millis(20);

/// Channels swept in one go; a million of them would hold up other tasks.
const SWEEP_STEP: usize = 1_000;

impl Hub {
    /// Forgets what has expired and heals what was not announced, for ever. Spawn it once beside the transports.
    pub async fn maintain(&self) {
        let mut positions_due = Instant::now() + self.0.limits.position_check_interval;
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            self.sweep().await;
            if Instant::now() >= positions_due {
                self.check_positions().await;
                positions_due = Instant::now() + self.0.limits.position_check_interval;
            }
        }
    }

    /// Drops expired publications, and streams that nobody can expect to go on.
    pub async fn sweep(&self) {
        let now = Instant::now().into_std();
        for (number, (channel, cell)) in self.cells().enumerate() {
            if number % SWEEP_STEP == SWEEP_STEP - 1 {
                tokio::task::yield_now().await;
            }
            let mut subscribers = lock(&cell);
            if subscribers.gone {
                continue;
            }
            let in_use = subscribers.len() > 0;
            if let Some(stream) = &mut subscribers.stream {
                stream.expire(now);
                if in_use {
                    stream.touch(now);
                }
                if stream.is_forgotten(now) {
                    self.0.epochs.forget(stream);
                    subscribers.stream = None;
                }
            }
            self.drop_if_empty(&channel, &mut subscribers);
        }
    }

    /// Compares every channel that has subscribers and whose history lies elsewhere with what is stored, and delivers
    /// what was never announced.
    pub async fn check_positions(&self) {
        for (channel, cell) in self.cells() {
            if lock(&cell).announced.last.is_none() {
                continue;
            }
            let Source::External(history) = self.options(&channel).history else { continue };
            let top = match history.position(&channel).await {
                Ok(top) => top,
                Err(error) => {
                    tracing::warn!(%channel, %error, "cannot check the position of a channel");
                    continue;
                }
            };
            let limits = &self.0.limits;
            let renewed = self.look_mut(&channel, |subscribers| {
                let renewed = subscribers.renew(&channel, &top.epoch, top.offset, limits);
                subscribers.announced.heard = subscribers.announced.heard.max(top.offset);
                renewed
            });
            self.account(renewed.flatten().unwrap_or_default());
            if let Err(error) = self.fill(&channel).await {
                tracing::warn!(%channel, %error, "cannot deliver what was not announced");
            }
        }
    }

    /// Closes all connections with 3001, spread evenly over `spread` so that their clients do not come back all at
    /// once; connections that open from now on are closed at once. Returns when all are told, not when they are gone:
    /// the transports then drop their [`Connection`](crate::Connection)s.
    pub async fn shutdown(&self, spread: Duration) {
        self.0.shutting_down.store(true, Ordering::SeqCst);
        let handles = self.0.registry.find(Target::All);
        let steps = (spread.as_millis() / SHUTDOWN_STEP.as_millis()).max(1);
        let per_step = handles.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(1);
        for (step, handles) in handles.chunks(per_step).enumerate() {
            if step > 0 {
                tokio::time::sleep(SHUTDOWN_STEP).await;
            }
            for handle in handles {
                handle.outbox.close(Disconnect::SHUTDOWN);
            }
        }
    }
}
