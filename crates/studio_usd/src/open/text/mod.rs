//! The check of layers in the text format, before `openusd` parses them.
//!
//! The tokens are `openusd`'s own, so that both see the same file. The check follows the grammar of *USD Core Specification* 1.0, §16.2 far
//! enough to bound what the parser does: brackets within brackets, prims, array elements, and tuples that have as many numbers as their type
//! says (the parser of 0.6 reads memory that was never written where a tuple is too short). It refuses what Pixar's own parser refuses and
//! `openusd` lets through: `framesPerSecond` that is not above zero, metadata of the wrong type, names that are none, two prims of one name.
//!
//! What `openusd` 0.6 cannot read is rewritten, without moving a line:
//!
//! | in the file | becomes | why |
//! |---|---|---|
//! | `uint[]`, `uint64[]` | `int64[]` | arrays of these are not read; the type changes, which is noted |
//! | `pathExpression` with a value | `string` | not read; noted |
//! | `"a\"b\n"` | the same in three quotes, with the escapes worked in | escapes are left as they are |
//! | `.5`, `5.`, `1.e5` | `0.5`, `5.0`, `1.0e5` | not numbers to it |
//! | `int x = 1.5`, `bool b = 2` | `1`, `1` | Pixar's parser rounds them down, and takes what is not 0 for true |
//! | `// comment` | blanks | not known to it |
//!
//! An escape that stands for a line break adds a line to what `openusd` sees; the lines reported here are always those of the file.

mod grammar;
mod metadata;
mod tokens;
mod value;

use super::{Budget, UsdError, scan::LayerFacts};
use std::sync::Arc;
use tokens::Tokens;
#[cfg(test)]
pub(super) use tokens::unescape;

/// A layer that `openusd` may parse.
pub(super) struct CheckedText {
    /// The text to parse, if it had to be rewritten.
    pub(super) rewritten: Option<Arc<[u8]>>,
    /// What the layer refers to.
    pub(super) facts: LayerFacts,
}

/// Checks a layer.
///
/// # Errors
/// [`UsdError::Parse`] and [`UsdError::OverBudget`], with the line.
pub(super) fn check(layer: &str, bytes: &[u8], budget: &Budget) -> Result<CheckedText, UsdError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        UsdError::parse(layer, Some(line as u32), "this is neither text in UTF-8 nor a binary layer")
    })?;
    let mut checker = Checker { tokens: Tokens::new(layer, text), budget, nesting: 0, facts: LayerFacts::default() };
    checker.layer()?;
    Ok(CheckedText { rewritten: checker.tokens.rewritten(), facts: checker.facts })
}

/// The grammar, spread over the files here.
struct Checker<'a> {
    tokens: Tokens<'a>,
    budget: &'a Budget,
    nesting: usize,
    facts: LayerFacts,
}
