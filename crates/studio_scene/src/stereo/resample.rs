//! From the cameras' flat pictures to the picture that goes out.

use super::plan::CameraPlan;
use bevy::{
    math::{Mat3, UVec2, UVec4, Vec4},
    prelude::*,
};
use studio_frame::prelude::*;
use studio_gpu::{
    pass::{ComputeKernel, linear_sampler, parameter_buffer},
    picture::GpuPicture,
};

/// What a picture shows of its cameras' pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Assembly {
    /// Each eye's flat picture as it is.
    Flat,
    /// A cube, over a longitude in radians.
    Cube { longitude: f32 },
    /// Strips of omnidirectional stereo, over a longitude in radians.
    Strips { longitude: f32, strips: u32 },
    /// Through lenses.
    Lenses,
}

/// How bright, and in which direction, each pixel of a picture through lenses looks.
pub(super) struct LensMap {
    pub size: UVec2,
    /// A direction of the length 1 + its cube's number, and the lens's brightness there, for gamma-coded colours.
    pub texels: Vec<[f32; 4]>,
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct PictureParameters {
    size: [u32; 4],
    arrangement: [u32; 4],
    angles: [f32; 4],
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct CameraParameters {
    view_from_rig: [[f32; 4]; 3],
    frustum: [f32; 4],
    place: [u32; 4],
}

/// Puts one picture together.
pub(super) struct ResamplePass {
    kernel: ComputeKernel,
    sampler: wgpu::Sampler,
    picture: wgpu::Buffer,
    cameras: wgpu::Buffer,
    lenses: wgpu::TextureView,
}

impl ResamplePass {
    /// Makes the pass. `size` is that of the result, `samples` those of a pixel across and down.
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        plan: &CameraPlan,
        assembly: Assembly,
        layout: StereoLayout,
        (size, samples): (UVec2, u32),
        lenses: Option<&LensMap>,
    ) -> Self {
        let source = include_str!("../../../../shaders/scene_resample.wgsl");
        let kernel = ComputeKernel::new(device, "scene resample", source, "resample");
        let (kind, longitude, strips) = match assembly {
            Assembly::Flat => (0, 1.0, 0),
            Assembly::Cube { longitude } => (1, longitude, 0),
            Assembly::Strips { longitude, strips } => (2, longitude, strips),
            Assembly::Lenses => (3, 1.0, 0),
        };
        let samples = if assembly == Assembly::Flat { 1 } else { samples.clamp(1, 8) };
        let layout = match layout {
            StereoLayout::Mono => 0,
            StereoLayout::TopBottom => 1,
            StereoLayout::LeftRight => 2,
        };
        let limits = [super::plan::FULL_BASE_DEG, super::plan::NO_BASE_DEG].map(f32::to_radians);
        let parameters = PictureParameters {
            size: UVec4::new(size.x, size.y, samples, kind).to_array(),
            arrangement: [layout, strips, 0, 0],
            angles: Vec4::new(longitude, limits[0], limits[1], super::plan::HALFWAY_SHARE).to_array(),
        };
        let picture = parameter_buffer::<PictureParameters>(device, "scene resample");
        queue.write_buffer(&picture, 0, bytemuck::bytes_of(&parameters));
        let nothing = CameraParameters { view_from_rig: [[0.0; 4]; 3], frustum: [0.0; 4], place: [0; 4] };
        let camera = |index: &Option<usize>| {
            let Some(camera) = index.and_then(|index| plan.cameras.get(index)) else { return nothing };
            let rows = Mat3::from_quat(camera.pose.rotation.inverse()).transpose();
            let frustum = camera.frustum;
            CameraParameters {
                view_from_rig: [rows.x_axis, rows.y_axis, rows.z_axis].map(|row| row.extend(0.0).to_array()),
                frustum: [frustum.left, frustum.right, frustum.down, frustum.up],
                place: [camera.array as u32, camera.layer, 0, 0],
            }
        };
        let table: Vec<CameraParameters> = plan.table.iter().map(camera).collect();
        let cameras = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("scene cameras"),
            size: (table.len().max(1) * size_of::<CameraParameters>()) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&cameras, 0, bytemuck::cast_slice(&table));
        let lenses = lens_texture(device, queue, lenses);
        Self { kernel, sampler: linear_sampler(device, "scene resample", false), picture, cameras, lenses }
    }

    /// Records the making of a picture.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        arrays: &[wgpu::TextureView],
        target: &GpuPicture,
    ) {
        let Some(first) = arrays.first() else { return };
        let array = |index: usize| wgpu::BindingResource::TextureView(arrays.get(index).unwrap_or(first));
        let resources = [
            self.picture.as_entire_binding(),
            self.cameras.as_entire_binding(),
            wgpu::BindingResource::Sampler(&self.sampler),
            array(0),
            array(1),
            array(2),
            wgpu::BindingResource::TextureView(&self.lenses),
            wgpu::BindingResource::TextureView(target.view()),
        ];
        self.kernel.dispatch(device, encoder, "scene resample", &resources, target.size);
    }
}

fn lens_texture(device: &wgpu::Device, queue: &wgpu::Queue, lenses: Option<&LensMap>) -> wgpu::TextureView {
    let size = lenses.map_or(UVec2::ONE, |lenses| lenses.size);
    let extent = wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("lens map"),
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    if let Some(lenses) = lenses {
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(size.x * 16), rows_per_image: None };
        queue.write_texture(texture.as_image_copy(), bytemuck::cast_slice(&lenses.texels), layout, extent);
    }
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}
