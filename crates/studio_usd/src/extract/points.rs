//! Points, and instances of prims on points.

use super::{
    Below,
    mesh::extent,
    primvars::{primvar, primvar_or_builtin},
    read::PrimReader,
    value::{F32S, INDICES, INTS, QUATS, VEC3S},
};
use crate::snapshot::{PointInstancer, Points};
use openusd::sdf::Value;

pub(super) fn points<'a>(prim: &PrimReader<'a>, below: &Below<'a>) -> Points {
    Points {
        points: prim.sampled_or("points", VEC3S, Vec::new()),
        widths: primvar_or_builtin(prim, &below.primvars, "widths", F32S),
        display_color: primvar(prim, &below.primvars, "displayColor", VEC3S),
        display_opacity: primvar(prim, &below.primvars, "displayOpacity", F32S),
        extent: extent(prim),
    }
}

pub(super) fn instancer(prim: &PrimReader<'_>) -> PointInstancer {
    let prototypes: Vec<String> = prim.targets("prototypes").iter().map(|path| prim.scope.write(path)).collect();
    let instancer = PointInstancer {
        proto_indices: prim.sampled_or("protoIndices", INDICES, Vec::new()),
        positions: prim.sampled_or("positions", VEC3S, Vec::new()),
        // The precise form goes before the compact one.
        orientations: prim.sampled(prim.first_of(&["orientationsf", "orientations"]), QUATS),
        scales: prim.sampled("scales", VEC3S),
        ids: prim.uniform_or("ids", INTS, Vec::new()),
        invisible_ids: prim.sampled_or("invisibleIds", INTS, Vec::new()),
        inactive_ids: inactive_ids(prim),
        extent: extent(prim),
        prototypes,
    };
    prim.take("orientations");
    let largest = super::mesh::first(&instancer.proto_indices).and_then(|indices| indices.iter().max().copied());
    if let Some(largest) = largest
        && usize::try_from(largest).is_ok_and(|largest| largest >= instancer.prototypes.len())
    {
        prim.warn(format!("`protoIndices` goes up to {largest}, but there are {} prototypes", instancer.prototypes.len()));
    }
    instancer
}

/// `inactiveIds` is a list in the metadata, not an attribute.
fn inactive_ids(prim: &PrimReader<'_>) -> Vec<i64> {
    match prim.metadata("inactiveIds") {
        Some(Value::Int64ListOp(list)) => list.flatten(),
        Some(Value::IntListOp(list)) => list.flatten().into_iter().map(i64::from).collect(),
        Some(Value::Int64Vec(ids)) => ids,
        _ => Vec::new(),
    }
}
