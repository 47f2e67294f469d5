//! Skeletons and blend shapes.
