//! Polygon meshes.

use super::*;
use proptest::prelude::*;
use studio_usd::snapshot::GeomSubset;

#[test]
fn a_concave_face_is_covered_once() {
    // An arrow: the fan around its first corner would leave it.
    let points = [(0., 0.), (4., 0.), (4., 4.), (3., 1.), (0., 2.)].map(|(x, y)| Vec3::new(x, 0.0, -y)).to_vec();
    let made = part(&polygons(points, vec![5], vec![0, 1, 2, 3, 4]));
    let areas = areas(&made.mesh);
    assert_eq!(areas.len(), 3);
    assert!(areas.iter().all(|area| area.y > 0.0), "{areas:?}");
    let shoelace = (4.0 * 4.0 - 4.0 * 0.0 + 4.0 * 1.0 - 3.0 * 4.0 + 3.0 * 2.0 - 0.0) / 2.0;
    assert!((areas.iter().map(|area| area.y).sum::<f32>() - shoelace).abs() < 1e-5);
}

#[test]
fn a_concave_quad_is_cut_along_the_diagonal_inside() {
    for turned in 0..4 {
        let mut points = [(0., 0.), (4., 0.), (1., 1.), (0., 4.)].map(|(x, y)| Vec3::new(x, y, 0.0)).to_vec();
        points.rotate_left(turned);
        let areas = areas(&part(&polygons(points, vec![4], vec![0, 1, 2, 3])).mesh);
        assert!(areas.iter().all(|area| area.z > 0.0), "{turned}: {areas:?}");
    }
}

#[test]
fn holes_are_left_out_and_left_handed_faces_are_turned() {
    let mut mesh = grid(3, 1);
    mesh.hole_indices = vec![1];
    mesh.left_handed = true;
    let made = part(&mesh);
    let areas = areas(&made.mesh);
    assert_eq!(areas.len(), 4);
    assert!(areas.iter().all(|area| area.z < 0.0));
    assert!(normals(&made.mesh).iter().all(|normal| *normal == Vec3::NEG_Z));
}

#[test]
fn polygons_without_normals_show_their_facets_and_subdivision_surfaces_are_smooth() {
    let made = part(&cube());
    assert_eq!(made.mesh.count_vertices(), 24);
    for (position, normal) in positions(&made.mesh).iter().zip(normals(&made.mesh)) {
        assert_eq!(normal.abs().element_sum(), 1.0);
        assert_eq!(position.dot(normal), 1.0);
    }
    let mut smooth = cube();
    smooth.subdivision.scheme = SubdivisionScheme::CatmullClark;
    let made = part(&smooth);
    assert_eq!(made.mesh.count_vertices(), 8);
    for (position, normal) in positions(&made.mesh).iter().zip(normals(&made.mesh)) {
        assert!(normal.abs_diff_eq(position.normalize(), 1e-6));
    }
}

#[test]
fn every_interpolation_reaches_the_right_corners() {
    let (red, green, blue, white) = (Vec3::X, Vec3::Y, Vec3::Z, Vec3::ONE);
    let shown = |interpolation, values: Vec<Vec3>, indices: Option<Vec<u32>>| {
        let mut mesh = grid(2, 1);
        mesh.display_color = Some(Primvar { indices: indices.map(Into::into), ..primvar("displayColor", interpolation, values) });
        let made = part(&mesh);
        assert!(made.notes.is_empty(), "{:?}", made.notes);
        let colors = colors(&made.mesh);
        let mut shown: Vec<_> =
            positions(&made.mesh).into_iter().zip(colors).map(|(at, color)| (at.x, at.y, color[..3].to_vec())).collect();
        shown.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
        shown.into_iter().map(|(x, y, color)| (x as u32, y as u32, Vec3::from_slice(&color))).collect::<Vec<_>>()
    };
    assert!(shown(Interpolation::Constant, vec![red], None).iter().all(|(_, _, color)| *color == red));
    let uniform = shown(Interpolation::Uniform, vec![red, green], None);
    assert_eq!(uniform.len(), 8, "two colours meet at x = 1: {uniform:?}");
    assert!(uniform.contains(&(0, 0, red)) && uniform.contains(&(1, 0, red)) && uniform.contains(&(1, 0, green)));
    for interpolation in [Interpolation::Vertex, Interpolation::Varying] {
        let shown = shown(interpolation, vec![red, green], Some(vec![0, 1, 0, 1, 0, 1]));
        assert_eq!(shown, [(0, 0, red), (0, 1, green), (1, 0, green), (1, 1, red), (2, 0, red), (2, 1, green)]);
    }
    let corners = vec![red, green, blue, white, green, red, white, blue];
    let shown = shown(Interpolation::FaceVarying, corners, None);
    // (1, 0) is green from both faces, (1, 1) is blue from both.
    assert_eq!(shown.len(), 6, "{shown:?}");
    assert!(shown.contains(&(1, 0, green)) && shown.contains(&(1, 1, blue)));
}

#[test]
fn st_is_the_first_set_of_coordinates_unless_a_material_asks_otherwise() {
    let mut mesh = square();
    let set = |name: &str, value: f32| primvar(name, Interpolation::Constant, vec![Vec2::new(value, 0.25)]);
    mesh.uvs = vec![set("a", 1.0), set("lightmap", 2.0), set("st", 3.0)];
    let made = part(&mesh);
    assert_eq!(made.uv_sets, ["st", "a"]);
    assert_eq!(uvs(&made.mesh, Mesh::ATTRIBUTE_UV_0)[0], Vec2::new(3.0, 0.75), "USD counts from the bottom, Bevy from the top");
    assert_eq!(uvs(&made.mesh, Mesh::ATTRIBUTE_UV_1)[0], Vec2::new(1.0, 0.75));
    let options = MeshOptions { uv_sets: vec!["lightmap".to_owned()], ..Default::default() };
    assert_eq!(only(mesh_parts(&mesh, &options).expect("a mesh")).uv_sets, ["lightmap", "st"]);
}

#[test]
fn each_material_gets_a_part_and_the_rest_one_of_its_own() {
    let subset = |path: &str, family: &str, faces: &[u32], material: Option<&str>| GeomSubset {
        path: path.to_owned(),
        family: family.to_owned(),
        faces: faces.to_vec(),
        material: material.map(str::to_owned),
    };
    let mut mesh = grid(4, 1);
    mesh.display_color = Some(primvar("displayColor", Interpolation::Constant, vec![Vec3::X]));
    mesh.subsets = vec![
        subset("/M/a", "materialBind", &[1, 2, 9], Some("/Red")),
        subset("/M/selected", "edit", &[0, 1], None),
        subset("/M/b", "materialBind", &[2, 3], None),
    ];
    let parts = mesh_parts(&mesh, &MeshOptions::default()).expect("a mesh");
    let said: Vec<_> = parts.iter().map(|part| (part.subset.as_deref(), triangles(&part.mesh).len(), part.has_colors)).collect();
    assert_eq!(said, [(None, 2, true), (Some("/M/a"), 4, false), (Some("/M/b"), 2, true)]);
    assert_eq!(parts[1].material.as_deref(), Some("/Red"));
    assert_eq!(parts[0].notes.len(), 2, "a face that is not there, a face taken twice: {:?}", parts[0].notes);
}

#[test]
fn wrong_counts_and_indices_are_named() {
    let options = MeshOptions::default();
    let message = |mesh: &snapshot::Mesh| mesh_parts(mesh, &options).expect_err("an error").to_string();
    let mut mesh = square();
    mesh.face_vertex_indices = vec![0, 1, 7, 3].into();
    assert_eq!(message(&mesh), "faceVertexIndices[2] is 7, but there are only 4");
    mesh.face_vertex_counts = vec![u32::MAX, u32::MAX].into();
    assert!(message(&mesh).contains("8589934590 corners"), "{}", message(&mesh));
    let mut mesh = square();
    mesh.points = vec![Vec3::NAN; 4].into();
    assert_eq!(message(&mesh), "points[0] is not a finite number");

    let mut mesh = square();
    mesh.display_color = Some(primvar("displayColor", Interpolation::Vertex, vec![Vec3::X; 3]));
    let made = part(&mesh);
    assert!(!made.has_colors);
    assert_eq!(made.notes, ["primvars:displayColor is Vertex and has 3 values where 4 are needed; it is left out"]);
}

#[test]
fn a_mesh_without_faces_has_no_parts() {
    assert!(mesh_parts(&snapshot::Mesh::default(), &MeshOptions::default()).expect("nothing").is_empty());
}

#[test]
fn tangents_follow_the_coordinates_and_mirrored_faces_do_not_share_them() {
    let mut mesh = grid(2, 1);
    // The second face has the picture of the first one mirrored.
    let st = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0].into_iter().zip([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    mesh.uvs = vec![primvar("st", Interpolation::FaceVarying, st.map(Vec2::from).collect())];
    let made = only(mesh_parts(&mesh, &MeshOptions { tangents: true, ..Default::default() }).expect("a mesh"));
    assert_eq!(made.mesh.count_vertices(), 8);
    let Some(VertexAttributeValues::Float32x4(tangents)) = made.mesh.attribute(Mesh::ATTRIBUTE_TANGENT) else {
        panic!("no tangents: {:?}", made.notes)
    };
    for (position, [x, y, z, w]) in positions(&made.mesh).iter().zip(tangents) {
        // The bitangent, normal cross tangent times w, points to the top of the picture in both.
        let bitangent = Vec3::Z.cross(Vec3::new(*x, *y, *z)) * *w;
        assert!(bitangent.abs_diff_eq(Vec3::Y, 1e-5), "{position}: {bitangent}");
    }
    assert!(tangents.iter().any(|tangent| tangent[0] > 0.9) && tangents.iter().any(|tangent| tangent[0] < -0.9));
}

#[test]
fn tangents_are_those_that_normal_maps_are_baked_for() {
    let mut mesh = grid(12, 9);
    let Some(points) = mesh.points.default.take() else { unreachable!() };
    let bumpy: Vec<Vec3> = points.iter().map(|at| *at + Vec3::Z * (at.x * 1.3).sin() * (at.y * 0.9).cos()).collect();
    let st = points.iter().map(|at| Vec2::new(at.x * 0.1 + at.y * 0.03, at.y * 0.2 + (at.x * 0.7).sin() * 0.05));
    mesh.uvs = vec![primvar("st", Interpolation::Vertex, st.collect())];
    mesh.points = bumpy.into();
    mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
    let tangents = |mesh: &Mesh| match mesh.attribute(Mesh::ATTRIBUTE_TANGENT) {
        Some(VertexAttributeValues::Float32x4(tangents)) => tangents.clone(),
        other => panic!("no tangents: {other:?}"),
    };
    let made = only(mesh_parts(&mesh, &MeshOptions { tangents: true, ..Default::default() }).expect("a mesh"));
    let ours = tangents(&made.mesh);
    let reference = made.mesh.with_generated_tangents().expect("tangents");
    for (ours, reference) in ours.iter().zip(tangents(&reference)) {
        assert!(bevy::math::Vec4::from_array(*ours).abs_diff_eq(reference.into(), 2e-3), "{ours:?} {reference:?}");
    }
}

#[test]
fn a_face_of_very_many_concave_corners_ends_in_time() {
    // A comb: every second corner is concave.
    let teeth = 20_000;
    let top = (0..teeth).map(|at| Vec3::new((teeth - at) as f32, if at % 2 == 0 { 5.0 } else { 1.0 }, 0.0));
    let points: Vec<Vec3> = [Vec3::ZERO, Vec3::new(teeth as f32 + 1.0, 0.0, 0.0)].into_iter().chain(top).collect();
    let count = points.len() as u32;
    let begin = std::time::Instant::now();
    let made = part(&polygons(points, vec![count], (0..count).collect()));
    assert!(begin.elapsed().as_secs() < 20);
    assert_eq!(triangles(&made.mesh).len() as u32, count - 2);
}

#[test]
fn a_point_with_very_many_different_corners_costs_no_more() {
    let faces = 100_000_u32;
    let points = (0..=faces).map(|at| Vec3::new((at as f32).sin(), (at as f32).cos(), at as f32)).collect();
    let mut mesh = polygons(points, vec![3; faces as usize], (0..faces).flat_map(|at| [0, at.max(1), (at + 1).max(2)]).collect());
    let values = (0..3 * faces).map(|at| Vec2::splat(at as f32)).collect();
    mesh.uvs = vec![primvar("st", Interpolation::FaceVarying, values)];
    let begin = std::time::Instant::now();
    assert!(part(&mesh).mesh.count_vertices() > 200_000);
    assert!(begin.elapsed().as_secs() < 10);
}

proptest! {
    /// A star of random rays is a simple polygon: triangles cover it once, whatever plane it is in.
    #[test]
    fn triangles_cover_any_simple_face_once(
        rays in proptest::collection::vec(0.2_f32..3.0, 5..40),
        turn in proptest::array::uniform3(-3.0_f32..3.0),
    ) {
        let count = rays.len();
        let rotation = bevy::math::Quat::from_euler(bevy::math::EulerRot::XYZ, turn[0], turn[1], turn[2]);
        let flat: Vec<Vec2> = rays
            .iter()
            .enumerate()
            .map(|(at, ray)| Vec2::from_angle(at as f32 / count as f32 * std::f32::consts::TAU) * *ray)
            .collect();
        let points = flat.iter().map(|point| rotation * point.extend(2.0)).collect();
        let made = part(&polygons(points, vec![count as u32], (0..count as u32).collect()));
        let facing = rotation * Vec3::Z;
        let areas: Vec<f32> = areas(&made.mesh).into_iter().map(|area| area.dot(facing)).collect();
        let shoelace: f32 = (0..count).map(|at| flat[at].perp_dot(flat[(at + 1) % count])).sum::<f32>() / 2.0;
        prop_assert!(areas.iter().all(|area| *area > -1e-4), "{areas:?}");
        prop_assert!((areas.iter().sum::<f32>() - shoelace).abs() < 1e-3 * shoelace.max(1.0));
    }

    /// Nothing in a file breaks the program, and what comes out can be drawn.
    #[test]
    fn no_numbers_break_the_mesh(
        counts in proptest::collection::vec(0_u32..7, 0..8),
        indices in proptest::collection::vec(0_u32..9, 0..40),
        fitting in any::<bool>(),
        coordinates in proptest::collection::vec(-1e3_f32..1e3, 24),
        level in 0_u8..3,
        scheme in 0..4,
        holes in proptest::collection::vec(0_u32..9, 0..3),
        creases in proptest::collection::vec(0_u32..9, 0..8),
        sharpness in -1.0_f32..11.0,
        boundary in 0..3,
        linear in 0..6_usize,
    ) {
        let points: Vec<Vec3> = coordinates.chunks_exact(3).map(Vec3::from_slice).collect();
        let total: u32 = counts.iter().sum();
        let indices: Vec<u32> = if fitting {
            indices.iter().map(|index| index % 8).cycle().take(if indices.is_empty() { 0 } else { total as usize }).collect()
        } else {
            indices
        };
        let mut mesh = polygons(points, counts, indices);
        mesh.hole_indices = holes;
        mesh.subdivision = Subdivision {
            scheme: [SubdivisionScheme::None, SubdivisionScheme::CatmullClark, SubdivisionScheme::Loop, SubdivisionScheme::Bilinear][scheme as usize],
            interpolate_boundary: [snapshot::InterpolateBoundary::None, snapshot::InterpolateBoundary::EdgeOnly, snapshot::InterpolateBoundary::EdgeAndCorner][boundary as usize],
            face_varying_linear_interpolation: ["all", "none", "cornersOnly", "cornersPlus1", "cornersPlus2", "boundaries"][linear].to_owned(),
            crease_lengths: vec![creases.len() as u32],
            crease_indices: creases,
            crease_sharpnesses: vec![sharpness],
            corner_indices: vec![3, 100],
            corner_sharpnesses: vec![sharpness; 2],
            smooth_triangles: sharpness > 5.0,
        };
        let corners = (0..total).map(|at| Vec2::new(at as f32, (at % 3) as f32)).collect();
        mesh.uvs = vec![primvar("st", Interpolation::FaceVarying, corners)];
        mesh.display_color = Some(primvar("displayColor", Interpolation::Vertex, vec![Vec3::splat(0.5); 8]));
        let options = MeshOptions { refine_level: level, tangents: true, ..Default::default() };
        if let Ok(parts) = mesh_parts(&mesh, &options) {
            for part in parts {
                let count = part.mesh.count_vertices();
                prop_assert!(triangles(&part.mesh).iter().flatten().all(|index| (*index as usize) < count));
                prop_assert!(positions(&part.mesh).iter().all(|position| position.is_finite()));
                prop_assert!(normals(&part.mesh).iter().all(|normal| normal.is_normalized()));
                prop_assert!(uvs(&part.mesh, Mesh::ATTRIBUTE_UV_0).iter().all(|uv| uv.is_finite()));
                prop_assert_eq!(part.point_of_vertex.len(), count);
            }
        }
    }
}
