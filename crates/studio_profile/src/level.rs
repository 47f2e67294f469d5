//! What the levels of the coding standards allow.

use crate::profile::{CodecProfile, CodecSupport};
use bevy::math::UVec2;
use studio_frame::prelude::*;

/// The limits of a level for streams of one standard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelLimits {
    /// Luma samples of the largest picture.
    pub max_luma_samples: u64,
    /// Luma samples a second.
    pub max_luma_samples_per_s: u64,
    /// Longest width and height in pixels.
    pub max_side_px: (u32, u32),
    /// Bits a second, for the highest tier that the level has.
    pub max_bitrate_bps: u64,
    /// Pixels that a picture's sides are rounded up to.
    block_px: u32,
}

/// ITU-T H.264, table A-1: level, macroblocks a second, macroblocks a frame, kilobits a second.
const H264: [(&str, u64, u64, u64); 20] = [
    ("1", 1_485, 99, 64),
    ("1.1", 3_000, 396, 192),
    ("1.2", 6_000, 396, 384),
    ("1.3", 11_880, 396, 768),
    ("2", 11_880, 396, 2_000),
    ("2.1", 19_800, 792, 4_000),
    ("2.2", 20_250, 1_620, 4_000),
    ("3", 40_500, 1_620, 10_000),
    ("3.1", 108_000, 3_600, 14_000),
    ("3.2", 216_000, 5_120, 20_000),
    ("4", 245_760, 8_192, 20_000),
    ("4.1", 245_760, 8_192, 50_000),
    ("4.2", 522_240, 8_704, 50_000),
    ("5", 589_824, 22_080, 135_000),
    ("5.1", 983_040, 36_864, 240_000),
    ("5.2", 2_073_600, 36_864, 240_000),
    ("6", 4_177_920, 139_264, 240_000),
    ("6.1", 8_355_840, 139_264, 480_000),
    ("6.2", 16_711_680, 139_264, 800_000),
    // Level 1b is 1 with twice the rate.
    ("1b", 1_485, 99, 128),
];

/// ITU-T H.265, tables A.8 and A.9: level, luma samples a picture, luma samples a second, kilobits a second of the High tier
/// where there is one.
const H265: [(&str, u64, u64, u64); 13] = [
    ("1", 36_864, 552_960, 128),
    ("2", 122_880, 3_686_400, 1_500),
    ("2.1", 245_760, 7_372_800, 3_000),
    ("3", 552_960, 16_588_800, 6_000),
    ("3.1", 983_040, 33_177_600, 10_000),
    ("4", 2_228_224, 66_846_720, 30_000),
    ("4.1", 2_228_224, 133_693_440, 50_000),
    ("5", 8_912_896, 267_386_880, 100_000),
    ("5.1", 8_912_896, 534_773_760, 160_000),
    ("5.2", 8_912_896, 1_069_547_520, 240_000),
    ("6", 35_651_584, 1_069_547_520, 240_000),
    ("6.1", 35_651_584, 2_139_095_040, 480_000),
    ("6.2", 35_651_584, 4_278_190_080, 800_000),
];

/// The AV1 specification, annex A.3: level, samples a picture, width, height, displayed samples a second, kilobits a second of
/// the High tier where there is one.
const AV1: [(&str, u64, u32, u32, u64, u64); 14] = [
    ("2.0", 147_456, 2_048, 1_152, 4_423_680, 1_500),
    ("2.1", 278_784, 2_816, 1_584, 8_363_520, 3_000),
    ("3.0", 665_856, 4_352, 2_448, 19_975_680, 6_000),
    ("3.1", 1_065_024, 5_504, 3_096, 31_950_720, 10_000),
    ("4.0", 2_359_296, 6_144, 3_456, 70_778_880, 30_000),
    ("4.1", 2_359_296, 6_144, 3_456, 141_557_760, 50_000),
    ("5.0", 8_912_896, 8_192, 4_352, 267_386_880, 100_000),
    ("5.1", 8_912_896, 8_192, 4_352, 534_773_760, 160_000),
    ("5.2", 8_912_896, 8_192, 4_352, 1_069_547_520, 240_000),
    ("5.3", 8_912_896, 8_192, 4_352, 1_069_547_520, 240_000),
    ("6.0", 35_651_584, 16_384, 8_704, 1_069_547_520, 240_000),
    ("6.1", 35_651_584, 16_384, 8_704, 2_139_095_040, 480_000),
    ("6.2", 35_651_584, 16_384, 8_704, 4_278_190_080, 800_000),
    ("6.3", 35_651_584, 16_384, 8_704, 4_278_190_080, 800_000),
];

/// The longest side that a picture of so many samples may have: √(8 × samples), H.264 §A.3.1 and H.265 §A.4.1.
fn longest_side(samples: u64) -> u32 {
    (8 * samples).isqrt() as u32
}

fn same_level(level: &str, known: &str) -> bool {
    level == known || level.strip_suffix(".0") == Some(known) || known.strip_suffix(".0") == Some(level)
}

/// The limits of a level, written as the standard does (`5.1`); none if the standard has no such level.
pub fn limits(codec: VideoCodec, profile: CodecProfile, level: &str) -> Option<LevelLimits> {
    match codec {
        VideoCodec::H264 => {
            let (_, per_s, per_frame, kbps) = *H264.iter().find(|(known, ..)| same_level(level, known))?;
            // In macroblocks: the width in macroblocks is at most √(8 × MaxFS). High has 1.25 times the rate (table A-2).
            let side = longest_side(per_frame) * 16;
            let factor = if profile == CodecProfile::High { 1_250 } else { 1_000 };
            Some(LevelLimits {
                max_luma_samples: per_frame * 256,
                max_luma_samples_per_s: per_s * 256,
                max_side_px: (side, side),
                max_bitrate_bps: kbps * factor,
                block_px: 16,
            })
        }
        VideoCodec::H265 => {
            let (_, samples, per_s, kbps) = *H265.iter().find(|(known, ..)| same_level(level, known))?;
            let side = longest_side(samples);
            Some(LevelLimits {
                max_luma_samples: samples,
                max_luma_samples_per_s: per_s,
                max_side_px: (side, side),
                max_bitrate_bps: kbps * 1_000,
                block_px: 8,
            })
        }
        VideoCodec::Av1 => {
            let (_, samples, width, height, per_s, kbps) = *AV1.iter().find(|(known, ..)| same_level(level, known))?;
            Some(LevelLimits {
                max_luma_samples: samples,
                max_luma_samples_per_s: per_s,
                max_side_px: (width, height),
                max_bitrate_bps: kbps * 1_000,
                // Annex A.3 counts the picture's own samples, not whole blocks.
                block_px: 1,
            })
        }
    }
}

/// The levels of a standard, in its own order.
pub fn levels(codec: VideoCodec) -> Vec<&'static str> {
    match codec {
        VideoCodec::H264 => H264.iter().map(|(level, ..)| *level).collect(),
        VideoCodec::H265 => H265.iter().map(|(level, ..)| *level).collect(),
        VideoCodec::Av1 => AV1.iter().map(|(level, ..)| *level).collect(),
    }
}

/// The lowest level that allows pictures of this size and rate; none if none does.
pub fn lowest_level(codec: VideoCodec, profile: CodecProfile, size: UVec2, fps: f32) -> Option<&'static str> {
    levels(codec)
        .into_iter()
        .filter(|level| *level != "1b")
        .find(|level| limits(codec, profile, level).is_some_and(|limits| limits.allows(size, fps)))
}

impl LevelLimits {
    /// Samples of a picture, its sides rounded up to whole blocks.
    fn samples(&self, size: UVec2) -> u64 {
        let whole = |side: u32| u64::from(side.max(1)).next_multiple_of(u64::from(self.block_px));
        whole(size.x) * whole(size.y)
    }

    /// Whether pictures of this size may come at this rate.
    pub fn allows(&self, size: UVec2, fps: f32) -> bool {
        let samples = self.samples(size);
        size.x <= self.max_side_px.0
            && size.y <= self.max_side_px.1
            && samples <= self.max_luma_samples
            // A rate of 59.94 or 60.0001 is meant as 60.
            && samples as f64 * f64::from(fps) <= self.max_luma_samples_per_s as f64 * 1.0001
    }

    /// The highest rate at which pictures of this size may come, in frames a second.
    pub fn max_fps(&self, size: UVec2) -> f32 {
        (self.max_luma_samples_per_s as f64 / self.samples(size) as f64) as f32
    }
}

/// Says what is wrong with what a headset is said to decode.
pub(crate) fn check(codec: &CodecSupport) -> Result<(), String> {
    let name = codec.codec;
    let (width, height) = codec.max_px;
    if ![width, height].iter().all(|side| (16..=16_384).contains(side)) {
        return Err(format!("has max_px {width}×{height}: both sides must be 16 to 16384 pixels"));
    }
    if !(1.0..=1000.0).contains(&codec.max_fps) {
        return Err(format!("has max_fps {}: 1 to 1000", codec.max_fps));
    }
    let fits = match codec.codec {
        VideoCodec::H264 => matches!(codec.profile, CodecProfile::Baseline | CodecProfile::Main | CodecProfile::High),
        VideoCodec::H265 => matches!(codec.profile, CodecProfile::Main | CodecProfile::Main10),
        VideoCodec::Av1 => matches!(codec.profile, CodecProfile::Main | CodecProfile::High),
    };
    if !fits {
        let known = match codec.codec {
            VideoCodec::H264 => "Baseline, Main or High",
            VideoCodec::H265 => "Main or Main10",
            VideoCodec::Av1 => "Main or High",
        };
        return Err(format!("has profile {:?}, which {name:?} has not: {known}", codec.profile));
    }
    let shown: String = codec.level.chars().take(20).collect();
    let Some(limits) = limits(codec.codec, codec.profile, &codec.level) else {
        return Err(format!("has level “{shown}”, which {name:?} has not: one of {}", levels(codec.codec).join(", ")));
    };
    let size = UVec2::new(width, height);
    if !limits.allows(size, codec.max_fps) {
        let needs = lowest_level(codec.codec, codec.profile, size, codec.max_fps);
        let needs = needs.map_or("no level does".to_owned(), |level| format!("that takes level {level}"));
        let fps = codec.max_fps;
        return Err(format!("has level {shown}, which does not allow {width}×{height} at {fps} frames a second: {needs}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_sizes_need_the_levels_that_the_standards_name() {
        let cases = [
            (VideoCodec::H264, (1280, 720), 30.0, "3.1"),
            (VideoCodec::H264, (1920, 1080), 30.0, "4"),
            (VideoCodec::H264, (1920, 1080), 60.0, "4.2"),
            (VideoCodec::H264, (3840, 2160), 30.0, "5.1"),
            (VideoCodec::H264, (3840, 2160), 60.0, "5.2"),
            (VideoCodec::H265, (1920, 1080), 60.0, "4.1"),
            (VideoCodec::H265, (3840, 2160), 60.0, "5.1"),
            (VideoCodec::H265, (7680, 4320), 60.0, "6.1"),
            (VideoCodec::Av1, (1920, 1080), 60.0, "4.1"),
            (VideoCodec::Av1, (3840, 2160), 60.0, "5.1"),
            (VideoCodec::Av1, (7680, 4320), 60.0, "6.1"),
        ];
        for (codec, (width, height), fps, level) in cases {
            let found = lowest_level(codec, CodecProfile::Main, UVec2::new(width, height), fps);
            assert_eq!(found, Some(level), "{codec:?} {width}×{height} at {fps}");
        }
        assert_eq!(lowest_level(VideoCodec::H265, CodecProfile::Main, UVec2::new(16_384, 16_384), 30.0), None);
        let high = limits(VideoCodec::H264, CodecProfile::High, "4.1").expect("a level");
        assert_eq!(high.max_bitrate_bps, 62_500_000);
        // A picture of few samples may still be too long for its level: 16 × 16 pixels high, √(8 × 8192) macroblocks wide.
        let limits = limits(VideoCodec::H264, CodecProfile::High, "4.1").expect("a level");
        assert!(limits.allows(UVec2::new(4096, 16), 30.0) && !limits.allows(UVec2::new(4112, 16), 30.0));
    }
}
