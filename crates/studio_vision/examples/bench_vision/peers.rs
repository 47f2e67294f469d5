//! Other programs' figures on the same pictures.

use crate::{AnyResult, Bench};
use serde_json::Value;
use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

/// The variable that names a Python which has OpenCV.
const PYTHON: &str = "NEURAL_STUDIO_OPENCV_PYTHON";

/// Prints what OpenCV finds in a topic's pictures, and returns it; a line says so where there is no OpenCV. `folder` is where the pictures
/// are.
pub fn opencv(bench: &Bench, topic: &str, folder: &Path) -> AnyResult<Vec<Value>> {
    let Some(python) = env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        eprintln!("skipped: the peers of {topic}; `cargo xtask bench` sets up OpenCV, or {PYTHON} names a Python that has it");
        return Ok(Vec::new());
    };
    let output = Command::new(python)
        .args(["-c", include_str!("peers.py"), topic])
        .arg(folder)
        .arg(bench.frames.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if !output.status.success() {
        return Err(format!("OpenCV on {topic}: {}", output.status).into());
    }
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}
