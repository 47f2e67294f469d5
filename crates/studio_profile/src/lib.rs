//! Headset profiles, and virtual cameras: one graph seen through many profiles at once.
