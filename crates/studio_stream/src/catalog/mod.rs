//! What a stream holds.
//!
//! The catalog is a [`hang`] catalog, which players of such streams understand, with a root section of our own,
//! `immersive`: how the picture covers the sphere, where the eyes' pictures lie, what the colours mean, and which tracks
//! carry the sound and the motion. Colours are written in the words of WebCodecs' `VideoColorSpace`.

#[cfg(test)]
mod tests;
mod wire;

use bevy::math::UVec2;
use hang::catalog::{
    AAC, AudioCodec as HangAudioCodec, AudioConfig, Catalog, Container, VideoCodec as HangCodec, VideoCodecKind, VideoConfig,
};
use std::collections::BTreeMap;
use studio_frame::prelude::*;
use wire::{Extension, Immersive, ImmersiveAudio, ImmersiveMotion, ImmersiveVideo, SpelledCatalog};

/// Largest catalog read, in bytes.
pub const MAX_CATALOG_BYTES: usize = 64 * 1024;
/// Largest picture side, in pixels.
const MAX_SIDE_PX: u32 = 32_768;
/// Fastest stream, in frames a second.
const MAX_FRAME_RATE_HZ: f64 = 1000.0;
/// Motion tile tracks of a stream at most.
pub const MAX_TILE_TRACKS: usize = 8;
/// Longest track name, in bytes.
const MAX_TRACK_NAME_BYTES: usize = 64;
/// Longest description of an audio decoder, in bytes; those of Opus and AAC take some tens.
const MAX_AUDIO_CONFIG_BYTES: usize = 1024;
/// The object type of AAC's low complexity profile (ISO/IEC 14496-3 §1.5.1.1).
const AAC_LC: u8 = 2;
/// The version of the `immersive` section.
const VERSION: u32 = 1;

/// Why a catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Too large to be one.
    #[error("a catalog of {0} bytes is larger than {MAX_CATALOG_BYTES}")]
    TooLarge(usize),
    /// Not a catalog.
    #[error("the catalog cannot be read: {0}")]
    Format(#[from] hang::Error),
    /// Not a studio's stream.
    #[error("the catalog has no `immersive` section; it was not published by a studio")]
    NotImmersive,
    /// A later section than is understood here.
    #[error("version {0} of the `immersive` section is not understood here; both ends need the same release of the studio")]
    Version(u32),
    /// A value outside of its range.
    #[error("{0} in the catalog is out of range")]
    Range(&'static str),
    /// A codec that is not decoded here.
    #[error("the stream is coded in `{0}`; H.264, H.265 and AV1 can be shown, Opus and AAC can be heard")]
    Codec(String),
}

/// What a stream holds: its video, its sound and its motion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamCatalog {
    /// Chosen anew at each start of the publisher: frame numbers of two sessions do not compare.
    pub session: u64,
    /// The same pictures in every quality there is, once their encoders have said what they make. The first is what the studio
    /// itself prefers; all cover the sphere, and have their eyes' pictures and their colours, in the same way.
    pub renditions: Vec<VideoTrack>,
    /// The sound, once its encoder has said what it makes.
    pub audio: Option<AudioTrack>,
    /// The motion fields, if any are sent.
    pub motion: Option<MotionTracks>,
}

/// A track of video: one rendition of the pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoTrack {
    /// The track's name.
    pub track: String,
    /// What is on it.
    pub info: StreamInfo,
}

/// A track of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioTrack {
    /// The track's name.
    pub track: String,
    /// What is on it.
    pub info: AudioStreamInfo,
}

/// The tracks of the motion fields.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionTracks {
    /// The tracks whose datagrams are tiles; a field's tiles are spread over them.
    pub tiles: Vec<String>,
    /// The track of the coarse copies.
    pub coarse: String,
    /// Columns and rows of the fields.
    pub grid: UVec2,
    /// The picture that the vectors are measured in, in pixels.
    pub picture_size: UVec2,
}

/// The name of a codec whose exact string is not known yet.
const fn codec_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "h265",
        VideoCodec::Av1 => "av1",
    }
}

fn check_info(info: &StreamInfo) -> Result<(), CatalogError> {
    if info.size.min_element() == 0 || info.size.max_element() > MAX_SIDE_PX {
        return Err(CatalogError::Range("the picture's size"));
    }
    // Not a number is in no range.
    if !(0.0..=MAX_FRAME_RATE_HZ).contains(&f64::from(info.frame_rate_hz)) {
        return Err(CatalogError::Range("the frame rate"));
    }
    match info.projection {
        PictureProjection::Fisheye { fov_deg } if !(1.0..=360.0).contains(&fov_deg) => {
            Err(CatalogError::Range("the fisheye's field of view"))
        }
        PictureProjection::Rectilinear { fov_deg } if !(1.0..180.0).contains(&fov_deg) => {
            Err(CatalogError::Range("the field of view"))
        }
        // Tangents of angles up to 89 degrees.
        PictureProjection::OffAxis { left, right } if !left.iter().chain(&right).all(|edge| (1e-3..=60.0).contains(edge)) => {
            Err(CatalogError::Range("an eye's field of view"))
        }
        _ => Ok(()),
    }
}

fn check_audio(info: &AudioStreamInfo) -> Result<(), CatalogError> {
    info.format.check().map_err(|_| CatalogError::Range("the sound's rate or number of channels"))?;
    if info.config.len() > MAX_AUDIO_CONFIG_BYTES {
        return Err(CatalogError::Range("the size of the sound's description"));
    }
    Ok(())
}

fn check_motion(motion: &MotionTracks) -> Result<(), CatalogError> {
    if motion.tiles.is_empty() || motion.tiles.len() > MAX_TILE_TRACKS {
        return Err(CatalogError::Range("the number of motion tracks"));
    }
    motion.tiles.iter().chain([&motion.coarse]).try_for_each(|track| check_track(track))?;
    let cells = u64::from(motion.grid.x) * u64::from(motion.grid.y);
    if !(1..=u64::from(MotionField::MAX_CELLS)).contains(&cells) {
        return Err(CatalogError::Range("the motion grid"));
    }
    if motion.picture_size.min_element() == 0 || motion.picture_size.max_element() > MAX_SIDE_PX {
        return Err(CatalogError::Range("the motion's picture size"));
    }
    Ok(())
}

fn check_track(track: &str) -> Result<(), CatalogError> {
    let plain = track.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && (1..=MAX_TRACK_NAME_BYTES).contains(&track.len()) { Ok(()) } else { Err(CatalogError::Range("a track's name")) }
}

impl StreamCatalog {
    /// Writes the catalog as JSON.
    ///
    /// Fails if a value is one that [`Self::parse`] would refuse.
    pub fn to_json(&self) -> Result<Vec<u8>, CatalogError> {
        let mut catalog = Catalog::<Extension>::default();
        let session = format!("{:016x}", self.session);
        let mut immersive = Immersive { version: VERSION, session, video: None, audio: None, motion: None };
        for VideoTrack { track, info } in &self.renditions {
            check_track(track)?;
            check_info(info)?;
            // Written as it is: parsing and printing it again might spell it differently.
            let spelled =
                if info.codec_string.is_empty() { codec_name(info.codec).to_owned() } else { info.codec_string.clone() };
            let mut config = VideoConfig::new(HangCodec::Unknown(spelled));
            config.coded_width = Some(info.size.x);
            config.coded_height = Some(info.size.y);
            config.framerate = (info.frame_rate_hz > 0.0).then_some(f64::from(info.frame_rate_hz));
            config.bitrate = (info.bitrate_bps > 0).then_some(u64::from(info.bitrate_bps));
            config.optimize_for_latency = Some(true);
            config.container = Container::Loc;
            catalog.video.insert(track, config)?;
        }
        if let Some(VideoTrack { track, info }) = self.renditions.first() {
            immersive.video = Some(ImmersiveVideo {
                track: track.clone(),
                codec: info.codec_string.clone(),
                projection: info.projection.into(),
                stereo: info.stereo.into(),
                color: info.color.into(),
            });
        }
        if let Some(AudioTrack { track, info }) = &self.audio {
            check_track(track)?;
            check_audio(info)?;
            let codec = match info.codec {
                AudioCodec::Opus => HangAudioCodec::Opus,
                AudioCodec::Aac => HangAudioCodec::AAC(AAC { profile: AAC_LC }),
            };
            let mut config = AudioConfig::new(codec, info.format.rate_hz, u32::from(info.format.channels));
            config.bitrate = (info.bitrate_bps > 0).then_some(u64::from(info.bitrate_bps));
            config.description = (!info.config.is_empty()).then(|| info.config.clone());
            config.container = Container::Loc;
            catalog.audio.insert(track, config)?;
            immersive.audio = Some(ImmersiveAudio { track: track.clone() });
        }
        if let Some(motion) = &self.motion {
            check_motion(motion)?;
            immersive.motion = Some(ImmersiveMotion {
                tiles: motion.tiles.clone(),
                coarse: motion.coarse.clone(),
                grid: motion.grid.to_array(),
                picture: motion.picture_size.to_array(),
            });
        }
        catalog.ext.immersive = Some(immersive);
        Ok(catalog.to_vec()?)
    }

    /// Reads a catalog from a stranger.
    pub fn parse(json: &[u8]) -> Result<Self, CatalogError> {
        if json.len() > MAX_CATALOG_BYTES {
            return Err(CatalogError::TooLarge(json.len()));
        }
        let mut catalog = Catalog::<Extension>::from_slice(json)?;
        catalog.check_renditions()?;
        let immersive = catalog.ext.immersive.take().ok_or(CatalogError::NotImmersive)?;
        if immersive.version != VERSION {
            return Err(CatalogError::Version(immersive.version));
        }
        let session = u64::from_str_radix(&immersive.session, 16).map_err(|_| CatalogError::Range("the session"))?;
        let renditions = match immersive.video {
            Some(video) => parse_renditions(video, &catalog.video.renditions, json)?,
            None => Vec::new(),
        };
        let audio = immersive.audio.map(|audio| {
            let config = catalog.audio.renditions.get(&audio.track).ok_or(CatalogError::Range("the sound's track"))?;
            parse_audio(audio, config)
        });
        let motion = immersive.motion.map(|motion| {
            let motion = MotionTracks {
                tiles: motion.tiles,
                coarse: motion.coarse,
                grid: motion.grid.into(),
                picture_size: motion.picture.into(),
            };
            check_motion(&motion).map(|()| motion)
        });
        Ok(Self { session, renditions, audio: audio.transpose()?, motion: motion.transpose()? })
    }
}

/// The renditions, that on `video`'s track first. One of another codec than are decoded here is left out, unless it is that one.
fn parse_renditions(
    video: ImmersiveVideo,
    configs: &BTreeMap<String, VideoConfig>,
    json: &[u8],
) -> Result<Vec<VideoTrack>, CatalogError> {
    let preferred = configs.get(&video.track).ok_or(CatalogError::Range("the video's track"))?;
    let mut renditions = vec![parse_video(&video.track, &video.codec, &video, preferred)?];
    if configs.len() > 1 {
        // As it was written: hang's own spelling may differ.
        let spelled: SpelledCatalog = serde_json::from_slice(json).map_err(|_| CatalogError::Range("a rendition"))?;
        for (track, config) in configs.iter().filter(|(track, _)| **track != video.track) {
            let codec = spelled.video.renditions.get(track).map_or("", |rendition| rendition.codec.as_str());
            let codec = if ["h264", "h265", "av1"].contains(&codec) { "" } else { codec };
            match parse_video(track, codec, &video, config) {
                Ok(rendition) => renditions.push(rendition),
                Err(CatalogError::Codec(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(renditions)
}

/// The rendition on `track`, which shows what `video` says of all of them.
fn parse_video(
    track: &str,
    codec_string: &str,
    video: &ImmersiveVideo,
    config: &VideoConfig,
) -> Result<VideoTrack, CatalogError> {
    check_track(track)?;
    let spelled = config.codec.to_string();
    let codec = match (config.codec.kind(), spelled.as_str()) {
        (VideoCodecKind::H264, _) | (VideoCodecKind::Unknown, "h264") => VideoCodec::H264,
        (VideoCodecKind::H265, _) | (VideoCodecKind::Unknown, "h265") => VideoCodec::H265,
        (VideoCodecKind::AV1, _) | (VideoCodecKind::Unknown, "av1") => VideoCodec::Av1,
        _ => return Err(CatalogError::Codec(spelled.chars().take(40).collect())),
    };
    let plain = codec_string.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if !plain || codec_string.len() > MAX_TRACK_NAME_BYTES {
        return Err(CatalogError::Range("the codec's name"));
    }
    let info = StreamInfo {
        codec,
        codec_string: codec_string.to_owned(),
        size: UVec2::new(config.coded_width.unwrap_or(0), config.coded_height.unwrap_or(0)),
        frame_rate_hz: config.framerate.unwrap_or(0.0) as f32,
        color: video.color.into(),
        projection: video.projection.into(),
        stereo: video.stereo.into(),
        bitrate_bps: config.bitrate.unwrap_or(0).min(u64::from(u32::MAX)) as u32,
    };
    check_info(&info)?;
    Ok(VideoTrack { track: track.to_owned(), info })
}

fn parse_audio(audio: ImmersiveAudio, config: &AudioConfig) -> Result<AudioTrack, CatalogError> {
    check_track(&audio.track)?;
    let codec = match &config.codec {
        HangAudioCodec::Opus => AudioCodec::Opus,
        HangAudioCodec::AAC(AAC { profile: AAC_LC }) => AudioCodec::Aac,
        other => return Err(CatalogError::Codec(other.to_string().chars().take(40).collect())),
    };
    let channels = u16::try_from(config.channel_count).unwrap_or(u16::MAX);
    let info = AudioStreamInfo {
        codec,
        format: AudioFormat { rate_hz: config.sample_rate, channels },
        bitrate_bps: config.bitrate.unwrap_or(0).min(u64::from(u32::MAX)) as u32,
        config: config.description.clone().unwrap_or_default(),
    };
    check_audio(&info)?;
    Ok(AudioTrack { track: audio.track, info })
}
