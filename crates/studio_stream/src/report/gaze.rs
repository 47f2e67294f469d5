//! Where viewers look: a heat map of the sphere.

use super::GazeSample;
use core::time::Duration;

/// Standard deviation of the spot that one sample leaves, in degrees on the sphere: about what the fovea and a headset's
/// pointing error cover together.
pub const SPLAT_DEG: f64 = 5.0;
/// Spots end at so many standard deviations.
const SPLAT_REACH: f64 = 3.0;

/// A heat map of directions, as an equirectangular picture: row 0 is straight up, column 0 is at -180°.
///
/// Each sample is a Gaussian spot on the sphere, not in the picture: near the poles it is as wide in columns as it takes, and
/// its sum over solid angle is one everywhere (each cell counts by the cosine of its latitude). So a value is samples a
/// steradian, and one look at the pole weighs as much as one at the horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct GazeMap {
    columns: usize,
    rows: usize,
    density: Vec<f32>,
    samples: u64,
}

impl GazeMap {
    /// An empty map of `columns` × `rows` cells, each at least 1; twice as wide as high is what a sphere takes.
    pub fn new(columns: usize, rows: usize) -> Self {
        let (columns, rows) = (columns.max(1), rows.max(1));
        Self { columns, rows, density: vec![0.0; columns * rows], samples: 0 }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// Samples a steradian, row by row from the top.
    pub fn density(&self) -> &[f32] {
        &self.density
    }

    /// Samples added so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Latitude of a row's middle, in radians.
    fn latitude(&self, row: usize) -> f64 {
        (0.5 - (row as f64 + 0.5) / self.rows as f64) * core::f64::consts::PI
    }

    /// Solid angle of a row's cells, in steradians: exact for the band between its two latitudes.
    fn cell_sr(&self, row: usize) -> f64 {
        let edge = |row: usize| ((0.5 - row as f64 / self.rows as f64) * core::f64::consts::PI).sin();
        (edge(row) - edge(row + 1)) * core::f64::consts::TAU / self.columns as f64
    }

    /// Adds a direction. One that is not finite is left out.
    pub fn add(&mut self, sample: &GazeSample) {
        if !(sample.yaw_deg.is_finite() && sample.pitch_deg.is_finite()) {
            return;
        }
        let (yaw, pitch) = (sample.yaw_deg.to_radians(), sample.pitch_deg.clamp(-90.0, 90.0).to_radians());
        // A spot is never finer than the map.
        let sigma = SPLAT_DEG.to_radians().max(core::f64::consts::PI / self.rows as f64);
        let nearest = (sigma * SPLAT_REACH).cos();
        let mut spot: Vec<(usize, f64)> = Vec::new();
        let mut sum = 0.0;
        for row in 0..self.rows {
            let latitude = self.latitude(row);
            if (latitude - pitch).abs() > sigma * SPLAT_REACH {
                continue;
            }
            let (sin, cos) = (latitude.sin() * pitch.sin(), latitude.cos() * pitch.cos());
            let solid_angle = self.cell_sr(row);
            // cos(distance) = sin + cos × cos(longitude): how far to either side the spot reaches in this row.
            let reach = if cos.abs() < 1e-12 { core::f64::consts::PI } else { ((nearest - sin) / cos).clamp(-1.0, 1.0).acos() };
            let per_radian = self.columns as f64 / core::f64::consts::TAU;
            let first = ((yaw - reach + core::f64::consts::PI) * per_radian - 0.5).ceil() as i64;
            let last = ((yaw + reach + core::f64::consts::PI) * per_radian - 0.5).floor() as i64;
            let last = last.min(first + self.columns as i64 - 1);
            for column in first..=last {
                let longitude = (column as f64 + 0.5) / per_radian - core::f64::consts::PI;
                let distance = (sin + cos * (longitude - yaw).cos()).clamp(-1.0, 1.0).acos();
                let weight = (-0.5 * (distance / sigma).powi(2)).exp();
                sum += weight * solid_angle;
                spot.push((row * self.columns + column.rem_euclid(self.columns as i64) as usize, weight));
            }
        }
        if sum > 0.0 {
            for (cell, weight) in spot {
                self.density[cell] += (weight / sum) as f32;
            }
            self.samples += 1;
        }
    }

    /// Lets what was added fade: halved after `half_life`.
    pub fn decay(&mut self, elapsed: Duration, half_life: Duration) {
        let keep = (-elapsed.as_secs_f32() / half_life.as_secs_f32().max(1e-3)).exp2();
        for value in &mut self.density {
            // Below this nothing is to be seen, and numbers this small are slow.
            *value = if *value * keep < 1e-6 { 0.0 } else { *value * keep };
        }
    }

    /// How many samples the map holds, faded ones in part: the sum over the sphere.
    pub fn total(&self) -> f64 {
        (0..self.rows)
            .map(|row| {
                let cells = &self.density[row * self.columns..(row + 1) * self.columns];
                self.cell_sr(row) * cells.iter().map(|value| f64::from(*value)).sum::<f64>()
            })
            .sum()
    }

    /// The direction most looked in, as yaw and pitch in degrees; none of an empty map.
    pub fn peak_deg(&self) -> Option<(f64, f64)> {
        let (cell, value) = self.density.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1))?;
        let (row, column) = (cell / self.columns, cell % self.columns);
        let yaw_deg = (column as f64 + 0.5) / self.columns as f64 * 360.0 - 180.0;
        (*value > 0.0).then(|| (yaw_deg, self.latitude(row).to_degrees()))
    }

    /// The map as 8-bit RGBA, row by row from the top: dark blue through green and yellow to red, more opaque where more was
    /// looked at, scaled so that the most is full red.
    pub fn to_rgba(&self) -> Vec<u8> {
        let most = self.density.iter().copied().fold(0.0, f32::max).max(f32::MIN_POSITIVE);
        // The square root shows what is looked at seldom, too.
        self.density.iter().flat_map(|value| heat((value / most).sqrt())).collect()
    }
}

/// A colour of the scale, from 0 to 1.
fn heat(level: f32) -> [u8; 4] {
    const SCALE: [[f32; 3]; 5] = [[0.0, 0.0, 0.25], [0.0, 0.25, 1.0], [0.0, 0.85, 0.35], [1.0, 0.9, 0.0], [1.0, 0.05, 0.0]];
    let at = level.clamp(0.0, 1.0) * (SCALE.len() - 1) as f32;
    let lower = (at as usize).min(SCALE.len() - 2);
    let share = at - lower as f32;
    let mix = |channel: usize| SCALE[lower][channel] * (1.0 - share) + SCALE[lower + 1][channel] * share;
    let byte = |value: f32| (value * 255.0).round() as u8;
    [byte(mix(0)), byte(mix(1)), byte(mix(2)), byte(0.35 + 0.65 * level.clamp(0.0, 1.0))]
}
