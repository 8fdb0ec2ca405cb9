//! The shapes of the chat's own JSON, for the OpenAPI description; the types that serialise are the chat's.

#![expect(dead_code, reason = "these types describe, they are never made")]

use serde::Serialize;
use utoipa::ToSchema;

/// A room, as one person sees it.
#[derive(ToSchema)]
#[schema(as = Room)]
pub(super) struct RoomSchema {
    id: String,
    /// Of a direct message the names of the others; empty where one writes to oneself.
    name: String,
    topic: String,
    /// Left out when empty.
    description: Option<String>,
    /// `public`, `private` or `direct`.
    kind: String,
    /// Since when nothing is written there any more. Left out when it is not archived.
    archived: Option<i64>,
    /// Whether the person who asks is a member.
    member: bool,
    /// As what: `owner` or `member`. Left out when they are none.
    role: Option<String>,
    /// Of a direct message, the others in it. Left out for rooms.
    people: Option<Vec<WhoSchema>>,
    members: u32,
    /// The number of its last event.
    offset: u64,
    /// The name of its stream of events; numbers of another epoch mean nothing.
    epoch: String,
    /// Milliseconds since the Unix epoch.
    created: i64,
    /// Another room that one sees has the same name, or one that looks alike. Left out when not.
    same_name: Option<bool>,
    /// The number of the last event that one has read. Left out, as what follows, where one is no member.
    read: Option<u64>,
    /// How many messages of others stand behind that: up to 100, which is so many or more. One's own are not counted, nor
    /// what lies behind the newest 1,000 messages.
    unread: Option<u32>,
    /// How many of them mention one.
    mentions: Option<u32>,
    /// It stands before all others in one's list. Left out, as what follows, when not.
    favourite: Option<bool>,
    /// What is said there is not to be brought up, unless it mentions one.
    muted: Option<bool>,
    /// The heading of one's own under which it stands.
    section: Option<String>,
    /// When the last message was posted there. Left out while there is none.
    last_message: Option<i64>,
}

/// How one keeps a room; what is left out is as it is with everybody.
#[derive(ToSchema)]
#[schema(as = RoomPreferences)]
pub(super) struct RoomPreferencesSchema {
    /// Of the room.
    id: String,
    /// It stands before all others in one's list.
    favourite: Option<bool>,
    /// What is said there is not to be brought up, unless it mentions one.
    muted: Option<bool>,
    /// The heading of one's own under which it stands.
    section: Option<String>,
}

/// Somebody, as others see them.
#[derive(ToSchema)]
#[schema(as = Profile)]
pub(super) struct ProfileSchema {
    id: String,
    name: String,
    /// Somebody else on this server has the same name, or one that looks alike: show more than the name. Left out when not.
    same_name: Option<bool>,
    /// What they may do on the whole server: `owner`, `admin` or `guest`. Left out when that is what everybody may.
    role: Option<String>,
    /// They may not sign in. Left out when they may.
    deactivated: Option<bool>,
    /// What they are or do. Left out, as what follows, when they do not say so.
    title: Option<String>,
    /// The name of their time zone, such as `Europe/Berlin`.
    zone: Option<String>,
    status: Option<StatusSchema>,
    /// They do not want to be disturbed.
    quiet: Option<QuietSchema>,
    /// When they changed any of this last, in milliseconds since the Unix epoch: of two that one has, the later one holds.
    changed: i64,
}

/// What somebody is at, for a while.
#[derive(ToSchema)]
#[schema(as = Status)]
pub(super) struct StatusSchema {
    /// Left out, as what follows, when there is none.
    emoji: Option<String>,
    text: Option<String>,
    /// When it is over, in milliseconds since the Unix epoch.
    ends: Option<i64>,
}

/// Somebody does not want to be disturbed.
#[derive(ToSchema)]
#[schema(as = Quiet)]
pub(super) struct QuietSchema {
    /// Until when, in milliseconds since the Unix epoch. Left out: until they say so.
    ends: Option<i64>,
}

/// How far one has read a room.
#[derive(ToSchema)]
#[schema(as = RoomReading)]
pub(super) struct RoomReadingSchema {
    /// Of the room.
    id: String,
    /// The number of its last event, when this was counted.
    offset: u64,
    /// The number of the last event that one has read.
    read: u64,
    /// How many messages of others stand behind that: up to 100, which is so many or more.
    unread: u32,
    /// How many of them mention one.
    mentions: u32,
}

/// A person as others see them.
#[derive(ToSchema)]
#[schema(as = Who)]
pub(super) struct WhoSchema {
    id: String,
    name: String,
    /// Somebody else on this server has the same name, or one that looks alike: show more than the name. Left out when not.
    same_name: Option<bool>,
}

#[derive(ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageSchema {
    id: String,
    room: String,
    /// The number of the event with which it came into the room.
    number: u64,
    /// The author's own id of the send.
    client_id: String,
    author: WhoSchema,
    /// What it says, byte for byte as it was sent or as it was edited last: Markdown; empty when it was deleted.
    body: String,
    /// The tree of its marks. Left out where the body is plain text, in lines and paragraphs, or has more marks than the
    /// limits allow: then the body is what it says.
    content: Option<Vec<BlockSchema>>,
    /// Milliseconds since the Unix epoch, by the server's clock.
    time: i64,
    /// When it got its present text. Left out while that is its first.
    edited: Option<i64>,
    /// That it was deleted. Left out when it was not.
    deleted: Option<DeletedSchema>,
    /// The message that it answers. Left out when it answers none.
    reply_to: Option<AnsweredSchema>,
    /// Who reacted to it. Left out where nobody has, and in events that come live or by the SDK's history and in answers to
    /// changes: what comes so is the same for all, and each reaction is an event of its own.
    reactions: Option<Vec<ReactedSchema>>,
    /// Of an answer in a thread, the id of the message that the thread is under. Left out for all others.
    thread: Option<String>,
    /// Of an answer in a thread, that it stands among the room's messages too. Left out when not.
    also_in_room: Option<bool>,
    /// What stands in the thread under it. Left out where nothing does, and where reactions are left out: each answer is an
    /// event of its own.
    replies: Option<RepliesSchema>,
}

/// What stands in the thread under a message; answers that were deleted do not count.
#[derive(ToSchema)]
#[schema(as = Replies)]
pub(super) struct RepliesSchema {
    /// Up to 1,000, which is so many or more.
    count: u32,
    /// The newest.
    last: LastReplySchema,
    /// Who answered last, the last one first: up to three.
    people: Vec<WhoSchema>,
}

/// The newest answer of a thread.
#[derive(ToSchema)]
#[schema(as = LastReply)]
pub(super) struct LastReplySchema {
    id: String,
    /// Its place in the room.
    number: u64,
    /// Milliseconds since the Unix epoch.
    time: i64,
}

/// How far one has read a thread.
#[derive(ToSchema)]
#[schema(as = ThreadReading)]
pub(super) struct ThreadReadingSchema {
    /// Of the message that it is under.
    id: String,
    room: String,
    /// The number of the room's last event, when this was counted.
    offset: u64,
    /// Whether one follows it.
    following: bool,
    /// The number up to which one has read it; of a thread that one never followed, `offset`.
    read: u64,
    /// How many answers of others stand behind that: up to 100, which is so many or more.
    unread: u32,
}

/// How a message begins that another one answers, or that concerns one, as it is when that is read.
#[derive(ToSchema)]
#[schema(as = Answered)]
pub(super) struct AnsweredSchema {
    id: String,
    /// Its place in the room.
    number: u64,
    author: WhoSchema,
    /// How it begins, without marks and in one line. Left out when it was deleted.
    text: Option<String>,
    /// The rooms that are mentioned in that, in their order: each stands there as `#…`. Left out where none is.
    rooms: Option<Vec<String>>,
    /// Left out when it was not.
    deleted: Option<bool>,
}

/// Those who reacted to a message with the same emoji.
#[derive(ToSchema)]
#[schema(as = Reacted)]
pub(super) struct ReactedSchema {
    emoji: String,
    count: u32,
    /// Whether one is among them. Left out when not.
    mine: Option<bool>,
    /// The first five of them.
    people: Vec<WhoSchema>,
}

/// Somebody reacted to a message, or took that back.
#[derive(ToSchema)]
#[schema(as = Reaction)]
pub(super) struct ReactionSchema {
    /// To which message.
    message: String,
    emoji: String,
    person: WhoSchema,
}

/// What is left of a message that was deleted, beside where it stood and who wrote it.
#[derive(ToSchema)]
#[schema(as = Deleted)]
pub(super) struct DeletedSchema {
    /// Milliseconds since the Unix epoch.
    time: i64,
    by: WhoSchema,
    /// Why. Left out when nothing was said, which only the author may.
    reason: Option<String>,
}

/// What a message said before it was edited.
#[derive(ToSchema)]
#[schema(as = Edit)]
pub(super) struct EditSchema {
    /// The number of the event that took the text away.
    number: u64,
    /// Since when the message had said it.
    time: i64,
    body: String,
    /// The tree of its marks, as of a message. Left out where it has none.
    content: Option<Vec<BlockSchema>>,
}

/// Something that concerns one in particular.
#[derive(ToSchema)]
#[schema(as = Activity)]
pub(super) struct ActivitySchema {
    /// `mention` (by name), `here` (one listened), `room` (all were mentioned), `reply` or `reaction`.
    kind: String,
    /// Milliseconds since the Unix epoch, by the server's clock.
    time: i64,
    /// Who did it.
    actor: WhoSchema,
    /// Of a reaction.
    emoji: Option<String>,
    /// The number of the event that brought it.
    event: u64,
    /// Where.
    room: String,
    /// How the message begins that mentions or answers one, or one's own that was reacted to.
    message: AnsweredSchema,
}

/// A part of a message that stands by itself; clients show the `content`, `items` or `text` of a type they do not know.
#[derive(ToSchema, Serialize)]
#[schema(as = Block)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum BlockSchema {
    P {
        content: Vec<InlineSchema>,
    },
    Heading {
        /// 1 to 6.
        level: u8,
        content: Vec<InlineSchema>,
    },
    Quote {
        #[schema(no_recursion)]
        content: Vec<BlockSchema>,
    },
    CodeBlock {
        /// As the author named it.
        language: Option<String>,
        text: String,
    },
    List {
        #[schema(no_recursion)]
        items: Vec<ItemSchema>,
    },
    OrderedList {
        #[schema(no_recursion)]
        items: Vec<ItemSchema>,
    },
    Rule,
}

/// A point of a list.
#[derive(ToSchema, Serialize)]
#[schema(as = ListItem)]
pub(super) struct ItemSchema {
    /// As it was written. Left out in lists without numbers.
    number: Option<u64>,
    #[schema(no_recursion)]
    content: Vec<BlockSchema>,
}

/// Text, in which line breaks and spaces count, or a marked piece of it.
#[derive(ToSchema, Serialize)]
#[schema(as = Inline)]
#[serde(untagged)]
pub(super) enum InlineSchema {
    Text(String),
    Marked(MarkSchema),
}

/// A marked piece of a line; clients show the `content` or `text` of a type they do not know.
#[derive(ToSchema, Serialize)]
#[schema(as = Mark)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum MarkSchema {
    Em {
        #[schema(no_recursion)]
        content: Vec<InlineSchema>,
    },
    Strong {
        #[schema(no_recursion)]
        content: Vec<InlineSchema>,
    },
    Strike {
        #[schema(no_recursion)]
        content: Vec<InlineSchema>,
    },
    Code {
        text: String,
    },
    Link {
        /// `http:`, `https:` or `mailto:`.
        href: String,
        title: Option<String>,
        /// What is shown; the address itself where this is left out.
        #[schema(no_recursion)]
        content: Option<Vec<InlineSchema>>,
    },
    /// Written `<@ID>`, `<@here>` or `<@room>`.
    Mention {
        /// Who. Left out where it is everybody, and of somebody who was no member of the room when it was written.
        person: Option<String>,
        /// `here` or `room`.
        everybody: Option<String>,
        /// The present name behind an `@`.
        text: String,
    },
    /// Written `<#ID>`. Its name is in the list of rooms of those who see it.
    Room {
        id: String,
        /// In the place of a name.
        text: String,
    },
}

/// Something that happened in a room; clients ignore a type they do not know.
#[derive(ToSchema)]
#[schema(as = Event)]
pub(super) struct EventSchema {
    /// `room.created`, `room.renamed`, `room.described`, `room.opened`, `room.closed`, `room.archived`, `room.restored`,
    /// `member.joined`, `member.left`, `member.promoted`, `member.demoted`, `message.posted`, `message.edited`,
    /// `message.deleted`, `message.restored`, `reaction.added` or `reaction.removed`.
    r#type: String,
    /// 1 for a room's first event, without gaps.
    number: u64,
    /// Milliseconds since the Unix epoch, by the server's clock.
    time: i64,
    /// Of those about a message: as it is at present, which may be later than the event.
    message: Option<MessageSchema>,
    /// Of those about a reaction.
    reaction: Option<ReactionSchema>,
    /// Of the others: whom it concerns, and of changes of the room who made it.
    member: Option<WhoSchema>,
    /// Of those about a member: who did it. Left out when they did it themselves.
    by: Option<WhoSchema>,
    /// Of changes of the room: what it is like at present, which may be later than the event.
    room: Option<RoomFactsSchema>,
}

/// What all in a room know of it.
#[derive(ToSchema)]
#[schema(as = RoomFacts)]
pub(super) struct RoomFactsSchema {
    name: String,
    topic: String,
    /// Left out when empty.
    description: Option<String>,
    /// `public`, `private` or `direct`.
    kind: String,
    /// Since when nothing is written there any more. Left out when it is not archived.
    archived: Option<i64>,
}
