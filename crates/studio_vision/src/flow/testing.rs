//! Pictures, a GPU and readbacks for tests of the flow and the synthesis.

use super::{FlowPass, FlowSettings, FlowStats, work::PatchSearch};
use bevy::math::{UVec2, Vec2};
use bytes::Bytes;
use half::f16;
use std::{path::PathBuf, sync::OnceLock};
use studio_frame::{color::ColorInfo, format::PixelFormat, motion::MotionField, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};

/// One GPU for all tests.
pub(crate) fn gpu() -> &'static HeadlessGpu {
    static GPU: OnceLock<HeadlessGpu> = OnceLock::new();
    GPU.get_or_init(|| HeadlessGpu::open().expect("tests need a Vulkan adapter"))
}

/// A path below the shared data; `None`, with a line that says so, where it is absent.
pub(crate) fn shared_data(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if !full.exists() {
        eprintln!("skipped: {path} is absent from the shared data");
        return None;
    }
    Some(full)
}

/// Makes an RGBA frame of a grey value for each pixel.
pub(crate) fn grey_frame(size: UVec2, grey: impl Fn(UVec2) -> f32) -> VideoFrame {
    let pixels = (0..size.y).flat_map(|y| (0..size.x).map(move |x| UVec2::new(x, y)));
    let data: Vec<u8> = pixels
        .flat_map(|pixel| {
            let value = (grey(pixel).clamp(0.0, 1.0) * 255.0).round() as u8;
            [value, value, value, 255]
        })
        .collect();
    rgba_frame(size, data)
}

/// Makes a frame of packed RGBA.
pub(crate) fn rgba_frame(size: UVec2, data: impl Into<Bytes>) -> VideoFrame {
    VideoFrame::from_packed(FrameStamp::default(), PixelFormat::Rgba8, size, ColorInfo::default(), data.into())
        .expect("size fits")
}

/// Uploads a frame into textures of its own.
pub(crate) fn upload(frame: &VideoFrame) -> GpuPicture {
    let picture = GpuPicture::for_upload(&gpu().device, frame).expect("picture fits");
    picture.upload(&gpu().queue, frame);
    picture
}

/// A smooth random texture, -1..1, that meets itself after `width` pixels across: three octaves of a hashed lattice.
pub(crate) fn texture_at(width: u32, position: Vec2) -> f32 {
    let octave = |cells_across: i32| {
        let place = position * (cells_across as f32 / width as f32);
        let base = place.floor();
        let part = place - base;
        let smooth = part * part * (3.0 - 2.0 * part);
        let value = |dx: i32, dy: i32| {
            let x = (base.x as i32 + dx).rem_euclid(cells_across) as u32;
            let y = (base.y as i32 + dy) as u32;
            let mut hash = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
            hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
            hash = (hash ^ (hash >> 12)).wrapping_mul(0x297A_2D39);
            (hash >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let across = |dy| value(0, dy) * (1.0 - smooth.x) + value(1, dy) * smooth.x;
        across(0) * (1.0 - smooth.y) + across(1) * smooth.y
    };
    0.4 * octave(width as i32 / 48) + 0.35 * octave(width as i32 / 12) + 0.25 * octave(width as i32 / 5)
}

/// Waits for the GPU and reads a buffer.
pub(crate) fn read_buffer(buffer: &wgpu::Buffer) -> Vec<u8> {
    let HeadlessGpu { device, queue, .. } = gpu();
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: buffer.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    queue.submit([encoder.finish()]);
    staging.slice(..).map_async(wgpu::MapMode::Read, |result| result.expect("maps"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("device lives");
    staging.slice(..).get_mapped_range().to_vec()
}

/// Waits for the GPU and reads a texture, without row padding.
pub(crate) fn read_texture(texture: &wgpu::Texture, bytes_per_texel: u32) -> Vec<u8> {
    let HeadlessGpu { device, queue, .. } = gpu();
    let row_bytes = texture.width() * bytes_per_texel;
    let stride = row_bytes.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("texture readback"),
        size: u64::from(stride * texture.height()),
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
        texture.size(),
    );
    queue.submit([encoder.finish()]);
    let padded = read_buffer(&buffer);
    padded.chunks(stride as usize).flat_map(|row| &row[..row_bytes as usize]).copied().collect()
}

/// The flow between the last two of some frames.
pub(crate) struct FlowResult {
    /// Size of the dense flow.
    pub size: UVec2,
    /// Motion of each pixel of the dense flow, in pixels of the picture.
    pub dense: Vec<Vec2>,
    /// The reduced field.
    pub field: MotionField,
    /// Its residuals.
    pub stats: FlowStats,
    /// How far the motion of each pixel of the dense flow can be trusted, 0..1; empty where that is not asked for.
    confidence: Vec<f32>,
}

impl FlowResult {
    /// How far the motion can be trusted at the pixel of the dense flow that covers a pixel of the picture.
    pub fn confidence_at(&self, pixel: UVec2) -> f32 {
        let place = (pixel.as_vec2() + 0.5) * self.size.as_vec2() / self.field.picture_size.as_vec2();
        let texel = place.as_uvec2().min(self.size - 1);
        self.confidence.get((texel.y * self.size.x + texel.x) as usize).copied().unwrap_or_default()
    }

    /// The dense motion at a position of the picture, bilinearly between pixels.
    pub fn at(&self, position: Vec2) -> Vec2 {
        let size = self.size.as_vec2();
        let place = ((position + 0.5) * size / self.field.picture_size.as_vec2() - 0.5).clamp(Vec2::ZERO, size - 1.0);
        let base = place.floor().as_uvec2().min(self.size - 2);
        let part = place - base.as_vec2();
        let value = |x: u32, y: u32| self.dense[((base.y + y) * self.size.x + base.x + x) as usize];
        value(0, 0).lerp(value(1, 0), part.x).lerp(value(0, 1).lerp(value(1, 1), part.x), part.y)
    }
}

/// A flow pass that can be asked again and again.
pub(crate) struct FlowRunner(FlowPass);

impl FlowRunner {
    /// Makes the pass for pictures of one size.
    pub fn new(picture_size: UVec2, settings: &FlowSettings) -> Self {
        Self(FlowPass::new(&gpu().device, picture_size, settings).expect("settings fit"))
    }

    /// The same with a given way to search patches.
    pub fn with_search(picture_size: UVec2, settings: &FlowSettings, search: PatchSearch) -> Self {
        Self(FlowPass::with_search(&gpu().device, picture_size, settings, search).expect("settings fit"))
    }

    /// Runs the flow over frames in order, as the start of a stream, and reads back what the last one gave.
    pub fn run(&mut self, frames: &[&VideoFrame]) -> FlowResult {
        let HeadlessGpu { device, queue, .. } = gpu();
        self.0.reset();
        for frame in frames {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.0.encode(device, &mut encoder, &upload(frame)).expect("picture fits");
            queue.submit([encoder.finish()]);
        }
        let plan = self.0.plan();
        let (field, stats) =
            plan.motion_field(FrameStamp::default(), 0, &read_buffer(self.0.grid_buffer())).expect("whole buffer");
        let scale = plan.picture_size.as_vec2() / plan.flow_size.as_vec2();
        let texels = read_texture(self.0.motion_texture(), 8);
        let dense = texels
            .as_chunks::<8>()
            .0
            .iter()
            .map(|texel| {
                Vec2::new(f16::from_le_bytes([texel[0], texel[1]]).to_f32(), f16::from_le_bytes([texel[2], texel[3]]).to_f32())
                    * scale
            })
            .collect();
        let confidence = self.0.confidence_picture().map(|picture| {
            let texels = read_texture(&picture.planes[0], 4);
            texels.iter().step_by(4).map(|value| f32::from(*value) / 255.0).collect()
        });
        FlowResult { size: plan.flow_size, dense, field, stats, confidence: confidence.unwrap_or_default() }
    }
}

/// Runs the flow over frames in order and reads back what the last one gave.
pub(crate) fn flow_of(frames: &[&VideoFrame], settings: &FlowSettings) -> FlowResult {
    FlowRunner::new(frames[0].size, settings).run(frames)
}
