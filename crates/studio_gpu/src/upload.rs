//! Uploading frames fast: staging buffers that stay mapped between frames, filled by several threads.
//!
//! `Queue::write_texture` allocates its staging memory anew and copies on one thread, which limits a large frame to the
//! speed of one core and of fresh pages. Here the staging buffers are used again, and a large frame is copied by as many
//! threads as pay.

use crate::picture::GpuPicture;
use studio_frame::{
    format::PlaneShape,
    picture::{Plane, VideoFrame},
    queue::{QueuePolicy, QueueReceiver, QueueSender, queue},
};

/// Planes start at multiples of this, and threads take pieces of this size.
const PIECE: usize = 64 << 10;
/// Bytes below which more threads do not pay.
const BYTES_PER_THREAD: usize = 2 << 20;
/// Copying threads at most: memory bandwidth is reached with fewer than a large machine has cores.
const MAX_THREADS: usize = 8;
/// Staging buffers kept.
const MAX_IDLE: usize = 4;

/// Uploads frames through staging buffers of its own.
pub struct Uploader {
    idle: QueueReceiver<wgpu::Buffer>,
    give_back: QueueSender<wgpu::Buffer>,
    under_way: Vec<wgpu::Buffer>,
    threads: usize,
}

impl Default for Uploader {
    fn default() -> Self {
        Self::new()
    }
}

impl Uploader {
    /// Makes an uploader that copies with half of the machine's cores; buffers are made as they are needed.
    pub fn new() -> Self {
        Self::with_threads(std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2).min(MAX_THREADS))
    }

    /// Makes an uploader that copies with up to `threads` threads. With one, frames go through the queue's own staging
    /// memory.
    pub fn with_threads(threads: usize) -> Self {
        let (give_back, idle) = queue(MAX_IDLE, QueuePolicy::NewestWins);
        Self { idle, give_back, under_way: Vec::new(), threads }
    }

    /// Copies a frame's planes into a staging buffer and records their copy into the picture's textures. The frame must
    /// fit the picture. Call [`submitted`](Self::submitted) after the submission.
    ///
    /// Small frames go through the queue's own staging memory, which costs less for them.
    pub fn upload(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        picture: &GpuPicture,
        frame: &VideoFrame,
    ) {
        let shapes = picture.format.planes(picture.size);
        let align = wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize;
        let strides: Vec<usize> = shapes.iter().map(|shape| shape.row_bytes().next_multiple_of(align)).collect();
        let sizes: Vec<usize> =
            shapes.iter().zip(&strides).map(|(shape, stride)| (stride * shape.size.y as usize).next_multiple_of(PIECE)).collect();
        let bytes: usize = sizes.iter().sum();
        if self.threads < 2 || bytes < 2 * BYTES_PER_THREAD {
            picture.upload(queue, frame);
            return;
        }
        let buffer = self.staging(device, bytes as u64);
        let mut mapped = buffer.get_mapped_range_mut(..bytes as u64);
        let mut rest = mapped.slice(..);
        let mut offset = 0;
        for (index, (shape, stride)) in shapes.iter().zip(strides).enumerate() {
            let (target, behind) = rest.split_at(sizes[index]);
            rest = behind;
            copy_plane(target, stride, &frame.planes[index], shape, self.threads);
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo {
                    buffer: &buffer,
                    layout: wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(stride as u32), rows_per_image: None },
                },
                picture.planes[index].as_image_copy(),
                wgpu::Extent3d { width: shape.size.x, height: shape.size.y, depth_or_array_layers: 1 },
            );
            offset += sizes[index] as u64;
        }
        drop(mapped);
        buffer.unmap();
        self.under_way.push(buffer);
    }

    /// Has the buffers of this submission mapped again once the GPU is through with them.
    pub fn submitted(&mut self) {
        for buffer in self.under_way.drain(..) {
            let (give_back, kept) = (self.give_back.clone(), buffer.clone());
            buffer.map_async(wgpu::MapMode::Write, .., move |mapped| {
                if mapped.is_ok() {
                    // With enough idle ones, the oldest goes.
                    give_back.send(kept);
                }
            });
        }
    }

    fn staging(&self, device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
        // A buffer of another size is of no more use: the source has changed.
        let mut idle = core::iter::from_fn(|| self.idle.try_recv().ok());
        idle.find(|buffer| buffer.size() == bytes).unwrap_or_else(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("upload"),
                size: bytes,
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            })
        })
    }
}

/// Copies a plane into memory whose rows are `stride` bytes apart, each thread a stretch of pieces.
fn copy_plane(target: wgpu::WriteOnly<'_, [u8]>, stride: usize, plane: &Plane, shape: &PlaneShape, threads: usize) {
    let mut pieces: Vec<_> = target.into_chunks::<PIECE>().0.into_iter().enumerate().collect();
    let threads = threads.min(shape.bytes().div_ceil(BYTES_PER_THREAD)).max(1);
    let stretch = pieces.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        while pieces.len() > stretch {
            let mine = pieces.split_off(pieces.len() - stretch);
            scope.spawn(move || copy_pieces(mine, stride, plane, shape));
        }
        // The first stretch is copied here: one thread less to start.
        copy_pieces(pieces, stride, plane, shape);
    });
}

fn copy_pieces(pieces: Vec<(usize, wgpu::WriteOnly<'_, [u8; PIECE]>)>, stride: usize, plane: &Plane, shape: &PlaneShape) {
    for (index, piece) in pieces {
        let mut piece = wgpu::WriteOnly::<[u8]>::from(piece);
        let start = index * PIECE;
        let rows = start / stride..(start + PIECE).div_ceil(stride).min(shape.size.y as usize);
        for row in rows {
            // The part of the row that lies in this piece.
            let from = start.max(row * stride);
            let to = (start + PIECE).min(row * stride + shape.row_bytes());
            if from < to {
                let source = row * plane.stride + (from - row * stride);
                piece.slice(from - start..to - start).copy_from_slice(&plane.data[source..source + to - from]);
            }
        }
    }
}
