//! How long geometry takes to become meshes: a million triangles, refinement, points that move, concave faces.
//!
//! ```sh
//! cargo run --release -p studio_scene --example bench_geometry -- [--runs N]
//! ```
//!
//! Prints one JSON object a line. `passed` is whether a mesh of a million triangles took less than a second.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{
    math::{Vec2, Vec3},
    mesh::Mesh,
};
use serde_json::json;
use std::{error::Error, hint::black_box, time::Instant};
use studio_frame::ledger::percentile;
use studio_scene::geometry::{MeshOptions, MeshPart, mesh_parts, update_points};
use studio_usd::snapshot::{self, Interpolation, Primvar, Sampled, Subdivision, SubdivisionScheme};

/// Quads on a side: 708² of them are a million triangles.
const SIDE: u32 = 708;

/// What a million triangles may take.
const LIMIT_MS: f64 = 1000.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runs = arguments.iter().position(|argument| argument == "--runs");
    let runs = runs.and_then(|at| arguments.get(at + 1)).map_or(Ok(5), |count| count.parse::<usize>())?.max(1);

    let facets = grid(SIDE, SubdivisionScheme::None);
    let smooth = grid(SIDE, SubdivisionScheme::CatmullClark);
    let plain = MeshOptions::default();
    measure("1 M triangles, facets", runs, true, || mesh_parts(&facets, &plain))?;
    measure("1 M triangles, smooth", runs, true, || mesh_parts(&smooth, &plain))?;
    let dressed = dressed(smooth.clone());
    measure("1 M triangles, normals, coordinates and colours on corners", runs, true, || mesh_parts(&dressed, &plain))?;
    let tangents = MeshOptions { tangents: true, ..MeshOptions::default() };
    measure("1 M triangles, the same with tangents", runs, false, || mesh_parts(&dressed, &tangents))?;

    // 44² quads, four times: half a million quads.
    let cage = grid(SIDE / 16, SubdivisionScheme::CatmullClark);
    let refined = MeshOptions { refine_level: 4, ..MeshOptions::default() };
    measure("1 M triangles, refined four times", runs, true, || mesh_parts(&cage, &refined))?;

    for (name, source, options) in [("smooth", &smooth, &plain), ("refined", &cage, &refined)] {
        let moving = moving(source.clone());
        let parts: Vec<MeshPart> = mesh_parts(&moving, options)?;
        let part = parts.into_iter().next().ok_or("no part")?;
        let update = part.update.ok_or("no update")?;
        let mut mesh: Mesh = part.mesh;
        measure(&format!("1 M triangles moved, {name}"), runs, false, || {
            let moved = update.moved(&moving, 5.0)?;
            update_points(&mut mesh, &update, &moved)
        })?;
    }

    let comb = comb(20_000);
    measure("one concave face of 20 000 corners", runs, false, || mesh_parts(&comb, &plain))?;
    Ok(())
}

fn measure<T, E: Error + 'static>(
    name: &str,
    runs: usize,
    is_limited: bool,
    mut work: impl FnMut() -> Result<T, E>,
) -> Result<(), Box<dyn Error>> {
    let mut times_ms = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        black_box(work()?);
        times_ms.push(start.elapsed().as_secs_f32() * 1e3);
    }
    times_ms.sort_by(f32::total_cmp);
    let at = |share| percentile(&times_ms, share).map(|ms| (f64::from(ms) * 10.0).round() / 10.0);
    let mut record = json!({ "name": name, "p50_ms": at(0.5), "p95_ms": at(0.95) });
    if is_limited && let Some(fields) = record.as_object_mut() {
        fields.insert("passed".to_owned(), at(0.5).is_some_and(|ms| ms < LIMIT_MS).into());
    }
    println!("{record}");
    Ok(())
}

fn mesh(points: Vec<Vec3>, counts: Vec<u32>, indices: Vec<u32>, scheme: SubdivisionScheme) -> snapshot::Mesh {
    snapshot::Mesh {
        points: points.into(),
        face_vertex_counts: counts.into(),
        face_vertex_indices: indices.into(),
        subdivision: Subdivision { scheme, ..Subdivision::default() },
        ..snapshot::Mesh::default()
    }
}

/// Hills of `side` times `side` quads.
fn grid(side: u32, scheme: SubdivisionScheme) -> snapshot::Mesh {
    let places = (0..=side).flat_map(|y| (0..=side).map(move |x| (x as f32, y as f32)));
    let points = places.map(|(x, y)| Vec3::new(x, (x * 0.05).sin() * (y * 0.03).cos() * 10.0, y)).collect();
    let corner = move |x: u32, y: u32| y * (side + 1) + x;
    let quads = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let indices = quads.flat_map(|(x, y)| [corner(x, y), corner(x, y + 1), corner(x + 1, y + 1), corner(x + 1, y)]).collect();
    mesh(points, vec![4; (side * side) as usize], indices, scheme)
}

/// The same with all that corners can have.
fn dressed(mut mesh: snapshot::Mesh) -> snapshot::Mesh {
    let points = mesh.points.default.clone().unwrap_or_default();
    let indices = mesh.face_vertex_indices.default.clone().unwrap_or_default();
    let corner = |index: &u32| points.get(*index as usize).copied().unwrap_or_default();
    let on_corners = |name: &str| (name.to_owned(), Interpolation::FaceVarying);
    let (name, interpolation) = on_corners("normals");
    let normals: Vec<Vec3> = indices.iter().map(|index| Vec3::new(corner(index).y * 0.01, 1.0, 0.0)).collect();
    mesh.normals = Some(Primvar { name, interpolation, values: normals.into(), indices: None });
    let (name, interpolation) = on_corners("st");
    let st: Vec<Vec2> = points.iter().map(|point| Vec2::new(point.x, point.z) / SIDE as f32).collect();
    mesh.uvs = vec![Primvar { name, interpolation, values: st.into(), indices: Some(indices.clone().into()) }];
    let colors: Vec<Vec3> = points.iter().map(|point| Vec3::splat(point.y.abs() * 0.1)).collect();
    let values = colors.into();
    mesh.display_color =
        Some(Primvar { name: "displayColor".to_owned(), interpolation: Interpolation::Vertex, values, indices: None });
    mesh
}

/// The same, rising.
fn moving(mut mesh: snapshot::Mesh) -> snapshot::Mesh {
    let points = mesh.points.default.take().unwrap_or_default();
    let risen = points.iter().map(|point| *point * Vec3::new(1.0, 2.0, 1.0)).collect();
    mesh.points = Sampled { default: None, samples: vec![(0.0, points), (10.0, risen)], held: false };
    mesh
}

/// One face whose every second corner is concave.
fn comb(teeth: u32) -> snapshot::Mesh {
    let top = (0..teeth).map(|at| Vec3::new((teeth - at) as f32, if at % 2 == 0 { 5.0 } else { 1.0 }, 0.0));
    let points: Vec<Vec3> = [Vec3::ZERO, Vec3::new(teeth as f32 + 1.0, 0.0, 0.0)].into_iter().chain(top).collect();
    let count = points.len() as u32;
    mesh(points, vec![count], (0..count).collect(), SubdivisionScheme::None)
}
