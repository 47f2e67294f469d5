//! Materials: `UsdPreviewSurface`, and what of other surfaces can be said in its terms.

use super::{
    mtlx,
    network::{COLOR, Network, Source, shader_id},
    read::PrimReader,
    value::{F32, TOKEN},
};
use crate::snapshot::{InputSource, Material, PreviewSurface};
use glam::Vec3;
use std::rc::Rc;

/// The outputs a surface may be at, the one for all renderers first.
const SURFACES: [&str; 2] = ["outputs:surface", "outputs:mtlx:surface"];

pub(super) fn material<'a>(prim: &PrimReader<'a>) -> Material {
    let network = Network::new(prim.reader, &prim.scope);
    let root = network.root(prim.path());
    let mut surface = None;
    let mut unknown = Vec::new();
    for output in SURFACES {
        match network.source(&root, output) {
            Some(Source::Shader(shader, _)) => {
                surface = read_surface(&network, &shader);
                if surface.is_some() {
                    break;
                }
                unknown.push(format!("the surface {} at `{output}`", shader_id(&shader)));
            }
            // An output without a connection says nothing.
            Some(Source::Value(..)) | None => {}
        }
    }
    // Surfaces for one renderer only.
    for name in &prim.names {
        let is_other = name.starts_with("outputs:") && name.ends_with(":surface") && !SURFACES.contains(&name.as_str());
        if is_other && surface.is_none() {
            unknown.push(format!("the surface at `{name}`"));
        }
        if name.ends_with(":volume") || name.as_str() == "outputs:volume" {
            unknown.push(format!("the volume at `{name}`"));
        }
        if name.starts_with("outputs:") || name.starts_with("inputs:") {
            prim.take(name);
        }
    }
    if surface.is_some() {
        unknown.retain(|what| !what.starts_with("the surface"));
    }
    let mut left_out = unknown;
    left_out.extend(network.into_left_out());
    Material { surface, left_out }
}

fn read_surface<'a>(network: &Network<'a>, shader: &Rc<PrimReader<'a>>) -> Option<PreviewSurface> {
    match shader_id(shader).as_str() {
        "UsdPreviewSurface" | "ND_UsdPreviewSurface_surfaceshader" => Some(preview_surface(network, shader)),
        id => mtlx::surface(network, shader, id),
    }
}

fn preview_surface<'a>(network: &Network<'a>, shader: &Rc<PrimReader<'a>>) -> PreviewSurface {
    let number = |name: &str, fallback: f32| network.input(shader, name, F32, fallback);
    let color = |name: &str, fallback: f32| network.input(shader, name, COLOR, Vec3::splat(fallback));
    let constant = |name: &str, fallback: f32| network.value(shader, name, F32).unwrap_or(fallback);
    let normal = network.input(shader, "normal", COLOR, Vec3::Z).source.and_then(|source| match source {
        InputSource::Texture(texture) => Some(texture),
        InputSource::Primvar { .. } => {
            network.leave_out("`normal` from a primvar".to_owned());
            None
        }
    });
    PreviewSurface {
        diffuse_color: color("diffuseColor", 0.18),
        emissive_color: color("emissiveColor", 0.0),
        use_specular_workflow: constant("useSpecularWorkflow", 0.0) != 0.0,
        specular_color: color("specularColor", 0.0),
        metallic: number("metallic", 0.0),
        roughness: number("roughness", 0.5),
        clearcoat: number("clearcoat", 0.0),
        clearcoat_roughness: number("clearcoatRoughness", 0.01),
        opacity: number("opacity", 1.0),
        opacity_is_presence: network.value(shader, "opacityMode", TOKEN).as_deref() == Some("presence"),
        opacity_threshold: constant("opacityThreshold", 0.0),
        ior: constant("ior", 1.5),
        normal,
        occlusion: number("occlusion", 1.0),
        displacement: number("displacement", 0.0),
    }
}
