//! The commented reference file, made from the table of keys: `portway config reference`.

use super::keys::{KEYS, Key, TABLES, variable};

const HEAD: &str = "\
# Portway's configuration: every key, with its default. Made by `portway config reference`; do not edit.
#
# A commented line shows a key that has no fixed default, or a table that is not there by itself.
# Each key also has an environment variable, which is stronger than the file; flags are stronger still.
# In a variable a list is separated by commas, and a repeated table is a TOML list: PORTWAY_DOMAINS='[{ name = \"code-hub.com\" }]'.
# Unknown keys are errors. `portway check` says what is wrong, with line and key.
";

/// The reference file: valid TOML, in which every value is the default.
pub(crate) fn text() -> String {
    let mut text = HEAD.to_owned();
    for key in KEYS.iter().filter(|key| key.table().is_empty()) {
        text.push_str(&entry(key, false));
    }
    for table in TABLES {
        let header = match table.path.strip_suffix("[]") {
            Some(path) => format!("# Environment: {} (the whole list)\n# [[{path}]]\n", variable(path)),
            None if table.commented => format!("# [{}]\n", table.path),
            None => format!("[{}]\n", table.path),
        };
        text.push_str(&format!("\n\n{}{header}", comment(table.doc)));
        for key in KEYS.iter().filter(|key| key.table() == table.path) {
            text.push_str(&entry(key, table.commented));
        }
    }
    text
}

fn entry(key: &Key, commented: bool) -> String {
    let mut text = format!("\n{}", comment(key.doc));
    if !key.path.contains("[]") {
        text.push_str(&format!("# Environment: {}\n", key.variable()));
    }
    let mark = if commented || key.default.is_none() { "# " } else { "" };
    text.push_str(&format!("{mark}{} = {}\n", key.name(), key.default.unwrap_or(key.example)));
    text
}

fn comment(doc: &str) -> String {
    doc.lines().map(|line| format!("# {line}\n")).collect()
}
