//! How the camera turned from one picture of the sphere to the next.

use super::track::ShortAxis as _;
use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use core::f64::consts::{PI, TAU};
use studio_frame::motion::MotionField;

/// What the motion between two pictures says of the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameRotation {
    /// From the camera's frame at the newer picture to its frame at the older one: the turn in between, in the camera's own frame.
    pub older_from_newer: DQuat,
    /// The share of the sphere (0 to 1) whose motion the turn explains.
    pub explained: f64,
    /// The median angle in degrees between the motion and what the turn says.
    pub residual_deg: f64,
}

impl FrameRotation {
    /// The turn's angle in degrees.
    pub fn angle_deg(&self) -> f64 {
        self.older_from_newer.to_scaled_axis_short().length().to_degrees()
    }
}

/// Nearer to a pole than this, an equirectangular picture's motion is of little use, in radians of latitude.
const HIGHEST_LATITUDE: f64 = 1.25;
/// About how many cells are looked at.
const MOST_CELLS: f64 = 4096.0;
/// Rounds of reweighting.
const ROUNDS: usize = 24;
/// The finest scale of differences that is told apart, in radians: a field counts in sixteenths of a pixel.
const FINEST: f64 = 5e-5;
/// Motions within so many scales of the turn count as explained.
const EXPLAINED: f64 = 3.0;

/// The rotation that explains the motion of an equirectangular picture best, whatever else moves in it. `None` where the field starts a
/// scene, is of no whole sphere, or has fewer than four cells.
///
/// Each cell is a pair of directions. The rotation is found by least squares, in steps that are each solved in closed form, with weights
/// that fall with a cell's difference from the rotation (as 1 / (1 + r²)²; Holland and Welsch, *Robust Regression Using
/// Iteratively Reweighted Least-Squares*, 1977), its scale being the median difference: up to nearly half of the sphere may move as it
/// likes. Cells count by the area that they cover on the sphere.
pub fn camera_rotation(field: &MotionField) -> Option<FrameRotation> {
    if field.starts_scene() || !field.wraps {
        return None;
    }
    let pairs = pairs_of(field);
    if pairs.len() < 4 {
        return None;
    }
    let mut turn = DQuat::IDENTITY;
    let mut differences: Vec<f64> = Vec::with_capacity(pairs.len());
    let mut scale = f64::MAX;
    for round in 0..ROUNDS {
        differences.clear();
        differences.extend(pairs.iter().map(|pair| pair.difference(turn)));
        scale = (1.4826 * weighted_median(&pairs, &differences)).max(FINEST);
        let mut normal = DMat3::ZERO;
        let mut right = DVec3::ZERO;
        for (pair, difference) in pairs.iter().zip(&differences) {
            // The first round sees everything alike: it has no scale yet to tell apart by.
            let share = if round == 0 { 1.0 } else { (1.0 + (difference / scale).powi(2)).powi(-2) };
            let weight = pair.area * share;
            let expected = turn * pair.newer;
            let outer = DMat3::from_cols(expected * expected.x, expected * expected.y, expected * expected.z);
            normal += (DMat3::IDENTITY - outer) * weight;
            right += expected.cross(pair.older) * weight;
        }
        if normal.determinant().abs() < 1e-12 {
            return None;
        }
        let step = normal.inverse() * right;
        if !step.is_finite() {
            return None;
        }
        turn = (DQuat::from_scaled_axis(step) * turn).normalize();
        if round > 2 && step.length() < 1e-9 {
            break;
        }
    }
    let total: f64 = pairs.iter().map(|pair| pair.area).sum();
    let explained = pairs.iter().filter(|pair| pair.difference(turn) < EXPLAINED * scale).map(|pair| pair.area).sum::<f64>();
    Some(FrameRotation { older_from_newer: turn, explained: explained / total, residual_deg: (scale / 1.4826).to_degrees() })
}

/// Where a cell's content is now and was before, and the area that the cell covers.
struct Pair {
    newer: DVec3,
    older: DVec3,
    area: f64,
}

impl Pair {
    fn difference(&self, turn: DQuat) -> f64 {
        (turn * self.newer).distance(self.older)
    }
}

/// The direction that a pixel of an equirectangular picture shows.
pub(super) fn direction_of(pixel: DVec2, size: DVec2) -> DVec3 {
    let (longitude, latitude) = ((pixel.x / size.x - 0.5) * TAU, (pixel.y / size.y - 0.5) * PI);
    DVec3::new(latitude.cos() * longitude.sin(), latitude.sin(), latitude.cos() * longitude.cos())
}

/// The pixel of an equirectangular picture that shows a direction.
pub(super) fn place_of(direction: DVec3, size: DVec2) -> DVec2 {
    let longitude = direction.x.atan2(direction.z);
    let latitude = direction.y.atan2(direction.x.hypot(direction.z));
    DVec2::new(longitude / TAU + 0.5, latitude / PI + 0.5) * size
}

fn pairs_of(field: &MotionField) -> Vec<Pair> {
    let size = field.picture_size.as_dvec2();
    let cell = size / field.grid.as_dvec2();
    // A rotation has three numbers: thousands of cells tell them as well as tens of thousands.
    let stride = (field.grid.element_product() as f64 / MOST_CELLS).sqrt().ceil().max(1.0) as usize;
    let columns = (0..field.grid.x).step_by(stride);
    let cells = (0..field.grid.y).step_by(stride).flat_map(|row| columns.clone().map(move |column| (column, row)));
    cells
        .filter_map(|(column, row)| {
            let pixel = (DVec2::new(f64::from(column), f64::from(row)) + 0.5) * cell;
            let latitude = (pixel.y / size.y - 0.5) * PI;
            let motion = field.at(column, row).to_pixels().as_dvec2();
            (latitude.abs() < HIGHEST_LATITUDE).then(|| Pair {
                newer: direction_of(pixel, size),
                older: direction_of(pixel - motion, size),
                area: latitude.cos(),
            })
        })
        .collect()
}

fn weighted_median(pairs: &[Pair], differences: &[f64]) -> f64 {
    let mut sorted: Vec<(f64, f64)> = differences.iter().zip(pairs).map(|(difference, pair)| (*difference, pair.area)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = sorted.iter().map(|(_, area)| area).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for (difference, area) in &sorted {
        sum += area;
        if sum >= half {
            return *difference;
        }
    }
    0.0
}
