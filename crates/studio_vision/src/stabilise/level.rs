//! Level horizons.

use crate::rig::YawPitchRoll;
use bevy::math::{DMat3, DQuat, DVec3};

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
    let down = least_axis(moments)?;
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
