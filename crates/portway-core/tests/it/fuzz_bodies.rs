//! What must hold for any bytes at all: names, cookies, and the texts of secrets. `fuzz/` and `cargo test` share it.

use std::borrow::Cow;

use portway_core::browser::{self, Asking, Once};
use portway_core::cookie::{self, ControlCookie, CookieShape, Found};
use portway_core::host::{ControlHost, Domain, Names, Place, PortForm, Scheme};
use portway_core::secret::{Secret, SecretHash};
use portway_core::ticket::{Ticket, TicketError};
use portway_core::{dial, return_to, workspace};

fn names() -> Names {
    let domain = |name: &str, pattern: &str, scheme, port| Domain {
        name: name.to_owned(),
        pattern: pattern.parse().expect("a pattern"),
        scheme,
        port,
        default_port: 8080,
    };
    Names {
        domains: vec![
            domain("example.com", "{port}-{workspace}", Scheme::Https, 443),
            domain("a.example.com", "{workspace}--{port}", Scheme::Https, 8443),
            domain("portway.localhost", "dev-{port}-{workspace}-x", Scheme::Http, 8080),
        ],
        control: ControlHost { host: "login.example.com".to_owned(), scheme: Scheme::Https, port: 443 },
    }
}

/// Bytes as an authority, an origin, a Referer, a path to return to, and an address.
pub(crate) fn host(data: &[u8]) {
    let names = names();
    let read = names.parse(data);
    assert!(read.is_err() || data.is_ascii());
    if let Ok(Place::Workspace(target)) = &read {
        let text = String::from_utf8_lossy(data).to_ascii_lowercase();
        assert_eq!(text.split(':').next(), Some(target.host.as_str()), "the host is what was asked for");
        assert_ne!(target.host, names.control.host);
        let number = PortForm::Number { port: target.port, tls: target.tls };
        let made = [number, PortForm::Default].map(|form| names.host(target.domain, &target.workspace, form));
        assert!(made.contains(&Ok(target.host.clone())), "a name that was read is made again");
        let origin = names.origin(target);
        assert_eq!(names.parse_origin(origin.as_bytes()), Some(Place::Workspace(target.clone())));
        assert!(browser::is_sibling(&names, target, origin.as_bytes()));
        // Whatever else the bytes are, no page gets in by them but those of this workspace.
        let referer = [origin.as_bytes(), b"/x"].concat();
        let asking =
            |site| Asking { method: b"GET", referer: Once::One(&referer), site: Once::One(site), ..Asking::default() };
        assert!(browser::check(&asking(b"same-site"), browser::Policy { names: &names, embed: &[] }, target).is_ok());
    }
    if let Some(Place::Workspace(target)) = names.parse_origin(data) {
        assert_eq!(names.parse_origin(names.origin(&target).as_bytes()), Some(Place::Workspace(target)));
    }
    if return_to::is_safe(data) {
        assert!(data.starts_with(b"/") && !data.starts_with(b"//") && data.iter().all(u8::is_ascii_graphic));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        address(text);
    }
}

/// Text as a workspace's address and as a range.
fn address(text: &str) {
    if let Ok(address) = text.parse::<workspace::Address>() {
        assert_eq!(address.to_string().parse(), Ok(address), "an address is printed as it is read");
    }
    if let Ok(range) = text.parse::<dial::Cidr>() {
        assert_eq!(range.to_string().parse(), Ok(range), "a range is printed as it is read");
    }
}

/// Bytes as Cookie and as Set-Cookie.
pub(crate) fn cookie(data: &[u8]) {
    let control = ControlCookie { name: "session".to_owned(), shape: CookieShape::Text(26) };
    let ours = [cookie::SESSION, cookie::TRANSACTION, cookie::LOGIN];
    let is_control = |name: &[u8], value: &[u8]| {
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        name == b"session" && bare.len() == 26 && bare.iter().all(u8::is_ascii_alphanumeric)
    };

    let raw: Vec<&[u8]> = cookie::pairs(data).map(|pair| pair.raw).collect();
    assert_eq!(raw.join(&b';'), data, "pairs leave nothing out");

    match cookie::strip(data, Some(&control)) {
        None => assert!(!data.is_empty()),
        Some(kept) => {
            assert!(kept.len() <= data.len());
            for name in ours {
                assert_eq!(cookie::find([&*kept].into_iter(), name), Found::None, "none of ours is left");
            }
            assert!(!cookie::pairs(&kept).any(|pair| is_control(pair.name, pair.value)));
            assert_eq!(cookie::strip(&kept, Some(&control)), Some(Cow::Borrowed(&*kept)), "once is enough");
            // What is left was there, in this order.
            let mut had = cookie::pairs(data).map(|pair| (pair.name, pair.value));
            for pair in cookie::pairs(&kept) {
                assert!(had.any(|old| old == (pair.name, pair.value)), "no cookie is invented");
            }
        }
    }

    let found = cookie::find([data, data].into_iter(), cookie::SESSION);
    assert!(!matches!(found, Found::One(_)), "the same twice is two");

    if let Some(kept) = cookie::set_cookie(data) {
        assert!(kept.len() <= data.len());
        assert_eq!(cookie::set_cookie(&kept), Some(Cow::Borrowed(&*kept)), "once is enough");
        let first = cookie::pairs(&kept).next().expect("a field has a first part");
        assert!(!ours.iter().any(|name| first.name.eq_ignore_ascii_case(name.as_bytes())));
        for part in cookie::pairs(&kept).skip(1) {
            // Without `=` the whole part is the attribute's name (RFC 6265 5.2).
            let name = if part.raw.contains(&b'=') { part.name } else { part.value };
            assert!(!name.eq_ignore_ascii_case(b"domain"), "no cookie is wider than its host");
        }
    }
}

/// Bytes as the text of a secret, of a token and of a hash; and as whatever a ticket is checked against.
pub(crate) fn ticket(data: &[u8]) {
    if let Some(secret) = Secret::read(data) {
        assert_eq!(secret.text().as_bytes(), data, "a secret has one spelling");
    }
    if let Some(secret) = Secret::read_token(data) {
        assert_eq!(secret.token_text().as_bytes(), data, "a token has one spelling");
    }
    if let Some(hash) = SecretHash::read(data) {
        assert_eq!(hash.text().as_bytes(), data, "a hash has one spelling");
    }

    let nonce = Secret::new([7; 32]);
    let ticket = Ticket {
        host: "3000-a.example.com".to_owned(),
        challenge: nonce.hash(),
        user: "alice".into(),
        login: SecretHash([0; 32]),
        return_to: "/".to_owned(),
        expires_at: 100,
    };
    let given = Secret::read(data);
    let wanted = if given == Some(nonce) { Ok(()) } else { Err(TicketError::WrongBrowser) };
    assert_eq!(ticket.check(&ticket.host, given.as_ref(), 99), wanted);
    assert_eq!(ticket.check(&ticket.host, given.as_ref(), 100), Err(TicketError::Expired));
    let host = String::from_utf8_lossy(data);
    let wanted = if host == ticket.host { Ok(()) } else { Err(TicketError::WrongHost) };
    assert_eq!(ticket.check(&host, Some(&nonce), 99), wanted);
}
