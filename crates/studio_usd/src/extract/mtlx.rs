//! `MaterialX` nodes (ids `ND_…`): `standard_surface`, `OpenPBR` and glTF PBR surfaces in terms of `UsdPreviewSurface`, with constants, images and
//! how images are placed. The names and defaults are those of the `MaterialX` node definitions.

use super::{
    network::{COLOR, FIRST, Network, Source, VEC4_ANY, channels, shader_id},
    read::PrimReader,
    value::{F32, TOKEN, VEC2},
};
use crate::snapshot::{
    Input, InputSource, PreviewSurface, TextureChannels, TextureColorSpace, TextureInput, TextureWrap, UvTransform,
};
use glam::{Vec2, Vec3, Vec4};
use std::rc::Rc;

/// The names of a surface's inputs, each with its fallback; an empty name is an input that it does not have.
struct Names {
    base_weight: (&'static str, f32),
    base_color: (&'static str, f32),
    metallic: (&'static str, f32),
    roughness: (&'static str, f32),
    ior: &'static str,
    coat: &'static str,
    coat_roughness: (&'static str, f32),
    emission_weight: (&'static str, f32),
    emission_color: (&'static str, f32),
    opacity: &'static str,
    normal: &'static str,
    occlusion: &'static str,
    /// Weights of what `UsdPreviewSurface` has nothing for.
    others: &'static [&'static str],
}

const STANDARD_SURFACE: Names = Names {
    base_weight: ("base", 1.0),
    base_color: ("base_color", 0.8),
    metallic: ("metalness", 0.0),
    roughness: ("specular_roughness", 0.2),
    ior: "specular_IOR",
    coat: "coat",
    coat_roughness: ("coat_roughness", 0.1),
    emission_weight: ("emission", 0.0),
    emission_color: ("emission_color", 1.0),
    opacity: "opacity",
    normal: "normal",
    occlusion: "",
    others: &["transmission", "subsurface", "sheen", "specular_anisotropy", "thin_film_thickness"],
};

const OPEN_PBR: Names = Names {
    base_weight: ("base_weight", 1.0),
    base_color: ("base_color", 0.8),
    metallic: ("base_metalness", 0.0),
    roughness: ("specular_roughness", 0.3),
    ior: "specular_ior",
    coat: "coat_weight",
    coat_roughness: ("coat_roughness", 0.0),
    emission_weight: ("emission_luminance", 0.0),
    emission_color: ("emission_color", 1.0),
    opacity: "geometry_opacity",
    normal: "geometry_normal",
    occlusion: "",
    others: &["transmission_weight", "subsurface_weight", "fuzz_weight", "thin_film_weight", "specular_roughness_anisotropy"],
};

const GLTF_PBR: Names = Names {
    base_weight: ("", 1.0),
    base_color: ("base_color", 1.0),
    metallic: ("metallic", 1.0),
    roughness: ("roughness", 1.0),
    ior: "ior",
    coat: "clearcoat",
    coat_roughness: ("clearcoat_roughness", 0.0),
    emission_weight: ("emissive_strength", 1.0),
    emission_color: ("emissive", 0.0),
    opacity: "alpha",
    normal: "normal",
    occlusion: "occlusion",
    others: &["transmission", "sheen_color", "iridescence", "thickness"],
};

/// A surface, if its node is one that is known.
pub(super) fn surface<'a>(network: &Network<'a>, shader: &Rc<PrimReader<'a>>, id: &str) -> Option<PreviewSurface> {
    let names = match id {
        "ND_standard_surface_surfaceshader" => STANDARD_SURFACE,
        "ND_open_pbr_surface_surfaceshader" => OPEN_PBR,
        "ND_gltf_pbr_surfaceshader" => GLTF_PBR,
        _ => return None,
    };
    let number = |(name, fallback): (&str, f32)| match name {
        "" => fallback.into(),
        name => network.input(shader, name, FIRST, fallback),
    };
    let color = |(name, fallback): (&str, f32)| network.input(shader, name, COLOR, Vec3::splat(fallback));
    let constant = |name: &str, fallback: f32| match name {
        "" => fallback,
        name => network.value(shader, name, F32).unwrap_or(fallback),
    };
    for other in names.others {
        if network.source(shader, &format!("inputs:{other}")).is_some() && constant(other, 0.0) != 0.0 {
            network.leave_out(format!("`{other}` of {id}"));
        }
    }
    // glTF says how alpha is meant: 0 not at all, 1 cut at a threshold, 2 blended.
    let is_gltf = id == "ND_gltf_pbr_surfaceshader";
    let alpha_mode = if is_gltf { network.value(shader, "alpha_mode", F32).unwrap_or(0.0) } else { 2.0 };
    Some(PreviewSurface {
        diffuse_color: scaled(color(names.base_color), constant(names.base_weight.0, names.base_weight.1)),
        emissive_color: scaled(color(names.emission_color), constant(names.emission_weight.0, names.emission_weight.1)),
        metallic: number(names.metallic),
        roughness: number(names.roughness),
        clearcoat: number((names.coat, 0.0)),
        clearcoat_roughness: number(names.coat_roughness),
        opacity: if alpha_mode == 0.0 { 1.0.into() } else { number((names.opacity, 1.0)) },
        opacity_threshold: if is_gltf && alpha_mode == 1.0 { constant("alpha_cutoff", 0.5) } else { 0.0 },
        ior: constant(names.ior, 1.5),
        normal: normal(network, shader, names.normal),
        occlusion: number((names.occlusion, 1.0)),
        ..PreviewSurface::default()
    })
}

/// A colour, or its texture, times a number.
fn scaled(mut input: Input<Vec3>, factor: f32) -> Input<Vec3> {
    input.value *= factor;
    if factor == 0.0 {
        return input.value.into();
    }
    if let Some(InputSource::Texture(texture)) = &mut input.source {
        multiply(texture, Vec3::splat(factor).extend(1.0));
    }
    input
}

fn multiply(texture: &mut TextureInput, factor: Vec4) {
    texture.scale *= factor;
    texture.bias *= factor;
    texture.fallback *= factor;
}

/// The picture behind a normal map's node. Its numbers go from 0 to 1, as `ND_normalmap` wants them.
fn normal<'a>(network: &Network<'a>, shader: &Rc<PrimReader<'a>>, input: &str) -> Option<TextureInput> {
    let Source::Shader(node, output) = network.source(shader, &format!("inputs:{input}"))? else { return None };
    let id = shader_id(&node);
    let (source, strength) = if id.starts_with("ND_normalmap") {
        match network.source(&node, "inputs:in") {
            Some(Source::Shader(image, output)) => {
                (network.input_source(&image, &output, 0), network.value(&node, "scale", FIRST).unwrap_or(1.0))
            }
            _ => (None, 1.0),
        }
    } else {
        (network.input_source(&node, &output, 0), 1.0)
    };
    match source {
        Some(InputSource::Texture(mut texture)) => {
            texture.color_space = TextureColorSpace::Raw;
            texture.scale = Vec4::new(2.0 * strength, 2.0 * strength, 2.0, 1.0);
            texture.bias = Vec4::new(-strength, -strength, -1.0, 0.0);
            Some(texture)
        }
        _ => {
            network.leave_out(format!("`{input}` from {id}"));
            None
        }
    }
}

/// A texture or primvar by the `MaterialX` node that gives it.
pub(super) fn input_source<'a>(
    network: &Network<'a>,
    node: &Rc<PrimReader<'a>>,
    id: &str,
    output: &str,
    depth: usize,
) -> Option<InputSource> {
    let through = |input: &str| match network.source(node, &format!("inputs:{input}"))? {
        Source::Shader(next, output) => network.input_source(&next, &output, depth + 1),
        Source::Value(..) => None,
    };
    let name = id.strip_prefix("ND_")?;
    let is = |start: &str| name == start || name.strip_prefix(start).is_some_and(|rest| rest.starts_with('_'));
    if is("image") || is("tiledimage") || is("gltf_image") || is("gltf_colorimage") {
        return Some(InputSource::Texture(image(network, node, name, output)));
    }
    if is("geompropvalue") || is("geompropvalueuniform") {
        return Some(InputSource::Primvar {
            name: network.value(node, "geomprop", TOKEN).filter(|name| !name.is_empty())?,
            fallback: network.value(node, "default", VEC4_ANY).unwrap_or(Vec4::ZERO),
        });
    }
    if is("geomcolor") {
        return Some(InputSource::Primvar { name: "displayColor".to_owned(), fallback: Vec4::ONE });
    }
    if is("convert") || is("dot") || is("swizzle") {
        return through("in");
    }
    if is("extract") {
        let index = network.value(node, "index", F32).unwrap_or(0.0);
        return one_channel(through("in")?, ["r", "g", "b", "a"].get(index.max(0.0) as usize)?);
    }
    if name.starts_with("separate") {
        return one_channel(through("in")?, output);
    }
    if is("multiply") {
        // One of both is a picture, the other a value.
        for (picture, factor) in [("in1", "in2"), ("in2", "in1")] {
            let is_value = matches!(network.source(node, &format!("inputs:{factor}")), Some(Source::Value(..)) | None);
            if is_value && let Some(InputSource::Texture(mut texture)) = through(picture) {
                multiply(&mut texture, network.value(node, factor, VEC4_ANY).unwrap_or(Vec4::ONE));
                return Some(InputSource::Texture(texture));
            }
        }
    }
    None
}

fn one_channel(source: InputSource, output: &str) -> Option<InputSource> {
    match source {
        InputSource::Texture(texture) => Some(InputSource::Texture(TextureInput { channels: channels(output), ..texture })),
        InputSource::Primvar { .. } => None,
    }
}

fn image<'a>(network: &Network<'a>, node: &Rc<PrimReader<'a>>, name: &str, output: &str) -> TextureInput {
    let file = network.file(node);
    let (uv_primvar, mut uv_transform) = network.uv(node, "texcoord");
    if name.starts_with("tiledimage") {
        let tiling = network.value(node, "uvtiling", VEC2).unwrap_or(Vec2::ONE);
        let offset = network.value(node, "uvoffset", VEC2).unwrap_or(Vec2::ZERO);
        uv_transform.scale *= tiling;
        uv_transform.translation = uv_transform.translation * tiling + offset;
    }
    let wrap = |input: &str| match network.value(node, input, TOKEN).as_deref() {
        Some("constant") => TextureWrap::Black,
        Some("clamp") => TextureWrap::Clamp,
        Some("mirror") => TextureWrap::Mirror,
        _ => TextureWrap::Repeat,
    };
    // A picture of one number has it in its first channel, unless another output is asked for.
    let is_number = name.ends_with("_float");
    let channels = match channels(output) {
        TextureChannels::Rgb if is_number => TextureChannels::R,
        channels => channels,
    };
    let mut texture = TextureInput {
        authored: file.authored,
        resolved: file.resolved,
        channels,
        wrap_s: wrap("uaddressmode"),
        wrap_t: wrap("vaddressmode"),
        // MaterialX takes numbers as they are where nothing is said.
        color_space: network.file_color_space(node).unwrap_or(TextureColorSpace::Raw),
        scale: Vec4::ONE,
        bias: Vec4::ZERO,
        fallback: network.value(node, "default", VEC4_ANY).unwrap_or(Vec4::W),
        uv_primvar,
        uv_transform,
    };
    if name.starts_with("gltf_")
        && let Some(factor) = network.value(node, "factor", VEC4_ANY).or_else(|| network.value(node, "color", VEC4_ANY))
    {
        multiply(&mut texture, factor);
    }
    texture
}

/// A step on the way to texture coordinates.
pub(super) enum UvStep {
    /// They are this primvar.
    Primvar(String),
    /// They come from this input.
    Through(&'static str),
    /// Nobody knows.
    Unknown,
}

/// A `MaterialX` node on the way to texture coordinates.
pub(super) fn uv_step<'a>(network: &Network<'a>, node: &Rc<PrimReader<'a>>, id: &str, transform: &mut UvTransform) -> UvStep {
    match id {
        "ND_texcoord_vector2" => {
            let index = network.value(node, "index", F32).unwrap_or(0.0).max(0.0) as usize;
            UvStep::Primvar(if index == 0 { "st".to_owned() } else { format!("st{index}") })
        }
        "ND_geompropvalue_vector2" => match network.value(node, "geomprop", TOKEN).filter(|name| !name.is_empty()) {
            Some(name) => UvStep::Primvar(name),
            None => UvStep::Unknown,
        },
        "ND_place2d_vector2" => {
            // It divides by the scale, turns the other way, and takes the offset away, all about the pivot.
            let pivot = network.value(node, "pivot", VEC2).unwrap_or(Vec2::ZERO);
            let scale = network.value(node, "scale", VEC2).unwrap_or(Vec2::ONE);
            let rotate = network.value(node, "rotate", F32).unwrap_or(0.0);
            let offset = network.value(node, "offset", VEC2).unwrap_or(Vec2::ZERO);
            let scale = Vec2::new(safe_inverse(scale.x), safe_inverse(scale.y));
            let turn = Vec2::from_angle(-rotate.to_radians());
            *transform = UvTransform { scale, rotation_deg: -rotate, translation: pivot - offset - turn.rotate(pivot * scale) };
            UvStep::Through("texcoord")
        }
        _ => UvStep::Unknown,
    }
}

fn safe_inverse(number: f32) -> f32 {
    if number == 0.0 { 1.0 } else { 1.0 / number }
}
