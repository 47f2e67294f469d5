//! Where a flat board is, from its corners.

use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use nalgebra::{DMatrix, SymmetricEigen};

/// A board's place in front of a lens: what takes the board's points into the lens's frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    pub turn: DQuat,
    pub shift: DVec3,
}

impl Pose {
    pub fn apply(&self, point: DVec2) -> DVec3 {
        self.turn * point.extend(0.0) + self.shift
    }

    /// The pose turned and shifted a little.
    pub fn moved(&self, by: &[f64]) -> Self {
        let turn = DQuat::from_scaled_axis(DVec3::from_slice(&by[..3]));
        Self {
            turn: (turn * self.turn).normalize(),
            shift: self.shift + DVec3::from_slice(&by[3..6]) * self.shift.length().max(1e-9),
        }
    }

    /// The pose for which points of the board lie on rays, from the plane's homography (Zhang, “A Flexible New Technique for Camera Calibration”,
    /// PAMI 2000). Rays more than some 80° from the axis are left out; `None` if too few remain or they leave it open.
    pub fn from_rays(points: &[(DVec2, DVec3)]) -> Option<Self> {
        let usable: Vec<(DVec2, DVec2)> = points
            .iter()
            .filter(|(_, ray)| ray.z > 0.17 * ray.length())
            .map(|(point, ray)| (*point, ray.truncate() / ray.z))
            .collect();
        if usable.len() < 6 {
            return None;
        }
        // Both sides are brought to a mean of zero and a size of one: the equations would be badly scaled otherwise (Hartley, 1997).
        let normal = |values: &dyn Fn(&(DVec2, DVec2)) -> DVec2| {
            let mean = usable.iter().map(values).sum::<DVec2>() / usable.len() as f64;
            let size = usable.iter().map(|pair| values(pair).distance(mean)).sum::<f64>() / usable.len() as f64;
            (mean, size.max(1e-12))
        };
        let ((from_mean, from_size), (to_mean, to_size)) = (normal(&|pair| pair.0), normal(&|pair| pair.1));
        let mut equations = DMatrix::<f64>::zeros(9, 9);
        for (from, to) in &usable {
            let (p, q) = ((*from - from_mean) / from_size, (*to - to_mean) / to_size);
            for row in [
                [p.x, p.y, 1.0, 0.0, 0.0, 0.0, -q.x * p.x, -q.x * p.y, -q.x],
                [0.0, 0.0, 0.0, p.x, p.y, 1.0, -q.y * p.x, -q.y * p.y, -q.y],
            ] {
                for (i, a) in row.iter().enumerate() {
                    for (j, b) in row.iter().enumerate() {
                        equations[(i, j)] += a * b;
                    }
                }
            }
        }
        let eigen = SymmetricEigen::new(equations);
        let least = (0..9_usize).min_by(|a, b| eigen.eigenvalues[*a].total_cmp(&eigen.eigenvalues[*b]))?;
        let h = eigen.eigenvectors.column(least);
        let plain = DMat3::from_cols(DVec3::new(h[0], h[3], h[6]), DVec3::new(h[1], h[4], h[7]), DVec3::new(h[2], h[5], h[8]));
        let from = DMat3::from_cols(
            DVec3::new(1.0 / from_size, 0.0, 0.0),
            DVec3::new(0.0, 1.0 / from_size, 0.0),
            DVec3::new(-from_mean.x / from_size, -from_mean.y / from_size, 1.0),
        );
        let to = DMat3::from_cols(DVec3::new(to_size, 0.0, 0.0), DVec3::new(0.0, to_size, 0.0), to_mean.extend(1.0));
        let homography = to * plain * from;
        let (first, second) = (homography.x_axis, homography.y_axis);
        let size = (first.length() * second.length()).sqrt();
        let depth = homography * from_mean.extend(1.0);
        let scale = if depth.z < 0.0 { -1.0 / size } else { 1.0 / size };
        let x = (first * scale).try_normalize()?;
        let y = (second * scale - x * x.dot(second * scale)).try_normalize()?;
        let turn = DQuat::from_mat3(&DMat3::from_cols(x, y, x.cross(y))).normalize();
        let pose = Self { turn, shift: homography.z_axis * scale };
        (pose.turn.is_finite() && pose.shift.is_finite()).then_some(pose)
    }
}
