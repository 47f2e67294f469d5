//! Dome lights: a sky that lights everything.
//!
//! A dome without a picture is light from everywhere in its colour, which is not seen itself. A dome with a picture becomes three cube maps,
//! made once and on the processor: the sky as it is seen, its light gathered over the hemisphere about each direction (for rough surfaces),
//! and its reflections for growing roughness. Bevy could filter on the GPU
//! ([`GeneratedEnvironmentMapLight`]), but does so in every frame and for each camera, which is
//! dear with two eyes and many cameras for a sky that stays.
//!
//! Skies belong to cameras in Bevy: every camera with [`StageView`] gets them. Several domes without a picture add up; of several with one,
//! the first entity's is shown. Without any, such a camera's ambient light is 0, whatever Bevy's default is.
//!
//! - Latitude and longitude as Hydra has them: the picture's upper edge is the pole, its middle is +Z and a quarter from its left is +X.
//! - Gathered light: spherical harmonics of nine terms (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment
//!   Maps", SIGGRAPH 2001).
//! - Reflections: GGX lobes with the view along the normal (Karis, "Real Shading in Unreal Engine 4", SIGGRAPH 2013), each sample read from
//!   a level of the picture as coarse as the sample is wide (Křivánek and Colbert, "Real-time Shading with Filtered Importance Sampling", 2008).

use super::{
    DefaultLighting,
    texture::{Picture, TextureBaker},
};
use bevy::{
    asset::RenderAssetUsages,
    image::ImageSampler,
    light::{AmbientLight, EnvironmentMapLight, Skybox},
    math::Vec2,
    prelude::*,
    render::render_resource::{Extent3d, TextureDimension, TextureFormat, TextureViewDescriptor, TextureViewDimension},
};
use half::f16;
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// A camera that sees the stage's sky and its ambient light. Put it on any camera that films a stage.
#[derive(Component, Clone, Copy, Debug, Default, Reflect)]
#[reflect(Component)]
pub struct StageView;

/// A sky. [`DomeMaps`] beside it are its picture; without them it is plain, also where the picture could not be read.
#[derive(Component, Clone, Debug, PartialEq)]
#[require(Transform, Visibility)]
pub struct DomeLight {
    /// Luminance of a colour of 1, nits.
    pub nits: f32,
    /// Colour; where there is a picture, it is worked into its maps (see [`bake_dome`]).
    pub color: Vec3,
    /// The identifier of its picture, empty for none.
    pub texture: String,
    /// How the picture is laid out: `automatic` or `latlong`; others are not read.
    pub texture_format: String,
    /// Whether the pole is +Z rather than +Y.
    pub pole_is_z: bool,
}

/// The cube maps of a dome's picture.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct DomeMaps {
    /// As it is seen.
    pub sky: Handle<Image>,
    /// Gathered over hemispheres.
    pub diffuse: Handle<Image>,
    /// Reflections; levels of growing roughness.
    pub specular: Handle<Image>,
}

/// A dome's cube maps, made.
#[derive(Debug)]
pub struct BakedDome {
    /// As it is seen.
    pub sky: Image,
    /// Gathered over hemispheres.
    pub diffuse: Image,
    /// Reflections; levels of growing roughness.
    pub specular: Image,
}

impl BakedDome {
    /// Hands the images over. `add` takes an image with a label such as `DomeSky`, and gives its handle.
    pub fn into_maps(self, name: &str, add: &mut dyn FnMut(String, Image) -> Handle<Image>) -> DomeMaps {
        DomeMaps {
            sky: add(format!("{name}Sky"), self.sky),
            diffuse: add(format!("{name}Diffuse"), self.diffuse),
            specular: add(format!("{name}Specular"), self.specular),
        }
    }
}

/// How a dome's maps are made.
#[derive(Clone, Copy, Debug)]
pub struct DomeOptions {
    /// Largest side of a face of the sky, pixels.
    pub max_face_px: u32,
    /// Side of a face of the sharpest reflections, pixels; a power of two.
    pub specular_px: u32,
    /// Samples of each texel of the reflections.
    pub samples: u32,
}

impl Default for DomeOptions {
    fn default() -> Self {
        Self { max_face_px: 1024, specular_px: 128, samples: 64 }
    }
}

/// Side of a face of the gathered light: it varies slowly.
const DIFFUSE_PX: u32 = 16;
/// The coarsest reflections.
const SMALLEST_SPECULAR_PX: u32 = 4;
/// The picture that maps are made of is at most this wide.
const WIDEST_SOURCE_PX: u32 = 4096;

/// Makes a dome's maps of its picture, its colour worked in. It takes a while: not for the main thread.
///
/// # Errors
///
/// In words: no picture, one that cannot be read (see [`PictureError`](super::texture::PictureError)), or a layout that is not known.
pub fn bake_dome(baker: &TextureBaker, dome: &DomeLight, options: &DomeOptions) -> Result<BakedDome, String> {
    if !matches!(dome.texture_format.as_str(), "" | "automatic" | "latlong") {
        return Err(format!(
            "the dome's picture `{}` is laid out as `{}`, which is not read: turn it into `latlong`",
            dome.texture, dome.texture_format
        ));
    }
    let picture = baker.picture(&dome.texture, &dome.texture).map_err(|error| error.to_string())?;
    let tint = if dome.color.is_finite() { dome.color.max(Vec3::ZERO) } else { Vec3::ONE };
    let levels = pyramid(&picture, tint);
    let max_face = options.max_face_px.clamp(16, 4096).next_power_of_two();
    let face = (picture.width / 4).next_power_of_two().clamp(16, max_face);
    let samples = options.samples.clamp(1, 4096);
    let specular_px = options.specular_px.clamp(SMALLEST_SPECULAR_PX, 1024).next_power_of_two();
    let gathered = Harmonics::of(&levels);
    Ok(BakedDome {
        sky: cube(face, 1, |direction, _| sharp(&levels, direction, face)),
        diffuse: cube(DIFFUSE_PX, 1, |direction, _| gathered.mean_about(direction)),
        specular: cube(specular_px, (specular_px / SMALLEST_SPECULAR_PX).ilog2() + 1, |direction, roughness| {
            if roughness == 0.0 {
                sharp(&levels, direction, specular_px)
            } else {
                reflected(&levels, direction, roughness, samples)
            }
        }),
    })
}

/// A lat-long picture at one size.
struct LatLong {
    width: u32,
    height: u32,
    texels: Vec<Vec3>,
}

impl LatLong {
    fn at(&self, x: u32, y: u32) -> Vec3 {
        self.texels.get((y.min(self.height - 1) * self.width + x % self.width) as usize).copied().unwrap_or_default()
    }

    /// Linear between texels, around the seam.
    fn sample(&self, uv: Vec2) -> Vec3 {
        let x = (uv.x * self.width as f32 - 0.5).rem_euclid(self.width as f32);
        let y = (uv.y * self.height as f32 - 0.5).clamp(0.0, (self.height - 1) as f32);
        let (x0, y0) = (x as u32, y as u32);
        let upper = self.at(x0, y0).lerp(self.at(x0 + 1, y0), x.fract());
        let lower = self.at(x0, y0 + 1).lerp(self.at(x0 + 1, y0 + 1), x.fract());
        upper.lerp(lower, y.fract())
    }

    fn half_as_large(&self) -> Self {
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let texel = |x: u32, y: u32| {
            (self.at(2 * x, 2 * y) + self.at(2 * x + 1, 2 * y) + self.at(2 * x, 2 * y + 1) + self.at(2 * x + 1, 2 * y + 1)) * 0.25
        };
        Self { width, height, texels: (0..height).flat_map(|y| (0..width).map(move |x| texel(x, y))).collect() }
    }
}

/// The picture, and its halves.
fn pyramid(picture: &Picture, tint: Vec3) -> Vec<LatLong> {
    let is_srgb = picture.is_srgb_by_itself();
    // Larger pictures are read at every nth pixel's mean.
    let step = picture.width.div_ceil(WIDEST_SOURCE_PX).max(1);
    let (width, height) = ((picture.width / step).max(1), (picture.height / step).max(1));
    let texel = |x: u32, y: u32| {
        let mut sum = Vec3::ZERO;
        for dy in 0..step {
            for dx in 0..step {
                sum += picture.linear(x * step + dx, y * step + dy, is_srgb).truncate();
            }
        }
        (sum / (step * step) as f32 * tint).clamp(Vec3::ZERO, Vec3::splat(65_504.0))
    };
    let mut levels =
        vec![LatLong { width, height, texels: (0..height).flat_map(|y| (0..width).map(move |x| texel(x, y))).collect() }];
    while let Some(last) = levels.last()
        && last.width > 4
        && last.height > 2
    {
        let next = last.half_as_large();
        levels.push(next);
    }
    levels
}

/// Where a direction of the dome is in its picture, from the upper left.
pub fn lat_long_uv(direction: Vec3) -> Vec2 {
    let longitude = (direction.z.atan2(direction.x) + FRAC_PI_2) / TAU;
    Vec2::new(longitude.rem_euclid(1.0), direction.y.clamp(-1.0, 1.0).acos() / PI)
}

fn sample_level(levels: &[LatLong], uv: Vec2, level: f32) -> Vec3 {
    let level = level.clamp(0.0, (levels.len() - 1) as f32);
    let sample = |index: usize| levels.get(index).map_or(Vec3::ZERO, |level| level.sample(uv));
    let lower = level as usize;
    if level.fract() == 0.0 { sample(lower) } else { sample(lower).lerp(sample(lower + 1), level.fract()) }
}

/// The picture as coarse as a texel of a face.
fn sharp(levels: &[LatLong], direction: Vec3, face_px: u32) -> Vec3 {
    let width = levels.first().map_or(1, |level| level.width) as f32;
    sample_level(levels, lat_long_uv(direction), (width / (4.0 * face_px as f32)).log2().max(0.0))
}

/// What a rough mirror shows when it is seen along its normal.
fn reflected(levels: &[LatLong], normal: Vec3, perceptual_roughness: f32, samples: u32) -> Vec3 {
    let alpha = perceptual_roughness * perceptual_roughness;
    let (tangent, bitangent) = normal.any_orthonormal_pair();
    let texels = levels.first().map_or(1.0, |level| (level.width * level.height) as f32);
    let (mut sum, mut weight) = (Vec3::ZERO, 0.0);
    for index in 0..samples {
        // Hammersley points: evenly over the circle, and the bits of the index mirrored.
        let along = (index as f32 + 0.5) / samples as f32;
        let radical = index.reverse_bits() as f32 / 4_294_967_296.0;
        let cos2 = (1.0 - radical) / (1.0 + (alpha * alpha - 1.0) * radical);
        let (cos, sin) = (cos2.sqrt(), (1.0 - cos2).max(0.0).sqrt());
        let (turn_sin, turn_cos) = (along * TAU).sin_cos();
        let half = tangent * (sin * turn_cos) + bitangent * (sin * turn_sin) + normal * cos;
        let light = half * (2.0 * cos) - normal;
        let facing = light.dot(normal);
        if facing <= 0.0 {
            continue;
        }
        let spread = cos2 * (alpha * alpha - 1.0) + 1.0;
        let density = alpha * alpha / (PI * spread * spread) / 4.0;
        let sample_angle = 1.0 / (samples as f32 * density.max(1e-6));
        let level = 0.5 * (sample_angle * texels / (4.0 * PI)).log2() + 0.5;
        sum += sample_level(levels, lat_long_uv(light.normalize_or(normal)), level) * facing;
        weight += facing;
    }
    if weight > 0.0 { sum / weight } else { Vec3::ZERO }
}

/// A sky in nine numbers a colour.
struct Harmonics([Vec3; 9]);

impl Harmonics {
    fn basis(d: Vec3) -> [f32; 9] {
        [
            0.282_095,
            0.488_603 * d.y,
            0.488_603 * d.z,
            0.488_603 * d.x,
            1.092_548 * d.x * d.y,
            1.092_548 * d.y * d.z,
            0.315_392 * (3.0 * d.z * d.z - 1.0),
            1.092_548 * d.x * d.z,
            0.546_274 * (d.x * d.x - d.y * d.y),
        ]
    }

    fn of(levels: &[LatLong]) -> Self {
        // Nine terms need no fine picture.
        let Some(picture) = levels.iter().find(|level| level.width <= 256).or(levels.last()) else {
            return Self([Vec3::ZERO; 9]);
        };
        let mut terms = [Vec3::ZERO; 9];
        let mut all = 0.0;
        for y in 0..picture.height {
            let latitude = (y as f32 + 0.5) / picture.height as f32 * PI;
            for x in 0..picture.width {
                let angle = (x as f32 + 0.5) / picture.width as f32 * TAU - FRAC_PI_2;
                let direction = Vec3::new(latitude.sin() * angle.cos(), latitude.cos(), latitude.sin() * angle.sin());
                all += latitude.sin();
                for (term, basis) in terms.iter_mut().zip(Self::basis(direction)) {
                    *term += picture.at(x, y) * (basis * latitude.sin());
                }
            }
        }
        Self(terms.map(|term| term * (4.0 * PI / all)))
    }

    /// The mean about a direction, weighted by the cosine: irradiance by π.
    fn mean_about(&self, direction: Vec3) -> Vec3 {
        let weights = [1.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.25, 0.25, 0.25, 0.25, 0.25];
        let terms = self.0.iter().zip(Self::basis(direction)).zip(weights);
        terms.map(|((term, basis), weight)| *term * (basis * weight)).sum::<Vec3>().max(Vec3::ZERO)
    }
}

/// The direction of a texel of a cube map, in the dome's space. Cube maps are left-handed, so Bevy turns Z about when it reads them.
pub fn cube_direction(face: u32, s: f32, t: f32) -> Vec3 {
    let cube = match face {
        0 => Vec3::new(1.0, -t, -s),
        1 => Vec3::new(-1.0, -t, s),
        2 => Vec3::new(s, 1.0, t),
        3 => Vec3::new(s, -1.0, -t),
        4 => Vec3::new(s, -t, 1.0),
        _ => Vec3::new(-s, -t, -1.0),
    };
    Vec3::new(cube.x, cube.y, -cube.z).normalize()
}

/// A cube map, each texel as `color` says of its direction and of its level's roughness (0 to 1).
fn cube(face_px: u32, levels: u32, color: impl Fn(Vec3, f32) -> Vec3) -> Image {
    let mut bytes = Vec::new();
    for face in 0..6 {
        for level in 0..levels {
            let side = (face_px >> level).max(1);
            let roughness = if levels > 1 { level as f32 / (levels - 1) as f32 } else { 0.0 };
            let along = |at: u32| (at as f32 + 0.5) / side as f32 * 2.0 - 1.0;
            for y in 0..side {
                for x in 0..side {
                    let rgb = color(cube_direction(face, along(x), along(y)), roughness);
                    let texel = rgb.clamp(Vec3::ZERO, Vec3::splat(65_504.0)).extend(1.0).to_array();
                    bytes.extend(texel.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
                }
            }
        }
    }
    let size = Extent3d { width: face_px, height: face_px, depth_or_array_layers: 6 };
    let mut image = Image::new_uninit(size, TextureDimension::D2, TextureFormat::Rgba16Float, RenderAssetUsages::RENDER_WORLD);
    image.texture_descriptor.mip_level_count = levels;
    image.texture_view_descriptor =
        Some(TextureViewDescriptor { dimension: Some(TextureViewDimension::Cube), ..TextureViewDescriptor::default() });
    image.sampler = ImageSampler::linear();
    image.data = Some(bytes);
    image
}

/// What a camera sees of the stage's sky.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub(super) struct ShownSky {
    maps: Option<DomeMaps>,
    rotation: Quat,
    intensity: f32,
    /// Light of domes without a picture beside one with a picture.
    ambient_nits: Vec3,
}

/// Bevy's ambient light reaches a matt surface by this factor less than light from everywhere does: it goes through the environment's
/// share of its reflection model, which is 0.4524 where that is fully rough (`F_AB` in `pbr_lighting.wgsl`).
const AMBIENT_SHARE: f32 = 0.4524;

fn ambient(nits: Vec3) -> AmbientLight {
    let brightness = nits.max_element();
    let color = if brightness > 0.0 { nits / brightness } else { Vec3::ONE };
    AmbientLight { color: Color::linear_rgb(color.x, color.y, color.z), brightness: brightness / AMBIENT_SHARE, ..default() }
}

/// Maps of one colour: as a sky of a dome without a picture lights, without being seen.
fn plain_maps(images: &mut Assets<Image>, color: Vec3) -> DomeMaps {
    let handle = images.add(cube(1, 1, |_, _| color));
    DomeMaps { sky: handle.clone(), diffuse: handle.clone(), specular: handle }
}

/// Gives every [`StageView`] the stage's sky.
pub(super) fn update_skies(
    mut commands: Commands,
    domes: Query<(Entity, &DomeLight, Option<&DomeMaps>, &GlobalTransform, &InheritedVisibility)>,
    views: Query<(Entity, Option<&ShownSky>), (With<StageView>, With<Camera3d>)>,
    lighting: Res<DefaultLighting>,
    mut images: ResMut<Assets<Image>>,
    mut plain: Local<Option<(Vec3, DomeMaps)>>,
) {
    if views.is_empty() {
        return;
    }
    let mut nits = Vec3::splat(lighting.ambient_nits_now);
    let mut sky: Option<(Entity, ShownSky)> = None;
    for (entity, dome, maps, global, visibility) in &domes {
        if !visibility.get() {
            continue;
        }
        match maps {
            None => nits += dome.color * dome.nits,
            Some(maps) if sky.as_ref().is_none_or(|(first, ..)| entity < *first) => {
                let pole = if dome.pole_is_z { Quat::from_rotation_x(FRAC_PI_2) } else { Quat::IDENTITY };
                let rotation = global.rotation() * pole;
                sky = Some((
                    entity,
                    ShownSky { maps: Some(maps.clone()), rotation, intensity: dome.nits, ambient_nits: Vec3::ZERO },
                ));
            }
            Some(_) => {}
        }
    }
    let nits = if nits.is_finite() { nits.clamp(Vec3::ZERO, Vec3::splat(1e12)) } else { Vec3::ZERO };
    let is_seen = sky.is_some();
    let wanted = match sky {
        Some((_, sky)) => ShownSky { ambient_nits: nits, ..sky },
        None if nits == Vec3::ZERO => ShownSky::default(),
        None => {
            let intensity = nits.max_element();
            let color = nits / intensity;
            if plain.as_ref().is_none_or(|(made_for, _)| !made_for.abs_diff_eq(color, 1e-4)) {
                *plain = Some((color, plain_maps(&mut images, color)));
            }
            let maps = plain.as_ref().map(|(_, maps)| maps.clone());
            ShownSky { maps, intensity, ..default() }
        }
    };
    for (entity, shown) in &views {
        if shown == Some(&wanted) {
            continue;
        }
        let mut view = commands.entity(entity);
        view.insert((ambient(wanted.ambient_nits), wanted.clone()));
        match &wanted.maps {
            // What others put there stays.
            None if shown.is_none_or(|shown| shown.maps.is_none()) => {}
            None => {
                view.remove::<(EnvironmentMapLight, Skybox)>();
            }
            Some(maps) => {
                view.insert(EnvironmentMapLight {
                    diffuse_map: maps.diffuse.clone(),
                    specular_map: maps.specular.clone(),
                    intensity: wanted.intensity,
                    rotation: wanted.rotation,
                    ..default()
                });
                if is_seen {
                    view.insert(Skybox {
                        image: Some(maps.sky.clone()),
                        brightness: wanted.intensity,
                        rotation: wanted.rotation,
                    });
                } else {
                    view.remove::<Skybox>();
                }
            }
        }
    }
}
