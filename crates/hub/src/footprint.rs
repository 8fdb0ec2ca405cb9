//! What an idle connection takes, by kind: a ceiling for each, 10 % above what it is, so that growth is seen.

use crate::account::{Account, Caller};
use crate::channel::Subscriber;
use crate::connection::Connection;
use crate::delivery::{ConnectionState, Cursor};
use crate::handle::Handle;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::{Identity, Peer};

#[test]
fn an_idle_connection_takes_no_more_than_this() {
    let kinds = [
        ("Connection", size_of::<Connection>(), 563),
        ("of it, Session", size_of::<Session>(), 440),
        ("Handle", size_of::<Handle>(), 246),
        ("of it, Peer", size_of::<Peer>(), 96),
        ("Outbox", size_of::<Outbox>(), 194),
        ("Identity", size_of::<Identity>(), 96),
        ("Account", size_of::<Account>(), 44),
        ("Caller", size_of::<Caller>(), 70),
        ("Subscriber", size_of::<Subscriber>(), 61),
        ("in the loop", size_of::<Option<ConnectionState>>(), 80),
        ("Cursor", size_of::<Cursor>(), 52),
    ];
    for (kind, bytes, max) in kinds {
        println!("{kind}: {bytes} bytes of {max}");
    }
    for (kind, bytes, max) in kinds {
        assert!(
            bytes <= max,
            "{kind} takes {bytes} bytes, and there are many: put what is seldom needed in a box, or raise this"
        );
    }
}
