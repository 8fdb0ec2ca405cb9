//! Every answer of the HTTP API, one snapshot a noun.

use crate::story::{Transcripts, tell};
use std::sync::LazyLock;

/// Told once, for all tests.
static STORY: LazyLock<Transcripts> = LazyLock::new(tell);

fn is_as_recorded(noun: &str) {
    let mut settings = insta::Settings::new();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(noun, STORY[noun]));
}

macro_rules! nouns {
    ($($name:ident $noun:literal)*) => {
        $(#[test]
        fn $name() {
            is_as_recorded($noun);
        })*

        #[test]
        fn nothing_is_told_that_no_snapshot_holds() {
            assert_eq!(STORY.keys().copied().collect::<Vec<_>>(), { let mut all = vec![$($noun),*]; all.sort_unstable(); all });
        }
    };
}

nouns! {
    people_are_set_up_invited_and_known "people"
    sessions_begin_are_listed_and_end "sessions"
    accounts_profiles_and_tokens_are_changed_by_their_person "account"
    rooms_are_made_and_found "rooms"
    members_join_leave_and_are_removed "members"
    invites_are_read_accepted_renewed_and_revoked "invites"
    messages_are_posted_once_and_read "messages"
    events_are_paged "events"
    how_far_somebody_has_read_goes_forward_and_back_on_request "reading"
    people_are_mentioned_and_find_what_concerns_them "activity"
    threads_are_answered_in_followed_and_read "threads"
    requests_that_cannot_be_meant_are_refused "requests"
    the_server_api_publishes_and_looks_into_channels "server_api"
    the_server_api_acts_on_connections "server_api_connections"
    the_server_api_refuses_users_and_tokens "server_api_users"
    the_server_api_does_several_things_at_once "server_api_batch"
    the_server_api_says_what_is_wrong_with_a_request "server_api_refusals"
    operations_are_told_how_the_server_is "operations"
    pages_come_with_what_a_browser_must_heed "pages"
    the_openapi_document_describes_the_rest_api "openapi"
}
