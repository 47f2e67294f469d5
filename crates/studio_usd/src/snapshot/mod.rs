//! A composed stage as plain data.
//!
//! Everything is in the stage's own units ([`StageSnapshot::meters_per_unit`]), its own up axis and in time codes. Matrices are of column
//! vectors, as glam's are; USD writes row vectors, so its matrices are transposed on the way in. Values that the schema gives a fallback
//! have it already, so an `Option` that is `None` means that neither file nor schema says anything.

mod bounds;
mod camera;
mod geometry;
mod light;
mod material;
mod skeleton;
mod statistics;
mod value;
mod xform;

pub(crate) use bounds::is_imageable;
pub use camera::*;
pub use geometry::*;
pub use light::*;
pub use material::*;
pub use skeleton::*;
pub use statistics::*;
pub use value::*;
pub use xform::*;

use glam::DVec3;
use std::{collections::BTreeMap, sync::Arc};

/// A composed stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageSnapshot {
    /// The identifier of the root layer.
    pub root_layer: String,
    /// The identifiers of all layers that took part, the root first.
    pub layers: Vec<String>,
    /// The axis that points up.
    pub up_axis: UpAxis,
    /// The length of a unit in metres.
    pub meters_per_unit: f64,
    /// Time codes in a second.
    pub time_codes_per_second: f64,
    /// Frames a second that the stage was made for; only for display.
    pub frames_per_second: f64,
    /// First time code.
    pub start_time_code: f64,
    /// Last time code.
    pub end_time_code: f64,
    /// The name of the default prim.
    pub default_prim: Option<String>,
    /// What the root layer says of itself, dictionaries flattened: `customLayerData:ns:key`, `documentation`, `upAxis` as it is written.
    pub metadata: BTreeMap<String, AttributeValue>,
    /// Every prim, parents before their children and siblings in order. Below an instance nothing is listed: see [`Prim::prototype`].
    pub prims: Vec<Prim>,
    /// What instances share.
    pub prototypes: Vec<Prototype>,
}

/// The axis that points up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpAxis {
    /// As in Bevy.
    #[default]
    Y,
    /// Turned by -90° about X on the way into Bevy.
    Z,
}

/// A subtree that instances share: its geometry and materials are once in memory.
///
/// What prims inherit from above their instance (purpose, material, constant primvars, skeleton) is in here, so instances that hand down
/// different things have prototypes of their own. Data that does not depend on it is shared among those. Visibility is the instance's alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prototype {
    /// The prims of the subtree, its root first, with `parent` counting within this list. The root's path is the instance's own place;
    /// paths below are relative to it, such as `Geometry/Wheel`.
    pub prims: Vec<Prim>,
    /// The prototype with the same prims in the same order that was read first, if that is another one.
    pub base: Option<usize>,
    /// The prototype that its instances are in, if it is known to be one: there paths lead that begin with `../`.
    pub outer: Option<usize>,
}

/// A prim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prim {
    /// The absolute path, such as `/World/Car`; within a [`Prototype`], relative to its root, whose own path is empty.
    pub path: String,
    /// The last part of the path.
    pub name: String,
    /// Where the parent is in the list; `None` for a root prim.
    pub parent: Option<usize>,
    /// The type, such as `Mesh`; empty for a prim without one.
    pub type_name: String,
    /// The API schemas applied to it, such as `SkelBindingAPI`.
    pub api_schemas: Vec<String>,
    /// Its kind, such as `component`; empty for none.
    pub kind: String,
    /// What it is for; inherited.
    pub purpose: Purpose,
    /// Whether it is visible by its own opinion; invisible parents hide it as well.
    pub visible: Sampled<bool>,
    /// Its transform; `None` if its type has none.
    pub xform: Option<Xform>,
    /// The prototype it is an instance of, as a place in [`StageSnapshot::prototypes`].
    pub prototype: Option<usize>,
    /// Its variant sets, with what they offer and what is chosen.
    pub variant_sets: Vec<VariantSet>,
    /// Whether it has a payload.
    pub has_payload: bool,
    /// Whether its payload, if any, is loaded.
    pub is_loaded: bool,
    /// The path of the material bound to it for all purposes; inherited. Within a prototype, relative to its root, beginning with `./`, where
    /// the material is inside; relative to the root of the prototype around it, beginning with `../`, where it is inside of that; else
    /// absolute.
    pub material: Option<String>,
    /// What it is.
    pub data: PrimData,
    /// Attributes that `data` does not say: all of an unknown schema's, and custom ones of every other.
    pub attributes: Vec<Attribute>,
    /// Relationships that `data` does not say, as name and targets.
    pub relationships: Vec<(String, Vec<String>)>,
    /// The names of its attributes that have time samples or value clips; empty for most prims.
    pub animated_attributes: Vec<String>,
    /// `customData` and what else of the metadata is a dictionary, flattened: `customData:ns:key`.
    pub metadata: BTreeMap<String, AttributeValue>,
}

/// What a prim is for. Only `Default` and `Render` are shown to an audience.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Shown always.
    #[default]
    Default,
    /// Shown in the final picture.
    Render,
    /// Shown in place of what is heavy.
    Proxy,
    /// An aid for people who edit.
    Guide,
}

/// A variant set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariantSet {
    /// Its name.
    pub name: String,
    /// What it offers.
    pub variants: Vec<String>,
    /// What is chosen; empty for nothing.
    pub selection: String,
}

/// What a prim is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PrimData {
    /// Nothing more than its place in the tree (`Scope`, `Xform`, untyped).
    #[default]
    Group,
    /// Polygons.
    Mesh(Arc<Mesh>),
    /// A cube, a sphere, a cone and so on.
    Shape(Shape),
    /// Curves: `BasisCurves`, and `NurbsCurves` as far as they can be turned into such.
    Curves(Arc<Curves>),
    /// Points with a width.
    Points(Arc<Points>),
    /// Copies of a few prims at many places.
    PointInstancer(Arc<PointInstancer>),
    /// A camera.
    Camera(Camera),
    /// A light.
    Light(Light),
    /// A material.
    Material(Arc<Material>),
    /// A skeleton.
    Skeleton(Arc<Skeleton>),
    /// A skeleton's movement.
    SkelAnimation(Arc<SkelAnimation>),
    /// A shape that a mesh can be blended towards.
    BlendShape(Arc<BlendShape>),
    /// A type that nothing here knows: see [`Prim::attributes`].
    Unknown,
}

impl StageSnapshot {
    /// The prim at an absolute path, outside of instances.
    pub fn prim(&self, path: &str) -> Option<&Prim> {
        self.prims.iter().find(|prim| prim.path == path)
    }

    /// Where a path leads that is written in a prototype, or in the stage itself (`None`): the prototype, or the stage, and the path there.
    /// `None` where it leads out of a prototype that is in no other.
    pub fn list_of<'p>(&self, from: Option<usize>, path: &'p str) -> Option<(Option<usize>, &'p str)> {
        let Some(mut path) = path.strip_prefix("./").or_else(|| path.starts_with("../").then_some(path)) else {
            return Some((None, path));
        };
        let mut list = from;
        while let Some(rest) = path.strip_prefix("../") {
            list = Some(self.prototypes.get(list?)?.outer?);
            path = rest;
        }
        Some((list, path))
    }

    /// The default time code: the first one of the stage.
    pub fn default_time(&self) -> f64 {
        self.start_time_code
    }
}

/// A box along the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The smallest corner.
    pub min: DVec3,
    /// The largest corner.
    pub max: DVec3,
}

impl Bounds {
    /// The box around a point.
    pub const fn point(point: DVec3) -> Self {
        Self { min: point, max: point }
    }

    /// The box around both.
    pub fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
