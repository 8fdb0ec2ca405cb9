//! The chat: people, sessions, invites, rooms, messages; their rules and their store. It knows no HTTP and no sockets.
//!
//! [`Chat`] is the whole of it, cheap to clone. What changes something goes through the one writer: committed, then
//! announced to the hub, then answered. What only reads asks the store directly. A room is the hub's channel
//! `room:<id>`, and the number of an event in the room is that channel's offset, so the hub resumes clients from the
//! store.
//!
//! ```text
//! open, desk                                      opens a database, wires, sweeps, closes
//!   erasing                                       what is to be erased, and when
//!   policy ─► rpc                                 what a live connection may do, and asks for
//!     people, sessions, invites, rooms, messages, reading, typing, denials      the use cases: impl Chat
//!       chat ─► writer ─► following ─► announce; history      the way to a change; what the hub is told, and reads
//!         standing                              what is kept in memory of what is committed
//!       changes                                   who may do what, and what follows
//!         store ─► store::{sqlite, postgres, memory}   the database, its contract, who keeps it
//!           model                                 values and their rules
//!             markup                              what a message's source means, as a tree
//! ```
//!
//! Each line imports from those below it alone. `limits` has every number; `hashing`, `device`, `rates`, `fair`, `security`,
//! `blocking`, `supervision`, `complaint` and `ownership` are tools.
//!
//! ```no_run
//! # use std::{net::IpAddr, sync::Arc};
//! # use tidings_chat::{Body, Browser, Chat, ClientId, Clock, Draft, Options, Time};
//! # use tidings_hub::Hub;
//! # async fn example(from: IpAddr, unix_millis: fn() -> i64) -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Chat::open(Options::new("tidings-data", Clock::new(move || Time::from_millis(unix_millis())))).await?;
//! // The chat is the hub's policy for the connections of people, and announces to the hub what was committed.
//! let hub = Hub::builder(Arc::new(chat.clone())).application(Arc::new(chat.clone())).build();
//! chat.announce_to(hub);
//!
//! let browser = Browser { address: from, user_agent: "a browser".into(), session: None, device: None };
//! let ana = chat.sign_in("ana@example.com", "correct horse battery".into(), &browser).await?.person;
//! let room = chat.rooms(ana.id, None, 100).await?.rooms.remove(0);
//! let body = Body::parse("Hello!".into())?;
//! let posted = chat.post(ana.id, Draft { room: room.id, client_id: ClientId::fresh(), body, reply_to: None, thread: None, everybody: false }).await?;
//! println!("durable, and number {} in its room", posted.number);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod account;
mod activity;
mod announce;
mod blocking;
mod changes;
mod chat;
mod complaint;
mod denials;
mod desk;
mod device;
mod directs;
mod erasing;
mod fair;
mod finding;
mod following;
mod hashing;
mod history;
mod invites;
pub mod limits;
mod markup;
mod members;
mod messages;
mod model;
mod open;
mod ownership;
mod people;
mod personal_tokens;
mod policy;
mod preferences;
mod presence;
mod profiles;
mod rates;
mod reactions;
mod reading;
mod roles;
mod rooms;
mod rpc;
mod security;
mod sessions;
mod standing;
mod store;
mod supervision;
mod threads;
mod typing;
mod writer;

pub use account::ChangeAccountError;
pub use chat::Chat;
pub use denials::{Denials, DenyError};
pub use desk::{AccountError, Desk};
pub use directs::StartDirectError;
pub use finding::FindError;
pub use invites::{CreateAccountError, InviteError, LookUpError, NewAccount};
pub use markup::{Block, Content, Everybody, Inline, Item, Mark};
pub use members::{AddMemberError, SetRoomRoleError};
pub use messages::{DeleteError, EditError, PostError, ReadError, RestoreError};
pub use model::{
    Activity, ActivityFrom, ActivityKind, ActivityPage, ActivityQuery, Answered, Body, BodyError, Browser, ClientId,
    Clock, Code, DeleteReason, Deleted, Denial, Denied, Description, Draft, Edit, EditPage, Email, EmailError, Emoji,
    Ended, Entered, Event, EventKind, EventPage, InThread, Invite, InviteCard, LastReply, Member, Message, MessageId,
    MessageKey, MessagePage, Move, Name, NameError, NewPassword, PERSONAL_TOKEN_PREFIX, PageFrom, PageQuery,
    PasswordError, Person, PersonId, PersonalToken, PersonalTokenId, Posted, Preferences, PreferencesEdit, Presented,
    Profile, ProfileEdit, Quiet, Reacted, ReactedPage, Reaction, Reading, ReasonError, Replies, Role, Room, RoomCard,
    RoomEdit, RoomFacts, RoomId, RoomKind, RoomPage, RoomPreferences, RoomReading, RoomRole, Said, Scope, Section,
    Session, SessionId, SignedIn, Status, StatusError, Text, ThreadCard, ThreadPage, ThreadReading, ThreadsPage, Time,
    Title, Token, TokenBearer, Topic, Verdict, Who, Zone, ZoneError,
};
pub use open::Options;
pub use ownership::give_to_the_owner_of;
pub use people::{SetUp, SetUpDone, SetUpError};
pub use personal_tokens::PersonalTokenError;
pub use preferences::PreferError;
pub use profiles::EditProfileError;
pub use rates::RetryAfter;
pub use reactions::ReactError;
pub use reading::MarkReadError;
pub use roles::SetRoleError;
pub use rooms::{CreateRoomError, EditRoomError, LeaveError, ManageError, MembershipError};
pub use rpc::METHODS as RPC_METHODS;
pub use security::SECURITY_LOG;
pub use sessions::{EndSessionError, SignInError};
#[cfg(any(test, feature = "test-kit"))]
pub use store::postgres::FreshDatabase;
pub use store::{
    OpenError, StoreError,
    database::{Database, Place},
    postgres::{AddressError, PostgresOptions},
    sqlite::{
        SqliteOptions,
        archive::{ArchiveError, Contents, Restored},
    },
    transfer::{MoveError, MoveProgress, Moved, Planned},
};
pub use threads::ThreadError;
pub use typing::TypingError;
