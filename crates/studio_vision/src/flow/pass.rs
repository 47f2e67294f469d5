//! The dispatches of the flow and the textures they work in.

use super::{
    FlowError, FlowPlan, FlowSettings,
    compute::storage_texture,
    work::{FlowWork, PatchSearch},
};
use bevy::math::UVec2;
use std::sync::Arc;
use studio_frame::format::PixelFormat;
use studio_gpu::{
    pass::{ComputeKernel, Dispatch, shader},
    picture::GpuPicture,
};

/// Pixels that one thread of the luma pass makes, as in `flow_pyramid.wgsl`.
const LUMA_STRIP: UVec2 = UVec2::new(2, 8);

/// Dense optical flow of consecutive pictures, on the GPU.
///
/// Feed it every picture of a stream in order with [`encode`](Self::encode). It keeps the luma of the previous one itself,
/// so a picture's textures may be reused as soon as the commands ran.
pub struct FlowPass {
    plan: FlowPlan,
    luma_rgba: ComputeKernel,
    luma_plane: ComputeKernel,
    sampler: wgpu::Sampler,
    /// The finest level of both frames of the ring.
    finest: [wgpu::TextureView; 2],
    /// The rest of the pyramid, by the frame that is current.
    pyramid: [Vec<Dispatch>; 2],
    /// From pyramids to the grid, by the frame that is current.
    flow: [Vec<Dispatch>; 2],
    /// The same with the current frame as its own previous one: no motion, for the first frame.
    still: [Vec<Dispatch>; 2],
    work: FlowWork,
    current: usize,
    has_previous: bool,
}

impl FlowPass {
    /// Makes the pass for pictures of one size.
    ///
    /// # Errors
    /// What [`FlowPlan::new`] says, or [`FlowError::Gpu`] where the working size is larger than the GPU's textures.
    pub fn new(device: &wgpu::Device, picture_size: UVec2, settings: &FlowSettings) -> Result<Self, FlowError> {
        Self::with_search(device, picture_size, settings, PatchSearch::of(device))
    }

    /// The same with a way to search patches that need not be the quickest here.
    pub(super) fn with_search(
        device: &wgpu::Device,
        picture_size: UVec2,
        settings: &FlowSettings,
        search: PatchSearch,
    ) -> Result<Self, FlowError> {
        let plan = FlowPlan::new(picture_size, settings)?;
        plan.check_limits(device)?;
        let wraps = ("WRAPS", f64::from(u8::from(plan.wraps)));
        let effort = settings.quality.effort();
        let soften = ("SOFTEN", f64::from(u8::from(effort.soften)));
        let pyramid_shader = shader(device, "flow pyramid", include_str!("../../../../shaders/flow_pyramid.wgsl"));
        let pixels = |entry: &str, constants: &[(&str, f64)]| {
            ComputeKernel::of_module(device, &pyramid_shader, entry, constants, ComputeKernel::PIXELS_8X8)
        };
        let halve = pixels("halve", &[wraps]);
        let quads: [Vec<wgpu::TextureView>; 2] = core::array::from_fn(|_| {
            (0..plan.levels)
                .map(|level| storage_texture(device, "flow level", plan.level_size(level), wgpu::TextureFormat::Rgba8Unorm).1)
                .collect()
        });
        let pyramid = core::array::from_fn(|frame| {
            let levels: &[wgpu::TextureView] = &quads[frame];
            levels
                .windows(2)
                .zip(1..)
                .map(|(pair, level)| {
                    let resources =
                        [(0, wgpu::BindingResource::TextureView(&pair[0])), (2, wgpu::BindingResource::TextureView(&pair[1]))];
                    halve.prepare(device, &resources, plan.level_size(level))
                })
                .collect()
        });
        let work = FlowWork::new(device, &plan, &effort, search, settings.both_ways)?;
        Ok(Self {
            luma_rgba: pixels("luma_rgba", &[wraps, soften]),
            luma_plane: pixels("luma_plane", &[wraps, soften]),
            sampler: device.create_sampler(&wgpu::SamplerDescriptor {
                label: Some("flow luma"),
                address_mode_u: if plan.wraps { wgpu::AddressMode::Repeat } else { wgpu::AddressMode::ClampToEdge },
                mag_filter: wgpu::FilterMode::Linear,
                min_filter: wgpu::FilterMode::Linear,
                ..Default::default()
            }),
            pyramid,
            flow: core::array::from_fn(|frame| work.dispatches(device, &plan, &quads[frame], &quads[1 - frame])),
            still: core::array::from_fn(|frame| work.dispatches(device, &plan, &quads[frame], &quads[frame])),
            finest: quads.map(|levels| levels[0].clone()),
            work,
            current: 0,
            has_previous: false,
            plan,
        })
    }

    /// Records the flow from the previous picture to this one. The first picture, and the first after
    /// [`reset`](Self::reset), gets a field without motion.
    ///
    /// # Errors
    /// [`FlowError::SizeChanged`] if the picture has another size than the pass was made for.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        picture: &GpuPicture,
    ) -> Result<(), FlowError> {
        let luma = self.take_in(device, picture)?;
        encoder.clear_buffer(self.work.output().grid(), 0, None);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("optical flow"), timestamp_writes: None });
        luma.record(&mut pass);
        let flow = if self.has_previous { &self.flow } else { &self.still };
        for dispatch in self.pyramid[self.current].iter().chain(&flow[self.current]) {
            dispatch.record(&mut pass);
        }
        self.has_previous = true;
        Ok(())
    }

    /// Records the flow from one picture to another, which need not be of a stream: two cameras' pictures of one moment.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn encode_between(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        [from, to]: [&GpuPicture; 2],
    ) -> Result<(), FlowError> {
        let luma = self.take_in(device, from)?;
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("flow pyramid"), timestamp_writes: None });
        luma.record(&mut pass);
        self.pyramid[self.current].iter().for_each(|dispatch| dispatch.record(&mut pass));
        drop(pass);
        self.has_previous = true;
        self.encode(device, encoder, to)
    }

    /// Makes a picture the current one: what makes its luma.
    fn take_in(&mut self, device: &wgpu::Device, picture: &GpuPicture) -> Result<Dispatch, FlowError> {
        let expected = self.plan.picture_size;
        if picture.size != expected {
            return Err(FlowError::SizeChanged {
                expected_width: expected.x,
                expected_height: expected.y,
                width: picture.size.x,
                height: picture.size.y,
            });
        }
        self.current = 1 - self.current;
        let luma = match picture.format {
            PixelFormat::Rgba8 => &self.luma_rgba,
            PixelFormat::Nv12 | PixelFormat::I420 | PixelFormat::P010 => &self.luma_plane,
        };
        let [plane, ..] = picture.plane_views();
        let resources = [
            (0, wgpu::BindingResource::TextureView(plane)),
            (1, wgpu::BindingResource::Sampler(&self.sampler)),
            (2, wgpu::BindingResource::TextureView(&self.finest[self.current])),
        ];
        let strips = (self.plan.flow_size + LUMA_STRIP - UVec2::ONE) / LUMA_STRIP;
        Ok(luma.prepare(device, &resources, strips))
    }

    /// Forgets the previous picture: after a seek, a loop or a change of source.
    pub fn reset(&mut self) {
        self.has_previous = false;
    }

    /// The sizes the pass works at, and how to read its grid.
    pub fn plan(&self) -> &FlowPlan {
        &self.plan
    }

    /// The dense flow, [`FlowPlan::flow_size`] texels of `Rgba16Float`: motion since the previous frame in `xy`, in texels of
    /// this texture (the content now at `p` was at `p - motion`); absolute luma difference to the previous frame with that
    /// motion in `z` and without it in `w`, 0..1.
    pub fn motion_texture(&self) -> &wgpu::Texture {
        self.work.output().motion_texture()
    }

    /// How far each motion can be trusted, of [`FlowPlan::flow_size`], where [`FlowSettings::both_ways`] asks for it: white where the
    /// flow the other way leads back, black where it does not, or where the motion comes from outside of the picture. What one
    /// frame sees and the other does not is black. A grey of half is the bound of Sundaram, Brox and Keutzer, *Dense Point Trajectories
    /// by GPU-accelerated Large Displacement Optical Flow* (ECCV 2010).
    pub fn confidence_picture(&self) -> Option<&Arc<GpuPicture>> {
        self.work.output().confidence()
    }

    /// The reduced field, for a copy into a readback buffer; [`FlowPlan::motion_field`] reads it.
    pub fn grid_buffer(&self) -> &wgpu::Buffer {
        self.work.output().grid()
    }
}
