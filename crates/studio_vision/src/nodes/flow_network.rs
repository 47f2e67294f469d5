//! The `OpticalFlow` node with a network.

use super::flow::{RING, deliver_field};
use crate::{
    flow::{FlowPlan, FlowSettings, NetworkFlow},
    network::OpenNetwork,
    pixels::PackedPixels,
};
use bevy::prelude::*;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use studio_frame::{ledger::CopyKind, motion::MotionVector, prelude::*};
use studio_gpu::{prelude::*, readback::ReadbackRing, rgba::RgbaPass};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_ml::{PairJob, PairResult};

/// What a node with a network keeps.
pub(super) struct FlowNetworkState {
    settings: FlowSettings,
    size: UVec2,
    network_size: Option<UVec2>,
    pixels: PackedPixels,
    ring: ReadbackRing,
    flow: Arc<NetworkFlow>,
    fields: Arc<ReadbackRing>,
    /// The last picture's pixels, and its number.
    previous: Arc<Mutex<Option<(Bytes, u64)>>>,
}

impl FlowNetworkState {
    fn new(device: &wgpu::Device, size: UVec2, settings: &FlowSettings, network_size: Option<UVec2>) -> Result<Self> {
        let plan = FlowPlan::for_network(size, settings, network_size)?;
        let working = plan.flow_size;
        let kernel = PackedPixels::kernel(device, &PackedPixels::module(device), working);
        let fields = ReadbackRing::new(device, "motion field", plan.readback_bytes() as u64, RING);
        Ok(Self {
            settings: *settings,
            size,
            network_size,
            pixels: PackedPixels::new(device, "network's picture", &kernel, size, working),
            ring: ReadbackRing::new(device, "network's picture", PackedPixels::bytes_of(working), RING),
            flow: Arc::new(NetworkFlow::new(device, plan, settings.both_ways)?),
            fields: Arc::new(fields),
            previous: Arc::default(),
        })
    }
}

/// What a field needs on its way to the pins.
struct FieldJob {
    flow: Arc<NetworkFlow>,
    fields: Arc<ReadbackRing>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    motion: PinMotion,
    confidence: Option<PinFrame>,
    /// The frame without its picture, which goes on meanwhile.
    stamp: FrameStamp,
    projection: PictureProjection,
    stereo: StereoLayout,
    waker: StudioWaker,
}

impl FieldJob {
    /// A field without motion: nothing was before.
    fn begin(&self) {
        let plan = self.flow.plan();
        let cells = (plan.grid.x * plan.grid.y) as usize;
        self.motion.set(MotionField {
            stamp: self.stamp,
            previous_frame_id: self.stamp.frame_id,
            picture_size: plan.picture_size,
            grid: plan.grid,
            wraps: plan.wraps,
            vectors: vec![MotionVector::default(); cells].into(),
        });
        self.waker.wake();
    }

    fn confidence(&self) {
        if let (Some(pin), Some(picture)) = (&self.confidence, self.flow.confidence_picture()) {
            let Self { stamp, projection, stereo, .. } = *self;
            pin.set(GpuFrame { picture: picture.clone(), stamp, projection, stereo });
        }
    }

    /// On the model's thread: makes the field and puts it on the pins.
    fn finish(self, pictures: &[Bytes; 2], previous_frame_id: u64, found: &PairResult) {
        let Some(slot) = self.fields.acquire() else { return };
        self.flow.write(&self.queue, pictures.each_ref().map(AsRef::as_ref), found);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("network's flow") });
        self.flow.encode(&mut encoder);
        encoder.copy_buffer_to_buffer(self.flow.grid_buffer(), 0, slot.buffer(), 0, self.fields.bytes());
        let submission = self.queue.submit([encoder.finish()]);
        self.confidence();
        let plan = Arc::new(self.flow.plan().clone());
        deliver_field(slot, plan, self.stamp, previous_frame_id, self.motion, self.waker);
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        if let Err(error) = self.device.poll(wait) {
            warn!("the motion field of frame {} is late: {error}", self.stamp.frame_id);
        }
    }
}

/// Runs the node with its network, as it was opened.
pub(super) fn run_flow_network(
    run: &GpuNodeRun,
    wanted: &FlowSettings,
    network: &OpenNetwork,
    states: &mut NodeStates<FlowNetworkState>,
    gpu: &mut GpuContext,
    waker: &StudioWaker,
) -> Result {
    let frame = run.input("frame")?;
    let (size, network_size) = (frame.picture.size, network.signature.fixed_size);
    let state = states.get_or_make(
        gpu,
        run.node,
        |state| state.settings == *wanted && state.size == size && state.network_size == network_size,
        || FlowNetworkState::new(gpu.device(), size, wanted, network_size),
    )?;
    let slot = match *gpu.clock {
        // While the GPU is behind, the frame is left out; the next one is compared with the one before it.
        StudioClock::Live => match state.ring.acquire() {
            Some(slot) => slot,
            None => return Ok(()),
        },
        StudioClock::Offline => state.ring.wait(gpu.device())?,
    };
    let job = FieldJob {
        flow: state.flow.clone(),
        fields: state.fields.clone(),
        device: gpu.device().clone(),
        queue: gpu.queue().clone(),
        motion: run.motion_output("motion")?,
        confidence: wanted.both_ways.then(|| run.output("confidence").cloned()).transpose()?,
        stamp: frame.stamp,
        projection: frame.projection,
        stereo: frame.stereo,
        waker: waker.clone(),
    };
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.pixels.encode(device, queue, encoder, &frame.picture, RgbaPass::WHOLE)?;
    encoder.copy_buffer_to_buffer(state.pixels.buffer(), 0, slot.buffer(), 0, state.ring.bytes());
    gpu.copies.count(frame.stamp.frame_id, CopyKind::Readback, state.ring.bytes() as usize);
    let working = state.flow.plan().flow_size;
    let (wraps, both_ways, frame_id) = (wanted.wraps, wanted.both_ways, frame.stamp.frame_id);
    if *gpu.clock == StudioClock::Offline {
        let bytes = Bytes::copy_from_slice(&gpu.submit_and_read(slot)?);
        let Some((before, previous_frame_id)) = state.previous.lock().replace((bytes.clone(), frame_id)) else {
            job.begin();
            return Ok(());
        };
        let pictures = [bytes, before];
        let found = network.worker.compare(working, pictures.clone(), wraps, both_ways)?;
        state.flow.write(gpu.queue(), pictures.each_ref().map(AsRef::as_ref), &found);
        let slot = state.fields.wait(gpu.device())?;
        let encoder = gpu.encoder();
        state.flow.encode(encoder);
        encoder.copy_buffer_to_buffer(state.flow.grid_buffer(), 0, slot.buffer(), 0, state.fields.bytes());
        job.confidence();
        let plan = Arc::new(state.flow.plan().clone());
        gpu.after_submit(move || deliver_field(slot, plan, job.stamp, previous_frame_id, job.motion, job.waker));
        return Ok(());
    }
    let (previous, worker, failure) = (state.previous.clone(), network.worker.clone(), network.failure.clone());
    gpu.after_submit(move || {
        slot.deliver(move |bytes| {
            let bytes = match bytes {
                // The slot is free again; the pixels stay until the next picture has been compared with them.
                Ok(bytes) => Bytes::copy_from_slice(&bytes),
                Err(error) => return warn!("frame {frame_id} does not reach the network: {error}"),
            };
            let Some((before, previous_frame_id)) = previous.lock().replace((bytes.clone(), frame_id)) else {
                return job.begin();
            };
            let pictures = [bytes, before];
            let kept = pictures.clone();
            let done = Box::new(move |found| match found {
                Ok(found) => job.finish(&kept, previous_frame_id, &found),
                Err(error) => failure.set(error),
            });
            worker.send(PairJob { size: working, pictures, wraps, both_ways, done });
        });
    });
    Ok(())
}
