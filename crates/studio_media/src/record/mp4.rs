//! Fragmented MP4 (ISO/IEC 14496-12): the header first, then fragments that each say where their samples lie in time, so
//! that a file that breaks off plays up to its last whole fragment, and a track that pauses leaves nothing but a pause.

use super::{
    spherical,
    track::{Fragment, OpusHead, PICTURE_TICKS_HZ, Patch, PictureTrack, Sample, SoundTrack, Tracks, color_codes},
};
use studio_frame::prelude::*;

const PICTURES: u32 = 1;
const SOUND: u32 = 2;
/// Ticks a second of the whole file's length.
const FILE_TICKS_HZ: u64 = 90_000;
/// A sample that decoding can start at, and one that depends on others (ISO/IEC 14496-12 §8.8.3.1).
const KEY: u32 = 0x0200_0000;
const NO_KEY: u32 = 0x0101_0000;
/// The unit matrix of `mvhd` and `tkhd`.
const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// A box of a kind around its parts.
pub(super) fn make_box(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = (size as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Big-endian 32-bit numbers.
fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Writes the parts of a file in order.
pub(super) struct Mp4 {
    tracks: Tracks,
    sequence: u32,
    /// Where the place is that is kept for the file's length.
    length_at: u64,
}

impl Mp4 {
    /// The writer, and the header to begin the file with.
    pub fn new(tracks: Tracks) -> (Self, Vec<u8>) {
        let pictures = tracks.pictures.as_ref().map(picture_track).unwrap_or_default();
        let sound = tracks.sound.as_ref().map(sound_track).unwrap_or_default();
        let movie = make_box(
            b"mvhd",
            &[
                &words(&[0, 0, 0, FILE_TICKS_HZ as u32, 0, 0x0001_0000, 0x0100_0000, 0, 0]),
                &words(&MATRIX),
                &words(&[0, 0, 0, 0, 0, 0, SOUND + 1]),
            ],
        );
        let defaults = |track| make_box(b"trex", &[&words(&[0, track, 1, 0, 0, 0])]);
        let mut extends = Vec::new();
        for (track, there) in [(PICTURES, tracks.pictures.is_some()), (SOUND, tracks.sound.is_some())] {
            extends.extend(there.then(|| defaults(track)).into_iter().flatten());
        }
        // Room for the length, which is known at the end.
        let room = make_box(b"free", &[&words(&[0, 0, 0])]);
        let file_type = make_box(b"ftyp", &[b"iso6", &words(&[0]), b"iso6isommp42"]);
        let extends = make_box(b"mvex", &[&room, &extends]);
        // The room lies behind the boxes in front, the header of `moov` and that of `mvex`.
        let length_at = (file_type.len() + 8 + movie.len() + pictures.len() + sound.len() + 8) as u64;
        let header = make_box(b"moov", &[&movie, &pictures, &sound, &extends]);
        (Self { tracks, sequence: 0, length_at }, [file_type, header].concat())
    }

    /// One fragment.
    pub fn fragment(&mut self, fragment: &Fragment) -> Vec<u8> {
        self.sequence += 1;
        let bytes_of = |samples: &[Sample]| samples.iter().map(|sample| sample.data.len()).sum::<usize>();
        // Written twice, because the samples' place depends on the length of what says it.
        let head = |start: usize| {
            let number = make_box(b"mfhd", &[&words(&[0, self.sequence])]);
            let pictures = track_fragment(PICTURES, &fragment.pictures, start);
            let sound = track_fragment(SOUND, &fragment.sound, start + bytes_of(&fragment.pictures));
            make_box(b"moof", &[&number, &pictures, &sound])
        };
        let mut bytes = head(head(0).len() + 8);
        let all = fragment.pictures.iter().chain(&fragment.sound);
        let size = 8 + bytes_of(&fragment.pictures) + bytes_of(&fragment.sound);
        bytes.reserve(size);
        bytes.extend((size as u32).to_be_bytes());
        bytes.extend(b"mdat");
        all.for_each(|sample| bytes.extend_from_slice(&sample.data));
        bytes
    }

    /// What makes the header say how long the finished file is.
    pub fn length(&self, length_ns: u64) -> Patch {
        // Rounded up, and a little more: the last sample must not end behind the file.
        let ticks = (u128::from(length_ns) * u128::from(FILE_TICKS_HZ)).div_ceil(1_000_000_000) as u64 + 1;
        Patch { at: self.length_at, data: make_box(b"mehd", &[&words(&[0x0100_0000]), &ticks.to_be_bytes()]) }
    }

    pub fn tracks(&self) -> &Tracks {
        &self.tracks
    }
}

/// The samples of one track; their bytes start at `start` from the start of the fragment.
fn track_fragment(track: u32, samples: &[Sample], start: usize) -> Vec<u8> {
    let Some(first) = samples.first() else { return Vec::new() };
    // Places count from the start of the `moof` box.
    let header = make_box(b"tfhd", &[&words(&[0x0002_0000, track])]);
    let time = make_box(b"tfdt", &[&words(&[0x0100_0000]), &first.time.to_be_bytes()]);
    // Place of the data; length, size and flags of each sample.
    let mut run = words(&[0x0000_0701, samples.len() as u32, start as u32]);
    for (index, sample) in samples.iter().enumerate() {
        // A pause behind a sample is part of it; the sum of lengths is what places the next one.
        let ticks = samples.get(index + 1).map_or(u64::from(sample.ticks), |next| next.time - sample.time);
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        run.extend(words(&[ticks, sample.data.len() as u32, if sample.key { KEY } else { NO_KEY }]));
    }
    make_box(b"traf", &[&header, &time, &make_box(b"trun", &[&run])])
}

fn picture_track(track: &PictureTrack) -> Vec<u8> {
    let size = track.info.size;
    let entry = picture_entry(track);
    let media = make_box(b"vmhd", &[&words(&[1, 0, 0])]);
    make_track(PICTURES, PICTURE_TICKS_HZ, b"vide", [size.x, size.y], &media, &entry, &[])
}

fn sound_track(track: &SoundTrack) -> Vec<u8> {
    // What the decoder leaves out at the start lies in front of the time line's zero.
    let edit = words(&[0, 1, 0, u32::from(track.skip), 0x0001_0000]);
    let edits = make_box(b"edts", &[&make_box(b"elst", &[&edit])]);
    let edits = if track.skip == 0 { &[][..] } else { &edits };
    let media = make_box(b"smhd", &[&words(&[0, 0])]);
    make_track(SOUND, track.ticks_hz(), b"soun", [0, 0], &media, &sound_entry(track), edits)
}

fn make_track(track: u32, ticks_hz: u32, handler: &[u8; 4], size: [u32; 2], media: &[u8], entry: &[u8], edits: &[u8]) -> Vec<u8> {
    let volume = if handler == b"soun" { 0x0100_0000 } else { 0 };
    let header = make_box(
        b"tkhd",
        &[&words(&[3, 0, 0, track, 0, 0, 0, 0, 0, volume]), &words(&MATRIX), &words(&size.map(|side| side << 16))],
    );
    // 0x55C4: the language `und`, three letters of five bits.
    let times = make_box(b"mdhd", &[&words(&[0, 0, 0, ticks_hz, 0, 0x55C4_0000])]);
    let handler = make_box(b"hdlr", &[&words(&[0, 0]), handler, &words(&[0, 0, 0]), b"Neural Studio\0"]);
    let place = make_box(b"dinf", &[&make_box(b"dref", &[&words(&[0, 1]), &make_box(b"url ", &[&words(&[1])])])]);
    let samples = make_box(
        b"stbl",
        &[
            &make_box(b"stsd", &[&words(&[0, 1]), entry]),
            &make_box(b"stts", &[&words(&[0, 0])]),
            &make_box(b"stsc", &[&words(&[0, 0])]),
            &make_box(b"stsz", &[&words(&[0, 0, 0])]),
            &make_box(b"stco", &[&words(&[0, 0])]),
        ],
    );
    let information = make_box(b"minf", &[media, &place, &samples]);
    make_box(b"trak", &[&header, edits, &make_box(b"mdia", &[&times, &handler, &information])])
}

fn picture_entry(track: &PictureTrack) -> Vec<u8> {
    let info = &track.info;
    let (kind, config) = match info.codec {
        VideoCodec::H264 => (b"avc1", b"avcC"),
        VideoCodec::H265 => (b"hvc1", b"hvcC"),
        VideoCodec::Av1 => (b"av01", b"av1C"),
    };
    let [primaries, transfer, matrix] = color_codes(info.color);
    let range = if info.color.range == ColorRange::Full { 0x80 } else { 0 };
    let color = make_box(b"colr", &[b"nclx", &[0, primaries, 0, transfer, 0, matrix, range]]);
    let square = make_box(b"pasp", &[&words(&[1, 1])]);
    let fields = [
        // Six bytes reserved, one data reference, sixteen bytes reserved, the size, 72 dots an inch.
        &words(&[0, 1, 0, 0, 0, 0, info.size.x << 16 | info.size.y & 0xFFFF, 0x0048_0000, 0x0048_0000, 0])[..],
        // One picture a sample, no name of the compressor, 24 bits a pixel.
        &[0, 1],
        &[0; 32],
        &[0, 0x18, 0xFF, 0xFF],
    ];
    let spherical = spherical::mp4_boxes(info.projection, info.stereo);
    make_box(kind, &[&fields.concat(), &make_box(config, &[&track.config]), &color, &square, &spherical])
}

fn sound_entry(track: &SoundTrack) -> Vec<u8> {
    let info = &track.info;
    let fields = words(&[0, 1, 0, 0, u32::from(info.format.channels) << 16 | 16, 0, track.ticks_hz().min(0xFFFF) << 16]);
    match (info.codec, OpusHead::read(&info.config)) {
        (AudioCodec::Opus, Some(OpusHead { channels, skip, rate_hz, gain })) => {
            let head = [&[0, channels][..], &skip.to_be_bytes(), &rate_hz.to_be_bytes(), &gain.to_be_bytes(), &[0]].concat();
            make_box(b"Opus", &[&fields, &make_box(b"dOps", &[&head])])
        }
        _ => make_box(b"mp4a", &[&fields, &make_box(b"esds", &[&[0; 4], &elementary_stream(info)])]),
    }
}

/// The descriptor of an AAC stream (ISO/IEC 14496-1 §7.2.6.5).
fn elementary_stream(info: &AudioStreamInfo) -> Vec<u8> {
    let descriptor = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
    let bitrate = info.bitrate_bps.to_be_bytes();
    // MPEG-4 audio, an audio stream, no size of a buffer given.
    let decoder = [&[0x40, 0x15, 0, 0, 0][..], &bitrate, &bitrate, &descriptor(5, &info.config)].concat();
    descriptor(3, &[&[0, 0, 0][..], &descriptor(4, &decoder), &descriptor(6, &[2])].concat())
}
