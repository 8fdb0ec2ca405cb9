//! Accepting: one loop per listener, which outlives every error that is not its own end.
//!
//! Hands each connection to `connection::spawn`, which gives it a task of its own, and never waits for one.

use std::io;
use std::sync::Arc;

use crate::app::App;
use crate::body::ResponseData;
use crate::connection;
use crate::listener::Listener;
use crate::phase::Phase;
use crate::shared::Shared;
use crate::shutdown;
use crate::stats::count;
use crate::stream::Accepted;
use crate::tls::Acceptor;
use crate::turn_away::turn_away;

/// Accepts until the server drains or the listener fails for good.
pub(crate) async fn run<S, B>(mut listener: Listener, tls: Option<Acceptor>, app: S, shared: Arc<Shared>)
where
    S: App<B>,
    B: ResponseData,
{
    let local = listener.local_addr();
    let mut phase = shared.phase.subscribe();
    let mut pause = shared.limits.accept_pause_min;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = shared.limits.accept_pause_min;
                count(&shared.counters.connections_total);
                match shared.budget.admit(peer, shared.now()) {
                    Ok(permit) => {
                        let accepted = Accepted { stream, peer, local };
                        connection::spawn(accepted, tls.clone(), app.clone(), &shared, permit);
                    }
                    Err(over) => turn_away(stream, over, tls.is_some(), &shared),
                }
            }
            Err(error) => match severity(&error) {
                Severity::Connection => tracing::debug!(%error, "a connection failed before it was accepted"),
                Severity::Exhausted => {
                    count(&shared.counters.accept_pauses);
                    tracing::warn!(%error, ?pause, "cannot accept connections for now; trying again");
                    tokio::select! {
                        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(shared.limits.accept_pause_max);
                }
                Severity::Listener => {
                    drop(listener);
                    return shutdown::fail(&shared, error, local);
                }
            },
        }
    }
}

enum Severity {
    /// That connection is lost; the next one is as good as ever.
    Connection,
    /// Files or memory are short; they come back when connections end.
    Exhausted,
    /// The listener itself is broken.
    Listener,
}

fn severity(error: &io::Error) -> Severity {
    use rustix::io::Errno;
    if let Some(code) = error.raw_os_error() {
        return match Errno::from_raw_os_error(code) {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Severity::Exhausted,
            // accept(2): pending network errors of the new connection are reported by accept, and the firewall's no is
            // PERM.
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::TIMEDOUT => Severity::Connection,
            _ => Severity::Listener,
        };
    }
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted
        | io::ErrorKind::TimedOut => Severity::Connection,
        io::ErrorKind::OutOfMemory => Severity::Exhausted,
        _ => Severity::Listener,
    }
}
