//! Prims that were edited in place since the stage was last taken apart: moved, or given other values.

use super::{
    super::transform::{self, Local},
    Shown, UsdStageEntities,
    apply::{local_matrix, stage_from_prim, visibility, xform_of},
};
use crate::look::{self, UsdCamera, UsdLight};
use bevy::{ecs::system::SystemParam, math::DMat4, prelude::*};
use std::sync::Arc;
use studio_usd::{
    extract::PrimValues,
    snapshot::{PrimData, Xform},
};

/// A prim's own transform and that of the entity between it and its parent, if there is one.
pub(crate) type PrimTransforms = (Transform, Option<Transform>);

/// What shows the values of prims.
#[derive(SystemParam)]
pub(crate) struct ValueTargets<'w, 's> {
    visibilities: Query<'w, 's, &'static mut Visibility>,
    lights: Query<'w, 's, &'static mut UsdLight>,
    cameras: Query<'w, 's, &'static mut UsdCamera>,
}

impl UsdStageEntities {
    /// Where a prim is among those shown.
    pub(crate) fn index_of(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// The revision of the live stage that is shown, or an earlier one.
    pub(crate) fn revision(&self) -> u64 {
        self.contents.revision
    }

    /// The time that entities were last set to, if anything is animated.
    pub(crate) fn time_shown(&self) -> Option<f64> {
        self.animated.time
    }

    /// Whether a prim's transform changes over time.
    pub(crate) fn is_animated(&self, index: usize) -> bool {
        xform_of(&self.contents, self.all_shown(), index).is_some_and(Xform::is_animated)
    }

    /// The entities of a prim: its own, and the one between it and its parent if its transform is sheared.
    pub(crate) fn entities_of(&self, index: usize) -> Option<(Entity, Option<Entity>)> {
        self.shown(index).map(|shown| (shown.entity, shown.frame))
    }

    /// Whether a prim belongs to what instances share, so that no layer can move it by itself.
    pub(crate) fn is_proxy(&self, index: usize) -> bool {
        self.shown(index).is_some_and(|shown| shown.node.instance.is_some())
    }

    /// What the stage says of where a prim is.
    pub(crate) fn transforms_at(&self, index: usize, time: f64) -> Option<PrimTransforms> {
        let shown = self.shown(index)?;
        let matrix = local_matrix(&self.contents, self.all_shown(), index, time);
        Some(match transform::decompose(&matrix, shown.frame.is_some()) {
            Local::Plain(own) => (own, None),
            Local::Sheared { frame, inner } => (inner, Some(frame)),
        })
    }

    /// The matrix that a layer has to say for a prim to be where its entities are.
    pub(crate) fn matrix_for(&self, index: usize, own: &Transform, frame: Option<&Transform>, time: f64) -> DMat4 {
        let matrix = |transform: &Transform| {
            DMat4::from_scale_rotation_translation(
                transform.scale.as_dvec3(),
                transform.rotation.as_dquat().normalize(),
                transform.translation.as_dvec3(),
            )
        };
        let local = frame.map_or(DMat4::IDENTITY, matrix) * matrix(own);
        let resets = xform_of(&self.contents, self.all_shown(), index).is_some_and(|xform| xform.resets_stack);
        match self.shown(index).and_then(|shown| shown.node.parent).filter(|_| resets) {
            Some(parent) => stage_from_prim(&self.contents, self.all_shown(), parent, time) * local,
            None => local,
        }
    }

    /// Shows the values that the stage says a prim has now. `false` if it takes more than that.
    pub(crate) fn set_values(&mut self, index: usize, values: &PrimValues, targets: &mut ValueTargets) -> bool {
        let Some(shown) = self.all_shown().get(index) else { return true };
        let Some(prim) = self.contents.prim(shown.node.place) else { return true };
        let before = shown.edited.as_deref();
        let was_visible = before.map_or(&prim.visible, |before| &before.visible);
        let was = before.and_then(|before| before.data.as_ref()).unwrap_or(&prim.data);
        // What comes to move, or moves no more, is in other lists; copies of point instancers were made of what is seen.
        if shown.node.copied || values.visible.is_animated() || was_visible.is_animated() {
            return false;
        }
        let entity = shown.entity;
        match (&values.data, was) {
            (Some(PrimData::Light(light)), PrimData::Light(was)) => {
                let is_other_kind = std::mem::discriminant(&light.kind) != std::mem::discriminant(&was.kind);
                if is_other_kind || look::light_is_animated(light) || look::light_is_animated(was) {
                    return false;
                }
                if light != was
                    && let Ok(mut target) = targets.lights.get_mut(entity)
                {
                    target.light = light.clone();
                }
            }
            (Some(PrimData::Camera(camera)), PrimData::Camera(was)) => {
                if look::camera_is_animated(camera) || look::camera_is_animated(was) {
                    return false;
                }
                if camera != was
                    && let Ok(mut target) = targets.cameras.get_mut(entity)
                {
                    target.camera = camera.clone();
                }
            }
            (Some(_), _) | (None, PrimData::Light(_) | PrimData::Camera(_)) => return false,
            (None, _) => {}
        }
        if values.visible != *was_visible
            && let Ok(mut target) = targets.visibilities.get_mut(entity)
        {
            target.set_if_neq(visibility(&values.visible, 0.0));
        }
        if let Some(shown) = self.shown_mut(index) {
            shown.edited = Some(Arc::new(values.clone()));
        }
        true
    }

    /// Notes where the stage says that a prim is now.
    pub(crate) fn set_moved(&mut self, index: usize, xform: Option<Xform>) {
        if let Some(shown) = self.shown_mut(index) {
            let shown: &mut Shown = shown;
            shown.moved = xform.map(Arc::new);
        }
    }
}
