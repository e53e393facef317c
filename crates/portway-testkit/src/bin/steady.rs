//! Good traffic for `bench/attacks`: requests at a fixed rate, each timed from when it was due.
//!
//! `steady --to ADDRESS --host NAME [--from IP] [--connections 32] [--rate 500] [--seconds 15]` sends GET requests over
//! HTTP/1.1 and TLS on connections that it keeps, and prints one line of JSON. The rate does not follow the answers: what a
//! slow answer holds up counts as slow as well. An answer other than 200, or none within ten seconds, is a failure; a kept
//! connection that the server has closed is none, as for a browser: the request is sent again, once.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "dev-only program: it prints, and a failure is its end")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portway_testkit::tls;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);

struct Where {
    to: SocketAddr,
    host: String,
    from: IpAddr,
    config: Arc<ClientConfig>,
}

#[derive(Default)]
struct Tally {
    micros: Vec<u64>,
    failed: u64,
    again: u64,
    faults: BTreeMap<String, u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let options: BTreeMap<String, String> =
        std::iter::from_fn(|| Some((words.next()?, words.next().expect("a value")))).collect();
    let option = |name: &str, default: &str| options.get(name).map_or(default, String::as_str).to_owned();
    let number = |name, default| option(name, default).parse::<u32>().expect("a number");
    let place = Arc::new(Where {
        to: option("--to", "").parse().expect("--to ADDRESS"),
        host: option("--host", "localhost"),
        from: option("--from", "127.0.0.1").parse().expect("--from IP"),
        config: tls::trusting(&["http/1.1"]),
    });
    let (connections, rate) = (number("--connections", "32"), number("--rate", "500"));
    let pause = Duration::from_secs(1) * connections / rate;
    let began = Instant::now();
    let end = began + Duration::from_secs(number("--seconds", "15").into());
    let visitors: Vec<_> = (0..connections)
        .map(|n| tokio::spawn(visitor(place.clone(), began + pause * n / connections, pause, end)))
        .collect();
    let mut sum = Tally::default();
    for visitor in visitors {
        let one = visitor.await.expect("a visitor");
        sum.micros.extend(one.micros);
        sum.failed += one.failed;
        sum.again += one.again;
        one.faults.into_iter().for_each(|(fault, times)| *sum.faults.entry(fault).or_default() += times);
    }
    sum.micros.sort_unstable();
    let quantile = |hundredths: usize| {
        sum.micros.get((sum.micros.len() * hundredths / 100).min(sum.micros.len().saturating_sub(1)))
    };
    let json = serde_json::json!({
        "answered": sum.micros.len(), "failed": sum.failed, "again": sum.again, "faults": sum.faults,
        "p50_us": quantile(50), "p99_us": quantile(99), "max_us": quantile(100),
    });
    println!("{json}");
}

async fn visitor(place: Arc<Where>, first: Instant, pause: Duration, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    let mut due = first;
    while due < end {
        sleep_until(due).await;
        let reused = kept.is_some();
        let mut answer = ask(&place, &mut kept).await;
        if answer.is_err() && reused {
            tally.again += 1;
            answer = ask(&place, &mut kept).await;
        }
        match answer {
            Ok(()) => tally.micros.push(u64::try_from(due.elapsed().as_micros()).expect("not so long")),
            Err(error) => {
                tally.failed += 1;
                *tally.faults.entry(error.to_string()).or_default() += 1;
            }
        }
        due += pause;
    }
    tally
}

async fn ask(place: &Where, kept: &mut Option<TlsStream<TcpStream>>) -> io::Result<()> {
    let asked = async {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(place).await?,
        };
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n", place.host);
        stream.write_all(request.as_bytes()).await?;
        if answer(&mut stream).await? {
            *kept = Some(stream);
        }
        Ok(())
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect(place: &Where) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((place.from, 0).into())?;
    let tcp = socket.connect(place.to).await?;
    tcp.set_nodelay(true)?;
    tls::connect(place.config.clone(), &place.host, tcp).await
}

/// Reads an answer with a Content-Length; whether the connection is kept.
async fn answer(stream: &mut TlsStream<TcpStream>) -> io::Result<bool> {
    let mut buffer = Vec::with_capacity(4096);
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(io::Error::other(format!("status {status}")));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    while buffer.len() < head + length {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(!text.contains("\r\nconnection: close"))
}
