//! What the browser's viewer reads with code of its own: bytes as the studio writes them, and what they mean.
//!
//! `web/test/vectors/wire.json` is what its tests read. This one says when the file is old;
//! `NEURAL_STUDIO_BLESS=1 cargo test -p studio_stream vectors` writes it.

use bevy::math::UVec2;
use bytes::Bytes;
use std::{env, fmt::Write as _, fs, path::Path};
use studio_frame::prelude::*;
use studio_stream::wire::{
    tile::{decode_coarse, encode_coarse, encode_tiles},
    unit::encode_unit,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stamp_json(stamp: FrameStamp) -> String {
    let FrameStamp { frame_id, captured_at, pts } = stamp;
    format!(r#"{{"frameId":{frame_id},"capturedAtUs":{},"ptsUs":{}}}"#, captured_at.as_micros(), pts.as_micros())
}

fn unit_json(frame_id: u64, key_frame: bool, data: &'static [u8]) -> String {
    let unit = AccessUnit { stamp: crate::stamp(frame_id), key_frame, data: Bytes::from_static(data) };
    let sent_at = UnixTime(unit.stamp.captured_at.0 + 21_000_999);
    format!(
        r#"{{"bytes":"{}","stamp":{},"sentAtUs":{},"keyFrame":{key_frame},"data":"{}"}}"#,
        hex(&encode_unit(&unit, sent_at)),
        stamp_json(unit.stamp),
        sent_at.as_micros(),
        hex(data)
    )
}

fn numbers(vectors: impl Iterator<Item = MotionVector>) -> String {
    vectors.map(|vector| format!("{},{}", vector.x, vector.y)).collect::<Vec<_>>().join(",")
}

fn field_json(field: &MotionField) -> String {
    let tiles = encode_tiles(field).expect("a sound field");
    let coarse = encode_coarse(field, 4, tiles.len() as u32).expect("a sound field");
    let read = decode_coarse(&coarse).expect("what was written is read");
    let cells = (0..field.grid.y).flat_map(|row| (0..field.grid.x).map(move |column| (column, row)));
    let sampled = cells.map(|(column, row)| read.sample(column, row));
    let tiles: Vec<String> = tiles.iter().map(|tile| format!("\"{}\"", hex(tile))).collect();
    format!(
        r#"{{"stamp":{},"previousFrameId":{},"picture":[{},{}],"grid":[{},{}],"wraps":{},"vectors":[{}],"tiles":[{}],"coarse":"{}","coarseVectors":[{}]}}"#,
        stamp_json(field.stamp),
        field.previous_frame_id,
        field.picture_size.x,
        field.picture_size.y,
        field.grid.x,
        field.grid.y,
        field.wraps,
        numbers(field.vectors.iter().copied()),
        tiles.join(","),
        hex(&coarse),
        numbers(sampled)
    )
}

#[test]
fn the_browsers_vectors_are_what_the_studio_writes() {
    let mut json = String::from("{\"units\":[\n");
    let units = [unit_json(0, true, b""), unit_json(41, false, b"\0\0\0\x01picture"), unit_json(1 << 30, true, &[0xa5; 70])];
    json.push_str(&units.join(",\n"));
    json.push_str("\n],\"fields\":[\n");
    // A noisy one in several tiles, a still one, one whose vectors take the escape, one of a single cell.
    let noisy = crate::field(7, UVec2::new(70, 36));
    let mut still = crate::field(8, UVec2::new(9, 5));
    still.vectors = vec![MotionVector::default(); 45].into();
    let mut wild = crate::field(9, UVec2::new(6, 3));
    wild.wraps = false;
    let wild_cell = |index: i16| MotionVector { x: index.wrapping_mul(9973), y: index.wrapping_mul(-7919) };
    wild.vectors = (0..18).map(wild_cell).collect();
    let mut single = crate::field(10, UVec2::ONE);
    single.previous_frame_id = 3;
    json.push_str(&[noisy, still, wild, single].iter().map(field_json).collect::<Vec<_>>().join(",\n"));
    let _ = writeln!(json, "\n]}}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/test/vectors/wire.json");
    if env::var_os("NEURAL_STUDIO_BLESS").is_some() {
        fs::write(&path, &json).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == json, "{} is old: NEURAL_STUDIO_BLESS=1 cargo test -p studio_stream vectors", path.display());
}
