//! The control plane's login in the place of Portway's own: its session cookie is looked up, and becomes a login here.
//!
//! A login that was taken over holds as long as the control plane's session: what is in use is looked up again every few
//! seconds, and what no longer holds ends with everything opened by it (R53). It knows the cookie and no page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use portway_core::cookie::{self, ControlCookie, Found};
use portway_core::secret::SecretHash;
use portway_core::workspace::Group;
use portway_sources::{Adopted, Freshness, NewAdopted, Publisher, Store, StoreError};
use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{App, Login};
use crate::reply::Refusal;
use crate::seal::SealKey;
use crate::sessions::{LookUpError, Sessions};

/// Sessions looked up in one statement.
const AT_ONCE: usize = 500;

/// Whose logins are Portway's, and how they are read.
#[derive(Clone, Debug)]
pub struct External {
    pub sessions: Sessions,
    pub cookie: ControlCookie,
    /// Where people log in: a URL.
    pub login_page: String,
    /// The query parameter by which that page takes an address to go on to.
    pub return_parameter: Option<String>,
    pub key: Arc<SealKey>,
}

/// What the session cookie of a request says.
pub(crate) enum Known {
    Somebody(Login),
    /// A cookie was sent, and nobody is logged in by it: the session has ended.
    Ended,
    Nobody,
}

/// The session cookie of a request.
enum Sent {
    Nothing,
    Value(String),
    /// Of this length, and of no shape that a session has.
    Misshapen(usize),
    Several,
}

impl External {
    /// Who is logged in at the control plane.
    pub(crate) async fn login(&self, app: &App, headers: &HeaderMap) -> Result<Known, Refusal> {
        let value = match self.sent(headers) {
            Sent::Value(value) => value,
            Sent::Nothing => return Ok(Known::Nobody),
            Sent::Misshapen(length) => {
                app.tell_strange_cookie(length);
                return Ok(Known::Ended);
            }
            Sent::Several => return Ok(Known::Ended),
        };
        let Some(session) = self.sessions.look_up(&value).await.map_err(away)? else { return Ok(Known::Ended) };
        let hash = name_of(&value);
        let sealed = self.key.seal(&hash, &value).ok_or_else(Refusal::unavailable)?;
        let (user, name) = (session.user.clone(), session.name.clone());
        let adopted = NewAdopted {
            hash,
            user: session.user,
            name: session.name,
            groups: session.groups,
            expires_at: session.expires_at,
            sealed,
        };
        let store = app.store.clone();
        match app.publisher.commit(async move { store.in_time(store.adopt_login(&adopted)).await }).await {
            Ok(_) => Ok(Known::Somebody(Login { user, name, hash })),
            // Suspended here: nobody, as far as Portway goes.
            Err(StoreError::LoginOver) => Ok(Known::Ended),
            Err(error) => Err(error.into()),
        }
    }

    /// The control plane's session that a request carries, whether it holds or not.
    pub(crate) fn session_in(&self, headers: &HeaderMap) -> Option<String> {
        match self.sent(headers) {
            Sent::Value(value) => Some(value),
            Sent::Nothing | Sent::Misshapen(_) | Sent::Several => None,
        }
    }

    fn sent(&self, headers: &HeaderMap) -> Sent {
        let fields = headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes);
        match cookie::find(fields, &self.cookie.name) {
            Found::One(value) if self.cookie.is_shaped(value) => {
                Sent::Value(String::from_utf8_lossy(value).into_owned())
            }
            Found::One(value) => Sent::Misshapen(value.len()),
            Found::Many => Sent::Several,
            Found::None => Sent::Nothing,
        }
    }

    /// The control plane's session behind a login.
    pub(crate) fn session_of(&self, adopted: &Adopted) -> Option<String> {
        self.key.open(&adopted.hash, &adopted.sealed)
    }

    /// Ends logins whose session no longer holds, every `pause`, for ever. While nobody answers none ends;
    /// `freshness` tells how old the last answer is.
    pub async fn follow(self, store: Store, publisher: Publisher, pause: Duration, freshness: Freshness) {
        let mut look = interval(pause);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            look.tick().await;
            match self.end_what_ended(&store, &publisher).await {
                Ok(()) => {
                    freshness.touch();
                    if std::mem::take(&mut failing) {
                        tracing::info!(event = "sessions-up", "the control plane's sessions can be read again");
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(event = "sessions-down", %error, "the control plane's sessions cannot be read");
                }
                Err(_) => {}
            }
        }
    }

    async fn end_what_ended(&self, store: &Store, publisher: &Publisher) -> Result<(), FollowError> {
        let logins = store.in_time(store.adopted_logins()).await?;
        if logins.is_empty() {
            // The question itself tells whether anybody answers.
            self.sessions.hold(&[]).await?;
        }
        for some in logins.chunks(AT_ONCE) {
            let opened: Vec<(&Adopted, Option<String>)> =
                some.iter().map(|login| (login, self.session_of(login))).collect();
            let values: Vec<String> = opened.iter().filter_map(|(_, value)| value.clone()).collect();
            let held = self.sessions.hold(&values).await?.into_iter().map(|held| (held.value, held.groups));
            let held: BTreeMap<String, Option<BTreeSet<Group>>> = held.collect();
            for (login, value) in opened {
                let store = store.clone();
                match value.and_then(|value| held.get(&value)) {
                    Some(Some(groups)) if *groups != login.groups => {
                        let (user, groups) = (login.user.clone(), groups.clone());
                        publisher.commit(async move { store.in_time(store.set_groups(&user, &groups)).await }).await?;
                        tracing::info!(event = "groups", user_id = %login.user, "somebody's groups have changed");
                    }
                    Some(_) => {}
                    // One that cannot be opened was sealed under another key: nobody can tell whether it holds.
                    None => {
                        let hash = login.hash;
                        publisher.commit(async move { store.in_time(store.end_login(&hash)).await }).await?;
                        tracing::info!(event = "login-ended", "a session of the control plane has ended");
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    LookUp(#[from] LookUpError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The name under which a session is kept: told apart from hashes of our own secrets by what is hashed.
fn name_of(value: &str) -> SecretHash {
    SecretHash(Sha256::new().chain_update(b"control session\0").chain_update(value).finalize().into())
}

fn away(error: LookUpError) -> Refusal {
    Refusal::failed(&error)
}
