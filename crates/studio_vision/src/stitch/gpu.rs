//! What both passes of the stitch make on the GPU alike.

use super::StitchError;
use bevy::math::UVec2;
use studio_frame::format::PixelFormat;
use studio_gpu::{
    device::GpuError,
    pass::{BindGroupCache, linear_sampler, numbered, shader},
    picture::GpuPicture,
};

/// A shader of the stitch and the layout of what it reads: a sampler (0), three planes (1 to 3), a uniform (4), and more
/// from 5 on.
pub(super) struct Program {
    shader: wgpu::ShaderModule,
    bind_layout: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    sampler: wgpu::Sampler,
    uniform_bytes: u64,
    bind_groups: BindGroupCache,
}

impl Program {
    pub fn new(
        device: &wgpu::Device,
        label: &str,
        source: &str,
        uniform_bytes: u64,
        has_dynamic_offset: bool,
        more: &[wgpu::BindingType],
    ) -> Self {
        let uniform = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset,
            min_binding_size: wgpu::BufferSize::new(uniform_bytes),
        };
        let sampler = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
        let types = [sampler, sampled(true), sampled(true), sampled(true), uniform];
        let entries: Vec<_> = (0..)
            .zip(types.iter().chain(more))
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: *ty,
                count: None,
            })
            .collect();
        let bind_layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
        Self {
            shader: shader(device, label, source),
            layout: device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(&bind_layout)],
                immediate_size: 0,
            }),
            bind_layout,
            sampler: linear_sampler(device, label, false),
            uniform_bytes,
            bind_groups: BindGroupCache::default(),
        }
    }

    pub fn pipeline(&self, device: &wgpu::Device, entry_point: &str, constants: &[(&str, f64)]) -> wgpu::ComputePipeline {
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: Some(&self.layout),
            module: &self.shader,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            cache: None,
        })
    }

    pub fn bind_group(
        &self,
        device: &wgpu::Device,
        picture: &GpuPicture,
        uniforms: &wgpu::Buffer,
        more: &[wgpu::BindingResource],
    ) -> wgpu::BindGroup {
        let [plane_0, plane_1, plane_2] = picture.plane_views().map(wgpu::BindingResource::TextureView);
        let size = wgpu::BufferSize::new(self.uniform_bytes);
        let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: uniforms, offset: 0, size });
        let mut resources = vec![wgpu::BindingResource::Sampler(&self.sampler), plane_0, plane_1, plane_2, uniform];
        resources.extend_from_slice(more);
        self.bind_groups.get(device, &self.bind_layout, &numbered(&resources))
    }
}

impl Program {
    /// Lets go of all bind groups and what they hold.
    pub fn forget_bind_groups(&self) {
        self.bind_groups.clear();
    }
}

/// A sampled texture.
pub(super) fn sampled(filterable: bool) -> wgpu::BindingType {
    let sample_type = wgpu::TextureSampleType::Float { filterable };
    wgpu::BindingType::Texture { sample_type, view_dimension: wgpu::TextureViewDimension::D2, multisampled: false }
}

/// A storage buffer of entries of at least `min_bytes`.
pub(super) fn storage(read_only: bool, min_bytes: usize) -> wgpu::BindingType {
    wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only },
        has_dynamic_offset: false,
        min_binding_size: wgpu::BufferSize::new(min_bytes as u64),
    }
}

/// The picture that is written.
pub(super) const OUTPUT: wgpu::BindingType = wgpu::BindingType::StorageTexture {
    access: wgpu::StorageTextureAccess::WriteOnly,
    format: wgpu::TextureFormat::Rgba8Unorm,
    view_dimension: wgpu::TextureViewDimension::D2,
};

/// A texture with a layer for each lens that is sampled.
pub(super) const SAMPLED_LAYERS: wgpu::BindingType = wgpu::BindingType::Texture {
    sample_type: wgpu::TextureSampleType::Float { filterable: true },
    view_dimension: wgpu::TextureViewDimension::D2Array,
    multisampled: false,
};

/// The lenses' pictures that are written for coarse bands.
pub(super) const LAYERS: wgpu::BindingType = wgpu::BindingType::StorageTexture {
    access: wgpu::StorageTextureAccess::WriteOnly,
    format: wgpu::TextureFormat::Rgba16Float,
    view_dimension: wgpu::TextureViewDimension::D2Array,
};

/// Checks that a picture can be written and has the size and format that are written.
pub(super) fn check_output(output: &GpuPicture, size: UVec2) -> Result<(), StitchError> {
    let writable = output.planes[0].usage().contains(wgpu::TextureUsages::STORAGE_BINDING);
    if output.size == size && output.format == PixelFormat::Rgba8 && writable {
        return Ok(());
    }
    let format = format!("{:?} ({})", output.format, if writable { "writable" } else { "not writable" });
    Err(StitchError::Output { width: size.x, height: size.y, format, got_width: output.size.x, got_height: output.size.y })
}

/// Refuses a picture that is larger than the device's textures.
pub(super) fn check_size(device: &wgpu::Device, size: UVec2) -> Result<(), StitchError> {
    let limit = device.limits().max_texture_dimension_2d;
    if size.max_element() <= limit {
        return Ok(());
    }
    let (what, adapter) = ("the stitched picture".to_owned(), device.adapter_info().name);
    Err(GpuError::PictureTooLarge { what, width: size.x, height: size.y, adapter, limit }.into())
}

/// A texture of one value a texel, filled once.
pub(crate) fn data_texture(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    label: &str,
    format: wgpu::TextureFormat,
    size: UVec2,
    data: &[u8],
) -> wgpu::TextureView {
    let extent = wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    write_bytes(queue, &texture, data);
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

/// Fills a texture.
pub(super) fn write_bytes(queue: &wgpu::Queue, texture: &wgpu::Texture, data: &[u8]) {
    let bytes_per_row = Some((data.len() / texture.height() as usize) as u32);
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None };
    queue.write_texture(texture.as_image_copy(), data, layout, texture.size());
}
