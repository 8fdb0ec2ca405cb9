//! The words of the chat as types, and the rules that a value keeps by itself: what is a name, when a session or an
//! invite is over, how an event reads on the wire.
//!
//! Values only: no store, no hub, no clock of its own. Every other module may import this one, and it imports none of
//! them.

mod denials;
mod digests;
mod events;
mod ids;
mod invites;
mod looks;
mod messages;
mod names;
mod notices;
mod pages;
mod passwords;
mod people;
mod personal_tokens;
mod preferences;
mod profiles;
mod reactions;
mod reading;
mod rooms;
mod secrets;
mod sessions;
mod text;
mod threads;
mod time;

pub(crate) use denials::DenialKey;
pub use denials::{Denial, Denied, Presented, Verdict};
pub use digests::MessageKey;
#[cfg(test)]
pub(crate) use digests::SendDigest;
pub(crate) use digests::{KeyId, StoredDigest};
pub use events::{Event, EventKind, RoomCard};
pub(crate) use events::{EventRow, OwnRole, PersonEvent, RoomReference, Typing};
pub use ids::{ClientId, MessageId, PersonId, PersonalTokenId, RoomId, SessionId};
pub(crate) use invites::StoredInvite;
pub use invites::{Invite, InviteCard};
pub use messages::{Answered, Body, BodyError, DeleteReason, Deleted, Draft, Edit, Message, Posted, ReasonError};
pub(crate) use messages::{EarlierSend, Mentions, NewMessage, StoredMessage};
pub use names::{Description, Email, EmailError, Name, NameError, Section, Topic};
pub use notices::{Activity, ActivityFrom, ActivityKind, ActivityPage, ActivityQuery};
pub(crate) use notices::{Notice, NoticeKind};
pub use pages::{EditPage, EventPage, MessagePage, PageFrom, PageQuery};
pub(crate) use passwords::StoredHash;
pub use passwords::{NewPassword, PasswordError};
pub(crate) use people::{Credentials, NewPerson};
pub use people::{Person, Role, Who};
pub(crate) use personal_tokens::fresh_secret;
pub use personal_tokens::{PERSONAL_TOKEN_PREFIX, PersonalToken, Scope, TokenBearer};
pub use preferences::{Preferences, PreferencesEdit, RoomPreferences};
pub(crate) use profiles::Changed;
pub use profiles::{Profile, ProfileEdit, Quiet, Said, Status, StatusError, Title, Zone, ZoneError};
pub use reactions::{Emoji, Reacted, ReactedPage, Reaction};
pub(crate) use reactions::{Reactions, gather, show_reactions};
pub use reading::{Move, Reading, RoomReading};
pub use rooms::{Member, Room, RoomEdit, RoomFacts, RoomKind, RoomPage, RoomRole};
pub(crate) use rooms::{NewRoom, PeopleKey};
pub use secrets::{Code, Token};
pub(crate) use secrets::{SecretDigest, digest};
pub(crate) use sessions::{Arrival, NewSession, SessionKey, Stand};
pub use sessions::{Browser, Ended, Entered, Session, SignedIn};
pub use text::Text;
pub(crate) use text::{mentioning, mentioning_beginnings, show_names, show_names_in};
pub use threads::{InThread, LastReply, Replies, ThreadCard, ThreadPage, ThreadReading, ThreadsPage};
pub(crate) use threads::{Root, ThreadStanding, gather_replies, show_replies};
pub use time::{Clock, Time};
