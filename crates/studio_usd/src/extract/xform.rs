//! Transforms: `xformOpOrder` and its operations, in every precision.

use super::{
    read::PrimReader,
    value::{self, DQUAT, DVEC3, F64, MATRIX},
};
use crate::snapshot::{Sampled, Xform, XformOp, XformOpValue};
use glam::DVec3;

/// The transform of a prim that may have one.
pub(super) fn xform(prim: &PrimReader<'_>) -> Xform {
    let mut xform = Xform::default();
    for name in prim.uniform_or("xformOpOrder", value::TOKENS, Vec::new()) {
        if name == "!resetXformStack!" {
            // What was before it is left out, too.
            xform.resets_stack = true;
            xform.ops.clear();
            continue;
        }
        let (name, inverse) = match name.strip_prefix("!invert!") {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        };
        match op(prim, &name) {
            Some(value) => xform.ops.push(XformOp { name, inverse, value }),
            None => {
                prim.warn(format!("`xformOpOrder` names `{name}`, which is no transform operation of this prim; it is left out"))
            }
        }
    }
    xform
}

/// An operation by its attribute's name: `xformOp:KIND`, or `xformOp:KIND:SUFFIX`.
fn op(prim: &PrimReader<'_>, name: &str) -> Option<XformOpValue> {
    let kind = name.strip_prefix("xformOp:")?;
    let kind = kind.split_once(':').map_or(kind, |(kind, _)| kind);
    let along = |axis: DVec3, rest: DVec3| along_axis(prim.sampled(name, F64), axis, rest);
    let rotate = |axes: &[usize], degrees| Some(XformOpValue::Rotate { axes: axes.to_vec(), degrees });
    if !prim.has(name) {
        return None;
    }
    match kind {
        "translate" => Some(XformOpValue::Translate(prim.sampled(name, DVEC3))),
        "translateX" => Some(XformOpValue::Translate(along(DVec3::X, DVec3::ZERO))),
        "translateY" => Some(XformOpValue::Translate(along(DVec3::Y, DVec3::ZERO))),
        "translateZ" => Some(XformOpValue::Translate(along(DVec3::Z, DVec3::ZERO))),
        "scale" => Some(XformOpValue::Scale(prim.sampled(name, DVEC3))),
        "scaleX" => Some(XformOpValue::Scale(along(DVec3::X, DVec3::ONE))),
        "scaleY" => Some(XformOpValue::Scale(along(DVec3::Y, DVec3::ONE))),
        "scaleZ" => Some(XformOpValue::Scale(along(DVec3::Z, DVec3::ONE))),
        "rotateX" => rotate(&[0], along(DVec3::X, DVec3::ZERO)),
        "rotateY" => rotate(&[1], along(DVec3::Y, DVec3::ZERO)),
        "rotateZ" => rotate(&[2], along(DVec3::Z, DVec3::ZERO)),
        "rotateXYZ" => rotate(&[0, 1, 2], prim.sampled(name, DVEC3)),
        "rotateXZY" => rotate(&[0, 2, 1], prim.sampled(name, DVEC3)),
        "rotateYXZ" => rotate(&[1, 0, 2], prim.sampled(name, DVEC3)),
        "rotateYZX" => rotate(&[1, 2, 0], prim.sampled(name, DVEC3)),
        "rotateZXY" => rotate(&[2, 0, 1], prim.sampled(name, DVEC3)),
        "rotateZYX" => rotate(&[2, 1, 0], prim.sampled(name, DVEC3)),
        "orient" => Some(XformOpValue::Orient(prim.sampled(name, DQUAT))),
        "transform" => Some(XformOpValue::Transform(prim.sampled(name, MATRIX))),
        _ => None,
    }
}

/// A number along one axis, and `rest` along the others.
fn along_axis(values: Sampled<f64>, axis: DVec3, rest: DVec3) -> Sampled<DVec3> {
    values.map(|value| axis * value + (DVec3::ONE - axis) * rest)
}
