//! Pictures on the GPU.

use crate::{device::GpuError, pool::Lease};
use bevy::math::{UVec2, UVec4, Vec4};
use std::sync::Arc;
use studio_frame::{color::ColorInfo, format::PixelFormat, picture::VideoFrame, projection::PictureProjection};

/// The texture format of each plane of a pixel format.
pub fn plane_formats(format: PixelFormat) -> &'static [wgpu::TextureFormat] {
    use wgpu::TextureFormat as T;
    match format {
        PixelFormat::Nv12 => &[T::R8Unorm, T::Rg8Unorm],
        PixelFormat::I420 => &[T::R8Unorm, T::R8Unorm, T::R8Unorm],
        PixelFormat::P010 => &[T::R16Unorm, T::Rg16Unorm],
        PixelFormat::Rgba8 => &[T::Rgba8Unorm],
    }
}

/// A picture on the GPU: one texture a plane.
///
/// Pictures that nodes hand each other are [`PixelFormat::Rgba8`] (gamma-coded R′G′B′, as displayed); sources also
/// deliver planes as they come.
#[derive(Clone, Debug)]
pub struct GpuPicture {
    /// Layout of the planes.
    pub format: PixelFormat,
    /// Width and height in pixels.
    pub size: UVec2,
    /// What the code values mean.
    pub color: ColorInfo,
    /// The planes in the order of [`PixelFormat::planes`].
    pub planes: Vec<wgpu::Texture>,
    views: Vec<wgpu::TextureView>,
    lease: Option<Arc<Lease>>,
}

/// The uniform that tells a shader how to read a picture's planes; 64 bytes, the same in every shader that has a
/// `struct PictureFormat { rgb_from_yuv: three rows, plane_layout }`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct PictureUniform {
    /// Three rows of the affine map to R′G′B′; `w` is the offset. The identity for RGBA.
    pub rgb_from_yuv: [[f32; 4]; 3],
    /// `x`: 0 = RGBA, 1 = luma and interleaved chroma (NV12, P010), 2 = three planes (I420). The rest is zero.
    pub plane_layout: [u32; 4],
}

/// The number of a projection in shaders, and the angle in degrees that such a picture shows across.
pub fn projection_number(projection: PictureProjection) -> (u32, f32) {
    match projection {
        PictureProjection::Equirectangular => (0, 360.0),
        PictureProjection::HalfEquirectangular => (1, 180.0),
        PictureProjection::Fisheye { fov_deg } => (2, fov_deg),
        PictureProjection::CubeMap => (3, 360.0),
        PictureProjection::Rectilinear { fov_deg } => (4, fov_deg),
        PictureProjection::OffAxis { .. } => (5, 180.0),
    }
}

impl GpuPicture {
    /// Makes empty textures for a picture.
    ///
    /// # Errors
    /// [`GpuError::PictureTooLarge`] if a side is longer than the device's textures may be.
    pub fn new(
        device: &wgpu::Device,
        label: &str,
        format: PixelFormat,
        size: UVec2,
        color: ColorInfo,
        usage: wgpu::TextureUsages,
    ) -> Result<Self, GpuError> {
        Self::with_view_formats(device, label, format, size, color, usage, &[])
    }

    fn with_view_formats(
        device: &wgpu::Device,
        label: &str,
        format: PixelFormat,
        size: UVec2,
        color: ColorInfo,
        usage: wgpu::TextureUsages,
        view_formats: &[wgpu::TextureFormat],
    ) -> Result<Self, GpuError> {
        let limit = device.limits().max_texture_dimension_2d;
        if size.max_element() > limit || size.min_element() == 0 {
            return Err(GpuError::PictureTooLarge {
                what: format!("the picture “{label}”"),
                width: size.x,
                height: size.y,
                adapter: "this GPU".to_owned(),
                limit,
            });
        }
        let planes: Vec<wgpu::Texture> = format
            .planes(size)
            .iter()
            .zip(plane_formats(format))
            .map(|(shape, &texture_format)| {
                device.create_texture(&wgpu::TextureDescriptor {
                    label: Some(label),
                    size: wgpu::Extent3d { width: shape.size.x, height: shape.size.y, depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format: texture_format,
                    usage,
                    view_formats,
                })
            })
            .collect();
        let views = planes.iter().map(|plane| plane.create_view(&wgpu::TextureViewDescriptor::default())).collect();
        Ok(Self { format, size, color, planes, views, lease: None })
    }

    /// Textures that a frame can be uploaded into and shaders can sample.
    pub fn for_upload(device: &wgpu::Device, frame: &VideoFrame) -> Result<Self, GpuError> {
        let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC;
        Self::new(device, "upload", frame.format, frame.size, frame.color, usage)
    }

    /// What an RGBA picture that nodes hand each other is used for.
    pub(crate) const RGBA_USAGE: wgpu::TextureUsages = wgpu::TextureUsages::TEXTURE_BINDING
        .union(wgpu::TextureUsages::STORAGE_BINDING)
        .union(wgpu::TextureUsages::COPY_SRC)
        .union(wgpu::TextureUsages::COPY_DST);

    /// An RGBA picture that compute shaders write and others sample.
    pub fn rgba(device: &wgpu::Device, label: &str, size: UVec2) -> Result<Self, GpuError> {
        Self::new(device, label, PixelFormat::Rgba8, size, ColorInfo::default(), Self::RGBA_USAGE)
    }

    /// The same picture, which goes back to its pool when the last of its copies is dropped.
    pub(crate) fn with_lease(self, lease: Lease) -> Self {
        Self { lease: Some(Arc::new(lease)), ..self }
    }

    /// Whether it comes from a [`TexturePool`](crate::pool::TexturePool), and from this device.
    pub fn is_pooled_on(&self, device: &wgpu::Device) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_on(device))
    }

    /// An RGBA picture like [`rgba`](Self::rgba) that a 3D camera can render into, through
    /// [`srgb_target`](Self::srgb_target).
    pub fn filmed(device: &wgpu::Device, label: &str, size: UVec2) -> Result<Self, GpuError> {
        let usage = wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::STORAGE_BINDING
            | wgpu::TextureUsages::RENDER_ATTACHMENT
            | wgpu::TextureUsages::COPY_SRC
            | wgpu::TextureUsages::COPY_DST;
        let (format, color) = (PixelFormat::Rgba8, ColorInfo::default());
        Self::with_view_formats(device, label, format, size, color, usage, &[wgpu::TextureFormat::Rgba8UnormSrgb])
    }

    /// A view of a [`filmed`](Self::filmed) picture to render linear light into: what is stored is gamma-coded.
    pub fn srgb_target(&self) -> Option<wgpu::TextureView> {
        let texture = self.planes.first()?;
        Some(texture.create_view(&wgpu::TextureViewDescriptor {
            label: Some("camera target"),
            format: Some(wgpu::TextureFormat::Rgba8UnormSrgb),
            usage: Some(wgpu::TextureUsages::RENDER_ATTACHMENT),
            ..Default::default()
        }))
    }

    /// Writes a frame's planes into the textures: one copy, straight from the frame's own memory.
    ///
    /// The frame must fit: see [`fits`](Self::fits).
    pub fn upload(&self, queue: &wgpu::Queue, frame: &VideoFrame) {
        for ((texture, shape), plane) in self.planes.iter().zip(self.format.planes(self.size)).zip(&frame.planes) {
            queue.write_texture(
                texture.as_image_copy(),
                &plane.data,
                wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(plane.stride as u32), rows_per_image: None },
                wgpu::Extent3d { width: shape.size.x, height: shape.size.y, depth_or_array_layers: 1 },
            );
        }
    }

    /// Whether a frame can be uploaded into these textures.
    pub fn fits(&self, frame: &VideoFrame) -> bool {
        self.format == frame.format && self.size == frame.size && self.color == frame.color
    }

    /// What a shader must know to read the planes.
    pub fn uniform(&self) -> PictureUniform {
        let (layout, rows) = match self.format {
            PixelFormat::Rgba8 => (0, [Vec4::X, Vec4::Y, Vec4::Z]),
            PixelFormat::Nv12 => (1, self.color.rgb_from_yuv(8).rows),
            PixelFormat::I420 => (2, self.color.rgb_from_yuv(8).rows),
            // The ten bits are the high ones of sixteen: 1023 reads as 65472/65535, which the matrix must undo.
            PixelFormat::P010 => {
                let scale = 65535.0 / 65472.0;
                (1, self.color.rgb_from_yuv(10).rows.map(|row| (row.truncate() * scale).extend(row.w)))
            }
        };
        PictureUniform { rgb_from_yuv: rows.map(|row| row.to_array()), plane_layout: UVec4::new(layout, 0, 0, 0).to_array() }
    }

    /// Views of three planes for a bind group; the first plane stands in where the format has fewer.
    pub fn plane_views(&self) -> [&wgpu::TextureView; 3] {
        core::array::from_fn(|index| self.views.get(index).unwrap_or(&self.views[0]))
    }

    /// A view of the whole of the first plane: of all of an RGBA picture.
    pub fn view(&self) -> &wgpu::TextureView {
        &self.views[0]
    }
}
