//! Keeping a stage, its entities and the graph in step.

pub mod blueprint;
