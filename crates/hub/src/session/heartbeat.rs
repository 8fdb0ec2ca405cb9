//! Pings at a steady interval, and a deadline for each answer.

use std::time::Instant;

use crate::Limits;

/// The heartbeat of one connection.
#[derive(Default)]
pub(super) struct Pulse {
    ping_at: Option<Instant>,
    pong_by: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Ping,
    Dead,
}

impl Pulse {
    /// The first ping comes between half an interval and a whole one, so that clients who came together are not
    /// pinged together.
    pub(super) fn begin(limits: &Limits, jitter: f64, now: Instant) -> Self {
        let first = limits.ping_interval.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        Self { ping_at: Some(now + first), pong_by: None }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.ping_at.into_iter().chain(self.pong_by).min()
    }

    /// `listening` is false while we do not read, so that the pong may lie unread.
    pub(super) fn beat(&mut self, limits: &Limits, listening: bool, now: Instant) -> Beat {
        if self.pong_by.is_some_and(|by| now >= by) {
            if listening {
                return Beat::Dead;
            }
            self.pong_by = Some(now + limits.pong_timeout);
        }
        match self.ping_at {
            Some(at) if now >= at => {
                self.ping_at = Some(now + limits.ping_interval);
                if self.pong_by.is_some() {
                    return Beat::Nothing;
                }
                self.pong_by = (!limits.pong_timeout.is_zero()).then(|| now + limits.pong_timeout);
                Beat::Ping
            }
            _ => Beat::Nothing,
        }
    }

    /// Takes the answer to a ping; `false` when none was asked for.
    pub(super) fn pong(&mut self) -> bool {
        self.pong_by.take().is_some()
    }
}
