//! What is on the entities of a stage.

use super::asset::UsdStage;
use bevy::{math::DMat4, prelude::*};
use std::sync::Arc;
use studio_usd::snapshot::{Attribute, AttributeValue, Prim, Purpose, StageSnapshot, UpAxis, VariantSet};

/// Shows a stage below this entity.
///
/// The entity's [`Transform`] gets the stage's axis and unit multiplied on (see [`UsdStageSpace`]): what it was says where the stage
/// stands, in metres, Y up. Everything below is in the stage's own units. Put the entity below another one to move the stage about.
///
/// All roots with the same handle show the same stage: variants chosen at run time change all of them.
#[derive(Component, Clone, Debug)]
#[require(Transform, Visibility, UsdStageStatus)]
pub struct UsdStageRoot(pub Handle<UsdStage>);

/// How far a stage is. On the entity with [`UsdStageRoot`].
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub enum UsdStageStatus {
    /// Its files are read and composed.
    #[default]
    Loading,
    /// What is below the root is the stage.
    Ready,
    /// The stage could not be read, or what was asked for at run time could not be done. If it was shown before, it stays as it was.
    Failed {
        /// What is wrong, with layer and line where they are known.
        error: String,
    },
}

/// The axis and unit of a stage. On the entity with [`UsdStageRoot`] when it is shown.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct UsdStageSpace {
    /// The axis that points up.
    pub up_axis: UpAxis,
    /// The length of a unit in metres.
    pub meters_per_unit: f64,
}

impl UsdStageSpace {
    /// The space of a stage.
    pub fn of(snapshot: &StageSnapshot) -> Self {
        Self { up_axis: snapshot.up_axis, meters_per_unit: snapshot.meters_per_unit }
    }

    /// From the stage's space (its units, its up axis) to Bevy's (metres, Y up).
    pub fn bevy_from_stage(&self) -> Transform {
        let rotation = match self.up_axis {
            UpAxis::Y => Quat::IDENTITY,
            UpAxis::Z => Quat::from_rotation_x(-std::f32::consts::FRAC_PI_2),
        };
        let scale = self.meters_per_unit as f32;
        let scale = if scale.is_finite() && scale > 0.0 { scale } else { 1.0 };
        Transform::from_rotation(rotation).with_scale(Vec3::splat(scale))
    }
}

/// A prim. Its entity has a [`Name`], a [`Transform`] to its parent prim and a [`Visibility`] as well.
#[derive(Component, Clone, Debug, PartialEq, Eq)]
#[component(immutable)]
#[require(Transform, Visibility)]
pub struct UsdPrim {
    /// The absolute path. Below an instance it is the path of the instance's own copy: `/World/Car_2/Wheel`.
    pub path: Arc<str>,
}

/// The type, kind and purpose of a prim; on every entity with [`UsdPrim`].
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct UsdPrimInfo {
    /// The type, such as `Mesh`; empty for a prim without one.
    pub type_name: String,
    /// The API schemas applied to it.
    pub api_schemas: Vec<String>,
    /// The kind, such as `component`; empty for none.
    pub kind: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it has a payload, and whether that is loaded.
    pub payload: Option<bool>,
}

impl UsdPrimInfo {
    pub(super) fn of(prim: &Prim) -> Self {
        Self {
            type_name: prim.type_name.clone(),
            api_schemas: prim.api_schemas.clone(),
            kind: prim.kind.clone(),
            purpose: prim.purpose,
            payload: prim.has_payload.then_some(prim.is_loaded),
        }
    }
}

/// Marks a prim that belongs to what instances share. It cannot be edited by itself; its instance can.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsdInstanceProxy;

/// The variant sets of a prim, with what they offer and what is chosen. To choose, write a [`UsdRequest`](super::UsdRequest).
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct UsdVariants(pub Vec<VariantSet>);

/// What a file says of a prim that nothing here understands: attributes of unknown schemas and custom ones, other relationships,
/// dictionaries of metadata such as `customData`.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct UsdAttributes {
    /// Attributes, as they are in the file.
    pub attributes: Vec<Attribute>,
    /// Relationships, as name and targets.
    pub relationships: Vec<(String, Vec<String>)>,
    /// Metadata as name (`customData:ns:key`) and value.
    pub metadata: Vec<(String, AttributeValue)>,
}

impl UsdAttributes {
    pub(super) fn of(prim: &Prim) -> Option<Self> {
        if prim.attributes.is_empty() && prim.relationships.is_empty() && prim.metadata.is_empty() {
            return None;
        }
        Some(Self {
            attributes: prim.attributes.clone(),
            relationships: prim.relationships.clone(),
            metadata: prim.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        })
    }
}

/// The exact transform of a prim whose own matrix is sheared, which a [`Transform`] cannot hold.
///
/// The entity's parent is then not its parent prim's entity but one between ([`UsdShearFrame`]): its transform (turned, then scaled) and
/// the prim's own (turned) multiply to the matrix, so that every [`GlobalTransform`] is right.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct UsdSheared {
    /// From the prim's space to its parent's.
    pub parent_from_prim: DMat4,
}

/// Marks the entity between a sheared prim and its parent prim: see [`UsdSheared`].
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[require(Transform, Visibility)]
pub struct UsdShearFrame;

/// A part of a prim's geometry that needs an entity of its own, below the prim's: geometry with several materials.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[require(Transform, Visibility)]
pub struct UsdPart;

/// A joint of a skeleton, below the skeleton's entity.
#[derive(Component, Clone, Debug, PartialEq, Eq)]
#[require(Transform, Visibility)]
pub struct UsdJoint {
    /// The joint's path in the skeleton: `Hips/Spine/Head`.
    pub joint: String,
}

/// A copy that a point instancer makes, below the instancer's entity. What is below it has no [`UsdPrim`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[require(Transform, Visibility)]
pub struct UsdPointInstance {
    /// Which copy, counted from zero.
    pub index: usize,
    /// Its identity, as the file has it.
    pub id: i64,
    /// Which prototype it is a copy of.
    pub prototype: usize,
}
