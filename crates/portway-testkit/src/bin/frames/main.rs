//! An attacker for `bench/attacks`: hand-made frames and bytes over many connections, at a rate.
//!
//! `frames ATTACK --to ADDRESS --host NAME [--from IP] [--connections 100] [--seconds 15] [--rate 50000]` takes so many steps
//! of the attack a second over all of its connections, opens a connection again that was cut (a tenth of a second after it
//! was opened, at the earliest), and prints one line of JSON in the end. `frames list` prints the attacks. It judges nothing.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "dev-only program: it prints, and a failure is its end")]

mod attacks;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use attacks::{ATTACKS, Attack, Layer, Pace, Reading};
use portway_testkit::frames::{ACK, SETTINGS};
use portway_testkit::{Stream, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use wire::{Script, Seen};

/// Steps are taken in bursts.
const TICK: Duration = Duration::from_millis(100);
/// For what the server said before it cut the connection.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Args {
    to: SocketAddr,
    host: String,
    from: IpAddr,
    connections: u32,
    seconds: u64,
    rate: u32,
}

/// What one attacking connection, opened again and again, did and saw.
#[derive(Default)]
struct Tally {
    opened: u64,
    /// Could not be opened.
    refused: u64,
    frames: u64,
    sent: u64,
    received: u64,
    resets: u64,
    goaway: BTreeMap<u32, u64>,
    /// Frames and milliseconds of each connection that the server cut.
    cuts: Vec<(u64, u64)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().expect("an attack, or `list`");
    if name == "list" {
        return ATTACKS.iter().for_each(|attack| println!("{}", attack.name));
    }
    let attack = ATTACKS.iter().find(|attack| attack.name == name).expect("an attack of `frames list`");
    let options: BTreeMap<String, String> =
        std::iter::from_fn(|| Some((words.next()?, words.next().expect("a value")))).collect();
    let option = |name: &str, default: &str| options.get(name).map_or(default, String::as_str).to_owned();
    let number = |name, default| option(name, default).parse().expect("a number");
    let args = Arc::new(Args {
        to: option("--to", "").parse().expect("--to ADDRESS"),
        host: option("--host", "localhost"),
        from: option("--from", "127.0.0.1").parse().expect("--from IP"),
        connections: number("--connections", "100"),
        seconds: number("--seconds", "15").into(),
        rate: number("--rate", "50000"),
    });
    let deadline = Instant::now() + Duration::from_secs(args.seconds);
    let attackers: Vec<_> =
        (0..args.connections).map(|_| tokio::spawn(attacker(attack, args.clone(), deadline))).collect();
    let mut sum = Tally::default();
    for attacker in attackers {
        sum.add(attacker.await.expect("an attacker"));
    }
    println!("{}", sum.json());
}

async fn attacker(attack: &'static Attack, args: Arc<Args>, deadline: Instant) -> Tally {
    let mut tally = Tally::default();
    let alpn: &[&str] = if attack.layer == Layer::Http2 { &["h2"] } else { &["http/1.1"] };
    let tls = (attack.layer != Layer::Tcp).then(|| tls::trusting(alpn));
    while Instant::now() < deadline {
        let began = Instant::now();
        match timeout_at(deadline, connect(&args, tls.clone(), attack.reading)).await {
            Ok(Ok(stream)) => {
                tally.opened += 1;
                connection(attack, &args, stream, deadline, &mut tally).await;
            }
            Ok(Err(_)) => tally.refused += 1,
            Err(_) => break,
        }
        sleep_until(deadline.min(began + TICK)).await;
    }
    tally
}

async fn connect(args: &Args, tls: Option<Arc<rustls::ClientConfig>>, reading: Reading) -> io::Result<Box<dyn Stream>> {
    let socket = TcpSocket::new_v4()?;
    if reading != Reading::Eager {
        socket.set_recv_buffer_size(4096)?;
    }
    socket.bind((args.from, 0).into())?;
    let tcp = socket.connect(args.to).await?;
    tcp.set_nodelay(true)?;
    Ok(match tls {
        Some(config) => Box::new(tls::connect(config, &args.host, tcp).await?),
        None => Box::new(tcp),
    })
}

/// One connection, until the server cuts it or the time is up.
async fn connection(attack: &Attack, args: &Args, stream: Box<dyn Stream>, deadline: Instant, tally: &mut Tally) {
    let (from, to) = tokio::io::split(stream);
    let began = Instant::now();
    let mut script = Script::new(&args.host);
    let (mut seen, mut sent, mut received) = (Seen::default(), 0, 0);
    let (greeted, greeting) = oneshot::channel();
    let cut = {
        let reading = read(attack, from, &mut seen, &mut received, greeted);
        tokio::pin!(reading);
        tokio::select! {
            () = &mut reading => true,
            _ = write(attack, args, to, &mut script, &mut sent, greeting) => {
                let _ = timeout(LAST_WORDS, reading).await;
                true
            }
            () = sleep_until(deadline) => false,
        }
    };
    if cut {
        let millis = u64::try_from(began.elapsed().as_millis()).expect("not so long");
        tally.cuts.push((script.frames, millis));
    }
    tally.frames += script.frames;
    tally.sent += sent;
    tally.received += received;
    tally.resets += seen.resets;
    seen.goaway.into_iter().for_each(|(code, times)| *tally.goaway.entry(code).or_default() += times);
}

/// Writes until it cannot.
async fn write(
    attack: &Attack,
    args: &Args,
    mut to: WriteHalf<Box<dyn Stream>>,
    script: &mut Script,
    sent: &mut u64,
    greeting: oneshot::Receiver<()>,
) -> io::Result<()> {
    let http2 = attack.layer == Layer::Http2;
    (attack.open)(script);
    send(&mut to, script, sent).await?;
    if http2 {
        greeting.await.map_err(|_| io::ErrorKind::UnexpectedEof)?;
        script.frame(SETTINGS, ACK, 0, &[]);
    }
    let burst =
        (u64::from(args.rate) * u64::try_from(TICK.as_millis()).expect("short") / 1000 / u64::from(args.connections))
            .max(1);
    let (pause, burst, mut left) = match attack.pace {
        Pace::Flood => (TICK, burst, u64::MAX),
        Pace::Hold(most) => (TICK, burst, most),
        Pace::Slow => (Duration::from_secs(1), 1, u64::MAX),
    };
    let mut next = Instant::now();
    loop {
        for _ in 0..burst.min(left) {
            (attack.step)(script);
        }
        left = left.saturating_sub(burst);
        send(&mut to, script, sent).await?;
        // What the server does not take in time is not made up for.
        next = (next + pause).max(Instant::now());
        sleep_until(next).await;
    }
}

async fn send(to: &mut WriteHalf<Box<dyn Stream>>, script: &mut Script, sent: &mut u64) -> io::Result<()> {
    let mut rest = &script.out[..];
    while !rest.is_empty() {
        let written = to.write(rest).await?;
        *sent += written as u64;
        rest = &rest[written..];
    }
    script.out.clear();
    to.flush().await
}

/// Reads until the connection ends.
async fn read(
    attack: &Attack,
    mut from: ReadHalf<Box<dyn Stream>>,
    seen: &mut Seen,
    received: &mut u64,
    greeted: oneshot::Sender<()>,
) {
    let mut greeted = Some(greeted);
    let slow = attack.reading == Reading::Slow;
    let mut buffer = vec![0; if slow { 1024 } else { 16 * 1024 }];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        *received += length as u64;
        if attack.layer == Layer::Http2 {
            seen.take(&buffer[..length]);
            if seen.greeted
                && let Some(greeted) = greeted.take()
            {
                let _ = greeted.send(());
            }
        }
        if attack.reading == Reading::Never && seen.greeted {
            return std::future::pending().await;
        }
        if slow {
            sleep(Duration::from_secs(1)).await;
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.refused += other.refused;
        self.frames += other.frames;
        self.sent += other.sent;
        self.received += other.received;
        self.resets += other.resets;
        other.goaway.into_iter().for_each(|(code, times)| *self.goaway.entry(code).or_default() += times);
        self.cuts.extend(other.cuts);
    }

    fn json(mut self) -> serde_json::Value {
        let middle = self.cuts.len() / 2;
        self.cuts.sort_unstable_by_key(|cut| cut.0);
        let frames = self.cuts.get(middle).map(|cut| cut.0);
        self.cuts.sort_unstable_by_key(|cut| cut.1);
        let millis = self.cuts.get(middle).map(|cut| cut.1);
        let goaway: BTreeMap<String, u64> =
            self.goaway.iter().map(|(code, times)| (code.to_string(), *times)).collect();
        serde_json::json!({
            "opened": self.opened, "refused": self.refused, "cut": self.cuts.len(), "goaway": goaway,
            "frames": self.frames, "sent": self.sent, "received": self.received, "resets": self.resets,
            "cut_after_frames": frames, "cut_after_ms": millis,
        })
    }
}
