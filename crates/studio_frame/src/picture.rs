//! Pictures in system memory.

use crate::{color::ColorInfo, format::PixelFormat, stamp::FrameStamp};
use bevy::prelude::*;
use bytes::Bytes;

/// The samples of one plane.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The rows, each `stride` bytes after the one before. Shared, not copied: a decoder's own buffer can stand behind
    /// it ([`Bytes::from_owner`]).
    pub data: Bytes,
    /// Bytes from the start of one row to the start of the next; at least the row's own bytes.
    pub stride: usize,
}

/// A picture in system memory, as a camera or decoder delivered it.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Which captured frame this is.
    pub stamp: FrameStamp,
    /// Layout of the planes.
    pub format: PixelFormat,
    /// Width and height in pixels.
    pub size: UVec2,
    /// What the code values mean.
    pub color: ColorInfo,
    /// The planes in the order of [`PixelFormat::planes`].
    pub planes: Vec<Plane>,
}

/// Why planes do not make a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// A picture without pixels.
    #[error("the picture is {0}×{1}: width and height must be at least 1")]
    Empty(u32, u32),
    /// More or fewer planes than the format has.
    #[error("{format:?} has {expected} planes, got {got}")]
    PlaneCount {
        /// The format.
        format: PixelFormat,
        /// Planes of the format.
        expected: usize,
        /// Planes given.
        got: usize,
    },
    /// A stride below the row's bytes, or too little data.
    #[error("plane {plane} of a {width}×{height} {format:?} picture needs {needed} bytes at stride {stride}, got {got}")]
    PlaneTooSmall {
        /// Index of the plane.
        plane: usize,
        /// The format.
        format: PixelFormat,
        /// Picture width.
        width: u32,
        /// Picture height.
        height: u32,
        /// Stride given.
        stride: usize,
        /// Bytes needed.
        needed: usize,
        /// Bytes given.
        got: usize,
    },
}

impl VideoFrame {
    /// Checks that the planes hold what the format and size say, and makes the frame.
    pub fn new(
        stamp: FrameStamp,
        format: PixelFormat,
        size: UVec2,
        color: ColorInfo,
        planes: Vec<Plane>,
    ) -> Result<Self, PictureError> {
        if size.x == 0 || size.y == 0 {
            return Err(PictureError::Empty(size.x, size.y));
        }
        let shapes = format.planes(size);
        if shapes.len() != planes.len() {
            return Err(PictureError::PlaneCount { format, expected: shapes.len(), got: planes.len() });
        }
        for (index, (shape, plane)) in shapes.iter().zip(&planes).enumerate() {
            let needed = plane.stride.saturating_mul(shape.size.y as usize - 1).saturating_add(shape.row_bytes());
            if plane.stride < shape.row_bytes() || plane.data.len() < needed {
                return Err(PictureError::PlaneTooSmall {
                    plane: index,
                    format,
                    width: size.x,
                    height: size.y,
                    stride: plane.stride,
                    needed: needed.max(shape.bytes()),
                    got: plane.data.len(),
                });
            }
        }
        Ok(Self { stamp, format, size, color, planes })
    }

    /// Makes a frame from tightly packed planes that follow each other in one buffer.
    pub fn from_packed(
        stamp: FrameStamp,
        format: PixelFormat,
        size: UVec2,
        color: ColorInfo,
        data: Bytes,
    ) -> Result<Self, PictureError> {
        let mut offset = 0_usize;
        let planes = format
            .planes(size)
            .iter()
            .map(|shape| {
                let start = offset.min(data.len());
                offset += shape.bytes();
                Plane { data: data.slice(start..offset.min(data.len())), stride: shape.row_bytes() }
            })
            .collect();
        Self::new(stamp, format, size, color, planes)
    }

    /// One row of a plane, without padding.
    pub fn row(&self, plane: usize, y: u32) -> &[u8] {
        let shape = self.format.planes(self.size)[plane];
        let start = self.planes[plane].stride * y as usize;
        &self.planes[plane].data[start..start + shape.row_bytes()]
    }
}
