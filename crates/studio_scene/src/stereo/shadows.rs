//! One set of shadow maps for several cameras.
//!
//! Bevy shares the shadow maps of point and spot lights between cameras, but draws the cascades of directional lights anew for
//! each, into one texture that every camera overwrites. Cameras that stand close together do not need that: here a camera with
//! [`SharesShadowsOf`] gets no cascades of its own, so nothing is culled, queued or drawn for them, and it reads the maps that
//! the camera before it left in the texture, by that camera's matrices. The first camera's cascades cover what the others see
//! ([`ShadowReach`](super::frustum::ShadowReach)).

use bevy::{
    light::{Cascades, SimulationLightSystems, cascade::build_directional_light_cascades},
    pbr::ViewLightsUniformOffset,
    prelude::*,
    render::{Extract, ExtractSchedule, Render, RenderApp, RenderSystems, sync_world::RenderEntity},
};

/// On a camera: it uses the shadow maps of directional lights that were drawn for that camera. Both must be alike in size,
/// clusters, near plane and render layers, and that camera, or another that shares with it, must be the one rendered before
/// this one.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharesShadowsOf(pub Entity);

/// In the render world: cameras that share, and with which.
#[derive(Resource, Default)]
struct SharedShadows(Vec<(Entity, Entity)>);

pub(super) fn plugin(app: &mut App) {
    app.add_systems(
        PostUpdate,
        drop_cascades
            .in_set(SimulationLightSystems::UpdateDirectionalLightCascades)
            .after(build_directional_light_cascades)
            .before(SimulationLightSystems::UpdateLightFrusta),
    );
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app
        .init_resource::<SharedShadows>()
        .add_systems(ExtractSchedule, extract_shared)
        .add_systems(Render, share_lights.in_set(RenderSystems::PrepareResources));
}

/// Takes away the cascades that Bevy worked out for cameras that share. The empty list stays: Bevy expects one for every
/// camera.
fn drop_cascades(sharing: Query<(Entity, &SharesShadowsOf, &Camera)>, cameras: Query<&Camera>, mut lights: Query<&mut Cascades>) {
    for (camera, shares, settings) in &sharing {
        let leads = cameras.get(shares.0).is_ok_and(|leader| leader.is_active);
        if !settings.is_active || !leads {
            continue;
        }
        for mut cascades in &mut lights {
            if let Some(own) = cascades.cascades.get_mut(&camera) {
                own.clear();
            }
        }
    }
}

fn extract_shared(
    sharing: Extract<Query<(RenderEntity, &SharesShadowsOf)>>,
    cameras: Extract<Query<(RenderEntity, &Camera)>>,
    mut shared: ResMut<SharedShadows>,
) {
    shared.0.clear();
    shared.0.extend(sharing.iter().filter_map(|(camera, shares)| {
        let (leader, settings) = cameras.get(shares.0).ok()?;
        settings.is_active.then_some((camera, leader))
    }));
}

/// Has cameras read the lights, and so the matrices of the shadow maps, of those that they share with.
fn share_lights(shared: Res<SharedShadows>, mut views: Query<&mut ViewLightsUniformOffset>) {
    for (camera, leader) in &shared.0 {
        let Ok(offset) = views.get(*leader).map(|lights| lights.offset) else { continue };
        if let Ok(mut lights) = views.get_mut(*camera) {
            lights.offset = offset;
        }
    }
}
