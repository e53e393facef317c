//! A TLS ClientHello byte by byte (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), for what no TLS library will offer.
//! It knows nothing of what a server should say to it.

/// TLS 1.1.
pub(crate) const TLS11: u16 = 0x0302;
/// TLS 1.2.
pub(crate) const TLS12: u16 = 0x0303;

/// A record that holds one ClientHello: its highest version, its server name, its protocols.
pub(crate) fn client_hello(version: u16, sni: Option<&str>, alpn: &[&str]) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = sni {
        // RFC 6066 section 3: a list of names, each with its type.
        let entry = [&[0][..], &sized16(name.as_bytes())].concat();
        extensions.extend(extension(0, &sized16(&entry)));
    }
    // secp256r1 and x25519; uncompressed points; ECDSA and RSA-PSS with SHA-256.
    extensions.extend(extension(10, &sized16(&[0, 23, 0, 29])));
    extensions.extend(extension(11, &[1, 0]));
    extensions.extend(extension(13, &sized16(&[4, 3, 8, 4])));
    if !alpn.is_empty() {
        let names: Vec<u8> = alpn.iter().flat_map(|name| sized8(name.as_bytes())).collect();
        extensions.extend(extension(16, &sized16(&names)));
    }
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]); // random
    body.extend(sized8(&[])); // no session
    // ECDHE with AES-GCM for TLS 1.2, with AES-CBC for TLS 1.1.
    body.extend(sized16(&[0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13]));
    body.extend(sized8(&[0])); // no compression
    body.extend(sized16(&extensions));
    let length = u32::try_from(body.len()).expect("a short hello").to_be_bytes();
    let handshake = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1][..], &sized16(&handshake)].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized16(data)].concat()
}

fn sized8(data: &[u8]) -> Vec<u8> {
    [&[u8::try_from(data.len()).expect("a short vector")], data].concat()
}

fn sized16(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).expect("a short vector").to_be_bytes()[..], data].concat()
}
