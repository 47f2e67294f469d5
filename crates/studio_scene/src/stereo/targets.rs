//! What the cameras of a picture render into.

use super::plan::CameraPlan;
use bevy::{
    camera::{ManualTextureViewHandle, RenderTarget},
    prelude::*,
    render::texture::{ManualTextureView, ManualTextureViews},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use studio_gpu::{device::GpuError, picture::GpuPicture};

/// Colours as the cameras write them: linear light, stored gamma-coded.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;
/// More pixels than this in a picture's flat pictures are refused: with depth and samples a pixel takes some 20 to 100 bytes.
const MOST_PIXELS: u64 = 400_000_000;

/// Handles of views are numbers that anyone may choose; these begin where nobody else does.
static NEXT_HANDLE: AtomicU32 = AtomicU32::new(0x5ce0_0000);

/// Why a picture's cameras have nothing to render into.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error("this picture needs {layers} flat pictures, but this GPU keeps at most {limit} together: choose fewer strips")]
    Layers { layers: u32, limit: u32 },
    #[error(
        "this picture needs {pixels} million pixels of flat pictures, more than {limit} million: choose a smaller size, fewer strips or a lower density"
    )]
    Pixels { pixels: u64, limit: u64 },
}

/// Textures of a plan's cameras.
pub(super) struct SceneTargets {
    pub plan: Arc<CameraPlan>,
    /// One array texture for each array of the plan; none where cameras render straight into pictures.
    pub arrays: Vec<wgpu::TextureView>,
    /// Pictures that cameras render into themselves, one a camera.
    pub direct: Vec<Arc<GpuPicture>>,
    handles: Vec<ManualTextureViewHandle>,
}

impl SceneTargets {
    /// Makes textures; with `direct`, pictures that go out as they are.
    pub fn new(
        device: &wgpu::Device,
        views: &mut ManualTextureViews,
        plan: Arc<CameraPlan>,
        direct: bool,
    ) -> Result<Self, TargetError> {
        let limits = device.limits();
        if plan.pixels() > MOST_PIXELS {
            return Err(TargetError::Pixels { pixels: plan.pixels() / 1_000_000, limit: MOST_PIXELS / 1_000_000 });
        }
        let mut targets = Self { plan: plan.clone(), arrays: Vec::new(), direct: Vec::new(), handles: Vec::new() };
        let mut of_camera: Vec<(wgpu::TextureView, UVec2)> = Vec::new();
        if direct {
            for array in plan.cameras.iter().filter_map(|camera| plan.arrays.get(camera.array)) {
                let picture = GpuPicture::filmed(device, "scene", array.size)?;
                of_camera.extend(picture.srgb_target().map(|view| (view, array.size)));
                targets.direct.push(Arc::new(picture));
            }
        } else {
            let mut textures = Vec::new();
            for array in &plan.arrays {
                if array.layers > limits.max_texture_array_layers {
                    return Err(TargetError::Layers { layers: array.layers, limit: limits.max_texture_array_layers });
                }
                if array.size.max_element() > limits.max_texture_dimension_2d {
                    return Err(GpuError::PictureTooLarge {
                        what: "a flat picture of the scene".to_owned(),
                        width: array.size.x,
                        height: array.size.y,
                        adapter: "this GPU".to_owned(),
                        limit: limits.max_texture_dimension_2d,
                    }
                    .into());
                }
                let texture = device.create_texture(&wgpu::TextureDescriptor {
                    label: Some("scene pictures"),
                    size: wgpu::Extent3d { width: array.size.x, height: array.size.y, depth_or_array_layers: array.layers },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format: FORMAT,
                    usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
                    view_formats: &[],
                });
                targets.arrays.push(texture.create_view(&wgpu::TextureViewDescriptor {
                    dimension: Some(wgpu::TextureViewDimension::D2Array),
                    ..Default::default()
                }));
                textures.push((texture, array.size));
            }
            for camera in &plan.cameras {
                let Some((texture, size)) = textures.get(camera.array) else { continue };
                let view = texture.create_view(&wgpu::TextureViewDescriptor {
                    dimension: Some(wgpu::TextureViewDimension::D2),
                    base_array_layer: camera.layer,
                    array_layer_count: Some(1),
                    ..Default::default()
                });
                of_camera.push((view, *size));
            }
        }
        for (view, size) in of_camera {
            let handle = ManualTextureViewHandle(NEXT_HANDLE.fetch_add(1, Ordering::Relaxed));
            views.insert(handle, ManualTextureView { texture_view: view.into(), size, view_format: FORMAT });
            targets.handles.push(handle);
        }
        Ok(targets)
    }

    /// What a camera of the plan renders to.
    pub fn of_camera(&self, index: usize) -> Option<RenderTarget> {
        self.handles.get(index).map(|handle| RenderTarget::TextureView(*handle))
    }

    /// Forgets the views.
    pub fn release(&self, views: &mut ManualTextureViews) {
        for handle in &self.handles {
            views.remove(handle);
        }
    }
}
