//! Scopes: which methods a key may call.

use tidings_api::Method;

/// Methods that belong together; a key may have the whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Publish,
    Subscribe,
    Presence,
    History,
    Connections,
    Users,
    Rpc,
    Admin,
}

impl Group {
    pub(crate) const ALL: [Self; 8] = [
        Self::Publish,
        Self::Subscribe,
        Self::Presence,
        Self::History,
        Self::Connections,
        Self::Users,
        Self::Rpc,
        Self::Admin,
    ];

    /// Where a method belongs. A new method is given its place here.
    pub(crate) const fn of(method: Method) -> Self {
        match method {
            Method::Publish | Method::Broadcast | Method::PublishPattern => Self::Publish,
            Method::Subscribe | Method::Unsubscribe => Self::Subscribe,
            Method::Presence | Method::PresenceStats | Method::Channels | Method::UserStatus => Self::Presence,
            Method::History => Self::History,
            Method::Connections | Method::Disconnect | Method::Refresh => Self::Connections,
            Method::Block | Method::Unblock | Method::Blocked | Method::RevokeToken | Method::RevokeUser => Self::Users,
            Method::Rpc => Self::Rpc,
            Method::HistoryRemove | Method::Info | Method::Reload => Self::Admin,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Presence => "presence",
            Self::History => "history",
            Self::Connections => "connections",
            Self::Users => "users",
            Self::Rpc => "rpc",
            Self::Admin => "admin",
        }
    }

    fn methods(self) -> impl Iterator<Item = Method> {
        Method::ALL.iter().copied().filter(move |method| Self::of(*method) == self)
    }
}

/// Every method, and `/metrics`.
const EVERYTHING: &str = "all";
/// `/metrics`, which is no method.
const METRICS: &str = "metrics";

/// What a key may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    methods: Vec<Method>,
    pub(crate) metrics: bool,
}

impl Scopes {
    pub(crate) fn all() -> Self {
        Self { methods: Method::ALL.to_vec(), metrics: true }
    }

    /// Adds what a word of the configuration names: a group, or else a method alone.
    ///
    /// # Errors
    /// What would be right instead.
    pub(crate) fn add(&mut self, scope: &str) -> Result<(), String> {
        if let Some(group) = Group::ALL.into_iter().find(|group| group.name() == scope) {
            self.methods.extend(group.methods());
        } else if let Some(method) = Method::named(scope) {
            self.methods.push(method);
        } else if scope == EVERYTHING {
            *self = Self::all();
        } else if scope == METRICS {
            self.metrics = true;
        } else {
            let groups = Group::ALL.iter().map(|group| group.name());
            let words: Vec<_> =
                groups.chain([EVERYTHING, METRICS]).chain(Method::ALL.iter().map(|m| m.name())).collect();
            let nearest = words.iter().min_by_key(|word| strsim::damerau_levenshtein(scope, word)).unwrap_or(&"all");
            return Err(format!(
                "there is no such scope; did you mean `{nearest}`? A scope is a method or one of {}",
                words[..10].join(", ")
            ));
        }
        Ok(())
    }

    pub(crate) fn has(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(words: &[&str]) -> Scopes {
        let mut scopes = Scopes::default();
        for word in words {
            scopes.add(word).unwrap();
        }
        scopes
    }

    /// S34: from the list of methods, so that a new one is in here.
    #[test]
    fn s34_a_method_is_allowed_by_its_group_by_its_name_and_by_all_and_by_no_other_word() {
        let words: Vec<_> =
            Group::ALL.iter().map(|group| group.name()).chain(Method::ALL.iter().map(|m| m.name())).collect();
        for method in Method::ALL {
            for word in &words {
                // A word that names a group means the group, also where a method has the same name.
                let is_group = Group::ALL.iter().any(|group| group.name() == *word);
                let expected = if is_group { Group::of(*method).name() == *word } else { method.name() == *word };
                assert_eq!(scopes(&[word]).has(*method), expected, "{method} with the scope {word}");
            }
            assert!(scopes(&["all"]).has(*method) && !scopes(&["metrics"]).has(*method), "{method}");
        }
        assert!(scopes(&["metrics"]).metrics && scopes(&["all"]).metrics && !scopes(&["admin"]).metrics);
    }

    #[test]
    fn the_page_on_the_server_api_lists_every_group_with_its_methods() {
        const PAGE: &str = include_str!("../../../../docs/server-api.md");
        let row = |group: Group| {
            let methods: Vec<_> = group.methods().map(|method| format!("`{method}`")).collect();
            format!("| `{}` | {} |\n", group.name(), methods.join(", "))
        };
        let rows: String = Group::ALL.into_iter().map(row).collect();
        assert!(PAGE.contains(&rows), "the table in docs/server-api.md is not true any more; it should be\n\n{rows}");
    }

    #[test]
    fn what_is_no_scope_is_refused_with_the_nearest_one() {
        let refusal = Scopes::default().add("publsh").unwrap_err();
        assert!(refusal.starts_with("there is no such scope; did you mean `publish`?"), "{refusal}");
    }
}
