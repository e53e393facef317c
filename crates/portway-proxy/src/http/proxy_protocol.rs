//! The PROXY protocol, versions 1 and 2: who the visitor is, told by a load balancer in front of the first byte (R28).
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. On a listener that is set so, every connection begins
//! with it; on any other it is no request. Nothing is read beyond it, because TLS may follow. Whose word is taken is for the
//! caller to say.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line's end.
const LINE_MAX: usize = 107;
/// The longest rest of a header of version 2 that is read. Extensions of a few hundred bytes are usual.
const REST_MAX: usize = 4096;

/// Reads the header; the visitor's address, or `None` where the balancer speaks for itself, as a health check does.
///
/// # Errors
/// `InvalidData` where it is no such header.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    // The shortest header of either version is longer than this.
    let mut first = [0; SIGNATURE.len()];
    io.read_exact(&mut first).await?;
    if first == SIGNATURE {
        return version_2(io).await;
    }
    let mut line = first.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_MAX || !line.starts_with(b"PROXY ") {
            return Err(malformed());
        }
        line.push(io.read_u8().await?);
    }
    version_1(&line).ok_or_else(malformed)
}

fn version_1(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        // What follows is to be ignored.
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, target, source_port, target_port] => {
            let address = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (*family == "TCP4"));
            let (source, _) = (address(source)?, address(target)?);
            let (_, _): (u16, u16) = (source_port.parse().ok()?, target_port.parse().ok()?);
            Some(Some(source))
        }
        _ => None,
    }
}

async fn version_2(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut head = [0; 4];
    io.read_exact(&mut head).await?;
    let [version_and_command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_MAX {
        return Err(malformed());
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    match (version_and_command, family) {
        // LOCAL: the balancer's own connection.
        (0x20, _) => Ok(None),
        // Addresses, then ports and extensions, of which nothing is used.
        (0x21, 0x11) if length >= 12 => Ok(rest.first_chunk().map(|ip| Ipv4Addr::from_octets(*ip).into())),
        (0x21, 0x21) if length >= 36 => Ok(rest.first_chunk().map(|ip| Ipv6Addr::from_octets(*ip).into())),
        // Unspecified; the balancer does not know, or it is no address of the internet.
        (0x21, 0x00) => Ok(None),
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and what is left for whoever comes next.
    fn read_all(bytes: &[u8]) -> (Option<Option<IpAddr>>, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(read(&mut rest)).ok();
        (found, rest.len())
    }

    fn v2(head: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &head, &length, rest, b"next"].concat()
    }

    #[test]
    fn version_1_is_read_to_its_end_and_no_further() {
        let ip = |text: &str| Some(Some(text.parse::<IpAddr>().unwrap()));
        let next = |line: &str| read_all(format!("{line}next").as_bytes());
        assert_eq!(next("PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n"), (ip("192.0.2.7"), 4));
        assert_eq!(next("PROXY TCP6 2001:db8::7 ::1 51234 443\r\n"), (ip("2001:db8::7"), 4));
        assert_eq!(next("PROXY UNKNOWN\r\n"), (Some(None), 4));
        assert_eq!(next("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), (Some(None), 4));
    }

    #[test]
    fn version_2_is_read_to_its_end_and_no_further() {
        let mut four = vec![192, 0, 2, 7, 10, 0, 0, 1, 0xc8, 0x22, 1, 187];
        assert_eq!(read_all(&v2([0x21, 0x11], &four)), (Some(Some([192, 0, 2, 7].into())), 4));
        four.extend([0x03, 0, 4, 1, 2, 3, 4]);
        assert_eq!(read_all(&v2([0x21, 0x11], &four)), (Some(Some([192, 0, 2, 7].into())), 4), "an extension");
        let six: Vec<u8> = [[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], [0; 16]].concat();
        let six = [six, vec![0, 1, 0, 2]].concat();
        assert_eq!(read_all(&v2([0x21, 0x21], &six)), (Some(Some("2001:db8::7".parse().unwrap())), 4));
        assert_eq!(read_all(&v2([0x20, 0x00], b"")), (Some(None), 4), "a health check");
        assert_eq!(read_all(&v2([0x21, 0x00], b"")), (Some(None), 4));
    }

    #[test]
    fn whatever_is_no_header_is_an_error() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for bytes in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\n\n",
            "PROXY TCP4 2001:db8::7 ::1 51234 443\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 51234\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 99999 443\r\n",
            "PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY",
            "",
            &long,
        ] {
            assert_eq!(read_all(bytes.as_bytes()).0, None, "{bytes:?}");
        }
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0xc8, 0x22, 1, 187];
        for bytes in [
            v2([0x11, 0x11], &four),
            v2([0x22, 0x11], &four),
            v2([0x21, 0x12], &four),
            v2([0x21, 0x31], &[0; 216]),
            v2([0x21, 0x11], &four[..11]),
            v2([0x21, 0x21], &four),
            v2([0x21, 0x11], &[0; REST_MAX + 1]),
            SIGNATURE.to_vec(),
        ] {
            assert_eq!(read_all(&bytes).0, None, "{bytes:?}");
        }
    }
}
