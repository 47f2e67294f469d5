//! Curves.

use super::*;
use proptest::prelude::*;
use std::f32::consts::PI;
use studio_usd::snapshot::{CurveBasis, CurveWrap, Curves};

fn straight(width: f32) -> Curves {
    Curves {
        points: vec![Vec3::ZERO, Vec3::X, Vec3::X * 2.0, Vec3::X * 3.0].into(),
        curve_vertex_counts: vec![4],
        widths: Some(primvar("widths", Interpolation::Constant, vec![width])),
        ..Default::default()
    }
}

fn options() -> MeshOptions {
    MeshOptions { tube_sides: 64, curve_segments: 16, ..Default::default() }
}

/// The points on the middle of a curve.
fn middle(curves: &Curves) -> Vec<Vec3> {
    let made = curves_mesh(curves, &MeshOptions { tube_sides: 4, curve_segments: 4, ..Default::default() }).expect("curves");
    let rings = positions(&made.mesh);
    // Four sides and the seam; caps come after the rings.
    let count = uvs(&made.mesh, Mesh::ATTRIBUTE_UV_0).iter().filter(|uv| uv.x == 1.0).count();
    rings.chunks(5).take(count).map(|ring| (ring[0] + ring[1] + ring[2] + ring[3]) / 4.0).collect()
}

#[test]
fn a_straight_curve_is_a_closed_tube_of_its_width() {
    for cubic in [false, true] {
        let curves = Curves { cubic, ..straight(0.5) };
        let made = curves_mesh(&curves, &options()).expect("curves");
        let expected = PI * 0.25 * 0.25 * 3.0;
        assert!((volume(&made.mesh) / expected - 1.0).abs() < 5e-3, "{cubic}");
        assert!(areas(&made.mesh).iter().copied().sum::<Vec3>().length() < 1e-4, "it is closed");
    }
}

#[test]
fn each_basis_goes_where_its_definition_says() {
    let points = vec![Vec3::ZERO, Vec3::new(1., 2., 0.), Vec3::new(3., 2., 0.), Vec3::new(4., 0., 0.)];
    let curves = |basis, wrap| Curves {
        points: points.clone().into(),
        curve_vertex_counts: vec![4],
        cubic: true,
        basis,
        wrap,
        ..straight(0.01)
    };
    let ends = |basis, wrap| {
        let middle = middle(&curves(basis, wrap));
        (middle[0], middle[middle.len() - 3])
    };
    let close = |(from, to): (Vec3, Vec3), first: Vec3, last: Vec3| {
        assert!(from.abs_diff_eq(first, 2e-3), "{from} is not {first}");
        assert!(to.abs_diff_eq(last, 2e-3), "{to} is not {last}");
    };
    close(ends(CurveBasis::Bezier, CurveWrap::Nonperiodic), points[0], points[3]);
    close(ends(CurveBasis::CatmullRom, CurveWrap::Nonperiodic), points[1], points[2]);
    let knot = |a: Vec3, b: Vec3, c: Vec3| (a + b * 4.0 + c) / 6.0;
    close(
        ends(CurveBasis::Bspline, CurveWrap::Nonperiodic),
        knot(points[0], points[1], points[2]),
        knot(points[1], points[2], points[3]),
    );
    close(ends(CurveBasis::Bspline, CurveWrap::Pinned), points[0], points[3]);
    close(ends(CurveBasis::CatmullRom, CurveWrap::Pinned), points[0], points[3]);
}

#[test]
fn a_periodic_curve_is_a_ring_without_ends() {
    let corners = (0..16).map(|at| (at as f32 / 16.0 * 2.0 * PI).sin_cos()).map(|(sin, cos)| Vec3::new(cos, sin, 0.0) * 2.0);
    let curves = Curves {
        points: corners.collect::<Vec<_>>().into(),
        curve_vertex_counts: vec![16],
        cubic: true,
        basis: CurveBasis::CatmullRom,
        wrap: CurveWrap::Periodic,
        ..straight(0.5)
    };
    let made = curves_mesh(&curves, &options()).expect("curves");
    // Pappus: the area of the section times the way of its middle.
    let expected = PI * 0.25 * 0.25 * 2.0 * PI * 2.0;
    assert!((volume(&made.mesh) / expected - 1.0).abs() < 1e-2, "{} instead of {expected}", volume(&made.mesh));
    assert!(areas(&made.mesh).iter().copied().sum::<Vec3>().length() < 1e-3);
}

#[test]
fn widths_and_colours_run_along_the_curve() {
    let mut curves = straight(0.0);
    curves.widths = Some(primvar("widths", Interpolation::Varying, vec![0.0, 1.0, 1.0, 0.0]));
    curves.display_color = Some(primvar("displayColor", Interpolation::Vertex, vec![Vec3::ZERO, Vec3::X, Vec3::X, Vec3::ZERO]));
    let made = curves_mesh(&curves, &options()).expect("curves");
    for (position, color) in positions(&made.mesh).iter().zip(colors(&made.mesh)) {
        let radius = Vec2::new(position.y, position.z).length();
        let inner = (position.x - 1.0).abs() < 1e-3 || (position.x - 2.0).abs() < 1e-3;
        assert!((radius - if inner { 0.5 } else { 0.0 }).abs() < 1e-3, "{position}");
        assert!((color[0] - if inner { 1.0 } else { 0.0 }).abs() < 1e-3);
    }
}

#[test]
fn curves_with_normals_are_ribbons_that_face_them() {
    let mut curves = straight(0.5);
    curves.normals = Some(primvar("normals", Interpolation::Constant, vec![Vec3::Y]));
    let made = curves_mesh(&curves, &options()).expect("curves");
    assert!(made.double_sided);
    assert!(normals(&made.mesh).iter().all(|normal| normal.abs_diff_eq(Vec3::Y, 1e-6)));
    let area: Vec3 = areas(&made.mesh).into_iter().sum();
    assert!(area.abs_diff_eq(Vec3::Y * 1.5, 1e-5), "{area}");
}

#[test]
fn curves_stay_within_the_budget_and_short_ones_are_noted() {
    let mut curves = straight(0.1);
    curves.curve_vertex_counts = vec![1, 3];
    let made = curves_mesh(&curves, &options()).expect("curves");
    assert!(made.notes[0].starts_with("1 curves have too few"), "{:?}", made.notes);
    curves.curve_vertex_counts = vec![9];
    assert!(curves_mesh(&curves, &options()).is_err());

    let many = Curves {
        points: (0..4000).map(|at| Vec3::new(at as f32, (at % 4) as f32, 0.0)).collect::<Vec<_>>().into(),
        curve_vertex_counts: vec![4; 1000],
        cubic: true,
        ..straight(0.1)
    };
    let budget = MeshOptions { max_triangles: 20_000, ..options() };
    let made = curves_mesh(&many, &budget).expect("curves");
    assert!(triangles(&made.mesh).len() <= 20_000 && !made.notes.is_empty());
    let tight = MeshOptions { max_triangles: 500, ..options() };
    assert!(triangles(&curves_mesh(&many, &tight).expect("curves").mesh).len() <= 500);
}

proptest! {
    /// Nothing in a file breaks the program, and what comes out can be drawn.
    #[test]
    fn no_numbers_break_curves(
        coordinates in proptest::collection::vec(prop_oneof![Just(0.0_f32), -1e3_f32..1e3], 0..60),
        counts in proptest::collection::vec(0_u32..8, 0..6),
        cubic in any::<bool>(),
        basis in 0..3_usize,
        wrap in 0..3_usize,
        widths in proptest::collection::vec(-1.0_f32..2.0, 0..24),
        interpolation in 0..5_usize,
        ribbons in any::<bool>(),
        max_triangles in 0..200_usize,
    ) {
        let interpolation = [Interpolation::Constant, Interpolation::Uniform, Interpolation::Varying, Interpolation::Vertex, Interpolation::FaceVarying][interpolation];
        let shades = widths.iter().map(|width| Vec3::splat(*width)).collect();
        let curves = Curves {
            points: coordinates.chunks_exact(3).map(Vec3::from_slice).collect::<Vec<_>>().into(),
            curve_vertex_counts: counts,
            cubic,
            basis: [CurveBasis::Bezier, CurveBasis::Bspline, CurveBasis::CatmullRom][basis],
            wrap: [CurveWrap::Nonperiodic, CurveWrap::Periodic, CurveWrap::Pinned][wrap],
            normals: ribbons.then(|| primvar("normals", Interpolation::Constant, vec![Vec3::Y])),
            display_color: Some(primvar("displayColor", interpolation, shades)),
            widths: Some(primvar("widths", interpolation, widths)),
            ..Default::default()
        };
        if let Ok(made) = curves_mesh(&curves, &MeshOptions { max_triangles, tangents: true, ..Default::default() }) {
            let count = made.mesh.count_vertices();
            prop_assert!(triangles(&made.mesh).len() <= max_triangles.max(1));
            prop_assert!(triangles(&made.mesh).iter().flatten().all(|index| (*index as usize) < count));
            prop_assert!(positions(&made.mesh).iter().all(|position| position.is_finite()));
            prop_assert!(normals(&made.mesh).iter().all(|normal| normal.is_normalized()));
            prop_assert_eq!(made.point_of_vertex.len(), count);
            prop_assert!(!made.has_colors || colors(&made.mesh).len() == count);
        }
    }
}
