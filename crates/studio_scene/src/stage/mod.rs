//! Stages as assets, and their prims as entities.
