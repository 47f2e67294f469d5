//! Pictures, as files have them.

use bevy::math::Vec4;
use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};
use std::{io::Cursor, sync::LazyLock};
use thiserror::Error;

/// A decoded picture: rows from the top, channels beside each other.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Channels: 1 grey, 2 grey and alpha, 3 colours, 4 colours and alpha.
    pub channels: u8,
    /// The numbers.
    pub data: PictureData,
}

/// The numbers of a picture, `width * height * channels` of them.
#[derive(Clone, Debug)]
pub enum PictureData {
    /// 0 to 255 for 0 to 1.
    U8(Vec<u8>),
    /// 0 to 65,535 for 0 to 1.
    U16(Vec<u16>),
    /// As they are.
    F32(Vec<f32>),
}

/// Why a picture could not be read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PictureError {
    /// The layer's asset path leads to nothing.
    #[error("picture `{0}` was not found; check the path, which is relative to the layer that names it")]
    Missing(String),
    /// Its bytes could not be had.
    #[error("picture `{0}`: {1}")]
    Unreadable(String, String),
    /// It is larger than the limit.
    #[error("picture `{name}` is too large ({what}); the limit is {limit}, see `TextureOptions`")]
    TooLarge {
        /// The picture.
        name: String,
        /// Its size.
        what: String,
        /// The limit.
        limit: String,
    },
    /// It is in a format that is not read.
    #[error(
        "picture `{0}` is {1}, which is not read: save it as PNG, JPEG, TGA, Radiance HDR or OpenEXR (RGB or RGBA, not DWA compressed)"
    )]
    Format(String, String),
    /// It is broken.
    #[error("picture `{0}` is broken: {1}")]
    Broken(String, String),
}

/// How large pictures may be.
#[derive(Clone, Copy, Debug)]
pub struct PictureLimits {
    /// Bytes of a file.
    pub file_bytes: usize,
    /// Pixels along a side.
    pub side_px: u32,
    /// Bytes of a decoded picture.
    pub decoded_bytes: u64,
}

impl Default for PictureLimits {
    fn default() -> Self {
        Self { file_bytes: 256 << 20, side_px: 16_384, decoded_bytes: 512 << 20 }
    }
}

impl Picture {
    /// Reads a PNG, JPEG, TGA, Radiance HDR or `OpenEXR` picture. They are told apart by content, but for TGA, which has nothing at its
    /// beginning to be known by: that goes by `name`. Of an `OpenEXR` picture the first layer with colours is read, as it is: linear, with
    /// colours multiplied by their alpha if there is one.
    ///
    /// # Errors
    ///
    /// What is too large, broken or in another format; the message names the picture.
    pub fn decode(name: &str, bytes: &[u8], limits: &PictureLimits) -> Result<Self, PictureError> {
        let too_large = |what: String, limit: String| PictureError::TooLarge { name: name.to_owned(), what, limit };
        if bytes.len() > limits.file_bytes {
            return Err(too_large(format!("{} bytes", bytes.len()), format!("{} bytes", limits.file_bytes)));
        }
        let broken = |error: &dyn std::fmt::Display| PictureError::Broken(name.to_owned(), error.to_string());
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| broken(&error))?;
        match reader.format() {
            Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Hdr | ImageFormat::OpenExr) => {}
            _ if is_tga(name) && !bytes.is_empty() => reader.set_format(ImageFormat::Tga),
            Some(format) => return Err(PictureError::Format(name.to_owned(), format!("{format:?}"))),
            None if bytes.is_empty() => return Err(broken(&"it has no bytes")),
            None => return Err(PictureError::Format(name.to_owned(), format_by_name(name))),
        }
        let mut decoding = Limits::default();
        decoding.max_image_width = Some(limits.side_px);
        decoding.max_image_height = Some(limits.side_px);
        decoding.max_alloc = Some(limits.decoded_bytes);
        reader.limits(decoding);
        let decoded = reader.decode().map_err(|error| match error {
            ImageError::Limits(error) => {
                too_large(error.to_string(), format!("{} pixels a side and {} bytes", limits.side_px, limits.decoded_bytes))
            }
            ImageError::Unsupported(error) => PictureError::Format(name.to_owned(), format!("of a kind that is rare ({error})")),
            error => broken(&error),
        })?;
        let (width, height) = (decoded.width(), decoded.height());
        if width == 0 || height == 0 {
            return Err(broken(&"it has no pixels"));
        }
        let (channels, data) = match decoded {
            DynamicImage::ImageLuma8(buffer) => (1, PictureData::U8(buffer.into_raw())),
            DynamicImage::ImageLumaA8(buffer) => (2, PictureData::U8(buffer.into_raw())),
            DynamicImage::ImageRgb8(buffer) => (3, PictureData::U8(buffer.into_raw())),
            DynamicImage::ImageRgba8(buffer) => (4, PictureData::U8(buffer.into_raw())),
            DynamicImage::ImageLuma16(buffer) => (1, PictureData::U16(buffer.into_raw())),
            DynamicImage::ImageLumaA16(buffer) => (2, PictureData::U16(buffer.into_raw())),
            DynamicImage::ImageRgb16(buffer) => (3, PictureData::U16(buffer.into_raw())),
            DynamicImage::ImageRgba16(buffer) => (4, PictureData::U16(buffer.into_raw())),
            DynamicImage::ImageRgb32F(buffer) => (3, PictureData::F32(buffer.into_raw())),
            DynamicImage::ImageRgba32F(buffer) => (4, PictureData::F32(buffer.into_raw())),
            other => (4, PictureData::F32(other.into_rgba32f().into_raw())),
        };
        Ok(Self { width, height, channels, data })
    }

    /// Whether `sourceColorSpace = "auto"` means sRGB: pictures of eight bits with three or four channels.
    pub fn is_srgb_by_itself(&self) -> bool {
        self.channels >= 3 && matches!(self.data, PictureData::U8(_))
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        match &self.data {
            PictureData::U8(data) => data.len(),
            PictureData::U16(data) => data.len() * 2,
            PictureData::F32(data) => data.len() * 4,
        }
    }

    /// Which of the picture's own channels stands for red, green, blue or alpha (0 to 3); `None` for an alpha of 1. One grey channel stands
    /// for all three colours.
    pub fn own_channel(&self, channel: u8) -> Option<usize> {
        match (self.channels, channel) {
            (1 | 2, 0..=2) => Some(0),
            (2, _) => Some(1),
            (1 | 3, 3..) => None,
            (_, channel) => Some(usize::from(channel.min(3))),
        }
    }

    /// A number of the picture, 0 to 1 where it has whole numbers; 1 for an alpha it does not have. Coordinates beyond the edge are the edge's.
    pub fn number(&self, x: u32, y: u32, channel: u8) -> f32 {
        let Some(own) = self.own_channel(channel) else { return 1.0 };
        let (x, y) = (x.min(self.width - 1) as usize, y.min(self.height - 1) as usize);
        let at = (y * self.width as usize + x) * usize::from(self.channels) + own;
        let number = match &self.data {
            PictureData::U8(data) => data.get(at).map(|v| f32::from(*v) / 255.0),
            PictureData::U16(data) => data.get(at).map(|v| f32::from(*v) / 65_535.0),
            PictureData::F32(data) => data.get(at).copied().filter(|v| v.is_finite()),
        };
        number.unwrap_or_default()
    }

    /// A pixel's linear colour.
    pub fn linear(&self, x: u32, y: u32, is_srgb: bool) -> Vec4 {
        let read = |channel| self.number(x, y, channel);
        let color = Vec4::new(read(0), read(1), read(2), read(3));
        if !is_srgb {
            return color;
        }
        Vec4::new(linear_from_srgb(color.x), linear_from_srgb(color.y), linear_from_srgb(color.z), color.w)
    }
}

/// What a file's name ends in, in a package or not.
fn extension(name: &str) -> Option<&str> {
    name.trim_end_matches(']').rsplit_once('.').map(|(_, extension)| extension)
}

fn is_tga(name: &str) -> bool {
    extension(name).is_some_and(|extension| extension.eq_ignore_ascii_case("tga"))
}

fn format_by_name(name: &str) -> String {
    match extension(name) {
        Some(extension) if extension.len() <= 8 && extension.chars().all(|c| c.is_ascii_alphanumeric()) => {
            format!("of a format called `{extension}`")
        }
        _ => "of an unknown format".to_owned(),
    }
}

/// IEC 61966-2-1, from encoded to linear.
pub fn linear_from_srgb(encoded: f32) -> f32 {
    if encoded <= 0.040_45 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}

/// IEC 61966-2-1, from linear to encoded.
pub fn srgb_from_linear(linear: f32) -> f32 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// [`linear_from_srgb`] of every byte.
pub(super) static LINEAR_OF_BYTE: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|byte| linear_from_srgb(byte as f32 / 255.0)));

/// The byte of a linear number, looked up: mipmaps need many.
pub(super) fn srgb_byte(linear: f32) -> u8 {
    static BYTES: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..=u16::MAX).map(|at| (srgb_from_linear(f32::from(at) / 65_535.0) * 255.0 + 0.5) as u8).collect());
    BYTES.get((linear.clamp(0.0, 1.0) * 65_535.0 + 0.5) as usize).copied().unwrap_or_default()
}
