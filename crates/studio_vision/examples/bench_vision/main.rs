//! Measures what this crate finds in real pictures against ground truth, beside the field's own programs in the same run:
//! OpenCV and ffmpeg on the same machine.
//!
//! ```sh
//! cargo xtask bench vision [-- [--topic NAME] [--frames N] [--data FOLDER]]
//! ```
//!
//! Each topic is a file. A topic's limits are those of our own records (`passed`); the peers' records begin with `peer:` and have none.
//! `--data` is the folder of ground truth: `fisheye`, `flow/middlebury`, `stereo`, `stereo_vr` and `video` as their files say. What is absent is said, and skipped.
//! `NEURAL_STUDIO_FLOW_MODEL` and `NEURAL_STUDIO_STEREO_MODEL` name networks (ONNX files) to measure beside them.
//! OpenCV runs in the Python that `NEURAL_STUDIO_OPENCV_PYTHON` names, which `cargo xtask bench` sets up.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the lines are what the program is for")]

mod align;
mod calibrate;
mod charuco;
mod disparity;
mod flow;
mod network;
mod peers;
mod pictures;
mod stabilise;
mod stitch;
mod synthesis;
mod timing;

use std::{error::Error, path::PathBuf};
use studio_gpu::device::HeadlessGpu;

type AnyResult<T> = Result<T, Box<dyn Error>>;

/// What every topic gets.
struct Bench {
    gpu: HeadlessGpu,
    /// Runs that are timed.
    frames: usize,
    /// The folder of ground truth.
    data: PathBuf,
}

impl Bench {
    /// A path of the ground truth; `None`, with a line that says so, where it is absent.
    fn data(&self, path: &str) -> Option<PathBuf> {
        let full = self.data.join(path);
        if !full.exists() {
            eprintln!("skipped: {} is absent (--data names the folder of ground truth)", full.display());
            return None;
        }
        Some(full)
    }

    /// Whether this is a GPU in silicon, where times have other limits.
    fn is_hardware(&self) -> bool {
        self.gpu.adapter.device_type != wgpu::DeviceType::Cpu
    }
}

/// The topics in the order they run in.
const TOPICS: [(&str, fn(&Bench) -> AnyResult<()>); 6] = [
    ("flow", flow::run),
    ("disparity", disparity::run),
    ("synthesis", synthesis::run),
    ("stitch", stitch::run),
    ("stabilise", stabilise::run),
    ("calibrate", calibrate::run),
];

fn main() -> AnyResult<()> {
    let mut topic = None;
    let mut frames = 20;
    let mut data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value after it"));
        match argument.as_str() {
            "--topic" => topic = Some(value()?),
            "--frames" => frames = value()?.parse::<usize>()?.max(1),
            "--data" => data = value()?.into(),
            other => return Err(format!("`{other}` is not known: --topic NAME, --frames N, --data FOLDER").into()),
        }
    }
    let bench = Bench { gpu: HeadlessGpu::open()?, frames, data };
    let wanted: Vec<_> = TOPICS.iter().filter(|(name, _)| topic.as_deref().is_none_or(|topic| topic == *name)).collect();
    if wanted.is_empty() {
        return Err(format!("there is no topic of that name: choose from {:?}", TOPICS.map(|(name, _)| name)).into());
    }
    wanted.into_iter().try_for_each(|(_, run)| run(&bench))
}
