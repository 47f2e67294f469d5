//! Pictures as four bytes a pixel at a working size: what stereo matching and networks read.

use bevy::math::{Rect, UVec2};
use studio_frame::format::PixelFormat;
use studio_gpu::{
    device::GpuError,
    pass::{ComputeKernel, parameter_buffer, shader},
    picture::GpuPicture,
    rgba::RgbaPass,
};

/// Averages a part of each picture down to a working size, into a buffer of red, green, blue and luma.
pub(crate) struct PackedPixels {
    /// Size of the part in pixels.
    part_size: UVec2,
    size: UVec2,
    prepare: ComputeKernel,
    part: wgpu::Buffer,
    pixels: wgpu::Buffer,
    /// One for each: two parts may be asked for in one submission.
    rgba: RgbaPass,
    /// The part as RGBA, where the picture comes in another format.
    converted: Option<GpuPicture>,
}

impl PackedPixels {
    /// The shader, whose other entry points stereo matching uses.
    pub(crate) fn module(device: &wgpu::Device) -> wgpu::ShaderModule {
        shader(device, "packed pixels", include_str!("../../../shaders/disparity_prepare.wgsl"))
    }

    /// The kernel for a working size; several may share it.
    pub(crate) fn kernel(device: &wgpu::Device, module: &wgpu::ShaderModule, size: UVec2) -> ComputeKernel {
        let constants = [("WIDTH", f64::from(size.x)), ("HEIGHT", f64::from(size.y))];
        ComputeKernel::of_module(device, module, "prepare", &constants, ComputeKernel::PIXELS_8X8)
    }

    /// Makes it for parts of one size.
    pub(crate) fn new(device: &wgpu::Device, label: &str, kernel: &ComputeKernel, part_size: UVec2, size: UVec2) -> Self {
        Self {
            part_size,
            size,
            prepare: kernel.for_another(),
            part: parameter_buffer::<[f32; 4]>(device, "part"),
            pixels: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: Self::bytes_of(size),
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            rgba: RgbaPass::new(device),
            converted: None,
        }
    }

    /// Bytes of all pixels.
    pub(crate) fn bytes_of(size: UVec2) -> u64 {
        u64::from(size.x) * u64::from(size.y) * 4
    }

    /// Records it for a part of a picture, in shares of its width and height.
    pub(crate) fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        picture: &GpuPicture,
        part: Rect,
    ) -> Result<(), GpuError> {
        let (picture, part) = if picture.format == PixelFormat::Rgba8 {
            (picture, part)
        } else {
            let converted = match self.converted.take() {
                Some(present) => present,
                None => GpuPicture::rgba(device, "part", self.part_size)?,
            };
            self.rgba.encode(device, queue, encoder, picture, &converted, part);
            (&*self.converted.insert(converted), RgbaPass::WHOLE)
        };
        let origin = (part.min * picture.size.as_vec2()).round();
        let size = self.part_size.as_vec2();
        queue.write_buffer(&self.part, 0, bytemuck::bytes_of(&[origin.x, origin.y, size.x, size.y]));
        let resources = [
            (0, wgpu::BindingResource::TextureView(picture.view())),
            (1, self.pixels.as_entire_binding()),
            (2, self.part.as_entire_binding()),
        ];
        let dispatch = self.prepare.prepare(device, &resources, self.size);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("packed pixels"), timestamp_writes: None });
        dispatch.record(&mut pass);
        Ok(())
    }

    /// The pixels, row by row.
    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        &self.pixels
    }
}
