//! From a snapshot's geometry to meshes.
