//! A person's browser, as far as a test without one needs it: cookies per host, navigations that
//! follow redirects, forms. Every host name leads to one gateway address.
//!
//! It knows no path and no cookie of the gateway's; the links and redirects it is given tell it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::{Client, Message};

/// As many redirects as browsers follow.
const REDIRECTS: usize = 20;

/// One person's browser profile.
#[derive(Clone, Debug)]
pub struct Visitor {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    /// Cookies by host name; every cookie here is host-only.
    jar: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a navigation ended.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The URL of the last answer.
    pub url: String,
    /// The last answer.
    pub answer: Message,
}

/// The parts of an absolute `http` or `https` URL.
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    host: &'a str,
    path: &'a str,
}

impl Visitor {
    /// A fresh profile for the gateway at this plain HTTP address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, tls: None, jar: BTreeMap::new() }
    }

    /// A fresh profile for the gateway at this TLS address.
    #[must_use]
    pub fn over_tls(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self { address, tls: Some(config), jar: BTreeMap::new() }
    }

    /// The same person, whom a balancer sends to another gateway from now on.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// Types `url` into the address bar and follows nothing.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn step(&mut self, url: &str) -> Message {
        let answer = self.request("GET", url, None, "none").await.expect("a whole response");
        self.remember(parse(url).host, &answer);
        answer
    }

    /// Types `url` into the address bar and follows where it leads.
    pub async fn open(&mut self, url: &str) -> Arrived {
        self.navigate("GET", url, None, "none").await
    }

    /// Presses the button of a form on the page `url` that is sent back to it.
    pub async fn submit(&mut self, url: &str, form: &str) -> Arrived {
        self.navigate("POST", url, Some(form), "same-origin").await
    }

    /// [`Visitor::open`], agreeing to visit somebody else's port where that is asked.
    pub async fn agree(&mut self, url: &str) -> Arrived {
        let arrived = self.open(url).await;
        match arrived.url.split_once("/.portway/authorize?") {
            Some((control, asked)) if arrived.answer.text().contains("action=\"/.portway/consent\"") => {
                self.submit(&format!("{control}/.portway/consent"), asked).await
            }
            _ => arrived,
        }
    }

    /// Logs in by a one-time link.
    ///
    /// # Panics
    /// When the link does not log in.
    pub async fn log_in(&mut self, link: &str) {
        let before = self.jar.clone();
        let arrived = self.submit(link, "").await;
        assert!(self.jar != before, "{link} set no cookie: {}", arrived.answer.start_line());
    }

    /// Opens `url` and gives the `Cookie` value that its host then wants.
    ///
    /// # Panics
    /// When the visit ends anywhere else than at `url`.
    pub async fn session_for(&mut self, url: &str) -> String {
        let arrived = self.open(url).await;
        let status = arrived.answer.start_line();
        assert_eq!(arrived.url, url, "the visit ended elsewhere: {status}");
        self.cookies(parse(url).host)
    }

    /// Keeps a cookie as if `host` had set it.
    pub fn keep(&mut self, host: &str, name: &str, value: &str) {
        self.jar.entry(host.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// The `Cookie` value for a host; empty without any.
    #[must_use]
    pub fn cookies(&self, host: &str) -> String {
        let cookies = self.jar.get(host).into_iter().flatten();
        cookies.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn navigate(&mut self, method: &str, url: &str, form: Option<&str>, site: &str) -> Arrived {
        let (mut method, mut url, mut form) = (method, url.to_owned(), form);
        for _ in 0..REDIRECTS {
            let answer = match self.request(method, &url, form, site).await {
                // A change of access cuts an answer under way; a person loads the page again, and that answer tells.
                Err(_) if method == "GET" => self.request(method, &url, form, site).await,
                answer => answer,
            };
            let answer = answer.expect("a whole response");
            self.remember(parse(&url).host, &answer);
            let location = answer.field("location");
            let Some(location) = location.filter(|_| (300..400).contains(&answer.status())) else {
                return Arrived { url, answer };
            };
            url = absolute(&url, &location);
            if answer.status() < 307 {
                (method, form) = ("GET", None);
            }
        }
        panic!("more than {REDIRECTS} redirects, the last to {url}");
    }

    async fn request(&self, method: &str, url: &str, form: Option<&str>, site: &str) -> std::io::Result<Message> {
        let Url { scheme, authority, host, path } = parse(url);
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/html\r\n\
             Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
             Sec-Fetch-User: ?1\r\nConnection: close\r\n"
        );
        let cookies = self.cookies(host);
        if !cookies.is_empty() {
            head.push_str(&format!("Cookie: {cookies}\r\n"));
        }
        if let Some(form) = form {
            head.push_str(&format!(
                "Origin: {scheme}://{authority}\r\nContent-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n",
                form.len()
            ));
        }
        let request = format!("{head}\r\n{}", form.unwrap_or_default());
        let mut client = match &self.tls {
            None => Client::connect(self.address).await,
            Some(config) => Client::connect_tls(self.address, host, Arc::clone(config)).await,
        };
        client.send(request).await;
        client.response(method).await
    }

    fn remember(&mut self, host: &str, answer: &Message) {
        let jar = self.jar.entry(host.to_owned()).or_default();
        for line in answer.all("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((&line, ""));
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let expired = attributes.split(';').any(|one| one.trim().eq_ignore_ascii_case("max-age=0"));
            if expired {
                jar.remove(name.trim());
            } else {
                jar.insert(name.trim().to_owned(), value.to_owned());
            }
        }
    }
}

fn parse(url: &str) -> Url<'_> {
    let (scheme, rest) = url.split_once("://").unwrap_or_else(|| panic!("not absolute: {url}"));
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    Url { scheme, authority, host, path: if path.is_empty() { "/" } else { path } }
}

fn absolute(base: &str, location: &str) -> String {
    if location.starts_with('/') {
        let Url { scheme, authority, .. } = parse(base);
        return format!("{scheme}://{authority}{location}");
    }
    location.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Recorder, Step};

    #[tokio::test]
    async fn redirects_and_cookies_are_followed_per_host() {
        let answers = [
            "HTTP/1.1 302 Found\r\nSet-Cookie: n=1; Path=/\r\nLocation: http://b.test/in?x\r\n\
             Content-Length: 0\r\n\r\n",
            "HTTP/1.1 303 See Other\r\nSet-Cookie: m=2; Path=/\r\nLocation: http://a.test/\r\n\
             Content-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ];
        let scripts = answers.map(|answer| vec![Step::ReadRequest, Step::write(answer)]);
        let server = Recorder::start_with(None, scripts.to_vec()).await;
        let mut visitor = Visitor::new(server.address());
        let arrived = visitor.open("http://a.test/").await;
        assert_eq!((arrived.url.as_str(), arrived.answer.text().as_str()), ("http://a.test/", "hi"));
        let sent: Vec<_> = server.connections().into_iter().map(|one| one.bytes).collect();
        let sent = sent.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect::<Vec<_>>();
        assert!(sent[1].starts_with("GET /in?x HTTP/1.1\r\nHost: b.test\r\n"), "{}", sent[1]);
        assert!(!sent[1].contains("Cookie:"), "a cookie crossed hosts: {}", sent[1]);
        assert!(sent[2].contains("Cookie: n=1\r\n"), "{}", sent[2]);
    }
}
