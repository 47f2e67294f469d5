//! Pictures on their way into a network, and what comes out on its way back.

use crate::{Dense, ModelError, PairSignature, PairTask, signature::check_size};
use bevy::math::UVec2;
use std::path::Path;

/// A picture of four bytes a pixel, row by row: red, green, blue, luma.
#[derive(Clone, Copy, Debug)]
pub struct PackedPicture<'a> {
    /// Width and height in pixels.
    pub size: UVec2,
    /// The pixels.
    pub bytes: &'a [u8],
}

/// Pixels beyond the seam, at most, that a network sees on both sides of a picture whose edges meet.
const MOST_SEAM_PX: u32 = 64;

/// Where a picture lies in what the network gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) picture: UVec2,
    pub(crate) padded: UVec2,
    /// Columns before the picture.
    left: u32,
    wraps: bool,
}

impl Placement {
    pub(crate) fn new(path: &Path, signature: &PairSignature, picture: UVec2, wraps: bool) -> Result<Self, ModelError> {
        check_size(path, picture)?;
        if let Some(expected) = signature.fixed_size {
            if picture != expected {
                return Err(ModelError::Size { expected, got: picture });
            }
            return Ok(Self { picture, padded: picture, left: 0, wraps });
        }
        let left = if wraps { (picture.x / 8).min(MOST_SEAM_PX) } else { 0 };
        let whole = |side: u32| side.next_multiple_of(signature.multiple);
        let padded = UVec2::new(whole(picture.x + 2 * left), whole(picture.y));
        check_size(path, padded)?;
        Ok(Self { picture, padded, left, wraps })
    }

    /// Writes a picture as planes of floats, padded with its edges' pixels or with what lies beyond the seam; mirrored if that is asked
    /// for.
    pub(crate) fn write(
        &self,
        picture: &PackedPicture,
        signature: &PairSignature,
        bgr: bool,
        mirrored: bool,
        planes: &mut Vec<f32>,
    ) {
        let UVec2 { x: width, y: height } = self.picture;
        let texels = picture.bytes.as_chunks::<4>().0;
        for plane in 0..signature.channels {
            let byte = match (signature.channels, bgr) {
                (1, _) => 3,
                (_, true) => 2 - plane,
                (_, false) => plane,
            };
            // The scale is that of the colour, wherever its plane is.
            let [factor, offset] = signature.pixel_range.scale(if byte == 3 { 1 } else { byte });
            for y in 0..self.padded.y {
                let row = (y.min(height - 1) * width) as usize;
                planes.extend((0..self.padded.x).map(|x| {
                    let x = i64::from(x) - i64::from(self.left);
                    let x = if self.wraps { x.rem_euclid(i64::from(width)) } else { x.clamp(0, i64::from(width) - 1) };
                    let x = if mirrored { i64::from(width) - 1 - x } else { x };
                    f32::from(texels[row + x as usize][byte]) * factor + offset
                }));
            }
        }
    }

    /// How many pixels of the network's picture one of its result is, where that is the same in both directions.
    pub(crate) fn factor(&self, [width, height]: [i64; 2]) -> Option<u32> {
        let [width, height] = [width, height].map(|side| u32::try_from(side).ok().filter(|side| *side > 0));
        let result = UVec2::new(width?, height?);
        let factor = self.padded / result;
        (factor.x == factor.y && factor * result == self.padded && factor.x <= 16).then_some(factor.x)
    }

    /// Takes the picture's part out of a result, at the picture's size and in its pixels. What a network gives at a fraction of the size
    /// counts in pixels of that.
    pub(crate) fn read(&self, values: &[f32], factor: u32, task: PairTask, mirrored: bool) -> Dense {
        let result = self.padded / factor;
        let plane = (result.x * result.y) as usize;
        let UVec2 { x: width, y: height } = self.picture;
        let scale = 1.0 / factor as f32;
        let mut found = Vec::with_capacity(task.channels() * (width * height) as usize);
        // The two texels beside a place, and the share of the second.
        let beside = |place: u32, most: u32| {
            let at = ((place as f32 + 0.5) * scale - 0.5).clamp(0.0, (most - 1) as f32);
            let first = at as u32;
            (first, (first + 1).min(most - 1), at - first as f32)
        };
        let columns: Vec<_> =
            (0..width).map(|x| beside(if mirrored { width - 1 - x } else { x } + self.left, result.x)).collect();
        for values in values.chunks_exact(plane).take(task.channels()) {
            for y in 0..height {
                let (above, below, down) = beside(y, result.y);
                let [above, below] = [above, below].map(|row| &values[(row * result.x) as usize..][..result.x as usize]);
                found.extend(columns.iter().map(|&(first, second, across)| {
                    let mix = |row: &[f32]| row[first as usize] * (1.0 - across) + row[second as usize] * across;
                    (mix(above) * (1.0 - down) + mix(below) * down) * factor as f32
                }));
            }
        }
        Dense { size: self.picture, values: found }
    }
}
