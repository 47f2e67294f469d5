//! Boards on paper.

use super::Board;
use crate::calibrate::{CalibrateError, MAX_SIDE_PX};
use bevy::math::DVec2;
use std::fmt::Write as _;

/// The widest margin in millimetres.
const WIDEST_MARGIN_MM: f64 = 1000.0;
const MM_PER_INCH: f64 = 25.4;

impl Board {
    /// Width and height of the board with a white margin, in millimetres.
    ///
    /// # Errors
    /// [`CalibrateError::Setting`] if the board or the margin is unusable.
    pub fn paper_mm(&self, margin_mm: f64) -> Result<[f64; 2], CalibrateError> {
        self.validate()?;
        if !(0.0..=WIDEST_MARGIN_MM).contains(&margin_mm) {
            let reason = format!("is {margin_mm} mm: it must be 0 to {WIDEST_MARGIN_MM}");
            return Err(CalibrateError::Setting { setting: "margin", reason });
        }
        Ok(self.squares().map(|side| f64::from(side) * self.square_mm + 2.0 * margin_mm))
    }

    /// The board as an SVG in its true size, with a white margin.
    ///
    /// # Errors
    /// [`CalibrateError::Setting`] if the board or the margin is unusable.
    pub fn to_svg(&self, margin_mm: f64) -> Result<String, CalibrateError> {
        let [width, height] = self.paper_mm(margin_mm)?.map(rounded);
        let mut path = String::new();
        for [low, high] in self.black_mm()? {
            let [x, y] = (low + margin_mm).to_array().map(rounded);
            let [right, bottom] = (high + margin_mm).to_array().map(rounded);
            // Writing to a string cannot fail.
            let _ = write!(path, "M{x} {y}H{right}V{bottom}H{x}Z");
        }
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" viewBox=\"0 0 {width} {height}\" \
             shape-rendering=\"crispEdges\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n<path d=\"{path}\"/>\n</svg>\n"
        ))
    }

    /// The board as a PNG that says how large it is, with a white margin. Edges between pixels are gray by how much of the pixel is black, so
    /// that all lengths are exact.
    ///
    /// # Errors
    /// [`CalibrateError::Setting`] if the board or the margin is unusable, or the picture would be too large.
    pub fn to_png(&self, margin_mm: f64, dpi: f64) -> Result<Vec<u8>, CalibrateError> {
        let paper = self.paper_mm(margin_mm)?;
        let refuse = |reason: String| CalibrateError::Setting { setting: "dpi", reason };
        if !(10.0..=10_000.0).contains(&dpi) {
            return Err(refuse(format!("is {dpi}: it must be 10 to 10000")));
        }
        let [width, height] = paper.map(|side| (side / MM_PER_INCH * dpi).round());
        if width.max(height) > f64::from(MAX_SIDE_PX) {
            let most = f64::from(MAX_SIDE_PX) / paper[0].max(paper[1]) * MM_PER_INCH;
            return Err(refuse(format!(
                "makes {width}×{height} pixels, more than {MAX_SIDE_PX} a side: take {most:.0} or less, or an SVG"
            )));
        }
        let (across, down) = (width as usize, height as usize);
        let mut light = vec![1.0_f32; across * down];
        // The share of each pixel, from the first one that is touched, which lies between two places.
        let shares = |from: f64, to: f64, most: usize| {
            let (first, last) = (from.floor().max(0.0) as usize, (to.ceil().max(0.0) as usize).min(most));
            (first..last).map(move |at| (at, (to.min(at as f64 + 1.0) - from.max(at as f64)).max(0.0) as f32))
        };
        for rectangle in self.black_mm()? {
            let [low, high]: [DVec2; 2] = rectangle.map(|corner| (corner + margin_mm) / MM_PER_INCH * dpi);
            for (y, part) in shares(low.y, high.y, down) {
                for (x, share) in shares(low.x, high.x, across) {
                    light[y * across + x] -= share * part;
                }
            }
        }
        let pixels: Vec<u8> = light.into_iter().map(|light| (light * 255.0).round() as u8).collect();
        let per_metre = (dpi / MM_PER_INCH * 1000.0).round() as u32;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
        encoder
            .write_header()
            .and_then(|mut writer| {
                writer.write_image_data(&pixels)?;
                writer.finish()
            })
            .map_err(|error| refuse(format!("leaves no picture: {error}")))?;
        Ok(file)
    }
}

/// Rounded to a millionth of a millimetre, so that sums of sizes are written as they are meant.
fn rounded(mm: f64) -> f64 {
    (mm * 1e6).round() / 1e6
}
