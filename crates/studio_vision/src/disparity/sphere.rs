//! Stereo on the sphere: pictures in which the two eyes' views of a point lie in one row.
//!
//! Two cameras that do not turn see a point on a great circle through the direction from one camera to the other. In an
//! equirectangular picture whose poles lie in that direction, such circles are straight lines; laid on its side, they are its
//! rows. A column is then an angle α from the baseline, and for the angles of both eyes the law of sines gives the distance from
//! the left one: `r = B sin α_right / sin(α_right − α_left)` (Li, *Binocular Spherical Stereo*, IEEE Trans. Intelligent
//! Transportation Systems 2008). At the poles, in the direction of the other camera, there is no disparity and no distance.

use super::DisparityError;
use crate::stitch::StMap;
use bevy::math::{DVec2, DVec3, Rect, UVec2, Vec2};
use core::f64::consts::{PI, TAU};
use studio_frame::projection::PictureProjection;

/// A picture of the sphere or of a part of it, in shares of its width and height.
#[derive(Clone, Copy, Debug)]
enum Chart {
    /// Longitude over this angle across, latitude down.
    Latitudes(f64),
    /// An equidistant circle of this full angle that touches the edges.
    Circle(f64),
}

impl Chart {
    fn of(projection: PictureProjection) -> Result<Self, DisparityError> {
        match projection {
            PictureProjection::Equirectangular => Ok(Self::Latitudes(TAU)),
            PictureProjection::HalfEquirectangular => Ok(Self::Latitudes(PI)),
            PictureProjection::Fisheye { fov_deg } if fov_deg > 1.0 && fov_deg <= 360.0 => {
                Ok(Self::Circle(f64::from(fov_deg).to_radians()))
            }
            other => Err(DisparityError::Geometry(format!(
                "stereo on the sphere takes equirectangular, half equirectangular and fisheye pictures, not {other:?}: convert it first"
            ))),
        }
    }

    /// Where a direction (x right, y down, z ahead) lies.
    fn place(self, direction: DVec3) -> Option<DVec2> {
        match self {
            Self::Latitudes(angle) => {
                let across = direction.x.atan2(direction.z) / angle;
                let down = direction.y.clamp(-1.0, 1.0).asin() / PI;
                (across.abs() <= 0.5 + 1e-9).then(|| DVec2::new(0.5 + across, 0.5 + down).clamp(DVec2::ZERO, DVec2::ONE))
            }
            Self::Circle(angle) => {
                let radius = direction.z.clamp(-1.0, 1.0).acos() / angle;
                let around = direction.truncate().try_normalize().unwrap_or(DVec2::ZERO);
                (radius <= 0.5).then(|| DVec2::splat(0.5) + around * radius)
            }
        }
    }

    fn direction(self, place: DVec2) -> Option<DVec3> {
        let offset = place - 0.5;
        match self {
            Self::Latitudes(angle) => {
                let (longitude, latitude) = (offset.x * angle, offset.y * PI);
                Some(DVec3::new(longitude.sin() * latitude.cos(), latitude.sin(), longitude.cos() * latitude.cos()))
            }
            Self::Circle(angle) => {
                let radius = offset.length();
                let around = offset.try_normalize().unwrap_or(DVec2::ZERO);
                let from_axis = radius * angle;
                (radius <= 0.5).then(|| (around * from_axis.sin()).extend(from_axis.cos()))
            }
        }
    }

    /// Pixels a radian at the middle of a picture this wide.
    fn px_per_radian(self, width: u32) -> f64 {
        let (Self::Latitudes(angle) | Self::Circle(angle)) = self;
        f64::from(width) / angle
    }

    /// How far around the baseline the picture reaches.
    fn angle_around(self) -> f64 {
        match self {
            Self::Latitudes(angle) => angle,
            Self::Circle(angle) if angle > PI => TAU,
            Self::Circle(_) => PI,
        }
    }
}

/// Pictures on their side, with the baseline's direction as their poles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transverse {
    chart: Chart,
    /// Whether the second camera stands below the first rather than to its right.
    stacked: bool,
    /// Size of the pictures to match.
    pub size: UVec2,
}

impl Transverse {
    /// For pictures of one eye of this size; `most_width` bounds the pictures to match.
    pub fn new(projection: PictureProjection, size: UVec2, stacked: bool, most_width: u32) -> Result<Self, DisparityError> {
        let chart = Chart::of(projection)?;
        let natural = chart.px_per_radian(size.x) * PI;
        let width = natural.min(f64::from(most_width)).max(f64::from(DisparityError::MIN_SIDE_PX));
        let height = width * chart.angle_around() / PI;
        Ok(Self { chart, stacked, size: DVec2::new(width, height).round().as_uvec2() })
    }

    fn direction(self, place: DVec2) -> DVec3 {
        let (from_axis, around) = (PI * (1.0 - place.x), (place.y - 0.5) * self.chart.angle_around());
        let (along, beside, ahead) = (from_axis.cos(), from_axis.sin() * around.sin(), from_axis.sin() * around.cos());
        // Around counts downwards from straight ahead for cameras side by side, to the right for stacked ones.
        if self.stacked { DVec3::new(beside, along, ahead) } else { DVec3::new(along, beside, ahead) }
    }

    fn place(self, direction: DVec3) -> Option<DVec2> {
        let (along, beside) = if self.stacked { (direction.y, direction.x) } else { (direction.x, direction.y) };
        let around = beside.atan2(direction.z) / self.chart.angle_around();
        let across = 1.0 - along.clamp(-1.0, 1.0).acos() / PI;
        (around.abs() <= 0.5 + 1e-9).then(|| DVec2::new(across, 0.5 + around))
    }

    /// From the picture to match to an eye's part of its frame.
    pub fn map_in(self, frame: UVec2, part: Rect) -> Result<StMap, DisparityError> {
        let coordinates =
            places(self.size).map(|place| self.chart.place(self.direction(place)).map(|at| in_part(at, frame, part)));
        Ok(StMap::new(self.size, or_none(coordinates))?)
    }

    /// From the left eye's picture, at this size, to the matched picture; negative where that shows nothing.
    pub fn map_back(self, size: UVec2) -> Vec<[f32; 2]> {
        let seen = |place: DVec2| self.place(self.chart.direction(place)?).map(|at| at.as_vec2().to_array());
        or_none(places(size).map(seen))
    }
}

/// The middles of pixels, in shares of the size.
fn places(size: UVec2) -> impl Iterator<Item = DVec2> {
    let full = size.as_dvec2();
    (0..size.y).flat_map(move |y| (0..size.x).map(move |x| (UVec2::new(x, y).as_dvec2() + 0.5) / full))
}

fn or_none(coordinates: impl Iterator<Item = Option<[f32; 2]>>) -> Vec<[f32; 2]> {
    coordinates.map(|pair| pair.unwrap_or([-1.0; 2])).collect()
}

/// A place of an eye's picture within the frame, not so near to the part's edge that the other eye's picture shows through.
pub(super) fn in_part(place: DVec2, frame: UVec2, part: Rect) -> [f32; 2] {
    let half = Vec2::splat(0.5) / frame.as_vec2();
    let at = part.min + place.as_vec2() * part.size();
    at.clamp(part.min + half, part.max - half).to_array()
}
