//! One division of all faces.

use super::{
    Level, Scheme,
    net::{Edges, NONE, Net},
};
use crate::geometry::{GeometryError, polygons::Polygons};

/// How much of the middles of triangles goes to their edges where `triangleSubdivisionRule` is `smooth`: `OpenSubdiv`'s constant.
const SMOOTH_TRIANGLE_WEIGHT: f32 = 0.470;

/// Divides all faces once: the table of weights, the faces after, and for each of them the face it was part of.
pub(super) fn divide(net: Net, scheme: Scheme) -> Result<(Level, Net, Vec<u32>), GeometryError> {
    let (points, edges, corners) = (net.polygons.point_count, net.edges.ends.len(), net.polygons.corners.len());
    // The most of anything: weights in the table.
    let after = 12 * corners as u64 + points as u64 + net.polygons.face_count() as u64;
    if after >= u64::from(NONE) {
        return Err(GeometryError::TooLarge { what: "weights of a refinement".to_owned(), count: after, limit: u64::from(NONE) });
    }
    let mut table = Table::new(points + edges, corners);
    point_masks(&net, scheme, &mut table);
    edge_masks(&net, scheme, &mut table);
    let (after, parent_face) = if scheme == Scheme::Loop { split_triangles(&net) } else { split_into_quads(&net) };
    let level = Level {
        parents: net.polygons,
        edge_ends: net.edges.ends,
        starts: table.starts,
        sources: table.sources,
        weights: table.weights,
        has_face_points: scheme != Scheme::Loop,
    };
    Ok((level, after, parent_face))
}

struct Table {
    starts: Vec<u32>,
    sources: Vec<u32>,
    weights: Vec<f32>,
}

impl Table {
    fn new(rows: usize, corners: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self { starts, sources: Vec::with_capacity(corners * 4), weights: Vec::with_capacity(corners * 4) }
    }

    fn add(&mut self, source: u32, weight: f32) {
        if weight != 0.0 {
            self.sources.push(source);
            self.weights.push(weight);
        }
    }

    fn end_row(&mut self) {
        self.starts.push(self.sources.len() as u32);
    }
}

/// Lists of edges or faces for each point.
struct Around {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Around {
    fn new(points: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0_u32; points + 1];
        for (point, _) in pairs.clone() {
            if let Some(count) = starts.get_mut(point as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut filled = starts.clone();
        let mut items = vec![0; sum as usize];
        for (point, item) in pairs {
            if let Some(next) = filled.get_mut(point as usize) {
                if let Some(slot) = items.get_mut(*next as usize) {
                    *slot = item;
                }
                *next += 1;
            }
        }
        Self { starts, items }
    }

    fn of(&self, point: usize) -> &[u32] {
        match self.starts.get(point..point + 2) {
            Some([start, end]) => self.items.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// What a point follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The surface around it, also where a single crease ends in it.
    Smooth,
    /// The curve of two creases.
    Crease,
    /// Nothing.
    Corner,
}

fn rule(point_sharpness: f32, sharp_edges: usize) -> Rule {
    match sharp_edges {
        _ if point_sharpness > 0.0 => Rule::Corner,
        0 | 1 => Rule::Smooth,
        2 => Rule::Crease,
        _ => Rule::Corner,
    }
}

/// What is left of a sharpness after a level.
fn duller(sharpness: f32) -> f32 {
    (sharpness - 1.0).max(0.0)
}

fn point_masks(net: &Net, scheme: Scheme, table: &mut Table) {
    let points = net.polygons.point_count;
    if scheme == Scheme::Bilinear {
        for point in 0..points as u32 {
            table.add(point, 1.0);
            table.end_row();
        }
        return;
    }
    let ends = net.edges.ends.iter().enumerate();
    let edges_around = Around::new(points, ends.flat_map(|(edge, ends)| ends.map(|end| (end, edge as u32))));
    let faces = 0..net.polygons.face_count();
    let faces_around =
        Around::new(points, faces.flat_map(|face| net.polygons.face(face).iter().map(move |point| (*point, face as u32))));
    let sharpness = |edge: u32| net.edge_sharpness.get(edge as usize).copied().unwrap_or_default();
    for point in 0..points {
        let (edges, faces) = (edges_around.of(point), faces_around.of(point));
        let own = net.point_sharpness.get(point).copied().unwrap_or_default();
        let sharp = edges.iter().filter(|edge| sharpness(**edge) > 0.0).count();
        let mut before = rule(own, sharp);
        if before == Rule::Smooth && (edges.len() < 2 || edges.len() != faces.len()) {
            // Nothing that has a surface around it: a single point, or faces that meet in it alone.
            before = Rule::Corner;
        }
        let still_sharp = edges.iter().filter(|edge| duller(sharpness(**edge)) > 0.0).count();
        let after = if before == Rule::Smooth || own == f32::INFINITY { before } else { rule(duller(own), still_sharp) };
        let is_manifold = edges.len() >= 2 && edges.len() == faces.len();
        let mut mask = Mask { net, scheme, point: point as u32, edges, faces, table };
        if after == before || (after == Rule::Smooth && !is_manifold) {
            mask.add(before, 1.0, |edge| sharpness(edge) > 0.0);
        } else {
            // The rules change during this level: both count, by how much sharpness there was left.
            let ended = edges.iter().map(|edge| sharpness(*edge)).filter(|sharp| *sharp > 0.0 && duller(*sharp) == 0.0);
            let ended = ended.chain((own > 0.0 && duller(own) == 0.0).then_some(own));
            let (sum, count) = ended.fold((0.0, 0.0), |(sum, count), sharp| (sum + sharp, count + 1.0));
            let share = if count > 0.0 { f32::min(sum / count, 1.0) } else { 0.0 };
            mask.add(before, share, |edge| sharpness(edge) > 0.0);
            mask.add(after, 1.0 - share, |edge| duller(sharpness(edge)) > 0.0);
        }
        table.end_row();
    }
}

/// The row of a point.
struct Mask<'a> {
    net: &'a Net,
    scheme: Scheme,
    point: u32,
    edges: &'a [u32],
    faces: &'a [u32],
    table: &'a mut Table,
}

impl Mask<'_> {
    fn other_end(&self, edge: u32) -> u32 {
        match self.net.edges.ends.get(edge as usize) {
            Some([one, other]) if *one == self.point => *other,
            Some([one, _]) => *one,
            None => self.point,
        }
    }

    fn add(&mut self, rule: Rule, share: f32, is_sharp: impl Fn(u32) -> bool) {
        if share == 0.0 {
            return;
        }
        match rule {
            Rule::Corner => self.table.add(self.point, share),
            Rule::Crease => {
                self.table.add(self.point, share * 0.75);
                for edge in self.edges.iter().filter(|edge| is_sharp(**edge)) {
                    self.table.add(self.other_end(*edge), share * 0.125);
                }
            }
            Rule::Smooth => {
                let valence = self.edges.len() as f32;
                let (own, each_edge, each_face) = if self.scheme == Scheme::Loop {
                    // Loop's own weights: 1/16 for each of six.
                    let beta = 0.375 + 0.25 * (std::f32::consts::TAU / valence).cos();
                    let each = (0.625 - beta * beta) / valence;
                    (1.0 - each * valence, each, 0.0)
                } else {
                    let each = 1.0 / (valence * valence);
                    ((valence - 2.0) / valence, each, each)
                };
                self.table.add(self.point, share * own);
                for edge in self.edges {
                    self.table.add(self.other_end(*edge), share * each_edge);
                }
                let middles = self.net.polygons.point_count as u32;
                for face in self.faces {
                    self.table.add(middles + face, share * each_face);
                }
            }
        }
    }
}

fn edge_masks(net: &Net, scheme: Scheme, table: &mut Table) {
    let middles = net.polygons.point_count as u32;
    for (edge, ends) in net.edges.ends.iter().enumerate() {
        let sharpness = net.edge_sharpness.get(edge).copied().unwrap_or_default();
        let faces = net.edges.faces.get(edge).copied().unwrap_or([NONE; 2]);
        let sharp = if scheme == Scheme::Bilinear || faces.contains(&NONE) { 1.0 } else { sharpness.min(1.0) };
        let smooth = 1.0 - sharp;
        match scheme {
            Scheme::Loop => {
                for end in ends {
                    table.add(*end, sharp * 0.5 + smooth * 0.375);
                }
                if smooth > 0.0 {
                    for face in faces {
                        let opposite = net.polygons.face(face as usize).iter().find(|point| !ends.contains(point));
                        table.add(opposite.copied().unwrap_or(ends[0]), smooth * 0.125);
                    }
                }
            }
            Scheme::CatmullClark { .. } | Scheme::Bilinear => {
                let weight = |face: &u32| match scheme {
                    Scheme::CatmullClark { smooth_triangles: true } if net.polygons.face(*face as usize).len() == 3 => {
                        SMOOTH_TRIANGLE_WEIGHT
                    }
                    _ => 0.25,
                };
                let each_face = faces.iter().map(weight).sum::<f32>() / 2.0;
                for end in ends {
                    table.add(*end, sharp * 0.5 + smooth * (0.5 - each_face));
                }
                if smooth > 0.0 {
                    for face in faces {
                        table.add(middles + face, smooth * each_face);
                    }
                }
            }
        }
        table.end_row();
    }
}

/// The parts that an edge falls into: first the one at its first end.
fn half(net: &Net, edge: u32, end: u32) -> u32 {
    let at_first = net.edges.ends.get(edge as usize).is_some_and(|ends| ends[0] == end);
    2 * edge + u32::from(!at_first)
}

/// The faces after, from their corners and their corners' edges.
fn assemble(net: &Net, corners: Vec<u32>, of_corner: Vec<u32>, inner: Vec<[u32; 2]>, width: u32, point_count: usize) -> Net {
    let mut ends = Vec::with_capacity(2 * net.edges.ends.len() + inner.len());
    let mut edge_sharpness = Vec::with_capacity(ends.capacity());
    for (edge, [one, other]) in net.edges.ends.iter().enumerate() {
        let middle = (net.polygons.point_count + edge) as u32;
        ends.extend([[*one, middle], [*other, middle]]);
        let left = net.edge_sharpness.get(edge).copied().map_or(0.0, duller);
        edge_sharpness.extend([left, left]);
    }
    ends.extend(inner);
    edge_sharpness.resize(ends.len(), 0.0);
    let mut point_sharpness: Vec<f32> = net.point_sharpness.iter().map(|sharpness| duller(*sharpness)).collect();
    point_sharpness.resize(point_count, 0.0);
    let starts = (0..=corners.len() as u32 / width).map(|face| face * width).collect();
    let polygons = Polygons { starts, corners, point_count };
    let edges = Edges::with_faces(&polygons, of_corner, ends);
    Net { polygons, edges, edge_sharpness, point_sharpness }
}

/// A quad at each corner of each face. The first corner of a quad is the corner it is at.
fn split_into_quads(net: &Net) -> (Net, Vec<u32>) {
    let (points, edge_count, corner_count) = (net.polygons.point_count, net.edges.ends.len(), net.polygons.corners.len());
    let (edge_points, face_points, inner_edges) = (points as u32, (points + edge_count) as u32, 2 * edge_count as u32);
    let mut corners = Vec::with_capacity(4 * corner_count);
    let mut of_corner = Vec::with_capacity(4 * corner_count);
    let mut inner = Vec::with_capacity(corner_count);
    let mut parent_face = Vec::with_capacity(corner_count);
    for face in 0..net.polygons.face_count() {
        let range = net.polygons.range(face);
        let middle = face_points + face as u32;
        for corner in range.clone() {
            let before = if corner == range.start { range.end - 1 } else { corner - 1 };
            let point = net.polygons.corners.get(corner).copied().unwrap_or_default();
            let edge = |corner: usize| net.edges.of_corner.get(corner).copied().unwrap_or_default();
            let (ahead, behind) = (edge(corner), edge(before));
            corners.extend([point, edge_points + ahead, middle, edge_points + behind]);
            of_corner.extend([
                half(net, ahead, point),
                inner_edges + corner as u32,
                inner_edges + before as u32,
                half(net, behind, point),
            ]);
            inner.push([edge_points + ahead, middle]);
            parent_face.push(face as u32);
        }
    }
    let after = points + edge_count + net.polygons.face_count();
    (assemble(net, corners, of_corner, inner, 4, after), parent_face)
}

/// Four triangles for each: one at each corner, then the one in the middle.
fn split_triangles(net: &Net) -> (Net, Vec<u32>) {
    let (points, edge_count, corner_count) = (net.polygons.point_count, net.edges.ends.len(), net.polygons.corners.len());
    let (edge_points, inner_edges) = (points as u32, 2 * edge_count as u32);
    let mut corners = Vec::with_capacity(4 * corner_count);
    let mut of_corner = Vec::with_capacity(4 * corner_count);
    let mut inner = Vec::with_capacity(corner_count);
    let mut parent_face = Vec::with_capacity(4 * net.polygons.face_count());
    for face in 0..net.polygons.face_count() {
        let start = net.polygons.range(face).start as u32;
        let (Some([a, b, c]), Some([ab, bc, ca])) = (
            net.polygons.face(face).first_chunk::<3>(),
            net.edges.of_corner.get(start as usize..).and_then(|at| at.first_chunk::<3>()),
        ) else {
            continue;
        };
        for (point, ahead, behind, at) in [(*a, *ab, *ca, 0), (*b, *bc, *ab, 1), (*c, *ca, *bc, 2)] {
            corners.extend([point, edge_points + ahead, edge_points + behind]);
            of_corner.extend([half(net, ahead, point), inner_edges + start + at, half(net, behind, point)]);
            inner.push([edge_points + ahead, edge_points + behind]);
        }
        corners.extend([ab, bc, ca].map(|edge| edge_points + edge));
        of_corner.extend([1, 2, 0].map(|at| inner_edges + start + at));
        parent_face.extend([face as u32; 4]);
    }
    (assemble(net, corners, of_corner, inner, 3, points + edge_count), parent_face)
}
