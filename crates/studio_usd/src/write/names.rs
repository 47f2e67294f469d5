//! Names of prims.

use std::collections::{HashMap, HashSet};

/// A prim's name made of any text: ASCII letters, digits and underscores, not beginning with a digit. Newer versions of USD allow more,
/// but not every tool does. Nothing that can stay is changed, so a legal name stays as it is.
pub fn prim_name(text: &str) -> String {
    let mut name: String =
        text.chars().map(|char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '_' }).take(255).collect();
    if name.is_empty() || name.starts_with(|char: char| char.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// Names that have been given away within one parent.
#[derive(Debug, Default)]
pub struct UniqueNames {
    taken: HashSet<String>,
    next: HashMap<String, u32>,
}

impl UniqueNames {
    /// A legal name for a text that nobody else has: `Chair`, `Chair_1`, `Chair_2`.
    pub fn take(&mut self, text: &str) -> String {
        let base = prim_name(text);
        if self.taken.insert(base.clone()) {
            return base;
        }
        let next = self.next.entry(base.clone()).or_insert(1);
        loop {
            let name = format!("{base}_{next}");
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Takes a name as it is; `false` if somebody has it.
    pub fn reserve(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_owned())
    }
}
