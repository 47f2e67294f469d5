//! Polygon meshes into parts, one for each material.

use super::{
    GeometryError, MeshAnimation, MeshOptions, MeshPart, VertexColors,
    morph::Morphs,
    normals::direction,
    polygons::Polygons,
    primvar::{Channel, Elements, Place, resolve_or_note},
    skin::Skin,
    subdivide::{Blend, FaceVarying, Refined, refine, refine_face_varying},
    tangents::insert_tangents,
    triangulate::{EAR_TESTS, Triangulator},
    update::{MeshUpdate, MovedPoints, NormalRule, Surface},
};
use bevy::{
    math::{Vec2, Vec3, Vec4},
    mesh::{Indices, Mesh, PrimitiveTopology},
};
use std::sync::Arc;
use studio_usd::snapshot::{self, GeomSubset, Interpolation, Primvar, Subdivision, SubdivisionScheme, display_rgba};

/// Vertices of a point that a new corner is compared with. A point with more different corners than this (the tip of a cone with a
/// coordinate for each face, say) gets a few vertices more than it needs, and a hostile one costs no more time than that.
const SHARED_VERTICES: usize = 32;

/// Names of texture coordinates in the order in which they are taken when nobody asks for others.
const USUAL_UV_SETS: [&str; 5] = ["st", "uv", "UVMap", "map1", "st0"];

/// Makes the meshes of a polygon mesh at a time: one for the faces in no subset, and one for each `materialBind` subset that has faces. A
/// mesh without faces has none.
///
/// # Errors
/// If faces, points and indices do not fit together. Mistakes in what comes on top (coordinates, colours, creases, subsets) leave that out
/// and are in [`MeshPart::notes`].
pub fn mesh_parts(mesh: &snapshot::Mesh, options: &MeshOptions) -> Result<Vec<MeshPart>, GeometryError> {
    let time = options.time;
    let mut notes = Vec::new();
    let points = mesh.points.at(time).unwrap_or_default();
    if let Some(at) = points.iter().position(|point| !point.is_finite()) {
        return Err(GeometryError::NotFinite { what: "points".to_owned(), at });
    }
    let list = |value: &snapshot::Sampled<Vec<u32>>| value.held_at(time).cloned().unwrap_or_default();
    let polygons = Polygons::new(&list(&mesh.face_vertex_counts), &list(&mesh.face_vertex_indices), points.len())?;
    if polygons.face_count() == 0 {
        return Ok(Vec::new());
    }
    let elements = Elements { faces: polygons.face_count(), points: points.len(), corners: polygons.corners.len() };
    let visible = visible_faces(&polygons, &mesh.hole_indices, &mut notes);
    let part_of_face = faces_of_subsets(elements.faces, &mesh.subsets, &mut notes);
    let refined = refine(polygons, visible, &mesh.subdivision, options.refine_level, options.max_faces, &mut notes)?;

    let mut primvars = Primvars { time, elements, refined: &refined, subdivision: &mesh.subdivision, notes: &mut notes };
    let normals =
        if refined.levels.is_empty() { resolve_or_note(mesh.normals.as_ref(), time, elements, primvars.notes) } else { None };
    let (uv_sets, uvs) = primvars.uvs(&mesh.uvs, &options.uv_sets)?;
    let wants_colors = options.vertex_colors != VertexColors::Never;
    let color = primvars.read(mesh.display_color.as_ref().filter(|_| wants_colors))?;
    let opacity = primvars.read(mesh.display_opacity.as_ref().filter(|_| wants_colors))?;

    let rule = match mesh.subdivision.scheme {
        _ if normals.is_some() => NormalRule::Authored,
        SubdivisionScheme::CatmullClark | SubdivisionScheme::Loop => NormalRule::Smooth,
        SubdivisionScheme::Bilinear | SubdivisionScheme::None => NormalRule::Flat,
    };
    let source_points = points.len();
    let surface = Arc::new(Surface { refined, source_points, left_handed: mesh.left_handed, normals: rule });
    let skin = Skin::of(mesh, options, &surface.refined, source_points, &mut notes);
    let morphs = Morphs::of(mesh, options, &surface, &points, &mut notes);
    let moved = surface.moved(points);
    let animation = animation(mesh);
    // Facets that lie in one plane now may not later.
    let sources_matter = match rule {
        NormalRule::Authored => animation == MeshAnimation::Points,
        NormalRule::Flat => animation == MeshAnimation::Points || !morphs.is_empty(),
        NormalRule::Smooth => false,
    };
    let tangents = options.tangents;
    let corners = Corners { surface: &surface, moved: &moved, normals, uvs, color, opacity, tangents, sources_matter };
    let subsets = mesh.subsets.iter().map(Some);
    let faces_of_parts = group_faces(&surface.refined, &part_of_face, mesh.subsets.len() + 1);

    let mut builder = Builder::new(moved.points.len());
    let mut parts = Vec::new();
    for (number, (subset, faces)) in std::iter::once(None).chain(subsets).zip(faces_of_parts).enumerate() {
        let material = subset.and_then(|subset| subset.material.clone());
        let has_colors = match options.vertex_colors {
            VertexColors::Never => false,
            VertexColors::Always => true,
            VertexColors::WithoutMaterial => material.is_none(),
        } && (corners.color.is_some() || corners.opacity.is_some());
        builder.begin(number as u32);
        for face in &faces {
            builder.add_face(*face, &corners, has_colors);
        }
        if builder.indices.is_empty() {
            continue;
        }
        let mut part_notes = Vec::new();
        let is_translucent = has_colors && builder.vertices.iter().any(|vertex| vertex.color.w < 1.0);
        let mut made = builder.mesh(&corners, has_colors, options);
        let point_of_vertex: Vec<u32> = builder.vertices.iter().map(|vertex| vertex.point).collect();
        let part_skin = skin.as_ref().map(|skin| skin.insert(&mut made, &point_of_vertex));
        let normal_of_vertex: Vec<u32> = builder.vertices.iter().map(|vertex| vertex.normal_source).collect();
        let morph_targets = morphs.insert(&mut made, &point_of_vertex, &normal_of_vertex, &mut part_notes);
        let update = (animation == MeshAnimation::Points).then(|| MeshUpdate {
            surface: Arc::clone(&surface),
            point_of_vertex: point_of_vertex.clone().into(),
            normal_of_vertex: normal_of_vertex.into(),
        });
        parts.push(MeshPart {
            mesh: made,
            material,
            subset: subset.map(|subset| subset.path.clone()),
            point_of_vertex,
            double_sided: mesh.double_sided,
            uv_sets: uv_sets.clone(),
            has_colors,
            is_translucent,
            refined_level: surface.refined.levels.len() as u8,
            skin: part_skin,
            morph_targets,
            animation,
            update,
            notes: part_notes,
        });
    }
    if builder.triangulator.gave_up {
        notes.push("faces with very many concave corners are cut into fans".to_owned());
    }
    if let Some(first) = parts.first_mut() {
        notes.append(&mut first.notes);
        first.notes = notes;
    }
    Ok(parts)
}

/// How a mesh changes over time.
fn animation(mesh: &snapshot::Mesh) -> MeshAnimation {
    fn changes<T>(primvar: Option<&Primvar<T>>) -> bool {
        primvar.is_some_and(|primvar| {
            primvar.values.is_animated() || primvar.indices.as_ref().is_some_and(snapshot::Sampled::is_animated)
        })
    }
    let normal_indices = mesh.normals.as_ref().and_then(|normals| normals.indices.as_ref());
    if mesh.face_vertex_counts.is_animated()
        || mesh.face_vertex_indices.is_animated()
        || normal_indices.is_some_and(snapshot::Sampled::is_animated)
        || mesh.uvs.iter().any(|uvs| changes(Some(uvs)))
        || changes(mesh.display_color.as_ref())
        || changes(mesh.display_opacity.as_ref())
    {
        return MeshAnimation::Everything;
    }
    let normals = mesh.normals.as_ref().is_some_and(|normals| normals.values.is_animated());
    if mesh.points.is_animated() || normals { MeshAnimation::Points } else { MeshAnimation::Still }
}

/// Which faces are seen: not holes, and not faces of less than three corners.
fn visible_faces(polygons: &Polygons, holes: &[u32], notes: &mut Vec<String>) -> Vec<bool> {
    let mut visible: Vec<bool> = (0..polygons.face_count()).map(|face| polygons.face(face).len() >= 3).collect();
    let thin = visible.iter().filter(|visible| !**visible).count();
    if thin > 0 {
        notes.push(format!("{thin} faces have less than three corners; they are left out"));
    }
    let wrong = holes.iter().filter(|hole| match visible.get_mut(**hole as usize) {
        Some(visible) => {
            *visible = false;
            false
        }
        None => true,
    });
    let wrong = wrong.count();
    if wrong > 0 {
        notes.push(format!("{wrong} of holeIndices are no faces of the {}", polygons.face_count()));
    }
    visible
}

/// The part of each of the file's faces: 0 for none, else the subset's place and one.
fn faces_of_subsets(faces: usize, subsets: &[GeomSubset], notes: &mut Vec<String>) -> Vec<u32> {
    let mut parts = vec![0; faces];
    for (number, subset) in subsets.iter().enumerate().filter(|(_, subset)| subset.family == "materialBind") {
        let (mut wrong, mut taken) = (0, 0);
        for face in &subset.faces {
            match parts.get_mut(*face as usize) {
                Some(part) if *part == 0 => *part = number as u32 + 1,
                Some(_) => taken += 1,
                None => wrong += 1,
            }
        }
        if wrong > 0 {
            notes.push(format!("{}: {wrong} of its indices are no faces of the {faces}; they are left out", subset.path));
        }
        if taken > 0 {
            notes.push(format!(
                "{}: {taken} of its faces are in an earlier subset or twice in this one; they stay there",
                subset.path
            ));
        }
    }
    parts
}

/// The visible faces of each part, in order.
fn group_faces(refined: &Refined, part_of_face: &[u32], parts: usize) -> Vec<Vec<u32>> {
    let mut groups = vec![Vec::new(); parts];
    for (face, base) in refined.base_face.iter().enumerate() {
        let part = part_of_face.get(*base as usize).copied().unwrap_or_default() as usize;
        if let (Some(true), Some(group)) = (refined.visible.get(*base as usize), groups.get_mut(part)) {
            group.push(face as u32);
        }
    }
    groups
}

/// Reads primvars and refines them with the surface.
struct Primvars<'a> {
    time: f64,
    elements: Elements,
    refined: &'a Refined,
    subdivision: &'a Subdivision,
    notes: &'a mut Vec<String>,
}

impl Primvars<'_> {
    fn read<T>(&mut self, primvar: Option<&Primvar<T>>) -> Result<Option<Channel<T>>, GeometryError>
    where
        T: Blend + Copy + snapshot::Interpolate + super::primvar::Finite,
    {
        let Some(channel) = resolve_or_note(primvar, self.time, self.elements, self.notes) else { return Ok(None) };
        if self.refined.levels.is_empty() {
            return Ok(Some(channel));
        }
        let interpolation = channel.interpolation;
        Ok(Some(match interpolation {
            Interpolation::Constant | Interpolation::Uniform => channel,
            Interpolation::Vertex | Interpolation::Varying => {
                let mut values = channel.flattened();
                values.truncate(self.elements.points);
                let smooth = interpolation == Interpolation::Vertex;
                let values = if smooth { self.refined.refine(values) } else { self.refined.refine_linearly(values) };
                Channel { interpolation, values, indices: None }
            }
            Interpolation::FaceVarying => {
                let indices = channel.indices.unwrap_or_else(|| (0..self.elements.corners as u32).collect());
                let corners = FaceVarying { values: channel.values, indices };
                let linear = &self.subdivision.face_varying_linear_interpolation;
                let corners = refine_face_varying(self.refined, corners, linear)?;
                Channel { interpolation, values: corners.values, indices: Some(corners.indices) }
            }
        }))
    }

    /// The two sets of texture coordinates that matter most, and their names.
    fn uvs(&mut self, sets: &[Primvar<Vec2>], wanted: &[String]) -> Result<(Vec<String>, Vec<Channel<Vec2>>), GeometryError> {
        let rank = |set: &Primvar<Vec2>| {
            let asked = wanted.iter().position(|name| *name == set.name);
            let usual = USUAL_UV_SETS.iter().position(|name| *name == set.name);
            (asked.unwrap_or(usize::MAX), usual.unwrap_or(usize::MAX))
        };
        let mut order: Vec<&Primvar<Vec2>> = sets.iter().collect();
        order.sort_by_key(|set| rank(set));
        let (mut names, mut channels) = (Vec::new(), Vec::new());
        for set in order {
            if channels.len() == 2 {
                if wanted.contains(&set.name) {
                    self.notes
                        .push(format!("primvars:{} is left out: Bevy's meshes have two sets of texture coordinates", set.name));
                }
                continue;
            }
            if let Some(channel) = self.read(Some(set))? {
                names.push(set.name.clone());
                channels.push(channel);
            }
        }
        Ok((names, channels))
    }
}

/// What the corners of faces have.
struct Corners<'a> {
    surface: &'a Surface,
    moved: &'a MovedPoints,
    normals: Option<Channel<Vec3>>,
    uvs: Vec<Channel<Vec2>>,
    color: Option<Channel<Vec3>>,
    opacity: Option<Channel<f32>>,
    tangents: bool,
    /// Whether corners with normals from different sources stay apart, so that they can move apart.
    sources_matter: bool,
}

/// A vertex.
#[derive(Clone, Copy, Debug)]
struct Vertex {
    point: u32,
    /// Where sources matter: the face, or the place in the file's normals.
    normal_source: u32,
    normal: Vec3,
    uvs: [Vec2; 2],
    color: Vec4,
    /// Whether coordinates run the other way around here, so that tangents cannot be shared across.
    is_mirrored: bool,
}

impl Vertex {
    /// Whether two vertices of a point can be one.
    fn is_same(&self, other: &Self) -> bool {
        let bits = |vertex: &Self| {
            let (normal, [first, second], color) = (vertex.normal.to_array(), vertex.uvs, vertex.color.to_array());
            (
                normal.map(f32::to_bits),
                first.to_array().map(f32::to_bits),
                second.to_array().map(f32::to_bits),
                color.map(f32::to_bits),
            )
        };
        self.is_mirrored == other.is_mirrored && self.normal_source == other.normal_source && bits(self) == bits(other)
    }
}

impl Corners<'_> {
    fn vertex(&self, place: Place, face: u32, face_normal: Vec3, has_colors: bool) -> Vertex {
        let (normal, normal_source) = match (&self.normals, self.surface.normals) {
            (Some(channel), _) => {
                let authored = channel.at(place);
                let normal = if authored.abs().max_element() > 0.0 { authored } else { face_normal };
                (direction(normal), channel.index(place))
            }
            (None, NormalRule::Smooth) => (self.moved.normal(place.point), 0),
            (None, _) => (self.moved.normal(face), face),
        };
        let uv = |set: usize| {
            let uv = self.uvs.get(set).map(|channel| channel.at(place)).unwrap_or_default();
            // Bevy's pictures begin at the top.
            Vec2::new(uv.x, 1.0 - uv.y)
        };
        let color = if has_colors {
            let opacity = self.opacity.as_ref().map(|channel| channel.at(place));
            display_rgba(self.color.as_ref().map(|channel| channel.at(place)), opacity)
        } else {
            Vec4::ONE
        };
        let normal_source = if self.sources_matter { normal_source } else { 0 };
        Vertex { point: place.point, normal_source, normal, uvs: [uv(0), uv(1)], color, is_mirrored: false }
    }
}

/// Makes the parts one after another, with room that is used again.
struct Builder {
    triangulator: Triangulator,
    vertices: Vec<Vertex>,
    /// The next vertex of the same point.
    next: Vec<u32>,
    indices: Vec<u32>,
    /// The last vertex of each point, and the part it is in.
    last: Vec<(u32, u32)>,
    part: u32,
    corners: Vec<Vertex>,
    corner_vertices: Vec<u32>,
}

const NO_VERTEX: u32 = u32::MAX;

impl Builder {
    fn new(points: usize) -> Self {
        Self {
            triangulator: Triangulator::new(EAR_TESTS),
            vertices: Vec::new(),
            next: Vec::new(),
            indices: Vec::new(),
            last: vec![(NO_VERTEX, NO_VERTEX); points],
            part: 0,
            corners: Vec::new(),
            corner_vertices: Vec::new(),
        }
    }

    fn begin(&mut self, part: u32) {
        self.part = part;
        self.vertices.clear();
        self.next.clear();
        self.indices.clear();
    }

    fn add_face(&mut self, face: u32, corners: &Corners, has_colors: bool) {
        let refined = &corners.surface.refined;
        let points = refined.polygons.face(face as usize);
        let base = refined.base_face.get(face as usize).copied().unwrap_or_default();
        let needs_normal = corners.normals.is_some();
        let face_normal = if needs_normal { refined.polygons.area_normal(face as usize, &corners.moved.points) } else { Vec3::Y };
        let face_normal = if corners.surface.left_handed { -face_normal } else { face_normal };
        self.corners.clear();
        for (corner, point) in refined.polygons.range(face as usize).zip(points) {
            let place = Place { face: base, point: *point, corner: corner as u32 };
            self.corners.push(corners.vertex(place, face, face_normal, has_colors));
        }
        if corners.tangents && !corners.uvs.is_empty() {
            let is_mirrored = uv_area(&self.corners) < 0.0;
            self.corners.iter_mut().for_each(|corner| corner.is_mirrored = is_mirrored);
        }
        let mut made = std::mem::take(&mut self.corner_vertices);
        made.clear();
        for at in 0..self.corners.len() {
            if let Some(corner) = self.corners.get(at).copied() {
                made.push(self.share(corner));
            }
        }
        let indices = &mut self.indices;
        self.triangulator.face(points, &corners.moved.points, |[a, b, c]| {
            let (b, c) = if corners.surface.left_handed { (c, b) } else { (b, c) };
            let triangle = [a, b, c].map(|corner| made.get(corner as usize).copied().unwrap_or_default());
            if triangle[0] != triangle[1] && triangle[1] != triangle[2] && triangle[2] != triangle[0] {
                indices.extend(triangle);
            }
        });
        self.corner_vertices = made;
    }

    /// A vertex that is there already, or a new one.
    fn share(&mut self, corner: Vertex) -> u32 {
        let new = self.vertices.len() as u32;
        let Some((last, part)) = self.last.get_mut(corner.point as usize) else { return 0 };
        let newest = if *part == self.part { *last } else { NO_VERTEX };
        let mut candidate = newest;
        for _ in 0..SHARED_VERTICES {
            match self.vertices.get(candidate as usize) {
                Some(vertex) if vertex.is_same(&corner) => return candidate,
                Some(_) => candidate = self.next.get(candidate as usize).copied().unwrap_or(NO_VERTEX),
                None => break,
            }
        }
        (*last, *part) = (new, self.part);
        self.vertices.push(corner);
        self.next.push(newest);
        new
    }

    fn mesh(&self, corners: &Corners, has_colors: bool, options: &MeshOptions) -> Mesh {
        let mut mesh = Mesh::new(PrimitiveTopology::TriangleList, options.asset_usage);
        let position = |vertex: &Vertex| corners.moved.points.get(vertex.point as usize).copied().unwrap_or_default().to_array();
        mesh.insert_attribute(Mesh::ATTRIBUTE_POSITION, self.vertices.iter().map(position).collect::<Vec<_>>());
        let normals: Vec<_> = self.vertices.iter().map(|vertex| vertex.normal.to_array()).collect();
        mesh.insert_attribute(Mesh::ATTRIBUTE_NORMAL, normals);
        for (set, attribute) in [Mesh::ATTRIBUTE_UV_0, Mesh::ATTRIBUTE_UV_1].into_iter().enumerate().take(corners.uvs.len()) {
            let uvs = self.vertices.iter().map(|vertex| vertex.uvs.get(set).copied().unwrap_or_default().to_array());
            mesh.insert_attribute(attribute, uvs.collect::<Vec<_>>());
        }
        if has_colors {
            let colors: Vec<_> = self.vertices.iter().map(|vertex| vertex.color.to_array()).collect();
            mesh.insert_attribute(Mesh::ATTRIBUTE_COLOR, colors);
        }
        mesh.insert_indices(Indices::U32(self.indices.clone()));
        if options.tangents {
            insert_tangents(&mut mesh);
        }
        mesh
    }
}

/// Twice the area of a face on the texture; negative where the texture is mirrored.
fn uv_area(corners: &[Vertex]) -> f32 {
    let uv = |vertex: &Vertex| vertex.uvs[0];
    let Some(origin) = corners.first().map(uv) else { return 0.0 };
    corners.windows(2).fold(0.0, |area, pair| match pair {
        [a, b] => area + (uv(a) - origin).perp_dot(uv(b) - origin),
        _ => area,
    })
}
