//! The `Disparity` node with a network.

use super::disparity::{Disparity, Feeds};
use crate::{disparity::NetworkDepth, network::OpenNetwork};
use bevy::prelude::*;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use studio_frame::{ledger::CopyKind, prelude::*};
use studio_gpu::{prelude::*, readback::ReadbackRing};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_ml::{PairJob, PairResult};

/// What a node with a network keeps.
pub(super) struct DisparityNetworkState {
    wanted: Disparity,
    frames: [(UVec2, Rect); 2],
    projection: PictureProjection,
    network_size: Option<UVec2>,
    depth: Arc<Mutex<NetworkDepth>>,
    ring: ReadbackRing,
}

/// Pairs under way at most: one that the network has, one that waits for it, one on its way there.
const RING: usize = 3;
/// Rectified pictures at most: as many, and the one on the pin.
const MOST_RECTIFIED: usize = RING + 1;

/// The pins, and what goes on them.
struct DepthJob {
    depth: Arc<Mutex<NetworkDepth>>,
    pins: [PinFrame; 3],
    /// The frame that the distances belong to.
    picture: GpuFrame,
    waker: StudioWaker,
}

impl DepthJob {
    /// Puts what was made of the network's disparities on the pins.
    fn publish(self) {
        let Self { depth, pins: [depths, previews, pictures], picture, waker } = self;
        let depth = depth.lock();
        let depth = depth.depth();
        let made = |picture_of: &Arc<GpuPicture>| GpuFrame {
            picture: picture_of.clone(),
            stamp: picture.stamp,
            projection: depth.projection(),
            stereo: StereoLayout::Mono,
        };
        depths.set(made(depth.depth_picture()));
        previews.set(made(depth.colored_picture()));
        pictures.set(picture);
        waker.wake();
    }

    /// On the model's thread.
    fn finish(self, device: &wgpu::Device, queue: &wgpu::Queue, found: &PairResult) {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("network's distances") });
        self.depth.lock().encode_distances(queue, &mut encoder, found);
        queue.submit([encoder.finish()]);
        self.publish();
    }
}

/// Both eyes' pixels, apart.
fn halves(bytes: &Bytes) -> [Bytes; 2] {
    let middle = bytes.len() / 2;
    [bytes.slice(..middle), bytes.slice(middle..)]
}

/// Runs the node with its network, as it was opened.
pub(super) fn run_disparity_network(
    run: &GpuNodeRun,
    wanted: &Disparity,
    feeds: &Feeds,
    network: &OpenNetwork,
    states: &mut NodeStates<DisparityNetworkState>,
    gpu: &mut GpuContext,
    waker: &StudioWaker,
) -> Result {
    let (left, projection, network_size) = (run.input("left")?, feeds.projection, network.signature.fixed_size);
    let frames = feeds.frames();
    let state = states.get_or_make(
        gpu,
        run.node,
        |state| {
            state.wanted == *wanted
                && state.frames == frames
                && state.projection == projection
                && state.network_size == network_size
        },
        || {
            let rig = wanted.rig()?;
            let depth = wanted.depth_settings();
            let depth = NetworkDepth::new(gpu.device(), gpu.queue(), frames, projection, rig.as_ref(), &depth, network_size)?;
            let ring = ReadbackRing::new(gpu.device(), "eyes' pixels", depth.pixel_bytes(), RING);
            let depth = Arc::new(Mutex::new(depth));
            Ok(DisparityNetworkState { wanted: wanted.clone(), frames, projection, network_size, depth, ring })
        },
    )?;
    let slot = match *gpu.clock {
        StudioClock::Live => match state.ring.acquire() {
            Some(slot) => slot,
            None => return Ok(()),
        },
        StudioClock::Offline => state.ring.wait(gpu.device())?,
    };
    let mut depth = state.depth.lock();
    let plan = depth.plan();
    let (working, wraps, both_ways) = (plan.size, plan.settings.wraps, plan.settings.left_right_px >= 0);
    let (device, queue, encoder) = gpu.device_and_encoder();
    depth.encode_pixels(device, queue, encoder, feeds.eyes, slot.buffer())?;
    let picture = match depth.depth().rectified_picture() {
        None => GpuFrame { projection, stereo: feeds.stereo, ..left.clone() },
        // The next frame is rectified while the network still works on this one.
        Some(rectified) => {
            let make = || GpuPicture::rgba(device, "rectified eye", rectified.size);
            let fits = |picture: &GpuPicture| picture.size == rectified.size;
            let Some(kept) = run.output("picture")?.target(MOST_RECTIFIED, fits, make)? else { return Ok(()) };
            let [from, to] = [rectified, &kept].map(|picture| picture.planes[0].as_image_copy());
            encoder.copy_texture_to_texture(from, to, rectified.planes[0].size());
            let projection = depth.depth().projection();
            GpuFrame { picture: kept, stamp: left.stamp, projection, stereo: StereoLayout::Mono }
        }
    };
    drop(depth);
    gpu.copies.count(left.stamp.frame_id, CopyKind::Readback, state.ring.bytes() as usize);
    let pins = [run.output("depth")?, run.output("preview")?, run.output("picture")?].map(Clone::clone);
    let job = DepthJob { depth: state.depth.clone(), pins, picture, waker: waker.clone() };
    if *gpu.clock == StudioClock::Offline {
        let bytes = Bytes::copy_from_slice(&gpu.submit_and_read(slot)?);
        let found = network.worker.compare(working, halves(&bytes), wraps, both_ways)?;
        let (_, queue, encoder) = gpu.device_and_encoder();
        state.depth.lock().encode_distances(queue, encoder, &found);
        job.publish();
        return Ok(());
    }
    let (device, queue) = (gpu.device().clone(), gpu.queue().clone());
    let (worker, failure) = (network.worker.clone(), network.failure.clone());
    gpu.after_submit(move || {
        slot.deliver(move |bytes| {
            let bytes = match bytes {
                Ok(bytes) => Bytes::copy_from_slice(&bytes),
                Err(error) => return warn!("frame {} does not reach the network: {error}", job.picture.stamp.frame_id),
            };
            let done = Box::new(move |found| match found {
                Ok(found) => job.finish(&device, &queue, &found),
                Err(error) => failure.set(error),
            });
            worker.send(PairJob { size: working, pictures: halves(&bytes), wraps, both_ways, done });
        });
    });
    Ok(())
}
