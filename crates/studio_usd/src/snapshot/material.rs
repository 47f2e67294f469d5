//! Materials: the part of `UsdPreviewSurface` that can be told without a shader graph.

use glam::{Vec2, Vec3, Vec4};

/// A material.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// Its surface, if it is one that is known.
    pub surface: Option<PreviewSurface>,
    /// What of it was left out, in words, such as `MaterialX surface ND_standard_surface_surfaceshader`.
    pub left_out: Vec<String>,
}

/// `UsdPreviewSurface`, version 2.6. Colours are linear, in Rec. 709 primaries.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewSurface {
    /// Diffuse colour, or the metal's colour.
    pub diffuse_color: Input<Vec3>,
    /// Light it gives off.
    pub emissive_color: Input<Vec3>,
    /// Whether `specular_color` is used instead of `metallic`.
    pub use_specular_workflow: bool,
    /// Colour of highlights seen head on.
    pub specular_color: Input<Vec3>,
    /// 0 for a dielectric, 1 for a metal.
    pub metallic: Input<f32>,
    /// 0 is a mirror.
    pub roughness: Input<f32>,
    /// Strength of the varnish.
    pub clearcoat: Input<f32>,
    /// Roughness of the varnish.
    pub clearcoat_roughness: Input<f32>,
    /// 1 is opaque.
    pub opacity: Input<f32>,
    /// `opacityMode`: whether opacity lets light through (`transparent`), or hides the surface altogether (`presence`).
    pub opacity_is_presence: bool,
    /// Above 0: what is less opaque is not there, the rest is opaque.
    pub opacity_threshold: f32,
    /// Index of refraction.
    pub ior: f32,
    /// Normal in tangent space.
    pub normal: Option<TextureInput>,
    /// How far light is kept from crevices.
    pub occlusion: Input<f32>,
    /// Displacement along the normal, in units.
    pub displacement: Input<f32>,
}

impl Default for PreviewSurface {
    fn default() -> Self {
        Self {
            diffuse_color: Vec3::splat(0.18).into(),
            emissive_color: Vec3::ZERO.into(),
            use_specular_workflow: false,
            specular_color: Vec3::ZERO.into(),
            metallic: 0.0.into(),
            roughness: 0.5.into(),
            clearcoat: 0.0.into(),
            clearcoat_roughness: 0.01.into(),
            opacity: 1.0.into(),
            opacity_is_presence: false,
            opacity_threshold: 0.0,
            ior: 1.5,
            normal: None,
            occlusion: 1.0.into(),
            displacement: 0.0.into(),
        }
    }
}

/// An input of a surface.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<T> {
    /// Its value where nothing is connected.
    pub value: T,
    /// What is connected, if it is known.
    pub source: Option<InputSource>,
}

impl<T> From<T> for Input<T> {
    fn from(value: T) -> Self {
        Self { value, source: None }
    }
}

/// What an input is connected to.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSource {
    /// A texture.
    Texture(TextureInput),
    /// A primvar of the geometry, such as `displayColor`.
    Primvar {
        /// Its name.
        name: String,
        /// What stands for it where the geometry has none.
        fallback: Vec4,
    },
}

/// A texture, and how it is read (`UsdUVTexture`).
#[derive(Clone, Debug, PartialEq)]
pub struct TextureInput {
    /// As written in the layer.
    pub authored: String,
    /// The identifier of the picture; within packages `pkg.usdz[picture.png]`. Empty if there is nothing there.
    pub resolved: String,
    /// The channels read.
    pub channels: TextureChannels,
    /// Beyond the left and right edge.
    pub wrap_s: TextureWrap,
    /// Beyond the upper and lower edge.
    pub wrap_t: TextureWrap,
    /// Whether the numbers are encoded as sRGB or raw.
    pub color_space: TextureColorSpace,
    /// Each number is multiplied by this.
    pub scale: Vec4,
    /// And then this is added.
    pub bias: Vec4,
    /// What stands for the picture when it cannot be read.
    pub fallback: Vec4,
    /// The primvar of texture coordinates.
    pub uv_primvar: String,
    /// How coordinates are changed first (`UsdTransform2d`).
    pub uv_transform: UvTransform,
}

/// Scaled, then turned about the origin, then moved. (0, 0) is the lower left corner of the picture, as in USD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UvTransform {
    /// Scale.
    pub scale: Vec2,
    /// Degrees, counter-clockwise.
    pub rotation_deg: f32,
    /// Translation.
    pub translation: Vec2,
}

impl Default for UvTransform {
    fn default() -> Self {
        Self { scale: Vec2::ONE, rotation_deg: 0.0, translation: Vec2::ZERO }
    }
}

/// The channels read from a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextureChannels {
    /// Three.
    Rgb,
    /// Red.
    R,
    /// Green.
    G,
    /// Blue.
    B,
    /// Alpha.
    A,
}

/// What is beyond the edge of a texture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TextureWrap {
    /// The picture says, and if it does not: black.
    #[default]
    UseMetadata,
    /// Nothing: transparent black.
    Black,
    /// The edge.
    Clamp,
    /// The picture again.
    Repeat,
    /// The picture mirrored.
    Mirror,
}

/// How the numbers of a texture are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TextureColorSpace {
    /// 8-bit pictures with three or four channels are sRGB, all others raw.
    #[default]
    Auto,
    /// As they are.
    Raw,
    /// sRGB.
    Srgb,
}
