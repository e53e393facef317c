//! The configuration file as written: values with their lines, every unknown key reported.
//!
//! It knows TOML and the table of keys, and nothing of what a value means.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{Document, Item, TableLike, Value};

use super::keys::{KEYS, TABLES};
use super::problem::{Complaint, Place, Problem, nearest};

/// A file with more syntax errors than this is not a configuration file.
const SYNTAX_ERRORS_MAX: usize = 20;

/// A value as written, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// The shapes of TOML that a setting can have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Raw>),
    Table(Entries),
    /// Something no setting is: named for the message.
    Other(&'static str),
}

/// Values by path below some table.
pub(crate) type Entries = BTreeMap<String, Raw>;

impl Node {
    /// What it is, for a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("the text \"{text}\""),
            Self::Integer(number) => format!("the number {number}"),
            Self::Flag(flag) => flag.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Other(kind) => (*kind).to_owned(),
        }
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Values by full path (`limits.connect`); a repeated table is a list of tables under its own path (`domains`).
    pub(crate) entries: Entries,
    /// Whether some of it could not be read, so that what seems to be missing may be in the unread part.
    pub(crate) partial: bool,
}

/// Reads `text`, the content of `path`.
pub(crate) fn read(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Written {
    let place = |line| Place::File { path: path.to_owned(), line };
    let (document, broken) = parse_what_can_be(text);
    for (line, message) in &broken {
        problems.push(Complaint::new(format!("not TOML: {message}")).at(&place(*line), ""));
    }
    let mut written = Written { entries: Entries::new(), partial: !broken.is_empty() };
    if let Some(document) = document {
        // Offsets are those of the text that was read in the end, without the bad lines.
        let lines = Lines::new(document.raw(), &place);
        collect(document.as_table(), "", &lines, &mut written.entries, problems);
    }
    written
}

/// Reads a TOML value given outside a file: a repeated table in an environment variable.
pub(crate) fn read_value(text: &str, path: &str, place: &Place, problems: &mut Vec<Problem>) -> Option<Raw> {
    let same = |_| place.clone();
    match text.parse::<Value>() {
        Ok(value) => {
            let raw = node_of(&Item::Value(value), path, &Lines::new("", &same), problems);
            let complaint = if is_repeated(path) { repeated(&raw).err() } else { None };
            problems.extend(complaint.map(|it| it.hint("such as [{ name = \"code-hub.com\" }]").at(place, path)));
            Some(raw)
        }
        Err(error) => {
            problems.push(Complaint::new(format!("not TOML: {}", one_line(error.message()))).at(place, path));
            None
        }
    }
}

/// Lines of byte offsets, and the place made of a line.
struct Lines<'a> {
    starts: Vec<usize>,
    place: &'a dyn Fn(usize) -> Place,
}

impl<'a> Lines<'a> {
    fn new(text: &str, place: &'a dyn Fn(usize) -> Place) -> Self {
        Self { starts: line_starts(text), place }
    }

    fn at(&self, span: Option<std::ops::Range<usize>>) -> Place {
        (self.place)(span.map_or(1, |span| line_of(&self.starts, span.start)))
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn line_of(starts: &[usize], offset: usize) -> usize {
    starts.partition_point(|start| *start <= offset)
}

/// The document, and the lines that are not TOML. A bad line is taken out and the rest read again, as long as the rest
/// keeps its meaning: a bad table header would move the keys under it.
fn parse_what_can_be(text: &str) -> (Option<Document<String>>, Vec<(usize, String)>) {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut broken: Vec<(usize, String)> = Vec::new();
    loop {
        let rest = lines.join("\n");
        let error = match Document::parse(rest.clone()) {
            Ok(document) => return (Some(document), broken),
            Err(error) => error,
        };
        let line = line_of(&line_starts(&rest), error.span().map_or(0, |span| span.start));
        let Some(bad) = lines.get_mut(line - 1) else { return (None, broken) };
        let seen = broken.iter().any(|(known, _)| *known == line);
        if !seen {
            broken.push((line, one_line(error.message())));
        }
        if seen || bad.trim_start().starts_with('[') || bad.contains("\"\"\"") || broken.len() >= SYNTAX_ERRORS_MAX {
            return (None, broken);
        }
        *bad = "";
    }
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).collect::<Vec<_>>().join(", ")
}

/// Puts the values below `table`, whose path is `prefix`, into `entries`.
fn collect(table: &dyn TableLike, prefix: &str, lines: &Lines<'_>, entries: &mut Entries, problems: &mut Vec<Problem>) {
    for (name, item) in table.iter() {
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let place = || lines.at(table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span()));
        if KEYS.iter().any(|key| key.path == path) {
            entries.insert(path.clone(), node_of(item, &path, lines, problems));
        } else if is_repeated(&path) {
            let raw = node_of(item, &path, lines, problems);
            match repeated(&raw) {
                Ok(()) => drop(entries.insert(path, raw)),
                Err(complaint) => {
                    problems.push(complaint.hint(format!("write `[[{path}]]` above its keys")).at(&place(), path));
                }
            }
        } else if TABLES.iter().any(|table| table.path == path) {
            match item.as_table_like() {
                Some(inner) => collect(inner, &path, lines, entries, problems),
                None => problems.push(
                    Complaint::new("must be a table")
                        .hint(format!("write `[{path}]` above its keys"))
                        .at(&place(), path),
                ),
            }
        } else {
            problems.push(unknown(&path, prefix).at(&place(), path));
        }
    }
}

fn is_repeated(path: &str) -> bool {
    TABLES.iter().any(|table| table.path.strip_suffix("[]") == Some(path))
}

/// Whether a value is a list of tables.
fn repeated(raw: &Raw) -> Result<(), Complaint> {
    let other = match &raw.node {
        Node::List(items) => items.iter().map(|item| &item.node).find(|node| !matches!(node, Node::Table(_))),
        node => Some(node),
    };
    other.map_or(Ok(()), |node| Err(Complaint::new(format!("must be repeated tables, not {}", node.describe()))))
}

/// The complaint about a key that is not one, with what was probably meant.
fn unknown(path: &str, table: &str) -> Complaint {
    let name = path.rsplit('.').next().unwrap_or(path);
    let complaint = Complaint::new("there is no such key");
    let here = KEYS.iter().filter(|key| key.table() == table).map(|key| key.name());
    let tables = TABLES.iter().filter_map(|known| {
        let bare = known.path.trim_end_matches("[]");
        (bare.rsplit_once('.').map_or("", |(parent, _)| parent) == table)
            .then(|| bare.rsplit('.').next().unwrap_or(bare))
    });
    if let Some(meant) = nearest(name, here.chain(tables)) {
        return complaint.hint(format!("did you mean `{meant}`?"));
    }
    // The right name in the wrong table.
    if let Some(key) = KEYS.iter().find(|key| key.name() == name) {
        let table = key.table();
        return complaint.hint(match (table.strip_suffix("[]"), table) {
            (Some(repeated), _) => format!("`{name}` stands in `[[{repeated}]]`"),
            (None, "") => format!("`{name}` stands above every table"),
            (None, table) => format!("`{name}` stands in `[{table}]`"),
        });
    }
    complaint.hint("`portway config reference` prints every key")
}

fn node_of(item: &Item, path: &str, lines: &Lines<'_>, problems: &mut Vec<Problem>) -> Raw {
    let node = match item {
        Item::Value(Value::String(text)) => Node::Text(text.value().clone()),
        Item::Value(Value::Integer(number)) => Node::Integer(*number.value()),
        Item::Value(Value::Boolean(flag)) => Node::Flag(*flag.value()),
        Item::Value(Value::Float(_)) => Node::Other("a fraction"),
        Item::Value(Value::Datetime(_)) => Node::Other("a date"),
        Item::Value(Value::Array(list)) => {
            let item = |value: &Value| node_of(&Item::Value(value.clone()), path, lines, problems);
            Node::List(list.iter().map(item).collect())
        }
        Item::Value(Value::InlineTable(table)) => entries_of(table, path, lines, problems),
        Item::Table(table) => entries_of(table, path, lines, problems),
        Item::ArrayOfTables(tables) => {
            let one = |table: &toml_edit::Table| Raw {
                place: lines.at(table.span()),
                node: entries_of(table, path, lines, problems),
            };
            Node::List(tables.iter().map(one).collect())
        }
        Item::None => Node::Other("nothing"),
    };
    Raw { place: lines.at(item.span()), node }
}

/// A table where a value or one of a repeated table stands: its keys are those of `path[]`.
fn entries_of(table: &dyn TableLike, path: &str, lines: &Lines<'_>, problems: &mut Vec<Problem>) -> Node {
    let mut entries = Entries::new();
    if is_repeated(path) {
        collect(table, &format!("{path}[]"), lines, &mut entries, problems);
    }
    Node::Table(entries)
}
