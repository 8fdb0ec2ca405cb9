//! How many commands a client may send: a bucket that fills steadily and holds a burst.

use std::time::Instant;

use crate::Limits;

pub(super) struct Rate {
    allowance: f64,
    counted_at: Instant,
    refused: u32,
}

/// What to do with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    TooMany,
    /// The client does not slow down.
    Abuse,
}

impl Rate {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self { allowance: f64::from(limits.commands_burst), counted_at: now, refused: 0 }
    }

    pub(super) fn check(&mut self, limits: &Limits, now: Instant) -> Verdict {
        let earned =
            now.saturating_duration_since(self.counted_at).as_secs_f64() * f64::from(limits.commands_per_second);
        self.allowance = (self.allowance + earned).min(f64::from(limits.commands_burst));
        self.counted_at = now;
        if self.allowance >= 1.0 {
            self.allowance -= 1.0;
            // Who waits long enough to earn a real pause is forgiven; a trickle between refusals is not a pause.
            if self.allowance * 2.0 >= f64::from(limits.commands_burst) {
                self.refused = 0;
            }
            return Verdict::Fine;
        }
        self.refused += 1;
        if self.refused > limits.commands_refused_max { Verdict::Abuse } else { Verdict::TooMany }
    }
}
