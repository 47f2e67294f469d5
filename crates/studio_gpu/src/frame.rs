//! The frame on a pin: GPU pictures and their stamps.

use crate::{
    device::GpuError,
    handover::{Handover, Reuse},
    picture::GpuPicture,
};
use bevy::prelude::*;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use studio_frame::prelude::*;

/// A picture on the GPU and which captured frame it shows.
#[derive(Clone, Debug)]
pub struct GpuFrame {
    /// The picture. Its textures are written again when the node that made it runs again.
    pub picture: Arc<GpuPicture>,
    /// Which captured frame it shows.
    pub stamp: FrameStamp,
    /// How it covers the sphere.
    pub projection: PictureProjection,
    /// Where the eyes' pictures lie.
    pub stereo: StereoLayout,
}

/// A frame in system memory on its way to the GPU.
#[derive(Clone, Debug)]
pub struct SourceFrame {
    /// The frame.
    pub frame: VideoFrame,
    /// How it covers the sphere.
    pub projection: PictureProjection,
    /// Where the eyes' pictures lie.
    pub stereo: StereoLayout,
    /// What the ledger calls the time from the frame's capture to its upload.
    pub stage: Stage,
}

impl From<VideoFrame> for SourceFrame {
    fn from(frame: VideoFrame) -> Self {
        Self {
            frame,
            projection: PictureProjection::Rectilinear { fov_deg: 90.0 },
            stereo: StereoLayout::Mono,
            stage: Stage::CAPTURE,
        }
    }
}

/// What is known of the picture on a pin.
#[derive(Clone, Copy, Debug)]
struct FrameMeta {
    stamp: FrameStamp,
    projection: PictureProjection,
    stereo: StereoLayout,
    generation: u64,
}

#[derive(Default)]
struct Slot {
    pending: Mutex<Option<SourceFrame>>,
    frames: Handover<GpuPicture, FrameMeta>,
}

/// The newest frame on an output pin: written by the node, read by everything downstream, in either world.
///
/// Clones share the frame. A failed node leaves its last good frame here. The hand-over itself is [`Handover`]'s.
#[derive(Component, Clone, Default)]
pub struct PinFrame(Arc<Slot>);

static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

/// Grows with every frame that is put on a pin or waits there for its upload.
pub(crate) fn activity() -> u64 {
    NEXT_GENERATION.load(Ordering::Acquire)
}

/// Has the driver look at the graph again.
pub(crate) fn note_activity() {
    NEXT_GENERATION.fetch_add(1, Ordering::AcqRel);
}

impl PinFrame {
    /// The most textures that a pin keeps for uploads; past them, each upload has its own.
    const MOST_UPLOADS: usize = 64;

    /// The newest frame on the GPU.
    pub fn get(&self) -> Option<GpuFrame> {
        let (picture, FrameMeta { stamp, projection, stereo, .. }) = self.0.frames.newest()?;
        Some(GpuFrame { picture, stamp, projection, stereo })
    }

    /// Grows with every new frame; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.0.frames.meta().map_or(0, |meta| meta.generation)
    }

    /// Puts a frame on the pin.
    pub fn set(&self, frame: GpuFrame) {
        let generation = NEXT_GENERATION.fetch_add(1, Ordering::AcqRel);
        let GpuFrame { picture, stamp, projection, stereo } = frame;
        self.0.frames.publish(picture, FrameMeta { stamp, projection, stereo, generation });
    }

    /// Takes the frame and the textures off the pin: for a node that stopped and is to cost nothing.
    pub fn clear(&self) {
        self.0.frames.clear();
    }

    /// A picture to draw the next frame in, out of a small ring: one that nobody holds and that is not on the pin now, or a new
    /// one while there are fewer than `most`. None while all of them are held: the frame is dropped then, nothing waits.
    ///
    /// # Errors
    /// What `make` says.
    pub fn target<E>(
        &self,
        most: usize,
        fits: impl Fn(&GpuPicture) -> bool,
        make: impl FnOnce() -> Result<GpuPicture, E>,
    ) -> Result<Option<Arc<GpuPicture>>, E> {
        self.0.frames.claim(most, Reuse::Spare, fits, make)
    }

    /// Hands a captured frame over for upload. Returns the frame that waited there unseen, if one did.
    pub fn submit(&self, frame: SourceFrame) -> Option<SourceFrame> {
        let before = self.0.pending.lock().replace(frame);
        NEXT_GENERATION.fetch_add(1, Ordering::AcqRel);
        before
    }

    /// Whether a captured frame waits for its upload.
    pub fn has_pending(&self) -> bool {
        self.0.pending.lock().is_some()
    }

    /// Textures for a frame's upload out of a small ring: some that nothing downstream holds on to, or new ones. The driver
    /// alone uploads and publishes, and the GPU writes after it has read, so the newest ones may be among them.
    pub(crate) fn upload_target(&self, device: &wgpu::Device, frame: &VideoFrame) -> Result<Arc<GpuPicture>, GpuError> {
        let make = || GpuPicture::for_upload(device, frame);
        let claimed = self.0.frames.claim(Self::MOST_UPLOADS, Reuse::Newest, |picture| picture.fits(frame), make)?;
        claimed.map_or_else(|| make().map(Arc::new), Ok)
    }

    pub(crate) fn take_pending(&self) -> Option<SourceFrame> {
        self.0.pending.lock().take()
    }
}
