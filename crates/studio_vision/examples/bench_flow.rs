//! Times the optical flow and the frame synthesis on this machine's GPU, and prints one JSON line a case.
//!
//! `cargo run -p studio_vision --example bench_flow -- [--frames N] [--only NAME] [PREVIOUS.png CURRENT.png]`
//!
//! Without pictures it moves a synthetic texture. Times are of the GPU's own clock where it can be asked (`gpu_ms`), and from
//! submission to completion (`wall_ms`).
#![allow(clippy::print_stdout, reason = "the lines are what the program is for")]

use bevy::math::UVec2;
use serde_json::{Value, json};
use std::{error::Error, time::Instant};
use studio_frame::{
    color::ColorInfo,
    format::PixelFormat,
    motion::{MotionField, MotionVector},
    picture::VideoFrame,
    stamp::FrameStamp,
};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};
use studio_vision::{
    flow::{FlowPass, FlowQuality, FlowSettings},
    synthesis::{MotionGrid, SynthesisInputs, SynthesisPass, SynthesisQuality},
};

type AnyResult<T> = Result<T, Box<dyn Error>>;

struct Arguments {
    frames: usize,
    only: Option<String>,
    pictures: Vec<String>,
}

impl Arguments {
    fn parse() -> AnyResult<Self> {
        let mut parsed = Self { frames: 30, only: None, pictures: Vec::new() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--frames" => parsed.frames = arguments.next().ok_or("--frames needs a number")?.parse()?,
                "--only" => parsed.only = Some(arguments.next().ok_or("--only needs a name")?),
                _ => parsed.pictures.push(argument),
            }
        }
        if !matches!(parsed.pictures.len(), 0 | 2) || parsed.frames == 0 {
            return Err("give no pictures or two, and at least one frame".into());
        }
        Ok(parsed)
    }
}

fn main() -> AnyResult<()> {
    let arguments = Arguments::parse()?;
    let gpu = HeadlessGpu::open()?;
    let bench = Bench { clock: GpuClock::new(&gpu), frames: arguments.frames, gpu };
    let loaded = match arguments.pictures.as_slice() {
        [previous, current] => Some([load(previous)?, load(current)?]),
        _ => None,
    };
    let software = bench.gpu.adapter.device_type == wgpu::DeviceType::Cpu;
    let sizes: &[(u32, u32)] = if software {
        &[(1280, 320), (1280, 512), (1280, 640)]
    } else {
        &[(3840, 960), (3840, 1920), (7680, 1920), (7680, 3840)]
    };
    for &(picture_width, working_width_px) in sizes {
        let frames = match &loaded {
            Some(frames) => frames.clone(),
            None => {
                let size = UVec2::new(picture_width, picture_width / 2);
                [synthetic(size, 0)?, synthetic(size, 1)?]
            }
        };
        let pictures = [bench.upload(&frames[0])?, bench.upload(&frames[1])?];
        let wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
        let planar = [bench.upload(&planar(&frames[0])?)?, bench.upload(&planar(&frames[1])?)?];
        for quality in [SynthesisQuality::Fast, SynthesisQuality::Sharp] {
            let name = format!("synthesis/{quality:?}").to_lowercase();
            if wanted(&name) {
                println!("{}", bench.synthesis(&name, &planar, quality)?);
            }
        }
        for quality in [FlowQuality::Fast, FlowQuality::Balanced, FlowQuality::High] {
            let name = format!("flow/{quality:?}").to_lowercase();
            if wanted(&name) {
                println!("{}", bench.flow(&name, &pictures, working_width_px, quality)?);
            }
        }
    }
    Ok(())
}

struct Bench {
    gpu: HeadlessGpu,
    clock: Option<GpuClock>,
    frames: usize,
}

impl Bench {
    fn upload(&self, frame: &VideoFrame) -> AnyResult<GpuPicture> {
        let picture = GpuPicture::for_upload(&self.gpu.device, frame)?;
        picture.upload(&self.gpu.queue, frame);
        Ok(picture)
    }

    fn flow(&self, name: &str, pictures: &[GpuPicture; 2], working_width_px: u32, quality: FlowQuality) -> AnyResult<Value> {
        let settings = FlowSettings { working_width_px, quality, grid: UVec2::new(40, 20), wraps: true, ..Default::default() };
        let mut pass = FlowPass::new(&self.gpu.device, pictures[0].size, &settings)?;
        let mut turn = 0;
        let times = self.time(|encoder| {
            turn = 1 - turn;
            Ok(pass.encode(&self.gpu.device, encoder, &pictures[turn])?)
        })?;
        let (picture, flow) = (pass.plan().picture_size, pass.plan().flow_size);
        Ok(self.line(
            name,
            json!({ "picture": [picture.x, picture.y], "flow": [flow.x, flow.y], "levels": pass.plan().levels }),
            times,
        ))
    }

    fn synthesis(&self, name: &str, pictures: &[GpuPicture; 2], quality: SynthesisQuality) -> AnyResult<Value> {
        let HeadlessGpu { device, queue, .. } = &self.gpu;
        let (size, grid) = (pictures[0].size, UVec2::new(40, 20));
        let vectors = vec![MotionVector::from_pixels(SYNTHETIC_MOTION_PX.as_vec2()); (grid.x * grid.y) as usize];
        let stamp = FrameStamp::default();
        let field = MotionField { stamp, previous_frame_id: 0, picture_size: size, grid, wraps: true, vectors: vectors.into() };
        let motion = &MotionGrid::upload(device, queue, &field)?;
        let made = GpuPicture::rgba(device, "made", size)?;
        let pass = SynthesisPass::new(device, quality);
        let [previous, current] = pictures;
        let times = self.time(|encoder| {
            Ok(pass.encode(
                device,
                queue,
                encoder,
                &SynthesisInputs { previous, current, motion, phase: 0.5, region: None },
                &made,
            )?)
        })?;
        Ok(self.line(name, json!({ "picture": [size.x, size.y] }), times))
    }

    /// Runs and times what `record` records, after three runs for warmth: wall and GPU milliseconds of each run.
    fn time(&self, mut record: impl FnMut(&mut wgpu::CommandEncoder) -> AnyResult<()>) -> AnyResult<(Vec<f64>, Vec<f64>)> {
        let (mut wall_ms, mut gpu_ms) = (Vec::new(), Vec::new());
        for run in 0..self.frames + 3 {
            let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            if let Some(clock) = &self.clock {
                encoder.write_timestamp(&clock.queries, 0);
            }
            record(&mut encoder)?;
            if let Some(clock) = &self.clock {
                clock.stop(&mut encoder);
            }
            let start = Instant::now();
            self.gpu.queue.submit([encoder.finish()]);
            self.gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
            if run >= 3 {
                wall_ms.push(start.elapsed().as_secs_f64() * 1e3);
                if let Some(clock) = &self.clock {
                    gpu_ms.push(clock.read_ms(&self.gpu)?);
                }
            }
        }
        Ok((wall_ms, gpu_ms))
    }

    fn line(&self, name: &str, mut details: Value, (wall_ms, gpu_ms): (Vec<f64>, Vec<f64>)) -> Value {
        details["name"] = json!(name);
        details["adapter"] = json!(self.gpu.adapter.name);
        details["wall_ms"] = quantiles(wall_ms);
        if !gpu_ms.is_empty() {
            details["gpu_ms"] = quantiles(gpu_ms);
        }
        details
    }
}

fn quantiles(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| (times[((times.len() - 1) as f64 * share).round() as usize] * 1e3).round() / 1e3;
    json!({ "p50": at(0.5), "p95": at(0.95), "min": at(0.0) })
}

/// Two timestamps and the way to read them.
struct GpuClock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

impl GpuClock {
    fn new(gpu: &HeadlessGpu) -> Option<Self> {
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        // A software GPU's clock is not to be trusted: it stamps when commands are read, not when they ran.
        if !gpu.device.features().contains(wanted) || gpu.adapter.device_type == wgpu::DeviceType::Cpu {
            return None;
        }
        let buffer = |usage| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: 16,
                usage,
                mapped_at_creation: false,
            })
        };
        Some(Self {
            queries: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        })
    }

    fn stop(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.write_timestamp(&self.queries, 1);
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 16);
    }

    fn read_ms(&self, gpu: &HeadlessGpu) -> AnyResult<f64> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        // A receiver that is gone means that nobody waits for the answer.
        self.staging.slice(..).map_async(wgpu::MapMode::Read, move |result| drop(sender.send(result)));
        gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
        receiver.recv()??;
        let stamps: [u64; 2] = bytemuck::pod_read_unaligned(&self.staging.slice(..).get_mapped_range());
        self.staging.unmap();
        Ok(stamps[1].saturating_sub(stamps[0]) as f64 * f64::from(gpu.queue.get_timestamp_period()) * 1e-6)
    }
}

fn load(path: &str) -> AnyResult<VideoFrame> {
    let picture = image::open(path)?.to_rgba8();
    rgba(UVec2::new(picture.width(), picture.height()), picture.into_raw())
}

/// Motion of the synthetic texture from frame 0 to frame 1.
const SYNTHETIC_MOTION_PX: UVec2 = UVec2::new(9, 4);

/// A texture that moves by [`SYNTHETIC_MOTION_PX`] a frame and meets itself at the seam.
fn synthetic(size: UVec2, frame: u32) -> AnyResult<VideoFrame> {
    let turn = std::f32::consts::TAU / size.x as f32;
    let mut data = Vec::with_capacity((size.x * size.y * 4) as usize);
    for y in 0..size.y {
        let down = (y + SYNTHETIC_MOTION_PX.y * (1 - frame)) as f32 * turn;
        for x in 0..size.x {
            let across = (x + SYNTHETIC_MOTION_PX.x * (1 - frame)) as f32 * turn;
            let wave = (19.0 * across + 3.0 * (7.0 * down).sin()).sin() + (31.0 * down + 2.0 * (11.0 * across).cos()).sin();
            let fine = (83.0 * across).sin() * (71.0 * down).sin();
            let grey = (128.0 + 40.0 * wave + 30.0 * fine) as u8;
            data.extend_from_slice(&[grey, grey, grey, 255]);
        }
    }
    rgba(size, data)
}

/// The frame's green as luma, without colour, in three planes as decoders deliver them.
fn planar(frame: &VideoFrame) -> AnyResult<VideoFrame> {
    let mut data: Vec<u8> = frame.planes[0].data.iter().copied().skip(1).step_by(4).collect();
    data.resize(PixelFormat::I420.picture_bytes(frame.size), 128);
    Ok(VideoFrame::from_packed(FrameStamp::default(), PixelFormat::I420, frame.size, ColorInfo::BT709, data.into())?)
}

fn rgba(size: UVec2, data: Vec<u8>) -> AnyResult<VideoFrame> {
    Ok(VideoFrame::from_packed(FrameStamp::default(), PixelFormat::Rgba8, size, ColorInfo::default(), data.into())?)
}
