//! Weights of blend shapes.

use crate::geometry::MorphTarget;
use std::sync::Arc;
use studio_usd::snapshot::{BlendShape, SkelAnimation, SkinBinding};

/// The weight of each morph target of a part at a time: what `MorphWeights` has to be.
///
/// The animation's weights are found by the names of its blend shapes; shapes that it does not name have none. Where a shape has others on
/// the way to it, the two around the weight share it, as `UsdSkel` has it; weights below the first and above the last go on along the
/// outermost pair.
pub fn morph_weights(
    targets: &[MorphTarget],
    binding: &SkinBinding,
    shapes: &[Option<Arc<BlendShape>>],
    animation: Option<&SkelAnimation>,
    time: f64,
) -> Vec<f32> {
    let mut weights = vec![0.0; targets.len()];
    let Some(animation) = animation else { return weights };
    let Some(animated) = animation.blend_shape_weights.at(time) else { return weights };
    for (number, (name, _)) in binding.blend_shapes.iter().enumerate() {
        let place = animation.blend_shapes.iter().position(|animated| animated == name);
        let weight = place.and_then(|place| animated.get(place)).copied().filter(|weight| weight.is_finite());
        let (Some(weight), Some(Some(shape))) = (weight, shapes.get(number)) else { continue };
        for (inbetween, share) in shares(shape, weight) {
            let target = targets.iter().position(|target| target.blend_shape == number && target.inbetween == inbetween);
            if let Some(slot) = target.and_then(|target| weights.get_mut(target)) {
                *slot += share;
            }
        }
    }
    weights
}

/// How a weight is shared between a shape (`None`) and those on the way to it.
fn shares(shape: &BlendShape, weight: f32) -> Vec<(Option<usize>, f32)> {
    /// A place on the way: its weight, and the shape there; nothing at 0.
    type Stop = (f32, Option<Option<usize>>);
    let between = shape.inbetweens.iter().enumerate().map(|(at, (_, weight, _, _))| (*weight, Some(Some(at))));
    let ends: [Stop; 2] = [(0.0, None), (1.0, Some(None))];
    let mut stops: Vec<Stop> =
        between.filter(|(weight, _)| weight.is_finite() && *weight != 0.0 && *weight != 1.0).chain(ends).collect();
    stops.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let after = stops.partition_point(|(at, _)| *at <= weight).clamp(1, stops.len() - 1);
    let (Some((low, low_shape)), Some((high, high_shape))) = (stops.get(after - 1), stops.get(after)) else { return Vec::new() };
    let fraction = (weight - low) / (high - low);
    let shares = [(low_shape, 1.0 - fraction), (high_shape, fraction)];
    let shares = shares.into_iter().filter_map(|(shape, share)| Some((shape.as_ref().copied()?, share)));
    shares.filter(|(_, share)| *share != 0.0 && share.is_finite()).collect()
}
