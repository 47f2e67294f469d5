//! How much of each lens a pixel gets.

use super::StitchBlend;

/// Widest fade to black in degrees: in a small picture, a step must not reach from the edge of a lens to its seam.
const WIDEST_EDGE_DEG: f64 = 1.0;

/// The weights of lenses at one point.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightRule {
    /// Width of the fade across a seam in degrees, above 0.
    fade_deg: f64,
    /// Width of the fade to black at the edge of everything, in degrees, above 0.
    edge_deg: f64,
}

impl WeightRule {
    /// The rule for a blend whose finest step is `step_deg` degrees.
    pub fn new(blend: StitchBlend, step_deg: f64) -> Self {
        let width = match blend {
            // The coarse bands fade wider than this; the finest fades over the finest step.
            StitchBlend::Nearest | StitchBlend::MultiBand { .. } => 0.0,
            StitchBlend::Feather { width_deg } => f64::from(width_deg),
        };
        Self { fade_deg: width.max(step_deg), edge_deg: step_deg.min(WIDEST_EDGE_DEG) }
    }

    /// How far a seam fades to both sides, in degrees.
    pub fn fade_deg(&self) -> f64 {
        self.fade_deg
    }

    /// Replaces each lens's distance inside of its picture's edge (degrees; negative is outside) by its weight. The
    /// weights add up to 1, or less towards where no lens sees anything.
    ///
    /// A lens weighs ½ where its distance equals its best rival's, and fades as far as the setting says to both sides; it
    /// must also be half of that inside of its own picture, so that it has no weight at its edge.
    pub fn weigh(&self, edges_deg: &mut [f64]) {
        self.weigh_shifted(edges_deg, None);
    }

    /// The same with a seam that lies elsewhere: where the first of two lenses sees so many degrees deeper than in the middle between both, and
    /// the second as much less deep.
    pub fn weigh_shifted(&self, edges_deg: &mut [f64], shift: Option<([usize; 2], f64)>) {
        let shifted = |index: usize, edge: f64| match shift {
            Some(([first, _], degrees)) if first == index => edge - degrees,
            Some(([_, second], degrees)) if second == index => edge + degrees,
            _ => edge,
        };
        let best = |skip: Option<usize>, edges: &[f64]| {
            let others = edges.iter().enumerate().filter(|(index, _)| Some(*index) != skip);
            others.map(|(index, edge)| shifted(index, *edge)).fold(f64::NEG_INFINITY, f64::max)
        };
        let deepest = edges_deg.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if deepest <= 0.0 {
            edges_deg.fill(0.0);
            return;
        }
        let coverage = (deepest / self.edge_deg).min(1.0);
        let nearest = best(None, edges_deg);
        let winner = (0..edges_deg.len()).find(|index| shifted(*index, edges_deg[*index]) == nearest);
        let second = best(winner, edges_deg);
        let mut sum = 0.0;
        for (index, edge) in edges_deg.iter_mut().enumerate() {
            let rival = if Some(index) == winner { second } else { nearest };
            let across = 0.5 + (shifted(index, *edge) - rival) / (2.0 * self.fade_deg);
            let inside = *edge / (self.fade_deg / 2.0);
            *edge = across.min(inside).clamp(0.0, 1.0);
            sum += *edge;
        }
        for weight in edges_deg {
            *weight *= coverage / sum;
        }
    }
}

/// Rounds weights (0 to 1) to bytes whose sum is the rounded sum, so that no brightness is lost or made.
pub(super) fn quantise(weights: &[f64], bytes: &mut [u8]) {
    let total = (weights.iter().sum::<f64>() * 255.0).round() as i32;
    let mut largest = 0;
    let mut sum = 0;
    for (index, weight) in weights.iter().enumerate() {
        bytes[index] = (weight * 255.0).round() as u8;
        sum += i32::from(bytes[index]);
        if weights[index] > weights[largest] {
            largest = index;
        }
    }
    bytes[largest] = (i32::from(bytes[largest]) + total - sum).clamp(0, 255) as u8;
}
