//! Lights: `UsdLux`, with its attributes' names before (`intensity`) and since (`inputs:intensity`) they became shader inputs.

use super::{
    read::PrimReader,
    value::{self, Asset, BOOL, F32, VEC3},
};
use crate::snapshot::{Light, LightKind, LightShaping, Sampled};
use glam::Vec3;

/// A light by its type; `None` for other types.
pub(super) fn light(prim: &PrimReader<'_>, type_name: &str, api_schemas: &[String]) -> Option<Light> {
    let is_mesh_light = api_schemas.iter().any(|name| matches!(name.as_str(), "MeshLightAPI" | "VolumeLightAPI" | "LightAPI"));
    let kind = match type_name {
        "DistantLight" => LightKind::Distant { angle_deg: number(prim, "angle", 0.53) },
        "SphereLight" => LightKind::Sphere {
            radius: number(prim, "radius", 0.5),
            treat_as_point: prim.uniform_or("treatAsPoint", BOOL, false),
        },
        "DiskLight" => LightKind::Disk { radius: number(prim, "radius", 0.5) },
        "RectLight" => LightKind::Rect {
            width: number(prim, "width", 1.0),
            height: number(prim, "height", 1.0),
            texture: texture(prim, "texture:file"),
        },
        "CylinderLight" => LightKind::Cylinder {
            length: number(prim, "length", 1.0),
            radius: number(prim, "radius", 0.5),
            treat_as_line: prim.uniform_or("treatAsLine", BOOL, false),
        },
        "DomeLight" | "DomeLight_1" => LightKind::Dome {
            texture: texture(prim, "texture:file"),
            texture_format: prim.uniform_or(&name(prim, "texture:format"), value::TOKEN, "automatic".to_owned()),
            // `scene` is the stage's up axis. A dome of the older schema has its pole on Y whatever is up.
            pole_is_stage_up: type_name == "DomeLight_1"
                && prim.uniform_or("poleAxis", value::TOKEN, "scene".to_owned()) == "scene",
        },
        "GeometryLight" | "PortalLight" | "PluginLight" => LightKind::Other,
        // `LightAPI` on a type that nothing here draws; meshes and volumes stay what they are.
        "" if is_mesh_light => LightKind::Other,
        _ => return None,
    };
    // A distant light's unit is the sun's.
    let intensity = if type_name == "DistantLight" { 50_000.0 } else { 1.0 };
    Some(Light {
        kind,
        intensity: sampled(prim, "intensity", intensity),
        exposure: sampled(prim, "exposure", 0.0),
        color: prim.sampled_or(&name(prim, "color"), VEC3, Vec3::ONE),
        enable_color_temperature: prim.uniform_or(&name(prim, "enableColorTemperature"), BOOL, false),
        color_temperature_k: sampled(prim, "colorTemperature", 6500.0),
        normalize: prim.uniform_or(&name(prim, "normalize"), BOOL, false),
        diffuse: number(prim, "diffuse", 1.0),
        specular: number(prim, "specular", 1.0),
        casts_shadows: prim.uniform_or(&name(prim, "shadow:enable"), BOOL, true),
        shaping: shaping(prim, api_schemas),
    })
}

/// The name that an input has in this file.
fn name(prim: &PrimReader<'_>, input: &str) -> String {
    let new = format!("inputs:{input}");
    if !prim.has(&new) && prim.has(input) { input.to_owned() } else { new }
}

fn number(prim: &PrimReader<'_>, input: &str, fallback: f32) -> f32 {
    prim.uniform_or(&name(prim, input), F32, fallback)
}

fn sampled(prim: &PrimReader<'_>, input: &str, fallback: f32) -> Sampled<f32> {
    prim.sampled_or(&name(prim, input), F32, fallback)
}

/// The identifier of a picture: as resolved, or as written where nothing was found (who reads it says that it is missing).
fn texture(prim: &PrimReader<'_>, input: &str) -> String {
    let Asset { authored, resolved } = prim.uniform_or(&name(prim, input), value::ASSET, Asset::default());
    if resolved.is_empty() && !authored.is_empty() {
        prim.warn(format!("`{input}`: there is nothing at `{authored}`"));
    }
    resolved
}

/// The cone, if `ShapingAPI` is applied or one of its inputs is there.
fn shaping(prim: &PrimReader<'_>, api_schemas: &[String]) -> Option<LightShaping> {
    let is_applied = api_schemas.iter().any(|name| name == "ShapingAPI");
    let is_there = prim.names.iter().any(|name| name.starts_with("inputs:shaping:") || name.starts_with("shaping:"));
    (is_applied || is_there).then(|| LightShaping {
        cone_angle_deg: number(prim, "shaping:cone:angle", 90.0),
        cone_softness: number(prim, "shaping:cone:softness", 0.0),
        focus: number(prim, "shaping:focus", 0.0),
        ies_file: texture(prim, "shaping:ies:file"),
    })
}
