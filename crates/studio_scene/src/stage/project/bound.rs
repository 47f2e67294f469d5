//! What a prim is: geometry with its materials, skeletons, lights, cameras. Done when all entities are there, for these need each other.

use super::{
    super::{
        components::{UsdJoint, UsdPart, UsdPrim},
        contents::{Place, StageContents},
        drawn::Drawn,
        prepare::PrimContent,
    },
    UsdStageEntities, copies,
};
use crate::{
    look::{self, CameraOptions, DomeMaps, LightOptions, UsdCamera, UsdLight},
    skeleton,
};
use bevy::{
    camera::{
        primitives::{Aabb, MeshAabb},
        visibility::{DynamicSkinnedMeshBounds, NoFrustumCulling},
    },
    mesh::{
        morph::{MeshMorphWeights, MorphWeights},
        skinning::{SkinnedMesh, SkinnedMeshInverseBindposes},
    },
    prelude::*,
};
use std::sync::Arc;
use studio_usd::snapshot::{Prim, PrimData, Skeleton};

/// Everything on an entity that comes from what its prim is.
type DrawnComponents = (
    Mesh3d,
    MeshMaterial3d<StandardMaterial>,
    SkinnedMesh,
    MorphWeights,
    MeshMorphWeights,
    NoFrustumCulling,
    DynamicSkinnedMeshBounds,
    Aabb,
);

/// Brings what prims are up to date, for those that changed.
pub(super) fn apply_bound(world: &mut World, entities: &mut UsdStageEntities, changed: &[bool], time: f64) {
    let contents = entities.contents.clone();
    let changed: Vec<usize> = changed.iter().enumerate().filter_map(|(index, changed)| changed.then_some(index)).collect();
    for index in &changed {
        clear(world, &contents, entities, *index);
    }
    // Joints first: meshes name them.
    for index in &changed {
        if let Some(skeleton) = entities.shown.get(*index).and_then(|shown| skeleton_of(&contents, shown.node.place)) {
            let Some(this) = entities.shown.get_mut(*index) else { continue };
            this.joints = spawn_joints(world, this.entity, &skeleton);
        }
    }
    for index in changed {
        let Some(shown) = entities.shown.get(index) else { continue };
        let Some(prim) = contents.prim(shown.node.place) else { continue };
        if shown.node.copied {
            continue;
        }
        match &prim.data {
            PrimData::Mesh(_) | PrimData::Shape(_) | PrimData::Curves(_) | PrimData::Points(_) => {
                draw(world, &contents, entities, index);
            }
            PrimData::Camera(camera) => {
                let options = CameraOptions { time, meters_per_unit: contents.snapshot.meters_per_unit, ..default() };
                look::insert_camera(&mut world.commands().entity(shown.entity), camera, &options);
                world.flush();
            }
            PrimData::Light(light) => {
                let notes =
                    look::insert_light(&mut world.commands().entity(shown.entity), light, &light_options(&contents, time));
                if let Some(maps) = &shown.content.dome {
                    world.commands().entity(shown.entity).insert(DomeMaps::clone(maps));
                }
                world.flush();
                for note in notes {
                    debug!("{}: {}: {note}", contents.snapshot.root_layer, shown.node.path);
                }
            }
            PrimData::PointInstancer(instancer) => {
                let left = entities.entities_left();
                let made = copies::spawn(world, &contents, &shown.node, shown.entity, instancer, time, left);
                if let Some(this) = entities.shown.get_mut(index) {
                    this.copies = made;
                }
            }
            _ => {}
        }
    }
}

/// How lights of a stage are made.
fn light_options(contents: &StageContents, time: f64) -> LightOptions {
    let snapshot = &contents.snapshot;
    LightOptions { time, meters_per_unit: snapshot.meters_per_unit, up_axis: snapshot.up_axis, ..default() }
}

/// The skeleton at a place.
pub(super) fn skeleton_of(contents: &StageContents, place: Place) -> Option<Arc<Skeleton>> {
    match &contents.prim(place)?.data {
        PrimData::Skeleton(skeleton) => Some(skeleton.clone()),
        _ => None,
    }
}

/// Takes away what was made for a prim as it was.
fn clear(world: &mut World, contents: &StageContents, entities: &mut UsdStageEntities, index: usize) {
    let Some(this) = entities.shown.get_mut(index) else { return };
    for part in this.parts.drain(..).chain(this.joints.drain(..)).chain(std::mem::take(&mut this.copies).entities) {
        if part == this.entity {
            continue;
        }
        let Ok(mut part) = world.get_entity_mut(part) else { continue };
        // Subsets that are prims have entities of their own: those stay.
        if part.contains::<UsdPrim>() {
            part.remove::<DrawnComponents>();
        } else {
            part.despawn();
        }
    }
    let is = contents.prim(this.node.place).map(|prim| &prim.data);
    let Ok(mut entity) = world.get_entity_mut(this.entity) else { return };
    let is_drawn = matches!(is, Some(PrimData::Mesh(_) | PrimData::Shape(_) | PrimData::Curves(_) | PrimData::Points(_)));
    if !is_drawn && entity.contains::<Mesh3d>() && !is_subset(is) {
        entity.remove::<DrawnComponents>();
    }
    let (has_light, has_camera) = (entity.contains::<UsdLight>(), entity.contains::<UsdCamera>());
    let id = entity.id();
    if has_light {
        look::remove_light(&mut world.commands().entity(id));
    }
    if has_camera {
        look::remove_camera(&mut world.commands().entity(id));
    }
    world.flush();
}

/// Whether a prim's entity may hold a part of another prim's geometry.
fn is_subset(data: Option<&PrimData>) -> bool {
    matches!(data, Some(PrimData::Group | PrimData::Unknown))
}

pub(super) fn spawn_joints(world: &mut World, skeleton_entity: Entity, skeleton: &Skeleton) -> Vec<Entity> {
    let rest = skeleton::joint_transforms(&skeleton::joint_local_transforms(skeleton, None, 0.0).local);
    let mut joints: Vec<Entity> = Vec::with_capacity(skeleton.joints.len());
    for (index, joint) in skeleton.joints.iter().enumerate() {
        let parent = skeleton.parents.get(index).copied().flatten().and_then(|parent| joints.get(parent)).copied();
        let name = joint.rsplit('/').next().unwrap_or(joint).to_owned();
        let transform = rest.get(index).copied().unwrap_or_default();
        let joint = UsdJoint { joint: joint.clone() };
        joints.push(world.spawn((joint, Name::new(name), transform, ChildOf(parent.unwrap_or(skeleton_entity)))).id());
    }
    joints
}

/// Puts a prim's geometry on its entity, and parts of it on entities below.
fn draw(world: &mut World, contents: &StageContents, entities: &mut UsdStageEntities, index: usize) {
    let Some(shown) = entities.shown.get(index) else { return };
    let (entity, content, node) = (shown.entity, shown.content.clone(), shown.node.clone());
    let Some(prim) = contents.prim(node.place) else { return };
    // What is not to be shown for its purpose was not made.
    let Some(drawn) = &content.drawn else {
        world.entity_mut(entity).remove::<DrawnComponents>();
        return;
    };
    let joints = skin_joints(contents, entities, &node.absolute(skeleton_path(prim).unwrap_or_default()));
    let mut own = false;
    let mut parts = Vec::new();
    for part in 0..drawn.parts.len() {
        let subset = drawn.parts.get(part).and_then(|part| part.info.subset.clone());
        let subset_entity = subset.and_then(|subset| {
            let name = subset.rsplit('/').next()?.to_owned();
            entities.entity(&format!("{}/{name}", node.path))
        });
        let target = match subset_entity {
            Some(subset) => subset,
            None if !own => {
                own = true;
                entity
            }
            None => world.spawn((UsdPart, Name::new(format!("{} part {part}", prim.name)), ChildOf(entity))).id(),
        };
        parts.push(target);
        insert_part(world, target, &content, drawn, part, &joints);
    }
    if !own {
        world.entity_mut(entity).remove::<DrawnComponents>();
    }
    if let Some(this) = entities.shown.get_mut(index) {
        this.parts = parts;
    }
}

fn skeleton_path(prim: &Prim) -> Option<&str> {
    match &prim.data {
        PrimData::Mesh(mesh) => mesh.skin.as_ref()?.skeleton.as_deref(),
        _ => None,
    }
}

fn skin_joints(_contents: &StageContents, entities: &UsdStageEntities, skeleton: &str) -> Vec<Entity> {
    entities
        .by_path
        .get(skeleton)
        .and_then(|index| entities.shown.get(*index))
        .map(|shown| shown.joints.clone())
        .unwrap_or_default()
}

/// Puts a part of a prim's geometry on an entity.
pub(super) fn insert_part(
    world: &mut World,
    entity: Entity,
    content: &PrimContent,
    drawn: &Arc<Drawn>,
    part: usize,
    joints: &[Entity],
) {
    let Some(made) = drawn.parts.get(part) else { return };
    let mesh = made.handle(&mut world.resource_mut::<Assets<Mesh>>());
    let material = content.surfaces.get(part).map(|surface| surface.handle(world)).unwrap_or_default();
    let skin = made.info.skin.as_ref().map(|skin| {
        let bindposes = made
            .bindposes
            .get_or_init(|| {
                let poses = SkinnedMeshInverseBindposes::from(skin.inverse_bindposes.clone());
                world.resource_mut::<Assets<SkinnedMeshInverseBindposes>>().add(poses)
            })
            .clone();
        // Where a joint's entity is missing, the mesh's own stands in: a joint that never moves.
        let joints = skin.joints.iter().map(|joint| joints.get(*joint as usize).copied().unwrap_or(entity)).collect();
        SkinnedMesh { inverse_bindposes: bindposes, joints }
    });
    let targets = made.info.morph_targets.len();
    let bounds = world.resource::<Assets<Mesh>>().get(&mesh).and_then(MeshAabb::compute_aabb);
    let Ok(mut target) = world.get_entity_mut(entity) else { return };
    target.insert((Mesh3d(mesh.clone()), MeshMaterial3d(material)));
    let is_deformed = skin.is_some() || targets > 0 || drawn.is_animated;
    match skin {
        Some(skin) => target.insert(skin),
        None => target.remove::<SkinnedMesh>(),
    };
    if targets > 0 {
        if target
            .get::<MeshMorphWeights>()
            .is_none_or(|weights| !matches!(weights, MeshMorphWeights::Value { weights } if weights.len() == targets))
        {
            target.insert(MeshMorphWeights::Value { weights: vec![0.0; targets] });
        }
    } else {
        target.remove::<MeshMorphWeights>();
    }
    // Bevy culls by the box of the mesh as it was made, or by one around its joints where these alone move it.
    let follows_joints = target.contains::<SkinnedMesh>() && targets == 0 && !drawn.is_animated;
    if follows_joints {
        target.insert(DynamicSkinnedMeshBounds);
    } else {
        target.remove::<DynamicSkinnedMeshBounds>();
    }
    if is_deformed {
        // Nor does it make a box of what is not culled; who frames a stage needs one.
        target.insert_if_new(bounds.unwrap_or_default());
    }
    if is_deformed && !follows_joints {
        target.insert(NoFrustumCulling);
    } else {
        target.remove::<NoFrustumCulling>();
    }
}
