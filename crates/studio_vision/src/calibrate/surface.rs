//! Where what the lenses see is taken to be.

use super::CalibrateError;
use crate::rig::PreparedLens;
use bevy::math::{DVec2, DVec3};

/// Two lenses that stand apart see a point at places that depend on its distance: what that is taken to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surface {
    /// Infinitely far away; where lenses stand does not matter.
    Infinity,
    /// On a sphere around the rig's origin.
    Sphere {
        /// Its radius in metres.
        radius_m: f64,
    },
    /// On a plane, as the ground is around a car.
    Plane {
        /// From the rig's origin towards the plane, of length 1.
        normal: DVec3,
        /// How far away from the origin it is, in metres.
        distance_m: f64,
    },
}

/// A place on a surface and the directions along it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tangent {
    pub point: DVec3,
    pub across: DVec3,
    pub down: DVec3,
}

impl Tangent {
    /// The point some steps across and down.
    pub fn at(&self, steps: DVec2) -> DVec3 {
        self.point + self.across * steps.x + self.down * steps.y
    }
}

impl Surface {
    pub(super) fn validate(&self) -> Result<(), CalibrateError> {
        let good = match *self {
            Self::Infinity => true,
            Self::Sphere { radius_m } => (1e-3..=1e6).contains(&radius_m),
            Self::Plane { normal, distance_m } => (normal.length() - 1.0).abs() < 1e-6 && (1e-3..=1e6).contains(&distance_m),
        };
        if good {
            return Ok(());
        }
        let reason = format!("is {self:?}: distances must be 0.001 to 1000000 m, and the normal must have length 1");
        Err(CalibrateError::Setting { setting: "surface", reason })
    }

    /// The point that a lens's pixel shows; for an infinitely far surface a direction. `None` where it shows no point of the surface.
    pub fn point(&self, lens: &PreparedLens, pixel: DVec2) -> Option<DVec3> {
        let direction = lens.direction(pixel)?;
        let position = lens.position_m();
        match *self {
            Self::Infinity => Some(direction),
            Self::Sphere { radius_m } => {
                let half = position.dot(direction);
                let root = half * half - position.length_squared() + radius_m * radius_m;
                (root > 0.0).then(|| position + direction * (root.sqrt() - half))
            }
            Self::Plane { normal, distance_m } => {
                let approach = normal.dot(direction);
                let distance = (distance_m - normal.dot(position)) / approach;
                // Near the horizon a hundredth of a degree is metres.
                (approach > 0.05 && distance > 0.0).then(|| position + direction * distance)
            }
        }
    }

    /// Where a lens sees a point of this surface, going on smoothly outside of its picture.
    pub fn project(&self, lens: &PreparedLens, point: DVec3) -> Option<DVec2> {
        match self {
            Self::Infinity => lens.project_point(point + lens.position_m()),
            Self::Sphere { .. } | Self::Plane { .. } => lens.project_point(point),
        }
    }

    /// The directions along the surface at a point, of the length that `radians` have seen from the origin. They depend on
    /// nothing but the place, so that they are the same for all lenses.
    pub(super) fn tangent(&self, point: DVec3, radians: f64) -> Tangent {
        match *self {
            Self::Infinity | Self::Sphere { .. } => {
                let outward = point.normalize();
                let pole = if outward.y.abs() < 0.9 { DVec3::Y } else { DVec3::Z };
                let across = pole.cross(outward).normalize();
                let length = point.length() * radians;
                Tangent { point, across: across * length, down: outward.cross(across) * length }
            }
            Self::Plane { normal, distance_m } => {
                let pole = if normal.z.abs() < 0.9 { DVec3::Z } else { DVec3::X };
                let across = pole.cross(normal).normalize();
                // The ground is seen at an angle: three times as far as straight below.
                let length = distance_m * radians * 3.0;
                Tangent { point, across: across * length, down: normal.cross(across) * length }
            }
        }
    }

    /// The angle in radians between two points seen from the origin, or as much of the plane.
    pub(super) fn apart(&self, a: DVec3, b: DVec3) -> f64 {
        match *self {
            Self::Infinity | Self::Sphere { .. } => a.angle_between(b),
            Self::Plane { distance_m, .. } => a.distance(b) / (3.0 * distance_m),
        }
    }
}
