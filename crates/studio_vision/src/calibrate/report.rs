//! What a calibration found, as a picture, JSON and a page.

use super::{CalibrateError, GrayPicture, LensCalibration, Refinement, Residuals};
use crate::rig::PreparedRig;
use bevy::math::DVec2;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

const BACKGROUND: Rgb<u8> = Rgb([18, 20, 24]);
const BEFORE: Rgb<u8> = Rgb([255, 150, 50]);
const AFTER: Rgb<u8> = Rgb([60, 210, 255]);
const HELD_OUT: Rgb<u8> = Rgb([120, 255, 140]);
const LINE: Rgb<u8> = Rgb([70, 90, 80]);
const TEXT: Rgb<u8> = Rgb([225, 225, 225]);
/// The largest side of a lens's picture, and the height of the part with bars, in pixels.
const TILE_PX: f64 = 560.0;
const BARS_PX: u32 = 220;
/// How much longer residuals are drawn than they are.
const EXAGGERATION: f64 = 8.0;
/// Bins of a histogram.
const BINS: usize = 24;

/// Draws a refinement: the lenses' pictures, lines between what was found in two of them, and the residuals eight times as long, orange
/// before and blue after (green where the match was held out). Below, for each lens, bars of its residuals before and after (root
/// mean square, in pixels), and at the right a histogram of both.
///
/// # Errors
/// [`CalibrateError::Rig`] if the rig is unusable.
pub fn draw_refinement(refinement: &Refinement, pictures: &[GrayPicture]) -> Result<RgbImage, CalibrateError> {
    let rig = PreparedRig::new(&refinement.rig)?;
    // Each lens's region, side by side, two rows where there are many.
    let columns = if rig.lenses.len() > 3 { rig.lenses.len().div_ceil(2) } else { rig.lenses.len() };
    let regions: Vec<(DVec2, DVec2)> =
        rig.lenses.iter().map(|lens| (DVec2::from_array(lens.region.min), DVec2::from_array(lens.region.max))).collect();
    let largest = regions.iter().fold(DVec2::ONE, |largest, (min, max)| largest.max(*max - *min));
    let scale = TILE_PX / largest.max_element();
    let tile = (largest * scale).ceil().as_uvec2();
    let rows = rig.lenses.len().div_ceil(columns) as u32;
    let (width, height) = (tile.x * columns as u32, tile.y * rows);
    let mut canvas = RgbImage::from_pixel(width, height + BARS_PX, BACKGROUND);
    let place = |lens: usize, pixel: DVec2| {
        let corner = DVec2::new(f64::from(tile.x) * (lens % columns) as f64, f64::from(tile.y) * (lens / columns) as f64);
        corner + (pixel - regions[lens].0) * scale
    };
    for (index, lens) in rig.lenses.iter().enumerate() {
        let picture = &pictures[lens.picture];
        let own = picture.size().as_dvec2() / rig.pictures[lens.picture].as_dvec2();
        let corner = place(index, regions[index].0).as_uvec2();
        let size = ((regions[index].1 - regions[index].0) * scale).floor().as_uvec2().min(tile);
        for y in 0..size.y {
            for x in 0..size.x {
                let pixel = regions[index].0 + (DVec2::new(f64::from(x), f64::from(y)) + 0.5) / scale;
                let luma = (picture.luma(pixel * own) * 0.6) as u8;
                canvas.put_pixel(corner.x + x, corner.y + y, Rgb([luma; 3]));
            }
        }
    }
    for found in &refinement.matches {
        let [a, b] = [0, 1].map(|side: usize| place(found.point.lenses[side], found.point.pixels[side]));
        draw_line(&mut canvas, a, b, LINE, height);
    }
    for found in &refinement.matches {
        let from = place(found.point.lenses[1], found.point.pixels[1]);
        for (offset, color) in found.offsets_px.iter().zip([BEFORE, if found.held_out { HELD_OUT } else { AFTER }]) {
            if offset.is_finite() {
                let offset = offset.clamp_length_max(40.0);
                draw_line(&mut canvas, from, from + offset * scale * EXAGGERATION, color, height);
            }
        }
    }
    let bars: Vec<[f64; 2]> = refinement.lenses.iter().map(|lens| lens.residuals.map(|residuals| residuals.rms_px)).collect();
    let half = width / 2;
    draw_bars(&mut canvas, [0, height, half, BARS_PX], &bars);
    let lengths =
        [0, 1].map(|side: usize| refinement.matches.iter().map(move |found| found.offsets_px[side].length()).collect::<Vec<_>>());
    draw_histogram(&mut canvas, [half, height, width - half, BARS_PX], &lengths[0], &lengths[1]);
    Ok(canvas)
}

/// Draws what boards left over: each corner's residual, a hundred times as long, where it was in the picture. Below, the root mean square of each
/// picture in pixels, and at the right a histogram.
pub fn draw_lens(calibration: &LensCalibration) -> RgbImage {
    let [width, height] = calibration.rig.pictures[0].size_px.map(f64::from);
    let scale = 2.0 * TILE_PX / width.max(height);
    let (wide, high) = ((width * scale).ceil() as u32, (height * scale).ceil() as u32);
    let mut canvas = RgbImage::from_pixel(wide, high + BARS_PX, BACKGROUND);
    for (_, pixel, offset) in &calibration.corners {
        let from = *pixel * scale;
        draw_line(&mut canvas, from, from + (*offset * 100.0 * scale).clamp_length_max(80.0), AFTER, high);
        draw_line(&mut canvas, from - DVec2::X, from + DVec2::X, TEXT, high);
    }
    let bars: Vec<[f64; 2]> = calibration.views.iter().map(|view| [0.0, view.residuals.rms_px]).collect();
    draw_bars(&mut canvas, [0, high, wide / 2, BARS_PX], &bars);
    let lengths: Vec<f64> = calibration.corners.iter().map(|(_, _, offset)| offset.length()).collect();
    draw_histogram(&mut canvas, [wide / 2, high, wide - wide / 2, BARS_PX], &[], &lengths);
    canvas
}

impl Refinement {
    /// Everything but the rig and the matches themselves.
    pub fn to_json(&self) -> Value {
        json!({
            "lenses": self.lenses, "fitted": self.fitted, "held_out": self.held_out, "overlap": self.overlap, "warnings": self.warnings,
            "matches": self.matches.len(),
        })
    }

    /// A page with the same, and the picture of residuals, whose address it is given.
    pub fn to_html(&self, picture: Option<&str>) -> String {
        let row = |name: &str, [before, after]: &[Residuals; 2], more: &str| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{:.2}</td><td>{:.2}</td><td>{:.2}</td><td>{:.2}</td><td>{more}</td></tr>\n",
                escape(name),
                before.count,
                before.median_px,
                after.median_px,
                before.rms_px,
                after.rms_px
            )
        };
        let mut rows = row("fitted", &self.fitted, "") + &row("held out", &self.held_out, "");
        for lens in &self.lenses {
            let sigma = lens.sigma_deg.map_or_else(String::new, |sigma| format!(" ± {sigma:.3}°"));
            rows += &row(&lens.name, &lens.residuals, &format!("turned {:.3}°{sigma} {}", lens.turned_deg, escape(&lens.kept)));
        }
        let [before, after] = self.overlap;
        let overlap = format!(
            "<p>Where lenses overlap, luma differs by {:.2} before and {:.2} after ({:.2} and {:.2} with exposure matched), of 255, at {} \
             places.</p>\n",
            before.luma, after.luma, before.luma_matched, after.luma_matched, after.count
        );
        let head = "<tr><th></th><th>matches</th><th>median before, px</th><th>after</th><th>RMS before, px</th><th>after</th><th></th></tr>\n";
        page("Rig calibration", &format!("<table>\n{head}{rows}</table>\n{overlap}"), &self.warnings, picture)
    }
}

impl LensCalibration {
    /// Everything but the corners themselves.
    pub fn to_json(&self) -> Value {
        json!({
            "lens": self.rig.lenses[0].lens, "residuals": self.residuals, "sigma_px": self.sigma_px, "seen_deg": self.seen_deg,
            "views": self.views,
        })
    }

    /// A page with the same, and the picture of residuals, whose address it is given.
    pub fn to_html(&self, picture: Option<&str>) -> String {
        let rows = self.views.iter().map(|view| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{:.3}</td><td>{}</td></tr>\n",
                escape(&view.name),
                view.corners,
                view.residuals.rms_px,
                escape(&view.left_out)
            )
        });
        let [fx, fy, cx, cy] = self.sigma_px;
        let lens = &self.rig.lenses[0].lens;
        let body = format!(
            "<p>{}</p>\n<p>RMS {:.3} px, median {:.3} px over {} corners, seen to {:.1}° from the axis; beyond that the model is a guess. One standard \
             deviation: focal lengths {fx:.2} and {fy:.2} px, centre {cx:.2} and {cy:.2} px.</p>\n<table>\n<tr><th>picture</th><th>corners</th><th>RMS, \
             px</th><th></th></tr>\n{}</table>\n",
            escape(&format!("{lens:?}")),
            self.residuals.rms_px,
            self.residuals.median_px,
            self.residuals.count,
            self.seen_deg,
            rows.collect::<String>()
        );
        page("Lens calibration", &body, &[], picture)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(title: &str, body: &str, warnings: &[String], picture: Option<&str>) -> String {
    let style = "body{font:15px sans-serif;margin:2em;max-width:70em}td,th{padding:.2em .8em;text-align:right}td:first-child,td:last-child{text-align:left}img{max-width:100%}";
    let warnings: String = warnings.iter().map(|warning| format!("<p><b>{}</b></p>\n", escape(warning))).collect();
    let picture = picture.map_or_else(String::new, |picture| format!("<img src=\"{}\" alt=\"residuals\">\n", escape(picture)));
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{style}</style>\n<h1>{title}</h1>\n\
         {warnings}{body}{picture}</html>\n"
    )
}

/// Draws a line above the row `below`.
fn draw_line(canvas: &mut RgbImage, from: DVec2, to: DVec2, color: Rgb<u8>, below: u32) {
    let steps = (to - from).abs().max_element().ceil().clamp(1.0, 20_000.0);
    for step in 0..=steps as u32 {
        let point = from.lerp(to, f64::from(step) / steps);
        if point.cmpge(DVec2::ZERO).all() && point.x < f64::from(canvas.width()) && point.y < f64::from(below) {
            canvas.put_pixel(point.x as u32, point.y as u32, color);
        }
    }
}

fn fill(canvas: &mut RgbImage, [x, y, width, height]: [u32; 4], color: Rgb<u8>) {
    for y in y..(y + height).min(canvas.height()) {
        for x in x..(x + width).min(canvas.width()) {
            canvas.put_pixel(x, y, color);
        }
    }
}

/// Pairs of bars with their values above.
fn draw_bars(canvas: &mut RgbImage, [left, top, width, height]: [u32; 4], bars: &[[f64; 2]]) {
    let most = bars.iter().flatten().copied().filter(|value| value.is_finite()).fold(1e-9, f64::max);
    let room = f64::from(height) - 50.0;
    let slot = width / (bars.len() as u32).max(1);
    for (index, pair) in (0..).zip(bars) {
        for (side, (value, color)) in (0..).zip(pair.iter().zip([BEFORE, AFTER])) {
            let high = (value.min(most) / most * room).round() as u32;
            let (x, wide) = (left + index * slot + slot / 10 + side * slot * 2 / 5, slot * 3 / 10);
            fill(canvas, [x, top + height - 10 - high, wide, high], color);
            if *value > 0.0 && slot > 50 {
                draw_number(canvas, x, top + height - 14 - high - 10, *value);
            }
        }
    }
}

/// Two histograms over the same range, to twice the ninth decile of the second.
fn draw_histogram(canvas: &mut RgbImage, [left, top, width, height]: [u32; 4], before: &[f64], after: &[f64]) {
    let end = (Residuals::of(after.iter().copied()).p90_px * 2.0).max(1e-3);
    let counts = |lengths: &[f64]| {
        let mut bins = [0_u32; BINS];
        lengths.iter().for_each(|length| bins[((length / end * BINS as f64) as usize).min(BINS - 1)] += 1);
        bins
    };
    let bins = [counts(before), counts(after)];
    let most = f64::from(bins.iter().flatten().copied().max().unwrap_or(1).max(1));
    let slot = (width - 20) / BINS as u32;
    for (side, (bins, color)) in (0..).zip(bins.iter().zip([BEFORE, AFTER])) {
        for (index, count) in (0..).zip(bins) {
            let high = (f64::from(*count) / most * (f64::from(height) - 50.0)).round() as u32;
            fill(canvas, [left + 10 + index * slot + side * slot / 2, top + height - 24 - high, (slot / 2).max(1), high], color);
        }
    }
    draw_number(canvas, left + 10, top + height - 16, 0.0);
    draw_number(canvas, left + 10 + slot * (BINS as u32 - 2), top + height - 16, end);
}

/// Digits of three by five dots, the uppermost row in the highest bits, and the point.
const DIGITS: [u16; 11] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_001_001_001,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
    0b000_000_000_000_010,
];

/// Writes a number with two digits after the point.
fn draw_number(canvas: &mut RgbImage, x: u32, y: u32, value: f64) {
    for (index, letter) in (0..).zip(format!("{value:.2}").chars()) {
        let glyph = DIGITS[letter.to_digit(10).map_or(10, |digit| digit as usize)];
        for dot in (0..15).filter(|dot| glyph >> (14 - dot) & 1 == 1) {
            fill(canvas, [x + index * 8 + dot % 3 * 2, y + dot / 3 * 2, 2, 2], TEXT);
        }
    }
}
