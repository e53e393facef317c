//! One case of the corpus, as a line: `name | RFC section | outcome | bytes`, and for responses
//! `name | RFC section | request | outcome | bytes`.
//!
//! Lines that begin with `#` and empty ones say nothing. In the bytes `\r \n \t \0 \s \\ \xHH` are octets (`\s` is a space
//! at the end of a line), and braces hold what cannot be known beforehand or is too long to read:
//!
//! - `{host}` the door's Host, `{HOST}` the same in capitals, `{name}` without the port, `{port}` the gateway's port
//! - `{auth}` the field line that opens the door, with CRLF; nothing on a public port
//! - `{get}`, `{post}` a request line for `/one`, Host and `{auth}`: a head but for its empty line
//! - `{two}` a whole second request, for `/two`: what would be smuggled
//! - `{repeat TEXT N}`, `{fields N}` (`X-0: v` and so on)
//! - at the very end `{fin}`: the sender ends its side; `{close}`, `{reset}`: the dev server closes
//!
//! An outcome is a comma list, read in `requests` and `responses`.

use crate::stage::Door;

/// One line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    /// Where it is written that the outcome must be so.
    pub(crate) rfc: &'static str,
    /// What the visitor asks; responses only.
    pub(crate) request: &'static str,
    pub(crate) want: &'static str,
    template: &'static str,
}

/// What happens after the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stay,
    /// End the sending side, or close.
    End,
    Reset,
}

/// Reads a class.
pub(crate) fn read(class: &'static str, text: &'static str, columns: usize) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&'static str> = line.splitn(columns, " | ").map(str::trim).collect();
            assert_eq!(parts.len(), columns, "{class}: {line}");
            let at = |column: usize| parts[column];
            let (request, want) = if columns == 5 { (at(2), at(3)) } else { ("", at(2)) };
            let case = Case { class, name: at(0), rfc: at(1), request, want, template: at(columns - 1) };
            assert!(!case.name.is_empty() && !case.rfc.is_empty() && !want.is_empty(), "{class}: {line}");
            case
        })
        .collect()
}

impl Case {
    /// The outcome's items.
    pub(crate) fn wants(&self) -> Vec<&'static str> {
        self.want.split(", ").collect()
    }

    /// Whether there are no bytes at all.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.template, "{close}" | "{reset}")
    }

    /// The value of an item `key=value`.
    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        let values = self.wants().into_iter().filter_map(|item| item.split_once('='));
        values.filter(|(name, _)| *name == key).map(|(_, value)| unescape(value)).next()
    }

    /// The bytes for this door, and what follows them.
    pub(crate) fn bytes(&self, door: &Door) -> (Vec<u8>, Then) {
        let (text, then) = match self.template {
            text if text.ends_with("{fin}") => (text.trim_end_matches("{fin}"), Then::End),
            text if text.ends_with("{close}") => (text.trim_end_matches("{close}"), Then::End),
            text if text.ends_with("{reset}") => (text.trim_end_matches("{reset}"), Then::Reset),
            text => (text, Then::Stay),
        };
        (self.expand(text, door), then)
    }

    fn expand(&self, text: &str, door: &Door) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            bytes.extend(unescape(before));
            let (name, tail) = after.split_once('}').unwrap_or_else(|| panic!("{self:?}: a brace is open"));
            bytes.extend(self.named(name, door));
            rest = tail;
        }
        bytes.extend(unescape(rest));
        bytes
    }

    fn named(&self, name: &str, door: &Door) -> Vec<u8> {
        let words: Vec<&str> = name.split(' ').collect();
        let number = |text: &str| text.parse::<usize>().expect("a number");
        match words[..] {
            ["host"] => door.host.clone().into_bytes(),
            ["HOST"] => door.host.to_ascii_uppercase().into_bytes(),
            ["name"] => door.host.split(':').next().unwrap_or_default().as_bytes().to_vec(),
            ["port"] => door.address.port().to_string().into_bytes(),
            ["auth"] => door.auth.clone().into_bytes(),
            ["get"] => self.expand("GET /one HTTP/1.1\\r\\nHost: {host}\\r\\n{auth}", door),
            ["post"] => self.expand("POST /one HTTP/1.1\\r\\nHost: {host}\\r\\n{auth}", door),
            ["two"] => self.expand("GET /two HTTP/1.1\\r\\nHost: {host}\\r\\n{auth}\\r\\n", door),
            ["repeat", text, count] => unescape(text).repeat(number(count)),
            ["fields", count] => (0..number(count)).flat_map(|n| format!("X-{n}: v\r\n").into_bytes()).collect(),
            _ => panic!("{self:?}: nothing is called {name:?}"),
        }
    }
}

/// Reads escapes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let [kind, tail @ ..] = rest else { panic!("a backslash ends {text:?}") };
        rest = tail;
        bytes.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b's' => b' ',
            b'\\' => b'\\',
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).expect("hexadecimal digits")
            }
            other => panic!("\\{} in {text:?}", char::from(*other)),
        });
    }
    bytes
}
