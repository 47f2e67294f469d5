//! From two eyes' pictures to distances in metres.

use super::{
    DisparityError, DisparityPass, DisparitySettings, Rectification,
    pass::{eye_size, storage_buffer},
    sphere::Transverse,
};
use crate::{
    rig::Rig,
    stitch::{StMap, StMapPass, StitchSampling, data_texture},
};
use bevy::prelude::*;
use core::f64::consts::{PI, TAU};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use studio_frame::projection::PictureProjection;
use studio_gpu::{
    pass::{ComputeKernel, Dispatch, parameter_buffer, shader},
    picture::GpuPicture,
    rgba::RgbaPass,
};

/// How the two cameras of a stereo picture stand to each other. A calibration knows better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum StereoCameras {
    /// Whole spheres are omnidirectional, everything else is side by side.
    #[default]
    Auto,
    /// The right camera stands to the right of the left one and looks the same way, as in VR180.
    SideBySide,
    /// The second camera stands below the first one and looks the same way. Not for flat pictures without a calibration.
    Stacked,
    /// Omnidirectional stereo: the eyes turn with the direction of view, so that every direction has the whole baseline. What
    /// renderers and panoramic rigs deliver. Equirectangular pictures only.
    Omnidirectional,
}

/// What [`DepthPass`] makes distances from.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthSettings {
    /// How pictures are matched.
    pub matching: DisparitySettings,
    /// How the cameras stand to each other, where there is no calibration.
    pub cameras: StereoCameras,
    /// Distance of the cameras in metres, above 0, where there is no calibration.
    pub baseline_m: f64,
    /// The distance in metres that is white in the picture of distances, above 0.
    pub near_m: f32,
}

impl Default for DepthSettings {
    fn default() -> Self {
        Self { matching: DisparitySettings::default(), cameras: StereoCameras::default(), baseline_m: 0.064, near_m: 0.3 }
    }
}

/// A frame of one eye: a picture and the part of it, in shares, that shows the eye.
pub type EyePart<'a> = (&'a GpuPicture, Rect);

/// Distances from two eyes' pictures, on the GPU: rectifies or turns them, matches them, and says how far away things are.
pub struct DepthPass {
    matching: DisparityPass,
    /// What draws each eye's rectified picture.
    remaps: Option<[(StMapPass, Arc<GpuPicture>); 2]>,
    show: Dispatch,
    depth: Arc<GpuPicture>,
    colored: Arc<GpuPicture>,
    distances: wgpu::Buffer,
    projection: PictureProjection,
    rectified: Option<Rectification>,
}

/// What the shader knows of the pictures.
struct Rays {
    kind: u32,
    edges: [f64; 4],
    baseline_m: f64,
}

impl DepthPass {
    /// Makes the pass for eyes whose pictures have the sizes of these frames and parts. With a calibration, pictures are rectified by
    /// it, and `projection` does not count.
    ///
    /// # Errors
    /// [`DisparityError`] if a setting is out of range, if the eyes differ in size, if the projection cannot be matched, or if the
    /// GPU cannot hold it.
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        frames: [(UVec2, Rect); 2],
        projection: PictureProjection,
        calibration: Option<&Rig>,
        settings: &DepthSettings,
    ) -> Result<Self, DisparityError> {
        let matcher = |size, matching: &DisparitySettings| DisparityPass::new(device, size, matching);
        Self::with_matcher(device, queue, frames, projection, calibration, settings, matcher)
    }

    /// The same around another matcher, which is made for pictures of a size.
    pub(super) fn with_matcher(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        frames: [(UVec2, Rect); 2],
        projection: PictureProjection,
        calibration: Option<&Rig>,
        settings: &DepthSettings,
        matcher: impl FnOnce(UVec2, &DisparitySettings) -> Result<DisparityPass, DisparityError>,
    ) -> Result<Self, DisparityError> {
        let [left, right] = frames.map(|(frame, part)| eye_size(frame, part));
        if left != right && calibration.is_none() {
            return Err(DisparityError::sizes_differ(left, right));
        }
        for (field, value) in [("baseline_m", settings.baseline_m), ("near_m", f64::from(settings.near_m))] {
            if !(value.is_finite() && (1e-4..=1e4).contains(&value)) {
                return Err(DisparityError::Geometry(format!("{field} is {value}: choose 0.0001 to 10000 metres")));
            }
        }
        let plain = |kind, edges| Rays { kind, edges, baseline_m: settings.baseline_m };
        let most_width = settings.matching.working_width_px.saturating_mul(4);
        let rectified = calibration.map(Rectification::new).transpose()?;
        let mut wraps = false;
        let mut back = None;
        let (rays, maps, size, projection) = if let Some(rectified) = &rectified {
            let maps = rectified.maps(frames.map(|(frame, _)| frame), frames.map(|(_, part)| part))?;
            let edges = rectified.edges();
            let both = edges.map(|tangent| tangent as f32);
            let rays = Rays { kind: 0, edges, baseline_m: rectified.baseline_m };
            (rays, Some(maps), rectified.size, PictureProjection::OffAxis { left: both, right: both })
        } else {
            match (projection, resolved(settings.cameras, projection)) {
                (PictureProjection::Rectilinear { .. } | PictureProjection::OffAxis { .. }, StereoCameras::SideBySide) => {
                    (plain(0, flat_edges(projection, left)?), None, left, projection)
                }
                (PictureProjection::Rectilinear { .. } | PictureProjection::OffAxis { .. }, cameras) => {
                    return Err(DisparityError::Geometry(format!(
                        "flat pictures of cameras that are {cameras:?} cannot be matched as they are: give the node a calibration"
                    )));
                }
                (PictureProjection::Equirectangular, StereoCameras::Omnidirectional) => {
                    wraps = true;
                    (plain(1, [TAU, 0.0, 0.0, 0.0]), None, left, projection)
                }
                (PictureProjection::HalfEquirectangular, StereoCameras::Omnidirectional) => {
                    (plain(1, [PI, 0.0, 0.0, 0.0]), None, left, projection)
                }
                (other, StereoCameras::Omnidirectional) => {
                    return Err(DisparityError::Geometry(format!(
                        "omnidirectional stereo comes in equirectangular pictures, not {other:?}: choose other cameras"
                    )));
                }
                (_, cameras) => {
                    let turned = Transverse::new(projection, left, cameras == StereoCameras::Stacked, most_width)?;
                    let shown = working_size(left, settings.matching.working_width_px);
                    back = Some((turned.map_back(shown), shown));
                    let map = |(frame, part): (UVec2, Rect)| turned.map_in(frame, part);
                    (plain(2, [0.0; 4]), Some([map(frames[0])?, map(frames[1])?]), turned.size, projection)
                }
            }
        };
        let matching = matcher(size, &DisparitySettings { wraps, ..settings.matching })?;
        let remaps = match maps {
            None => None,
            Some([left, right]) => {
                let eye = |map: &StMap| -> Result<_, DisparityError> {
                    let pass = StMapPass::new(device, queue, map, StitchSampling::Linear)?;
                    let picture = Arc::new(pass.output_picture(device, "rectified eye")?);
                    Ok((pass, picture))
                };
                Some([eye(&left)?, eye(&right)?])
            }
        };
        let shown = back.as_ref().map_or(matching.plan().size, |(_, size)| *size);
        let depth = Arc::new(GpuPicture::rgba(device, "depth", shown)?);
        let colored = Arc::new(GpuPicture::rgba(device, "disparity in colours", shown)?);
        let distances = storage_buffer(device, "distances", u64::from(shown.x) * u64::from(shown.y) * 4);
        let (places, mapped) = match back {
            Some((places, size)) => (places, size),
            None => (vec![[0.0; 2]], UVec2::ONE),
        };
        let places = data_texture(device, queue, "places", wgpu::TextureFormat::Rg32Float, mapped, bytemuck::cast_slice(&places));
        let module = shader(device, "disparity show", include_str!("../../../../shaders/disparity_show.wgsl"));
        let plan = matching.plan();
        let constants = [
            ("WIDTH", f64::from(plan.size.x)),
            ("HEIGHT", f64::from(plan.size.y)),
            ("MAPPED", f64::from(u8::from(rays.kind == 2))),
            ("RAYS", f64::from(rays.kind)),
        ];
        let meaning = parameter_buffer::<[[f32; 4]; 2]>(device, "meaning of disparities");
        let scale = [rays.baseline_m as f32, settings.near_m, plan.first as f32, plan.range as f32];
        queue.write_buffer(&meaning, 0, bytemuck::bytes_of(&[rays.edges.map(|edge| edge as f32), scale]));
        let resources = [
            (0, matching.disparity_buffer().as_entire_binding()),
            (1, wgpu::BindingResource::TextureView(&places)),
            (2, distances.as_entire_binding()),
            (3, wgpu::BindingResource::TextureView(depth.view())),
            (4, wgpu::BindingResource::TextureView(colored.view())),
            (5, meaning.as_entire_binding()),
        ];
        let kernel = ComputeKernel::of_module(device, &module, "show", &constants, ComputeKernel::PIXELS_8X8);
        let show = kernel.prepare(device, &resources, shown);
        Ok(Self { show, matching, remaps, depth, colored, distances, projection, rectified })
    }

    /// Records one frame.
    ///
    /// # Errors
    /// As for [`DisparityPass::encode`].
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        left: EyePart,
        right: EyePart,
    ) -> Result<(), DisparityError> {
        self.encode_pixels(device, queue, encoder, left, right)?;
        self.encode_distances(encoder);
        Ok(())
    }

    /// Records the first half of [`encode`](Self::encode): what the matcher reads.
    pub(super) fn encode_pixels(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        left: EyePart,
        right: EyePart,
    ) -> Result<(), DisparityError> {
        match &mut self.remaps {
            None => self.matching.encode_pixels(device, queue, encoder, left, right)?,
            Some(remaps) => {
                for ((pass, rectified), (picture, _)) in remaps.iter_mut().zip([left, right]) {
                    pass.encode(device, queue, encoder, picture, rectified, None)?;
                }
                let [left, right] = remaps.each_ref().map(|(_, rectified)| (rectified.as_ref(), RgbaPass::WHOLE));
                self.matching.encode_pixels(device, queue, encoder, left, right)?;
            }
        }
        Ok(())
    }

    /// Records the second half: disparities and distances.
    pub(super) fn encode_distances(&self, encoder: &mut wgpu::CommandEncoder) {
        self.matching.encode_disparities(encoder);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("distances"), timestamp_writes: None });
        self.show.record(&mut pass);
    }

    /// The picture of distances from the left eye, along the rays: grey, `near_m / distance`, black where nothing is known or it is
    /// infinitely far. At the working size, in [`projection`](Self::projection).
    pub fn depth_picture(&self) -> &Arc<GpuPicture> {
        &self.depth
    }

    /// The disparities in colours, from blue (the first) to red (the largest); black where there is none.
    pub fn colored_picture(&self) -> &Arc<GpuPicture> {
        &self.colored
    }

    /// The left eye's picture that the distances belong to, where a calibration rectified it; `None` if it is the left eye's own.
    pub fn rectified_picture(&self) -> Option<&Arc<GpuPicture>> {
        self.rectified.as_ref()?;
        Some(&self.remaps.as_ref()?[0].1)
    }

    /// How the pictures of distances and colours cover the sphere.
    pub fn projection(&self) -> PictureProjection {
        self.projection
    }

    /// Distances from the left eye along the rays in metres, one `f32` a pixel of the picture of distances; 0 where nothing is
    /// known or it is infinitely far.
    pub fn distance_buffer(&self) -> &wgpu::Buffer {
        &self.distances
    }

    /// What matches the pictures.
    pub fn matching(&self) -> &DisparityPass {
        &self.matching
    }
}

/// Which cameras `Auto` means.
fn resolved(cameras: StereoCameras, projection: PictureProjection) -> StereoCameras {
    match (cameras, projection) {
        (StereoCameras::Auto, PictureProjection::Equirectangular) => StereoCameras::Omnidirectional,
        (StereoCameras::Auto, _) => StereoCameras::SideBySide,
        (chosen, _) => chosen,
    }
}

/// A picture's size at most this wide.
fn working_size(size: UVec2, most_width: u32) -> UVec2 {
    let width = size.x.min(most_width).max(1);
    UVec2::new(width, (size.y as f32 * width as f32 / size.x as f32).round().max(1.0) as u32)
}

/// Tangents of a flat picture's edges, to the left, right, up and down.
fn flat_edges(projection: PictureProjection, size: UVec2) -> Result<[f64; 4], DisparityError> {
    match projection {
        PictureProjection::OffAxis { left, right } => {
            let edges = left.map(f64::from);
            let good = edges.iter().all(|edge| edge.is_finite()) && edges[0] + edges[1] > 1e-6 && edges[2] + edges[3] > 1e-6;
            // Both eyes must look straight ahead alike, or what is infinitely far has a disparity.
            if left == right && good {
                return Ok(edges);
            }
            Err(DisparityError::Geometry(format!(
                "the eyes' edges {left:?} and {right:?} differ: stereo matching takes eyes that look the same way"
            )))
        }
        PictureProjection::Rectilinear { fov_deg } if fov_deg > 0.1 && fov_deg < 179.0 => {
            let across = f64::from(fov_deg / 2.0).to_radians().tan();
            let up = across * f64::from(size.y) / f64::from(size.x);
            Ok([across, across, up, up])
        }
        other => Err(DisparityError::Geometry(format!("{other:?} has no flat picture: its angle must be 0.1° to 179°"))),
    }
}
