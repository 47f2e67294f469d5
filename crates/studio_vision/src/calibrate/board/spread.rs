//! Which of many views say most: those that differ most.

use bevy::math::DVec2;

/// What a view is like, so that views whose numbers are near show the board in the same way: where it is, how wide and high, how slanted, and how
/// lopsided, which is what tilts make of it. In shares of the picture.
fn likeness(pixels: &[DVec2], width_px: f64) -> [f64; 7] {
    let count = pixels.len().max(1) as f64;
    let mean = pixels.iter().sum::<DVec2>() / count;
    let moment = |value: &dyn Fn(DVec2) -> f64| pixels.iter().map(|pixel| value(*pixel - mean)).sum::<f64>() / count;
    let mixed = moment(&|offset| offset.x * offset.y);
    [
        mean.x,
        mean.y,
        moment(&|offset| offset.x * offset.x).sqrt(),
        moment(&|offset| offset.y * offset.y).sqrt(),
        mixed.signum() * mixed.abs().sqrt(),
        moment(&|offset| offset.x.powi(3)).cbrt(),
        moment(&|offset| offset.y.powi(3)).cbrt(),
    ]
    .map(|value| value / width_px.max(1.0))
}

/// The views, at most `most`, that are farthest from one another, in order: first the one with the most corners, then always the one that
/// is least like those that are chosen (Gonzalez, “Clustering to minimize the maximum intercluster distance”, 1985).
pub(super) fn most_different(views: &[Vec<DVec2>], width_px: f64, most: usize) -> Vec<usize> {
    let likenesses: Vec<[f64; 7]> = views.iter().map(|pixels| likeness(pixels, width_px)).collect();
    let mut nearest = vec![f64::INFINITY; views.len()];
    let mut next = (0..views.len()).rev().max_by_key(|index| views[*index].len());
    let mut chosen = Vec::new();
    while let Some(index) = next.filter(|_| chosen.len() < most) {
        chosen.push(index);
        for (distance, other) in nearest.iter_mut().zip(&likenesses) {
            *distance = distance.min(likenesses[index].iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum());
        }
        nearest[index] = -1.0;
        next = (0..views.len()).rev().filter(|index| nearest[*index] >= 0.0).max_by(|a, b| nearest[*a].total_cmp(&nearest[*b]));
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_that_are_alike_are_passed_over() {
        let view = |x: f64, scale: f64| -> Vec<DVec2> {
            (0..12).map(|index| DVec2::new(x + f64::from(index % 4) * scale, 100.0 + f64::from(index / 4) * scale)).collect()
        };
        let views = [view(100.0, 20.0), view(101.0, 20.0), view(500.0, 20.0), view(102.0, 20.0), view(100.0, 60.0)];
        assert_eq!(most_different(&views, 800.0, 3), [0, 2, 4]);
        assert_eq!(most_different(&views, 800.0, 9), [0, 1, 2, 3, 4]);
        assert!(most_different(&[], 800.0, 3).is_empty());
    }
}
