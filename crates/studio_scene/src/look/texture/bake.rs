//! From a recipe to an image with mipmaps.

use super::picture::{LINEAR_OF_BYTE, linear_from_srgb, srgb_byte, srgb_from_linear};
use super::{Channel, ChannelRead, Encoding, Picture, PictureData, TextureBaker, TextureRecipe};
use bevy::{
    image::{Image, ImageAddressMode, ImageFilterMode, ImageSampler, ImageSamplerBorderColor, ImageSamplerDescriptor},
    math::{Vec3, Vec4},
};
use half::f16;
use std::sync::Arc;
use studio_usd::snapshot::{TextureColorSpace, TextureWrap};
use wgpu::{Extent3d, TextureDimension, TextureFormat};

/// A texture, made.
#[derive(Debug)]
pub struct BakedTexture {
    /// With its mipmaps and sampler.
    pub image: Image,
    /// What is known of it.
    pub facts: TextureFacts,
    /// What went wrong, in words.
    pub notes: Vec<String>,
}

/// What is known of a texture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextureFacts {
    /// Whether alpha is 1 everywhere.
    pub is_opaque: bool,
    /// The mean of its linear numbers.
    pub mean: Vec4,
}

/// A texture whose edge stands for a border is made at least this large, and its mipmaps end here.
const SMALLEST_BORDERED_PX: u32 = 64;
/// Halving for the budget ends here.
const SMALLEST_HALVED_PX: u32 = 64;

/// Texels, before they are bytes of an image.
enum Texels {
    /// Colours are sRGB if the flag is set; alpha never is.
    Bytes { data: Vec<[u8; 4]>, is_srgb: bool },
    /// Linear.
    Halves(Vec<[f16; 4]>),
}

struct Level {
    width: u32,
    height: u32,
    texels: Texels,
}

/// A channel, with its picture if that could be read.
enum Source<'a> {
    Constant(f32),
    Picture { picture: Arc<Picture>, read: &'a ChannelRead, is_srgb: bool },
}

pub(super) fn bake(baker: &TextureBaker, recipe: &TextureRecipe) -> BakedTexture {
    let mut notes = Vec::new();
    let sources = recipe.channels.each_ref().map(|channel| match channel {
        Channel::Constant(value) => Source::Constant(value.get()),
        Channel::Picture(read) => match baker.picture(&read.identifier, &read.authored) {
            Ok(picture) => {
                let is_srgb = match read.color_space {
                    TextureColorSpace::Auto => picture.is_srgb_by_itself(),
                    TextureColorSpace::Raw => false,
                    TextureColorSpace::Srgb => true,
                };
                Source::Picture { is_srgb: is_srgb && read.channel < 3, picture, read }
            }
            Err(error) => {
                let note = error.to_string();
                if !notes.contains(&note) {
                    notes.push(note);
                }
                let fallback = read.fallback.get();
                Source::Constant(if recipe.encoding == Encoding::Normal { fallback * 0.5 + 0.5 } else { fallback })
            }
        },
    });
    let borders = recipe.wrap.map(|wrap| matches!(wrap, TextureWrap::Black | TextureWrap::UseMetadata));
    let has_picture = sources.iter().any(|source| matches!(source, Source::Picture { .. }));
    let blackens_edge = has_picture && borders.contains(&true) && !baker.options().border_color;
    let (mut width, mut height) = size(&sources);
    if blackens_edge {
        (width, height) = (width.max(SMALLEST_BORDERED_PX), height.max(SMALLEST_BORDERED_PX));
    }
    let texels = texels(&sources, width, height, recipe.encoding);
    let mut levels = mipmaps(Level { width, height, texels }, recipe.encoding);
    if blackens_edge {
        let smallest =
            levels.iter().position(|level| level.width.min(level.height) < SMALLEST_BORDERED_PX).unwrap_or(levels.len());
        levels.truncate(smallest.max(1));
        for level in &mut levels {
            blacken_edge(level, borders);
        }
    }
    let facts = facts(&levels);
    let dropped = fit(baker, &mut levels);
    if dropped > 0 {
        let name = recipe.pictures().first().map_or_else(String::new, |read| read.identifier.to_string());
        let (to_width, to_height) = levels.first().map_or((0, 0), |level| (level.width, level.height));
        notes.push(format!(
            "the texture of `{name}` is {to_width} × {to_height} rather than {width} × {height}, to keep within {} pixels a side and {} MiB",
            baker.options().max_side_px,
            baker.options().budget_bytes >> 20
        ));
    }
    BakedTexture { image: image(baker, recipe, levels, has_picture), facts, notes }
}

fn size(sources: &[Source; 4]) -> (u32, u32) {
    sources.iter().fold((1, 1), |(width, height), source| match source {
        Source::Constant(_) => (width, height),
        Source::Picture { picture, .. } => (width.max(picture.width), height.max(picture.height)),
    })
}

/// Whether eight bits are too few: the picture has more, or scale and bias lead beyond 0 and 1. Normals leave that range only where the
/// file is wrong; they are cut.
fn needs_halves(source: &Source, is_normal: bool) -> bool {
    match source {
        Source::Constant(value) => !is_normal && !(0.0..=1.0).contains(value),
        Source::Picture { picture, read, .. } => {
            let (low, high) = (read.bias.get(), read.scale.get() + read.bias.get());
            let is_beyond = low.min(high) < -1e-4 || low.max(high) > 1.0001;
            (is_beyond && !is_normal) || !matches!(picture.data, PictureData::U8(_))
        }
    }
}

fn texels(sources: &[Source; 4], width: u32, height: u32, encoding: Encoding) -> Texels {
    let count = width as usize * height as usize;
    let is_normal = encoding == Encoding::Normal;
    if sources.iter().any(|source| needs_halves(source, is_normal)) {
        let mut data = vec![[f16::ZERO; 4]; count];
        for (channel, source) in sources.iter().enumerate() {
            fill(&mut data, channel, source, width, height, &|value| f16::from_f32(value.clamp(-65_504.0, 65_504.0)), is_normal);
        }
        return Texels::Halves(data);
    }
    let is_srgb = encoding == Encoding::Color;
    let mut data = vec![[0_u8; 4]; count];
    for (channel, source) in sources.iter().enumerate() {
        let encode = |value: f32| {
            let value = value.clamp(0.0, 1.0);
            let value = if is_srgb && channel < 3 { srgb_from_linear(value) } else { value };
            (value * 255.0 + 0.5) as u8
        };
        fill(&mut data, channel, source, width, height, &encode, is_normal);
    }
    Texels::Bytes { data, is_srgb }
}

/// Fills one channel.
fn fill<T: Copy>(
    data: &mut [[T; 4]],
    channel: usize,
    source: &Source,
    width: u32,
    height: u32,
    encode: &dyn Fn(f32) -> T,
    is_normal: bool,
) {
    let mut put = |index: usize, value: T| {
        if let Some(slot) = data.get_mut(index).and_then(|texel| texel.get_mut(channel)) {
            *slot = value;
        }
    };
    let (picture, read, is_srgb) = match source {
        Source::Constant(value) => {
            let value = encode(*value);
            return (0..width as usize * height as usize).for_each(|index| put(index, value));
        }
        Source::Picture { picture, read, is_srgb } => (picture, read, *is_srgb),
    };
    let decode = |number: f32| if is_srgb { linear_from_srgb(number) } else { number };
    let finish = |linear: f32| {
        let value = linear * read.scale.get() + read.bias.get();
        encode(if is_normal { value * 0.5 + 0.5 } else { value })
    };
    if (picture.width, picture.height) != (width, height) {
        for y in 0..height {
            for x in 0..width {
                let value = bilinear(picture, read.channel, (x, y), (width, height), &decode);
                put(y as usize * width as usize + x as usize, finish(value));
            }
        }
        return;
    }
    match (&picture.data, picture.own_channel(read.channel)) {
        // Eight bits: every byte's result is worked out once.
        (PictureData::U8(bytes), Some(own)) => {
            let table: [T; 256] = std::array::from_fn(|byte| finish(decode(byte as f32 / 255.0)));
            for (index, pixel) in bytes.chunks_exact(usize::from(picture.channels)).enumerate() {
                if let Some(value) = pixel.get(own).and_then(|byte| table.get(usize::from(*byte))) {
                    put(index, *value);
                }
            }
        }
        _ => {
            for y in 0..height {
                for x in 0..width {
                    put(y as usize * width as usize + x as usize, finish(decode(picture.number(x, y, read.channel))));
                }
            }
        }
    }
}

/// A channel of a picture at the middle of a texel of another size, linear between the four nearest pixels.
fn bilinear(picture: &Picture, channel: u8, (x, y): (u32, u32), (width, height): (u32, u32), decode: &dyn Fn(f32) -> f32) -> f32 {
    let along = |at: u32, of: u32, pixels: u32| {
        let place = ((at as f32 + 0.5) / of as f32 * pixels as f32 - 0.5).clamp(0.0, (pixels - 1) as f32);
        (place as u32, place.fract())
    };
    let ((x, fx), (y, fy)) = (along(x, width, picture.width), along(y, height, picture.height));
    let at = |x, y| decode(picture.number(x, y, channel));
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    mix(mix(at(x, y), at(x + 1, y), fx), mix(at(x, y + 1), at(x + 1, y + 1), fx), fy)
}

/// All levels, each the mean of two by two texels of the one before, in linear light; normals keep their length.
fn mipmaps(first: Level, encoding: Encoding) -> Vec<Level> {
    let mut levels = vec![first];
    while let Some(last) = levels.last()
        && (last.width > 1 || last.height > 1)
    {
        let next = half_as_large(last, encoding);
        levels.push(next);
    }
    levels
}

fn half_as_large(level: &Level, encoding: Encoding) -> Level {
    let (width, height) = ((level.width / 2).max(1), (level.height / 2).max(1));
    let mean = |x: u32, y: u32| {
        let (x1, y1) = ((2 * x + 1).min(level.width - 1), (2 * y + 1).min(level.height - 1));
        let (x0, y0) = ((2 * x).min(x1), (2 * y).min(y1));
        let sum = level.linear(x0, y0) + level.linear(x1, y0) + level.linear(x0, y1) + level.linear(x1, y1);
        let mean = sum * 0.25;
        if encoding != Encoding::Normal {
            return mean;
        }
        let normal = (mean.truncate() * 2.0 - 1.0).try_normalize().unwrap_or(Vec3::Z);
        (normal * 0.5 + 0.5).extend(mean.w)
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let texels = match &level.texels {
        Texels::Halves(_) => Texels::Halves(places.map(|(x, y)| mean(x, y).to_array().map(f16::from_f32)).collect()),
        Texels::Bytes { is_srgb, .. } => {
            let byte = |value: f32, is_srgb: bool| match is_srgb {
                true => srgb_byte(value),
                false => (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8,
            };
            let encode =
                |value: Vec4| [byte(value.x, *is_srgb), byte(value.y, *is_srgb), byte(value.z, *is_srgb), byte(value.w, false)];
            Texels::Bytes { data: places.map(|(x, y)| encode(mean(x, y))).collect(), is_srgb: *is_srgb }
        }
    };
    Level { width, height, texels }
}

impl Level {
    fn linear(&self, x: u32, y: u32) -> Vec4 {
        self.linear_at(y as usize * self.width as usize + x as usize)
    }

    fn linear_at(&self, index: usize) -> Vec4 {
        match &self.texels {
            Texels::Halves(data) => data.get(index).map_or(Vec4::ZERO, |texel| Vec4::from_array(texel.map(f16::to_f32))),
            Texels::Bytes { data, is_srgb } => {
                let [r, g, b, a] = data.get(index).copied().unwrap_or_default();
                let color = |byte: u8| {
                    if *is_srgb {
                        LINEAR_OF_BYTE.get(usize::from(byte)).copied().unwrap_or_default()
                    } else {
                        f32::from(byte) / 255.0
                    }
                };
                Vec4::new(color(r), color(g), color(b), f32::from(a) / 255.0)
            }
        }
    }

    fn len(&self) -> usize {
        match &self.texels {
            Texels::Halves(data) => data.len(),
            Texels::Bytes { data, .. } => data.len(),
        }
    }

    fn size_bytes(&self) -> u64 {
        match &self.texels {
            Texels::Halves(data) => data.len() as u64 * 8,
            Texels::Bytes { data, .. } => data.len() as u64 * 4,
        }
    }
}

fn facts(levels: &[Level]) -> TextureFacts {
    let is_opaque = levels.first().is_some_and(|level| match &level.texels {
        Texels::Bytes { data, .. } => data.iter().all(|texel| texel[3] == 255),
        Texels::Halves(data) => data.iter().all(|texel| texel[3] >= f16::ONE),
    });
    // A small level is as good as the whole.
    let level = levels.iter().find(|level| level.len() <= 256).or(levels.last());
    let mean = level.map_or(Vec4::ZERO, |level| {
        (0..level.len()).map(|index| level.linear_at(index)).sum::<Vec4>() / level.len().max(1) as f32
    });
    TextureFacts { is_opaque, mean }
}

fn blacken_edge(level: &mut Level, [left_and_right, above_and_below]: [bool; 2]) {
    let (width, height) = (level.width, level.height);
    let is_edge =
        |x: u32, y: u32| (left_and_right && (x == 0 || x + 1 == width)) || (above_and_below && (y == 0 || y + 1 == height));
    for y in 0..height {
        for x in 0..width {
            if !is_edge(x, y) {
                continue;
            }
            let index = y as usize * width as usize + x as usize;
            match &mut level.texels {
                Texels::Bytes { data, .. } => {
                    if let Some(texel) = data.get_mut(index) {
                        *texel = [0; 4];
                    }
                }
                Texels::Halves(data) => {
                    if let Some(texel) = data.get_mut(index) {
                        *texel = [f16::ZERO; 4];
                    }
                }
            }
        }
    }
}

/// Drops the largest levels until the texture fits, and takes its bytes out of the budget. Returns how many were dropped.
fn fit(baker: &TextureBaker, levels: &mut Vec<Level>) -> usize {
    let max_side = baker.options().max_side_px.max(1);
    let total = |levels: &[Level]| levels.iter().map(Level::size_bytes).sum::<u64>();
    let mut first = levels.iter().position(|level| level.width.max(level.height) <= max_side).unwrap_or(levels.len() - 1);
    loop {
        let rest = levels.get(first..).unwrap_or_default();
        if baker.take(total(rest)) {
            break;
        }
        let is_small = rest.first().is_none_or(|level| level.width.max(level.height) <= SMALLEST_HALVED_PX);
        if is_small || rest.len() <= 1 {
            baker.take_anyway(total(rest));
            break;
        }
        first += 1;
    }
    levels.drain(..first);
    first
}

fn image(baker: &TextureBaker, recipe: &TextureRecipe, levels: Vec<Level>, has_picture: bool) -> Image {
    let first = levels.first();
    let (width, height) = first.map_or((1, 1), |level| (level.width, level.height));
    let format = match first.map(|level| &level.texels) {
        Some(Texels::Halves(_)) => TextureFormat::Rgba16Float,
        Some(Texels::Bytes { is_srgb: true, .. }) => TextureFormat::Rgba8UnormSrgb,
        _ => TextureFormat::Rgba8Unorm,
    };
    let mut bytes = Vec::with_capacity(levels.iter().map(Level::size_bytes).sum::<u64>() as usize);
    for level in &levels {
        match &level.texels {
            Texels::Bytes { data, .. } => bytes.extend_from_slice(data.as_flattened()),
            Texels::Halves(data) => bytes.extend(data.as_flattened().iter().flat_map(|half| half.to_le_bytes())),
        }
    }
    let size = Extent3d { width, height, depth_or_array_layers: 1 };
    let mut image = Image::new_uninit(size, TextureDimension::D2, format, baker.options().usage);
    image.texture_descriptor.mip_level_count = levels.len() as u32;
    image.data = Some(bytes);
    let border = baker.options().border_color;
    let address = |wrap: TextureWrap| match wrap {
        _ if !has_picture => ImageAddressMode::ClampToEdge,
        TextureWrap::Repeat => ImageAddressMode::Repeat,
        TextureWrap::Mirror => ImageAddressMode::MirrorRepeat,
        TextureWrap::Black | TextureWrap::UseMetadata if border => ImageAddressMode::ClampToBorder,
        TextureWrap::Clamp | TextureWrap::Black | TextureWrap::UseMetadata => ImageAddressMode::ClampToEdge,
    };
    let address = recipe.wrap.map(address);
    image.sampler = ImageSampler::Descriptor(ImageSamplerDescriptor {
        address_mode_u: address[0],
        address_mode_v: address[1],
        mag_filter: ImageFilterMode::Linear,
        min_filter: ImageFilterMode::Linear,
        mipmap_filter: ImageFilterMode::Linear,
        anisotropy_clamp: baker.options().anisotropy.clamp(1, 16),
        border_color: address.contains(&ImageAddressMode::ClampToBorder).then_some(ImageSamplerBorderColor::TransparentBlack),
        ..ImageSamplerDescriptor::default()
    });
    image
}
