//! What covers the tripod.

use super::StitchError;
use bevy::{
    math::{DMat3, UVec2},
    prelude::*,
};
use serde::{Deserialize, Serialize};
use studio_gpu::{
    device::GpuError,
    pass::{ComputeKernel, linear_sampler, parameter_buffer, shader},
    picture::GpuPicture,
};

/// What is drawn over the cone below the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
pub enum NadirFill {
    /// Nothing.
    #[default]
    None,
    /// What lies around the cone, mirrored into it and blurred towards its middle.
    Blur {
        /// How far the cone reaches from straight down, in degrees, 1 to 80.
        radius_deg: f32,
    },
    /// A picture, the middle of which lies straight down and whose upper edge points ahead; where it is transparent, and in its corners, the
    /// blurred surroundings.
    Picture {
        /// How far the cone reaches from straight down, in degrees, 1 to 80.
        radius_deg: f32,
    },
}

impl NadirFill {
    /// The cone's radius in degrees; `None` where nothing is drawn.
    pub fn radius_deg(self) -> Option<f32> {
        match self {
            Self::None => None,
            Self::Blur { radius_deg } | Self::Picture { radius_deg } => Some(radius_deg),
        }
    }

    /// Checks the radius.
    ///
    /// # Errors
    /// [`StitchError::Setting`] if it is out of range.
    pub fn validate(self) -> Result<(), StitchError> {
        match self.radius_deg() {
            Some(radius_deg) if !(1.0..=80.0).contains(&radius_deg) => Err(StitchError::Setting {
                setting: "nadir.radius_deg",
                reason: format!("is {radius_deg}: it must be 1 to 80 degrees"),
            }),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct NadirUniform {
    /// Rows of the rotation from the view's frame to the level one.
    rows: [[f32; 4]; 3],
    /// The radius in radians, whether there is a picture, and the first row to be drawn.
    shape: [f32; 4],
}

/// Azimuths and angles of the ring that the fill is made from.
const RING: UVec2 = UVec2::new(512, 64);

/// Covers the cone below the camera in an equirectangular picture, in place.
pub struct NadirPass {
    gather: ComputeKernel,
    soften: ComputeKernel,
    cover: ComputeKernel,
    sampler: wgpu::Sampler,
    uniform: wgpu::Buffer,
    rings: [GpuPicture; 2],
    picture: GpuPicture,
    has_picture: bool,
}

impl NadirPass {
    /// Makes the pass; `picture` is the size and the pixels (RGBA) of what is shown, `None` shows the blurred surroundings.
    ///
    /// # Errors
    /// [`GpuError`] if the picture is larger than the GPU's textures.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, picture: Option<(UVec2, &[u8])>) -> Result<Self, GpuError> {
        let module = shader(device, "nadir", include_str!("../../../../shaders/nadir.wgsl"));
        let kernel = |entry: &str| ComputeKernel::of_module(device, &module, entry, &[], ComputeKernel::PIXELS_8X8);
        let (size, pixels) = picture.unwrap_or((UVec2::ONE, &[0; 4]));
        let shown = GpuPicture::rgba(device, "nadir picture", size)?;
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * size.x), rows_per_image: None };
        queue.write_texture(shown.planes[0].as_image_copy(), pixels, layout, shown.planes[0].size());
        Ok(Self {
            gather: kernel("gather"),
            soften: kernel("soften"),
            cover: kernel("cover"),
            sampler: linear_sampler(device, "nadir", true),
            uniform: parameter_buffer::<NadirUniform>(device, "nadir"),
            rings: [GpuPicture::rgba(device, "nadir ring", RING)?, GpuPicture::rgba(device, "nadir ring", RING)?],
            picture: shown,
            has_picture: picture.is_some(),
        })
    }

    /// Records the patch over `target`, an equirectangular RGBA picture. `level_from_view` turns its frame into one whose y points down
    /// along gravity and whose z points ahead.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        target: &GpuPicture,
        level_from_view: DMat3,
        radius_deg: f32,
    ) {
        let radius = f64::from(radius_deg).to_radians();
        let rows = core::array::from_fn(|row| level_from_view.row(row).extend(0.0).as_vec4().to_array());
        // The rows that the cone can reach.
        let down = (level_from_view.transpose() * bevy::math::DVec3::Y).y.clamp(-1.0, 1.0).asin();
        let row_of = |latitude: f64| (latitude / core::f64::consts::PI + 0.5).clamp(0.0, 1.0) * f64::from(target.size.y);
        let (first, last) = (row_of(down - radius).floor(), row_of(down + radius).ceil());
        let shape = [radius as f32, f32::from(u8::from(self.has_picture)), first as f32, 0.0];
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&NadirUniform { rows, shape }));
        use wgpu::BindingResource::{Sampler, TextureView};
        let [ring, soft] = &self.rings;
        let cone = || [(0, self.uniform.as_entire_binding()), (1, Sampler(&self.sampler))];
        let gathered = [(2, TextureView(target.view())), (4, TextureView(ring.view()))];
        let softened = [(2, TextureView(ring.view())), (4, TextureView(soft.view()))];
        let covered = [(2, TextureView(soft.view())), (3, TextureView(self.picture.view())), (4, TextureView(target.view()))];
        let rows = UVec2::new(target.size.x, (last - first).max(0.0) as u32);
        for (kernel, resources, threads) in [
            (&self.gather, cone().into_iter().chain(gathered).collect::<Vec<_>>(), RING),
            (&self.soften, softened.to_vec(), RING),
            (&self.cover, cone().into_iter().chain(covered).collect(), rows),
        ] {
            let dispatch = kernel.prepare(device, &resources, threads);
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("nadir"), timestamp_writes: None });
            dispatch.record(&mut pass);
        }
    }
}
