//! Both eyes' pictures out of one picture, on the GPU.

use crate::{camera::EyeView, eye::EyeTangents, profile::ProfileProjection};
use bevy::prelude::*;
use studio_frame::prelude::*;
use studio_gpu::{
    pass::{SpecializedKernel, linear_sampler, parameter_buffer},
    picture::{PictureUniform, projection_number},
    prelude::*,
};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct EyesUniform {
    picture: PictureUniform,
    /// Columns of each eye's rotation from view to world.
    rotations: [[[f32; 4]; 3]; 2],
    parts: [[f32; 4]; 2],
    picture_edges: [[f32; 4]; 2],
    edges: [[f32; 4]; 2],
    angle: [f32; 4],
    shape: [u32; 4],
}

/// Offset and scale of each eye's part of a picture.
pub(super) const fn eye_parts(stereo: StereoLayout) -> [[f32; 4]; 2] {
    match stereo {
        StereoLayout::Mono => [[0.0, 0.0, 1.0, 1.0]; 2],
        StereoLayout::TopBottom => [[0.0, 0.0, 1.0, 0.5], [0.0, 0.5, 1.0, 0.5]],
        StereoLayout::LeftRight => [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.5, 1.0]],
    }
}

/// Pixels a degree in the middle of a picture, across, where one eye's part is so many pixels large.
pub(crate) fn px_per_deg(projection: PictureProjection, eye_px: Vec2) -> f32 {
    let a_radian = match projection {
        PictureProjection::Equirectangular => eye_px.x / 360_f32.to_radians(),
        PictureProjection::HalfEquirectangular => eye_px.x / 180_f32.to_radians(),
        PictureProjection::Fisheye { fov_deg } => eye_px.min_element() / fov_deg.max(1.0).to_radians(),
        PictureProjection::CubeMap => eye_px.x / 6.0,
        PictureProjection::Rectilinear { fov_deg } => eye_px.x / (2.0 * (fov_deg.clamp(1.0, 179.0) / 2.0).to_radians().tan()),
        PictureProjection::OffAxis { left: [left, right, ..], .. } => eye_px.x / (left + right).max(1e-3),
    };
    a_radian * 1_f32.to_radians()
}

/// The size of one eye's part of a picture, in pixels.
pub(crate) fn eye_px(size: UVec2, stereo: StereoLayout) -> Vec2 {
    let [[.., width, height], _] = eye_parts(stereo);
    size.as_vec2() * Vec2::new(width, height)
}

/// What two eyes are to see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EyePictures {
    /// How each eye is turned: from its view to the picture's world.
    pub rotations: [Quat; 2],
    /// The edges of each eye's view; of a flat projection alone.
    pub edges: [EyeTangents; 2],
    /// What the eyes' pictures are.
    pub projection: ProfileProjection,
    /// Where they lie in one picture.
    pub stereo: StereoLayout,
}

/// Renders both eyes' pictures.
///
/// One sample a pixel where the source is as coarse as the result; up to four by four where it is finer, so that nothing
/// flickers.
pub struct EyesPass {
    kernel: SpecializedKernel<3>,
    repeat: wgpu::Sampler,
    clamp: wgpu::Sampler,
    uniform: wgpu::Buffer,
}

impl EyesPass {
    const MOST_SAMPLES: f32 = 4.0;

    /// Makes a pass.
    pub fn new(device: &wgpu::Device) -> Self {
        Self {
            kernel: SpecializedKernel::new(
                device,
                "eye views",
                include_str!("../../../../shaders/sphere_view.wgsl"),
                "eye_views",
                ["PICTURE", "PLANES", "RESULT"],
            ),
            repeat: linear_sampler(device, "eye views", true),
            clamp: linear_sampler(device, "eye views", false),
            uniform: parameter_buffer::<EyesUniform>(device, "eye views"),
        }
    }

    /// A pass of the same kind with textures and parameters of its own; its shaders are not compiled again.
    pub fn for_another(&self, device: &wgpu::Device) -> Self {
        Self {
            kernel: self.kernel.for_another(),
            repeat: self.repeat.clone(),
            clamp: self.clamp.clone(),
            uniform: parameter_buffer::<EyesUniform>(device, "eye views"),
        }
    }

    /// Records the rendering of `view` of a frame into `target`, an RGBA picture of any size: its eyes lie as the view says.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        view: &EyeView,
        frame: &GpuFrame,
        target: &GpuPicture,
    ) {
        let eyes = EyePictures {
            rotations: [view.rotation(); 2],
            edges: [view.left_fov.tangents(), view.right_fov.tangents()],
            projection: view.projection,
            stereo: view.stereo,
        };
        self.encode_eyes(device, queue, encoder, &eyes, frame, target);
    }

    /// Records the rendering of a frame into `target`, an RGBA picture of any size, as two eyes see it that need not look the same way.
    pub fn encode_eyes(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        eyes: &EyePictures,
        frame: &GpuFrame,
        target: &GpuPicture,
    ) {
        let (projection, angle_deg) = projection_number(frame.projection);
        let picture_edges = match frame.projection {
            PictureProjection::OffAxis { left, right } => [left, right],
            _ => [[1.0; 4]; 2],
        };
        let edges = eyes.edges.map(EyeTangents::to_array);
        let (target_projection, seen_as) = match eyes.projection {
            ProfileProjection::Equirectangular => (0, PictureProjection::Equirectangular),
            ProfileProjection::HalfEquirectangular => (1, PictureProjection::HalfEquirectangular),
            ProfileProjection::CubeMap => (3, PictureProjection::CubeMap),
            ProfileProjection::Rectilinear => (5, PictureProjection::OffAxis { left: edges[0], right: edges[1] }),
        };
        let layout = match eyes.stereo {
            StereoLayout::Mono => 0,
            StereoLayout::TopBottom => 1,
            StereoLayout::LeftRight => 2,
        };
        let source = px_per_deg(frame.projection, eye_px(frame.picture.size, frame.stereo));
        let wanted = px_per_deg(seen_as, eye_px(target.size, eyes.stereo));
        let samples = (source / wanted.max(1e-3)).round().clamp(1.0, Self::MOST_SAMPLES) as u32;
        let columns = |rotation: Quat| {
            let rotation = Mat3::from_quat(rotation);
            [rotation.x_axis, rotation.y_axis, rotation.z_axis].map(|column| column.extend(0.0).to_array())
        };
        let values = EyesUniform {
            picture: frame.picture.uniform(),
            rotations: eyes.rotations.map(columns),
            parts: eye_parts(frame.stereo),
            picture_edges,
            edges,
            angle: [angle_deg.to_radians(), 0.0, 0.0, 0.0],
            shape: [layout, samples, 0, 0],
        };
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&values));
        let goes_round = projection == 0 && frame.stereo != StereoLayout::LeftRight;
        let sampler = if goes_round { &self.repeat } else { &self.clamp };
        let [first, second, third] = frame.picture.plane_views().map(wgpu::BindingResource::TextureView);
        let resources = [
            (1, wgpu::BindingResource::Sampler(sampler)),
            (2, first),
            (3, second),
            (4, third),
            (8, wgpu::BindingResource::TextureView(target.view())),
            (9, self.uniform.as_entire_binding()),
        ];
        let kernel = self.kernel.with(device, [projection, values.picture.plane_layout[0], target_projection]);
        let dispatch = kernel.prepare(device, &resources, target.size);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("eye views"), timestamp_writes: None });
        dispatch.record(&mut pass);
    }
}
