//! Stabilisation against a shake that is known: a sphere is filmed by a camera that is turned by a sum of sines around all axes (up to 3°, at
//! 1 to 5 Hz), and steadied from its own motion.
//!
//! The figures are what is left of the camera's turn from frame to frame (the root mean square, by the turns that are known), how far the locked
//! picture drifts, and times. What FFmpeg's stabilisers see is a flat view of the same clip, 90° wide: they are compared by the PSNR of
//! consecutive frames (inter-frame transformation fidelity) in its middle. Limits: a tenth of the shake, live and with look-ahead.

use crate::{AnyResult, Bench, pictures::decode, timing::Times};
use bevy::math::{DQuat, DVec3, UVec2};
use core::f64::consts::TAU;
use serde_json::json;
use std::{fs, path::Path, process::Command, time::Instant};
use studio_frame::{motion::MotionField, stamp::FrameStamp};
use studio_gpu::{picture::GpuPicture, readback::read_rgba};
use studio_vision::{
    flow::{FlowPass, FlowQuality, FlowSettings},
    rig::{Rig, YawPitchRoll},
    stabilise::{ReadoutDirection, RotationTrack, RowMotion, Smoothing, Stabiliser, TurnPass, camera_rotation},
    stitch::{StitchPass, StitchPlan, StitchSettings},
};

const SIZE: UVec2 = UVec2::new(1280, 640);
const FRAMES: u32 = 120;
const RATE_HZ: f64 = 30.0;
/// The flat view and the part of it that is compared.
const VIEW: UVec2 = UVec2::new(480, 360);
const MIDDLE: UVec2 = UVec2::new(320, 240);
/// Frames at both ends that are not compared, where no window is full.
const MARGIN: usize = 15;

pub fn run(bench: &Bench) -> AnyResult<()> {
    maps()?;
    footage(bench)?;
    let Some(path) = bench.data("stereo_vr/gvr/testRoom1_2kMono.jpg") else { return Ok(()) };
    let sphere = bench.read_picture(&path)?;
    let mut camera = Camera::new(bench)?;
    let path: Vec<DQuat> = (0..FRAMES).map(|frame| shaken(f64::from(frame) / RATE_HZ)).collect();
    let folder = tempfile::tempdir()?;
    let filmed = path.iter().map(|look| camera.turn(&sphere, *look)).collect::<AnyResult<Vec<_>>>()?;
    let (track, estimate) = camera.track(&filmed)?;
    let before = jitter_deg(&path);
    peers(folder.path(), &filmed)?;
    for (name, smoothing) in [
        ("locked", Smoothing::Lock),
        ("live, 1 s", Smoothing::Follow { time_s: 1.0 }),
        ("looking 1 s ahead", Smoothing::LookAhead { time_s: 1.0 }),
    ] {
        let mut stabiliser = Stabiliser::new(smoothing, false);
        let corrections: Vec<DQuat> = track.iter().map(|(time_s, _)| stabiliser.rig_from_stable(&track, time_s)).collect();
        let left: Vec<DQuat> = path.iter().zip(&corrections).map(|(look, correction)| *look * *correction).collect();
        let after = jitter_deg(&left[MARGIN..left.len() - MARGIN]);
        let drift = left.iter().map(|look| look.angle_between(left[0]).to_degrees()).fold(0.0, f64::max);
        let steadied = filmed
            .iter()
            .zip(&corrections)
            .map(|(frame, correction)| camera.turn_rgba(frame, *correction))
            .collect::<AnyResult<Vec<_>>>()?;
        let psnr_db = fidelity_db(folder.path(), &steadied, "null")?;
        let mut record = json!({
            "name": format!("stabilise from motion, {name}"), "shake_deg": before, "left_deg": after, "times": before / after,
            "itf_db": psnr_db, "adapter": bench.gpu.adapter.name, "passed": before > 10.0 * after,
        });
        if smoothing == Smoothing::Lock {
            record["drift_deg"] = json!(drift);
        }
        println!("{record}");
    }
    let mut record = json!({ "name": format!("turn found in a field of {}x{} cells", SIZE.x / 32, SIZE.y / 32) });
    estimate.add_to(&mut record);
    println!("{record}");
    for size in [UVec2::new(1280, 640), UVec2::new(3840, 1920), UVec2::new(7680, 3840)] {
        let [source, target] =
            [GpuPicture::rgba(&bench.gpu.device, "source", size)?, GpuPicture::rgba(&bench.gpu.device, "turned", size)?];
        let times = bench.time(|encoder| {
            camera.pass.encode(&bench.gpu.device, &bench.gpu.queue, encoder, &source, &target, shaken(1.0));
            Ok(())
        })?;
        let mut record = json!({ "name": format!("sphere turned, {}x{}", size.x, size.y), "adapter": bench.gpu.adapter.name });
        times.add_to(&mut record);
        println!("{record}");
    }
    Ok(())
}

/// What a stitch's map for another calibration or another turn costs, without and with a rolling shutter.
fn maps() -> AnyResult<()> {
    for size in [UVec2::new(1280, 640), UVec2::new(3840, 1920), UVec2::new(7680, 3840)] {
        let rig = Rig::dual_fisheye([size.x, size.y], 200.0);
        let orientation = YawPitchRoll::new(3.0, 2.0, 1.0);
        let settings = StitchSettings { orientation, ..StitchSettings::equirectangular(size.x, size.y) };
        let mut track = RotationTrack::default();
        (0..100).for_each(|index| track.push(f64::from(index) / 1e3, shaken(f64::from(index) / 1e3)));
        let rows = RowMotion::new(&track, 0.05, 0.02, ReadoutDirection::TopToBottom);
        for (name, rows) in [("", None), (", rolling shutter", Some(&rows))] {
            let mut ms = Vec::new();
            for _ in 0..5 {
                let start = Instant::now();
                StitchPlan::new(&rig, &settings, rows, Some(64))?;
                ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
            let mut record = json!({ "name": format!("map worked out anew, {}x{}{name}", size.x, size.y) });
            Times::new(ms).add_to(&mut record);
            println!("{record}");
        }
    }
    Ok(())
}

/// The demo's clip: a real dual-fisheye picture, filmed by a camera that sways by 25° as `make_clip` says; stitched, and its path found.
fn footage(bench: &Bench) -> AnyResult<()> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    let clip = decode(&assets.join("clips/gear360_sway.mp4"), UVec2::new(1920, 960), FRAMES as usize, "null")?;
    let rig = Rig::read(&assets.join("rigs/gear360.rig.ron"))?;
    let gpu = &bench.gpu;
    let mut stitch = StitchPass::new(&gpu.device, &gpu.queue, &rig, &StitchSettings::equirectangular(SIZE.x, SIZE.y))?;
    let output = stitch.output_picture(&gpu.device, "stitched")?;
    let mut stitched = Vec::new();
    for frame in &clip {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        stitch.encode(&gpu.device, &gpu.queue, &mut encoder, &[&bench.upload(frame)?], &output, None)?;
        bench.submit(encoder)?;
        stitched.push(read_rgba(&gpu.device, &gpu.queue, &output.planes[0])?);
    }
    let mut camera = Camera::new(bench)?;
    let (track, _) = camera.track(&stitched)?;
    let look = |frame: f64| {
        let time = TAU * frame / 240.0;
        let motion = YawPitchRoll::new(25.0 * time.sin(), 6.0 * (2.0 * time).sin(), 4.0 * time.cos());
        DQuat::from_mat3(&(YawPitchRoll::new(0.0, 0.0, -11.8).matrix() * motion.matrix()))
    };
    let errors =
        track.iter().map(|(time_s, found)| found.angle_between(look(0.0).inverse() * look(time_s * RATE_HZ)).to_degrees());
    let drift = errors.fold(0.0, f64::max);
    let steadied = stitched
        .iter()
        .zip(track.iter())
        .map(|(frame, (_, look))| camera.turn_rgba(frame, look.inverse()))
        .collect::<AnyResult<Vec<_>>>()?;
    let folder = tempfile::tempdir()?;
    let [before, after] = [fidelity_db(folder.path(), &stitched, "null")?, fidelity_db(folder.path(), &steadied, "null")?];
    let record = json!({
        "name": "stabilise gear360_sway.mp4, locked", "itf_before_db": before, "itf_db": after, "drift_deg": drift,
        "adapter": gpu.adapter.name, "passed": after > before && drift < 1.0,
    });
    println!("{record}");
    Ok(())
}

fn shaken(time_s: f64) -> DQuat {
    let wave = |hz: f64, phase: f64| (TAU * (hz * time_s + phase)).sin();
    let shake = DVec3::new(
        wave(1.0, 0.1) + 0.5 * wave(3.3, 0.4),
        wave(1.7, 0.3) + 0.5 * wave(4.1, 0.2),
        wave(2.3, 0.7) + 0.5 * wave(5.0, 0.9),
    );
    DQuat::from_scaled_axis(shake * 2_f64.to_radians())
}

fn jitter_deg(path: &[DQuat]) -> f64 {
    let squares = path.windows(2).map(|pair| pair[0].angle_between(pair[1]).to_degrees().powi(2));
    (squares.sum::<f64>() / (path.len() - 1) as f64).sqrt()
}

struct Camera<'a> {
    bench: &'a Bench,
    pass: TurnPass,
    target: GpuPicture,
}

impl<'a> Camera<'a> {
    fn new(bench: &'a Bench) -> AnyResult<Self> {
        let target = GpuPicture::rgba(&bench.gpu.device, "turned", SIZE)?;
        Ok(Self { bench, pass: TurnPass::new(&bench.gpu.device), target })
    }

    /// A picture of the sphere, turned.
    fn turn(&mut self, source: &GpuPicture, look: DQuat) -> AnyResult<Vec<u8>> {
        let gpu = &self.bench.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.pass.encode(&gpu.device, &gpu.queue, &mut encoder, source, &self.target, look);
        self.bench.submit(encoder)?;
        Ok(read_rgba(&gpu.device, &gpu.queue, &self.target.planes[0])?)
    }

    fn turn_rgba(&mut self, frame: &[u8], look: DQuat) -> AnyResult<Vec<u8>> {
        let picture = self.upload(frame)?;
        self.turn(&picture, look)
    }

    fn upload(&self, frame: &[u8]) -> AnyResult<GpuPicture> {
        let picture = image::RgbaImage::from_raw(SIZE.x, SIZE.y, frame.to_vec()).ok_or("a frame of another size")?;
        self.bench.upload_rgba(picture)
    }

    /// Where the camera looked, as the motion of its pictures says, and how long that takes beside finding the motion.
    fn track(&self, frames: &[Vec<u8>]) -> AnyResult<(RotationTrack, Times)> {
        let gpu = &self.bench.gpu;
        let settings =
            FlowSettings { working_width_px: 640, quality: FlowQuality::Balanced, grid: SIZE / 32, ..Default::default() };
        let mut flow = FlowPass::new(&gpu.device, SIZE, &settings)?;
        let (mut track, mut look, mut ms) = (RotationTrack::default(), DQuat::IDENTITY, Vec::new());
        for (frame, index) in frames.iter().zip(0_u64..) {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            flow.encode(&gpu.device, &mut encoder, &self.upload(frame)?)?;
            self.bench.submit(encoder)?;
            let stamp = FrameStamp { frame_id: index, ..FrameStamp::default() };
            let bytes = self.bench.read_buffer(flow.grid_buffer())?;
            let (field, _): (MotionField, _) = flow.plan().motion_field(stamp, index.saturating_sub(1), &bytes)?;
            let start = Instant::now();
            if let Some(turn) = camera_rotation(&field) {
                ms.push(start.elapsed().as_secs_f64() * 1e3);
                look *= turn.older_from_newer;
            }
            track.push(index as f64 / RATE_HZ, look);
        }
        Ok((track, Times::new(ms)))
    }
}

/// Prints what FFmpeg's stabilisers make of a flat view of the clip.
fn peers(folder: &Path, frames: &[Vec<u8>]) -> AnyResult<()> {
    let show = |name: &str, psnr_db: f64, mean_ms: f64| {
        println!("{}", json!({ "name": format!("peer: {name}"), "itf_db": psnr_db, "mean_ms": mean_ms }));
    };
    show("none, as shaken", fidelity_db(folder, frames, "null")?, 0.0);
    let timed = |filter: &str| -> AnyResult<(f64, f64)> {
        let start = Instant::now();
        let psnr_db = fidelity_db(folder, frames, filter)?;
        Ok((psnr_db, start.elapsed().as_secs_f64() * 1e3 / f64::from(FRAMES)))
    };
    let (psnr_db, ms) = timed("deshake=rx=64:ry=64:edge=clamp")?;
    show("ffmpeg deshake", psnr_db, ms);
    let transforms = folder.join("transforms.trf");
    let transforms = transforms.display();
    for (name, detect, transform) in [
        ("ffmpeg vidstab, smoothing 30", "shakiness=10", "smoothing=30:optzoom=0"),
        ("ffmpeg vidstab, tripod", "shakiness=10:tripod=1", "tripod=1:optzoom=0"),
    ] {
        let (_, found_ms) = timed(&format!("vidstabdetect={detect}:result={transforms}"))?;
        let (psnr_db, ms) = timed(&format!("vidstabtransform={transform}:input={transforms}"))?;
        show(name, psnr_db, found_ms + ms);
    }
    Ok(())
}

/// The mean PSNR of luma between consecutive frames of a flat view of a clip, in its middle, in dB, after a filter of FFmpeg's.
fn fidelity_db(folder: &Path, frames: &[Vec<u8>], filter: &str) -> AnyResult<f64> {
    let clip = folder.join("clip.rgba");
    fs::write(&clip, frames.concat())?;
    let size = format!("{}x{}", SIZE.x, SIZE.y);
    let chain = format!(
        "v360=e:flat:h_fov=90:v_fov=73.74:w={}:h={},format=yuv420p,{filter},crop={}:{},format=gray",
        VIEW.x, VIEW.y, MIDDLE.x, MIDDLE.y
    );
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", &size, "-r", "30", "-i"])
        .arg(&clip)
        .args(["-vf", &chain, "-f", "rawvideo", "-"])
        .output()
        .map_err(|error| format!("ffmpeg did not start ({error}): install it"))?;
    if !output.status.success() {
        return Err(format!("ffmpeg: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let seen: Vec<&[u8]> = output.stdout.chunks_exact(MIDDLE.element_product() as usize).collect();
    let inner = seen.get(MARGIN..seen.len().saturating_sub(MARGIN)).filter(|inner| inner.len() > 1).ok_or("too few frames")?;
    let psnr_db = inner.windows(2).map(|pair| {
        let squares: f64 = pair[0].iter().zip(pair[1]).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        10.0 * (255.0_f64.powi(2) / (squares / f64::from(MIDDLE.element_product())).max(1e-3)).log10()
    });
    Ok(psnr_db.sum::<f64>() / (inner.len() - 1) as f64)
}
