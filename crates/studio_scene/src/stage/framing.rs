//! Where a camera has to stand to see a stage.

use bevy::{camera::primitives::Aabb, prelude::*};

/// The box around everything drawn and visible below an entity, in the world, as it is posed now: smallest and largest corner. `None` where
/// nothing is drawn, or Bevy has not measured it yet (it does so in the first frame, of what joints move in the second).
pub fn bounds_below(
    root: Entity,
    children: &Query<&Children>,
    drawn: &Query<(&Aabb, &GlobalTransform, &InheritedVisibility)>,
) -> Option<(Vec3, Vec3)> {
    let mut bounds: Option<(Vec3, Vec3)> = None;
    for entity in std::iter::once(root).chain(children.iter_descendants(root)) {
        let Ok((aabb, global, visibility)) = drawn.get(entity) else { continue };
        if !visibility.get() {
            continue;
        }
        for corner in 0..8_u32 {
            let sign = |bit: u32| if corner >> bit & 1 == 0 { -1.0 } else { 1.0 };
            let offset = Vec3::from(aabb.half_extents) * Vec3::new(sign(0), sign(1), sign(2));
            let point = global.transform_point(Vec3::from(aabb.center) + offset);
            if point.is_finite() {
                let (min, max) = bounds.unwrap_or((point, point));
                bounds = Some((min.min(point), max.max(point)));
            }
        }
    }
    bounds
}

/// A camera's place from where it sees all of a box: in the direction `from` of its middle, with a vertical field of view in radians.
pub fn frame(bounds: (Vec3, Vec3), from: Vec3, fov_y: f32, aspect_ratio: f32) -> Transform {
    let (min, max) = bounds;
    let middle = (min + max) / 2.0;
    let radius = ((max - min).length() / 2.0).max(1e-6);
    let half = (fov_y / 2.0).clamp(1e-3, 1.5);
    // The narrower side decides.
    let half = half.min((half.tan() * aspect_ratio.max(1e-3)).atan());
    let direction = from.try_normalize().unwrap_or(Vec3::Z);
    let up = if direction.cross(Vec3::Y).length_squared() < 1e-6 { Vec3::Z } else { Vec3::Y };
    Transform::from_translation(middle + direction * radius / half.sin()).looking_at(middle, up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_box_is_within_the_view() {
        let bounds = (Vec3::new(-1.0, 0.0, 2.0), Vec3::new(3.0, 2.0, 4.0));
        for aspect_ratio in [0.5, 1.0, 2.0] {
            let camera = frame(bounds, Vec3::new(1.0, 0.5, 1.0), 0.8, aspect_ratio);
            let view = camera.to_matrix().inverse();
            for corner in [bounds.0, bounds.1] {
                let seen = view.transform_point3(corner);
                let half = (0.4_f32).tan();
                assert!(
                    seen.z < 0.0 && seen.y.abs() <= -seen.z * half && seen.x.abs() <= -seen.z * half * aspect_ratio,
                    "{seen}"
                );
            }
        }
    }
}
