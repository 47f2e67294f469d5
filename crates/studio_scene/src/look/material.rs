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

mod build;

use super::{
    finite_or,
    texture::{TextureBaker, TextureFacts, TextureRecipe, TextureSet},
};
use bevy::{math::Affine2, mesh::UvChannel, pbr::StandardMaterial, prelude::*, render::render_resource::Face};
use studio_usd::snapshot::{self, Input, InputSource, PreviewSurface, TextureInput, UvTransform};

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
    build::build(surface, options, left_out.collect())
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
