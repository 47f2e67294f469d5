//! A checked rig that can compute.

use super::{Crop, Exposure, MAX_LENSES, PixelRect, Rig, RigError, RigLens, Vignetting};
use crate::lens::LensProjector;
use bevy::math::{DMat3, DVec2, DVec3, UVec2};

/// Where a lens sees a direction.
#[derive(Clone, Copy, Debug)]
pub struct LensSample {
    /// The pixel, in the picture's reference size; goes on smoothly outside of the lens's picture.
    pub pixel: DVec2,
    /// How far the pixel is inside of the good part of the lens's picture, in degrees; negative outside.
    pub edge_deg: f64,
}

/// One lens of a checked rig.
#[derive(Clone, Debug)]
pub struct PreparedLens {
    /// Index of the picture that the lens is in.
    pub picture: usize,
    /// The lens itself.
    pub projector: LensProjector,
    /// What of the picture belongs to the lens: left, top, right, bottom in pixels.
    pub region: PixelRect,
    /// Factors of the gamma-coded red, green and blue.
    pub color_gain: [f64; 3],
    /// Whether the lens delivers nothing worth showing: its neighbours fill what they see of it.
    pub(crate) is_out: bool,
    lens_from_rig: DMat3,
    translation_m: DVec3,
    bounds: PixelRect,
    circle: Option<(DVec2, f64)>,
    vignetting: Option<Vignetting>,
    px_per_deg: f64,
}

/// A checked rig that can compute. Made from a [`Rig`].
#[derive(Clone, Debug)]
pub struct PreparedRig {
    /// What people call the rig.
    pub name: String,
    /// Reference size of each picture in pixels.
    pub pictures: Vec<UVec2>,
    /// The lenses.
    pub lenses: Vec<PreparedLens>,
}

impl Rig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`RigError`] with the lens and the field.
    pub fn validate(&self) -> Result<(), RigError> {
        PreparedRig::new(self).map(|_| ())
    }
}

impl PreparedRig {
    /// Checks a rig and makes it ready to compute.
    ///
    /// # Errors
    /// [`RigError`] with the lens and the field.
    pub fn new(rig: &Rig) -> Result<Self, RigError> {
        if rig.lenses.is_empty() || rig.lenses.len() > MAX_LENSES {
            return Err(RigError::LensCount { rig: rig.name.clone(), count: rig.lenses.len() });
        }
        if rig.pictures.is_empty() || rig.pictures.len() > MAX_LENSES {
            return Err(RigError::PictureCount { rig: rig.name.clone(), count: rig.pictures.len() });
        }
        for (index, picture) in rig.pictures.iter().enumerate() {
            let [width, height] = picture.size_px;
            if !(1..=32768).contains(&width) || !(1..=32768).contains(&height) {
                return Err(RigError::PictureSize { rig: rig.name.clone(), index, width, height });
            }
        }
        let pictures: Vec<UVec2> = rig.pictures.iter().map(|picture| UVec2::from_array(picture.size_px)).collect();
        let lenses = rig
            .lenses
            .iter()
            .enumerate()
            .map(|(index, lens)| PreparedLens::new(index, lens, &pictures))
            .collect::<Result<_, _>>()?;
        Ok(Self { name: rig.name.clone(), pictures, lenses })
    }
}

impl PreparedLens {
    /// Gains are light; pictures are gamma-coded. Light × g is code value × g^(1/2.2), near enough for every video transfer.
    pub(crate) const GAMMA: f64 = 2.2;
    /// How far inside of its picture a lens that is out says it sees anything, at most: any neighbour sees it better.
    const OUT_DEG: f64 = 1.0;

    pub(crate) fn new(index: usize, lens: &RigLens, pictures: &[UVec2]) -> Result<Self, RigError> {
        let fail = |field, reason: String| Err(RigError::Field { index, name: lens.name.clone(), field, reason });
        let projector =
            LensProjector::new(&lens.lens).map_err(|source| RigError::Lens { index, name: lens.name.clone(), source })?;
        let Some(picture) = pictures.get(lens.picture as usize) else {
            return fail("picture", format!("is {}, but the rig has {} pictures, counted from 0", lens.picture, pictures.len()));
        };
        let whole = PixelRect { min: [0.0; 2], max: picture.as_dvec2().to_array() };
        let region = lens.region.unwrap_or(whole);
        if !region.is_proper() || intersect(region, whole) != region {
            return fail("region", format!("{region:?} must be a rectangle inside of the {}×{} picture", picture.x, picture.y));
        }
        let orientation = match lens.orientation {
            super::Orientation::Angles(angles) => vec![angles.yaw_deg, angles.pitch_deg, angles.roll_deg],
            super::Orientation::Quaternion(xyzw) => xyzw.to_vec(),
        };
        if orientation.iter().any(|value| !value.is_finite() || value.abs() > 1e6) {
            return fail("orientation", format!("{:?} must be finite numbers", lens.orientation));
        }
        let rig_from_lens = lens.orientation.rig_from_lens();
        if !rig_from_lens.is_finite() {
            return fail("orientation", format!("{:?} is no rotation: the quaternion must not be zero", lens.orientation));
        }
        if lens.translation_m.iter().any(|value| !value.is_finite() || value.abs() > 1e3) {
            return fail("translation_m", format!("{:?} must be finite and within 1000 m", lens.translation_m));
        }
        let (bounds, circle) = match lens.crop {
            Crop::Full => (region, None),
            Crop::Rectangle(rect) => (intersect(region, rect), None),
            Crop::Circle { center_px, radius_px } => (region, Some((DVec2::from_array(center_px), radius_px))),
        };
        let circle_is_good = circle.is_none_or(|(center, radius)| {
            let nearest = center.clamp(DVec2::from_array(region.min), DVec2::from_array(region.max));
            center.is_finite() && radius > 0.0 && radius.is_finite() && center.distance(nearest) < radius
        });
        if !bounds.is_proper() || !circle_is_good {
            return fail("crop", format!("{:?} leaves nothing of the lens's picture", lens.crop));
        }
        let Exposure { gain_ev, white_balance } = lens.exposure;
        if !(-8.0..=8.0).contains(&gain_ev) {
            return fail("exposure.gain_ev", format!("is {gain_ev}: it must be −8 to 8 stops"));
        }
        if white_balance.iter().any(|factor| !(0.1..=10.0).contains(factor)) {
            return fail("exposure.white_balance", format!("is {white_balance:?}: each factor must be 0.1 to 10"));
        }
        let px_per_deg = projector.px_per_deg();
        let prepared = Self {
            picture: lens.picture as usize,
            region,
            is_out: false,
            color_gain: white_balance.map(|factor| (factor * gain_ev.exp2()).powf(1.0 / Self::GAMMA)),
            lens_from_rig: rig_from_lens.transpose(),
            translation_m: DVec3::from_array(lens.translation_m),
            bounds,
            circle,
            vignetting: lens.vignetting,
            px_per_deg,
            projector,
        };
        if let Some(vignetting) = lens.vignetting {
            if vignetting.coefficients.iter().any(|value| !value.is_finite()) || !(1e-3..=1e6).contains(&vignetting.radius_px) {
                return fail("vignetting", format!("{vignetting:?} must be finite numbers with a radius above 0"));
            }
            let reach = prepared.reach_px();
            if (0..=100).any(|step| vignetting.light(reach * f64::from(step) / 100.0) < 0.02) {
                return fail("vignetting", format!("{vignetting:?} leaves less than 2 % of the light inside of the crop"));
            }
        }
        Ok(prepared)
    }

    /// Where the lens sees a direction of the rig's frame (of length 1), at a distance in metres or infinitely far.
    pub fn sample(&self, direction: DVec3, distance_m: Option<f64>) -> Option<LensSample> {
        let from_lens = distance_m.map_or(direction, |distance| direction * distance - self.translation_m);
        let pixel = self.projector.project_extended(self.lens_from_rig * from_lens)?;
        Some(LensSample { pixel, edge_deg: self.edge_deg(pixel) })
    }

    /// The pixel that a point of the rig's frame, in metres, is seen at, going on smoothly outside of the lens's picture.
    pub fn project_point(&self, point: DVec3) -> Option<DVec2> {
        self.projector.project_extended(self.lens_from_rig * (point - self.translation_m))
    }

    /// Where the lens stands in the rig's frame, in metres.
    pub fn position_m(&self) -> DVec3 {
        self.translation_m
    }

    /// The direction in the rig's frame that a pixel sees, going on smoothly outside of the lens's picture.
    pub fn direction(&self, pixel: DVec2) -> Option<DVec3> {
        self.projector.unproject_extended(pixel).map(|ray| self.lens_from_rig.transpose() * ray)
    }

    /// The direction from the rig's centre to what a pixel sees, at a distance from that centre in metres or infinitely far: what
    /// [`sample`](Self::sample) takes. None where a lens stands farther out than that.
    pub(crate) fn seen_from_rig(&self, pixel: DVec2, distance_m: Option<f64>) -> Option<DVec3> {
        let ray = self.direction(pixel)?;
        let Some(distance) = distance_m else { return Some(ray) };
        // Where the ray from the lens meets the sphere of that radius around the rig.
        let along = ray.dot(self.translation_m);
        let beyond = along * along + distance * distance - self.translation_m.length_squared();
        (beyond >= 0.0).then(|| ((self.translation_m + ray * (beyond.sqrt() - along)) / distance).normalize())
    }

    /// How far a pixel is inside of the good part of the picture, in degrees as they are at the picture's centre.
    pub fn edge_deg(&self, pixel: DVec2) -> f64 {
        let (low, high) = (pixel - DVec2::from_array(self.bounds.min), DVec2::from_array(self.bounds.max) - pixel);
        let mut edge_px = low.min_element().min(high.min_element());
        if let Some((center, radius)) = self.circle {
            edge_px = edge_px.min(radius - pixel.distance(center));
        }
        let edge_deg = edge_px.min(self.projector.limit_px(pixel)) / self.px_per_deg;
        if self.is_out { edge_deg.min(Self::OUT_DEG) } else { edge_deg }
    }

    /// The factor that undoes the vignetting at a pixel, for gamma-coded colours.
    pub fn vignetting_gain(&self, pixel: DVec2) -> f64 {
        self.vignetting.map_or(1.0, |vignetting| {
            let radius = pixel.distance(self.projector.center()).min(self.reach_px() * 1.1);
            vignetting.light(radius).max(0.01).powf(-1.0 / Self::GAMMA)
        })
    }

    /// Whether the gain differs over the picture.
    pub fn has_vignetting(&self) -> bool {
        self.vignetting.is_some()
    }

    /// Largest distance of a good pixel from the principal point.
    fn reach_px(&self) -> f64 {
        let center = self.projector.center();
        let (min, max) = (DVec2::from_array(self.bounds.min), DVec2::from_array(self.bounds.max));
        let corner = (center - min).abs().max((max - center).abs()).length();
        self.circle.map_or(corner, |(circle, radius)| corner.min(circle.distance(center) + radius))
    }
}

impl Vignetting {
    /// The share of light that arrives `radius_px` from the principal point.
    pub fn light(&self, radius_px: f64) -> f64 {
        let rho2 = (radius_px / self.radius_px).powi(2);
        let [a, b, c] = self.coefficients;
        1.0 + rho2 * (a + rho2 * (b + rho2 * c))
    }
}

impl PixelRect {
    fn is_proper(&self) -> bool {
        let ordered = (0..2).all(|axis| self.min[axis] < self.max[axis]);
        ordered && self.min.iter().chain(&self.max).all(|value| value.is_finite())
    }
}

fn intersect(a: PixelRect, b: PixelRect) -> PixelRect {
    PixelRect { min: core::array::from_fn(|i| a.min[i].max(b.min[i])), max: core::array::from_fn(|i| a.max[i].min(b.max[i])) }
}
