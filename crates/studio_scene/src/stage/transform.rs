//! A prim's matrix as transforms of entities.

use bevy::{
    math::{DMat3, DMat4, DQuat, DVec3},
    prelude::*,
};
use studio_usd::snapshot::{Xform, XformOpValue};

/// How far from square two columns may be (as the cosine of the angle between them) and still be taken for square.
const SHEAR_TOLERANCE: f64 = 1e-5;

/// A matrix as one transform, or as two where one cannot hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Local {
    /// Moved, turned, scaled.
    Plain(Transform),
    /// `frame * inner`.
    Sheared { frame: Transform, inner: Transform },
}

/// Whether a [`Transform`] cannot hold a matrix.
pub(super) fn is_sheared(matrix: &DMat4) -> bool {
    let [x, y, z] = columns(matrix);
    let skew = |a: DVec3, b: DVec3| a.dot(b).abs() > SHEAR_TOLERANCE * a.length() * b.length();
    matrix.is_finite() && (skew(x, y) || skew(y, z) || skew(z, x))
}

/// The transform of a matrix; two of them if it is sheared or `framed` says that there is an entity between anyway. A matrix that is not
/// finite counts as one that changes nothing.
pub(super) fn decompose(matrix: &DMat4, framed: bool) -> Local {
    if !matrix.is_finite() {
        let identity = Transform::IDENTITY;
        return if framed { Local::Sheared { frame: identity, inner: identity } } else { Local::Plain(identity) };
    }
    if framed || is_sheared(matrix) {
        let (frame, inner) = split(matrix);
        Local::Sheared { frame, inner }
    } else {
        Local::Plain(plain(matrix))
    }
}

/// The nearest that one transform can do: exact where the columns are square to each other.
pub(super) fn plain(matrix: &DMat4) -> Transform {
    let [x, y, z] = columns(matrix);
    let lengths = DVec3::new(x.length(), y.length(), z.length());
    let mirrored = DMat3::from_cols(x, y, z).determinant() < 0.0;
    let basis = orthonormal([x, y, z]);
    transform(matrix.w_axis.truncate(), basis, if mirrored { lengths * DVec3::new(-1.0, 1.0, 1.0) } else { lengths }, mirrored)
}

/// The singular value decomposition `U Σ Vᵀ`: `U Σ` moves, turns and scales, `Vᵀ` only turns.
fn split(matrix: &DMat4) -> (Transform, Transform) {
    let [x, y, z] = columns(matrix);
    let linear = DMat3::from_cols(x, y, z);
    let mut v = eigenvectors(linear.transpose() * linear);
    if v.determinant() < 0.0 {
        v.z_axis = -v.z_axis;
    }
    let scaled = linear * v;
    let lengths = DVec3::new(scaled.x_axis.length(), scaled.y_axis.length(), scaled.z_axis.length());
    let mirrored = scaled.determinant() < 0.0;
    let basis = orthonormal([scaled.x_axis, scaled.y_axis, scaled.z_axis]);
    let lengths = if mirrored { lengths * DVec3::new(-1.0, 1.0, 1.0) } else { lengths };
    let frame = transform(matrix.w_axis.truncate(), basis, lengths, mirrored);
    let inner = Transform::from_rotation(DQuat::from_mat3(&v.transpose()).normalize().as_quat());
    (frame, inner)
}

fn transform(translation: DVec3, mut basis: [DVec3; 3], scale: DVec3, mirrored: bool) -> Transform {
    if mirrored {
        basis[0] = -basis[0];
    }
    let [x, y, z] = basis;
    let rotation = DQuat::from_mat3(&DMat3::from_cols(x, y, z)).normalize();
    Transform { translation: translation.as_vec3(), rotation: rotation.as_quat(), scale: scale.as_vec3() }
}

fn columns(matrix: &DMat4) -> [DVec3; 3] {
    [matrix.x_axis.truncate(), matrix.y_axis.truncate(), matrix.z_axis.truncate()]
}

/// Directions square to each other, near the given ones, of the same handedness. Where one is nothing, what is square to the others.
fn orthonormal([x, y, z]: [DVec3; 3]) -> [DVec3; 3] {
    let handed = if DMat3::from_cols(x, y, z).determinant() < 0.0 { -1.0 } else { 1.0 };
    let first = x.try_normalize();
    let second = y.try_normalize();
    let third = z.try_normalize();
    match (first, second, third) {
        (Some(x), Some(y), _) => square(x, y, handed),
        (Some(x), None, Some(z)) => {
            let y = z.cross(x);
            square(x, y, handed)
        }
        (None, Some(y), Some(z)) => {
            let [y, z, x] = square(y, z, handed);
            [x, y, z]
        }
        (Some(x), None, None) => {
            let y = x.any_orthonormal_vector();
            [x, y, x.cross(y)]
        }
        (None, Some(y), None) => {
            let z = y.any_orthonormal_vector();
            [y.cross(z), y, z]
        }
        (None, None, Some(z)) => {
            let x = z.any_orthonormal_vector();
            [x, z.cross(x), z]
        }
        (None, None, None) => [DVec3::X, DVec3::Y, DVec3::Z],
    }
}

fn square(x: DVec3, y: DVec3, handed: f64) -> [DVec3; 3] {
    let y = (y - x * x.dot(y)).try_normalize().unwrap_or_else(|| x.any_orthonormal_vector());
    [x, y, x.cross(y) * handed]
}

/// The eigenvectors of a symmetric matrix as columns: Jacobi's rotations (Golub and Van Loan, "Matrix Computations", §8.5).
fn eigenvectors(matrix: DMat3) -> DMat3 {
    let mut a = matrix.to_cols_array_2d();
    let mut v = DMat3::IDENTITY;
    for _sweep in 0..32 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            let off = a[p][q];
            if off.abs() <= f64::EPSILON * (a[p][p].abs() + a[q][q].abs()) {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * off);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let t = if theta == 0.0 { 1.0 } else { t };
            let cos = 1.0 / (t * t + 1.0).sqrt();
            let mut turn = DMat3::IDENTITY.to_cols_array_2d();
            turn[p][p] = cos;
            turn[q][q] = cos;
            turn[q][p] = t * cos;
            turn[p][q] = -t * cos;
            let turn = DMat3::from_cols_array_2d(&turn);
            v *= turn;
            a = (turn.transpose() * DMat3::from_cols_array_2d(&a) * turn).to_cols_array_2d();
        }
    }
    v
}

/// Whether a transform is sheared at any time, as far as its samples and the middles between them show.
pub(super) fn is_ever_sheared(xform: &Xform, time: f64) -> bool {
    if !xform.is_animated() {
        return is_sheared(&xform.parent_from_prim(time));
    }
    sample_times(xform).into_iter().any(|time| is_sheared(&xform.parent_from_prim(time)))
}

/// The times of a transform's samples and the middles between them; of many, some.
fn sample_times(xform: &Xform) -> Vec<f64> {
    const MOST: usize = 128;
    let mut times: Vec<f64> = Vec::new();
    for op in &xform.ops {
        match &op.value {
            XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
                times.extend(value.samples.iter().map(|(time, _)| *time));
            }
            XformOpValue::Orient(value) => times.extend(value.samples.iter().map(|(time, _)| *time)),
            XformOpValue::Transform(value) => times.extend(value.samples.iter().map(|(time, _)| *time)),
        }
    }
    times.sort_by(f64::total_cmp);
    times.dedup();
    let step = times.len().div_ceil(MOST).max(1);
    let times: Vec<f64> = times.into_iter().step_by(step).collect();
    let middles = times.windows(2).map(|pair| pair.iter().sum::<f64>() / 2.0).collect::<Vec<_>>();
    times.into_iter().chain(middles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matrix_of(local: Local) -> DMat4 {
        let matrix = |transform: Transform| transform.to_matrix().as_dmat4();
        match local {
            Local::Plain(transform) => matrix(transform),
            Local::Sheared { frame, inner } => matrix(frame) * matrix(inner),
        }
    }

    proptest! {
        #[test]
        fn any_matrix_is_held_by_one_transform_or_two(numbers in proptest::array::uniform12(-4.0_f64..4.0)) {
            let [a, b, c, d, e, f, g, h, i, x, y, z] = numbers;
            let matrix = DMat4::from_cols_array(&[a, b, c, 0.0, d, e, f, 0.0, g, h, i, 0.0, x, y, z, 1.0]);
            prop_assert!(matrix_of(decompose(&matrix, false)).abs_diff_eq(matrix, 1e-4));
            prop_assert!(matrix_of(decompose(&matrix, true)).abs_diff_eq(matrix, 1e-4));
        }

        #[test]
        fn a_turned_and_scaled_matrix_needs_one_transform(
            angles in proptest::array::uniform3(-3.0_f64..3.0),
            scale in proptest::array::uniform3(prop_oneof![-4.0..-0.1_f64, 0.1..4.0_f64]),
        ) {
            let [a, b, c] = angles;
            let rotation = DQuat::from_euler(EulerRot::XYZ, a, b, c);
            let matrix = DMat4::from_scale_rotation_translation(DVec3::from_array(scale), rotation, DVec3::new(1.0, 2.0, 3.0));
            let local = decompose(&matrix, false);
            prop_assert!(matches!(local, Local::Plain(_)));
            prop_assert!(matrix_of(local).abs_diff_eq(matrix, 1e-4));
        }
    }

    #[test]
    fn a_matrix_without_extent_or_numbers_is_held_too() {
        let flat = DMat4::from_scale(DVec3::new(1.0, 0.0, 2.0));
        assert!(matrix_of(decompose(&flat, false)).abs_diff_eq(flat, 1e-6));
        let none = DMat4::from_scale(DVec3::ZERO);
        assert!(matrix_of(decompose(&none, false)).abs_diff_eq(none, 1e-6));
        let nan = DMat4::from_scale(DVec3::NAN);
        assert_eq!(decompose(&nan, false), Local::Plain(Transform::IDENTITY));
    }
}
