//! The hub's locks and the atomics of the delivery path: the standard library's, but those of `shuttle` where it tries out in
//! which order threads may run (`delivery/threads.rs`).

#[cfg(all(test, feature = "shuttle"))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, TryLockError, atomic};
#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use std::sync::{Mutex, MutexGuard, TryLockError, atomic};
