//! Transforms.

use super::Sampled;
use glam::{DMat4, DQuat, DVec3};

/// A prim's transform: operations in order, each perhaps moving over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Xform {
    /// Whether the parents' transforms are left out (`!resetXformStack!`).
    pub resets_stack: bool,
    /// The operations in the order of `xformOpOrder`: the first is applied last, as in USD.
    pub ops: Vec<XformOp>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct XformOp {
    /// Its attribute's name: `xformOp:rotateXYZ:pivot`.
    pub name: String,
    /// Whether its inverse is meant (`!invert!`).
    pub inverse: bool,
    /// What it does.
    pub value: XformOpValue,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq)]
pub enum XformOpValue {
    /// Moves.
    Translate(Sampled<DVec3>),
    /// Scales.
    Scale(Sampled<DVec3>),
    /// Turns about axes, one after another in the order named, by degrees.
    Rotate {
        /// The axes in order: 0 is X, 1 is Y, 2 is Z. One or three.
        axes: Vec<usize>,
        /// Degrees about X, Y and Z.
        degrees: Sampled<DVec3>,
    },
    /// Turns.
    Orient(Sampled<DQuat>),
    /// Any matrix.
    Transform(Sampled<DMat4>),
}

impl Xform {
    /// A transform that stays.
    pub fn from_matrix(matrix: DMat4) -> Self {
        let value = XformOpValue::Transform(matrix.into());
        Self { resets_stack: false, ops: vec![XformOp { name: "xformOp:transform".to_owned(), inverse: false, value }] }
    }

    /// Whether it moves over time.
    pub fn is_animated(&self) -> bool {
        self.ops.iter().any(|op| match &op.value {
            XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
                value.is_animated()
            }
            XformOpValue::Orient(value) => value.is_animated(),
            XformOpValue::Transform(value) => value.is_animated(),
        })
    }

    /// The matrix from the prim's own space to its parent's, at a time.
    pub fn parent_from_prim(&self, time: f64) -> DMat4 {
        self.ops.iter().fold(DMat4::IDENTITY, |matrix, op| matrix * op.matrix(time))
    }
}

impl XformOp {
    /// The operation's matrix at a time. A matrix without an inverse has none to give: it stays as it is.
    pub fn matrix(&self, time: f64) -> DMat4 {
        let matrix = match &self.value {
            XformOpValue::Translate(value) => DMat4::from_translation(value.at(time).unwrap_or_default()),
            XformOpValue::Scale(value) => DMat4::from_scale(value.at(time).unwrap_or(DVec3::ONE)),
            XformOpValue::Rotate { axes, degrees } => {
                let degrees = degrees.at(time).unwrap_or_default();
                // USD turns row vectors about the first axis first, so that one is the innermost of column vectors.
                axes.iter().fold(DMat4::IDENTITY, |turned, axis| {
                    let about = DVec3::AXES[(*axis).min(2)];
                    DMat4::from_axis_angle(about, degrees.dot(about).to_radians()) * turned
                })
            }
            XformOpValue::Orient(value) => DMat4::from_quat(value.at(time).unwrap_or_default().normalize()),
            XformOpValue::Transform(value) => value.at(time).unwrap_or_default(),
        };
        if self.inverse && matrix.determinant().abs() > f64::MIN_POSITIVE { matrix.inverse() } else { matrix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_apply_their_axes_in_the_order_named() {
        let value = XformOpValue::Rotate { axes: vec![0, 1, 2], degrees: DVec3::new(90.0, 90.0, 0.0).into() };
        let op = XformOp { name: "xformOp:rotateXYZ".to_owned(), inverse: false, value };
        // Y about X by 90° is Z, and Z about Y by 90° is X.
        assert!(op.matrix(0.0).transform_point3(DVec3::Y).abs_diff_eq(DVec3::X, 1e-12));
    }

    #[test]
    fn the_first_operation_is_the_outermost() {
        let op = |name: &str, value| XformOp { name: name.to_owned(), inverse: false, value };
        let translate = op("xformOp:translate", XformOpValue::Translate(DVec3::X.into()));
        let scale = op("xformOp:scale", XformOpValue::Scale(DVec3::splat(2.0).into()));
        let pivot = XformOp { inverse: true, ..translate.clone() };
        let xform = Xform { resets_stack: false, ops: vec![translate, scale, pivot] };
        assert!(xform.parent_from_prim(0.0).transform_point3(DVec3::X).abs_diff_eq(DVec3::X, 1e-12));
        assert!(xform.parent_from_prim(0.0).transform_point3(DVec3::ZERO).abs_diff_eq(-DVec3::X, 1e-12));
    }
}
