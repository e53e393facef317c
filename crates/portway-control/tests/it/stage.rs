//! A control host with three people and their workspaces, and browsers to visit it with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Request, StatusCode};
use portway_control::{Control, Plane, Settings};
use portway_core::access::Rules;
use portway_core::cookie;
use portway_core::host::{ControlHost, Domain, Names, Pattern, Place, Scheme};
use portway_core::secret::Secret;
use portway_core::workspace::{Address, Level, State};
use portway_sources::{NewWorkspace, Publisher, Store, WorkspaceChange};
use portway_testkit::TempDir;

pub(crate) const CONTROL: &str = "code.example";
pub(crate) const PASSWORD: &str = "correct horse";
/// `alice`'s port 3000.
pub(crate) const HERS: &str = "3000-atelier.code.example";
/// `bob`'s port 3000.
pub(crate) const HIS: &str = "3000-den.code.example";

pub(crate) struct Stage {
    pub(crate) control: Control,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) names: Names,
    _folder: TempDir,
}

pub(crate) fn names() -> Names {
    Names {
        domains: vec![Domain {
            name: CONTROL.into(),
            pattern: Pattern::default(),
            scheme: Scheme::Https,
            port: 443,
            default_port: 8080,
        }],
        control: ControlHost { host: CONTROL.into(), scheme: Scheme::Https, port: 443 },
    }
}

impl Stage {
    /// alice has Atelier, bob has den and the stopped attic, carol has nothing. Shares may be open to all who log in.
    pub(crate) async fn new() -> Self {
        Self::with(Rules { ceiling: Level::Authenticated, ..Rules::default() }).await
    }

    pub(crate) async fn with(rules: Rules) -> Self {
        let folder = TempDir::new();
        let store = Store::open(&folder.join("data")).await.unwrap();
        // Hashed once: it is slow on purpose.
        static PHC: LazyLock<String> = LazyLock::new(|| portway_control::password::hash(PASSWORD).unwrap());
        for user in ["alice", "bob", "carol"] {
            store.add_user(user).await.unwrap();
        }
        for user in ["alice", "bob"] {
            store.set_password(user, Some(&PHC)).await.unwrap();
        }
        for (id, owner) in [("Atelier", "alice"), ("den", "bob"), ("attic", "bob")] {
            let new = NewWorkspace { id: id.into(), owner: Some(owner.into()), address: Address::Loopback };
            store.add_workspace(&new).await.unwrap();
        }
        let stop = WorkspaceChange { state: Some(State::Stopped), ..WorkspaceChange::default() };
        store.set_workspace("attic", stop).await.unwrap();
        let publisher = Publisher::new();
        assert!(publisher.replace(store.listing().await.unwrap()).await.is_empty());
        let settings = Settings { names: names(), rules, login_lifetime_s: 86_400, session_lifetime_s: 28_800 };
        let control = Control::new(settings, Plane::default(), store.clone(), publisher.clone());
        Self { control, store, publisher, names: names(), _folder: folder }
    }

    /// Publishes what the store was told behind the gateway's back.
    pub(crate) async fn catch_up(&self) {
        let listing = self.store.listing().await.unwrap();
        self.publisher.replace(listing).await;
    }

    pub(crate) async fn share(&self, workspace: &str, port: u16, level: Option<Level>, users: &[&str]) {
        let users: Vec<_> = users.iter().map(|user| (*user).into()).collect();
        self.store.set_share(workspace, port, level, &users, &[]).await.unwrap();
        self.catch_up().await;
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { stage: self, jar: BTreeMap::new(), peer: "192.0.2.1".parse().unwrap() }
    }

    /// A browser that holds a login of `user`.
    pub(crate) async fn logged_in(&self, user: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let secret = random();
        self.store.add_login(&secret.hash(), user, 86_400).await.unwrap();
        browser.keep(CONTROL, cookie::LOGIN, &secret.text());
        browser
    }

    /// The events in the audit, oldest first.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let rows = self.store.audit_rows(100_000).await.unwrap();
        rows.into_iter().rev().map(|row| row.event).collect()
    }
}

pub(crate) fn random() -> Secret {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    Secret::new(bytes)
}

/// A browser: cookies by host, and the headers that browsers send by themselves.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    stage: &'a Stage,
    jar: BTreeMap<(String, String), String>,
    pub(crate) peer: IpAddr,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Browser<'_> {
    /// A person opens a page: typed, or by a link.
    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.send(
            "GET",
            url,
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            "",
        )
        .await
    }

    /// A form of our own pages, which are under `no-referrer`.
    pub(crate) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("origin", "null"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", url, &headers, &encoded(form)).await
    }

    /// A fetch by a page of the control host.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let headers =
            [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("content-type", "application/json")];
        self.send(method, &format!("https://{CONTROL}/.portway/api/v1/{path}"), &headers, body).await
    }

    pub(crate) async fn log_in(&mut self, user: &str, password: &str) -> Answer {
        self.post(&page("login"), &[("user", user), ("password", password)]).await
    }

    /// What the gateway does for a navigation without a session: keeps a nonce and goes to the authoriser.
    pub(crate) async fn visit(&mut self, host: &str, return_to: &str) -> Answer {
        let nonce = random();
        self.keep(host, cookie::TRANSACTION, &nonce.text());
        self.get(&authorize_url(host, return_to, &nonce.hash().text())).await
    }

    pub(crate) fn keep(&mut self, host: &str, name: &str, value: &str) {
        self.jar.insert((host.to_owned(), name.to_owned()), value.to_owned());
    }

    pub(crate) fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.jar.get(&(host.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Goes where an answer leads.
    pub(crate) async fn follow(&mut self, answer: &Answer) -> Answer {
        self.get(&answer.leads_to()).await
    }

    pub(crate) async fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("not https: {url}"));
        let (authority, _) = rest.split_once('/').unwrap();
        let mut request = Request::builder().method(method).uri(&rest[authority.len()..]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<_> = self
            .jar
            .iter()
            .filter(|((host, _), _)| host == authority)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let place = self.stage.names.parse(authority.as_bytes()).unwrap();
        let answer = self.stage.control.handle(request, place, self.peer).await;
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                self.jar.remove(&(authority.to_owned(), name.to_owned()));
            } else {
                self.keep(authority, name, value);
            }
        }
        let (parts, body) = answer.into_parts();
        let reason = parts.headers.get("portway-reason").map(|value| value.to_str().unwrap());
        assert_eq!(parts.extensions.get::<&'static str>().copied(), reason, "the log is told what the visitor is told");
        assert!(parts.status.is_success() || reason.is_some(), "{method} {url} does not say why: {parts:?}");
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn reason(&self) -> &str {
        self.header("portway-reason")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// The code of the API's refusals, as the header says it too; the message is a sentence.
    pub(crate) fn error(&self) -> String {
        let value = self.json();
        let (code, message) = (value["error"]["code"].as_str().unwrap(), value["error"]["message"].as_str().unwrap());
        assert_eq!(value, serde_json::json!({ "error": { "code": code, "message": message } }));
        assert_eq!(code, self.reason());
        assert!(
            message.ends_with('.') && !message.ends_with("..") && !message.starts_with(char::is_lowercase),
            "{message}"
        );
        code.to_owned()
    }

    /// The target of a redirect, or of a page that moves on by itself.
    pub(crate) fn leads_to(&self) -> String {
        if self.headers.contains_key("location") {
            assert_eq!(self.status, StatusCode::SEE_OTHER);
            return self.header("location").to_owned();
        }
        let (_, rest) = self.text.split_once("content=\"0;url=").unwrap_or_else(|| panic!("leads nowhere: {self:?}"));
        rest.split('"').next().unwrap().replace("&#38;", "&")
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// A page of the control host.
pub(crate) fn page(path: &str) -> String {
    format!("https://{CONTROL}/.portway/{path}")
}

pub(crate) fn authorize_url(host: &str, return_to: &str, challenge: &str) -> String {
    page(&format!("authorize?{}", encoded(&[("host", host), ("return", return_to), ("ch", challenge)])))
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

pub(crate) fn target(host: &str) -> portway_core::host::Target {
    match names().parse(host.as_bytes()) {
        Ok(Place::Workspace(target)) => target,
        other => panic!("{host}: {other:?}"),
    }
}
