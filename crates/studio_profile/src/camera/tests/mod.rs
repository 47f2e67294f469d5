//! The eyes' pictures against the same worked out on the CPU, and whole broadcasts to several headsets.

mod broadcast;
mod golden;
