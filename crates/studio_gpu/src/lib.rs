//! GPU
pub mod device; pub mod picture;
