//! `neural-studio cameras`.

use crate::{Failure, report::say};
use neural_studio::studio_media::capture::list_cameras;

pub fn run() -> Result<(), Failure> {
    let cameras = list_cameras()?;
    if cameras.is_empty() {
        say("no camera is connected");
    }
    for (index, camera) in cameras.iter().enumerate() {
        say(&format!("{index}  {}  ({})", camera.name, camera.provider));
        for mode in &camera.modes {
            say(&format!("     {mode}"));
        }
    }
    Ok(())
}
