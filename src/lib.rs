//! Neural Studio
