//! What is tried in the model: a few changes in every order, and many in random ones; and that it finds what is wrong.

use super::*;

fn on(node: usize, change: Change) -> Order {
    Order { node, change, is_given_up: false }
}

fn listener(node: usize, person: usize, room: usize) -> Listener {
    Listener { node, person, room, comes_later: false }
}

/// All is well in every order; and with each of these flaws it is not.
#[track_caller]
fn holds(scenario: &Scenario, but_not_with: &[Flaw]) {
    let states = explore(scenario, STATES_MAX).unwrap_or_else(|(wrong, steps)| panic!("{wrong}\n{steps:?}"));
    println!("{states} states");
    for flaw in but_not_with {
        let flawed = Scenario { flaw: Some(*flaw), ..scenario.clone() };
        assert!(explore(&flawed, STATES_MAX).is_err(), "{flaw:?} is not noticed");
    }
}

const STATES_MAX: usize = 30_000;
const POST: Change = Change::Post { room: 0 };
const REMOVE: Change = Change::Remove { person: 1, room: 0 };

#[test]
fn g3_what_is_posted_on_two_nodes_at_once_comes_to_everybody_once_and_in_order() {
    let orders = vec![on(0, POST), on(0, POST), on(1, POST)];
    let scenario = Scenario { orders, listeners: vec![listener(0, 0, 0)], ..Scenario::default() };
    holds(&scenario, &[Flaw::AcknowledgesBeforeItCommits]);
    let listeners = vec![listener(0, 0, 0), listener(1, 0, 0)];
    holds(&Scenario { orders: vec![on(0, POST), on(1, POST)], listeners, ..Scenario::default() }, &[]);
}

#[test]
fn g5_who_is_removed_on_another_node_gets_nothing_that_is_committed_later() {
    let orders = vec![on(1, REMOVE), on(0, POST)];
    let scenario = Scenario { orders, listeners: vec![listener(0, 1, 0)], ..Scenario::default() };
    holds(&scenario, &[]);
}

#[test]
fn g5_whose_session_is_ended_on_another_node_gets_nothing_that_is_committed_later() {
    let orders = vec![on(1, Change::EndSession { person: 1 }), on(0, POST)];
    let scenario = Scenario { orders, listeners: vec![listener(0, 1, 0)], ..Scenario::default() };
    holds(&scenario, &[Flaw::TellsBeforeItCarriesOut, Flaw::ReadsWhatWasTakenAwayBeforeItCommits]);
}

#[test]
fn g5_who_is_removed_before_another_nodes_post_does_not_find_it_in_a_page() {
    let orders = vec![on(1, POST), on(1, REMOVE), on(1, POST)];
    let scenario = Scenario { orders, listeners: vec![listener(0, 1, 0)], ..Scenario::default() };
    holds(&scenario, &[Flaw::PagesDoNotSayWhatWasTakenAway]);
}

#[test]
fn g5_what_one_lane_takes_away_is_carried_out_before_another_tells_of_something_later() {
    let orders = vec![on(0, Change::EndSession { person: 1 }), on(0, POST), on(1, POST)];
    let scenario = Scenario { orders, listeners: vec![listener(0, 1, 0)], ..Scenario::default() };
    holds(&scenario, &[Flaw::TellsBeforeItCarriesOut, Flaw::ReadsWhatWasTakenAwayBeforeItCommits]);
}

#[test]
fn g4_what_is_committed_after_its_answer_was_given_up_is_told() {
    let orders = vec![Order { is_given_up: true, ..on(0, POST) }, on(0, Change::EndSession { person: 1 })];
    let scenario = Scenario { orders, listeners: vec![listener(0, 0, 0)], ..Scenario::default() };
    holds(&scenario, &[Flaw::LostAnswersAreNotLookedFor]);
}

#[test]
fn g4_who_subscribes_while_a_node_looks_at_rooms_that_nobody_hears_misses_nothing() {
    let later = Listener { comes_later: true, ..listener(0, 0, 0) };
    holds(&Scenario { orders: vec![on(1, POST), on(1, POST)], listeners: vec![later], ..Scenario::default() }, &[]);
}

#[test]
fn g4_a_node_that_crashes_at_any_moment_comes_back_to_what_the_others_have() {
    let orders = vec![on(0, POST), on(1, POST)];
    holds(&Scenario { orders, listeners: vec![listener(0, 0, 0)], crashes: vec![0], ..Scenario::default() }, &[]);
}

#[test]
fn g5_a_crash_between_a_commit_and_its_telling_leaves_nobody_in_who_was_removed() {
    let orders = vec![on(0, REMOVE), on(1, POST)];
    holds(&Scenario { orders, listeners: vec![listener(0, 1, 0)], crashes: vec![0], ..Scenario::default() }, &[]);
}

#[test]
fn g4_what_cannot_be_read_at_first_is_told_later() {
    let orders = vec![on(1, REMOVE), on(0, POST)];
    let listeners = vec![listener(0, 0, 0), listener(0, 1, 0)];
    holds(&Scenario { orders, listeners, failures: 1, ..Scenario::default() }, &[]);
}

#[test]
fn g3_g4_g5_of_more_that_happens_at_once_many_orders_are_tried() {
    let orders = vec![
        on(0, POST),
        on(1, POST),
        on(1, REMOVE),
        Order { is_given_up: true, ..on(0, POST) },
        on(0, Change::Post { room: 1 }),
        on(0, Change::EndSession { person: 1 }),
        on(1, Change::Post { room: 1 }),
    ];
    let listeners = vec![
        listener(0, 0, 0),
        listener(0, 1, 0),
        Listener { comes_later: true, ..listener(0, 1, 1) },
        listener(1, 0, 1),
        Listener { comes_later: true, ..listener(1, 1, 0) },
    ];
    let scenario = Scenario { orders, listeners, crashes: vec![0, 1], failures: 2, flaw: None };
    let times = std::env::var("ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    wander(&scenario, 0x9E37_79B9_7F4A_7C15, times).unwrap_or_else(|(wrong, steps)| panic!("{wrong}\n{steps:?}"));
}
