//! The pictures that a stitch can write, as directions of their pixels.

use super::StitchError;
use crate::rig::{PixelRect, PreparedRig};
use bevy::{
    math::{DVec2, DVec3},
    prelude::*,
};
use core::f64::consts::{PI, TAU};
use serde::{Deserialize, Serialize};
use studio_frame::projection::PictureProjection;

/// What kind of picture a stitch writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StitchView {
    /// The whole sphere, longitude across and latitude down; twice as wide as high.
    #[default]
    Equirectangular,
    /// The front half of the sphere in longitude and latitude, a square: VR180 as most players want it.
    HalfEquirectangular,
    /// One equidistant fisheye circle that touches the picture's edges: VR180 as lenses see it.
    Fisheye {
        /// Full angle of the circle in degrees, above 0 and at most 360.
        fov_deg: f32,
    },
    /// Two equidistant fisheye circles side by side, the left one looking ahead, the right one back.
    DualFisheye {
        /// Full angle of each circle in degrees, above 0 and at most 360.
        fov_deg: f32,
    },
    /// Six faces in three columns and two rows: right, left, up / down, front, back. The lower edge of “up” and the upper
    /// edge of “down” meet the front face.
    CubeMap,
    /// A flat picture.
    Rectilinear {
        /// Full horizontal angle in degrees, above 0 and below 180.
        fov_deg: f32,
    },
    /// One of the rig's own pictures, as its camera would deliver it if it were turned, vignetting and all (but not the
    /// differences of exposure between its lenses): for making test material.
    RigPicture {
        /// Index of the picture in the rig.
        picture: u32,
    },
}

impl StitchView {
    /// How the picture covers the sphere; `None` for pictures with several lenses.
    pub fn projection(&self) -> Option<PictureProjection> {
        match *self {
            Self::Equirectangular => Some(PictureProjection::Equirectangular),
            Self::HalfEquirectangular => Some(PictureProjection::HalfEquirectangular),
            Self::Fisheye { fov_deg } => Some(PictureProjection::Fisheye { fov_deg }),
            Self::CubeMap => Some(PictureProjection::CubeMap),
            Self::Rectilinear { fov_deg } => Some(PictureProjection::Rectilinear { fov_deg }),
            Self::DualFisheye { .. } | Self::RigPicture { .. } => None,
        }
    }

    pub(super) fn validate(&self) -> Result<(), StitchError> {
        let (fov_deg, good) = match *self {
            Self::Fisheye { fov_deg } | Self::DualFisheye { fov_deg } => (fov_deg, fov_deg > 0.0 && fov_deg <= 360.0),
            Self::Rectilinear { fov_deg } => (fov_deg, fov_deg > 0.0 && fov_deg <= 179.0),
            _ => return Ok(()),
        };
        if good {
            return Ok(());
        }
        let reason = format!("is {fov_deg}: it must be above 0 and at most 360 degrees (179 for a flat picture)");
        Err(StitchError::Setting { setting: "view.fov_deg", reason })
    }

    /// Cuts a picture of `size` into parts within which directions change smoothly.
    pub(super) fn charts(&self, size: UVec2, rig: &PreparedRig) -> Result<Vec<Chart>, StitchError> {
        let full = size.as_dvec2();
        let whole = |kind| vec![Chart { min: UVec2::ZERO, max: size, kind }];
        Ok(match *self {
            Self::Equirectangular => whole(ChartKind::Sphere { longitude: TAU, size: full }),
            Self::HalfEquirectangular => whole(ChartKind::Sphere { longitude: PI, size: full }),
            Self::Fisheye { fov_deg } => whole(ChartKind::fisheye(full / 2.0, full, fov_deg, 1.0)),
            Self::DualFisheye { fov_deg } => {
                let half = size.x / 2;
                let circle = DVec2::new(f64::from(half), full.y);
                let right = f64::from(half) + f64::from(size.x - half) / 2.0;
                vec![
                    Chart {
                        min: UVec2::ZERO,
                        max: UVec2::new(half, size.y),
                        kind: ChartKind::fisheye(circle / 2.0, circle, fov_deg, 1.0),
                    },
                    Chart {
                        min: UVec2::new(half, 0),
                        max: size,
                        kind: ChartKind::fisheye(DVec2::new(right, full.y / 2.0), circle, fov_deg, -1.0),
                    },
                ]
            }
            Self::CubeMap => {
                const RIGHT: [DVec3; 3] = [DVec3::X, DVec3::NEG_Z, DVec3::Y];
                const LEFT: [DVec3; 3] = [DVec3::NEG_X, DVec3::Z, DVec3::Y];
                const UP: [DVec3; 3] = [DVec3::NEG_Y, DVec3::X, DVec3::Z];
                const DOWN: [DVec3; 3] = [DVec3::Y, DVec3::X, DVec3::NEG_Z];
                const FRONT: [DVec3; 3] = [DVec3::Z, DVec3::X, DVec3::Y];
                const BACK: [DVec3; 3] = [DVec3::NEG_Z, DVec3::NEG_X, DVec3::Y];
                let corner = |column: u32, row: u32| UVec2::new(size.x * column / 3, size.y * row / 2);
                let faces = [RIGHT, LEFT, UP, DOWN, FRONT, BACK].into_iter().zip(0..);
                faces
                    .map(|([ahead, across, down], index)| {
                        let (min, max) = (corner(index % 3, index / 3), corner(index % 3 + 1, index / 3 + 1));
                        let scale = (max - min).as_dvec2() / 2.0;
                        Chart { min, max, kind: ChartKind::Plane { center: min.as_dvec2() + scale, scale, ahead, across, down } }
                    })
                    .collect()
            }
            Self::Rectilinear { fov_deg } => {
                let scale = DVec2::splat(full.x / 2.0 / f64::from(fov_deg / 2.0).to_radians().tan());
                whole(ChartKind::Plane { center: full / 2.0, scale, ahead: DVec3::Z, across: DVec3::X, down: DVec3::Y })
            }
            Self::RigPicture { picture } => {
                let index = picture as usize;
                let reference = rig.pictures.get(index).ok_or_else(|| StitchError::Setting {
                    setting: "view.picture",
                    reason: format!(
                        "is {picture}, but the rig “{}” has {} pictures, counted from 0",
                        rig.name,
                        rig.pictures.len()
                    ),
                })?;
                let scale = full / reference.as_dvec2();
                let lenses = rig.lenses.iter().enumerate().filter(|(_, lens)| lens.picture == index);
                lenses
                    .map(|(lens, prepared)| {
                        let PixelRect { min, max } = prepared.region;
                        let corner = |px: [f64; 2]| (DVec2::from_array(px) * scale).round().as_uvec2().min(size);
                        Chart { min: corner(min), max: corner(max), kind: ChartKind::Lens { lens, scale } }
                    })
                    .collect()
            }
        })
    }

    /// Degrees across one pixel in the middle of the view.
    pub(super) fn deg_per_px(&self, size: UVec2, rig: &PreparedRig) -> f64 {
        let width = f64::from(size.x);
        match *self {
            Self::Equirectangular => 360.0 / width,
            Self::HalfEquirectangular => 180.0 / width,
            Self::Fisheye { fov_deg } => f64::from(fov_deg) / size.as_dvec2().min_element(),
            Self::DualFisheye { fov_deg } => f64::from(fov_deg) / (width / 2.0).min(f64::from(size.y)),
            Self::CubeMap => 2.0_f64.to_degrees() / (width / 3.0),
            Self::Rectilinear { fov_deg } => 2.0 * f64::from(fov_deg / 2.0).to_radians().tan().to_degrees() / width,
            Self::RigPicture { picture } => {
                let lens = rig.lenses.iter().find(|lens| lens.picture == picture as usize);
                let reference = rig.pictures.get(picture as usize).map_or(width, |size| f64::from(size.x));
                lens.map_or(0.1, |lens| reference / width / lens.projector.px_per_deg())
            }
        }
    }
}

/// A part of the output picture within which directions change smoothly.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// Left and top pixel.
    pub min: UVec2,
    /// Right and bottom, outside.
    pub max: UVec2,
    kind: ChartKind,
}

#[derive(Clone, Debug)]
enum ChartKind {
    /// Longitude across, latitude down.
    Sphere { longitude: f64, size: DVec2 },
    /// An equidistant circle; `ahead` is 1, or −1 for a lens that looks back.
    Circle { center: DVec2, radius: f64, radians_per_px: f64, ahead: f64 },
    /// A flat picture.
    Plane { center: DVec2, scale: DVec2, ahead: DVec3, across: DVec3, down: DVec3 },
    /// A lens of the rig.
    Lens { lens: usize, scale: DVec2 },
}

impl ChartKind {
    fn fisheye(center: DVec2, room: DVec2, fov_deg: f32, ahead: f64) -> Self {
        let radius = room.min_element() / 2.0;
        Self::Circle { center, radius, radians_per_px: f64::from(fov_deg).to_radians() / 2.0 / radius, ahead }
    }
}

impl Chart {
    /// A part of the chart, from `min` at most `size_px` wide and high.
    pub fn part(&self, min: UVec2, size_px: u32) -> Self {
        Self { min, max: self.max.min(min + size_px), kind: self.kind.clone() }
    }

    /// The direction (of length 1, in the view's frame) of a point of the picture; pixel centres are at halves. Smooth
    /// also beyond the chart's edges.
    pub fn direction(&self, point: DVec2, rig: &PreparedRig) -> Option<DVec3> {
        match &self.kind {
            ChartKind::Sphere { longitude, size } => {
                let (sin_lon, cos_lon) = ((point.x / size.x - 0.5) * longitude).sin_cos();
                let (sin_lat, cos_lat) = ((0.5 - point.y / size.y) * PI).sin_cos();
                Some(DVec3::new(cos_lat * sin_lon, -sin_lat, cos_lat * cos_lon))
            }
            ChartKind::Circle { center, radians_per_px, ahead, .. } => {
                let offset = point - center;
                let (sin, cos) = (offset.length() * radians_per_px).sin_cos();
                let across = offset.normalize_or_zero() * sin;
                Some(DVec3::new(across.x * ahead, across.y, cos * ahead))
            }
            ChartKind::Plane { center, scale, ahead, across, down } => {
                let offset = (point - center) / scale;
                Some((ahead + across * offset.x + down * offset.y).normalize())
            }
            ChartKind::Lens { lens, scale } => rig.lenses[*lens].direction(point / scale),
        }
    }

    /// How bright the chart shows a point, for gamma-coded colours: a lens of the rig is as dark at its edge as it is.
    pub fn brightness(&self, point: DVec2, rig: &PreparedRig) -> f64 {
        match &self.kind {
            ChartKind::Lens { lens, scale } => 1.0 / rig.lenses[*lens].vignetting_gain(point / scale),
            ChartKind::Sphere { .. } | ChartKind::Circle { .. } | ChartKind::Plane { .. } => 1.0,
        }
    }

    /// How far inside of the part that has a picture a point is, in pixels; negative outside.
    pub fn inside_px(&self, point: DVec2, rig: &PreparedRig) -> f64 {
        match &self.kind {
            ChartKind::Sphere { .. } | ChartKind::Plane { .. } => f64::MAX,
            ChartKind::Circle { center, radius, .. } => radius - point.distance(*center),
            ChartKind::Lens { lens, scale } => {
                let lens = &rig.lenses[*lens];
                lens.edge_deg(point / scale) * lens.projector.px_per_deg() * scale.min_element()
            }
        }
    }

    /// The share that a point has of a picture: 1 inside of the part that has one, fading to 0 just outside of it. The fade
    /// keeps clear of the edge by its own width, `fade_px`, so that interpolating it does not reach inside.
    pub fn coverage(&self, point: DVec2, rig: &PreparedRig, fade_px: f64) -> f64 {
        (2.0 + self.inside_px(point, rig) / fade_px).clamp(0.0, 1.0)
    }
}
