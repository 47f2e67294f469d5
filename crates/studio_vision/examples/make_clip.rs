//! Films a real dual-fisheye still with a moving camera: makes the clip that the demo plays.
//!
//! ```sh
//! cargo run -p studio_vision --example make_clip -- extract.png assets/clips/gear360_sway.mp4
//! ```
//!
//! `extract.png` is the Samsung Gear 360 frame named in `assets/CREDITS.md`. The camera sways to both sides, nods and rolls a
//! little, and after eight seconds stands as it began, so the clip loops. Each frame is what the camera would have delivered,
//! lens circles, vignetting and all: it is stitched with `assets/rigs/gear360.rig.ron` like the still. Needs `ffmpeg`.

use bevy::math::UVec2;
use bytes::Bytes;
use core::f64::consts::TAU;
use std::{
    error::Error,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use studio_frame::{color::ColorInfo, format::PixelFormat, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, readback::read_rgba};
use studio_vision::{
    rig::{Rig, YawPitchRoll},
    stitch::{StitchPass, StitchSettings, StitchView},
};

const SIZE_PX: [u32; 2] = [1920, 960];
/// The still was taken with a tilted camera; this stands it upright.
const LEVEL: YawPitchRoll = YawPitchRoll::new(0.0, 0.0, -11.8);
const FRAMES_PER_S: u32 = 30;
const FRAMES: u32 = 8 * FRAMES_PER_S;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [still, clip] = arguments.as_slice() else { return Err("usage: make_clip STILL.png CLIP.mp4".into()) };
    let rig = Rig::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/rigs/gear360.rig.ron"))?;
    let HeadlessGpu { device, queue, .. } = HeadlessGpu::open()?;

    let still = image::open(still)?.into_rgba8();
    let size = UVec2::new(still.width(), still.height());
    let frame = VideoFrame::from_packed(
        FrameStamp::default(),
        PixelFormat::Rgba8,
        size,
        ColorInfo::default(),
        Bytes::from(still.into_raw()),
    )?;
    let input = GpuPicture::for_upload(&device, &frame)?;
    input.upload(&queue, &frame);

    let settings = StitchSettings { view: StitchView::RigPicture { picture: 0 }, size_px: SIZE_PX, ..StitchSettings::default() };
    let mut pass = StitchPass::new(&device, &queue, &rig, &settings)?;
    let output = pass.output_picture(&device, "clip")?;
    let mut encoder = encoder(clip).spawn().map_err(|error| format!("ffmpeg did not start ({error}): install it"))?;
    let mut pipe = encoder.stdin.take().ok_or("ffmpeg takes no input")?;
    for index in 0..FRAMES {
        pass.set_orientation(&device, &queue, camera_at(f64::from(index) / f64::from(FRAMES)))?;
        let mut commands = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("clip") });
        pass.encode(&device, &queue, &mut commands, &[&input], &output, None)?;
        queue.submit([commands.finish()]);
        pipe.write_all(&read_rgba(&device, &queue, &output.planes[0])?)?;
    }
    drop(pipe);
    let status = encoder.wait()?;
    if status.success() { Ok(()) } else { Err(format!("ffmpeg ended with {status}").into()) }
}

/// Where the camera looks; `time` runs from 0 to 1 and meets its beginning. It nods twice a sway, so that it never stands
/// still.
fn camera_at(time: f64) -> YawPitchRoll {
    let sway = (TAU * time).sin();
    let nod = (2.0 * TAU * time).sin();
    let motion = YawPitchRoll::new(25.0 * sway, 6.0 * nod, 4.0 * (TAU * time).cos());
    YawPitchRoll::from_matrix(LEVEL.matrix() * motion.matrix())
}

fn encoder(clip: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgba"])
        .args(["-s", &format!("{}x{}", SIZE_PX[0], SIZE_PX[1]), "-r", &FRAMES_PER_S.to_string(), "-i", "-"])
        .args(["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"])
        .args(["-c:v", "libx264", "-preset", "slow", "-crf", "21", "-g", &FRAMES_PER_S.to_string()])
        .args(["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"])
        .args(["-movflags", "+faststart"])
        .arg(clip)
        .stdin(Stdio::piped());
    command
}
