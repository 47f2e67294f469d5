//! Materials: [`StandardMaterial`] to `UsdPreviewSurface`, the inverse of `look`'s.

use super::picture;
use bevy::{
    image::{ImageAddressMode, ImageSampler},
    math::Affine2,
    mesh::UvChannel,
    prelude::*,
};
use std::{collections::HashMap, sync::Arc};
use studio_usd::write::{
    LayerBuilder, UniqueNames, WriteError, gf,
    sdf::{AssetPath, Path, Value},
};

use super::scene::ExportedTexture;

/// The folder that textures are in, within the layer's paths.
pub(super) const TEXTURES: &str = "textures";

/// Materials and textures that have been written.
#[derive(Default)]
pub(super) struct Looks {
    materials: HashMap<AssetId<StandardMaterial>, Path>,
    names: UniqueNames,
    pictures: HashMap<AssetId<Image>, Option<String>>,
    by_content: HashMap<Arc<[u8]>, String>,
    picture_names: UniqueNames,
    pub textures: Vec<ExportedTexture>,
    pub notes: Vec<String>,
}

/// What a texture is read for.
struct Reading<'a> {
    name: &'a str,
    handle: &'a Handle<Image>,
    channel: &'a UvChannel,
    scale: Vec4,
    bias: Vec4,
}

impl Looks {
    /// Writes a material if that has not been done, and returns its path.
    pub fn material(
        &mut self,
        world: &World,
        layer: &mut LayerBuilder,
        scope: &str,
        handle: &Handle<StandardMaterial>,
        name: &str,
    ) -> Result<Option<Path>, WriteError> {
        if let Some(path) = self.materials.get(&handle.id()) {
            return Ok(Some(path.clone()));
        }
        let Some(material) = world.get_resource::<Assets<StandardMaterial>>().and_then(|materials| materials.get(handle)) else {
            self.notes.push(format!("the material of {name} is not loaded yet: it is left out"));
            return Ok(None);
        };
        let label = handle.path().and_then(|path| path.label().map(str::to_owned)).unwrap_or_else(|| format!("{name}_Material"));
        if !layer.has_prim(scope) {
            layer.define(scope, "Scope")?;
        }
        let path = layer.define(&format!("{scope}/{}", self.names.take(&label)), "Material")?;
        Writer { looks: self, world, layer, path: path.clone(), name, transform: material.uv_transform }.write(material)?;
        self.materials.insert(handle.id(), path.clone());
        Ok(Some(path))
    }

    /// The name of a picture's file, written once.
    fn picture(&mut self, world: &World, handle: &Handle<Image>, name: &str) -> Option<String> {
        if let Some(known) = self.pictures.get(&handle.id()) {
            return known.clone();
        }
        let made = match world.get_resource::<Assets<Image>>().and_then(|pictures| pictures.get(handle)) {
            Some(picture) => picture::png(picture),
            None => Err("it is not loaded yet".to_owned()),
        };
        let file = match made {
            Ok(bytes) => Some(self.file(handle, bytes.into())),
            Err(why) => {
                self.notes.push(format!("a texture of {name} is left out: {why}"));
                None
            }
        };
        self.pictures.insert(handle.id(), file.clone());
        file
    }

    fn file(&mut self, handle: &Handle<Image>, bytes: Arc<[u8]>) -> String {
        if let Some(known) = self.by_content.get(&bytes) {
            return known.clone();
        }
        let stem = handle.path().and_then(|path| path.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        // Names that differ in case alone are one file on some systems.
        let stem = self.picture_names.take(&stem.unwrap_or_else(|| "texture".to_owned()).to_ascii_lowercase());
        let path = format!("{TEXTURES}/{stem}.png");
        self.by_content.insert(Arc::clone(&bytes), path.clone());
        self.textures.push(ExportedTexture { path: path.clone(), bytes });
        path
    }
}

struct Writer<'a> {
    looks: &'a mut Looks,
    world: &'a World,
    layer: &'a mut LayerBuilder,
    path: Path,
    name: &'a str,
    transform: Affine2,
}

impl Writer<'_> {
    fn write(&mut self, material: &StandardMaterial) -> Result<(), WriteError> {
        let surface = self.layer.define(&format!("{}/Surface", self.path.as_str()), "Shader")?;
        self.layer.uniform(&surface, "info:id", "token", Value::token("UsdPreviewSurface"))?;
        let output = self.layer.declare(&surface, "outputs:surface", "token")?;
        let material_path = self.path.clone();
        self.layer.connect(&material_path, "outputs:surface", "token", output)?;

        let color = material.base_color.to_linear();
        let base = self.texture(
            material.base_color_texture.as_ref(),
            "BaseColor",
            &material.base_color_channel,
            color.to_vec4(),
            Vec4::ZERO,
        )?;
        self.color(&surface, "inputs:diffuseColor", color.to_vec3(), base.as_ref())?;
        self.opacity(&surface, material, color.alpha, base.as_ref())?;

        let emissive = material.emissive.to_vec3();
        let texture = self.texture(
            material.emissive_texture.as_ref(),
            "Emissive",
            &material.emissive_channel,
            emissive.extend(1.0),
            Vec4::ZERO,
        )?;
        if emissive != Vec3::ZERO {
            self.color(&surface, "inputs:emissiveColor", emissive, texture.as_ref())?;
        }

        let factors = Vec4::new(1.0, material.perceptual_roughness, material.metallic, 1.0);
        let texture = self.texture(
            material.metallic_roughness_texture.as_ref(),
            "MetallicRoughness",
            &material.metallic_roughness_channel,
            factors,
            Vec4::ZERO,
        )?;
        self.number(&surface, "inputs:roughness", material.perceptual_roughness, texture.as_ref(), "g")?;
        self.number(&surface, "inputs:metallic", material.metallic, texture.as_ref(), "b")?;

        let texture =
            self.texture(material.occlusion_texture.as_ref(), "Occlusion", &material.occlusion_channel, Vec4::ONE, Vec4::ZERO)?;
        if texture.is_some() {
            self.number(&surface, "inputs:occlusion", 1.0, texture.as_ref(), "r")?;
        }

        // Directions are stored as 0 to 1.
        let up = if material.flip_normal_map_y { -1.0 } else { 1.0 };
        let (scale, bias) = (Vec4::new(2.0, 2.0 * up, 2.0, 1.0), Vec4::new(-1.0, -up, -1.0, 0.0));
        if let Some(texture) =
            self.texture(material.normal_map_texture.as_ref(), "Normal", &material.normal_map_channel, scale, bias)?
        {
            let output = self.layer.declare(&texture, "outputs:rgb", "float3")?;
            self.layer.connect(&surface, "inputs:normal", "normal3f", output)?;
        }

        if material.clearcoat > 0.0 {
            self.layer.attribute(&surface, "inputs:clearcoat", "float", Value::Float(material.clearcoat))?;
            let roughness = Value::Float(material.clearcoat_perceptual_roughness);
            self.layer.attribute(&surface, "inputs:clearcoatRoughness", "float", roughness)?;
        }
        self.layer.attribute(&surface, "inputs:ior", "float", Value::Float(ior_of_reflectance(material.reflectance)))?;
        self.notes(material);
        Ok(())
    }

    fn notes(&mut self, material: &StandardMaterial) {
        let left_out = [
            (material.unlit, "that it is unlit"),
            (material.specular_transmission > 0.0 || material.diffuse_transmission > 0.0, "its transmission"),
            (material.anisotropy_strength != 0.0, "its anisotropy"),
            (material.depth_map.is_some(), "its parallax map"),
            (material.specular_tint.to_linear().to_vec3() != Vec3::ONE, "its specular tint"),
            (matches!(material.alpha_mode, AlphaMode::Add | AlphaMode::Multiply), "how it blends"),
        ];
        for (_, what) in left_out.into_iter().filter(|(is_left_out, _)| *is_left_out) {
            self.looks.notes.push(format!("the material of {}: {what} is left out", self.name));
        }
    }

    fn opacity(
        &mut self,
        surface: &Path,
        material: &StandardMaterial,
        alpha: f32,
        base: Option<&Path>,
    ) -> Result<(), WriteError> {
        let threshold = match material.alpha_mode {
            AlphaMode::Opaque => return Ok(()),
            // A threshold of 0 would mean that there is none.
            AlphaMode::Mask(threshold) => Some(threshold.max(1e-6)),
            AlphaMode::AlphaToCoverage => Some(0.5),
            _ => None,
        };
        self.number(surface, "inputs:opacity", alpha, base, "a")?;
        if let Some(threshold) = threshold {
            self.layer.attribute(surface, "inputs:opacityThreshold", "float", Value::Float(threshold))?;
        }
        Ok(())
    }

    fn color(&mut self, surface: &Path, input: &str, color: Vec3, texture: Option<&Path>) -> Result<(), WriteError> {
        match texture {
            Some(texture) => {
                let output = self.layer.declare(texture, "outputs:rgb", "float3")?;
                self.layer.connect(surface, input, "color3f", output)?;
            }
            None => {
                self.layer.attribute(surface, input, "color3f", Value::Vec3f(picture::vec3f(color)))?;
            }
        }
        Ok(())
    }

    fn number(
        &mut self,
        surface: &Path,
        input: &str,
        number: f32,
        texture: Option<&Path>,
        channel: &str,
    ) -> Result<(), WriteError> {
        match texture {
            Some(texture) => {
                let output = self.layer.declare(texture, &format!("outputs:{channel}"), "float")?;
                self.layer.connect(surface, input, "float", output)?;
            }
            None => {
                self.layer.attribute(surface, input, "float", Value::Float(number))?;
            }
        }
        Ok(())
    }

    fn texture(
        &mut self,
        handle: Option<&Handle<Image>>,
        name: &str,
        channel: &UvChannel,
        scale: Vec4,
        bias: Vec4,
    ) -> Result<Option<Path>, WriteError> {
        let Some(handle) = handle else { return Ok(None) };
        self.read(&Reading { name, handle, channel, scale, bias })
    }

    fn read(&mut self, reading: &Reading<'_>) -> Result<Option<Path>, WriteError> {
        let Some(file) = self.looks.picture(self.world, reading.handle, self.name) else { return Ok(None) };
        let picture = self.world.get_resource::<Assets<Image>>().and_then(|pictures| pictures.get(reading.handle));
        let is_srgb = picture.is_some_and(|picture| picture.texture_descriptor.format.is_srgb());
        let (wrap_s, wrap_t) = picture.map_or(("clamp", "clamp"), |picture| wraps(&picture.sampler));
        let coordinates = self.coordinates(reading.channel)?;
        let path = self.layer.define(&format!("{}/{}", self.path.as_str(), reading.name), "Shader")?;
        let four = |vector: Vec4| Value::Vec4f(gf::vec4f(vector.x, vector.y, vector.z, vector.w));
        self.layer.uniform(&path, "info:id", "token", Value::token("UsdUVTexture"))?;
        self.layer.attribute(&path, "inputs:file", "asset", Value::AssetPath(AssetPath::new(file)))?;
        self.layer.connect(&path, "inputs:st", "float2", coordinates)?;
        self.layer.attribute(&path, "inputs:wrapS", "token", Value::token(wrap_s))?;
        self.layer.attribute(&path, "inputs:wrapT", "token", Value::token(wrap_t))?;
        self.layer.attribute(&path, "inputs:sourceColorSpace", "token", Value::token(if is_srgb { "sRGB" } else { "raw" }))?;
        if reading.scale != Vec4::ONE {
            self.layer.attribute(&path, "inputs:scale", "float4", four(reading.scale))?;
        }
        if reading.bias != Vec4::ZERO {
            self.layer.attribute(&path, "inputs:bias", "float4", four(reading.bias))?;
        }
        Ok(Some(path))
    }

    /// The output that gives texture coordinates, made once for each set of them.
    fn coordinates(&mut self, channel: &UvChannel) -> Result<Path, WriteError> {
        let (reader, primvar) = match channel {
            UvChannel::Uv0 => ("Coordinates", "st"),
            UvChannel::Uv1 => ("Coordinates1", "st1"),
        };
        let path = format!("{}/{reader}", self.path.as_str());
        let transform = format!("{path}Transform");
        let is_transformed = self.transform != Affine2::IDENTITY;
        let last = if is_transformed { &transform } else { &path };
        let last = Path::new(last).map_err(|error| WriteError::Path { path: last.clone(), reason: error.to_string() })?;
        if self.layer.has_prim(&path) {
            return self.layer.declare(&last, "outputs:result", "float2");
        }
        let reader = self.layer.define(&path, "Shader")?;
        self.layer.uniform(&reader, "info:id", "token", Value::token("UsdPrimvarReader_float2"))?;
        self.layer.attribute(&reader, "inputs:varname", "string", Value::String(primvar.to_owned()))?;
        let output = self.layer.declare(&reader, "outputs:result", "float2")?;
        if !is_transformed {
            return Ok(output);
        }
        // USD's transform is of coordinates that are not flipped.
        let flip = StandardMaterial::FLIP_VERTICAL;
        let (scale, angle, translation) = (flip * self.transform * flip).to_scale_angle_translation();
        let node = self.layer.define(&transform, "Shader")?;
        self.layer.uniform(&node, "info:id", "token", Value::token("UsdTransform2d"))?;
        self.layer.connect(&node, "inputs:in", "float2", output)?;
        self.layer.attribute(&node, "inputs:scale", "float2", Value::Vec2f(gf::vec2f(scale.x, scale.y)))?;
        self.layer.attribute(&node, "inputs:rotation", "float", Value::Float(angle.to_degrees()))?;
        self.layer.attribute(&node, "inputs:translation", "float2", Value::Vec2f(gf::vec2f(translation.x, translation.y)))?;
        self.layer.declare(&node, "outputs:result", "float2")
    }
}

fn wraps(sampler: &ImageSampler) -> (&'static str, &'static str) {
    let name = |mode: ImageAddressMode| match mode {
        ImageAddressMode::ClampToEdge => "clamp",
        ImageAddressMode::Repeat => "repeat",
        ImageAddressMode::MirrorRepeat => "mirror",
        ImageAddressMode::ClampToBorder => "black",
    };
    match sampler {
        ImageSampler::Default => ("clamp", "clamp"),
        ImageSampler::Descriptor(sampler) => (name(sampler.address_mode_u), name(sampler.address_mode_v)),
    }
}

/// Bevy reflects `F0 = 0.16 reflectance²` head on, a dielectric `F0 = ((1 - ior) / (1 + ior))²`.
fn ior_of_reflectance(reflectance: f32) -> f32 {
    let root = (0.4 * reflectance).clamp(0.0, 0.9);
    (1.0 + root) / (1.0 - root)
}
