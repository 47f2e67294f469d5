//! Where seams may run: the bands between neighbouring lenses that both of them see.

use crate::{
    rig::PreparedRig,
    stitch::watch::{MARGIN_DEG, sphere, two_best},
};
use bevy::math::{DMat3, DVec3};
use core::f64::consts::TAU;

/// Directions that are tried to learn which lenses are neighbours.
const DIRECTIONS: usize = 6144;
/// Two lenses are neighbours if they are the two best in so many of those.
const FEWEST: usize = 8;
/// Rows of cells across a border.
pub(super) const ROWS: usize = 14;
/// Columns of cells once around a border, where the rig has one.
const MOST_COLUMNS: usize = 120;
/// About how many cells all borders have together.
const CELLS: usize = 2000;

/// The border between two lenses, as a band of cells around the axis that leads from the second lens's direction to the first's.
#[derive(Clone, Debug)]
pub(in crate::stitch) struct Border {
    pub lenses: [usize; 2],
    border_from_rig: DMat3,
    pub columns: usize,
    /// Latitudes of the band's edges about its axis, in radians.
    latitudes: [f64; 2],
}

impl Border {
    /// All borders of a rig, for a scene at a distance in metres or infinitely far.
    pub fn all(rig: &PreparedRig, distance_m: Option<f64>) -> Vec<Self> {
        let mut found: Vec<([usize; 2], Vec<DVec3>)> = Vec::new();
        for direction in sphere(DIRECTIONS) {
            let Some(lenses) = two_best(rig, direction, distance_m) else { continue };
            match found.iter_mut().find(|(known, _)| *known == lenses) {
                Some((_, directions)) => directions.push(direction),
                None => found.push((lenses, vec![direction])),
            }
        }
        found.retain(|(_, directions)| directions.len() >= FEWEST);
        let columns = (CELLS / (ROWS * found.len().max(1))).max(24);
        // A border that goes only part of the way around leaves its other columns empty.
        let border = |(lenses, directions): &([usize; 2], Vec<DVec3>)| {
            let axes = lenses.map(|lens| rig.lenses[lens].direction(rig.lenses[lens].projector.center()));
            let [Some(first), Some(second)] = axes else { return None };
            let axis = (first - second).try_normalize().unwrap_or_else(|| first.any_orthonormal_vector());
            let (along, across) = axis.any_orthonormal_pair();
            let border_from_rig = DMat3::from_cols(along, across, axis).transpose();
            let latitude = |direction: &DVec3| axis.dot(*direction).clamp(-1.0, 1.0).asin();
            let lowest = directions.iter().map(latitude).fold(f64::MAX, f64::min);
            let highest = directions.iter().map(latitude).fold(f64::MIN, f64::max);
            let columns = (columns * 3 / 2).min(MOST_COLUMNS);
            (highest - lowest > 1e-3).then_some(Self { lenses: *lenses, border_from_rig, columns, latitudes: [lowest, highest] })
        };
        found.iter().filter_map(border).collect()
    }

    /// Height of a row in degrees.
    pub fn row_deg(&self) -> f64 {
        ((self.latitudes[1] - self.latitudes[0]) / ROWS as f64).to_degrees()
    }

    /// Columns and rows of all cells.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.columns * ROWS).map(|index| (index / ROWS, index % ROWS))
    }

    /// The middle of a cell, and half of its sides as vectors.
    pub fn cell(&self, column: usize, row: usize) -> (DVec3, [DVec3; 2]) {
        let [low, high] = self.latitudes;
        let (half_along, half_across) = (TAU / self.columns as f64 / 2.0, (high - low) / ROWS as f64 / 2.0);
        let (longitude, latitude) = ((2 * column + 1) as f64 * half_along, low + (2 * row + 1) as f64 * half_across);
        let (sin, cos) = longitude.sin_cos();
        let (up, out) = latitude.sin_cos();
        let rig_from_border = self.border_from_rig.transpose();
        let middle = self.direction(longitude, latitude);
        let along = rig_from_border * DVec3::new(-sin, cos, 0.0) * (half_along * out);
        let across = rig_from_border * DVec3::new(-up * cos, -up * sin, out) * half_across;
        (middle, [along, across])
    }

    /// Latitudes of the band's edges about its axis, in radians.
    pub fn latitudes(&self) -> [f64; 2] {
        self.latitudes
    }

    /// The direction at a longitude and a latitude about the band's axis, in radians.
    pub fn direction(&self, longitude: f64, latitude: f64) -> DVec3 {
        let ((sin, cos), (up, out)) = (longitude.sin_cos(), latitude.sin_cos());
        self.border_from_rig.transpose() * DVec3::new(out * cos, out * sin, up)
    }

    /// The latitude of a direction about the band's axis, in radians.
    pub fn latitude(&self, direction: DVec3) -> f64 {
        (self.border_from_rig * direction).z.clamp(-1.0, 1.0).asin()
    }

    /// Where along the border a direction lies, in turns, 0 to 1.
    pub fn along(&self, direction: DVec3) -> f64 {
        let at = self.border_from_rig * direction;
        (at.y.atan2(at.x) / TAU).rem_euclid(1.0)
    }

    /// How much deeper the first lens sees a direction than the second, halved, in degrees: a seam is where this equals its offset. None where
    /// not both see it, or others see it better.
    pub fn offset_deg(&self, rig: &PreparedRig, direction: DVec3, distance_m: Option<f64>) -> Option<f64> {
        if two_best(rig, direction, distance_m)? != self.lenses {
            return None;
        }
        let edge = |lens: usize| rig.lenses[lens].sample(direction, distance_m).map(|at| at.edge_deg);
        let [first, second] = [edge(self.lenses[0])?, edge(self.lenses[1])?];
        (first.min(second) > MARGIN_DEG).then_some((first - second) / 2.0)
    }
}
