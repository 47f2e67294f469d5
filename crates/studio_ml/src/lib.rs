//! Neural networks that others bring, as ONNX files: optical flow and stereo matching, run by ONNX Runtime.
//!
//! [`PairModel`] opens a network that compares two pictures and checks that its inputs and outputs are what its [`PairTask`] needs.
//! [`ModelWorker`] runs one on a thread of its own, behind a bounded queue.
//!
//! ONNX Runtime is no part of the program: its library is opened when the first model is ([`runtime`]). Without it everything else
//! works, and a model says what is missing.

mod error;
mod model;
mod pictures;
pub mod runtime;
mod settings;
mod signature;
#[cfg(test)]
mod tests;
mod worker;

pub use error::ModelError;
pub use model::{Dense, PairModel};
pub use pictures::PackedPicture;
pub use settings::{ModelSettings, PixelRange};
pub use signature::{PairSignature, PairTask};
pub use worker::{ModelWorker, PairJob, PairResult};
