//! The `FrameSynthesis` node.

use crate::synthesis::{MotionGrid, SynthesisInputs, SynthesisPass, SynthesisQuality};
use bevy::{prelude::*, render::RenderApp};
use parking_lot::Mutex;
use std::sync::Arc;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// Whether frames are generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum SynthesisMode {
    /// Pictures go through as they come.
    Off,
    /// A picture is made between every two.
    #[default]
    On,
    /// The same, and the view shows the pictures as they came beside it.
    SideBySide,
}

/// Makes pictures between those that come, by warping along the motion field that came with them.
///
/// `phase` says which moment is wanted: 1 is the newest picture itself, 0.5 the moment halfway from the one before it.
/// Whatever paces the view sets it.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct FrameSynthesis {
    /// Whether frames are generated.
    pub mode: SynthesisMode,
    /// The moment wanted, from 0 (the picture before) over 1 (the newest) to 2 (as long after it).
    #[reflect(@0.0..=2.0_f32)]
    pub phase: f32,
    /// The part of the picture that is looked at, in shares of its width and height; it may run over the right edge. Only
    /// this part of a generated frame is made. `None` makes all of it.
    pub region: Option<Rect>,
    /// How much work goes into a generated frame.
    pub quality: SynthesisQuality,
}

impl Default for FrameSynthesis {
    fn default() -> Self {
        Self { mode: SynthesisMode::On, phase: 1.0, region: None, quality: SynthesisQuality::default() }
    }
}

impl NodeKind for FrameSynthesis {
    const DISPLAY_NAME: &'static str = "Frame synthesis";
    const CATEGORY: &'static str = "Time";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("frame", DataType::VIDEO_FRAME),
            PinSpec::input("motion", DataType::MOTION_FIELD),
            PinSpec::output("frame", DataType::VIDEO_FRAME),
            PinSpec::output("original", DataType::VIDEO_FRAME),
        ]
    }
}

/// How many frames were generated, and how many could not be for want of motion. Clones share the counts.
#[derive(Resource, Clone, Default)]
pub struct SynthesisCounts(Arc<Mutex<(u64, u64)>>);

impl SynthesisCounts {
    /// Frames generated so far.
    pub fn generated(&self) -> u64 {
        self.0.lock().0
    }

    /// Notes that a frame was wanted and not asked for, since there was no motion for it.
    pub fn count_without_motion(&self) {
        self.0.lock().1 += 1;
    }

    /// Frames that were wanted, but had no motion field or no picture before them.
    pub fn without_motion(&self) -> u64 {
        self.0.lock().1
    }
}

pub(super) fn add_synthesis(app: &mut App) {
    let counts = app.world_mut().get_resource_or_init::<SynthesisCounts>().clone();
    app.add_gpu_node::<FrameSynthesis, _>(run_frame_synthesis);
    if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
        render_app.insert_resource(counts);
    }
}

struct SynthesisState {
    pass: SynthesisPass,
    quality: SynthesisQuality,
    made: Arc<GpuPicture>,
    previous: Option<GpuFrame>,
    current: GpuFrame,
    grid: Option<MotionGrid>,
}

/// Puts a picture on the output as it came, unless it is there: what follows need not draw it again.
fn hand_on(run: &GpuNodeRun, frame: &GpuFrame) -> Result {
    let pin = run.output("frame")?;
    let same = |now: GpuFrame| {
        let layout = (now.projection, now.stereo) == (frame.projection, frame.stereo);
        layout && now.stamp == frame.stamp && Arc::ptr_eq(&now.picture, &frame.picture)
    };
    if !pin.get().is_some_and(same) {
        pin.set(frame.clone());
    }
    Ok(())
}

fn run_frame_synthesis(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<FrameSynthesis>>,
    counts: Res<SynthesisCounts>,
    mut states: Local<NodeStates<SynthesisState>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?;
    let FrameSynthesis { mode, phase, region, quality } = settings.of(run.node);
    let size = frame.picture.size;
    let state = states.get_or_make(
        &gpu,
        run.node,
        |state| state.made.size == size && state.quality == quality,
        || {
            let made = Arc::new(GpuPicture::rgba(gpu.device(), "frame synthesis", size)?);
            Ok(SynthesisState {
                pass: SynthesisPass::new(gpu.device(), quality),
                quality,
                made,
                previous: None,
                current: frame.clone(),
                grid: None,
            })
        },
    )?;
    if state.current.stamp != frame.stamp {
        state.previous = Some(core::mem::replace(&mut state.current, frame.clone()));
    }
    run.set_output("original", frame.clone())?;
    if mode == SynthesisMode::Off || phase == 1.0 {
        return hand_on(&run, frame);
    }
    if let (true, Some(previous)) = (phase <= 0.0, &state.previous) {
        return hand_on(&run, previous);
    }
    let motion = run.motion_of("motion", frame.stamp.frame_id).filter(|field| !field.starts_scene());
    let previous = state.previous.as_ref();
    let pair = motion.zip(previous).filter(|(field, previous)| field.previous_frame_id == previous.stamp.frame_id);
    let Some((field, previous)) = pair else {
        counts.0.lock().1 += 1;
        return hand_on(&run, frame);
    };
    match &mut state.grid {
        Some(grid) => grid.replace(gpu.device(), gpu.queue(), &field)?,
        none => *none = Some(MotionGrid::upload(gpu.device(), gpu.queue(), &field)?),
    }
    let Some(grid) = &state.grid else { return Ok(()) };
    let region = region.map(|part| {
        let pixels = size.as_vec2();
        let origin = (part.min.max(Vec2::ZERO) * pixels).floor();
        [origin.as_uvec2(), ((part.max * pixels).ceil() - origin).max(Vec2::ZERO).as_uvec2()]
    });
    let inputs = SynthesisInputs { previous: &previous.picture, current: &frame.picture, motion: grid, phase, region };
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.pass.encode(device, queue, encoder, &inputs, &state.made)?;
    counts.0.lock().0 += 1;
    // Before the newest picture's moment, it is still the picture before that is being shown.
    let stamp = if phase < 1.0 { previous.stamp } else { frame.stamp };
    run.set_output("frame", GpuFrame { picture: state.made.clone(), stamp, ..frame.clone() })?;
    Ok(())
}
