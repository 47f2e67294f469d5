//! Reading results back from the GPU, asynchronously and through a ring.

use bevy::math::UVec2;
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A ring of mappable buffers: each read-back takes one, and gives it back when its bytes are dropped.
///
/// Nothing waits here. When every buffer is under way, [`acquire`](Self::acquire) gives none, and the caller drops the
/// frame (live) or tries again later (offline).
pub struct ReadbackRing {
    slots: Vec<(wgpu::Buffer, Arc<AtomicBool>)>,
    bytes: u64,
}

/// A buffer of the ring that is free for one copy.
pub struct ReadbackSlot {
    buffer: wgpu::Buffer,
    busy: Arc<AtomicBool>,
}

/// Why nothing could be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadbackError {
    /// The buffer could not be mapped, most likely because the device was lost.
    #[error("the GPU's result could not be mapped: {0}")]
    Map(String),
    /// The GPU did not finish.
    #[error("the GPU did not finish: {0}")]
    Poll(String),
}

impl ReadbackRing {
    /// Makes `slots` buffers of `bytes` bytes.
    pub fn new(device: &wgpu::Device, label: &str, bytes: u64, slots: usize) -> Self {
        let buffer = || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes.next_multiple_of(4),
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        };
        Self { slots: (0..slots).map(|_| (buffer(), Arc::default())).collect(), bytes }
    }

    /// Bytes of one read-back.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a free buffer.
    pub fn acquire(&self) -> Option<ReadbackSlot> {
        let free = |(_, busy): &&(wgpu::Buffer, Arc<AtomicBool>)| !busy.swap(true, Ordering::AcqRel);
        self.slots.iter().find(free).map(|(buffer, busy)| ReadbackSlot { buffer: buffer.clone(), busy: busy.clone() })
    }

    /// Takes a free buffer, waiting for the GPU until there is one: for offline work, where no frame may be dropped.
    pub fn wait(&self, device: &wgpu::Device) -> Result<ReadbackSlot, ReadbackError> {
        const LONGEST: Duration = Duration::from_secs(10);
        let start = Instant::now();
        loop {
            if let Some(slot) = self.acquire() {
                return Ok(slot);
            }
            if start.elapsed() > LONGEST {
                return Err(ReadbackError::Poll(format!("no buffer came back within {} s", LONGEST.as_secs())));
            }
            device.poll(wgpu::PollType::Poll).map_err(|error| ReadbackError::Poll(error.to_string()))?;
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl ReadbackSlot {
    /// The buffer to copy the result into.
    pub const fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Maps the buffer when the GPU is done and hands its bytes over without copying them. Call it after the submission;
    /// the callback runs on the thread that waits for the GPU and must be quick.
    pub fn deliver(self, done: impl FnOnce(Result<Bytes, ReadbackError>) + Send + 'static) {
        let buffer = self.buffer.clone();
        buffer.map_async(wgpu::MapMode::Read, .., move |mapped| {
            done(match mapped {
                Ok(()) => Ok(Bytes::from_owner(Mapped { view: Some(self.buffer.get_mapped_range(..)), slot: self })),
                Err(error) => Err(ReadbackError::Map(error.to_string())),
            });
        });
    }
}

impl ReadbackSlot {
    /// Waits until the GPU has done a submission and takes the bytes: for offline work, tests and tools, not for the frame path.
    ///
    /// # Errors
    /// [`ReadbackError`] if the GPU does not finish or the buffer cannot be mapped.
    pub fn read(self, device: &wgpu::Device, submission: wgpu::SubmissionIndex) -> Result<Bytes, ReadbackError> {
        let (sender, receiver) = studio_frame::queue::queue(1, studio_frame::queue::QueuePolicy::NewestWins);
        self.deliver(move |bytes| {
            sender.send(bytes);
        });
        device
            .poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None })
            .map_err(|error| ReadbackError::Poll(error.to_string()))?;
        receiver.recv_timeout(Duration::from_secs(10)).map_err(|error| ReadbackError::Poll(error.to_string()))?
    }
}

impl Drop for ReadbackSlot {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Release);
    }
}

struct Mapped {
    view: Option<wgpu::BufferView>,
    slot: ReadbackSlot,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.view.as_deref().unwrap_or_default()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.view = None;
        self.slot.buffer.unmap();
    }
}

/// Reads an RGBA texture and waits for it: for tests, snapshots and tools, not for the frame path.
///
/// The rows come tightly packed, four bytes a pixel.
pub fn read_rgba(device: &wgpu::Device, queue: &wgpu::Queue, texture: &wgpu::Texture) -> Result<Vec<u8>, ReadbackError> {
    let size = UVec2::new(texture.width(), texture.height());
    let row = size.x as usize * 4;
    let padded = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize);
    let ring = ReadbackRing::new(device, "snapshot", (padded * size.y as usize) as u64, 1);
    let Some(slot) = ring.acquire() else { return Err(ReadbackError::Map("no buffer".to_owned())) };
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("snapshot") });
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: slot.buffer(),
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded as u32), rows_per_image: None },
        },
        texture.size(),
    );
    let index = queue.submit([encoder.finish()]);
    let bytes = slot.read(device, index)?;
    Ok(bytes.chunks(padded).take(size.y as usize).flat_map(|padded_row| padded_row[..row].iter().copied()).collect())
}
