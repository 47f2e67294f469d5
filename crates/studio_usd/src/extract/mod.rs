//! From a composed stage to its snapshot.
