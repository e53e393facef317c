//! A strict, sans-I/O HTTP/1.1 codec for proxies (RFC 9110, RFC 9112).
//!
//! Bytes in, bytes out: [`HeadParser`] turns the front of a buffer into a [`RequestHead`] or a [`ResponseHead`],
//! [`BodyDecoder`] the bytes after it into pieces of a body, [`HeadWriter`] a head back into bytes. Whatever is not
//! exactly HTTP/1.1 is refused with a [`Reject`] that names the [`Rule`]; nothing is repaired, so that no two readers
//! of the same bytes can disagree on where a message ends. What is accepted keeps its bytes, its case and its order.
//!
//! This crate knows no socket, no clock and no runtime, and nothing of workspaces or policy: which fields are removed,
//! added or believed is for its caller to say.
//!
//! ```
//! use bytes::BytesMut;
//! use portway_http1::{Framing, HeadParser, Limits, Name};
//!
//! let mut parser = HeadParser::new(Limits::request());
//! let mut buf = BytesMut::from(&b"GET /a?b HTTP/1.1\r\nHost: 3000-x.example\r\n"[..]);
//! assert!(parser.request(&mut buf)?.is_none()); // more bytes are needed
//! buf.extend_from_slice(b"\r\nwhat follows");
//! let head = parser.request(&mut buf)?.ok_or("incomplete")?;
//! assert_eq!(head.target(), b"/a?b");
//! assert_eq!(head.fields().get(Name::Host), Some(&b"3000-x.example"[..]));
//! assert_eq!(head.framing(), Framing::None);
//! assert_eq!(&buf[..], b"what follows");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod limits;
mod reject;

mod body;
#[cfg(test)]
mod check;
mod fields;
mod framing;
mod head;
mod name;
mod octet;
mod parts;
mod request;
mod response;
mod target;
mod write;

pub use body::{BodyDecoder, Piece};
pub use fields::{Field, Fields};
pub use framing::Framing;
pub use head::{HeadParser, Version};
pub use limits::Limits;
pub use name::Name;
pub use reject::{Reject, Rule};
pub use request::RequestHead;
pub use response::ResponseHead;
pub use target::TargetForm;
pub use write::{CHUNK_END, HeadWriter, LAST_CHUNK, reason_phrase, write_chunk_head, write_trailers};
