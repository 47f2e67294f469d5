//! The `LatencyMark` node: draws the machine-readable frame number and capture time into the picture.

use crate::{
    node::*,
    pass::{ComputeKernel, parameter_buffer},
    picture::GpuPicture,
};
use bevy::prelude::*;
use studio_frame::{
    mark::{Mark, MarkPlacement},
    stamp::FrameStamp,
};
use studio_graph::prelude::*;

/// Draws [the mark](studio_frame::mark) into the pictures that come through, so that the other end can measure the
/// glass-to-glass latency.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct LatencyMark {
    /// Whether the mark is drawn.
    pub enabled: bool,
}

impl Default for LatencyMark {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl NodeKind for LatencyMark {
    const DISPLAY_NAME: &'static str = "Latency mark";
    const CATEGORY: &'static str = "Measure";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct MarkUniform {
    bits: [u32; 4],
    origin: [u32; 2],
    cell_px: u32,
    padding: u32,
}

/// Draws marks into RGBA pictures.
pub struct MarkPass {
    kernel: ComputeKernel,
    uniform: wgpu::Buffer,
}

impl MarkPass {
    /// Makes the pass.
    pub fn new(device: &wgpu::Device) -> Self {
        let kernel = ComputeKernel::new(device, "mark", include_str!("../../../shaders/mark.wgsl"), "draw_mark");
        let uniform = parameter_buffer::<MarkUniform>(device, "mark");
        Self { kernel, uniform }
    }

    /// Records the drawing of a frame's mark into its picture; a picture too small for one stays as it is.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        picture: &GpuPicture,
        stamp: FrameStamp,
    ) {
        let Some(placement) = MarkPlacement::in_picture(picture.size) else { return };
        let values = MarkUniform {
            bits: Mark::from(stamp).bits(),
            origin: placement.origin.to_array(),
            cell_px: placement.cell_px,
            padding: 0,
        };
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&values));
        let resources = [self.uniform.as_entire_binding(), wgpu::BindingResource::TextureView(picture.view())];
        let size = UVec2::new(studio_frame::mark::COLUMNS, studio_frame::mark::ROWS) * placement.cell_px;
        self.kernel.dispatch(device, encoder, "mark", &resources, size);
    }
}

/// A picture that cannot be drawn into.
#[derive(Debug, thiserror::Error)]
#[error(
    "the latency mark is drawn into pictures that a node made (RGBA), not into a source's {0:?} planes: put a stitch or reframe before it"
)]
pub struct NotDrawable(studio_frame::format::PixelFormat);

pub(crate) fn run_latency_mark(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<LatencyMark>>,
    mut states: Local<NodeStates<MarkPass>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    if settings.of(run.node).enabled {
        let drawable = frame.picture.planes.iter().all(|plane| plane.usage().contains(wgpu::TextureUsages::STORAGE_BINDING));
        if frame.picture.format.is_yuv() || !drawable {
            return Err(NotDrawable(frame.picture.format).into());
        }
        let pass = states.get_or_make(&gpu, run.node, |_| true, || Ok(MarkPass::new(gpu.device())))?;
        let (device, queue, encoder) = gpu.device_and_encoder();
        pass.encode(device, queue, encoder, &frame.picture, frame.stamp);
    }
    run.set_output("frame", frame)?;
    Ok(())
}
