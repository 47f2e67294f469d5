//! Writing layers and packages that other programs read.
