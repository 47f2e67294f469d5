//! Going through the inputs of a surface.

use super::{
    MadeMaterial, MaterialOptions, MaterialTexture, TextureSlot, VertexColor, bevy_uv_transform, reflectance_of_ior, set_sides,
    set_specular,
};
use crate::look::{
    finite_or,
    texture::{Channel, Encoding, Number, TextureRecipe},
};
use bevy::{math::Vec4, mesh::UvChannel, pbr::StandardMaterial, prelude::*};
use studio_usd::snapshot::{Input, InputSource, PreviewSurface, TextureInput, TextureWrap, UvTransform};

/// Colours are kept below this: files may say anything, shaders have to stay finite.
const BRIGHTEST: Vec3 = Vec3::splat(1e12);

/// Goes through all inputs of a surface.
pub(super) fn build(surface: &PreviewSurface, options: &MaterialOptions, notes: Vec<String>) -> MadeMaterial {
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
            notes,
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
        } else if varies || (opacity < 1.0 && (surface.opacity_is_presence || is_metal)) {
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
