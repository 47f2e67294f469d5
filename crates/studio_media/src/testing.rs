//! What several tests need: clips made on the spot, pictures compared, the files of the shared data folder.

use crate::runtime;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::path::{Path, PathBuf};
use studio_frame::prelude::*;

/// Runs a pipeline, given in launch syntax, to its end.
pub fn run_pipeline(description: &str) {
    runtime::init().unwrap();
    let pipeline = gst::parse::launch(description).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(30), &[gst::MessageType::Eos, gst::MessageType::Error])
        .expect("the test's pipeline ends in time");
    pipeline.set_state(gst::State::Null).unwrap();
    if let gst::MessageView::Error(error) = message.view() {
        panic!("{description}: {}", runtime::describe(error));
    }
}

/// Makes an H.264 clip of `frames` frames at 30 a second, a key frame every 10, and returns its path.
pub fn make_clip(folder: &Path, name: &str, frames: u32, width: u32, height: u32) -> PathBuf {
    let path = folder.join(name);
    let muxer = if name.ends_with(".mkv") { "matroskamux" } else { "mp4mux faststart=true" };
    run_pipeline(&format!(
        "videotestsrc pattern=ball num-buffers={frames} ! video/x-raw,format=I420,width={width},height={height},framerate=30/1,colorimetry=bt709 \
         ! x264enc speed-preset=ultrafast bframes=2 key-int-max=10 ! h264parse ! {muxer} ! filesink location={}",
        path.display()
    ));
    path
}

/// A file of the shared data folder; says so and returns `None` where it is absent.
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} absent", path.display());
    None
}

/// Peak signal to noise ratio of two 8-bit pictures' luma, in dB.
pub fn luma_psnr(a: &VideoFrame, b: &VideoFrame) -> f64 {
    assert_eq!(a.size, b.size);
    let sum: f64 = (0..a.size.y)
        .flat_map(|y| a.row(0, y).iter().zip(b.row(0, y)))
        .map(|(&left, &right)| (f64::from(left) - f64::from(right)).powi(2))
        .sum();
    let mean = sum / f64::from(a.size.x * a.size.y);
    10.0 * (255.0_f64.powi(2) / mean.max(1e-9)).log10()
}
