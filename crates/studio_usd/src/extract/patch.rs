//! NURBS patches as grids of quadrilaterals. Trim curves are left out.

use super::{
    Below,
    mesh::{extent, first, is_left_handed},
    nurbs::{Direction, Place},
    primvars::{primvar, uv_names},
    read::PrimReader,
    value::{BOOL, F32S, F64, F64S, VEC2, VEC2S, VEC3S},
};
use crate::snapshot::{Interpolation, Mesh, Primvar, Sampled, Subdivision, SubdivisionScheme};
use std::ops::{Add, Mul};

/// Basis functions evaluated for one patch at most.
const MAX_WEIGHTS: usize = 16_000_000;

pub(super) fn nurbs_patch<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Option<Mesh> {
    let whole = |name: &str| prim.uniform(name, F64).map_or(0, |number| number.max(0.0) as usize);
    let range = |name: &str| prim.uniform(name, VEC2).map(|range| (f64::from(range.x), f64::from(range.y)));
    let (u_knots, v_knots) = (prim.uniform_or("uKnots", F64S, Vec::new()), prim.uniform_or("vKnots", F64S, Vec::new()));
    let u = Direction { order: whole("uOrder"), knots: &u_knots, control_points: whole("uVertexCount"), range: range("uRange") };
    let v = Direction { order: whole("vOrder"), knots: &v_knots, control_points: whole("vVertexCount"), range: range("vRange") };
    for (name, direction) in [("u", &u), ("v", &v)] {
        if let Err(why) = direction.check() {
            prim.warn(format!("this is no NURBS patch along {name} ({why}); it is not drawn"));
            return None;
        }
    }
    let points = prim.sampled_or("points", VEC3S, Vec::new());
    let control_points = u.control_points.saturating_mul(v.control_points);
    let found = first(&points).map_or(0, Vec::len);
    if found != control_points {
        prim.warn(format!(
            "there are {found} points, but {} × {} are needed; the patch is not drawn",
            u.control_points, v.control_points
        ));
        return None;
    }
    if prim.has("trimCurve:points") {
        prim.warn("trim curves are not evaluated; the whole patch is drawn".to_owned());
    }
    if u.cost().saturating_mul(v.cost()) > MAX_WEIGHTS {
        prim.warn(format!("the patch takes more than {MAX_WEIGHTS} weights; it is not drawn"));
        return None;
    }
    let (along_u, along_v) = (u.places(), v.places());
    let (columns, rows) = (along_u.len(), along_v.len());
    let weights = prim.uniform_or("pointWeights", F64S, Vec::new());
    let places: Vec<Vec<(usize, f64)>> = along_v
        .iter()
        .flat_map(|v_place| {
            along_u.iter().map(|u_place| grid_place(u_place, v_place, u.control_points, &weights)).collect::<Vec<_>>()
        })
        .collect();
    let mut indices = Vec::with_capacity((columns - 1) * (rows - 1) * 4);
    for row in 0..rows - 1 {
        for column in 0..columns - 1 {
            let corner = row * columns + column;
            indices.extend([corner, corner + 1, corner + columns + 1, corner + columns].map(|index| index as u32));
        }
    }
    let inherited = &below.primvars;
    let uvs = uv_names(prim, inherited).into_iter().filter_map(|name| primvar(prim, inherited, &name, VEC2S));
    Some(Mesh {
        points: points.map(|points| combine(&points, &places)),
        face_vertex_counts: vec![4; indices.len() / 4].into(),
        face_vertex_indices: indices.into(),
        left_handed: is_left_handed(prim),
        double_sided: prim.uniform_or("doubleSided", BOOL, false),
        subdivision: Subdivision { scheme: SubdivisionScheme::None, ..Subdivision::default() },
        uvs: uvs.filter_map(|uv| along(prim, uv, control_points, &places)).collect(),
        display_color: primvar(prim, inherited, "displayColor", VEC3S)
            .and_then(|color| along(prim, color, control_points, &places)),
        display_opacity: primvar(prim, inherited, "displayOpacity", F32S)
            .and_then(|opacity| along(prim, opacity, control_points, &places)),
        extent: extent(prim),
        ..Mesh::default()
    })
}

/// The control points that a place on the patch depends on, and how much.
fn grid_place(u: &Place, v: &Place, columns: usize, point_weights: &[f64]) -> Vec<(usize, f64)> {
    let mut all = Vec::with_capacity(u.weights.len() * v.weights.len());
    for (row, v_weight) in v.weights.iter().enumerate() {
        let first = (v.first + row) * columns + u.first;
        for (column, u_weight) in u.weights.iter().enumerate() {
            let index = first + column;
            let weight = point_weights.get(index).copied().filter(|weight| *weight > 0.0).unwrap_or(1.0);
            all.push((index, u_weight * v_weight * weight));
        }
    }
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    if sum > 0.0 {
        all.iter_mut().for_each(|(_, weight)| *weight /= sum);
    }
    all
}

fn combine<T>(control: &[T], places: &[Vec<(usize, f64)>]) -> Vec<T>
where
    T: Copy + Default + Add<Output = T> + Mul<f32, Output = T>,
{
    let at = |place: &Vec<(usize, f64)>| {
        place
            .iter()
            .fold(T::default(), |sum, (index, weight)| control.get(*index).map_or(sum, |value| sum + *value * (*weight as f32)))
    };
    places.iter().map(at).collect()
}

/// A primvar that follows the control points, on the grid.
fn along<T>(prim: &PrimReader<'_>, primvar: Primvar<T>, control_points: usize, places: &[Vec<(usize, f64)>]) -> Option<Primvar<T>>
where
    T: Copy + Default + Add<Output = T> + Mul<f32, Output = T>,
{
    match primvar.interpolation {
        Interpolation::Constant => Some(primvar),
        _ if primvar.indices.is_none() && first(&primvar.values).is_some_and(|values| values.len() == control_points) => {
            let values: Sampled<Vec<T>> = primvar.values.map(|values| combine(&values, places));
            Some(Primvar { values, interpolation: Interpolation::Vertex, ..primvar })
        }
        _ => {
            prim.warn(format!("`{}` does not have one value for each control point; it is left out", primvar.name));
            None
        }
    }
}
