use base64::Engine as _;
use portway_core::dial::DialRefusal;
use portway_http1::Rule;
use sha2::{Digest as _, Sha256};

use super::*;

const ALL: [(&str, Refusal); 35] = [
    ("wrong-authority", Refusal::WrongAuthority),
    ("not-found", Refusal::NotFound),
    ("method", Refusal::Method),
    ("unauthenticated", Refusal::Unauthenticated),
    ("bad-token", Refusal::BadToken),
    ("other-origin", Refusal::OtherOrigin),
    ("too-large", Refusal::TooLarge),
    ("request-timeout", Refusal::RequestTimeout),
    ("port-closed", Refusal::Dial(DialError::Closed, 3000, false)),
    ("port-closed-here", Refusal::Dial(DialError::Closed, 3000, true)),
    ("connect-timeout", Refusal::Dial(DialError::Timeout, 3000, false)),
    ("no-address", Refusal::Dial(DialError::NoAddress, 3000, false)),
    ("address-refused", Refusal::Dial(DialError::Refused(DialRefusal::Own), 3000, false)),
    ("upstream-tls", Refusal::Dial(DialError::Tls, 8443, false)),
    ("unreachable", Refusal::Dial(DialError::Network, 3000, false)),
    ("overloaded", Refusal::Dial(DialError::Overloaded, 3000, false)),
    ("bad-upstream", Refusal::BadUpstream(3000)),
    ("upstream-timeout", Refusal::UpstreamTimeout(3000)),
    ("control-upstream", Refusal::ControlUpstream),
    ("revoked", Refusal::Revoked),
    ("starting", Refusal::Asleep(State::Starting, true)),
    ("asleep", Refusal::Asleep(State::Standby, true)),
    ("asleep-to-guests", Refusal::Asleep(State::Archived, false)),
    ("stopping", Refusal::Asleep(State::Stopping, true)),
    ("error", Refusal::Asleep(State::Error, true)),
    ("error-to-guests", Refusal::Asleep(State::Error, false)),
    ("running-limit", Refusal::RunningLimit(true)),
    ("running-limit-to-guests", Refusal::RunningLimit(false)),
    ("wake-failed", Refusal::WakeFailed),
    ("woken-too-often", Refusal::WokenTooOften),
    ("loop", Refusal::Loop),
    ("too-many-requests", Refusal::TooManyRequests),
    ("workspace-busy", Refusal::WorkspaceBusy),
    ("no-memory", Refusal::Overloaded),
    ("unavailable", Refusal::Unavailable),
];

fn text(answer: &Answer) -> String {
    let fields: Vec<String> = answer.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{}\n{}\n\n{}", answer.status, fields.join("\n"), String::from_utf8_lossy(&answer.body))
}

#[test]
fn pages_and_json_are_as_they_were_reviewed() {
    for (name, refusal) in ALL {
        insta::assert_snapshot!(format!("{name}-page"), text(&refusal.answer(Form::Page, Some("/"))));
        insta::assert_snapshot!(format!("{name}-json"), text(&refusal.answer(Form::Json, None)));
    }
    let malformed = Refusal::Malformed(Rule::BareLf.into());
    insta::assert_snapshot!("malformed-json", text(&malformed.answer(Form::Json, None)));
}

#[test]
fn the_policy_allows_exactly_the_script_on_the_page() {
    let answer = Refusal::Dial(DialError::Closed, 3000, false).answer(Form::Page, None);
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    let script = page.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
    assert!(CSP.contains(&format!("'sha256-{hash}'")), "the hash of the script is {hash}");
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn every_answer_is_uncacheable_and_says_why_in_one_word() {
    for (name, refusal) in ALL {
        for form in [Form::Page, Form::Json] {
            let answer = refusal.answer(form, None);
            let of = |wanted: &str| {
                let mut found = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                let value = found.next().map(|(_, value)| value.as_str());
                assert!(found.next().is_none(), "{name}: {wanted} twice");
                value
            };
            assert_eq!(of("cache-control"), Some("no-store"), "{name}");
            assert_eq!(of("portway-reason"), Some(refusal.kind().1), "{name}");
            assert!(of("content-type").is_some(), "{name}");
        }
    }
}

#[test]
fn no_page_asks_anything_of_another_host() {
    for (name, refusal) in ALL {
        let page = String::from_utf8(refusal.answer(Form::Page, Some("/")).body.to_vec()).unwrap();
        assert!(!page.contains("//"), "{name} names another host or protocol");
        assert!(page.contains("width=device-width") && page.contains("prefers-color-scheme: dark"), "{name}");
    }
}
