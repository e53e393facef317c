//! R34 as a table: every spelling of an address that is never a workspace, through the text that a record holds.

use super::*;
use crate::workspace::Address;

fn open() -> Vec<Cidr> {
    ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap()).into()
}

fn rules(allow: &[&str], own: &[&str]) -> DialRules {
    DialRules {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        own: own.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What happens to the address `text` of a workspace record where every range is allowed.
#[derive(Debug, PartialEq)]
enum Fate {
    /// Refused as text: it never becomes an address.
    Text,
    /// An address, never dialled.
    Refused(DialRefusal),
    /// A name: what it resolves to is checked instead.
    Name,
    Dialled,
}

fn fate(text: &str) -> Fate {
    let rules = DialRules { allow: open(), own: Vec::new() };
    let check = |ip: IpAddr| match rules.check(ip, 3000, false) {
        Ok(socket) => {
            assert_eq!(socket, SocketAddr::new(ip, 3000));
            Fate::Dialled
        }
        Err(refusal) => Fate::Refused(refusal),
    };
    match text.parse::<Address>() {
        Err(error) => {
            assert!(error.to_string().contains(text));
            Fate::Text
        }
        Ok(Address::Loopback) => {
            let [v4, v6] = LOOPBACK.map(check);
            assert_eq!(v4, v6);
            v4
        }
        Ok(Address::Ip(ip)) => check(ip),
        Ok(Address::Name(_)) => Fate::Name,
    }
}

#[test]
fn no_spelling_of_a_forbidden_address_is_dialled() {
    use DialRefusal::{Forbidden, Local};
    let spellings = [
        // Loopback: opened by naming it, not by a range that happens to hold it.
        ("127.0.0.1", Fate::Refused(Local)),
        ("127.0.0.2", Fate::Refused(Local)),
        ("127.255.255.254", Fate::Refused(Local)),
        ("localhost", Fate::Refused(Local)),
        ("LOCALHOST", Fate::Refused(Local)),
        ("::1", Fate::Refused(Local)),
        ("[::1]", Fate::Refused(Local)),
        ("0:0:0:0:0:0:0:1", Fate::Refused(Local)),
        ("0000::0001", Fate::Refused(Local)),
        // Loopback as resolvers read it, which this is not.
        ("2130706433", Fate::Text),
        ("0x7f000001", Fate::Text),
        ("0X7F000001", Fate::Text),
        ("017700000001", Fate::Text),
        ("0x7f.1", Fate::Text),
        ("0x7f.0x0.0x0.0x1", Fate::Text),
        ("0x7F.0.0.0X1", Fate::Text),
        ("127.1", Fate::Text),
        ("127.0.1", Fate::Text),
        ("0177.0.0.1", Fate::Text),
        ("0177.0.0.01", Fate::Text),
        ("127.0.0.01", Fate::Text),
        ("127.0.0.1.", Fate::Text),
        ("127.0.0.0x1", Fate::Text),
        ("127.0.0.1%lo", Fate::Text),
        ("127.0.0.1:80", Fate::Text),
        ("127.0.0.1/8", Fate::Text),
        ("[127.0.0.1]", Fate::Text),
        (" 127.0.0.1", Fate::Text),
        ("127.0.0.1 ", Fate::Text),
        ("127.0.0.1\0", Fate::Text),
        ("127.0.0.1\n", Fate::Text),
        ("127。0。0。1", Fate::Text),
        ("１２７.0.0.1", Fate::Text),
        ("①②⑦.0.0.1", Fate::Text),
        ("user@127.0.0.1", Fate::Text),
        ("http://127.0.0.1", Fate::Text),
        ("127.0.0.1#x", Fate::Text),
        ("::1%lo", Fate::Text),
        ("[::1]:80", Fate::Text),
        ("[::1", Fate::Text),
        ("::1]", Fate::Text),
        ("[[::1]]", Fate::Text),
        ("localhost.", Fate::Text),
        ("localhost:80", Fate::Text),
        // An IPv4 address in IPv6 clothes.
        ("::ffff:127.0.0.1", Fate::Refused(Forbidden)),
        ("::ffff:7f00:1", Fate::Refused(Forbidden)),
        ("[::ffff:127.0.0.1]", Fate::Refused(Forbidden)),
        ("0:0:0:0:0:ffff:127.0.0.1", Fate::Refused(Forbidden)),
        ("::FFFF:10.0.0.5", Fate::Refused(Forbidden)),
        ("::ffff:169.254.169.254", Fate::Refused(Forbidden)),
        ("[::ffff:a9fe:a9fe]", Fate::Refused(Forbidden)),
        ("::127.0.0.1", Fate::Refused(Forbidden)),
        ("::10.0.0.5", Fate::Refused(Forbidden)),
        ("::2", Fate::Refused(Forbidden)),
        ("::1:80", Fate::Refused(Forbidden)),
        ("::ffff:0:127.0.0.1", Fate::Refused(Forbidden)),
        ("64:ff9b::127.0.0.1", Fate::Refused(Forbidden)),
        ("64:ff9b::a9fe:a9fe", Fate::Refused(Forbidden)),
        ("64:ff9b:1::10.0.0.1", Fate::Refused(Forbidden)),
        ("64:ff9b:1:ffff::1", Fate::Refused(Forbidden)),
        ("2002:7f00:1::", Fate::Refused(Forbidden)),
        ("2002:a9fe:a9fe::1", Fate::Refused(Forbidden)),
        ("2001::1", Fate::Refused(Forbidden)),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Fate::Refused(Forbidden)),
        // Nowhere in particular.
        ("0.0.0.0", Fate::Refused(Forbidden)),
        ("0.0.0.1", Fate::Refused(Forbidden)),
        ("0.255.255.255", Fate::Refused(Forbidden)),
        ("0", Fate::Text),
        ("0.0", Fate::Text),
        ("0x0", Fate::Text),
        ("00000000000", Fate::Text),
        ("::", Fate::Refused(Forbidden)),
        ("[::]", Fate::Refused(Forbidden)),
        ("::0.0.0.0", Fate::Refused(Forbidden)),
        ("0:0:0:0:0:0:0:0", Fate::Refused(Forbidden)),
        // Link-local, and what lives there.
        ("169.254.169.254", Fate::Refused(Forbidden)),
        ("169.254.170.2", Fate::Refused(Forbidden)),
        ("169.254.0.0", Fate::Refused(Forbidden)),
        ("169.254.255.255", Fate::Refused(Forbidden)),
        ("2852039166", Fate::Text),
        ("0xa9fea9fe", Fate::Text),
        ("0xa9.0xfe.0xa9.0xfe", Fate::Text),
        ("0251.0376.0251.0376", Fate::Text),
        ("169.254.43518", Fate::Text),
        ("169.16689662", Fate::Text),
        ("425.510.425.510", Fate::Text),
        ("fe80::1", Fate::Refused(Forbidden)),
        ("fe80::1%eth0", Fate::Text),
        ("[fe80::1%25eth0]", Fate::Text),
        ("[fe80::1]", Fate::Refused(Forbidden)),
        ("febf:ffff::1", Fate::Refused(Forbidden)),
        ("fec0::1", Fate::Refused(Forbidden)),
        ("feff::1", Fate::Refused(Forbidden)),
        // Metadata services elsewhere.
        ("fd00:ec2::254", Fate::Refused(Forbidden)),
        ("[FD00:0EC2:0:0:0:0:0:0254]", Fate::Refused(Forbidden)),
        ("fd20:ce::254", Fate::Refused(Forbidden)),
        ("100.100.100.200", Fate::Refused(Forbidden)),
        ("168.63.129.16", Fate::Refused(Forbidden)),
        ("192.0.0.192", Fate::Refused(Forbidden)),
        // Many at once, or none.
        ("224.0.0.1", Fate::Refused(Forbidden)),
        ("239.255.255.255", Fate::Refused(Forbidden)),
        ("240.0.0.1", Fate::Refused(Forbidden)),
        ("255.255.255.254", Fate::Refused(Forbidden)),
        ("255.255.255.255", Fate::Refused(Forbidden)),
        ("4294967295", Fate::Text),
        ("ff00::", Fate::Refused(Forbidden)),
        ("ff02::1", Fate::Refused(Forbidden)),
        ("ff0e::fb", Fate::Refused(Forbidden)),
        // No address at all.
        ("", Fate::Text),
        (".", Fate::Text),
        ("*", Fate::Text),
        ("1.2.3.4.5", Fate::Text),
        ("256.1.1.1", Fate::Text),
        ("1.2.3.-4", Fate::Text),
        ("a..b", Fate::Text),
        (".a", Fate::Text),
        ("a.", Fate::Text),
        ("-a.b", Fate::Text),
        ("a-.b", Fate::Text),
        ("a b", Fate::Text),
        ("a/b", Fate::Text),
        ("a:80", Fate::Text),
        ("a,b", Fate::Text),
        ("a%00.b", Fate::Text),
        ("ä.example", Fate::Text),
        ("evil.com\\@10.0.0.1", Fate::Text),
        ("/var/run/docker.sock", Fate::Text),
        ("unix:/var/run/docker.sock", Fate::Text),
        // Names, checked when they are resolved.
        ("localhost.localdomain", Fate::Name),
        ("x.localhost", Fate::Name),
        ("127.0.0.1.nip.io", Fate::Name),
        ("metadata.google.internal", Fate::Name),
    ];
    assert!(spellings.len() >= 70, "{}", spellings.len());
    for (text, wanted) in spellings {
        assert_eq!(fate(text), wanted, "{text:?}");
    }
}

#[test]
fn ordinary_addresses_are_dialled_where_allowed() {
    for text in [
        "10.0.0.5",
        "10.255.255.255",
        "172.17.0.2",
        "192.168.1.1",
        "100.64.0.1",
        "1.0.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "223.255.255.255",
        "192.0.0.191",
        "100.100.100.201",
        "168.63.129.17",
        "fd00::1",
        "fd00:ec2::253",
        "fd20:ce::253",
        "fdff:ffff::1",
        "[fd00::1]",
        "2001:db8::1",
        "2001:1::1",
        "2003::1",
        "2000::1",
        "2400:cb00::1",
        "64:ff9a::1",
        "64:ff9b:2::1",
        "64:ff9b:0:0:0:1::1",
        "::1:0:0:0",
        "::1:ffff:0:1",
        "::fffe:0:0:1",
        "fe00::1",
        "fbff::1",
    ] {
        assert_eq!(fate(text), Fate::Dialled, "{text}");
    }
    for text in [
        "a",
        "A-1",
        "db_1.internal",
        "workspace-1.ns.svc.cluster.local",
        "1a",
        "10.0.0.5a",
        "a.0b1",
        "xn--80ak6aa92e.com",
    ] {
        assert_eq!(text.parse(), Ok(Address::Name(text.to_ascii_lowercase().into())), "{text}");
    }
}

#[test]
fn names_and_labels_of_addresses_end_where_dns_does() {
    let name = |labels: &[usize]| labels.iter().map(|n| "a".repeat(*n)).collect::<Vec<_>>().join(".");
    for (text, fits) in [
        (name(&[63]), true),
        (name(&[64]), false),
        (name(&[64, 1]), false),
        (name(&[63, 63, 63, 61]), true),
        (name(&[63, 63, 63, 62]), false),
    ] {
        assert_eq!(text.parse::<Address>().is_ok(), fits, "{}", text.len());
    }
}

#[test]
fn addresses_are_printed_as_they_are_read() {
    for (text, printed) in
        [("127.0.0.1", "localhost"), ("10.0.0.5", "10.0.0.5"), ("[FD00::1]", "fd00::1"), ("Box.Example", "box.example")]
    {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), printed);
        assert_eq!(printed.parse(), Ok(address));
    }
}

#[test]
fn nothing_is_allowed_until_a_range_says_so() {
    let none = rules(&[], &[]);
    for text in ["10.0.0.5", "127.0.0.1", "::1", "fd00::1", "8.8.8.8"] {
        assert_eq!(none.check(ip(text), 80, false), Err(DialRefusal::NotAllowed), "{text}");
    }
    let some = rules(&["10.1.0.0/16", "fd00:1::/32"], &[]);
    for (text, allowed) in [
        ("10.1.0.0", true),
        ("10.1.255.255", true),
        ("10.0.255.255", false),
        ("10.2.0.0", false),
        ("fd00:1::", true),
        ("fd00:1:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("fd00:2::", false),
        ("fd00:0:ffff::", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(some.check(ip(text), 80, false).is_ok(), allowed, "{text}");
    }
}

#[test]
fn an_allowed_range_opens_no_forbidden_kind() {
    for (range, inside) in [
        ("169.254.169.254", "169.254.169.254"),
        ("169.254.0.0/16", "169.254.1.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("::ffff:10.0.0.5", "::ffff:10.0.0.5"),
        ("::ffff:0:0/96", "::ffff:127.0.0.1"),
        ("fe80::/10", "fe80::1"),
        ("fd00:ec2::254", "fd00:ec2::254"),
        ("255.255.255.255", "255.255.255.255"),
    ] {
        let rules = rules(&[range], &[]);
        assert_eq!(rules.check(ip(inside), 80, false), Err(DialRefusal::Forbidden), "{range}");
    }
}

#[test]
fn loopback_is_opened_by_naming_loopback() {
    let open = |allow: &[&str], text: &str| rules(allow, &[]).check(ip(text), 3000, true).is_ok();
    for allow in ["127.0.0.1", "127.0.0.1/32", "127.0.0.0/8", "127.0.0.0/31"] {
        assert!(open(&[allow], "127.0.0.1"), "{allow}");
        assert!(!open(&[allow], "::1"), "{allow}");
    }
    assert!(open(&["::1"], "::1") && open(&["::/0", "::1/128"], "::1"));
    assert!(open(&["127.0.0.0/8"], "127.9.9.9"));
    assert!(!open(&["127.0.0.1"], "127.0.0.2"));
    assert!(!open(&["0.0.0.0/0", "::/0"], "127.0.0.1"));
    assert!(!open(&["0.0.0.0/0", "::/0"], "::1"));
    assert!(!open(&["64.0.0.0/2"], "127.0.0.1"));
}

#[test]
fn a_wide_range_does_not_open_this_machine_but_its_name_does() {
    let bridge = ip("172.17.0.1");
    let wide = rules(&["172.17.0.0/16"], &[]);
    assert!(wide.check(bridge, 3000, false).is_ok());
    assert_eq!(wide.check(bridge, 3000, true), Err(DialRefusal::Local));
    assert!(wide.check(ip("172.17.0.2"), 3000, false).is_ok());
    for allow in [&["172.17.0.1"][..], &["172.17.0.0/16", "172.17.0.1/32"], &["172.17.0.1", "0.0.0.0/0"]] {
        assert!(rules(allow, &[]).check(bridge, 3000, true).is_ok(), "{allow:?}");
    }
    assert_eq!(rules(&["172.17.0.0/31"], &[]).check(bridge, 3000, true), Err(DialRefusal::Local));
    assert_eq!(rules(&["172.17.0.0/16", "172.17.0.2"], &[]).check(bridge, 3000, true), Err(DialRefusal::Local));
    let v6 = rules(&["fd00::/8"], &[]);
    assert_eq!(v6.check(ip("fd00::1"), 3000, true), Err(DialRefusal::Local));
    assert!(rules(&["fd00::1"], &[]).check(ip("fd00::1"), 3000, true).is_ok());
}

#[test]
fn own_sockets_are_refused_at_every_address_of_this_machine() {
    use DialRefusal::Own;
    let everywhere = ["127.0.0.0/8", "::1", "10.0.0.5", "fd00::5", "10.0.0.9", "0.0.0.0/0", "::/0"];
    let here = ["127.0.0.1", "127.0.0.2", "::1", "10.0.0.5", "fd00::5"];
    let local = |text: &str| !text.starts_with("10.0.0.9");
    for own in [
        "0.0.0.0:8080",
        "[::]:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[::ffff:0.0.0.0]:8080",
        "[::ffff:127.0.0.1]:8080",
    ] {
        let rules = rules(&everywhere, &[own]);
        for text in here {
            assert_eq!(rules.check(ip(text), 8080, local(text)), Err(Own), "{own} at {text}");
            assert!(rules.check(ip(text), 8081, local(text)).is_ok(), "{own} at {text}");
        }
        // The same port of another machine is a workspace's.
        assert!(rules.check(ip("10.0.0.9"), 8080, false).is_ok(), "{own}");
    }
    // Loopback need not be marked as local.
    let listener = rules(&everywhere, &["0.0.0.0:8080"]);
    assert_eq!(listener.check(ip("127.0.0.1"), 8080, false), Err(Own));
    // A listener on one address, and a database elsewhere: that address alone.
    for own in ["10.0.0.9:5432", "[::ffff:10.0.0.9]:5432"] {
        let rules = rules(&everywhere, &["10.0.0.5:8080", own]);
        assert_eq!(rules.check(ip("10.0.0.9"), 5432, false), Err(Own), "{own}");
        assert!(rules.check(ip("10.0.0.8"), 5432, false).is_ok(), "{own}");
        assert!(rules.check(ip("127.0.0.1"), 5432, true).is_ok(), "{own}");
        assert_eq!(rules.check(ip("10.0.0.5"), 8080, true), Err(Own));
        assert!(rules.check(ip("127.0.0.1"), 8080, true).is_ok());
        assert!(rules.check(ip("10.0.0.9"), 8080, false).is_ok());
    }
    // Said before the allow list is asked, so that the reason is the true one.
    let closed = rules(&[], &["127.0.0.1:8080"]);
    assert_eq!(closed.check(ip("::1"), 8080, true), Err(Own));
}

#[test]
fn ranges_are_read_in_one_spelling() {
    for (text, printed) in [
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.128.0.0/9", "10.128.0.0/9"),
        ("10.0.0.4/30", "10.0.0.4/30"),
        ("10.0.0.5/32", "10.0.0.5/32"),
        ("10.0.0.5", "10.0.0.5/32"),
        ("::/0", "::/0"),
        ("fd00::/8", "fd00::/8"),
        ("8000::/1", "8000::/1"),
        ("fd00::1/128", "fd00::1/128"),
        ("fd00::2/127", "fd00::2/127"),
        ("fd00::1", "fd00::1/128"),
    ] {
        let range: Cidr = text.parse().unwrap();
        assert_eq!(range.to_string(), printed);
        assert_eq!(range.is_single(), printed.ends_with("/32") || printed.ends_with("/128"), "{text}");
    }
    for text in [
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/256",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0.0/8/8",
        "10.0.0.0/ 8",
        " 10.0.0.0/8",
        "10.0.0.1/8",
        "10.0.0.5/31",
        "10.0.0.0/6",
        "10/8",
        "10.0.0/8",
        "010.0.0.0/8",
        "fd00::1/127",
        "fd00::/7x",
        "fe00::/6",
        "::/129",
        "::1/0",
        "fd00::%eth0/8",
        "[fd00::]/8",
        "localhost",
        "10.0.0.0/255.0.0.0",
    ] {
        let error = text.parse::<Cidr>().unwrap_err();
        assert!(error.to_string().contains(text), "{text}");
    }
}

#[test]
fn a_range_holds_its_addresses_and_no_other_familys() {
    for (range, first, last, before, after) in [
        ("10.0.0.4/30", "10.0.0.4", "10.0.0.7", "10.0.0.3", "10.0.0.8"),
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
        ("128.0.0.0/1", "128.0.0.0", "255.255.255.255", "127.255.255.255", "::8000:0"),
        ("10.0.0.5", "10.0.0.5", "10.0.0.5", "10.0.0.4", "10.0.0.6"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", "::", "::ffff:1.2.3.4"),
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0", "255.255.255.255"),
        ("::/96", "::", "::ffff:ffff", "0.0.0.1", "::1:0:0"),
        ("8000::/1", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "7fff::", "128.0.0.0"),
        ("fd00::4/126", "fd00::4", "fd00::7", "fd00::3", "fd00::8"),
    ] {
        let cidr: Cidr = range.parse().unwrap();
        for (text, inside) in [(first, true), (last, true), (before, false), (after, false)] {
            assert_eq!(cidr.contains(ip(text)), inside, "{range} {text}");
        }
    }
}

#[test]
fn one_party_is_one_address_or_one_v6_network() {
    let net = |text: &str| network(text.parse().unwrap());
    assert_eq!(net("::ffff:192.0.2.1"), net("192.0.2.1"));
    assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:2"));
    assert_ne!(net("2001:db8::1"), net("2001:db8:0:1::1"));
    assert_ne!(net("192.0.2.1"), net("192.0.2.2"));
}
