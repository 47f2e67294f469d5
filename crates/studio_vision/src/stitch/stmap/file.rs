//! STMaps in files: PNG of 16 bits a channel and OpenEXR, as compositing tools read and write them.
//!
//! Red is the horizontal coordinate from the left, green the vertical one **from the bottom**, both 0 to 1 across the picture's edges; where
//! alpha is 0 there is no picture.

use super::{MAX_PIXELS, StMap, StMapError};
use bevy::math::UVec2;
use exr::prelude::*;
use std::io::Cursor;

/// What every EXR file begins with.
const EXR_MAGIC: [u8; 4] = [0x76, 0x2F, 0x31, 0x01];

impl StMap {
    /// Reads an STMap from a file's bytes: EXR or PNG, whichever it is. `file` is its name for messages.
    ///
    /// # Errors
    /// As for [`from_exr`](Self::from_exr) and [`from_png`](Self::from_png).
    pub fn from_bytes(file: &str, bytes: &[u8]) -> core::result::Result<Self, StMapError> {
        if bytes.starts_with(&EXR_MAGIC) { Self::from_exr(file, bytes) } else { Self::from_png(file, bytes) }
    }

    /// Reads a PNG of 16 bits a channel; 65535 is a coordinate of 1. `file` is its name for messages.
    ///
    /// # Errors
    /// [`StMapError`] if the bytes are no PNG, have 8 bits a channel, or are too large.
    pub fn from_png(file: &str, bytes: &[u8]) -> core::result::Result<Self, StMapError> {
        let unreadable = |reason: String| StMapError::Unreadable { file: file.to_owned(), reason };
        let mut reader = image::ImageReader::with_format(Cursor::new(bytes), image::ImageFormat::Png);
        let mut limits = image::Limits::default();
        limits.max_alloc = Some(MAX_PIXELS * 8);
        reader.limits(limits);
        let picture = reader.decode().map_err(|error| unreadable(error.to_string()))?;
        let color = picture.color();
        if color.bytes_per_pixel() / color.channel_count() != 2 || !color.has_color() {
            return Err(StMapError::TooCoarse { file: file.to_owned() });
        }
        let picture = picture.into_rgba16();
        let size = UVec2::new(picture.width(), picture.height());
        let coordinates = picture.pixels().map(|image::Rgba([s, t, _, alpha])| {
            let [s, t] = [s, t].map(|value| f32::from(*value) / 65535.0);
            if *alpha == 0 { [-1.0; 2] } else { [s, 1.0 - t] }
        });
        Self::new(size, coordinates.collect())
    }

    /// Reads an EXR with the channels R and G, of 16 or 32 bits a channel, and perhaps A. The map is as large as the file's
    /// display window; where its data window leaves something out, there is no picture. 16-bit floats are a pixel off in pictures wider than 2048.
    /// `file` is its name for messages.
    ///
    /// # Errors
    /// [`StMapError`] if the bytes are no EXR, lack a channel, or are too large.
    pub fn from_exr(file: &str, bytes: &[u8]) -> core::result::Result<Self, StMapError> {
        let unreadable = |reason: String| StMapError::Unreadable { file: file.to_owned(), reason };
        let failed = |error: Error| unreadable(error.to_string());
        // The sizes are looked at before there is room made for them.
        let meta = MetaData::read_from_buffered(Cursor::new(bytes), false).map_err(failed)?;
        for header in &meta.headers {
            let window = header.shared_attributes.display_window.size;
            for Vec2(width, height) in [window, header.layer_size] {
                if (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
                    let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
                    return Err(StMapError::Size {
                        width: side(width),
                        height: side(height),
                        count: width.saturating_mul(height),
                    });
                }
            }
        }
        let picture = read()
            .no_deep_data()
            .largest_resolution_level()
            .specific_channels()
            .required("R")
            .required("G")
            .optional("A", 1.0_f32)
            .collect_pixels(
                |Vec2(width, height), _| (width, vec![[-1.0_f32; 2]; width * height]),
                |(width, pixels), Vec2(x, y), (s, t, alpha): (f32, f32, f32)| {
                    if alpha > 0.0 {
                        pixels[y * *width + x] = [s, 1.0 - t];
                    }
                },
            )
            .first_valid_layer()
            .all_attributes()
            .non_parallel()
            .from_buffered(Cursor::new(bytes))
            .map_err(failed)?;
        let window = picture.attributes.display_window;
        let size = [window.size.width(), window.size.height()].map(|side| u32::try_from(side).unwrap_or(0));
        let layer = &picture.layer_data;
        let (width, pixels) = &layer.channel_data.pixels;
        let mut coordinates = vec![[-1.0; 2]; size[0] as usize * size[1] as usize];
        let first = layer.attributes.layer_position - window.position;
        for (index, pixel) in pixels.iter().enumerate() {
            let place = [(index % width) as i64 + i64::from(first.x()), (index / width) as i64 + i64::from(first.y())];
            if (0..i64::from(size[0])).contains(&place[0]) && (0..i64::from(size[1])).contains(&place[1]) {
                coordinates[place[1] as usize * size[0] as usize + place[0] as usize] = *pixel;
            }
        }
        Self::new(UVec2::from_array(size), coordinates)
    }

    /// The bytes of an EXR with the channels R, G, B and A, 32 bits each: blue is 0, and alpha is 0 where there is no picture.
    ///
    /// # Errors
    /// [`StMapError::Unwritable`] with what the encoder said.
    pub fn to_exr(&self) -> core::result::Result<Vec<u8>, StMapError> {
        let size = (self.size.x as usize, self.size.y as usize);
        let channels = SpecificChannels::rgba(|Vec2(x, y): Vec2<usize>| {
            let [s, t] = self.coordinates[y * size.0 + x];
            if s < 0.0 { (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32) } else { (s, 1.0 - t, 0.0, 1.0) }
        });
        let layer = Layer::new(size, LayerAttributes::named("STMap"), Encoding::SMALL_LOSSLESS, channels);
        let mut bytes = Cursor::new(Vec::new());
        let written = Image::from_layer(layer).write().non_parallel().to_buffered(&mut bytes);
        written.map_err(|error| StMapError::Unwritable { reason: error.to_string() })?;
        Ok(bytes.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map() -> StMap {
        let coordinates = (0..12_i16)
            .map(|index| if index == 5 { [-1.0; 2] } else { [f32::from(index) / 12.0, 1.0 - f32::from(index) / 24.0] });
        StMap::new(UVec2::new(4, 3), coordinates.collect()).expect("whole")
    }

    #[test]
    fn a_map_survives_its_exr_file() {
        let bytes = map().to_exr().expect("writable");
        let back = StMap::from_bytes("map.exr", &bytes).expect("readable");
        assert_eq!(back.size, map().size);
        for (back, first) in back.coordinates.iter().zip(&map().coordinates) {
            assert!(back.iter().zip(first).all(|(back, first)| (back - first).abs() < 1e-6), "{back:?} was {first:?}");
        }
    }

    #[test]
    fn half_floats_two_channels_and_a_smaller_data_window_are_read() {
        let value = |Vec2(x, y): Vec2<usize>| (f16::from_f32((x as f32 + 0.5) / 8.0), f16::from_f32((y as f32 + 0.5) / 4.0));
        let channels = SpecificChannels::build().with_channel("R").with_channel("G").with_pixel_fn(value);
        let mut attributes = LayerAttributes::named("map");
        attributes.layer_position = Vec2(3, 1);
        let layer = Layer::new((2, 2), attributes, Encoding::FAST_LOSSLESS, channels);
        let window = IntegerBounds::from_dimensions((8, 4));
        let mut bytes = Cursor::new(Vec::new());
        Image::new(ImageAttributes::new(window), layer).write().to_buffered(&mut bytes).expect("writable");
        let map = StMap::from_bytes("map.exr", &bytes.into_inner()).expect("readable");
        assert_eq!(map.size, UVec2::new(8, 4));
        assert_eq!(map.coordinates[8 + 3], [0.5 / 8.0, 1.0 - 0.5 / 4.0], "the upper left pixel of the data; T counts from below");
        assert_eq!(map.coordinates[2 * 8 + 4], [1.5 / 8.0, 1.0 - 1.5 / 4.0]);
        assert_eq!(map.coordinates.iter().filter(|pair| pair[0] >= 0.0).count(), 4);
    }

    #[test]
    fn what_is_no_map_is_refused_by_name() {
        let refuse = |bytes: &[u8]| StMap::from_bytes("map.exr", bytes).expect_err("refused").to_string();
        assert!(refuse(b"GIF89a").contains("map.exr is no readable STMap"));
        assert!(refuse(&EXR_MAGIC).contains("map.exr"));
        let mut bytes = Cursor::new(Vec::new());
        let layer = Layer::new(
            (2, 2),
            LayerAttributes::named("depth"),
            Encoding::FAST_LOSSLESS,
            SpecificChannels::build().with_channel("Z").with_pixel_fn(|_| (1.0_f32,)),
        );
        Image::from_layer(layer).write().to_buffered(&mut bytes).expect("writable");
        assert!(refuse(&bytes.into_inner()).contains("map.exr"));
    }

    proptest! {
        #[test]
        fn spoiled_exr_files_never_panic(at in 0_usize..2000, with in proptest::collection::vec(any::<u8>(), 1..5), cut in any::<bool>()) {
            let mut bytes = map().to_exr().expect("writable");
            let at = at % bytes.len();
            for (place, byte) in bytes[at..].iter_mut().zip(with) {
                *place = byte;
            }
            if cut {
                bytes.truncate(at);
            }
            let _ = StMap::from_bytes("map.exr", &bytes);
        }
    }
}
