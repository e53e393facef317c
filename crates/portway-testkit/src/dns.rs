//! A DNS server of a test's own: of each name it says what the test told it last, that there is no such name, or nothing.
//!
//! It knows one question in a datagram and at most one IPv4 address for a name. Resolvers of systems ask port 53 and no
//! other, so a test that starts one there needs a network of its own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// For how long an answer may be kept, as far as the server is concerned: far longer than any test goes on.
const TTL_S: u32 = 600;

/// The type of a record that is an IPv4 address.
const A: u16 = 1;

/// What is said of a name; of one that was never told of, [`Answer::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has this address, and no other of any kind.
    Address(Ipv4Addr),
    /// There is no such name.
    Unknown,
    /// Nothing, ever.
    Silence,
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    names: Arc<Mutex<Names>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Names {
    answers: HashMap<String, Answer>,
    /// How often the IPv4 address of each name was asked for.
    asked: HashMap<String, usize>,
}

impl Dns {
    /// Answers on this socket.
    ///
    /// # Panics
    /// When it is taken, or not ours to take.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("bind a DNS server to {address}: {error}"));
        let address = socket.local_addr().expect("a bound address");
        let names = Arc::new(Mutex::new(Names::default()));
        let known = Arc::clone(&names);
        let thread = std::thread::spawn(move || serve(&socket, &known));
        Self { address, names, thread: Some(thread) }
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is said of a name, in lower case and without the last dot.
    pub fn say(&self, name: &str, answer: Answer) {
        lock(&self.names).answers.insert(name.to_owned(), answer);
    }

    /// How often the IPv4 address of a name was asked for, answered or not.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        lock(&self.names).asked.get(name).copied().unwrap_or(0)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        // An empty datagram is no question: it is the end.
        let sent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        if let (Ok(_), Some(thread)) = (sent, self.thread.take()) {
            drop(thread.join());
        }
    }
}

fn serve(socket: &UdpSocket, names: &Mutex<Names>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).expect("receive a question");
        if length == 0 {
            return;
        }
        if let Some(reply) = reply(&buffer[..length], names) {
            // Whoever asked may have gone.
            drop(socket.send_to(&reply, peer));
        }
    }
}

/// What is said to a query; `None` where nothing is.
fn reply(query: &[u8], names: &Mutex<Names>) -> Option<Vec<u8>> {
    let (name, kind, question) = question(query)?;
    let answer = {
        let mut names = lock(names);
        if kind == A {
            *names.asked.entry(name.clone()).or_default() += 1;
        }
        names.answers.get(&name).copied().unwrap_or(Answer::Unknown)
    };
    let (code, address) = match answer {
        Answer::Address(address) => (0, Some(address).filter(|_| kind == A)),
        Answer::Unknown => (3, None),
        Answer::Silence => return None,
    };
    let mut reply = query[..2].to_vec();
    // A response to a recursive query, its code, and how many questions and answers follow.
    reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    reply.extend_from_slice(question);
    if let Some(address) = address {
        // The name of the question, type A, class IN.
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(TTL_S.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// Name and type of the one question of a query, and the question itself.
fn question(query: &[u8]) -> Option<(String, u16, &[u8])> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    Some((labels.join("."), u16::from_be_bytes([query[at], query[at + 1]]), question))
}

fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().expect("no test panics while it holds the names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience;

    /// A question for a type of record of `blue.test`, as id 7.
    fn query(kind: u8) -> Vec<u8> {
        let head: [u8; 12] = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&head[..], b"\x04blue\x04test\0", &[0, kind, 0, 1]].concat()
    }

    #[test]
    fn it_says_what_it_was_told_last_or_nothing() {
        let dns = Dns::on((Ipv4Addr::LOCALHOST, 0).into());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(patience())).expect("a time limit");
        let ask = |kind| {
            socket.send_to(&query(kind), dns.address()).expect("ask");
            let mut buffer = [0; 512];
            let (length, _) = socket.recv_from(&mut buffer).expect("an answer");
            buffer[..length].to_vec()
        };
        let unknown = ask(1);
        assert_eq!(unknown[..8], [0, 7, 0x81, 0x83, 0, 1, 0, 0]);
        dns.say("blue.test", Answer::Address(Ipv4Addr::new(10, 0, 0, 7)));
        let known = ask(1);
        assert_eq!(known[..8], [0, 7, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(known.ends_with(&[0, 0, 2, 88, 0, 4, 10, 0, 0, 7]), "{known:?}");
        // Of another type it has none, and nobody counts.
        assert_eq!(ask(28)[..8], [0, 7, 0x81, 0x80, 0, 1, 0, 0]);
        assert_eq!(dns.asked("blue.test"), 2);
        dns.say("blue.test", Answer::Silence);
        socket.send_to(&query(1), dns.address()).expect("ask");
        crate::eventually("the question to be heard", || dns.asked("blue.test") == 3);
        dns.say("blue.test", Answer::Unknown);
        // What comes next is the answer to this one.
        assert_eq!(ask(28)[..4], [0, 7, 0x81, 0x83]);
    }
}
