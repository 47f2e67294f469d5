//! Matches that agree with each other (Fischler and Bolles, “Random Sample Consensus”, CACM 1981).

use super::Surface;
use bevy::math::{DMat3, DVec2, DVec3};

const ROUNDS: usize = 600;

/// How what one lens sees lies relative to what another sees, while their directions are not yet right.
enum Motion {
    /// A turn around the origin.
    Turn(DMat3),
    /// A turn, a scale and a shift on a plane, as complex numbers.
    Slide { factor: DVec2, shift: DVec2, axes: [DVec3; 2] },
}

fn times(a: DVec2, b: DVec2) -> DVec2 {
    DVec2::new(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x)
}

impl Motion {
    /// The motion that takes two points to two others.
    fn of(surface: &Surface, [a, b]: [DVec3; 2], [p, q]: [DVec3; 2]) -> Option<Self> {
        if let Surface::Plane { normal, .. } = *surface {
            let (across, down) = normal.any_orthonormal_pair();
            let axes = [across, down];
            let flat = |point: DVec3| DVec2::new(point.dot(across), point.dot(down));
            let (from, to) = (flat(b) - flat(a), flat(q) - flat(p));
            let factor = times(to, DVec2::new(from.x, -from.y)) / from.length_squared();
            let is_likely = factor.is_finite() && (0.8..1.25).contains(&factor.length());
            return is_likely.then(|| Self::Slide { factor, shift: flat(p) - times(factor, flat(a)), axes });
        }
        let frame = |first: DVec3, second: DVec3| {
            let first = first.normalize();
            let across = first.cross(second.normalize());
            (across.length() > 0.02).then(|| {
                let across = across.normalize();
                DMat3::from_cols(first, across, first.cross(across))
            })
        };
        Some(Self::Turn(frame(p, q)? * frame(a, b)?.transpose()))
    }

    fn apply(&self, point: DVec3) -> DVec3 {
        match self {
            Self::Turn(turn) => *turn * point,
            Self::Slide { factor, shift, axes: [across, down] } => {
                let flat = DVec2::new(point.dot(*across), point.dot(*down));
                let moved = times(*factor, flat) + *shift;
                point + *across * (moved.x - flat.x) + *down * (moved.y - flat.y)
            }
        }
    }
}

/// Which pairs of points agree with the motion that most agree with, within `tolerance_rad`. The same pairs always give the same answer.
pub(super) fn consensus(surface: &Surface, pairs: &[[DVec3; 2]], tolerance_rad: f64) -> Vec<bool> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % pairs.len().max(1)
    };
    let mut best = vec![false; pairs.len()];
    let mut most = 0;
    for _ in 0..if pairs.len() < 2 { 0 } else { ROUNDS } {
        let (first, second) = (pairs[draw()], pairs[draw()]);
        let Some(motion) = Motion::of(surface, [first[0], second[0]], [first[1], second[1]]) else { continue };
        let agrees = pairs.iter().map(|[from, to]| surface.apart(motion.apply(*from), *to) < tolerance_rad);
        let agreeing: Vec<bool> = agrees.collect();
        let count = agreeing.iter().filter(|agrees| **agrees).count();
        if count > most {
            (most, best) = (count, agreeing);
        }
    }
    best
}
