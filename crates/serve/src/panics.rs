//! Catches panics of handlers and bodies, with the place where they happened.
//!
//! A caught panic carries only its message. The place is known to the panic hook alone, so ours takes it down for the
//! request that is being polled on this thread, and then calls the hook that was there before.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Place>> = const { RefCell::new(None) };
}

struct Place {
    location: String,
    backtrace: Option<String>,
}

/// A panic that was caught, for the log alone: none of it goes to the client (S65).
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) location: String,
    /// Present when the process runs with `RUST_BACKTRACE`.
    pub(crate) backtrace: String,
}

/// Takes note of panics from now on, for all servers of the process.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.get() {
                let backtrace = Backtrace::capture();
                let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
                let location = info.location().map_or_else(String::new, ToString::to_string);
                LAST.set(Some(Place { location, backtrace }));
            }
            before(info);
        }));
    });
}

/// Runs `poll`; a panic in it is returned.
pub(crate) fn catch<T>(poll: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = WATCHED.replace(true);
    // What the panic may have left half-done is the handler's future or body, which is dropped and never polled again.
    let caught = catch_unwind(AssertUnwindSafe(poll));
    WATCHED.set(outer);
    caught.map_err(|payload| {
        let place = LAST.take();
        let (location, backtrace) = place.map_or_else(Default::default, |place| (place.location, place.backtrace));
        Panic { message: message(&*payload), location, backtrace: backtrace.unwrap_or_default() }
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
