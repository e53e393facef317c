//! Reading a body off a buffer, piece by piece, as it comes (RFC 9112 6 and 7).
//!
//! Knows where a body ends and what may stand between its chunks; never holds more of it than it was given.

use bytes::{Buf, Bytes, BytesMut};

use crate::fields::Fields;
use crate::framing::Framing;
use crate::head::{FieldScan, enough, within};
use crate::limits::Limits;
use crate::octet::is_ctl;
use crate::reject::{Reject, Rule};

#[cfg(test)]
mod tests;

/// Most digits of a chunk size: what fits 64 bits.
const SIZE_DIGITS: u8 = 16;

/// What could be read of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// The next bytes of the content; never empty.
    Data(Bytes),
    /// The body is over; what is left in the buffer belongs to the next message. Trailers are given once.
    End(Option<Fields>),
    /// More bytes are needed.
    More,
}

/// Reads one body. After a refusal the connection is out of step and the decoder must not be used again.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    limits: Limits,
    /// Bytes of chunk extensions seen in this body.
    extensions: usize,
    trailers: FieldScan,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes are left.
    Length(u64),
    UntilClose,
    /// In a chunk size: digits seen, and their value.
    Size(u8, u64),
    /// In the extensions of a chunk of this size.
    Extension(u64),
    /// After the CR that ends a chunk's first line.
    SizeLf(u64),
    /// So many bytes of a chunk are left.
    Data(u64),
    /// After a chunk's data.
    DataCr,
    DataLf,
    Trailers,
    Done,
}

impl BodyDecoder {
    /// A decoder for a body with this framing.
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        let state = match framing {
            Framing::None => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, limits: limits.clone(), extensions: 0, trailers: FieldScan::default() }
    }

    /// Takes the next piece off the front of `buf`. Between two calls the buffer may only grow at its end.
    ///
    /// # Errors
    /// As soon as an octet shows that the chunks or trailers are malformed or past a limit.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Piece, Reject> {
        self.skip_chunk_lines(buf)?;
        match self.state {
            State::Length(0) | State::Done => Ok(Piece::End(None)),
            State::Trailers => Ok(self.read_trailers(buf)?),
            _ if buf.is_empty() => Ok(Piece::More),
            State::UntilClose => Ok(Piece::Data(buf.split().freeze())),
            State::Length(left) => {
                let (data, left) = take(buf, left);
                self.state = State::Length(left);
                Ok(Piece::Data(data))
            }
            State::Data(left) => {
                let (data, left) = take(buf, left);
                self.state = match left {
                    0 => State::DataCr,
                    _ => State::Data(left),
                };
                Ok(Piece::Data(data))
            }
            _ => Ok(Piece::More),
        }
    }

    /// Notes that the peer closed.
    ///
    /// # Errors
    /// [`Rule::Truncated`] unless the body was over, or ends by closing.
    pub fn eof(&mut self) -> Result<(), Reject> {
        if let State::UntilClose = self.state {
            self.state = State::Done;
        }
        if self.is_done() { Ok(()) } else { Err(Rule::Truncated.into()) }
    }

    /// True once the last byte of the body, trailers included, was taken off the buffer.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Length(0) | State::Done)
    }

    /// How many bytes of a body with a Content-Length are left, so that the caller may move them itself.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Notes that the caller moved `n` of the [`BodyDecoder::remaining`] bytes; bodies of other framings are not moved.
    pub fn advance(&mut self, n: u64) {
        if let State::Length(left) = &mut self.state {
            *left = left.saturating_sub(n);
        }
    }

    /// Takes the lines between chunks off the buffer, up to data, trailers or the end of the buffer.
    fn skip_chunk_lines(&mut self, buf: &mut BytesMut) -> Result<(), Rule> {
        let mut used = 0;
        while let Some(&b) = buf.get(used) {
            self.state = match (self.state, b) {
                (State::Size(digits, size), _) if b.is_ascii_hexdigit() => {
                    if digits == SIZE_DIGITS {
                        return Err(Rule::ChunkSize);
                    }
                    State::Size(digits + 1, size * 16 + u64::from(hex(b)))
                }
                (State::Size(1.., size), b'\r') => State::SizeLf(size),
                (State::Size(1.., size), b';') => self.extension(size)?,
                (State::Extension(size), b'\r') => State::SizeLf(size),
                (State::Size(..) | State::Extension(_) | State::DataCr, b'\n') => {
                    return Err(Rule::BareLf);
                }
                (State::Size(..), _) => return Err(Rule::ChunkSize),
                (State::Extension(_), _) if is_ctl(b) => return Err(Rule::ChunkExtension),
                (State::Extension(size), _) => self.extension(size)?,
                (State::SizeLf(0), b'\n') => State::Trailers,
                (State::SizeLf(size), b'\n') => State::Data(size),
                (State::DataCr, b'\r') => State::DataLf,
                (State::DataCr, _) => return Err(Rule::ChunkEnd),
                (State::DataLf, b'\n') => State::Size(0, 0),
                (State::SizeLf(_) | State::DataLf, _) => return Err(Rule::BareCr),
                _ => break,
            };
            used += 1;
        }
        buf.advance(used);
        Ok(())
    }

    /// Counts one byte of the extensions of a chunk of this size, and drops it.
    fn extension(&mut self, size: u64) -> Result<State, Rule> {
        if self.extensions == self.limits.chunk_extension_bytes {
            return Err(Rule::ChunkExtensionLong);
        }
        self.extensions += 1;
        Ok(State::Extension(size))
    }

    fn read_trailers(&mut self, buf: &mut BytesMut) -> Result<Piece, Rule> {
        let limit = self.limits.trailer_bytes;
        let end = self.trailers.scan(within(buf, limit), 0, self.limits.fields)?;
        let Some(end) = enough(end, buf, limit)? else {
            return Ok(Piece::More);
        };
        self.state = State::Done;
        let fields = std::mem::take(&mut self.trailers).into_fields();
        let fields = fields.seal(buf.split_to(end).freeze());
        Ok(Piece::End((!fields.is_empty()).then_some(fields)))
    }
}

/// Takes up to `left` bytes, and says how many are left then.
fn take(buf: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let length = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
    (buf.split_to(length).freeze(), left - length as u64)
}

/// The value of a hexadecimal digit.
fn hex(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => b - b'0',
        _ => (b | 0x20) - b'a' + 10,
    }
}
