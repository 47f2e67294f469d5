//! The mark: a frame number and a time drawn into the picture so that a machine can read them at the other end.
//!
//! Latency that is added up from timers misses what nobody timed. The mark goes the way the picture goes (through the
//! encoder, the network, the decoder and the screen), so the time between what it says and when it is read is the real
//! one. It is [`COLUMNS`] × [`ROWS`] black and white cells at the bottom centre of the picture (the nadir of an
//! equirectangular one): a 16-bit sync word, a 16-bit CRC, the low 32 bits of the frame number and 64 bits of
//! microseconds since the Unix epoch, most significant bit first.

use crate::{
    picture::VideoFrame,
    stamp::{FrameStamp, UnixTime},
};
use bevy::prelude::*;

/// Cells across.
pub const COLUMNS: u32 = 64;
/// Cells down.
pub const ROWS: u32 = 2;
const SYNC: u32 = 0xA5C3;

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The low 32 bits of the frame's number.
    pub frame_id: u32,
    /// When the frame was captured, to the microsecond.
    pub captured_at: UnixTime,
}

/// Where the mark lies in a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkPlacement {
    /// Top left corner.
    pub origin: UVec2,
    /// Side of one cell; at least 4.
    pub cell_px: u32,
}

impl MarkPlacement {
    /// Where the mark lies in a picture of `size`; `None` if the picture is too small to hold a readable one
    /// (narrower than 256 or lower than 16 pixels).
    pub fn in_picture(size: UVec2) -> Option<Self> {
        let cell_px = (size.x / 160 / 2 * 2).max(4);
        let mark = UVec2::new(COLUMNS, ROWS) * cell_px;
        if mark.x > size.x || mark.y + 2 * cell_px > size.y {
            return None;
        }
        // Even coordinates, so that cells and chroma samples share their edges.
        let origin = UVec2::new((size.x - mark.x) / 2, size.y - mark.y - cell_px) / 2 * 2;
        Some(Self { origin, cell_px })
    }
}

impl From<FrameStamp> for Mark {
    fn from(stamp: FrameStamp) -> Self {
        Self { frame_id: stamp.frame_id as u32, captured_at: UnixTime::from_micros(stamp.captured_at.as_micros()) }
    }
}

impl Mark {
    /// The cells as bits, 32 to a word, most significant first; a set bit is a white cell.
    pub fn bits(self) -> [u32; 4] {
        let micros = self.captured_at.as_micros();
        let payload = [self.frame_id, (micros >> 32) as u32, micros as u32];
        [SYNC << 16 | u32::from(crc16(&payload)), payload[0], payload[1], payload[2]]
    }

    /// Reads bits back; `None` unless sync word and CRC agree.
    pub fn from_bits(bits: [u32; 4]) -> Option<Self> {
        let payload = [bits[1], bits[2], bits[3]];
        (bits[0] == SYNC << 16 | u32::from(crc16(&payload))).then(|| Self {
            frame_id: payload[0],
            captured_at: UnixTime::from_micros(u64::from(payload[1]) << 32 | u64::from(payload[2])),
        })
    }

    /// Reads the mark from a picture of `size` whose brightness at a pixel is `luma(x, y)` (any scale).
    ///
    /// `None` where there is no mark, or one too damaged to trust.
    pub fn read(size: UVec2, luma: impl Fn(u32, u32) -> f32) -> Option<Self> {
        let MarkPlacement { origin, cell_px } = MarkPlacement::in_picture(size)?;
        let cell_mean = |index: u32| {
            let corner = origin + UVec2::new(index % COLUMNS, index / COLUMNS) * cell_px;
            let inner = cell_px / 4..cell_px - cell_px / 4;
            let count = (inner.len() * inner.len()) as f32;
            inner
                .clone()
                .flat_map(|y| inner.clone().map(move |x| (x, y)))
                .map(|(x, y)| luma(corner.x + x, corner.y + y))
                .sum::<f32>()
                / count
        };
        let means: Vec<f32> = (0..COLUMNS * ROWS).map(cell_mean).collect();
        let (low, high) = means.iter().fold((f32::MAX, f32::MIN), |(low, high), &mean| (low.min(mean), high.max(mean)));
        let threshold = (low + high) / 2.0;
        let mut bits = [0_u32; 4];
        for (index, mean) in means.iter().enumerate() {
            bits[index / 32] |= u32::from(*mean > threshold) << (31 - index % 32);
        }
        Self::from_bits(bits)
    }

    /// Reads the mark from a picture in system memory.
    pub fn read_frame(frame: &VideoFrame) -> Option<Self> {
        let shape = frame.format.planes(frame.size)[0];
        let step = shape.bytes_per_texel as usize;
        // The most significant byte of the first channel: luma's own, or green's for RGBA.
        let byte = if frame.format.is_yuv() { step - 1 } else { 1 };
        Self::read(frame.size, |x, y| f32::from(frame.row(0, y)[x as usize * step + byte]))
    }

    /// The colour of the pixel `(x, y)`: `Some(true)` for white, `Some(false)` for black, `None` outside of the mark.
    pub fn cell_at(bits: [u32; 4], placement: MarkPlacement, x: u32, y: u32) -> Option<bool> {
        let column = x.checked_sub(placement.origin.x)? / placement.cell_px;
        let row = y.checked_sub(placement.origin.y)? / placement.cell_px;
        if column >= COLUMNS || row >= ROWS {
            return None;
        }
        let index = row * COLUMNS + column;
        Some(bits[(index / 32) as usize] >> (31 - index % 32) & 1 == 1)
    }
}

/// CRC-16/CCITT-FALSE over the words' big-endian bytes.
fn crc16(words: &[u32]) -> u16 {
    words.iter().flat_map(|word| word.to_be_bytes()).fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_blurred_noisy_mark_is_read_or_refused_but_never_misread(
            frame_id: u32, micros in 0..u64::MAX / 1000, width in 256_u32..4096, noise in 0_f32..0.9, seed: u32,
        ) {
            let mark = Mark { frame_id, captured_at: UnixTime::from_micros(micros) };
            let size = UVec2::new(width, width / 2);
            let placement = MarkPlacement::in_picture(size).expect("large enough");
            let hash = |x: u32, y: u32| ((x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed).wrapping_mul(0xC2B2_AE3D) >> 16) as f32 / 65535.0;
            let read = Mark::read(size, |x, y| {
                let cell = Mark::cell_at(mark.bits(), placement, x, y).map_or(0.5, |white| f32::from(u8::from(white)));
                cell * (1.0 - noise) + hash(x, y) * noise
            });
            if noise < 0.4 {
                prop_assert_eq!(read, Some(mark));
            } else {
                prop_assert!(read.is_none() || read == Some(mark));
            }
        }
    }

    #[test]
    fn pictures_without_a_mark_have_none() {
        assert_eq!(Mark::read(UVec2::new(1280, 640), |_, _| 0.0), None);
        assert_eq!(Mark::read(UVec2::new(1280, 640), |x, y| (x ^ y) as f32), None);
        assert_eq!(Mark::read(UVec2::new(8, 8), |_, _| 0.0), None);
    }
}
