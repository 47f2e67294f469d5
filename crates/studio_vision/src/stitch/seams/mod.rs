//! Seams that go around what two lenses see differently, and around what moves.
//!
//! A seam lies where both of its lenses see equally deep into their pictures, shifted by an offset for each column of its [`Border`]. What the
//! lenses see of the border's cells is measured with the exposures ([`super::watch`]); the cheapest way through them ([`path`]) is the
//! seam's aim, and the seam glides there. [`SeamMap`] turns offsets into weights.

mod border;
mod finder;
mod map;
mod path;
#[cfg(test)]
mod tests;

pub(super) use border::Border;
pub(super) use finder::{BorderCell, SeamFinder, Seen};
pub(super) use map::{SeamMap, SeamMapBuilder, SeamOffsets};
