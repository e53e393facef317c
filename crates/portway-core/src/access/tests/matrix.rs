//! Every level x row x ceiling x kind of port x state x principal, against tables written from the requirements (R32, R52).

use super::*;

/// The level in force for a row (down) under a ceiling (across): owner, users, authenticated, public.
const IN_FORCE: [(Level, bool, [&str; 4]); 8] = [
    // The row's level, whether it names users.
    (Level::Owner, false, ["owner", "owner", "owner", "owner"]),
    (Level::Owner, true, ["owner", "users", "users", "users"]),
    (Level::Users, false, ["owner", "users", "users", "users"]),
    (Level::Users, true, ["owner", "users", "users", "users"]),
    (Level::Authenticated, false, ["owner", "users", "authenticated", "authenticated"]),
    (Level::Authenticated, true, ["owner", "users", "authenticated", "authenticated"]),
    (Level::Public, false, ["owner", "users", "authenticated", "public"]),
    (Level::Public, true, ["owner", "users", "authenticated", "public"]),
];

/// On what grounds a person in good standing gets in: as the owner, as somebody named in the row, as anybody else.
const GROUNDS: [(&str, [Option<&str>; 3]); 3] = [
    ("owner", [Some("owner"), None, None]),
    ("users", [Some("owner"), Some("shared"), None]),
    ("authenticated", [Some("owner"), Some("shared"), Some("shared")]),
];

const CEILINGS: [Level; 4] = [Level::Owner, Level::Users, Level::Authenticated, Level::Public];
/// An ordinary port, a protected and a denied one.
const PORTS: [u16; 3] = [3000, 8080, 22];
/// Ann owns the workspace, Bob is named where a row names anybody, Eve is somebody else.
const PEOPLE: [&str; 3] = ["ann", "bob", "eve"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Good,
    Suspended,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Running,
    Stopped,
    Asleep,
    Absent,
    Ownerless,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Credential {
    Nothing,
    Session,
    SessionOfOtherHost,
    SessionOver,
    Token,
    TokenOfOtherPort,
    TokenOfOtherWorkspace,
    TokenOver,
}

const CREDENTIALS: [Credential; 8] = [
    Credential::Nothing,
    Credential::Session,
    Credential::SessionOfOtherHost,
    Credential::SessionOver,
    Credential::Token,
    Credential::TokenOfOtherPort,
    Credential::TokenOfOtherWorkspace,
    Credential::TokenOver,
];

/// One cell.
#[derive(Clone, Copy, Debug)]
struct Cell {
    row: Option<(Level, bool)>,
    ceiling: Level,
    port: u16,
    place: Place,
    standing: Standing,
    person: &'static str,
    credential: Credential,
}

impl Cell {
    fn visitor(&self) -> Visitor {
        let host = target("a", self.port).host;
        let session = |host: &str, end| Visitor::Session(session(1, self.person, host, end));
        let token = |key, port, end| Visitor::Token(token(2, self.person, key, port, end));
        match self.credential {
            Credential::Nothing => Visitor::Anonymous,
            Credential::Session => session(&host, 100),
            Credential::SessionOfOtherHost => session("1-a.example.com", 100),
            Credential::SessionOver => session(&host, 50),
            Credential::Token => token("a", self.port, 100),
            Credential::TokenOfOtherPort => token("a", 1, 100),
            Credential::TokenOfOtherWorkspace => token("b", self.port, 100),
            Credential::TokenOver => token("a", self.port, 50),
        }
    }

    fn in_force(&self) -> &'static str {
        let Some((level, named)) = self.row else { return "owner" };
        if self.port == 8080 {
            return "owner";
        }
        let column = CEILINGS.iter().position(|ceiling| *ceiling == self.ceiling).unwrap();
        IN_FORCE.iter().find(|row| (row.0, row.1) == (level, named)).unwrap().2[column]
    }

    /// What a person may, credentials aside.
    fn person_may(&self) -> Result<&'static str, &'static str> {
        match self.standing {
            Standing::Unknown => return Err("unknown-user"),
            Standing::Suspended => return Err("suspended"),
            Standing::Good => {}
        }
        let role = match self.person {
            "ann" if self.place != Place::Ownerless => 0,
            "bob" if self.row.is_some_and(|(_, named)| named) => 1,
            _ => 2,
        };
        // To somebody logged in, a public port is at least an authenticated one.
        let level = self.in_force().replace("public", "authenticated");
        let grounds = GROUNDS.iter().find(|row| row.0 == level).unwrap().1;
        grounds[role].ok_or("no-grant")
    }

    /// The model, refusals in the order in which they are told.
    fn wanted(&self) -> String {
        let stranger =
            matches!(self.credential, Credential::Nothing | Credential::SessionOfOtherHost | Credential::SessionOver);
        let no = |reason: &str| if stranger { "challenge".to_owned() } else { reason.to_owned() };
        let stopped = self.place == Place::Stopped;
        let asleep = self.place == Place::Asleep;
        if self.port == 22 {
            return no("port-denied");
        }
        if self.place == Place::Absent {
            return no("no-workspace");
        }
        if self.in_force() == "public" {
            return match self.place {
                Place::Stopped => no("stopped"),
                Place::Asleep if self.credential == Credential::Session && self.person_may() == Ok("owner") => {
                    format!("wait owner {}", self.person)
                }
                Place::Asleep => no("wait public"),
                Place::Running | Place::Ownerless | Place::Absent => "public".to_owned(),
            };
        }
        let by_token = match self.credential {
            Credential::Nothing | Credential::SessionOfOtherHost | Credential::SessionOver => return no(""),
            Credential::TokenOver => return no("expired"),
            Credential::TokenOfOtherPort | Credential::TokenOfOtherWorkspace => return no("token-scope"),
            Credential::Token => true,
            Credential::Session => false,
        };
        match self.person_may() {
            Err(reason) => no(reason),
            Ok(_) if stopped => no("stopped"),
            Ok(_) if asleep && by_token => format!("wait token {}", self.person),
            Ok(grounds) if asleep => format!("wait {grounds} {}", self.person),
            Ok(_) if by_token => format!("token {}", self.person),
            Ok(grounds) => format!("{grounds} {}", self.person),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let a = match self.place {
            Place::Running => Some(workspace("a", Some("ann"))),
            Place::Stopped => Some(Workspace { state: State::Stopped, ..workspace("a", Some("ann")) }),
            Place::Asleep => Some(Workspace { state: State::Standby, ..workspace("a", Some("ann")) }),
            Place::Ownerless => Some(workspace("a", None)),
            Place::Absent => None,
        };
        let row = self
            .row
            .map(|(level, named)| ports("a", &[(self.port, shared(level, if named { &["bob"] } else { &[] }))]));
        let people = PEOPLE.iter().filter(|_| self.standing != Standing::Unknown);
        let people = people.map(|person| user(person, self.standing == Standing::Suspended));
        let events = a.map(|a| Event::Workspace(Arc::new(a))).into_iter().chain(row).chain(people);
        Snapshot::default().apply(events).0
    }
}

/// Visits every cell, with the world it is asked in.
fn every_cell(mut visit: impl FnMut(&Cell, &Snapshot, &Rules)) -> usize {
    let rows = IN_FORCE.iter().map(|(level, named, _)| Some((*level, *named))).chain([None]);
    let mut count = 0;
    for row in rows {
        for port in PORTS {
            for place in [Place::Running, Place::Stopped, Place::Asleep, Place::Absent, Place::Ownerless] {
                for standing in [Standing::Good, Standing::Suspended, Standing::Unknown] {
                    let mut cell = Cell {
                        row,
                        port,
                        place,
                        standing,
                        ceiling: Level::Owner,
                        person: "",
                        credential: Credential::Nothing,
                    };
                    let snapshot = cell.snapshot();
                    for ceiling in CEILINGS {
                        let rules = Rules { ceiling, ..Rules::default() };
                        for person in PEOPLE {
                            for credential in CREDENTIALS {
                                cell = Cell { ceiling, person, credential, ..cell };
                                visit(&cell, &snapshot, &rules);
                                count += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    count
}

#[test]
fn every_decision_is_the_tables() {
    let count = every_cell(|cell, snapshot, rules| {
        let decision = decide(snapshot, rules, &target("a", cell.port), &cell.visitor(), 50);
        assert_eq!(verdict(&decision), cell.wanted(), "{cell:?}");
    });
    assert_eq!(count, 9 * 3 * 5 * 3 * 4 * 3 * 8);
}

#[test]
fn the_authoriser_is_told_the_same_as_the_door() {
    every_cell(|cell, snapshot, rules| {
        let may = user_may(snapshot, rules, &target("a", cell.port), &cell.person.into());
        let got = match &may {
            Ok(Basis::Owner(user)) => format!("owner {user}"),
            Ok(Basis::Shared(user)) => format!("shared {user}"),
            Ok(Basis::Public | Basis::Token(_) | Basis::Front) => panic!("{cell:?}: {may:?}"),
            Err(reason) => reason.as_str().to_owned(),
        };
        let wanted = match (cell.port, cell.place, cell.person_may()) {
            (22, _, _) => "port-denied".to_owned(),
            (_, Place::Absent, _) => "no-workspace".to_owned(),
            (_, _, Err(reason)) => reason.to_owned(),
            (_, Place::Stopped, Ok(_)) => "stopped".to_owned(),
            (_, _, Ok(grounds)) => format!("{grounds} {}", cell.person),
        };
        assert_eq!(got, wanted, "{cell:?}");
    });
}

#[test]
fn levels_in_force_are_the_tables() {
    for (level, named, across) in IN_FORCE {
        let row = shared(level, if named { &["bob"] } else { &[] });
        for (ceiling, wanted) in CEILINGS.into_iter().zip(across) {
            let rules = Rules { ceiling, ..Rules::default() };
            assert_eq!(
                effective_level(&rules, 3000, None, Some(&row)).as_str(),
                wanted,
                "{level:?} {named} {ceiling:?}"
            );
            assert_eq!(effective_level(&rules, 8080, None, Some(&row)), Level::Owner);
            assert_eq!(effective_level(&rules, 3000, None, None), Level::Owner);
        }
    }
}
