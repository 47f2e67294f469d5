//! The stitch on the GPU.

use super::{
    LensHealth, StitchError, StitchMap, StitchPlan, StitchSampling, StitchSettings,
    align::Aligner,
    bands::LayerTile,
    gains::BlockTexture,
    gpu::{self, Program},
    runs::{GpuMap, Kernel, LensUniform, RunUniform, UNIFORM_BYTES, UNIFORM_STRIDE},
    tile::Tile,
    watch::{StitchMeasurement, Watch},
};
use crate::{
    rig::{MAX_LENSES, PreparedRig, Rig, YawPitchRoll},
    stabilise::RowMotion,
};
use bevy::{
    math::{UVec2, Vec3},
    platform::collections::HashMap,
};
use bytemuck::Zeroable;
use std::time::Duration;
use studio_gpu::{device::GpuError, picture::GpuPicture};

const SHADER: &str = include_str!("../../../../shaders/stitch.wgsl");
/// How much a picture's shape may differ from the rig's, as a share.
const SHAPE_TOLERANCE: f64 = 0.01;
/// How many frames a calibration is the same before what depends on it is made anew.
const RESTS_AFTER_FRAMES: u32 = 15;
/// The most workgroups that every device takes in one direction.
const GROUPS_PER_ROW: u32 = 65535;

/// Stitches pictures of a rig, one frame after the other.
pub struct StitchPass {
    rig: PreparedRig,
    settings: StitchSettings,
    map: GpuMap,
    program: Program,
    lanes: u32,
    watch: Option<Watch>,
    aligner: Option<Aligner>,
    /// The calibration, and for how many frames it has been the same since the watch was made for another one.
    calibration: Rig,
    rested: Option<u32>,
    /// How the rig turned while its pictures were read.
    rows: Option<RowMotion>,
    /// Stands in for the blocks of gains where there are none.
    no_blocks: BlockTexture,
    /// Stands in for what lenses are bent by where none is.
    unbent: wgpu::TextureView,
    /// When the frame was that was asked to be measured last.
    now: Duration,
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
        let calibration = rig.clone();
        let rig = PreparedRig::new(rig)?;
        gpu::check_size(device, UVec2::from_array(settings.size_px))?;
        let map = StitchMap::new(&rig, settings)?;
        check_overlaps(device, &map, settings)?;
        let map = GpuMap::new(device, queue, &rig, map, None);
        let more = [
            gpu::storage(true, size_of::<Tile>()),
            gpu::OUTPUT,
            gpu::sampled(true),
            gpu::storage(false, 8),
            gpu::SAMPLED_LAYERS,
            wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
            gpu::storage(true, size_of::<LayerTile>()),
            gpu::LAYERS,
            gpu::SAMPLED_LAYERS,
            gpu::SAMPLED_LAYERS,
        ];
        let program = Program::new(device, "stitch", SHADER, UNIFORM_BYTES, true, &more);
        let lanes = lanes(device);
        Ok(Self {
            watch: Watch::new(device, queue, &rig, settings),
            aligner: Aligner::new(device, queue, &rig, settings, None)?,
            calibration,
            rested: None,
            rows: None,
            no_blocks: BlockTexture::new(device, queue, 1, 1),
            unbent: super::align::displacements(device, 1, 1),
            now: Duration::ZERO,
            rig,
            settings: settings.clone(),
            map,
            program,
            lanes,
            pipelines: HashMap::default(),
            written: Vec::new(),
        })
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
        let map = StitchMap::new(&self.rig, settings)?;
        check_overlaps(device, &map, settings)?;
        self.rows = None;
        self.go_over(device, queue, settings.clone())?;
        self.replace_map(device, queue, map);
        Ok(())
    }

    /// Takes settings over, and remakes what follows the pictures where they say so.
    fn go_over(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, settings: StitchSettings) -> Result<(), StitchError> {
        let watched =
            |it: &StitchSettings| (it.exposure, it.exposure_settle_s, it.seams, it.distance_m, it.blend, it.view, it.size_px);
        let differs = watched(&settings) != watched(&self.settings);
        let samples_alike = settings.sampling == self.settings.sampling;
        let aligned = |it: &StitchSettings| (it.alignment, it.distance_m);
        if aligned(&settings) != aligned(&self.settings) {
            self.aligner = Aligner::new(device, queue, &self.rig, &settings, self.aligner.take())?;
            self.program.forget_bind_groups();
        }
        self.settings = settings;
        if differs {
            self.remake_watch(device, queue);
        }
        if differs || !samples_alike {
            self.pipelines.clear();
        }
        Ok(())
    }

    fn remake_watch(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) {
        let before = self.watch.take();
        self.watch = Watch::new(device, queue, &self.rig, &self.settings);
        self.rested = None;
        if let (Some(watch), Some(before)) = (&mut self.watch, &before)
            && watch.health().len() == before.health().len()
        {
            watch.go_on_from(queue, before);
        }
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
            (self.settings, self.rows) = (settings, None);
        }
        Ok(())
    }

    /// Goes on with a plan that was made beforehand, on any thread: another calibration of the rig, another view, other rows.
    ///
    /// # Errors
    /// [`StitchError`] if the picture is larger than the GPU's textures; the pass then goes on as it was.
    pub fn set_plan(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, plan: StitchPlan) -> Result<(), StitchError> {
        gpu::check_size(device, UVec2::from_array(plan.settings.size_px))?;
        check_overlaps(device, &plan.map, &plan.settings)?;
        let StitchPlan { calibration, rig, settings, rows, map } = plan;
        if calibration != self.calibration {
            self.rested = Some(0);
        }
        (self.calibration, self.rig, self.rows) = (calibration, rig, rows);
        self.go_over(device, queue, settings)?;
        self.replace_map(device, queue, map);
        if self.mark_health() {
            // The plan knows nothing of lenses that dropped out.
            self.remap(device, queue)?;
        }
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

    /// Records a measurement of what lenses see of the same, for the compensation of exposures; `at` is when the frame was. None comes where
    /// exposures are fixed, or the last measurement is not long ago. Deliver it once the commands are submitted: the next
    /// [`encode`](Self::encode) after it has come takes it in. Nothing waits for it.
    ///
    /// # Errors
    /// [`StitchError::PictureCount`] or [`StitchError::PictureShape`] if pictures do not fit.
    pub fn measure(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[&GpuPicture],
        at: Duration,
    ) -> Result<Option<StitchMeasurement>, StitchError> {
        self.check_inputs(inputs)?;
        // While the calibration glides, what lenses see of the same is found where it was; once it rests, anew.
        match &mut self.rested {
            Some(frames) if *frames < RESTS_AFTER_FRAMES => *frames += 1,
            Some(_) => {
                self.remake_watch(device, queue);
                self.aligner = Aligner::new(device, queue, &self.rig, &self.settings, self.aligner.take())?;
                self.program.forget_bind_groups();
            }
            None => {}
        }
        self.now = at;
        Ok(self.watch.as_mut().and_then(|watch| watch.measure(device, queue, encoder, inputs, at)))
    }

    /// How each lens of the rig fares, in its order; empty where nothing is measured. What a lens that is not good sees comes from its
    /// neighbours, where they see it.
    pub fn lens_health(&self) -> &[LensHealth] {
        self.watch.as_ref().map_or(&[], Watch::health)
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
        self.check_inputs(inputs)?;
        gpu::check_output(output, UVec2::from_array(self.settings.size_px))?;
        self.take_measured(device, queue)?;
        self.write_uniforms(queue, inputs);
        self.make_pipelines(device, inputs);
        if self.map.aligned {
            self.align(device, queue, encoder, inputs)?;
        }
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
            wgpu::BindingResource::TextureView(self.watch.as_ref().map_or(&self.no_blocks.view, Watch::blocks)),
            wgpu::BindingResource::TextureView(self.aligner.as_ref().map_or(&self.unbent, Aligner::displacements)),
        ];
        let groups: Vec<wgpu::BindGroup> =
            inputs.iter().map(|input| self.program.bind_group(device, input, uniforms, &more)).collect();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("stitch"), timestamp_writes });
        let mut layered = false;
        for (run, slot) in runs.iter().zip(0..) {
            let picture = run.picture;
            // The lenses' coarse pictures come first; what is made of them is ready before the stitch.
            let is_layer = matches!(run.kernel, Kernel::Layer { .. });
            if core::mem::replace(&mut layered, is_layer) && !is_layer {
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

    /// Records what the lenses are bent by in this frame.
    fn align(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[&GpuPicture],
    ) -> Result<(), StitchError> {
        let Some(aligner) = &mut self.aligner else { return Ok(()) };
        let uniforms = lens_uniforms(&self.rig, self.watch.as_ref(), inputs);
        // What was found for another calibration, or of a lens that delivers nothing, is worth nothing.
        let holds = |lens: usize| self.rested.is_none() && !self.rig.lenses[lens].is_out;
        aligner.encode(device, queue, encoder, &self.rig, inputs, &uniforms, holds, self.now)
    }

    fn replace_map(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, map: StitchMap) {
        self.map = GpuMap::new(device, queue, &self.rig, map, Some(&self.map));
        // They hold the old map's buffers.
        self.program.forget_bind_groups();
        self.move_seams(queue);
        self.written.clear();
    }

    /// Takes in what was measured; a lens that dropped out or came back makes it a new map.
    fn take_measured(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<(), StitchError> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let change = watch.take(queue, self.now);
        if change.health {
            self.mark_health();
            self.remap(device, queue)?;
        } else if change.seams {
            self.move_seams(queue);
        }
        Ok(())
    }

    /// Marks the lenses that dropped out; says whether there are any.
    fn mark_health(&mut self) -> bool {
        let Some(watch) = &self.watch else { return false };
        for (lens, health) in self.rig.lenses.iter_mut().zip(watch.health()) {
            lens.is_out = *health != LensHealth::Good;
        }
        self.rig.lenses.iter().any(|lens| lens.is_out)
    }

    /// Works the map out again with the lenses that there are.
    fn remap(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<(), StitchError> {
        let map = StitchMap::with_tiles(&self.rig, &self.settings, self.rows.as_ref(), self.map.tile_px)?;
        self.replace_map(device, queue, map);
        Ok(())
    }

    fn move_seams(&mut self, queue: &wgpu::Queue) {
        if let Some(seams) = self.watch.as_ref().and_then(Watch::seams) {
            self.map.set_seams(queue, &seams);
        }
    }

    fn check_inputs(&self, inputs: &[&GpuPicture]) -> Result<(), StitchError> {
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
        Ok(())
    }

    /// Writes the uniforms of all runs, if they changed.
    fn write_uniforms(&mut self, queue: &wgpu::Queue, inputs: &[&GpuPicture]) {
        let lenses = lens_uniforms(&self.rig, self.watch.as_ref(), inputs);
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

    /// Whether gains differ within a lens.
    fn is_graded(&self) -> bool {
        self.watch.is_some() && self.settings.exposure.side() > 1
    }

    /// Makes the pipelines that the runs need and that are not there yet.
    fn make_pipelines(&mut self, device: &wgpu::Device, inputs: &[&GpuPicture]) {
        let graded = f64::from(u8::from(self.is_graded()));
        let cubic = self.settings.sampling == StitchSampling::Cubic;
        for run in &self.map.runs {
            let layout = inputs[run.picture].uniform().plane_layout[0];
            let constants = [
                ("LAYOUT", f64::from(layout)),
                ("TILE", f64::from(run.tile_px)),
                ("LANES", f64::from(self.lanes)),
                ("GRADED", graded),
                // Coarse bands have no details.
                ("CUBIC", f64::from(u8::from(cubic && !matches!(run.kernel, Kernel::Layer { .. })))),
                ("CORRECTED", f64::from(u8::from(run.kernel.traits().corrected))),
                ("ALIGNED", f64::from(u8::from(run.kernel.traits().aligned))),
            ];
            let make = || self.program.pipeline(device, run.kernel.entry_point(), &constants);
            self.pipelines.entry((run.kernel, layout, run.tile_px)).or_insert_with(make);
        }
    }
}

/// What the shaders know of each lens, with the gains that are in use.
fn lens_uniforms(rig: &PreparedRig, watch: Option<&Watch>, inputs: &[&GpuPicture]) -> [LensUniform; MAX_LENSES] {
    let mut lenses = [LensUniform::zeroed(); MAX_LENSES];
    for (index, (uniform, lens)) in lenses.iter_mut().zip(&rig.lenses).enumerate() {
        let gain = watch.map_or(Vec3::ONE, |watch| watch.of_lens(index));
        *uniform = LensUniform::new(lens, gain, rig.pictures[lens.picture], inputs[lens.picture]);
    }
    lenses
}

/// Refuses more pixels in overlaps than a buffer of the device holds.
fn check_overlaps(device: &wgpu::Device, map: &StitchMap, settings: &StitchSettings) -> Result<(), StitchError> {
    let (bytes, limit) = (GpuMap::sum_bytes(map), device.limits().max_storage_buffer_binding_size);
    if bytes <= limit {
        return Ok(());
    }
    let [width, height] = settings.size_px;
    let (needed, allowed) = (bytes >> 20, limit >> 20);
    let reason = format!(
        "is {width}×{height}: the lenses' overlaps take {needed} MiB of one buffer, and this GPU allows {allowed} MiB. Choose a smaller \
         picture, Fixed seams or a narrower fade"
    );
    Err(StitchError::Setting { setting: "size_px", reason })
}

/// How many threads share a column of a tile. A software GPU is quickest with few threads that do much each, a real one
/// needs many to hide the memory's latency.
fn lanes(device: &wgpu::Device) -> u32 {
    if device.adapter_info().device_type == wgpu::DeviceType::Cpu { 1 } else { 4 }
}

#[cfg(test)]
impl StitchPass {
    /// What it keeps of what changes with the pictures.
    pub(super) fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// What aligns its lenses.
    pub(super) fn aligner(&self) -> Option<&Aligner> {
        self.aligner.as_ref()
    }
}
