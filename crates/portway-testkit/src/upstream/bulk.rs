//! An upstream for large bodies: it makes and hashes gigabytes without holding them.
//!
//! `GET /bytes/N` answers N bytes with a length, `GET /chunked/N` in chunks; any other request has
//! its body hashed and is answered `LENGTH SHA256`. Every block carries its own number, so that a
//! lost, doubled or swapped block changes the hash.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::Server;
use crate::message::{self, BodyReader};
use crate::{Message, Stream};

/// Bytes in one block of the pattern.
const BLOCK: usize = 64 * 1024;

/// A bulk upstream on a fresh loopback port.
#[derive(Debug)]
pub struct Bulk {
    server: Server,
}

impl Bulk {
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
}

/// The block of the pattern with this number, at most `left` bytes of it.
#[must_use]
pub fn block(number: u64, left: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(BLOCK);
    bytes.extend_from_slice(&number.to_be_bytes());
    while bytes.len() < BLOCK {
        // xorshift64: cheap, and no two blocks alike.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
    bytes
}

/// SHA-256 in hex of the pattern's first `length` bytes.
#[must_use]
pub fn digest_of(length: u64) -> String {
    let mut hash = Sha256::new();
    for (number, left) in blocks(length) {
        hash.update(block(number, left));
    }
    hex(&hash.finalize())
}

/// The numbers of the pattern's blocks, each with the bytes left from its beginning on.
fn blocks(length: u64) -> impl Iterator<Item = (u64, u64)> {
    let size = BLOCK as u64;
    (0..length.div_ceil(size)).map(move |number| (number, length - number * size))
}

async fn serve(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(request) = message::read_head(&mut stream, &mut buffer).await? {
        match wanted(&request) {
            Some((length, chunked)) => send(&mut stream, length, chunked).await?,
            None => receive(&mut stream, &mut buffer, &request).await?,
        }
        stream.flush().await?;
    }
    Ok(())
}

/// How many bytes a request asks for, and whether in chunks.
fn wanted(request: &Message) -> Option<(u64, bool)> {
    let line = request.start_line();
    let (kind, length) = line.split(' ').nth(1)?.strip_prefix('/')?.split_once('/')?;
    let length = length.parse().ok()?;
    match kind {
        "bytes" => Some((length, false)),
        "chunked" => Some((length, true)),
        _ => None,
    }
}

async fn send(stream: &mut Box<dyn Stream>, length: u64, chunked: bool) -> std::io::Result<()> {
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    for (number, left) in blocks(length) {
        let data = block(number, left);
        if chunked {
            let size = format!("{:x}\r\n", data.len());
            stream.write_all(&[size.as_bytes(), &data, b"\r\n"].concat()).await?;
        } else {
            stream.write_all(&data).await?;
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

async fn receive(stream: &mut Box<dyn Stream>, buffer: &mut BytesMut, request: &Message) -> std::io::Result<()> {
    let mut body = BodyReader::new(request.request_length());
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    buffer.reserve(BLOCK);
    while let Some(piece) = body.next(stream, buffer).await? {
        hash.update(&piece);
        length += piece.len() as u64;
        buffer.reserve(BLOCK);
    }
    let text = format!("{length} {}", hex(&hash.finalize()));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).await
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text grows");
        text
    })
}
