//! Least squares over what two lenses see of the same patches.
//!
//! The unknowns are logarithms of gains, so that the system is linear and its trivial solution (all gains zero) does not exist; else it is
//! Brown and Lowe's, *Automatic Panoramic Image Stitching using Invariant Features* (IJCV 2007), section 6, made robust by weights that
//! fall with what a patch leaves unexplained (iteratively reweighted least squares): things near by, which both lenses see in different
//! places, have little say.

use bevy::math::DVec2;

/// Turns of reweighting in which what is far off counts by its distance, not its square (Huber): there is one minimum, the start does not matter.
const ABSOLUTE_TURNS: usize = 6;
/// Further turns, in which what is far off counts next to nothing.
const TURNS: usize = 3;
/// What a patch may leave unexplained, as a logarithm of light, before it counts less.
const TOLERANCE: f64 = 0.1;
/// What the wish for gains near where they are counts, beside all patches of a lens.
const ANCHOR: f64 = 1e-3;
/// What the wish for neighbouring blocks to be alike counts, in patches.
const SMOOTHNESS: f64 = 6.0;
/// What the wish for blocks to be like their lens counts, in patches.
const BLOCK_ANCHOR: f64 = 0.05;
/// Steps of conjugate gradients for blocks: they go on from where they were.
const BLOCK_STEPS: usize = 12;

/// What two lenses see of one patch, in one colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    pub lenses: [usize; 2],
    pub places: [DVec2; 2],
    /// Logarithm of the second lens's light less the first's: what the first's gain should be above the second's.
    pub log_gain: f64,
}

/// The gain of each lens as a logarithm. `current` are the gains in use: lenses that nothing is known of keep theirs, and the mean of those
/// that are only compared with each other stays near `wanted`.
pub(super) fn solve_lenses(differences: &[Difference], current: &[f64], wanted: &[f64]) -> Vec<f64> {
    let lenses = current.len();
    let mut gains = current.to_vec();
    for turn in 0..ABSOLUTE_TURNS + TURNS {
        let mut pairs = vec![0.0; lenses * lenses];
        let mut right = vec![0.0; lenses];
        let mut diagonal = vec![0.0; lenses];
        for Difference { lenses: [a, b], log_gain, .. } in differences {
            let left = log_gain - (gains[*a] - gains[*b]);
            // What was in use before must not decide which patches are believed: the first turn believes all.
            let weight = match turn {
                0 => 1.0,
                1..=ABSOLUTE_TURNS => (TOLERANCE / left.abs()).min(1.0),
                _ => weight(left),
            };
            pairs[a.min(b) * lenses + a.max(b)] += weight;
            diagonal[*a] += weight;
            diagonal[*b] += weight;
            right[*a] += weight * log_gain;
            right[*b] -= weight * log_gain;
        }
        for lens in 0..lenses {
            let anchor = ANCHOR * diagonal[lens] + 1e-9;
            diagonal[lens] += anchor;
            right[lens] += anchor * wanted[lens];
        }
        let apply = |x: &[f64], product: &mut [f64]| {
            for lens in 0..lenses {
                product[lens] = diagonal[lens] * x[lens];
            }
            for a in 0..lenses {
                for b in a + 1..lenses {
                    product[a] -= pairs[a * lenses + b] * x[b];
                    product[b] -= pairs[a * lenses + b] * x[a];
                }
            }
        };
        conjugate_gradients(apply, &right, &mut gains, 4 * lenses);
    }
    gains
}

/// What each block of each lens adds to its lens's gain, as logarithms: `side` × `side` nodes a lens, from the top left to the bottom
/// right corner of its region. `blocks` are those in use and become better ones.
pub(super) fn solve_blocks(differences: &[Difference], lens_gains: &[f64], side: usize, blocks: &mut [f64]) {
    let nodes = side * side;
    let corners: Vec<_> = (differences.iter())
        .map(|difference| {
            let [a, b] = difference.lenses;
            let mut corners = [(0, 0.0); 8];
            for (index, (lens, sign)) in [(a, 1.0), (b, -1.0)].into_iter().enumerate() {
                for (corner, (node, share)) in around(difference.places[index], side).into_iter().enumerate() {
                    corners[4 * index + corner] = (lens * nodes + node, sign * share);
                }
            }
            (corners, difference.log_gain - (lens_gains[a] - lens_gains[b]))
        })
        .collect();
    let sum = |corners: &[(usize, f64); 8], x: &[f64]| corners.iter().map(|(node, share)| share * x[*node]).sum::<f64>();
    let weights: Vec<f64> = corners.iter().map(|(corners, wanted)| weight(wanted - sum(corners, blocks))).collect();
    let mut right = vec![0.0; blocks.len()];
    for ((corners, wanted), weight) in corners.iter().zip(&weights) {
        corners.iter().for_each(|(node, share)| right[*node] += weight * share * wanted);
    }
    let apply = |x: &[f64], product: &mut [f64]| {
        product.iter_mut().zip(x).for_each(|(product, x)| *product = BLOCK_ANCHOR * x);
        for ((corners, _), weight) in corners.iter().zip(&weights) {
            let along = weight * sum(corners, x);
            corners.iter().for_each(|(node, share)| product[*node] += along * share);
        }
        for first in (0..x.len()).step_by(nodes) {
            for node in 0..nodes {
                let (column, row) = (node % side, node / side);
                for (is_inside, next) in [(column + 1 < side, node + 1), (row + 1 < side, node + side)] {
                    if is_inside {
                        let step = SMOOTHNESS * (x[first + node] - x[first + next]);
                        product[first + node] += step;
                        product[first + next] -= step;
                    }
                }
            }
        }
    };
    conjugate_gradients(apply, &right, blocks, BLOCK_STEPS);
}

/// The four nodes around a place, and their shares in it.
pub(super) fn around(place: DVec2, side: usize) -> [(usize, f64); 4] {
    let at = place * (side - 1) as f64;
    let low = at.floor().clamp(DVec2::ZERO, DVec2::splat((side.max(2) - 2) as f64));
    let part = at - low;
    let first = low.y as usize * side + low.x as usize;
    [
        (first, (1.0 - part.x) * (1.0 - part.y)),
        (first + 1, part.x * (1.0 - part.y)),
        (first + side, (1.0 - part.x) * part.y),
        (first + side + 1, part.x * part.y),
    ]
}

/// How far a patch is believed that leaves this unexplained.
fn weight(left: f64) -> f64 {
    1.0 / (1.0 + (left / TOLERANCE).powi(2))
}

/// Improves `x` towards `apply(x) = right`, for a symmetric and positive definite system (Hestenes and Stiefel, 1952).
fn conjugate_gradients(apply: impl Fn(&[f64], &mut [f64]), right: &[f64], x: &mut [f64], steps: usize) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut product = vec![0.0; x.len()];
    apply(x, &mut product);
    let mut rest: Vec<f64> = right.iter().zip(&product).map(|(right, product)| right - product).collect();
    let mut way = rest.clone();
    let mut length = dot(&rest, &rest);
    for _ in 0..steps {
        if length < 1e-18 {
            return;
        }
        apply(&way, &mut product);
        let step = length / dot(&way, &product);
        for index in 0..x.len() {
            x[index] += step * way[index];
            rest[index] -= step * product[index];
        }
        let next = dot(&rest, &rest);
        let share = next / length;
        way.iter_mut().zip(&rest).for_each(|(way, rest)| *way = rest + share * *way);
        length = next;
    }
}
