//! Accounts, sessions and invites: security statements S18 to S32, as far as they concern the chat.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use sha2::{Digest, Sha256};
use tidings_chat::{
    ChangeAccountError, Chat, CreateAccountError, CreateRoomError, Desk, EndSessionError, InviteError, LookUpError,
    NewPassword, OpenError, Options, Role, RoomKind, SessionId, SetUpError, SignInError,
    limits::{
        INVITE_LIFETIME, ROOMS_PER_PERSON_MAX, Rate, Rates, SESSION_IDLE, SIGN_INS_FREE_PER_ACCOUNT,
        SIGN_INS_FREE_PER_ADDRESS, SIGN_INS_FREE_PER_DEVICE, SIGN_INS_PER_ACCOUNT,
    },
};

use tokio::time::timeout;

use crate::database::worlds_are_on_postgres;
use crate::world::{HOME, PASSWORD, Somebody, World, account_form, browser_at, channel, email, set_up_form, somebody};

async fn sign_in(world: &World, email: &str, password: &str) -> Result<Somebody, SignInError> {
    let entered = world.chat.sign_in(email, password.to_owned(), &browser_at(HOME)).await?;
    Ok(somebody(&entered))
}

#[tokio::test(flavor = "multi_thread")]
async fn s28_of_many_who_set_up_at_once_one_wins() {
    let world = World::new().await;
    let code = world.chat.set_up_code().await.unwrap().unwrap();
    let wrong = world.chat.set_up(set_up_form("not the code", "Eve")).await;
    assert!(matches!(wrong, Err(SetUpError::WrongCode)), "{wrong:?}");

    let names = ["Ana", "Ben", "Eva", "Leo"];
    let answers = join_all(names.map(|name| world.chat.set_up(set_up_form(code.reveal(), name)))).await;
    let (winners, losers): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(winners.len(), 1);
    assert!(losers.iter().all(|loser| matches!(loser, Err(SetUpError::AlreadySetUp))), "{losers:?}");
    let winner = winners.into_iter().next().unwrap().unwrap();
    assert_eq!((winner.entered.person.role, winner.room.name.as_str()), (Role::Owner, "General"));
    assert!(winner.room.is_member());
    assert!(world.chat.set_up_code().await.unwrap().is_none());
    assert_eq!(world.chat.look_up_invite(winner.invite.code.reveal(), HOME).await.unwrap().room, winner.room.id);

    let world = world.restart().await;
    assert!(world.chat.set_up_code().await.unwrap().is_none());
    let again = world.chat.set_up(set_up_form(code.reveal(), "Zoe")).await;
    assert!(matches!(again, Err(SetUpError::AlreadySetUp)), "{again:?}");
}

#[tokio::test]
async fn s28_each_start_has_another_set_up_code() {
    let world = World::new().await;
    let before = world.chat.set_up_code().await.unwrap().unwrap();
    let world = world.restart().await;
    assert_ne!(world.chat.set_up_code().await.unwrap().unwrap().reveal(), before.reveal());
    let old = world.chat.set_up(set_up_form(before.reveal(), "Ana")).await;
    assert!(matches!(old, Err(SetUpError::WrongCode)), "{old:?}");
}

#[tokio::test]
async fn somebody_invited_lands_in_the_room_and_can_sign_in_again() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let card = world.chat.look_up_invite(&invite, HOME).await.unwrap();
    assert_eq!((card.inviter.id, card.room_name.as_str()), (ana.id, "General"));
    let (entered, room) = world.chat.create_account(account_form(&invite, "Ben")).await.unwrap();
    assert_eq!((entered.person.role, room.id, room.members), (Role::Member, general.id, 2));

    let again = sign_in(&world, " BEN@example.COM ", PASSWORD).await.unwrap();
    assert_eq!(again.id, entered.person.id);
    assert_ne!(again.token, entered.token.reveal(), "S20: a new session at each sign-in");

    let taken = world.chat.create_account(account_form(&invite, "ben")).await;
    assert!(matches!(taken, Err(CreateAccountError::AccountExists)), "{taken:?}");
    let uninvited = world.chat.create_account(account_form("no such code", "Eve")).await;
    assert!(matches!(uninvited, Err(CreateAccountError::InviteInvalid)), "{uninvited:?}");
}

#[tokio::test]
async fn s29_a_renewed_revoked_or_expired_invite_is_dead_at_once() {
    let world = World::new().await;
    let (ana, general, first) = world.set_up().await;
    let dead = async |code: &str| matches!(world.chat.look_up_invite(code, HOME).await, Err(LookUpError::Invalid));
    let second = world.chat.renew_room_invite(ana.id, general.id).await.unwrap();
    assert!(dead(&first).await && !dead(second.code.reveal()).await);
    world.chat.revoke_room_invite(ana.id, general.id).await.unwrap();
    assert!(dead(second.code.reveal()).await);
    let third = world.chat.ensure_room_invite(ana.id, general.id).await.unwrap();
    let ben = world.invited("Ben", third.code.reveal()).await;
    world.later(INVITE_LIFETIME);
    assert!(dead(third.code.reveal()).await);
    let late = world.chat.create_account(account_form(third.code.reveal(), "Eva")).await;
    assert!(matches!(late, Err(CreateAccountError::InviteInvalid)), "{late:?}");
    let forbidden = world.chat.renew_room_invite(ben.id, general.id).await;
    assert!(matches!(forbidden, Err(InviteError::NotAllowed)), "{forbidden:?}");
}

#[tokio::test]
async fn s26_an_unknown_address_and_a_wrong_password_look_the_same() {
    let world = World::new().await;
    world.set_up().await;
    for (email, password) in [("ana@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("no address", PASSWORD)]
    {
        let error = sign_in(&world, email, password).await.err().unwrap();
        assert!(matches!(error, SignInError::Failed), "{error}");
    }
    // The same work is done for both; the fastest of three shows it without the noise of a busy machine.
    let fastest = async |email: &str| {
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let start = std::time::Instant::now();
            sign_in(&world, email, "wrong").await.err().unwrap();
            fastest = fastest.min(start.elapsed());
        }
        fastest
    };
    let (known, unknown) = (fastest("ana@example.com").await, fastest("nobody@example.com").await);
    assert!(unknown > known / 4 && known > unknown / 4, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn s26_guessing_has_to_wait_longer_each_time_whether_or_not_the_account_exists() {
    let world = World::new().await;
    world.set_up().await;
    for email in ["ana@example.com", "nobody@example.com"] {
        for _ in 0..SIGN_INS_FREE_PER_ACCOUNT {
            assert!(matches!(sign_in(&world, email, "wrong").await, Err(SignInError::Failed)));
        }
        let Err(SignInError::TooMany(wait)) = sign_in(&world, email, PASSWORD).await else { panic!("no limit") };
        world.later(wait.0);
        assert!(!matches!(sign_in(&world, email, "wrong").await, Err(SignInError::TooMany(_))));
        let Err(SignInError::TooMany(longer)) = sign_in(&world, email, PASSWORD).await else { panic!("no limit") };
        assert!(longer.0 > wait.0);
    }
    world.later(Duration::from_secs(60));
    sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn s26_the_wait_is_as_long_as_it_says_whatever_happens_to_the_clock_on_the_wall() {
    let world = World::new().await;
    world.set_up().await;
    for _ in 0..SIGN_INS_FREE_PER_ACCOUNT {
        sign_in(&world, "ana@example.com", "wrong").await.unwrap_err();
    }
    let Err(SignInError::TooMany(wait)) = sign_in(&world, "ana@example.com", PASSWORD).await else {
        panic!("no limit")
    };
    let hour = 3_600_000;
    for set in [-hour, 3 * hour, -24 * hour, 22 * hour] {
        world.set_wall(set);
        let refused = sign_in(&world, "ana@example.com", PASSWORD).await;
        assert!(matches!(refused, Err(SignInError::TooMany(same)) if same == wait), "{refused:?}");
    }
    world.set_wall(-hour);
    world.later(wait.0);
    sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn s26_one_address_that_tries_many_accounts_has_to_wait_too() {
    let world = World::new().await;
    let from = |address: [u8; 4]| IpAddr::from(address);
    let mut refused = false;
    for i in 0..60 {
        let email = format!("person{i}@example.com");
        let answer = world.chat.sign_in(&email, "wrong".into(), &browser_at(from([192, 0, 2, 1]))).await;
        refused |= matches!(answer, Err(SignInError::TooMany(_)));
        if refused {
            break;
        }
    }
    assert!(refused);
    let elsewhere = world.chat.sign_in("one@example.com", "wrong".into(), &browser_at(from([192, 0, 2, 2]))).await;
    assert!(matches!(elsewhere, Err(SignInError::Failed)), "{elsewhere:?}");
}

#[tokio::test]
async fn s26_a_stranger_who_guesses_keeps_nobody_from_signing_in_or_changing_the_password() {
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    let stranger = IpAddr::from([192, 0, 2, 1]);
    for minute in 0..8 {
        for _ in 0..6 {
            world.chat.sign_in("ana@example.com", "wrong".into(), &browser_at(stranger)).await.unwrap_err();
        }
        if minute > 0 {
            let refused = world.chat.sign_in("ana@example.com", PASSWORD.into(), &browser_at(stranger)).await;
            assert!(matches!(refused, Err(SignInError::TooMany(_))), "{refused:?}");
        }
        sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
        world.later(Duration::from_secs(60));
    }
    let who = world.signed_in(&ana).await.unwrap();
    let new = NewPassword::parse("another long password", &email("Ana")).unwrap();
    world.chat.change_password(&who, PASSWORD.into(), new).await.unwrap();
}

#[tokio::test]
async fn s26_guessing_from_everywhere_has_its_bound_whether_or_not_the_account_exists() {
    let world = World::new().await;
    world.set_up().await;
    for email in ["ana@example.com", "nobody@example.com"] {
        for i in 0..SIGN_INS_PER_ACCOUNT.burst {
            let address = IpAddr::from((0x0a00_0000 + i).to_be_bytes());
            let answer = world.chat.sign_in(email, "wrong".into(), &browser_at(address)).await;
            assert!(matches!(answer, Err(SignInError::Failed)), "{answer:?}");
        }
        let answer = sign_in(&world, email, "wrong").await.err();
        assert!(matches!(answer, Some(SignInError::TooMany(_))), "{answer:?}");
    }
    world.later(Duration::from_secs(6));
    sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn s26_attempts_refused_for_the_accounts_sake_count_for_the_address() {
    let world = World::new().await;
    world.set_up().await;
    for _ in 0..SIGN_INS_FREE_PER_ADDRESS {
        sign_in(&world, "nobody@example.com", "wrong").await.err().unwrap();
    }
    let other = sign_in(&world, "ana@example.com", "wrong").await.err();
    assert!(matches!(other, Some(SignInError::TooMany(_))), "{other:?}");
}

#[tokio::test]
async fn who_names_a_session_that_is_none_of_theirs_holds_up_no_writes() {
    let world = World::new().await;
    let (ana, _, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let theirs = world.signed_in(&ana).await.unwrap().session.id;
    let busy = world.other().await;
    busy.hold_up_writes().await;
    for session in [SessionId::fresh(), theirs] {
        let refused = world.chat.end_session(ben.id, session).await;
        assert!(matches!(refused, Err(EndSessionError::NoSuchSession)), "{refused:?}");
    }
}

#[tokio::test]
async fn s21_signing_out_closes_the_sockets_of_that_session_and_no_other() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let phone = sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
    let (mut first, mut second) = (world.browser(&ana).await, world.browser(&phone).await);
    second.subscribe(general.id).await;
    let session = world.signed_in(&ana).await.unwrap().session.id;
    world.chat.end_session(ana.id, session).await.unwrap();
    assert_eq!(first.closed().await, 3503);
    assert!(world.signed_in(&ana).await.is_none());
    let again = world.chat.end_session(ana.id, session).await;
    assert!(matches!(again, Err(EndSessionError::NoSuchSession)), "{again:?}");
    world.say(&phone, general.id, "still here").await;
    assert_eq!(second.next_in(&format!("room:{}", general.id)).await["message"]["body"], "still here");
}

#[tokio::test]
async fn s21_a_handshake_made_before_signing_out_connects_nobody_afterwards() {
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    let signed_in = world.signed_in(&ana).await.unwrap();
    let session = signed_in.session.id;
    world.chat.end_session(ana.id, session).await.unwrap();
    let mut late = world.browser_of(&signed_in);
    late.tell(&json!({"id": 1, "connect": {}}));
    assert_eq!(late.closed().await, 3500);
}

#[tokio::test]
async fn s26_an_address_is_one_account_however_its_accents_are_typed() {
    let world = World::new().await;
    let (_, _, code) = world.set_up().await;
    let (typed, composed) = ("rene\u{301}@example.com", "ren\u{e9}@example.com");
    let account = |email: &str| tidings_chat::NewAccount {
        email: tidings_chat::Email::parse(email).unwrap(),
        ..account_form(&code, "Ren")
    };
    world.chat.create_account(account(typed)).await.unwrap();
    let again = world.chat.create_account(account(composed)).await;
    assert!(matches!(again, Err(CreateAccountError::AccountExists)), "{again:?}");
    for email in [typed, composed] {
        sign_in(&world, email, PASSWORD).await.unwrap();
    }
    // Nor are other ways to type it further tries.
    let stranger = browser_at(IpAddr::from([192, 0, 2, 1]));
    for n in 0..SIGN_INS_FREE_PER_ACCOUNT {
        let email = if n % 2 == 0 { typed } else { composed };
        let failed = world.chat.sign_in(email, "wrong".into(), &stranger).await.err();
        assert!(matches!(failed, Some(SignInError::Failed)), "{failed:?}");
    }
    for email in [typed, composed] {
        let held_up = world.chat.sign_in(email, "wrong".into(), &stranger).await.err();
        assert!(matches!(held_up, Some(SignInError::TooMany(_))), "{held_up:?}");
    }
}

#[tokio::test]
async fn s21_a_new_password_ends_the_other_sessions_and_keeps_this_one() {
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    let phone = sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
    let (mut here, mut there) = (world.browser(&ana).await, world.browser(&phone).await);
    let who = world.signed_in(&ana).await.unwrap();
    let new = || NewPassword::parse("another long password", &email("Ana")).unwrap();
    assert!(world.chat.change_password(&who, "wrong".into(), new()).await.is_err());
    world.chat.change_password(&who, PASSWORD.into(), new()).await.unwrap();
    assert_eq!(there.closed().await, 3503);
    assert!(world.signed_in(&phone).await.is_none());
    assert!(here.rpc("no such method", json!({})).await["error"].is_object(), "still connected");
    assert!(matches!(sign_in(&world, "ana@example.com", PASSWORD).await, Err(SignInError::Failed)));
    sign_in(&world, "ana@example.com", "another long password").await.unwrap();
}

#[tokio::test]
async fn s22_a_session_that_has_ended_sets_no_password() {
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    let phone = sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
    // Its request was let in, and waits for its hashes.
    let stolen = world.signed_in(&phone).await.unwrap();
    world.chat.end_session(ana.id, stolen.session.id).await.unwrap();
    let new = NewPassword::parse("another long password", &email("Ana")).unwrap();
    let refused = world.chat.change_password(&stolen, PASSWORD.into(), new).await;
    assert!(matches!(refused, Err(ChangeAccountError::WrongPassword)), "{refused:?}");
    assert!(world.signed_in(&ana).await.is_some(), "the other session goes on");
    sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn s22_a_password_set_on_the_command_line_reaches_the_sockets_of_a_running_server() {
    let interval = Duration::from_millis(20);
    let world = World::with(|options| tidings_chat::Options { sweep_interval: interval, ..options }).await;
    let (ana, ..) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    let given = world.options();
    if !worlds_are_on_postgres() {
        let mistyped = Options { data_dir: given.data_dir.join("mistyped"), ..given.clone() };
        let nowhere = Desk::open(mistyped).await;
        assert!(matches!(nowhere, Err(OpenError::Files { .. })), "no second database is made by mistake");
    }
    let desk = Desk::open(given).await.unwrap();
    assert_eq!(desk.people().await.unwrap()[0].name.as_str(), "Ana");
    let set = |email: &str| {
        let email = tidings_chat::Email::parse(email).unwrap();
        let password = NewPassword::parse("another long password", &email).unwrap();
        let desk = &desk;
        async move {
            let person = desk.find(&email).await.unwrap()?;
            desk.set_password(&person, password).await.unwrap();
            Some(person.id)
        }
    };
    assert!(set("nobody@example.com").await.is_none());
    assert_eq!(set("ana@example.com").await, Some(ana.id));
    assert_eq!(browser.closed().await, 3503);
    assert!(world.signed_in(&ana).await.is_none());
    sign_in(&world, "ana@example.com", "another long password").await.unwrap();
}

#[tokio::test]
async fn s22_an_expired_session_loses_its_socket() {
    let interval = Duration::from_millis(20);
    let world = World::with(|options| tidings_chat::Options { sweep_interval: interval, ..options }).await;
    let (ana, ..) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    world.later(SESSION_IDLE);
    assert_eq!(browser.closed().await, 3503);
    assert!(world.signed_in(&ana).await.is_none());
}

#[tokio::test]
async fn a_session_is_used_without_waiting_for_a_commit() {
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    world.later(Duration::from_secs(3600));
    let other = world.other().await;
    other.hold_up_writes().await;
    let asked = timeout(Duration::from_secs(2), world.signed_in(&ana)).await;
    assert!(asked.expect("no commit is waited for").is_some());
    other.execute("ROLLBACK").await;
}

#[tokio::test]
async fn s23_people_see_their_sessions_and_when_each_was_used() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    world.later(Duration::from_secs(3600));
    let phone = sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
    world.later(Duration::from_secs(3600));
    world.signed_in(&ana).await.unwrap();
    // Nobody waits until a use is written down; what is written later comes after it.
    world.say(&ana, general.id, "hello").await;
    let sessions = world.chat.sessions(ana.id).await.unwrap();
    let first = world.signed_in(&ana).await.unwrap().session;
    let second = world.signed_in(&phone).await.unwrap().session.id;
    assert_eq!(sessions.iter().map(|session| session.id).collect::<Vec<_>>(), [first.id, second]);
    assert_eq!(first.last_seen.since(first.created), Duration::from_secs(7200));
    assert_eq!(first.user_agent, "a browser");
}

#[tokio::test]
async fn s63_posting_inviting_and_joining_have_their_limits() {
    let slow = Rate { burst: 2, per_second: 1.0 };
    let rates = Rates {
        posts: slow,
        memberships: slow,
        rooms: slow,
        invites: slow,
        typing: slow,
        codes: slow,
        ..Rates::unlimited()
    };
    let world = World::with(|options| tidings_chat::Options { rates, ..options }).await;
    let (ana, general, invite) = world.set_up().await;
    let mut reader = world.browser(&ana).await;
    reader.subscribe(general.id).await;
    let mut answers = HashSet::new();
    for number in 0..3 {
        world.chat.typing(ana.id, general.id).await.unwrap();
        let code = tidings_chat::ClientId::fresh();
        answers.insert(("post", world.send(&ana, general.id, code, "hello").await.is_ok()));
        answers.insert(("join", world.chat.join_room(ana.id, general.id).await.is_ok()));
        answers.insert(("renew", world.chat.renew_room_invite(ana.id, general.id).await.is_ok()));
        let name = tidings_chat::Name::parse(&format!("Room {number}")).unwrap();
        answers.insert((
            "room",
            world.chat.create_room(ana.id, name, tidings_chat::Topic::default(), RoomKind::Public).await.is_ok(),
        ));
        let looked_up = world.chat.look_up_invite(&invite, HOME).await;
        answers.insert(("code", !matches!(looked_up, Err(LookUpError::TooMany(_)))));
    }
    for what in ["post", "join", "renew", "room", "code"] {
        assert!(answers.contains(&(what, true)) && answers.contains(&(what, false)), "{what}");
    }
    // Typing too often is no error, and nobody hears of it.
    let heard = reader.all_in(&channel(general.id)).await;
    assert_eq!(heard.iter().filter(|event| event["type"] == "typing").count(), 2);
    world.later(Duration::from_secs(1));
    world.say(&ana, general.id, "after a moment").await;
}

#[tokio::test]
async fn s63_one_person_makes_so_many_rooms_and_an_administrator_as_many_as_it_takes() {
    let world = World::new().await;
    let (ana, _, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    for (who, name) in [(&ana, "Hers"), (&ben, "His")] {
        for number in 0..ROOMS_PER_PERSON_MAX {
            world.room(who, &format!("{name} {number}")).await;
        }
    }
    world.room(&ana, "One more").await;
    let name = tidings_chat::Name::parse("One too many").unwrap();
    let refused = world.chat.create_room(ben.id, name, tidings_chat::Topic::default(), RoomKind::Public).await;
    assert!(matches!(refused, Err(CreateRoomError::TooManyOfPerson)), "{refused:?}");
}

#[tokio::test]
async fn s63_making_and_revoking_invites_is_limited_and_reading_a_good_one_is_not() {
    let slow = Rate { burst: 2, per_second: 1.0 };
    let world = World::with(|options| tidings_chat::Options {
        rates: Rates { invites: slow, ..Rates::unlimited() },
        ..options
    })
    .await;
    let (ana, general, _) = world.set_up().await;
    for _ in 0..9 {
        world.chat.ensure_room_invite(ana.id, general.id).await.unwrap();
    }
    for _ in 0..2 {
        world.chat.revoke_room_invite(ana.id, general.id).await.unwrap();
    }
    let revoked = world.chat.revoke_room_invite(ana.id, general.id).await;
    assert!(matches!(revoked, Err(InviteError::TooMany(_))), "{revoked:?}");
    let made = world.chat.ensure_room_invite(ana.id, general.id).await;
    assert!(matches!(made, Err(InviteError::TooMany(_))), "{made:?}");
}

#[tokio::test]
async fn a_data_directory_has_one_server() {
    let world = World::new().await;
    let error = Chat::open(world.options()).await.err().expect("refused");
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    world.restart().await;
}

/// Failures from so many addresses that the account is held up for strangers everywhere.
async fn flood(world: &World, email: &str) {
    for n in 0..u32::MAX {
        let stranger = browser_at(IpAddr::from((0xc633_6400_u32 + n).to_be_bytes()));
        match world.chat.sign_in(email, "wrong".into(), &stranger).await.err().unwrap() {
            SignInError::Failed => assert!(n < 2 * SIGN_INS_PER_ACCOUNT.burst, "nothing holds them up"),
            SignInError::TooMany(_) => return,
            SignInError::Unavailable(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_strangers_do_not_lock_somebody_out_of_their_own_device() {
    let world = World::new().await;
    world.set_up().await;
    let email = "ana@example.com";
    let entered = world.chat.sign_in(email, PASSWORD.into(), &browser_at(HOME)).await.unwrap();
    let own = tidings_chat::Browser { device: entered.device, ..browser_at(HOME) };
    flood(&world, email).await;
    let strange = world.chat.sign_in(email, PASSWORD.into(), &browser_at(HOME)).await.err();
    assert!(matches!(strange, Some(SignInError::TooMany(_))), "{strange:?}");

    let again = world.chat.sign_in(email, PASSWORD.into(), &own).await.unwrap();
    for _ in 0..SIGN_INS_FREE_PER_DEVICE {
        let failed = world.chat.sign_in(email, "wrong".into(), &own).await.err();
        assert!(matches!(failed, Some(SignInError::Failed)), "{failed:?}");
    }
    let held_up = world.chat.sign_in(email, PASSWORD.into(), &own).await.err();
    assert!(matches!(held_up, Some(SignInError::TooMany(_))), "a device has a count of its own: {held_up:?}");
    world.later(Duration::from_secs(60));
    flood(&world, email).await;

    // A new password makes all of them void.
    let world = world.restart().await;
    let other = tidings_chat::Browser { device: again.device, ..browser_at(HOME) };
    let signed_in = world.chat.session(again.token.reveal(), None).await.unwrap().unwrap();
    let new = NewPassword::parse("another long password", &signed_in.person.email).unwrap();
    world.chat.change_password(&signed_in, PASSWORD.into(), new).await.unwrap();
    flood(&world, email).await;
    let void = world.chat.sign_in(email, "another long password".into(), &other).await.err();
    assert!(matches!(void, Some(SignInError::TooMany(_))), "{void:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_a_session_from_before_there_were_device_cookies_gets_one_that_counts() {
    let world = World::new().await;
    let (_, _, invite) = world.set_up().await;
    let (ben, _) = world.chat.create_account(account_form(&invite, "Ben")).await.unwrap();
    let entered = world.chat.sign_in("ana@example.com", PASSWORD.into(), &browser_at(HOME)).await.unwrap();
    let who = world.chat.session(entered.token.reveal(), None).await.unwrap().unwrap();
    let has = |device| tidings_chat::Browser { device, ..browser_at(HOME) };

    let device = world.chat.remember_device(&who, &has(None)).await;
    assert!(
        device.is_some() && world.chat.remember_device(&who, &has(device.clone())).await.is_none(),
        "one is enough"
    );
    for other in [ben.device, Some("forged".to_owned())] {
        assert!(world.chat.remember_device(&who, &has(other)).await.is_some(), "one that does not count is none");
    }
    flood(&world, "ana@example.com").await;
    let strange = world.chat.sign_in("ana@example.com", PASSWORD.into(), &browser_at(HOME)).await.err();
    assert!(matches!(strange, Some(SignInError::TooMany(_))), "{strange:?}");
    world.chat.sign_in("ana@example.com", PASSWORD.into(), &has(device.clone())).await.unwrap();

    let new = NewPassword::parse("another long password", &who.person.email).unwrap();
    world.chat.change_password(&who, PASSWORD.into(), new).await.unwrap();
    assert!(world.chat.remember_device(&who, &has(device)).await.is_some(), "the session that changed it goes on");
}

#[tokio::test]
async fn s26_a_device_known_for_one_account_is_strange_for_another() {
    let world = World::new().await;
    let (_, _, invite) = world.set_up().await;
    let (ben, _) = world.chat.create_account(account_form(&invite, "Ben")).await.unwrap();
    flood(&world, "ana@example.com").await;
    let bens = tidings_chat::Browser { device: ben.device, ..browser_at(HOME) };
    let answer = world.chat.sign_in("ana@example.com", PASSWORD.into(), &bens).await.err();
    assert!(matches!(answer, Some(SignInError::TooMany(_))), "{answer:?}");
}

#[tokio::test]
async fn s19_the_database_has_only_a_hash_of_the_secret_in_a_sessions_cookie() {
    if worlds_are_on_postgres() {
        return println!("this is about the bytes in SQLite's files");
    }
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    let files = std::fs::read_dir(world.dir.path()).unwrap().map(|file| file.unwrap().path());
    // Beside the database its log, which has what was written last.
    let database = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("tidings.db"));
    let stored: Vec<_> = database.map(|path| std::fs::read(path).unwrap()).collect();
    let holds = |what: &[u8]| stored.iter().any(|bytes| bytes.windows(what.len()).any(|piece| piece == what));
    assert!(holds(&Sha256::digest(&ana.token)), "the session is there");
    assert!(!holds(ana.token.as_bytes()));
}

#[tokio::test]
async fn s20_signing_in_ends_the_session_whose_cookie_came_along_with_its_sockets() {
    let world = World::new().await;
    let (ana, ..) = world.set_up().await;
    let mut socket = world.browser(&ana).await;
    let browser = tidings_chat::Browser { session: Some(ana.token.clone()), ..browser_at(HOME) };
    let wrong = world.chat.sign_in("ana@example.com", "wrong".into(), &browser).await;
    assert!(wrong.is_err() && world.signed_in(&ana).await.is_some(), "not who fails");
    let entered = world.chat.sign_in("ana@example.com", PASSWORD.into(), &browser).await.unwrap();
    assert_eq!(socket.closed().await, 3503);
    assert!(world.signed_in(&ana).await.is_none());
    assert!(world.signed_in(&somebody(&entered)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_the_operator_deactivates_somebody_while_the_server_runs() {
    let world = World::with(|options| Options { sweep_interval: Duration::from_millis(10), ..options }).await;
    let (_, general, invite) = world.set_up().await;
    let (entered, _) = world.chat.create_account(account_form(&invite, "Ben")).await.unwrap();
    let ben = somebody(&entered);
    world.say(&ben, general.id, "before").await;
    let mut socket = world.browser(&ben).await;
    let desk = Desk::open(world.options()).await.unwrap();
    let person = desk.find(&email("Ben")).await.unwrap().unwrap();
    desk.set_active(&person, false).await.unwrap();
    assert_eq!(socket.closed().await, 3503);
    assert!(world.signed_in(&ben).await.is_none());

    let refused = sign_in(&world, "ben@example.com", PASSWORD).await.err();
    assert!(matches!(refused, Some(SignInError::Failed)), "as with a wrong password: {refused:?}");
    let known = tidings_chat::Browser { device: entered.device, ..browser_at(HOME) };
    let refused = world.chat.sign_in("ben@example.com", PASSWORD.into(), &known).await.err();
    assert!(matches!(refused, Some(SignInError::Failed)), "nor is their device known: {refused:?}");
    let ana = sign_in(&world, "ana@example.com", PASSWORD).await.unwrap();
    assert!(world.history(&ana, general.id).await.iter().any(|event| event["message"]["body"] == "before"));

    desk.set_active(&person, true).await.unwrap();
    sign_in(&world, "ben@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn s45_reading_a_rooms_invite_makes_none() {
    let world = World::new().await;
    let (ana, general, first) = world.set_up().await;
    assert_eq!(world.invite(&ana, general.id).await, first, "a room has one from the start");
    world.later(INVITE_LIFETIME);
    for _ in 0..2 {
        let answer = world.chat.room_invite(ana.id, general.id).await;
        assert!(matches!(answer, Err(InviteError::NoInvite)), "{answer:?}");
    }
    let next = world.chat.ensure_room_invite(ana.id, general.id).await.unwrap();
    assert_eq!(world.invite(&ana, general.id).await, next.code.reveal());

    let ben = world.invited("Ben", next.code.reveal()).await;
    world.chat.revoke_room_invite(ana.id, general.id).await.unwrap();
    let answer = world.chat.room_invite(ben.id, general.id).await;
    assert!(matches!(answer, Err(InviteError::NotAllowed)), "who may not undo a revocation is told so: {answer:?}");
    let answer = world.chat.room_invite(ana.id, general.id).await;
    assert!(matches!(answer, Err(InviteError::NoInvite)), "{answer:?}");
}

#[tokio::test]
async fn one_link_and_one_address_lead_to_so_many_accounts_a_day() {
    let a_day = |burst| Rate { burst, per_second: f64::from(burst) / 86_400.0 };
    let rates = Rates { accounts_per_address: a_day(2), accounts_per_room: a_day(3), ..Rates::unlimited() };
    let world = World::with(|options| Options { rates, ..options }).await;
    let (ana, general, _) = world.set_up().await;
    let join = async |name: &str, room, from: [u8; 4]| {
        let invite = world.chat.ensure_room_invite(ana.id, room).await.unwrap();
        let form = account_form(invite.code.reveal(), name);
        world.chat.create_account(tidings_chat::NewAccount { browser: browser_at(from.into()), ..form }).await.err()
    };
    let (here, there) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    assert!(join("Ben", general.id, here).await.is_none());
    let taken = join("Ben", general.id, here).await;
    assert!(matches!(taken, Some(CreateAccountError::AccountExists)), "{taken:?}");
    assert!(join("Cho", general.id, here).await.is_none(), "who got no account is not counted");
    let Some(CreateAccountError::TooManyAccounts(wait)) = join("Eva", general.id, here).await else {
        panic!("no limit")
    };
    assert!(wait.0 > Duration::from_hours(11), "{wait}");
    assert!(join("Eva", general.id, there).await.is_none());
    world.chat.renew_room_invite(ana.id, general.id).await.unwrap();
    let many = join("Leo", general.id, there).await;
    assert!(matches!(many, Some(CreateAccountError::TooManyAccounts(_))), "renewing the link helps nobody: {many:?}");
    let garden = world.room(&ana, "Garden").await;
    assert!(join("Leo", garden, there).await.is_none(), "another room has a count of its own");
    world.later(Duration::from_hours(12));
    assert!(join("Zoe", garden, here).await.is_none());
}
