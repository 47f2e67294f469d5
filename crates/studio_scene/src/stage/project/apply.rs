//! What a prim says by itself: its place in the tree, name, transform, visibility, variants, attributes.

use super::{
    super::{
        components::{UsdAttributes, UsdPrimInfo, UsdShearFrame, UsdSheared, UsdVariants},
        contents::StageContents,
        transform::{self, Local},
    },
    Shown,
};
use bevy::{math::DMat4, prelude::*};
use studio_usd::snapshot::{Prim, Sampled, Xform};

/// Brings the entity of a prim up to date. `before` is what the prim was when the entity was last brought up to date.
pub(super) fn apply_prim(
    world: &mut World,
    contents: &StageContents,
    shown: &mut [Shown],
    index: usize,
    parent: Entity,
    before: Option<&Prim>,
    time: f64,
) {
    let Some(node) = shown.get(index).map(|shown| shown.node.clone()) else { return };
    let Some(prim) = contents.prim(node.place) else { return };
    let matrix = local_matrix(contents, shown, index, time);
    let Some(this) = shown.get_mut(index) else { return };
    let entity = this.entity;

    if before.is_none_or(|before| before.xform != prim.xform) {
        apply_transform(world, this, parent, prim, matrix);
    }
    let Ok(mut entity) = world.get_entity_mut(entity) else { return };
    if before.is_none_or(|before| before.name != prim.name) {
        entity.insert(Name::new(prim.name.clone()));
    }
    if before.is_none_or(|before| before.visible != prim.visible) {
        entity.insert(visibility(&prim.visible, time));
    }
    let info = UsdPrimInfo::of(prim);
    if entity.get::<UsdPrimInfo>() != Some(&info) {
        entity.insert(info);
    }
    if prim.variant_sets.is_empty() {
        entity.remove::<UsdVariants>();
    } else {
        let variants = UsdVariants(prim.variant_sets.clone());
        if entity.get::<UsdVariants>() != Some(&variants) {
            entity.insert(variants);
        }
    }
    match UsdAttributes::of(prim) {
        Some(attributes) if entity.get::<UsdAttributes>() != Some(&attributes) => {
            entity.insert(attributes);
        }
        Some(_) => {}
        None => {
            entity.remove::<UsdAttributes>();
        }
    }
}

/// Whether a prim's entity is seen, as far as the prim itself says it.
pub(in super::super) fn visibility(visible: &Sampled<bool>, time: f64) -> Visibility {
    match visible.held_at(time) {
        Some(false) => Visibility::Hidden,
        _ => Visibility::Inherited,
    }
}

/// From a prim's space to its parent entity's.
pub(in super::super) fn local_matrix(contents: &StageContents, shown: &[Shown], index: usize, time: f64) -> DMat4 {
    let Some(xform) = xform_of(contents, shown, index) else { return DMat4::IDENTITY };
    let own = xform.parent_from_prim(time);
    match shown.get(index).and_then(|shown| shown.node.parent).filter(|_| xform.resets_stack) {
        // Bevy has no way to leave out parents: they are undone.
        Some(parent) => {
            let stage_from_parent = stage_from_prim(contents, shown, parent, time);
            let determinant = stage_from_parent.determinant();
            if determinant != 0.0 && determinant.is_finite() { stage_from_parent.inverse() * own } else { own }
        }
        None => own,
    }
}

/// The transform of a prim: the last that is known of it.
pub(super) fn xform_of<'a>(contents: &'a StageContents, shown: &'a [Shown], index: usize) -> Option<&'a Xform> {
    let shown = shown.get(index)?;
    shown.moved.as_deref().or_else(|| contents.prim(shown.node.place)?.xform.as_ref())
}

/// From a prim's space to the stage's.
pub(super) fn stage_from_prim(contents: &StageContents, shown: &[Shown], index: usize, time: f64) -> DMat4 {
    let mut matrix = DMat4::IDENTITY;
    let mut next = Some(index);
    while let Some(index) = next {
        next = shown.get(index).and_then(|shown| shown.node.parent);
        if let Some(xform) = xform_of(contents, shown, index) {
            matrix = xform.parent_from_prim(time) * matrix;
            if xform.resets_stack {
                break;
            }
        }
    }
    matrix
}

fn apply_transform(world: &mut World, this: &mut Shown, parent: Entity, prim: &Prim, matrix: DMat4) {
    let is_framed =
        prim.xform.as_ref().is_some_and(|xform| transform::is_ever_sheared(xform, 0.0)) || transform::is_sheared(&matrix);
    let frame = this.frame.filter(|frame| world.get_entity(*frame).is_ok());
    match transform::decompose(&matrix, is_framed) {
        Local::Plain(transform) => {
            if let Ok(mut entity) = world.get_entity_mut(this.entity) {
                entity.remove::<UsdSheared>().insert((transform, ChildOf(parent)));
            }
            if let Some(frame) = frame {
                world.despawn(frame);
            }
            this.frame = None;
        }
        Local::Sheared { frame: outer, inner } => {
            let frame = frame.unwrap_or_else(|| world.spawn((UsdShearFrame, ChildOf(parent))).id());
            world.entity_mut(frame).insert(outer);
            this.frame = Some(frame);
            if let Ok(mut entity) = world.get_entity_mut(this.entity) {
                entity.insert((inner, ChildOf(frame), UsdSheared { parent_from_prim: matrix }));
            }
        }
    }
}
