//! Pings at a steady interval, and a deadline for each answer.
//!
//! The ping waits behind whatever was written before it, and so does its answer: on a slow line that is minutes, and the
//! peer is alive all the while. So the time for an answer begins when the slowest reader there may be would have read what
//! was written, up to a cap. A peer that takes nothing at all is the transport's to find.

use std::time::{Duration, Instant};

use crate::Limits;
use crate::limits::PING_TICKS;

/// The heartbeat of one connection.
#[derive(Default)]
pub(super) struct Pulse {
    ping_at: Option<Instant>,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    /// Since when it could have been heard: not while we do not read.
    listened: Option<Instant>,
    /// When the slowest reader has read what no answer has settled yet.
    read_by: Option<Instant>,
    /// What the slowest reader needs for what was written since the ping that waits for its answer, which says nothing of it.
    behind_ping: Duration,
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
    /// pinged together; but at a tick, counted from a moment that is the same for all: a few at once cost less than
    /// each by itself.
    pub(super) fn begin(limits: &Limits, jitter: f64, ticks_from: Instant, now: Instant) -> Self {
        let first = limits.ping_interval.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        let tick = (limits.ping_interval / PING_TICKS).as_nanos().max(1);
        let behind_tick = (now + first).saturating_duration_since(ticks_from).as_nanos() % tick;
        let behind_tick = Duration::from_nanos(u64::try_from(behind_tick).unwrap_or(0));
        Self { ping_at: Some(now + first - behind_tick), ..Self::default() }
    }

    /// Notes that the transport was given so many bytes.
    pub(super) fn wrote(&mut self, bytes: usize, limits: &Limits, now: Instant) {
        let takes = Duration::from_millis(bytes as u64 * 1000 / u64::from(limits.read_rate_min.max(1)));
        let begins = self.read_by.map_or(now, |before| before.max(now));
        self.read_by = Some((begins + takes).min(now + limits.pong_timeout_max));
        if self.asked.is_some() {
            self.behind_ping = (self.behind_ping + takes).min(limits.pong_timeout_max);
        }
    }

    pub(super) fn next(&self, limits: &Limits) -> Option<Instant> {
        self.ping_at.into_iter().chain(self.pong_by(limits)).min()
    }

    fn pong_by(&self, limits: &Limits) -> Option<Instant> {
        let asked = self.asked?;
        let listened = self.listened.map_or(asked, |listened| listened.max(asked));
        let reached = self.read_by.map_or(listened, |read_by| read_by.max(listened));
        Some((reached + limits.pong_timeout).min(self.capped(limits)?))
    }

    /// The latest moment for an answer, whatever stands in its way.
    fn capped(&self, limits: &Limits) -> Option<Instant> {
        Some(self.asked? + limits.pong_timeout_max.max(limits.pong_timeout))
    }

    /// `listening` is false while we do not read, so that the pong may lie unread; `answered` is false where the client
    /// says nothing.
    pub(super) fn beat(&mut self, limits: &Limits, listening: bool, answered: bool, now: Instant) -> Beat {
        if self.pong_by(limits).is_some_and(|by| now >= by) {
            let may_lie_unread = !listening && self.capped(limits).is_some_and(|cap| now < cap);
            if !may_lie_unread {
                return Beat::Dead;
            }
            self.listened = Some(now);
        }
        match self.ping_at {
            Some(at) if now >= at => {
                let next = at + limits.ping_interval;
                self.ping_at = Some(if next > now { next } else { now + limits.ping_interval });
                if self.asked.is_some() {
                    return Beat::Nothing;
                }
                self.asked = (answered && !limits.pong_timeout.is_zero()).then_some(now);
                self.behind_ping = Duration::ZERO;
                Beat::Ping
            }
            _ => Beat::Nothing,
        }
    }

    /// Takes the answer to a ping; `false` when none was asked for. What was written before the ping has been read, and the
    /// reading of what was written behind it has begun.
    pub(super) fn pong(&mut self, now: Instant) -> bool {
        self.read_by = Some(now + self.behind_ping);
        self.asked.take().is_some()
    }
}
