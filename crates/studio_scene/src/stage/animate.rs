//! Sets what changes over time to the time shown.

use super::{
    components::UsdSheared,
    project::{Animated, UsdStageEntities, local_matrix, move_copies, spawn_copies, visibility},
    time::UsdTime,
    transform::{self, Local},
};
use crate::{
    look::{UsdCamera, UsdLight},
    skeleton,
};
use bevy::{mesh::morph::MeshMorphWeights, prelude::*};
use studio_usd::snapshot::PrimData;

/// Roots of which point instancers have other copies now: those are made anew, which needs the whole world.
#[derive(Resource, Default)]
pub(super) struct PendingCopies(Vec<(Entity, usize)>);

impl PendingCopies {
    pub(super) fn any(pending: Res<Self>) -> bool {
        !pending.0.is_empty()
    }
}

/// Sets what changes over time to the time shown, of roots whose time changed.
pub(super) fn animate(
    mut roots: Query<(Entity, &UsdTime, &mut UsdStageEntities), Changed<UsdTime>>,
    mut transforms: Query<&mut Transform>,
    mut visibilities: Query<&mut Visibility>,
    mut sheared: Query<&mut UsdSheared>,
    mut lights: Query<&mut UsdLight>,
    mut cameras: Query<&mut UsdCamera>,
    mut weights: Query<&mut MeshMorphWeights>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut pending: ResMut<PendingCopies>,
) {
    for (root, time, mut entities) in &mut roots {
        let time = time.time_code;
        if entities.animated.time == Some(time) {
            continue;
        }
        entities.animated.time = Some(time);
        let entities = &*entities;
        let (contents, shown) = (&entities.contents, entities.all_shown());
        let Animated { transforms: moving, visibility: appearing, .. } = &entities.animated;
        for index in moving.iter().copied() {
            let Some(this) = entities.shown(index) else { continue };
            let matrix = local_matrix(contents, shown, index, time);
            match transform::decompose(&matrix, this.frame.is_some()) {
                Local::Plain(now) => set(&mut transforms, this.entity, now),
                Local::Sheared { frame, inner } => match this.frame {
                    Some(outer) => {
                        set(&mut transforms, outer, frame);
                        set(&mut transforms, this.entity, inner);
                        if let Ok(mut sheared) = sheared.get_mut(this.entity) {
                            sheared.set_if_neq(UsdSheared { parent_from_prim: matrix });
                        }
                    }
                    // Between the samples that were looked at, it is sheared a little.
                    None => set(&mut transforms, this.entity, transform::plain(&matrix)),
                },
            }
        }
        for this in appearing.iter().filter_map(|index| entities.shown(*index)) {
            let Some(prim) = contents.prim(this.node.place) else { continue };
            if let Ok(mut seen) = visibilities.get_mut(this.entity) {
                seen.set_if_neq(visibility(&prim.visible, time));
            }
        }
        for light in &entities.animated.lights {
            if let Ok(mut light) = lights.get_mut(*light) {
                UsdLight::set_time(&mut light, time);
            }
        }
        for camera in &entities.animated.cameras {
            if let Ok(mut camera) = cameras.get_mut(*camera) {
                UsdCamera::set_time(&mut camera, time);
            }
        }
        for moving in &entities.animated.skeletons {
            let pose = skeleton::joint_local_transforms(&moving.skeleton, moving.animation.as_deref(), time);
            for (joint, now) in moving.joints.iter().zip(skeleton::joint_transforms(&pose.local)) {
                set(&mut transforms, *joint, now);
            }
        }
        for morph in &entities.animated.morphs {
            let (Some(part), Some(skin)) = (morph.drawn.parts.get(morph.part), morph.drawn.skin()) else { continue };
            let now =
                skeleton::morph_weights(&part.info.morph_targets, skin, morph.drawn.blend_shapes(), Some(&morph.animation), time);
            if let Ok(mut weights) = weights.get_mut(morph.entity)
                && !matches!(&*weights, MeshMorphWeights::Value { weights } if *weights == now)
            {
                *weights = MeshMorphWeights::Value { weights: now };
            }
        }
        for geometry in &entities.animated.geometry {
            if let Err(error) = geometry.drawn.set_time(time, &mut meshes) {
                let path = contents.prim(geometry.place).map_or("", |prim| prim.path.as_str());
                warn_once!("{}: {path}: {error}", contents.snapshot.root_layer);
            }
        }
        for index in entities.animated.instancers.iter().copied() {
            let Some(this) = entities.shown(index) else { continue };
            let Some(PrimData::PointInstancer(instancer)) = contents.prim(this.node.place).map(|prim| &prim.data) else {
                continue;
            };
            if !this.node.copied && !move_copies(&this.copies, instancer, time, &mut transforms) {
                pending.0.push((root, index));
            }
        }
    }
}

fn set(transforms: &mut Query<&mut Transform>, entity: Entity, now: Transform) {
    if let Ok(mut transform) = transforms.get_mut(entity) {
        transform.set_if_neq(now);
    }
}

/// Makes copies anew where an instancer has others now.
pub(super) fn copy_anew(world: &mut World) {
    for (root, index) in std::mem::take(&mut world.resource_mut::<PendingCopies>().0) {
        let Some(time) = world.get::<UsdTime>(root).map(|time| time.time_code) else { continue };
        let Some(mut entities) = world.get_entity_mut(root).ok().and_then(|mut root| root.take::<UsdStageEntities>()) else {
            continue;
        };
        let contents = entities.contents.clone();
        if let Some(this) = entities.shown_mut(index) {
            for copy in std::mem::take(&mut this.copies).entities {
                if let Ok(copy) = world.get_entity_mut(copy) {
                    copy.despawn();
                }
            }
        }
        let left = entities.entities_left();
        if let Some(this) = entities.shown_mut(index)
            && let Some(PrimData::PointInstancer(instancer)) = contents.prim(this.node.place).map(|prim| &prim.data)
        {
            this.copies = spawn_copies(world, &contents, &this.node, this.entity, instancer, time, left);
        }
        entities.list_animated(Some(time));
        if let Ok(mut root) = world.get_entity_mut(root) {
            root.insert(entities);
        }
    }
}
