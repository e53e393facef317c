//! The visitor's side: a raw connection that sends exactly the bytes a test gives it.
//!
//! It does not speak HTTP for the test; it only reads answers with [`crate::message`].

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Stream;
use crate::message::{self, BodyReader, Message, find};
use crate::patience::within;

/// How the peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A proper end of stream (FIN, or TLS `close_notify`).
    Clean,
    /// A reset, or a TLS connection cut without `close_notify`.
    Reset,
}

/// One connection of a visitor. Every wait is bounded by the tests' patience.
pub struct Client {
    stream: Box<dyn Stream>,
    /// Bytes read and not yet handed out.
    buffer: BytesMut,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Client {
    /// A plain TCP connection.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(tcp(address).await.expect("connect"))
    }

    /// A TLS connection that asks for the name `sni`.
    pub async fn connect_tls(address: SocketAddr, sni: &str, config: Arc<ClientConfig>) -> Self {
        let stream = Self::try_connect_tls(address, sni, config).await;
        stream.expect("TLS handshake")
    }

    /// [`Client::connect_tls`] for a connection or handshake that may be refused.
    ///
    /// # Errors
    /// Theirs.
    pub async fn try_connect_tls(address: SocketAddr, sni: &str, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        // Whoever is not wanted may be reset at once.
        Self::tls_over(tcp(address).await?, sni, config).await
    }

    /// [`Client::try_connect_tls`] on a connection that is there.
    ///
    /// # Errors
    /// The handshake's own.
    pub async fn tls_over(stream: TcpStream, sni: &str, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        let name = ServerName::try_from(sni.to_owned()).expect("a server name");
        let handshake = TlsConnector::from(config).connect(name, stream);
        Ok(Self::over(within("TLS handshake", handshake).await?))
    }

    /// A client over any stream.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: BytesMut::new() }
    }

    /// Sends all bytes at once; panics when the peer no longer takes them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("send");
    }

    /// [`Client::send`] to a peer that may have gone.
    ///
    /// # Errors
    /// The stream's own.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let bytes = bytes.as_ref();
        within("send", async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Sends byte by byte, each in a write of its own, so that every split of a head is seen.
    ///
    /// # Errors
    /// The stream's own: a strict peer may close at the first wrong byte.
    pub async fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        for byte in bytes.as_ref() {
            self.try_send([*byte]).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Ends this direction (FIN, or TLS `close_notify`); the other one stays open.
    pub async fn finish(&mut self) {
        within("half-close", self.stream.shutdown()).await.expect("half-close");
    }

    /// Reads one response to `method`, body included.
    ///
    /// # Errors
    /// The stream's own, and `UnexpectedEof` for an answer that is missing or cut short.
    pub async fn response(&mut self, method: &str) -> std::io::Result<Message> {
        within("a response", async {
            let mut answer = self.read_head().await?;
            let length = answer.response_length(method);
            message::read_body(&mut self.stream, &mut self.buffer, &mut answer, length).await?;
            Ok(answer)
        })
        .await
    }

    /// Reads one head only: an interim response, a 101, or an answer whose body streams.
    ///
    /// # Errors
    /// As [`Client::response`].
    pub async fn response_head(&mut self) -> std::io::Result<Message> {
        within("a response head", self.read_head()).await
    }

    /// A reader for the body of `head`; give it to [`Client::body_piece`].
    #[must_use]
    pub fn body_of(head: &Message, method: &str) -> BodyReader {
        BodyReader::new(head.response_length(method))
    }

    /// The next bytes of a streaming body; `None` at its proper end.
    ///
    /// # Errors
    /// As [`BodyReader::next`].
    pub async fn body_piece(&mut self, body: &mut BodyReader) -> std::io::Result<Option<Bytes>> {
        within("a piece of the body", body.next(&mut self.stream, &mut self.buffer)).await
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn round_trip(&mut self, method: &str, request: impl AsRef<[u8]>) -> Message {
        self.send(request).await;
        self.response(method).await.expect("a whole response")
    }

    /// Reads until `needle` has been seen and gives everything up to and including it.
    pub async fn read_until(&mut self, needle: &[u8]) -> Bytes {
        within("expected bytes", async {
            loop {
                if let Some(at) = find(&self.buffer, needle) {
                    return self.buffer.split_to(at + needle.len()).freeze();
                }
                let read = self.stream.read_buf(&mut self.buffer).await.expect("read");
                assert!(read > 0, "ended before {:?}", String::from_utf8_lossy(needle));
            }
        })
        .await
    }

    /// Reads everything until the peer ends, and says how it ended.
    pub async fn read_to_close(&mut self) -> (Bytes, Ending) {
        within("the peer to close", async {
            loop {
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return (self.buffer.split().freeze(), Ending::Clean),
                    Ok(_) => {}
                    Err(_) => return (self.buffer.split().freeze(), Ending::Reset),
                }
            }
        })
        .await
    }

    /// The stream itself and the bytes already read from it, for another protocol.
    #[must_use]
    pub fn into_parts(self) -> (Box<dyn Stream>, BytesMut) {
        (self.stream, self.buffer)
    }

    async fn read_head(&mut self) -> std::io::Result<Message> {
        let head = message::read_head(&mut self.stream, &mut self.buffer).await?;
        head.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }
}

async fn tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = within("connect", TcpStream::connect(address)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
