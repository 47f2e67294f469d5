//! Motion fields from whatever tiles came.

use super::tile::{Coarse, FieldHeader, Tile};
use bevy::math::UVec2;
use core::time::Duration;
use std::{collections::BTreeMap, time::Instant};
use studio_frame::prelude::*;

/// Frames that are assembled at once; the oldest is handed out as it is when there would be more.
const MAX_PENDING: usize = 4;

/// A field put together from tiles.
#[derive(Clone, Debug)]
pub struct AssembledMotion {
    /// The field.
    pub field: MotionField,
    /// Tiles it was sent in.
    pub tiles: u32,
    /// Tiles that did not come in time.
    pub lost_tiles: u32,
    /// Cells taken from the coarse copy.
    pub coarse_cells: u32,
    /// Cells that nothing is known about; their motion is zero.
    pub missing_cells: u32,
}

struct Pending {
    header: FieldHeader,
    since: Instant,
    cells: Vec<Option<MotionVector>>,
    covered: usize,
    tiles_seen: u32,
    tiles: u32,
    coarse: Option<Coarse>,
}

impl Pending {
    fn is_complete(&self) -> bool {
        self.covered == self.cells.len()
    }

    fn finish(self) -> AssembledMotion {
        let columns = self.header.grid.x;
        let (mut coarse_cells, mut missing_cells) = (0, 0);
        let fill = |(index, cell): (usize, Option<MotionVector>)| {
            cell.unwrap_or_else(|| match &self.coarse {
                Some(coarse) => {
                    coarse_cells += 1;
                    coarse.sample(index as u32 % columns, index as u32 / columns)
                }
                None => {
                    missing_cells += 1;
                    MotionVector::default()
                }
            })
        };
        let vectors: Vec<_> = self.cells.into_iter().enumerate().map(fill).collect();
        AssembledMotion {
            field: self.header.field(vectors),
            tiles: self.tiles,
            lost_tiles: self.tiles.saturating_sub(self.tiles_seen),
            coarse_cells,
            missing_cells,
        }
    }
}

/// Puts fields together, hands them out in order, and waits for no tile longer than a deadline.
///
/// Memory is bounded: at most four fields are open, each of at most [`MotionField::MAX_CELLS`] cells.
pub struct MotionAssembler {
    deadline: Duration,
    pending: BTreeMap<u64, Pending>,
    last_out: Option<u64>,
    late_tiles: u64,
}

impl MotionAssembler {
    /// An assembler that hands a field out at the latest `deadline` after its first part came.
    pub fn new(deadline: Duration) -> Self {
        Self { deadline, pending: BTreeMap::new(), last_out: None, late_tiles: 0 }
    }

    /// Tiles that came after their field was handed out, or that contradict it.
    pub fn late_tiles(&self) -> u64 {
        self.late_tiles
    }

    /// The open field that a part belongs to; `None` if it is out already or the part contradicts the others.
    fn open(&mut self, header: FieldHeader, now: Instant) -> Option<&mut Pending> {
        let frame_id = header.stamp.frame_id;
        if self.last_out.is_some_and(|last| frame_id <= last) {
            return None;
        }
        let pending = self.pending.entry(frame_id).or_insert_with(|| Pending {
            header,
            since: now,
            cells: vec![None; header.cells()],
            covered: 0,
            tiles_seen: 0,
            tiles: 0,
            coarse: None,
        });
        (pending.header == header).then_some(pending)
    }

    /// Takes a tile that came at `now`.
    pub fn push_tile(&mut self, tile: Tile, now: Instant) {
        let Some(pending) = self.open(tile.header, now) else {
            self.late_tiles += 1;
            return;
        };
        pending.tiles = pending.tiles.max(tile.count);
        let mut fresh = false;
        for (offset, vector) in tile.vectors.into_iter().enumerate() {
            let at = tile.origin + UVec2::new(offset as u32 % tile.size.x, offset as u32 / tile.size.x);
            let index = at.y as usize * pending.header.grid.x as usize + at.x as usize;
            if let Some(cell) = pending.cells.get_mut(index)
                && cell.replace(vector).is_none()
            {
                pending.covered += 1;
                fresh = true;
            }
        }
        // A repeated tile covers nothing new and counts once.
        pending.tiles_seen += u32::from(fresh);
    }

    /// Takes a coarse copy that came at `now`.
    pub fn push_coarse(&mut self, coarse: Coarse, now: Instant) {
        if let Some(pending) = self.open(coarse.header, now) {
            pending.tiles = pending.tiles.max(coarse.tiles);
            pending.coarse = Some(coarse);
        }
    }

    /// When [`Self::poll`] is worth calling again although nothing came.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.first_key_value().map(|(_, first)| first.since + self.deadline)
    }

    /// The next field that is complete, or that is not waited for any longer. Call until it gives none.
    pub fn poll(&mut self, now: Instant) -> Option<AssembledMotion> {
        let (&frame_id, first) = self.pending.first_key_value()?;
        // A later field that is complete means that what this one lacks is lost: datagrams hardly overtake.
        let overtaken = || self.pending.values().skip(1).any(Pending::is_complete);
        let due = first.is_complete() || now >= first.since + self.deadline || self.pending.len() > MAX_PENDING || overtaken();
        if !due {
            return None;
        }
        self.last_out = Some(frame_id);
        self.pending.remove(&frame_id).map(Pending::finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tile::{decode_coarse, decode_tile, encode_coarse, encode_tiles};
    use proptest::prelude::*;

    const DEADLINE: Duration = Duration::from_millis(30);

    fn field(frame_id: u64) -> MotionField {
        let grid = UVec2::new(160, 80);
        let vectors: Vec<_> = (0..grid.x * grid.y)
            .map(|index| MotionVector { x: (index % 160) as i16 + ((index * 31) % 7) as i16, y: (index / 160) as i16 })
            .collect();
        let stamp = FrameStamp { frame_id, pts: MediaTime(frame_id * 33_000_000), ..Default::default() };
        MotionField {
            stamp,
            previous_frame_id: frame_id - 1,
            picture_size: grid * 8,
            grid,
            wraps: false,
            vectors: vectors.into(),
        }
    }

    fn tiles(field: &MotionField) -> Vec<Tile> {
        encode_tiles(field).expect("sound").iter().map(|bytes| decode_tile(bytes).expect("sound")).collect()
    }

    fn coarse(field: &MotionField) -> Coarse {
        decode_coarse(&encode_coarse(field, 4, tiles(field).len() as u32).expect("sound")).expect("sound")
    }

    #[test]
    fn a_complete_field_comes_at_once_and_unchanged() {
        let (mut assembler, now, sent) = (MotionAssembler::new(DEADLINE), Instant::now(), field(5));
        let mut parts = tiles(&sent);
        parts.reverse();
        let last = parts.pop().expect("several tiles");
        parts.into_iter().for_each(|tile| assembler.push_tile(tile, now));
        assert!(assembler.poll(now).is_none());
        assembler.push_tile(last, now);
        let got = assembler.poll(now).expect("complete");
        assert_eq!((got.lost_tiles, got.coarse_cells, got.missing_cells), (0, 0, 0));
        assert_eq!((got.field.stamp, got.field.previous_frame_id, &got.field.vectors), (sent.stamp, 4, &sent.vectors));
        assert!(assembler.poll(now).is_none());
    }

    #[test]
    fn a_lost_tile_is_counted_and_filled_from_the_coarse_copy_at_the_deadline() {
        let (mut assembler, now, sent) = (MotionAssembler::new(DEADLINE), Instant::now(), field(5));
        let parts = tiles(&sent);
        let lost = parts[1].vectors.len() as u32;
        parts.into_iter().enumerate().filter(|(index, _)| *index != 1).for_each(|(_, tile)| assembler.push_tile(tile, now));
        assembler.push_coarse(coarse(&sent), now);
        assert!(assembler.poll(now + DEADLINE / 2).is_none());
        assert_eq!(assembler.next_deadline(), Some(now + DEADLINE));
        let got = assembler.poll(now + DEADLINE).expect("the deadline passed");
        assert_eq!((got.lost_tiles, got.coarse_cells, got.missing_cells), (1, lost, 0));
        let worst =
            sent.vectors.iter().zip(&*got.field.vectors).map(|(a, b)| a.to_pixels().distance(b.to_pixels())).fold(0.0, f32::max);
        assert!(worst < 1.0, "{worst} px off");
    }

    #[test]
    fn the_coarse_copy_alone_makes_a_field_and_nothing_makes_zeros() {
        let (mut assembler, now) = (MotionAssembler::new(DEADLINE), Instant::now());
        assembler.push_coarse(coarse(&field(5)), now);
        let got = assembler.poll(now + DEADLINE).expect("the deadline passed");
        assert_eq!((got.lost_tiles, got.tiles, got.missing_cells), (got.tiles, tiles(&field(5)).len() as u32, 0));
        let mut parts = tiles(&field(6));
        parts.truncate(1);
        let known = parts[0].vectors.len() as u32;
        assembler.push_tile(parts.remove(0), now);
        assert_eq!(assembler.poll(now + DEADLINE).expect("the deadline passed").missing_cells, 160 * 80 - known);
    }

    #[test]
    fn fields_come_in_order_and_a_later_one_pushes_an_incomplete_one_out() {
        let (mut assembler, now) = (MotionAssembler::new(DEADLINE), Instant::now());
        assembler.push_tile(tiles(&field(5)).remove(0), now);
        tiles(&field(6)).into_iter().for_each(|tile| assembler.push_tile(tile, now));
        let order: Vec<_> =
            core::iter::from_fn(|| assembler.poll(now)).map(|got| (got.field.stamp.frame_id, got.lost_tiles > 0)).collect();
        assert_eq!(order, [(5, true), (6, false)]);
        assembler.push_tile(tiles(&field(5)).remove(0), now);
        assert!(assembler.poll(now + DEADLINE).is_none());
        assert_eq!(assembler.late_tiles(), 1);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_order_memory_is_bounded_and_order_kept(parts in prop::collection::vec((1_u64..40, 0_usize..4, any::<bool>()), 1..60)) {
            let (mut assembler, now, mut last) = (MotionAssembler::new(DEADLINE), Instant::now(), 0);
            for (frame_id, index, with_coarse) in parts {
                let sent = field(frame_id);
                if with_coarse {
                    assembler.push_coarse(coarse(&sent), now);
                }
                assembler.push_tile(tiles(&sent).swap_remove(index), now);
                while let Some(got) = assembler.poll(now) {
                    prop_assert!(got.field.stamp.frame_id > last);
                    last = got.field.stamp.frame_id;
                }
                prop_assert!(assembler.pending.len() <= MAX_PENDING);
            }
        }
    }
}
