//! Meshes: their topology, primvars, subsets; and the surface of tetrahedral meshes.

use super::{
    Below,
    primvars::{primvar, primvar_or_builtin, token_or, uv_names},
    read::PrimReader,
    value::{self, BOOL, F32S, INDICES, VEC2S, VEC3S},
};
use crate::snapshot::{GeomSubset, InterpolateBoundary, Mesh, Sampled, Subdivision, SubdivisionScheme};
use openusd::sdf::Value;
use std::collections::HashMap;

pub(super) fn mesh<'a>(prim: &PrimReader<'a>, below: &Below<'a>, own: &Below<'a>) -> Mesh {
    let mut mesh = Mesh {
        points: prim.sampled_or("points", VEC3S, Vec::new()),
        face_vertex_counts: prim.sampled_or("faceVertexCounts", INDICES, Vec::new()),
        face_vertex_indices: prim.sampled_or("faceVertexIndices", INDICES, Vec::new()),
        hole_indices: prim.uniform_or("holeIndices", INDICES, Vec::new()),
        subdivision: subdivision(prim),
        ..surface(prim, below)
    };
    mesh.skin = super::skin::binding(prim, below, &own.skel);
    check_topology(prim, &mesh);
    mesh
}

/// What all surfaces have.
fn surface<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Mesh {
    let inherited = &below.primvars;
    let uvs = uv_names(prim, inherited).into_iter().filter_map(|name| primvar(prim, inherited, &name, VEC2S)).collect();
    Mesh {
        left_handed: is_left_handed(prim),
        double_sided: prim.uniform_or("doubleSided", BOOL, false),
        normals: primvar_or_builtin(prim, inherited, "normals", VEC3S),
        uvs,
        display_color: primvar(prim, inherited, "displayColor", VEC3S),
        display_opacity: primvar(prim, inherited, "displayOpacity", F32S),
        extent: extent(prim),
        ..Mesh::default()
    }
}

pub(super) fn is_left_handed(prim: &PrimReader<'_>) -> bool {
    token_or(prim, "orientation", "rightHanded") == "leftHanded"
}

/// The extent, where the file says one of two points.
pub(super) fn extent(prim: &PrimReader<'_>) -> Sampled<Vec<glam::Vec3>> {
    let mut extent = prim.sampled("extent", VEC3S);
    let mut wrong = None;
    let mut check = |corners: &Vec<glam::Vec3>| {
        let is_box = corners.len() == 2;
        if !is_box {
            wrong = Some(corners.len());
        }
        is_box
    };
    extent.default = extent.default.filter(&mut check);
    extent.samples.retain(|(_, corners)| check(corners));
    if let Some(corners) = wrong {
        prim.warn(format!("`extent` should be two points, not {corners}; it is left out"));
    }
    extent
}

fn subdivision(prim: &PrimReader<'_>) -> Subdivision {
    let unknown = |name: &str, text: &str, used: &str| {
        prim.warn(format!("`{name}` cannot be `{text}`; `{used}` is used"));
    };
    let scheme = match token_or(prim, "subdivisionScheme", "catmullClark").as_str() {
        "catmullClark" => SubdivisionScheme::CatmullClark,
        "loop" => SubdivisionScheme::Loop,
        "bilinear" => SubdivisionScheme::Bilinear,
        "none" => SubdivisionScheme::None,
        other => {
            unknown("subdivisionScheme", other, "catmullClark");
            SubdivisionScheme::CatmullClark
        }
    };
    let interpolate_boundary = match token_or(prim, "interpolateBoundary", "edgeAndCorner").as_str() {
        "none" => InterpolateBoundary::None,
        "edgeOnly" => InterpolateBoundary::EdgeOnly,
        "edgeAndCorner" => InterpolateBoundary::EdgeAndCorner,
        other => {
            unknown("interpolateBoundary", other, "edgeAndCorner");
            InterpolateBoundary::EdgeAndCorner
        }
    };
    Subdivision {
        scheme,
        interpolate_boundary,
        face_varying_linear_interpolation: token_or(prim, "faceVaryingLinearInterpolation", "cornersPlus1"),
        smooth_triangles: token_or(prim, "triangleSubdivisionRule", "catmullClark") == "smooth",
        corner_indices: prim.uniform_or("cornerIndices", INDICES, Vec::new()),
        corner_sharpnesses: prim.uniform_or("cornerSharpnesses", F32S, Vec::new()),
        crease_indices: prim.uniform_or("creaseIndices", INDICES, Vec::new()),
        crease_lengths: prim.uniform_or("creaseLengths", INDICES, Vec::new()),
        crease_sharpnesses: prim.uniform_or("creaseSharpnesses", F32S, Vec::new()),
    }
}

/// Notes a topology that does not hold together. It stays as it is: who draws it leaves the broken faces out.
fn check_topology(prim: &PrimReader<'_>, mesh: &Mesh) {
    let (Some(counts), Some(indices)) = (first(&mesh.face_vertex_counts), first(&mesh.face_vertex_indices)) else { return };
    let corners: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if corners != indices.len() as u64 {
        prim.warn(format!("`faceVertexCounts` asks for {corners} corners, but `faceVertexIndices` has {}", indices.len()));
    }
    let points = first(&mesh.points).map_or(0, Vec::len);
    if let Some(largest) = indices.iter().max().filter(|largest| usize::try_from(**largest).is_ok_and(|index| index >= points)) {
        prim.warn(format!("`faceVertexIndices` goes up to {largest}, but there are {points} points"));
    }
}

/// The earliest value.
pub(super) fn first<T>(value: &Sampled<T>) -> Option<&T> {
    value.samples.first().map(|(_, value)| value).or(value.default.as_ref())
}

/// A part of a mesh: the faces, and the material bound to it.
pub(super) fn subset(prim: &PrimReader<'_>, material: Option<String>) -> Option<GeomSubset> {
    let element_type = token_or(prim, "elementType", "face");
    if element_type != "face" {
        // Subsets of points and edges have no look of their own.
        return None;
    }
    Some(GeomSubset {
        path: super::prim_path(&prim.scope, prim.path()),
        family: token_or(prim, "familyName", ""),
        faces: prim.uniform_or("indices", INDICES, Vec::new()),
        material,
    })
}

/// The surface of a mesh of tetrahedra: `surfaceFaceVertexIndices`, or else every triangle that only one tetrahedron has.
pub(super) fn tet_mesh<'a>(prim: &PrimReader<'a>, below: &Below<'a>, own: &Below<'a>) -> Mesh {
    let surface_faces = prim.uniform("surfaceFaceVertexIndices", TRIPLES).unwrap_or_default();
    let tetrahedra = prim.uniform("tetVertexIndices", QUADRUPLES).unwrap_or_default();
    let faces = if surface_faces.is_empty() { outer_faces(&tetrahedra) } else { surface_faces };
    let mut mesh = Mesh {
        points: prim.sampled_or("points", VEC3S, Vec::new()),
        face_vertex_counts: vec![3; faces.len()].into(),
        face_vertex_indices: faces.into_iter().flatten().collect::<Vec<u32>>().into(),
        subdivision: Subdivision { scheme: SubdivisionScheme::None, ..Subdivision::default() },
        ..surface(prim, below)
    };
    mesh.skin = super::skin::binding(prim, below, &own.skel);
    check_topology(prim, &mesh);
    mesh
}

const TRIPLES: value::As<Vec<[u32; 3]>> = value::As { what: "an array of triples of integers", convert: triples, held: true };
const QUADRUPLES: value::As<Vec<[u32; 4]>> =
    value::As { what: "an array of quadruples of integers", convert: quadruples, held: true };

fn whole<const N: usize>(numbers: [i32; N]) -> Option<[u32; N]> {
    let mut out = [0; N];
    for (out, number) in out.iter_mut().zip(numbers) {
        *out = u32::try_from(number).ok()?;
    }
    Some(out)
}

fn triples(value: Value) -> Option<Vec<[u32; 3]>> {
    match value {
        Value::Vec3iVec(values) => values.into_iter().map(|v| whole([v.x, v.y, v.z])).collect(),
        _ => None,
    }
}

fn quadruples(value: Value) -> Option<Vec<[u32; 4]>> {
    match value {
        Value::Vec4iVec(values) => values.into_iter().map(|v| whole([v.x, v.y, v.z, v.w])).collect(),
        _ => None,
    }
}

/// The triangles that belong to one tetrahedron only, seen from outside, in the order that they are met.
fn outer_faces(tetrahedra: &[[u32; 4]]) -> Vec<[u32; 3]> {
    let faces = tetrahedra.iter().flat_map(|[a, b, c, d]| [[*b, *c, *d], [*c, *a, *d], [*a, *b, *d], [*b, *a, *c]]);
    let key = |face: [u32; 3]| {
        let mut key = face;
        key.sort_unstable();
        key
    };
    let mut uses: HashMap<[u32; 3], usize> = HashMap::new();
    for face in faces.clone() {
        *uses.entry(key(face)).or_default() += 1;
    }
    faces.filter(|face| uses.get(&key(*face)) == Some(&1)).collect()
}
