//! Templates: which are accepted, and that reading undoes writing for each of them.

use proptest::prelude::*;

use super::*;
use crate::host::LABEL_MAX;

const GOOD: &[&str] = &[
    "{port}-{workspace}",
    "{workspace}-{port}",
    "{port}--{workspace}",
    "{workspace}--{port}",
    "{port}-x-{workspace}",
    "{workspace}-x-{port}",
    "{port}-x{workspace}",
    "{workspace}x-{port}",
    "p{port}-{workspace}",
    "9-{port}-{workspace}9",
    "dev-{port}-{workspace}-x",
    "9{workspace}-{port}-9",
    "xn-{workspace}-{port}",
    "s{port}-s{workspace}s",
];

#[test]
fn templates_are_read_and_printed_back() {
    for text in GOOD {
        let pattern: Pattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(pattern.to_string(), *text);
    }
    assert_eq!("{port}-{workspace}".parse(), Ok(Pattern::default()));
}

#[test]
fn templates_that_would_be_ambiguous_are_refused() {
    use PatternError::{Characters, Placeholders, Separator};
    for (text, wanted) in [
        ("", Placeholders),
        ("{port}", Placeholders),
        ("{workspace}", Placeholders),
        ("{port}-{port}-{workspace}", Placeholders),
        ("{port}-{workspace}-{workspace}", Placeholders),
        ("port-workspace", Placeholders),
        ("{Port}-{Workspace}", Placeholders),
        ("{port}{workspace}", Separator),
        ("{workspace}{port}", Separator),
        ("{port}x{workspace}", Separator),
        ("{port}x-{workspace}", Separator),
        ("{workspace}-x{port}", Separator),
        ("{workspace}x{port}", Separator),
        ("1{port}-{workspace}", Separator),
        ("dev1{port}-{workspace}", Separator),
        ("{workspace}-{port}s", Separator),
        ("{workspace}-{port}1", Separator),
        ("{workspace}-{port}x", Separator),
        ("-{port}-{workspace}", Characters),
        ("{port}-{workspace}-", Characters),
        ("{workspace}-{port}-", Characters),
        ("{port}-{workspace}.x", Characters),
        ("x.{port}-{workspace}", Characters),
        ("{port}.{workspace}", Characters),
        ("{port}-_{workspace}", Characters),
        ("DEV-{port}-{workspace}", Characters),
        ("{port}-{workspace}-ä", Characters),
        ("{port}-{workspace} ", Characters),
        ("{{port}-{workspace}", Characters),
        ("{port}-{workspace}-{user}", Characters),
        ("xn--{port}-{workspace}", Characters),
        ("xn--{workspace}-{port}", Characters),
    ] {
        let error = text.parse::<Pattern>().unwrap_err();
        assert_eq!(error, wanted, "{text}");
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #[test]
    fn reading_undoes_writing(
        template in prop::sample::select(GOOD),
        id in "[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?",
        port in 1..=u16::MAX,
        tls: bool,
        bare: bool,
    ) {
        let pattern: Pattern = template.parse().unwrap();
        let form = if bare { PortForm::Default } else { PortForm::Number { port, tls } };
        let label = pattern.write(&id, form);
        // An id is one exactly if its bare name reads as the bare name.
        prop_assume!(pattern.read(&id) == Some((id.as_str(), PortForm::Default)));
        prop_assume!(label.len() <= LABEL_MAX && !label.starts_with("xn--"));
        prop_assert_eq!(pattern.read(&label), Some((id.as_str(), form)));
    }

    #[test]
    fn writing_undoes_reading(template in prop::sample::select(GOOD), label in "[0-9sxdev-]{0,4}[a-z0-9-]{0,12}[0-9sx-]{0,4}") {
        let pattern: Pattern = template.parse().unwrap();
        if let Some((id, form)) = pattern.read(&label) {
            prop_assert_eq!(pattern.write(id, form), label);
        }
    }
}
