//! The static workspace file: `[[workspace]]` tables in TOML, read whole or refused whole.
//!
//! Every error is told at once, each with its line. Reading is pure; who watches the file is not known here.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use portway_core::host::{Names, PortForm};
use portway_core::workspace::{Address, State, UserId, Workspace};
use toml_edit::{Document, Item, Table};

use crate::store::users::user_id;

/// The name of the file as a source of workspaces.
pub const FILE_SOURCE: &str = "file";

const KEYS: &str = "`id`, `owner`, `address`, `running`, `generation`";

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Counts from 1; 0 where the file as a whole cannot be read.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

impl std::error::Error for FileError {}

/// Reads the file. `running` is true and `generation` follows from address and state unless given.
///
/// # Errors
/// Every error there is, by line: syntax, unknown keys, missing or wrong values, ids that no host name can carry or that
/// stand twice.
pub fn read_file(text: &str, names: &Names) -> Result<Vec<Arc<Workspace>>, Vec<FileError>> {
    let mut reader = Reader { text, names, errors: Vec::new(), seen: HashMap::new() };
    let workspaces = reader.read();
    if reader.errors.is_empty() {
        return Ok(workspaces);
    }
    reader.errors.sort_by_key(|error| error.line);
    Err(reader.errors)
}

struct Reader<'a> {
    text: &'a str,
    names: &'a Names,
    errors: Vec<FileError>,
    /// The line on which each key was first seen.
    seen: HashMap<String, usize>,
}

impl Reader<'_> {
    fn line(&self, span: Option<Range<usize>>) -> usize {
        let before = span.and_then(|span| self.text.as_bytes().get(..span.start));
        1 + before.unwrap_or_default().iter().filter(|b| **b == b'\n').count()
    }

    fn error(&mut self, span: Option<Range<usize>>, message: String) {
        let line = self.line(span);
        self.errors.push(FileError { line, message });
    }

    fn read(&mut self) -> Vec<Arc<Workspace>> {
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                self.error(error.span(), error.message().trim_end().to_owned());
                return Vec::new();
            }
        };
        let mut workspaces = Vec::new();
        for (name, item) in document.iter() {
            match item {
                Item::ArrayOfTables(tables) if name == "workspace" => {
                    workspaces.extend(tables.iter().filter_map(|table| self.workspace(table)));
                }
                _ => {
                    let span = document.get_key_value(name).and_then(|(key, _)| key.span());
                    let message = if name == "workspace" {
                        "write each workspace as a table under `[[workspace]]`".to_owned()
                    } else {
                        format!("unknown key `{name}`; this file has `[[workspace]]` tables only")
                    };
                    self.error(span.or(item.span()), message);
                }
            }
        }
        workspaces
    }

    fn workspace(&mut self, table: &Table) -> Option<Arc<Workspace>> {
        for (name, item) in table.iter() {
            if !["id", "owner", "address", "running", "generation"].contains(&name) {
                let span = table.key(name).and_then(toml_edit::Key::span).or(item.span());
                self.error(span, format!("unknown key `{name}`; a workspace has {KEYS}"));
            }
        }
        let id = self.required(table, "id").and_then(|(id, span)| self.id(id, span));
        let owner = self.text(table, "owner").map(|(name, span)| self.owner(&name, span));
        let address = self.required(table, "address").and_then(|(text, span)| {
            text.parse()
                .map_err(|error: portway_core::workspace::AddressError| self.error(span, error.to_string()))
                .ok()
        });
        let running = self.running(table);
        let generation = self.text(table, "generation").map(|(text, _)| text);

        let (id, address): (String, Address) = (id?, address?);
        let owner = match owner {
            Some(owner) => Some(owner?),
            None => None,
        };
        let state = if running? { State::Running } else { State::Stopped };
        // Another address or state is another life; within this source the two say which one it is.
        let generation = generation.unwrap_or_else(|| format!("{address} {state:?}"));
        Some(Arc::new(Workspace {
            key: id.to_ascii_lowercase().into(),
            id: id.into(),
            owner,
            state,
            address,
            generation: generation.into(),
            grants: None,
            name: None,
            source: FILE_SOURCE.into(),
        }))
    }

    /// A text under `name`; anything else there is an error, nothing there is `None`.
    fn text(&mut self, table: &Table, name: &str) -> Option<(String, Option<Range<usize>>)> {
        let item = table.get(name)?;
        match item.as_str() {
            Some(text) => Some((text.to_owned(), item.span())),
            None => {
                self.error(item.span(), format!("`{name}` must be a text in quotes"));
                None
            }
        }
    }

    fn required(&mut self, table: &Table, name: &str) -> Option<(String, Option<Range<usize>>)> {
        if table.get(name).is_none() {
            self.error(table.span(), format!("this workspace has no `{name}`"));
        }
        self.text(table, name)
    }

    fn id(&mut self, id: String, span: Option<Range<usize>>) -> Option<String> {
        let problem =
            (0..self.names.domains.len()).find_map(|domain| self.names.host(domain, &id, PortForm::Default).err());
        if let Some(problem) = problem {
            self.error(span, problem.to_string());
            return None;
        }
        let line = self.line(span.clone());
        if let Some(first) = self.seen.insert(id.to_ascii_lowercase(), line) {
            self.error(span, format!("workspace `{id}` stands already on line {first}"));
            return None;
        }
        Some(id)
    }

    fn owner(&mut self, name: &str, span: Option<Range<usize>>) -> Option<UserId> {
        user_id(name).map_err(|error| self.error(span, error.to_string())).ok()
    }

    fn running(&mut self, table: &Table) -> Option<bool> {
        let Some(item) = table.get("running") else {
            return Some(true);
        };
        let running = item.as_bool();
        if running.is_none() {
            self.error(item.span(), "`running` must be true or false".to_owned());
        }
        running
    }
}

#[cfg(test)]
pub(crate) mod tests;
