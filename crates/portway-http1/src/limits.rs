//! How much of a message is read before it is refused.
//!
//! Knows only numbers; who is asking, and how much memory is left, is the caller's to know.

/// Bounds on what a peer may make us keep. Lengths are bytes; each bound is the largest value that is still accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole head, from the first byte to the empty line and with it. Past it: 431.
    pub head_bytes: usize,
    /// Field lines in a head, and again in a trailer section. Past it: 431.
    pub fields: usize,
    /// The request target (RFC 9112 3.2). Past it: 414.
    pub target_bytes: usize,
    /// Chunk extensions of one whole body, which are read and dropped (RFC 9112 7.1.1). Past it: 400.
    pub chunk_extension_bytes: usize,
    /// A whole trailer section with its empty line (RFC 9112 7.1.2). Past it: 431.
    pub trailer_bytes: usize,
}

impl Limits {
    /// For requests: what browsers and programs send stays far below.
    pub fn request() -> Self {
        Self {
            head_bytes: 32 * 1024,
            fields: 100,
            target_bytes: 16 * 1024,
            chunk_extension_bytes: 16 * 1024,
            trailer_bytes: 8 * 1024,
        }
    }

    /// For responses: development servers set many and long fields.
    pub fn response() -> Self {
        Self { head_bytes: 64 * 1024, fields: 200, ..Self::request() }
    }
}
