//! Cascades of directional lights that stay where they are while the camera needs nothing beyond them.
//!
//! A cascade is a box along the light's rays that holds a slice of what the camera sees: Bevy makes it as large as the slice's
//! diagonal, so that it keeps its size however the camera turns, and places it anew in every frame. Here it is larger by
//! [`ShadowReuse::slack`], and is placed anew when the slice has left it, or, one box a frame, when the slice has drifted through
//! half of the slack.

use super::{reuse::ShadowReuse, rig::RigCamera, shadows::SharesShadowsOf};
use bevy::{
    light::{
        CascadeShadowConfig, Cascades, DirectionalLightShadowMap, SimulationLightSystems,
        cascade::{Cascade, build_directional_light_cascades},
    },
    math::Vec3A,
    platform::collections::HashMap,
    prelude::*,
};

/// A box of a light's own space that was placed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Placed {
    light: Quat,
    /// The slice's diagonal, in metres.
    diagonal_m: f32,
    texels: f32,
    slack: f32,
    min: Vec3A,
    max: Vec3A,
}

impl Placed {
    /// A box around a slice, given by its corners in the light's space.
    fn around(light: Quat, texels: f32, slack: f32, slice: &Slice) -> Self {
        // Whole metres and whole texels keep the edges of shadows still.
        let diameter = (slice.diagonal_m * (1.0 + slack)).ceil();
        let texel = diameter / texels;
        let middle = ((slice.min + slice.max) / 2.0 / texel).floor() * texel;
        let depth = (slice.diagonal_m * slack / 2.0).max(0.0);
        let half = diameter / 2.0;
        Self {
            light,
            diagonal_m: slice.diagonal_m,
            texels,
            slack,
            min: Vec3A::new(middle.x - half, middle.y - half, slice.min.z - depth),
            max: Vec3A::new(middle.x + half, middle.y + half, slice.max.z + depth),
        }
    }

    /// How much of its slack a slice has used: 0 in the middle, 1 where it touches a side, more outside.
    fn used(&self, slice: &Slice) -> f32 {
        let out = (self.min - slice.min).max(slice.max - self.max).max_element();
        let room = (self.diagonal_m * self.slack / 2.0).max(1e-6);
        1.0 + out / room
    }

    fn fits(&self, light: Quat, texels: f32, slack: f32, slice: &Slice) -> bool {
        self.light == light && self.texels == texels && self.slack == slack && (self.diagonal_m - slice.diagonal_m).abs() < 1e-3
    }

    /// As Bevy describes it: an orthographic view along the light's rays, reverse depth, from the middle of the near side.
    fn cascade(&self) -> Cascade {
        let size = self.max - self.min;
        let near = Vec3A::new((self.min.x + self.max.x) / 2.0, (self.min.y + self.max.y) / 2.0, self.max.z);
        let world_from_light = Mat4::from_quat(self.light);
        let light_from_world = world_from_light.transpose();
        let cascade_from_world =
            Mat4::from_cols(light_from_world.x_axis, light_from_world.y_axis, light_from_world.z_axis, (-near).extend(1.0));
        let world_from_cascade = Mat4::from_cols(
            world_from_light.x_axis,
            world_from_light.y_axis,
            world_from_light.z_axis,
            world_from_light * near.extend(1.0),
        );
        let clip_from_cascade = Mat4::from_cols(
            Vec4::new(2.0 / size.x, 0.0, 0.0, 0.0),
            Vec4::new(0.0, 2.0 / size.y, 0.0, 0.0),
            Vec4::new(0.0, 0.0, 1.0 / size.z, 0.0),
            Vec4::new(0.0, 0.0, 1.0, 1.0),
        );
        let clip_from_world = clip_from_cascade * cascade_from_world;
        Cascade { world_from_cascade, clip_from_cascade, clip_from_world, texel_size: size.x / self.texels }
    }
}

/// A slice of what a camera sees, in a light's space.
struct Slice {
    min: Vec3A,
    max: Vec3A,
    diagonal_m: f32,
}

impl Slice {
    fn new(corners: [Vec3A; 8], light_from_camera: Mat4) -> Self {
        let diagonal_m = (corners[0] - corners[6]).length().max((corners[4] - corners[6]).length());
        let points = corners.map(|corner| light_from_camera.transform_point3a(corner));
        let min = points.iter().copied().fold(Vec3A::splat(f32::MAX), Vec3A::min);
        let max = points.iter().copied().fold(Vec3A::splat(f32::MIN), Vec3A::max);
        Self { min, max, diagonal_m }
    }
}

/// The boxes of each light and camera.
#[derive(Resource, Default)]
struct HeldCascades(HashMap<(Entity, Entity), Vec<Placed>>);

/// Puts held cascades in the place of those that Bevy worked out, for the cameras of rigs.
fn hold_cascades(
    reuse: Res<ShadowReuse>,
    map: Res<DirectionalLightShadowMap>,
    cameras: Query<(Entity, &Camera, &GlobalTransform, &Projection), (With<RigCamera>, Without<SharesShadowsOf>)>,
    mut lights: Query<(Entity, &GlobalTransform, &DirectionalLight, &CascadeShadowConfig, &mut Cascades)>,
    mut held: ResMut<HeldCascades>,
) {
    let slack = if reuse.slack.is_finite() { reuse.slack.clamp(0.0, 1.0) } else { 0.0 };
    if !reuse.enabled || slack == 0.0 {
        held.0.clear();
        return;
    }
    let texels = map.size as f32;
    let mut used = Vec::new();
    // The box that has drifted most and may move in this frame.
    let mut drifted: Option<(f32, (Entity, Entity), usize, Placed)> = None;
    for (light, place, settings, config, mut cascades) in &mut lights {
        if !settings.shadow_maps_enabled {
            continue;
        }
        let rotation = place.rotation();
        let light_from_world = Mat4::from_quat(rotation).transpose();
        for (camera, settings, place, projection) in &cameras {
            let Some(own) = cascades.cascades.get_mut(&camera).filter(|own| settings.is_active && !own.is_empty()) else {
                continue;
            };
            let key = (light, camera);
            used.push(key);
            let boxes = held.0.entry(key).or_default();
            boxes.truncate(config.bounds.len());
            let light_from_camera = light_from_world * place.to_matrix();
            let mut near = config.minimum_distance;
            for (index, (far, cascade)) in config.bounds.iter().zip(own.iter_mut()).enumerate() {
                let slice = Slice::new(projection.get_frustum_corners(-near, -far), light_from_camera);
                near = (1.0 - config.overlap_proportion) * far;
                let fresh = || Placed::around(rotation, texels, slack, &slice);
                match boxes.get_mut(index) {
                    Some(placed) => {
                        let drift = placed.used(&slice);
                        if !placed.fits(rotation, texels, slack, &slice) || drift > 1.0 {
                            *placed = fresh();
                        } else if drift > 0.5 && drifted.is_none_or(|(most, ..)| drift > most) {
                            drifted = Some((drift, key, index, fresh()));
                        }
                    }
                    None => boxes.push(fresh()),
                }
                if let Some(placed) = boxes.get(index) {
                    *cascade = placed.cascade();
                }
            }
        }
    }
    held.0.retain(|key, _| used.contains(key));
    if let Some((_, (light, camera), index, placed)) = drifted {
        if let Some(place) = held.0.get_mut(&(light, camera)).and_then(|boxes| boxes.get_mut(index)) {
            *place = placed;
        }
        let cascades = lights.get_mut(light).ok().map(|(.., cascades)| cascades.into_inner());
        if let Some(cascade) = cascades.and_then(|all| all.cascades.get_mut(&camera)).and_then(|own| own.get_mut(index)) {
            *cascade = placed.cascade();
        }
    }
}

pub(super) fn plugin(app: &mut App) {
    app.init_resource::<HeldCascades>().add_systems(
        PostUpdate,
        hold_cascades
            .in_set(SimulationLightSystems::UpdateDirectionalLightCascades)
            .after(build_directional_light_cascades)
            .before(SimulationLightSystems::UpdateLightFrusta),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stereo::frustum::{EyeFrustum, OffAxisProjection};
    use bevy::camera::CameraProjection as _;

    fn slice(turn: f32, far: f32) -> Slice {
        let projection = OffAxisProjection::new(EyeFrustum::square(1.1), 0.1, 1000.0);
        let light = Transform::default().looking_to(Vec3::new(-1.0, -2.0, -1.0), Vec3::Y).rotation;
        let camera = Mat4::from_rotation_translation(Quat::from_rotation_y(turn), Vec3::new(0.3, 1.7, 0.2));
        Slice::new(projection.get_frustum_corners(-0.1, -far), Mat4::from_quat(light).transpose() * camera)
    }

    fn placed(slice: &Slice) -> Placed {
        let light = Transform::default().looking_to(Vec3::new(-1.0, -2.0, -1.0), Vec3::Y).rotation;
        Placed::around(light, 2048.0, 0.25, slice)
    }

    #[test]
    fn a_box_holds_its_slice_with_room_to_turn() {
        for far in [10.0, 24.7, 60.8, 150.0] {
            let still = placed(&slice(0.0, far));
            assert!(still.used(&slice(0.0, far)) < 0.5, "{far} m: {}", still.used(&slice(0.0, far)));
            assert!(still.used(&slice(0.1, far)) < 1.0, "{far} m, turned by 6°: {}", still.used(&slice(0.1, far)));
            assert!(still.used(&slice(1.5, far)) > 1.0, "{far} m, turned away");
        }
    }

    #[test]
    fn every_point_of_the_slice_lies_within_the_cascade() {
        let projection = OffAxisProjection::new(EyeFrustum::square(1.1), 0.1, 1000.0);
        let cascade = placed(&slice(0.0, 10.0)).cascade();
        let camera = Mat4::from_translation(Vec3::new(0.3, 1.7, 0.2));
        for corner in projection.get_frustum_corners(-0.1, -10.0) {
            let at = cascade.clip_from_world.project_point3(camera.transform_point3(corner.into()));
            assert!(at.x.abs() <= 1.0 && at.y.abs() <= 1.0 && (0.0..=1.0).contains(&at.z), "{at}");
            let back = cascade.world_from_cascade.inverse() * camera.transform_point3(corner.into()).extend(1.0);
            assert!((cascade.clip_from_cascade * back).truncate().distance(at) < 1e-4);
        }
    }
}
