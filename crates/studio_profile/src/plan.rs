//! What stream a headset gets: size, rate, codec and bits, within what it decodes.

use crate::{
    level::{self, LevelLimits},
    profile::{CodecSupport, HeadsetProfile, ProfileProjection},
};
use bevy::math::{UVec2, Vec2};
use studio_frame::prelude::*;

/// What a stream is made from and with.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRequest {
    /// Frames a second of the source.
    pub source_fps: f32,
    /// Pixels a degree that the source has in its middle, if it is known: no stream is finer.
    pub source_px_per_deg: Option<f32>,
    /// Longest width and height of the whole stream's picture in pixels, for small machines.
    pub max_size: Option<UVec2>,
    /// The codecs that can be encoded here, the preferred one first among equals.
    pub codecs: Vec<VideoCodec>,
}

impl Default for PlanRequest {
    fn default() -> Self {
        Self {
            source_fps: 60.0,
            source_px_per_deg: None,
            max_size: None,
            codecs: vec![VideoCodec::H265, VideoCodec::Av1, VideoCodec::H264],
        }
    }
}

/// The stream that a headset gets.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPlan {
    /// Width and height of the whole picture in pixels, both eyes in it.
    pub size: UVec2,
    /// Frames a second.
    pub fps: f32,
    /// The codec.
    pub codec: VideoCodec,
    /// The lowest level that allows the stream.
    pub level: String,
    /// Bits a second.
    pub bitrate_bps: u32,
    /// How each eye's picture covers the sphere.
    pub projection: ProfileProjection,
    /// Where the eyes' pictures lie.
    pub stereo: StereoLayout,
    /// How much of the sharpness that the headset could show the stream has, 0 to 1, across.
    pub sharpness: f32,
}

/// Why a headset gets no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It decodes none of the codecs that can be encoded.
    #[error("“{profile}” decodes {decodes}, and {encodes} can be encoded here: none is common to both")]
    NoCodec {
        /// The profile.
        profile: String,
        /// What it decodes.
        decodes: String,
        /// What can be encoded.
        encodes: String,
    },
    /// The limits leave no picture.
    #[error("“{profile}” is left with a picture of less than 32×32 pixels: raise the size or the pixels a degree")]
    TooSmall {
        /// The profile.
        profile: String,
    },
}

/// Sides are multiples of so many pixels for each eye: blocks of every codec, and whole chroma samples.
const ALIGN_PX: u32 = 16;
const LEAST_PX: u32 = 32;

/// Bits a pixel at good quality for live encoders: our own estimate.
const fn bits_per_px(codec: VideoCodec) -> f64 {
    match codec {
        VideoCodec::H264 => 0.10,
        VideoCodec::H265 => 0.065,
        VideoCodec::Av1 => 0.055,
    }
}

const fn copies(stereo: StereoLayout) -> UVec2 {
    match stereo {
        StereoLayout::Mono => UVec2::ONE,
        StereoLayout::TopBottom => UVec2::new(1, 2),
        StereoLayout::LeftRight => UVec2::new(2, 1),
    }
}

impl HeadsetProfile {
    /// Width and height of one eye's picture, in pixels, that has `px_per_deg` in its middle.
    fn eye_px(&self, px_per_deg: Vec2) -> Vec2 {
        match *self.projection {
            ProfileProjection::Equirectangular => Vec2::new(360.0, 180.0) * px_per_deg,
            ProfileProjection::HalfEquirectangular => Vec2::splat(180.0) * px_per_deg,
            // The middle of a face has the fewest pixels a degree: half a face is the tangent of 45 degrees, 1 radian's worth.
            ProfileProjection::CubeMap => Vec2::splat(px_per_deg.min_element() * 2.0_f32.to_degrees()) * Vec2::new(3.0, 2.0),
            ProfileProjection::Rectilinear => {
                let (width, height) = *self.render_px;
                UVec2::new(width, height).as_vec2() * (px_per_deg / self.px_per_deg())
            }
        }
    }

    /// Chooses the stream for this headset: as sharp as it can show and decode, and as the source is.
    ///
    /// Of the codecs common to both sides, the one with the largest picture wins, then the one that the request prefers.
    ///
    /// # Errors
    /// [`PlanError`] if no codec is common to both sides.
    pub fn plan(&self, request: &PlanRequest) -> Result<StreamPlan, PlanError> {
        let full = self.px_per_deg();
        let wanted = request.source_px_per_deg.map_or(full, |most| full.min(Vec2::splat(most.max(0.01))));
        let eye = self.eye_px(wanted);
        let fps = request.source_fps.clamp(1.0, self.max_refresh_hz().max(1.0));
        let mut best: Option<(UVec2, f32, &CodecSupport, LevelLimits)> = None;
        for codec in &request.codecs {
            for support in self.codecs.iter().filter(|support| support.codec == *codec) {
                let Some(limits) = level::limits(support.codec, support.profile, &support.level) else { continue };
                let fps = fps.min(support.max_fps);
                let size = fit(eye, copies(*self.stereo), support, &limits, fps, request.max_size);
                if best.as_ref().is_none_or(|(most, ..)| area(size) > area(*most)) {
                    best = Some((size, fps, support, limits));
                }
            }
        }
        let Some((size, fps, support, limits)) = best else {
            let names = |codecs: &mut dyn Iterator<Item = VideoCodec>| {
                let names: Vec<String> = codecs.map(|codec| format!("{codec:?}")).collect();
                if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
            };
            return Err(PlanError::NoCodec {
                profile: self.name.clone(),
                decodes: names(&mut self.codecs.iter().map(|support| support.codec)),
                encodes: names(&mut request.codecs.iter().copied()),
            });
        };
        if size.min_element() < LEAST_PX {
            return Err(PlanError::TooSmall { profile: self.name.clone() });
        }
        let bits = size.as_dvec2().element_product() * f64::from(fps) * bits_per_px(support.codec);
        let most = f64::from(*self.bitrate_max_bps).min(limits.max_bitrate_bps as f64);
        let sharpest = self.eye_px(full).x * copies(*self.stereo).x as f32;
        let level =
            level::lowest_level(support.codec, support.profile, size, fps).map_or_else(|| support.level.clone(), str::to_owned);
        Ok(StreamPlan {
            size,
            fps,
            codec: support.codec,
            level,
            bitrate_bps: bits.clamp(100_000.0, most.max(100_000.0)) as u32,
            projection: *self.projection,
            stereo: *self.stereo,
            sharpness: (size.x as f32 / sharpest).min(1.0),
        })
    }
}

fn area(size: UVec2) -> u64 {
    u64::from(size.x) * u64::from(size.y)
}

/// The largest picture of the wanted shape within every limit.
fn fit(eye: Vec2, copies: UVec2, support: &CodecSupport, limits: &LevelLimits, fps: f32, max_size: Option<UVec2>) -> UVec2 {
    let whole = eye * copies.as_vec2();
    let most_px = UVec2::from(support.max_px).min(UVec2::from(limits.max_side_px)).min(max_size.unwrap_or(UVec2::MAX));
    let samples = (limits.max_luma_samples as f64).min(limits.max_luma_samples_per_s as f64 / f64::from(fps.max(1.0)));
    // What a decoder is said to do at its largest picture is a number of pixels a second too.
    let said = area(UVec2::from(support.max_px)) as f64 * f64::from(support.max_fps) / f64::from(fps.max(1.0));
    let by_area = (samples.min(said) / f64::from(whole.x * whole.y)).sqrt() as f32;
    let by_side = (most_px.as_vec2() / whole).min_element();
    let scale = by_area.min(by_side).min(1.0);
    let unit = copies * ALIGN_PX;
    let mut size = ((whole * scale + 0.01) / unit.as_vec2()).floor().as_uvec2() * unit;
    // Rounding to whole blocks may go past a level's limit.
    while size.min_element() > LEAST_PX && !limits.allows(size, fps) {
        size = size.saturating_sub(unit);
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::built_in;

    #[test]
    fn every_shipped_headset_gets_streams_that_it_decodes() {
        for profile in built_in() {
            for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
                for source_fps in [24.0, 30.0, 60.0, 120.0] {
                    let request = PlanRequest { source_fps, codecs: vec![codec], ..Default::default() };
                    let Ok(plan) = profile.plan(&request) else {
                        assert!(profile.codecs.iter().all(|support| support.codec != codec), "{}: {codec:?}", profile.id);
                        continue;
                    };
                    let support = profile.codecs.iter().find(|support| support.codec == codec).expect("planned for");
                    let limits = level::limits(codec, support.profile, &support.level).expect("a level");
                    assert!(limits.allows(plan.size, plan.fps), "{}: {plan:?}", profile.id);
                    assert!(plan.size.x <= support.max_px.0 && plan.size.y <= support.max_px.1, "{}: {plan:?}", profile.id);
                    assert!(plan.fps <= source_fps && plan.fps <= profile.max_refresh_hz(), "{}: {plan:?}", profile.id);
                    assert!(u64::from(plan.bitrate_bps) <= limits.max_bitrate_bps, "{}: {plan:?}", profile.id);
                    assert!(plan.bitrate_bps <= *profile.bitrate_max_bps, "{}: {plan:?}", profile.id);
                    assert_eq!(plan.size % (copies(plan.stereo) * ALIGN_PX), UVec2::ZERO, "{}: {plan:?}", profile.id);
                }
            }
        }
    }

    #[test]
    fn a_quest_3_gets_vr180_as_large_as_its_decoder_allows() {
        let profile = built_in().into_iter().find(|profile| profile.id == "quest-3").expect("shipped");
        // 1680 pixels over tan 55° + tan 41°: 2.297 radians' worth, 731 a radian, 12.76 a degree.
        let density = profile.px_per_deg();
        assert!((density.x - 12.76).abs() < 0.02, "{density}");
        let plan = profile.plan(&PlanRequest::default()).expect("a plan");
        // 180° × 12.76 = 2297 across an eye, 180° × 13.8 down: nothing cuts it short.
        assert_eq!(
            (plan.codec, plan.projection, plan.stereo),
            (VideoCodec::H265, ProfileProjection::HalfEquirectangular, StereoLayout::LeftRight)
        );
        assert!((plan.size.x as f32 / 2.0 - 180.0 * density.x).abs() <= 16.0, "{plan:?} of {density}");
        assert!(plan.sharpness > 0.98, "{plan:?}");
        // H.264 alone ends at its 4096 pixels across.
        let h264 = profile.plan(&PlanRequest { codecs: vec![VideoCodec::H264], ..Default::default() }).expect("a plan");
        assert!(h264.size.x <= 4096 && h264.size.x > 3500 && h264.sharpness < plan.sharpness, "{h264:?}");
        // A coarse source is not blown up.
        let coarse = PlanRequest { source_px_per_deg: Some(4.0), ..Default::default() };
        assert_eq!(profile.plan(&coarse).expect("a plan").size, UVec2::new(1440, 720));
    }

    #[test]
    fn a_headset_without_a_common_codec_is_told() {
        let profile = built_in().into_iter().find(|profile| profile.id == "quest-2").expect("shipped");
        let error = profile.plan(&PlanRequest { codecs: vec![VideoCodec::Av1], ..Default::default() }).expect_err("none");
        assert!(error.to_string().contains("Av1"), "{error}");
    }
}
