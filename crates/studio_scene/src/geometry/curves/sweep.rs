//! Tubes and ribbons along points.

use super::unit;
use crate::geometry::plain::Plain;
use bevy::math::{Quat, Vec2, Vec3, Vec4};
use std::f32::consts::TAU;

/// A place along a curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub position: Vec3,
    pub radius: f32,
    /// What a ribbon faces.
    pub normal: Option<Vec3>,
    /// The control point it is nearest to.
    pub point: u32,
}

/// The directions of a curve at its rows: between the neighbours.
fn tangents(rows: &[Row], is_periodic: bool) -> Vec<Vec3> {
    let count = rows.len();
    let position = |at: usize| rows.get(at).map(|row| row.position).unwrap_or_default();
    let mut tangents: Vec<Vec3> = (0..count)
        .map(|at| {
            let (before, after) = if is_periodic {
                ((at + count - 1) % count, (at + 1) % count)
            } else {
                (at.saturating_sub(1), (at + 1).min(count - 1))
            };
            // Unit steps on both sides, so that a corner is halved whatever the lengths beside it.
            let ahead = unit(position(after) - position(at), Vec3::ZERO);
            let behind = unit(position(at) - position(before), Vec3::ZERO);
            unit(ahead + behind, if ahead == Vec3::ZERO { behind } else { ahead })
        })
        .collect();
    // Where points fall together the direction goes on.
    let mut last = tangents.iter().copied().find(|tangent| *tangent != Vec3::ZERO).unwrap_or(Vec3::X);
    for tangent in &mut tangents {
        if *tangent == Vec3::ZERO {
            *tangent = last;
        }
        last = *tangent;
    }
    tangents
}

/// Directions across a curve that turn as little as can be (Wang et al. 2008, double reflection). Those of a closed curve meet: what the
/// turn lacks is spread along it.
fn frames(rows: &[Row], tangents: &[Vec3], is_periodic: bool) -> Vec<Vec3> {
    let Some(first) = tangents.first() else { return Vec::new() };
    let mut across = first.any_orthonormal_vector();
    let mut frames = Vec::with_capacity(rows.len() + 1);
    frames.push(across);
    let transport = |across: Vec3, from: (Vec3, Vec3), to: (Vec3, Vec3)| {
        let reflect = |vector: Vec3, about: Vec3| {
            let length = about.length_squared();
            if length > f32::MIN_POSITIVE { vector - about * (2.0 * about.dot(vector) / length) } else { vector }
        };
        let step = unit(to.0 - from.0, Vec3::ZERO);
        let (across, tangent) = (reflect(across, step), reflect(from.1, step));
        let across = reflect(across, to.1 - tangent);
        // Numbers drift; it stays across.
        unit(across - to.1 * across.dot(to.1), to.1.any_orthonormal_vector())
    };
    let places: Vec<(Vec3, Vec3)> = rows.iter().map(|row| row.position).zip(tangents.iter().copied()).collect();
    for pair in places.windows(2) {
        if let [from, to] = pair {
            across = transport(across, *from, *to);
            frames.push(across);
        }
    }
    if let (true, Some(from), Some(to)) = (is_periodic, places.last(), places.first()) {
        let end = transport(across, *from, *to);
        let start = frames.first().copied().unwrap_or(end);
        let twist = f32::atan2(end.cross(start).dot(to.1), end.dot(start));
        let count = frames.len() as f32;
        for ((at, frame), tangent) in frames.iter_mut().enumerate().zip(tangents) {
            *frame = Quat::from_axis_angle(*tangent, twist * at as f32 / count) * *frame;
        }
    }
    frames
}

/// A tube around rows, its ends closed if the curve's do not meet.
pub(super) fn tube(plain: &mut Plain, rows: &[Row], colors: &[Vec4], sides: u32, is_periodic: bool) {
    if rows.len() < 2 {
        return;
    }
    let tangents = tangents(rows, is_periodic);
    let frames = frames(rows, &tangents, is_periodic);
    let start = plain.positions.len() as u32;
    let rings = if is_periodic { rows.len() + 1 } else { rows.len() };
    let last = (rings - 1).max(1) as f32;
    for ring in 0..rings {
        let at = ring % rows.len();
        let (Some(row), Some(tangent), Some(across)) = (rows.get(at), tangents.get(at), frames.get(at)) else { continue };
        let up = tangent.cross(*across);
        for side in 0..=sides {
            let (sin, cos) = ((side % sides) as f32 / sides as f32 * TAU).sin_cos();
            let normal = unit(*across * cos + up * sin, *across);
            let uv = Vec2::new(side as f32 / sides as f32, ring as f32 / last);
            plain.vertex(row.position + normal * row.radius, normal, uv, row.point);
        }
        if let Some(color) = colors.get(at) {
            plain.colors.resize(plain.positions.len(), color.to_array());
        }
    }
    for ring in 0..rings as u32 - 1 {
        for side in 0..sides {
            let a = start + ring * (sides + 1) + side;
            let d = a + sides + 1;
            plain.triangle([a, a + 1, d + 1]);
            plain.triangle([a, d + 1, d]);
        }
    }
    if is_periodic {
        return;
    }
    for (ring, sign) in [(0, -1.0), (rows.len() - 1, 1.0)] {
        let (Some(row), Some(tangent)) = (rows.get(ring), tangents.get(ring)) else { continue };
        let center = plain.vertex(row.position, *tangent * sign, Vec2::new(0.5, 0.5), row.point);
        for side in 0..=sides {
            let edge = start + ring as u32 * (sides + 1) + side;
            let position = plain.positions.get(edge as usize).copied().map(Vec3::from_array).unwrap_or_default();
            plain.vertex(position, *tangent * sign, Vec2::new(side as f32 / sides as f32, 0.0), row.point);
        }
        if let Some(color) = colors.get(ring) {
            plain.colors.resize(plain.positions.len(), color.to_array());
        }
        for side in 0..sides {
            let (one, other) = (center + 1 + side, center + 2 + side);
            plain.triangle(if sign < 0.0 { [center, other, one] } else { [center, one, other] });
        }
    }
}

/// A flat ribbon along rows, facing their normals.
pub(super) fn ribbon(plain: &mut Plain, rows: &[Row], colors: &[Vec4], is_periodic: bool) {
    if rows.len() < 2 {
        return;
    }
    let tangents = tangents(rows, is_periodic);
    let start = plain.positions.len() as u32;
    let rings = if is_periodic { rows.len() + 1 } else { rows.len() };
    let last = (rings - 1).max(1) as f32;
    for ring in 0..rings {
        let at = ring % rows.len();
        let (Some(row), Some(tangent)) = (rows.get(at), tangents.get(at)) else { continue };
        let across = unit(row.normal.unwrap_or(Vec3::Y).cross(*tangent), tangent.any_orthonormal_vector());
        let normal = tangent.cross(across);
        for (side, u) in [(-1.0, 0.0), (1.0, 1.0)] {
            plain.vertex(row.position + across * (row.radius * side), normal, Vec2::new(u, ring as f32 / last), row.point);
        }
        if let Some(color) = colors.get(at) {
            plain.colors.resize(plain.positions.len(), color.to_array());
        }
    }
    for ring in 0..rings as u32 - 1 {
        let a = start + 2 * ring;
        plain.triangle([a, a + 2, a + 1]);
        plain.triangle([a + 1, a + 2, a + 3]);
    }
}
