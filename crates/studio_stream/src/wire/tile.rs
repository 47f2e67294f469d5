//! Motion fields as datagrams, and as one small reliable message.
//!
//! A field is cut into tiles that each fit a datagram and need nothing else to be understood, so what arrives is of use
//! whatever else was lost. The coarse copy is the whole field at a fraction of its resolution, for the gaps, for viewers
//! that join late and for paths without datagrams.

use super::{
    Reader, WireError,
    cells::{decode_cells, encode_cells},
    put_varint,
};
use bevy::math::{UVec2, Vec2};
use bytes::Bytes;
use std::sync::Arc;
use studio_frame::prelude::*;

/// The largest tile in bytes, header included. QUIC's smallest path carries packets of 1200 bytes; with the headers of
/// QUIC, WebTransport and Media over QUIC this still fits, and more than the 1200 bytes of a path that just started never
/// has to.
pub const MAX_TILE_BYTES: usize = 1100;
/// Tiles of one field at most.
pub const MAX_TILES: u32 = 4096;
/// Cells of one tile at most.
const MAX_TILE_CELLS: u32 = 64 * 32;
/// Where cutting starts, in cells.
const FIRST_CUT: UVec2 = UVec2::new(64, 32);
/// The longest header: kind, flags, identifiers, times, sizes, indices, rectangle.
const HEADER_BYTES: usize = 80;
/// The largest picture that vectors may be measured in, along a side.
const MAX_PICTURE_PX: u32 = 65_536;

const VERSION: u8 = 1;
const WRAPS: u8 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Tile = 1,
    Coarse = 2,
}

/// What every tile of a field says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHeader {
    /// The frame whose content moved.
    pub stamp: FrameStamp,
    /// `frame_id` of the frame it moved from.
    pub previous_frame_id: u64,
    /// Size of the picture that the vectors are measured in, in pixels.
    pub picture_size: UVec2,
    /// Columns and rows of the whole field.
    pub grid: UVec2,
    /// Whether the left and right edges meet.
    pub wraps: bool,
}

impl FieldHeader {
    fn of(field: &MotionField) -> Result<Self, WireError> {
        let header = Self {
            stamp: field.stamp,
            previous_frame_id: field.previous_frame_id,
            picture_size: field.picture_size,
            grid: field.grid,
            wraps: field.wraps,
        };
        header.check()?;
        if field.vectors.len() != header.cells() {
            return Err(WireError::Range("the number of motion vectors"));
        }
        Ok(header)
    }

    /// Cells of the whole field.
    pub fn cells(&self) -> usize {
        self.grid.x as usize * self.grid.y as usize
    }

    fn check(&self) -> Result<(), WireError> {
        if self.picture_size.min_element() == 0 || self.picture_size.max_element() > MAX_PICTURE_PX {
            return Err(WireError::Range("the size of the picture"));
        }
        if !(1..=u64::from(MotionField::MAX_CELLS)).contains(&(u64::from(self.grid.x) * u64::from(self.grid.y))) {
            return Err(WireError::Range("the size of the motion grid"));
        }
        Ok(())
    }

    fn put(&self, out: &mut Vec<u8>, kind: Kind) {
        out.extend([VERSION << 4 | kind as u8, if self.wraps { WRAPS } else { 0 }]);
        put_varint(out, self.stamp.frame_id);
        put_varint(out, self.stamp.frame_id.wrapping_sub(self.previous_frame_id));
        out.extend(self.stamp.captured_at.0.to_le_bytes());
        out.extend(self.stamp.pts.0.to_le_bytes());
        for value in [self.picture_size.x, self.picture_size.y, self.grid.x, self.grid.y] {
            put_varint(out, u64::from(value));
        }
    }

    fn take(reader: &mut Reader, kind: Kind) -> Result<Self, WireError> {
        let first = reader.u8()?;
        if first >> 4 != VERSION {
            return Err(WireError::Version(first >> 4));
        }
        if first & 0xf != kind as u8 {
            return Err(WireError::Kind(first & 0xf));
        }
        let wraps = reader.u8()? & WRAPS != 0;
        let frame_id = reader.varint()?;
        let previous_frame_id = frame_id.wrapping_sub(reader.varint()?);
        let stamp = FrameStamp { frame_id, captured_at: UnixTime(reader.u64()?), pts: MediaTime(reader.u64()?) };
        let mut size = |what, max| Ok(UVec2::new(reader.varint_max(what, max)?, reader.varint_max(what, max)?));
        let picture_size = size("the size of the picture", MAX_PICTURE_PX)?;
        let grid = size("the size of the motion grid", MotionField::MAX_CELLS)?;
        let header = Self { stamp, previous_frame_id, picture_size, grid, wraps };
        header.check()?;
        Ok(header)
    }

    /// The field with these vectors, one for each cell.
    pub(super) fn field(&self, vectors: impl Into<Arc<[MotionVector]>>) -> MotionField {
        let Self { stamp, previous_frame_id, picture_size, grid, wraps } = *self;
        MotionField { stamp, previous_frame_id, picture_size, grid, wraps, vectors: vectors.into() }
    }
}

/// A rectangle of a field's cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The field it belongs to.
    pub header: FieldHeader,
    /// Which of the field's tiles this is, from 0.
    pub index: u32,
    /// How many tiles the field has.
    pub count: u32,
    /// The first column and row.
    pub origin: UVec2,
    /// Columns and rows.
    pub size: UVec2,
    /// The vectors, row by row.
    pub vectors: Vec<MotionVector>,
}

/// The coarse copy of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coarse {
    /// The full field.
    pub header: FieldHeader,
    /// How many tiles the full field has.
    pub tiles: u32,
    /// Columns and rows here.
    pub grid: UVec2,
    /// The vectors, row by row.
    pub vectors: Vec<MotionVector>,
}

fn block(field: &MotionField, origin: UVec2, size: UVec2) -> Vec<MotionVector> {
    (origin.y..origin.y + size.y).flat_map(|row| (origin.x..origin.x + size.x).map(move |column| field.at(column, row))).collect()
}

/// Cuts a field into tiles of at most [`MAX_TILE_BYTES`] each.
///
/// Fails if the field's grid, picture size or number of vectors is out of range.
pub fn encode_tiles(field: &MotionField) -> Result<Vec<Bytes>, WireError> {
    let header = FieldHeader::of(field)?;
    let mut open: Vec<(UVec2, UVec2)> = Vec::new();
    for y in (0..field.grid.y).step_by(FIRST_CUT.y as usize) {
        for x in (0..field.grid.x).step_by(FIRST_CUT.x as usize) {
            let origin = UVec2::new(x, y);
            open.push((origin, FIRST_CUT.min(field.grid - origin)));
        }
    }
    // Taken from the end, so that the tiles come from the top left.
    open.reverse();
    let mut closed = Vec::with_capacity(open.len() * 2);
    while let Some((origin, size)) = open.pop() {
        let cells = encode_cells(&block(field, origin, size), size.x as usize);
        if cells.len() <= MAX_TILE_BYTES - HEADER_BYTES {
            closed.push((origin, size, cells));
            continue;
        }
        let half = if size.x >= size.y { UVec2::new(size.x / 2, size.y) } else { UVec2::new(size.x, size.y / 2) };
        let step = if size.x >= size.y { UVec2::new(half.x, 0) } else { UVec2::new(0, half.y) };
        open.push((origin + step, size - step));
        open.push((origin, half));
    }
    let count = closed.len();
    let tile = |(index, (origin, size, cells)): (usize, (UVec2, UVec2, Vec<u8>))| {
        let mut out = Vec::with_capacity(HEADER_BYTES + cells.len());
        header.put(&mut out, Kind::Tile);
        for value in [index as u32, count as u32, origin.x, origin.y, size.x, size.y] {
            put_varint(&mut out, u64::from(value));
        }
        out.extend(cells);
        Bytes::from(out)
    };
    Ok(closed.into_iter().enumerate().map(tile).collect())
}

/// Reads a tile.
pub fn decode_tile(bytes: &[u8]) -> Result<Tile, WireError> {
    let mut reader = Reader(bytes);
    let header = FieldHeader::take(&mut reader, Kind::Tile)?;
    let index = reader.varint_max("the number of a tile", MAX_TILES)?;
    let count = reader.varint_max("the number of tiles", MAX_TILES)?;
    if index >= count {
        return Err(WireError::Range("the number of a tile"));
    }
    let what = "a tile's rectangle";
    let origin = UVec2::new(reader.varint_max(what, header.grid.x)?, reader.varint_max(what, header.grid.y)?);
    let rest = header.grid - origin;
    let size = UVec2::new(reader.varint_max(what, rest.x)?, reader.varint_max(what, rest.y)?);
    let cells = size.x.saturating_mul(size.y);
    if !(1..=MAX_TILE_CELLS).contains(&cells) {
        return Err(WireError::Range(what));
    }
    let vectors = decode_cells(reader.0, cells as usize, size.x as usize)?;
    Ok(Tile { header, index, count, origin, size, vectors })
}

/// A field at `1/factor` of its columns and rows (rounded up), each cell the mean of those it covers.
pub fn downsample(field: &MotionField, factor: u32) -> MotionField {
    let factor = factor.max(1);
    let grid = UVec2::new(field.grid.x.div_ceil(factor), field.grid.y.div_ceil(factor)).max(UVec2::ONE);
    // By share of the picture, so that a grid that does not divide evenly keeps its geometry.
    let span = |index: u32, full: u32, coarse: u32| {
        let edge = |index: u32| (u64::from(index) * u64::from(full) / u64::from(coarse)) as u32;
        edge(index)..edge(index + 1).max(edge(index) + 1)
    };
    let mean = |column: u32, row: u32| {
        let (columns, rows) = (span(column, field.grid.x, grid.x), span(row, field.grid.y, grid.y));
        let count = (columns.len() * rows.len()) as f32;
        let sum: Vec2 =
            rows.flat_map(|row| columns.clone().map(move |column| (column, row))).map(|(x, y)| field.at(x, y).to_pixels()).sum();
        MotionVector::from_pixels(sum / count)
    };
    let vectors: Vec<_> =
        (0..grid.y).flat_map(|row| (0..grid.x).map(move |column| (column, row))).map(|(x, y)| mean(x, y)).collect();
    MotionField { grid, vectors: vectors.into(), ..field.clone() }
}

/// Writes the coarse copy of a field whose full copy has `tiles` tiles.
///
/// Fails if the field's grid, picture size or number of vectors is out of range.
pub fn encode_coarse(field: &MotionField, factor: u32, tiles: u32) -> Result<Bytes, WireError> {
    let header = FieldHeader::of(field)?;
    let coarse = downsample(field, factor);
    let mut out = Vec::with_capacity(HEADER_BYTES + coarse.vectors.len() * 2);
    header.put(&mut out, Kind::Coarse);
    for value in [tiles, coarse.grid.x, coarse.grid.y] {
        put_varint(&mut out, u64::from(value));
    }
    out.extend(encode_cells(&coarse.vectors, coarse.grid.x as usize));
    Ok(out.into())
}

/// Reads a coarse copy.
pub fn decode_coarse(bytes: &[u8]) -> Result<Coarse, WireError> {
    let mut reader = Reader(bytes);
    let header = FieldHeader::take(&mut reader, Kind::Coarse)?;
    let tiles = reader.varint_max("the number of tiles", MAX_TILES)?;
    let what = "the size of the coarse grid";
    let grid = UVec2::new(reader.varint_max(what, header.grid.x)?, reader.varint_max(what, header.grid.y)?);
    if grid.min_element() == 0 {
        return Err(WireError::Range(what));
    }
    let vectors = decode_cells(reader.0, grid.x as usize * grid.y as usize, grid.x as usize)?;
    Ok(Coarse { header, tiles, grid, vectors })
}

impl Coarse {
    /// The motion at the centre of a cell of the full grid, bilinear.
    pub fn sample(&self, column: u32, row: u32) -> MotionVector {
        let at = Vec2::new(column as f32 + 0.5, row as f32 + 0.5) / self.header.grid.as_vec2() * self.grid.as_vec2() - 0.5;
        let (base, share) = (at.floor(), at - at.floor());
        let cell = |dx: i32, dy: i32| {
            let (x, y) = (base.x as i32 + dx, base.y as i32 + dy);
            let columns = self.grid.x as i32;
            let x = if self.header.wraps { x.rem_euclid(columns) } else { x.clamp(0, columns - 1) };
            let y = y.clamp(0, self.grid.y as i32 - 1);
            self.vectors.get((y * columns + x) as usize).copied().unwrap_or_default().to_pixels()
        };
        let upper = cell(0, 0).lerp(cell(1, 0), share.x);
        let lower = cell(0, 1).lerp(cell(1, 1), share.x);
        MotionVector::from_pixels(upper.lerp(lower, share.y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn field_of(grid: UVec2, noise: i16, seed: u32) -> MotionField {
        let vectors: Vec<_> = (0..grid.x * grid.y)
            .map(|index| {
                let hash = (index ^ seed).wrapping_mul(0x9e37_79b1) >> 16;
                let jitter = if noise == 0 { 0 } else { (hash % (2 * noise as u32 + 1)) as i16 - noise };
                let (x, y) = ((index % grid.x) as f32, (index / grid.x) as f32);
                MotionVector { x: (80.0 * (x / 31.0).sin()) as i16 + jitter, y: (50.0 * (y / 17.0).cos()) as i16 - jitter }
            })
            .collect();
        let stamp = FrameStamp { frame_id: 41, captured_at: UnixTime(1_700_000_000_000_000_123), pts: MediaTime(1_366_666_667) };
        MotionField { stamp, previous_frame_id: 40, picture_size: grid * 8, grid, wraps: true, vectors: vectors.into() }
    }

    proptest! {
        #[test]
        fn tiles_fit_a_datagram_and_cover_the_field_exactly(columns in 1_u32..200, rows in 1_u32..90, noise in prop_oneof![Just(0_i16), Just(3), Just(16_000)], seed: u32) {
            let field = field_of(UVec2::new(columns, rows), noise, seed);
            let tiles = encode_tiles(&field).expect("a sound field");
            let mut seen = vec![None; (columns * rows) as usize];
            for (index, bytes) in tiles.iter().enumerate() {
                prop_assert!(bytes.len() <= MAX_TILE_BYTES, "{} bytes", bytes.len());
                let tile = decode_tile(bytes).expect("what was written is read");
                prop_assert_eq!((tile.index as usize, tile.count as usize), (index, tiles.len()));
                prop_assert_eq!(tile.header, FieldHeader::of(&field).expect("a sound field"));
                for (offset, vector) in tile.vectors.iter().enumerate() {
                    let (x, y) = (tile.origin.x + offset as u32 % tile.size.x, tile.origin.y + offset as u32 / tile.size.x);
                    prop_assert!(seen[(y * columns + x) as usize].replace(*vector).is_none(), "a cell is sent twice");
                }
            }
            let seen = seen.into_iter().collect::<Option<Vec<_>>>();
            prop_assert_eq!(seen.as_deref(), Some(&*field.vectors));
        }

        #[test]
        fn garbage_and_damage_are_refused_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, value: u8, cut in 0_usize..200) {
            let _ = (decode_tile(&bytes), decode_coarse(&bytes));
            let field = field_of(UVec2::new(12, 7), 3, 9);
            for mut good in [encode_tiles(&field).expect("sound")[0].to_vec(), encode_coarse(&field, 4, 1).expect("sound").to_vec()] {
                let at = at % good.len();
                good[at] = value;
                good.truncate(cut.max(1));
                let _ = (decode_tile(&good), decode_coarse(&good));
            }
        }
    }

    #[test]
    fn hostile_sizes_are_refused_before_anything_is_allocated() {
        let field = field_of(UVec2::new(8, 8), 0, 0);
        let header = FieldHeader::of(&field).expect("sound");
        for grid in [UVec2::new(u32::MAX, 1), UVec2::new(MotionField::MAX_CELLS, 2), UVec2::new(0, 5)] {
            let mut bytes = Vec::new();
            FieldHeader { grid, ..header }.put(&mut bytes, Kind::Tile);
            bytes.extend([0, 1, 0, 0, 8, 8, 0xff, 0xff]);
            assert_eq!(decode_tile(&bytes), Err(WireError::Range("the size of the motion grid")), "{grid}");
        }
        let mut bytes = Vec::new();
        FieldHeader { grid: UVec2::new(960, 480), ..header }.put(&mut bytes, Kind::Tile);
        let head = bytes.len();
        for (index, value) in [0_u64, 1, 0, 0, 960, 480].into_iter().enumerate() {
            assert_eq!(index == 0, bytes.len() == head);
            put_varint(&mut bytes, value);
        }
        bytes.push(0xff);
        assert_eq!(decode_tile(&bytes), Err(WireError::Range("a tile's rectangle")));
        let short = MotionField { vectors: Arc::from([]), ..field };
        assert!(encode_tiles(&short).is_err());
    }

    #[test]
    fn the_coarse_copy_follows_the_field_and_is_small() {
        let field = field_of(UVec2::new(160, 80), 0, 0);
        let bytes = encode_coarse(&field, 4, 7).expect("sound");
        assert!(bytes.len() < 2000, "{} bytes", bytes.len());
        let coarse = decode_coarse(&bytes).expect("what was written is read");
        assert_eq!((coarse.tiles, coarse.grid), (7, UVec2::new(40, 20)));
        // Away from the seam, where this made-up field jumps.
        let worst = (4..76)
            .flat_map(|row| (4..156).map(move |column| (column, row)))
            .map(|(x, y)| coarse.sample(x, y).to_pixels().distance(field.at(x, y).to_pixels()))
            .fold(0.0, f32::max);
        assert!(worst < 0.5, "{worst} px off");
    }
}
