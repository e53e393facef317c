//! Bodies over HTTP/1.1: a request's on its way in, a response's on its way out, each framed as its head says.

use std::io;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use portway_http1::{
    BodyDecoder, CHUNK_END, Fields, Framing, HeadWriter, LAST_CHUNK, Limits, Piece, Reject, RequestHead, ResponseHead,
    Version, write_chunk_head, write_trailers,
};

use super::super::edit::{Edit, Edited};
use super::visitor::Visitor;
use crate::io::Duplex;
use crate::relay::pump::{PumpFault, pump};
use crate::relay::visitor::{BodyFault, Progress, RequestBody, Responder};

/// Queued bytes beyond which a writer waits.
const QUEUE: usize = 64 * 1024;

/// The request body as it comes over HTTP/1.1.
pub(super) struct Body<'a> {
    visitor: &'a Visitor,
    framing: Framing,
}

impl<'a> Body<'a> {
    pub(super) fn new(visitor: &'a Visitor, framing: Framing) -> Self {
        Self { visitor, framing }
    }
}

impl RequestBody for Body<'_> {
    const HAS_FLOOR: bool = true;

    async fn send(&mut self, to: &Duplex, progress: &Progress) -> Result<(), BodyFault> {
        let chunked = self.framing == Framing::Chunked;
        let mut decoder = BodyDecoder::new(self.framing, &Limits::request());
        let mut out = BytesMut::new();
        loop {
            let piece = decoder.decode(&mut self.visitor.buf.borrow_mut()).map_err(BodyFault::Malformed)?;
            match piece {
                Piece::Data(data) => {
                    progress.moved.set(progress.moved.get() + data.len() as u64);
                    if chunked {
                        write_chunk_head(&mut out, data.len());
                        out.extend_from_slice(&data);
                        out.extend_from_slice(CHUNK_END);
                    } else {
                        out.extend_from_slice(&data);
                    }
                    if out.len() >= QUEUE {
                        flush(to, &mut out, progress).await?;
                    }
                }
                Piece::End(trailers) => {
                    match trailers {
                        Some(trailers) => write_trailers(&mut out, trailers.trailer_safe()),
                        None if chunked => out.extend_from_slice(LAST_CHUNK),
                        None => {}
                    }
                    return flush(to, &mut out, progress).await;
                }
                Piece::More => {
                    flush(to, &mut out, progress).await?;
                    match decoder.remaining() {
                        Some(left) if self.visitor.buf.borrow().is_empty() => {
                            let moved =
                                pump(&self.visitor.io, to, left, progress, None).await.map_err(
                                    |fault| match fault {
                                        PumpFault::From(_) => BodyFault::Visitor,
                                        PumpFault::To(_) => BodyFault::Upstream,
                                    },
                                )?;
                            decoder.advance(moved);
                            if moved < left {
                                return Err(BodyFault::Visitor);
                            }
                        }
                        Some(_) | None => {
                            if !matches!(self.visitor.fill().await, Ok(1..)) {
                                return Err(BodyFault::Visitor);
                            }
                        }
                    }
                }
            }
        }
    }
}

async fn flush(to: &Duplex, out: &mut BytesMut, progress: &Progress) -> Result<(), BodyFault> {
    if out.is_empty() {
        return Ok(());
    }
    let sent = progress.writing(to.write_all(out)).await;
    out.clear();
    sent.map_err(|_| BodyFault::Upstream)
}

/// The response as it leaves over HTTP/1.1.
pub(super) struct Response<'a> {
    visitor: &'a Visitor,
    out: BytesMut,
    http11: bool,
    head_only: bool,
    /// This response is the connection's last.
    close: bool,
    chunked: bool,
    body: u64,
}

impl<'a> Response<'a> {
    /// The response to `head`; with `close` it is the connection's last.
    pub(super) fn new(visitor: &'a Visitor, head: &RequestHead, close: bool) -> Self {
        Self {
            visitor,
            out: BytesMut::new(),
            http11: head.version() == Version::Http11,
            head_only: head.method() == b"HEAD",
            close,
            chunked: false,
            body: 0,
        }
    }

    /// Whether the connection ends with it.
    pub(super) fn closes(&self) -> bool {
        self.close
    }

    /// Body bytes that went out, without framing.
    pub(super) fn body(&self) -> u64 {
        self.body
    }
}

impl Responder for Response<'_> {
    fn interim(&mut self, head: &ResponseHead, edit: &Edit<'_>) -> Result<(), Reject> {
        if !self.http11 {
            return Ok(());
        }
        let mut writer = HeadWriter::response(&mut self.out, head.status(), head.reason())?;
        put_fields(&mut writer, head.fields(), edit, false)?;
        writer.finish();
        Ok(())
    }

    fn head(&mut self, head: &ResponseHead, edit: &Edit<'_>, framing: Framing) -> Result<(), Reject> {
        let mut writer = HeadWriter::response(&mut self.out, head.status(), head.reason())?;
        let describes_absent_body = framing == Framing::None && (self.head_only || head.status() == 304);
        put_fields(&mut writer, head.fields(), edit, describes_absent_body)?;
        match framing {
            Framing::None => {}
            Framing::Length(length) => writer.put_length(length),
            Framing::Chunked | Framing::UntilClose if self.http11 => {
                self.chunked = true;
                writer.put("Transfer-Encoding", "chunked")?;
            }
            Framing::Chunked | Framing::UntilClose => self.close = true,
        }
        if self.close {
            writer.put("Connection", "close")?;
        }
        writer.finish();
        Ok(())
    }

    fn data(&mut self, data: Bytes) {
        self.body += data.len() as u64;
        if self.chunked {
            write_chunk_head(&mut self.out, data.len());
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(CHUNK_END);
        } else {
            self.out.extend_from_slice(&data);
        }
    }

    fn end(&mut self, trailers: Option<&Fields>) {
        if self.chunked {
            match trailers {
                Some(trailers) => write_trailers(&mut self.out, trailers.trailer_safe()),
                None => self.out.extend_from_slice(LAST_CHUNK),
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.visitor.io.write_all(&self.out).await?;
            self.visitor.sent.moved.set(self.visitor.sent.moved.get() + self.out.len() as u64);
            self.out.clear();
        }
        Ok(())
    }

    fn direct(&self) -> Option<(Duplex, Rc<Progress>)> {
        (!self.chunked).then(|| (self.visitor.io.clone(), self.visitor.sent.clone()))
    }

    fn moved(&mut self, bytes: u64) {
        self.body += bytes;
    }
}

/// Writes the edited fields of a response.
pub(super) fn put_fields(
    writer: &mut HeadWriter<'_>,
    fields: &Fields,
    edit: &Edit<'_>,
    bodyless: bool,
) -> Result<(), Reject> {
    let mut result = Ok(());
    edit.response(fields, bodyless, |edited| {
        let put = match edited {
            Edited::Kept(field) => {
                writer.copy(field);
                Ok(())
            }
            Edited::Changed(name, value) => writer.put(name, &value),
            Edited::Added(name, value) => writer.put(name, &value),
        };
        if put.is_err() {
            result = put;
        }
    });
    result
}
