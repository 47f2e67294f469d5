//! Off-axis view frusta.
//!
//! The two eyes look in the same direction; where their pictures converge is set by shearing the frusta, never by turning the
//! cameras inwards ("toe-in"), which would give the pictures different vertical positions off their centres (Paul Bourke,
//! "Calculating stereo pairs", 1999). With the eyes `±ipd / 2` to the side of the middle, a screen `convergence` away whose
//! middle view has the half-angle tangents `t`, each eye sees the same piece of that screen:
//!
//! ```text
//! left eye:   left = −t + i,  right = t + i        i = ipd / (2 · convergence)
//! right eye:  left = −t − i,  right = t − i
//! ```
//!
//! What stands in the plane at `convergence` has no parallax; with an infinite one, `i` is zero and infinity has none.

use bevy::{camera::CameraProjection, camera::SubCameraView, math::Vec3A, prelude::*};

/// A view frustum by the tangents of the angles between its axis and its four sides: left and bottom are negative where the
/// axis lies within the frustum.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct EyeFrustum {
    /// Tangent of the left side.
    pub left: f32,
    /// Tangent of the right side, above `left`.
    pub right: f32,
    /// Tangent of the lower side.
    pub down: f32,
    /// Tangent of the upper side, above `down`.
    pub up: f32,
}

impl EyeFrustum {
    /// A symmetric frustum of a full vertical angle in degrees (above 0, below 180) and an aspect (width by height).
    pub fn symmetric(vertical_deg: f32, aspect: f32) -> Self {
        let up = (vertical_deg.clamp(0.1, 179.0).to_radians() / 2.0).tan();
        Self { left: -up * aspect, right: up * aspect, down: -up, up }
    }

    /// A square frustum whose sides have the tangent `tangent`.
    pub const fn square(tangent: f32) -> Self {
        Self { left: -tangent, right: tangent, down: -tangent, up: tangent }
    }

    /// The frustum of a perspective camera's matrix; none if it is no perspective.
    pub fn of_matrix(clip_from_view: &Mat4) -> Option<Self> {
        let (x, y) = (clip_from_view.x_axis.x, clip_from_view.y_axis.y);
        if clip_from_view.w_axis.w != 0.0 || x.abs() < 1e-6 || y.abs() < 1e-6 {
            return None;
        }
        let (shear_x, shear_y) = (clip_from_view.z_axis.x, clip_from_view.z_axis.y);
        let found =
            Self { left: (shear_x - 1.0) / x, right: (shear_x + 1.0) / x, down: (shear_y - 1.0) / y, up: (shear_y + 1.0) / y };
        found.is_proper().then_some(found)
    }

    /// Whether the numbers are finite and enclose something.
    pub fn is_proper(&self) -> bool {
        let finite = [self.left, self.right, self.down, self.up].iter().all(|side| side.is_finite());
        finite && self.left < self.right && self.down < self.up
    }

    /// Moved to the right by a tangent.
    pub fn sheared(self, by: f32) -> Self {
        Self { left: self.left + by, right: self.right + by, ..self }
    }

    /// The same height, and as wide as a picture of this aspect (width by height) needs, about the same middle.
    pub fn with_aspect(self, aspect: f32) -> Self {
        let (middle, half) = ((self.left + self.right) / 2.0, (self.up - self.down) / 2.0 * aspect);
        Self { left: middle - half, right: middle + half, ..self }
    }

    /// Wider on every side by `border_px` pixels of a picture of `size` pixels that shows this frustum: the inner pixels stay
    /// where they are, and interpolating up to the edge stays within the picture.
    pub fn with_border(self, size: UVec2, border_px: u32) -> Self {
        let inner = size.saturating_sub(UVec2::splat(2 * border_px)).max(UVec2::ONE).as_vec2();
        let step = Vec2::new(self.right - self.left, self.up - self.down) / inner * border_px as f32;
        Self { left: self.left - step.x, right: self.right + step.x, down: self.down - step.y, up: self.up + step.y }
    }

    /// The smallest frustum that holds both.
    pub fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            right: self.right.max(other.right),
            down: self.down.min(other.down),
            up: self.up.max(other.up),
        }
    }

    /// The smallest frustum that holds these points of the view plane (`x / −z`, `y / −z`); none without points.
    pub fn around(points: impl IntoIterator<Item = Vec2>) -> Option<Self> {
        let point = |at: Vec2| Self { left: at.x, right: at.x, down: at.y, up: at.y };
        points.into_iter().map(point).reduce(Self::union)
    }

    /// Width by height.
    pub fn aspect(&self) -> f32 {
        (self.right - self.left) / (self.up - self.down)
    }
}

/// What the shadow maps of directional lights must cover when several cameras use those of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub enum ShadowReach {
    /// The camera's own frustum.
    #[default]
    Own,
    /// The frustum of a parallel camera too, which stands `offset_m` to the right.
    Pair {
        /// The other camera's frustum.
        other: EyeFrustum,
        /// Where it stands, in metres.
        offset_m: f32,
    },
    /// Everything around, for cameras that stand at most `pad_m` away and look anywhere.
    Around {
        /// In metres.
        pad_m: f32,
    },
}

/// A perspective projection of any frustum: reverse depth, far plane at infinity, as Bevy's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OffAxisProjection {
    /// The frustum.
    pub frustum: EyeFrustum,
    /// Distance of the near plane in metres.
    pub near_m: f32,
    /// Beyond this distance in metres objects are left out.
    pub far_m: f32,
    /// What shadow maps must cover.
    pub shadow_reach: ShadowReach,
}

impl OffAxisProjection {
    /// A projection with its own shadow maps.
    pub const fn new(frustum: EyeFrustum, near_m: f32, far_m: f32) -> Self {
        Self { frustum, near_m, far_m, shadow_reach: ShadowReach::Own }
    }

    fn matrix(&self, frustum: EyeFrustum) -> Mat4 {
        let EyeFrustum { left, right, down, up } = frustum;
        let (width, height) = (right - left, up - down);
        Mat4::from_cols(
            Vec4::new(2.0 / width, 0.0, 0.0, 0.0),
            Vec4::new(0.0, 2.0 / height, 0.0, 0.0),
            Vec4::new((right + left) / width, (up + down) / height, 0.0, -1.0),
            Vec4::new(0.0, 0.0, self.near_m, 0.0),
        )
    }
}

impl CameraProjection for OffAxisProjection {
    fn get_clip_from_view(&self) -> Mat4 {
        self.matrix(self.frustum)
    }

    fn get_clip_from_view_for_sub(&self, sub_view: &SubCameraView) -> Mat4 {
        let full = sub_view.full_size.as_vec2();
        let (start, end) = (sub_view.offset / full, (sub_view.offset + sub_view.size.as_vec2()) / full);
        let EyeFrustum { left, right, down, up } = self.frustum;
        self.matrix(EyeFrustum {
            left: left + (right - left) * start.x,
            right: left + (right - left) * end.x,
            down: up - (up - down) * end.y,
            up: up - (up - down) * start.y,
        })
    }

    /// The frustum is the rig's, whatever the size of the picture.
    fn update(&mut self, _width: f32, _height: f32) {}

    fn far(&self) -> f32 {
        self.far_m
    }

    fn get_frustum_corners(&self, z_near: f32, z_far: f32) -> [Vec3A; 8] {
        let (near, far) = (z_near.abs(), z_far.abs());
        let plane = |distance: f32, z: f32| {
            let own = |tangent: f32| tangent * distance;
            let EyeFrustum { left, right, down, up } = self.frustum;
            let (mut min, mut max) = (Vec2::new(own(left), own(down)), Vec2::new(own(right), own(up)));
            if let ShadowReach::Pair { other, offset_m } = self.shadow_reach {
                min = min.min(Vec2::new(own(other.left) + offset_m, own(other.down)));
                max = max.max(Vec2::new(own(other.right) + offset_m, own(other.up)));
            }
            corners(min, max, z)
        };
        let [a, b] = match self.shadow_reach {
            // A box: what lies at most `far` deep in a view in any direction.
            ShadowReach::Around { pad_m } => {
                let reach = far * self.frustum.widest().max(1.0) + pad_m;
                [reach, -reach].map(|z| corners(Vec2::splat(-reach), Vec2::splat(reach), z))
            }
            ShadowReach::Own | ShadowReach::Pair { .. } => [plane(near, z_near), plane(far, z_far)],
        };
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
    }
}

impl EyeFrustum {
    fn widest(&self) -> f32 {
        [self.left, self.right, self.down, self.up].iter().fold(0.0, |widest, side| widest.max(side.abs()))
    }
}

/// Bottom right, top right, top left, bottom left.
fn corners(min: Vec2, max: Vec2, z: f32) -> [Vec3A; 4] {
    [Vec3A::new(max.x, min.y, z), Vec3A::new(max.x, max.y, z), Vec3A::new(min.x, max.y, z), Vec3A::new(min.x, min.y, z)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen_at(projection: &OffAxisProjection, point: Vec3) -> Vec3 {
        projection.get_clip_from_view().project_point3(point)
    }

    #[test]
    fn the_sides_of_the_frustum_are_the_sides_of_the_picture() {
        let frustum = EyeFrustum { left: -1.2, right: 0.8, down: -0.5, up: 0.9 };
        let projection = OffAxisProjection::new(frustum, 0.1, 100.0);
        let corner = seen_at(&projection, Vec3::new(-1.2, 0.9, -1.0) * 7.0);
        assert!((corner.x + 1.0).abs() < 1e-5 && (corner.y - 1.0).abs() < 1e-5, "{corner}");
        assert!((seen_at(&projection, Vec3::new(0.0, 0.0, -0.1)).z - 1.0).abs() < 1e-6, "the near plane has depth 1");
        assert!(seen_at(&projection, Vec3::new(0.0, 0.0, -1e7)).z < 1e-6, "infinity has depth 0");
    }

    proptest! {
        #[test]
        fn a_frustum_comes_back_from_its_matrix(left in -3.0_f32..-0.01, right in 0.01_f32..3.0, down in -3.0_f32..-0.01, up in 0.01_f32..3.0) {
            let frustum = EyeFrustum { left, right, down, up };
            let back = EyeFrustum::of_matrix(&OffAxisProjection::new(frustum, 0.1, 10.0).get_clip_from_view()).expect("perspective");
            for (was, is) in [(left, back.left), (right, back.right), (down, back.down), (up, back.up)] {
                prop_assert!((was - is).abs() < 1e-4, "{frustum:?} {back:?}");
            }
        }

        #[test]
        fn a_border_leaves_the_inner_pixels_where_they_are(tangent in 0.2_f32..3.0, side in 16_u32..2000, border in 1_u32..4) {
            let frustum = EyeFrustum::square(tangent);
            let wide = frustum.with_border(UVec2::splat(side), border);
            let px = (wide.right - wide.left) / side as f32;
            prop_assert!((wide.left + px * border as f32 - frustum.left).abs() < 1e-4 * tangent);
        }
    }

    #[test]
    fn a_part_of_the_picture_has_a_part_of_the_frustum() {
        let frustum = EyeFrustum { left: -1.0, right: 2.0, down: -1.0, up: 3.0 };
        let projection = OffAxisProjection::new(frustum, 0.1, 10.0);
        let sub = SubCameraView { full_size: UVec2::new(300, 400), offset: Vec2::new(100.0, 100.0), size: UVec2::new(100, 200) };
        let part = EyeFrustum::of_matrix(&projection.get_clip_from_view_for_sub(&sub)).expect("perspective");
        for (is, should) in [(part.left, 0.0), (part.right, 1.0), (part.up, 2.0), (part.down, 0.0)] {
            assert!((is - should).abs() < 1e-5, "{part:?}");
        }
    }

    #[test]
    fn shared_shadows_cover_the_other_eye() {
        let other = EyeFrustum { left: -0.9, right: 1.4, down: -1.0, up: 1.0 };
        let reach = ShadowReach::Pair { other, offset_m: 0.06 };
        let pair = OffAxisProjection { shadow_reach: reach, ..OffAxisProjection::new(EyeFrustum::square(1.0), 0.1, 10.0) };
        let corners = pair.get_frustum_corners(-1.0, -10.0);
        assert!((corners[4].x - 14.06).abs() < 1e-4 && (corners[7].x + 10.0).abs() < 1e-4, "{corners:?}");
    }
}
