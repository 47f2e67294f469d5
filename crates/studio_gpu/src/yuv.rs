//! From RGBA on the GPU to the planes that encoders take.

use crate::{
    pass::{ComputeKernel, parameter_buffer, shader},
    picture::GpuPicture,
};
use bevy::math::UVec2;
use bytes::Bytes;
use studio_frame::{
    color::ColorInfo,
    format::PixelFormat,
    picture::{PictureError, Plane, VideoFrame},
    stamp::FrameStamp,
};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct YuvUniform {
    yuv_from_rgb: [[f32; 4]; 3],
    /// Width, height, words of a luma row, word at which the chroma plane starts.
    shape: [u32; 4],
}

/// Converts RGBA pictures to NV12 or P010 in a buffer, ready to be copied to a mappable one.
///
/// Rows are padded to a multiple of 16 bytes. Chroma is the mean of its four pixels.
pub struct YuvPass {
    kernel: ComputeKernel,
    uniform: wgpu::Buffer,
    planes: wgpu::Buffer,
    format: PixelFormat,
    size: UVec2,
    color: ColorInfo,
    stride: usize,
}

impl YuvPass {
    /// Makes the pass for pictures of `size` (odd sizes lose their last row or column), to be read as `color`. A
    /// `format` other than P010 gives NV12.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, format: PixelFormat, size: UVec2, color: ColorInfo) -> Self {
        let size = (size / 2 * 2).max(UVec2::splat(2));
        let format = if format == PixelFormat::P010 { PixelFormat::P010 } else { PixelFormat::Nv12 };
        let ten_bits = format == PixelFormat::P010;
        let bytes_per_sample = if ten_bits { 2 } else { 1 };
        let stride = (size.x as usize * bytes_per_sample).next_multiple_of(16);
        let module = shader(device, "yuv", include_str!("../../../shaders/yuv_from_rgba.wgsl"));
        let constants = [("TEN_BITS", f64::from(u8::from(ten_bits)))];
        let kernel = ComputeKernel::of_module(device, &module, "planes_from_rgb", &constants, ComputeKernel::PIXELS_8X8);
        let uniform = parameter_buffer::<YuvUniform>(device, "yuv");
        let words = (stride / 4) as u32;
        let values = YuvUniform {
            yuv_from_rgb: color.yuv_from_rgb(format.bit_depth()).rows.map(|row| row.to_array()),
            shape: [size.x, size.y, words, words * size.y],
        };
        queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&values));
        let planes = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("yuv planes"),
            size: (stride * size.y as usize * 3 / 2) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Self { kernel, uniform, planes, format, size, color, stride }
    }

    /// Bytes of a converted picture.
    pub fn bytes(&self) -> u64 {
        self.planes.size()
    }

    /// Width and height of the converted picture.
    pub const fn size(&self) -> UVec2 {
        self.size
    }

    /// Layout of the converted picture.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Records the conversion of `picture` (RGBA) and the copy of the planes into `target`.
    pub fn encode(&self, device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, picture: &GpuPicture, target: &wgpu::Buffer) {
        let resources = [
            self.uniform.as_entire_binding(),
            wgpu::BindingResource::TextureView(picture.view()),
            self.planes.as_entire_binding(),
        ];
        self.kernel.dispatch(device, encoder, "yuv", &resources, UVec2::new(self.size.x.div_ceil(4), self.size.y / 2));
        encoder.copy_buffer_to_buffer(&self.planes, 0, target, 0, self.planes.size());
    }

    /// How the planes lie in the buffer; outlives the pass.
    pub const fn layout(&self) -> YuvLayout {
        YuvLayout { format: self.format, size: self.size, color: self.color, stride: self.stride }
    }
}

/// How the planes of a converted picture lie in their buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YuvLayout {
    format: PixelFormat,
    size: UVec2,
    color: ColorInfo,
    stride: usize,
}

impl YuvLayout {
    /// The planes that were read back, as a frame; nothing is copied.
    pub fn frame(self, stamp: FrameStamp, planes: Bytes) -> Result<VideoFrame, PictureError> {
        let luma_bytes = (self.stride * self.size.y as usize).min(planes.len());
        let planes = vec![
            Plane { data: planes.slice(..luma_bytes), stride: self.stride },
            Plane { data: planes.slice(luma_bytes..), stride: self.stride },
        ];
        VideoFrame::new(stamp, self.format, self.size, self.color, planes)
    }
}
