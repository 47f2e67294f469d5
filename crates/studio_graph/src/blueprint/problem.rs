//! What is wrong with a blueprint, and where.

use core::fmt;
use std::{path::Path, sync::Arc};

/// A place in a text. Both counts start at 1; 0 means that there is no place.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The letter in the line.
    pub column: u32,
}

/// Blueprints that say the same are equal, wherever it stands.
impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Place {
    /// A place inside of a part that starts here, given as the part's own line and column.
    pub fn inside(self, line: usize, column: usize) -> Self {
        let (line, column) = (line.max(1) as u32, column.max(1) as u32);
        if self.line == 0 {
            return self;
        }
        Self { line: self.line + line - 1, column: if line == 1 { self.column + column - 1 } else { column } }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// How much a problem weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The blueprint runs, but not as it was meant.
    Warning,
    /// The blueprint cannot run.
    Error,
}

/// One thing that is wrong with a blueprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How much it weighs.
    pub severity: Severity,
    /// The file in which it stands, if that is not the blueprint's own: one that a subgraph names.
    pub file: Option<Arc<Path>>,
    /// Where it stands.
    pub place: Place,
    /// What is wrong, with the node, the pin or the setting, and the way out.
    pub message: String,
}

impl Problem {
    /// An error.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, file: None, place, message: message.into() }
    }

    /// A warning.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, file: None, place, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        if let Some(file) = &self.file {
            write!(formatter, "{}:", file.display())?;
            if self.place.line == 0 {
                write!(formatter, " ")?;
            }
        }
        if self.place.line > 0 {
            write!(formatter, "{}: ", self.place)?;
        }
        write!(formatter, "{severity}: {}", self.message)
    }
}

/// Problems in the order of the file, one a line, those of other files behind them.
pub fn list(problems: &[Problem]) -> String {
    lines(problems).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// As [`list`], every line with its file: this one for the problems of the blueprint itself.
pub fn list_of_file(problems: &[Problem], file: &Path) -> String {
    let line = |problem: &Problem| match problem.file {
        None => format!("{}:{problem}", file.display()),
        Some(_) => problem.to_string(),
    };
    lines(problems).map(line).collect::<Vec<_>>().join("\n")
}

fn lines(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| (&problem.file, problem.place.line, problem.place.column));
    sorted.into_iter()
}

/// Whether there is an error among problems.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// The word of a list that is most like another, if any is like it: for "did you mean".
pub fn most_like<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let distance = |other: &str| edit_distance(&lower, &other.to_lowercase());
    let best = known.map(|other| (distance(other), other)).min_by_key(|(distance, _)| *distance)?;
    (best.0 <= (word.chars().count() / 2).clamp(1, 3)).then_some(best.1)
}

/// The Levenshtein distance; words of more than 64 letters are nobody's misspelling.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
