//! The edge of HTTP: which protocol a fresh connection speaks, and the requests for Portway itself that both share.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use portway_core::host::{Place, PortForm};
use portway_core::workspace::Address;
use portway_http1::RequestHead;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::{forwarded, h1, h2, proxy_protocol};
use crate::core::{Core, Visit};
use crate::date::http_date;
use crate::io::{Duplex, Io, reset_on_close};
use crate::leases::Lease;
use crate::refusal::{Form, Refusal};
use crate::tls::Certificates;
use crate::upstream::{DialError, Door, ide};

/// RFC 9113 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a TLS listener needs.
#[derive(Debug)]
pub struct Tls {
    pub config: Arc<rustls::ServerConfig>,
    pub certificates: Arc<Certificates>,
}

/// Serves one connection to its end.
pub async fn serve(core: Rc<Core>, mut tcp: TcpStream, peer: IpAddr, tls: Option<Arc<Tls>>) {
    let _ = tcp.set_nodelay(true);
    crate::upstream::keep_alive(&tcp);
    let Some(peer) = visitor(&core, &mut tcp, peer, tls.is_some()).await else { return reset_on_close(&tcp) };
    let proxies = &core.settings.proxies.trusted;
    let proxies = forwarded::is_trusted(proxies, peer).then(|| proxies.clone());
    let counted = core.limits.connection(peer);
    // A proxy's connections are everybody's.
    if counted.is_none() && proxies.is_none() {
        core.ledger.limited("address-connections");
        return reset_on_close(&tcp);
    }
    let _open = core.ledger.connection(tls.is_some());
    let mut visit = Visit { peer, proxies, secure: false, http2: false, shown: None };
    let Some(tls) = tls else { return plain(core, tcp, visit).await };
    visit.secure = true;
    let handshake = TlsAcceptor::from(tls.config.clone()).accept(tcp);
    let shaken = timeout(core.settings.timeouts.tls_handshake, handshake).await;
    core.ledger.handshake(matches!(shaken, Ok(Ok(_))));
    let Ok(Ok(stream)) = shaken else { return };
    let session = stream.get_ref().1;
    let http2 = session.alpn_protocol() == Some(b"h2");
    visit.shown = session.server_name().map(|name| (name.into(), tls.certificates.clone()));
    visit.http2 = http2;
    let io = Io::Tls(Box::new(stream.into()));
    if http2 {
        h2::serve(core, visit, io).await;
    } else {
        h1::serve(core, visit, Duplex::new(io), BytesMut::new()).await;
    }
}

/// Who is at the other end: the peer, or whom a trusted proxy announces on a listener that is for proxies alone.
async fn visitor(core: &Core, tcp: &mut TcpStream, peer: IpAddr, tls: bool) -> Option<IpAddr> {
    let proxies = &core.settings.proxies;
    if !(if tls { proxies.before_tls } else { proxies.before_plain }) {
        return Some(peer);
    }
    let announced = async {
        if !forwarded::is_trusted(&proxies.trusted, peer) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        proxy_protocol::read(tcp).await
    };
    match timeout(core.settings.timeouts.request_head, announced).await {
        Ok(Ok(source)) => Some(source.map_or(peer, |ip| ip.to_canonical())),
        // It connected to look whether anybody is here.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Ok(Err(_)) | Err(_) => {
            core.ledger.rejected(400, "proxy-protocol");
            None
        }
    }
}

/// Plain connections speak HTTP/2 only by prior knowledge: the preface comes first or never.
async fn plain(core: Rc<Core>, tcp: TcpStream, mut visit: Visit) {
    let io = Duplex::new(Io::Plain(tcp));
    let mut first = BytesMut::new();
    let limit = core.settings.timeouts.keep_alive;
    while PREFACE.starts_with(&first) && first.len() < PREFACE.len() {
        let filled = tokio::select! {
            biased;
            filled = timeout(limit, io.fill(&mut first)) => filled,
            () = core.leaves() => return,
        };
        if !matches!(filled, Ok(Ok(1..))) {
            return;
        }
    }
    if !first.starts_with(PREFACE) {
        return h1::serve(core, visit, io, first).await;
    }
    visit.http2 = true;
    if let Some(io) = io.into_inner() {
        h2::serve(core, visit, Prefixed { first: first.freeze(), io }).await;
    }
}

/// Asks the control runtime.
pub async fn ask_control(
    core: &Core,
    visit: &Visit,
    place: Place,
    head: &RequestHead,
    body: Bytes,
    trace: Option<&str>,
) -> Answer {
    let form = Form::of(head, false);
    let mut request = http::Request::builder().method(head.method()).uri(head.path_and_query());
    let named = core.settings.trace_field.as_deref().zip(trace);
    for field in head.fields().iter().filter(|field| !named.is_some_and(|(name, _)| is_named(field.name, name))) {
        request = request.header(field.name, field.value);
    }
    if let Some((name, trace)) = named {
        request = request.header(name, trace);
    }
    let Ok(request) = request.body(body) else { return Refusal::NotFound.answer(form, None) };
    match core.control.request(request, place, visit.client(head)).await {
        Ok(response) => Answer::from_http(response),
        Err(_) => Refusal::Unavailable.answer(form, None),
    }
}

/// An answer of ours with the request's id, where ids are configured.
pub fn traced(core: &Core, trace: Option<&str>, mut answer: Answer) -> Answer {
    if let Some((name, trace)) = core.settings.trace_field.clone().zip(trace) {
        answer.fields.push((name.into(), trace.to_owned()));
    }
    answer
}

fn is_named(field: &[u8], name: &str) -> bool {
    field.eq_ignore_ascii_case(name.as_bytes())
}

/// Says whether the port is open, to the page that waits for it.
pub async fn probe(core: &Core, lease: &Lease) -> Answer {
    let permit = lease.permit();
    let addresses = core.dialer.addresses(permit).await;
    let open = || Answer::new(200, "open").body("application/json", "{\"open\":true}\n");
    match core.dialer.dial(permit, &addresses, Door::Port).await {
        Ok(_) => open(),
        Err(DialError::Closed) if ide::is_open(&core.dialer, permit, &core.settings).await => open(),
        Err(error) => Refusal::Dial(error, permit.port(), permit.workspace().address == Address::Loopback)
            .answer(Form::Json, None),
    }
}

/// What a visitor with a permit is told where nothing came of it; of a closed port with the way to the IDE, where one starts
/// what is missing.
pub(crate) fn refused(core: &Core, head: &RequestHead, lease: &Lease, refusal: &Refusal) -> Answer {
    let permit = lease.permit();
    if permit.is_front() && !matches!(refusal, Refusal::Malformed(_) | Refusal::RequestTimeout) {
        return Refusal::ControlUpstream.answer(Form::of(head, head.upgrade_websocket()), None);
    }
    let (names, target) = (&core.settings.names, permit.target());
    let ide = match &core.settings.ide_page {
        Some(page) => Some(page.replace("{workspace}", &permit.workspace().id)),
        None => names.url(target.domain, &target.workspace, PortForm::Default).ok().filter(|url| {
            // Not from the IDE's own port to itself.
            *url != format!("{}/", names.origin(target))
        }),
    };
    refusal.answer(Form::of(head, head.upgrade_websocket()), ide.as_deref())
}

/// The fields that every answer of ours carries, whatever it says.
pub fn finish(core: &Core, visit: &Visit, answer: Answer) -> Answer {
    let answer = answer.field("Date", http_date(core.now()));
    let hsts = core.settings.hsts;
    if visit.secure && hsts > 0 { answer.field("Strict-Transport-Security", format!("max-age={hsts}")) } else { answer }
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
struct Prefixed {
    first: Bytes,
    io: Io,
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
