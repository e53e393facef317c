use super::*;
use crate::check::pairs;

type Pair<'a> = (&'a str, &'a str);

fn build(line: [&str; 3], fields: &[Pair<'_>], has_body: bool) -> Result<RequestHead, Rule> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let [method, target, authority] = line.map(str::as_bytes);
    let limits = Limits::request();
    RequestHead::from_parts(method, target, authority, fields, has_body, &limits).map_err(|reject| reject.rule)
}

fn get(fields: &[Pair<'_>]) -> Result<RequestHead, Rule> {
    build(["GET", "/", "a.example"], fields, false)
}

#[test]
fn parts_become_a_request_with_its_host_in_front() {
    let fields = [("accept", "*/*"), ("x-b", " \t\u{e9} "), ("te", "Trailers")];
    let head = build(["PUT", "/a?b", "A.example:8443"], &fields, false).unwrap();
    assert_eq!((head.method(), head.target()), (&b"PUT"[..], &b"/a?b"[..]));
    assert_eq!(head.authority(), Some(&b"A.example:8443"[..]));
    assert_eq!(head.form(), TargetForm::Origin);
    let expected = [("Host", "A.example:8443"), ("accept", "*/*"), ("x-b", "\u{e9}"), ("te", "Trailers")];
    assert_eq!(pairs(head.fields()), expected.map(|(n, v)| (n.into(), v.into())));
    assert_eq!(head.framing(), Framing::None);
    assert!(head.keep_alive());
}

#[test]
fn a_body_has_its_length_or_an_unknown_one() {
    let post = |fields: &[Pair<'_>], has_body| build(["POST", "/", "a"], fields, has_body).map(|head| head.framing());
    assert_eq!(post(&[], false), Ok(Framing::None));
    assert_eq!(post(&[], true), Ok(Framing::Chunked));
    assert_eq!(post(&[("content-length", "5")], true), Ok(Framing::Length(5)));
    assert_eq!(post(&[("content-length", "0")], true), Ok(Framing::Length(0)));
    assert_eq!(post(&[("content-length", "0")], false), Ok(Framing::Length(0)));
    assert_eq!(post(&[("content-length", "1")], false), Err(Rule::LengthDiffers));
    assert_eq!(post(&[("content-length", "5, 5")], true), Err(Rule::ContentLength));
    let twice = [("content-length", "5"), ("content-length", "5")];
    assert_eq!(post(&twice, true), Err(Rule::ContentLengthRepeated));
}

#[test]
fn fields_of_a_connection_are_refused() {
    for field in [
        ("connection", "close"),
        ("Keep-Alive", "x"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
    ] {
        assert_eq!(get(&[field]).err(), Some(Rule::ConnectionField), "{field:?}");
    }
}

#[test]
fn no_part_can_end_its_line() {
    for name in ["", "a b", "a:", ":path", "a\r", "a\n", "a\0", "a\u{e9}", "a\r\nb"] {
        assert_eq!(get(&[(name, "v")]).err(), Some(Rule::FieldName), "{name:?}");
    }
    for value in ["\r", "\n", "a\r\nb: c", "\0", "\x7f", "a\r", "\r\n x"] {
        assert_eq!(get(&[("a", value)]).err(), Some(Rule::FieldValue), "{value:?}");
        assert_eq!(get(&[("cookie", "a"), ("cookie", value)]).err(), Some(Rule::FieldValue));
    }
    for method in ["", "G T", "GET /", "G\r\n", "G:"] {
        assert_eq!(build([method, "/", "a"], &[], false).err(), Some(Rule::Method), "{method:?}");
    }
    for target in ["", "/ ", "/\r\n", "/\0", "/#", "/\u{e9}", "/ HTTP/1.1"] {
        assert_eq!(build(["GET", target, "a"], &[], false).err(), Some(Rule::TargetByte), "{target:?}");
    }
    for authority in ["a\r\nb: c", "a\n", "a\0"] {
        assert_eq!(build(["GET", "/", authority], &[], false).err(), Some(Rule::FieldValue));
    }
    for authority in ["u@a", "a,b", "a b", "a:", "a/"] {
        assert_eq!(build(["GET", "/", authority], &[], false).err(), Some(Rule::HostInvalid));
    }
}

#[test]
fn a_path_is_not_absolute() {
    assert_eq!(build(["GET", "http://a/", "a"], &[], false).err(), Some(Rule::TargetForm));
    assert_eq!(build(["GET", "a", "a"], &[], false).err(), Some(Rule::TargetForm));
    assert_eq!(build(["GET", "*", "a"], &[], false).err(), Some(Rule::TargetForm));
    assert_eq!(build(["OPTIONS", "*", "a"], &[], false).unwrap().form(), TargetForm::Asterisk);
    assert_eq!(build(["CONNECT", "a:1", "a:1"], &[], false).unwrap().form(), TargetForm::Authority);
}

#[test]
fn host_and_authority_are_one() {
    let host = |authority, fields: &[Pair<'_>]| {
        let head = build(["GET", "/", authority], fields, false)?;
        assert_eq!(head.fields().all(Name::Host).count(), 1);
        Ok(head.authority().unwrap_or_default().to_vec())
    };
    assert_eq!(host("a.b", &[("host", "A.B")]), Ok(b"a.b".to_vec()));
    assert_eq!(host("", &[("host", "a")]), Ok(b"a".to_vec()));
    assert_eq!(host("a", &[("host", "b")]), Err(Rule::HostDiffers));
    assert_eq!(host("a", &[("host", "")]), Err(Rule::HostDiffers));
    assert_eq!(host("a", &[("host", "a"), ("host", "a")]), Err(Rule::HostRepeated));
    assert_eq!(host("", &[("host", "a"), ("host", "a")]), Err(Rule::HostRepeated));
    assert_eq!(host("", &[]), Err(Rule::HostMissing));
    assert_eq!(host("", &[("host", "")]), Err(Rule::HostMissing));
}

#[test]
fn several_cookie_fields_become_one_where_the_first_stood() {
    let crumbs = [("a", "1"), ("cookie", "b=2"), ("c", "3"), ("Cookie", "d=4"), ("cookie", "e=5; f=6")];
    let head = get(&crumbs).unwrap();
    let expected = [("Host", "a.example"), ("a", "1"), ("cookie", "b=2; d=4; e=5; f=6"), ("c", "3")];
    assert_eq!(pairs(head.fields()), expected.map(|(n, v)| (n.into(), v.into())));
}

#[test]
fn the_limits_hold_before_anything_is_joined() {
    let with = |limits: Limits, fields: &[Pair<'_>]| {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = RequestHead::from_parts(b"GET", b"/1234", b"a", fields, false, &limits);
        head.map(|_| ()).map_err(|reject| reject.rule)
    };
    let few = |fields| Limits { fields, ..Limits::request() };
    let crumbs = [("cookie", "a"), ("cookie", "b"), ("cookie", "c")];
    assert_eq!(with(few(3), &crumbs), Ok(()));
    assert_eq!(with(few(2), &crumbs), Err(Rule::FieldCount));
    // Host counts as the field it becomes.
    assert_eq!(with(few(2), &[("x", "1"), ("y", "2")]), Err(Rule::FieldCount));
    assert_eq!(with(few(3), &[("x", "1"), ("y", "2")]), Ok(()));

    let short = |head_bytes| Limits { head_bytes, ..Limits::request() };
    let head = "GET /1234 HTTP/1.1\r\nHost: a\r\nx: 1\r\n\r\n".len();
    assert_eq!(with(short(head), &[("x", "1")]), Ok(()));
    assert_eq!(with(short(head - 1), &[("x", "1")]), Err(Rule::HeadLong));
    // An endless field list is left as soon as it is too long, before it is written.
    let mut taken = 0;
    let endless = std::iter::repeat((&b"x"[..], &b"12345"[..])).inspect(|_| taken += 1);
    let limits = Limits { fields: usize::MAX, ..short(100) };
    let head = RequestHead::from_parts(b"GET", b"/", b"a", endless, false, &limits);
    assert_eq!(head.err().map(|reject| reject.rule), Some(Rule::HeadLong));
    assert_eq!(taken, 11);

    let target = Limits { target_bytes: 5, ..Limits::request() };
    assert_eq!(with(target.clone(), &[]), Ok(()));
    assert_eq!(with(Limits { target_bytes: 4, ..target }, &[]), Err(Rule::TargetLong));
}

#[test]
fn an_expectation_is_read_from_parts_too() {
    assert!(get(&[("expect", "100-continue")]).unwrap().expects_continue());
    assert_eq!(get(&[("expect", "x")]).err(), Some(Rule::Expectation));
}

#[test]
fn an_extended_connect_becomes_the_handshake_it_stands_for() {
    let fields = [
        ("origin", "https://a.example"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "the visitor's"),
        ("sec-websocket-protocol", "vite-hmr"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let build = |target: &str, fields: &[Pair<'_>]| {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let limits = Limits::request();
        RequestHead::websocket_from_parts(target.as_bytes(), b"a.example", fields, b"our+key==", &limits)
            .map_err(|reject| reject.rule)
    };
    let head = build("/hmr?token=x", &fields).unwrap();
    assert!(head.upgrade_websocket());
    assert_eq!((head.method(), head.target(), head.framing()), (&b"GET"[..], &b"/hmr?token=x"[..], Framing::None));
    let expected = [
        ("Host", "a.example"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "our+key=="),
        ("origin", "https://a.example"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "vite-hmr"),
        ("cookie", "a=1; b=2"),
    ];
    assert_eq!(pairs(head.fields()), expected.map(|(n, v)| (n.into(), v.into())));

    for field in [("connection", "x"), ("upgrade", "websocket"), ("content-length", "0"), ("content-length", "5")] {
        assert_eq!(build("/", &[field]).err(), Some(Rule::ConnectionField), "{field:?}");
    }
    for target in ["", "http://a.example/", "*", "a:1"] {
        assert!(build(target, &[]).is_err(), "{target}");
    }
}
