//! Where the copies of a point instancer are.

use bevy::{
    math::{DMat4, DQuat, DVec3},
    platform::collections::HashSet,
};
use studio_usd::snapshot::{Placement, PointInstancer};

/// A copy of a prototype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Copy {
    /// Its place in the instancer's arrays.
    pub index: usize,
    /// Which prim it is of, as a place in [`PointInstancer::prototypes`].
    pub prototype: usize,
    /// Its identity: from `ids`, or its index.
    pub id: i64,
    /// Where it is, in the instancer's space. The prototype's own transform comes first.
    pub placement: Placement,
}

impl Copy {
    /// From the prototype's space to the instancer's.
    pub fn matrix(&self) -> DMat4 {
        self.placement.matrix()
    }
}

/// The copies that are seen at a time, in order. Inactive and invisible ones are left out, and so are those without a position, of a
/// prototype that is not there, or at a place that is no number. Orientations and scales that are not there for all are as if there were
/// none.
pub fn placements(instancer: &PointInstancer, time: f64) -> Vec<Copy> {
    let positions = instancer.positions.at(time).unwrap_or_default();
    let prototypes = instancer.proto_indices.held_at(time).map(Vec::as_slice).unwrap_or_default();
    let count = positions.len().min(prototypes.len());
    let orientations = instancer.orientations.at(time).filter(|values| values.len() >= count);
    let scales = instancer.scales.at(time).filter(|values| values.len() >= count);
    let invisible = instancer.invisible_ids.held_at(time).into_iter().flatten();
    let hidden: HashSet<i64> = invisible.chain(&instancer.inactive_ids).copied().collect();
    let copy = |(index, (position, prototype)): (usize, (&bevy::math::Vec3, &u32))| {
        let id = instancer.ids.get(index).copied().unwrap_or(index as i64);
        let prototype = *prototype as usize;
        if hidden.contains(&id) || prototype >= instancer.prototypes.len() {
            return None;
        }
        let orientation =
            orientations.as_ref().and_then(|values| values.get(index)).map_or(DQuat::IDENTITY, |value| value.as_dquat());
        let turned = orientation.length_squared() > 0.0 && orientation.is_finite();
        let orientation = if turned { orientation.normalize() } else { DQuat::IDENTITY };
        let scale = scales.as_ref().and_then(|values| values.get(index)).map_or(DVec3::ONE, |value| value.as_dvec3());
        let placement = Placement { position: position.as_dvec3(), orientation, scale };
        (placement.position.is_finite() && scale.is_finite()).then_some(Copy { index, prototype, id, placement })
    };
    positions.iter().zip(prototypes).enumerate().filter_map(copy).collect()
}
