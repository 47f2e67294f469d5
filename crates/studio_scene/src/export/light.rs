//! Lights: Bevy's to `UsdLux`, the inverse of `look`'s photometry.
//!
//! Every light is `normalize`d, so its size does not change how bright it is. A surface then gives off `π L` lumens, where `L` is
//! `inputs:intensity` (`UsdLux`, `LightAPI`); so `L` is the flux by π. Of a distant light it is the illuminance itself.

use super::{ExportError, animated::Animated, picture::vec3f, state::LightState};
use bevy::{light::RectLight, prelude::*};
use std::f32::consts::PI;
use studio_usd::write::{
    LayerBuilder,
    sdf::{Path, Value},
};

/// The angle that the sun is seen under.
const SUN_DEG: f32 = 0.53;

/// The type of a light's prim.
pub(super) const fn type_name(light: &LightState) -> &'static str {
    match light {
        LightState::Point(_) | LightState::Spot(_) => "SphereLight",
        LightState::Directional(_) => "DistantLight",
        LightState::Rect(_) => "RectLight",
    }
}

/// `inputs:intensity`, colour, and whether it casts shadows.
fn brightness(light: &LightState) -> (f32, Color, bool) {
    match light {
        LightState::Point(light) => (light.intensity / PI, light.color, light.shadow_maps_enabled),
        LightState::Spot(light) => (light.intensity / PI, light.color, light.shadow_maps_enabled),
        LightState::Directional(light) => (light.illuminance, light.color, light.shadow_maps_enabled),
        LightState::Rect(light) => (light.intensity / PI, light.color, false),
    }
}

fn is_finite(light: &LightState) -> bool {
    let (intensity, color, _) = brightness(light);
    let sizes = match light {
        LightState::Point(light) => [light.radius, 0.0, 0.0],
        LightState::Spot(light) => [light.radius, light.inner_angle, light.outer_angle],
        LightState::Directional(_) => [0.0; 3],
        LightState::Rect(RectLight { width, height, .. }) => [*width, *height, 0.0],
    };
    intensity.is_finite() && color.to_linear().to_vec3().is_finite() && sizes.iter().all(|size| size.is_finite())
}

/// Writes a light's attributes.
pub(super) fn write(
    layer: &mut LayerBuilder,
    prim: &Path,
    states: &Animated<'_>,
    entity: Entity,
    name: &str,
) -> Result<(), ExportError> {
    if states.0.iter().filter_map(|(_, state)| state.light.as_ref()).any(|light| !is_finite(light)) {
        return Err(ExportError::NotFinite { entity, name: name.to_owned(), what: "the light" });
    }
    let mut put = |name: &str, type_name: &str, value: &dyn Fn(&LightState) -> Option<Value>| {
        states.put(layer, prim, name, type_name, |state| state.light.as_ref().and_then(value)).map(|_| ())
    };
    put("inputs:intensity", "float", &|light| Some(Value::Float(brightness(light).0)))?;
    put("inputs:color", "color3f", &|light| Some(Value::Vec3f(vec3f(brightness(light).1.to_linear().to_vec3()))))?;
    put("inputs:normalize", "bool", &|_| Some(Value::Bool(true)))?;
    put("inputs:angle", "float", &|light| matches!(light, LightState::Directional(_)).then_some(Value::Float(SUN_DEG)))?;
    put("inputs:radius", "float", &|light| radius(light).map(Value::Float))?;
    put("treatAsPoint", "bool", &|light| radius(light).map(|radius| Value::Bool(radius <= 0.0)))?;
    put("inputs:width", "float", &|light| rect(light).map(|light| Value::Float(light.width)))?;
    put("inputs:height", "float", &|light| rect(light).map(|light| Value::Float(light.height)))?;
    put("inputs:shaping:cone:angle", "float", &|light| spot(light).map(|light| Value::Float(light.outer_angle.to_degrees())))?;
    put("inputs:shaping:cone:softness", "float", &|light| {
        // The cone fades from `angle (1 - softness)` to `angle`.
        let softness = |light: &SpotLight| (1.0 - light.inner_angle / light.outer_angle.max(1e-6)).clamp(0.0, 1.0);
        spot(light).map(|light| Value::Float(softness(light)))
    })?;
    put("inputs:shadow:enable", "bool", &|light| Some(Value::Bool(brightness(light).2)))?;
    layer.apply_schema(prim, "ShadowAPI")?;
    if states.0.iter().any(|(_, state)| matches!(state.light, Some(LightState::Spot(_)))) {
        layer.apply_schema(prim, "ShapingAPI")?;
    }
    Ok(())
}

const fn radius(light: &LightState) -> Option<f32> {
    match light {
        LightState::Point(light) => Some(light.radius),
        LightState::Spot(light) => Some(light.radius),
        _ => None,
    }
}

const fn spot(light: &LightState) -> Option<&SpotLight> {
    if let LightState::Spot(light) = light { Some(light) } else { None }
}

const fn rect(light: &LightState) -> Option<&RectLight> {
    if let LightState::Rect(light) = light { Some(light) } else { None }
}
