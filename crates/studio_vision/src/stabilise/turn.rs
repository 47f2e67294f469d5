//! Turning a picture of the sphere on the GPU.

use bevy::math::{DMat3, DQuat};
use studio_gpu::{
    pass::{SpecializedKernel, linear_sampler, parameter_buffer},
    picture::{GpuPicture, PictureUniform},
};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct TurnUniform {
    picture: PictureUniform,
    /// Rows of the rotation from the result's frame to the picture's.
    rows: [[f32; 4]; 3],
}

/// Turns equirectangular pictures.
pub struct TurnPass {
    kernel: SpecializedKernel<1>,
    sampler: wgpu::Sampler,
    uniform: wgpu::Buffer,
}

impl TurnPass {
    /// Makes the pass.
    pub fn new(device: &wgpu::Device) -> Self {
        let source = include_str!("../../../../shaders/sphere_turn.wgsl");
        Self {
            kernel: SpecializedKernel::new(device, "sphere turn", source, "turn", ["LAYOUT"]),
            sampler: linear_sampler(device, "sphere turn", true),
            uniform: parameter_buffer::<TurnUniform>(device, "sphere turn"),
        }
    }

    /// Records the turn of `source`, an equirectangular picture in any format, into `target`, an RGBA picture of any size: what is in a
    /// direction of the result was in the direction `picture_from_result` times that one (x right, y down, z ahead).
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        source: &GpuPicture,
        target: &GpuPicture,
        picture_from_result: DQuat,
    ) {
        let picture = source.uniform();
        let rotation = DMat3::from_quat(picture_from_result);
        let rows = core::array::from_fn(|row| rotation.row(row).extend(0.0).as_vec4().to_array());
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&TurnUniform { picture, rows }));
        let [first, second, third] = source.plane_views();
        let resources = [
            self.uniform.as_entire_binding(),
            wgpu::BindingResource::Sampler(&self.sampler),
            wgpu::BindingResource::TextureView(first),
            wgpu::BindingResource::TextureView(second),
            wgpu::BindingResource::TextureView(third),
            wgpu::BindingResource::TextureView(target.view()),
        ];
        let kernel = self.kernel.with(device, [picture.plane_layout[0]]);
        kernel.dispatch(device, encoder, "sphere turn", &resources, target.size);
    }
}
