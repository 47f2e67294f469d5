//! Why a model gives nothing.

use bevy::math::UVec2;
use std::path::PathBuf;

/// Why a model cannot be opened or gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModelError {
    /// No library of ONNX Runtime.
    #[error(
        "models need ONNX Runtime 1.24 or newer, and it was not found ({searched}): install it (for example `pip install onnxruntime`, or \
         `cargo xtask setup` in a checkout) and name its library in ORT_DYLIB_PATH"
    )]
    NoRuntime {
        /// Where it was looked for, and what was wrong there.
        searched: String,
    },
    /// The file cannot be read.
    #[error("the model `{path}` cannot be read: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// ONNX Runtime does not take the file.
    #[error("`{path}` is no model that ONNX Runtime can run: {why}")]
    NotLoaded {
        /// The file.
        path: PathBuf,
        /// What ONNX Runtime says.
        why: String,
    },
    /// The inputs or outputs are others than the task's.
    #[error("the model `{path}` does not find {task}: {why}; expected {expected}, it has {has}")]
    Signature {
        /// The file.
        path: PathBuf,
        /// What the model should find.
        task: &'static str,
        /// What does not fit.
        why: String,
        /// What would.
        expected: &'static str,
        /// The model's inputs and outputs.
        has: String,
    },
    /// More pixels than a model is given.
    #[error(
        "the model `{path}` would be given pictures of {size} pixels, and 16×16 to {most} pixels in all are allowed: choose another working \
         width or model"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width and height, as words.
        size: String,
        /// The limit.
        most: u64,
    },
    /// Pictures of another size than the model's, or of two sizes.
    #[error("the model's pictures must be {expected} pixels, got {got}")]
    Size {
        /// What fits.
        expected: UVec2,
        /// What came.
        got: UVec2,
    },
    /// The network ran too long and was ended.
    #[error("the model `{path}` took longer than {limit_s} s and was stopped: choose a smaller working width or a lighter model")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in seconds.
        limit_s: u64,
    },
    /// The network failed.
    #[error("the model `{path}` failed: {why}")]
    Run {
        /// The file.
        path: PathBuf,
        /// What ONNX Runtime says.
        why: String,
    },
    /// What came out cannot be used.
    #[error("the model `{path}` gave {what}: is its pixel range or file wrong?")]
    Output {
        /// The file.
        path: PathBuf,
        /// What it gave.
        what: String,
    },
    /// The thread that runs the model could not be started or is gone.
    #[error("the model's thread is gone: {0}")]
    Thread(String),
}
