//! Points with a width, as small balls.

use super::{
    GeometryError, MeshOptions, MeshPart, VertexColors,
    plain::Plain,
    primvar::{Elements, resolve_or_note},
};
use bevy::math::{Vec2, Vec3};
use std::f32::consts::{PI, TAU};
use studio_usd::snapshot::{Points, Primvar, Sampled, display_rgba};

/// Points and curves without a width get this part of the diagonal of all: a hair's breadth that is seen.
pub(crate) const HAIR: f32 = 1.0 / 400.0;

/// Makes the mesh of points at a time: a ball for each, as wide as the point. Balls have 80 triangles while the mesh stays below
/// [`MeshOptions::max_triangles`], then 20, then 8; beyond that only every so many points are shown, and a note says so. They look the same
/// from everywhere and in both eyes, which sprites that turn to the camera do not.
///
/// # Errors
/// If a position is not a finite number.
pub fn points_mesh(points: &Points, options: &MeshOptions) -> Result<MeshPart, GeometryError> {
    let mut notes = Vec::new();
    let positions = points.points.at(options.time).unwrap_or_default();
    if let Some(at) = positions.iter().position(|position| !position.is_finite()) {
        return Err(GeometryError::NotFinite { what: "points".to_owned(), at });
    }
    let count = positions.len();
    let elements = Elements { faces: 1, points: count, corners: count };
    let widths = resolve_or_note(points.widths.as_ref(), options.time, elements, &mut notes);
    let wants_colors = options.vertex_colors != VertexColors::Never;
    let color = resolve_or_note(points.display_color.as_ref().filter(|_| wants_colors), options.time, elements, &mut notes);
    let opacity = resolve_or_note(points.display_opacity.as_ref().filter(|_| wants_colors), options.time, elements, &mut notes);
    let has_colors = color.is_some() || opacity.is_some();
    let hair = diagonal(&positions) * HAIR;

    let afford = options.max_triangles.max(8) / count.max(1);
    let (ball, step) = match afford {
        80.. => (icosahedron(true), 1),
        20.. => (icosahedron(false), 1),
        8.. => (octahedron(), 1),
        _ => (octahedron(), (8 * count).div_ceil(options.max_triangles.max(8))),
    };
    if step > 1 {
        notes.push(format!("one of {step} of the {count} points is shown: {} triangles is the most", options.max_triangles));
    }
    let mut plain = Plain::default();
    for (point, position) in positions.iter().enumerate().step_by(step) {
        let place = super::primvar::Place { face: 0, point: point as u32, corner: point as u32 };
        let radius = widths.as_ref().map_or(hair, |widths| widths.at(place)).abs() / 2.0;
        let start = plain.positions.len() as u32;
        for direction in &ball.0 {
            let uv = Vec2::new(direction.z.atan2(direction.x) / TAU + 0.5, direction.y.clamp(-1.0, 1.0).asin() / PI + 0.5);
            plain.vertex(*position + *direction * radius, *direction, uv, point as u32);
        }
        if has_colors {
            let rgba =
                display_rgba(color.as_ref().map(|color| color.at(place)), opacity.as_ref().map(|opacity| opacity.at(place)));
            plain.colors.resize(plain.positions.len(), rgba.to_array());
        }
        plain.indices.extend(ball.1.iter().flatten().map(|corner| start + corner));
    }
    let is_animated = points.points.is_animated()
        || moves(points.widths.as_ref())
        || moves(points.display_color.as_ref())
        || moves(points.display_opacity.as_ref());
    Ok(plain.part(options, false, is_animated, notes))
}

/// Whether a primvar changes over time.
pub(crate) fn moves<T>(primvar: Option<&Primvar<T>>) -> bool {
    primvar.is_some_and(|primvar| primvar.values.is_animated() || primvar.indices.as_ref().is_some_and(Sampled::is_animated))
}

/// The diagonal of the box around points; 1 if they are all in one place.
pub(crate) fn diagonal(points: &[Vec3]) -> f32 {
    let (min, max) =
        points.iter().fold((Vec3::INFINITY, Vec3::NEG_INFINITY), |(min, max), point| (min.min(*point), max.max(*point)));
    let diagonal = (max - min).length();
    if diagonal > 0.0 && diagonal.is_finite() { diagonal } else { 1.0 }
}

type Ball = (Vec<Vec3>, Vec<[u32; 3]>);

fn octahedron() -> Ball {
    let corners = vec![Vec3::X, Vec3::NEG_X, Vec3::Y, Vec3::NEG_Y, Vec3::Z, Vec3::NEG_Z];
    let faces = vec![[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]];
    (corners, faces)
}

/// An icosahedron, or the ball whose faces are each cut into four.
fn icosahedron(finer: bool) -> Ball {
    let long = (1.0 + 5.0_f32.sqrt()) / 2.0;
    let mut corners = Vec::with_capacity(42);
    for (a, b) in [(-1.0, long), (1.0, long), (-1.0, -long), (1.0, -long)] {
        corners.push(Vec3::new(a, b, 0.0).normalize());
    }
    for (a, b) in [(-1.0, long), (1.0, long), (-1.0, -long), (1.0, -long)] {
        corners.push(Vec3::new(0.0, a, b).normalize());
    }
    for (a, b) in [(long, -1.0), (long, 1.0), (-long, -1.0), (-long, 1.0)] {
        corners.push(Vec3::new(a, 0.0, b).normalize());
    }
    #[rustfmt::skip]
    let faces = vec![
        [0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6], [7, 1, 8],
        [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1],
    ];
    if !finer {
        return (corners, faces);
    }
    let mut middles = bevy::platform::collections::HashMap::<[u32; 2], u32>::new();
    let mut fine = Vec::with_capacity(80);
    for [a, b, c] in faces {
        let mut middle = |one: u32, other: u32| {
            *middles.entry([one.min(other), one.max(other)]).or_insert_with(|| {
                let at = |corner: u32| corners.get(corner as usize).copied().unwrap_or_default();
                let between = (at(one) + at(other)).normalize_or(Vec3::Y);
                corners.push(between);
                corners.len() as u32 - 1
            })
        };
        let (ab, bc, ca) = (middle(a, b), middle(b, c), middle(c, a));
        fine.extend([[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]);
    }
    (corners, fine)
}
