//! Codec strings (RFC 6381) read from the parameter sets in a key frame.

use super::bits::{Bits, nal_units, unescape};
use studio_frame::packet::VideoCodec;

/// The codec string of the stream that this key frame starts; `None` if its parameter sets are not in it.
pub(crate) fn codec_string(codec: VideoCodec, key_frame: &[u8]) -> Option<String> {
    match codec {
        VideoCodec::H264 => h264(key_frame),
        VideoCodec::H265 => h265(key_frame),
        VideoCodec::Av1 => av1(key_frame),
    }
}

/// `avc1.PPCCLL`: profile, constraint flags and level, the three bytes after the NAL header of the sequence parameter set
/// (ITU-T H.264 §7.3.2.1.1, RFC 6381 §3.3).
fn h264(stream: &[u8]) -> Option<String> {
    let sps = nal_units(stream).find(|nal| nal.first().is_some_and(|header| header & 0x1F == 7))?;
    let [_, profile, constraints, level, ..] = *sps else { return None };
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

/// `hev1.P.C.TL.F…` from the profile, tier and level of the sequence parameter set (ITU-T H.265 §7.3.3, ISO/IEC 14496-15
/// annex E). `hev1` because the parameter sets are in the stream.
fn h265(stream: &[u8]) -> Option<String> {
    let sps = nal_units(stream).find(|nal| nal.first().is_some_and(|header| header >> 1 & 0x3F == 33))?;
    let payload = unescape(sps, 32);
    let mut bits = Bits::new(payload.get(2..)?);
    // sps_video_parameter_set_id, sps_max_sub_layers_minus1, sps_temporal_id_nesting_flag
    bits.skip(8)?;
    let space = bits.take(2)?;
    let tier = if bits.flag()? { 'H' } else { 'L' };
    let profile = bits.take(5)?;
    let compatibility = bits.take(32)?.reverse_bits();
    let constraints = (0..6).map(|_| bits.take(8)).collect::<Option<Vec<u32>>>()?;
    let level = bits.take(8)?;
    let space = ["", "A", "B", "C"][space as usize];
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: String = constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
    Some(format!("hev1.{space}{profile}.{compatibility:X}.{tier}{level}{constraints}"))
}

/// The OBUs of a temporal unit in low-overhead format: type and payload (AV1 specification §5.3).
fn obus(mut stream: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let header = *stream.first()?;
        let has_extension = header & 4 != 0;
        let has_size = header & 2 != 0;
        let mut at = 1 + usize::from(has_extension);
        let mut size = stream.len().checked_sub(at)?;
        if has_size {
            size = 0;
            for shift in (0..8).map(|index| index * 7) {
                let byte = *stream.get(at)?;
                at += 1;
                size |= usize::from(byte & 0x7F) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let payload = stream.get(at..at.checked_add(size)?)?;
        stream = &stream[at + size..];
        Some((header >> 3 & 15, payload))
    })
}

const SEQUENCE_HEADER: u8 = 1;

/// What the sequence header says of an AV1 stream.
struct Av1Profile {
    profile: u32,
    level: u32,
    high_tier: bool,
    depth: u32,
}

/// `av01.P.LLT.DD` from the sequence header (AV1 codec ISO media file format binding §5).
fn av1(stream: &[u8]) -> Option<String> {
    let (_, header) = obus(stream).find(|(kind, _)| *kind == SEQUENCE_HEADER)?;
    let Av1Profile { profile, level, high_tier, depth } = av1_profile(header)?;
    let tier = if high_tier { 'H' } else { 'M' };
    Some(format!("av01.{profile}.{level:02}{tier}.{depth:02}"))
}

/// The AV1 codec configuration of the stream that this key frame starts (AV1 codec ISO media file format binding §2.3), for
/// the 4:2:0 pictures that our encoders make.
pub(crate) fn av1_configuration(key_frame: &[u8]) -> Option<Vec<u8>> {
    let (_, header) = obus(key_frame).find(|(kind, _)| *kind == SEQUENCE_HEADER)?;
    let Av1Profile { profile, level, high_tier, depth } = av1_profile(header)?;
    let deep = u8::from(depth > 8) << 6 | u8::from(depth == 12) << 5;
    // Version 1; both chroma planes at half size; no delay of the first picture given.
    let mut bytes = vec![0x81, (profile as u8) << 5 | level as u8, u8::from(high_tier) << 7 | deep | 0b1100, 0];
    // The sequence header again, as an OBU with a size.
    bytes.push(SEQUENCE_HEADER << 3 | 2);
    let mut length = header.len();
    while length >= 0x80 {
        bytes.push(length as u8 & 0x7F | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(header);
    Some(bytes)
}

/// Reads a sequence header (AV1 specification §5.5).
fn av1_profile(payload: &[u8]) -> Option<Av1Profile> {
    let mut bits = Bits::new(payload);
    let profile = bits.take(3)?;
    bits.skip(1)?; // still_picture
    let reduced = bits.flag()?;
    let (mut level, mut high_tier) = (0, false);
    if reduced {
        level = bits.take(5)?;
    } else {
        let mut delay_length = None;
        if bits.flag()? {
            // timing_info: two 32-bit numbers, and one of variable length if pictures are evenly spaced
            bits.skip(64)?;
            if bits.flag()? {
                bits.skip_uvlc()?;
            }
            if bits.flag()? {
                delay_length = Some(bits.take(5)? + 1);
                bits.skip(32 + 5 + 5)?;
            }
        }
        let display_delay_present = bits.flag()?;
        for point in 0..=bits.take(5)? {
            bits.skip(12)?;
            let point_level = bits.take(5)?;
            let tier = point_level > 7 && bits.flag()?;
            if let Some(length) = delay_length
                && bits.flag()?
            {
                bits.skip(2 * length + 1)?;
            }
            if display_delay_present && bits.flag()? {
                bits.skip(4)?;
            }
            if point == 0 {
                (level, high_tier) = (point_level, tier);
            }
        }
    }
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    bits.skip(width_bits + height_bits)?;
    if !reduced && bits.flag()? {
        bits.skip(7)?; // lengths of frame numbers
    }
    bits.skip(3)?; // 128×128 superblocks, filter intra, intra edge filter
    if !reduced {
        bits.skip(4)?; // interintra, masked, warped, dual filter
        let order_hint = bits.flag()?;
        if order_hint {
            bits.skip(2)?;
        }
        let choose_screen_content = bits.flag()?;
        if (choose_screen_content || bits.flag()?) && !bits.flag()? {
            bits.skip(1)?;
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    bits.skip(3)?; // super-resolution, CDEF, loop restoration
    let high_depth = bits.flag()?;
    let depth = match (high_depth, profile) {
        (true, 2) => 10 + 2 * bits.take(1)?,
        (true, _) => 10,
        (false, _) => 8,
    };
    Some(Av1Profile { profile, level, high_tier, depth })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_of_known_parameter_sets() {
        let stream = [0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1, 0x67, 0x42, 0xC0, 0x28, 0xDA, 0, 0, 1, 0x68, 0xCE];
        assert_eq!(codec_string(VideoCodec::H264, &stream).as_deref(), Some("avc1.42c028"));
        // Main profile, level 3.1 (93), progressive and frame-only source: the example of ISO/IEC 14496-15 annex E.
        let stream = [0, 0, 1, 0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0xB0, 0, 0, 3, 0, 0, 3, 0, 93, 0xA0];
        assert_eq!(codec_string(VideoCodec::H265, &stream).as_deref(), Some("hev1.1.6.L93.B0"));
        assert_eq!(codec_string(VideoCodec::H264, &[0, 0, 1, 0x67, 0x42]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(data in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..200)) {
            for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
                codec_string(codec, &data);
            }
            av1_configuration(&data);
        }
    }
}
