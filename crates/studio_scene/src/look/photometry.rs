//! Light in numbers: from `UsdLux`'s luminance to lumens, candela and lux.
//!
//! A light's surface has the luminance `L = intensity * 2^exposure` nits in every direction (`UsdLux`, `LightAPI`). So a surface of area `A`
//! gives off `π L A` lumens (Lambert's law), a ball of radius r has the intensity `L π r²` candela towards every side, and a flat surface
//! `L A cos θ`. A distant light of angular diameter `α` gives a surface that faces it `L π sin²(α/2)` lux.
//!
//! With `normalize`, L is first divided by the area, in units² of the stage (of a distant light: by `π sin²(α/2)`), so the light stays the
//! same when it grows. Areas in metres are those in units times `meters_per_unit²`; because distances become metres by the same factor,
//! what arrives at a surface is the same in any unit.

use super::finite_or;
use bevy::math::{DVec3, Vec3};
use std::f64::consts::PI;
use studio_usd::snapshot::{Light, LightKind};

/// Largest flux, intensity or illuminance that is passed on: files may say anything, shaders have to stay finite.
pub const BRIGHTEST: f64 = 1e15;

/// The luminance of a light's surface in nits, before `normalize`, for a colour of 1.
pub fn luminance_nits(light: &Light, time: f64) -> f64 {
    let intensity = f64::from(finite_or(light.intensity.at(time), 1.0));
    let exposure = f64::from(finite_or(light.exposure.at(time), 0.0));
    (intensity * exposure.exp2()).clamp(0.0, BRIGHTEST)
}

/// A light's colour, its colour temperature worked in. Linear, Rec. 709; not limited to 1.
pub fn color(light: &Light, time: f64) -> Vec3 {
    let color = light.color.at(time).filter(|color| color.is_finite()).unwrap_or(Vec3::ONE).max(Vec3::ZERO);
    if !light.enable_color_temperature {
        return color;
    }
    color * color_of_temperature(finite_or(light.color_temperature_k.at(time), 6500.0))
}

/// The area of a light's surface, where local axes have these lengths in any unit; `None` for a light that has none.
///
/// The ends of a cylinder do not shine. A ball under uneven scale is taken for one of the same volume.
pub fn area(kind: &LightKind, axes: DVec3) -> Option<f64> {
    let mean = (axes.x * axes.y * axes.z).abs().cbrt();
    let size = |value: f32| if value.is_finite() { f64::from(value.max(0.0)) } else { 0.0 };
    Some(match kind {
        LightKind::Sphere { radius, .. } => 4.0 * PI * (size(*radius) * mean).powi(2),
        LightKind::Disk { radius } => PI * size(*radius).powi(2) * axes.x * axes.y,
        LightKind::Rect { width, height, .. } => size(*width) * axes.x * size(*height) * axes.y,
        LightKind::Cylinder { length, radius, .. } => {
            2.0 * PI * size(*radius) * (axes.y * axes.z).sqrt() * size(*length) * axes.x
        }
        LightKind::Distant { .. } | LightKind::Dome { .. } | LightKind::Other => return None,
    })
}

/// All the light that a surface gives off, in lumens, where local axes have these lengths in metres. Lights without a surface: 0.
///
/// A light of no size is taken for a normalized one: it would be dark otherwise, which no file means.
pub fn flux_lm(light: &Light, time: f64, axes_m: DVec3, meters_per_unit: f64) -> f64 {
    let Some(area_m2) = area(&light.kind, axes_m) else { return 0.0 };
    let nits = luminance_nits(light, time);
    let shining_m2 = if light.normalize || area_m2 <= 0.0 { meters_per_unit * meters_per_unit } else { area_m2 };
    (PI * nits * shining_m2).clamp(0.0, BRIGHTEST)
}

/// What a distant light of an angular diameter multiplies luminance by, in steradians weighted by the cosine. An angle of 0 gives 1: then
/// the intensity is the illuminance itself.
pub fn distant_size_factor(angle_deg: f32) -> f64 {
    let half = f64::from(if angle_deg.is_finite() { angle_deg } else { 0.0 }).to_radians().abs() * 0.5;
    match half {
        0.0 => 1.0,
        half if half <= PI / 2.0 => PI * half.sin().powi(2),
        half => PI * (2.0 - half.min(PI).sin().powi(2)),
    }
}

/// The illuminance that a distant light gives a surface that faces it, in lux.
pub fn illuminance_lx(light: &Light, time: f64, angle_deg: f32) -> f64 {
    let factor = if light.normalize { 1.0 } else { distant_size_factor(angle_deg) };
    (luminance_nits(light, time) * factor).clamp(0.0, BRIGHTEST)
}

/// The linear Rec. 709 colour of a black body, scaled to a luminance of 1; colours outside of the gamut are clipped. Temperatures are kept
/// to 1,000 to 10,000 kelvin, as `UsdLux` does.
///
/// Planck's law, summed over the CIE 1931 colour matching functions in the approximation of Wyman, Sloan and Shirley ("Simple Analytic
/// Approximations to the CIE XYZ Color Matching Functions", Journal of Computer Graphics Techniques 2(2), 2013), then the matrix of
/// IEC 61966-2-1 from XYZ to linear sRGB.
pub fn color_of_temperature(kelvin: f32) -> Vec3 {
    let kelvin = if kelvin.is_nan() { 6500.0 } else { f64::from(kelvin).clamp(1_000.0, 10_000.0) };
    let lobe = |x: f64, mean: f64, below: f64, above: f64| {
        let t = (x - mean) * if x < mean { below } else { above };
        (-0.5 * t * t).exp()
    };
    let mut xyz = DVec3::ZERO;
    for step in 0..=94 {
        let nm = 360.0 + 5.0 * f64::from(step);
        // Planck's law without its constant factor; hc/k is 1.438777e7 nm K.
        let radiance = (nm / 560.0).powi(-5) / ((1.438_777e7 / (nm * kelvin)).exp() - 1.0);
        let x = 1.056 * lobe(nm, 599.8, 0.0264, 0.0323) + 0.362 * lobe(nm, 442.0, 0.0624, 0.0374)
            - 0.065 * lobe(nm, 501.1, 0.0490, 0.0382);
        let y = 0.821 * lobe(nm, 568.8, 0.0213, 0.0247) + 0.286 * lobe(nm, 530.9, 0.0613, 0.0322);
        let z = 1.217 * lobe(nm, 437.0, 0.0845, 0.0278) + 0.681 * lobe(nm, 459.0, 0.0385, 0.0725);
        xyz += radiance * DVec3::new(x, y, z);
    }
    let xyz = xyz / xyz.y;
    let rgb = DVec3::new(
        DVec3::new(3.240_97, -1.537_383, -0.498_611).dot(xyz),
        DVec3::new(-0.969_244, 1.875_968, 0.041_555).dot(xyz),
        DVec3::new(0.055_63, -0.203_977, 1.056_972).dot(xyz),
    )
    .max(DVec3::ZERO);
    (rgb / rgb.dot(DVec3::new(0.2126, 0.7152, 0.0722))).as_vec3()
}

#[cfg(test)]
mod tests {
    use super::*;
    use studio_usd::snapshot::{LightShaping, Sampled};

    pub(crate) fn light(kind: LightKind, intensity: f32) -> Light {
        Light {
            kind,
            intensity: intensity.into(),
            exposure: 0.0.into(),
            color: Vec3::ONE.into(),
            enable_color_temperature: false,
            color_temperature_k: 6500.0.into(),
            normalize: false,
            diffuse: 1.0,
            specular: 1.0,
            casts_shadows: true,
            shaping: None::<LightShaping>,
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * b.abs().max(1e-12)
    }

    #[test]
    fn a_ball_lights_a_surface_as_its_luminance_and_solid_angle_say() {
        // Radius 5 cm, 2 m away, 1000 nits: E = L π (r/d)² = 1000 π 0.000625 lux.
        let ball = light(LightKind::Sphere { radius: 5.0, treat_as_point: false }, 1000.0);
        let candela = flux_lm(&ball, 0.0, DVec3::splat(0.01), 0.01) / (4.0 * PI);
        assert!(close(candela / 4.0, 1000.0 * PI * 0.000_625), "{candela}");
    }

    #[test]
    fn what_arrives_does_not_depend_on_the_stages_unit() {
        for normalize in [false, true] {
            let rect = Light { normalize, ..light(LightKind::Rect { width: 2.0, height: 3.0, texture: String::new() }, 50.0) };
            let lux_at_ten_units = |meters_per_unit: f64| {
                flux_lm(&rect, 0.0, DVec3::splat(meters_per_unit), meters_per_unit) / PI / (10.0 * meters_per_unit).powi(2)
            };
            // Head on and far enough: L A / d², where normalize takes the area out again.
            let expected = if normalize { 50.0 / 100.0 } else { 50.0 * 6.0 / 100.0 };
            assert!(close(lux_at_ten_units(1.0), expected) && close(lux_at_ten_units(0.01), expected));
        }
    }

    #[test]
    fn normalized_lights_stay_as_bright_when_they_grow_and_others_do_not() {
        let flux = |radius: f32, normalize: bool| {
            flux_lm(&Light { normalize, ..light(LightKind::Disk { radius }, 7.0) }, 0.0, DVec3::ONE, 1.0)
        };
        assert!(close(flux(1.0, true), flux(3.0, true)) && close(9.0 * flux(1.0, false), flux(3.0, false)));
        assert!(close(flux(2.0, false), PI * 7.0 * 4.0 * PI));
    }

    #[test]
    fn exposure_doubles_and_a_sun_has_its_solid_angle() {
        let mut sun = light(LightKind::Distant { angle_deg: 0.53 }, 50_000.0);
        let lux = illuminance_lx(&sun, 0.0, 0.53);
        assert!(
            (lux - 50_000.0 * PI * (0.265_f64.to_radians()).sin().powi(2)).abs() < 1e-3 && (3.35..3.37).contains(&lux),
            "{lux}"
        );
        sun.exposure = 3.0.into();
        assert!(close(illuminance_lx(&sun, 0.0, 0.53), 8.0 * lux));
        sun.normalize = true;
        assert!(close(illuminance_lx(&sun, 0.0, 0.53), 400_000.0) && close(illuminance_lx(&sun, 0.0, 0.0), 400_000.0));
        // Light from everywhere above is π times the luminance, from everywhere at all 2 π.
        assert!(close(distant_size_factor(180.0), PI) && close(distant_size_factor(360.0), 2.0 * PI));
    }

    #[test]
    fn color_temperatures_are_those_of_usdlux() {
        // UsdLux.BlackbodyTemperatureAsRgb of usd-core 26.11.
        for (kelvin, expected) in [
            (1500.0, Vec3::new(3.128_522_6, 0.468_227_2, 0.0)),
            (2000.0, Vec3::new(2.520_565_5, 0.646_888_26, 0.020_403_985)),
            (2700.0, Vec3::new(1.935_323_8, 0.803_565_74, 0.191_689_55)),
            (4000.0, Vec3::new(1.414_028_2, 0.924_039_07, 0.533_307_8)),
            (6500.0, Vec3::new(1.043_333_4, 0.983_624_46, 1.034_613_3)),
            (10_000.0, Vec3::new(0.871_841_3, 0.994_687_9, 1.429_995_9)),
        ] {
            let color = color_of_temperature(kelvin);
            assert!(color.abs_diff_eq(expected, 0.05), "{kelvin} K: {color} rather than {expected}");
        }
    }

    #[test]
    fn nonsense_stays_finite() {
        let mut wild = light(LightKind::Sphere { radius: f32::INFINITY, treat_as_point: false }, f32::NAN);
        wild.exposure = Sampled::from(1e9);
        wild.color = Vec3::new(f32::NAN, -1.0, f32::INFINITY).into();
        wild.enable_color_temperature = true;
        wild.color_temperature_k = f32::NAN.into();
        assert!(flux_lm(&wild, 0.0, DVec3::ONE, 1.0).is_finite() && color(&wild, 0.0).is_finite());
    }
}
