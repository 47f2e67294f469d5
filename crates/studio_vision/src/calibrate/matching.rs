//! Which features of two lenses are the same thing, and where exactly.

use super::{
    ControlPoint,
    features::{Feature, View, normalise},
};
use bevy::math::DVec2;

/// The least likeness (normalised correlation) of a match.
const LEAST_LIKENESS: f32 = 0.75;
/// How much less like (as a share of 1 − likeness) the best match must be than the next one (Lowe, “Distinctive Image Features from
/// Scale-Invariant Keypoints”, IJCV 2004).
const RATIO: f32 = 0.85;
/// Samples a side of the patch that is laid over the other, a pixel apart.
const FINE_SIDE: i32 = 17;
/// The least likeness after that.
const LEAST_FINE_LIKENESS: f32 = 0.85;
/// How far a match may move while it is laid over, in pixels.
const LARGEST_MOVE_PX: f64 = 4.0;

/// Pairs of features that are each other's most alike, by their indices.
pub(super) fn pairs(a: &[Feature], b: &[Feature], view: &View, search_rad: f64) -> Vec<(usize, usize)> {
    let best = |feature: &Feature, others: &[Feature]| {
        let mut best: [(f32, usize); 2] = [(-1.0, usize::MAX); 2];
        for (index, other) in others.iter().enumerate() {
            if view.surface.apart(feature.point, other.point) > search_rad {
                continue;
            }
            let likeness: f32 = feature.descriptor.iter().zip(&other.descriptor).map(|(a, b)| a * b).sum();
            if likeness > best[0].0 {
                best = [(likeness, index), best[0]];
            } else if likeness > best[1].0 {
                best[1] = (likeness, index);
            }
        }
        let [first, second] = best;
        (first.0 > LEAST_LIKENESS && 1.0 - first.0 < RATIO * (1.0 - second.0)).then_some(first.1)
    };
    let back: Vec<Option<usize>> = b.iter().map(|feature| best(feature, a)).collect();
    let forward = a.iter().enumerate().filter_map(|(index, feature)| Some((index, best(feature, b)?)));
    forward.filter(|(index, other)| back[*other] == Some(*index)).collect()
}

/// The control point of a pair: the second feature is moved until its surroundings lie over the first one's (Lucas and Kanade,
/// 1981, for a shift, with brightness and contrast left out). `None` where they do not come to lie over each other.
pub(super) fn control_point(lenses: [usize; 2], views: [&View; 2], features: [&Feature; 2]) -> Option<ControlPoint> {
    let tangents = [0, 1].map(|side: usize| views[side].surface.tangent(features[side].point, views[side].pixel_rad));
    let wanted = normalise(views[0].patch(&tangents[0], DVec2::ZERO, FINE_SIDE, 1.0)?)?;
    let look = |offset: DVec2| normalise(views[1].patch(&tangents[1], offset, FINE_SIDE, 1.0)?);
    let mut offset = DVec2::ZERO;
    let mut likeness = -1.0;
    for _ in 0..12 {
        let here = look(offset)?;
        likeness = here.iter().zip(&wanted).map(|(a, b)| a * b).sum::<f32>();
        let slope = |axis: DVec2| -> Option<Vec<f32>> {
            let (more, less) = (look(offset + axis * 0.5)?, look(offset - axis * 0.5)?);
            Some(more.iter().zip(&less).map(|(more, less)| more - less).collect())
        };
        let (gx, gy) = (slope(DVec2::X)?, slope(DVec2::Y)?);
        let dot = |a: &[f32], b: &[f32]| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
        let missing: Vec<f32> = wanted.iter().zip(&here).map(|(wanted, here)| wanted - here).collect();
        let (xx, xy, yy) = (dot(&gx, &gx), dot(&gx, &gy), dot(&gy, &gy));
        let determinant = xx * yy - xy * xy;
        let (x, y) = (dot(&gx, &missing), dot(&gy, &missing));
        let step = DVec2::new(yy * x - xy * y, xx * y - xy * x) / determinant;
        if !step.is_finite() {
            return None;
        }
        let step = step.clamp_length_max(1.0);
        offset += step;
        if offset.length() > LARGEST_MOVE_PX {
            return None;
        }
        if step.length() < 1e-3 {
            break;
        }
    }
    let pixel = views[1].surface.project(views[1].lens, tangents[1].at(offset))?;
    let is_good = likeness > LEAST_FINE_LIKENESS && views[1].lens.edge_deg(pixel) > 0.0;
    is_good.then_some(ControlPoint { lenses, pixels: [features[0].pixel, pixel] })
}
