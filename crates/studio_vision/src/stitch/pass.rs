//! The stitch on the GPU.

use super::{
    StitchError, StitchPlan, StitchSettings,
    bands::{BandsPass, LayerTile},
    gpu::{self, Program},
    map::{CELL_PX, Layer, StitchMap, Tile},
};
use crate::rig::{MAX_LENSES, PreparedLens, PreparedRig, Rig, YawPitchRoll};
use bevy::{math::UVec2, platform::collections::HashMap};
use bytemuck::{Pod, Zeroable};
use core::ops::Range;
use studio_gpu::{device::GpuError, pass::linear_sampler, picture::GpuPicture};

const SHADER: &str = include_str!("../../../../shaders/stitch.wgsl");
/// Distance of uniforms in their buffer: a multiple of the largest alignment that a device may ask for, 256.
const UNIFORM_STRIDE: u64 = UNIFORM_BYTES.next_multiple_of(256);
/// How much a picture's shape may differ from the rig's, as a share.
const SHAPE_TOLERANCE: f64 = 0.01;
/// Threads of a workgroup that draws layers.
const LAYER_THREADS: u32 = 64;
/// The most workgroups that every device takes in one direction.
const GROUPS_PER_ROW: u32 = 65535;

/// What the shader knows of a lens.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct LensUniform {
    rgb_from_samples: [[f32; 4]; 3],
    region: [f32; 4],
}

/// What the shader knows of the tiles of one dispatch.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RunUniform {
    weight_scale: [f32; 2],
    tiles: [u32; 2],
    lenses: [LensUniform; MAX_LENSES],
}

const UNIFORM_BYTES: u64 = size_of::<RunUniform>() as u64;

/// What a run of tiles is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kernel {
    /// The lenses' pictures for the coarse bands.
    Layer,
    Fill {
        corrected: bool,
    },
    Blend {
        corrected: bool,
    },
    Black,
}

/// Tiles that one dispatch draws, all from one picture.
struct Run {
    tile_px: u32,
    kernel: Kernel,
    picture: usize,
    tiles: Range<u32>,
}

/// A map on the GPU.
struct GpuMap {
    tiles: wgpu::Buffer,
    weights: wgpu::TextureView,
    weights_size: UVec2,
    sums: wgpu::Buffer,
    bands: BandsPass,
    correction_sampler: wgpu::Sampler,
    tile_px: u32,
    runs: Vec<Run>,
    uniforms: wgpu::Buffer,
}

/// Stitches pictures of a rig, one frame after the other.
pub struct StitchPass {
    rig: PreparedRig,
    settings: StitchSettings,
    map: GpuMap,
    program: Program,
    lanes: u32,
    /// By kernel, layout of planes and size of tiles.
    pipelines: HashMap<(Kernel, u32, u32), wgpu::ComputePipeline>,
    written: Vec<u8>,
}

impl StitchPass {
    /// Works out the map for a rig and settings and makes everything the GPU needs.
    ///
    /// # Errors
    /// [`StitchError`] if the rig or a setting is unusable, or the picture is larger than the GPU's textures.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, rig: &Rig, settings: &StitchSettings) -> Result<Self, StitchError> {
        let rig = PreparedRig::new(rig)?;
        gpu::check_size(device, UVec2::from_array(settings.size_px))?;
        let map = GpuMap::new(device, queue, &rig, StitchMap::new(&rig, settings)?);
        let more = [
            gpu::storage(true, size_of::<Tile>()),
            gpu::OUTPUT,
            gpu::sampled(true),
            gpu::storage(false, 8),
            gpu::SAMPLED_LAYERS,
            wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
            gpu::storage(true, size_of::<LayerTile>()),
            gpu::LAYERS,
        ];
        let program = Program::new(device, "stitch", SHADER, UNIFORM_BYTES, true, &more);
        let lanes = lanes(device);
        Ok(Self { rig, settings: settings.clone(), map, program, lanes, pipelines: HashMap::default(), written: Vec::new() })
    }

    /// Changes the settings; works out the map again if they differ.
    ///
    /// # Errors
    /// As for [`new`](Self::new); the pass then goes on as it was.
    pub fn set_settings(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        settings: &StitchSettings,
    ) -> Result<(), StitchError> {
        if *settings == self.settings {
            return Ok(());
        }
        gpu::check_size(device, UVec2::from_array(settings.size_px))?;
        self.replace_map(device, queue, StitchMap::new(&self.rig, settings)?);
        self.settings = settings.clone();
        Ok(())
    }

    /// Turns the view: for camera moves, frame by frame. Quicker than [`set_settings`](Self::set_settings), as the size of
    /// the map's tiles stays.
    ///
    /// # Errors
    /// [`StitchError::Setting`] if an angle is not a finite number.
    pub fn set_orientation(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        orientation: YawPitchRoll,
    ) -> Result<(), StitchError> {
        if orientation != self.settings.orientation {
            let settings = StitchSettings { orientation, ..self.settings.clone() };
            self.replace_map(device, queue, StitchMap::with_tiles(&self.rig, &settings, None, self.map.tile_px)?);
            self.settings = settings;
        }
        Ok(())
    }

    /// Goes on with a plan that was made beforehand, on any thread: another calibration of the rig, another view, other rows.
    ///
    /// # Errors
    /// [`StitchError::Gpu`] if the picture is larger than the GPU's textures; the pass then goes on as it was.
    pub fn set_plan(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, plan: StitchPlan) -> Result<(), StitchError> {
        gpu::check_size(device, UVec2::from_array(plan.settings.size_px))?;
        let StitchPlan { rig, settings, map } = plan;
        (self.rig, self.settings) = (rig, settings);
        self.replace_map(device, queue, map);
        Ok(())
    }

    /// Side of the map's large tiles in pixels, for a plan that need not find out again.
    pub fn tile_px(&self) -> u32 {
        self.map.tile_px
    }

    /// The settings in use.
    pub fn settings(&self) -> &StitchSettings {
        &self.settings
    }

    /// How many pictures [`encode`](Self::encode) takes.
    pub fn picture_count(&self) -> usize {
        self.rig.pictures.len()
    }

    /// Makes a picture of the right size for the output.
    ///
    /// # Errors
    /// [`GpuError::PictureTooLarge`] if the GPU's textures cannot be as large.
    pub fn output_picture(&self, device: &wgpu::Device, label: &str) -> Result<GpuPicture, GpuError> {
        GpuPicture::rgba(device, label, UVec2::from_array(self.settings.size_px))
    }

    /// Records the stitch of one frame: `inputs` in the rig's order, in any pixel format, at any size of the rig's shape;
    /// `output` as [`output_picture`](Self::output_picture) makes it. What no lens sees becomes black.
    ///
    /// # Errors
    /// [`StitchError::PictureCount`], [`StitchError::PictureShape`] or [`StitchError::Output`] if pictures do not fit.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[&GpuPicture],
        output: &GpuPicture,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites>,
    ) -> Result<(), StitchError> {
        self.check_pictures(inputs, output)?;
        self.write_uniforms(queue, inputs);
        self.make_pipelines(device, inputs);
        let GpuMap { tiles, weights, sums, runs, uniforms, bands, correction_sampler, .. } = &self.map;
        let more = [
            tiles.as_entire_binding(),
            wgpu::BindingResource::TextureView(output.view()),
            wgpu::BindingResource::TextureView(weights),
            sums.as_entire_binding(),
            wgpu::BindingResource::TextureView(&bands.correction),
            wgpu::BindingResource::Sampler(correction_sampler),
            bands.tiles.as_entire_binding(),
            wgpu::BindingResource::TextureView(&bands.layers),
        ];
        let groups: Vec<wgpu::BindGroup> =
            inputs.iter().map(|input| self.program.bind_group(device, input, uniforms, &more)).collect();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("stitch"), timestamp_writes });
        let mut layered = false;
        for (run, slot) in runs.iter().zip(0..) {
            let picture = run.picture;
            // The lenses' coarse pictures come first; what is made of them is ready before the stitch.
            if core::mem::replace(&mut layered, run.kernel == Kernel::Layer) && run.kernel != Kernel::Layer {
                bands.record(&mut pass);
            }
            let Some(pipeline) = self.pipelines.get(&(run.kernel, inputs[picture].uniform().plane_layout[0], run.tile_px)) else {
                continue;
            };
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &groups[picture], &[UNIFORM_STRIDE as u32 * slot]);
            let count = run.workgroups();
            pass.dispatch_workgroups(count.min(GROUPS_PER_ROW), count.div_ceil(GROUPS_PER_ROW), 1);
        }
        Ok(())
    }

    fn replace_map(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, map: StitchMap) {
        self.map = GpuMap::new(device, queue, &self.rig, map);
        // They hold the old map's buffers.
        self.program.forget_bind_groups();
        self.written.clear();
    }

    fn check_pictures(&self, inputs: &[&GpuPicture], output: &GpuPicture) -> Result<(), StitchError> {
        if inputs.len() != self.rig.pictures.len() {
            let (expected, got) = (self.rig.pictures.len(), inputs.len());
            return Err(StitchError::PictureCount { rig: self.rig.name.clone(), expected, got });
        }
        for (index, (input, reference)) in inputs.iter().zip(&self.rig.pictures).enumerate() {
            let scale = input.size.as_dvec2() / reference.as_dvec2();
            if (scale.x / scale.y - 1.0).abs() > SHAPE_TOLERANCE {
                return Err(StitchError::PictureShape {
                    rig: self.rig.name.clone(),
                    index,
                    width: input.size.x,
                    height: input.size.y,
                    rig_width: reference.x,
                    rig_height: reference.y,
                });
            }
        }
        gpu::check_output(output, UVec2::from_array(self.settings.size_px))
    }

    /// Writes the uniforms of all runs, if they changed.
    fn write_uniforms(&mut self, queue: &wgpu::Queue, inputs: &[&GpuPicture]) {
        let mut lenses = [LensUniform::zeroed(); MAX_LENSES];
        for (uniform, lens) in lenses.iter_mut().zip(&self.rig.lenses) {
            *uniform = LensUniform::new(lens, self.rig.pictures[lens.picture], inputs[lens.picture]);
        }
        let weight_scale = (1.0 / self.map.weights_size.as_vec2()).to_array();
        let mut bytes = vec![0; UNIFORM_STRIDE as usize * self.map.runs.len()];
        for (run, slot) in self.map.runs.iter().zip(bytes.chunks_exact_mut(UNIFORM_STRIDE as usize)) {
            let uniform = RunUniform { weight_scale, tiles: [run.tiles.start, run.tiles.len() as u32], lenses };
            slot[..size_of::<RunUniform>()].copy_from_slice(bytemuck::bytes_of(&uniform));
        }
        if bytes != self.written {
            queue.write_buffer(&self.map.uniforms, 0, &bytes);
            self.written = bytes;
        }
    }

    /// Makes the pipelines that the runs need and that are not there yet.
    fn make_pipelines(&mut self, device: &wgpu::Device, inputs: &[&GpuPicture]) {
        for run in &self.map.runs {
            let layout = inputs[run.picture].uniform().plane_layout[0];
            let constants = [
                ("LAYOUT", f64::from(layout)),
                ("TILE", f64::from(run.tile_px)),
                ("LANES", f64::from(self.lanes)),
                ("CORRECTED", f64::from(u8::from(run.kernel.is_corrected()))),
            ];
            let make = || self.program.pipeline(device, run.kernel.entry_point(), &constants);
            self.pipelines.entry((run.kernel, layout, run.tile_px)).or_insert_with(make);
        }
    }
}

impl LensUniform {
    fn new(lens: &PreparedLens, reference: UVec2, input: &GpuPicture) -> Self {
        let rows = input.uniform().rgb_from_yuv;
        // A sample at the region's edge must not reach over it: half a texel of the coarsest plane stays free, but not at the
        // picture's own edge, where the sampler stops.
        let margin = if input.format.is_yuv() { 1.0 } else { 0.5 } / input.size.as_dvec2();
        let low = |axis: usize| match lens.region.min[axis] / f64::from(reference[axis]) {
            edge if edge > 0.0 => edge + margin[axis],
            _ => 0.0,
        };
        let high = |axis: usize| match lens.region.max[axis] / f64::from(reference[axis]) {
            edge if edge < 1.0 => edge - margin[axis],
            _ => 1.0,
        };
        Self {
            rgb_from_samples: core::array::from_fn(|row| rows[row].map(|value| value * lens.color_gain[row] as f32)),
            region: [low(0), low(1), high(0), high(1)].map(|edge| edge as f32),
        }
    }
}

impl Run {
    fn workgroups(&self) -> u32 {
        let tiles = self.tiles.len() as u32;
        match self.kernel {
            Kernel::Layer => (tiles * (self.tile_px / CELL_PX).pow(2)).div_ceil(LAYER_THREADS),
            Kernel::Fill { .. } | Kernel::Blend { .. } | Kernel::Black => tiles,
        }
    }
}

impl Kernel {
    fn entry_point(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Fill { .. } => "fill",
            Self::Blend { .. } => "blend",
            Self::Black => "black",
        }
    }

    fn is_corrected(self) -> bool {
        matches!(self, Self::Fill { corrected: true } | Self::Blend { corrected: true })
    }
}

/// How many threads share a column of a tile. A software GPU is quickest with few threads that do much each, a real one
/// needs many to hide the memory's latency.
fn lanes(device: &wgpu::Device) -> u32 {
    if device.adapter_info().device_type == wgpu::DeviceType::Cpu { 1 } else { 4 }
}

impl GpuMap {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue, rig: &PreparedRig, map: StitchMap) -> Self {
        use wgpu::BufferUsages as U;
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let mut runs: Vec<Run> = Vec::new();
        let layer_tiles = map.bands.as_ref().map_or(&[][..], |bands| &bands.tiles);
        for tiles in layer_tiles.chunk_by(|a, b| a.lens == b.lens) {
            let start = runs.last().map_or(0, |run| run.tiles.end);
            let picture = rig.lenses[tiles[0].lens as usize].picture;
            runs.push(Run { tile_px: map.tile_px(), kernel: Kernel::Layer, picture, tiles: start..start + tiles.len() as u32 });
        }
        let corrected = map.bands.is_some();
        for Layer { tile_px, filled, near, blended, black } in &map.layers {
            let run = |kernel, lens: usize, tiles: &Range<u32>| Run {
                tile_px: *tile_px,
                kernel,
                picture: rig.lenses[lens].picture,
                tiles: tiles.clone(),
            };
            let begin = runs.len();
            for (lens, (tiles, near)) in filled.iter().zip(near).enumerate() {
                // Lenses in one picture are filled together: each dispatch waits for the one before it.
                let far = tiles.start..*near;
                let continues = |last: &&mut Run| last.picture == rig.lenses[lens].picture && last.tiles.end == far.start;
                match runs[begin..].last_mut().filter(continues).filter(|last| !last.kernel.is_corrected()) {
                    Some(last) => last.tiles.end = far.end,
                    None => runs.push(run(Kernel::Fill { corrected: false }, lens, &far)),
                }
                if *near < tiles.end {
                    runs.push(run(Kernel::Fill { corrected: true }, lens, &(*near..tiles.end)));
                }
            }
            // A tile's shares are added up in the order of the lenses, each run seeing what the one before it wrote.
            runs.extend(blended.iter().enumerate().map(|(lens, tiles)| run(Kernel::Blend { corrected }, lens, tiles)));
            runs.push(run(Kernel::Black, 0, black));
        }
        runs.retain(|run| !run.tiles.is_empty());
        let tiles =
            buffer("stitch tiles", size_of::<Tile>().max(size_of_val(map.tiles.as_slice())) as u64, U::STORAGE | U::COPY_DST);
        queue.write_buffer(&tiles, 0, bytemuck::cast_slice(&map.tiles));
        Self {
            tiles,
            weights: gpu::data_texture(
                device,
                queue,
                "stitch weights",
                wgpu::TextureFormat::R8Unorm,
                map.weights_size,
                &map.weights,
            ),
            weights_size: map.weights_size,
            sums: buffer("stitch sums", map.sum_px.max(1) * 8, U::STORAGE),
            bands: BandsPass::new(device, queue, map.bands.as_ref()),
            correction_sampler: linear_sampler(device, "stitch correction", map.bands.as_ref().is_some_and(|bands| bands.wraps)),
            tile_px: map.tile_px(),
            uniforms: buffer("stitch runs", UNIFORM_STRIDE * runs.len().max(1) as u64, U::UNIFORM | U::COPY_DST),
            runs,
        }
    }
}
