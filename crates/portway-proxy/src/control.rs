//! The way from a core to the control runtime: whole small requests for the control host and `/.portway/`, and names to
//! resolve. Cores never touch SQL, DNS or files; this bounded channel is how they ask.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use portway_core::activity::Attention;
use portway_core::host::Place;
use portway_core::noticed::Notice;
use portway_core::secret::SecretHash;
use portway_core::workspace::UserId;
use tokio::sync::{mpsc, oneshot};

use crate::span::Span;

/// The largest body that a page or API of ours takes, in bytes.
pub const BODY_MAX: usize = 64 * 1024;

/// What a core asks of the control runtime.
#[derive(Debug)]
pub enum ControlCall {
    /// A request for Portway itself.
    Request(Box<ControlRequest>),
    /// The addresses of a DNS name, for this life of a workspace.
    Resolve { name: Arc<str>, generation: Arc<str>, answer: oneshot::Sender<Resolved> },
    /// Wake a workspace.
    Wake { workspace: Arc<str>, who: Waking, trace: Option<String>, answer: oneshot::Sender<Woken> },
    /// Have every core know a workspace, if there is one; false where nobody can say.
    Find { workspace: Arc<str>, found: oneshot::Sender<bool> },
    /// See now what other gateways have changed.
    CatchUp { done: oneshot::Sender<()> },
    /// A token was used, for its owner's list.
    TokenUsed(SecretHash),
    /// Something noticed of a workspace, for every core to know.
    Noticed { workspace: Arc<str>, notice: Notice, done: oneshot::Sender<()> },
    /// What workspaces were used since the last time, by the ids of their sources.
    Active(Vec<(Arc<str>, Attention)>),
    /// A batch of access-log lines.
    Log(Vec<u8>),
    /// Traced requests that have ended.
    Spans(Vec<Span>),
}

/// A request for Portway itself and where its answer goes.
#[derive(Debug)]
pub struct ControlRequest {
    pub request: http::Request<Bytes>,
    pub place: Place,
    pub peer: IpAddr,
    pub answer: oneshot::Sender<http::Response<Bytes>>,
}

/// On whose behalf a workspace is woken.
#[derive(Clone, Debug)]
pub struct Waking {
    pub user: UserId,
    /// The session of the host that was opened, and so the login behind it; a token has none.
    pub session: Option<SecretHash>,
}

/// The addresses of a name; none where it has none.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// When the resolver was asked. Others may have asked before, so that it can be earlier than one's own question.
    pub asked: Instant,
    pub addresses: Arc<[IpAddr]>,
}

/// What came of waking a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// It is on its way.
    Starting,
    /// The person runs as many as they may.
    Limit,
    /// Nobody here can wake workspaces.
    Nobody,
    /// It was woken too often, or too much by the same person.
    TooOften,
    /// The control plane said no, or nothing.
    Failed,
}

/// A handle on the control runtime.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<ControlCall>);

/// The control runtime did not take the call: it is overloaded or stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

impl Control {
    /// The two ends. 1024 calls may wait before cores answer 503.
    pub fn channel() -> (Self, mpsc::Receiver<ControlCall>) {
        let (sender, receiver) = mpsc::channel(1024);
        (Self(sender), receiver)
    }

    /// Asks for the answer to a request.
    ///
    /// # Errors
    /// [`Unavailable`] where nobody will answer.
    pub async fn request(
        &self,
        request: http::Request<Bytes>,
        place: Place,
        peer: IpAddr,
    ) -> Result<http::Response<Bytes>, Unavailable> {
        let (answer, response) = oneshot::channel();
        let call = ControlCall::Request(Box::new(ControlRequest { request, place, peer, answer }));
        self.0.try_send(call).map_err(|_| Unavailable)?;
        response.await.map_err(|_| Unavailable)
    }

    /// Resolves a name for this life of a workspace; `None` where nobody asks the resolver.
    pub async fn resolve(&self, name: &Arc<str>, generation: &Arc<str>) -> Option<Resolved> {
        let (answer, resolved) = oneshot::channel();
        let call = ControlCall::Resolve { name: name.clone(), generation: generation.clone(), answer };
        self.0.try_send(call).ok()?;
        resolved.await.ok()
    }

    /// Wakes a workspace, for the request of this id.
    pub async fn wake(&self, workspace: Arc<str>, who: Waking, trace: Option<&str>) -> Woken {
        let (answer, woken) = oneshot::channel();
        if self.0.try_send(ControlCall::Wake { workspace, who, trace: trace.map(str::to_owned), answer }).is_err() {
            return Woken::Failed;
        }
        woken.await.unwrap_or(Woken::Failed)
    }

    /// Returns when every core knows a workspace, if there is one; false where nobody can say.
    pub async fn find(&self, workspace: Arc<str>) -> bool {
        let (found, known) = oneshot::channel();
        self.0.try_send(ControlCall::Find { workspace, found }).is_ok() && known.await.unwrap_or(false)
    }

    /// Returns when this gateway has seen what others had changed before the call; at once where nobody looks.
    pub async fn catch_up(&self) {
        let (done, seen) = oneshot::channel();
        if self.0.try_send(ControlCall::CatchUp { done }).is_ok() {
            let _ = seen.await;
        }
    }

    /// Notes the use of a token; lost where nobody takes it.
    pub fn token_used(&self, token: SecretHash) {
        let _ = self.0.try_send(ControlCall::TokenUsed(token));
    }

    /// Tells of something noticed; lost where nobody takes it. What it gives resolves when every core knows.
    pub fn noticed(&self, workspace: Arc<str>, notice: Notice) -> oneshot::Receiver<()> {
        let (done, known) = oneshot::channel();
        let _ = self.0.try_send(ControlCall::Noticed { workspace, notice, done });
        known
    }

    /// Reports which workspaces were used; false where nobody takes it.
    pub fn active(&self, used: Vec<(Arc<str>, Attention)>) -> bool {
        self.0.try_send(ControlCall::Active(used)).is_ok()
    }

    /// Hands over traced requests without waiting; false where they were dropped.
    pub fn spans(&self, spans: Vec<Span>) -> bool {
        self.0.try_send(ControlCall::Spans(spans)).is_ok()
    }

    /// Hands over log lines without waiting; false where they were dropped.
    pub fn log(&self, lines: Vec<u8>) -> bool {
        self.0.try_send(ControlCall::Log(lines)).is_ok()
    }
}
