//! Corners in a picture, and what their surroundings look like on the surface.
//!
//! Corners are where both eigenvalues of the gradients' structure tensor are large (Shi and Tomasi, “Good Features to Track”, CVPR 1994).
//! Their surroundings are sampled along the surface, not along the picture, so that two lenses see them alike however they distort.

use super::{Surface, picture::LensPicture, surface::Tangent};
use crate::rig::PreparedLens;
use bevy::math::{DVec2, DVec3};

/// Samples a side of a descriptor, and their distance in pixels.
const SIDE: i32 = 13;
const SPACING_PX: f64 = 1.7;
/// Half the side of the window that gradients are gathered in, in pixels.
const WINDOW: i32 = 2;
/// Side of the cells that corners are spread over, in pixels, and how many a cell may have.
const CELL_PX: usize = 24;
const PER_CELL: usize = 2;
/// The least response of a corner: eigenvalue of the mean squared gradient, in squared luma a squared pixel.
const LEAST_RESPONSE: f32 = 4.0;

/// A corner.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    /// The pixel at the rig's size.
    pub pixel: DVec2,
    /// Where it is on the surface.
    pub point: DVec3,
    /// What it looks like: zero mean, unit length.
    pub descriptor: Vec<f32>,
}

/// One lens as features are looked for in it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub lens: &'a PreparedLens,
    pub picture: &'a LensPicture,
    pub surface: &'a Surface,
    /// The angle of a pixel, in radians: the same for all lenses.
    pub pixel_rad: f64,
}

impl View<'_> {
    /// The lumas of a square patch around a place on the surface, `step_px` apart; `None` where the lens does not see all of it.
    pub fn patch(&self, tangent: &Tangent, offset: DVec2, side: i32, step_px: f64) -> Option<Vec<f32>> {
        let half = f64::from(side - 1) / 2.0;
        let pixel = |x: f64, y: f64| self.surface.project(self.lens, tangent.at((DVec2::new(x, y) * step_px) + offset));
        let corners = [(-half, -half), (half, -half), (-half, half), (half, half)];
        if corners.iter().any(|(x, y)| pixel(*x, *y).is_none_or(|pixel| self.lens.edge_deg(pixel) < 0.0)) {
            return None;
        }
        let places = (0..side).flat_map(|y| (0..side).map(move |x| (f64::from(x) - half, f64::from(y) - half)));
        places.map(|(x, y)| pixel(x, y).map(|pixel| self.picture.luma(pixel))).collect()
    }

    /// The feature at a pixel.
    pub fn feature(&self, pixel: DVec2) -> Option<Feature> {
        let point = self.surface.point(self.lens, pixel)?;
        let tangent = self.surface.tangent(point, self.pixel_rad);
        let descriptor = normalise(self.patch(&tangent, DVec2::ZERO, SIDE, SPACING_PX)?)?;
        Some(Feature { pixel, point, descriptor })
    }

    /// Corners whose place on the surface is wanted, spread over the picture.
    pub fn features(&self, wanted: impl Fn(DVec3) -> bool) -> Vec<Feature> {
        let size = self.picture.picture.size();
        let (width, height) = (size.x as usize, size.y as usize);
        let response = responses(self.picture);
        let columns = width.div_ceil(CELL_PX);
        let mut cells: Vec<Vec<(f32, usize)>> = vec![Vec::new(); columns * height.div_ceil(CELL_PX)];
        for y in 3..height.saturating_sub(3) {
            for x in 3..width - 3 {
                let index = y * width + x;
                let value = response[index];
                let neighbours = (0..25).map(|step| index + (step / 5) * width + step % 5 - 2 * width - 2);
                if value > LEAST_RESPONSE && neighbours.into_iter().all(|other| other == index || response[other] < value) {
                    cells[y / CELL_PX * columns + x / CELL_PX].push((value, index));
                }
            }
        }
        let mut features = Vec::new();
        for mut cell in cells {
            cell.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for (_, index) in cell.into_iter().take(PER_CELL) {
                let pixel = (DVec2::new((index % width) as f64, (index / width) as f64) + 0.5) / self.picture.scale;
                let is_seen = self.lens.edge_deg(pixel) > 0.3;
                if is_seen && self.surface.point(self.lens, pixel).is_some_and(&wanted) {
                    features.extend(self.feature(pixel));
                }
            }
        }
        features
    }
}

/// Takes the mean out and makes the length 1; `None` where there is next to nothing to see.
pub(super) fn normalise(mut values: Vec<f32>) -> Option<Vec<f32>> {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|value| *value -= mean);
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let deviation = length / (values.len() as f32).sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    (deviation > 2.0).then_some(values)
}

/// The smaller eigenvalue of the mean structure tensor at each pixel.
fn responses(picture: &LensPicture) -> Vec<f32> {
    let picture = &picture.picture;
    let size = picture.size();
    let (width, height) = (size.x as usize, size.y as usize);
    let mut tensors = vec![[0.0_f32; 3]; width * height];
    for y in 0..height as i32 {
        for x in 0..width as i32 {
            let (gx, gy) =
                ((picture.at(x + 1, y) - picture.at(x - 1, y)) / 2.0, (picture.at(x, y + 1) - picture.at(x, y - 1)) / 2.0);
            tensors[y as usize * width + x as usize] = [gx * gx, gx * gy, gy * gy];
        }
    }
    let sum = |tensors: &[[f32; 3]], step: usize, limit: &dyn Fn(usize) -> (usize, usize)| -> Vec<[f32; 3]> {
        let add = |index: usize| {
            let (place, end) = limit(index);
            let mut total = [0.0; 3];
            for offset in -WINDOW..=WINDOW {
                let there = place as i32 + offset;
                if (0..end as i32).contains(&there) {
                    let other = (index as i64 + i64::from(offset) * step as i64) as usize;
                    (0..3).for_each(|part| total[part] += tensors[other][part]);
                }
            }
            total
        };
        (0..tensors.len()).map(add).collect()
    };
    let across = sum(&tensors, 1, &|index| (index % width, width));
    let both = sum(&across, width, &|index| (index / width, height));
    let area = ((2 * WINDOW + 1) * (2 * WINDOW + 1)) as f32;
    let smaller = |[xx, xy, yy]: [f32; 3]| ((xx + yy) / 2.0 - (((xx - yy) / 2.0).powi(2) + xy * xy).sqrt()) / area;
    both.into_iter().map(smaller).collect()
}
