//! Surfaces drawn first and lit afterwards, by a compute shader.
//!
//! A forward pass lights a surface where its triangles are drawn: small triangles light up to four times as many pixels as they
//! cover, and what is covered later was lit for nothing. Graphics processors made for computing have it worse: only a few of their
//! processors run vertex and fragment shaders. Here the opaque objects' properties (colour, normal, roughness, depth; Bevy's own
//! G-buffer) are drawn by Bevy's deferred prepass, and one compute pass lights each pixel once, with Bevy's own lighting functions.
//!
//! Bevy decides for each material, for all cameras alike, whether it is drawn forward or deferred. Here it is the camera's choice:
//! materials stay forward, and `queue` moves opaque objects of such cameras from the forward phases to the deferred one. What a
//! G-buffer cannot hold stays forward: transparent and masked objects, tinted highlights, anisotropy, materials of other kinds.
//!
//! | module | what it does |
//! |---|---|
//! | `queue` | which objects are drawn into the G-buffer |
//! | `light` | the compute pass |

mod light;
mod queue;

#[cfg(test)]
pub(super) use light::LightPass;

use super::camera::{SceneLook, SceneShading};
use bevy::{
    camera::CameraMainTextureUsages,
    core_pipeline::prepass::DeferredPrepass,
    prelude::*,
    render::{
        extract_component::{ExtractComponent, ExtractComponentPlugin},
        render_resource::TextureUsages,
        sync_component::SyncComponent,
    },
};

/// On a camera: its opaque objects are lit by the compute pass.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct LitByCompute;

impl SyncComponent for LitByCompute {
    type Target = Self;
}

impl ExtractComponent for LitByCompute {
    type QueryData = &'static Self;
    type QueryFilter = ();
    type Out = Self;

    fn extract_component(item: bevy::ecs::query::QueryItem<'_, '_, Self::QueryData>) -> Option<Self::Out> {
        Some(*item)
    }
}

impl SceneLook {
    /// Gives a camera what its shading needs, or takes it away.
    pub(super) fn shade(&self, camera: &mut EntityCommands) {
        if self.shading == SceneShading::Deferred {
            let usages = CameraMainTextureUsages::default().with(TextureUsages::COPY_DST);
            // The depth is read where it was drawn: copying it would take longer than lighting.
            let depth = TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING;
            let camera_3d = Camera3d { depth_texture_usages: depth.into(), ..default() };
            camera.insert((LitByCompute, DeferredPrepass, usages, camera_3d));
        } else {
            camera.remove::<(LitByCompute, DeferredPrepass)>();
        }
    }
}

pub(super) fn plugin(app: &mut App) {
    app.add_plugins(ExtractComponentPlugin::<LitByCompute>::default());
    queue::plugin(app);
    light::plugin(app);
}
