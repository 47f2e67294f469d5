//! Normals of faces and points.

use super::polygons::Polygons;
use bevy::math::Vec3;

/// The direction of a vector of any length; up where it has none, so that nothing downstream meets a normal of no length.
pub(crate) fn direction(vector: Vec3) -> Vec3 {
    // Normals weighted by tiny areas underflow when squared.
    let largest = vector.abs().max_element();
    if largest > 0.0 && largest.is_finite() { (vector / largest).normalize_or(Vec3::Y) } else { Vec3::Y }
}

/// A normal for each face.
pub(crate) fn face_normals(polygons: &Polygons, points: &[Vec3], left_handed: bool) -> Vec<Vec3> {
    let sign = if left_handed { -1.0 } else { 1.0 };
    (0..polygons.face_count()).map(|face| direction(polygons.area_normal(face, points) * sign)).collect()
}

/// A normal for each point: those of the faces around it, weighted by their areas. Faces that are not drawn take part, too, as `OpenSubdiv`'s
/// holes do in the surface.
pub(crate) fn smooth_normals(polygons: &Polygons, points: &[Vec3], left_handed: bool) -> Vec<Vec3> {
    let sign = if left_handed { -1.0 } else { 1.0 };
    let mut normals = vec![Vec3::ZERO; polygons.point_count];
    for face in 0..polygons.face_count() {
        let normal = polygons.area_normal(face, points) * sign;
        for point in polygons.face(face) {
            if let Some(sum) = normals.get_mut(*point as usize) {
                *sum += normal;
            }
        }
    }
    for normal in &mut normals {
        *normal = direction(*normal);
    }
    normals
}
