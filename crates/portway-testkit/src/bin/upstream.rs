//! A fast, dumb HTTP/1.1 server for benchmarks: it must never be what is measured.
//!
//! `upstream [ADDRESS]` (default `127.0.0.1:0`) prints `listening ADDRESS` and answers every
//! request on two threads with a ready-made response: six fields and 26 bytes, 10 MB for `/big`,
//! and none for `/never`, as a server that waits for the rest of a body. It keeps connections
//! alive, understands pipelining, and knows no request bodies.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "dev-only program: it prints its address, and a failure is its end"
)]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Twenty-six bytes, as small as a real API answer gets.
const SMALL: &[u8] = b"{\"id\":12345678,\"ok\":true}\n";

/// Bytes of the answer to `/big`.
const BIG: usize = 10 * 1000 * 1000;

/// Threads that serve: the machine's own two cores, shared with what is measured.
const THREADS: usize = 2;

fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address: SocketAddr = address.parse().expect("an address such as 127.0.0.1:0");
    let first = bind(address);
    let address = first.local_addr().unwrap();
    println!("listening {address}");
    let mut listeners = vec![first];
    listeners.extend((1..THREADS).map(|_| bind(address)));
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || runtime().block_on(accept(listener))))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Every thread binds the same port; the kernel spreads the connections.
fn bind(address: SocketAddr) -> std::net::TcpListener {
    runtime().block_on(async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind(address).expect("bind");
        socket.listen(4096).expect("listen").into_std().unwrap()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn accept(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).unwrap();
    let small = answer("application/json", SMALL);
    let big = answer("application/octet-stream", &vec![b'x'; BIG]);
    // They live as long as the program, and every connection borrows them.
    let (small, big): (&'static [u8], &'static [u8]) = (small.leak(), big.leak());
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            // The load generator hangs up when it likes.
            drop(serve(stream, small, big).await);
        });
    }
}

async fn serve(mut stream: TcpStream, small: &[u8], big: &[u8]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut out = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut used = 0;
        while let Some(end) = buffer[used..].windows(4).position(|four| four == b"\r\n\r\n") {
            let line = &buffer[used..];
            if line.starts_with(b"GET /big ") {
                // Not copied: many of them at once would take the machine.
                stream.write_all(&out).await?;
                out.clear();
                stream.write_all(big).await?;
            } else if !line.starts_with(b"GET /never ") && !line.starts_with(b"POST /never ") {
                out.extend_from_slice(small);
            }
            used += end + 4;
        }
        buffer.drain(..used);
        stream.write_all(&out).await?;
        out.clear();
    }
}

fn answer(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: upstream\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n\
         ETag: \"5f3a-18c2\"\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
