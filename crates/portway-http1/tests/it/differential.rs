//! This codec beside hyper and httparse. Whatever it accepts they accept, as the same message; where they accept what
//! it refuses, the rule is in a list here, with a message that shows the difference.

use portway_http1::Rule;
use proptest::prelude::*;

use crate::peers::*;
use crate::samples::{changed, seeds};

/// Requests that a hyper server serves and we refuse; limits, which are settings, are not in it.
const STRICTER_THAN_HYPER: &[(Rule, &[u8])] = &[
    (Rule::EmptyLine, b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::BareLf, b"GET / HTTP/1.1\nHost: a\n\n"),
    (Rule::MethodLong, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-1234567 / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::TargetByte, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::TargetForm, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::TargetForm, b"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::HostMissing, b"GET / HTTP/1.1\r\n\r\n"),
    (Rule::HostRepeated, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (Rule::HostInvalid, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    (Rule::HostDiffers, b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (Rule::ContentLengthRepeated, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    (Rule::TeWithCl, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (Rule::TransferEncoding, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (Rule::Expectation, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: a\r\n\r\n"),
    (
        Rule::TransferEncodingRepeated,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (Rule::ChunkSize, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n"),
    (
        Rule::ChunkSize,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000001\r\nx\r\n0\r\n\r\n",
    ),
    (Rule::ChunkExtension, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\x0c\r\nx\r\n0\r\n\r\n"),
];

/// Responses, to GET or HEAD, that a hyper client takes and we refuse.
const STRICTER_THAN_HYPER_CLIENT: &[(Rule, &[u8])] = &[
    (Rule::EmptyLine, b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    (Rule::BareLf, b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    (Rule::StatusCode, b"HTTP/1.1 999 x\r\n\r\n"),
    (Rule::BodyForbidden, b"HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\nx"),
    (Rule::ContentLength, b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n"),
    (Rule::ContentLengthRepeated, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    (Rule::TeOnHttp10, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (Rule::TeWithCl, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (Rule::TransferEncoding, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    (Rule::TransferCodingUnknown, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    (
        Rule::TransferEncodingRepeated,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (Rule::ChunkSize, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n"),
    (Rule::ChunkExtension, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;\x0c\r\nx\r\n0\r\n\r\n"),
];

/// Request heads that httparse takes and we refuse. It reads lines, and leaves what they mean to its caller.
const STRICTER_THAN_HTTPARSE: &[(Rule, &[u8])] = &[
    (Rule::EmptyLine, b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::BareLf, b"GET / HTTP/1.1\nHost: a\n\n"),
    (Rule::TargetByte, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::TargetForm, b"GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::MethodLong, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-1234567 / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (Rule::HostMissing, b"GET / HTTP/1.1\r\n\r\n"),
    (Rule::HostRepeated, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (Rule::HostInvalid, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (Rule::HostDiffers, b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (Rule::ContentLength, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
    (Rule::ContentLengthRepeated, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    (Rule::TeWithCl, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (Rule::TeOnHttp10, b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (Rule::TransferEncoding, b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    (
        Rule::TransferEncodingRepeated,
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (Rule::TransferCodingUnknown, b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
    (Rule::Expectation, b"GET / HTTP/1.1\r\nHost: a\r\nExpect: a\r\n\r\n"),
];

/// Response heads that httparse takes and we refuse.
const STRICTER_THAN_HTTPARSE_RESPONSES: &[(Rule, &[u8])] = &[
    (Rule::EmptyLine, b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    (Rule::BareLf, b"HTTP/1.1 200 OK\n\n"),
    (Rule::StatusCode, b"HTTP/1.1 099 x\r\n\r\n"),
    (Rule::BodyForbidden, b"HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n"),
    (Rule::ContentLength, b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
    (Rule::ContentLengthRepeated, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    (Rule::TeOnHttp10, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (Rule::TeWithCl, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (Rule::TransferEncoding, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    (
        Rule::TransferEncodingRepeated,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (Rule::TransferCodingUnknown, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
];

fn listed(list: &[(Rule, &[u8])], rule: Rule, bytes: &[u8]) {
    let known = list.iter().any(|(listed, _)| *listed == rule);
    assert!(known, "refused by {rule:?}, accepted by the other: {}", bytes.escape_ascii());
}

fn compare_hyper_requests(bytes: &[u8]) {
    let (ours, end) = our_requests(bytes);
    let theirs = hyper_requests(bytes);
    let shown = bytes.escape_ascii();
    for (at, message) in ours.iter().enumerate() {
        if theirs.len() == at && message.start.1.parse::<hyper::Uri>().is_err() {
            return;
        }
        assert_eq!(theirs.get(at), Some(message), "{shown}");
    }
    match end {
        _ if theirs.len() == ours.len() => {}
        End::Refused(rule) => listed(STRICTER_THAN_HYPER, rule, bytes),
        End::Closed => {}
        End::Incomplete => panic!("hyper served more than there is: {shown}"),
    }
}

/// A request with this chunked body, and another one behind it.
fn with_chunks(body: &[u8]) -> Vec<u8> {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    [head, body, b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"].concat()
}

fn compare_hyper_response(bytes: &[u8], method: &str) {
    let theirs = hyper_response(bytes, method);
    match our_response(bytes, method) {
        Ok(message) => assert_eq!(theirs, Some(message), "{}", bytes.escape_ascii()),
        Err(rule) if theirs.is_some() => listed(STRICTER_THAN_HYPER_CLIENT, rule, bytes),
        Err(_) => {}
    }
}

fn compare_httparse_heads(bytes: &[u8]) {
    let list = STRICTER_THAN_HTTPARSE;
    compare_httparse(bytes, our_request_head(bytes), httparse_request(bytes), list);
}

fn compare_httparse_responses(bytes: &[u8]) {
    let list = STRICTER_THAN_HTTPARSE_RESPONSES;
    compare_httparse(bytes, our_response_head(bytes), httparse_response(bytes), list);
}

fn compare_httparse(
    bytes: &[u8],
    ours: Result<Option<Head>, Rule>,
    theirs: Result<Option<Head>, httparse::Error>,
    list: &[(Rule, &[u8])],
) {
    match (ours, theirs) {
        (Err(rule), Ok(Some(_))) => listed(list, rule, bytes),
        (Err(_), _) => {}
        (ours, theirs) => assert_eq!(ours.ok(), theirs.ok(), "{}", bytes.escape_ascii()),
    }
}

#[test]
fn seeds_read_by_hyper_and_httparse_are_the_same_messages() {
    for seed in seeds("head") {
        compare_hyper_requests(&seed);
        compare_httparse_heads(&seed);
    }
    for seed in seeds("response") {
        ["GET", "HEAD"].iter().for_each(|method| compare_hyper_response(&seed, method));
        compare_httparse_responses(&seed);
    }
}

#[test]
fn the_lists_of_differences_are_true() {
    for (rule, bytes) in STRICTER_THAN_HYPER {
        let shown = bytes.escape_ascii();
        assert_eq!(our_requests(bytes), (vec![], End::Refused(*rule)), "{shown}");
        assert_eq!(hyper_requests(bytes).len(), 1, "hyper refuses it now: {shown}");
    }
    for (rule, bytes) in STRICTER_THAN_HYPER_CLIENT {
        let shown = bytes.escape_ascii();
        let differs = |method| our_response(bytes, method) == Err(*rule) && hyper_response(bytes, method).is_some();
        assert!(differs("GET") || differs("HEAD"), "both accept or refuse it now: {shown}");
    }
    for (rule, bytes) in STRICTER_THAN_HTTPARSE {
        let shown = bytes.escape_ascii();
        assert_eq!(our_request_head(bytes), Err(*rule), "{shown}");
        assert!(matches!(httparse_request(bytes), Ok(Some(_))), "httparse refuses it now: {shown}");
    }
    for (rule, bytes) in STRICTER_THAN_HTTPARSE_RESPONSES {
        let shown = bytes.escape_ascii();
        assert_eq!(our_response_head(bytes), Err(*rule), "{shown}");
        assert!(matches!(httparse_response(bytes), Ok(Some(_))), "httparse refuses it now: {shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_request_we_accept_is_the_same_request_to_hyper(bytes in changed("head")) {
        compare_hyper_requests(&bytes);
    }

    #[test]
    fn a_chunked_body_we_accept_is_the_same_body_to_hyper(body in changed("chunked")) {
        compare_hyper_requests(&with_chunks(&body));
    }

    #[test]
    fn a_response_we_accept_is_the_same_response_to_hyper(bytes in changed("response")) {
        compare_hyper_response(&bytes, "GET");
        compare_hyper_response(&bytes, "HEAD");
    }

    #[test]
    fn a_request_head_we_accept_is_the_same_head_to_httparse(bytes in changed("head")) {
        compare_httparse_heads(&bytes);
    }

    #[test]
    fn a_response_head_we_accept_is_the_same_head_to_httparse(bytes in changed("response")) {
        compare_httparse_responses(&bytes);
    }
}
