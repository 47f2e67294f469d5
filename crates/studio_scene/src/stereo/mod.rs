//! Scenes seen by two eyes, by a sphere, or by fisheye lenses.
