//! Points that move, morph targets.

use super::*;

/// A square that rises on one side, refined.
fn rising(scheme: SubdivisionScheme) -> snapshot::Mesh {
    let mut mesh = grid(3, 3);
    let Some(flat) = mesh.points.default.take() else { unreachable!() };
    let bent = flat.iter().map(|point| Vec3::new(point.x, point.y, point.x * point.x)).collect();
    mesh.points = moving(flat, bent);
    mesh.subdivision.scheme = scheme;
    mesh
}

#[test]
fn moved_points_give_the_mesh_that_would_be_made_anew() {
    for (scheme, level) in [
        (SubdivisionScheme::None, 0),
        (SubdivisionScheme::CatmullClark, 0),
        (SubdivisionScheme::CatmullClark, 2),
        (SubdivisionScheme::Bilinear, 1),
    ] {
        let mesh = rising(scheme);
        let at = |time| MeshOptions { time, refine_level: level, ..Default::default() };
        let mut first = only(mesh_parts(&mesh, &at(0.0)).expect("a mesh"));
        let later = only(mesh_parts(&mesh, &at(7.0)).expect("a mesh"));
        assert_eq!(first.animation, MeshAnimation::Points);
        let update = first.update.expect("points are animated");
        let moved = update.moved(&mesh, 7.0).expect("the same points");
        update_points(&mut first.mesh, &update, &moved).expect("the part's mesh");
        assert_ne!(positions(&later.mesh)[0].z, positions(&later.mesh)[5].z, "it is bent");
        assert_eq!(positions(&first.mesh).len(), positions(&later.mesh).len());
        for (moved, made) in positions(&first.mesh).iter().zip(positions(&later.mesh)) {
            assert!(moved.abs_diff_eq(made, 1e-6), "{scheme:?}");
        }
        for (moved, made) in normals(&first.mesh).iter().zip(normals(&later.mesh)) {
            assert!(moved.abs_diff_eq(made, 1e-5), "{scheme:?} {level}: {moved} {made}");
        }
    }
}

#[test]
fn the_normals_of_the_file_move_with_it() {
    let mut mesh = square();
    mesh.normals = Some(Primvar {
        values: moving(vec![Vec3::Z; 4], vec![Vec3::X; 4]),
        ..primvar("normals", Interpolation::FaceVarying, Vec::new())
    });
    let mut made = part(&mesh);
    assert_eq!(normals(&made.mesh)[0], Vec3::Z);
    let update = made.update.expect("normals are animated");
    let moved = update.moved(&mesh, 10.0).expect("the same");
    update_points(&mut made.mesh, &update, &moved).expect("the part's mesh");
    assert!(normals(&made.mesh).iter().all(|normal| *normal == Vec3::X));
}

#[test]
fn another_number_of_points_asks_for_a_new_mesh() {
    let mut mesh = rising(SubdivisionScheme::None);
    mesh.points.samples.push((20.0, vec![Vec3::ZERO; 3]));
    let made = part(&mesh);
    let update = made.update.expect("points are animated");
    let error = update.moved(&mesh, 20.0).expect_err("fewer points");
    assert_eq!(error.to_string(), "points has 3 values where 16 are needed");
    let mut other = part(&square()).mesh;
    let moved = update.moved(&mesh, 0.0).expect("points");
    assert!(matches!(update_points(&mut other, &update, &moved), Err(GeometryError::Update(_))));
}

#[test]
fn colours_that_change_ask_for_a_new_mesh() {
    let mut mesh = square();
    mesh.display_color = Some(Primvar {
        values: moving(vec![Vec3::X], vec![Vec3::Y]),
        ..primvar("displayColor", Interpolation::Constant, Vec::new())
    });
    let made = part(&mesh);
    assert_eq!(made.animation, MeshAnimation::Everything);
    assert!(made.update.is_none());
}
