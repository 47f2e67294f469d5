//! Drawing a picture of any planes over a render target.

use crate::{
    pass::{BindGroupCache, cover_pipeline, linear_sampler, numbered, parameter_buffer},
    picture::{GpuPicture, PictureUniform},
};
use bevy::math::UVec2;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct PaintParameters {
    picture: PictureUniform,
    /// Scale from the target's coordinates (-1..1) to the picture's, and 1 where the target decodes sRGB, 0 elsewhere.
    scale: [f32; 2],
    to_linear: f32,
    padding: f32,
}

/// Draws pictures over one target: one painter for each target that is drawn in a frame.
pub struct PicturePainter {
    pipeline: wgpu::RenderPipeline,
    sampler: wgpu::Sampler,
    parameters: wgpu::Buffer,
    format: wgpu::TextureFormat,
    layout: wgpu::BindGroupLayout,
    bind_groups: BindGroupCache,
}

impl PicturePainter {
    /// A painter for targets of a format.
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let pipeline = cover_pipeline(device, "present", include_str!("../../../shaders/present.wgsl"), "present", format);
        let sampler = linear_sampler(device, "present", false);
        let parameters = parameter_buffer::<PaintParameters>(device, "present");
        let layout = pipeline.get_bind_group_layout(0);
        Self { pipeline, sampler, parameters, format, layout, bind_groups: BindGroupCache::default() }
    }

    /// A painter for another target of the same format, which shares the pipeline.
    pub fn for_another(&self, device: &wgpu::Device) -> Self {
        Self {
            pipeline: self.pipeline.clone(),
            sampler: self.sampler.clone(),
            parameters: parameter_buffer::<PaintParameters>(device, "present"),
            format: self.format,
            layout: self.layout.clone(),
            bind_groups: BindGroupCache::default(),
        }
    }

    /// The format of the targets.
    pub const fn format(&self) -> wgpu::TextureFormat {
        self.format
    }

    /// Records a pass that draws the picture, as large as the target of `size` pixels allows, in its own shape. With `fill`
    /// it covers the target and loses its margins instead of leaving black bars.
    pub fn paint(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        target: wgpu::RenderPassColorAttachment,
        size: UVec2,
        picture: &GpuPicture,
        fill: bool,
    ) {
        let target_aspect = size.x as f32 / size.y as f32;
        let aspect = picture.size.x as f32 / picture.size.y as f32;
        let wider = (aspect > target_aspect) != fill;
        let scale = if wider { [1.0, aspect / target_aspect] } else { [target_aspect / aspect, 1.0] };
        let to_linear = f32::from(u8::from(self.format.is_srgb()));
        let values = PaintParameters { picture: picture.uniform(), scale, to_linear, padding: 0.0 };
        queue.write_buffer(&self.parameters, 0, bytemuck::bytes_of(&values));
        let [first, second, third] = picture.plane_views();
        let resources = [
            self.parameters.as_entire_binding(),
            wgpu::BindingResource::Sampler(&self.sampler),
            wgpu::BindingResource::TextureView(first),
            wgpu::BindingResource::TextureView(second),
            wgpu::BindingResource::TextureView(third),
        ];
        let bindings = self.bind_groups.get(device, &self.layout, &numbered(&resources));
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("present"),
            color_attachments: &[Some(target)],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.draw(0..3, 0..1);
    }
}
