//! One value out of five layers: flag, environment, file, preset, default, in this order.
//!
//! Every layer's value is read, also one that a stronger layer overrides, so that no mistake hides. What keys mean is
//! not known here.

use std::time::Duration;

use super::file::{self, Entries, Node, Raw, Written};
use super::keys::{Key, Kind, TABLES, variable};
use super::problem::{Complaint, Place, Problem};
use crate::duration;

/// Where settings are read from, and what was wrong so far.
#[derive(Debug)]
pub(crate) struct Reader {
    preset: Entries,
    file: Entries,
    partial: bool,
    environment: Entries,
    flags: Entries,
    pub(crate) problems: Vec<Problem>,
}

/// A value that was read, and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl Reader {
    /// `environment` are the variables of the process; `flags` values by key path and flag name.
    pub(crate) fn new(
        file: Written,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static Key, &'static str, Vec<String>)>,
        mut problems: Vec<Problem>,
    ) -> Self {
        let mut layer = Entries::new();
        for (name, text) in environment {
            // An empty variable is how a container's environment leaves one out.
            if !text.is_empty() {
                read_variable(&name, &text, &mut layer, &mut problems);
            }
        }
        let flags = flags.into_iter().filter(|(_, _, values)| !values.is_empty()).map(|(key, flag, values)| {
            let place = Place::Flag(flag.to_owned());
            (key.path.to_owned(), from_texts(key.kind, values, &place))
        });
        Self {
            preset: Entries::new(),
            file: file.entries,
            partial: file.partial,
            environment: layer,
            flags: flags.collect(),
            problems,
        }
    }

    /// Puts a preset below everything that was given.
    pub(crate) fn below(&mut self, preset: Entries) {
        self.preset = preset;
    }

    /// The strongest layer's value that can be read, the default at last.
    pub(crate) fn read<T>(&mut self, key: &Key, parse: impl Fn(&Raw) -> Result<T, Complaint>) -> Option<Read<T>> {
        let mut result = None;
        let default = default_of(key);
        let given = [&self.preset, &self.file, &self.environment, &self.flags].map(|layer| layer.get(key.path));
        let layers = [default.as_ref()].into_iter().chain(given);
        for raw in layers.flatten() {
            match parse(raw) {
                Ok(value) => result = Some(Read { value, place: raw.place.clone() }),
                Err(complaint) => self.problems.push(complaint.at(&raw.place, key.path)),
            }
        }
        result
    }

    /// Like [`Reader::read`], of a key of one repeated table.
    pub(crate) fn read_in<T>(
        &mut self,
        entries: &Entries,
        key: &Key,
        parse: impl Fn(&Raw) -> Result<T, Complaint>,
    ) -> Option<Read<T>> {
        let default = default_of(key);
        let raw = entries.get(key.path).or(default.as_ref())?;
        match parse(raw) {
            Ok(value) => Some(Read { value, place: raw.place.clone() }),
            Err(complaint) => {
                self.problems.push(complaint.at(&raw.place, key.path));
                None
            }
        }
    }

    /// A repeated table (`domains`) from the strongest layer that has it.
    pub(crate) fn tables(&self, path: &str) -> Vec<Read<Entries>> {
        let raw = self.environment.get(path).or_else(|| self.file.get(path));
        let Some(Raw { node: Node::List(items), .. }) = raw else { return Vec::new() };
        let table = |item: &Raw| match &item.node {
            Node::Table(entries) => Some(Read { value: entries.clone(), place: item.place.clone() }),
            _ => None,
        };
        items.iter().filter_map(table).collect()
    }

    /// Whether some layer that people write gives the key.
    pub(crate) fn is_given(&self, key: &Key) -> bool {
        [&self.file, &self.environment, &self.flags].iter().any(|layer| layer.contains_key(key.path))
    }

    /// Reports a complaint.
    pub(crate) fn complain(&mut self, complaint: Complaint, place: &Place, key: &Key) {
        self.problems.push(complaint.at(place, key.path));
    }

    /// Reports a key that must be there; not where part of the file could not be read and it may be in that part.
    pub(crate) fn missing(&mut self, place: &Place, key: &Key) {
        if !self.partial {
            let complaint = Complaint::new("is missing").hint(format!("write {} = {}", key.name(), key.example));
            self.problems.push(complaint.at(place, key.path));
        }
    }
}

fn read_variable(name: &str, text: &str, layer: &mut Entries, problems: &mut Vec<Problem>) {
    let place = Place::Variable(name.to_owned());
    if let Some(table) =
        TABLES.iter().filter_map(|table| table.path.strip_suffix("[]")).find(|path| variable(path) == name)
    {
        if let Some(raw) = file::read_value(text, table, &place, problems) {
            layer.insert(table.to_owned(), raw);
        }
    } else if let Some(key) = super::keys::KEYS.iter().find(|key| !key.path.contains("[]") && key.variable() == name) {
        let values = match key.kind {
            Kind::Texts | Kind::Integers => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Kind::Text | Kind::Integer | Kind::Flag | Kind::Duration => vec![text.to_owned()],
        };
        layer.insert(key.path.to_owned(), from_texts(key.kind, values, &place));
    }
}

/// What a flag or variable says, as the file would have written it. Texts that do not fit stay texts and are complained
/// about by whoever reads the key.
fn from_texts(kind: Kind, values: Vec<String>, place: &Place) -> Raw {
    let one = |text: String| {
        let node = match kind {
            Kind::Integer | Kind::Integers => text.parse().map_or(Node::Text(text), Node::Integer),
            Kind::Flag => text.parse().map_or(Node::Text(text), Node::Flag),
            Kind::Text | Kind::Texts | Kind::Duration => Node::Text(text),
        };
        Raw { place: place.clone(), node }
    };
    match kind {
        Kind::Texts | Kind::Integers => {
            Raw { place: place.clone(), node: Node::List(values.into_iter().map(one).collect()) }
        }
        Kind::Text | Kind::Integer | Kind::Flag | Kind::Duration => {
            one(values.into_iter().next_back().unwrap_or_default())
        }
    }
}

fn default_of(key: &Key) -> Option<Raw> {
    let mut ignored = Vec::new();
    file::read_value(key.default?, key.path, &Place::Default, &mut ignored)
}

fn wrong(raw: &Raw, kind: Kind) -> Complaint {
    Complaint::new(format!("must be {}, not {}", kind.describe(), raw.node.describe()))
}

/// A text.
pub(crate) fn text(raw: &Raw) -> Result<String, Complaint> {
    match &raw.node {
        Node::Text(text) => Ok(text.clone()),
        _ => Err(wrong(raw, Kind::Text)),
    }
}

/// A text that `parse` understands.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    parse: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(&Raw) -> Result<T, Complaint> {
    move |raw| parse(&text(raw)?).map_err(|error| Complaint::new(error.to_string()))
}

/// `true` or `false`.
pub(crate) fn flag(raw: &Raw) -> Result<bool, Complaint> {
    match &raw.node {
        Node::Flag(flag) => Ok(*flag),
        _ => Err(wrong(raw, Kind::Flag)),
    }
}

/// A whole number within bounds.
pub(crate) fn integer(least: u64, most: u64) -> impl Fn(&Raw) -> Result<u64, Complaint> {
    move |raw| match &raw.node {
        Node::Integer(number) => match u64::try_from(*number) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(Complaint::new(format!("must be from {least} to {most}, not {number}"))),
        },
        _ => Err(wrong(raw, Kind::Integer)),
    }
}

/// A port number.
pub(crate) fn port(raw: &Raw) -> Result<u16, Complaint> {
    let number = integer(1, u64::from(u16::MAX))(raw)?;
    u16::try_from(number).map_err(|_| Complaint::new("must be a port number"))
}

/// A duration within bounds.
pub(crate) fn duration(least: Duration, most: Duration) -> impl Fn(&Raw) -> Result<Duration, Complaint> {
    move |raw| {
        let Node::Text(text) = &raw.node else { return Err(wrong(raw, Kind::Duration)) };
        let value = duration::parse(text)
            .map_err(|error| Complaint::new(error).hint("write \"10s\", \"500ms\", \"1h30m\" or \"7d\""))?;
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        let (least, most) = (duration::format(least), duration::format(most));
        Err(Complaint::new(format!("must be from {least} to {most}, not {text}")))
    }
}

/// A list, each item read by `item`; the first complaint of each item is joined into one, so that none hides another.
pub(crate) fn list<T>(
    kind: Kind,
    item: impl Fn(&Raw) -> Result<T, Complaint>,
) -> impl Fn(&Raw) -> Result<Vec<T>, Complaint> {
    move |raw| {
        let Node::List(items) = &raw.node else { return Err(wrong(raw, kind)) };
        let (mut values, mut messages, mut hint) = (Vec::new(), Vec::new(), None);
        for raw in items {
            match item(raw) {
                Ok(value) => values.push(value),
                Err(complaint) => {
                    messages.push(complaint.message);
                    hint = hint.or(complaint.hint);
                }
            }
        }
        if messages.is_empty() { Ok(values) } else { Err(Complaint { message: messages.join("; "), hint }) }
    }
}
