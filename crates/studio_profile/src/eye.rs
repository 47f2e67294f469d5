//! What an eye sees: angles, their tangents, and the matrix that projects it.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// The angles from straight ahead to the four edges of an eye's view, in degrees, all outwards and above 0.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EyeFov {
    /// To the left edge.
    pub left_deg: f32,
    /// To the right edge.
    pub right_deg: f32,
    /// To the upper edge.
    pub up_deg: f32,
    /// To the lower edge.
    pub down_deg: f32,
}

impl Default for EyeFov {
    fn default() -> Self {
        Self { left_deg: 45.0, right_deg: 45.0, up_deg: 45.0, down_deg: 45.0 }
    }
}

/// Tangents of the four angles of an [`EyeFov`]: the edges of the view on a plane at distance 1, all counted outwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EyeTangents {
    /// To the left edge.
    pub left: f32,
    /// To the right edge.
    pub right: f32,
    /// To the upper edge.
    pub up: f32,
    /// To the lower edge.
    pub down: f32,
}

impl EyeFov {
    /// The smallest and largest angle to an edge, in degrees.
    pub const RANGE_DEG: core::ops::RangeInclusive<f32> = 1.0..=85.0;

    /// Says which angle is out of range.
    ///
    /// # Errors
    /// What is wrong, with the range.
    pub fn check(&self) -> Result<(), String> {
        let angles =
            [("left_deg", self.left_deg), ("right_deg", self.right_deg), ("up_deg", self.up_deg), ("down_deg", self.down_deg)];
        match angles.iter().find(|(_, angle)| !Self::RANGE_DEG.contains(angle)) {
            Some((name, angle)) => {
                let (least, most) = (Self::RANGE_DEG.start(), Self::RANGE_DEG.end());
                Err(format!("has {name} {angle}: {least} to {most} degrees, counted outwards"))
            }
            None => Ok(()),
        }
    }

    /// The tangents of the angles.
    pub fn tangents(&self) -> EyeTangents {
        let tangent = |angle_deg: f32| angle_deg.to_radians().tan();
        EyeTangents {
            left: tangent(self.left_deg),
            right: tangent(self.right_deg),
            up: tangent(self.up_deg),
            down: tangent(self.down_deg),
        }
    }
}

impl EyeTangents {
    /// Left, right, up and down.
    pub const fn to_array(self) -> [f32; 4] {
        [self.left, self.right, self.up, self.down]
    }

    /// The off-axis projection from the eye's view to clip space, as Bevy has it: X right, Y up, looking along -Z, depth 1
    /// at `near_m` and 0 infinitely far away.
    pub fn clip_from_view(self, near_m: f32) -> Mat4 {
        let (width, height) = (self.left + self.right, self.up + self.down);
        Mat4::from_cols(
            Vec4::new(2.0 / width, 0.0, 0.0, 0.0),
            Vec4::new(0.0, 2.0 / height, 0.0, 0.0),
            Vec4::new((self.right - self.left) / width, (self.up - self.down) / height, 0.0, -1.0),
            Vec4::new(0.0, 0.0, near_m, 0.0),
        )
    }

    /// The direction, not of length 1, at a place of the view: from 0 to 1 to the right and down.
    pub fn direction(self, at: Vec2) -> Vec3 {
        Vec3::new(at.x * (self.left + self.right) - self.left, self.up - at.y * (self.up + self.down), -1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOV: EyeFov = EyeFov { left_deg: 52.0, right_deg: 45.0, up_deg: 48.0, down_deg: 50.0 };

    #[test]
    fn a_quest_2_s_angles_give_the_tangents_that_its_runtime_reports() {
        // Recorded by hmdq from the Oculus runtime: left -1.279942, right 1, bottom -1.191754, top 1.110613.
        let got = FOV.tangents();
        for (got, want) in [(got.left, 1.279_942), (got.right, 1.0), (got.up, 1.110_613), (got.down, 1.191_754)] {
            assert!((got - want).abs() < 2e-6, "{got} is not {want}");
        }
    }

    #[test]
    fn the_edges_of_the_view_are_the_edges_of_clip_space() {
        let tangents = FOV.tangents();
        let clip_from_view = tangents.clip_from_view(0.1);
        for (at, corner) in
            [(Vec2::ZERO, Vec2::new(-1.0, 1.0)), (Vec2::ONE, Vec2::new(1.0, -1.0)), (Vec2::splat(0.5), Vec2::ZERO)]
        {
            let clip = clip_from_view * (tangents.direction(at) * 7.0).extend(1.0);
            let found = clip.truncate().truncate() / clip.w;
            assert!((found - corner).length() < 1e-6, "{at} lies at {found}");
        }
        let near = clip_from_view * Vec4::new(0.0, 0.0, -0.1, 1.0);
        let far = clip_from_view * Vec4::new(0.0, 0.0, -1e9, 1.0);
        assert!((near.z / near.w - 1.0).abs() < 1e-6 && (far.z / far.w).abs() < 1e-6);
        // By hand for straight ahead: (right - left) / (left + right) = -0.279942 / 2.279942 of the width, mirrored.
        let ahead = clip_from_view * Vec4::new(0.0, 0.0, -1.0, 1.0);
        assert!((ahead.x / ahead.w - 0.122_785).abs() < 1e-5, "{}", ahead.x);
    }
}
