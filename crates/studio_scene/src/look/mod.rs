//! Materials, textures, lights and cameras.
