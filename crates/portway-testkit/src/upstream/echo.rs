//! An upstream that answers every request with the request itself.
//!
//! The answer's body is the request head byte for byte, then the request's content as it arrives:
//! a test reads what reached the dev server out of the answer, and sees streaming both ways.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;

use super::Server;
use crate::message::{self, BodyReader};
use crate::{Message, Stream};

/// A reflecting upstream on a fresh loopback port.
#[derive(Debug)]
pub struct Echo {
    server: Server,
}

impl Echo {
    /// Starts over plain TCP.
    pub async fn start() -> Self {
        Self { server: Server::start(None, serve).await }
    }

    /// Starts over TLS.
    pub async fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self { server: Server::start(Some(tls), serve).await }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The request that an answer of this server reflects.
    #[must_use]
    pub fn reflected(answer: &Message) -> Message {
        let end = message::find(&answer.body, b"\r\n\r\n").map_or(answer.body.len(), |at| at + 4);
        Message { head: answer.body.slice(..end), body: answer.body.slice(end..), trailers: answer.trailers.clone() }
    }
}

async fn serve(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(request) = message::read_head(&mut stream, &mut buffer).await? {
        if request.field("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        let is_head = request.head.starts_with(b"HEAD ");
        if !is_head {
            write_chunk(&mut stream, &request.head).await?;
        }
        let mut body = BodyReader::new(request.request_length());
        while let Some(piece) = body.next(&mut stream, &mut buffer).await? {
            write_chunk(&mut stream, &piece).await?;
        }
        if !is_head {
            // Trailers come back as trailers.
            let end = [b"0\r\n", &body.trailers[..], b"\r\n"].concat();
            stream.write_all(&end).await?;
        }
        stream.flush().await?;
    }
    Ok(())
}

async fn write_chunk(stream: &mut Box<dyn Stream>, data: &[u8]) -> std::io::Result<()> {
    let head = format!("{:x}\r\n", data.len());
    stream.write_all(&[head.as_bytes(), data, b"\r\n"].concat()).await?;
    stream.flush().await
}
