//! Matroska (RFC 9559) as it can be written without going back: a segment of unknown length, and clusters that each say
//! their own time.

use super::{
    ebml::{element, id_bytes, number},
    spherical,
    track::{Fragment, PICTURE_TICKS_HZ, Patch, PictureTrack, Sample, SoundTrack, Tracks, color_codes},
};
use studio_frame::prelude::*;

const HEADER: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const DURATION: u32 = 0x4489;
const VOID: u32 = 0xEC;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const CLUSTER: u32 = 0x1F43_B675;
const PICTURES: u8 = 1;
const SOUND: u8 = 2;
/// Times are in milliseconds, which every reader is used to.
const TICK_NS: u64 = 1_000_000;
/// Times in a cluster are 16-bit numbers; they stay well below their end.
const LONGEST_CLUSTER: u64 = 30_000;
/// What Opus decoders need in front of a place to be right there (RFC 7845 §4.6).
const OPUS_PREROLL_NS: u64 = 80_000_000;

/// Writes the parts of a file in order.
pub(super) struct Matroska {
    tracks: Tracks,
    /// Where the place is that is kept for the file's length.
    length_at: u64,
}

fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

impl Matroska {
    /// The writer, and the header to begin the file with.
    pub fn new(tracks: Tracks) -> (Self, Vec<u8>) {
        let kind = [
            number(0x4286, 1),
            number(0x42F7, 1),
            number(0x42F2, 4),
            number(0x42F3, 8),
            element(0x4282, b"matroska"),
            number(0x4287, 4),
            number(0x4285, 2),
        ];
        let mut head = element(HEADER, &kind.concat());
        head.extend(id_bytes(SEGMENT));
        // A size of unknown length: up to the end of the file.
        head.extend([1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        let scale = number(0x002A_D7B1, TICK_NS);
        let room = element(VOID, &[0; 9]);
        debug_assert_eq!(room.len(), float(DURATION, 0.0).len());
        let program = [element(0x4D80, b"Neural Studio"), element(0x5741, b"Neural Studio")].concat();
        // Behind the header of the information, which is twelve bytes long, and the scale.
        let length_at = (head.len() + 12 + scale.len()) as u64;
        head.extend(element(INFO, &[scale, room, program].concat()));
        let pictures = tracks.pictures.as_ref().map(picture_entry).unwrap_or_default();
        let sound = tracks.sound.as_ref().map(sound_entry).unwrap_or_default();
        head.extend(element(TRACKS, &[pictures, sound].concat()));
        (Self { tracks, length_at }, head)
    }

    /// One fragment, as clusters.
    pub fn fragment(&self, fragment: &Fragment) -> Vec<u8> {
        let in_ticks = |time: u64, ticks_hz: u32| {
            (u128::from(time) * u128::from(1_000_000_000 / TICK_NS) + u128::from(ticks_hz / 2)) / u128::from(ticks_hz)
        };
        let sound_hz = self.tracks.sound.as_ref().map_or(48_000, SoundTrack::ticks_hz);
        let pictures = fragment.pictures.iter().map(|sample| (in_ticks(sample.time, PICTURE_TICKS_HZ) as u64, PICTURES, sample));
        let sound = fragment.sound.iter().map(|sample| (in_ticks(sample.time, sound_hz) as u64, SOUND, sample));
        let mut blocks: Vec<Block> = pictures.chain(sound).collect();
        blocks.sort_by_key(|(time, track, _)| (*time, *track));
        let mut bytes = Vec::new();
        for cluster in clusters(&blocks) {
            let start = cluster[0].0;
            let mut content = number(0xE7, start);
            for (time, track, sample) in cluster {
                let [high, low] = ((time - start) as i16).to_be_bytes();
                let head = [0x80 | track, high, low, if sample.key { 0x80 } else { 0 }];
                content.extend(element(0xA3, &[&head, &sample.data[..]].concat()));
            }
            bytes.extend(element(CLUSTER, &content));
        }
        bytes
    }

    /// What makes the header say how long the finished file is.
    pub fn length(&self, length_ns: u64) -> Patch {
        Patch { at: self.length_at, data: float(DURATION, length_ns as f64 / TICK_NS as f64) }
    }

    pub fn tracks(&self) -> &Tracks {
        &self.tracks
    }
}

/// A block's time in ticks, its track and its sample.
type Block<'a> = (u64, u8, &'a Sample);

/// Blocks in order of time, cut where their times would not fit one cluster.
fn clusters<'a, 'b>(mut rest: &'a [Block<'b>]) -> impl Iterator<Item = &'a [Block<'b>]> {
    std::iter::from_fn(move || {
        let (start, ..) = *rest.first()?;
        let (cluster, later) = rest.split_at(rest.partition_point(|(time, ..)| time - start < LONGEST_CLUSTER));
        rest = later;
        Some(cluster)
    })
}

fn entry(track: u8, kind: u64, codec: &str, config: &[u8], parts: &[u8]) -> Vec<u8> {
    let (track, private) = (u64::from(track), element(0x63A2, config));
    // Number, a number that no other track has, kind, no lacing, and the codec.
    let head = [number(0xD7, track), number(0x73C5, track), number(0x83, kind), number(0x9C, 0), element(0x86, codec.as_bytes())];
    element(TRACK_ENTRY, &[&head.concat()[..], &private, parts].concat())
}

fn picture_entry(track: &PictureTrack) -> Vec<u8> {
    let info = &track.info;
    let codec = match info.codec {
        VideoCodec::H264 => "V_MPEG4/ISO/AVC",
        VideoCodec::H265 => "V_MPEGH/ISO/HEVC",
        VideoCodec::Av1 => "V_AV1",
    };
    let [primaries, transfer, matrix] = color_codes(info.color).map(u64::from);
    let range = if info.color.range == ColorRange::Full { 2 } else { 1 };
    let color = [number(0x55B1, matrix), number(0x55B9, range), number(0x55BA, transfer), number(0x55BB, primaries)];
    let picture = [
        number(0xB0, u64::from(info.size.x)),
        number(0xBA, u64::from(info.size.y)),
        element(0x55B0, &color.concat()),
        spherical::matroska_elements(info.projection, info.stereo),
    ];
    let parts = [number(0x0023_E383, super::frame_ns(info)), element(0xE0, &picture.concat())];
    entry(PICTURES, 1, codec, &track.config, &parts.concat())
}

fn sound_entry(track: &SoundTrack) -> Vec<u8> {
    let info = &track.info;
    let (codec, mut parts) = match info.codec {
        AudioCodec::Opus => {
            let delay_ns = u64::from(track.skip) * 1_000_000_000 / u64::from(track.ticks_hz());
            ("A_OPUS", [number(0x56AA, delay_ns), number(0x56BB, OPUS_PREROLL_NS)].concat())
        }
        AudioCodec::Aac => ("A_AAC", Vec::new()),
    };
    let sound = [float(0xB5, f64::from(track.ticks_hz())), number(0x9F, u64::from(info.format.channels))];
    parts.extend(element(0xE1, &sound.concat()));
    entry(SOUND, 2, codec, &info.config, &parts)
}
