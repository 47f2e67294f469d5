//! Moving prims: a matrix becomes values of the transform operations that a prim has.

use super::{EditLayer, Number, StageChange, StageEdit, StageHost, StageValue, live::Live};
use crate::{
    extract::transform_of,
    open::{UsdError, prim_path},
    snapshot::{Xform, XformOp, XformOpValue},
};
use glam::{DMat3, DMat4, DQuat, DVec3, EulerRot};
use openusd::usd::Stage;

/// How far a matrix may be from what operations can say, as part of its largest number.
const TOLERANCE: f64 = 1e-6;

/// A prim that is to be moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The path of the prim.
    pub prim: String,
    /// From its space to its parent's.
    pub parent_from_prim: DMat4,
    /// The time code; where the prim's transform changes over time, the sample at this time is what is set.
    pub time: f64,
}

/// What came of moving prims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// What changed.
    pub change: StageChange,
    /// The transforms as they are composed now, in the order they were asked for. One that is not what was asked for is held by a layer
    /// that is stronger than the one that was edited.
    pub transforms: Vec<Option<Xform>>,
}

impl StageHost {
    /// Moves prims, as one change in a layer. Operations that a prim has are kept: a translation in front takes up what it can, and
    /// translation, rotation and scale take what they can say; only if that does not do is everything replaced by one matrix.
    ///
    /// # Errors
    /// As for [`edit`](Self::edit).
    pub fn move_prims(&self, layer: &EditLayer, moves: Vec<Move>) -> Result<Moved, UsdError> {
        let layer = layer.clone();
        self.request(move |live| live.move_prims(&layer, &moves))
    }

    /// The transforms of prims as they are composed now; `None` for what has none.
    ///
    /// # Errors
    /// [`UsdError::Edit`] if a path is none.
    pub fn transforms(&self, prims: Vec<String>) -> Result<Vec<Option<Xform>>, UsdError> {
        self.request(move |live| prims.iter().map(|prim| live.transform(prim)).collect())
    }
}

impl Live {
    fn transform(&self, prim: &str) -> Result<Option<Xform>, UsdError> {
        Ok(transform_of(&self.stage, &prim_path(prim)?))
    }

    fn move_prims(&mut self, layer: &EditLayer, moves: &[Move]) -> Result<Moved, UsdError> {
        let mut edits = Vec::new();
        for moved in moves {
            let before = self.transform(&moved.prim)?.unwrap_or_default();
            edits.extend(edits_for(moved, &before, |op| type_of(&self.stage, &moved.prim, op)));
        }
        let change = self.edit(layer, &edits)?;
        let transforms = moves.iter().map(|moved| self.transform(&moved.prim)).collect::<Result<_, _>>()?;
        Ok(Moved { change, transforms })
    }
}

/// The USD type of an operation's attribute.
fn type_of(stage: &Stage, prim: &str, op: &str) -> Option<String> {
    let path = openusd::sdf::path(&format!("{prim}.{op}")).ok()?;
    stage.attribute(path).type_name().ok().flatten().map(|name| name.as_str().to_owned())
}

/// The edits that give a prim a matrix.
fn edits_for(moved: &Move, before: &Xform, type_of: impl Fn(&str) -> Option<String>) -> Vec<StageEdit> {
    let target = moved.parent_from_prim;
    let values = in_front(before, &target, moved.time).or_else(|| parts(before, &target));
    let Some(values) = values else { return as_matrix(moved, before) };
    let is_new = |name: &str| !before.ops.iter().any(|op| op.name == name);
    let mut edits = Vec::new();
    if values.iter().any(|value| is_new(&value.name)) {
        let mut order: Vec<String> = values.iter().map(|value| value.name.clone()).collect();
        if before.resets_stack {
            order.insert(0, RESET.to_owned());
        }
        edits.push(order_edit(&moved.prim, order));
    }
    for op in values {
        if before.ops.contains(&op) {
            continue;
        }
        let old = before.ops.iter().find(|old| old.name == op.name && !old.inverse);
        if old.is_some_and(|old| same(&old.matrix(moved.time), &op.matrix(moved.time))) {
            continue;
        }
        let type_name = type_of(&op.name).unwrap_or_else(|| usual_type(&op.value).to_owned());
        let Some(value) = value_of(&op.value, &type_name) else { return as_matrix(moved, before) };
        let time = old.filter(|old| is_sampled(&old.value)).map(|_| moved.time);
        edits.push(StageEdit::SetAttribute { path: format!("{}.{}", moved.prim, op.name), type_name, value, time });
    }
    edits
}

const RESET: &str = "!resetXformStack!";

fn order_edit(prim: &str, order: Vec<String>) -> StageEdit {
    StageEdit::SetAttribute {
        path: format!("{prim}.xformOpOrder"),
        type_name: "uniform token[]".to_owned(),
        value: StageValue::TokenVec(order),
        time: None,
    }
}

/// One matrix in place of everything.
fn as_matrix(moved: &Move, before: &Xform) -> Vec<StageEdit> {
    let name = "xformOp:transform";
    let is_only = matches!(before.ops.as_slice(), [only] if only.name == name && !only.inverse);
    let mut edits = Vec::new();
    if !is_only {
        let reset = before.resets_stack.then(|| RESET.to_owned());
        edits.push(order_edit(&moved.prim, reset.into_iter().chain([name.to_owned()]).collect()));
    }
    let time = before.ops.iter().find(|op| op.name == name).filter(|op| is_sampled(&op.value)).map(|_| moved.time);
    // USD writes row vectors, so its matrices are transposed.
    let value = StageValue::Matrix4d(moved.parent_from_prim.to_cols_array().map(Number));
    edits.push(StageEdit::SetAttribute { path: format!("{}.{name}", moved.prim), type_name: "matrix4d".to_owned(), value, time });
    edits
}

/// The first operation alone, if it is a translation that can say it all: the usual case of something that is dragged.
fn in_front(before: &Xform, target: &DMat4, time: f64) -> Option<Vec<XformOp>> {
    let (first, rest) = before.ops.split_first()?;
    if !matches!(first.value, XformOpValue::Translate(_)) || first.name != "xformOp:translate" || first.inverse {
        return None;
    }
    let rest = rest.iter().fold(DMat4::IDENTITY, |matrix, op| matrix * op.matrix(time));
    // Multiplying by an inverse would let a scale of a thousand blow up rounding: linear parts are compared as they are.
    let is_moved_only = same_linear(target, &rest);
    let translation = target.w_axis.truncate() - rest.w_axis.truncate();
    let op = XformOp { value: XformOpValue::Translate(translation.into()), ..first.clone() };
    is_moved_only.then(|| std::iter::once(op).chain(before.ops.iter().skip(1).cloned()).collect())
}

/// Translation, rotation and scale, in this order: those that the prim has, and those that it needs besides. `None` if it has others, or
/// if they cannot say it.
fn parts(before: &Xform, target: &DMat4) -> Option<Vec<XformOp>> {
    let mut had: [Option<&XformOp>; 3] = [None; 3];
    let mut next = 0;
    for op in &before.ops {
        let place = match (&op.value, op.name.as_str()) {
            (XformOpValue::Translate(_), "xformOp:translate") => 0,
            (XformOpValue::Rotate { axes, .. }, name) if axes.len() == 3 && name.matches(':').count() == 1 => 1,
            (XformOpValue::Orient(_), "xformOp:orient") => 1,
            (XformOpValue::Scale(_), "xformOp:scale") => 2,
            _ => return None,
        };
        if op.inverse || place < next {
            return None;
        }
        *had.get_mut(place)? = Some(op);
        next = place + 1;
    }
    let (scale, rotation, translation) = decompose(target)?;
    let made = |name: &str, value| XformOp { name: name.to_owned(), inverse: false, value };
    let [translate, rotate, scaled] = had;
    let mut ops = Vec::new();
    if translate.is_some() || translation != DVec3::ZERO {
        ops.push(made("xformOp:translate", XformOpValue::Translate(translation.into())));
    }
    match rotate.map(|op| (&op.name, &op.value)) {
        Some((name, XformOpValue::Rotate { axes, .. })) => {
            let degrees = euler_degrees(rotation, axes)?;
            ops.push(made(name, XformOpValue::Rotate { axes: axes.clone(), degrees: degrees.into() }));
        }
        Some(_) => ops.push(made("xformOp:orient", XformOpValue::Orient(rotation.into()))),
        None if !rotation.abs_diff_eq(DQuat::IDENTITY, TOLERANCE) => {
            ops.push(made("xformOp:orient", XformOpValue::Orient(rotation.into())));
        }
        None => {}
    }
    if scaled.is_some() || !scale.abs_diff_eq(DVec3::ONE, TOLERANCE) {
        ops.push(made("xformOp:scale", XformOpValue::Scale(scale.into())));
    }
    Some(ops)
}

/// Scale, rotation, translation; `None` if the matrix is sheared, flat or not finite.
fn decompose(matrix: &DMat4) -> Option<(DVec3, DQuat, DVec3)> {
    let linear = DMat3::from_mat4(*matrix);
    if !matrix.is_finite() || linear.determinant() == 0.0 {
        return None;
    }
    let (scale, rotation, translation) = matrix.to_scale_rotation_translation();
    let again = DMat4::from_scale_rotation_translation(scale, rotation, translation);
    same(&again, matrix).then_some((scale, rotation, translation))
}

/// Degrees about X, Y and Z of a rotation about three axes one after another.
fn euler_degrees(rotation: DQuat, axes: &[usize]) -> Option<DVec3> {
    // `rotateXYZ` turns about X first, so X is the innermost; glam names the outermost first.
    let order = match axes {
        [0, 1, 2] => EulerRot::ZYX,
        [0, 2, 1] => EulerRot::YZX,
        [1, 0, 2] => EulerRot::ZXY,
        [1, 2, 0] => EulerRot::XZY,
        [2, 0, 1] => EulerRot::YXZ,
        [2, 1, 0] => EulerRot::XYZ,
        _ => return None,
    };
    let (outer, middle, inner) = rotation.to_euler(order);
    let mut degrees = DVec3::ZERO;
    for (axis, angle) in axes.iter().zip([inner, middle, outer]) {
        degrees[(*axis).min(2)] = angle.to_degrees();
    }
    Some(degrees)
}

fn same(a: &DMat4, b: &DMat4) -> bool {
    let largest = |matrix: &DMat4| matrix.to_cols_array().into_iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    a.abs_diff_eq(*b, TOLERANCE * largest(a).max(largest(b)).max(f64::MIN_POSITIVE))
}

fn same_linear(a: &DMat4, b: &DMat4) -> bool {
    let linear = |matrix: &DMat4| DMat4::from_mat3(DMat3::from_mat4(*matrix));
    let largest = |matrix: &DMat4| DMat3::from_mat4(*matrix).to_cols_array().into_iter().fold(0.0_f64, |l, n| l.max(n.abs()));
    linear(a).abs_diff_eq(linear(b), TOLERANCE * largest(a).max(largest(b)).max(f64::MIN_POSITIVE))
}

fn is_sampled(value: &XformOpValue) -> bool {
    match value {
        XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
            !value.samples.is_empty()
        }
        XformOpValue::Orient(value) => !value.samples.is_empty(),
        XformOpValue::Transform(value) => !value.samples.is_empty(),
    }
}

fn usual_type(value: &XformOpValue) -> &'static str {
    match value {
        XformOpValue::Translate(_) => "double3",
        XformOpValue::Scale(_) | XformOpValue::Rotate { .. } => "float3",
        XformOpValue::Orient(_) => "quatd",
        XformOpValue::Transform(_) => "matrix4d",
    }
}

/// A value in the type that the attribute has; `None` if that is none for it.
fn value_of(value: &XformOpValue, type_name: &str) -> Option<StageValue> {
    let numbers = match value {
        XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
            let value = value.default?;
            return Some(match type_name {
                "double3" => StageValue::Vec3d(value.to_array().map(Number)),
                "float3" => StageValue::Vec3f(value.to_array().map(Number)),
                "half3" => StageValue::Vec3h(value.to_array().map(Number)),
                _ => return None,
            });
        }
        XformOpValue::Orient(value) => value.default?,
        XformOpValue::Transform(_) => return None,
    };
    // USD's quaternions have their real part first.
    let quaternion = [numbers.w, numbers.x, numbers.y, numbers.z].map(Number);
    Some(match type_name {
        "quatd" => StageValue::Quatd(quaternion),
        "quatf" => StageValue::Quatf(quaternion),
        "quath" => StageValue::Quath(quaternion),
        _ => return None,
    })
}
