//! Level horizons.

use crate::rig::YawPitchRoll;
use bevy::{
    math::{DMat3, DQuat, DVec3},
    prelude::*,
};
use serde::{Deserialize, Serialize};

/// How a rig hangs, and so what levels its horizon.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub enum Level {
    /// By angles: where the middle of a level picture lies in the rig's frame.
    Angles(YawPitchRoll),
    /// By the way down in the rig's frame (x right, y down, z ahead), of any length: the opposite of what an accelerometer feels at rest.
    Down([f64; 3]),
    /// By two or more points of the horizon, each as yaw and pitch in degrees in a picture of the rig that is not levelled: to the right and
    /// up from its middle.
    Horizon(Vec<[f64; 2]>),
}

impl Default for Level {
    fn default() -> Self {
        Self::Angles(YawPitchRoll::default())
    }
}

impl Level {
    /// The orientation that levels the picture.
    ///
    /// # Errors
    /// What is wrong with the direction or the points.
    pub fn orientation(&self) -> Result<YawPitchRoll, String> {
        match self {
            Self::Angles(angles) => Ok(*angles),
            Self::Down(down) => {
                let level = level_from_gravity(DVec3::from_array(*down));
                level.ok_or_else(|| format!("is Down({down:?}): it must be a direction with a length"))
            }
            Self::Horizon(points_deg) => {
                let direction =
                    |[yaw_deg, pitch_deg]: &[f64; 2]| YawPitchRoll::new(*yaw_deg, *pitch_deg, 0.0).matrix() * DVec3::Z;
                let points: Vec<DVec3> = points_deg.iter().take(Self::MOST_POINTS).map(direction).collect();
                let level = level_from_horizon(&points);
                level.ok_or_else(|| "is Horizon of points that lie in no one plane: give two or more, well apart".to_owned())
            }
        }
    }

    /// The most points of a horizon that count.
    const MOST_POINTS: usize = 1000;
}

/// The orientation whose view has the way down (a direction of the rig's frame: x right, y down, z ahead; the opposite of what an
/// accelerometer feels at rest) at its bottom, turned as little as that takes. `None` where the direction has no length.
pub fn level_from_gravity(down: DVec3) -> Option<YawPitchRoll> {
    let down = down.try_normalize()?;
    Some(YawPitchRoll::from_matrix(DMat3::from_quat(DQuat::from_rotation_arc(DVec3::Y, down))))
}

/// The same from two or more points of the horizon, as directions of the rig's frame: down is the normal of the plane that they lie in, by
/// least squares. `None` where the points do not span a plane; of both normals, the one nearer to the rig's own down is taken.
pub fn level_from_horizon(points: &[DVec3]) -> Option<YawPitchRoll> {
    let points: Vec<DVec3> = points.iter().filter_map(|point| point.try_normalize()).collect();
    let mut moments = DMat3::ZERO;
    for point in &points {
        moments += DMat3::from_cols(*point * point.x, *point * point.y, *point * point.z);
    }
    let down = least_axis(moments).filter(|axis| axis.is_finite())?;
    level_from_gravity(if down.y < 0.0 { -down } else { down })
}

/// The axis of a symmetric positive matrix with the least moment, if it is the only one: Jacobi's rotations.
fn least_axis(mut matrix: DMat3) -> Option<DVec3> {
    let mut axes = DMat3::IDENTITY;
    for _ in 0..16 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            let off = matrix.col(q)[p];
            if off.abs() < 1e-15 {
                continue;
            }
            let theta = 0.5 * (2.0 * off).atan2(matrix.col(q)[q] - matrix.col(p)[p]);
            let (sin, cos) = theta.sin_cos();
            let mut turn = DMat3::IDENTITY;
            turn.col_mut(p)[p] = cos;
            turn.col_mut(q)[q] = cos;
            turn.col_mut(q)[p] = sin;
            turn.col_mut(p)[q] = -sin;
            matrix = turn.transpose() * matrix * turn;
            axes *= turn;
        }
    }
    let mut moments: Vec<(f64, DVec3)> = (0..3).map(|axis| (matrix.col(axis)[axis], axes.col(axis))).collect();
    moments.sort_by(|a, b| a.0.total_cmp(&b.0));
    (moments[1].0 - moments[0].0 > 1e-6).then_some(moments[0].1)
}
