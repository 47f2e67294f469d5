//! Values on the corners of faces, refined with the surface.
//!
//! Corners of a point that have the same index are one value, as in `OpenSubdiv`; where indices differ across an edge the values have a border
//! there. Inside, values are as smooth as the surface, its creases included. At borders `faceVaryingLinearInterpolation` says what happens:
//!
//! - `all`: nothing is smooth, values are linear within the file's faces. Exact.
//! - `none`: borders are smooth curves; their corners too, unless they are sharp corners of the surface. Exact where no crease meets a border.
//! - `cornersOnly`, `cornersPlus1`, `cornersPlus2`: the same, but values with a single face stay; with `cornersPlus1` also those where three
//!   or more meet in a point; with `cornersPlus2` also the ends of borders inside the surface and those beside a value that stays.
//! - `boundaries`: borders are straight and stay. Exact.
//!
//! Where a crease of the surface meets a border of values, the value stays there; `OpenSubdiv` lets it slide along the border.

use super::{
    Blend, Refined, Scheme, divide,
    net::{Edges, INFINITE, Net},
};
use crate::geometry::{GeometryError, polygons::Polygons};
use bevy::platform::collections::HashMap;

/// Values on corners: which one each corner has.
#[derive(Clone, Debug)]
pub(crate) struct FaceVarying<T> {
    pub values: Vec<T>,
    pub indices: Vec<u32>,
}

/// Refines values on the corners of the file's faces. `linear` is `faceVaryingLinearInterpolation`.
pub(crate) fn refine_face_varying<T: Blend>(
    surface: &Refined,
    channel: FaceVarying<T>,
    linear: &str,
) -> Result<FaceVarying<T>, GeometryError> {
    let Some(base) = surface.base.as_ref().filter(|_| !surface.levels.is_empty()) else { return Ok(channel) };
    // One element for each value at each point.
    let mut ids: HashMap<[u32; 2], u32> = HashMap::with_capacity(channel.values.len());
    let (mut values, mut points) = (Vec::new(), Vec::new());
    let mut corners = Vec::with_capacity(base.polygons.corners.len());
    for (point, index) in base.polygons.corners.iter().zip(&channel.indices) {
        corners.push(*ids.entry([*point, *index]).or_insert_with(|| {
            values.push(channel.values.get(*index as usize).cloned().unwrap_or_default());
            points.push(*point);
            values.len() as u32 - 1
        }));
    }
    corners.resize(base.polygons.corners.len(), 0);
    let polygons = Polygons { starts: base.polygons.starts.clone(), corners, point_count: values.len() };
    let edges = Edges::find(&polygons);
    let mut net = Net::smooth(polygons, edges);
    take_sharpness(base, &mut net, &points);
    sharpen(base, &mut net, &points, linear);
    let scheme = match linear {
        "all" => Scheme::Bilinear,
        _ => surface.scheme,
    };
    // Linear values still have to fall into the faces that the surface falls into.
    let is_linear_on_triangles = scheme == Scheme::Bilinear && surface.scheme == Scheme::Loop;
    for _ in &surface.levels {
        let (level, after, _) = divide::divide(net, if is_linear_on_triangles { Scheme::Loop } else { scheme })?;
        values = if scheme == Scheme::Bilinear { level.refine_linearly(&values) } else { level.refine(&values) };
        net = after;
    }
    Ok(FaceVarying { values, indices: net.polygons.corners })
}

/// Creases and corners of the surface are those of the values on it.
fn take_sharpness(base: &Net, net: &mut Net, points: &[u32]) {
    for (corner, edge) in net.edges.of_corner.iter().enumerate() {
        let of_surface = base.edges.of_corner.get(corner).and_then(|edge| base.edge_sharpness.get(*edge as usize));
        if let (Some(sharpness), Some(of_surface)) = (net.edge_sharpness.get_mut(*edge as usize), of_surface) {
            *sharpness = sharpness.max(*of_surface);
        }
    }
    let (borders, surface_borders) = (net.borders_of_points(), base.borders_of_points());
    let values_at = values_of_points(base, points);
    for ((sharpness, point), borders) in net.point_sharpness.iter_mut().zip(points).zip(borders) {
        let at = *point as usize;
        // Only where the values are joined as the surface is.
        if values_at.get(at) == Some(&1) && surface_borders.get(at) == Some(&borders) {
            *sharpness = base.point_sharpness.get(at).copied().unwrap_or_default();
        }
    }
}

/// How many values there are at each point.
fn values_of_points(base: &Net, points: &[u32]) -> Vec<u32> {
    let mut counts = vec![0; base.polygons.point_count];
    for point in points {
        if let Some(count) = counts.get_mut(*point as usize) {
            *count += 1;
        }
    }
    counts
}

/// What stays at the borders of values.
fn sharpen(base: &Net, net: &mut Net, points: &[u32], linear: &str) {
    let corners_stay = matches!(linear, "cornersOnly" | "cornersPlus1" | "cornersPlus2" | "");
    let junctions_stay = matches!(linear, "cornersPlus1" | "cornersPlus2" | "");
    let borders_stay = linear == "boundaries";
    if !corners_stay && !borders_stay {
        return;
    }
    let (faces, borders) = (net.faces_of_points(), net.borders_of_points());
    let values_at = values_of_points(base, points);
    let mut corner_at = vec![false; base.polygons.point_count];
    for ((point, faces), borders) in points.iter().zip(&faces).zip(&borders) {
        if let Some(corner) = corner_at.get_mut(*point as usize) {
            *corner |= *faces == 1 && *borders > 0;
        }
    }
    let surface_borders = base.borders_of_points();
    for (((sharpness, point), faces), borders) in net.point_sharpness.iter_mut().zip(points).zip(&faces).zip(&borders) {
        let at = *point as usize;
        let values = values_at.get(at).copied().unwrap_or_default();
        let has_corner = corner_at.get(at).copied().unwrap_or_default();
        let ends_inside = values == 1 && *borders > 0 && surface_borders.get(at) == Some(&0);
        let stays = *borders > 0
            && (borders_stay
                || (corners_stay && *faces == 1)
                || (junctions_stay && values > 2)
                || (linear == "cornersPlus2" && (has_corner || ends_inside)));
        if stays {
            *sharpness = INFINITE;
        }
    }
}
