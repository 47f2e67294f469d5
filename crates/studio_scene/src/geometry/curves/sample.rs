//! Points along curves, as mixes of control points.

use crate::geometry::GeometryError;
use bevy::math::{Vec2, Vec3, Vec4};
use studio_usd::snapshot::{CurveBasis, CurveWrap, Curves};

/// One curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Its number in the file.
    pub curve: usize,
    /// Its first control point, and how many it has.
    pub first_point: usize,
    pub points: usize,
    /// Its pieces: lines, or cubic curves.
    pub first_piece: usize,
    pub pieces: usize,
    /// Its `varying` values: one for each end of a piece.
    pub first_varying: usize,
    pub varying: usize,
}

/// All curves of a prim.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub spans: Vec<Span>,
    /// Curves that have too few control points.
    pub left_out: usize,
    pub points: usize,
    pub pieces: usize,
    pub varying: usize,
    pub is_cubic: bool,
    pub is_periodic: bool,
    basis: CurveBasis,
    wrap: CurveWrap,
}

/// A place on a curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The piece of its curve, and how far along it, 0 to 1.
    pub piece: usize,
    pub fraction: f32,
    /// Control points and their weights.
    taps: [(u32, f32); 6],
}

/// A value that can be mixed.
pub(super) trait Mix: std::ops::Mul<f32, Output = Self> + std::ops::Add<Output = Self> + Copy + Default {}

impl Mix for f32 {}
impl Mix for Vec2 {}
impl Mix for Vec3 {}
impl Mix for Vec4 {}

impl Sample {
    /// The value of control points here.
    pub fn mix<T: Mix>(&self, values: &[T]) -> T {
        self.taps.iter().fold(T::default(), |sum, (at, weight)| match values.get(*at as usize) {
            Some(value) if *weight != 0.0 => sum + *value * *weight,
            _ => sum,
        })
    }

    /// The control point that counts most.
    pub fn nearest(&self) -> u32 {
        self.taps.iter().fold((0, 0.0), |best, tap| if tap.1 > best.1 { *tap } else { best }).0
    }
}

impl Layout {
    /// Counts pieces and values of each curve, by the rules of `UsdGeomBasisCurves`.
    pub fn new(curves: &Curves, points: usize, notes: &mut Vec<String>) -> Result<Self, GeometryError> {
        let expected: u64 = curves.curve_vertex_counts.iter().map(|count| u64::from(*count)).sum();
        if expected > points as u64 {
            let what = "points (curveVertexCounts add up to more)".to_owned();
            return Err(GeometryError::Length { what, found: points, expected: expected as usize });
        }
        let is_periodic = curves.wrap == CurveWrap::Periodic;
        let mut layout = Self {
            spans: Vec::with_capacity(curves.curve_vertex_counts.len()),
            left_out: 0,
            points,
            pieces: 0,
            varying: 0,
            is_cubic: curves.cubic,
            is_periodic,
            basis: curves.basis,
            wrap: curves.wrap,
        };
        let mut first_point = 0;
        for (curve, count) in curves.curve_vertex_counts.iter().enumerate() {
            let count = *count as usize;
            match layout.pieces_of(count) {
                0 => layout.left_out += 1,
                pieces => {
                    let varying = if is_periodic { pieces } else { pieces + 1 };
                    let (first_piece, first_varying) = (layout.pieces, layout.varying);
                    layout.spans.push(Span { curve, first_point, points: count, first_piece, pieces, first_varying, varying });
                    layout.pieces += pieces;
                    layout.varying += varying;
                }
            }
            first_point += count;
        }
        if layout.left_out > 0 {
            notes.push(format!("{} curves have too few control points for their basis; they are left out", layout.left_out));
        }
        Ok(layout)
    }

    /// How many pieces a curve of some control points has.
    fn pieces_of(&self, count: usize) -> usize {
        match (self.is_cubic, self.basis, self.wrap) {
            (false, _, CurveWrap::Periodic) => {
                if count >= 3 {
                    count
                } else {
                    0
                }
            }
            (false, _, _) => count.saturating_sub(1),
            (true, CurveBasis::Bezier, CurveWrap::Periodic) => count / 3,
            (true, CurveBasis::Bezier, _) => count.saturating_sub(1) / 3,
            (true, _, CurveWrap::Periodic) => {
                if count >= 3 {
                    count
                } else {
                    0
                }
            }
            (true, _, CurveWrap::Nonperiodic) => count.saturating_sub(3),
            (true, _, CurveWrap::Pinned) => count.saturating_sub(1),
        }
    }

    /// Places along a curve: the beginning of each of `steps` segments of each piece, and the end if it does not meet the beginning.
    pub fn samples(&self, span: &Span, steps: u32) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(span.pieces * steps as usize + 1);
        for piece in 0..span.pieces {
            samples.extend((0..steps).map(|step| self.sample(span, piece, step as f32 / steps as f32)));
        }
        if !self.is_periodic {
            samples.extend(span.pieces.checked_sub(1).map(|last| self.sample(span, last, 1.0)));
        }
        samples
    }

    fn sample(&self, span: &Span, piece: usize, fraction: f32) -> Sample {
        let mut sample = Sample { piece, fraction, taps: [(0, 0.0); 6] };
        if !self.is_cubic {
            self.tap(span, &mut sample, piece as i64, 1.0 - fraction, 0);
            self.tap(span, &mut sample, piece as i64 + 1, fraction, 1);
            return sample;
        }
        let (weights, first) = match self.basis {
            CurveBasis::Bezier => (bezier(fraction), 3 * piece as i64),
            CurveBasis::Bspline => (bspline(fraction), self.first_of_four(piece)),
            CurveBasis::CatmullRom => (catmull_rom(fraction), self.first_of_four(piece)),
        };
        for (slot, weight) in weights.into_iter().enumerate() {
            self.tap(span, &mut sample, first + slot as i64, weight, slot);
        }
        sample
    }

    fn first_of_four(&self, piece: usize) -> i64 {
        // A pinned curve begins with a point before its first.
        if self.wrap == CurveWrap::Pinned { piece as i64 - 1 } else { piece as i64 }
    }

    /// Adds a control point of a curve by its number there. Numbers beyond a pinned curve's ends are of points that mirror the second one
    /// in the first, so that the curve reaches its end.
    fn tap(&self, span: &Span, sample: &mut Sample, number: i64, weight: f32, slot: usize) {
        let count = span.points as i64;
        let point = |number: i64| (span.first_point as i64 + number.clamp(0, count - 1)) as u32;
        let mut set = |slot: usize, tap: (u32, f32)| {
            if let Some(place) = sample.taps.get_mut(slot) {
                *place = tap;
            }
        };
        if self.is_periodic {
            return set(slot, (point(number.rem_euclid(count.max(1))), weight));
        }
        // At most one tap at each end is beyond it, so that the two spare slots are enough.
        if number < 0 {
            set(slot, (point(0), 2.0 * weight));
            set(4, (point(1), -weight));
        } else if number >= count {
            set(slot, (point(count - 1), 2.0 * weight));
            set(5, (point(count - 2), -weight));
        } else {
            set(slot, (point(number), weight));
        }
    }
}

fn bezier(u: f32) -> [f32; 4] {
    let v = 1.0 - u;
    [v * v * v, 3.0 * u * v * v, 3.0 * u * u * v, u * u * u]
}

fn bspline(u: f32) -> [f32; 4] {
    let (v, u2, u3) = (1.0 - u, u * u, u * u * u);
    [v * v * v / 6.0, (3.0 * u3 - 6.0 * u2 + 4.0) / 6.0, (-3.0 * u3 + 3.0 * u2 + 3.0 * u + 1.0) / 6.0, u3 / 6.0]
}

fn catmull_rom(u: f32) -> [f32; 4] {
    let (u2, u3) = (u * u, u * u * u);
    [(-u3 + 2.0 * u2 - u) / 2.0, (3.0 * u3 - 5.0 * u2 + 2.0) / 2.0, (-3.0 * u3 + 4.0 * u2 + u) / 2.0, (u3 - u2) / 2.0]
}
