//! The dispatches of the flow and the textures they work in.

use super::{
    FlowError, FlowPlan, FlowQuality, FlowSettings,
    compute::{CELLS_8X4, storage_texture},
};
use bevy::math::UVec2;
use studio_frame::format::PixelFormat;
use studio_gpu::{
    device::GpuError,
    pass::{ComputeKernel, Dispatch, shader},
    picture::GpuPicture,
};
use wgpu::util::DeviceExt;

/// Pixels that one thread of the luma pass makes, as in `flow_pyramid.wgsl`.
const LUMA_STRIP: UVec2 = UVec2::new(2, 8);

/// Pixels from patch to patch.
const STRIDE: u32 = 4;

/// What a quality means for the shaders.
struct Effort {
    /// Whether the luma is smoothed by half a pixel first.
    soften: bool,
    /// Evaluations of a patch's descent.
    steps: u32,
    /// Samples in a row of a patch, 4 or 8.
    row_samples: u32,
    /// Whether a patch tries nine coarser ones or only five.
    corners: bool,
    /// Passes of the filter over the patches of the finest level, and of the other levels.
    filters: [usize; 2],
    /// What a patch's own motion counts in the filter.
    own: f64,
    /// Passes of refinement over the dense flow, each with the pixels from one motion to the next.
    refinements: &'static [i32],
}

/// How threads share the search of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchSearch {
    /// One thread a patch: quickest in software.
    Alone,
    /// Many threads a patch, as coarse levels have too few patches to keep a GPU busy.
    Together,
}

impl PatchSearch {
    /// Threads of a workgroup that search together.
    const THREADS: u32 = 64;
    /// Threads a patch on the coarsest level, where 170 motions are tried.
    const COARSEST_LANES: u32 = 32;
    /// Threads that keep a GPU busy.
    const BUSY: u32 = 1 << 15;

    fn of(device: &wgpu::Device) -> Self {
        if device.adapter_info().device_type == wgpu::DeviceType::Cpu { Self::Alone } else { Self::Together }
    }

    /// Threads a patch on a level of so many. The fewer, the less is said between them.
    fn lanes(self, patches: UVec2, coarsest: bool) -> u32 {
        match self {
            Self::Alone => 1,
            Self::Together if coarsest => Self::COARSEST_LANES,
            Self::Together => (Self::BUSY / patches.element_product()).next_power_of_two().clamp(4, 16),
        }
    }

    /// The kernels of all levels, the finest first.
    fn kernels(self, device: &wgpu::Device, constants: &[(&str, f64)], levels: &[UVec2]) -> Vec<ComputeKernel> {
        let module = shader(device, "flow search", include_str!("../../../../shaders/flow_search.wgsl"));
        let mut made: Vec<((u32, bool), ComputeKernel)> = Vec::new();
        for (patches, level) in levels.iter().zip(1..) {
            let coarsest = level == levels.len();
            let lanes = self.lanes(*patches, coarsest);
            let kernel = match made.last().filter(|(same, _)| *same == (lanes, coarsest)) {
                Some((_, same)) => same.for_another(),
                None => {
                    let more = [("COARSEST", f64::from(u8::from(coarsest))), ("LANES", f64::from(lanes.max(4)))];
                    let (entry, workgroup) = match self {
                        Self::Alone => ("search", CELLS_8X4),
                        Self::Together => ("search_together", UVec2::new(Self::THREADS / lanes, 1)),
                    };
                    ComputeKernel::of_module(device, &module, entry, &[constants, more.as_slice()].concat(), workgroup)
                }
            };
            made.push(((lanes, coarsest), kernel));
        }
        made.into_iter().map(|(_, kernel)| kernel).collect()
    }
}

impl FlowQuality {
    fn effort(self) -> Effort {
        match self {
            Self::Fast => {
                Effort { soften: false, steps: 3, row_samples: 4, corners: false, filters: [0, 1], own: 1.0, refinements: &[] }
            }
            Self::Balanced => {
                Effort { soften: true, steps: 5, row_samples: 8, corners: true, filters: [1, 1], own: 4.0, refinements: &[] }
            }
            Self::High => {
                Effort { soften: true, steps: 8, row_samples: 8, corners: true, filters: [2, 2], own: 2.0, refinements: &[4, 1] }
            }
        }
    }
}

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
    motion: wgpu::Texture,
    grid: wgpu::Buffer,
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
        let limit = device.limits().max_texture_dimension_2d;
        if plan.flow_size.max_element() > limit {
            return Err(GpuError::PictureTooLarge {
                what: "the flow's working size".to_owned(),
                width: plan.flow_size.x,
                height: plan.flow_size.y,
                adapter: "this GPU".to_owned(),
                limit,
            }
            .into());
        }
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
        let work = FlowWork::new(device, &plan, effort, search);
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
            motion: work.motion.0,
            grid: work.grid,
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
        let luma = luma.prepare(device, &resources, strips);

        encoder.clear_buffer(&self.grid, 0, None);
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
        &self.motion
    }

    /// The reduced field, for a copy into a readback buffer; [`FlowPlan::motion_field`] reads it.
    pub fn grid_buffer(&self) -> &wgpu::Buffer {
        &self.grid
    }
}

/// The pipelines and textures between the pyramids and the grid.
struct FlowWork {
    /// One for each level.
    search: Vec<ComputeKernel>,
    filter: ComputeKernel,
    densify: ComputeKernel,
    /// One for each pass of refinement.
    refine: Vec<ComputeKernel>,
    reduce: ComputeKernel,
    /// The patches of each level: how many, and textures for what the search finds and for what each pass of the filter makes of it.
    patches: Vec<(UVec2, Vec<wgpu::TextureView>)>,
    /// What each refinement reads.
    rough: Vec<wgpu::TextureView>,
    /// Stands in for the patches of a level coarser than the coarsest.
    no_patches: wgpu::TextureView,
    motion: (wgpu::Texture, wgpu::TextureView),
    scale: wgpu::Buffer,
    grid: wgpu::Buffer,
}

impl FlowWork {
    fn new(device: &wgpu::Device, plan: &FlowPlan, effort: Effort, search: PatchSearch) -> Self {
        let wraps = ("WRAPS", f64::from(u8::from(plan.wraps)));
        let stride = ("STRIDE", f64::from(STRIDE));
        let steps = ("STEPS", f64::from(effort.steps));
        let row_samples = ("ROW_SAMPLES", f64::from(effort.row_samples));
        let corners = ("CORNERS", f64::from(u8::from(effort.corners)));
        let filter_shader = shader(device, "flow filter", include_str!("../../../../shaders/flow_filter.wgsl"));
        let densify_shader = shader(device, "flow densify", include_str!("../../../../shaders/flow_densify.wgsl"));
        let refine_shader = shader(device, "flow refine", include_str!("../../../../shaders/flow_refine.wgsl"));
        let reduce_shader = shader(device, "flow reduce", include_str!("../../../../shaders/flow_reduce.wgsl"));
        let counts: Vec<UVec2> = (0..plan.levels).map(|level| (plan.level_size(level) + STRIDE - 1) / STRIDE).collect();
        let patch_texture = |size| storage_texture(device, "flow patches", size, wgpu::TextureFormat::Rgba32Float).1;
        let scale = plan.picture_size.as_vec2() / plan.flow_size.as_vec2();
        let grid_uniform = [scale.x.to_bits(), scale.y.to_bits(), plan.grid.x, plan.grid.y];
        let pixels = |module: &wgpu::ShaderModule, entry: &str, constants: &[(&str, f64)]| {
            ComputeKernel::of_module(device, module, entry, constants, ComputeKernel::PIXELS_8X8)
        };
        let cells = |module: &wgpu::ShaderModule, entry: &str, constants: &[(&str, f64)]| {
            ComputeKernel::of_module(device, module, entry, constants, CELLS_8X4)
        };
        Self {
            search: search.kernels(device, &[wraps, stride, steps, row_samples, corners], &counts),
            filter: cells(&filter_shader, "filter_patches", &[wraps, ("OWN", effort.own)]),
            densify: pixels(&densify_shader, "densify", &[wraps, stride]),
            refine: effort
                .refinements
                .iter()
                .map(|&spacing| pixels(&refine_shader, "refine", &[wraps, ("SPACING", f64::from(spacing))]))
                .collect(),
            reduce: cells(&reduce_shader, "reduce", &[]),
            patches: (counts.iter().zip(0..))
                .map(|(&count, level)| {
                    let filters = effort.filters[usize::from(level > 0)];
                    (count, (0..=filters).map(|_| patch_texture(count)).collect())
                })
                .collect(),
            rough: (0..effort.refinements.len())
                .map(|_| storage_texture(device, "rough flow", plan.flow_size, wgpu::TextureFormat::Rgba16Float).1)
                .collect(),
            no_patches: patch_texture(UVec2::ONE),
            motion: storage_texture(device, "optical flow", plan.flow_size, wgpu::TextureFormat::Rgba16Float),
            scale: device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("flow grid scale"),
                contents: bytemuck::cast_slice(&grid_uniform),
                usage: wgpu::BufferUsages::UNIFORM,
            }),
            grid: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("motion grid"),
                size: plan.readback_bytes() as u64,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        }
    }

    /// What turns two pyramids into the grid, from the coarsest level to the finest.
    fn dispatches(
        &self,
        device: &wgpu::Device,
        plan: &FlowPlan,
        current: &[wgpu::TextureView],
        previous: &[wgpu::TextureView],
    ) -> Vec<Dispatch> {
        use wgpu::BindingResource::TextureView;
        let mut dispatches = Vec::new();
        let mut coarser = &self.no_patches;
        let levels = current.iter().zip(previous).zip(&self.patches).zip(&self.search);
        for (((current, previous), (count, patches)), search) in levels.rev() {
            let resources =
                [(0, TextureView(current)), (1, TextureView(previous)), (2, TextureView(coarser)), (3, TextureView(&patches[0]))];
            dispatches.push(search.prepare(device, &resources, *count));
            for pair in patches.windows(2) {
                let resources = [(0, TextureView(&pair[0])), (1, TextureView(&pair[1]))];
                dispatches.push(self.filter.prepare(device, &resources, *count));
            }
            coarser = patches.last().unwrap_or(coarser);
        }
        // Each stage reads what the one before wrote; the last writes the flow that is handed out.
        let mut source = coarser;
        let stages = core::iter::once(&self.densify).chain(&self.refine);
        for (stage, target) in stages.zip(self.rough.iter().chain([&self.motion.1])) {
            let resources = [
                (0, TextureView(&current[0])),
                (1, TextureView(&previous[0])),
                (2, TextureView(source)),
                (3, TextureView(target)),
            ];
            dispatches.push(stage.prepare(device, &resources, plan.flow_size));
            source = target;
        }
        let resources =
            [(0, TextureView(&self.motion.1)), (1, self.scale.as_entire_binding()), (2, self.grid.as_entire_binding())];
        dispatches.push(self.reduce.prepare(device, &resources, plan.grid));
        dispatches
    }
}
