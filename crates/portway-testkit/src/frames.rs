//! HTTP/2 in bytes, for what no library would send: frames, and fields without compression.
//!
//! Nothing is checked. It knows no socket and no request.

/// What a client sends first (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (RFC 9113 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags of frames.
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame.
///
/// # Panics
/// When the payload is longer than any frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// One field as a literal without indexing and without Huffman coding (RFC 7541 6.2.2).
#[must_use]
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

/// A text with its length before it, without Huffman coding (RFC 7541 5.2).
///
/// # Panics
/// When it is longer than 16 KiB.
#[must_use]
pub fn string(text: &[u8]) -> Vec<u8> {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => [&[length][..], text].concat(),
        // Longer ones take more bytes (RFC 7541 5.1).
        _ => {
            let rest = text.len() - 127;
            assert!(rest < 1 << 14, "longer than any test needs");
            let low = u8::try_from(rest & 0x7f).expect("seven bits");
            let high = u8::try_from(rest >> 7).expect("seven bits");
            [&[127, low | 0x80, high][..], text].concat()
        }
    }
}
