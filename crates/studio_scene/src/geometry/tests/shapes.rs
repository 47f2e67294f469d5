//! Shapes and points.

use super::*;
use std::f32::consts::PI;
use studio_usd::snapshot::{Axis, PointInstancer, Points, Shape, ShapeKind};

fn shape(kind: ShapeKind, axis: Axis) -> Shape {
    Shape { kind, axis, double_sided: false, display_color: None, display_opacity: None }
}

fn made(shape: &Shape) -> MeshPart {
    shape_mesh(shape, &MeshOptions { shape_sides: 128, ..Default::default() }).expect("a shape")
}

#[test]
fn shapes_have_their_volume_their_bounds_and_face_outwards() {
    let (height, radius, top) = (3.0_f32, 0.5_f32, 0.25_f32);
    let size = |value: f32| Sampled::from(f64::from(value));
    let ball = |radius: f32| 4.0 / 3.0 * PI * radius.powi(3);
    let frustum = PI * height / 3.0 * (radius * radius + radius * top + top * top);
    // The part of a ball that goes on from the cone as it leans.
    let slope = (top - radius) / height;
    let slant = (1.0 + slope * slope).sqrt();
    let dome = |radius: f32, end: f32| {
        let rise = radius * (slant + end * slope);
        PI * rise * rise * (3.0 * radius * slant - rise) / 3.0
    };
    let kinds = [
        (ShapeKind::Cube { size: size(2.0) }, 8.0),
        (ShapeKind::Sphere { radius: size(radius) }, ball(radius)),
        (
            ShapeKind::Cylinder { height: size(height), radius: size(radius), radius_top: size(radius) },
            PI * radius * radius * height,
        ),
        (ShapeKind::Cylinder { height: size(height), radius: size(radius), radius_top: size(top) }, frustum),
        (ShapeKind::Cone { height: size(height), radius: size(radius) }, PI * radius * radius * height / 3.0),
        (
            ShapeKind::Capsule { height: size(height), radius: size(radius), radius_top: size(top) },
            frustum + dome(radius, -1.0) + dome(top, 1.0),
        ),
    ];
    for (kind, expected) in kinds {
        for axis in [Axis::X, Axis::Y, Axis::Z] {
            let shape = shape(kind.clone(), axis);
            let made = made(&shape);
            let found = volume(&made.mesh);
            assert!((found / expected - 1.0).abs() < 5e-3, "{kind:?} {axis:?}: {found} instead of {expected}");
            let bounds = shape.bounds(0.0);
            let points = positions(&made.mesh);
            let (min, max) = points.iter().fold((points[0], points[0]), |(min, max), at| (min.min(*at), max.max(*at)));
            assert!(
                min.abs_diff_eq(bounds.min.as_vec3(), 1e-3) && max.abs_diff_eq(bounds.max.as_vec3(), 1e-3),
                "{kind:?} {axis:?}"
            );
            // Normals agree with the triangles they are on.
            let normals = normals(&made.mesh);
            for (corners, area) in triangles(&made.mesh).into_iter().zip(areas(&made.mesh)) {
                for corner in corners {
                    let normal = normals[corner as usize];
                    assert!(normal.is_normalized());
                    assert!(normal.dot(area.normalize()) > 0.9, "{kind:?} {axis:?}: {normal} on {area}");
                }
            }
        }
    }
}

#[test]
fn planes_face_their_axis_and_show_the_picture_upright() {
    for (axis, facing) in [(Axis::X, Vec3::X), (Axis::Y, Vec3::Y), (Axis::Z, Vec3::Z)] {
        let shape = shape(ShapeKind::Plane { width: 2.0.into(), length: 4.0.into() }, axis);
        let made = made(&shape);
        let areas = areas(&made.mesh);
        assert!(areas.iter().all(|area| area.dot(facing) > 0.0));
        assert!((areas.iter().map(|area| area.length()).sum::<f32>() - 8.0).abs() < 1e-5);
        let max = positions(&made.mesh).into_iter().fold(Vec3::ZERO, Vec3::max);
        assert!(max.abs_diff_eq(shape.bounds(0.0).max.as_vec3(), 1e-6));
    }
}

#[test]
fn a_shape_without_size_is_nothing_and_one_without_end_is_an_error() {
    let none = made(&shape(ShapeKind::Sphere { radius: 0.0.into() }, Axis::Z));
    assert!(triangles(&none.mesh).is_empty());
    let endless = shape(ShapeKind::Cube { size: f64::INFINITY.into() }, Axis::Z);
    assert!(shape_mesh(&endless, &MeshOptions::default()).is_err());
}

#[test]
fn points_are_balls_as_wide_as_they_say() {
    let points = Points {
        points: vec![Vec3::ZERO, Vec3::X * 10.0].into(),
        widths: Some(primvar("widths", Interpolation::Vertex, vec![2.0, 4.0])),
        display_color: Some(primvar("displayColor", Interpolation::Vertex, vec![Vec3::X, Vec3::Y])),
        ..Default::default()
    };
    let made = points_mesh(&points, &MeshOptions::default()).expect("points");
    assert_eq!(triangles(&made.mesh).len(), 160);
    for ((position, point), color) in positions(&made.mesh).iter().zip(&made.point_of_vertex).zip(colors(&made.mesh)) {
        let (center, radius, expected) =
            if *point == 0 { (Vec3::ZERO, 1.0, [1., 0., 0., 1.]) } else { (Vec3::X * 10.0, 2.0, [0., 1., 0., 1.]) };
        assert!((position.distance(center) - radius).abs() < 1e-5);
        assert_eq!(color, expected);
    }
    assert!(volume(&made.mesh) > 0.0);
}

#[test]
fn very_many_points_stay_within_the_budget() {
    let points = Points { points: vec![Vec3::ONE; 10_000].into(), ..Default::default() };
    let options = MeshOptions { max_triangles: 20_000, ..Default::default() };
    let made = points_mesh(&points, &options).expect("points");
    let count = triangles(&made.mesh).len();
    assert!((8_000..=20_000).contains(&count), "{count}");
    assert!(made.notes[0].contains("one of 4"), "{:?}", made.notes);
}

#[test]
fn copies_are_where_the_instancer_says_and_hidden_ones_are_not() {
    let instancer = PointInstancer {
        prototypes: vec!["/A".into(), "/B".into()],
        proto_indices: vec![0, 1, 0, 5, 1].into(),
        positions: (0..5).map(|at| Vec3::X * at as f32).collect::<Vec<_>>().into(),
        orientations: vec![bevy::math::Quat::from_xyzw(0.0, 0.0, 2.0, 2.0); 5].into(),
        scales: vec![Vec3::splat(2.0); 5].into(),
        ids: vec![10, 11, 12, 13, 14],
        invisible_ids: Sampled { default: None, samples: vec![(0.0, vec![]), (5.0, vec![11])], held: true },
        inactive_ids: vec![12],
        ..Default::default()
    };
    let seen = |time| instancer.copies(time).iter().map(|copy| (copy.index, copy.prototype, copy.id)).collect::<Vec<_>>();
    assert_eq!(seen(0.0), [(0, 0, 10), (1, 1, 11), (4, 1, 14)]);
    assert_eq!(seen(5.0), [(0, 0, 10), (4, 1, 14)]);
    // A quarter turn about Z from a quaternion that is not of unit length, then twice the size, then moved.
    let corner = instancer.copies(0.0)[1].placement.matrix().transform_point3(bevy::math::DVec3::X);
    assert!(corner.abs_diff_eq(bevy::math::DVec3::new(1.0, 2.0, 0.0), 1e-6), "{corner}");
}
