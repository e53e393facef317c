//! Bodies over HTTP/2: a request's on its way in, a response's on its way out, each within the other side's window.
//!
//! Knows streams; what is asked and whether it may be is decided before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response as HttpResponse};
use portway_http1::{
    CHUNK_END, Fields, Framing, LAST_CHUNK, Limits, Reject, RequestHead, ResponseHead, Rule, write_chunk_head,
};

use super::super::edit::{Edit, Edited};
use crate::io::Duplex;
use crate::relay::visitor::{BodyFault, Progress, RequestBody, Responder};

/// The request body as it comes over HTTP/2.
pub(super) struct Body {
    pub(super) stream: RecvStream,
    pub(super) framing: Framing,
}

impl RequestBody for Body {
    const HAS_FLOOR: bool = false;

    async fn send(&mut self, to: &Duplex, progress: &Progress) -> Result<(), BodyFault> {
        let chunked = self.framing == Framing::Chunked;
        let mut out = BytesMut::new();
        while let Some(data) = self.stream.data().await {
            let data = data.map_err(|_| BodyFault::Visitor)?;
            progress.moved.set(progress.moved.get() + data.len() as u64);
            if chunked && !data.is_empty() {
                out.clear();
                write_chunk_head(&mut out, data.len());
                out.extend_from_slice(&data);
                out.extend_from_slice(CHUNK_END);
                write(to, &out, progress).await?;
            } else {
                write(to, &data, progress).await?;
            }
            // The visitor may send more only now: this is what bounds memory.
            self.stream.flow_control().release_capacity(data.len()).map_err(|_| BodyFault::Visitor)?;
        }
        let trailers = self.stream.trailers().await.map_err(|_| BodyFault::Visitor)?;
        if chunked {
            out.clear();
            match trailers {
                Some(trailers) => write_trailer_map(&trailers, &mut out).map_err(BodyFault::Malformed)?,
                None => out.extend_from_slice(LAST_CHUNK),
            }
            write(to, &out, progress).await?;
        }
        Ok(())
    }
}

async fn write(to: &Duplex, data: &[u8], progress: &Progress) -> Result<(), BodyFault> {
    let written = progress.writing(to.write_all(data)).await;
    written.map_err(|_| BodyFault::Upstream)
}

/// Trailers of a request, past the same filter as any others: they are read back as fields first.
fn write_trailer_map(trailers: &HeaderMap, out: &mut BytesMut) -> Result<(), Reject> {
    let fields = trailers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let limits = Limits::request();
    let read = RequestHead::from_parts(b"GET", b"/", b"trailers", fields, false, &limits)?;
    portway_http1::write_trailers(out, read.fields().trailer_safe());
    Ok(())
}

/// The sending half of a stream, before and after its head.
pub(super) enum Wire {
    Waiting(SendResponse<Bytes>),
    Sending(SendStream<Bytes>),
    Done,
}

impl Wire {
    /// Resolves when the visitor resets the stream.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Waiting(respond) => respond.poll_reset(cx).map(|_| ()),
            Self::Sending(stream) => stream.poll_reset(cx).map(|_| ()),
            Self::Done => Poll::Pending,
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Waiting(respond) => respond.send_reset(reason),
            Self::Sending(stream) => stream.send_reset(reason),
            Self::Done => {}
        }
    }

    /// The stream while no head has gone out.
    pub(super) fn take_waiting(wire: &RefCell<Self>) -> Option<SendResponse<Bytes>> {
        match wire.replace(Self::Done) {
            Self::Waiting(respond) => Some(respond),
            Self::Sending(_) | Self::Done => None,
        }
    }
}

/// The response as it leaves over HTTP/2.
pub(super) struct Response {
    wire: Rc<RefCell<Wire>>,
    queue: VecDeque<Bytes>,
    /// The body is complete; with these trailers.
    end: Option<Option<HeaderMap>>,
    head_only: bool,
    body: u64,
}

impl Response {
    /// The response to `head`.
    pub(super) fn new(wire: Rc<RefCell<Wire>>, head: &RequestHead) -> Self {
        Self { wire, queue: VecDeque::new(), end: None, head_only: head.method() == b"HEAD", body: 0 }
    }

    /// Body bytes that went out.
    pub(super) fn body(&self) -> u64 {
        self.body
    }
}

impl Responder for Response {
    fn interim(&mut self, head: &ResponseHead, edit: &Edit<'_>) -> Result<(), Reject> {
        // 100 is the h2 crate's own affair only when asked for; passing the dev server's on is what was asked of us.
        let response = response_of(head, edit, false)?;
        if let Wire::Waiting(respond) = &mut *self.wire.borrow_mut() {
            let _ = respond.send_informational(response);
        }
        Ok(())
    }

    fn head(&mut self, head: &ResponseHead, edit: &Edit<'_>, framing: Framing) -> Result<(), Reject> {
        // Over HTTP/2 a success opens the tunnel (RFC 8441 5), and only a 101 may do that.
        if edit.upgrade && (200..300).contains(&head.status()) {
            return Err(Rule::StatusCode.into());
        }
        let describes_absent_body = framing == Framing::None && (self.head_only || head.status() == 304);
        let mut response = response_of(head, edit, describes_absent_body)?;
        if let Framing::Length(length) = framing {
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        }
        let mut wire = self.wire.borrow_mut();
        if let Wire::Waiting(respond) = &mut *wire {
            *wire = match respond.send_response(response, framing == Framing::None) {
                Ok(_) if framing == Framing::None => Wire::Done,
                Ok(stream) => Wire::Sending(stream),
                // The visitor has reset the stream; the next flush says so.
                Err(_) => Wire::Done,
            };
        }
        Ok(())
    }

    fn data(&mut self, data: Bytes) {
        self.body += data.len() as u64;
        self.queue.push_back(data);
    }

    fn end(&mut self, trailers: Option<&Fields>) {
        self.end = Some(trailers.map(trailer_map));
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(mut data) = self.queue.pop_front() {
            poll_fn(|cx| match &mut *self.wire.borrow_mut() {
                Wire::Sending(stream) => poll_send(stream, &mut data, cx),
                Wire::Waiting(_) | Wire::Done => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            })
            .await?;
        }
        if let Some(trailers) = self.end.take()
            && let Wire::Sending(stream) = &mut *self.wire.borrow_mut()
        {
            let ended = match trailers {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            };
            ended.map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(())
    }

    fn direct(&self) -> Option<(Duplex, Rc<Progress>)> {
        None
    }

    fn moved(&mut self, _: u64) {}
}

pub(super) fn response_of(head: &ResponseHead, edit: &Edit<'_>, bodyless: bool) -> Result<HttpResponse<()>, Reject> {
    let mut response = HttpResponse::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status()).map_err(|_| Reject::from(Rule::FieldValue))?;
    let mut bad = false;
    edit.response(head.fields(), bodyless, |edited| {
        let (name, value) = match &edited {
            Edited::Kept(field) => (field.name, field.value),
            Edited::Changed(name, value) => (*name, value.as_ref()),
            Edited::Added(name, value) => (name.as_bytes(), value.as_bytes()),
        };
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                response.headers_mut().append(name, value);
            }
            (Err(_), _) | (_, Err(_)) => bad = true,
        }
    });
    if bad { Err(Reject::from(Rule::FieldValue)) } else { Ok(response) }
}

fn trailer_map(trailers: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for field in trailers.trailer_safe() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value)) {
            map.append(name, value);
        }
    }
    map
}

/// Sends `rest` as the visitor's window opens.
pub(super) fn poll_send(
    stream: &mut SendStream<Bytes>,
    rest: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = if stream.capacity() > 0 {
            stream.capacity()
        } else {
            match ready!(stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(_)) | None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        };
        if room > 0 {
            let part = rest.split_to(room.min(rest.len()));
            stream.send_data(part, false).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
    }
    Poll::Ready(Ok(()))
}
