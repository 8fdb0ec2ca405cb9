//! What the answers of several nouns carry.

use serde::Serialize;
use tidings_chat::{Invite, Person};
use utoipa::ToSchema;

/// A person, as they see themselves.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonBody {
    id: String,
    name: String,
    email: String,
    /// `owner`, `admin`, `member` or `guest`.
    role: &'static str,
}

impl From<&Person> for PersonBody {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.to_string(),
            name: person.name.as_str().into(),
            email: person.email.as_str().into(),
            role: person.role.as_str(),
        }
    }
}

/// Who one is.
#[derive(Serialize, ToSchema)]
pub(super) struct MeBody {
    person: PersonBody,
}

impl MeBody {
    pub(super) fn of(person: &Person) -> Self {
        Self { person: PersonBody::from(person) }
    }
}

/// A room's invite, as its members see it.
#[derive(Serialize, ToSchema)]
pub(super) struct InviteBody {
    code: String,
    /// The link to hand on; the code is in its fragment, so that it reaches no log.
    url: String,
    /// Milliseconds since the Unix epoch.
    expires: i64,
    max_uses: u32,
    uses: u32,
}

impl InviteBody {
    pub(super) fn new(base_url: &str, invite: &Invite) -> Self {
        let code = invite.code.reveal();
        Self {
            code: code.into(),
            url: format!("{base_url}/invite#{code}"),
            expires: invite.expires.millis(),
            max_uses: invite.uses_max,
            uses: invite.uses,
        }
    }
}
