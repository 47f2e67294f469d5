//! Lights: Bevy's to `UsdLux`, the inverse of `look`'s photometry.
//!
//! Every light is `normalize`d, so its size does not change how bright it is. A surface then gives off `π L` lumens, where `L` is
//! `inputs:intensity` (`UsdLux`, `LightAPI`); so `L` is the flux by π. Of a distant light it is the illuminance itself.

use super::{ExportError, animated::Animated, picture::vec3f, state::LightState};
use bevy::{light::RectLight, prelude::*};
use std::f32::consts::PI;
use studio_usd::{
    snapshot::{self, LightKind, LightShaping},
    write::{
        LayerBuilder,
        sdf::{AssetPath, Path, Value},
    },
};

/// The angle that the sun is seen under.
const SUN_DEG: f32 = 0.53;

/// The type of a light's prim.
pub(super) const fn type_name(light: &LightState) -> &'static str {
    match light {
        LightState::Point(_) | LightState::Spot(_) => "SphereLight",
        LightState::Directional(_) => "DistantLight",
        LightState::Rect(_) => "RectLight",
        LightState::Usd(light) => match &light.0.kind {
            LightKind::Distant { .. } => "DistantLight",
            LightKind::Sphere { .. } | LightKind::Other => "SphereLight",
            LightKind::Disk { .. } => "DiskLight",
            LightKind::Rect { .. } => "RectLight",
            LightKind::Cylinder { .. } => "CylinderLight",
            // The older schema has its pole on Y, whatever is up.
            LightKind::Dome { pole_is_stage_up: true, .. } => "DomeLight_1",
            LightKind::Dome { .. } => "DomeLight",
        },
    }
}

/// The picture of a light, by name.
pub(super) fn picture(light: &LightState) -> Option<&str> {
    let LightState::Usd(light) = light else { return None };
    match &light.0.kind {
        LightKind::Dome { texture, .. } | LightKind::Rect { texture, .. } => {
            Some(texture.as_str()).filter(|name| !name.is_empty())
        }
        _ => None,
    }
}

/// `inputs:intensity`, colour, and whether it casts shadows.
fn brightness(light: &LightState) -> (f32, Color, bool) {
    match light {
        LightState::Point(light) => (light.intensity / PI, light.color, light.shadow_maps_enabled),
        LightState::Spot(light) => (light.intensity / PI, light.color, light.shadow_maps_enabled),
        LightState::Directional(light) => (light.illuminance, light.color, light.shadow_maps_enabled),
        LightState::Rect(light) => (light.intensity / PI, light.color, false),
        LightState::Usd(light) => {
            let (light, time) = &**light;
            let color = light.color.at(*time).unwrap_or(Vec3::ONE);
            (light.intensity.at(*time).unwrap_or(1.0), Color::linear_rgb(color.x, color.y, color.z), light.casts_shadows)
        }
    }
}

fn is_finite(light: &LightState) -> bool {
    let (intensity, color, _) = brightness(light);
    let sizes = match light {
        LightState::Point(light) => [light.radius, 0.0, 0.0],
        LightState::Spot(light) => [light.radius, light.inner_angle, light.outer_angle],
        LightState::Directional(_) => [0.0; 3],
        LightState::Rect(RectLight { width, height, .. }) => [*width, *height, 0.0],
        LightState::Usd(light) => [light.0.exposure.at(light.1).unwrap_or(0.0), light.0.diffuse, light.0.specular],
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
    if let Some(LightState::Usd(light)) = states.0.iter().find_map(|(_, state)| state.light.as_ref()) {
        return write_usd(layer, prim, states, &light.0);
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

/// Writes a light that is USD's: as it was read.
fn write_usd(layer: &mut LayerBuilder, prim: &Path, states: &Animated<'_>, light: &snapshot::Light) -> Result<(), ExportError> {
    let mut put = |name: &str, type_name: &str, value: &dyn Fn(&snapshot::Light, f64) -> Option<Value>| {
        let of = |state: &super::state::EntityState| match state.light.as_ref()? {
            LightState::Usd(light) => value(&light.0, light.1),
            _ => None,
        };
        states.put(layer, prim, name, type_name, of).map(|_| ())
    };
    put("inputs:intensity", "float", &|light, time| light.intensity.at(time).map(Value::Float))?;
    put("inputs:exposure", "float", &|light, time| light.exposure.at(time).map(Value::Float))?;
    put("inputs:color", "color3f", &|light, time| light.color.at(time).map(|color| Value::Vec3f(vec3f(color))))?;
    if light.enable_color_temperature {
        put("inputs:enableColorTemperature", "bool", &|_, _| Some(Value::Bool(true)))?;
        put("inputs:colorTemperature", "float", &|light, time| light.color_temperature_k.at(time).map(Value::Float))?;
    }
    let mut set = |name: &str, type_name: &str, value: Value| layer.attribute(prim, name, type_name, value).map(|_| ());
    let mut float = |name: &str, value: f32| set(name, "float", Value::Float(value));
    match &light.kind {
        LightKind::Distant { angle_deg } => float("inputs:angle", *angle_deg)?,
        LightKind::Sphere { radius, .. } | LightKind::Disk { radius } => float("inputs:radius", *radius)?,
        LightKind::Rect { width, height, .. } => {
            float("inputs:width", *width)?;
            float("inputs:height", *height)?;
        }
        LightKind::Cylinder { length, radius, .. } => {
            float("inputs:length", *length)?;
            float("inputs:radius", *radius)?;
        }
        LightKind::Dome { .. } | LightKind::Other => {}
    }
    if light.diffuse != 1.0 {
        float("inputs:diffuse", light.diffuse)?;
    }
    if light.specular != 1.0 {
        float("inputs:specular", light.specular)?;
    }
    if let Some(LightShaping { cone_angle_deg, cone_softness, focus, .. }) = &light.shaping {
        float("inputs:shaping:cone:angle", *cone_angle_deg)?;
        float("inputs:shaping:cone:softness", *cone_softness)?;
        float("inputs:shaping:focus", *focus)?;
    }
    match &light.kind {
        LightKind::Sphere { treat_as_point: true, .. } => set("treatAsPoint", "bool", Value::Bool(true))?,
        LightKind::Cylinder { treat_as_line: true, .. } => set("treatAsLine", "bool", Value::Bool(true))?,
        LightKind::Dome { texture, .. } | LightKind::Rect { texture, .. } if !texture.is_empty() => {
            set("inputs:texture:file", "asset", Value::AssetPath(AssetPath::new(texture.clone())))?;
        }
        _ => {}
    }
    if let LightKind::Dome { texture_format, .. } = &light.kind
        && !texture_format.is_empty()
    {
        set("inputs:texture:format", "token", Value::token(texture_format.clone()))?;
    }
    set("inputs:normalize", "bool", Value::Bool(light.normalize))?;
    if !light.casts_shadows {
        set("inputs:shadow:enable", "bool", Value::Bool(false))?;
        layer.apply_schema(prim, "ShadowAPI")?;
    }
    if light.shaping.is_some() {
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
