//! What is made of a snapshot before it is shown, away from the main thread: meshes, textures, materials.
//!
//! What was made of the snapshot before is taken over wherever a prim and all it depends on are the same. That is how a stage that is loaded
//! again keeps its meshes and materials, and how the main thread knows which prims changed: theirs is another [`PrimContent`].

use super::{
    contents::{Inherited, PathIndex, Place, Shared, StageContents, Use, prims, same_prim},
    loader::Taken,
    message::UsdChange,
    settings::UsdLoadSettings,
    surface::{Surface, SurfaceMaker},
};
use crate::{
    geometry::{self, GeometryError, MeshOptions, MeshPart, VertexColors},
    look::{self, DomeMaps},
};
use bevy::{
    mesh::{PrimitiveTopology, skinning::SkinnedMeshInverseBindposes},
    prelude::*,
    tasks::AsyncComputeTaskPool,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use studio_usd::{
    host::StageHost,
    open::{Issue, IssueSeverity},
    snapshot::{BlendShape, Prim, PrimData, Skeleton, SkinBinding, StageSnapshot},
};

/// What was made of a prim. Another one says that the prim, or something that it depends on, is not what it was.
#[derive(Debug, Default)]
pub(super) struct PrimContent {
    /// Its geometry.
    pub drawn: Option<Arc<Drawn>>,
    /// The material of each part of the geometry.
    pub surfaces: Vec<Arc<Surface>>,
    /// The maps of a sky.
    pub dome: Option<Arc<DomeMaps>>,
    /// What else it depends on: its skeleton, that one's animation, what a point instancer copies.
    related: Vec<Related>,
}

#[derive(Debug)]
enum Related {
    Data(Box<PrimData>),
    Content(Arc<PrimContent>),
}

impl Related {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Data(a), Self::Data(b)) => a == b,
            (Self::Content(a), Self::Content(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl PrimContent {
    fn is_same(&self, other: &Self) -> bool {
        let same_drawn = match (&self.drawn, &other.drawn) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same_drawn
            && self.dome == other.dome
            && self.surfaces.len() == other.surfaces.len()
            && self.surfaces.iter().zip(&other.surfaces).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.related.len() == other.related.len()
            && self.related.iter().zip(&other.related).all(|(a, b)| a.is_same(b))
    }
}

/// A prim's geometry as meshes, one for each material. All entities that show it share them.
#[derive(Debug)]
pub(super) struct Drawn {
    pub parts: Vec<DrawnPart>,
    /// Whether it changes its shape over time.
    pub is_animated: bool,
    inputs: DrawnInputs,
}

/// A mesh.
#[derive(Debug)]
pub(super) struct DrawnPart {
    /// All but the mesh itself, which is moved to Bevy's assets when it is first shown.
    pub info: MeshPart,
    mesh: Mutex<Option<Mesh>>,
    handle: OnceLock<Handle<Mesh>>,
    pub bindposes: OnceLock<Handle<SkinnedMeshInverseBindposes>>,
}

impl DrawnPart {
    fn new(mut info: MeshPart) -> Self {
        let nothing = Mesh::new(PrimitiveTopology::TriangleList, info.mesh.asset_usage);
        let mesh = std::mem::replace(&mut info.mesh, nothing);
        Self { info, mesh: Mutex::new(Some(mesh)), handle: OnceLock::new(), bindposes: OnceLock::new() }
    }

    /// The mesh among Bevy's assets.
    pub(super) fn handle(&self, meshes: &mut Assets<Mesh>) -> Handle<Mesh> {
        let take = || self.mesh.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.handle
            .get_or_init(|| match take() {
                Some(mesh) => meshes.add(mesh),
                None => Handle::default(),
            })
            .clone()
    }
}

/// All that geometry is made from.
#[derive(Clone, Debug, PartialEq)]
struct DrawnInputs {
    data: PrimData,
    refine_level: u8,
    uv_sets: Vec<String>,
    tangents: bool,
    vertex_colors: VertexColors,
    skeleton: Option<Arc<Skeleton>>,
    blend_shapes: Vec<Option<Arc<BlendShape>>>,
}

impl DrawnInputs {
    fn options(&self, time: f64) -> MeshOptions {
        MeshOptions {
            time,
            refine_level: self.refine_level.min(UsdLoadSettings::MAX_REFINE_LEVEL),
            uv_sets: self.uv_sets.clone(),
            tangents: self.tangents,
            vertex_colors: self.vertex_colors,
            skeleton: self.skeleton.clone(),
            blend_shapes: self.blend_shapes.clone(),
            ..MeshOptions::default()
        }
    }

    fn make(&self, time: f64) -> Result<Vec<MeshPart>, GeometryError> {
        let options = self.options(time);
        match &self.data {
            PrimData::Mesh(mesh) => geometry::mesh_parts(mesh, &options),
            PrimData::Shape(shape) => geometry::shape_mesh(shape, &options).map(|part| vec![part]),
            PrimData::Curves(curves) => geometry::curves_mesh(curves, &options).map(|part| vec![part]),
            PrimData::Points(points) => geometry::points_mesh(points, &options).map(|part| vec![part]),
            _ => Ok(Vec::new()),
        }
    }

    fn is_animated(&self) -> bool {
        use studio_usd::snapshot::ShapeKind as Kind;
        match &self.data {
            PrimData::Mesh(mesh) => {
                mesh.points.is_animated()
                    || mesh.face_vertex_counts.is_animated()
                    || mesh.face_vertex_indices.is_animated()
                    || mesh.display_color.as_ref().is_some_and(|color| color.values.is_animated())
                    || mesh.normals.as_ref().is_some_and(|normals| normals.values.is_animated())
            }
            PrimData::Curves(curves) => {
                curves.points.is_animated() || curves.widths.as_ref().is_some_and(|widths| widths.values.is_animated())
            }
            PrimData::Points(points) => {
                points.points.is_animated() || points.widths.as_ref().is_some_and(|widths| widths.values.is_animated())
            }
            PrimData::Shape(shape) => match &shape.kind {
                Kind::Cube { size } => size.is_animated(),
                Kind::Sphere { radius } => radius.is_animated(),
                Kind::Cylinder { height, radius, radius_top } | Kind::Capsule { height, radius, radius_top } => {
                    height.is_animated() || radius.is_animated() || radius_top.is_animated()
                }
                Kind::Cone { height, radius } => height.is_animated() || radius.is_animated(),
                Kind::Plane { width, length } => width.is_animated() || length.is_animated(),
            },
            _ => false,
        }
    }
}

impl Drawn {
    pub(super) fn blend_shapes(&self) -> &[Option<Arc<BlendShape>>] {
        &self.inputs.blend_shapes
    }

    /// What holds it.
    pub(super) fn skin(&self) -> Option<&SkinBinding> {
        match &self.inputs.data {
            PrimData::Mesh(mesh) => mesh.skin.as_ref(),
            _ => None,
        }
    }

    /// Gives its meshes the shape of a time.
    pub(super) fn set_time(&self, time: f64, meshes: &mut Assets<Mesh>) -> Result<(), GeometryError> {
        if self.move_points(time, meshes) {
            return Ok(());
        }
        for (part, now) in self.parts.iter().zip(self.inputs.make(time)?) {
            // What is not shown has no handle yet.
            if let Some(handle) = part.handle.get() {
                // The asset is ours as long as the handle is, so it can be replaced.
                let _ = meshes.insert(handle, now.mesh);
            }
        }
        Ok(())
    }
}

impl Drawn {
    /// Moves the points of its meshes, if that is all that a time asks for. `false` if they have to be made anew.
    fn move_points(&self, time: f64, meshes: &mut Assets<Mesh>) -> bool {
        let PrimData::Mesh(mesh) = &self.inputs.data else { return false };
        let Some(update) = self.parts.first().and_then(|part| part.info.update.as_ref()) else { return false };
        // Another number of points needs other faces.
        let Ok(moved) = update.moved(mesh, time) else { return false };
        self.parts.iter().all(|part| {
            let Some(mut mesh) = part.handle.get().and_then(|handle| meshes.get_mut(handle)) else { return true };
            part.info.update.as_ref().is_some_and(|update| geometry::update_points(&mut mesh, update, &moved).is_ok())
        })
    }
}

/// Makes everything of a snapshot. Heavy: not for the main thread.
pub(super) async fn make_contents(
    taken: Taken,
    host: Weak<StageHost>,
    settings: UsdLoadSettings,
    choices: Vec<UsdChange>,
    previous: Option<Arc<StageContents>>,
    surfaces: SurfaceMaker,
) -> StageContents {
    let Taken { snapshot, mut issues, revision } = taken;
    let snapshot = Arc::new(snapshot);
    let index = PathIndex::of(&snapshot);
    let mut making = Making { snapshot: &snapshot, index: &index, settings: &settings, previous: previous.as_deref(), surfaces };
    let lists = making.lists();
    let uses = making.uses(&lists);
    let drawn = making.draw_all(&uses, &mut issues).await;
    let mut contents: HashMap<Use, Arc<PrimContent>> = HashMap::with_capacity(uses.len());
    let (instancers, others): (Vec<Use>, Vec<Use>) =
        uses.iter().partition(|of| matches!(making.prim(of.place).map(|prim| &prim.data), Some(PrimData::PointInstancer(_))));
    for of in others.iter().chain(&instancers) {
        let content = making.content(*of, drawn.get(of).cloned(), &contents, &mut issues);
        contents.insert(*of, content);
    }
    let take = |list: Option<usize>, inherited: Inherited| {
        (0..prims(&snapshot, list).len())
            .map(|prim| contents.get(&Use { place: Place { list, prim }, inherited }).cloned().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    let stage = take(None, Inherited::default());
    let mut prototypes: Vec<Shared> = (0..snapshot.prototypes.len()).map(|_| Shared::default()).collect();
    for (list, inherited) in lists {
        if let Some(shared) = list.and_then(|prototype| prototypes.get_mut(prototype)) {
            if shared.made.is_empty() {
                shared.first = inherited;
            }
            shared.made.insert(inherited, take(list, inherited));
        }
    }
    let mut surfaces = making.surfaces;
    let layer = snapshot.root_layer.clone();
    for message in surfaces.make_textures() {
        issues.push(Issue { severity: IssueSeverity::Warning, layer: layer.clone(), line: None, prim: String::new(), message });
    }
    let surfaces = surfaces.finish();
    StageContents { snapshot, revision, host, issues, settings, choices, index, stage, prototypes, surfaces }
}

struct Making<'a> {
    snapshot: &'a StageSnapshot,
    index: &'a PathIndex,
    settings: &'a UsdLoadSettings,
    previous: Option<&'a StageContents>,
    surfaces: SurfaceMaker,
}

impl Making<'_> {
    /// The lists of prims that are shown, prototypes once for each thing that instances hand down to them.
    fn lists(&self) -> Vec<(Option<usize>, Inherited)> {
        let mut lists = Vec::new();
        let (mut known, mut reached) = (HashSet::new(), HashSet::new());
        let mut left = self.settings.budget.max_entities;
        let mut open = VecDeque::from([(None, Inherited::default())]);
        while let Some((list, inherited)) = open.pop_front() {
            lists.push((list, inherited));
            for (prim, prototype) in
                prims(self.snapshot, list).iter().enumerate().filter_map(|(at, prim)| Some((at, prim.prototype?)))
            {
                let of = Use { place: Place { list, prim }, inherited };
                let below = self.index.handed_down(self.snapshot, of);
                if known.contains(&(prototype, below)) {
                    continue;
                }
                // Every prototype is made once, whatever the budget: what is beyond it is shown like that.
                let cost = if reached.insert(prototype) { 0 } else { prims(self.snapshot, Some(prototype)).len() };
                if cost <= left {
                    left -= cost;
                    known.insert((prototype, below));
                    open.push_back((Some(prototype), below));
                }
            }
        }
        lists
    }

    fn uses(&self, lists: &[(Option<usize>, Inherited)]) -> Vec<Use> {
        let prims_of = |list: Option<usize>| (0..prims(self.snapshot, list).len()).map(move |prim| Place { list, prim });
        lists.iter().flat_map(|(list, inherited)| prims_of(*list).map(|place| Use { place, inherited: *inherited })).collect()
    }

    fn prim(&self, place: Place) -> Option<&Prim> {
        prims(self.snapshot, place.list).get(place.prim)
    }

    fn data(&self, from: Option<usize>, path: &str) -> Option<(Place, &PrimData)> {
        let place = self.index.resolve(self.snapshot, from, path)?;
        Some((place, &self.prim(place)?.data))
    }

    /// What a prim was before: the one at the same path, of a prototype the one that was at the same path in it.
    fn before(&self, of: Use) -> Option<(&Prim, &Arc<PrimContent>)> {
        let previous = self.previous?;
        let place = self.place_before(of.place)?;
        let material = match of.inherited.material {
            Some(material) => Some(self.place_before(material)?),
            None => None,
        };
        let inherited = Inherited { material, ..of.inherited };
        Some((previous.prim(place)?, previous.content_made(Use { place, inherited })?))
    }

    fn place_before(&self, place: Place) -> Option<Place> {
        let previous = self.previous?;
        let path = &self.prim(place)?.path;
        match place.list {
            None => previous.resolve(None, path),
            // Prototypes have no names. What is the same in most stages is their order.
            Some(list) => previous.index.resolve(&previous.snapshot, Some(list), &format!("./{path}")),
        }
    }

    /// The materials of a prim's geometry: of all of it, and of its subsets.
    fn materials(&self, of: Use) -> Vec<Option<Place>> {
        let Some(prim) = self.prim(of.place) else { return Vec::new() };
        let subsets = match &prim.data {
            PrimData::Mesh(mesh) => mesh.subsets.as_slice(),
            _ => &[],
        };
        let of_subsets = subsets.iter().map(|subset| self.material(of.place.list, subset.material.as_deref()));
        std::iter::once(self.index.material_of(self.snapshot, of)).chain(of_subsets).collect()
    }

    fn material(&self, from: Option<usize>, path: Option<&str>) -> Option<Place> {
        self.index.material(self.snapshot, from, path?)
    }

    fn inputs(&self, of: Use) -> Option<DrawnInputs> {
        let place = of.place;
        let prim = self.prim(place)?;
        if !matches!(prim.data, PrimData::Mesh(_) | PrimData::Shape(_) | PrimData::Curves(_) | PrimData::Points(_)) {
            return None;
        }
        if !self.settings.purposes.show(of.inherited.purpose_of(prim.purpose)) {
            return None;
        }
        let materials = self.materials(of);
        let needs = self.surfaces.needs(materials.iter().flatten().filter_map(|material| match &self.prim(*material)?.data {
            PrimData::Material(material) => Some(&**material),
            _ => None,
        }));
        let has_material = materials.first().is_some_and(Option::is_some);
        let vertex_colors = match (needs.display_color, has_material) {
            (true, _) => VertexColors::Always,
            (false, true) => VertexColors::Never,
            (false, false) => VertexColors::WithoutMaterial,
        };
        let (mut skeleton, mut blend_shapes) = (None, Vec::new());
        if let PrimData::Mesh(mesh) = &prim.data
            && let Some(skin) = &mesh.skin
        {
            skeleton = skin.skeleton.as_deref().and_then(|path| match self.data(place.list, path)?.1 {
                PrimData::Skeleton(skeleton) => Some(skeleton.clone()),
                _ => None,
            });
            blend_shapes = skin
                .blend_shapes
                .iter()
                .map(|(_, path)| match self.data(place.list, path)?.1 {
                    PrimData::BlendShape(shape) => Some(shape.clone()),
                    _ => None,
                })
                .collect();
        }
        Some(DrawnInputs {
            data: prim.data.clone(),
            refine_level: self.settings.refine_level,
            uv_sets: needs.uv_sets,
            tangents: needs.tangents,
            vertex_colors,
            skeleton,
            blend_shapes,
        })
    }

    /// Makes all geometry, on all threads for background work.
    async fn draw_all(&self, uses: &[Use], issues: &mut Vec<Issue>) -> HashMap<Use, Arc<Drawn>> {
        let mut drawn = HashMap::new();
        let mut jobs: Vec<(Vec<Use>, DrawnInputs)> = Vec::new();
        // Other materials do not need other geometry, unless they read something else of it.
        let mut known = HashMap::new();
        for of in uses {
            let Some(inputs) = self.inputs(*of) else { continue };
            let before = self.before(*of).and_then(|(_, content)| content.drawn.clone());
            if let Some(before) = before.filter(|before| before.inputs == inputs) {
                drawn.insert(*of, before);
                continue;
            }
            let reads = (of.place, inputs.uv_sets.clone(), inputs.tangents, inputs.vertex_colors as u8);
            let job = *known.entry(reads).or_insert(jobs.len());
            match jobs.get_mut(job) {
                Some((uses, _)) => uses.push(*of),
                None => jobs.push((vec![*of], inputs)),
            }
        }
        // Copies of one mesh that are not instances are common: their data is made once.
        let time = self.snapshot.default_time();
        let pool = AsyncComputeTaskPool::get();
        let batch = jobs.len().div_ceil(pool.thread_num().max(1) * 8).max(1);
        let mut tasks = Vec::new();
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let batch: Vec<(Vec<Use>, DrawnInputs)> = jobs.by_ref().take(batch).collect();
            tasks.push(pool.spawn(async move {
                batch.into_iter().map(|(uses, inputs)| (uses, inputs.make(time), inputs)).collect::<Vec<_>>()
            }));
        }
        for task in tasks {
            for (uses, made, inputs) in task.await {
                let (parts, error) = match made {
                    Ok(parts) => (parts, None),
                    Err(error) => (Vec::new(), Some(error.to_string())),
                };
                let notes = parts.iter().flat_map(|part| part.notes.iter().cloned()).chain(error);
                if let Some(of) = uses.first() {
                    issues.extend(notes.map(|message| self.issue(of.place, message)));
                }
                let is_animated = inputs.is_animated();
                let parts = parts.into_iter().map(DrawnPart::new).collect();
                let made = Arc::new(Drawn { parts, is_animated, inputs });
                drawn.extend(uses.into_iter().map(|of| (of, made.clone())));
            }
        }
        drawn
    }

    fn issue(&self, place: Place, message: String) -> Issue {
        let prim = self.prim(place).map_or("", |prim| prim.path.as_str());
        let layer = self.snapshot.root_layer.clone();
        Issue { severity: IssueSeverity::Warning, layer, line: None, prim: prim.to_owned(), message }
    }

    fn content(
        &mut self,
        of: Use,
        drawn: Option<Arc<Drawn>>,
        contents: &HashMap<Use, Arc<PrimContent>>,
        issues: &mut Vec<Issue>,
    ) -> Arc<PrimContent> {
        let place = of.place;
        let mut content =
            PrimContent { drawn, surfaces: Vec::new(), dome: self.dome(of, issues), related: self.related(of, contents) };
        if let Some(drawn) = content.drawn.clone() {
            let whole = self.index.material_of(self.snapshot, of);
            for part in &drawn.parts {
                let own = part.info.material.as_deref().and_then(|path| self.material(place.list, Some(path)));
                let material = own.or(whole);
                let data = material.and_then(|material| match &prims(self.snapshot, material.list).get(material.prim)?.data {
                    PrimData::Material(material) => Some(material.clone()),
                    _ => None,
                });
                let (surface, notes) = self.surfaces.surface(data.as_ref(), &part.info);
                content.surfaces.push(surface);
                let place = material.unwrap_or(place);
                let known = notes.into_iter().map(|message| self.issue(place, message));
                for issue in known {
                    if !issues.contains(&issue) {
                        issues.push(issue);
                    }
                }
            }
        }
        match self.before(of) {
            Some((prim, before)) if before.is_same(&content) && self.prim(place).is_some_and(|now| same_prim(now, prim)) => {
                before.clone()
            }
            _ => Arc::new(content),
        }
    }

    /// The maps of a dome light's picture.
    fn dome(&self, of: Use, issues: &mut Vec<Issue>) -> Option<Arc<DomeMaps>> {
        let place = of.place;
        let PrimData::Light(light) = &self.prim(place)?.data else { return None };
        let dome = look::dome_light(light, self.snapshot.default_time(), self.snapshot.up_axis)?;
        if dome.texture.is_empty() {
            return None;
        }
        if let Some((prim, content)) = self.before(of)
            && let (PrimData::Light(before), Some(maps)) = (&prim.data, &content.dome)
            && before == light
            && self.previous.is_some_and(|previous| self.surfaces.is_same_picture(previous, &dome.texture))
        {
            return Some(maps.clone());
        }
        match self.surfaces.dome(&dome) {
            Ok(maps) => Some(Arc::new(maps)),
            Err(message) => {
                issues.push(self.issue(place, message));
                None
            }
        }
    }

    fn related(&self, of: Use, contents: &HashMap<Use, Arc<PrimContent>>) -> Vec<Related> {
        let place = of.place;
        let Some(prim) = self.prim(place) else { return Vec::new() };
        let mut related = Vec::new();
        let skeleton = match &prim.data {
            PrimData::Mesh(mesh) => mesh
                .skin
                .as_ref()
                .and_then(|skin| self.data(place.list, skin.skeleton.as_deref()?))
                .map(|(place, data)| (place, data.clone())),
            PrimData::Skeleton(_) => Some((place, prim.data.clone())),
            PrimData::PointInstancer(instancer) => {
                for prototype in &instancer.prototypes {
                    if let Some(place) = self.index.resolve(self.snapshot, place.list, prototype) {
                        self.add_subtree(Use { place, ..of }, contents, &mut related, 0);
                    }
                }
                None
            }
            _ => None,
        };
        if let Some((place, PrimData::Skeleton(skeleton))) = skeleton {
            let animation = skeleton.animation.as_deref().and_then(|path| self.data(place.list, path));
            related.extend(animation.map(|(_, data)| Related::Data(Box::new(data.clone()))));
            related.push(Related::Data(Box::new(PrimData::Skeleton(skeleton))));
        }
        related
    }

    fn add_subtree(&self, of: Use, contents: &HashMap<Use, Arc<PrimContent>>, related: &mut Vec<Related>, depth: usize) {
        let place = of.place;
        const MOST_DEEP: usize = 512;
        if depth > MOST_DEEP {
            return;
        }
        match contents.get(&of) {
            Some(content) => related.push(Related::Content(content.clone())),
            None => related.extend(self.prim(place).map(|prim| Related::Data(Box::new(prim.data.clone())))),
        }
        for child in self.index.children(place) {
            self.add_subtree(Use { place: Place { list: place.list, prim: *child }, ..of }, contents, related, depth + 1);
        }
        if let Some(prototype) = self.prim(place).and_then(|prim| prim.prototype) {
            let inherited = self.index.handed_down(self.snapshot, of);
            for root in self.index.roots(Some(prototype)) {
                let place = Place { list: Some(prototype), prim: *root };
                self.add_subtree(Use { place, inherited }, contents, related, depth + 1);
            }
        }
    }
}
