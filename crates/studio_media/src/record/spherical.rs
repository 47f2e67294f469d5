//! What says that a recording is spherical or stereoscopic: Spherical Video V2 boxes for MP4, `Projection` elements for
//! Matroska.
//!
//! Source: "Spherical Video V2" (google/spatial-media, docs/spherical-video-v2-rfc.md) and the Matroska element registry.

use super::{ebml, mp4::make_box};
use studio_frame::prelude::*;

/// A quarter of the picture in 0.32 fixed point: what half an equirectangular picture lacks at its left and right.
const QUARTER: u32 = 0x3FFF_FFFF;
const SOURCE: &[u8] = b"Neural Studio\0";

/// The projections that have a standard description without a mesh.
enum Described {
    /// Bounds from top, bottom, left, right, in 0.32 fixed point.
    Equirectangular([u32; 4]),
    CubeMap,
}

fn described(projection: PictureProjection) -> Option<Described> {
    match projection {
        PictureProjection::Equirectangular => Some(Described::Equirectangular([0; 4])),
        PictureProjection::HalfEquirectangular => Some(Described::Equirectangular([0, 0, QUARTER, QUARTER])),
        PictureProjection::CubeMap => Some(Described::CubeMap),
        PictureProjection::Fisheye { .. } | PictureProjection::Rectilinear { .. } | PictureProjection::OffAxis { .. } => None,
    }
}

impl Described {
    /// Version, flags and fields of the `equi` or `cbmp` box.
    fn payload(&self) -> Vec<u8> {
        let fields: &[u32] = match self {
            Self::Equirectangular([top, bottom, left, right]) => &[0, *top, *bottom, *left, *right],
            // Layout 0 (right, left, up / down, front, back), no padding.
            Self::CubeMap => &[0, 0, 0],
        };
        fields.iter().flat_map(|field| field.to_be_bytes()).collect()
    }
}

/// The boxes to add to the video's sample entry; empty for a flat picture for both eyes.
pub(super) fn mp4_boxes(projection: PictureProjection, stereo: StereoLayout) -> Vec<u8> {
    let version = [0; 4];
    let mode = match stereo {
        StereoLayout::Mono => 0,
        StereoLayout::TopBottom => 1,
        StereoLayout::LeftRight => 2,
    };
    let described = described(projection);
    let mut boxes = Vec::new();
    if described.is_some() || stereo != StereoLayout::Mono {
        boxes.extend(make_box(b"st3d", &[&version, &[mode]]));
    }
    if let Some(described) = described {
        let header = make_box(b"svhd", &[&version, SOURCE]);
        // Yaw, pitch and roll 0.
        let pose = make_box(b"prhd", &[&version, &[0; 12]]);
        let kind = match described {
            Described::Equirectangular(_) => b"equi",
            Described::CubeMap => b"cbmp",
        };
        let projection = make_box(b"proj", &[&pose, &make_box(kind, &[&described.payload()])]);
        boxes.extend(make_box(b"sv3d", &[&header, &projection]));
    }
    boxes
}

/// The elements to add to the track's `Video` element; empty for a flat picture for both eyes.
pub(super) fn matroska_elements(projection: PictureProjection, stereo: StereoLayout) -> Vec<u8> {
    let mut elements = Vec::new();
    let mode = match stereo {
        StereoLayout::Mono => None,
        StereoLayout::LeftRight => Some(1),
        StereoLayout::TopBottom => Some(3),
    };
    if let Some(mode) = mode {
        elements.extend(ebml::element(ebml::STEREO_MODE, &[mode]));
    }
    if let Some(described) = described(projection) {
        let kind = match described {
            Described::Equirectangular(_) => 1,
            Described::CubeMap => 2,
        };
        let zero = 0_f32.to_be_bytes();
        let parts = [
            ebml::element(ebml::PROJECTION_TYPE, &[kind]),
            ebml::element(ebml::PROJECTION_PRIVATE, &described.payload()),
            ebml::element(ebml::PROJECTION_POSE_YAW, &zero),
            ebml::element(ebml::PROJECTION_POSE_PITCH, &zero),
            ebml::element(ebml::PROJECTION_POSE_ROLL, &zero),
        ];
        elements.extend(ebml::element(ebml::PROJECTION, &parts.concat()));
    }
    elements
}
