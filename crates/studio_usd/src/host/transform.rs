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
            edits.extend(edits_for(moved, &before, |op| attribute_of(&self.stage, &moved.prim, op)));
        }
        let change = self.edit(layer, &edits)?;
        let transforms = moves.iter().map(|moved| self.transform(&moved.prim)).collect::<Result<_, _>>()?;
        Ok(Moved { change, transforms })
    }
}

/// The attribute of an operation, which a prim may have without using it.
struct OpAttribute {
    /// Its USD type.
    type_name: String,
    is_sampled: bool,
}

fn attribute_of(stage: &Stage, prim: &str, op: &str) -> Option<OpAttribute> {
    let attribute = stage.attribute(openusd::sdf::path(format!("{prim}.{op}")).ok()?);
    let type_name = attribute.type_name().ok().flatten()?.as_str().to_owned();
    Some(OpAttribute { type_name, is_sampled: attribute.num_time_samples().is_ok_and(|count| count > 0) })
}

/// The edits that give a prim a matrix.
fn edits_for(moved: &Move, before: &Xform, attribute_of: impl Fn(&str) -> Option<OpAttribute>) -> Vec<StageEdit> {
    let target = moved.parent_from_prim;
    let values = in_front(before, &target, moved.time).or_else(|| parts(before, &target));
    let Some(values) = values else { return as_matrix(moved, before, &attribute_of) };
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
        let (type_name, is_sampled) = match attribute_of(&op.name) {
            Some(attribute) => (attribute.type_name, attribute.is_sampled),
            None => (usual_type(&op.value).to_owned(), false),
        };
        let Some(value) = value_of(&op.value, &type_name) else { return as_matrix(moved, before, &attribute_of) };
        let time = is_sampled.then_some(moved.time);
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
fn as_matrix(moved: &Move, before: &Xform, attribute_of: &impl Fn(&str) -> Option<OpAttribute>) -> Vec<StageEdit> {
    let name = "xformOp:transform";
    let is_only = matches!(before.ops.as_slice(), [only] if only.name == name && !only.inverse);
    let mut edits = Vec::new();
    if !is_only {
        let reset = before.resets_stack.then(|| RESET.to_owned());
        edits.push(order_edit(&moved.prim, reset.into_iter().chain([name.to_owned()]).collect()));
    }
    let time = attribute_of(name).filter(|attribute| attribute.is_sampled).map(|_| moved.time);
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

fn usual_type(value: &XformOpValue) -> &'static str {
    match value {
        XformOpValue::Translate(_) => "double3",
        XformOpValue::Scale(_) | XformOpValue::Rotate { .. } => "float3",
        XformOpValue::Orient(_) => "quatd",
        XformOpValue::Transform(_) => "matrix4d",
    }
}

/// A value in the type that the attribute has; `None` if that is none for it, as of a value that does not fit into halves.
fn value_of(value: &XformOpValue, type_name: &str) -> Option<StageValue> {
    let numbers = match value {
        XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
            let value = value.default?;
            return Some(match type_name {
                "double3" => StageValue::Vec3d(value.to_array().map(Number)),
                "float3" => StageValue::Vec3f(value.to_array().map(Number)),
                "half3" if value.to_array().into_iter().all(is_half) => StageValue::Vec3h(value.to_array().map(Number)),
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
        "quath" if quaternion.iter().all(|number| is_half(number.0)) => StageValue::Quath(quaternion),
        _ => return None,
    })
}

/// Whether a number loses nothing as one of 16 bits: ten bits behind the first, and no less than 2⁻¹⁴.
fn is_half(number: f64) -> bool {
    let steps = number.abs() * f64::from(1 << 24);
    let is_normal = number.abs() >= 1.0 / f64::from(1 << 14) && number.abs() <= 65_504.0;
    (is_normal && (number.to_bits() << 22) == 0) || (number.abs() < 1.0 && !is_normal && steps.fract() == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::{OpenOptions, tests::memory};
    use proptest::prelude::*;

    const TIME: f64 = 5.0;

    fn host(ops: &[(String, String)], order: &[String]) -> StageHost {
        let attributes: String = ops.iter().map(|(declared, value)| format!("  {declared}{value}\n")).collect();
        let order: Vec<_> = order.iter().map(|name| format!("\"{name}\"")).collect();
        let text =
            format!("#usda 1.0\ndef Xform \"W\"\n{{\n{attributes}  uniform token[] xformOpOrder = [{}]\n}}\n", order.join(", "));
        StageHost::open(memory(&[("root.usda", &text)]), "root.usda", &OpenOptions::default())
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn before(host: &StageHost) -> Xform {
        host.transforms(vec!["/W".into()]).unwrap().remove(0).unwrap()
    }

    fn move_to(host: &StageHost, target: DMat4) -> Xform {
        let moved = Move { prim: "/W".into(), parent_from_prim: target, time: TIME };
        host.move_prims(&EditLayer::Root, vec![moved]).unwrap().transforms.remove(0).unwrap()
    }

    fn is_at(xform: &Xform, time: f64, target: &DMat4) -> bool {
        let largest = target.to_cols_array().into_iter().fold(1e-12_f64, |largest, number| largest.max(number.abs()));
        xform.parent_from_prim(time).abs_diff_eq(*target, 1e-5 * largest)
    }

    /// An operation as text: the declaration, then the value or the samples.
    fn op() -> impl Strategy<Value = (String, String, bool)> {
        let numbers = prop::array::uniform3(prop_oneof![3 => -200.0..200.0_f64, 1 => Just(0.0), 1 => Just(1.0)]);
        let kind = prop::sample::select(vec![
            ("double3", "translate"),
            ("float3", "translate"),
            ("half3", "translate"),
            ("double", "translateX"),
            ("float3", "rotateXYZ"),
            ("double3", "rotateXYZ"),
            ("half3", "rotateZYX"),
            ("float3", "rotateYZX"),
            ("float3", "rotateXZY"),
            ("float3", "rotateYXZ"),
            ("float3", "rotateZXY"),
            ("float", "rotateY"),
            ("quatf", "orient"),
            ("quatd", "orient"),
            ("quath", "orient"),
            ("float3", "scale"),
            ("double3", "scale"),
            ("matrix4d", "transform"),
        ]);
        let suffix = prop::sample::select(vec!["", "", "", ":pivot"]);
        (kind, suffix, numbers, prop::bool::weighted(0.25)).prop_map(|((type_name, kind), suffix, [x, y, z], is_sampled)| {
            let value = |x: f64| match type_name {
                "quatf" | "quatd" | "quath" => format!("(0.5, {}, 0.5, -0.5)", if x > 0.0 { 0.5 } else { -0.5 }),
                "matrix4d" => format!("((1, 0, 0, 0), (0, {y}, 1, 0), (0, 0, 2, 0), ({x}, 0, {z}, 1))"),
                "float" | "double" => x.to_string(),
                _ => format!("({x}, {y}, {z})"),
            };
            let name = format!("xformOp:{kind}{suffix}");
            let said = match is_sampled {
                true => format!(".timeSamples = {{ 0: {}, 10: {} }}", value(x), value(x + 3.0)),
                false => format!(" = {}", value(x)),
            };
            (name.clone(), format!("{type_name} {name}\t{said}"), is_sampled)
        })
    }

    /// Operations with names of their own, in any order, some of them taken back at the end, some not used at all.
    fn stack() -> impl Strategy<Value = (Vec<(String, String)>, Vec<String>)> {
        (prop::collection::vec(op(), 0..5), any::<[bool; 5]>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
            |(ops, used, is_pivoted, resets)| {
                let (mut said, mut order) = (Vec::new(), Vec::<String>::new());
                if resets {
                    order.push(RESET.to_owned());
                }
                for ((name, text, _), is_used) in ops.into_iter().zip(used) {
                    if said.iter().any(|(other, _): &(String, String)| other.split(' ').nth(1) == Some(&name)) {
                        continue;
                    }
                    let (declared, value) = text.split_once('\t').unwrap();
                    said.push((declared.to_owned(), value.to_owned()));
                    // Mostly used.
                    if is_used || name.ends_with('e') {
                        order.push(name);
                    }
                }
                if is_pivoted && let Some(first) = order.iter().find(|name| name.ends_with("pivot")).cloned() {
                    order.push(format!("!invert!{first}"));
                }
                (said, order)
            },
        )
    }

    fn target() -> impl Strategy<Value = DMat4> {
        let part = |limit: f64| prop::array::uniform3(-limit..limit).prop_map(DVec3::from);
        let scale = prop_oneof![
            2 => prop::array::uniform3(0.01..50.0_f64),
            1 => prop::array::uniform3(prop_oneof![-3.0..-0.1, 0.1..3.0_f64]),
            1 => Just([1.0; 3]),
        ];
        let shear = prop_oneof![3 => Just(0.0), 1 => -2.0..2.0_f64, 1 => Just(f64::NAN)];
        (part(1000.0), part(1.0), -4.0..4.0_f64, scale, shear).prop_map(|(translation, axis, angle, scale, shear)| {
            let rotation = axis.try_normalize().map_or(DQuat::IDENTITY, |axis| DQuat::from_axis_angle(axis, angle));
            let moved = DMat4::from_scale_rotation_translation(scale.into(), rotation, translation);
            match shear {
                0.0 => moved,
                // Flat: no scale and rotation say which side it shows.
                shear if shear.is_nan() => moved * DMat4::from_scale(DVec3::new(1.0, 0.0, 1.0)),
                shear => moved * DMat4::from_mat3(DMat3::from_cols(DVec3::X, DVec3::new(shear, 1.0, 0.0), DVec3::Z)),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

        #[test]
        fn a_prim_comes_to_be_where_it_was_moved_to((ops, order) in stack(), target in target()) {
            let host = host(&ops, &order);
            let was = before(&host);
            let xform = move_to(&host, target);
            prop_assert!(is_at(&xform, TIME, &target), "{:?} {order:?}: {target} became {}", ops, xform.parent_from_prim(TIME));
            prop_assert_eq!(xform.resets_stack, was.resets_stack);
            // And again from there, to where it was.
            let back = was.parent_from_prim(TIME);
            prop_assert!(is_at(&move_to(&host, back), TIME, &back), "{:?} {order:?}: back to {back}", ops);
        }

        #[test]
        fn translation_rotation_and_scale_stay_what_they_are(
            target in target().prop_filter("sheared or flat", |target| decompose(target).is_some()),
            has in any::<[bool; 3]>(),
            is_sampled in any::<[bool; 3]>(),
            rotate in prop::sample::select(vec!["rotateXYZ", "rotateZYX", "rotateYXZ", "rotateXZY", "rotateYZX", "rotateZXY", "orient"]),
        ) {
            let value = |kind: &str, samples: bool| {
                let (first, second) = match kind {
                    "orient" => ("(1, 0, 0, 0)", "(0, 1, 0, 0)"),
                    "scale" => ("(1, 2, 1)", "(2, 2, 2)"),
                    _ => ("(3, 0, 7)", "(4, 9, 7)"),
                };
                if samples { format!(".timeSamples = {{ 0: {first}, 10: {second} }}") } else { format!(" = {first}") }
            };
            let kinds = [("double3", "translate"), (if rotate == "orient" { "quatf" } else { "float3" }, rotate), ("float3", "scale")];
            let (mut ops, mut order) = (Vec::new(), Vec::new());
            for (((type_name, kind), has), is_sampled) in kinds.into_iter().zip(has).zip(is_sampled) {
                if has {
                    ops.push((format!("{type_name} xformOp:{kind}"), value(kind, is_sampled)));
                    order.push(format!("xformOp:{kind}"));
                }
            }
            let host = host(&ops, &order);
            let was = before(&host);
            let xform = move_to(&host, target);
            prop_assert!(is_at(&xform, TIME, &target), "{order:?}: {target} became {}", xform.parent_from_prim(TIME));
            let now: Vec<_> = xform.ops.iter().map(|op| op.name.clone()).collect();
            let kept: Vec<_> = now.iter().filter(|name| order.contains(name)).cloned().collect();
            prop_assert_eq!(&kept, &order, "{:?}", now);
            prop_assert!(!now.contains(&"xformOp:transform".to_owned()), "{:?}", now);
            // What has samples has one more at most, and those of other times are what they were.
            for op in &was.ops {
                let after = xform.ops.iter().find(|after| after.name == op.name).unwrap();
                if samples(op) > 0 {
                    prop_assert!(op.matrix(0.0).abs_diff_eq(after.matrix(0.0), 1e-9) && op.matrix(10.0).abs_diff_eq(after.matrix(10.0), 1e-9));
                    let is_changed = !same(&op.matrix(TIME), &after.matrix(TIME));
                    prop_assert_eq!(samples(after), samples(op) + usize::from(is_changed), "{}", op.name);
                } else {
                    prop_assert_eq!(samples(after), 0, "{}", op.name);
                }
            }
        }
    }

    fn samples(op: &XformOp) -> usize {
        match &op.value {
            XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
                value.samples.len()
            }
            XformOpValue::Orient(value) => value.samples.len(),
            XformOpValue::Transform(value) => value.samples.len(),
        }
    }

    #[test]
    fn numbers_of_sixteen_bits_are_told_from_others() {
        for number in
            [0.0, 1.0, -2.5, 65_504.0, 0.5_f64.powi(24), 0.5_f64.powi(14), 1.0 + 0.5_f64.powi(10), 3.0 * 0.5_f64.powi(24)]
        {
            assert!(is_half(number) && is_half(-number), "{number}");
        }
        for number in [0.1, 1.0 + 0.5_f64.powi(11), 65_520.0, 2049.0, 0.5_f64.powi(25), f64::NAN, f64::INFINITY] {
            assert!(!is_half(number), "{number}");
        }
    }

    #[test]
    fn what_is_dragged_keeps_its_pivot_and_its_turn() {
        let ops = [
            ("double3 xformOp:translate", " = (1, 2, 3)"),
            ("float3 xformOp:translate:pivot", " = (0, 1, 0)"),
            ("float xformOp:rotateY", ".timeSamples = { 0: 0, 10: 90 }"),
        ];
        let ops = ops.map(|(declared, value)| (declared.to_owned(), value.to_owned()));
        let order = ["xformOp:translate", "xformOp:translate:pivot", "xformOp:rotateY", "!invert!xformOp:translate:pivot"];
        let host = host(&ops, &order.map(str::to_owned));
        let was = before(&host);
        let xform = move_to(&host, DMat4::from_translation(DVec3::new(5.0, 0.0, -5.0)) * was.parent_from_prim(TIME));
        assert_eq!(xform.ops[1..], was.ops[1..]);
        let XformOpValue::Translate(translation) = &xform.ops[0].value else { panic!() };
        assert!(translation.default.unwrap().abs_diff_eq(DVec3::new(6.0, 2.0, -2.0), 1e-9));
    }
}
