//! A login that takes the sibling ports of a workspace along: the visit itself, the hosts still to be asked for a nonce, and
//! those that have given one, as they travel through URLs.
//!
//! Each host gets a nonce, a ticket and a session of its own; nothing here is secret. Every host passes the grammar that
//! also routes, and all of them are of one workspace (R11, R12). It knows no store and no cookie.

use std::fmt::Write as _;

use http::StatusCode;
use portway_core::host::{Names, Target};
use portway_core::noticed::HOSTS_MAX;
use portway_core::secret::{Secret, SecretHash};
use serde::Deserialize;

use crate::ask::{Ask, Checked, incomplete};
use crate::reply::Refusal;

/// A host, and what belongs to it.
pub(crate) type Of<T> = (Target, T);

/// What travels, as it stands in a query beside the [`Ask`].
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Siblings {
    /// Hosts that are still to be visited for a nonce, by commas.
    #[serde(default)]
    ahead: String,
    /// `host:challenge` of those that were, by commas.
    #[serde(default)]
    met: String,
}

/// A visit and its siblings.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) ask: Checked,
    pub(crate) ahead: Vec<Target>,
    pub(crate) met: Vec<Of<SecretHash>>,
}

impl Chain {
    /// Reads a chain whose hosts are all siblings of the visit's.
    pub(crate) fn read(names: &Names, ask: &Ask, siblings: &Siblings) -> Result<Self, Refusal> {
        let ask = ask.check(names)?;
        let sibling = |host: &str| sibling_of(names, &ask.target, host);
        let ahead = list(&siblings.ahead).map(sibling).collect::<Option<Vec<_>>>();
        let met = list(&siblings.met)
            .map(|pair| {
                let (host, challenge) = pair.split_once(':')?;
                Some((sibling(host)?, SecretHash::read(challenge.as_bytes())?))
            })
            .collect::<Option<Vec<_>>>();
        match (ahead, met) {
            (Some(ahead), Some(met)) if ahead.len() + met.len() <= HOSTS_MAX => Ok(Self { ask, ahead, met }),
            _ => Err(incomplete()),
        }
    }

    /// The next step: the first host ahead, or the authoriser once there is none.
    pub(crate) fn next_step(&self, names: &Names) -> String {
        let (to, step) = match self.ahead.first() {
            Some(next) => (names.origin(next), "join"),
            None => (names.control.origin(), "authorize"),
        };
        let mut url = format!("{to}/.portway/{step}?{}", self.ask.query());
        let rest: Vec<&str> = self.ahead.iter().skip(1).map(|target| target.host.as_str()).collect();
        let met: Vec<String> = self.met.iter().map(|(target, ch)| format!("{}:{}", target.host, ch.text())).collect();
        for (name, values) in [("ahead", rest.join(",")), ("met", met.join(","))] {
            if !values.is_empty() {
                let _ = write!(url, "&{name}={values}");
            }
        }
        url
    }
}

/// The URL that redeems the first of some tickets and hands the others on; the last one leads to the page.
pub(crate) fn callback_url(names: &Names, tickets: &[Of<Secret>]) -> Result<String, Refusal> {
    let Some(((target, ticket), rest)) = tickets.split_first() else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "bad-request", "Nothing to redeem", "There is no ticket."));
    };
    let mut url = format!("{}/.portway/callback?t={}", names.origin(target), ticket.text());
    if !rest.is_empty() {
        let rest: Vec<String> =
            rest.iter().map(|(target, ticket)| format!("{}:{}", target.host, ticket.text())).collect();
        let _ = write!(url, "&then={}", rest.join(","));
    }
    Ok(url)
}

/// Reads the tickets that a callback on `here` hands on.
pub(crate) fn read_then(names: &Names, here: &Target, then: &str) -> Option<Vec<Of<Secret>>> {
    let tickets: Option<Vec<_>> = list(then)
        .map(|pair| {
            let (host, ticket) = pair.split_once(':')?;
            Some((sibling_of(names, here, host)?, Secret::read(ticket.as_bytes())?))
        })
        .collect();
    tickets.filter(|tickets| tickets.len() <= HOSTS_MAX)
}

/// A host of the same workspace under the same domain, and not `here` itself.
fn sibling_of(names: &Names, here: &Target, host: &str) -> Option<Target> {
    let target = names.target_of(host)?;
    (target.workspace == here.workspace && target.domain == here.domain && target.host != here.host).then_some(target)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}
