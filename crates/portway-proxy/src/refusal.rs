//! Why the gateway itself answers, as one exhaustive list, and what it then says.
//!
//! This file alone knows status codes, reason words and texts. It is told what happened, never who asked, so that to a
//! stranger unknown and forbidden look alike (R54).

mod flags;
#[cfg(test)]
mod tests;

use askama::Template;
use portway_core::browser::{Once, is_navigation};
use portway_http1::{Name, Reject, RequestHead};

use self::flags::Flag;
use portway_core::workspace::State;

use crate::http::answer::Answer;
use crate::upstream::DialError;

/// Every refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Bytes that are not the HTTP we accept.
    Malformed(Reject),
    /// An authority that is none of ours, or not this connection's.
    WrongAuthority,
    /// No such name, no such workspace, or not for you.
    NotFound,
    /// CONNECT, or another method that no dev server gets.
    Method,
    /// Not logged in, and not a navigation.
    Unauthenticated,
    /// A token that is not, or no longer, one of ours.
    BadToken,
    /// A page of another origin.
    OtherOrigin,
    /// The body of a request for Portway itself is too large.
    TooLarge,
    /// The request did not come in time.
    RequestTimeout,
    /// No connection to the dev server on this port; `true` where the workspace is this machine.
    Dial(DialError, u16, bool),
    /// The dev server closed, or said what is not HTTP.
    BadUpstream(u16),
    /// The dev server took the request and never answered.
    UpstreamTimeout(u16),
    /// The API server in front of which the gateway stands does not answer.
    ControlUpstream,
    /// What allowed the request ended while it was under way; the next one is told what holds now.
    Revoked,
    /// The workspace is not running; `true` for its owner.
    Asleep(State, bool),
    /// As many workspaces run as the control plane allows; `true` for the owner of this one.
    RunningLimit(bool),
    /// The control plane did not wake the workspace.
    WakeFailed,
    /// It was woken too often.
    WokenTooOften,
    /// It has come back again and again.
    Loop,
    /// A visitor asks for more at once, or faster, than one may.
    TooManyRequests,
    /// All visitors together ask for more of this workspace than one gets.
    WorkspaceBusy,
    /// The gateway's memory is short.
    Overloaded,
    /// The control runtime does not answer.
    Unavailable,
}

/// How an answer should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Page,
    Json,
}

impl Form {
    /// A page for a person's navigation, JSON for a program.
    pub(crate) fn of(head: &RequestHead, websocket: bool) -> Self {
        let fields = head.fields();
        let mode = Once::of(fields.all(Name::SecFetchMode));
        let accept = fields.get(Name::Accept);
        let navigation = is_navigation(head.method(), websocket, mode, accept);
        // A submitted form is a navigation too; it gets a page, though never a redirect.
        let form_post = head.method() == b"POST" && is_navigation(b"GET", websocket, mode, accept);
        if navigation || form_post { Self::Page } else { Self::Json }
    }
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    /// What is waited for, in words; the page reloads when it is there.
    wait: Option<&'a str>,
    /// What makes a server listen where the gateway can reach it.
    flags: &'a [Flag],
    /// Words and target of a link.
    link: Option<(&'a str, &'a str)>,
    reason: &'a str,
}

impl Refusal {
    /// Status and reason word.
    pub(crate) fn kind(&self) -> (u16, &'static str) {
        match self {
            Self::Malformed(reject) => (reject.status, reject.rule.as_str()),
            Self::WrongAuthority => (421, "wrong-authority"),
            Self::NotFound => (404, "not-found"),
            Self::Method => (405, "method-not-allowed"),
            Self::Unauthenticated => (401, "not-logged-in"),
            Self::BadToken => (401, "bad-token"),
            Self::OtherOrigin => (403, "other-origin"),
            Self::TooLarge => (413, "body-too-large"),
            Self::RequestTimeout => (408, "request-timeout"),
            Self::Dial(error @ DialError::Timeout, ..) => (504, error.as_str()),
            Self::Dial(error @ DialError::Overloaded, ..) => (503, error.as_str()),
            Self::Dial(error, ..) => (502, error.as_str()),
            Self::BadUpstream(_) => (502, "bad-upstream"),
            Self::UpstreamTimeout(_) => (504, "upstream-timeout"),
            Self::ControlUpstream => (502, "control-upstream"),
            Self::Revoked => (503, "revoked"),
            Self::Asleep(state, _) => (503, asleep_word(*state)),
            Self::RunningLimit(_) => (429, "workspace-limit"),
            Self::WakeFailed => (503, "wake-failed"),
            Self::WokenTooOften => (429, "woken-too-often"),
            Self::Loop => (508, "loop-detected"),
            Self::TooManyRequests => (429, "too-many-requests"),
            Self::WorkspaceBusy => (503, "workspace-busy"),
            // As where it is sockets that have run out.
            Self::Overloaded => (503, "overloaded"),
            Self::Unavailable => (503, "unavailable"),
        }
    }

    /// The whole answer. `link` is where a person can go from here, where this refusal has words for it.
    pub(crate) fn answer(&self, form: Form, link: Option<&str>) -> Answer {
        let (status, reason) = self.kind();
        let (title, text) = self.words();
        let answer = Answer::new(status, reason).field("X-Content-Type-Options", "nosniff");
        let answer = match self {
            Self::Revoked
            | Self::Asleep(State::Starting | State::Stopping, _)
            | Self::TooManyRequests
            | Self::Dial(DialError::Overloaded, ..)
            | Self::WorkspaceBusy
            | Self::Overloaded
            | Self::Unavailable => answer.field("Retry-After", "1"),
            // The budget is counted over an hour.
            Self::WokenTooOften => answer.field("Retry-After", "600"),
            Self::Method => answer.field("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            _ => answer,
        };
        match form {
            Form::Json => {
                let body = format!("{{\"error\":{{\"code\":\"{reason}\",\"message\":\"{}\"}}}}\n", json_text(&text));
                answer.body("application/json", body)
            }
            Form::Page => {
                let wait = match self {
                    Self::Dial(..) => Some("Waiting for the port. This page reloads by itself when it opens."),
                    Self::Asleep(State::Starting | State::Stopping, _) => {
                        Some("Waiting for the workspace. This page goes on by itself.")
                    }
                    _ => None,
                };
                let link = link.and_then(|to| Some((self.link_words()?, to)));
                let flags = match self {
                    Self::Dial(DialError::Closed, port, false) => flags::for_port(*port),
                    _ => Vec::new(),
                };
                let page = Page { title: &title, text: &text, wait, flags: &flags, link, reason };
                // A template over plain strings cannot fail; if it ever does, the text alone says what matters.
                let html = page.render().unwrap_or_else(|_| text.clone());
                answer
                    .field("Content-Security-Policy", CSP)
                    .field("Referrer-Policy", "no-referrer")
                    .body("text/html; charset=utf-8", html)
            }
        }
    }

    /// What the link of this refusal says; most have none.
    fn link_words(&self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some("Log in"),
            Self::RunningLimit(true) => Some("See what runs"),
            Self::Asleep(State::Error, _) | Self::WakeFailed | Self::WokenTooOften => Some("Your workspaces"),
            Self::Dial(DialError::Closed, _, false) => Some("Open the IDE"),
            _ => None,
        }
    }

    fn words(&self) -> (String, String) {
        let (title, text): (&str, &str) = match self {
            Self::Malformed(reject) => {
                return ("This request cannot be understood".into(), format!("The request was refused: {reject}."));
            }
            Self::WrongAuthority => {
                ("Not a name of this gateway", "No workspace is served under this name here. Check the address.")
            }
            Self::NotFound => (
                "Nothing here for you",
                "There is no such workspace or port, or you may not open it. If somebody sent you this address, ask them to share the port with you.",
            ),
            Self::Method => ("Method not allowed", "This method is not passed on to dev servers."),
            Self::Unauthenticated => ("Log in to continue", "This port is private, and you are not logged in here."),
            Self::BadToken => {
                ("This token is not valid", "The token in X-Portway-Token is unknown, has expired or was revoked.")
            }
            Self::OtherOrigin => (
                "Refused: a page of another origin",
                "A page that is not part of this workspace tried to use your login here. Open the address yourself if you meant to.",
            ),
            Self::TooLarge => ("Too large", "The body is larger than this page takes."),
            Self::RequestTimeout => ("The request took too long", "The rest of the request did not arrive in time."),
            Self::Dial(error, port, here) => return dial_words(*error, *port, *here),
            Self::BadUpstream(port) => {
                return (
                    format!("Port {port} gave no valid answer"),
                    format!(
                        "Something listens on port {port}, but it closed the connection or did not speak HTTP. If it speaks TLS, open the address with an s behind the port."
                    ),
                );
            }
            Self::UpstreamTimeout(port) => {
                return (
                    format!("Port {port} is too slow"),
                    format!("The server on port {port} took the request and did not begin an answer in time."),
                );
            }
            Self::ControlUpstream => (
                "The control plane does not answer",
                "The server behind this address is starting, stopping or broken. Ports that are open stay open; try this page again in a moment.",
            ),
            Self::Revoked => (
                "Interrupted",
                "Access to this port, or the workspace itself, changed while this request was under way. Try again: the next answer says what holds now.",
            ),
            Self::Asleep(state, owner) => asleep_words(*state, *owner),
            Self::RunningLimit(true) => (
                "You run as many workspaces as you may",
                "This workspace was not started, because others of yours run already. Stop one of them, then open this address again.",
            ),
            Self::RunningLimit(false) => (
                "No more workspaces may run",
                "This workspace was not started, because as many run already as may. Ask its owner to stop another, then open this address again.",
            ),
            Self::WokenTooOften => (
                "This workspace was started very often",
                "You, or others, have started it again and again within an hour. It stays as it is for a while; its owner can start it from their workspaces.",
            ),
            Self::WakeFailed => (
                "This workspace could not be started",
                "The control plane did not start it, or your login there has ended. Try again, or start it from your workspaces.",
            ),
            Self::Loop => (
                "This request goes in circles",
                "The server behind this address passes requests on to this very address. Have it pass them to the server that is meant, on localhost.",
            ),
            Self::TooManyRequests => (
                "Too much at once",
                "You, or programs and pages that use your login, ask for more than one visitor gets. Close what you do not need, and try again in a moment.",
            ),
            Self::WorkspaceBusy => {
                ("This workspace is too busy", "More is asked of it than one workspace gets. Try again in a moment.")
            }
            Self::Overloaded => {
                ("The gateway is full", "It has no memory left for more. What is open goes on; try again in a moment.")
            }
            Self::Unavailable => {
                ("Not available right now", "The gateway is starting, stopping or overloaded. Try again in a moment.")
            }
        };
        (title.into(), text.into())
    }
}

fn asleep_word(state: State) -> &'static str {
    match state {
        State::Running | State::Starting => "workspace-starting",
        State::Standby | State::Archived | State::Stopped => "workspace-asleep",
        State::Stopping => "workspace-stopping",
        State::Error => "workspace-error",
    }
}

fn asleep_words(state: State, owner: bool) -> (&'static str, &'static str) {
    match (state, owner) {
        (State::Running | State::Starting, _) => (
            "The workspace is starting",
            "It takes seconds, or minutes if it was put away. A server on this port has to be started once it is up.",
        ),
        (State::Standby | State::Archived | State::Stopped, true) => (
            "The workspace is asleep",
            "Opening an address of it in a browser tab starts it; programs and pages that were left open do not.",
        ),
        (State::Standby | State::Archived | State::Stopped, false) => {
            ("The workspace is asleep", "Its owner can start it. Ask them to, then open this address again.")
        }
        (State::Stopping, _) => ("The workspace is stopping", "Once it has stopped, this page tries to open it again."),
        (State::Error, true) => (
            "The workspace has failed",
            "It did not start, and somebody has to look at it. Your workspaces say what went wrong.",
        ),
        (State::Error, false) => ("The workspace has failed", "It did not start. Its owner can see what went wrong."),
    }
}

fn dial_words(error: DialError, port: u16, here: bool) -> (String, String) {
    let title = match error {
        DialError::Closed => format!("Nothing is listening on port {port}"),
        DialError::Timeout => format!("Port {port} does not answer"),
        DialError::Tls => format!("Port {port} does not speak TLS"),
        DialError::Overloaded => "The gateway is full".to_owned(),
        DialError::NoAddress | DialError::Refused(_) | DialError::Network => {
            "The workspace cannot be reached".to_owned()
        }
    };
    let text = match error {
        DialError::Closed if here => format!(
            "No server answers on port {port} of this machine. Start it, or look which port it printed when it started."
        ),
        DialError::Closed => format!(
            "The workspace is there, but no server answers on port {port}. Start it. If it runs already, it listens on 127.0.0.1 only: start it so that it listens on all addresses, 0.0.0.0."
        ),
        DialError::Timeout => format!("No answer to a connection to port {port}. The workspace may be starting or stopped."),
        DialError::Tls => format!("The TLS handshake with port {port} failed. If the server speaks plain HTTP, leave out the s behind the port."),
        DialError::NoAddress => "The name of the workspace has no address right now. It may be starting or stopped.".to_owned(),
        DialError::Refused(_) => "The gateway's rules do not allow the address of this workspace. Its administrator can find the reason in the log.".to_owned(),
        DialError::Overloaded => "It has as many connections open as it may. Try again in a moment.".to_owned(),
        DialError::Network => "The network does not lead to the workspace right now.".to_owned(),
    };
    (title, text)
}

/// The hash is that of the page's one script; a test computes it again.
const CSP: &str = concat!(
    "default-src 'none'; style-src 'unsafe-inline'; script-src '",
    "sha256-/Kz0oQSzuIrtOIdE+Bm/J2MuZa+0CzBOlTbL/1ZxA2s=",
    "'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
);

fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    crate::json::escape_into(&mut out, text.as_bytes());
    out
}
