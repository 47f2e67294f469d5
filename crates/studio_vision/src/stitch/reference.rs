//! The stitch on the CPU, pixel by pixel in double precision: what the GPU is compared with.

use super::{StitchSettings, map::CELL_PX, weights::WeightRule};
use crate::rig::PreparedRig;
use bevy::math::{DVec2, DVec3, UVec2};
use core::cell::RefCell;

/// An RGBA picture.
#[derive(Clone)]
pub(super) struct Image {
    pub size: UVec2,
    pub rgba: Vec<u8>,
}

impl Image {
    /// A picture whose red, green and blue (0 to 1) are given for the centre of each pixel.
    pub fn from_fn(size: UVec2, color: impl Fn(DVec2) -> DVec3) -> Self {
        let pixel = |index: u32| {
            let rgb = color(DVec2::new(f64::from(index % size.x) + 0.5, f64::from(index / size.x) + 0.5));
            let [r, g, b] = (rgb.clamp(DVec3::ZERO, DVec3::ONE) * 255.0).round().to_array();
            [r as u8, g as u8, b as u8, 255]
        };
        Self { size, rgba: (0..size.x * size.y).flat_map(pixel).collect() }
    }

    pub fn at(&self, x: u32, y: u32) -> DVec3 {
        let index = ((y * self.size.x + x) * 4) as usize;
        DVec3::new(f64::from(self.rgba[index]), f64::from(self.rgba[index + 1]), f64::from(self.rgba[index + 2]))
    }

    /// Interpolates between the four nearest pixels, which are those of the edge outside of the picture.
    pub fn sample(&self, point: DVec2) -> DVec3 {
        let low = (point - 0.5).floor();
        let part = point - 0.5 - low;
        let last = self.size.as_ivec2() - 1;
        let at = |dx: i32, dy: i32| {
            let x = (low.x as i32 + dx).clamp(0, last.x) as u32;
            let y = (low.y as i32 + dy).clamp(0, last.y) as u32;
            self.at(x, y)
        };
        at(0, 0).lerp(at(1, 0), part.x).lerp(at(0, 1).lerp(at(1, 1), part.x), part.y)
    }

    /// Peak signal-to-noise ratio over red, green and blue in decibels.
    pub fn psnr(&self, other: &Self) -> f64 {
        self.psnr_where(other, |_, _| true)
    }

    /// Peak signal-to-noise ratio of some pixels.
    pub fn psnr_where(&self, other: &Self, counts: impl Fn(u32, u32) -> bool) -> f64 {
        assert_eq!(self.size, other.size);
        let pixels = (0..self.size.x * self.size.y).map(|index| (index % self.size.x, index / self.size.x));
        let errors: Vec<f64> = pixels
            .filter(|(x, y)| counts(*x, *y))
            .map(|(x, y)| (self.at(x, y) - other.at(x, y)).length_squared() / 3.0)
            .collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        10.0 * (255.0 * 255.0 / mean.max(1e-10)).log10()
    }
}

/// Stitches pictures of a rig, and says which pixels are faded at the edge of everything: there the GPU interpolates.
pub(super) fn stitch(rig: &PreparedRig, settings: &StitchSettings, pictures: &[Image]) -> (Image, Vec<bool>) {
    let size = UVec2::from_array(settings.size_px);
    let charts = settings.view.charts(size, rig).expect("valid settings");
    let rig_from_view = settings.orientation.matrix();
    let rule = WeightRule::new(settings.blend, settings.view.deg_per_px(size, rig) * f64::from(CELL_PX));
    let faded = RefCell::new(Vec::new());
    let picture = Image::from_fn(size, |point| {
        let inside = |min: UVec2, max: UVec2| point.cmpge(min.as_dvec2()).all() && point.cmplt(max.as_dvec2()).all();
        let chart = charts.iter().find(|chart| inside(chart.min, chart.max)).expect("charts cover the picture");
        let direction = rig_from_view * chart.direction(point, rig).expect("a direction");
        let samples: Vec<_> =
            rig.lenses.iter().map(|lens| lens.sample(direction, settings.distance_m.map(f64::from)).expect("finite")).collect();
        let mut weights: Vec<f64> = samples.iter().map(|sample| sample.edge_deg).collect();
        rule.weigh(&mut weights);
        let coverage = chart.coverage(point, rig, f64::from(CELL_PX));
        faded.borrow_mut().push(chart.inside_px(point, rig) < 0.0 || weights.iter().sum::<f64>() < 1.0 - 1e-9);
        let share = |(index, weight): (usize, f64)| {
            let (lens, pixel) = (&rig.lenses[index], samples[index].pixel);
            let picture = &pictures[lens.picture];
            let scale = picture.size.as_dvec2() / rig.pictures[lens.picture].as_dvec2();
            let color = picture.sample(pixel * scale) / 255.0;
            let gain = DVec3::from_array(lens.color_gain) * lens.vignetting_gain(pixel) * chart.brightness(point, rig);
            (color * gain).min(DVec3::ONE) * weight
        };
        let used = weights.into_iter().enumerate().filter(|(_, weight)| *weight > 0.0);
        used.map(share).sum::<DVec3>() * coverage
    });
    (picture, faded.into_inner())
}
