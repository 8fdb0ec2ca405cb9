//! S34: everybody tries everything that concerns a room. A new operation does not compile before it has its row.

use serde_json::{Value, json};
use tidings_chat::{
    ActivityQuery, AddMemberError, Body, ClientId, DeleteError, DeleteReason, EditError, EditRoomError, Emoji,
    InviteError, LeaveError, ManageError, Message, MessageId, Move, Name, PageFrom, PageQuery, PersonId, PostError,
    PreferencesEdit, ReactError, ReadError, RestoreError, Role as ServerRole, Room, RoomEdit, RoomId, RoomKind,
    RoomRole, SetRoomRoleError, ThreadError, ThreadReading, Time, limits::ROOMS_PER_PERSON_MAX,
};

use crate::world::{Browser, Somebody, World, channel};

/// An enum with the list of all its values, so that none is left out of the matrix.
macro_rules! all {
    ($(#[$meta:meta])* enum $name:ident as $list:ident { $($(#[$value_meta:meta])* $value:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        enum $name {
            $($(#[$value_meta])* $value,)*
        }

        const $list: &[$name] = &[$($name::$value,)*];
    };
}

all! {
    enum Operation as OPERATIONS {
        SeeTheCard,
        Subscribe,
        Presence,
        PresenceStats,
        History,
        Publish,
        RpcPost,
        RpcEdit,
        RpcDelete,
        RpcRestore,
        RpcReact,
        RpcUnreact,
        RpcTyping,
        RpcRead,
        RpcReadThread,
        RpcFollowThread,
        RpcUnfollowThread,
        Post,
        PostInThread,
        Thread,
        FollowThread,
        ReadThread,
        Edit,
        EditAnothers,
        Delete,
        DeleteAnothers,
        Restore,
        RestoreAnothers,
        Edits,
        React,
        Reacted,
        Typing,
        MarkRead,
        MarkUnread,
        /// Another member mentions them there, and they find it.
        BeMentioned,
        /// What they were told of while they were in the room.
        Activity,
        MentionEverybody,
        Prefer,
        Events,
        LastBefore,
        Messages,
        Message,
        Members,
        Invite,
        InviteAfterRevoking,
        RenewInvite,
        RevokeInvite,
        RemoveMember,
        RemoveAdmin,
        Leave,
        Join,
        Rename,
        Archive,
        /// A public one becomes private, and the other way round.
        ChangeKind,
        AddMember,
        PromoteMember,
        PromoteThemselves,
    }
}

all! {
    enum Role as ROLES {
        Outsider,
        Removed,
        Member,
        /// Its owner.
        Creator,
        /// The creator, removed by an administrator, and no owner any more.
        CreatorOutside,
        AdminOutside,
        AdminInside,
        GuestOutside,
        GuestInside,
    }
}

all! {
    enum Kind as KINDS {
        Public,
        Private,
        Direct,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    Done,
    /// The same as for a room that does not exist.
    NoSuchRoom,
    NotAllowed,
    /// Not with a direct message.
    IsDirect,
}

/// The rows of what a live connection can ask the hub for, so that a new operation does not compile without one.
const _: fn(&tidings_hub::session::Operation) -> &'static [Operation] = |operation| {
    use tidings_hub::session::Operation as Asked;
    match operation {
        Asked::Subscribe { .. } => &[Operation::Subscribe],
        Asked::Publish(..) => &[Operation::Publish],
        Asked::Presence(_) => &[Operation::Presence],
        Asked::PresenceStats(_) => &[Operation::PresenceStats],
        Asked::History(..) => &[Operation::History],
        Asked::Rpc(_) => &[
            Operation::RpcPost,
            Operation::RpcEdit,
            Operation::RpcDelete,
            Operation::RpcRestore,
            Operation::RpcReact,
            Operation::RpcUnreact,
            Operation::RpcTyping,
            Operation::RpcRead,
            Operation::RpcReadThread,
            Operation::RpcFollowThread,
            Operation::RpcUnfollowThread,
        ],
        // They concern no room.
        Asked::Connect(_) | Asked::Send(_) | Asked::Refresh(_) | Asked::SubRefresh(..) => &[],
    }
};

#[test]
fn s34_every_method_of_rpc_has_its_row() {
    let methods = [
        "post",
        "edit",
        "delete",
        "restore",
        "react",
        "unreact",
        "typing",
        "read",
        "read_thread",
        "follow_thread",
        "unfollow_thread",
        "presence",
    ];
    assert_eq!(tidings_chat::RPC_METHODS, methods, "give a new one its row: RpcPost, ... (presence concerns no room)");
}

fn expected(operation: Operation, role: Role, kind: Kind) -> Answer {
    // Nobody is brought into a direct message, so whoever is no part of it is an outsider.
    let inside = matches!(role, Role::Member | Role::Creator | Role::AdminInside | Role::GuestInside);
    let is_guest = matches!(role, Role::GuestInside | Role::GuestOutside);
    let sees = inside || (kind == Kind::Public && !is_guest);
    let manages = match kind {
        Kind::Public => matches!(role, Role::Creator | Role::AdminInside | Role::AdminOutside),
        Kind::Private => matches!(role, Role::Creator | Role::AdminInside),
        Kind::Direct => false,
    };
    let done_if = |may: bool, otherwise: Answer| if may { Answer::Done } else { otherwise };
    let managing = match (manages, inside, kind) {
        (true, ..) => Answer::Done,
        (false, true, Kind::Direct) => Answer::IsDirect,
        (false, true, _) => Answer::NotAllowed,
        (false, false, _) => Answer::NoSuchRoom,
    };
    match operation {
        Operation::SeeTheCard => done_if(sees, Answer::NoSuchRoom),
        Operation::Join => done_if(sees, Answer::NoSuchRoom),
        Operation::Publish => Answer::NoSuchRoom,
        Operation::Subscribe
        | Operation::Presence
        | Operation::PresenceStats
        | Operation::History
        | Operation::RpcPost
        | Operation::RpcReact
        | Operation::RpcUnreact
        | Operation::RpcTyping
        | Operation::RpcRead
        | Operation::RpcReadThread
        | Operation::RpcFollowThread
        | Operation::RpcUnfollowThread
        | Operation::PostInThread
        | Operation::Thread
        | Operation::FollowThread
        | Operation::ReadThread
        | Operation::MarkRead
        | Operation::MarkUnread
        | Operation::BeMentioned
        | Operation::Activity
        | Operation::Prefer
        | Operation::Post
        | Operation::Edits
        | Operation::React
        | Operation::Reacted
        | Operation::Typing
        | Operation::Events
        | Operation::LastBefore
        | Operation::Messages
        | Operation::Message
        | Operation::Members => done_if(inside, Answer::NoSuchRoom),
        Operation::MentionEverybody => match inside {
            true => done_if(!is_guest, Answer::NotAllowed),
            false => Answer::NoSuchRoom,
        },
        Operation::Leave => match (inside, kind) {
            (true, Kind::Direct) => Answer::IsDirect,
            (inside, _) => done_if(inside, Answer::NoSuchRoom),
        },
        // Of their own message, which they may have written before they were removed.
        Operation::Edit | Operation::Delete | Operation::Restore => done_if(inside, Answer::NoSuchRoom),
        Operation::RpcEdit | Operation::EditAnothers | Operation::RpcRestore | Operation::RestoreAnothers => {
            if inside {
                Answer::NotAllowed
            } else {
                Answer::NoSuchRoom
            }
        }
        // An administrator who is outside does not read what is said there, and deletes none of it.
        Operation::RpcDelete | Operation::DeleteAnothers => match inside {
            true => done_if(manages, Answer::NotAllowed),
            false => Answer::NoSuchRoom,
        },
        Operation::Invite | Operation::AddMember => match (inside, kind) {
            (false, _) => Answer::NoSuchRoom,
            (true, Kind::Direct) => Answer::IsDirect,
            (true, _) => done_if(!is_guest, Answer::NotAllowed),
        },
        Operation::InviteAfterRevoking => match (inside, kind) {
            (false, _) => Answer::NoSuchRoom,
            (true, Kind::Direct) => Answer::IsDirect,
            (true, _) => done_if(manages, Answer::NotAllowed),
        },
        Operation::RenewInvite
        | Operation::RevokeInvite
        | Operation::RemoveMember
        | Operation::Rename
        | Operation::Archive
        | Operation::PromoteMember => managing,
        // What was said among a few is opened by whom they chose (S39).
        Operation::ChangeKind => match (role, kind) {
            (Role::AdminInside, Kind::Private) => Answer::NotAllowed,
            _ => managing,
        },
        Operation::PromoteThemselves => match role {
            // An administrator who is outside is no member to be promoted.
            Role::AdminOutside => Answer::NoSuchRoom,
            _ => managing,
        },
        Operation::RemoveAdmin => match (role, kind) {
            (_, Kind::Direct) => managing,
            (Role::AdminInside, _) => Answer::Done,
            (Role::Creator | Role::Member | Role::GuestInside, _) => Answer::NotAllowed,
            // The administrator who is outside is no member to be removed.
            _ => Answer::NoSuchRoom,
        },
    }
}

/// What was written there, and by whom, before somebody tries something.
struct Scene {
    room: RoomId,
    own: MessageId,
    /// Another member.
    victim: Somebody,
    admin: Somebody,
    /// Who has never been there.
    stranger: PersonId,
}

#[tokio::test]
async fn s34_everybody_can_do_in_a_room_what_their_row_says_and_nothing_else() {
    let world = World::new().await;
    let (admin, _, invite) = world.set_up().await;
    let (member, victim) = (world.invited("Member", &invite).await, world.invited("Victim", &invite).await);
    let stranger = world.invited("Stranger", &invite).await;
    let mut seen = std::collections::HashMap::new();
    for (kind, role) in KINDS.iter().flat_map(|kind| ROLES.iter().map(move |role| (*kind, *role))) {
        if kind == Kind::Direct && matches!(role, Role::Removed | Role::CreatorOutside) {
            // Nobody is removed from one.
            continue;
        }
        // One person makes so many rooms and no more, so that each part has a creator of its own.
        for (part, operations) in OPERATIONS.chunks(ROOMS_PER_PERSON_MAX as usize).enumerate() {
            let creator = world.invited(&format!("Creator{kind:?}{role:?}{part}"), &invite).await;
            let cast = Cast { creator, member: member.clone(), victim: victim.clone(), admin: admin.clone() };
            for operation in operations.iter().copied() {
                let (who, room, own) = match kind {
                    // Nothing that is tried changes who is in it, so it serves again.
                    Kind::Direct => cast.write_to_each_other(&world, role).await,
                    Kind::Public | Kind::Private => {
                        let title = format!("{kind:?} {role:?} {operation:?}");
                        let with_admin = operation == Operation::RemoveAdmin && role != Role::AdminOutside;
                        cast.meet(&world, kind, role, &title, with_admin).await
                    }
                };
                let is_guest = matches!(role, Role::GuestInside | Role::GuestOutside);
                if is_guest {
                    world.chat.set_role(admin.id, who.id, ServerRole::Guest).await.unwrap();
                }
                let scene = Scene { room, own, victim: victim.clone(), admin: admin.clone(), stranger: stranger.id };
                let answer = attempt(&world, operation, &who, &scene).await;
                let what = format!("{operation:?} by {role:?} in a {kind:?} room");
                assert_eq!(answer, expected(operation, role, kind), "{what}");
                *seen.entry(answer).or_insert(0) += 1;
                if is_guest {
                    world.chat.set_role(admin.id, who.id, ServerRole::Member).await.unwrap();
                }
            }
        }
    }
    for answer in [Answer::Done, Answer::NoSuchRoom, Answer::NotAllowed, Answer::IsDirect] {
        assert!(seen.get(&answer).is_some_and(|times| *times > 10), "{answer:?}");
    }
}

struct Cast {
    creator: Somebody,
    member: Somebody,
    victim: Somebody,
    admin: Somebody,
}

impl Cast {
    /// A room in which everybody has been, so that each has a message of their own there.
    async fn meet(
        &self,
        world: &World,
        kind: Kind,
        role: Role,
        title: &str,
        with_admin: bool,
    ) -> (Somebody, RoomId, MessageId) {
        let Self { creator, member, victim, admin } = self;
        let room = world.room(creator, title).await;
        let who = match role {
            Role::Outsider | Role::Removed | Role::Member | Role::GuestInside | Role::GuestOutside => member,
            Role::Creator | Role::CreatorOutside => creator,
            Role::AdminOutside | Role::AdminInside => admin,
        };
        for person in [who, victim, admin] {
            world.chat.join_room(person.id, room).await.unwrap();
        }
        let own = world.say(who, room, "own").await.id;
        if kind == Kind::Private {
            let edit = RoomEdit { kind: Some(RoomKind::Private), ..RoomEdit::default() };
            world.chat.edit_room(admin.id, room, edit).await.unwrap();
            // Its invite is dead; there is another.
            world.chat.renew_room_invite(admin.id, room).await.unwrap();
        }
        match role {
            Role::Removed => world.chat.remove_member(creator.id, room, who.id).await.unwrap(),
            Role::CreatorOutside => world.chat.remove_member(admin.id, room, who.id).await.unwrap(),
            Role::Outsider | Role::GuestOutside => world.chat.leave_room(who.id, room).await.unwrap(),
            Role::Member | Role::Creator | Role::AdminInside | Role::AdminOutside | Role::GuestInside => {}
        }
        if role != Role::AdminInside && !with_admin {
            world.chat.leave_room(admin.id, room).await.unwrap();
        }
        (who.clone(), room, own)
    }

    /// The direct message of some of them.
    async fn write_to_each_other(&self, world: &World, role: Role) -> (Somebody, RoomId, MessageId) {
        let Self { creator, member, victim, admin } = self;
        let (who, others) = match role {
            Role::Member | Role::GuestInside => (member, vec![member.id, victim.id]),
            Role::Creator => (creator, vec![victim.id]),
            Role::AdminInside => (admin, vec![admin.id, victim.id]),
            Role::AdminOutside => (admin, vec![victim.id]),
            Role::Outsider | Role::Removed | Role::CreatorOutside | Role::GuestOutside => (member, vec![victim.id]),
        };
        let room = world.chat.start_direct(creator.id, others.into_iter().collect()).await.unwrap().0.id;
        let is_inside = world.chat.room(who.id, room).await.unwrap().is_some();
        let own = world.say(if is_inside { who } else { creator }, room, "own").await.id;
        (who.clone(), room, own)
    }
}

async fn attempt(
    world: &World,
    operation: Operation,
    who: &Somebody,
    Scene { room, own, victim, admin, stranger }: &Scene,
) -> Answer {
    let (room, own) = (*room, *own);
    let (chat, name) = (&world.chat, channel(room));
    let said = world.say(victim, room, "hello").await.id;
    let page = PageQuery { from: PageFrom::End, limit: 10 };
    // One for each that needs it, and no more: somebody who connects too often is slowed down.
    let browser = || world.browser(who);
    let post = json!({"room": room, "client_id": ClientId::fresh(), "body": "hello"});
    match operation {
        Operation::SeeTheCard => found(chat.room(who.id, room).await.unwrap().is_some()),
        Operation::Subscribe => on_the_wire(&browser().await.subscribe(room).await),
        Operation::Presence => ask(&mut browser().await, json!({"presence": {"channel": name}})).await,
        Operation::PresenceStats => ask(&mut browser().await, json!({"presence_stats": {"channel": name}})).await,
        Operation::History => ask(&mut browser().await, json!({"history": {"channel": name, "limit": 5}})).await,
        Operation::Publish => ask(&mut browser().await, json!({"publish": {"channel": name, "data": {}}})).await,
        Operation::RpcPost => on_the_wire(&browser().await.rpc("post", post).await),
        Operation::RpcTyping => on_the_wire(&browser().await.rpc("typing", json!({"room": room})).await),
        Operation::RpcRead => on_the_wire(&browser().await.rpc("read", json!({"room": room, "number": 1})).await),
        Operation::RpcReadThread => {
            let asked = json!({"room": room, "message": said, "number": 1});
            on_the_wire(&browser().await.rpc("read_thread", asked).await)
        }
        Operation::RpcFollowThread => {
            on_the_wire(&browser().await.rpc("follow_thread", json!({"room": room, "message": said})).await)
        }
        Operation::RpcUnfollowThread => {
            on_the_wire(&browser().await.rpc("unfollow_thread", json!({"room": room, "message": said})).await)
        }
        Operation::PostInThread => found(world.answer_in_thread(who, room, said).await.is_ok()),
        Operation::Thread => found(chat.thread(who.id, room, said, page).await.unwrap().is_some()),
        Operation::FollowThread => in_thread(chat.follow_thread(who.id, room, said, true).await),
        Operation::ReadThread => in_thread(chat.mark_thread_read(who.id, room, said, Move::Forward(1)).await),
        Operation::MarkRead => found(chat.mark_read(who.id, room, Move::Forward(1)).await.is_ok()),
        Operation::MarkUnread => found(chat.mark_read(who.id, room, Move::To(1)).await.is_ok()),
        Operation::BeMentioned => {
            let said = world.say(victim, room, &format!("<@{}>", who.id)).await.id;
            let waits = chat.rooms(who.id, None, 1).await.unwrap();
            let counted = waits
                .rooms
                .iter()
                .find(|own| own.id == room)
                .is_some_and(|own| own.reading.is_some_and(|reading| reading.mentions == 1));
            let content = serde_json::to_value(chat.message(victim.id, room, said).await.unwrap()).unwrap();
            let is_named = content["content"][0]["content"][0]["person"] == json!(who.id);
            assert_eq!(counted, is_named, "S40: {content}");
            found(counted)
        }
        Operation::Activity => {
            chat.react(victim.id, room, own, emoji(), true).await.unwrap();
            let query = ActivityQuery { kind: None, before: None, limit: 50 };
            let all = chat.activity(who.id, query).await.unwrap().activity;
            found(all.iter().any(|one| one.message.id == own))
        }
        Operation::MentionEverybody => match world.send(who, room, ClientId::fresh(), "<@room>").await {
            Ok(_) => Answer::Done,
            Err(PostError::NotMember) => Answer::NoSuchRoom,
            Err(PostError::GuestMentionsEverybody) => Answer::NotAllowed,
            Err(error) => panic!("{error}"),
        },
        Operation::Prefer => found(chat.prefer(who.id, room, PreferencesEdit::default()).await.is_ok()),
        Operation::Post => found(world.send(who, room, ClientId::fresh(), "hello").await.is_ok()),
        Operation::RpcEdit => {
            on_the_wire(&browser().await.rpc("edit", json!({"room": room, "message": said, "body": "mine"})).await)
        }
        Operation::RpcDelete => {
            on_the_wire(&browser().await.rpc("delete", json!({"room": room, "message": said, "reason": "spam"})).await)
        }
        Operation::RpcRestore => {
            chat.delete_message(victim.id, room, said, None).await.unwrap();
            on_the_wire(&browser().await.rpc("restore", json!({"room": room, "message": said})).await)
        }
        Operation::RpcReact => on_the_wire(&browser().await.rpc("react", reaction(room, said)).await),
        Operation::RpcUnreact => on_the_wire(&browser().await.rpc("unreact", reaction(room, said)).await),
        Operation::React => match chat.react(who.id, room, said, emoji(), true).await {
            Ok(()) => Answer::Done,
            Err(ReactError::NoSuchMessage) => Answer::NoSuchRoom,
            Err(error) => panic!("{error}"),
        },
        Operation::Reacted => found(chat.reacted(who.id, room, said, emoji()).await.unwrap().is_some()),
        Operation::Edit => edited(chat.edit_message(who.id, room, own, body()).await),
        Operation::EditAnothers => edited(chat.edit_message(who.id, room, said, body()).await),
        Operation::Delete => deleted(chat.delete_message(who.id, room, own, None).await),
        Operation::DeleteAnothers => {
            let reason = DeleteReason::parse("spam").unwrap();
            deleted(chat.delete_message(who.id, room, said, Some(reason)).await)
        }
        Operation::Restore => {
            chat.delete_message(who.id, room, own, None).await.ok();
            restored(chat.restore_message(who.id, room, own).await)
        }
        Operation::RestoreAnothers => {
            chat.delete_message(victim.id, room, said, None).await.unwrap();
            restored(chat.restore_message(who.id, room, said).await)
        }
        Operation::Edits => found(chat.edits(who.id, room, said, page).await.unwrap().is_some()),
        Operation::Typing => found(chat.typing(who.id, room).await.is_ok()),
        Operation::Events => read(chat.events(who.id, room, page).await.map(drop)),
        Operation::LastBefore => read(chat.last_before(who.id, room, Time::from_millis(0)).await.map(drop)),
        Operation::Messages => read(chat.messages(who.id, room, page).await.map(drop)),
        Operation::Message => found(chat.message(who.id, room, said).await.unwrap().is_some()),
        Operation::Members => found(chat.members(who.id, room).await.unwrap().is_some()),
        Operation::Invite => invite(chat.room_invite(who.id, room).await.map(drop)),
        Operation::InviteAfterRevoking => {
            let owner = chat.members(victim.id, room).await.unwrap().unwrap();
            let owner = owner.iter().find(|member| member.role == RoomRole::Owner).map_or(admin.id, |owner| owner.id);
            // Nobody can of a direct message.
            chat.revoke_room_invite(owner, room).await.ok();
            invite(chat.ensure_room_invite(who.id, room).await.map(drop))
        }
        Operation::RenewInvite => invite(chat.renew_room_invite(who.id, room).await.map(drop)),
        Operation::RevokeInvite => invite(chat.revoke_room_invite(who.id, room).await),
        Operation::RemoveMember => manage(chat.remove_member(who.id, room, victim.id).await),
        Operation::RemoveAdmin => manage(chat.remove_member(who.id, room, admin.id).await),
        Operation::Leave => match chat.leave_room(who.id, room).await {
            Ok(()) => Answer::Done,
            Err(LeaveError::NotMember) => Answer::NoSuchRoom,
            Err(LeaveError::IsDirect) => Answer::IsDirect,
            Err(error) => panic!("{error}"),
        },
        Operation::Rename => {
            let name = Some(Name::parse(&format!("Other {room}")).unwrap());
            changed(chat.edit_room(who.id, room, RoomEdit { name, ..RoomEdit::default() }).await)
        }
        Operation::Archive => {
            changed(chat.edit_room(who.id, room, RoomEdit { is_archived: Some(true), ..RoomEdit::default() }).await)
        }
        Operation::ChangeKind => {
            let is_public = chat.room(victim.id, room).await.unwrap().unwrap().kind == RoomKind::Public;
            let kind = Some(if is_public { RoomKind::Private } else { RoomKind::Public });
            changed(chat.edit_room(who.id, room, RoomEdit { kind, ..RoomEdit::default() }).await)
        }
        Operation::AddMember => match chat.add_member(who.id, room, *stranger).await {
            Ok(_) => Answer::Done,
            Err(AddMemberError::NotMember) => Answer::NoSuchRoom,
            Err(AddMemberError::IsGuest) => Answer::NotAllowed,
            Err(AddMemberError::IsDirect) => Answer::IsDirect,
            Err(error) => panic!("{error}"),
        },
        Operation::PromoteMember => promoted(chat.set_room_role(who.id, room, victim.id, RoomRole::Owner).await),
        Operation::PromoteThemselves => promoted(chat.set_room_role(who.id, room, who.id, RoomRole::Owner).await),
        Operation::Join => found(chat.join_room(who.id, room).await.is_ok()),
    }
}

async fn ask(browser: &mut Browser, command: Value) -> Answer {
    on_the_wire(&browser.ask(command).await)
}

fn on_the_wire(answer: &Value) -> Answer {
    match answer["error"]["code"].as_u64() {
        None => Answer::Done,
        Some(103) => Answer::NoSuchRoom,
        Some(403) => Answer::NotAllowed,
        Some(_) => panic!("{answer}"),
    }
}

fn found(found: bool) -> Answer {
    if found { Answer::Done } else { Answer::NoSuchRoom }
}

fn read(answer: Result<(), ReadError>) -> Answer {
    match answer {
        Ok(()) => Answer::Done,
        Err(ReadError::NotMember) => Answer::NoSuchRoom,
        Err(error) => panic!("{error}"),
    }
}

fn in_thread(answer: Result<ThreadReading, ThreadError>) -> Answer {
    match answer {
        Ok(_) => Answer::Done,
        Err(ThreadError::NoSuchMessage) => Answer::NoSuchRoom,
        Err(error) => panic!("{error}"),
    }
}

fn emoji() -> Emoji {
    Emoji::parse("👍").unwrap()
}

fn reaction(room: RoomId, message: MessageId) -> Value {
    json!({"room": room, "message": message, "emoji": "👍"})
}

fn body() -> Body {
    Body::parse("other".to_owned()).unwrap()
}

fn edited(answer: Result<Message, EditError>) -> Answer {
    match answer {
        Ok(_) => Answer::Done,
        Err(EditError::NoSuchMessage) => Answer::NoSuchRoom,
        Err(EditError::NotAuthor) => Answer::NotAllowed,
        Err(error) => panic!("{error}"),
    }
}

fn deleted(answer: Result<Message, DeleteError>) -> Answer {
    match answer {
        Ok(_) => Answer::Done,
        Err(DeleteError::NoSuchMessage) => Answer::NoSuchRoom,
        Err(DeleteError::NotAllowed) => Answer::NotAllowed,
        Err(error) => panic!("{error}"),
    }
}

fn restored(answer: Result<Message, RestoreError>) -> Answer {
    match answer {
        Ok(_) => Answer::Done,
        Err(RestoreError::NoSuchMessage) => Answer::NoSuchRoom,
        Err(RestoreError::NotAllowed) => Answer::NotAllowed,
        Err(error) => panic!("{error}"),
    }
}

fn manage(answer: Result<(), ManageError>) -> Answer {
    match answer {
        Ok(()) => Answer::Done,
        Err(ManageError::NotMember) => Answer::NoSuchRoom,
        Err(ManageError::NotAllowed) => Answer::NotAllowed,
        Err(ManageError::IsDirect) => Answer::IsDirect,
        Err(error) => panic!("{error}"),
    }
}

fn invite(answer: Result<(), InviteError>) -> Answer {
    match answer {
        Ok(()) => Answer::Done,
        Err(InviteError::NotMember) => Answer::NoSuchRoom,
        Err(InviteError::NotAllowed) => Answer::NotAllowed,
        Err(InviteError::IsDirect) => Answer::IsDirect,
        Err(error) => panic!("{error}"),
    }
}

fn changed(answer: Result<Room, EditRoomError>) -> Answer {
    match answer {
        Ok(_) => Answer::Done,
        Err(EditRoomError::NotMember) => Answer::NoSuchRoom,
        Err(EditRoomError::NotAllowed) => Answer::NotAllowed,
        Err(EditRoomError::IsDirect) => Answer::IsDirect,
        Err(error) => panic!("{error}"),
    }
}

fn promoted(answer: Result<(), SetRoomRoleError>) -> Answer {
    match answer {
        Ok(()) => Answer::Done,
        Err(SetRoomRoleError::NotMember) => Answer::NoSuchRoom,
        Err(SetRoomRoleError::NotAllowed) => Answer::NotAllowed,
        Err(SetRoomRoleError::IsDirect) => Answer::IsDirect,
        Err(error) => panic!("{error}"),
    }
}
