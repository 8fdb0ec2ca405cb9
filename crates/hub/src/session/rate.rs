//! How many commands one connection may send: buckets that fill steadily and hold a burst.

use std::time::Instant;

use crate::Limits;

pub(super) struct CommandRate {
    commands: Bucket,
    /// For those commands that cost a whole channel something.
    subscribes: Bucket,
    counted_at: Instant,
    refused: u32,
}

struct Bucket {
    allowance: f64,
}

/// What to do with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    TooMany,
    /// The client does not slow down.
    Abuse,
}

impl CommandRate {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let full = |burst| Bucket { allowance: f64::from(burst) };
        Self {
            commands: full(limits.commands_burst),
            subscribes: full(limits.subscribes_burst),
            counted_at: now,
            refused: 0,
        }
    }

    /// `shared` says whether the caller's other connections have left enough, and is asked last.
    pub(super) fn check(
        &mut self,
        costs_a_channel: bool,
        shared: impl FnOnce() -> bool,
        limits: &Limits,
        now: Instant,
    ) -> Verdict {
        let seconds = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.counted_at = now;
        self.commands.earn(seconds * f64::from(limits.commands_per_second), limits.commands_burst);
        self.subscribes.earn(seconds * f64::from(limits.subscribes_per_second), limits.subscribes_burst);
        if self.commands.take() && (!costs_a_channel || self.subscribes.take()) && shared() {
            // Who waits long enough to earn a real pause is forgiven; a trickle between refusals is not a pause.
            if self.commands.allowance * 2.0 >= f64::from(limits.commands_burst) {
                self.refused = 0;
            }
            return Verdict::Fine;
        }
        self.refused += 1;
        if self.refused > limits.commands_refused_max { Verdict::Abuse } else { Verdict::TooMany }
    }
}

impl Bucket {
    fn earn(&mut self, earned: f64, burst: u32) {
        self.allowance = (self.allowance + earned).min(f64::from(burst));
    }

    fn take(&mut self) -> bool {
        let fine = self.allowance >= 1.0;
        if fine {
            self.allowance -= 1.0;
        }
        fine
    }
}
