//! Pictures of pins for user interfaces: drawn on the GPU into an image that any renderer can show, never read back.

use crate::{frame::PinFrame, node::GpuNodeRun, paint::PicturePainter};
use bevy::{
    asset::RenderAssetUsages,
    ecs::entity::{EntityHashMap, EntityHashSet},
    prelude::*,
    render::{
        Extract,
        render_asset::RenderAssets,
        renderer::{RenderDevice, RenderQueue},
        texture::GpuImage,
    },
};
use std::time::{Duration, Instant};
use studio_graph::prelude::*;

/// A place to look: what comes in is shown in an editor's live view, and what it takes runs, though it goes nowhere else.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Preview;

impl NodeKind for Preview {
    const DISPLAY_NAME: &'static str = "Preview";
    const CATEGORY: &'static str = "View";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME)]
    }
}

/// Takes the frame; whoever shows it reads it off the pin that delivers it.
pub(crate) fn run_preview(In(run): In<GpuNodeRun>) -> Result {
    run.input("frame")?;
    Ok(())
}

/// Keeps an image up to date with the newest frame of an output pin. The node behind the pin must run: mark it
/// [`Watched`] where no link takes what it makes.
#[derive(Component, Clone, Debug)]
pub struct PinPreview {
    /// The output pin.
    pub pin: Entity,
    /// The image, made with [`preview_image`].
    pub image: Handle<Image>,
    /// The shortest time from one drawing to the next: small pictures of many nodes need no full frame rate. Zero: drawn with
    /// every frame; of all others, as many are drawn at a time as cost little.
    pub interval: Duration,
}

/// Pixels of previews with an interval that are drawn in one frame, about; the others follow in the next frames.
const PIXELS_A_FRAME: u32 = 400_000;

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

/// An image for a [`PinPreview`], of a size in pixels; black until a frame comes.
pub fn preview_image(size: UVec2) -> Image {
    let size = size.max(UVec2::ONE);
    let extent = wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let usages = RenderAssetUsages::RENDER_WORLD;
    let mut image = Image::new_fill(extent, wgpu::TextureDimension::D2, &[0, 0, 0, 255], FORMAT, usages);
    image.texture_descriptor.usage =
        wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST;
    image
}

struct Shown {
    frame: PinFrame,
    image: AssetId<Image>,
    interval: Duration,
}

/// The previews as the render world sees them.
#[derive(Resource, Default)]
pub(crate) struct Previews(EntityHashMap<Shown>);

pub(crate) fn extract_previews(
    previews: Extract<Query<(Entity, &PinPreview)>>,
    pins: Extract<Query<&PinFrame>>,
    mut known: ResMut<Previews>,
) {
    known.0.clear();
    for (entity, preview) in &previews {
        if let Ok(frame) = pins.get(preview.pin) {
            let preview = Shown { frame: frame.clone(), image: preview.image.id(), interval: preview.interval };
            known.0.insert(entity, preview);
        }
    }
}

/// What was drawn into a preview's image last.
pub(crate) struct Drawn {
    painter: PicturePainter,
    texture: wgpu::Texture,
    generation: u64,
    at: Instant,
}

pub(crate) fn draw_previews(
    previews: Res<Previews>,
    images: Res<RenderAssets<GpuImage>>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut drawn: Local<EntityHashMap<Drawn>>,
) {
    if previews.0.is_empty() {
        drawn.clear();
        return;
    }
    let alive: EntityHashSet = previews.0.keys().copied().collect();
    drawn.retain(|entity, _| alive.contains(entity));
    let (device, now) = (device.wgpu_device(), Instant::now());
    let last = |entity: &Entity, drawn: &EntityHashMap<Drawn>| drawn.get(entity).map(|drawn| drawn.at);
    let mut order: Vec<(&Entity, &Shown)> = previews.0.iter().collect();
    // Those that waited longest first: of many small pictures, only some are drawn in each frame.
    order.sort_by_key(|(entity, preview)| (!preview.interval.is_zero(), last(entity, &drawn)));
    let mut pixels_left = PIXELS_A_FRAME;
    let mut encoder = None;
    for (entity, preview) in order {
        let Some(image) = images.get(preview.image) else { continue };
        let generation = preview.frame.generation();
        let before = drawn.get(entity).filter(|drawn| drawn.texture == *image.texture);
        let due = before.is_none_or(|drawn| drawn.generation != generation && now - drawn.at >= preview.interval);
        let Some(frame) = preview.frame.get().filter(|_| due) else { continue };
        let extent = image.texture.size();
        if !preview.interval.is_zero() {
            if pixels_left == 0 {
                continue;
            }
            pixels_left = pixels_left.saturating_sub(extent.width * extent.height);
        }
        let painter = match (drawn.remove(entity), drawn.values().next()) {
            (Some(before), _) => before.painter,
            (None, Some(other)) => other.painter.for_another(device),
            (None, None) => PicturePainter::new(device, FORMAT),
        };
        let target = wgpu::RenderPassColorAttachment {
            view: &image.texture_view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
        };
        let encoder = encoder.get_or_insert_with(|| device.create_command_encoder(&default()));
        painter.paint(device, &queue, encoder, target, UVec2::new(extent.width, extent.height), &frame.picture, false);
        drawn.insert(*entity, Drawn { painter, texture: (*image.texture).clone(), generation, at: now });
    }
    if let Some(encoder) = encoder {
        queue.submit([encoder.finish()]);
    }
}
