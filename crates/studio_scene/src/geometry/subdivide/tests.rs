//! Points that are known from the rules, and what holds for all.

use super::*;
use crate::geometry::{
    MeshOptions, mesh_parts,
    tests::{cube, grid, only, polygons, positions, primvar, square, triangles, uvs},
};
use bevy::{math::Vec3Swizzles, mesh::Mesh};
use proptest::prelude::*;
use studio_usd::snapshot::{self, Interpolation, Primvar};

fn surface(mut mesh: snapshot::Mesh, level: u8, change: impl FnOnce(&mut Subdivision)) -> Vec<Vec3> {
    mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
    change(&mut mesh.subdivision);
    let options = MeshOptions { refine_level: level, ..Default::default() };
    match mesh_parts(&mesh, &options).expect("a mesh").as_slice() {
        [] => Vec::new(),
        [part] => {
            assert_eq!(part.refined_level, level);
            positions(&part.mesh)
        }
        parts => panic!("{} parts", parts.len()),
    }
}

/// How many of the points have these absolute coordinates, in any order.
fn count(points: &[Vec3], coordinates: [f32; 3]) -> usize {
    let sorted = |point: Vec3| {
        let mut coordinates = point.abs().to_array();
        coordinates.sort_by(f32::total_cmp);
        Vec3::from_array(coordinates)
    };
    let wanted = sorted(Vec3::from_array(coordinates));
    points.iter().filter(|point| sorted(**point).abs_diff_eq(wanted, 1e-6)).count()
}

#[test]
fn the_first_level_of_a_cube_is_exact() {
    let points = surface(cube(), 1, |_| ());
    assert_eq!(points.len(), 26);
    assert_eq!(count(&points, [5.0 / 9.0; 3]), 8, "corners");
    assert_eq!(count(&points, [0.75, 0.75, 0.0]), 12, "edges");
    assert_eq!(count(&points, [1.0, 0.0, 0.0]), 6, "faces");
}

#[test]
fn a_cube_converges_to_its_limit() {
    // Halstead et al. 1993: corners of valence three end at half the cube, middles of faces at (16 + 12 + 20/9) / 36.
    let points = surface(cube(), 6, |_| ());
    let (corner, face) = (0.5, (28.0 + 20.0 / 9.0) / 36.0);
    let near = |place: Vec3| points.iter().map(|point| point.distance(place)).fold(f32::INFINITY, f32::min);
    assert!(near(Vec3::splat(corner)) < 2e-4, "{}", near(Vec3::splat(corner)));
    assert!(near(Vec3::X * face) < 2e-4, "{}", near(Vec3::X * face));
    let farthest = points.iter().map(|point| point.x).fold(0.0, f32::max);
    assert!((farthest - face).abs() < 2e-4, "{farthest}");
}

/// Creases along all edges of a cube.
fn creased(sharpness: f32) -> impl FnOnce(&mut Subdivision) {
    move |subdivision| {
        let corners = 0..8_u32;
        let edges = corners.flat_map(|corner| (0..3).map(move |bit| (corner, corner | 1 << bit)).filter(|(from, to)| from != to));
        subdivision.crease_indices = edges.flat_map(|(from, to)| [from, to]).collect();
        subdivision.crease_lengths = vec![2; 12];
        subdivision.crease_sharpnesses = vec![sharpness; 12];
    }
}

#[test]
fn a_sharp_crease_stays_for_ever_and_a_dull_one_for_its_levels() {
    let points = surface(cube(), 3, creased(10.0));
    assert!(points.iter().all(|point| point.abs().max_element() == 1.0), "it is a cube still");
    assert_eq!(count(&points, [1.0; 3]), 8);

    let points = surface(cube(), 1, creased(1.0));
    assert_eq!((count(&points, [1.0; 3]), count(&points, [1.0, 1.0, 0.0])), (8, 12));
    let points = surface(cube(), 2, creased(1.0));
    assert_eq!(count(&points, [1.0; 3]), 0, "then it is smooth");

    let points = surface(cube(), 1, creased(0.5));
    assert_eq!(count(&points, [0.875, 0.875, 0.0]), 12, "half way between both rules");
    assert_eq!(count(&points, [7.0 / 9.0; 3]), 8);
}

#[test]
fn a_crease_between_two_faces_is_a_curve() {
    // The upper square of a cube as a crease: its corners follow the crease, three quarters and two eighths.
    let points = surface(cube(), 1, |subdivision| {
        subdivision.crease_indices = vec![4, 5, 7, 6, 4];
        subdivision.crease_lengths = vec![5];
        subdivision.crease_sharpnesses = vec![10.0];
    });
    assert_eq!(points.iter().filter(|point| point.abs_diff_eq(Vec3::new(0.75, 0.75, 1.0), 1e-6)).count(), 1);
    assert_eq!(points.iter().filter(|point| point.abs_diff_eq(Vec3::new(0.0, 1.0, 1.0), 1e-6)).count(), 1);
}

#[test]
fn a_sharp_corner_stays() {
    let points = surface(cube(), 3, |subdivision| {
        subdivision.corner_indices = vec![7];
        subdivision.corner_sharpnesses = vec![10.0];
    });
    assert_eq!(count(&points, [1.0; 3]), 1);
}

#[test]
fn borders_follow_their_rule() {
    let rule = |rule| move |subdivision: &mut Subdivision| subdivision.interpolate_boundary = rule;
    let kept = surface(square(), 2, rule(InterpolateBoundary::EdgeAndCorner));
    assert_eq!(count(&kept, [1.0, 1.0, 0.0]), 4);
    let round = surface(square(), 1, rule(InterpolateBoundary::EdgeOnly));
    assert_eq!((count(&round, [0.75, 0.75, 0.0]), count(&round, [1.0, 0.0, 0.0])), (4, 4));
    assert!(surface(square(), 1, rule(InterpolateBoundary::None)).is_empty());
    let inner = surface(grid(3, 3), 1, rule(InterpolateBoundary::None));
    assert_eq!(inner.len(), 9, "only the face in the middle is seen, in four");
}

#[test]
fn loops_scheme_divides_an_octahedron_by_its_weights() {
    let corners = vec![Vec3::X, Vec3::Y, Vec3::NEG_X, Vec3::NEG_Y, Vec3::Z, Vec3::NEG_Z];
    let faces = vec![0, 1, 4, 1, 2, 4, 2, 3, 4, 3, 0, 4, 1, 0, 5, 2, 1, 5, 3, 2, 5, 0, 3, 5];
    let mesh = polygons(corners, vec![3; 8], faces);
    let points = surface(mesh.clone(), 1, |subdivision| subdivision.scheme = SubdivisionScheme::Loop);
    // Valence four: 1 - 4 (5/8 - (3/8)²) / 4 of the corner itself, the others cancel.
    assert_eq!(count(&points, [0.515_625, 0.0, 0.0]), 6);
    assert_eq!(count(&points, [0.375, 0.375, 0.0]), 12);
    assert_eq!(points.len(), 18);
    assert_eq!(surface(mesh, 3, |subdivision| subdivision.scheme = SubdivisionScheme::Loop).len(), 258);
}

#[test]
fn triangles_are_rounder_where_the_file_asks_for_it() {
    let corners = vec![Vec3::X, Vec3::Y, Vec3::NEG_X, Vec3::NEG_Y, Vec3::Z, Vec3::NEG_Z];
    let faces = vec![0, 1, 4, 1, 2, 4, 2, 3, 4, 3, 0, 4, 1, 0, 5, 2, 1, 5, 3, 2, 5, 0, 3, 5];
    let mesh = polygons(corners, vec![3; 8], faces);
    // Half of the ends and 0.25 of both middles, or 0.03 of the ends and 0.47 of the middles.
    let plain = surface(mesh.clone(), 1, |_| ());
    assert_eq!(count(&plain, [0.25 + 0.25 * 2.0 / 3.0, 0.25 + 0.25 * 2.0 / 3.0, 0.0]), 12);
    let smooth = surface(mesh, 1, |subdivision| subdivision.smooth_triangles = true);
    assert_eq!(count(&smooth, [0.03 + 0.47 * 2.0 / 3.0, 0.03 + 0.47 * 2.0 / 3.0, 0.0]), 12);
}

#[test]
fn faces_of_many_corners_become_quads_and_holes_stay_open() {
    let corners = (0..5).map(|at| Vec3::new((at as f32 * 1.25).cos(), (at as f32 * 1.25).sin(), 0.0)).collect();
    let mut pentagon = polygons(corners, vec![5], (0..5).collect());
    pentagon.subdivision.scheme = SubdivisionScheme::CatmullClark;
    let made = only(mesh_parts(&pentagon, &MeshOptions { refine_level: 1, ..Default::default() }).expect("a mesh"));
    assert_eq!(triangles(&made.mesh).len(), 10);

    let mut open = cube();
    open.subdivision.scheme = SubdivisionScheme::CatmullClark;
    open.hole_indices = vec![0];
    let made = only(mesh_parts(&open, &MeshOptions { refine_level: 2, ..Default::default() }).expect("a mesh"));
    assert_eq!(triangles(&made.mesh).len(), 5 * 16 * 2);
    let points = positions(&made.mesh);
    // The faces beside the hole are those of the whole cube: a hole is not a border.
    let whole = surface(cube(), 2, |_| ());
    assert!(points.iter().all(|point| whole.contains(point)));
}

#[test]
fn refinement_stops_at_the_budget_and_says_so() {
    let mut mesh = cube();
    mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
    let options = MeshOptions { refine_level: 5, max_faces: 100, ..Default::default() };
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    assert_eq!(made.refined_level, 2);
    assert_eq!(made.notes, ["refined 2 times rather than 5: 384 faces are more than the 100 allowed"]);
}

#[test]
fn coordinates_on_corners_follow_their_rule() {
    let refined = |linear: &str, mesh: &snapshot::Mesh| {
        let mut mesh = mesh.clone();
        mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
        mesh.subdivision.face_varying_linear_interpolation = linear.to_owned();
        let made = only(mesh_parts(&mesh, &MeshOptions { refine_level: 1, ..Default::default() }).expect("a mesh"));
        let st = uvs(&made.mesh, Mesh::ATTRIBUTE_UV_0).into_iter().map(|uv| Vec2::new(uv.x, 1.0 - uv.y));
        st.zip(positions(&made.mesh)).collect::<Vec<_>>()
    };
    let has = |points: &[(Vec2, Vec3)], x: f32, y: f32| points.iter().any(|(st, _)| st.abs_diff_eq(Vec2::new(x, y), 1e-6));
    let mut one = square();
    let corners = vec![Vec2::ZERO, Vec2::X, Vec2::ONE, Vec2::Y];
    one.uvs = vec![primvar("st", Interpolation::FaceVarying, corners.clone())];
    for linear in ["", "all", "boundaries", "cornersOnly", "cornersPlus1", "cornersPlus2"] {
        let points = refined(linear, &one);
        assert!(has(&points, 0.0, 0.0) && has(&points, 0.5, 0.0) && has(&points, 0.5, 0.5), "{linear}");
    }
    one.subdivision.interpolate_boundary = InterpolateBoundary::EdgeOnly;
    let smooth = refined("none", &one);
    assert!(has(&smooth, 0.125, 0.125) && !has(&smooth, 0.0, 0.0));

    // Two faces with one coordinate each at the points between them: the coordinates are as smooth as the points.
    let mut two = grid(2, 1);
    two.uvs = vec![Primvar {
        indices: Some(two.face_vertex_indices.clone()),
        ..primvar("st", Interpolation::FaceVarying, (0..6).map(|at| Vec2::new((at % 3) as f32, (at / 3) as f32)).collect())
    }];
    for (st, position) in refined("cornersPlus1", &two) {
        assert!(st.abs_diff_eq(position.truncate(), 1e-6), "{st} at {position}");
    }
    // Without shared indices each face is an island: straight borders on both sides of the seam.
    two.uvs[0].indices = None;
    two.uvs[0].values = [corners.clone(), corners].concat().into();
    let islands = refined("cornersPlus1", &two);
    let middles = |x: f32| islands.iter().filter(|(st, _)| *st == Vec2::new(x, 0.5)).count();
    assert_eq!((middles(0.0), middles(1.0)), (2, 2), "a left and a right border on each face");
}

#[test]
fn values_on_points_are_smooth_and_varying_ones_linear() {
    let made = |interpolation| {
        let mut mesh = cube();
        mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
        let Some(points) = mesh.points.default.clone() else { unreachable!() };
        mesh.display_color = Some(primvar("displayColor", interpolation, points));
        let made = only(mesh_parts(&mesh, &MeshOptions { refine_level: 1, ..Default::default() }).expect("a mesh"));
        let colors = crate::geometry::tests::colors(&made.mesh);
        (colors.into_iter().map(|color| Vec3::new(color[0], color[1], color[2])).collect::<Vec<_>>(), positions(&made.mesh))
    };
    let (smooth, points) = made(Interpolation::Vertex);
    assert!(smooth.iter().zip(&points).all(|(color, point)| color.abs_diff_eq(*point, 1e-6)));
    let (linear, _) = made(Interpolation::Varying);
    assert_eq!((count(&linear, [1.0; 3]), count(&linear, [1.0, 1.0, 0.0]), count(&linear, [1.0, 0.0, 0.0])), (8, 12, 6));
}

#[test]
fn subsets_go_on_in_the_faces_of_their_faces() {
    let mut mesh = cube();
    mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
    mesh.subsets =
        vec![snapshot::GeomSubset { path: "/s".into(), family: "materialBind".into(), faces: vec![5], material: None }];
    let parts = mesh_parts(&mesh, &MeshOptions { refine_level: 2, ..Default::default() }).expect("a mesh");
    assert_eq!(parts.iter().map(|part| triangles(&part.mesh).len()).collect::<Vec<_>>(), [160, 32]);
    assert!(positions(&parts[1].mesh).iter().all(|point| point.z > 0.2));
}

#[test]
fn creases_that_are_not_there_are_noted() {
    let mut mesh = cube();
    mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
    mesh.subdivision.crease_indices = vec![0, 7, 99];
    mesh.subdivision.crease_lengths = vec![3];
    mesh.subdivision.crease_sharpnesses = vec![5.0];
    let options = MeshOptions { refine_level: 1, ..Default::default() };
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    assert!(made.notes[0].starts_with("2 of the 2 edges"), "{:?}", made.notes);
    mesh.subdivision.crease_lengths = vec![4];
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    assert!(made.notes[0].starts_with("creases are left out"), "{:?}", made.notes);
}

/// Points and coordinates that `OpenSubdiv` makes of small meshes with creases, corners, borders and islands of coordinates.
#[test]
fn points_and_coordinates_are_those_of_opensubdiv() {
    let cases: serde_json::Map<String, serde_json::Value> = serde_json::from_str(include_str!("opensubdiv.json")).expect("JSON");
    assert_eq!(cases.len(), 16);
    for (name, case) in cases {
        let floats = |key: &str| serde_json::from_value::<Vec<Vec<f32>>>(case[key].clone()).unwrap_or_default();
        let faces: Vec<Vec<u32>> = serde_json::from_value(case["faces"].clone()).expect("faces");
        let points = floats("points").iter().map(|point| Vec3::from_slice(point)).collect();
        let mut mesh = polygons(points, faces.iter().map(|face| face.len() as u32).collect(), faces.concat());
        let creases = floats("creases");
        let corners = floats("corners");
        mesh.subdivision = Subdivision {
            scheme: SubdivisionScheme::CatmullClark,
            interpolate_boundary: match case["boundary"].as_str() {
                Some("edgeOnly") => InterpolateBoundary::EdgeOnly,
                _ => InterpolateBoundary::EdgeAndCorner,
            },
            face_varying_linear_interpolation: case["linear"].as_str().unwrap_or_default().to_owned(),
            crease_indices: creases.iter().flat_map(|crease| [crease[0] as u32, crease[1] as u32]).collect(),
            crease_lengths: vec![2; creases.len()],
            crease_sharpnesses: creases.iter().map(|crease| crease[2]).collect(),
            corner_indices: corners.iter().map(|corner| corner[0] as u32).collect(),
            corner_sharpnesses: corners.iter().map(|corner| corner[1]).collect(),
            smooth_triangles: false,
        };
        // The reference joins coordinates that are the same at a point.
        let st = floats("st");
        let mut values: Vec<Vec2> = Vec::new();
        let mut index = |value: Vec2| {
            values.iter().position(|known| *known == value).unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            }) as u32
        };
        let indices: Vec<u32> = st.iter().map(|st| index(Vec2::from_slice(st))).collect();
        if !st.is_empty() {
            mesh.uvs = vec![Primvar { indices: Some(indices.into()), ..primvar("st", Interpolation::FaceVarying, values) }];
        }
        let level = case["level"].as_u64().expect("a level") as u8;
        let made = only(mesh_parts(&mesh, &MeshOptions { refine_level: level, ..Default::default() }).expect("a mesh"));
        let points = positions(&made.mesh);
        for expected in floats("refined") {
            let expected = Vec3::from_slice(&expected);
            let nearest = points.iter().map(|point| point.distance(expected)).fold(f32::INFINITY, f32::min);
            assert!(nearest < 3e-6, "{name}: {expected} is {nearest} away");
        }
        if !st.is_empty() {
            let found: Vec<_> = points.into_iter().zip(uvs(&made.mesh, Mesh::ATTRIBUTE_UV_0)).collect();
            let expected = floats("refined_st");
            assert_eq!(found.len(), expected.len(), "{name}: as many seams");
            for expected in expected {
                let (point, st) = (Vec3::from_slice(&expected), Vec2::from_slice(&expected[3..]));
                let same =
                    found.iter().any(|(at, uv)| at.abs_diff_eq(point, 3e-6) && Vec2::new(uv.x, 1.0 - uv.y).abs_diff_eq(st, 3e-6));
                assert!(same, "{name}: {st} at {point}");
            }
        }
    }
}

proptest! {
    /// Weights add up to one whatever is sharp: a surface that is moved, turned and stretched is refined to the same, moved.
    #[test]
    fn refinement_goes_along_with_affine_maps(
        heights in proptest::collection::vec(-2.0_f32..2.0, 20),
        sharpness in proptest::collection::vec(0.0_f32..4.0, 4),
        scheme in 0..3,
        smooth_triangles in any::<bool>(),
        shift in proptest::array::uniform3(-5.0_f32..5.0),
        stretch in proptest::array::uniform3(-2.0_f32..2.0),
    ) {
        let mut mesh = grid(4, 3);
        let Some(points) = mesh.points.default.clone() else { unreachable!() };
        let points: Vec<Vec3> = points.into_iter().zip(heights).map(|(point, height)| point + Vec3::Z * height).collect();
        let map = |point: Vec3| Vec3::from_array(shift) + point * 0.5 + Vec3::from_array(stretch) * point.z + point.yzx();
        let scheme = [SubdivisionScheme::CatmullClark, SubdivisionScheme::Loop, SubdivisionScheme::Bilinear][scheme as usize];
        let mut subdivision = Subdivision { scheme, smooth_triangles, ..Default::default() };
        subdivision.crease_indices = vec![6, 7, 8, 12, 13];
        subdivision.crease_lengths = vec![3, 2];
        subdivision.crease_sharpnesses = sharpness[..3].to_vec();
        subdivision.corner_indices = vec![11];
        subdivision.corner_sharpnesses = vec![sharpness[3]];
        if scheme == SubdivisionScheme::Loop || smooth_triangles {
            let quads = mesh.face_vertex_indices.default.take().unwrap_or_default();
            let halves: Vec<u32> = quads.chunks_exact(4).flat_map(|quad| [quad[0], quad[1], quad[2], quad[0], quad[2], quad[3]]).collect();
            mesh.face_vertex_counts = vec![3; halves.len() / 3].into();
            mesh.face_vertex_indices = halves.into();
        }
        mesh.subdivision = subdivision;
        let refined = |points: Vec<Vec3>| {
            let mut mesh = mesh.clone();
            mesh.points = points.into();
            positions(&only(mesh_parts(&mesh, &MeshOptions { refine_level: 2, ..Default::default() }).expect("a mesh")).mesh)
        };
        let (here, there) = (refined(points.clone()), refined(points.into_iter().map(map).collect()));
        prop_assert_eq!(here.len() > 20, scheme != SubdivisionScheme::None);
        if scheme != SubdivisionScheme::Bilinear {
            for (here, there) in here.into_iter().zip(there) {
                prop_assert!(map(here).abs_diff_eq(there, 1e-3), "{} {}", map(here), there);
            }
        }
    }
}
