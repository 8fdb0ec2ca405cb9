//! The phases of a server's life.

/// How far a server is on its way to the end; it only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    /// Still accepting, but every response says that the connection closes.
    Announced,
    /// Not accepting; what is in flight finishes.
    Draining,
    /// What is left is cut.
    Aborted,
}
