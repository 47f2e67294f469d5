//! What both containers are told of the tracks and their samples.

use bytes::Bytes;
use std::sync::Arc;
use studio_frame::prelude::*;

/// Ticks a second of the pictures' times: fine enough for any frame rate, and a multiple of the usual ones.
pub(super) const PICTURE_TICKS_HZ: u32 = 90_000;

/// The pictures of a file.
#[derive(Clone)]
pub(super) struct PictureTrack {
    pub info: Arc<StreamInfo>,
    /// What a decoder is set up with: the `avcC`, `hvcC` or `av1C` record.
    pub config: Vec<u8>,
}

/// The sound of a file. Its ticks are sample frames.
#[derive(Clone)]
pub(super) struct SoundTrack {
    pub info: Arc<AudioStreamInfo>,
    /// Sample frames that a decoder leaves out at the start, so that what it gives then is `skip` late. 0 but for Opus.
    pub skip: u16,
}

/// The fields of an `OpusHead` (RFC 7845 §5.1) that containers repeat.
pub(super) struct OpusHead {
    pub channels: u8,
    pub skip: u16,
    pub rate_hz: u32,
    pub gain: i16,
}

impl OpusHead {
    /// Reads the header of mono or stereo sound, which needs no table of channels.
    pub fn read(config: &[u8]) -> Option<Self> {
        let fields: [u8; 11] = config.strip_prefix(b"OpusHead")?.get(..11)?.try_into().ok()?;
        let [_, channels @ 1..=2, s0, s1, r0, r1, r2, r3, g0, g1, 0] = fields else { return None };
        Some(Self {
            channels,
            skip: u16::from_le_bytes([s0, s1]),
            rate_hz: u32::from_le_bytes([r0, r1, r2, r3]),
            gain: i16::from_le_bytes([g0, g1]),
        })
    }
}

impl SoundTrack {
    /// Says what is wrong if the sound is not described well enough to be decoded.
    pub fn new(info: Arc<AudioStreamInfo>) -> Result<Self, String> {
        info.format.check().map_err(|error| error.to_string())?;
        let skip = match info.codec {
            AudioCodec::Opus => OpusHead::read(&info.config).ok_or("its sound has no OpusHead of mono or stereo")?.skip,
            // Two bytes at least, and no longer than fits a one-byte size.
            AudioCodec::Aac if (2..100).contains(&info.config.len()) => 0,
            AudioCodec::Aac => return Err("its sound has no AudioSpecificConfig".into()),
        };
        Ok(Self { info, skip })
    }

    /// Ticks a second: sample frames, which Opus always counts at 48 kHz.
    pub fn ticks_hz(&self) -> u32 {
        match self.info.codec {
            AudioCodec::Opus => 48_000,
            AudioCodec::Aac => self.info.format.rate_hz,
        }
    }

    /// Ticks that a packet lasts; `None` if it is no packet of this codec.
    pub fn packet_ticks(&self, data: &[u8]) -> Option<u32> {
        match self.info.codec {
            AudioCodec::Opus => opus_ticks(data),
            AudioCodec::Aac => (!data.is_empty()).then_some(1024),
        }
    }
}

/// Sample frames at 48 kHz of an Opus packet (RFC 6716 §3.1 and §3.2).
fn opus_ticks(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let (config, code) = (toc >> 3, toc & 3);
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match code {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3F),
    };
    (1..=48).contains(&frames).then_some(frame * frames)
}

/// The tracks of a file; at least one is there.
#[derive(Clone, Default)]
pub(super) struct Tracks {
    pub pictures: Option<PictureTrack>,
    pub sound: Option<SoundTrack>,
}

/// One coded picture or packet of sound at its place in the file.
pub(super) struct Sample {
    /// Ticks of its track from the start of the file.
    pub time: u64,
    pub ticks: u32,
    pub key: bool,
    pub data: Bytes,
}

/// What is written at once. The samples of each track are in order and begin no earlier than those written before.
#[derive(Default)]
pub(super) struct Fragment {
    pub pictures: Vec<Sample>,
    pub sound: Vec<Sample>,
}

impl Fragment {
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty() && self.sound.is_empty()
    }
}

/// Bytes that are written over others when a file is finished.
pub(super) struct Patch {
    pub at: u64,
    pub data: Vec<u8>,
}

/// The numbers of ITU-T H.273 for colours: primaries, transfer characteristics, matrix coefficients.
pub(super) const fn color_codes(color: ColorInfo) -> [u8; 3] {
    let primaries = match color.primaries {
        ColorPrimaries::Bt709 => 1,
        ColorPrimaries::Smpte170m => 6,
        ColorPrimaries::Bt2020 => 9,
        ColorPrimaries::DisplayP3 => 12,
    };
    let transfer = match color.transfer {
        TransferFunction::Bt709 => 1,
        TransferFunction::Srgb => 13,
        TransferFunction::Pq => 16,
        TransferFunction::Hlg => 18,
    };
    let matrix = match color.matrix {
        ColorMatrix::Bt709 => 1,
        ColorMatrix::Bt601 => 6,
        ColorMatrix::Bt2020 => 9,
    };
    [primaries, transfer, matrix]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_of_opus_say_how_long_they_are() {
        // Configuration 31 (CELT, 20 ms), 19 (2.5 ms × 8 = 20 ms: index 3), 3 (SILK, 60 ms), and three frames of 20 ms.
        assert_eq!(opus_ticks(&[0xFC]), Some(960));
        assert_eq!(opus_ticks(&[0x80]), Some(120));
        assert_eq!(opus_ticks(&[0x18]), Some(2880));
        assert_eq!(opus_ticks(&[0xFD]), Some(1920));
        assert_eq!(opus_ticks(&[0xFF, 3]), Some(2880));
        assert_eq!((opus_ticks(&[]), opus_ticks(&[0xFF]), opus_ticks(&[0xFF, 0])), (None, None, None));
    }

    #[test]
    fn sound_that_cannot_be_decoded_is_refused() {
        let info = |codec, config: &'static [u8]| AudioStreamInfo { codec, config: config.into(), ..Default::default() };
        let track = |codec, config| SoundTrack::new(Arc::new(info(codec, config)));
        assert_eq!(track(AudioCodec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0").map(|track| track.skip), Ok(312));
        assert!(track(AudioCodec::Opus, b"OpusHead\x01\x08\x38\x01\x80\xbb\0\0\0\0\x01").is_err());
        assert!(track(AudioCodec::Aac, b"").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(data in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = opus_ticks(&data);
            let _ = OpusHead::read(&[b"OpusHead", &data[..]].concat());
        }
    }
}
