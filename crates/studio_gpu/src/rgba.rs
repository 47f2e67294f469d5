//! The `ColorConvert` node: planes of any format to RGBA.

use crate::{
    frame::GpuFrame,
    node::*,
    pass::{ComputeKernel, linear_sampler, parameter_buffer},
    picture::{GpuPicture, PictureUniform},
};
use bevy::prelude::*;
use std::sync::Arc;
use studio_graph::prelude::*;

/// Turns luma and chroma planes into RGBA, which effects and encoders take. RGBA goes through untouched.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct ColorConvert;

impl NodeKind for ColorConvert {
    const DISPLAY_NAME: &'static str = "Colour convert";
    const CATEGORY: &'static str = "Colour";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct RgbaUniform {
    picture: PictureUniform,
    /// Origin and size of the part that is shown, in shares of the picture.
    part: [f32; 4],
}

/// Converts pictures of any format, or a part of them, to RGBA.
pub struct RgbaPass {
    kernel: ComputeKernel,
    sampler: wgpu::Sampler,
    uniform: wgpu::Buffer,
}

impl RgbaPass {
    /// All of a picture.
    pub const WHOLE: Rect = Rect { min: Vec2::ZERO, max: Vec2::ONE };

    /// Makes the pass.
    pub fn new(device: &wgpu::Device) -> Self {
        Self {
            kernel: ComputeKernel::new(device, "rgba", include_str!("../../../shaders/rgba_from_planes.wgsl"), "convert"),
            sampler: linear_sampler(device, "rgba", false),
            uniform: parameter_buffer::<RgbaUniform>(device, "rgba"),
        }
    }

    /// Records the conversion of a part of `source` (in shares of its width and height; [`WHOLE`](Self::WHOLE) for all of it)
    /// into the whole of `target`, an RGBA picture of any size.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        source: &GpuPicture,
        target: &GpuPicture,
        part: Rect,
    ) {
        let (origin, size) = (part.min, part.size());
        let values = RgbaUniform { picture: source.uniform(), part: [origin.x, origin.y, size.x, size.y] };
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&values));
        let [first, second, third] = source.plane_views();
        let resources = [
            self.uniform.as_entire_binding(),
            wgpu::BindingResource::Sampler(&self.sampler),
            wgpu::BindingResource::TextureView(first),
            wgpu::BindingResource::TextureView(second),
            wgpu::BindingResource::TextureView(third),
            wgpu::BindingResource::TextureView(target.view()),
        ];
        self.kernel.dispatch(device, encoder, "rgba", &resources, target.size);
    }
}

pub(crate) struct ConvertState {
    pub(crate) pass: RgbaPass,
    pub(crate) target: Arc<GpuPicture>,
}

impl ConvertState {
    pub(crate) fn new(device: &wgpu::Device, label: &str, size: UVec2) -> Result<Self> {
        Ok(Self { pass: RgbaPass::new(device), target: Arc::new(GpuPicture::rgba(device, label, size)?) })
    }
}

pub(crate) fn run_color_convert(
    In(run): In<GpuNodeRun>,
    mut states: Local<NodeStates<ConvertState>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    if !frame.picture.format.is_yuv() {
        run.set_output("frame", frame)?;
        return Ok(());
    }
    let size = frame.picture.size;
    let state = states.get_or_make(
        &gpu,
        run.node,
        |state| state.target.size == size,
        || ConvertState::new(gpu.device(), "colour convert", size),
    )?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.pass.encode(device, queue, encoder, &frame.picture, &state.target, RgbaPass::WHOLE);
    run.set_output("frame", GpuFrame { picture: state.target.clone(), ..frame })?;
    Ok(())
}
