//! From one motion a pixel to the grid and the confidence, whoever found the motion.

use super::{
    FlowPlan,
    compute::{CELLS_8X4, storage_texture},
};
use bevy::math::UVec2;
use std::sync::Arc;
use studio_gpu::{
    device::GpuError,
    pass::{ComputeKernel, Dispatch, shader},
    picture::GpuPicture,
};
use wgpu::util::DeviceExt;

/// The flow the other way, and what it says about the flow.
struct BothWays {
    back: (wgpu::Texture, wgpu::TextureView),
    compare: ComputeKernel,
    confidence: Arc<GpuPicture>,
}

/// The dense flow, and what is made of it.
pub(super) struct FlowOutput {
    reduce: ComputeKernel,
    motion: (wgpu::Texture, wgpu::TextureView),
    both_ways: Option<BothWays>,
    /// Stands in for the confidence where none is known.
    no_confidence: wgpu::TextureView,
    scale: wgpu::Buffer,
    grid: wgpu::Buffer,
}

impl FlowOutput {
    pub(super) fn new(device: &wgpu::Device, plan: &FlowPlan, both_ways: bool) -> Result<Self, GpuError> {
        let reduce_shader = shader(device, "flow reduce", include_str!("../../../../shaders/flow_reduce.wgsl"));
        let scale = plan.picture_size.as_vec2() / plan.flow_size.as_vec2();
        let grid_uniform = [scale.x.to_bits(), scale.y.to_bits(), plan.grid.x, plan.grid.y];
        let dense = |label| storage_texture(device, label, plan.flow_size, wgpu::TextureFormat::Rgba16Float);
        let both_ways = if both_ways {
            let compare_shader = shader(device, "flow confidence", include_str!("../../../../shaders/flow_confidence.wgsl"));
            let wraps = ("WRAPS", f64::from(u8::from(plan.wraps)));
            Some(BothWays {
                back: dense("optical flow back"),
                compare: ComputeKernel::of_module(device, &compare_shader, "compare", &[wraps], ComputeKernel::PIXELS_8X8),
                confidence: Arc::new(GpuPicture::rgba(device, "flow confidence", plan.flow_size)?),
            })
        } else {
            None
        };
        let confident = ("CONFIDENT", f64::from(u8::from(both_ways.is_some())));
        Ok(Self {
            reduce: ComputeKernel::of_module(device, &reduce_shader, "reduce", &[confident], CELLS_8X4),
            motion: dense("optical flow"),
            both_ways,
            no_confidence: storage_texture(device, "no confidence", UVec2::ONE, wgpu::TextureFormat::Rgba8Unorm).1,
            scale: device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("flow grid scale"),
                contents: bytemuck::cast_slice(&grid_uniform),
                usage: wgpu::BufferUsages::UNIFORM,
            }),
            grid: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("motion grid"),
                size: plan.readback_bytes() as u64,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        })
    }

    /// Where the dense flow is written.
    pub(super) fn motion(&self) -> &wgpu::TextureView {
        &self.motion.1
    }

    /// Where the flow the other way is written, if it is asked for.
    pub(super) fn back(&self) -> Option<&wgpu::TextureView> {
        self.both_ways.as_ref().map(|both| &both.back.1)
    }

    /// The dense flow.
    pub(super) fn motion_texture(&self) -> &wgpu::Texture {
        &self.motion.0
    }

    /// The flow the other way.
    pub(super) fn back_texture(&self) -> Option<&wgpu::Texture> {
        self.both_ways.as_ref().map(|both| &both.back.0)
    }

    /// How far the flow can be trusted, where that is found out.
    pub(super) fn confidence(&self) -> Option<&Arc<GpuPicture>> {
        self.both_ways.as_ref().map(|both| &both.confidence)
    }

    /// The reduced field.
    pub(super) fn grid(&self) -> &wgpu::Buffer {
        &self.grid
    }

    /// What turns the dense flow into confidence and grid.
    pub(super) fn dispatches(&self, device: &wgpu::Device, plan: &FlowPlan) -> Vec<Dispatch> {
        use wgpu::BindingResource::TextureView;
        let (mut dispatches, mut confidence) = (Vec::new(), &self.no_confidence);
        if let Some(BothWays { back, compare, confidence: picture }) = &self.both_ways {
            [confidence, ..] = picture.plane_views();
            let resources = [(0, TextureView(&self.motion.1)), (1, TextureView(&back.1)), (2, TextureView(confidence))];
            dispatches.push(compare.prepare(device, &resources, plan.flow_size));
        }
        let resources = [
            (0, TextureView(&self.motion.1)),
            (1, self.scale.as_entire_binding()),
            (2, self.grid.as_entire_binding()),
            (3, TextureView(confidence)),
        ];
        dispatches.push(self.reduce.prepare(device, &resources, plan.grid));
        dispatches
    }
}
