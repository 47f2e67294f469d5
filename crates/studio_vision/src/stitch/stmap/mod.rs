//! STMaps: any mapping, given pixel by pixel.

mod file;
mod of_rig;

use super::{
    StitchError, StitchSampling,
    gpu::{self, Program},
};
use bevy::math::UVec2;
use studio_gpu::{
    device::GpuError,
    picture::{GpuPicture, PictureUniform},
};

const SHADER: &str = include_str!("../../../../../shaders/stitch_stmap.wgsl");
/// The largest map in pixels, 16384 × 8192.
const MAX_PIXELS: u64 = 1 << 27;

/// For each pixel of the output, the point of the input that it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct StMap {
    size: UVec2,
    /// Texture coordinates from the top left, row by row; negative where there is no picture.
    coordinates: Vec<[f32; 2]>,
}

/// Why an STMap cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StMapError {
    /// The file is no picture that can be read.
    #[error("{file} is no readable STMap, which is a PNG of 16 bits a channel or an EXR with the channels R and G: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the decoder said.
        reason: String,
    },
    /// Eight bits can only address 256 columns.
    #[error("{file} has 8 bits a channel, too coarse for coordinates: export the STMap with 16 bits a channel")]
    TooCoarse {
        /// The file.
        file: String,
    },
    /// A file that cannot be written.
    #[error("the STMap cannot be written: {reason}")]
    Unwritable {
        /// What the encoder said.
        reason: String,
    },
    /// Wrong number of coordinates, an empty map or a huge one.
    #[error(
        "an STMap of {width}×{height} with {count} coordinates: it must have 1 to {MAX_PIXELS} pixels and one coordinate pair each"
    )]
    Size {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
        /// Coordinate pairs given.
        count: usize,
    },
}

impl StMap {
    /// Makes a map from texture coordinates (0 to 1 from the top left), row by row. A pair outside of 0 to 1 or with NaN
    /// means no picture.
    ///
    /// # Errors
    /// [`StMapError::Size`] if the coordinates do not fill the size.
    pub fn new(size: UVec2, mut coordinates: Vec<[f32; 2]>) -> Result<Self, StMapError> {
        let pixels = u64::from(size.x) * u64::from(size.y);
        if pixels == 0 || pixels > MAX_PIXELS || coordinates.len() as u64 != pixels {
            return Err(StMapError::Size { width: size.x, height: size.y, count: coordinates.len() });
        }
        for pair in &mut coordinates {
            if !pair.iter().all(|value| (0.0..=1.0).contains(value)) {
                *pair = [-1.0; 2];
            }
        }
        Ok(Self { size, coordinates })
    }

    /// Width and height of the map and of the picture that it makes, in pixels.
    pub fn size(&self) -> UVec2 {
        self.size
    }
}

/// Draws pictures through an [`StMap`].
pub struct StMapPass {
    size: UVec2,
    sampling: StitchSampling,
    map: wgpu::TextureView,
    program: Program,
    pipelines: Vec<(u32, wgpu::ComputePipeline)>,
    uniform: wgpu::Buffer,
}

impl StMapPass {
    /// Puts a map on the GPU; pictures are read as `sampling` says.
    ///
    /// # Errors
    /// [`StitchError::Gpu`] if the map is larger than the GPU's textures.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, map: &StMap, sampling: StitchSampling) -> Result<Self, StitchError> {
        gpu::check_size(device, map.size)?;
        let coordinates = bytemuck::cast_slice(&map.coordinates);
        let uniform_bytes = size_of::<PictureUniform>() as u64;
        Ok(Self {
            size: map.size,
            sampling,
            map: gpu::data_texture(device, queue, "STMap", wgpu::TextureFormat::Rg32Float, map.size, coordinates),
            program: Program::new(device, "STMap", SHADER, uniform_bytes, false, &[gpu::sampled(false), gpu::OUTPUT]),
            pipelines: Vec::new(),
            uniform: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("STMap picture"),
                size: uniform_bytes,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        })
    }

    /// How pictures are read.
    pub fn sampling(&self) -> StitchSampling {
        self.sampling
    }

    /// Makes a picture of the right size for the output.
    ///
    /// # Errors
    /// [`GpuError::PictureTooLarge`] if the GPU's textures cannot be as large.
    pub fn output_picture(&self, device: &wgpu::Device, label: &str) -> Result<GpuPicture, GpuError> {
        GpuPicture::rgba(device, label, self.size)
    }

    /// Records one frame: `input` in any pixel format at any size.
    ///
    /// # Errors
    /// [`StitchError::Output`] if the output does not have the map's size.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        input: &GpuPicture,
        output: &GpuPicture,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites>,
    ) -> Result<(), StitchError> {
        gpu::check_output(output, self.size)?;
        let picture = input.uniform();
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&picture));
        let more = [wgpu::BindingResource::TextureView(&self.map), wgpu::BindingResource::TextureView(output.view())];
        let bind_group = self.program.bind_group(device, input, &self.uniform, &more);
        let pipeline = self.pipeline(device, picture.plane_layout[0]);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("STMap"), timestamp_writes });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(self.size.x.div_ceil(64), self.size.y.div_ceil(4), 1);
        Ok(())
    }

    fn pipeline(&mut self, device: &wgpu::Device, layout: u32) -> wgpu::ComputePipeline {
        if let Some((_, pipeline)) = self.pipelines.iter().find(|(known, _)| *known == layout) {
            return pipeline.clone();
        }
        let cubic = f64::from(u8::from(self.sampling == StitchSampling::Cubic));
        let pipeline = self.program.pipeline(device, "remap", &[("LAYOUT", f64::from(layout)), ("CUBIC", cubic)]);
        self.pipelines.push((layout, pipeline.clone()));
        pipeline
    }
}
