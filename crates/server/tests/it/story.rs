//! One server, and three people who use all of it once, in the order in which people do.

use crate::exchange::{Exchange, Names, Question};
use crate::server::{Answer, Server};
use crate::server_api::server_api;
use crate::threads::threads;
use http::{Method, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the server is called in every request, and so in every link of its answers.
const HOST: &str = "tidings.test";
const ORIGIN: &str = "http://tidings.test";
const PASSWORD: &str = "correct horse battery";
/// Nothing here takes that long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What was asked and answered, as text, by noun.
pub(crate) type Transcripts = BTreeMap<&'static str, String>;

pub(crate) fn tell() -> Transcripts {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut story = Story { server: Server::start(), names: Names::default(), told: BTreeMap::new() };
        let cast = people(&mut story).await;
        sessions(&mut story, &cast).await;
        account(&mut story, &cast).await;
        rooms(&mut story, &cast).await;
        members(&mut story, &cast).await;
        invites(&mut story, &cast).await;
        messages(&mut story, &cast).await;
        events(&mut story, &cast).await;
        reading(&mut story, &cast).await;
        activity(&mut story, &cast).await;
        threads(&mut story, &cast).await;
        requests(&mut story, &cast).await;
        server_api(&mut story).await;
        operations(&mut story).await;
        story.transcripts()
    })
}

pub(crate) struct Story {
    pub(crate) server: Server,
    pub(crate) names: Names,
    told: BTreeMap<&'static str, Vec<Exchange>>,
}

impl Story {
    /// Asks, and keeps what was asked and answered under `noun`.
    pub(crate) async fn ask(&mut self, noun: &'static str, title: &str, question: Question) -> Answer {
        let answer = self.send(&question).await;
        self.keep(noun, title, question, answer.clone());
        answer
    }

    fn keep(&mut self, noun: &'static str, title: &str, question: Question, answer: Answer) {
        self.told.entry(noun).or_default().push(Exchange::new(title, question, answer));
    }

    pub(crate) async fn send(&self, question: &Question) -> Answer {
        let mut request = http::Request::builder().method(&question.method).uri(&question.path);
        *request.headers_mut().unwrap() = question.headers.clone();
        self.server.send(request.body(Full::from(question.body.clone())).unwrap()).await
    }

    fn transcripts(mut self) -> Transcripts {
        self.names.name("address", self.server.address.to_string());
        let mut transcripts = BTreeMap::new();
        for (noun, exchanges) in &self.told {
            let text = transcripts.entry(*noun).or_default();
            for exchange in exchanges {
                exchange.write(text, &self.names);
            }
        }
        transcripts
    }
}

/// Somebody with a browser, signed in or not.
pub(crate) struct Person {
    id: String,
    cookie: Option<String>,
}

impl Person {
    pub(crate) fn stranger() -> Self {
        Self { id: String::new(), cookie: None }
    }

    /// Whoever has just signed in, called `name` from here on.
    fn entered(story: &mut Story, name: &str, told: &Answer) -> Self {
        let (id, cookie) = (told.text("/person/id"), told.cookie().expect("a cookie"));
        story.names.name(name, id.as_str());
        story.names.name(&format!("token of {name}"), cookie.split_once('=').unwrap().1);
        Self { id, cookie: Some(cookie) }
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Question {
        let question = Question::new(method, path).header("host", HOST).header("user-agent", "Test browser");
        match &self.cookie {
            Some(cookie) => question.with("cookie", cookie),
            None => question,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Question {
        self.ask(Method::GET, path)
    }

    fn change(&self, method: Method, path: &str) -> Question {
        self.ask(method, path).header("origin", ORIGIN)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Question {
        self.change(Method::POST, path).json(body)
    }

    pub(crate) fn put(&self, path: &str) -> Question {
        self.change(Method::PUT, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Question {
        self.change(Method::DELETE, path)
    }
}

/// Who there is, and the room in which they are.
pub(crate) struct Cast {
    pub(crate) ana: Person,
    pub(crate) ben: Person,
    pub(crate) cho: Person,
    general: String,
}

async fn people(story: &mut Story) -> Cast {
    const NOUN: &str = "people";
    let stranger = Person::stranger();
    let (code, ana) = (story.server.setup_code.clone(), "ana@example.org");
    story.names.name("set-up code", code.as_str());
    let account =
        |code: &str, name: &str, email: &str| json!({"code": code, "name": name, "email": email, "password": PASSWORD});
    story.ask(NOUN, "set-up with a wrong code", stranger.post("/v1/setup", &account("wrong", "Ana", ana))).await;
    story.ask(NOUN, "set-up without a name", stranger.post("/v1/setup", &account(&code, " ", ana))).await;
    let done = story.ask(NOUN, "set-up", stranger.post("/v1/setup", &account(&code, "Ana", ana))).await;
    story
        .ask(NOUN, "set-up a second time", stranger.post("/v1/setup", &account(&code, "Eve", "eve@example.org")))
        .await;
    let ana = Person::entered(story, "ana", &done);
    let (general, invite) = (done.text("/room/id"), done.text("/invite/code"));
    story.names.name("general", general.as_str());
    story.names.name("first invite", invite.as_str());

    let account = |name: &str, email: &str, password: &str| json!({"invite": invite, "name": name, "email": email, "password": password});
    let told = story.ask(
        NOUN,
        "an account by invite",
        stranger.post("/v1/accounts", &account("Ben", "ben@example.org", PASSWORD)),
    );
    let told = told.await;
    let ben = Person::entered(story, "ben", &told);
    let told = story.send(&stranger.post("/v1/accounts", &account("Čo 🌱", "cho@example.org", PASSWORD))).await;
    let cho = Person::entered(story, "cho", &told);
    for (title, name, email, password) in [
        ("an account whose address is taken", "Ben", "BEN@example.org", PASSWORD),
        ("an account with a short password", "Eve", "eve@example.org", "short"),
        ("an account with a common password", "Eve", "eve@example.org", "password123"),
        ("an account without an address", "Eve", "eve", PASSWORD),
        ("an account with a long name", &"e".repeat(81), "eve@example.org", PASSWORD),
    ] {
        story.ask(NOUN, title, stranger.post("/v1/accounts", &account(name, email, password))).await;
    }
    let unknown = json!({"invite": "unknown", "name": "Eve", "email": "eve@example.org", "password": PASSWORD});
    story.ask(NOUN, "an account with an unknown invite", stranger.post("/v1/accounts", &unknown)).await;
    story.ask(NOUN, "who am I", ben.get("/v1/me")).await;
    story.ask(NOUN, "who am I, signed out", stranger.get("/v1/me")).await;
    Cast { ana, ben, cho, general }
}

async fn sessions(story: &mut Story, Cast { ana, ben, .. }: &Cast) {
    const NOUN: &str = "sessions";
    let stranger = Person::stranger();
    let credentials = |email: &str, password: &str| json!({"email": email, "password": password});
    let sign_in = |password: &str| stranger.post("/v1/session", &credentials("ben@example.org", password));
    let told = story.ask(NOUN, "signing in", sign_in(PASSWORD)).await;
    let phone = Person::entered(story, "ben's phone", &told);
    story.ask(NOUN, "signing in with a wrong password", sign_in("a wrong password")).await;
    let nobody = stranger.post("/v1/session", &credentials("nobody@example.org", PASSWORD));
    story.ask(NOUN, "signing in without an account: the same answer", nobody).await;

    let told = story.ask(NOUN, "where am I signed in", ben.get("/v1/sessions")).await;
    let other = told.json()["sessions"].as_array().unwrap().iter().find(|one| one["current"] == false).cloned();
    let other = other.unwrap()["id"].as_str().unwrap().to_owned();
    story.names.name("session of ben's phone", other.as_str());
    let path = format!("/v1/sessions/{other}");
    story.ask(NOUN, "signing out somebody else", ana.delete(&path)).await;
    story.ask(NOUN, "signing out another device", ben.delete(&path)).await;
    story.ask(NOUN, "signing it out again", ben.delete(&path)).await;
    story.ask(NOUN, "the device that was signed out", phone.get("/v1/sessions")).await;

    let told = story.send(&sign_in(PASSWORD)).await;
    let tablet = Person::entered(story, "ben's tablet", &told);
    story.ask(NOUN, "signing out", tablet.delete("/v1/session")).await;
    story.ask(NOUN, "signing out twice", tablet.delete("/v1/session")).await;
    // Ana is not needed from another device, so that the waits are hers.
    let guess = || stranger.post("/v1/session", &credentials("ana@example.org", "a wrong password"));
    let refused = loop {
        let answer = story.send(&guess()).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
    };
    // The wait grows with every guess, and how many there were is a matter of speed.
    let wait = refused.headers[header::RETRY_AFTER].to_str().unwrap().to_owned();
    story.names.replace(format!("Wait {wait} s"), "Wait [seconds] s");
    story.names.replace(format!("retry-after: {wait}"), "retry-after: [seconds]");
    story.keep(NOUN, "guessing on", guess(), refused);
}

async fn account(story: &mut Story, Cast { ana, ben, .. }: &Cast) {
    const NOUN: &str = "account";
    let patch = |body: &Value| ben.change(Method::PATCH, "/v1/me/profile").json(body);
    let said =
        json!({"title": "Cook", "zone": "Europe/Berlin", "status": {"emoji": "🌴", "text": "On holiday"}, "quiet": {}});
    story.ask(NOUN, "saying something of oneself", patch(&said)).await;
    story.ask(NOUN, "what others see of me", ben.get("/v1/me/profile")).await;
    story.ask(NOUN, "what others see of Ben", ana.get(&format!("/v1/people/{}", ben.id))).await;
    story.ask(NOUN, "of several", ana.get(&format!("/v1/profiles?people={},{}", ana.id, ben.id))).await;
    story.ask(NOUN, "of nobody there is", ana.get("/v1/people/nobody")).await;
    story.ask(NOUN, "taking it back", patch(&json!({"title": "", "zone": "", "status": null, "quiet": null}))).await;
    for (title, body) in [
        ("an empty name", json!({"name": " "})),
        ("a zone that is none", json!({"zone": "here and there"})),
        ("a status of nothing", json!({"status": {}})),
        ("a status of two emoji", json!({"status": {"emoji": "🌴🌴"}})),
        ("a status that is over", json!({"status": {"text": "Gone", "ends": 1}})),
        ("a role", json!({"role": "owner"})),
    ] {
        story.ask(NOUN, title, patch(&body)).await;
    }
    let email = |present: &str, email: &str| {
        ben.change(Method::PUT, "/v1/me/email").json(&json!({"present": present, "email": email}))
    };
    story.ask(NOUN, "another address with a wrong password", email("wrong", "benno@example.org")).await;
    story.ask(NOUN, "an address that somebody else has", email(PASSWORD, "ANA@example.org")).await;
    story.ask(NOUN, "another address", email(PASSWORD, "benno@example.org")).await;
    story.send(&email(PASSWORD, "ben@example.org")).await;
    let password = |present: &str, password: &str| {
        ben.change(Method::PUT, "/v1/me/password").json(&json!({"present": present, "password": password}))
    };
    story.ask(NOUN, "another password with a wrong one", password("wrong", "another pass phrase")).await;
    story.ask(NOUN, "another password that is short", password(PASSWORD, "short")).await;
    let credentials = json!({"email": "ben@example.org", "password": PASSWORD});
    let told = story.send(&Person::stranger().post("/v1/session", &credentials)).await;
    let phone = Person::entered(story, "ben's watch", &told);
    story.ask(NOUN, "another password", password(PASSWORD, "another pass phrase")).await;
    story.ask(NOUN, "the other device after that", phone.get("/v1/me")).await;
    story.send(&password("another pass phrase", PASSWORD)).await;
    let told = story.send(&Person::stranger().post("/v1/session", &credentials)).await;
    let phone = Person::entered(story, "ben's radio", &told);
    story.ask(NOUN, "signing out everywhere else", ben.delete("/v1/sessions")).await;
    story.ask(NOUN, "the other device after that too", phone.get("/v1/me")).await;

    let make = |scopes: &[&str]| ben.post("/v1/me/tokens", &json!({"name": "A program", "scopes": scopes}));
    let told = story.ask(NOUN, "a token", make(&["read"])).await;
    let (id, secret) = (told.text("/id"), told.text("/secret"));
    story.names.name("token", id.as_str());
    story.names.name("secret of the token", secret.as_str());
    story.ask(NOUN, "a token without a scope", make(&[])).await;
    story.ask(NOUN, "a token with a scope that is none", make(&["admin"])).await;
    story.ask(NOUN, "my tokens", ben.get("/v1/me/tokens")).await;
    let program = Person::stranger();
    let bearer = format!("Bearer {secret}");
    story.ask(NOUN, "who am I, by the token", program.get("/v1/me").header("authorization", &bearer)).await;
    let room = program.ask(Method::POST, "/v1/rooms").json(&json!({"name": "Made"})).header("authorization", &bearer);
    story.ask(NOUN, "making a room without the scope", room).await;
    story.ask(NOUN, "sessions, by the token", program.get("/v1/sessions").header("authorization", &bearer)).await;
    story.ask(NOUN, "tokens, by the token", program.get("/v1/me/tokens").header("authorization", &bearer)).await;
    let path = format!("/v1/me/tokens/{id}");
    story.ask(NOUN, "revoking somebody else's", ana.delete(&path)).await;
    story.ask(NOUN, "revoking it", ben.delete(&path)).await;
    story.ask(NOUN, "by the token after that", program.get("/v1/me").header("authorization", &bearer)).await;
}

async fn rooms(story: &mut Story, Cast { ana, ben, general, .. }: &Cast) {
    const NOUN: &str = "rooms";
    let garden = json!({"name": "Garden", "topic": "Peas & beans 🌱"});
    let told = story.ask(NOUN, "making a room", ana.post("/v1/rooms", &garden)).await;
    let garden = told.text("/id");
    story.names.name("garden", garden.as_str());
    for (title, body) in [
        ("making a room without a name", json!({"name": ""})),
        ("making a room with a long topic", json!({"name": "Shed", "topic": "x".repeat(251)})),
        ("making a room whose name is no text", json!({"name": 7})),
        ("making a room with something invisible in its name", json!({"name": "Gar\u{200b}den"})),
        ("making a room of a name that one sees", json!({"name": "GARDEN"})),
        ("making a room of a name that looks like another's", json!({"name": "Genera1"})),
    ] {
        story.ask(NOUN, title, ana.post("/v1/rooms", &body)).await;
    }
    story.ask(NOUN, "all rooms, one's own first", ben.get("/v1/rooms")).await;
    let page = story.ask(NOUN, "one's own rooms, and one of the others", ben.get("/v1/rooms?limit=1")).await;
    let last = page.text("/rooms/1/id");
    story.ask(NOUN, "the others behind that one", ben.get(&format!("/v1/rooms?after={last}"))).await;
    story.ask(NOUN, "rooms behind what is no room", ben.get("/v1/rooms?after=garden")).await;
    story.ask(NOUN, "a room", ana.get(&format!("/v1/rooms/{general}"))).await;
    story.ask(NOUN, "a room one is not in", ben.get(&format!("/v1/rooms/{garden}"))).await;
    story.ask(NOUN, "an unknown room", ana.get("/v1/rooms/01890000-0000-7000-8000-000000000000")).await;
    story.ask(NOUN, "a room by what is no id", ana.get("/v1/rooms/garden")).await;
    story.ask(NOUN, "rooms, signed out", Person::stranger().get("/v1/rooms")).await;
    story.ask(NOUN, "making a room, signed out", Person::stranger().post("/v1/rooms", &json!({"name": "Shed"}))).await;
}

async fn reading(story: &mut Story, Cast { ana, ben, .. }: &Cast) {
    const NOUN: &str = "reading";
    let pond = story.send(&ana.post("/v1/rooms", &json!({"name": "Pond"}))).await.text("/id");
    story.names.name("pond", pond.as_str());
    story.send(&ben.put(&format!("/v1/rooms/{pond}/members/me"))).await;
    for number in 3..=7 {
        let client_id = format!("01890000-0000-7000-8000-00000000aa0{number}");
        let message = json!({"client_id": client_id, "body": format!("number {number}")});
        story.send(&ana.post(&format!("/v1/rooms/{pond}/messages"), &message)).await;
    }
    let path = format!("/v1/rooms/{pond}/read");
    let read = |number: u64| json!({"number": number});
    let put = |person: &Person, body: Value| person.put(&path).json(&body);
    story.ask(NOUN, "a room in which something is unread", ben.get(&format!("/v1/rooms/{pond}"))).await;
    story.ask(NOUN, "having read some of it", put(ben, read(6))).await;
    story.ask(NOUN, "having read less, on another device", put(ben, read(4))).await;
    story.ask(NOUN, "wanting to read it again", put(ben, json!({"number": 4, "unread": true}))).await;
    story.ask(NOUN, "having read more than there is", put(ben, read(1_000_000))).await;
    story.ask(NOUN, "having read what is no number", put(ben, json!({"number": "all"}))).await;
    let elsewhere = ana.put("/v1/rooms/01890000-0000-7000-8000-000000000000/read").json(&read(1));
    story.ask(NOUN, "having read an unknown room", elsewhere).await;
    story.ask(NOUN, "having read everything", ana.post("/v1/rooms/read-all", &json!({}))).await;
    story.ask(NOUN, "having read everything, once more", ana.post("/v1/rooms/read-all", &json!({}))).await;
    story
        .ask(NOUN, "having read everything, signed out", Person::stranger().post("/v1/rooms/read-all", &json!({})))
        .await;
}

async fn activity(story: &mut Story, Cast { ana, ben, .. }: &Cast) {
    const NOUN: &str = "activity";
    let pier = story.send(&ana.post("/v1/rooms", &json!({"name": "Pier"}))).await.text("/id");
    story.names.name("pier", pier.as_str());
    story.send(&ben.put(&format!("/v1/rooms/{pier}/members/me"))).await;
    let path = format!("/v1/rooms/{pier}/messages");
    let post = |number: u8, body: &str| json!({"client_id": format!("01890000-0000-7000-8000-00000000bb0{number}"), "body": body});
    let stranger = "01890000-0000-7000-8000-000000000000";
    let body = format!("<@{}> and <@{stranger}>: **look** at <#{pier}>", ben.id);
    let said = story.send(&ana.post(&path, &post(1, &body))).await.text("/id");
    story.names.name("message-with-a-mention", said.as_str());
    story.ask(NOUN, "a message with a mention", ben.get(&format!("{path}/{said}"))).await;
    let mut answer = post(2, "<@room> yes");
    answer["reply_to"] = json!(said);
    let answered = story.send(&ben.post(&path, &answer)).await.text("/id");
    story.names.name("answer", answered.as_str());
    story.send(&ben.put(&format!("{path}/{said}/reactions/%F0%9F%91%8D"))).await;
    story.ask(NOUN, "what concerns one", ben.get("/v1/activity")).await;
    let all = story.ask(NOUN, "what concerns one, two at a time", ana.get("/v1/activity?limit=2")).await;
    story.names.name("milliseconds", all.text("/next").split('.').next().unwrap());
    let rest = ana.get(&format!("/v1/activity?limit=2&before={}", all.text("/next")));
    story.ask(NOUN, "what comes after that", rest).await;
    story.ask(NOUN, "reactions alone", ana.get("/v1/activity?kind=reactions")).await;
    story.ask(NOUN, "an unknown kind", ana.get("/v1/activity?kind=gossip")).await;
    story.ask(NOUN, "from a place that is none", ana.get("/v1/activity?before=yesterday")).await;
    story.ask(NOUN, "activity, signed out", Person::stranger().get("/v1/activity")).await;
    story.ask(NOUN, "a room in which one is mentioned", ben.get(&format!("/v1/rooms/{pier}"))).await;
    let many: String = (0..51).map(|n| format!("<@01890000-0000-7000-8000-0000000000{n:02}>")).collect();
    story.ask(NOUN, "mentioning too many", ana.post(&path, &post(3, &many))).await;
}

async fn members(story: &mut Story, Cast { ana, ben, cho, .. }: &Cast) {
    const NOUN: &str = "members";
    let shed = story.send(&ana.post("/v1/rooms", &json!({"name": "Shed"}))).await.text("/id");
    story.names.name("shed", shed.as_str());
    let path = format!("/v1/rooms/{shed}/members");
    let (me, ben_there, cho_there) = (format!("{path}/me"), format!("{path}/{}", ben.id), format!("{path}/{}", cho.id));
    story.ask(NOUN, "the members of a room one is not in", ben.get(&path)).await;
    story.ask(NOUN, "joining", ben.put(&me)).await;
    story.ask(NOUN, "joining twice", ben.put(&me)).await;
    story.send(&cho.put(&me)).await;
    story.ask(NOUN, "the members", ben.get(&path)).await;
    story.ask(NOUN, "removing a member without the right", ben.delete(&cho_there)).await;
    story.ask(NOUN, "removing a member", ana.delete(&cho_there)).await;
    story.ask(NOUN, "removing who is no member", ana.delete(&cho_there)).await;
    story.ask(NOUN, "removing somebody as who was removed", cho.delete(&ben_there)).await;
    story.ask(NOUN, "leaving", ben.delete(&me)).await;
    story.ask(NOUN, "leaving twice", ben.delete(&me)).await;
    story.ask(NOUN, "joining an unknown room", ben.put("/v1/rooms/shed/members/me")).await;
    story.ask(NOUN, "joining, signed out", Person::stranger().put(&me)).await;
}

async fn invites(story: &mut Story, Cast { ana, ben, .. }: &Cast) {
    const NOUN: &str = "invites";
    let stranger = Person::stranger();
    let den = story.send(&ana.post("/v1/rooms", &json!({"name": "Den"}))).await.text("/id");
    story.names.name("den", den.as_str());
    let path = format!("/v1/rooms/{den}/invite");
    let told = story.ask(NOUN, "a room's invite", ana.get(&path)).await;
    let first = told.text("/code");
    story.names.name("invite of the den", first.as_str());
    let code = |code: &str| json!({"code": code});
    story.ask(NOUN, "the invite of a room one is not in", ben.get(&path)).await;
    story.ask(NOUN, "seeing that the room has one that works", ana.put(&path)).await;
    story.ask(NOUN, "looking an invite up", stranger.post("/v1/invites/look-up", &code(&first))).await;
    story.ask(NOUN, "looking up an unknown invite", stranger.post("/v1/invites/look-up", &code("unknown"))).await;
    story.ask(NOUN, "accepting an invite", ben.post("/v1/invites/accept", &code(&first))).await;
    story.ask(NOUN, "accepting it twice", ben.post("/v1/invites/accept", &code(&first))).await;
    story.ask(NOUN, "accepting an unknown invite", ben.post("/v1/invites/accept", &code("unknown"))).await;
    story.ask(NOUN, "accepting, signed out", stranger.post("/v1/invites/accept", &code(&first))).await;
    story.ask(NOUN, "renewing without the right", ben.post(&path, &json!({}))).await;
    let told = story.ask(NOUN, "renewing", ana.post(&path, &json!({}))).await;
    story.names.name("renewed invite of the den", told.text("/code"));
    story.ask(NOUN, "revoking", ana.delete(&path)).await;
    story.ask(NOUN, "a member asks for the invite that was revoked", ben.get(&path)).await;
}

async fn messages(story: &mut Story, Cast { ana, ben, cho, .. }: &Cast) {
    const NOUN: &str = "messages";
    let porch = story.send(&ana.post("/v1/rooms", &json!({"name": "Porch"}))).await.text("/id");
    story.names.name("porch", porch.as_str());
    story.send(&ben.put(&format!("/v1/rooms/{porch}/members/me"))).await;
    let path = format!("/v1/rooms/{porch}/messages");
    let send =
        |number: u32, body: &str| json!({"client_id": format!("01890000-0000-7000-8000-{number:012}"), "body": body});
    let told =
        story.ask(NOUN, "posting", ana.post(&path, &send(1, "Příliš žluťoučký kůň 🐴\nand a second line"))).await;
    let first = told.text("/id");
    story.names.name("first message", first.as_str());
    let again = ana.post(&path, &send(1, "Příliš žluťoučký kůň 🐴\nand a second line"));
    story.ask(NOUN, "the same send again", again).await;
    story.ask(NOUN, "another text with the same client id", ana.post(&path, &send(1, "something else"))).await;
    let told = story.ask(NOUN, "somebody else's same client id", ben.post(&path, &send(1, "hello"))).await;
    let second = told.text("/id");
    story.names.name("second message", second.as_str());
    let third = story.send(&ana.post(&path, &send(2, "<b>not bold</b>"))).await.text("/id");
    story.names.name("third message", third);
    for (title, body) in [
        ("posting nothing", send(3, " \n")),
        ("posting a control character", send(3, "\u{0}")),
        ("posting a text that is too long", send(3, &"x".repeat(16_385))),
        ("posting more than any request holds", send(3, &"x".repeat(65_536))),
        ("posting with a client id that is none", json!({"client_id": "7", "body": "hello"})),
        ("posting without a client id", json!({"body": "hello"})),
    ] {
        story.ask(NOUN, title, ana.post(&path, &body)).await;
    }
    story.ask(NOUN, "posting to a room one is not in", cho.post(&path, &send(1, "hello"))).await;
    story.ask(NOUN, "posting, signed out", Person::stranger().post(&path, &send(1, "hello"))).await;
    story.ask(NOUN, "one message", ben.get(&format!("{path}/{first}"))).await;
    story.ask(NOUN, "an unknown message", ben.get(&format!("{path}/01890000-0000-7000-8000-000000000000"))).await;
    story.ask(NOUN, "the newest messages", ben.get(&path)).await;
    story.ask(NOUN, "a page before a number", ben.get(&format!("{path}?before=5&limit=1"))).await;
    story.ask(NOUN, "a page after a number", ben.get(&format!("{path}?after=3&limit=1"))).await;
    story.ask(NOUN, "messages of a room one is not in", cho.get(&path)).await;

    let of = |message: &str| format!("{path}/{message}");
    let edit = |body: &str| json!({"body": body});
    let change = |who: &Person, message: &str, body: &Value| who.change(Method::PATCH, &of(message)).json(body);
    story.ask(NOUN, "editing", change(ana, &first, &edit("one line"))).await;
    story.ask(NOUN, "the same text again", change(ana, &first, &edit("one line"))).await;
    story.ask(NOUN, "what it said before", ben.get(&format!("{}/edits", of(&first)))).await;
    story
        .ask(NOUN, "what it said before, by one who is not in the room", cho.get(&format!("{}/edits", of(&first))))
        .await;
    story.ask(NOUN, "editing somebody else's", change(ben, &first, &edit("mine now"))).await;
    story.ask(NOUN, "editing into nothing", change(ana, &first, &edit(" "))).await;
    story.ask(NOUN, "editing in a room one is not in", change(cho, &first, &edit("hello"))).await;
    story.ask(NOUN, "restoring what stands", ana.post(&format!("{}/restore", of(&first)), &json!({}))).await;
    story.ask(NOUN, "deleting", ana.delete(&of(&first))).await;
    story.ask(NOUN, "deleting it again", ana.delete(&of(&first))).await;
    story.ask(NOUN, "a message that was deleted", ben.get(&of(&first))).await;
    story.ask(NOUN, "what that said before", ben.get(&format!("{}/edits", of(&first)))).await;
    story.ask(NOUN, "editing what was deleted", change(ana, &first, &edit("two"))).await;
    story.ask(NOUN, "restoring what another deleted", ben.post(&format!("{}/restore", of(&first)), &json!({}))).await;
    story.ask(NOUN, "restoring", ana.post(&format!("{}/restore", of(&first)), &json!({}))).await;
    story.ask(NOUN, "deleting somebody else's without the right", ben.delete(&of(&first))).await;
    story.ask(NOUN, "deleting somebody else's without a reason", ana.delete(&of(&second))).await;
    let why = |reason: &str| ana.change(Method::DELETE, &of(&second)).json(&json!({"reason": reason}));
    story.ask(NOUN, "deleting with a reason that is none", why("two\nlines")).await;
    story.ask(NOUN, "deleting somebody else's", why("not about the porch")).await;
    story.ask(NOUN, "deleting in a room one is not in", cho.delete(&of(&first))).await;
    story.ask(NOUN, "the messages after that", ben.get(&path)).await;
}

async fn events(story: &mut Story, Cast { ana, ben, cho, .. }: &Cast) {
    const NOUN: &str = "events";
    let yard = story.send(&ana.post("/v1/rooms", &json!({"name": "Yard"}))).await.text("/id");
    story.names.name("yard", yard.as_str());
    let me = format!("/v1/rooms/{yard}/members/me");
    story.send(&ben.put(&me)).await;
    let body = json!({"client_id": "01890000-0000-7000-8000-000000000009", "body": "hello"});
    story.send(&ben.post(&format!("/v1/rooms/{yard}/messages"), &body)).await;
    story.send(&ben.delete(&me)).await;
    let path = format!("/v1/rooms/{yard}/events");
    story.ask(NOUN, "everything that happened in a room", ana.get(&path)).await;
    story.ask(NOUN, "catching up after a number", ana.get(&format!("{path}?after=1&limit=2"))).await;
    story.ask(NOUN, "nothing to catch up with", ana.get(&format!("{path}?after=4"))).await;
    story.ask(NOUN, "a page in both directions", ana.get(&format!("{path}?after=1&before=3"))).await;
    story.ask(NOUN, "a page that is too long", ana.get(&format!("{path}?limit=201"))).await;
    story.ask(NOUN, "a page whose length is no number", ana.get(&format!("{path}?limit=x"))).await;
    story.ask(NOUN, "events of a room one is not in", cho.get(&path)).await;
    story.ask(NOUN, "events, signed out", Person::stranger().get(&path)).await;
}

/// What is refused before any noun is looked at.
async fn requests(story: &mut Story, Cast { ana, .. }: &Cast) {
    const NOUN: &str = "requests";
    let room = json!({"name": "Shed"});
    let foreign = ana.ask(Method::POST, "/v1/rooms").with("origin", "http://evil.example").json(&room);
    story.ask(NOUN, "from another site's page", foreign).await;
    story.ask(NOUN, "with a cookie, and without an origin", ana.ask(Method::POST, "/v1/rooms").json(&room)).await;
    let form = ana.change(Method::POST, "/v1/rooms").with("content-type", "text/plain").body(room.to_string());
    story.ask(NOUN, "a body that is not declared as JSON", form).await;
    let broken = ana.change(Method::POST, "/v1/rooms").header("content-type", "application/json");
    story.ask(NOUN, "a body that is not JSON", broken.body("{\"name\":")).await;
    story.ask(NOUN, "a method that a route does not have", ana.change(Method::PATCH, "/v1/me")).await;
    story.ask(NOUN, "which methods there are", ana.ask(Method::OPTIONS, "/v1/rooms")).await;
    story.ask(NOUN, "an address that does not exist", ana.get("/v1/nothing")).await;
    story.ask(NOUN, "an asset that does not exist", ana.get("/assets/nothing.js")).await;
    let forged = Person::stranger().get("/v1/me").with("cookie", "tidings=forged");
    story.ask(NOUN, "a cookie that nobody was given", forged).await;
}

/// For the one who looks after the server.
async fn operations(story: &mut Story) {
    const NOUN: &str = "operations";
    let monitor = Person::stranger();
    story.ask(NOUN, "alive", monitor.get("/healthz")).await;
    story.ask(NOUN, "ready", monitor.get("/readyz")).await;
    story.ask(NOUN, "metrics, without the key", monitor.get("/metrics")).await;
    let key = story.server.api_key();
    story.ask(NOUN, "metrics, with the key", monitor.get("/metrics").header("x-api-key", &key)).await;
    let browser = |path: &str| monitor.get(path).with("accept", "text/html");
    story.ask("pages", "the page", browser("/")).await;
    story.ask("pages", "an address that does not exist", browser("/nothing")).await;
    story.ask("openapi", "the description of the REST API", monitor.get("/openapi.json")).await;
}
