//! The pages as values: what each template may show. How it looks is in `templates/`.

use askama::Template;

use crate::reply::Refusal;
use crate::view::{SharedPort, TokenView, WorkspaceView};

/// The one style sheet, inline in every page; the Content-Security-Policy names its hash.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

/// Keeps the fragment of the address that a visit is for (RFC 3986 3.5): browsers carry it over redirects, but neither over a
/// form nor over a refresh. And goes on as soon as somebody has logged in elsewhere, closing the tab that was opened for it.
pub(crate) const SCRIPT: &str = r#"
for (const form of document.forms) form.action += location.hash;
const onward = document.getElementById("onward");
if (onward) location.replace(onward.href + location.hash);
const wait = document.getElementById("wait"), login = document.getElementById("login");
let tab = null, pause = 500;
const look = () => fetch("/.portway/api/v1/me", { cache: "no-store" }).then((answer) => {
  if (!answer.ok) return again();
  if (tab) tab.close();
  location.replace(wait.href + location.hash);
}, again);
const again = () => setTimeout(look, pause = Math.min(pause * 1.1, 5000));
if (login) login.addEventListener("click", (event) => {
  tab = open(login.href, login.target);
  if (tab) event.preventDefault();
  pause = 500;
});
if (wait) again();
"#;

/// A refusal, or any other page that only says something.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct Message<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// The words of a link and its target.
    pub(crate) action: Option<(&'a str, &'a str)>,
}

impl<'a> Message<'a> {
    pub(crate) fn of(refusal: &'a Refusal) -> Self {
        let action = refusal.action.as_ref().map(|(words, target)| (*words, target.as_ref()));
        Self { title: &refusal.title, text: &refusal.text, action }
    }
}

/// Moves on by itself: the step between a form and a workspace's host.
#[derive(Template)]
#[template(path = "onward.html")]
pub(crate) struct Onward<'a> {
    /// The whole URL.
    pub(crate) to: &'a str,
    /// What the visitor sees of it.
    pub(crate) place: &'a str,
}

/// Hands a ticket to the frame that opened the window.
#[derive(Template)]
#[template(path = "embed.html")]
pub(crate) struct EmbedPage<'a> {
    /// Base64url: it needs no escape.
    pub(crate) ticket: &'a str,
}

#[derive(Template)]
#[template(path = "login.html")]
pub(crate) struct LoginPage<'a> {
    pub(crate) name: &'a str,
    pub(crate) next: &'a str,
    /// The host that the visitor was on the way to.
    pub(crate) towards: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
}

/// Where logins are the control plane's.
#[derive(Template)]
#[template(path = "elsewhere.html")]
pub(crate) struct ElsewherePage<'a> {
    pub(crate) login_page: &'a str,
    pub(crate) next: &'a str,
    pub(crate) towards: Option<&'a str>,
    /// The browser holds a session that no longer is one.
    pub(crate) ended: bool,
}

#[derive(Template)]
#[template(path = "link.html")]
pub(crate) struct LinkPage<'a> {
    pub(crate) name: &'a str,
}

#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage<'a> {
    pub(crate) user: &'a str,
    pub(crate) owner: Option<&'a str>,
    pub(crate) workspace: &'a str,
    pub(crate) port: u16,
    pub(crate) host: &'a str,
    pub(crate) return_to: &'a str,
    pub(crate) challenge: &'a str,
}

#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    pub(crate) user: &'a str,
    pub(crate) notice: Option<Notice>,
    pub(crate) workspaces: &'a [WorkspaceView],
    pub(crate) shared: &'a [SharedPort],
    pub(crate) tokens: &'a [TokenView],
    /// The text of a token just made: shown this once.
    pub(crate) new_token: Option<&'a str>,
    pub(crate) can_stop: bool,
    /// Whether passwords are Portway's own.
    pub(crate) own_logins: bool,
    pub(crate) has_password: bool,
}

impl HomePage<'_> {
    /// The workspaces of the shared ports, each once.
    fn shared_workspaces(&self) -> std::collections::BTreeSet<&str> {
        self.shared.iter().map(|port| port.workspace.as_str()).collect()
    }
}

/// What of one's own runs.
#[derive(Template)]
#[template(path = "running.html")]
pub(crate) struct RunningPage<'a> {
    pub(crate) workspaces: &'a [WorkspaceView],
    pub(crate) can_stop: bool,
    /// The name of the workspace that is waited for.
    pub(crate) stopping: Option<&'a str>,
    /// What there was no room for.
    pub(crate) visit: Option<Visited<'a>>,
}

/// A visit that can be gone on with.
pub(crate) struct Visited<'a> {
    pub(crate) host: &'a str,
    pub(crate) return_to: &'a str,
    pub(crate) url: String,
}

/// What the last form did.
pub(crate) struct Notice {
    pub(crate) good: bool,
    pub(crate) text: String,
}
