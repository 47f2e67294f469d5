//! The test pattern: colour bars, a moving texture and box, a readable counter, and the machine-readable mark.

use super::{
    Capture, CaptureClock, CaptureError, CaptureSource, TestPatternInput,
    settings::{check_rate, check_size},
    still::deliver_at_rate,
    supervisor::{Feed, FrameSink, Shared, Supervisor},
};
use bevy::math::{UVec2, Vec3};
use bytes::Bytes;
use std::sync::Arc;
use studio_frame::{
    mark::{COLUMNS, Mark, MarkPlacement, ROWS},
    picture::PictureError,
    prelude::*,
    queue::Sent,
};

const BLACK: u8 = 16;
const WHITE: u8 = 235;
const GREY: u8 = 128;

/// The digits 0 to 9 and the point, 3×5 pixels each, a row a 3-bit number from the top.
const GLYPHS: [[u8; 5]; 11] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b001, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
    [0b000, 0b000, 0b000, 0b000, 0b010],
];

/// Draws the test pattern as NV12, BT.709, limited range. What it draws depends on the frame's stamp alone.
pub struct Pattern {
    size: UVec2,
    /// What stays the same: the bars above, a ramp below.
    background: Vec<u8>,
    /// One period of the moving texture's row.
    texture: Vec<u8>,
}

impl Pattern {
    /// Prepares the pattern for a size in pixels; odd sizes are rounded down to even ones, at least 2×2.
    pub fn new(size: UVec2) -> Self {
        let size = (size / 2 * 2).max(UVec2::splat(2));
        let mut background = vec![GREY; PixelFormat::Nv12.picture_bytes(size)];
        let (width, luma_bytes) = (size.x as usize, (size.x * size.y) as usize);
        let (luma, chroma) = background.split_at_mut(luma_bytes);
        let bars_end = (size.y * 6 / 10 / 2 * 2) as usize;
        let codes: Vec<Vec3> = (0..8).map(bar_code).collect();
        for (y, row) in luma.chunks_exact_mut(width).enumerate() {
            for (x, value) in row.iter_mut().enumerate() {
                *value = if y < bars_end { codes[x * 8 / width].x as u8 } else { BLACK + (x * 219 / width) as u8 };
            }
        }
        for row in chroma.chunks_exact_mut(width).take(bars_end / 2) {
            for (x, pair) in row.chunks_exact_mut(2).enumerate() {
                let code = codes[x * 2 * 8 / width];
                pair.copy_from_slice(&[code.y as u8, code.z as u8]);
            }
        }
        // Smooth over a few pixels, so that a codec keeps it and optical flow can follow it.
        let wave = |x: usize, period: f32| (x as f32 * std::f32::consts::TAU / period).sin();
        let texture =
            (0..width).map(|x| (126.0 + 45.0 * wave(x, 32.0) + 30.0 * wave(x, 13.0) + 20.0 * wave(x, 97.0)) as u8).collect();
        Self { size, background, texture }
    }

    /// Width and height of the drawn pictures.
    pub fn size(&self) -> UVec2 {
        self.size
    }

    /// Draws the frame of a stamp.
    ///
    /// # Errors
    /// None for a size that [`Pattern::new`] made; the type is the constructor's of [`VideoFrame`].
    pub fn draw(&self, stamp: FrameStamp) -> Result<VideoFrame, PictureError> {
        self.finish(stamp, self.moving(stamp))
    }

    /// A white picture with the mark of a stamp.
    ///
    /// # Errors
    /// As [`Pattern::draw`].
    pub fn flash(&self, stamp: FrameStamp) -> Result<VideoFrame, PictureError> {
        let mut data = vec![GREY; self.background.len()];
        data[..(self.size.x * self.size.y) as usize].fill(WHITE);
        self.finish(stamp, data)
    }

    /// The picture without its mark.
    fn moving(&self, stamp: FrameStamp) -> Vec<u8> {
        let mut data = self.background.clone();
        let (width, height) = (self.size.x as usize, self.size.y as usize);
        let id = stamp.frame_id as usize;
        let (luma, chroma) = data.split_at_mut(width * height);
        // A strip of texture that moves 3 pixels a frame to the right.
        let shift = width - id % width * 3 % width;
        for y in height * 62 / 100..height * 75 / 100 {
            let row = &mut luma[y * width..(y + 1) * width];
            row.copy_from_slice(&self.texture);
            row.rotate_left(shift % width);
        }
        // A red box that runs along the bars, 2 pixels to the right and 1 down a frame.
        let side = (height / 8 / 2 * 2).max(2).min(width);
        let (range_x, range_y) = ((width - side).max(1), (height * 6 / 10).saturating_sub(side).max(1));
        let corner = UVec2::new(
            (bounce(id.wrapping_mul(2), range_x) / 2 * 2) as u32,
            (bounce(id.wrapping_mul(2), range_y) / 2 * 2) as u32,
        );
        let red = code_of(Vec3::X);
        fill(luma, width, corner, UVec2::splat(side as u32), &[red.x as u8]);
        fill(chroma, width / 2, corner / 2, UVec2::splat(side as u32 / 2), &[red.y as u8, red.z as u8]);
        let seconds = stamp.pts.0 / 1_000_000_000;
        let text = format!("{:06}  {}.{:03}", stamp.frame_id, seconds, stamp.pts.0 / 1_000_000 % 1000);
        self.write(luma, &text);
        data
    }

    fn finish(&self, stamp: FrameStamp, mut data: Vec<u8>) -> Result<VideoFrame, PictureError> {
        let (luma, chroma) = data.split_at_mut((self.size.x * self.size.y) as usize);
        self.paint_mark(luma, chroma, stamp.into());
        VideoFrame::from_packed(stamp, PixelFormat::Nv12, self.size, ColorInfo::BT709, Bytes::from(data))
    }

    /// Writes digits, white on black, at the top left.
    fn write(&self, luma: &mut [u8], text: &str) {
        let scale = (self.size.y / 60).max(1);
        let origin = UVec2::splat(4 * scale);
        let width = self.size.x as usize;
        let letters = text.len() as u32;
        let frame = UVec2::new((letters * 4 + 1) * scale, 7 * scale);
        if (origin + frame).cmpgt(self.size).any() {
            return;
        }
        fill(luma, width, origin, frame, &[BLACK]);
        for (place, letter) in text.bytes().enumerate() {
            let glyph = match letter {
                b'0'..=b'9' => GLYPHS[usize::from(letter - b'0')],
                b'.' => GLYPHS[10],
                _ => continue,
            };
            for (row, bits) in glyph.iter().enumerate() {
                for column in (0..3).filter(|column| bits >> (2 - column) & 1 == 1) {
                    let at = UVec2::new(place as u32 * 4 + 1 + column, row as u32 + 1) * scale + origin;
                    fill(luma, width, at, UVec2::splat(scale), &[WHITE]);
                }
            }
        }
    }

    fn paint_mark(&self, luma: &mut [u8], chroma: &mut [u8], mark: Mark) {
        let Some(placement) = MarkPlacement::in_picture(self.size) else { return };
        let (width, bits, cell) = (self.size.x as usize, mark.bits(), UVec2::splat(placement.cell_px));
        for index in 0..COLUMNS * ROWS {
            let corner = placement.origin + UVec2::new(index % COLUMNS, index / COLUMNS) * cell;
            let white = bits[(index / 32) as usize] >> (31 - index % 32) & 1 == 1;
            fill(luma, width, corner, cell, &[if white { WHITE } else { BLACK }]);
        }
        fill(chroma, width / 2, placement.origin / 2, UVec2::new(COLUMNS, ROWS) * cell / 2, &[GREY, GREY]);
    }
}

/// Whether frame `index` is the first that lies in its second.
fn begins_second(index: u64, rate_hz: f32) -> bool {
    // Half a microsecond, so that rounding does not put a frame in front of the second that it begins.
    let second = |index: u64| (index as f64 / f64::from(rate_hz) + 5e-7) as u64;
    index == 0 || second(index) != second(index - 1)
}

/// Code values of a colour (R′G′B′, 0..1), BT.709 limited.
fn code_of(rgb: Vec3) -> Vec3 {
    (ColorInfo::BT709.yuv_from_rgb(8).apply(rgb) * 255.0).round()
}

/// Code values of one of the eight bars at 75 %: white, yellow, cyan, green, magenta, red, blue, black.
fn bar_code(bar: u32) -> Vec3 {
    let on = |bit: u32| if (7 - bar) >> bit & 1 == 1 { 0.75 } else { 0.0 };
    code_of(Vec3::new(on(1), on(2), on(0)))
}

/// Runs from 0 to `range` and back.
fn bounce(step: usize, range: usize) -> usize {
    let place = step % (2 * range);
    place.min(2 * range - place)
}

/// Fills a rectangle, in texels, with one texel.
fn fill(plane: &mut [u8], width: usize, corner: UVec2, size: UVec2, texel: &[u8]) {
    for y in corner.y as usize..(corner.y + size.y) as usize {
        let start = (y * width + corner.x as usize) * texel.len();
        plane[start..start + size.x as usize * texel.len()]
            .chunks_exact_mut(texel.len())
            .for_each(|target| target.copy_from_slice(texel));
    }
}

impl CaptureSource for TestPatternInput {
    fn start(&self, clock: CaptureClock) -> Result<Capture, CaptureError> {
        check_size(self.size).and_then(|()| check_rate(self.rate_hz)).map_err(CaptureError::Setting)?;
        if self.size % 2 != UVec2::ZERO {
            return Err(CaptureError::Setting(format!(
                "size {}×{}: the test pattern needs even numbers",
                self.size.x, self.size.y
            )));
        }
        let TestPatternInput { size, rate_hz, frames: count, flash } = *self;
        let shared = Shared::new("test pattern");
        let (sender, frames) = clock.queue();
        let sink: FrameSink = Box::new(move |frame| sender.send(frame) != Sent::Closed);
        let pattern = Pattern::new(size);
        let session = move |feed: &Arc<Feed>| {
            deliver_at_rate(feed, rate_hz, |index, stamp| {
                if count.is_some_and(|count| index >= count) {
                    return Ok(None);
                }
                let picture = if flash && begins_second(index, rate_hz) { pattern.flash(stamp) } else { pattern.draw(stamp) };
                picture.map(Some).map_err(|error| CaptureError::Setting(error.to_string()))
            })
        };
        let supervisor = Supervisor::spawn(shared.clone(), clock, sink, Box::new(session))?;
        Ok(Capture::new(frames, shared, supervisor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pattern_depends_on_its_stamp_alone_and_carries_its_mark() {
        let stamp =
            FrameStamp { frame_id: 41, captured_at: UnixTime::from_micros(1_700_000_000_123_456), pts: MediaTime(1_366_666_666) };
        let draw = || Pattern::new(UVec2::new(640, 320)).draw(stamp).unwrap();
        let frame = draw();
        assert_eq!(frame.planes[0].data, draw().planes[0].data);
        assert_eq!(Mark::read_frame(&frame), Some(stamp.into()));
        let other = Pattern::new(UVec2::new(640, 320)).draw(FrameStamp { frame_id: 42, ..stamp }).unwrap();
        assert_ne!(frame.planes[0].data, other.planes[0].data);
    }

    #[test]
    fn a_second_begins_once() {
        for rate_hz in [10.0, 24.0, 29.97, 30.0, 60.0] {
            let begins: Vec<u64> = (0..301).filter(|index| begins_second(*index, rate_hz)).collect();
            assert_eq!(begins.len(), (300.0 / f64::from(rate_hz) + 1e-6) as usize + 1, "{rate_hz} {begins:?}");
        }
        let pattern = Pattern::new(UVec2::new(640, 320));
        let stamp = FrameStamp { frame_id: 30, captured_at: UnixTime(5_000), pts: MediaTime(1_000_000_000) };
        let frame = pattern.flash(stamp).unwrap();
        assert_eq!(Mark::read_frame(&frame), Some(stamp.into()));
        assert!(frame.row(0, 318).iter().all(|luma| *luma == WHITE));
    }

    #[test]
    fn the_first_bar_is_75_percent_white_and_the_last_black() {
        // BT.709 limited: 16 + 0.75 · 219 = 180.
        assert_eq!(bar_code(0), Vec3::new(180.0, 128.0, 128.0));
        assert_eq!(bar_code(7), Vec3::new(16.0, 128.0, 128.0));
        // Yellow: red and green, no blue.
        assert_eq!(bar_code(1), code_of(Vec3::new(0.75, 0.75, 0.0)));
    }

    proptest! {
        #[test]
        fn any_size_and_frame_can_be_drawn(width in 0_u32..700, height in 0_u32..300, frame_id: u64, pts: u64) {
            let stamp = FrameStamp { frame_id, captured_at: UnixTime(0), pts: MediaTime(pts) };
            prop_assert!(Pattern::new(UVec2::new(width, height)).draw(stamp).is_ok());
        }
    }
}
