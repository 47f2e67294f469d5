//! Writing a world, or a part of one, as USD.
