//! A deliberately liberal reader of HTTP/1.1 messages, for both ends of a test.
//!
//! It keeps the raw bytes beside the parts, judges nothing, and knows neither the gateway's codec
//! nor its rules: what the strict codec refuses must still be visible to a test.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// One request or response: its head byte for byte, and its body with framing removed.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Start line and field lines up to and including the empty line.
    pub head: Bytes,
    /// The content, without chunk framing.
    pub body: Bytes,
    /// The trailer section byte for byte (empty without one).
    pub trailers: Bytes,
}

/// How a message says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// `Content-Length`, or nothing at all (zero).
    Known(u64),
    /// `Transfer-Encoding` that names `chunked`.
    Chunked,
    /// The end of the connection.
    ToClose,
}

impl Message {
    /// The first line, without its line end.
    #[must_use]
    pub fn start_line(&self) -> String {
        self.lines().next().unwrap_or_default()
    }

    /// The status of a response; panics on anything else.
    #[must_use]
    pub fn status(&self) -> u16 {
        let line = self.start_line();
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        status.unwrap_or_else(|| panic!("not a status line: {line:?}"))
    }

    /// All field lines in order, names as they were spelled.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        self.lines()
            .skip(1)
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_owned(), value.trim().to_owned()))
            })
            .collect()
    }

    /// Every value of the field `name`, ignoring case, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let fields = self.fields().into_iter();
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The first value of the field `name`, ignoring case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The body as text (invalid UTF-8 replaced).
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// How the fields frame a request's body.
    #[must_use]
    pub fn request_length(&self) -> Length {
        self.declared_length().unwrap_or(Length::Known(0))
    }

    /// How the fields frame the body of a response to `method`.
    #[must_use]
    pub fn response_length(&self, method: &str) -> Length {
        let status = self.status();
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Length::Known(0);
        }
        self.declared_length().unwrap_or(Length::ToClose)
    }

    fn declared_length(&self) -> Option<Length> {
        let codings = self.all("transfer-encoding").join(",").to_ascii_lowercase();
        if codings.contains("chunked") {
            return Some(Length::Chunked);
        }
        self.field("content-length").and_then(|value| value.parse().ok()).map(Length::Known)
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        text.split("\r\n").map(str::to_owned).collect::<Vec<_>>().into_iter()
    }
}

/// Reads one head; `None` when the peer ended before its first byte.
///
/// # Errors
/// The stream's own, and `UnexpectedEof` for an end inside the head.
pub async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> std::io::Result<Option<Message>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let head = buffer.split_to(end + 4).freeze();
            return Ok(Some(Message { head, ..Message::default() }));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Reads a body piece by piece, as its bytes arrive.
#[derive(Debug)]
pub struct BodyReader {
    length: Length,
    /// Bytes left of a known length or of the current chunk.
    left: u64,
    done: bool,
    /// The trailer section, once the body is done.
    pub trailers: Bytes,
}

impl BodyReader {
    /// A reader for a body of this length.
    #[must_use]
    pub fn new(length: Length) -> Self {
        let left = match length {
            Length::Known(n) => n,
            Length::Chunked => 0,
            Length::ToClose => u64::MAX,
        };
        Self { length, left, done: length == Length::Known(0), trailers: Bytes::new() }
    }

    /// The next bytes of content; `None` at the body's proper end.
    ///
    /// # Errors
    /// The stream's own; `UnexpectedEof` for a cut body, `InvalidData` for a broken chunk.
    pub async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> std::io::Result<Option<Bytes>> {
        while !self.done {
            if self.length == Length::Chunked && self.left == 0 {
                self.chunk_head(stream, buffer).await?;
                continue;
            }
            if buffer.is_empty() && stream.read_buf(buffer).await? == 0 {
                if self.length == Length::ToClose {
                    break;
                }
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let size = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let piece = buffer.split_to(size).freeze();
            if self.length != Length::ToClose {
                self.left -= size as u64;
            }
            if self.left == 0 {
                match self.length {
                    Length::Chunked => drop(take_line(stream, buffer).await?),
                    Length::Known(_) | Length::ToClose => self.done = true,
                }
            }
            return Ok(Some(piece));
        }
        Ok(None)
    }

    async fn chunk_head(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> std::io::Result<()> {
        let line = take_line(stream, buffer).await?;
        let text = String::from_utf8_lossy(&line);
        let digits = text.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| {
            let message = format!("not a chunk size: {text:?}");
            std::io::Error::new(std::io::ErrorKind::InvalidData, message)
        })?;
        self.left = size;
        if size == 0 {
            let mut trailers = BytesMut::new();
            loop {
                let line = take_line(stream, buffer).await?;
                if line.is_empty() {
                    break;
                }
                trailers.extend_from_slice(&line);
                trailers.extend_from_slice(b"\r\n");
            }
            self.trailers = trailers.freeze();
            self.done = true;
        }
        Ok(())
    }
}

/// Reads a whole body into `message`.
///
/// # Errors
/// As [`BodyReader::next`].
pub async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    message: &mut Message,
    length: Length,
) -> std::io::Result<()> {
    let mut reader = BodyReader::new(length);
    let mut body = BytesMut::new();
    while let Some(piece) = reader.next(stream, buffer).await? {
        body.extend_from_slice(&piece);
    }
    message.body = body.freeze();
    message.trailers = reader.trailers;
    Ok(())
}

/// Where `needle` first begins in `hay`.
#[must_use]
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

async fn take_line(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> std::io::Result<Bytes> {
    loop {
        if let Some(end) = find(buffer, b"\r\n") {
            let line = buffer.split_to(end).freeze();
            buffer.advance(2);
            return Ok(line);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &'static [u8]) -> std::io::Result<Message> {
        let (mut stream, mut buffer) = (bytes, BytesMut::new());
        let mut message = read_head(&mut stream, &mut buffer).await?.expect("a head");
        let length = message.response_length("GET");
        read_body(&mut stream, &mut buffer, &mut message, length).await?;
        Ok(message)
    }

    #[tokio::test]
    async fn chunks_are_joined_and_trailers_kept() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n";
        let message = read(bytes).await.expect("whole");
        assert_eq!(message.text(), "abcde");
        assert_eq!(&message.trailers[..], b"T: 1\r\n");
    }

    #[tokio::test]
    async fn a_body_cut_short_is_an_error() {
        let error = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_body_without_length_goes_to_the_end() {
        let message = read(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of it").await.expect("whole");
        assert_eq!(message.text(), "all of it");
        assert_eq!(message.field("x").as_deref(), Some("y"));
    }
}
