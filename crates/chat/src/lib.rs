//! The chat: people, sessions, invites, rooms, messages; their rules and their store. It knows no HTTP and no sockets.
//!
//! [`Chat`] is the whole of it, cheap to clone. What changes something goes through the one writer: committed, then
//! announced to the hub, then answered. What only reads asks the [store] directly. A room is the hub's channel
//! `room:<id>`, and the number of an event in the room is that channel's offset, so the hub resumes clients from the
//! store.
//!
//! ```no_run
//! # use std::{net::IpAddr, sync::Arc};
//! # use tidings_chat::{Body, Chat, ClientId, Clock, Draft, Options, Time};
//! # use tidings_hub::Hub;
//! # async fn example(from: IpAddr, unix_millis: fn() -> i64) -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Chat::open(Options::new("tidings-data", Clock::new(move || Time::from_millis(unix_millis()))))?;
//! // The chat is the hub's policy for the connections of people, and announces to the hub what was committed.
//! let hub = Hub::builder(Arc::new(chat.clone())).application(Arc::new(chat.clone())).build();
//! chat.announce_to(hub);
//!
//! let ana = chat.sign_in("ana@example.com", "correct horse battery".into(), "a browser", from).await?.person;
//! let room = chat.rooms(ana.id).await?.remove(0);
//! let body = Body::parse("Hello!".into())?;
//! let posted = chat.post(ana.id, Draft { room: room.id, client_id: ClientId::fresh(), body }).await?;
//! println!("durable, and number {} in its room", posted.number);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod announce;
mod chat;
mod events;
mod history;
mod ids;
mod invites;
pub mod limits;
mod messages;
mod names;
mod passwords;
mod people;
mod policy;
mod pool;
mod rates;
mod rooms;
mod secrets;
mod sessions;
pub mod store;
mod time;
mod typing;
mod writer;

pub use chat::{Chat, Options, StartError};
pub use events::{Event, EventKind, Message, RoomCard, Who};
pub use ids::{ClientId, MessageId, PersonId, RoomId, SessionId};
pub use invites::{CreateAccountError, Invite, InviteCard, InviteError, LookUpError, NewAccount};
pub use messages::{Body, BodyError, Draft, PostError, ReadError};
pub use names::{Email, EmailError, Name, NameError, Topic};
pub use passwords::{NewPassword, PasswordError};
pub use people::{ChangePasswordError, Desk, Person, Role, SetUp, SetUpDone, SetUpError};
pub use rates::RetryAfter;
pub use rooms::{CreateRoomError, ManageError, Member, MemberRole, MembershipError, Room};
pub use secrets::{Code, Token};
pub use sessions::{EndSessionError, Entered, Session, SignInError, SignedIn};
pub use store::{EventPage, MessagePage, Page, PageFrom, Posted, StoreError};
pub use time::{Clock, Time};
pub use typing::TypingError;
