//! Images that are shared with the compositor.

use crate::error::{Called, XrError};
use bevy::prelude::*;
use bevy_mod_openxr::graphics::GraphicsExt;
use openxr::{Extent2Di, Offset2Di, Rect2Di, SwapchainSubImage, SwapchainUsageFlags, Vulkan};
use std::time::{Duration, Instant};

/// The formats that pictures are handed over in, the best first: their bytes are those of the studio's RGBA pictures. In the
/// first, the compositor knows that they are gamma-coded.
const FORMATS: [wgpu::TextureFormat; 2] = [wgpu::TextureFormat::Rgba8UnormSrgb, wgpu::TextureFormat::Rgba8Unorm];

/// The longest that the compositor may hold all images.
const PATIENCE: Duration = Duration::from_millis(500);

/// The best format that the runtime offers.
pub(crate) fn format(session: &openxr::Session<Vulkan>, runtime: &str) -> Result<wgpu::TextureFormat, XrError> {
    let offered = session.enumerate_swapchain_formats().called("xrEnumerateSwapchainFormats")?;
    let is_offered = |format: &wgpu::TextureFormat| Vulkan::from_wgpu_format(*format).is_some_and(|raw| offered.contains(&raw));
    let what = "swapchains of eight bits RGBA".to_owned();
    FORMATS.into_iter().find(is_offered).ok_or(XrError::Lacks { runtime: runtime.to_owned(), what })
}

/// A swapchain with its images as textures. An image has as many layers as there are eyes with pictures of their own.
pub(crate) struct XrImages {
    // Dropped before the swapchain whose images they are.
    textures: Vec<wgpu::Texture>,
    chain: openxr::Swapchain<Vulkan>,
    pub size: UVec2,
    pub layers: u32,
    /// Whether there is something to show in it.
    pub filled: bool,
}

impl XrImages {
    pub fn new(
        session: &openxr::Session<Vulkan>,
        device: &wgpu::Device,
        format: wgpu::TextureFormat,
        size: UVec2,
        layers: u32,
    ) -> Result<Self, XrError> {
        let raw = Vulkan::from_wgpu_format(format).unwrap_or_default();
        let about = openxr::SwapchainCreateInfo {
            create_flags: openxr::SwapchainCreateFlags::EMPTY,
            usage_flags: SwapchainUsageFlags::COLOR_ATTACHMENT | SwapchainUsageFlags::SAMPLED | SwapchainUsageFlags::TRANSFER_DST,
            format: raw,
            sample_count: 1,
            width: size.x,
            height: size.y,
            face_count: 1,
            array_size: layers,
            mip_count: 1,
        };
        let chain = session.create_swapchain(&about).called("xrCreateSwapchain")?;
        let images = chain.enumerate_images().called("xrEnumerateSwapchainImages")?;
        let textures = images
            .into_iter()
            .map(|image| texture(device, image, format, size, layers))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| XrError::NoGraphics("the GPU device is not a Vulkan device".to_owned()))?;
        Ok(Self { textures, chain, size, layers, filled: false })
    }

    /// Whether a picture of this size goes into the images.
    pub fn fits(&self, size: UVec2, layers: u32) -> bool {
        self.size == size && self.layers == layers
    }

    /// Has the next image drawn by `draw` and hands it to the compositor.
    pub fn fill(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        draw: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::Texture),
    ) -> Result<(), XrError> {
        let index = self.chain.acquire_image().called("xrAcquireSwapchainImage")?;
        let asked_at = Instant::now();
        self.chain.wait_image(openxr::Duration::from_nanos(PATIENCE.as_nanos() as i64)).called("xrWaitSwapchainImage")?;
        let texture = self.textures.get(index as usize).filter(|_| asked_at.elapsed() < PATIENCE);
        // The wait reports being over in time like success; an image that was not waited for must not be touched.
        let Some(texture) = texture else { return Err(XrError::ImageHeld(PATIENCE.as_millis() as u64)) };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("headset") });
        draw(&mut encoder, texture);
        // The compositor takes images in the layout of something that was rendered into.
        let state = wgpu::TextureUses::COLOR_TARGET;
        encoder.transition_resources(
            core::iter::empty(),
            core::iter::once(wgpu::TextureTransition { texture, selector: None, state }),
        );
        queue.submit([encoder.finish()]);
        self.chain.release_image().called("xrReleaseSwapchainImage")?;
        self.filled = true;
        Ok(())
    }

    /// A part of the newest image, for a layer; `part` in pixels.
    pub fn part(&self, layer: u32, part: URect) -> SwapchainSubImage<'_, Vulkan> {
        let (at, size) = (part.min.as_ivec2(), part.size().as_ivec2());
        SwapchainSubImage::new()
            .swapchain(&self.chain)
            .image_array_index(layer.min(self.layers - 1))
            .image_rect(Rect2Di { offset: Offset2Di { x: at.x, y: at.y }, extent: Extent2Di { width: size.x, height: size.y } })
    }

    /// All of the newest image, for a layer.
    pub fn whole(&self, layer: u32) -> SwapchainSubImage<'_, Vulkan> {
        self.part(layer, URect::from_corners(UVec2::ZERO, self.size))
    }
}

/// Copies a gamma-coded picture, or a part of it, into one layer of an image.
pub(crate) fn copy(encoder: &mut wgpu::CommandEncoder, from: &wgpu::Texture, at: UVec2, to: &wgpu::Texture, layer: u32) {
    let size = to.size();
    encoder.copy_texture_to_texture(
        wgpu::TexelCopyTextureInfo { origin: wgpu::Origin3d { x: at.x, y: at.y, z: 0 }, ..from.as_image_copy() },
        wgpu::TexelCopyTextureInfo { origin: wgpu::Origin3d { x: 0, y: 0, z: layer }, ..to.as_image_copy() },
        wgpu::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
    );
}

/// An image of a swapchain as a texture; `None` if the device is not Vulkan's.
fn texture(device: &wgpu::Device, image: u64, format: wgpu::TextureFormat, size: UVec2, layers: u32) -> Option<wgpu::Texture> {
    let extent = wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: layers };
    let inner = wgpu_hal::TextureDescriptor {
        label: Some("headset"),
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUses::COLOR_TARGET | wgpu::TextureUses::COPY_DST,
        memory_flags: wgpu_hal::MemoryFlags::empty(),
        view_formats: Vec::new(),
    };
    let outer = wgpu::TextureDescriptor {
        label: inner.label,
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: inner.dimension,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    // SAFETY: the image is the swapchain's, made on this very device with this size, format and usage. It stays the runtime's: with a
    // callback to be called on dropping, the texture does not destroy it. The swapchain outlives its textures.
    #[allow(unsafe_code, clippy::missing_transmute_annotations, reason = "a Vulkan handle becomes a texture")]
    unsafe {
        let hal = device.as_hal::<wgpu_hal::vulkan::Api>()?;
        let image = core::mem::transmute::<u64, _>(image);
        let texture = hal.texture_from_raw(image, &inner, Some(Box::new(|| {})), wgpu_hal::vulkan::TextureMemory::External);
        drop(hal);
        Some(device.create_texture_from_hal::<wgpu_hal::vulkan::Api>(texture, &outer))
    }
}
