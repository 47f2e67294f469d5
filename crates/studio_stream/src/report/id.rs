//! The name that a viewer reports under.

use core::{fmt, str::FromStr};
use std::hash::{BuildHasher, RandomState};
use studio_frame::prelude::*;

/// The viewers' broadcasts lie below this.
pub const VIEWERS_PREFIX: &str = "viewers";

/// Tells viewers apart: chance, new for each of them. Written as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewerId(pub u64);

impl ViewerId {
    /// A new one. Not a secret, only different from the others: the standard library's hash keys are random.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(UnixTime::now()))
    }

    /// The broadcast that the viewer publishes.
    pub fn broadcast(self) -> String {
        format!("{VIEWERS_PREFIX}/{self}")
    }

    /// The viewer whose broadcast has this name, if it is one's.
    pub fn of_broadcast(name: &str) -> Option<Self> {
        name.strip_prefix(VIEWERS_PREFIX)?.strip_prefix('/')?.parse().ok()
    }
}

impl fmt::Display for ViewerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Why a text is no [`ViewerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a viewer's name is 16 lower-case hexadecimal digits")]
pub struct ViewerIdError;

impl FromStr for ViewerId {
    type Err = ViewerIdError;

    fn from_str(text: &str) -> Result<Self, ViewerIdError> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        u64::from_str_radix(text, 16).ok().filter(|_| digits).map(Self).ok_or(ViewerIdError)
    }
}
