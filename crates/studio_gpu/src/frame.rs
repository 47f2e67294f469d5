//! The frame on a pin: GPU pictures and their stamps.

use crate::{device::GpuError, picture::GpuPicture};
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

#[derive(Default)]
struct Slot {
    pending: Option<SourceFrame>,
    frame: Option<GpuFrame>,
    generation: u64,
    ring: Vec<Arc<GpuPicture>>,
}

/// The newest frame on an output pin: written by the node, read by everything downstream, in either world.
///
/// Clones share the frame. A failed node leaves its last good frame here.
#[derive(Component, Clone, Default)]
pub struct PinFrame(Arc<Mutex<Slot>>);

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
    /// The newest frame on the GPU.
    pub fn get(&self) -> Option<GpuFrame> {
        self.0.lock().frame.clone()
    }

    /// Grows with every new frame; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Puts a frame on the pin.
    pub fn set(&self, frame: GpuFrame) {
        let mut slot = self.0.lock();
        slot.frame = Some(frame);
        slot.generation = NEXT_GENERATION.fetch_add(1, Ordering::AcqRel);
    }

    /// Hands a captured frame over for upload. Returns the frame that waited there unseen, if one did.
    pub fn submit(&self, frame: SourceFrame) -> Option<SourceFrame> {
        let before = self.0.lock().pending.replace(frame);
        NEXT_GENERATION.fetch_add(1, Ordering::AcqRel);
        before
    }

    /// Whether a captured frame waits for its upload.
    pub fn has_pending(&self) -> bool {
        self.0.lock().pending.is_some()
    }

    /// Textures for a frame's upload out of a small ring: some that nothing downstream holds on to, or new ones.
    pub(crate) fn upload_target(&self, device: &wgpu::Device, frame: &VideoFrame) -> Result<Arc<GpuPicture>, GpuError> {
        let mut slot = self.0.lock();
        let slot = &mut *slot;
        slot.ring.retain(|picture| picture.fits(frame));
        let shown = slot.frame.as_ref().map(|frame| &frame.picture);
        let holders_here = |picture: &Arc<GpuPicture>| 1 + usize::from(shown.is_some_and(|shown| Arc::ptr_eq(shown, picture)));
        if let Some(free) = slot.ring.iter().find(|picture| Arc::strong_count(picture) == holders_here(picture)) {
            return Ok(free.clone());
        }
        let picture = Arc::new(GpuPicture::for_upload(device, frame)?);
        slot.ring.push(picture.clone());
        Ok(picture)
    }

    pub(crate) fn take_pending(&self) -> Option<SourceFrame> {
        self.0.lock().pending.take()
    }
}
