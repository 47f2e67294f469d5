//! How much lenses disagree about what both of them see.

use super::{CalibrateError, Surface, picture::LensPicture};
use crate::rig::{PreparedRig, Rig};
use bevy::math::DVec2;
use serde::Serialize;

/// Samples across the larger side of a lens's picture.
const SAMPLES: f64 = 400.0;

/// How much lenses disagree where they overlap, over all places that both see before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Disagreement {
    /// Places that were compared.
    pub count: usize,
    /// Mean absolute difference of luma, 0 to 255.
    pub luma: f64,
    /// The same after each pair's mean and contrast were made equal: what exposure does not explain.
    pub luma_matched: f64,
}

/// Compares the lumas of two lenses at the same places of a surface, for two states of a rig.
pub(super) fn overlap_luma(
    rigs: [&Rig; 2],
    pictures: &[LensPicture],
    surface: &Surface,
) -> Result<[Disagreement; 2], CalibrateError> {
    let rigs = [PreparedRig::new(rigs[0])?, PreparedRig::new(rigs[1])?];
    let mut sums = [Disagreement::default(); 2];
    for first in 0..rigs[0].lenses.len() {
        for second in first + 1..rigs[0].lenses.len() {
            let region = rigs[0].lenses[first].region;
            let (min, max) = (DVec2::from_array(region.min), DVec2::from_array(region.max));
            let step = (max - min).max_element() / SAMPLES;
            let steps = ((max - min) / step).floor();
            // Pairs of lumas, for both states.
            let mut pairs: [Vec<[f64; 2]>; 2] = [Vec::new(), Vec::new()];
            for y in 0..steps.y as u32 {
                for x in 0..steps.x as u32 {
                    let pixel = min + (DVec2::new(f64::from(x), f64::from(y)) + 0.5) * step;
                    let seen = rigs.each_ref().map(|rig| {
                        let [a, b] = [&rig.lenses[first], &rig.lenses[second]];
                        let there = surface.project(b, surface.point(a, pixel)?)?;
                        let is_seen = a.edge_deg(pixel) > 0.5 && b.edge_deg(there) > 0.5;
                        is_seen.then(|| [pictures[a.picture].luma(pixel), pictures[b.picture].luma(there)].map(f64::from))
                    });
                    if let [Some(before), Some(after)] = seen {
                        pairs[0].push(before);
                        pairs[1].push(after);
                    }
                }
            }
            for (sum, pairs) in sums.iter_mut().zip(&pairs) {
                let count = pairs.len().max(1) as f64;
                let mean = [0, 1].map(|side: usize| pairs.iter().map(|pair| pair[side]).sum::<f64>() / count);
                let deviation = [0, 1].map(|side: usize| {
                    (pairs.iter().map(|pair| (pair[side] - mean[side]).powi(2)).sum::<f64>() / count).sqrt().max(1e-6)
                });
                let common = (deviation[0] * deviation[1]).sqrt();
                sum.count += pairs.len();
                sum.luma += pairs.iter().map(|[a, b]| (a - b).abs()).sum::<f64>();
                let matched = |[a, b]: &[f64; 2]| ((a - mean[0]) / deviation[0] - (b - mean[1]) / deviation[1]).abs() * common;
                sum.luma_matched += pairs.iter().map(matched).sum::<f64>();
            }
        }
    }
    Ok(sums.map(|sum| {
        let count = sum.count.max(1) as f64;
        Disagreement { count: sum.count, luma: sum.luma / count, luma_matched: sum.luma_matched / count }
    }))
}
