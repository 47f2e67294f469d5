//! The thread that a live stage stays on, and what can be asked of it.
