//! S34: everybody tries everything that concerns a room. A new operation does not compile before it has its row.

use serde_json::{Value, json};
use tidings_chat::{
    Body, ClientId, DeleteError, DeleteReason, EditError, Emoji, InviteError, ManageError, Message, MessageId, Move,
    PageFrom, PageQuery, ReactError, ReadError, RestoreError, RoomId, limits::ROOMS_PER_PERSON_MAX,
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
        Post,
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
        Events,
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
    }
}

all! {
    enum Role as ROLES {
        Outsider,
        Removed,
        Member,
        Creator,
        /// The creator, removed by the administrator.
        CreatorOutside,
        AdminOutside,
        AdminInside,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Done,
    /// The same as for a room that does not exist.
    NoSuchRoom,
    NotAllowed,
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
        ],
        // They concern no room.
        Asked::Connect(_) | Asked::Send(_) | Asked::Refresh(_) | Asked::SubRefresh(..) => &[],
    }
};

#[test]
fn s34_every_method_of_rpc_has_its_row() {
    let methods = ["post", "edit", "delete", "restore", "react", "unreact", "typing", "read"];
    assert_eq!(tidings_chat::RPC_METHODS, methods, "give a new one its row: RpcPost, RpcTyping, ...");
}

fn expected(operation: Operation, role: Role) -> Answer {
    let inside = matches!(role, Role::Member | Role::Creator | Role::AdminInside);
    let manages = matches!(role, Role::Creator | Role::AdminInside | Role::AdminOutside);
    match operation {
        // Every room is open: whoever has an account may see its card and come in.
        Operation::SeeTheCard | Operation::Join => Answer::Done,
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
        | Operation::MarkRead
        | Operation::MarkUnread
        | Operation::Post
        | Operation::Edits
        | Operation::React
        | Operation::Reacted
        | Operation::Typing
        | Operation::Events
        | Operation::Messages
        | Operation::Message
        | Operation::Members
        | Operation::Invite
        | Operation::Leave => {
            if inside {
                Answer::Done
            } else {
                Answer::NoSuchRoom
            }
        }
        // Of their own message, which they may have written before they were removed.
        Operation::Edit | Operation::Delete | Operation::Restore => {
            if inside {
                Answer::Done
            } else {
                Answer::NoSuchRoom
            }
        }
        Operation::RpcEdit | Operation::EditAnothers | Operation::RpcRestore | Operation::RestoreAnothers => {
            if inside {
                Answer::NotAllowed
            } else {
                Answer::NoSuchRoom
            }
        }
        // An administrator who is outside does not read what is said there, and deletes none of it.
        Operation::RpcDelete | Operation::DeleteAnothers => match role {
            Role::Creator | Role::AdminInside => Answer::Done,
            Role::Member => Answer::NotAllowed,
            Role::Outsider | Role::Removed | Role::CreatorOutside | Role::AdminOutside => Answer::NoSuchRoom,
        },
        Operation::RenewInvite | Operation::RevokeInvite | Operation::RemoveMember => match (manages, inside) {
            (true, _) => Answer::Done,
            (false, true) => Answer::NotAllowed,
            (false, false) => Answer::NoSuchRoom,
        },
        Operation::InviteAfterRevoking => match role {
            Role::Creator | Role::AdminInside => Answer::Done,
            Role::Member => Answer::NotAllowed,
            Role::Outsider | Role::Removed | Role::CreatorOutside | Role::AdminOutside => Answer::NoSuchRoom,
        },
        Operation::RemoveAdmin => match role {
            Role::AdminInside => Answer::Done,
            Role::Creator | Role::Member => Answer::NotAllowed,
            // The administrator who is outside is no member to be removed.
            Role::Outsider | Role::Removed | Role::CreatorOutside | Role::AdminOutside => Answer::NoSuchRoom,
        },
    }
}

#[tokio::test]
async fn s34_everybody_can_do_in_a_room_what_their_row_says_and_nothing_else() {
    let world = World::new().await;
    let (admin, _, invite) = world.set_up().await;
    let member = world.invited("Member", &invite).await;
    let outsider = world.invited("Outsider", &invite).await;
    let removed = world.invited("Removed", &invite).await;
    let victim = world.invited("Victim", &invite).await;
    // One person makes so many rooms and no more, so that each part has a creator of its own.
    let parts = OPERATIONS.chunks(ROOMS_PER_PERSON_MAX as usize).enumerate();
    for (role, (part, operations)) in ROLES.iter().copied().flat_map(|role| parts.clone().map(move |part| (role, part)))
    {
        let creator = world.invited(&format!("Creator{role:?}{part}"), &invite).await;
        let who = match role {
            Role::Outsider => &outsider,
            Role::Removed => &removed,
            Role::Member => &member,
            Role::Creator | Role::CreatorOutside => &creator,
            Role::AdminOutside | Role::AdminInside => &admin,
        };
        for operation in operations.iter().copied() {
            let room = world.room(&creator, &format!("{role:?} {operation:?}")).await;
            world.chat.join_room(who.id, room).await.unwrap();
            let own = world.say(who, room, "own").await.id;
            if who.id != creator.id {
                world.chat.leave_room(who.id, room).await.unwrap();
            }
            for inside in [&member, &removed, &victim] {
                world.chat.join_room(inside.id, room).await.unwrap();
            }
            world.chat.remove_member(creator.id, room, removed.id).await.unwrap();
            if role == Role::CreatorOutside {
                world.chat.remove_member(admin.id, room, creator.id).await.unwrap();
            }
            if role == Role::AdminInside || (operation == Operation::RemoveAdmin && role != Role::AdminOutside) {
                world.chat.join_room(admin.id, room).await.unwrap();
            }
            let answer = attempt(&world, operation, who, &admin, &victim, room, own).await;
            assert_eq!(answer, expected(operation, role), "{operation:?} by {role:?}");
        }
    }
}

async fn attempt(
    world: &World,
    operation: Operation,
    who: &Somebody,
    admin: &Somebody,
    victim: &Somebody,
    room: RoomId,
    own: MessageId,
) -> Answer {
    let (chat, name) = (&world.chat, channel(room));
    let said = world.say(victim, room, "hello").await.id;
    let page = PageQuery { from: PageFrom::End, limit: 10 };
    let mut browser = world.browser(who).await;
    let post = json!({"room": room, "client_id": ClientId::fresh(), "body": "hello"});
    match operation {
        Operation::SeeTheCard => found(chat.room(who.id, room).await.unwrap().is_some()),
        Operation::Subscribe => on_the_wire(&browser.subscribe(room).await),
        Operation::Presence => ask(&mut browser, json!({"presence": {"channel": name}})).await,
        Operation::PresenceStats => ask(&mut browser, json!({"presence_stats": {"channel": name}})).await,
        Operation::History => ask(&mut browser, json!({"history": {"channel": name, "limit": 5}})).await,
        Operation::Publish => ask(&mut browser, json!({"publish": {"channel": name, "data": {}}})).await,
        Operation::RpcPost => on_the_wire(&browser.rpc("post", post).await),
        Operation::RpcTyping => on_the_wire(&browser.rpc("typing", json!({"room": room})).await),
        Operation::RpcRead => on_the_wire(&browser.rpc("read", json!({"room": room, "number": 1})).await),
        Operation::MarkRead => found(chat.mark_read(who.id, room, Move::Forward(1)).await.is_ok()),
        Operation::MarkUnread => found(chat.mark_read(who.id, room, Move::To(1)).await.is_ok()),
        Operation::Post => found(world.send(who, room, ClientId::fresh(), "hello").await.is_ok()),
        Operation::RpcEdit => {
            on_the_wire(&browser.rpc("edit", json!({"room": room, "message": said, "body": "mine"})).await)
        }
        Operation::RpcDelete => {
            on_the_wire(&browser.rpc("delete", json!({"room": room, "message": said, "reason": "spam"})).await)
        }
        Operation::RpcRestore => {
            chat.delete_message(victim.id, room, said, None).await.unwrap();
            on_the_wire(&browser.rpc("restore", json!({"room": room, "message": said})).await)
        }
        Operation::RpcReact => on_the_wire(&browser.rpc("react", reaction(room, said)).await),
        Operation::RpcUnreact => on_the_wire(&browser.rpc("unreact", reaction(room, said)).await),
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
        Operation::Messages => read(chat.messages(who.id, room, page).await.map(drop)),
        Operation::Message => found(chat.message(who.id, room, said).await.unwrap().is_some()),
        Operation::Members => found(chat.members(who.id, room).await.unwrap().is_some()),
        Operation::Invite => invite(chat.room_invite(who.id, room).await.map(drop)),
        Operation::InviteAfterRevoking => {
            chat.revoke_room_invite(admin.id, room).await.unwrap();
            invite(chat.ensure_room_invite(who.id, room).await.map(drop))
        }
        Operation::RenewInvite => invite(chat.renew_room_invite(who.id, room).await.map(drop)),
        Operation::RevokeInvite => invite(chat.revoke_room_invite(who.id, room).await),
        Operation::RemoveMember => manage(chat.remove_member(who.id, room, victim.id).await),
        Operation::RemoveAdmin => manage(chat.remove_member(who.id, room, admin.id).await),
        Operation::Leave => found(chat.leave_room(who.id, room).await.is_ok()),
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
        Err(error) => panic!("{error}"),
    }
}

fn invite(answer: Result<(), InviteError>) -> Answer {
    match answer {
        Ok(()) => Answer::Done,
        Err(InviteError::NotMember) => Answer::NoSuchRoom,
        Err(InviteError::NotAllowed) => Answer::NotAllowed,
        Err(error) => panic!("{error}"),
    }
}
