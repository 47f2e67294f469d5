//! How long a stitch takes, beside a straightforward remap, a plain copy, and `ffmpeg`'s v360 filter, in one run.
//!
//! ```sh
//! cargo run --release -p studio_vision --example bench_stitch -- [--frames N] [--no-ffmpeg]
//! ```
//!
//! Prints one JSON object a line. `ms_p50` and `ms_p95` are GPU time by timestamps where the GPU is a real one, else the
//! time from submission until the work is done. `gb_per_s` counts the input once and the output once; `bandwidth_share` is
//! that over what a plain copy of a buffer moves.

use bevy::math::{DVec2, UVec2};
use bytes::Bytes;
use serde_json::json;
use std::{
    error::Error,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use studio_frame::{color::ColorInfo, format::PixelFormat, ledger::percentile, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};
use studio_vision::{
    rig::{PreparedRig, Rig, YawPitchRoll},
    stitch::{StitchBlend, StitchMap, StitchPass, StitchSampling, StitchSeams, StitchSettings},
};

const NAIVE: &str = include_str!("../../../shaders/stitch_naive.wgsl");
const FOV_DEG: f64 = 195.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|argument| argument == name);
    let frames = option("--frames").and_then(|at| arguments.get(at + 1)).map_or(Ok(60), |count| count.parse())?;
    let gpu = HeadlessGpu::open()?;
    let software = gpu.adapter.device_type == wgpu::DeviceType::Cpu;
    let copy_gb_per_s = copy_bandwidth(&gpu, if software { 32 << 20 } else { 1 << 30 })?;
    emit(json!({ "name": "adapter", "adapter": gpu.adapter.name, "copy_gb_per_s": round(copy_gb_per_s) }));
    let sizes = if software {
        [([2560, 1280], [1280, 640]), ([2560, 1280], [3840, 1920])]
    } else {
        [([2560, 1280], [3840, 1920]), ([5760, 2880], [7680, 3840])]
    };
    for (input, output) in sizes {
        let bench = Bench { gpu: &gpu, frames, input, output, copy_gb_per_s, timer: Timer::new(&gpu) };
        bench.map()?;
        // Twice in turn, so that a machine that slows down slows down both.
        for _ in 0..2 {
            bench.naive()?;
            let plain = StitchSettings::equirectangular(output[0], output[1]);
            bench.stitch(PixelFormat::Nv12, plain.clone())?;
            bench.stitch(PixelFormat::Rgba8, plain.clone())?;
            let bands = StitchSettings { blend: StitchBlend::MultiBand { bands: 5 }, ..plain };
            bench.stitch(PixelFormat::Nv12, bands.clone())?;
            bench.stitch(PixelFormat::Nv12, StitchSettings { seams: StitchSeams::Adaptive, ..bands.clone() })?;
            bench.stitch(PixelFormat::Nv12, StitchSettings { sampling: StitchSampling::Cubic, ..bands })?;
        }
        if option("--no-ffmpeg").is_none() {
            emit(match v360_ms_per_frame(input, output) {
                Ok(ms) => json!({ "name": "ffmpeg v360, one thread", "input": input, "output": output, "ms_mean": round(ms) }),
                Err(reason) => json!({ "name": "ffmpeg v360, one thread", "skipped": reason }),
            });
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn emit(line: serde_json::Value) {
    println!("{line}");
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

struct Bench<'a> {
    gpu: &'a HeadlessGpu,
    frames: usize,
    input: [u32; 2],
    output: [u32; 2],
    copy_gb_per_s: f64,
    timer: Timer,
}

impl Bench<'_> {
    /// Time to work out the map, and to turn the view.
    fn map(&self) -> Result<(), Box<dyn Error>> {
        let HeadlessGpu { device, queue, .. } = self.gpu;
        let (rig, settings) =
            (Rig::dual_fisheye(self.input, FOV_DEG), StitchSettings::equirectangular(self.output[0], self.output[1]));
        let start = Instant::now();
        let map = StitchMap::new(&PreparedRig::new(&rig)?, &settings)?;
        let map_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut pass = StitchPass::new(device, queue, &rig, &settings)?;
        let start = Instant::now();
        for turn in 1..=4 {
            pass.set_orientation(device, queue, YawPitchRoll::new(f64::from(turn), 1.0, 2.0))?;
        }
        emit(json!({
            "name": "stitch map", "input": self.input, "output": self.output, "ms": round(map_ms),
            "turn_ms": round(start.elapsed().as_secs_f64() * 1e3 / 4.0), "tile_px": map.tile_px(),
            "max_error_px": map.max_error_px(), "blended_share": round(map.blended_share()),
        }));
        Ok(())
    }

    fn stitch(&self, format: PixelFormat, settings: StitchSettings) -> Result<(), Box<dyn Error>> {
        let HeadlessGpu { device, queue, .. } = self.gpu;
        let rig = Rig::dual_fisheye(self.input, FOV_DEG);
        let mut pass = StitchPass::new(device, queue, &rig, &settings)?;
        let (input, output) = (self.picture(format)?, pass.output_picture(device, "bench")?);
        let times = self.timer.measure(self.gpu, self.frames, |encoder, timestamps| {
            pass.encode(device, queue, encoder, &[&input], &output, timestamps)
        })?;
        let StitchSettings { blend, seams, sampling, .. } = settings;
        let blend = match blend {
            StitchBlend::MultiBand { bands } => format!("{bands} bands"),
            _ => "feather".to_owned(),
        };
        self.report(&format!("stitch, {blend}, {seams:?} seams, {sampling:?}, {format:?}"), format, times);
        Ok(())
    }

    fn naive(&self) -> Result<(), Box<dyn Error>> {
        let device = &self.gpu.device;
        let input = self.picture(PixelFormat::Rgba8)?;
        let output = GpuPicture::rgba(device, "naive", UVec2::from_array(self.output))?;
        let maps = self.naive_maps()?;
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("naive"),
            source: wgpu::ShaderSource::Wgsl(NAIVE.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("naive"),
            layout: None,
            module: &shader,
            entry_point: Some("remap"),
            compilation_options: Default::default(),
            cache: None,
        });
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let views =
            [&input.planes[0], &maps[0], &maps[1], &output.planes[0]].map(|texture| texture.create_view(&Default::default()));
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Sampler(&sampler) }];
        entries.extend(
            views
                .iter()
                .zip(1..)
                .map(|(view, binding)| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::TextureView(view) }),
        );
        let layout = pipeline.get_bind_group_layout(0);
        let bind_group =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("naive"), layout: &layout, entries: &entries });
        let times = self.timer.measure(self.gpu, self.frames, |encoder, timestamp_writes| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("naive"), timestamp_writes });
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(self.output[0].div_ceil(8), self.output[1].div_ceil(8), 1);
            Ok::<_, Box<dyn Error>>(())
        })?;
        self.report("naive remap, Rgba8", PixelFormat::Rgba8, times);
        Ok(())
    }

    /// Full-size maps of 16-bit floats, with the stitch's feather in round terms.
    fn naive_maps(&self) -> Result<[wgpu::Texture; 2], Box<dyn Error>> {
        let HeadlessGpu { device, queue, .. } = self.gpu;
        let rig = PreparedRig::new(&Rig::dual_fisheye(self.input, FOV_DEG))?;
        let [width, height] = self.output;
        let picture = UVec2::from_array(self.input).as_dvec2();
        let mut data = [Vec::new(), Vec::new()];
        for index in 0..width * height {
            let point = DVec2::new(f64::from(index % width) + 0.5, f64::from(index / width) + 0.5);
            let (sin_lon, cos_lon) = ((point.x / f64::from(width) - 0.5) * core::f64::consts::TAU).sin_cos();
            let (sin_lat, cos_lat) = ((0.5 - point.y / f64::from(height)) * core::f64::consts::PI).sin_cos();
            let direction = bevy::math::DVec3::new(cos_lat * sin_lon, -sin_lat, cos_lat * cos_lon);
            let samples = [0, 1].map(|lens: usize| rig.lenses[lens].sample(direction, None));
            for (lens, data) in data.iter_mut().enumerate() {
                let (own, other) = (samples[lens].ok_or("no direction")?, samples[1 - lens].ok_or("no direction")?);
                let uv = own.pixel / picture;
                let weight = (0.5 + (own.edge_deg - other.edge_deg) / 10.0).clamp(0.0, 1.0);
                data.extend([uv.x, uv.y, weight, 0.0].map(|value| half_bits(value as f32)));
            }
        }
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        Ok(data.map(|data| {
            let texture = device.create_texture(&wgpu::TextureDescriptor {
                label: Some("naive map"),
                size,
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::Rgba16Float,
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            });
            let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(8 * width), rows_per_image: None };
            queue.write_texture(texture.as_image_copy(), bytemuck::cast_slice(&data), layout, size);
            texture
        }))
    }

    /// A picture with detail everywhere.
    fn picture(&self, format: PixelFormat) -> Result<GpuPicture, Box<dyn Error>> {
        let size = UVec2::from_array(self.input);
        let data: Vec<u8> =
            (0..format.picture_bytes(size) as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 25) as u8 + 64).collect();
        let frame = VideoFrame::from_packed(FrameStamp::default(), format, size, ColorInfo::BT709, Bytes::from(data))?;
        let picture = GpuPicture::for_upload(&self.gpu.device, &frame)?;
        picture.upload(&self.gpu.queue, &frame);
        Ok(picture)
    }

    fn report(&self, name: &str, format: PixelFormat, times: Times) {
        let Times { ms: mut times, cpu_ms_mean } = times;
        times.sort_by(f32::total_cmp);
        let [p50, p95] = [0.5, 0.95].map(|share| f64::from(percentile(&times, share).unwrap_or_default()));
        let pixels = f64::from(self.output[0]) * f64::from(self.output[1]);
        let bytes = format.picture_bytes(UVec2::from_array(self.input)) as f64 + 4.0 * pixels;
        let gb_per_s = bytes / (p50 * 1e6);
        emit(json!({
            "name": name, "input": self.input, "output": self.output, "ms_min": round(f64::from(times[0])), "ms_p50": round(p50), "ms_p95": round(p95),
            "cpu_ms_mean": cpu_ms_mean.map(round), "frames": times.len(),
            "gb_per_s": round(gb_per_s), "bandwidth_share": round(gb_per_s / self.copy_gb_per_s), "timing": self.timer.name(),
        }));
    }
}

/// Measures GPU work.
struct Timer(Option<Timestamps>);

struct Timestamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    read: wgpu::Buffer,
}

/// Passes that a real GPU gets at once: it must not fall asleep between frames, or it is its clock that is measured.
const BURST: u32 = 32;

impl Timer {
    /// Timestamps on a real GPU that has them; a clock otherwise.
    fn new(gpu: &HeadlessGpu) -> Self {
        let real =
            gpu.adapter.device_type != wgpu::DeviceType::Cpu && gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        Self(real.then(|| {
            let (count, size) = (2 * BURST, 16 * u64::from(BURST));
            let set =
                gpu.device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
            let buffer =
                |usage| gpu.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
            use wgpu::BufferUsages as U;
            Timestamps { set, resolved: buffer(U::QUERY_RESOLVE | U::COPY_SRC), read: buffer(U::COPY_DST | U::MAP_READ) }
        }))
    }

    fn name(&self) -> &'static str {
        if self.0.is_some() { "timestamps" } else { "wall clock" }
    }

    /// Milliseconds of each of about `frames` runs, after a few to warm up.
    fn measure<E: Into<Box<dyn Error>>>(
        &self,
        gpu: &HeadlessGpu,
        frames: usize,
        mut record: impl FnMut(&mut wgpu::CommandEncoder, Option<wgpu::ComputePassTimestampWrites>) -> Result<(), E>,
    ) -> Result<Times, Box<dyn Error>> {
        let mut record = |encoder: &mut wgpu::CommandEncoder, index: u32| {
            let timestamp_writes = self.0.as_ref().map(|timestamps| wgpu::ComputePassTimestampWrites {
                query_set: &timestamps.set,
                beginning_of_pass_write_index: Some(2 * index),
                end_of_pass_write_index: Some(2 * index + 1),
            });
            record(encoder, timestamp_writes).map_err(Into::into)
        };
        let burst = if self.0.is_some() { BURST } else { 1 };
        let warm_up = if self.0.is_some() { Duration::from_millis(300) } else { Duration::from_millis(100) };
        let begun = Instant::now();
        let mut ms = Vec::new();
        let mut cpu_start = cpu_ms();
        loop {
            let is_warm = begun.elapsed() > warm_up;
            if !is_warm {
                cpu_start = cpu_ms();
            }
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            (0..burst).try_for_each(|index| record(&mut encoder, index))?;
            if let Some(Timestamps { set, resolved, read }) = &self.0 {
                encoder.resolve_query_set(set, 0..2 * burst, resolved, 0);
                encoder.copy_buffer_to_buffer(resolved, 0, read, 0, read.size());
            }
            let start = Instant::now();
            gpu.queue.submit([encoder.finish()]);
            gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
            let elapsed_ms = start.elapsed().as_secs_f32() * 1e3;
            if !is_warm {
                continue;
            }
            match &self.0 {
                None => ms.push(elapsed_ms),
                Some(Timestamps { read, .. }) => {
                    read.slice(..).map_async(wgpu::MapMode::Read, |_| ());
                    gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
                    let bytes = read.slice(..).get_mapped_range();
                    let ticks: &[[u64; 2]] = bytemuck::cast_slice(&bytes);
                    let period_ms = gpu.queue.get_timestamp_period() * 1e-6;
                    ms.extend(ticks.iter().map(|[begin, end]| end.saturating_sub(*begin) as f32 * period_ms));
                    drop(bytes);
                    read.unmap();
                }
            }
            if ms.len() >= frames {
                break;
            }
        }
        let cpu_ms_mean = cpu_start.zip(cpu_ms()).map(|(start, end)| (end - start) / ms.len() as f64);
        Ok(Times { ms, cpu_ms_mean })
    }
}

/// What a measurement found.
struct Times {
    /// Milliseconds of each run.
    ms: Vec<f32>,
    /// Milliseconds that this process kept cores busy for a run: what a software GPU costs also on a machine that is busy
    /// with other things.
    cpu_ms_mean: Option<f64>,
}

/// The processor time that this process has used, where the system tells (Linux, in hundredths of a second).
fn cpu_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) * 10.0)
}

/// Gigabytes a second that a shader reads and writes when it copies a buffer.
fn copy_bandwidth(gpu: &HeadlessGpu, bytes: u64) -> Result<f64, Box<dyn Error>> {
    let device = &gpu.device;
    let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("copy"),
        source: wgpu::ShaderSource::Wgsl(NAIVE.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("copy"),
        layout: None,
        module: &shader,
        entry_point: Some("copy"),
        compilation_options: Default::default(),
        cache: None,
    });
    let buffer = || {
        let usage = wgpu::BufferUsages::STORAGE;
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false })
    };
    let (from, to) = (buffer(), buffer());
    let entries =
        [(5, &from), (6, &to)].map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
    let layout = pipeline.get_bind_group_layout(0);
    let bind_group =
        device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("copy"), layout: &layout, entries: &entries });
    let mut times = Timer::new(gpu).measure(gpu, 20, |encoder, timestamp_writes| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("copy"), timestamp_writes });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(bytes.div_ceil(16 * 256 * 4).min(65535) as u32, 1, 1);
        Ok::<_, Box<dyn Error>>(())
    })?;
    times.ms.sort_by(f32::total_cmp);
    let p50 = f64::from(percentile(&times.ms, 0.5).unwrap_or(f32::INFINITY));
    Ok(2.0 * bytes as f64 / (p50 * 1e6))
}

/// Mean milliseconds that one thread of `ffmpeg`'s v360 filter takes for a frame: a longer run less a shorter one, so that
/// starting and building the map do not count, and less what making the test picture takes.
fn v360_ms_per_frame(input: [u32; 2], output: [u32; 2]) -> Result<f64, String> {
    let run = |filter: &str, frames: u32| -> Result<f64, String> {
        let source = format!("testsrc2=s={}x{}:r=30,format=yuv420p", input[0], input[1]);
        let start = Instant::now();
        let status = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-filter_threads", "1", "-f", "lavfi", "-i", &source, "-vf", filter])
            .args(["-frames:v", &frames.to_string(), "-f", "null", "-"])
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("ffmpeg did not start: {error}"))?;
        if status.success() { Ok(start.elapsed().as_secs_f64() * 1e3) } else { Err(format!("ffmpeg ended with {status}")) }
    };
    let stitch = format!("v360=dfisheye:equirect:ih_fov={FOV_DEG}:iv_fov={FOV_DEG}:w={}:h={}", output[0], output[1]);
    let (few, many) = (4, 28);
    let per_frame = |filter: &str| Ok::<_, String>((run(filter, many)? - run(filter, few)?) / f64::from(many - few));
    Ok(per_frame(&stitch)? - per_frame("null")?)
}

/// The bits of a 16-bit float (rounded towards zero; zero for what is too small).
fn half_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) & 0xFF) as i32 - 127 + 15;
    let sign = (bits >> 16) as u16 & 0x8000;
    match exponent {
        ..=0 => sign,
        1..31 => sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x3FF,
        _ => sign | 0x7BFF,
    }
}
