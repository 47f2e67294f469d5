//! The `OpticalFlow` node.

use super::flow_network::{FlowNetworkState, run_flow_network};
use crate::{
    flow::{FlowPass, FlowPlan, FlowQuality, FlowSettings},
    network::{Network, NetworkChoice, Provided, VisionProvider},
};
use bevy::prelude::*;
use std::sync::Arc;
use studio_frame::prelude::*;
use studio_gpu::{
    prelude::*,
    readback::{ReadbackRing, ReadbackSlot},
};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_ml::{ModelSettings, PairTask};

/// Finds how the picture moved since the frame before, once a frame; everything that needs motion reads the result.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct OpticalFlow {
    /// Width at which the motion is looked for, in pixels; 0 takes a quarter of the picture's, at least 320.
    pub working_width_px: u32,
    /// How much work goes into it.
    pub quality: FlowQuality,
    /// Side of one cell of the motion field, in pixels of the picture.
    #[reflect(@8..=256_u32)]
    pub cell_px: u32,
    /// Whether motion is looked for the other way too, to know how far it can be trusted: an output `confidence` shows it, white where
    /// both ways agree, and motion that cannot be trusted counts little in the field. Twice the work.
    pub both_ways: bool,
    /// Who finds the motion.
    pub provider: VisionProvider,
    /// A neural network that finds it, an ONNX file run by ONNX Runtime: see the documentation of vision for what fits. Empty: none.
    #[reflect(@InputPath)]
    pub model: String,
    /// How the network takes its pictures, where its file does not say.
    pub model_settings: ModelSettings,
}

impl Default for OpticalFlow {
    fn default() -> Self {
        Self {
            working_width_px: 0,
            quality: FlowQuality::default(),
            cell_px: 32,
            both_ways: false,
            provider: VisionProvider::default(),
            model: String::new(),
            model_settings: ModelSettings::default(),
        }
    }
}

impl NodeKind for OpticalFlow {
    const DISPLAY_NAME: &'static str = "Optical flow";
    const CATEGORY: &'static str = "Analyse";

    fn pins(&self) -> Vec<PinSpec> {
        let confidence = self.both_ways.then(|| PinSpec::output("confidence", DataType::VIDEO_FRAME));
        let motion = PinSpec::output("motion", DataType::MOTION_FIELD);
        [PinSpec::input("frame", DataType::VIDEO_FRAME), motion].into_iter().chain(confidence).collect()
    }
}

impl OpticalFlow {
    fn settings_for(&self, frame: &GpuFrame) -> FlowSettings {
        let size = frame.picture.size;
        let working_width_px = if self.working_width_px == 0 { (size.x / 4).max(320) } else { self.working_width_px };
        FlowSettings {
            working_width_px,
            quality: self.quality,
            grid: (size / self.cell_px.clamp(8, 256)).max(UVec2::ONE),
            wraps: frame.projection == PictureProjection::Equirectangular,
            both_ways: self.both_ways,
        }
    }
}

pub(super) struct FlowState {
    pass: FlowPass,
    plan: Arc<FlowPlan>,
    ring: ReadbackRing,
    settings: FlowSettings,
    size: UVec2,
    previous_frame_id: Option<u64>,
}

/// Fields under way at most; a grid is small, and the encoder's pictures are as deep in flight.
pub(super) const RING: usize = 4;

pub(super) fn run_optical_flow(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<OpticalFlow>>,
    waker: Res<StudioWaker>,
    reports: Res<FailureReport>,
    mut states: Local<NodeStates<FlowState>>,
    mut networks: Local<NodeStates<Network>>,
    mut network_states: Local<NodeStates<FlowNetworkState>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?;
    let output = run.motion_output("motion")?;
    let node = settings.of(run.node);
    let wanted = node.settings_for(frame);
    let choice = NetworkChoice::of(node.provider, &node.model, node.model_settings, PairTask::Flow)?;
    match Network::provide(&mut networks, &gpu, run.node, choice, &reports)? {
        Provided::Network(network) => {
            return run_flow_network(&run, &wanted, &network, &mut network_states, &mut gpu, &waker);
        }
        Provided::Nobody => return Ok(()),
        Provided::Classical => network_states.retain(|node| node != run.node),
    }
    let size = frame.picture.size;
    let state = states.get_or_make(
        &gpu,
        run.node,
        |state| state.settings == wanted && state.size == size,
        || {
            let pass = FlowPass::new(gpu.device(), size, &wanted)?;
            let plan = Arc::new(pass.plan().clone());
            let ring = ReadbackRing::new(gpu.device(), "motion field", plan.readback_bytes() as u64, RING);
            Ok(FlowState { pass, plan, ring, settings: wanted, size, previous_frame_id: None })
        },
    )?;
    let stamp = frame.stamp;
    let previous_frame_id = state.previous_frame_id.replace(stamp.frame_id).unwrap_or(stamp.frame_id);
    let slot = match *gpu.clock {
        StudioClock::Live => state.ring.acquire(),
        StudioClock::Offline => Some(state.ring.wait(gpu.device())?),
    };
    let (device, _, encoder) = gpu.device_and_encoder();
    state.pass.encode(device, encoder, &frame.picture)?;
    if let Some(confidence) = state.pass.confidence_picture() {
        let (projection, stereo) = (frame.projection, frame.stereo);
        run.set_output("confidence", GpuFrame { picture: confidence.clone(), stamp, projection, stereo })?;
    }
    // The flow itself always runs, or the next frame would be compared with the wrong one.
    let Some(slot) = slot else { return Ok(()) };
    encoder.copy_buffer_to_buffer(state.pass.grid_buffer(), 0, slot.buffer(), 0, state.ring.bytes());
    let (plan, waker) = (state.plan.clone(), waker.clone());
    gpu.after_submit(move || deliver_field(slot, plan, stamp, previous_frame_id, output, waker));
    Ok(())
}

/// Puts the field on its pin when it has been read back. Call it after the submission.
pub(super) fn deliver_field(
    slot: ReadbackSlot,
    plan: Arc<FlowPlan>,
    stamp: FrameStamp,
    previous_frame_id: u64,
    output: PinMotion,
    waker: StudioWaker,
) {
    slot.deliver(move |bytes| {
        let field = bytes
            .map_err(|error| error.to_string())
            .and_then(|bytes| plan.motion_field(stamp, previous_frame_id, &bytes).map_err(|error| error.to_string()));
        match field {
            // Across a cut nothing moved from anywhere: the field says so, and nobody generates frames from it.
            Ok((field, found)) if found.is_scene_cut() => output.set(MotionField { previous_frame_id: stamp.frame_id, ..field }),
            Ok((field, _)) => output.set(field),
            Err(error) => warn!("the motion field of frame {} is lost: {error}", stamp.frame_id),
        }
        waker.wake();
    });
}
