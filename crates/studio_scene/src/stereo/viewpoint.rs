//! Finding where to look from.

use super::{
    frustum::EyeFrustum,
    rig::{RigCamera, StereoRig},
};
use bevy::{camera::Exposure, ecs::system::SystemParam, prelude::*};

/// Where to look from, and how a camera there sees.
pub(super) struct Viewpoint {
    pub entity: Entity,
    pub frustum: EyeFrustum,
    pub far_m: f32,
    pub stereo: Option<StereoRig>,
    pub ev100: f32,
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
}

impl Viewpoints<'_, '_> {
    /// The viewpoint of this name or path; the first camera if it is empty. `before` is the one found the last time.
    pub fn find(&self, name: &str, before: Option<Entity>) -> Option<Viewpoint> {
        let still = |entity: &Entity| self.names.get(*entity).is_ok_and(|found| self.fits(found, name));
        let entity = if name.is_empty() { self.first() } else { Some(before.filter(still).or_else(|| self.named(name))?) };
        let entity = entity.or_else(|| self.origin.iter().next())?;
        // A prim's camera may be its child.
        let below = self.children.get(entity).into_iter().flat_map(|children| children.iter());
        let camera = [entity].into_iter().chain(below).find_map(|candidate| self.cameras.get(candidate).ok());
        let default = (EyeFrustum::symmetric(60.0, 1.0), 1000.0);
        let (frustum, far_m) = camera.map_or(default, |(_, projection, _)| {
            let frustum = EyeFrustum::of_matrix(&projection.get_clip_from_view()).unwrap_or(default.0);
            (frustum, projection.far().max(1.0))
        });
        let ev100 = camera.and_then(|(_, _, exposure)| exposure).map_or(Exposure::default().ev100, |exposure| exposure.ev100);
        let stereo = self.rigs.get(entity).ok().map(|(_, rig)| rig.clone());
        Some(Viewpoint { entity, frustum, far_m, stereo, ev100 })
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
