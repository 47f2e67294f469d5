//! Control points: pairs of pixels in which two lenses see the same.

use super::{CalibrateError, Surface, bundle::residual};
use crate::rig::PreparedRig;
use bevy::math::DVec2;

/// The most control points that are taken from a file.
pub const MAX_CONTROL_POINTS: usize = 20_000;

/// The same thing, seen by two lenses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlPoint {
    /// Indices of the lenses.
    pub lenses: [usize; 2],
    /// The pixels at the rig's size, where the first pixel's centre is at a half.
    pub pixels: [DVec2; 2],
}

impl ControlPoint {
    /// How far apart a rig has what should be the same, in pixels: the root mean square of both ways. Infinite if a lens cannot see it or does
    /// not exist.
    pub fn residual_px(&self, rig: &PreparedRig, surface: &Surface) -> f64 {
        let ([Some(a), Some(b)], [p, q]) = (self.lenses.map(|lens| rig.lenses.get(lens)), self.pixels) else {
            return f64::INFINITY;
        };
        let ways = [residual(surface, a, b, [p, q]), residual(surface, b, a, [q, p])];
        let square = |way: Option<DVec2>| way.map_or(f64::INFINITY, |offset| offset.length_squared());
        (ways.map(square).iter().sum::<f64>() / 2.0).sqrt()
    }

    /// The control points of a stitchEm project (`matched_control_points`). Its pixels count from the corner.
    ///
    /// # Errors
    /// [`CalibrateError::ControlPoints`] if the file cannot be understood or has too many; [`CalibrateError::Rig`] if it is no JSON.
    pub fn from_ptv(file: &str, text: &str) -> Result<Vec<Self>, CalibrateError> {
        let project = crate::rig::parse_json(file, text)?;
        let panorama = project.get("pano").unwrap_or(&project);
        let Some(list) = panorama["calibration_control_points"]["matched_control_points"].as_array() else {
            return Ok(Vec::new());
        };
        let fail = |reason: String| CalibrateError::ControlPoints { file: file.to_owned(), reason };
        if list.len() > MAX_CONTROL_POINTS {
            return Err(fail(format!("{} control points: at most {MAX_CONTROL_POINTS} are taken", list.len())));
        }
        let point = |(index, value): (usize, &serde_json::Value)| {
            let number = |key: &str| {
                let number = value[key].as_f64().filter(|number| number.is_finite());
                number.ok_or_else(|| fail(format!("control point {index} has no number `{key}`")))
            };
            let lens = |key: &str| {
                let number = value[key].as_u64().and_then(|number| usize::try_from(number).ok());
                number.ok_or_else(|| fail(format!("control point {index} has no index `{key}`")))
            };
            Ok(Self {
                lenses: [lens("input_index0")?, lens("input_index1")?],
                pixels: [DVec2::new(number("x0")?, number("y0")?), DVec2::new(number("x1")?, number("y1")?)],
            })
        };
        list.iter().enumerate().map(point).collect()
    }

    /// The control points of a Hugin project: its `c` lines of two different images. Lines for straight lines and the horizon are left aside.
    ///
    /// # Errors
    /// [`CalibrateError::ControlPoints`] with the line that cannot be understood.
    pub fn from_pto(file: &str, text: &str) -> Result<Vec<Self>, CalibrateError> {
        let mut points = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some(rest) = line.strip_prefix("c ") else { continue };
            let fail = |reason: String| CalibrateError::ControlPoints { file: format!("{file}, line {}", index + 1), reason };
            let number = |name: char| {
                let value = rest.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<f64>().ok());
                value.filter(|value| value.is_finite()).ok_or_else(|| fail(format!("the control point has no number “{name}”")))
            };
            let lenses = [number('n')?, number('N')?];
            if rest.split_whitespace().any(|word| word.starts_with('t') && word != "t0") || lenses[0] == lenses[1] {
                continue;
            }
            if lenses.iter().any(|lens| lens.fract() != 0.0 || !(0.0..1e6).contains(lens)) {
                return Err(fail("the control point's images must be whole numbers".to_owned()));
            }
            if points.len() == MAX_CONTROL_POINTS {
                return Err(fail(format!("more than {MAX_CONTROL_POINTS} control points")));
            }
            // Hugin counts from the centre of the first pixel.
            let pixel = |x, y| Ok::<_, CalibrateError>(DVec2::new(number(x)?, number(y)?) + 0.5);
            points.push(Self { lenses: lenses.map(|lens| lens as usize), pixels: [pixel('x', 'y')?, pixel('X', 'Y')?] });
        }
        Ok(points)
    }
}
