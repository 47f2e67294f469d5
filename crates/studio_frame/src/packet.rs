//! Coded pictures and sound.

use crate::{
    audio::AudioFormat,
    color::ColorInfo,
    projection::{PictureProjection, StereoLayout},
    stamp::FrameStamp,
};
use bevy::prelude::*;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

/// An audio coding standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum AudioCodec {
    /// Opus (RFC 6716).
    #[default]
    Opus,
    /// AAC, low complexity profile (ISO/IEC 14496-3).
    Aac,
}

impl AudioCodec {
    /// The `WebCodecs` codec string (RFC 6381).
    pub const fn codec_string(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Aac => "mp4a.40.2",
        }
    }
}

/// What a decoder must know about coded sound before its first access unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioStreamInfo {
    /// Coding standard.
    pub codec: AudioCodec,
    /// Rate and channels of the coded sound.
    pub format: AudioFormat,
    /// Target bit rate.
    pub bitrate_bps: u32,
    /// What a decoder is set up with: the `AudioSpecificConfig` of AAC (ISO/IEC 14496-3 §1.6), the `OpusHead` of Opus
    /// (RFC 7845 §5.1).
    pub config: Bytes,
}

/// What flows over a pin of packets. Clones share the description.
#[derive(Clone, Debug, PartialEq)]
pub enum PacketInfo {
    /// Coded pictures.
    Video(Arc<StreamInfo>),
    /// Coded sound; every access unit is one that decoding can start at.
    Audio(Arc<AudioStreamInfo>),
}

impl PacketInfo {
    /// The video stream, if it is one.
    pub const fn video(&self) -> Option<&Arc<StreamInfo>> {
        match self {
            Self::Video(info) => Some(info),
            Self::Audio(_) => None,
        }
    }

    /// The audio stream, if it is one.
    pub const fn audio(&self) -> Option<&Arc<AudioStreamInfo>> {
        match self {
            Self::Audio(info) => Some(info),
            Self::Video(_) => None,
        }
    }
}

/// One coded picture or packet of sound: an Annex B byte stream for H.264 and H.265 (parameter sets in front of every key
/// frame), a temporal unit in low-overhead format for AV1, one raw packet of Opus or AAC (no Ogg, no ADTS).
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// Which captured frame is coded here.
    pub stamp: FrameStamp,
    /// Whether decoding can start here.
    pub key_frame: bool,
    /// The coded bytes.
    pub data: Bytes,
}
