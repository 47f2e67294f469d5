//! Empty on purpose: see the manifest's description.
