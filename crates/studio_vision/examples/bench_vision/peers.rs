//! Other programs' figures on the same pictures.

use crate::{AnyResult, Bench};
use std::{
    env,
    process::{Command, Stdio},
};

/// The variable that names a Python which has OpenCV.
const PYTHON: &str = "NEURAL_STUDIO_OPENCV_PYTHON";

/// Prints what OpenCV finds in a topic's pictures; a line says so where there is no OpenCV.
pub fn opencv(bench: &Bench, topic: &str) -> AnyResult<()> {
    let Some(python) = env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        eprintln!("skipped: the peers of {topic}; `cargo xtask bench` sets up OpenCV, or {PYTHON} names a Python that has it");
        return Ok(());
    };
    let output = Command::new(python)
        .args(["-c", include_str!("peers.py"), topic])
        .arg(&bench.data)
        .arg(bench.frames.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() { Ok(()) } else { Err(format!("OpenCV on {topic}: {}", output.status).into()) }
}
