//! How the `immersive` section is spelled.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use studio_frame::prelude::*;

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(super) struct Extension {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) immersive: Option<Immersive>,
}

/// The codecs of the renditions as they are spelled.
#[derive(Deserialize, Default)]
pub(super) struct SpelledCatalog {
    #[serde(default)]
    pub(super) video: SpelledVideo,
}

#[derive(Deserialize, Default)]
pub(super) struct SpelledVideo {
    #[serde(default)]
    pub(super) renditions: BTreeMap<String, SpelledRendition>,
}

#[derive(Deserialize, Default)]
pub(super) struct SpelledRendition {
    #[serde(default)]
    pub(super) codec: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Immersive {
    pub(super) version: u32,
    /// Hexadecimal: a script's numbers do not hold 64 bits.
    pub(super) session: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) video: Option<ImmersiveVideo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audio: Option<ImmersiveAudio>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) motion: Option<ImmersiveMotion>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImmersiveVideo {
    pub(super) track: String,
    /// As the encoder spells it: hang's own spelling may differ.
    pub(super) codec: String,
    pub(super) projection: WireProjection,
    pub(super) stereo: WireStereo,
    pub(super) color: WireColor,
}

/// Everything else about the sound is in hang's own section.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImmersiveAudio {
    pub(super) track: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImmersiveMotion {
    pub(super) tiles: Vec<String>,
    pub(super) coarse: String,
    pub(super) grid: [u32; 2],
    pub(super) picture: [u32; 2],
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum WireProjection {
    Equirectangular,
    HalfEquirectangular,
    Fisheye { fov_deg: f32 },
    CubeMap,
    Rectilinear { fov_deg: f32 },
    OffAxis { left: [f32; 4], right: [f32; 4] },
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) enum WireStereo {
    Mono,
    TopBottom,
    LeftRight,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireColor {
    pub(super) matrix: WireMatrix,
    pub(super) full_range: bool,
    pub(super) primaries: WirePrimaries,
    pub(super) transfer: WireTransfer,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub(super) enum WireMatrix {
    #[serde(rename = "smpte170m")]
    Bt601,
    #[serde(rename = "bt709")]
    Bt709,
    #[serde(rename = "bt2020-ncl")]
    Bt2020,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub(super) enum WirePrimaries {
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
pub(super) enum WireTransfer {
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
    ($ours:ident, $wire:ident, $($variant:ident $({ $($field:ident),+ })?),+) => {
        impl From<$ours> for $wire {
            fn from(value: $ours) -> Self {
                match value { $($ours::$variant $({ $($field),+ })? => Self::$variant $({ $($field),+ })?),+ }
            }
        }
        impl From<$wire> for $ours {
            fn from(value: $wire) -> Self {
                match value { $($wire::$variant $({ $($field),+ })? => Self::$variant $({ $($field),+ })?),+ }
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
    Rectilinear { fov_deg },
    OffAxis { left, right }
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
