//! A minimal WebSocket endpoint (RFC 6455) over any stream: handshake and whole frames.
//!
//! No extensions, no fragmentation, no automatic pong: a test sees and sends every frame itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf, Bytes, BytesMut};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Client;
use crate::message::Message;
use crate::patience::within;
use crate::{Stream, message};

/// Frame opcodes, RFC 6455 section 5.2.
pub mod opcode {
    /// Text frame.
    pub const TEXT: u8 = 1;
    /// Binary frame.
    pub const BINARY: u8 = 2;
    /// Close frame.
    pub const CLOSE: u8 = 8;
    /// Ping frame.
    pub const PING: u8 = 9;
    /// Pong frame.
    pub const PONG: u8 = 10;
}

/// One whole, unmasked frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`opcode`].
    pub opcode: u8,
    /// Its payload.
    pub payload: Bytes,
}

/// One end of an open WebSocket.
pub struct WebSocket {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    /// A client masks what it sends, a server must not (RFC 6455 section 5.1).
    masks: bool,
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("masks", &self.masks).finish_non_exhaustive()
    }
}

/// What every accept value is derived with, RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key of the RFC's own example: fixed, because a test needs no secrecy.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The `Sec-WebSocket-Accept` value for a key.
#[must_use]
pub fn accept_value(key: &str) -> String {
    BASE64.encode(Sha1::digest(format!("{key}{GUID}")))
}

impl WebSocket {
    /// Opens `path` on `host` over a fresh client; `extra` is whole field lines, each with CRLF.
    ///
    /// # Errors
    /// The answer, when it is not a 101 with the right accept value.
    pub async fn open(mut client: Client, host: &str, path: &str, extra: &str) -> Result<Self, Message> {
        client
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{extra}\r\n"
            ))
            .await;
        let answer = client.response_head().await.expect("an answer to the handshake");
        let accepted = answer.field("sec-websocket-accept") == Some(accept_value(KEY));
        if answer.status() != 101 || !accepted {
            return Err(answer);
        }
        let (stream, buffer) = client.into_parts();
        Ok(Self { stream, buffer, masks: true })
    }

    /// The client's side over a stream whose handshake was done in some other way (RFC 8441).
    #[must_use]
    pub fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: BytesMut::new(), masks: true }
    }

    /// The server's side of a handshake whose request head was read already.
    ///
    /// # Errors
    /// The stream's own.
    pub async fn accept(mut stream: Box<dyn Stream>, buffer: BytesMut, request: &Message) -> std::io::Result<Self> {
        let key = request.field("sec-websocket-key").unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_value(&key)
        );
        stream.write_all(answer.as_bytes()).await?;
        Ok(Self { stream, buffer, masks: false })
    }

    /// Sends one whole frame.
    ///
    /// # Errors
    /// The stream's own.
    pub async fn send(&mut self, opcode: u8, payload: &[u8]) -> std::io::Result<()> {
        /// Any mask will do for a test; zero would hide a peer that forgets to unmask.
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = BytesMut::with_capacity(payload.len() + 14);
        frame.extend_from_slice(&[0x80 | opcode]);
        let mask_bit = if self.masks { 0x80 } else { 0 };
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short), _) if short < 126 => frame.extend_from_slice(&[mask_bit | short]),
            (_, Ok(medium)) => {
                frame.extend_from_slice(&[mask_bit | 126]);
                frame.extend_from_slice(&medium.to_be_bytes());
            }
            (_, Err(_)) => {
                frame.extend_from_slice(&[mask_bit | 127]);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        if self.masks {
            frame.extend_from_slice(&MASK);
            frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend_from_slice(payload);
        }
        within("send a frame", self.stream.write_all(&frame)).await
    }

    /// Sends a text frame; panics when the peer no longer takes it.
    pub async fn send_text(&mut self, text: &str) {
        self.send(opcode::TEXT, text.as_bytes()).await.expect("send a text frame");
    }

    /// Ends this direction (FIN, or TLS `close_notify`), as a peer does after the close frames. The other may be gone.
    pub async fn finish(&mut self) {
        drop(within("half-close", self.stream.shutdown()).await);
    }

    /// The next frame; `None` when the connection ended or was reset between frames.
    pub async fn next(&mut self) -> Option<Frame> {
        within("a frame", self.read_frame()).await
    }

    /// The next frame as text; panics on any other kind, or on the end.
    pub async fn next_text(&mut self) -> String {
        let frame = self.next().await.expect("a frame before the end");
        assert_eq!(frame.opcode, opcode::TEXT, "a text frame");
        String::from_utf8(frame.payload.to_vec()).expect("UTF-8 text")
    }

    /// [`WebSocket::next`] without a bound, for a server that waits as long as its peer likes.
    pub(crate) async fn read_frame(&mut self) -> Option<Frame> {
        self.fill(2).await?;
        let (first, second) = (self.buffer[0], self.buffer[1]);
        let masked = second & 0x80 != 0;
        let (header, length) = match second & 0x7f {
            126 => {
                self.fill(4).await?;
                (4, u64::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]])))
            }
            127 => {
                self.fill(10).await?;
                (10, u64::from_be_bytes(self.buffer[2..10].try_into().expect("eight bytes")))
            }
            short => (2, u64::from(short)),
        };
        let header = header + if masked { 4 } else { 0 };
        let length = usize::try_from(length).expect("a frame that fits in memory");
        self.fill(header + length).await?;
        let mask: [u8; 4] =
            if masked { self.buffer[header - 4..header].try_into().expect("four bytes") } else { [0; 4] };
        self.buffer.advance(header);
        let mut payload = self.buffer.split_to(length);
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Some(Frame { opcode: first & 0x0f, payload: payload.freeze() })
    }

    /// Makes the buffer hold at least `wanted` bytes.
    async fn fill(&mut self, wanted: usize) -> Option<()> {
        while self.buffer.len() < wanted {
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        Some(())
    }
}

/// Answers frames with themselves until the peer closes; a close frame is echoed, then the end.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Some(frame) = socket.read_frame().await {
        let reply = match frame.opcode {
            opcode::PING => opcode::PONG,
            other => other,
        };
        if socket.send(reply, &frame.payload).await.is_err() || frame.opcode == opcode::CLOSE {
            break;
        }
    }
}

/// Serves one connection of a WebSocket echo server.
pub(crate) async fn serve_echo(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    let Some(request) = message::read_head(&mut stream, &mut buffer).await? else {
        return Ok(());
    };
    if request.field("upgrade").is_none() {
        let answer = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(answer).await;
    }
    echo(WebSocket::accept(stream, buffer, &request).await?).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_rfc_example() {
        assert_eq!(accept_value(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
