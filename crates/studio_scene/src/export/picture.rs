//! Pictures to PNG files, and small conversions.

use bevy::{image::IntoDynamicImageError, prelude::*};
use image::{DynamicImage, ImageFormat};
use std::io::Cursor;
use studio_usd::write::gf;
use wgpu::TextureFormat;

/// A picture as a PNG file.
///
/// # Errors
/// Why not, in words: it is only on the GPU, or of a format that PNG does not have.
pub(super) fn png(picture: &Image) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::new());
    dynamic(picture)?.write_to(&mut bytes, ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

fn dynamic(picture: &Image) -> Result<DynamicImage, String> {
    let size = picture.size();
    if picture.texture_descriptor.size.depth_or_array_layers != 1 {
        return Err("it has several layers".to_owned());
    }
    let Some(data) = &picture.data else {
        return Err("it is only on the GPU".to_owned());
    };
    let texel = match picture.texture_descriptor.format {
        TextureFormat::R8Unorm => 1,
        TextureFormat::Rg8Unorm => 2,
        TextureFormat::Rgba8Unorm | TextureFormat::Rgba8UnormSrgb | TextureFormat::Bgra8Unorm | TextureFormat::Bgra8UnormSrgb => {
            4
        }
        format => return Err(format!("PNG does not have the pixel format {format:?}")),
    };
    // What follows are smaller versions of the same picture.
    let bytes = (size.x as usize).saturating_mul(size.y as usize).saturating_mul(texel);
    let data = data.get(..bytes).ok_or("it has fewer bytes than pixels")?.to_vec();
    if picture.texture_descriptor.format == TextureFormat::Rg8Unorm {
        // PNG's second channel would be opacity.
        let wide = data
            .chunks_exact(2)
            .flat_map(|pair| [pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0), 0])
            .collect();
        let picture = image::RgbImage::from_raw(size.x, size.y, wide).ok_or("it has fewer bytes than pixels")?;
        return Ok(DynamicImage::ImageRgb8(picture));
    }
    let plain = Image { data: Some(data), texture_descriptor: picture.texture_descriptor.clone(), ..default() };
    let plain = if picture.texture_descriptor.format == TextureFormat::Rgba8Unorm { as_srgb(plain) } else { plain };
    let made = plain.try_into_dynamic().map_err(|error: IntoDynamicImageError| error.to_string())?;
    // Without opacity it is smaller, and other tools do not take it for transparent.
    let is_opaque = made.as_rgba8().is_some_and(|picture| picture.pixels().all(|pixel| pixel.0[3] == u8::MAX));
    Ok(if is_opaque { DynamicImage::ImageRgb8(made.into_rgb8()) } else { made })
}

/// Only the name: the numbers stay.
fn as_srgb(mut picture: Image) -> Image {
    picture.texture_descriptor.format = TextureFormat::Rgba8UnormSrgb;
    picture
}

pub(super) fn vec3f(vector: Vec3) -> gf::Vec3f {
    gf::vec3f(vector.x, vector.y, vector.z)
}
