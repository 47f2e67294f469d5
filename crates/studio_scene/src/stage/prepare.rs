//! What is made of a snapshot before it is shown, away from the main thread: meshes, textures, materials.
//!
//! What was made of the snapshot before is taken over wherever a prim and all it depends on are the same. That is how a stage that is loaded
//! again keeps its meshes and materials, and how the main thread knows which prims changed: theirs is another [`PrimContent`].

use super::{
    contents::{PathIndex, Place, StageContents, prims, same_prim},
    drawn::{Drawn, DrawnInputs, DrawnPart},
    loader::Taken,
    message::UsdChange,
    settings::UsdLoadSettings,
    surface::{Surface, SurfaceMaker},
};
use crate::{
    geometry::VertexColors,
    look::{self, DomeMaps},
};
use bevy::tasks::AsyncComputeTaskPool;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};
use studio_usd::{
    host::StageHost,
    open::{Issue, IssueSeverity},
    snapshot::{Prim, PrimData, Skeleton, StageSnapshot},
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
    let places = making.places();
    let drawn = making.draw_all(&places, &mut issues).await;
    let mut contents: HashMap<Place, Arc<PrimContent>> = HashMap::with_capacity(places.len());
    let (instancers, others): (Vec<Place>, Vec<Place>) =
        places.iter().partition(|place| matches!(making.prim(**place).map(|prim| &prim.data), Some(PrimData::PointInstancer(_))));
    for place in others.iter().chain(&instancers) {
        let content = making.content(*place, drawn.get(place).cloned(), &contents, &mut issues);
        contents.insert(*place, content);
    }
    let take = |list: Option<usize>| {
        (0..prims(&snapshot, list).len())
            .map(|prim| contents.get(&Place { list, prim }).cloned().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    let stage = take(None);
    let prototypes = (0..snapshot.prototypes.len()).map(|prototype| take(Some(prototype))).collect();
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
    /// All prims: the stage's own and those of prototypes.
    fn places(&self) -> Vec<Place> {
        let lists = std::iter::once(None).chain((0..self.snapshot.prototypes.len()).map(Some));
        lists.flat_map(|list| (0..prims(self.snapshot, list).len()).map(move |prim| Place { list, prim })).collect()
    }

    fn prim(&self, place: Place) -> Option<&Prim> {
        prims(self.snapshot, place.list).get(place.prim)
    }

    fn data(&self, from: Option<usize>, path: &str) -> Option<(Place, &PrimData)> {
        let place = self.index.resolve(self.snapshot, from, path)?;
        Some((place, &self.prim(place)?.data))
    }

    /// What a prim was before: the one at the same path, of a prototype the one that was at the same path in it.
    fn before(&self, place: Place) -> Option<(&Prim, &Arc<PrimContent>)> {
        let previous = self.previous?;
        let place = self.place_before(place)?;
        Some((previous.prim(place)?, previous.content(place)?))
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
    fn materials(&self, place: Place) -> Vec<Option<Place>> {
        let Some(prim) = self.prim(place) else { return Vec::new() };
        let subsets = match &prim.data {
            PrimData::Mesh(mesh) => mesh.subsets.as_slice(),
            _ => &[],
        };
        let of_subsets = subsets.iter().map(|subset| self.material(place.list, subset.material.as_deref()));
        std::iter::once(self.material(place.list, prim.material.as_deref())).chain(of_subsets).collect()
    }

    fn material(&self, from: Option<usize>, path: Option<&str>) -> Option<Place> {
        self.index.material(self.snapshot, from, path?)
    }

    fn inputs(&self, place: Place) -> Option<DrawnInputs> {
        let prim = self.prim(place)?;
        if !matches!(prim.data, PrimData::Mesh(_) | PrimData::Shape(_) | PrimData::Curves(_) | PrimData::Points(_)) {
            return None;
        }
        if !self.settings.purposes.show(prim.purpose) {
            return None;
        }
        let materials = self.materials(place);
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
                // What moves it makes no difference to the mesh.
                PrimData::Skeleton(skeleton) => Some(Arc::new(Skeleton { animation: None, ..Skeleton::clone(skeleton) })),
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

    /// The place of a prim in the prototype that was read first, which has the same geometry but for what instances hand down to it.
    fn base(&self, place: Place) -> Place {
        let base = place.list.and_then(|prototype| self.snapshot.prototypes.get(prototype)?.base);
        Place { list: base.or(place.list), ..place }
    }

    /// Makes all geometry, on all threads for background work.
    async fn draw_all(&self, places: &[Place], issues: &mut Vec<Issue>) -> HashMap<Place, Arc<Drawn>> {
        let mut drawn = HashMap::new();
        let mut jobs: Vec<(Vec<Place>, DrawnInputs)> = Vec::new();
        // What instances hand down may ask for other materials and yet for the same geometry.
        let mut known: HashMap<Place, Vec<usize>> = HashMap::new();
        for place in places {
            let Some(inputs) = self.inputs(*place) else { continue };
            let before = self.before(*place).and_then(|(_, content)| content.drawn.clone());
            if let Some(before) = before.filter(|before| before.inputs.makes_the_same(&inputs)) {
                drawn.insert(*place, before);
                continue;
            }
            let alike = known.entry(self.base(*place)).or_default();
            let job = alike.iter().find(|job| jobs.get(**job).is_some_and(|(_, other)| other.makes_the_same(&inputs))).copied();
            match job.and_then(|job| jobs.get_mut(job)) {
                Some((places, _)) => places.push(*place),
                None => {
                    alike.push(jobs.len());
                    jobs.push((vec![*place], inputs));
                }
            }
        }
        // Copies of one mesh that are not instances are common: their data is made once.
        let time = self.snapshot.default_time();
        let pool = AsyncComputeTaskPool::get();
        let batch = jobs.len().div_ceil(pool.thread_num().max(1) * 8).max(1);
        let mut tasks = Vec::new();
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let batch: Vec<(Vec<Place>, DrawnInputs)> = jobs.by_ref().take(batch).collect();
            tasks.push(pool.spawn(async move {
                batch.into_iter().map(|(places, inputs)| (places, inputs.make(time), inputs)).collect::<Vec<_>>()
            }));
        }
        for task in tasks {
            for (places, made, inputs) in task.await {
                let (parts, error) = match made {
                    Ok(parts) => (parts, None),
                    Err(error) => (Vec::new(), Some(error.to_string())),
                };
                let notes = parts.iter().flat_map(|part| part.notes.iter().cloned()).chain(error);
                if let Some(place) = places.first() {
                    issues.extend(notes.map(|message| self.issue(*place, message)));
                }
                let is_animated = inputs.is_animated();
                let parts = parts.into_iter().map(DrawnPart::new).collect();
                let made = Arc::new(Drawn { parts, is_animated, inputs });
                drawn.extend(places.into_iter().map(|place| (place, made.clone())));
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
        place: Place,
        drawn: Option<Arc<Drawn>>,
        contents: &HashMap<Place, Arc<PrimContent>>,
        issues: &mut Vec<Issue>,
    ) -> Arc<PrimContent> {
        let mut content =
            PrimContent { drawn, surfaces: Vec::new(), dome: self.dome(place, issues), related: self.related(place, contents) };
        if let Some(drawn) = content.drawn.clone() {
            let whole = self.material(place.list, self.prim(place).and_then(|prim| prim.material.as_deref()));
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
        match self.before(place) {
            Some((prim, before)) if before.is_same(&content) && self.prim(place).is_some_and(|now| same_prim(now, prim)) => {
                before.clone()
            }
            _ => Arc::new(content),
        }
    }

    /// The maps of a dome light's picture.
    fn dome(&self, place: Place, issues: &mut Vec<Issue>) -> Option<Arc<DomeMaps>> {
        let PrimData::Light(light) = &self.prim(place)?.data else { return None };
        let dome = look::dome_light(light, self.snapshot.default_time(), self.snapshot.up_axis)?;
        if dome.texture.is_empty() {
            return None;
        }
        if let Some((prim, content)) = self.before(place)
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

    fn related(&self, place: Place, contents: &HashMap<Place, Arc<PrimContent>>) -> Vec<Related> {
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
                        self.add_subtree(place, contents, &mut related, 0);
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

    fn add_subtree(&self, place: Place, contents: &HashMap<Place, Arc<PrimContent>>, related: &mut Vec<Related>, depth: usize) {
        const MOST_DEEP: usize = 512;
        if depth > MOST_DEEP {
            return;
        }
        match contents.get(&place) {
            Some(content) => related.push(Related::Content(content.clone())),
            None => related.extend(self.prim(place).map(|prim| Related::Data(Box::new(prim.data.clone())))),
        }
        for child in self.index.children(place) {
            self.add_subtree(Place { list: place.list, prim: *child }, contents, related, depth + 1);
        }
        if let Some(prototype) = self.prim(place).and_then(|prim| prim.prototype) {
            for root in self.index.roots(Some(prototype)) {
                self.add_subtree(Place { list: Some(prototype), prim: *root }, contents, related, depth + 1);
            }
        }
    }
}
