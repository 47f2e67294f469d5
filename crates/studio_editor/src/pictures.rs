//! Pictures of pins as egui draws them: drawn on the GPU, never read back.

use crate::EditorOwn;
use bevy::{
    ecs::entity::{EntityHashMap, EntityHashSet},
    prelude::*,
};
use bevy_egui::{EguiTextureHandle, EguiUserTextures, egui};
use std::time::Duration;
use studio_gpu::prelude::*;

/// A picture that can be drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texture {
    pub id: egui::TextureId,
    /// Width divided by height.
    pub aspect: f32,
}

#[derive(Debug)]
struct Slot {
    preview: Entity,
    image: Handle<Image>,
    size: UVec2,
    id: egui::TextureId,
}

/// The pictures that are drawn now.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    thumbnails: EntityHashMap<Slot>,
    large: EntityHashMap<Slot>,
    used: EntityHashSet,
    used_large: EntityHashSet,
}

/// Pixels across that thumbnails may have.
const THUMBNAIL_WIDTHS: [u32; 3] = [80, 160, 320];
const THUMBNAIL_INTERVAL: Duration = Duration::from_millis(100);

impl Pictures {
    /// A pin's small picture, a few times a second, of at least as many pixels as it is shown with; none before its first frame.
    pub fn thumbnail(&mut self, world: &mut World, pin: Entity, width: f32) -> Option<Texture> {
        self.used.insert(pin);
        let size = frame_size(world, pin)?;
        // Few sizes, so that zooming does not make new images with each step.
        let width = THUMBNAIL_WIDTHS.into_iter().find(|step| *step as f32 >= width).unwrap_or(THUMBNAIL_WIDTHS[2]);
        let height = (width * size.y).div_ceil(size.x.max(1)).clamp(1, width * 4);
        picture(&mut self.thumbnails, world, pin, UVec2::new(width, height), THUMBNAIL_INTERVAL)
    }

    /// A pin's picture at the frame rate, no larger than it is and no larger than `most` pixels.
    pub fn large(&mut self, world: &mut World, pin: Entity, most: UVec2) -> Option<Texture> {
        self.used_large.insert(pin);
        let size = frame_size(world, pin)?;
        let fits = (most.as_vec2() / size.as_vec2()).min_element().min(1.0);
        // In steps, so that a panel that is being resized does not make a new image each frame.
        let wanted = (size.as_vec2() * fits / 64.0).ceil().as_uvec2() * 64;
        let exact = size.min(UVec2::new(wanted.x, (wanted.x * size.y).div_ceil(size.x.max(1))));
        picture(&mut self.large, world, pin, exact, Duration::ZERO)
    }

    /// Lets go of pictures that were not drawn since the last call.
    pub fn forget_unused(&mut self, world: &mut World) {
        for (slots, used) in [(&mut self.thumbnails, &mut self.used), (&mut self.large, &mut self.used_large)] {
            let gone: Vec<Entity> = slots.keys().filter(|pin| !used.contains(*pin)).copied().collect();
            for slot in gone.iter().filter_map(|pin| slots.remove(pin)) {
                release(world, slot);
            }
            used.clear();
        }
    }
}

fn frame_size(world: &World, pin: Entity) -> Option<UVec2> {
    world.get::<PinFrame>(pin)?.get().map(|frame| frame.picture.size)
}

fn picture(slots: &mut EntityHashMap<Slot>, world: &mut World, pin: Entity, size: UVec2, interval: Duration) -> Option<Texture> {
    if slots.get(&pin).is_some_and(|slot| slot.size != size)
        && let Some(slot) = slots.remove(&pin)
    {
        release(world, slot);
    }
    if !slots.contains_key(&pin) {
        let image = world.get_resource_mut::<Assets<Image>>()?.add(preview_image(size));
        let id = world.get_resource_mut::<EguiUserTextures>()?.add_image(EguiTextureHandle::Strong(image.clone()));
        let preview = world.spawn((EditorOwn, PinPreview { pin, image: image.clone(), interval })).id();
        slots.insert(pin, Slot { preview, image, size, id });
    }
    let slot = slots.get(&pin)?;
    Some(Texture { id: slot.id, aspect: slot.size.x as f32 / slot.size.y as f32 })
}

fn release(world: &mut World, slot: Slot) {
    world.despawn(slot.preview);
    if let Some(mut textures) = world.get_resource_mut::<EguiUserTextures>() {
        textures.remove_image(slot.image.id());
    }
}
