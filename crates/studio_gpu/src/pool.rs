//! Textures that are used again: [`TexturePool`].

use crate::{device::GpuError, picture::GpuPicture};
use bevy::{math::UVec2, prelude::*};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
};
use studio_frame::{color::ColorInfo, format::PixelFormat};

/// What textures of one kind have in common.
#[derive(Clone, PartialEq)]
pub(crate) struct PoolKey {
    device: wgpu::Device,
    format: PixelFormat,
    size: UVec2,
    usage: wgpu::TextureUsages,
}

impl PoolKey {
    fn bytes(&self) -> u64 {
        self.format.picture_bytes(self.size) as u64
    }
}

/// Why the pool gives no textures.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// They would not fit into the budget.
    #[error(
        "a picture of {width}×{height} takes {needed_mb} MB, and {used_mb} of the {budget_mb} MB for such pictures are in use: \
         choose smaller pictures or fewer of them"
    )]
    Exhausted {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// What it takes, in megabytes.
        needed_mb: u64,
        /// What is in use, in megabytes.
        used_mb: u64,
        /// The budget, in megabytes.
        budget_mb: u64,
    },
    /// The GPU has no such textures.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes of the pictures that somebody holds.
    pub used_bytes: u64,
    /// Bytes of those that wait to be used again.
    pub idle_bytes: u64,
    /// Pictures that were made.
    pub made: u64,
    /// Pictures that were used again.
    pub reused: u64,
}

#[derive(Default)]
struct PoolState {
    /// What waits to be used again; the oldest first.
    idle: VecDeque<(PoolKey, GpuPicture)>,
    stats: PoolStats,
    budget_bytes: u64,
}

/// Pictures by format, size and use, within a budget of bytes. A picture comes back by itself when its last holder drops it.
///
/// Clones share the pool.
#[derive(Resource, Clone)]
pub struct TexturePool(Arc<Mutex<PoolState>>);

impl Default for TexturePool {
    fn default() -> Self {
        Self::with_budget(Self::DEFAULT_BUDGET_BYTES)
    }
}

impl TexturePool {
    /// Bytes of a pool that nobody said anything of: 2 GiB, some forty pictures for headsets.
    pub const DEFAULT_BUDGET_BYTES: u64 = 2 << 30;
    /// The share of the budget that may wait to be used again.
    const IDLE_SHARE: u64 = 8;

    /// A pool that holds so many bytes at most, idle ones included.
    pub fn with_budget(budget_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(PoolState { budget_bytes, ..Default::default() })))
    }

    /// What it holds.
    pub fn stats(&self) -> PoolStats {
        self.0.lock().stats
    }

    /// An RGBA picture that compute shaders write and others sample; its content is anything.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`] if it does not fit into the budget, and what the GPU says.
    pub fn rgba(&self, device: &wgpu::Device, label: &str, size: UVec2) -> Result<GpuPicture, PoolError> {
        let key = PoolKey { device: device.clone(), format: PixelFormat::Rgba8, size, usage: GpuPicture::RGBA_USAGE };
        let mut state = self.0.lock();
        // Textures of a device that was lost are of no use to anybody.
        let mut lost = 0;
        state.idle.retain(|(idle, _)| {
            idle.device == *device || {
                lost += idle.bytes();
                false
            }
        });
        state.stats.idle_bytes -= lost;
        let known = state.idle.iter().position(|(idle, _)| *idle == key).and_then(|place| state.idle.remove(place));
        let picture = match known {
            Some((_, picture)) => {
                state.stats.idle_bytes -= key.bytes();
                state.stats.reused += 1;
                picture
            }
            None => {
                let budget_bytes = state.budget_bytes;
                state.trim(budget_bytes.saturating_sub(key.bytes()));
                let used = state.stats.used_bytes;
                if used + key.bytes() > budget_bytes {
                    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
                    return Err(PoolError::Exhausted {
                        width: size.x,
                        height: size.y,
                        needed_mb: mb(key.bytes()),
                        used_mb: mb(used),
                        budget_mb: mb(budget_bytes),
                    });
                }
                let picture =
                    GpuPicture::new(device, label, PixelFormat::Rgba8, size, ColorInfo::default(), GpuPicture::RGBA_USAGE)?;
                state.stats.made += 1;
                picture
            }
        };
        state.stats.used_bytes += key.bytes();
        let lease = Lease { pool: Arc::downgrade(&self.0), content: Some((key, picture.clone())) };
        Ok(picture.with_lease(lease))
    }
}

impl PoolState {
    /// Lets go of idle pictures, the oldest first, until the pool holds no more than this.
    fn trim(&mut self, most_bytes: u64) {
        while self.stats.used_bytes + self.stats.idle_bytes > most_bytes
            && let Some((key, _)) = self.idle.pop_front()
        {
            self.stats.idle_bytes -= key.bytes();
        }
    }
}

/// Brings a picture back to its pool when its last holder drops it.
pub(crate) struct Lease {
    pool: Weak<Mutex<PoolState>>,
    content: Option<(PoolKey, GpuPicture)>,
}

impl Lease {
    /// Whether the picture is one of this device.
    pub(crate) fn is_on(&self, device: &wgpu::Device) -> bool {
        self.content.as_ref().is_some_and(|(key, _)| key.device == *device)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Lease")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(pool), Some((key, picture))) = (self.pool.upgrade(), self.content.take()) else { return };
        let mut state = pool.lock();
        state.stats.used_bytes -= key.bytes();
        state.stats.idle_bytes += key.bytes();
        state.idle.push_back((key, picture));
        let idle_most = state.budget_bytes / TexturePool::IDLE_SHARE;
        let most = state.stats.used_bytes + idle_most;
        state.trim(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::HeadlessGpu;

    #[test]
    fn pictures_are_used_again_and_the_budget_holds() {
        let gpu = HeadlessGpu::open().expect("a Vulkan adapter (software will do)");
        let size = UVec2::new(64, 32);
        let bytes = 64 * 32 * 4;
        let pool = TexturePool::with_budget(bytes * 3);
        let first = pool.rgba(&gpu.device, "test", size).expect("room");
        let copy = first.clone();
        drop(first);
        assert_eq!(pool.stats(), PoolStats { used_bytes: bytes, made: 1, ..default() }, "a copy holds it too");
        drop(copy);
        // An eighth of the budget may stay idle: not even this one.
        assert_eq!((pool.stats().used_bytes, pool.stats().idle_bytes), (0, 0));
        let pool = TexturePool::with_budget(bytes * 16);
        drop(pool.rgba(&gpu.device, "test", size).expect("room"));
        let again = pool.rgba(&gpu.device, "test", size).expect("room");
        assert_eq!(pool.stats(), PoolStats { used_bytes: bytes, made: 1, reused: 1, ..default() });
        // Of another size there is none; the budget counts both.
        let large = pool.rgba(&gpu.device, "test", size * UVec2::new(3, 5)).expect("exactly the room that is left");
        let error = pool.rgba(&gpu.device, "test", size).expect_err("one too many").to_string();
        assert!(error.contains("64×32") && error.contains("in use"), "{error}");
        drop((again, large));
        pool.rgba(&gpu.device, "test", size * UVec2::new(4, 4)).expect("idle ones make room");
    }
}
