//! What every handler needs: settings, the store, the publisher, the limits; and who is logged in.
//!
//! It knows the login cookie and the audit, but no route and no page.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode, header};
use portway_core::cookie::{self, Found};
use portway_core::dial::network;
use portway_core::host::Target;
use portway_core::secret::{Secret, SecretHash};
use portway_core::snapshot::Snapshot;
use portway_core::workspace::UserId;
pub(crate) use portway_sources::freshness::now;
use portway_sources::publisher::Changes;
use portway_sources::{Audit, Demand, Publisher, Store, StoreError};

use crate::external::{External, Known};
use crate::limiter::Limiter;
use crate::password::Passwords;
use crate::reply::Refusal;
use crate::wake::Waker;
use crate::{Plane, Settings};

/// Failed logins a minute from one network, and for one name (R57).
const FAILURES: usize = 10;
/// Tickets a minute for one login and one host: more means that the browser drops our cookie (R17).
const TICKETS: usize = 3;
/// Tickets a minute for frames of one login and one host: each takes a person's click.
const FRAMES: usize = 10;
/// Visits a minute of one login that take the same siblings along. Whoever comes again so soon was lost on the way, to a
/// service worker perhaps that answers every navigation on its host, and is taken to the port alone.
const CHAINS: usize = 1;
/// Refused hosts a minute for one user: more is looking for what others have (R55).
const DENIALS: usize = 60;

/// Shared by all handlers.
pub(crate) struct App {
    pub(crate) settings: Settings,
    /// The control plane whose logins are ours, where there is one.
    pub(crate) external: Option<External>,
    pub(crate) waker: Option<Waker>,
    demand: Option<Demand>,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) passwords: Passwords,
    pub(crate) failures: Limiter<Who>,
    pub(crate) tickets: Limiter<(SecretHash, String)>,
    pub(crate) frames: Limiter<(SecretHash, String)>,
    /// Logins that took these siblings along.
    pub(crate) chains: Limiter<(SecretHash, Vec<String>)>,
    pub(crate) denials: Limiter<UserId>,
    strange_cookies: Limiter<()>,
}

/// Whose failures are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Network(IpAddr),
    Name(String),
}

/// Who sent the request: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The workspace host it was sent to: an extension of requests to those.
#[derive(Clone, Debug)]
pub(crate) struct At(pub(crate) Target);

/// A person who is logged in on the control host.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: UserId,
    /// What people call them, where that is not the id.
    pub(crate) name: Option<String>,
    pub(crate) hash: SecretHash,
}

/// What a cookie of ours that carries a secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    Nothing,
    One(Secret),
    /// Sent twice, or not a secret at all: it counts as nothing and is expired (R4).
    Unusable,
}

/// Reads the cookie `name`.
pub(crate) fn carried(headers: &HeaderMap, name: &str) -> Carried {
    let fields = headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes);
    match cookie::find(fields, name) {
        Found::None => Carried::Nothing,
        Found::One(value) => Secret::read(value).map_or(Carried::Unusable, Carried::One),
        Found::Many => Carried::Unusable,
    }
}

/// 256 fresh random bits.
pub(crate) fn fresh_secret() -> Result<Secret, Refusal> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Refusal::failed(&error))?;
    Ok(Secret::new(bytes))
}

impl App {
    pub(crate) fn new(settings: Settings, plane: Plane, store: Store, publisher: Publisher) -> Self {
        Self {
            settings,
            external: plane.external,
            waker: plane.waker,
            demand: plane.demand,
            store,
            publisher,
            passwords: Passwords::new(),
            failures: Limiter::per_minute(FAILURES),
            tickets: Limiter::per_minute(TICKETS),
            frames: Limiter::per_minute(FRAMES),
            chains: Limiter::per_minute(CHAINS),
            denials: Limiter::per_minute(DENIALS),
            strange_cookies: Limiter::per_minute(1),
        }
    }

    /// Whether people can stop their workspaces here.
    pub(crate) fn can_stop(&self) -> bool {
        self.waker.as_ref().is_some_and(Waker::can_stop)
    }

    /// Tells of a session cookie whose value is not of the shape that was said: now and then, since a browser with one is
    /// sent round for ever.
    pub(crate) fn tell_strange_cookie(&self, length: usize) {
        if self.strange_cookies.admit(&(), Instant::now()) {
            tracing::warn!(
                event = "cookie",
                length,
                "a session cookie has another shape than `sessions.cookie_length` says, and counts as ended"
            );
        }
    }

    /// The world now.
    pub(crate) fn world(&self) -> Arc<Snapshot> {
        self.publisher.current()
    }

    /// A path of the control host as an absolute URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.names.control.origin())
    }

    /// Has the world know this workspace, if there is one, where not all are held.
    pub(crate) async fn find(&self, key: &str) -> Result<(), Refusal> {
        match &self.demand {
            Some(demand) if self.world().workspace(key).is_none() => told(demand.workspace(key).await),
            _ => Ok(()),
        }
    }

    /// The same for the workspaces of which a port is shared with somebody by name.
    pub(crate) async fn find_shared_with(&self, user: &UserId) -> Result<(), Refusal> {
        if self.demand.is_none() {
            return Ok(());
        }
        let world = self.world();
        for key in world.sharing_with(user) {
            self.find(key).await?;
        }
        Ok(())
    }

    /// Who is logged in. The login cookie, ours or the control plane's, is the only thing read; and the world has what is
    /// theirs.
    pub(crate) async fn login(&self, headers: &HeaderMap) -> Result<Option<Login>, Refusal> {
        let login = self.logged_in(headers).await?;
        if let (Some(demand), Some(login)) = (&self.demand, &login) {
            told(demand.owned_by(&login.user).await)?;
        }
        Ok(login)
    }

    async fn logged_in(&self, headers: &HeaderMap) -> Result<Option<Login>, Refusal> {
        if let Some(external) = &self.external {
            return Ok(match external.login(self, headers).await? {
                Known::Somebody(login) => Some(login),
                Known::Ended | Known::Nobody => None,
            });
        }
        let Carried::One(secret) = carried(headers, cookie::LOGIN) else { return Ok(None) };
        let hash = secret.hash();
        Ok(self.store.login(&hash).await?.map(|row| Login { user: row.user, name: None, hash }))
    }

    /// Changes the store and makes that true for the data plane before anybody is told of it. It goes on to its end even
    /// when the visitor hangs up.
    pub(crate) async fn commit<C>(
        &self,
        change: impl Future<Output = Result<C, StoreError>> + Send + 'static,
    ) -> Result<C, Refusal>
    where
        C: Changes + Send + 'static,
    {
        let store = self.store.clone();
        Ok(self.publisher.commit(async move { store.in_time(change).await }).await?)
    }

    /// Records a decision (R59). An audit that cannot be written is an error in the log and stops nobody.
    pub(crate) async fn audit(
        &self,
        event: &'static str,
        user: Option<&str>,
        host: Option<&str>,
        peer: Peer,
        detail: &str,
    ) {
        let entry = Audit { event, user, host, peer: Some(peer.0), detail };
        if let Err(error) = self.store.audit(&entry).await {
            tracing::error!(%error, event, "the audit could not be written");
        }
    }

    /// Counts an attempt to log in; the refusal where there were too many.
    pub(crate) fn admit_attempt(&self, peer: Peer, name: Option<&str>) -> Result<(), Refusal> {
        let now = Instant::now();
        let network = Who::Network(network(peer.0));
        let named = name.map(|name| Who::Name(name.to_owned()));
        let admitted =
            self.failures.admit(&network, now) && named.as_ref().is_none_or(|who| self.failures.admit(who, now));
        if admitted {
            Ok(())
        } else {
            Err(Refusal::too_many("There were too many failed attempts to log in. Wait a minute, then try again."))
        }
    }

    /// The attempt succeeded and does not count.
    pub(crate) fn forgive_attempt(&self, peer: Peer, name: Option<&str>) {
        self.failures.forgive(&Who::Network(network(peer.0)));
        if let Some(name) = name {
            self.failures.forgive(&Who::Name(name.to_owned()));
        }
    }
}

/// Whether the database said what there is.
fn told(answered: bool) -> Result<(), Refusal> {
    if answered { Ok(()) } else { Err(Refusal::unavailable()) }
}

/// The refusal of the API to somebody who is not logged in.
pub(crate) fn not_logged_in() -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "not-logged-in", "You are not logged in", "Log in first.")
        .action("Log in", "/.portway/login")
}
