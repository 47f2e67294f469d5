//! Parallax in the overlaps: neighbouring lenses are bent towards each other by the optical flow between them.
//!
//! Lenses that stand apart see what is near at different places. For every border of two lenses, on the GPU and in every frame:
//!
//! 1. Both lenses' views of the overlap are drawn as a band around the axis between the lenses, 64 rows high, with exposures matched. The band
//!    belongs to the rig, not to the view: it knows no poles and no edges, its ends meet, and a view may turn as it likes. Lenses
//!    that look outwards stand apart along that axis, so parallax lies across the band.
//! 2. [`FlowPass`] finds the flow from the first lens's view to the second's and back.
//! 3. A Gaussian gathers it, weighted by how far both ways agree, by texture, and by how far both lenses see the place; where nothing
//!    around can be trusted it fades to none. What does not make the lenses' views more alike is not trusted either.
//! 4. It is followed over time: differences below a fifth of a texel move nothing, small ones are followed within a fifth of a second, and large ones
//!    that are well known, as after a cut, at once.
//! 5. Each lens is bent by its share of it, so that at every place of the overlap both show the same: a lens is as it is where its
//!    neighbour's picture ends, and bent all the way where its own does. The share depends on the place alone, so it holds for every
//!    blend, and wherever seams run.
//!
//! That both views are bent by a share of the flow between them, and why that has to fade out over the whole overlap, is described by F. Perazzi et
//! al., *Panoramic Video from Unstructured Camera Arrays* (Computer Graphics Forum, 2015), and R. Anderson et al., *Jump: Virtual Reality
//! Video* (ACM Transactions on Graphics, 2016).
//!
//! What leaves the GPU is nothing; what the stitch reads is a grid over each lens's region with what is added to its texture coordinates.

mod strip;
#[cfg(test)]
mod tests;

use super::{
    StitchError, StitchSettings,
    gpu::{self, Program},
    runs::LensUniform,
};
use crate::{
    flow::{FlowPass, FlowQuality, FlowSettings},
    rig::PreparedRig,
};
use bevy::math::UVec2;
use bytemuck::{Pod, Zeroable};
use std::time::Duration;
use strip::{Bend, GRID, Strip, StripMap};
use studio_gpu::{
    pass::{ComputeKernel, Dispatch, parameter_buffer, shader},
    picture::GpuPicture,
};

const SEE: &str = include_str!("../../../../../shaders/stitch_strip.wgsl");
const ALIGN: &str = include_str!("../../../../../shaders/stitch_align.wgsl");
/// Threads of a workgroup that bends.
const BEND_THREADS: UVec2 = UVec2::new(64, 1);
/// Distance of uniforms in their buffer: the largest alignment that a device may ask for.
const VIEW_STRIDE: u64 = 256;
const VIEW_BYTES: u64 = size_of::<View>() as u64;
/// How long small differences take to be made up for, in seconds: after this time 63 % of one is.
const SETTLE_S: f32 = 0.2;
/// The grid of the flow that nobody reads.
const FLOW_GRID: UVec2 = UVec2::new(4, 4);

/// `struct View` of `stitch_strip.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct View {
    lens: LensUniform,
    side_and_wraps: [u32; 4],
}

/// `struct Follow` of `stitch_align.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Follow {
    share: f32,
    is_first: f32,
    counts: f32,
    bound_px: f32,
}

/// A band on the GPU.
struct Band {
    lenses: [usize; 2],
    wraps: bool,
    bound_px: f32,
    places: wgpu::TextureView,
    traits: wgpu::TextureView,
    views: [GpuPicture; 2],
    flow: FlowPass,
    follow: wgpu::Buffer,
    written: Option<Follow>,
    /// From the flow to the lenses' grids, by which of the two disparities is the newer one.
    dispatches: [Vec<Dispatch>; 2],
}

/// Brings what neighbouring lenses see of the same together.
pub(super) struct Aligner {
    see: Program,
    pipelines: Vec<(u32, wgpu::ComputePipeline)>,
    uniforms: wgpu::Buffer,
    written: Vec<u8>,
    bands: Vec<Band>,
    displacements: wgpu::TextureView,
    newer: usize,
    last: Option<Duration>,
}

/// What the bands are worked out with.
struct Kernels {
    weigh: ComputeKernel,
    smooth_across: ComputeKernel,
    follow: ComputeKernel,
    bend: ComputeKernel,
}

impl Kernels {
    fn new(device: &wgpu::Device, module: &wgpu::ShaderModule, wraps: bool) -> Self {
        let constants = [("WRAPS", f64::from(u8::from(wraps)))];
        let kernel = |entry, workgroup| ComputeKernel::of_module(device, module, entry, &constants, workgroup);
        Self {
            weigh: kernel("weigh", ComputeKernel::PIXELS_8X8),
            smooth_across: kernel("smooth_across", ComputeKernel::PIXELS_8X8),
            follow: kernel("follow", ComputeKernel::PIXELS_8X8),
            bend: kernel("bend", BEND_THREADS),
        }
    }
}

impl Aligner {
    /// What the settings ask for; none if nothing is to be bent, or no two lenses see the same. What can be used of one `before` is.
    ///
    /// # Errors
    /// [`StitchError::Flow`] if the GPU cannot hold the flow's textures.
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        rig: &PreparedRig,
        settings: &StitchSettings,
        before: Option<Self>,
    ) -> Result<Option<Self>, StitchError> {
        let Some(max_disparity_deg) = settings.alignment.max_disparity_deg() else { return Ok(None) };
        let distance_m = settings.distance_m.map(f64::from);
        let strips = Strip::all(rig, distance_m, f64::from(max_disparity_deg));
        if strips.is_empty() {
            return Ok(None);
        }
        let displacements = displacements(device, GRID, rig.lenses.len() as u32);
        let module = shader(device, "stitch align", ALIGN);
        let mut kernels: [Option<Kernels>; 2] = [None, None];
        let mut flows: Vec<FlowPass> = before.into_iter().flat_map(|before| before.bands).map(|band| band.flow).collect();
        let bends = Bend::all(&strips, rig, distance_m);
        let mut bands = Vec::new();
        for (strip, bends) in strips.into_iter().zip(bends) {
            let kernels = kernels[usize::from(strip.wraps)].get_or_insert_with(|| Kernels::new(device, &module, strip.wraps));
            let fits = |flow: &FlowPass| (flow.plan().picture_size, flow.plan().wraps) == (strip.size, strip.wraps);
            let flow = match flows.iter().position(fits) {
                Some(index) => flows.swap_remove(index),
                None => FlowPass::new(device, strip.size, &flow_settings(&strip))?,
            };
            let map = strip.map(rig, distance_m);
            bands.push(Band::new(device, queue, kernels, (strip, map, &bends), flow, &displacements)?);
        }
        let more = [gpu::sampled(false), gpu::sampled(false), gpu::OUTPUT];
        Ok(Some(Self {
            see: Program::new(device, "stitch strip", SEE, VIEW_BYTES, true, &more),
            pipelines: Vec::new(),
            uniforms: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("stitch strips"),
                size: 2 * VIEW_STRIDE * bands.len() as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            written: Vec::new(),
            bands,
            displacements,
            newer: 0,
            last: None,
        }))
    }

    /// What is added to each lens's texture coordinates: a layer for each lens, the outermost texels' centres on its region's edges.
    pub fn displacements(&self) -> &wgpu::TextureView {
        &self.displacements
    }

    /// Records what lenses are bent by in the frame of a moment. Of lenses that do not hold, nothing is bent.
    #[expect(clippy::too_many_arguments, reason = "the device, its queue and its encoder are one thing in three")]
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        rig: &PreparedRig,
        inputs: &[&GpuPicture],
        lenses: &[LensUniform],
        holds: impl Fn(usize) -> bool,
        at: Duration,
    ) -> Result<(), StitchError> {
        let is_first = self.last.is_none();
        let passed = self.last.replace(at).and_then(|last| at.checked_sub(last)).unwrap_or_default();
        let share = 1.0 - (-passed.as_secs_f32() / SETTLE_S).exp();
        for band in &mut self.bands {
            let counts = f32::from(u8::from(band.lenses.iter().all(|lens| holds(*lens))));
            let follow = Follow { share, is_first: f32::from(u8::from(is_first)), counts, bound_px: band.bound_px };
            if band.written.replace(follow) != Some(follow) {
                queue.write_buffer(&band.follow, 0, bytemuck::bytes_of(&follow));
            }
        }
        self.see(device, queue, encoder, rig, inputs, lenses);
        self.newer = 1 - self.newer;
        for band in &mut self.bands {
            band.flow.encode_between(device, encoder, band.views.each_ref())?;
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("stitch align"), timestamp_writes: None });
            band.dispatches[self.newer].iter().for_each(|dispatch| dispatch.record(&mut pass));
        }
        Ok(())
    }

    /// Records both lenses' views of all bands.
    fn see(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        rig: &PreparedRig,
        inputs: &[&GpuPicture],
        lenses: &[LensUniform],
    ) {
        let sides = || self.bands.iter().flat_map(|band| [0, 1].map(|side| (band, side)));
        let mut bytes = vec![0; (2 * VIEW_STRIDE) as usize * self.bands.len()];
        for ((band, side), bytes) in sides().zip(bytes.chunks_exact_mut(VIEW_STRIDE as usize)) {
            let side_and_wraps = [side as u32, u32::from(band.wraps), 0, 0];
            let view = View { lens: lenses[band.lenses[side]], side_and_wraps };
            bytes[..size_of::<View>()].copy_from_slice(bytemuck::bytes_of(&view));
        }
        if bytes != self.written {
            queue.write_buffer(&self.uniforms, 0, &bytes);
            self.written = bytes;
        }
        let input = |band: &Band, side: usize| inputs[rig.lenses[band.lenses[side]].picture];
        for input in sides().map(|(band, side)| input(band, side)) {
            let layout = input.uniform().plane_layout[0];
            if !self.pipelines.iter().any(|(known, _)| *known == layout) {
                self.pipelines.push((layout, self.see.pipeline(device, "see", &[("LAYOUT", f64::from(layout))])));
            }
        }
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("stitch strips"), timestamp_writes: None });
        for ((band, side), slot) in sides().zip(0..) {
            let input = input(band, side);
            let layout = input.uniform().plane_layout[0];
            let Some((_, pipeline)) = self.pipelines.iter().find(|(known, _)| *known == layout) else { continue };
            use wgpu::BindingResource::TextureView;
            let more = [TextureView(&band.places), TextureView(&band.traits), TextureView(band.views[side].view())];
            let group = self.see.bind_group(device, input, &self.uniforms, &more);
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[VIEW_STRIDE as u32 * slot]);
            let groups = (band.views[side].size + 7) / 8;
            pass.dispatch_workgroups(groups.x, groups.y, 1);
        }
    }
}

fn flow_settings(strip: &Strip) -> FlowSettings {
    FlowSettings {
        working_width_px: strip.size.x,
        quality: FlowQuality::Balanced,
        grid: FLOW_GRID,
        wraps: strip.wraps,
        both_ways: true,
    }
}

impl Band {
    fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        (strip, StripMap { places, traits }, bends): (Strip, StripMap, &[Bend]),
        flow: FlowPass,
        displacements: &wgpu::TextureView,
    ) -> Result<Self, StitchError> {
        use wgpu::BindingResource::TextureView;
        let Strip { lenses, size, wraps, bound_px, .. } = strip;
        let map = |label, texels: &[[f32; 4]]| {
            gpu::data_texture(device, queue, label, wgpu::TextureFormat::Rgba32Float, size, bytemuck::cast_slice(texels))
        };
        let [places, traits] = [map("stitch strip places", &places), map("stitch strip traits", &traits)];
        let views = [GpuPicture::rgba(device, "stitch strip", size)?, GpuPicture::rgba(device, "stitch strip", size)?];
        let texture = |label| {
            let format = wgpu::TextureFormat::Rgba16Float;
            crate::flow::compute::storage_texture(device, label, size, format).1
        };
        let [weighed, across] = [texture("stitch weighed flow"), texture("stitch smoothed flow")];
        let disparities: [wgpu::TextureView; 2] = core::array::from_fn(|_| texture("stitch disparity"));
        let follow = parameter_buffer::<Follow>(device, "stitch align");
        // A band without a single texel still needs a buffer to bind.
        let entries = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("stitch bends"),
            size: size_of_val(bends).max(size_of::<Bend>()) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&entries, 0, bytemuck::cast_slice(bends));
        let motion = flow.motion_texture().create_view(&wgpu::TextureViewDescriptor::default());
        let confidence = flow.confidence_picture().map_or(&traits, |picture| picture.view());
        let dispatches = core::array::from_fn(|newer| {
            let (to, from) = (&disparities[newer], &disparities[1 - newer]);
            let mut dispatches = vec![
                kernels.weigh.prepare(
                    device,
                    &[
                        (0, TextureView(&motion)),
                        (1, TextureView(confidence)),
                        (2, TextureView(&traits)),
                        (3, TextureView(views[1].view())),
                        (4, follow.as_entire_binding()),
                        (5, TextureView(&weighed)),
                    ],
                    size,
                ),
                kernels.smooth_across.prepare(device, &[(5, TextureView(&across)), (6, TextureView(&weighed))], size),
                kernels.follow.prepare(
                    device,
                    &[(4, follow.as_entire_binding()), (5, TextureView(to)), (6, TextureView(&across)), (7, TextureView(from))],
                    size,
                ),
            ];
            if !bends.is_empty() {
                let resources = [
                    (2, TextureView(&traits)),
                    (6, TextureView(to)),
                    (8, TextureView(&places)),
                    (9, entries.as_entire_binding()),
                    (10, TextureView(displacements)),
                ];
                dispatches.push(kernels.bend.prepare(device, &resources, UVec2::new(bends.len() as u32, 1)));
            }
            dispatches
        });
        Ok(Self { lenses, wraps, bound_px, places, traits, views, flow, follow, written: None, dispatches })
    }
}

/// A grid for each lens, all of it zero.
pub(super) fn displacements(device: &wgpu::Device, side: u32, lenses: u32) -> wgpu::TextureView {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("stitch displacements"),
        size: wgpu::Extent3d { width: side, height: side, depth_or_array_layers: lenses },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba16Float,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let dimension = Some(wgpu::TextureViewDimension::D2Array);
    texture.create_view(&wgpu::TextureViewDescriptor { dimension, ..Default::default() })
}
