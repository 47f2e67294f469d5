//! Light for stages that have none.

use super::{StageView, UsdLight};
use bevy::prelude::*;
use std::f32::consts::PI;

/// What lights a stage without a light, as viewers do. Set it before the app runs, or at any time.
#[derive(Resource, Clone, Debug, Reflect)]
#[reflect(Resource)]
pub struct DefaultLighting {
    /// Whether there is such a light.
    pub is_enabled: bool,
    /// Illuminance of a surface that faces the camera, lux. π makes a white, matt one as bright as 1 nit, which a USD camera shows as white.
    pub headlight_lx: f32,
    /// Ambient light on top, nits.
    pub ambient_nits: f32,
    /// Ambient light that holds now: 0 where the stage has lights of its own.
    #[reflect(ignore)]
    pub(super) ambient_nits_now: f32,
}

impl Default for DefaultLighting {
    fn default() -> Self {
        Self { is_enabled: true, headlight_lx: PI * 0.9, ambient_nits: 0.1, ambient_nits_now: 0.0 }
    }
}

/// The light that goes along with a camera where the stage has none: there is one, whatever the number of cameras, for Bevy's lights shine
/// for all of them.
#[derive(Component, Clone, Copy, Debug)]
pub struct Headlight;

/// Puts the headlight at the first active camera that sees the stage, or takes it away where the stage has lights.
pub(super) fn update_headlight(
    mut commands: Commands,
    mut lighting: ResMut<DefaultLighting>,
    lights: Query<(), With<UsdLight>>,
    views: Query<(Entity, &Camera, &GlobalTransform), (With<StageView>, Without<Headlight>)>,
    mut headlights: Query<(Entity, &mut Transform, &mut DirectionalLight), With<Headlight>>,
) {
    let first = views.iter().filter(|(_, camera, _)| camera.is_active).min_by_key(|(entity, camera, _)| (camera.order, *entity));
    let view = first.filter(|_| lighting.is_enabled && lights.is_empty());
    let ambient = if view.is_some() { lighting.ambient_nits.max(0.0) } else { 0.0 };
    if lighting.ambient_nits_now != ambient {
        lighting.ambient_nits_now = ambient;
    }
    let Some((_, _, global)) = view else {
        headlights.iter().for_each(|(entity, ..)| commands.entity(entity).despawn());
        return;
    };
    let transform = Transform::from_rotation(global.rotation());
    if headlights.is_empty() {
        let light = DirectionalLight { illuminance: lighting.headlight_lx, ..default() };
        commands.spawn((Headlight, light, transform));
        return;
    }
    for (_, mut now, mut light) in &mut headlights {
        if !now.rotation.abs_diff_eq(transform.rotation, 1e-6) {
            *now = transform;
        }
        if light.illuminance != lighting.headlight_lx {
            light.illuminance = lighting.headlight_lx;
        }
    }
}
