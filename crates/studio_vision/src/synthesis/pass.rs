//! The dispatch that makes a frame.

use super::{MotionGrid, SynthesisError};
use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicUsize, Ordering};
use studio_frame::format::PixelFormat;
use studio_gpu::{
    pass::{ComputeKernel, linear_sampler, parameter_buffer, shader},
    picture::{GpuPicture, PictureUniform},
};

/// How pixels between pixels are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum SynthesisQuality {
    /// Bilinear, chroma once a block of 2×2 pixels: a third of the work, a little blur where things move. For software Vulkan.
    Fast,
    /// Catmull-Rom's cubic for luma (or RGB), chroma at every pixel.
    #[default]
    Sharp,
}

/// What a frame is made from.
#[derive(Clone, Copy, Debug)]
pub struct SynthesisInputs<'a> {
    /// The picture before the moment in question.
    pub previous: &'a GpuPicture,
    /// The picture after it; the newest one where the moment lies beyond.
    pub current: &'a GpuPicture,
    /// The motion from `previous` to `current`.
    pub motion: &'a MotionGrid,
    /// The moment, 0..=2: 0 is the previous picture, 1 the current one, 1.5 half a frame after the current one.
    pub phase: f32,
    /// The part of the picture to make: first pixel and size, which may run over the right edge and go on at the left. The
    /// rest of the target stays as it is. `None` makes all of it.
    pub region: Option<[UVec2; 2]>,
}

/// `struct Synthesis` of `synthesis.wgsl`.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct SynthesisUniform {
    previous: PictureUniform,
    current: PictureUniform,
    uv_per_motion: [f32; 2],
    phase: f32,
    wraps: u32,
    region_origin: [u32; 2],
    region_size: [u32; 2],
}

/// Makes frames between, or just after, two pictures.
pub struct SynthesisPass {
    kernel: ComputeKernel,
    /// Samplers for pictures that do not wrap and for those that do.
    samplers: [wgpu::Sampler; 2],
    /// A buffer holds only one phase in a submission, so frames take turns.
    uniforms: [wgpu::Buffer; Self::FRAMES_PER_SUBMISSION],
    turn: AtomicUsize,
}

impl SynthesisPass {
    /// How many frames may be recorded before they must be submitted.
    pub const FRAMES_PER_SUBMISSION: usize = 4;

    /// Makes the pass; it serves pictures of any size and format.
    pub fn new(device: &wgpu::Device, quality: SynthesisQuality) -> Self {
        let module = shader(device, "synthesis", include_str!("../../../../shaders/synthesis.wgsl"));
        let constants = [("SHARP", f64::from(u8::from(quality == SynthesisQuality::Sharp)))];
        Self {
            kernel: ComputeKernel::of_module(device, &module, "synthesize", &constants, ComputeKernel::PIXELS_8X8),
            samplers: [false, true].map(|wraps| linear_sampler(device, "synthesis", wraps)),
            uniforms: core::array::from_fn(|_| parameter_buffer::<SynthesisUniform>(device, "synthesis")),
            turn: AtomicUsize::new(0),
        }
    }

    /// Records the making of one frame into `made`, an RGBA picture of the inputs' size. Up to
    /// [`FRAMES_PER_SUBMISSION`](Self::FRAMES_PER_SUBMISSION) frames may be recorded before they are submitted.
    ///
    /// # Errors
    /// [`SynthesisError`] for sizes that differ, a target that is not RGBA and a phase out of range.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &SynthesisInputs<'_>,
        made: &GpuPicture,
    ) -> Result<(), SynthesisError> {
        let SynthesisInputs { previous, current, motion, phase, region } = *inputs;
        if previous.size != made.size || current.size != made.size {
            return Err(SynthesisError::Sizes { previous: previous.size, current: current.size, made: made.size });
        }
        if made.format != PixelFormat::Rgba8 {
            return Err(SynthesisError::Target(made.format));
        }
        if !(0.0..=2.0).contains(&phase) {
            return Err(SynthesisError::Phase(phase));
        }
        // Blocks of 2×2 pixels must not straddle the edge that the region runs over.
        let [origin, size] = region.unwrap_or([UVec2::ZERO, made.size]);
        let region_origin = (origin % made.size) / 2 * 2;
        let region_size = size.saturating_add(UVec2::splat(2)).min(made.size);
        let values = SynthesisUniform {
            previous: previous.uniform(),
            current: current.uniform(),
            uv_per_motion: motion.picture_size().as_vec2().recip().to_array(),
            phase,
            wraps: u32::from(motion.wraps()),
            region_origin: region_origin.to_array(),
            region_size: region_size.to_array(),
        };
        let uniform = &self.uniforms[self.turn.fetch_add(1, Ordering::Relaxed) % Self::FRAMES_PER_SUBMISSION];
        queue.write_buffer(uniform, 0, bytemuck::bytes_of(&values));
        let planes = previous.plane_views().into_iter().chain(current.plane_views());
        let mut resources: Vec<_> = planes.map(wgpu::BindingResource::TextureView).collect();
        resources.extend([
            wgpu::BindingResource::TextureView(motion.view()),
            wgpu::BindingResource::Sampler(&self.samplers[usize::from(motion.wraps())]),
            uniform.as_entire_binding(),
            wgpu::BindingResource::TextureView(made.view()),
        ]);
        self.kernel.dispatch(device, encoder, "frame synthesis", &resources, (region_size + 1) / 2);
        Ok(())
    }
}
