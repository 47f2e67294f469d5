//! USD stages as entities and back, and stereo rendering of them.

pub mod export;
pub mod geometry;
pub mod look;
pub mod skeleton;
pub mod stage;
pub mod stereo;
pub mod sync;
