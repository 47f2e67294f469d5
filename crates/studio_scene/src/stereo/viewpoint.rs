//! Finding where to look from.

use super::{
    frustum::EyeFrustum,
    rig::{RigCamera, StereoRig},
};
use crate::{
    look::exposure,
    stage::{UsdStageEntities, UsdStageRoot, UsdStageStatus},
    sync::nodes::{SceneCamera, SceneOf, UsdScene},
};
use bevy::{camera::Exposure, ecs::system::SystemParam, prelude::*};
use studio_graph::{link::GraphLinks, prelude::*};

/// Where to look from, and how a camera there sees.
pub(super) struct Viewpoint {
    pub entity: Entity,
    pub frustum: EyeFrustum,
    pub far_m: f32,
    pub stereo: Option<StereoRig>,
    pub ev100: f32,
    /// Whether the scene has a stage, so that its sky and its default light belong into the picture.
    pub sees_stage: bool,
}

/// The place in the world where a scene view looks from if the scene has no camera.
#[derive(Component, Default)]
#[require(Transform)]
pub(super) struct OriginViewpoint;

/// Entities by name, and cameras.
#[derive(SystemParam)]
pub(super) struct Viewpoints<'w, 's> {
    names: Query<'w, 's, (Entity, &'static Name), With<GlobalTransform>>,
    parents: Query<'w, 's, &'static ChildOf>,
    children: Query<'w, 's, &'static Children>,
    cameras: Query<'w, 's, (Entity, &'static Projection, Option<&'static Exposure>), (With<Camera3d>, Without<RigCamera>)>,
    rigs: Query<'w, 's, (Entity, &'static StereoRig)>,
    origin: Query<'w, 's, Entity, With<OriginViewpoint>>,
    stages: Query<'w, 's, &'static UsdStageStatus, With<UsdStageRoot>>,
    unopened: Query<'w, 's, &'static UsdScene, Without<SceneOf>>,
}

impl Viewpoints<'_, '_> {
    /// The viewpoint of this name or path; the first camera if it is empty. `before` is the one found the last time.
    pub fn find(&self, name: &str, before: Option<Entity>) -> Option<Viewpoint> {
        let still = |entity: &Entity| self.names.get(*entity).is_ok_and(|found| self.fits(found, name));
        let entity = if name.is_empty() { self.first() } else { Some(before.filter(still).or_else(|| self.named(name))?) };
        self.at(entity.or_else(|| self.origin.iter().next())?)
    }

    /// Whether a stage is still on its way, with what has the name that is looked for perhaps.
    pub fn are_coming(&self) -> bool {
        self.stages.iter().any(|status| *status == UsdStageStatus::Loading)
            || self.unopened.iter().any(|scene| !scene.source.is_empty())
    }

    /// How a camera sees from this entity.
    pub fn at(&self, entity: Entity) -> Option<Viewpoint> {
        // A prim's camera may be its child.
        let below = self.children.get(entity).into_iter().flat_map(|children| children.iter());
        let camera = [entity].into_iter().chain(below).find_map(|candidate| self.cameras.get(candidate).ok());
        let default = (EyeFrustum::symmetric(60.0, 1.0), 1000.0);
        let (frustum, far_m) = camera.map_or(default, |(_, projection, _)| {
            let frustum = EyeFrustum::of_matrix(&projection.get_clip_from_view()).unwrap_or(default.0);
            (frustum, projection.far().max(1.0))
        });
        let sees_stage = !self.stages.is_empty();
        // The lights of a stage are made for its own cameras, whose film is much faster than Bevy's.
        let usual = if sees_stage { exposure(0.0) } else { Exposure::default() };
        let ev100 = camera.and_then(|(_, _, exposure)| exposure).unwrap_or(&usual).ev100;
        let stereo = self.rigs.get(entity).ok().map(|(_, rig)| rig.clone());
        Some(Viewpoint { entity, frustum, far_m, stereo, ev100, sees_stage })
    }

    /// The first stereo rig, or else the first camera: by path, so that equal scenes have the same one.
    fn first(&self) -> Option<Entity> {
        let least = |entities: &mut dyn Iterator<Item = Entity>| entities.min_by_key(|entity| (self.path(*entity), *entity));
        least(&mut self.rigs.iter().map(|(rig, _)| rig)).or_else(|| least(&mut self.cameras.iter().map(|(camera, ..)| camera)))
    }

    fn named(&self, name: &str) -> Option<Entity> {
        self.names.iter().filter(|found| self.fits(*found, name)).map(|(entity, _)| entity).min()
    }

    fn fits(&self, (entity, found): (Entity, &Name), name: &str) -> bool {
        let Some(last) = name.rsplit('/').find(|part| !part.is_empty()) else { return false };
        found.as_str() == name || (found.as_str() == last && self.ends_with(entity, name))
    }

    /// Whether the names of an entity and of those above it are the parts of a path.
    fn ends_with(&self, entity: Entity, path: &str) -> bool {
        let own = self.path(entity);
        let wanted: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        own.len() >= wanted.len() && own.iter().rev().zip(wanted.iter().rev()).all(|(own, wanted)| own == wanted)
    }

    /// The names from the top down to an entity.
    fn path(&self, entity: Entity) -> Vec<String> {
        let name = |entity: Entity| self.names.get(entity).map(|(_, name)| name.to_string()).unwrap_or_default();
        let mut path: Vec<String> = self.parents.iter_ancestors(entity).map(name).collect();
        path.reverse();
        path.push(name(entity));
        path
    }

    /// The entity of this name or path.
    pub fn entity(&self, name: &str) -> Option<Entity> {
        self.named(name)
    }
}

/// The cameras that are linked to nodes.
#[derive(SystemParam)]
pub(super) struct LinkedCameras<'w, 's> {
    links: GraphLinks<'w>,
    owners: Query<'w, 's, &'static PinOf>,
    cameras: Query<'w, 's, &'static SceneCamera>,
    scenes: Query<'w, 's, &'static SceneOf>,
    shown: Query<'w, 's, &'static UsdStageEntities>,
}

impl LinkedCameras<'_, '_> {
    /// The path of the prim that is linked as a node's camera, and its entity in the scene that the camera is linked to, once that is
    /// shown.
    pub fn of(&self, node: Entity) -> Option<(&str, Option<Entity>)> {
        let owner = |node: Entity, input: &str| self.owners.get(self.links.source(node, input)?).ok().map(|owner| owner.0);
        let camera = owner(node, "camera")?;
        let prim = self.cameras.get(camera).ok()?.prim.as_str();
        let shown = owner(camera, "scene").and_then(|scene| self.scenes.get(scene).ok());
        let entity = shown.and_then(|scene| self.shown.get(scene.root).ok()).and_then(|shown| shown.entity(prim));
        Some((prim, entity))
    }
}
