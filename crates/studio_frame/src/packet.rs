//! Coded pictures.

use crate::{
    color::ColorInfo,
    projection::{PictureProjection, StereoLayout},
    stamp::FrameStamp,
};
use bevy::prelude::*;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A video coding standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum VideoCodec {
    /// ITU-T H.264 (AVC).
    #[default]
    H264,
    /// ITU-T H.265 (HEVC).
    H265,
    /// AV1 of the Alliance for Open Media.
    Av1,
}

/// What a decoder and a viewer must know about a stream before its first access unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// Coding standard.
    pub codec: VideoCodec,
    /// The `WebCodecs` codec string (RFC 6381), such as `avc1.42c01f`; empty until the encoder has said it.
    pub codec_string: String,
    /// Width and height in pixels.
    pub size: UVec2,
    /// Nominal frames a second.
    pub frame_rate_hz: f32,
    /// What the code values mean.
    pub color: ColorInfo,
    /// How the picture covers the sphere.
    pub projection: PictureProjection,
    /// Where the eyes' pictures lie.
    pub stereo: StereoLayout,
    /// Target bit rate.
    pub bitrate_bps: u32,
}

/// One coded picture: an Annex B byte stream for H.264 and H.265 (parameter sets in front of every key frame), a
/// temporal unit in low-overhead format for AV1.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// Which captured frame is coded here.
    pub stamp: FrameStamp,
    /// Whether decoding can start here.
    pub key_frame: bool,
    /// The coded bytes.
    pub data: Bytes,
}
