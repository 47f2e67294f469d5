//! Whole pipelines, as a user runs them.

#![expect(clippy::print_stdout, reason = "figures and skipped cases are told to whoever reads the tests")]

mod faults;
mod gate;
mod preview;
mod programs;
mod shaders;
mod tap;
