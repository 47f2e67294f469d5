//! Pixel formats and the shape of their planes.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// How the samples of a picture lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum PixelFormat {
    /// 8-bit 4:2:0, a luma plane and a plane of interleaved Cb and Cr.
    #[default]
    Nv12,
    /// 8-bit 4:2:0, three planes: luma, Cb, Cr.
    I420,
    /// 10-bit 4:2:0 in the high bits of 16-bit little-endian words, laid out like NV12.
    P010,
    /// 8-bit red, green, blue, alpha in one plane, gamma-coded as displayed.
    Rgba8,
}

/// The shape of one plane of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneShape {
    /// Width and height in texels.
    pub size: UVec2,
    /// Bytes of one texel (all of its channels).
    pub bytes_per_texel: u32,
    /// Channels of one texel.
    pub channels: u32,
}

impl PlaneShape {
    /// Bytes of one row without padding.
    pub const fn row_bytes(&self) -> usize {
        self.size.x as usize * self.bytes_per_texel as usize
    }

    /// Bytes of the plane without padding.
    pub const fn bytes(&self) -> usize {
        self.row_bytes() * self.size.y as usize
    }
}

impl PixelFormat {
    /// The planes of a picture of `size` pixels, in memory order. Odd sizes round the chroma planes up.
    pub fn planes(self, size: UVec2) -> Vec<PlaneShape> {
        let chroma = (size + UVec2::ONE) / 2;
        let plane =
            |size, channels, bytes_per_channel| PlaneShape { size, channels, bytes_per_texel: channels * bytes_per_channel };
        match self {
            Self::Nv12 => vec![plane(size, 1, 1), plane(chroma, 2, 1)],
            Self::I420 => vec![plane(size, 1, 1), plane(chroma, 1, 1), plane(chroma, 1, 1)],
            Self::P010 => vec![plane(size, 1, 2), plane(chroma, 2, 2)],
            Self::Rgba8 => vec![plane(size, 4, 1)],
        }
    }

    /// Bytes of a whole picture without padding.
    pub fn picture_bytes(self, size: UVec2) -> usize {
        self.planes(size).iter().map(PlaneShape::bytes).sum()
    }

    /// Significant bits of a sample.
    pub const fn bit_depth(self) -> u32 {
        match self {
            Self::P010 => 10,
            Self::Nv12 | Self::I420 | Self::Rgba8 => 8,
        }
    }

    /// Whether the picture is luma and chroma rather than red, green and blue.
    pub const fn is_yuv(self) -> bool {
        !matches!(self, Self::Rgba8)
    }
}
