//! The application's channels: which namespace a channel belongs to, how it works there, and who may do what.
//!
//! A table is read from the configuration as a whole and put in the place of the one before, so that every question sees
//! one table. What is open goes on: a subscription keeps what it was given, and the next question is answered anew.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tidings_hub::{ChannelName, ChannelOptions, Rate, Refusal};
use tidings_protocol::{Disconnect, Error, Payload};

/// Variables of a pattern: more than a name has parts, and the matcher has an end (25).
const PATTERN_VARIABLES_MAX: usize = 16;

/// What stands between a namespace and the rest of a name.
const NAMESPACE_BOUNDARY: char = ':';

/// What stands before those who may subscribe, and between them.
const USER_BOUNDARY: char = '#';
const USER_SEPARATOR: char = ',';

/// What private channels begin with: open to those alone whom the backend lets in.
const PRIVATE_PREFIX: char = '$';

/// The variable of a pattern that must be the user's own name.
const USER_VARIABLE: &str = "user";

/// The namespaces that hold now.
pub(crate) struct Channels(RwLock<Arc<Table>>);

/// All namespaces.
pub(crate) struct Table {
    /// Of channels without one.
    plain: Arc<Namespace>,
    named: HashMap<String, Arc<Namespace>>,
    patterns: matchit::Router<Arc<Namespace>>,
    has_patterns: bool,
}

/// How the channels of a namespace work, and who may do what in them.
pub(crate) struct Namespace {
    /// Empty for channels without one.
    pub(crate) name: String,
    pub(crate) options: Arc<ChannelOptions>,
    pub(crate) rules: Rules,
    /// A name may end with those who may subscribe without a token.
    pub(crate) user_limited: bool,
    /// Each user has a channel of their own, to which the server subscribes them.
    pub(crate) personal: bool,
    /// With that, a user's next connection ends those before it.
    pub(crate) single_connection: bool,
    pub(crate) format: Format,
    pub(crate) name_regex: Option<regex::Regex>,
    pub(crate) publication_bytes_max: usize,
    pub(crate) channels_per_connection_max: Option<usize>,
    /// Publications of one connection.
    pub(crate) publishes: Option<Rate>,
}

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) subscribe: Rule,
    pub(crate) publish: Rule,
    pub(crate) presence: Rule,
    pub(crate) history: Rule,
}

/// Who may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Whose token says so.
    pub(crate) token: bool,
    pub(crate) user: bool,
    pub(crate) anonymous: bool,
    pub(crate) subscriber: bool,
}

/// What may be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Any,
    Json,
}

/// A channel and what its name says.
pub(crate) struct Place<'a> {
    pub(crate) namespace: Arc<Namespace>,
    /// Open to those alone whom the backend lets in.
    pub(crate) is_private: bool,
    /// Those who may subscribe, where the name names them.
    users: Option<&'a str>,
    /// The one who may, where it is their own channel or the namespace's pattern has such a variable.
    owner: Option<&'a str>,
}

/// A user has no channel of their own in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoChannel<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) why: String,
}

impl Channels {
    pub(crate) fn new(table: Table) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// Puts another table in the place of this one.
    pub(crate) fn replace(&self, table: Table) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// The table that holds now.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Table {
    /// A table with the namespace of channels without one.
    pub(crate) fn new(plain: Namespace) -> Self {
        let (named, patterns) = (HashMap::new(), matchit::Router::new());
        Self { plain: Arc::new(plain), named, patterns, has_patterns: false }
    }

    /// Adds a namespace. Where it has a pattern, its channels have names by that and no others.
    pub(crate) fn add(&mut self, namespace: Namespace, pattern: Option<&str>) -> Result<(), String> {
        let namespace = Arc::new(namespace);
        let Some(pattern) = pattern else {
            self.named.insert(namespace.name.clone(), namespace);
            return Ok(());
        };
        if !pattern.starts_with('/') {
            return Err("must begin with a slash, such as /users/{user}/events".into());
        }
        if pattern.matches('{').count() > PATTERN_VARIABLES_MAX {
            return Err(format!("has more than {PATTERN_VARIABLES_MAX} variables"));
        }
        self.patterns.insert(pattern, namespace).map_err(|error| error.to_string())?;
        self.has_patterns = true;
        Ok(())
    }

    /// Where a channel belongs.
    ///
    /// # Errors
    /// 102 when its namespace is not configured, although others are; 107 when its name is not allowed there.
    pub(crate) fn find<'a>(&'a self, channel: &'a ChannelName) -> Result<Place<'a>, Error> {
        let name = channel.as_str();
        let (is_private, name) = match name.strip_prefix(PRIVATE_PREFIX) {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        if self.has_patterns && name.starts_with('/') {
            let found = self.patterns.at(name).map_err(|_| Error::UNKNOWN_CHANNEL)?;
            let owner = found.params.get(USER_VARIABLE);
            return Ok(Place { namespace: found.value.clone(), is_private, users: None, owner });
        }
        let (namespace, local) = match name.split_once(NAMESPACE_BOUNDARY) {
            None => (&self.plain, name),
            Some((namespace, local)) => match self.named.get(namespace) {
                Some(namespace) => (namespace, local),
                None if self.named.is_empty() && !self.has_patterns => (&self.plain, name),
                None => return Err(Error::UNKNOWN_CHANNEL),
            },
        };
        // A channel of somebody's own is named by the whole of their name, whatever is in it.
        let personal = local.strip_prefix(USER_BOUNDARY).filter(|_| namespace.personal);
        if personal.is_none() && namespace.name_regex.as_ref().is_some_and(|regex| !regex.is_match(local)) {
            let message = "the name does not match the namespace's name_regex";
            return Err(Error { message: message.into(), ..Error::BAD_REQUEST });
        }
        let users = local.split_once(USER_BOUNDARY).map(|(_, users)| users);
        let users = users.filter(|_| namespace.user_limited && personal.is_none());
        Ok(Place { namespace: namespace.clone(), is_private, users, owner: personal })
    }

    /// How a channel works; one that belongs nowhere does nothing.
    pub(crate) fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        self.find(channel).map_or_else(|_| Arc::default(), |place| place.namespace.options.clone())
    }

    /// The channels of their own to which the server subscribes a user; where their name makes none, why.
    pub(crate) fn personal<'a>(
        &'a self,
        user: &'a str,
    ) -> impl Iterator<Item = Result<ChannelName, NoChannel<'a>>> + 'a {
        let with_one = self.with_personal().filter(move |_| !user.is_empty());
        with_one.map(move |namespace| {
            let prefix = if namespace.name.is_empty() { String::new() } else { format!("{}:", namespace.name) };
            let no_channel = |why: String| NoChannel { namespace: &namespace.name, why };
            let channel = ChannelName::parse(&format!("{prefix}{USER_BOUNDARY}{user}"));
            let channel = channel.map_err(|error| no_channel(error.to_string()))?;
            self.find(&channel).map_err(|error| no_channel(error.message.into_owned()))?;
            Ok(channel)
        })
    }

    /// Whether a user has one connection at a time.
    pub(crate) fn has_single_connections(&self) -> bool {
        self.with_personal().any(|namespace| namespace.single_connection)
    }

    fn with_personal(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.named.values().chain([&self.plain]).filter(|namespace| namespace.personal)
    }

    /// Whether one connection can be given all these channels, beside those of its user's own. The backend's word opens what
    /// is closed to its user, but makes no channel of what is none here, and no more of them than a connection may have.
    ///
    /// # Errors
    /// The first that it cannot be given: 102 and 107 as [`find`](Self::find), 3505 where there are too many of its namespace.
    pub(crate) fn check_given<'a>(
        &self,
        given: impl Iterator<Item = &'a ChannelName>,
        own: &[ChannelName],
    ) -> Result<(), (&'a ChannelName, Refusal)> {
        let mut counts = HashMap::<*const Namespace, usize>::new();
        let mut count = |namespace: &Arc<Namespace>| {
            let count = counts.entry(Arc::as_ptr(namespace)).or_default();
            *count += 1;
            *count
        };
        for place in own.iter().filter_map(|channel| self.find(channel).ok()) {
            count(&place.namespace);
        }
        for channel in given.filter(|channel| !own.contains(channel)) {
            let namespace = self.find(channel).map_err(|error| (channel, error.into()))?.namespace;
            let number = count(&namespace);
            if namespace.channels_per_connection_max.is_some_and(|max| number > max) {
                return Err((channel, Disconnect::CHANNEL_LIMIT.into()));
            }
        }
        Ok(())
    }
}

impl Place<'_> {
    pub(crate) fn is_in(&self, namespace: &Arc<Namespace>) -> bool {
        Arc::ptr_eq(&self.namespace, namespace)
    }

    /// Whether the name lets a user in, or keeps them out; `None`: it says nothing of it.
    pub(crate) fn names(&self, user: &str) -> Option<bool> {
        if let Some(owner) = self.owner {
            return Some(!user.is_empty() && owner == user);
        }
        let users = self.users?;
        Some(!user.is_empty() && users.split(USER_SEPARATOR).any(|named| named == user))
    }
}

impl Namespace {
    /// Whether this may be published here.
    ///
    /// # Errors
    /// 107 with what is wrong.
    pub(crate) fn check(&self, data: &Payload, bytes_max: usize) -> Result<(), Error> {
        let refused = |message: String| Err(Error { message: message.into(), ..Error::BAD_REQUEST });
        if data.as_bytes().len() > bytes_max {
            return refused(format!("a publication has at most {bytes_max} bytes here"));
        }
        if self.format == Format::Json && !data.is_json() {
            return refused("only JSON can be published here".to_owned());
        }
        Ok(())
    }
}

impl Rule {
    /// Whether somebody may by being who they are.
    pub(crate) fn allows(self, user: &str, is_subscribed: impl FnOnce() -> bool) -> bool {
        let by_name = if user.is_empty() { self.anonymous } else { self.user };
        by_name || (self.subscriber && is_subscribed())
    }
}
