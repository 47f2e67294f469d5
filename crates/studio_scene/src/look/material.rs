//! Materials: `UsdPreviewSurface` to Bevy's [`StandardMaterial`].
//!
//! [`material`] is pure: it says which textures it needs as recipes, and [`MadeMaterial::finish`] puts their handles in.
//!
//! **Texture coordinates.** Meshes have them as Bevy does, `(s, 1 - t)`: Bevy's pictures begin at the upper left, USD's at the lower left.
//! That is the one flip for pictures and for tangents alike, and normal maps of both worlds mean up by green. A file's own `UsdTransform2d` is
//! of unflipped coordinates, so [`StandardMaterial::uv_transform`] is flip, transform, flip.
//!
//! **Vertex colours.** Bevy multiplies a mesh's colours into every material. Only give a mesh colours that [`MadeMaterial::vertex_color`] asks
//! for.
//!
//! **One of each.** Bevy has two sets of coordinates, one transform for all textures of a material, and factors in front of textures:
//! - A texture's scale becomes a factor where its bias is 0, so that the picture can be shared as it is; otherwise both go into the texels.
//! - Metallic, roughness and occlusion go into one texture where they are read alike; so do colour and opacity, and the varnish's two.
//! - Where textures of one material are transformed differently, the first one's transform holds, with a note; colour comes first.

use super::{
    finite_or,
    texture::{Channel, Encoding, Number, TextureBaker, TextureFacts, TextureRecipe, TextureSet},
};
use bevy::{
    math::{Affine2, Vec4},
    mesh::UvChannel,
    pbr::StandardMaterial,
    prelude::*,
    render::render_resource::Face,
};
use studio_usd::snapshot::{self, Input, InputSource, PreviewSurface, TextureInput, TextureWrap, UvTransform};

/// What a material has to know of the mesh it is for.
pub struct MaterialOptions<'a> {
    /// Whether the mesh is seen from both sides.
    pub double_sided: bool,
    /// Where the mesh has a primvar of texture coordinates.
    pub uv_channel: &'a dyn Fn(&str) -> Option<UvChannel>,
    /// Whether the mesh has a primvar that can be its vertices' colour or opacity.
    pub has_primvar: &'a dyn Fn(&str) -> bool,
}

/// A material, with what it needs.
#[derive(Clone, Debug)]
pub struct MadeMaterial {
    /// Complete but for its textures.
    pub material: StandardMaterial,
    /// The textures it needs.
    pub textures: Vec<MaterialTexture>,
    /// Which primvars go into the mesh's vertex colours.
    pub vertex_color: VertexColor,
    /// Whether the mesh has to have tangents, made of the coordinates in this set.
    pub tangents_of: Option<UvChannel>,
    /// What was left out or changed, in words.
    pub notes: Vec<String>,
}

/// Which primvars go into vertex colours; the rest is 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VertexColor {
    /// Into red, green and blue.
    pub color: Option<String>,
    /// Into alpha.
    pub opacity: Option<String>,
}

impl VertexColor {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.color.is_none() && self.opacity.is_none()
    }
}

/// A texture that a material needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialTexture {
    /// What for.
    pub slot: TextureSlot,
    /// How it is made.
    pub recipe: TextureRecipe,
}

/// What a texture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextureSlot {
    /// Colour and opacity.
    BaseColor,
    /// Light it gives off.
    Emissive,
    /// Metallic in blue, roughness in green.
    MetallicRoughness,
    /// Red.
    Occlusion,
    /// Directions.
    Normal,
    /// Strength of the varnish, red.
    Clearcoat,
    /// Roughness of the varnish, green.
    ClearcoatRoughness,
    /// Only its mean is used: Bevy's textures for specular colours are not among the features built.
    SpecularMean,
}

impl MadeMaterial {
    /// The recipes of its textures, to be made at once with those of other materials.
    pub fn recipes(&self) -> impl Iterator<Item = TextureRecipe> + '_ {
        self.textures.iter().map(|texture| texture.recipe.clone())
    }

    /// Puts textures in that [`TextureSet::make`] made.
    pub fn put_textures(&mut self, made: &TextureSet) {
        for texture in std::mem::take(&mut self.textures) {
            match made.get(&texture.recipe) {
                Some((handle, facts)) => put(&mut self.material, texture.slot, handle.clone(), facts),
                None => self.textures.push(texture),
            }
        }
    }

    /// Makes its textures and puts them in: [`TextureSet::make`], then [`MadeMaterial::put_textures`]. Returns what went wrong, in words.
    pub fn finish(
        &mut self,
        set: &mut TextureSet,
        baker: &TextureBaker,
        add: &mut dyn FnMut(String, Image) -> Handle<Image>,
    ) -> Vec<String> {
        let recipes: Vec<_> = self.recipes().collect();
        let notes = set.make(recipes, baker, add);
        self.put_textures(set);
        notes
    }
}

fn put(material: &mut StandardMaterial, slot: TextureSlot, handle: Handle<Image>, facts: &TextureFacts) {
    match slot {
        TextureSlot::BaseColor => {
            // An opacity that is 1 everywhere after all needs no sorting and no blending.
            if facts.is_opaque && material.base_color.alpha() >= 1.0 && material.alpha_mode == AlphaMode::Blend {
                material.alpha_mode = AlphaMode::Opaque;
            }
            material.base_color_texture = Some(handle);
        }
        TextureSlot::Emissive => material.emissive_texture = Some(handle),
        TextureSlot::MetallicRoughness => material.metallic_roughness_texture = Some(handle),
        TextureSlot::Occlusion => material.occlusion_texture = Some(handle),
        TextureSlot::Normal => material.normal_map_texture = Some(handle),
        TextureSlot::Clearcoat => material.clearcoat_texture = Some(handle),
        TextureSlot::ClearcoatRoughness => material.clearcoat_roughness_texture = Some(handle),
        TextureSlot::SpecularMean => set_specular(material, facts.mean.truncate()),
    }
}

/// The primvars of texture coordinates that a material reads, the most important first, each once.
pub fn uv_primvars(material: &snapshot::Material) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let Some(surface) = &material.surface else { return names };
    for texture in textures_of(surface) {
        if !names.contains(&texture.uv_primvar) {
            names.push(texture.uv_primvar.clone());
        }
    }
    names
}

fn textures_of(surface: &PreviewSurface) -> Vec<&TextureInput> {
    fn texture<T>(input: &Input<T>) -> Option<&TextureInput> {
        match &input.source {
            Some(InputSource::Texture(texture)) => Some(texture),
            _ => None,
        }
    }
    let (metal, specular) = match surface.use_specular_workflow {
        true => (None, texture(&surface.specular_color)),
        false => (texture(&surface.metallic), None),
    };
    [
        texture(&surface.diffuse_color),
        texture(&surface.opacity),
        surface.normal.as_ref(),
        texture(&surface.roughness),
        metal,
        texture(&surface.occlusion),
        texture(&surface.emissive_color),
        texture(&surface.clearcoat),
        texture(&surface.clearcoat_roughness),
        specular,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The look of a mesh without a material, as Hydra has it: matt, in the mesh's `displayColor`, or grey where it has none.
pub fn display_material(has_display_color: bool, has_display_opacity: bool, double_sided: bool) -> MadeMaterial {
    let base_color = if has_display_color { Color::WHITE } else { Color::linear_rgb(0.18, 0.18, 0.18) };
    let mut material = StandardMaterial { base_color, perceptual_roughness: 1.0, reflectance: 0.0, ..default() };
    if has_display_opacity {
        material.alpha_mode = AlphaMode::Blend;
    }
    set_sides(&mut material, double_sided);
    MadeMaterial {
        material,
        textures: Vec::new(),
        vertex_color: VertexColor {
            color: has_display_color.then(|| "displayColor".to_owned()),
            opacity: has_display_opacity.then(|| "displayOpacity".to_owned()),
        },
        tangents_of: None,
        notes: Vec::new(),
    }
}

fn set_sides(material: &mut StandardMaterial, double_sided: bool) {
    material.double_sided = double_sided;
    material.cull_mode = (!double_sided).then_some(Face::Back);
}

/// Makes Bevy's material of a material. One without a known surface looks like [`display_material`] without colours.
pub fn material(material: &snapshot::Material, options: &MaterialOptions) -> MadeMaterial {
    let left_out = material.left_out.iter().map(|what| format!("{what} is not drawn"));
    let Some(surface) = &material.surface else {
        let mut made = display_material(
            (options.has_primvar)("displayColor"),
            (options.has_primvar)("displayOpacity"),
            options.double_sided,
        );
        made.notes = left_out.collect();
        return made;
    };
    let mut builder = Builder {
        made: MadeMaterial {
            material: StandardMaterial {
                ior: finite_or(Some(surface.ior), 1.5).clamp(1.0, 10.0),
                // Emission is luminance, as a light's is: the camera's exposure holds for it too.
                emissive_exposure_weight: 1.0,
                ..default()
            },
            textures: Vec::new(),
            vertex_color: VertexColor::default(),
            tangents_of: None,
            notes: left_out.collect(),
        },
        options,
        uv_transform: None,
    };
    set_sides(&mut builder.made.material, options.double_sided);
    builder.color_and_opacity(surface);
    builder.normal(surface);
    builder.metallic_roughness_occlusion(surface);
    builder.emissive(surface);
    builder.clearcoat(surface);
    builder.specular(surface);
    if surface.displacement.source.is_some() || surface.displacement.value != 0.0 {
        builder.note("displacement is not drawn".to_owned());
    }
    let transform = builder.uv_transform.unwrap_or_default();
    builder.made.material.uv_transform = bevy_uv_transform(&transform);
    builder.made
}

/// A file's transform of texture coordinates, for coordinates that are flipped already: flip, transform, flip.
pub fn bevy_uv_transform(transform: &UvTransform) -> Affine2 {
    let finite = |value: Vec2, fallback: Vec2| if value.is_finite() { value } else { fallback };
    let angle = finite_or(Some(transform.rotation_deg), 0.0).to_radians();
    let authored = Affine2::from_scale_angle_translation(
        finite(transform.scale, Vec2::ONE),
        angle,
        finite(transform.translation, Vec2::ZERO),
    );
    StandardMaterial::FLIP_VERTICAL * authored * StandardMaterial::FLIP_VERTICAL
}

/// How a dielectric's reflection seen head on is told to Bevy: `F0 = 0.16 reflectance²`, and `F0 = ((1 - ior) / (1 + ior))²`.
pub fn reflectance_of_ior(ior: f32) -> f32 {
    let ior = finite_or(Some(ior), 1.5).clamp(1.0, 100.0);
    (ior - 1.0) / (ior + 1.0) / 0.4
}

fn set_specular(material: &mut StandardMaterial, f0: Vec3) {
    let reflectance = (f0.clamp(Vec3::ZERO, Vec3::ONE) / 0.16).map(f32::sqrt);
    let strongest = reflectance.max_element();
    material.reflectance = strongest;
    let tint = if strongest > 0.0 { reflectance / strongest } else { Vec3::ONE };
    material.specular_tint = Color::linear_rgb(tint.x, tint.y, tint.z);
}

/// Colours are kept below this: files may say anything, shaders have to stay finite.
const BRIGHTEST: Vec3 = Vec3::splat(1e12);

/// An input, sorted out.
enum Read<'a, T> {
    Value(T),
    Texture(&'a TextureInput),
    Primvar { name: &'a str, fallback: Vec4 },
}

fn read<T: Copy>(input: &Input<T>) -> Read<'_, T> {
    match &input.source {
        None => Read::Value(input.value),
        Some(InputSource::Texture(texture)) => Read::Texture(texture),
        Some(InputSource::Primvar { name, fallback }) => Read::Primvar { name, fallback: *fallback },
    }
}

struct Builder<'a> {
    made: MadeMaterial,
    options: &'a MaterialOptions<'a>,
    /// The first texture's.
    uv_transform: Option<UvTransform>,
}

/// What of a texture has to be the same for channels of one image.
type Layout<'a> = (&'a str, UvTransform, TextureWrap, TextureWrap);

fn layout(texture: &TextureInput) -> Layout<'_> {
    (&texture.uv_primvar, texture.uv_transform, texture.wrap_s, texture.wrap_t)
}

/// A channel of a texture, and the factor taken out of it.
fn factored(texture: &TextureInput, component: usize) -> (Channel, f32) {
    let Channel::Picture(mut read) = Channel::read(texture, component) else { return (Channel::constant(1.0), 1.0) };
    let scale = read.scale.get();
    if read.bias.get() != 0.0 || scale <= 0.0 {
        return (Channel::Picture(read), 1.0);
    }
    read.scale = Number::new(1.0);
    read.fallback = Number::new(read.fallback.get() / scale);
    (Channel::Picture(read), scale)
}

impl Builder<'_> {
    fn note(&mut self, note: String) {
        if !self.made.notes.contains(&note) {
            self.made.notes.push(note);
        }
    }

    /// A number that is not a texture. Primvars cannot be read here: their fallback holds.
    fn number(&mut self, input: &str, value: &Input<f32>) -> Option<f32> {
        match read(value) {
            Read::Value(value) => Some(value),
            Read::Texture(_) => None,
            Read::Primvar { name, fallback } => {
                self.note(format!("`{input}` from the primvar `{name}` is not drawn; its fallback {} is", fallback.x));
                Some(fallback.x)
            }
        }
    }

    /// Puts a texture in; the first of `inputs` says where it is read.
    fn texture(
        &mut self,
        slot: TextureSlot,
        encoding: Encoding,
        channels: [Channel; 4],
        inputs: &[&TextureInput],
    ) -> Option<UvChannel> {
        let first = inputs.first()?;
        let (primvar, transform, wrap_s, wrap_t) = layout(first);
        for other in inputs {
            if layout(other) != layout(first) {
                self.note(format!(
                    "`{}` is read with the coordinates, transform and wrap modes of `{}`: they are one texture",
                    other.authored, first.authored
                ));
            }
        }
        if *self.uv_transform.get_or_insert(transform) != transform {
            self.note(format!(
                "the transform of the texture `{}` differs from the material's first one, which holds",
                first.authored
            ));
        }
        let channel = (self.options.uv_channel)(primvar).unwrap_or_else(|| {
            self.note(format!("the mesh has no texture coordinates `{primvar}`; its first ones are used"));
            UvChannel::Uv0
        });
        self.made.textures.push(MaterialTexture { slot, recipe: TextureRecipe { channels, encoding, wrap: [wrap_s, wrap_t] } });
        let material = &mut self.made.material;
        match slot {
            TextureSlot::BaseColor => material.base_color_channel = channel.clone(),
            TextureSlot::Emissive => material.emissive_channel = channel.clone(),
            TextureSlot::MetallicRoughness => material.metallic_roughness_channel = channel.clone(),
            TextureSlot::Occlusion => material.occlusion_channel = channel.clone(),
            TextureSlot::Normal => material.normal_map_channel = channel.clone(),
            TextureSlot::Clearcoat => material.clearcoat_channel = channel.clone(),
            TextureSlot::ClearcoatRoughness => material.clearcoat_roughness_channel = channel.clone(),
            TextureSlot::SpecularMean => {}
        }
        Some(channel)
    }

    fn color_and_opacity(&mut self, surface: &PreviewSurface) {
        let mut inputs: Vec<&TextureInput> = Vec::new();
        let mut channels = [1.0; 4].map(Channel::constant);
        let mut color = Vec3::ONE;
        match read(&surface.diffuse_color) {
            Read::Value(value) => color = value,
            Read::Texture(texture) => {
                let [(r, x), (g, y), (b, z)] = [0, 1, 2].map(|component| factored(texture, component));
                color = Vec3::new(x, y, z);
                let [_, _, _, alpha] = channels;
                channels = [r, g, b, alpha];
                inputs.push(texture);
            }
            Read::Primvar { name, fallback } => {
                if (self.options.has_primvar)(name) {
                    self.made.vertex_color.color = Some(name.to_owned());
                } else {
                    color = fallback.truncate();
                }
            }
        }
        let mut opacity = 1.0;
        let mut varies = false;
        match read(&surface.opacity) {
            Read::Value(value) => opacity = finite_or(Some(value), 1.0).clamp(0.0, 1.0),
            Read::Texture(texture) => {
                let (alpha, factor) = factored(texture, 0);
                opacity = factor;
                let [r, g, b, _] = channels;
                channels = [r, g, b, alpha];
                inputs.push(texture);
                varies = true;
            }
            Read::Primvar { name, fallback } => {
                if (self.options.has_primvar)(name) {
                    self.made.vertex_color.opacity = Some(name.to_owned());
                    varies = true;
                } else {
                    opacity = finite_or(Some(fallback.x), 1.0).clamp(0.0, 1.0);
                }
            }
        }
        self.texture(TextureSlot::BaseColor, Encoding::Color, channels, &inputs);
        let is_metal = !surface.use_specular_workflow && (surface.metallic.source.is_some() || surface.metallic.value > 0.0);
        let material = &mut self.made.material;
        let threshold = finite_or(Some(surface.opacity_threshold), 0.0);
        if threshold > 0.0 {
            material.alpha_mode = if varies || opacity < threshold { AlphaMode::Mask(threshold) } else { AlphaMode::Opaque };
        } else if varies {
            material.alpha_mode = AlphaMode::Blend;
        } else if opacity < 1.0 && (surface.opacity_is_presence || is_metal) {
            material.alpha_mode = AlphaMode::Blend;
        } else if opacity < 1.0 {
            // Glass: what lets light through still has its highlights in full.
            material.alpha_mode = AlphaMode::Premultiplied;
            color *= opacity;
        }
        let color = if color.is_finite() { color.clamp(Vec3::ZERO, BRIGHTEST) } else { Vec3::ONE };
        material.base_color = Color::linear_rgba(color.x, color.y, color.z, opacity);
    }

    fn normal(&mut self, surface: &PreviewSurface) {
        let Some(texture) = &surface.normal else { return };
        let mut texture = texture.clone();
        if texture.scale.truncate() == Vec3::ONE && texture.bias.truncate() == Vec3::ZERO {
            self.note(format!("the normal map `{}` has no scale and bias; 2 and -1 are meant", texture.authored));
            texture.scale = Vec4::splat(2.0);
            texture.bias = Vec4::splat(-1.0);
        }
        if texture.fallback.truncate().length_squared() < 1e-6 {
            texture.fallback = Vec4::new(0.0, 0.0, 1.0, 1.0);
        }
        let [r, g, b] = [0, 1, 2].map(|component| Channel::read(&texture, component));
        let channels = [r, g, b, Channel::constant(1.0)];
        self.made.tangents_of = self.texture(TextureSlot::Normal, Encoding::Normal, channels, &[&texture]);
    }

    fn metallic_roughness_occlusion(&mut self, surface: &PreviewSurface) {
        let mut channels = [1.0; 4].map(Channel::constant);
        let mut inputs: Vec<&TextureInput> = Vec::new();
        let roughness = self.number("roughness", &surface.roughness);
        self.made.material.perceptual_roughness = finite_or(roughness, 1.0).clamp(0.0, 1.0);
        if let Read::Texture(texture) = read(&surface.roughness) {
            let (channel, factor) = factored(texture, 0);
            channels[1] = channel;
            self.made.material.perceptual_roughness = factor;
            inputs.push(texture);
        }
        if surface.use_specular_workflow {
            self.made.material.metallic = 0.0;
        } else {
            let metallic = self.number("metallic", &surface.metallic);
            self.made.material.metallic = finite_or(metallic, 1.0).clamp(0.0, 1.0);
            if let Read::Texture(texture) = read(&surface.metallic) {
                let (channel, factor) = factored(texture, 0);
                channels[2] = channel;
                self.made.material.metallic = factor;
                inputs.push(texture);
            }
        }
        // Bevy has no factor for occlusion, so a number that is not 1 is a texture of one texel.
        let occlusion = self.number("occlusion", &surface.occlusion);
        match read(&surface.occlusion) {
            Read::Texture(texture) => {
                let channel = Channel::read(texture, 0);
                if inputs.first().is_some_and(|first| layout(first) == layout(texture)) {
                    channels[0] = channel;
                    self.texture(TextureSlot::Occlusion, Encoding::Data, channels.clone(), &[texture]);
                } else {
                    let one = || Channel::constant(1.0);
                    self.texture(TextureSlot::Occlusion, Encoding::Data, [channel, one(), one(), one()], &[texture]);
                }
            }
            _ => {
                let value = finite_or(occlusion, 1.0).clamp(0.0, 1.0);
                if value < 1.0 {
                    let recipe = TextureRecipe {
                        channels: [value, 1.0, 1.0, 1.0].map(Channel::constant),
                        encoding: Encoding::Data,
                        wrap: [TextureWrap::Clamp; 2],
                    };
                    self.made.textures.push(MaterialTexture { slot: TextureSlot::Occlusion, recipe });
                }
            }
        }
        self.texture(TextureSlot::MetallicRoughness, Encoding::Data, channels, &inputs);
    }

    fn emissive(&mut self, surface: &PreviewSurface) {
        let mut color = surface.emissive_color.value;
        match read(&surface.emissive_color) {
            Read::Value(_) => {}
            Read::Texture(texture) => {
                let [(r, x), (g, y), (b, z)] = [0, 1, 2].map(|component| factored(texture, component));
                color = Vec3::new(x, y, z);
                self.texture(TextureSlot::Emissive, Encoding::Color, [r, g, b, Channel::constant(1.0)], &[texture]);
            }
            Read::Primvar { name, fallback } => {
                self.note(format!("`emissiveColor` from the primvar `{name}` is not drawn; its fallback is"));
                color = fallback.truncate();
            }
        }
        let mut color = if color.is_finite() { color.clamp(Vec3::ZERO, BRIGHTEST) } else { Vec3::ZERO };
        let material = &mut self.made.material;
        if material.alpha_mode == AlphaMode::Premultiplied {
            // Bevy multiplies emission by opacity; glass glows in full.
            color /= material.base_color.alpha().max(1e-3);
        }
        material.emissive = LinearRgba::rgb(color.x, color.y, color.z);
    }

    fn clearcoat(&mut self, surface: &PreviewSurface) {
        let mut inputs: Vec<&TextureInput> = Vec::new();
        let mut channels = [1.0; 4].map(Channel::constant);
        let strength = self.number("clearcoat", &surface.clearcoat);
        self.made.material.clearcoat = finite_or(strength, 1.0).clamp(0.0, 1.0);
        let strength_texture = match read(&surface.clearcoat) {
            Read::Texture(texture) => {
                let (channel, factor) = factored(texture, 0);
                channels[0] = channel;
                self.made.material.clearcoat = factor;
                Some(texture)
            }
            _ => None,
        };
        inputs.extend(strength_texture);
        let roughness = self.number("clearcoatRoughness", &surface.clearcoat_roughness);
        self.made.material.clearcoat_perceptual_roughness = finite_or(roughness, 1.0).clamp(0.0, 1.0);
        if self.made.material.clearcoat <= 0.0 {
            return;
        }
        let roughness_texture = match read(&surface.clearcoat_roughness) {
            Read::Texture(texture) => Some(texture),
            _ => None,
        };
        if let Some(texture) = roughness_texture {
            let (channel, factor) = factored(texture, 0);
            self.made.material.clearcoat_perceptual_roughness = factor;
            if strength_texture.is_some_and(|strength| layout(strength) == layout(texture)) {
                channels[1] = channel;
                self.texture(TextureSlot::ClearcoatRoughness, Encoding::Data, channels.clone(), &[texture]);
            } else {
                let one = || Channel::constant(1.0);
                self.texture(TextureSlot::ClearcoatRoughness, Encoding::Data, [one(), channel, one(), one()], &[texture]);
            }
        }
        self.texture(TextureSlot::Clearcoat, Encoding::Data, channels, &inputs);
    }

    fn specular(&mut self, surface: &PreviewSurface) {
        if !surface.use_specular_workflow {
            self.made.material.reflectance = reflectance_of_ior(surface.ior);
            return;
        }
        match read(&surface.specular_color) {
            Read::Value(value) => set_specular(&mut self.made.material, value),
            Read::Texture(texture) => {
                self.note(format!("of the specular colours in `{}` only the mean is drawn", texture.authored));
                let [r, g, b] = [0, 1, 2].map(|component| Channel::read(texture, component));
                let recipe = TextureRecipe {
                    channels: [r, g, b, Channel::constant(1.0)],
                    encoding: Encoding::Color,
                    wrap: [texture.wrap_s, texture.wrap_t],
                };
                self.made.textures.push(MaterialTexture { slot: TextureSlot::SpecularMean, recipe });
            }
            Read::Primvar { name, fallback } => {
                self.note(format!("`specularColor` from the primvar `{name}` is not drawn; its fallback is"));
                set_specular(&mut self.made.material, fallback.truncate());
            }
        }
    }
}
