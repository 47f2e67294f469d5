//! What a stream holds.
//!
//! The catalog is a [`hang`] catalog, which players of such streams understand, with a root section of our own,
//! `immersive`: how the picture covers the sphere, where the eyes' pictures lie, what the colours mean, and which tracks
//! carry the motion. Colours are written in the words of WebCodecs' `VideoColorSpace`.

use bevy::math::UVec2;
use hang::catalog::{Catalog, Container, VideoCodec as HangCodec, VideoCodecKind, VideoConfig};
use serde::{Deserialize, Serialize};
use studio_frame::prelude::*;

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
    #[error("the stream is coded in `{0}`; H.264, H.265 and AV1 can be shown")]
    Codec(String),
}

/// What a stream holds: its video and its motion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamCatalog {
    /// Chosen anew at each start of the publisher: frame numbers of two sessions do not compare.
    pub session: u64,
    /// The video, once its encoder has said what it makes.
    pub video: Option<VideoTrack>,
    /// The motion fields, if any are sent.
    pub motion: Option<MotionTracks>,
}

/// A track of video.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoTrack {
    /// The track's name.
    pub track: String,
    /// What is on it.
    pub info: StreamInfo,
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

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct Extension {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    immersive: Option<Immersive>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Immersive {
    version: u32,
    /// Hexadecimal: a script's numbers do not hold 64 bits.
    session: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    video: Option<ImmersiveVideo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    motion: Option<ImmersiveMotion>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct ImmersiveVideo {
    track: String,
    /// As the encoder spells it: hang's own spelling may differ.
    codec: String,
    projection: WireProjection,
    stereo: WireStereo,
    color: WireColor,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct ImmersiveMotion {
    tiles: Vec<String>,
    coarse: String,
    grid: [u32; 2],
    picture: [u32; 2],
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum WireProjection {
    Equirectangular,
    HalfEquirectangular,
    Fisheye { fov_deg: f32 },
    CubeMap,
    Rectilinear { fov_deg: f32 },
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
enum WireStereo {
    Mono,
    TopBottom,
    LeftRight,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct WireColor {
    matrix: WireMatrix,
    full_range: bool,
    primaries: WirePrimaries,
    transfer: WireTransfer,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
enum WireMatrix {
    #[serde(rename = "smpte170m")]
    Bt601,
    #[serde(rename = "bt709")]
    Bt709,
    #[serde(rename = "bt2020-ncl")]
    Bt2020,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
enum WirePrimaries {
    #[serde(rename = "bt709")]
    Bt709,
    #[serde(rename = "smpte170m")]
    Smpte170m,
    #[serde(rename = "bt2020")]
    Bt2020,
    #[serde(rename = "smpte432")]
    DisplayP3,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
enum WireTransfer {
    #[serde(rename = "bt709")]
    Bt709,
    #[serde(rename = "iec61966-2-1")]
    Srgb,
    #[serde(rename = "pq")]
    Pq,
    #[serde(rename = "hlg")]
    Hlg,
}

/// Converts between a type of ours and the one that fixes its spelling on the wire, both ways.
macro_rules! spelled {
    ($ours:ident, $wire:ident, $($variant:ident $({ $field:ident })?),+) => {
        impl From<$ours> for $wire {
            fn from(value: $ours) -> Self {
                match value { $($ours::$variant $({ $field })? => Self::$variant $({ $field })?),+ }
            }
        }
        impl From<$wire> for $ours {
            fn from(value: $wire) -> Self {
                match value { $($wire::$variant $({ $field })? => Self::$variant $({ $field })?),+ }
            }
        }
    };
}

spelled!(
    PictureProjection,
    WireProjection,
    Equirectangular,
    HalfEquirectangular,
    Fisheye { fov_deg },
    CubeMap,
    Rectilinear { fov_deg }
);
spelled!(StereoLayout, WireStereo, Mono, TopBottom, LeftRight);
spelled!(ColorMatrix, WireMatrix, Bt601, Bt709, Bt2020);
spelled!(ColorPrimaries, WirePrimaries, Bt709, Smpte170m, Bt2020, DisplayP3);
spelled!(TransferFunction, WireTransfer, Bt709, Srgb, Pq, Hlg);

impl From<ColorInfo> for WireColor {
    fn from(color: ColorInfo) -> Self {
        Self {
            matrix: color.matrix.into(),
            full_range: color.range == ColorRange::Full,
            primaries: color.primaries.into(),
            transfer: color.transfer.into(),
        }
    }
}

impl From<WireColor> for ColorInfo {
    fn from(color: WireColor) -> Self {
        Self {
            matrix: color.matrix.into(),
            range: if color.full_range { ColorRange::Full } else { ColorRange::Limited },
            primaries: color.primaries.into(),
            transfer: color.transfer.into(),
        }
    }
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
        _ => Ok(()),
    }
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
        let mut immersive = Immersive { version: VERSION, session: format!("{:016x}", self.session), video: None, motion: None };
        if let Some(VideoTrack { track, info }) = &self.video {
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
            immersive.video = Some(ImmersiveVideo {
                track: track.clone(),
                codec: info.codec_string.clone(),
                projection: info.projection.into(),
                stereo: info.stereo.into(),
                color: info.color.into(),
            });
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
        let video = immersive.video.map(|video| {
            let config = catalog.video.renditions.get(&video.track).ok_or(CatalogError::Range("the video's track"))?;
            parse_video(video, config)
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
        Ok(Self { session, video: video.transpose()?, motion: motion.transpose()? })
    }
}

fn parse_video(video: ImmersiveVideo, config: &VideoConfig) -> Result<VideoTrack, CatalogError> {
    check_track(&video.track)?;
    let spelled = config.codec.to_string();
    let codec = match (config.codec.kind(), spelled.as_str()) {
        (VideoCodecKind::H264, _) | (VideoCodecKind::Unknown, "h264") => VideoCodec::H264,
        (VideoCodecKind::H265, _) | (VideoCodecKind::Unknown, "h265") => VideoCodec::H265,
        (VideoCodecKind::AV1, _) | (VideoCodecKind::Unknown, "av1") => VideoCodec::Av1,
        _ => return Err(CatalogError::Codec(spelled.chars().take(40).collect())),
    };
    let plain = video.codec.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if !plain || video.codec.len() > MAX_TRACK_NAME_BYTES {
        return Err(CatalogError::Range("the codec's name"));
    }
    let info = StreamInfo {
        codec,
        codec_string: video.codec,
        size: UVec2::new(config.coded_width.unwrap_or(0), config.coded_height.unwrap_or(0)),
        frame_rate_hz: config.framerate.unwrap_or(0.0) as f32,
        color: video.color.into(),
        projection: video.projection.into(),
        stereo: video.stereo.into(),
        bitrate_bps: config.bitrate.unwrap_or(0).min(u64::from(u32::MAX)) as u32,
    };
    check_info(&info)?;
    Ok(VideoTrack { track: video.track, info })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_catalog() -> impl Strategy<Value = StreamCatalog> {
        let projection = prop_oneof![
            Just(PictureProjection::Equirectangular),
            Just(PictureProjection::HalfEquirectangular),
            Just(PictureProjection::CubeMap),
            (1.0_f32..360.0).prop_map(|fov_deg| PictureProjection::Fisheye { fov_deg }),
            (1.0_f32..179.0).prop_map(|fov_deg| PictureProjection::Rectilinear { fov_deg }),
        ];
        let codec = prop_oneof![
            Just((VideoCodec::H264, "avc1.42c01f")),
            Just((VideoCodec::H264, "")),
            Just((VideoCodec::H265, "hev1.1.6.L120.90")),
            Just((VideoCodec::Av1, "av01.0.08M.08")),
            Just((VideoCodec::Av1, "")),
        ];
        let stereo = prop_oneof![Just(StereoLayout::Mono), Just(StereoLayout::TopBottom), Just(StereoLayout::LeftRight)];
        let color = (
            prop_oneof![Just(ColorMatrix::Bt601), Just(ColorMatrix::Bt709), Just(ColorMatrix::Bt2020)],
            prop_oneof![Just(ColorRange::Limited), Just(ColorRange::Full)],
            prop_oneof![
                Just(ColorPrimaries::Bt709),
                Just(ColorPrimaries::Smpte170m),
                Just(ColorPrimaries::Bt2020),
                Just(ColorPrimaries::DisplayP3)
            ],
            prop_oneof![
                Just(TransferFunction::Bt709),
                Just(TransferFunction::Srgb),
                Just(TransferFunction::Pq),
                Just(TransferFunction::Hlg)
            ],
        )
            .prop_map(|(matrix, range, primaries, transfer)| ColorInfo { matrix, range, primaries, transfer });
        let info = (codec, projection, stereo, color, 1_u32..=MAX_SIDE_PX, 1_u32..=MAX_SIDE_PX, 1.0_f32..240.0, any::<u32>())
            .prop_map(|((codec, codec_string), projection, stereo, color, width, height, frame_rate_hz, bitrate_bps)| {
                StreamInfo {
                    codec,
                    codec_string: codec_string.into(),
                    size: UVec2::new(width, height),
                    frame_rate_hz,
                    color,
                    projection,
                    stereo,
                    bitrate_bps,
                }
            });
        let motion = (1_usize..MAX_TILE_TRACKS, 1_u32..900, 1_u32..400).prop_map(|(tracks, columns, rows)| MotionTracks {
            tiles: (0..tracks).map(|index| format!("motion.{index}")).collect(),
            coarse: "motion.coarse".into(),
            grid: UVec2::new(columns, rows),
            picture_size: UVec2::new(columns, rows) * 8,
        });
        (any::<u64>(), prop::option::of(info), prop::option::of(motion)).prop_map(|(session, info, motion)| StreamCatalog {
            session,
            video: info.map(|info| VideoTrack { track: "video.0".into(), info }),
            motion,
        })
    }

    proptest! {
        #[test]
        fn catalogs_round_trip(catalog in any_catalog()) {
            let json = catalog.to_json().expect("in range");
            prop_assert!(json.len() < 4096);
            prop_assert_eq!(StreamCatalog::parse(&json).expect("what was written is read"), catalog);
        }

        #[test]
        fn damaged_catalogs_do_no_harm(catalog in any_catalog(), at: prop::sample::Index, byte: u8) {
            let mut json = catalog.to_json().expect("in range");
            let at = at.index(json.len());
            json[at] = byte;
            let _ = StreamCatalog::parse(&json);
            let _ = StreamCatalog::parse(&json[..at]);
        }
    }

    #[test]
    fn other_players_can_read_it() {
        let info = StreamInfo {
            codec_string: "avc1.42c01f".into(),
            size: UVec2::new(1280, 640),
            frame_rate_hz: 30.0,
            ..Default::default()
        };
        let catalog = StreamCatalog { session: 1, video: Some(VideoTrack { track: "video.0".into(), info }), motion: None };
        let plain: Catalog = Catalog::from_slice(&catalog.to_json().expect("in range")).expect("a hang catalog");
        let config = &plain.video.renditions["video.0"];
        assert_eq!(
            (config.codec.kind(), &config.container, config.coded_width),
            (VideoCodecKind::H264, &Container::Loc, Some(1280))
        );
    }

    #[test]
    fn hostile_values_are_refused() {
        let text = |immersive: &str, video: &str| format!(r#"{{"video":{{"renditions":{{{video}}}}},"immersive":{immersive}}}"#);
        let head = r#""version":1,"session":"0f""#;
        let refused = |json: String| StreamCatalog::parse(json.as_bytes()).expect_err(&json);
        assert!(matches!(refused(r#"{"video":{"renditions":{}}}"#.into()), CatalogError::NotImmersive));
        assert!(matches!(refused(text(r#"{"version":9,"session":"0"}"#, "")), CatalogError::Version(9)));
        let motion = |grid: &str, tiles: &str| {
            text(&format!(r#"{{{head},"motion":{{"tiles":[{tiles}],"coarse":"c","grid":{grid},"picture":[8,8]}}}}"#), "")
        };
        assert!(matches!(refused(motion("[4294967295,4294967295]", r#""t""#)), CatalogError::Range(_)));
        assert!(matches!(refused(motion("[1,1]", "")), CatalogError::Range(_)));
        assert!(matches!(refused(motion("[1,1]", r#""../x""#)), CatalogError::Range(_)));
        let video = |size: &str, fov: &str| {
            let color = r#"{"matrix":"bt709","fullRange":false,"primaries":"bt709","transfer":"bt709"}"#;
            let ours = format!(
                r#""video":{{"track":"v","codec":"","projection":{{"kind":"fisheye","fovDeg":{fov}}},"stereo":"mono","color":{color}}}"#
            );
            text(&format!("{{{head},{ours}}}"), &format!(r#""v":{{"codec":"h264","codedWidth":{size},"codedHeight":1}}"#))
        };
        assert!(StreamCatalog::parse(video("1", "190").as_bytes()).is_ok());
        assert!(matches!(refused(video("4000000", "190")), CatalogError::Range(_)));
        assert!(matches!(refused(video("1", "1e30")), CatalogError::Range(_)));
        assert!(matches!(StreamCatalog::parse(&vec![b' '; MAX_CATALOG_BYTES + 1]), Err(CatalogError::TooLarge(_))));
    }
}
