//! From one calibration of a rig to another.

use crate::{
    lens::{Lens, LensModel, PanoRadial},
    rig::{Crop, Exposure, Orientation, PixelRect, Rig, RigLens, Vignetting},
};
use bevy::math::{DMat3, DQuat};

/// A calibration a part (0 to 1) of the way between two: rotations along the shortest way, everything else in a straight line. `None` where
/// the two are not of one kind: other pictures, other lenses, another lens model, another kind of crop.
pub fn between(from: &Rig, to: &Rig, part: f64) -> Option<Rig> {
    if from.pictures != to.pictures || from.lenses.len() != to.lenses.len() {
        return None;
    }
    let lenses = from.lenses.iter().zip(&to.lenses).map(|(from, to)| lens_between(from, to, part)).collect::<Option<_>>()?;
    Some(Rig { name: to.name.clone(), pictures: to.pictures.clone(), lenses })
}

fn lens_between(from: &RigLens, to: &RigLens, part: f64) -> Option<RigLens> {
    if from.picture != to.picture {
        return None;
    }
    let region = match (from.region, to.region) {
        (None, None) => None,
        (Some(from), Some(to)) => Some(rect(from, to, part)),
        _ => return None,
    };
    let crop = match (from.crop, to.crop) {
        (Crop::Full, Crop::Full) => Crop::Full,
        (Crop::Rectangle(from), Crop::Rectangle(to)) => Crop::Rectangle(rect(from, to, part)),
        (Crop::Circle { center_px, radius_px }, Crop::Circle { center_px: to_px, radius_px: to_radius_px }) => {
            Crop::Circle { center_px: mix(center_px, to_px, part), radius_px: one(radius_px, to_radius_px, part) }
        }
        _ => return None,
    };
    let [from_turn, to_turn] = [from.orientation, to.orientation].map(|orientation| rotation(orientation.rig_from_lens()));
    let (from_light, to_light) = (from.exposure, to.exposure);
    Some(RigLens {
        name: to.name.clone(),
        picture: to.picture,
        region,
        lens: Lens {
            model: model(&from.lens.model, &to.lens.model, part)?,
            focal_px: mix(from.lens.focal_px, to.lens.focal_px, part),
            center_px: mix(from.lens.center_px, to.lens.center_px, part),
            radial: radial(from.lens.radial, to.lens.radial, part),
            max_angle_deg: match (from.lens.max_angle_deg, to.lens.max_angle_deg) {
                (None, None) => None,
                (Some(from), Some(to)) => Some(one(from, to, part)),
                _ => return None,
            },
        },
        orientation: Orientation::Quaternion(from_turn.slerp(to_turn, part).to_array()),
        translation_m: mix(from.translation_m, to.translation_m, part),
        crop,
        vignetting: vignetting(from.vignetting, to.vignetting, part),
        exposure: Exposure {
            gain_ev: one(from_light.gain_ev, to_light.gain_ev, part),
            white_balance: mix(from_light.white_balance, to_light.white_balance, part),
        },
    })
}

fn rotation(matrix: DMat3) -> DQuat {
    DQuat::from_mat3(&matrix).normalize()
}

fn one(from: f64, to: f64, part: f64) -> f64 {
    from + (to - from) * part
}

fn mix<const N: usize>(from: [f64; N], to: [f64; N], part: f64) -> [f64; N] {
    core::array::from_fn(|index| one(from[index], to[index], part))
}

fn rect(from: PixelRect, to: PixelRect, part: f64) -> PixelRect {
    PixelRect { min: mix(from.min, to.min, part), max: mix(from.max, to.max, part) }
}

fn model(from: &LensModel, to: &LensModel, part: f64) -> Option<LensModel> {
    match (from, to) {
        (LensModel::KannalaBrandt { k: from }, LensModel::KannalaBrandt { k: to }) => {
            Some(LensModel::KannalaBrandt { k: mix(*from, *to, part) })
        }
        (LensModel::BrownConrady { k: from, p: from_p }, LensModel::BrownConrady { k: to, p: to_p }) => {
            Some(LensModel::BrownConrady { k: mix(*from, *to, part), p: mix(*from_p, *to_p, part) })
        }
        (from, to) if from == to => Some(*to),
        _ => None,
    }
}

/// Without a correction is with one of nothing.
fn radial(from: Option<PanoRadial>, to: Option<PanoRadial>, part: f64) -> Option<PanoRadial> {
    let like = from.or(to)?;
    let none = |reference_px| PanoRadial { a: 0.0, b: 0.0, c: 0.0, reference_px };
    let [from, to] = [from, to].map(|radial| radial.unwrap_or(none(like.reference_px)));
    Some(PanoRadial {
        a: one(from.a, to.a, part),
        b: one(from.b, to.b, part),
        c: one(from.c, to.c, part),
        reference_px: one(from.reference_px, to.reference_px, part),
    })
}

fn vignetting(from: Option<Vignetting>, to: Option<Vignetting>, part: f64) -> Option<Vignetting> {
    let like = from.or(to)?;
    let [from, to] =
        [from, to].map(|vignetting| vignetting.unwrap_or(Vignetting { coefficients: [0.0; 3], radius_px: like.radius_px }));
    Some(Vignetting {
        coefficients: mix(from.coefficients, to.coefficients, part),
        radius_px: one(from.radius_px, to.radius_px, part),
    })
}
