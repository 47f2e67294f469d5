//! Keeping a stage, its entities and the graph in step.
