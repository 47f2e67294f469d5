//! Codes motion fields beside the caller's thread and puts them on their tracks.

use super::{PublishError, tracks::Tracks};
use crate::wire::tile::{downsample, encode_coarse, encode_tiles};
use bytes::Bytes;
use std::sync::Arc;
use studio_frame::prelude::*;

/// Tiles of one field at most: what the tile tracks hold for a reader that lags, less some for the field before.
pub(super) const MAX_TILES_A_FIELD: usize = 96;
/// Columns and rows of the full copy for one of the coarse one.
const COARSE_FACTOR: u32 = 4;

struct Coded {
    field: MotionField,
    tiles: Vec<Bytes>,
    coarse: Bytes,
}

/// Codes a field, with a coarser grid if it takes more than `max_tiles` tiles.
fn code(mut field: MotionField, max_tiles: usize) -> Result<Coded, PublishError> {
    let mut tiles = encode_tiles(&field)?;
    // Ends: a grid of one cell takes one tile.
    while tiles.len() > max_tiles {
        field = downsample(&field, 2);
        tiles = encode_tiles(&field)?;
    }
    let coarse = encode_coarse(&field, COARSE_FACTOR, tiles.len() as u32)?;
    Ok(Coded { field, tiles, coarse })
}

/// Runs until the publisher stops.
pub(super) async fn run(tracks: Arc<Tracks>, max_tiles: usize) {
    loop {
        let field = tracks.next_motion().await;
        let frame_id = field.stamp.frame_id;
        // Off the threads that move bytes: a large field takes milliseconds.
        let coded = tokio::task::spawn_blocking(move || code(field, max_tiles)).await;
        let sent = match coded {
            Ok(Ok(Coded { field, tiles, coarse })) => tracks.write_motion(&field, tiles, coarse),
            Ok(Err(error)) => Err(error),
            // Cancelled: the runtime is going.
            Err(_) => return,
        };
        if let Err(error) = sent {
            tracing::warn!(frame_id, %error, "a motion field was not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::math::UVec2;

    #[test]
    fn a_wild_field_is_coarsened_until_it_fits() {
        let grid = UVec2::new(240, 120);
        let vectors: Vec<_> = (0..grid.x * grid.y)
            .map(|index| index.wrapping_mul(0x9e37_79b1))
            .map(|hash| MotionVector { x: (hash >> 16) as i16, y: hash as i16 })
            .collect();
        let field = MotionField {
            stamp: FrameStamp::default(),
            previous_frame_id: 0,
            picture_size: grid * 8,
            grid,
            wraps: true,
            vectors: vectors.into(),
        };
        let coded = code(field, 24).expect("a sound field");
        assert!(coded.tiles.len() <= 24 && coded.field.grid.x < grid.x, "{} tiles", coded.tiles.len());
    }
}
