//! Curves: basis curves as they are, Hermite curves as Bézier curves, NURBS as polylines.

use super::{
    Below,
    mesh::{extent, first},
    nurbs::{Direction, Place},
    primvars::{primvar, primvar_or_builtin, token_or},
    read::PrimReader,
    value::{F32S, F64S, INDICES, VEC2S, VEC3S},
};
use crate::snapshot::{CurveBasis, CurveWrap, Curves, Interpolation, Primvar, Sampled};
use glam::Vec3;
use std::ops::{Add, Mul};

/// Basis functions evaluated for one prim at most.
const MAX_WEIGHTS: usize = 8_000_000;

/// What all curves have.
fn common<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Curves {
    let curves = Curves {
        points: prim.sampled_or("points", VEC3S, Vec::new()),
        curve_vertex_counts: prim.uniform_or("curveVertexCounts", INDICES, Vec::new()),
        widths: primvar_or_builtin(prim, &below.primvars, "widths", F32S),
        normals: primvar_or_builtin(prim, &below.primvars, "normals", VEC3S),
        display_color: primvar(prim, &below.primvars, "displayColor", VEC3S),
        display_opacity: primvar(prim, &below.primvars, "displayOpacity", F32S),
        extent: extent(prim),
        ..Curves::default()
    };
    let counted: u64 = curves.curve_vertex_counts.iter().map(|count| u64::from(*count)).sum();
    let points = first(&curves.points).map_or(0, Vec::len);
    if counted != points as u64 {
        prim.warn(format!("`curveVertexCounts` asks for {counted} points, but there are {points}"));
    }
    curves
}

pub(super) fn basis_curves<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Curves {
    let cubic = match token_or(prim, "type", "cubic").as_str() {
        "linear" => false,
        "cubic" => true,
        other => {
            prim.warn(format!("`type` cannot be `{other}`; cubic is used"));
            true
        }
    };
    let basis = match token_or(prim, "basis", "bezier").as_str() {
        "bspline" => CurveBasis::Bspline,
        "catmullRom" => CurveBasis::CatmullRom,
        "bezier" => CurveBasis::Bezier,
        other => {
            prim.warn(format!("`basis` cannot be `{other}`; bezier is used"));
            CurveBasis::Bezier
        }
    };
    let wrap = match token_or(prim, "wrap", "nonperiodic").as_str() {
        "periodic" => CurveWrap::Periodic,
        "pinned" => CurveWrap::Pinned,
        "nonperiodic" => CurveWrap::Nonperiodic,
        other => {
            prim.warn(format!("`wrap` cannot be `{other}`; nonperiodic is used"));
            CurveWrap::Nonperiodic
        }
    };
    Curves { cubic, basis, wrap, ..common(prim, below) }
}

/// A Hermite segment from P to Q with tangents T and U is the Bézier segment P, P + T/3, Q - U/3, Q.
pub(super) fn hermite_curves<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Curves {
    let mut curves = common(prim, below);
    let tangents = prim.sampled_or("tangents", VEC3S, Vec::new());
    let counts = curves.curve_vertex_counts.clone();
    let mut is_short = false;
    let mut bezier = |points: &[Vec3], tangents: &[Vec3]| {
        let mut control = Vec::with_capacity(points.len() * 3);
        let mut at = 0_usize;
        for count in &counts {
            let next = at.saturating_add(*count as usize);
            let (Some(points), Some(tangents)) = (points.get(at..next), tangents.get(at..next)) else {
                is_short = true;
                break;
            };
            for (place, (point, tangent)) in points.iter().zip(tangents).enumerate() {
                if place > 0 {
                    control.push(*point - *tangent / 3.0);
                }
                control.push(*point);
                if place + 1 < points.len() {
                    control.push(*point + *tangent / 3.0);
                }
            }
            at = next;
        }
        control
    };
    let earliest = first(&tangents).cloned().unwrap_or_default();
    let default = curves.points.default.take().map(|points| bezier(&points, tangents.default.as_ref().unwrap_or(&earliest)));
    let samples = std::mem::take(&mut curves.points.samples);
    let samples =
        samples.into_iter().map(|(time, points)| (time, bezier(&points, &tangents.at(time).unwrap_or_default()))).collect();
    curves.points = Sampled { default, samples, held: curves.points.held };
    if is_short {
        prim.warn("`tangents` has fewer values than there are points; the curves without are left out".to_owned());
    }
    curves.curve_vertex_counts =
        counts.iter().map(|count| if *count == 0 { 0 } else { (count - 1).saturating_mul(3).saturating_add(1) }).collect();
    curves.cubic = true;
    curves.basis = CurveBasis::Bezier;
    // One value a point is one a segment's end, now that there are points between.
    for_each_interpolation(&mut curves, |interpolation| {
        if *interpolation == Interpolation::Vertex {
            *interpolation = Interpolation::Varying;
        }
    });
    curves
}

fn for_each_interpolation(curves: &mut Curves, mut change: impl FnMut(&mut Interpolation)) {
    let Curves { widths, normals, display_color, display_opacity, .. } = curves;
    let all = [
        widths.as_mut().map(|primvar| &mut primvar.interpolation),
        normals.as_mut().map(|primvar| &mut primvar.interpolation),
        display_color.as_mut().map(|primvar| &mut primvar.interpolation),
        display_opacity.as_mut().map(|primvar| &mut primvar.interpolation),
    ];
    all.into_iter().flatten().for_each(&mut change);
}

/// NURBS curves as polylines along them.
pub(super) fn nurbs_curves<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Curves {
    let mut curves = common(prim, below);
    let orders = prim.uniform_or("order", INDICES, Vec::new());
    let knots = prim.uniform_or("knots", F64S, Vec::new());
    let ranges = prim.uniform_or("ranges", VEC2S, Vec::new());
    let weights = prim.uniform_or("pointWeights", F64S, Vec::new());
    let (mut places, mut counts) = (Vec::new(), Vec::new());
    let (mut at_point, mut at_knot, mut spent) = (0_usize, 0_usize, 0_usize);
    for (curve, count) in curves.curve_vertex_counts.iter().enumerate() {
        let control_points = *count as usize;
        // One order stands for all, as some exporters write it.
        let order = orders.get(curve).or(orders.first()).map_or(4, |order| *order as usize);
        let end_knot = at_knot.saturating_add(control_points).saturating_add(order);
        let knots = knots.get(at_knot..end_knot).unwrap_or_default();
        let range = ranges.get(curve).map(|range| (f64::from(range.x), f64::from(range.y)));
        let direction = Direction { order, knots, control_points, range };
        let is_affordable = |()| {
            spent = direction.cost().saturating_add(spent);
            if spent <= MAX_WEIGHTS { Ok(()) } else { Err(format!("it takes more than {MAX_WEIGHTS} weights")) }
        };
        let along = match direction.check().and_then(is_affordable) {
            Ok(()) => direction.places(),
            Err(why) => {
                prim.warn(format!("curve {curve} is no NURBS curve ({why}); its control points are joined by lines"));
                let left = points_len(&curves).saturating_sub(at_point);
                (0..control_points.min(left)).map(|first| Place { first, weights: vec![1.0] }).collect()
            }
        };
        counts.push(u32::try_from(along.len()).unwrap_or(u32::MAX));
        places.extend(along.into_iter().map(|place| weighted(Place { first: place.first + at_point, ..place }, &weights)));
        at_point = at_point.saturating_add(control_points);
        at_knot = end_knot;
    }
    let control_points = at_point;
    curves.points = curves.points.map(|points| combine(&points, &places));
    curves.curve_vertex_counts = counts;
    curves.cubic = false;
    curves.widths = curves.widths.and_then(|widths| along(prim, widths, control_points, &places));
    curves.normals = curves.normals.and_then(|normals| along(prim, normals, control_points, &places));
    curves.display_color = curves.display_color.and_then(|color| along(prim, color, control_points, &places));
    curves.display_opacity = curves.display_opacity.and_then(|opacity| along(prim, opacity, control_points, &places));
    curves
}

fn points_len(curves: &Curves) -> usize {
    first(&curves.points).map_or(0, Vec::len)
}

/// Rational weights worked into the basis: each weight times its point's, over their sum.
fn weighted(mut place: Place, point_weights: &[f64]) -> Place {
    for (index, weight) in place.weights.iter_mut().enumerate() {
        *weight *= point_weights.get(place.first + index).copied().filter(|weight| *weight > 0.0).unwrap_or(1.0);
    }
    let sum: f64 = place.weights.iter().sum();
    if sum > 0.0 {
        place.weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    place
}

/// The values at places, from those at control points.
fn combine<T>(control: &[T], places: &[Place]) -> Vec<T>
where
    T: Copy + Default + Add<Output = T> + Mul<f32, Output = T>,
{
    let at = |place: &Place| {
        place.weights.iter().enumerate().fold(T::default(), |sum, (index, weight)| {
            control.get(place.first + index).map_or(sum, |value| sum + *value * (*weight as f32))
        })
    };
    places.iter().map(at).collect()
}

/// A primvar that follows the control points, at the places along the curves. What follows something else cannot.
fn along<T>(prim: &PrimReader<'_>, primvar: Primvar<T>, control_points: usize, places: &[Place]) -> Option<Primvar<T>>
where
    T: Copy + Default + Add<Output = T> + Mul<f32, Output = T>,
{
    match primvar.interpolation {
        Interpolation::Constant | Interpolation::Uniform => Some(primvar),
        _ if primvar.indices.is_none() && first(&primvar.values).is_some_and(|values| values.len() == control_points) => {
            let values = primvar.values.map(|values| combine(&values, places));
            Some(Primvar { values, interpolation: Interpolation::Vertex, ..primvar })
        }
        _ => {
            prim.warn(format!("`{}` does not have one value for each control point; it is left out", primvar.name));
            None
        }
    }
}
