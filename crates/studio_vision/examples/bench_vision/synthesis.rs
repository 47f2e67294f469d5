//! Frame synthesis against frames that were withheld: of a clip every second frame is dropped, made from its neighbours, and compared.
//!
//! The figure is the PSNR of luma over all the frames made together. The motion is what a stream carries: a grid of vectors in 1/16 pixel,
//! found by our own flow in the two frames that were kept. Limits: the PSNR that each clip names, within 0.3 dB of that when 5 % of the
//! motion's tiles are lost, and the time; ffmpeg's interpolation of the same frames is printed beside it.

use crate::{
    AnyResult, Bench,
    pictures::{decode, stretched},
    timing::Times,
};
use bevy::math::UVec2;
use serde_json::json;
use std::{path::Path, time::Instant};
use studio_frame::{motion::MotionField, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::{picture::GpuPicture, readback::read_rgba};
use studio_vision::{
    flow::{FlowPass, FlowQuality, FlowSettings},
    synthesis::{MotionGrid, SynthesisInputs, SynthesisPass, SynthesisQuality},
};

struct Clip {
    name: &'static str,
    file: &'static str,
    size: UVec2,
    frames: usize,
    /// What has to be reached in any case, in dB.
    limit_db: f64,
}

const CLIPS: [Clip; 2] = [
    Clip {
        name: "phone clip 720p",
        file: "video/VID_1280x720_cavlc_temporal_direct.264",
        size: UVec2::new(1280, 720),
        frames: 60,
        limit_db: 34.9,
    },
    Clip {
        name: "Foreman CIF",
        file: "video/test_cif_P_CABAC_slice.264",
        size: UVec2::new(352, 288),
        frames: 200,
        limit_db: 31.3,
    },
];
/// Milliseconds to make a frame of 1280×720 in software and on a GPU in silicon.
const FRAME_MS: [f64; 2] = [60.0, 0.5];
/// A whole sphere for a viewer, and the milliseconds that a frame of it may take on a GPU in silicon.
const SPHERE: (UVec2, f64) = (UVec2::new(3840, 1920), 1.0);
/// What 5 % of lost tiles may cost.
const LOSS_DB: f64 = 0.3;
/// Cells a side of a tile of motion that is lost, and of one cell of the coarse copy, which comes reliably: as the stream sends them.
const TILE: u32 = 8;
const COARSE: u32 = 4;

pub fn run(bench: &Bench) -> AnyResult<()> {
    sphere(bench)?;
    for clip in &CLIPS {
        let Some(path) = bench.data(clip.file) else { continue };
        let frames = decode(&path, clip.size, clip.frames, "null")?;
        let truth = |pair: usize| &frames[2 * pair + 1];
        let pairs = frames.len().saturating_sub(1) / 2;
        peer(clip, "repeat", "dup", &path, &frames)?;
        peer(clip, "blend", "blend", &path, &frames)?;
        peer(clip, "mci aobmc bidir vsbmc", "mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1", &path, &frames)?;
        let kinds = [
            (SynthesisQuality::Fast, 32, false),
            (SynthesisQuality::Fast, 16, false),
            (SynthesisQuality::Sharp, 16, false),
            (SynthesisQuality::Sharp, 16, true),
        ];
        for (quality, cell_px, both_ways) in kinds {
            let mut maker = Maker::new(bench, clip.size, quality, cell_px, both_ways)?;
            let [mut whole, mut lossy] = [0.0; 2];
            for pair in 0..pairs {
                let kept = [bench.upload(&frames[2 * pair])?, bench.upload(&frames[2 * pair + 2])?];
                let field = maker.motion(&kept)?;
                whole += luma_error(&maker.make(&kept, &field)?, truth(pair));
                lossy += luma_error(&maker.make(&kept, &with_losses(&field, pair as u32))?, truth(pair));
            }
            let [whole, lossy] = [whole, lossy].map(|sum| psnr_db(sum / pairs as f64));
            let kept = [bench.upload(&frames[0])?, bench.upload(&frames[2])?];
            let (flow, synthesis) = maker.time(&kept)?;
            let is_720p = clip.size == UVec2::new(1280, 720);
            // The limit of time is for software's own quality there, and counts the flow; on a GPU in silicon it is for the best.
            let in_time = match bench.is_hardware() {
                true => synthesis.at(0.5) <= FRAME_MS[1],
                false => quality != SynthesisQuality::Fast || flow.at(0.5) + synthesis.at(0.5) <= FRAME_MS[0],
            };
            let in_time = !is_720p || in_time;
            let ways = if both_ways { ", motion both ways" } else { "" };
            let mut record = json!({
                "name": format!("synthesis {quality:?}, {}, cells of {cell_px} px{ways}", clip.name), "psnr_db": whole,
                "psnr_db_5_percent_lost": lossy, "limit_db": clip.limit_db, "flow_ms": flow.at(0.5), "adapter": bench.gpu.adapter.name,
                "passed": whole >= clip.limit_db && whole - lossy <= LOSS_DB && in_time,
            });
            synthesis.add_to(&mut record);
            println!("{record}");
        }
    }
    Ok(())
}

/// Prints what a frame of a whole sphere takes.
fn sphere(bench: &Bench) -> AnyResult<()> {
    let Some(folder) = bench.data("flow/middlebury/Grove2") else { return Ok(()) };
    let (size, limit_ms) = SPHERE;
    let pair = stretched(bench, &folder, size)?;
    for (quality, cell_px) in [(SynthesisQuality::Fast, 32), (SynthesisQuality::Sharp, 32), (SynthesisQuality::Sharp, 16)] {
        let (flow, synthesis) = Maker::new(bench, size, quality, cell_px, false)?.time(&pair)?;
        let mut record = json!({
            "name": format!("synthesis {quality:?}, {}x{}, cells of {cell_px} px", size.x, size.y), "flow_ms": flow.at(0.5),
            "adapter": bench.gpu.adapter.name,
        });
        if bench.is_hardware() {
            record["passed"] = json!(synthesis.at(0.5) <= limit_ms);
        }
        synthesis.add_to(&mut record);
        println!("{record}");
    }
    Ok(())
}

/// Prints what ffmpeg's `minterpolate` makes of the frames that were kept.
fn peer(clip: &Clip, name: &str, mode: &str, path: &Path, frames: &[VideoFrame]) -> AnyResult<()> {
    let kept = format!("trim=end_frame={},select=not(mod(n\\,2)),setpts=N/15/TB,minterpolate=fps=30:mi_mode={mode}", clip.frames);
    let begun = Instant::now();
    let made = decode(path, clip.size, clip.frames, &kept)?;
    let frame_ms = begun.elapsed().as_secs_f64() * 1e3 / (made.len() as f64 / 2.0).max(1.0);
    // It leaves out the last few frames.
    let errors: Vec<f64> = made
        .iter()
        .zip(frames)
        .skip(1)
        .step_by(2)
        .map(|(made, truth)| squared_error(&made.planes[0].data, &truth.planes[0].data))
        .collect();
    let psnr = psnr_db(errors.iter().sum::<f64>() / errors.len().max(1) as f64);
    let record =
        json!({ "name": format!("peer: ffmpeg minterpolate {name}, {}", clip.name), "psnr_db": psnr, "mean_ms": frame_ms });
    println!("{record}");
    Ok(())
}

/// A flow and a synthesis for one size.
struct Maker<'a> {
    bench: &'a Bench,
    flow: FlowPass,
    synthesis: SynthesisPass,
    made: GpuPicture,
}

impl<'a> Maker<'a> {
    fn new(bench: &'a Bench, size: UVec2, quality: SynthesisQuality, cell_px: u32, both_ways: bool) -> AnyResult<Self> {
        let flow_quality = if quality == SynthesisQuality::Fast { FlowQuality::Fast } else { FlowQuality::Balanced };
        let working_width_px = if quality == SynthesisQuality::Fast { 320 } else { 640 };
        let settings = FlowSettings { working_width_px, quality: flow_quality, grid: size / cell_px, wraps: false, both_ways };
        Ok(Self {
            bench,
            flow: FlowPass::new(&bench.gpu.device, size, &settings)?,
            synthesis: SynthesisPass::new(&bench.gpu.device, quality),
            made: GpuPicture::rgba(&bench.gpu.device, "made", size)?,
        })
    }

    /// The motion from the first picture to the second.
    fn motion(&mut self, pair: &[GpuPicture; 2]) -> AnyResult<MotionField> {
        self.flow.reset();
        for picture in pair {
            let mut encoder = self.bench.gpu.device.create_command_encoder(&Default::default());
            self.flow.encode(&self.bench.gpu.device, &mut encoder, picture)?;
            self.bench.submit(encoder)?;
        }
        let bytes = self.bench.read_buffer(self.flow.grid_buffer())?;
        Ok(self.flow.plan().motion_field(FrameStamp { frame_id: 1, ..FrameStamp::default() }, 0, &bytes)?.0)
    }

    /// The picture halfway, as RGBA.
    fn make(&self, [previous, current]: &[GpuPicture; 2], field: &MotionField) -> AnyResult<Vec<u8>> {
        let gpu = &self.bench.gpu;
        let motion = &MotionGrid::upload(&gpu.device, &gpu.queue, field)?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let inputs = SynthesisInputs { previous, current, motion, phase: 0.5, region: None };
        self.synthesis.encode(&gpu.device, &gpu.queue, &mut encoder, &inputs, &self.made)?;
        self.bench.submit(encoder)?;
        Ok(read_rgba(&gpu.device, &gpu.queue, &self.made.planes[0])?)
    }

    /// Times of the flow, and of the synthesis from its motion.
    fn time(&mut self, pair: &[GpuPicture; 2]) -> AnyResult<(Times, Times)> {
        let field = self.motion(pair)?;
        let gpu = &self.bench.gpu;
        let mut turn = 1;
        let flow = self.bench.time(|encoder| {
            turn = 1 - turn;
            Ok(self.flow.encode(&gpu.device, encoder, &pair[turn])?)
        })?;
        let motion = &MotionGrid::upload(&gpu.device, &gpu.queue, &field)?;
        let inputs = SynthesisInputs { previous: &pair[0], current: &pair[1], motion, phase: 0.5, region: None };
        let synthesis =
            self.bench.time(|encoder| Ok(self.synthesis.encode(&gpu.device, &gpu.queue, encoder, &inputs, &self.made)?))?;
        Ok((flow, synthesis))
    }
}

/// The field without one tile in twenty, chosen by a hash: a viewer fills it from the coarse copy.
fn with_losses(field: &MotionField, seed: u32) -> MotionField {
    let mut vectors = field.vectors.to_vec();
    let blocks = UVec2::new(field.grid.x.div_ceil(COARSE), field.grid.y.div_ceil(COARSE));
    for block in 0..blocks.element_product() {
        let block = UVec2::new(block % blocks.x, block / blocks.x);
        let tile = block * COARSE / TILE;
        let mut hash = (tile.x ^ (tile.y << 8) ^ seed.wrapping_mul(0x9E37_79B1)).wrapping_mul(0x85EB_CA77);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
        if !(hash >> 16).is_multiple_of(20) {
            continue;
        }
        let first = block * COARSE;
        let last = (first + COARSE).min(field.grid);
        let cells: Vec<usize> =
            (first.y..last.y).flat_map(|y| (first.x..last.x).map(move |x| (y * field.grid.x + x) as usize)).collect();
        let sum = cells.iter().fold([0, 0], |[x, y], &cell| [x + i32::from(vectors[cell].x), y + i32::from(vectors[cell].y)]);
        let [x, y] = sum.map(|sum| (sum as f32 / cells.len() as f32).round() as i16);
        for cell in cells {
            (vectors[cell].x, vectors[cell].y) = (x, y);
        }
    }
    MotionField { vectors: vectors.into(), ..field.clone() }
}

/// Mean squared error in luma of RGBA against I420 of BT.709 in limited range (ITU-R BT.709-6 §3).
fn luma_error(rgba: &[u8], truth: &VideoFrame) -> f64 {
    let luma = |texel: &[u8; 4]| {
        let [red, green, blue, _] = texel.map(f64::from);
        16.0 + (0.2126 * red + 0.7152 * green + 0.0722 * blue) * 219.0 / 255.0
    };
    let texels = rgba.as_chunks::<4>().0;
    let sum: f64 =
        texels.iter().zip(&truth.planes[0].data[..]).map(|(made, &truth)| (luma(made) - f64::from(truth)).powi(2)).sum();
    sum / texels.len() as f64
}

fn squared_error(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2)).sum::<f64>() / a.len() as f64
}

fn psnr_db(mean_squared_error: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mean_squared_error.max(1e-9)).log10()
}
