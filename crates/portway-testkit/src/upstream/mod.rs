//! The dev server's side: upstreams on loopback ports of their own, plain or TLS.
//!
//! [`Recorder`] plays a script and keeps every byte it was sent (slow, half-closing, resetting and
//! lying servers are scripts), [`Echo`] reflects requests, [`Bulk`] moves gigabytes that can be
//! compared, [`WebSocketEcho`] returns frames. None of them knows that a gateway is in front.

mod bulk;
mod echo;
mod recorder;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use bulk::{Bulk, block, digest_of};
pub use echo::Echo;
pub use recorder::{Gate, Recorder, Step};

use crate::{Stream, websocket};

/// A listening loopback server; stops, with all its connections, when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves every connection to a fresh loopback port with `serve`, over TLS when given.
    pub async fn start<S, F>(tls: Option<Arc<ServerConfig>>, serve: S) -> Self
    where
        S: Fn(Box<dyn Stream>) -> F + Clone + Send + 'static,
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind an upstream");
        Self::on(listener, tls, serve, |_| {})
    }

    /// [`Server::start`] on a listener of the caller's, with a look at each fresh socket.
    pub fn on<S, F>(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        serve: S,
        prepare: impl Fn(&TcpStream) + Send + 'static,
    ) -> Self
    where
        S: Fn(Box<dyn Stream>) -> F + Clone + Send + 'static,
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let address = listener.local_addr().expect("a bound address");
        let acceptor = tls.map(TlsAcceptor::from);
        let task = tokio::spawn(async move {
            // Dropping the set with this task ends every connection.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accept");
                stream.set_nodelay(true).expect("TCP_NODELAY");
                prepare(&stream);
                let (serve, acceptor) = (serve.clone(), acceptor.clone());
                connections.spawn(async move {
                    // A peer that goes away in the middle is what many tests are about.
                    drop(match acceptor {
                        None => serve(Box::new(stream)).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => serve(Box::new(stream)).await,
                            Err(error) => Err(error),
                        },
                    });
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that answers every WebSocket frame with itself.
#[derive(Debug)]
pub struct WebSocketEcho {
    server: Server,
}

impl WebSocketEcho {
    /// Starts on a fresh loopback port.
    pub async fn start() -> Self {
        Self { server: Server::start(None, websocket::serve_echo).await }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }
}
