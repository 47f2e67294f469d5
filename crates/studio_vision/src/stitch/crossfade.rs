//! From one picture to another.

use studio_gpu::{
    pass::{ComputeKernel, parameter_buffer},
    picture::GpuPicture,
};

/// Mixes two pictures of one size.
pub struct CrossfadePass {
    kernel: ComputeKernel,
    uniform: wgpu::Buffer,
}

impl CrossfadePass {
    /// Makes the pass.
    pub fn new(device: &wgpu::Device) -> Self {
        let source = include_str!("../../../../shaders/crossfade.wgsl");
        Self {
            kernel: ComputeKernel::new(device, "crossfade", source, "crossfade"),
            uniform: parameter_buffer::<[f32; 4]>(device, "crossfade"),
        }
    }

    /// Records the mix of two RGBA pictures into a third, all of one size: `part` (0 to 1) of the newer one.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        [older, newer]: [&GpuPicture; 2],
        target: &GpuPicture,
        part: f32,
    ) {
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&[part, 0.0, 0.0, 0.0]));
        let resources = [
            self.uniform.as_entire_binding(),
            wgpu::BindingResource::TextureView(older.view()),
            wgpu::BindingResource::TextureView(newer.view()),
            wgpu::BindingResource::TextureView(target.view()),
        ];
        self.kernel.dispatch(device, encoder, "crossfade", &resources, target.size);
    }
}
