//! Cubes, spheres, cylinders, cones, capsules and planes.
//!
//! Sizes are USD's; how many sides a round one has is ours. Coordinates run once around the axis, counter-clockwise from +X (for an axis
//! along Z), and from the bottom of the profile to its top; caps have the picture's full width around, too. Each side of a cube has the
//! whole picture.

use super::{GeometryError, MeshOptions, MeshPart, VertexColors, plain::Plain};
use bevy::math::{Vec2, Vec3};
use std::f64::consts::{FRAC_PI_2, TAU};
use studio_usd::snapshot::{Axis, Sampled, Shape, ShapeKind, display_rgba};

/// The most sides that a round shape gets.
const MAX_SIDES: u32 = 512;

/// Makes a shape's mesh at a time. Normals point outwards; a plane faces along its axis.
///
/// # Errors
/// If a size is not a finite number.
pub fn shape_mesh(shape: &Shape, options: &MeshOptions) -> Result<MeshPart, GeometryError> {
    let sides = options.shape_sides.clamp(3, MAX_SIDES);
    let at = |what: &str, value: &Sampled<f64>| {
        let size = value.at(options.time).unwrap_or_default().abs();
        if size.is_finite() && size <= f64::from(f32::MAX) {
            Ok(size)
        } else {
            Err(GeometryError::NotFinite { what: what.to_owned(), at: 0 })
        }
    };
    let mut plain = Plain::default();
    let is_animated = match &shape.kind {
        ShapeKind::Cube { size } => {
            cube(&mut plain, at("size", size)?);
            size.is_animated()
        }
        ShapeKind::Sphere { radius } => {
            let radius_now = at("radius", radius)?;
            let profile = arc(0.0, radius_now, -FRAC_PI_2, FRAC_PI_2, (sides / 2).max(2));
            revolve(&mut plain, &[profile], sides, shape.axis);
            radius.is_animated()
        }
        ShapeKind::Cylinder { height, radius, radius_top } => {
            let (half, bottom, top) = (at("height", height)? / 2.0, at("radius", radius)?, at("radiusTop", radius_top)?);
            let strips = [cap(bottom, -half, -1.0), slope(bottom, -half, top, half), cap(top, half, 1.0)];
            revolve(&mut plain, &strips, sides, shape.axis);
            height.is_animated() || radius.is_animated() || radius_top.is_animated()
        }
        ShapeKind::Cone { height, radius } => {
            let (half, bottom) = (at("height", height)? / 2.0, at("radius", radius)?);
            revolve(&mut plain, &[cap(bottom, -half, -1.0), slope(bottom, -half, 0.0, half)], sides, shape.axis);
            height.is_animated() || radius.is_animated()
        }
        ShapeKind::Capsule { height, radius, radius_top } => {
            let (half, bottom, top) = (at("height", height)? / 2.0, at("radius", radius)?, at("radiusTop", radius_top)?);
            let rings = (sides / 4).max(2);
            // Balls go on from the side as it leans, so that nothing has an edge.
            let lean = if half > 0.0 { (top - bottom) / (2.0 * half) } else { 0.0 };
            let (slant, edge) = (lean.hypot(1.0), (-lean).atan());
            let strips = [
                arc(-half + bottom * lean, bottom * slant, -FRAC_PI_2, edge, rings),
                slope(bottom, -half, top, half),
                arc(half + top * lean, top * slant, edge, FRAC_PI_2, rings),
            ];
            revolve(&mut plain, &strips, sides, shape.axis);
            height.is_animated() || radius.is_animated() || radius_top.is_animated()
        }
        ShapeKind::Plane { width, length } => {
            plane(&mut plain, at("width", width)?, at("length", length)?, shape.axis);
            width.is_animated() || length.is_animated()
        }
    };
    let has_color = shape.display_color.is_some() || shape.display_opacity.is_some();
    if has_color && options.vertex_colors != VertexColors::Never {
        plain.paint(display_rgba(shape.display_color, shape.display_opacity));
    }
    Ok(plain.part(options, shape.double_sided, is_animated, Vec::new()))
}

/// A point of a profile: the distance from the axis, the place along it, and the normal in the same plane.
#[derive(Clone, Copy, Debug)]
struct Ring {
    radius: f64,
    along: f64,
    normal: [f64; 2],
}

/// A cap from the axis out (below), or from its edge in (above).
fn cap(radius: f64, along: f64, facing: f64) -> Vec<Ring> {
    let ring = |radius| Ring { radius, along, normal: [0.0, facing] };
    if facing < 0.0 { vec![ring(0.0), ring(radius)] } else { vec![ring(radius), ring(0.0)] }
}

/// A straight side.
fn slope(bottom: f64, low: f64, top: f64, high: f64) -> Vec<Ring> {
    let (rise, lean) = (high - low, bottom - top);
    let length = rise.hypot(lean);
    let normal = if length > 0.0 { [rise / length, lean / length] } else { [1.0, 0.0] };
    vec![Ring { radius: bottom, along: low, normal }, Ring { radius: top, along: high, normal }]
}

/// A part of a circle about a point on the axis, from one latitude to another.
fn arc(center: f64, radius: f64, from: f64, to: f64, steps: u32) -> Vec<Ring> {
    let ring = |step: u32| {
        let (sin, cos) = (from + (to - from) * f64::from(step) / f64::from(steps)).sin_cos();
        // At a pole the cosine is not quite nothing.
        let cos = if cos.abs() < 1e-12 { 0.0 } else { cos };
        Ring { radius: radius * cos, along: center + radius * sin, normal: [cos, sin] }
    };
    (0..=steps).map(ring).collect()
}

/// Turns a place relative to an axis along Z to another axis, as a rotation.
fn along_axis(axis: Axis, x: f64, y: f64, z: f64) -> Vec3 {
    match axis {
        Axis::X => Vec3::new(z as f32, x as f32, y as f32),
        Axis::Y => Vec3::new(y as f32, z as f32, x as f32),
        Axis::Z => Vec3::new(x as f32, y as f32, z as f32),
    }
}

/// Turns profiles about the axis.
fn revolve(plain: &mut Plain, strips: &[Vec<Ring>], sides: u32, axis: Axis) {
    let (low, high) = strips
        .iter()
        .flatten()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), ring| (low.min(ring.along), high.max(ring.along)));
    for strip in strips {
        let is_flat = strip.first().zip(strip.last()).is_some_and(|(first, last)| first.along == last.along);
        let largest = strip.iter().map(|ring| ring.radius).fold(0.0, f64::max);
        if is_flat && largest == 0.0 {
            continue;
        }
        let start = plain.positions.len() as u32;
        for ring in strip {
            let up = if is_flat {
                ring.radius / largest
            } else if high > low {
                (ring.along - low) / (high - low)
            } else {
                0.0
            };
            for side in 0..=sides {
                // The last column has the first one's place, to the bit, and the other end of the picture.
                let (sin, cos) = (f64::from(side % sides) / f64::from(sides) * TAU).sin_cos();
                let position = along_axis(axis, ring.radius * cos, ring.radius * sin, ring.along);
                let normal = along_axis(axis, ring.normal[0] * cos, ring.normal[0] * sin, ring.normal[1]);
                let uv = Vec2::new(side as f32 / sides as f32, up as f32);
                plain.vertex(position, normal, uv, 0);
            }
        }
        for ring in 0..(strip.len() as u32).saturating_sub(1) {
            for side in 0..sides {
                let a = start + ring * (sides + 1) + side;
                let (b, d) = (a + 1, a + sides + 1);
                plain.triangle([a, b, d + 1]);
                plain.triangle([a, d + 1, d]);
            }
        }
    }
    plain.points = (0..plain.positions.len() as u32).collect();
}

fn quad(plain: &mut Plain, center: Vec3, right: Vec3, up: Vec3) {
    let normal = right.cross(up).normalize_or(Vec3::Y);
    let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(u, v)| {
        let position = center + right * (2.0 * u - 1.0) + up * (2.0 * v - 1.0);
        let point = plain.positions.len() as u32;
        plain.vertex(position, normal, Vec2::new(u, v), point)
    });
    plain.triangle([corners[0], corners[1], corners[2]]);
    plain.triangle([corners[0], corners[2], corners[3]]);
}

fn cube(plain: &mut Plain, size: f64) {
    let half = (size / 2.0) as f32;
    // Sides have the picture upright around Y; on top and bottom it goes on from the front.
    let sides = [(Vec3::X, Vec3::NEG_Z, Vec3::Y), (Vec3::NEG_X, Vec3::Z, Vec3::Y), (Vec3::Z, Vec3::X, Vec3::Y)];
    let others = [(Vec3::NEG_Z, Vec3::NEG_X, Vec3::Y), (Vec3::Y, Vec3::X, Vec3::NEG_Z), (Vec3::NEG_Y, Vec3::X, Vec3::Z)];
    for (facing, right, up) in sides.into_iter().chain(others) {
        // The direction is known even where the size is nothing.
        let start = plain.normals.len();
        quad(plain, facing * half, right * half, up * half);
        for normal in plain.normals.iter_mut().skip(start) {
            *normal = facing.to_array();
        }
    }
}

fn plane(plain: &mut Plain, width: f64, length: f64, axis: Axis) {
    // Seen from where it faces, the picture is upright and not mirrored.
    let (facing, right, up) = match axis {
        Axis::X => (Vec3::X, Vec3::NEG_Z, Vec3::Y),
        Axis::Y => (Vec3::Y, Vec3::X, Vec3::NEG_Z),
        Axis::Z => (Vec3::Z, Vec3::X, Vec3::Y),
    };
    quad(plain, Vec3::ZERO, right * (width / 2.0) as f32, up * (length / 2.0) as f32);
    plain.normals.fill(facing.to_array());
}
