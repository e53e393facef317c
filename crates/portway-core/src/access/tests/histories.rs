//! Permits through random histories: no change that ends one goes unnoticed (R53).

use proptest::prelude::*;

use super::*;
use crate::testing::{KEYS, PORTS, any_event};

const NOW: Timestamp = 100;

/// Everybody who could knock in this world: nobody, and whoever holds a session or token of it.
fn visitors(snapshot: &Snapshot) -> Vec<Visitor> {
    let sessions = (0..3).filter_map(|n| snapshot.session(&hash(n)).cloned().map(Visitor::Session));
    let tokens = (10..13).filter_map(|n| snapshot.token(&hash(n)).cloned().map(Visitor::Token));
    [Visitor::Anonymous].into_iter().chain(sessions).chain(tokens).collect()
}

fn targets() -> impl Iterator<Item = Target> {
    KEYS.into_iter().flat_map(|key| PORTS.map(|port| target(key, port)))
}

fn permits(snapshot: &Snapshot, rules: &Rules) -> Vec<Permit> {
    let mut all = Vec::new();
    for target in targets() {
        for visitor in visitors(snapshot) {
            if let Decision::Permit(permit) = decide(snapshot, rules, &target, &visitor, NOW) {
                all.push(permit);
            }
        }
    }
    all
}

/// The same person at the same door again: what they hold is looked up as a request would.
fn again(permit: &Permit, snapshot: &Snapshot, rules: &Rules) -> Decision {
    let visitor = match &permit.visitor {
        Visitor::Anonymous => Visitor::Anonymous,
        Visitor::Session(old) => {
            snapshot.session(&old.hash).map_or(Visitor::Anonymous, |new| Visitor::Session(new.clone()))
        }
        Visitor::Token(old) => snapshot.token(&old.hash).map_or(Visitor::Anonymous, |new| Visitor::Token(new.clone())),
    };
    decide(snapshot, rules, &permit.target, &visitor, NOW)
}

fn rules() -> impl Strategy<Value = Rules> {
    let ceiling = prop::sample::select(vec![Level::Users, Level::Authenticated, Level::Public, Level::Public]);
    ceiling.prop_map(|ceiling| Rules { ceiling, ..Rules::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_change_that_ends_a_permit_goes_unnoticed(
        rules in rules(),
        first in prop::collection::vec(any_event(), 5..30),
        later in prop::collection::vec(prop::collection::vec(any_event(), 1..4), 1..6),
    ) {
        let mut snapshot = Snapshot::default().apply(first).0;
        let mut open = permits(&snapshot, &rules);
        for events in later {
            let (next, diff, _) = snapshot.apply(events);
            for permit in &open {
                prop_assert!(permit.still_holds(&snapshot, &rules, NOW));
                let holds = permit.still_holds(&next, &rules, NOW);
                prop_assert!(holds || permit.is_touched_by(&diff), "missed: {:?} by {:?}", permit, diff);
                // Who is no longer let in is cut, and who is not cut would be let in to the same place.
                match again(permit, &next, &rules) {
                    Decision::Permit(new) if holds => {
                        prop_assert_eq!(&new.workspace.address, &permit.workspace.address);
                        prop_assert_eq!(&new.workspace.generation, &permit.workspace.generation);
                        prop_assert_eq!(new.scheme, permit.scheme);
                        prop_assert!(permit.basis != Basis::Public || new.basis == Basis::Public);
                    }
                    Decision::Permit(_) => {}
                    Decision::Wait(_) | Decision::Challenge | Decision::Deny(_) => prop_assert!(!holds, "{:?}", permit),
                }
            }
            open.retain(|permit| permit.still_holds(&next, &rules, NOW));
            open.extend(permits(&next, &rules));
            snapshot = next;
        }
    }

    #[test]
    fn a_permit_holds_until_its_second_and_no_longer(rules in rules(), events in prop::collection::vec(any_event(), 5..30)) {
        let snapshot = Snapshot::default().apply(events).0;
        for permit in permits(&snapshot, &rules) {
            match permit.expires_at() {
                Some(end) => {
                    prop_assert!(permit.still_holds(&snapshot, &rules, end - 1));
                    prop_assert!(!permit.still_holds(&snapshot, &rules, end));
                }
                None => prop_assert!(permit.still_holds(&snapshot, &rules, Timestamp::MAX)),
            }
        }
    }
}
