//! What commands print: records and lists for people or as JSON on standard output, errors on standard error, exit codes.
//!
//! It knows no command. Field names of the JSON are those of the types given to it, and are kept stable.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use crate::config::Problem;

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// Each printed behind `error: `.
    messages: Vec<String>,
    hint: Option<String>,
}

/// The work could not be done.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const USAGE: u8 = 2;

impl Failure {
    /// The work could not be done: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, messages: vec![message.into()], hint: None }
    }

    /// The command line asks for what cannot be: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, messages: vec![message.into()], hint: None }
    }

    /// The configuration is wrong, in each of these places: exit code 2.
    pub(crate) fn configuration(problems: &[Problem]) -> Self {
        Self { code: USAGE, messages: problems.iter().map(Problem::to_string).collect(), hint: None }
    }

    /// The same exit code, where everything was said on standard output already.
    pub(crate) fn without_words(self) -> Self {
        Self { messages: Vec::new(), hint: None, ..self }
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Prints it, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        for message in &self.messages {
            say("error", message);
        }
        if let Some(hint) = &self.hint {
            say("hint", hint);
        }
        ExitCode::from(self.code)
    }

    /// Says it in the log of a gateway that goes on, with what that means.
    pub(crate) fn log(&self, meaning: &str) {
        for message in &self.messages {
            tracing::error!(event = "configuration", hint = self.hint, "{meaning}: {message}");
        }
    }
}

/// For `?` on the errors of stores and files.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::failed(error.to_string())
    }
}

/// Says something that is no failure.
pub(crate) fn warn(message: &str) {
    say("warning", message);
}

/// Explains a result that stands on standard output alone.
pub(crate) fn note(message: &str) {
    say("note", message);
}

fn say(kind: &str, message: &str) {
    // Nobody is left to be told that standard error is closed.
    drop(writeln!(io::stderr(), "{kind}: {message}"));
}

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// One result: `value` as JSON, or `human` with a line end.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub(crate) fn record(self, value: &impl Serialize, human: &str) -> Result<(), Failure> {
        if self.json { print_json(value) } else { print(&format!("{human}\n")) }
    }

    /// A list: JSON, or a table under `heads`; `empty` where there is nothing.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub(crate) fn list<T: Serialize, const N: usize>(
        self,
        values: &[T],
        heads: [&str; N],
        row: impl Fn(&T) -> [String; N],
        empty: &str,
    ) -> Result<(), Failure> {
        if self.json {
            print_json(&values)
        } else if values.is_empty() {
            print(&format!("{empty}\n"))
        } else {
            let rows: Vec<[String; N]> = values.iter().map(row).collect();
            print(&table(heads, &rows))
        }
    }
}

/// Text as it is.
///
/// # Errors
/// Where standard output cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `portway user list | head -1` is not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&mut heads.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A moment for people: `2026-01-31 12:00:00 UTC`, from seconds since the Unix epoch.
pub(crate) fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil from days, proleptic Gregorian, with years that begin in March so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_tail() {
        let rows = [["a".to_owned(), "b".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["ID", "OWNER"], &rows), "ID      OWNER\na       b\nlonger\n");
    }

    #[test]
    fn moments_are_civil_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59:59 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(moment(seconds), text);
        }
    }
}
