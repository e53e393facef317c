//! Why a message was refused: one [`Rule`] per reason, with the section that says so.
//!
//! Knows the status a server answers with, but writes no answer and closes nothing.

use std::fmt;

/// A refused message. The connection it came from cannot be trusted to be in step any more: answer, then close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What a server answers to a request that broke the rule: 400, 414, 417, 431, 501 or 505. For a response that
    /// broke it, a proxy answers 502 whatever this says.
    pub status: u16,
    /// The rule that was broken first, in the order of the bytes.
    pub rule: Rule,
}

impl From<Rule> for Reject {
    fn from(rule: Rule) -> Self {
        Self { status: rule.status(), rule }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.rule.as_str(), self.status)
    }
}

impl std::error::Error for Reject {}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $word:literal, $status:literal;)*) => {
        /// What a message must not do. Refusals answer 400 unless the variant says otherwise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule { $($(#[$doc])* $rule,)* }

        impl Rule {
            /// Every rule, in the order of this list.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// A stable, kebab-case word for logs, metrics and tests.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$rule => $word,)* }
            }

            /// The status a server answers with.
            pub fn status(self) -> u16 {
                match self { $(Self::$rule => $status,)* }
            }
        }
    };
}

rules! {
    /// An empty line before the start line (RFC 9112 2.2 lets a server skip one; a proxy that does hands on a message
    /// that others read otherwise).
    EmptyLine = "empty-line", 400;
    /// The method is not a token (RFC 9110 9.1).
    Method = "method", 400;
    /// The method is longer than any that exists: 501 (RFC 9112 3).
    MethodLong = "method-long", 501;
    /// The request line is not `method SP target SP HTTP-version CRLF` (RFC 9112 3).
    RequestLine = "request-line", 400;
    /// A byte that no target has: a control, a space, non-ASCII or `#` (RFC 9112 3.2).
    TargetByte = "target-byte", 400;
    /// The target is longer than the limit: 414 (RFC 9110 15.5.15).
    TargetLong = "target-long", 414;
    /// The target is in none of the four forms, or in one its method may not use (RFC 9112 3.2).
    TargetForm = "target-form", 400;
    /// A well-formed version other than HTTP/1.1 and HTTP/1.0: 505 (RFC 9110 15.6.6).
    Version = "version", 505;
    /// The status line is not `HTTP-version SP status [SP reason] CRLF` (RFC 9112 4).
    StatusLine = "status-line", 400;
    /// The status is not 100 to 599 (RFC 9110 15).
    StatusCode = "status-code", 400;
    /// A line feed without a carriage return before it (RFC 9112 2.2).
    BareLf = "bare-lf", 400;
    /// A carriage return without a line feed behind it (RFC 9112 2.2).
    BareCr = "bare-cr", 400;
    /// A line that begins with a space or a tab: line folding (RFC 9112 5.2).
    ObsFold = "obs-fold", 400;
    /// A space or a tab between the field name and the colon (RFC 9112 5.1).
    SpaceBeforeColon = "space-before-colon", 400;
    /// A field line without a name (RFC 9110 5.1).
    EmptyName = "empty-name", 400;
    /// A field name that is not a token (RFC 9110 5.1).
    FieldName = "field-name", 400;
    /// A field line without a colon (RFC 9112 5).
    NoColon = "no-colon", 400;
    /// A control byte other than a tab in a field value or a reason (RFC 9110 5.5, RFC 9112 4).
    FieldValue = "field-value", 400;
    /// More field lines than the limit: 431 (RFC 6585 5).
    FieldCount = "field-count", 431;
    /// A head, or a trailer section, longer than its limit: 431 (RFC 6585 5).
    HeadLong = "head-long", 431;
    /// An HTTP/1.1 request without Host (RFC 9112 3.2).
    HostMissing = "host-missing", 400;
    /// More than one Host (RFC 9112 3.2).
    HostRepeated = "host-repeated", 400;
    /// An authority that is not one `host[:port]`: empty, a list, with user information, badly spelled (RFC 9110 7.2).
    HostInvalid = "host-invalid", 400;
    /// Host and the authority of the target differ (RFC 9112 3.2.2, RFC 9113 8.3.1).
    HostDiffers = "host-differs", 400;
    /// Content-Length is not `1*DIGIT`, or too large to count (RFC 9110 8.6).
    ContentLength = "content-length", 400;
    /// Content-Length more than once, whatever its values (RFC 9112 6.3).
    ContentLengthRepeated = "content-length-repeated", 400;
    /// Transfer-Encoding and Content-Length together (RFC 9112 6.3).
    TeWithCl = "te-with-cl", 400;
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 6.1).
    TeOnHttp10 = "te-on-http10", 400;
    /// Transfer-Encoding is a list, has parameters, or is no token (RFC 9112 6.1, 7).
    TransferEncoding = "transfer-encoding", 400;
    /// Transfer-Encoding more than once (RFC 9112 6.1).
    TransferEncodingRepeated = "transfer-encoding-repeated", 400;
    /// One transfer coding, but not `chunked`: 501 (RFC 9112 6.1).
    TransferCodingUnknown = "transfer-coding-unknown", 501;
    /// An expectation other than `100-continue`: 417 (RFC 9110 10.1.1).
    Expectation = "expectation", 417;
    /// Framing on a response that cannot have a body (RFC 9110 8.6, RFC 9112 6.1).
    BodyForbidden = "body-forbidden", 400;
    /// A field of the connection in a request that did not come over HTTP/1.1 (RFC 9113 8.2.2).
    ConnectionField = "connection-field", 400;
    /// Content-Length on a request that ended without its body (RFC 9113 8.1.1).
    LengthDiffers = "length-differs", 400;
    /// A chunk size that is not one to sixteen hexadecimal digits (RFC 9112 7.1).
    ChunkSize = "chunk-size", 400;
    /// A control byte in a chunk extension (RFC 9112 7.1.1).
    ChunkExtension = "chunk-extension", 400;
    /// More bytes of chunk extensions in one body than the limit (RFC 9112 7.1.1).
    ChunkExtensionLong = "chunk-extension-long", 400;
    /// Chunk data longer than its size said (RFC 9112 7.1).
    ChunkEnd = "chunk-end", 400;
    /// The peer closed in the middle of a message (RFC 9112 8).
    Truncated = "truncated", 400;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_word_of_its_own_in_kebab_case() {
        let mut words: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        for word in &words {
            let kebab = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!(!word.is_empty() && word.bytes().all(kebab), "{word}");
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Rule::ALL.len());
    }

    #[test]
    fn a_reject_carries_the_status_of_its_rule() {
        assert_eq!(Reject::from(Rule::TargetLong).status, 414);
        assert_eq!(Reject::from(Rule::HeadLong).status, 431);
        assert_eq!(Reject::from(Rule::Version).status, 505);
        assert_eq!(Reject::from(Rule::BareLf).to_string(), "bare-lf (400)");
        for rule in Rule::ALL {
            assert!([400, 414, 417, 431, 501, 505].contains(&rule.status()));
        }
    }
}
