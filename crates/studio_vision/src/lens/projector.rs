//! The lens model ready to compute.

use super::model::{Lens, LensError, LensModel, brown_radial};
use bevy::math::{DVec2, DVec3};

/// Steps in which the radius is followed outwards to find where it stops growing.
const FOLD_SEARCH_STEPS: u32 = 2048;
/// A lens whose distortion folds closer to the axis than this is refused.
const SMALLEST_USABLE_ANGLE: f64 = 0.01;
/// Radius in focal lengths at which the picture ends however the model goes on (a rational one can have a pole).
const LARGEST_RADIUS: f64 = 1e3;
/// Step for one-sided and central differences, in radians or focal lengths.
const STEP: f64 = 1e-6;

/// Projects directions to pixels and pixels to directions. Made from a [`Lens`], which it has checked.
#[derive(Clone, Debug)]
pub struct LensProjector {
    model: LensModel,
    focal: DVec2,
    center: DVec2,
    /// Coefficients of ρ³, ρ², ρ and 1, and ρ for a radius of one focal length.
    radial: Option<([f64; 4], f64)>,
    max_angle: f64,
    max_radius: f64,
}

impl LensProjector {
    /// Checks a lens and finds how far it can see: to the model's limit, the file's limit, or where the distortion would
    /// fold the picture over itself, whichever comes first.
    ///
    /// # Errors
    /// [`LensError`] if a number is not finite or out of range, or the distortion folds next to the axis.
    pub fn new(lens: &Lens) -> Result<Self, LensError> {
        lens.validate()?;
        let limit = lens.model.widest_angle().min(lens.max_angle_deg.map_or(f64::MAX, f64::to_radians));
        let radial = lens.radial.map(|r| ([r.a, r.b, r.c, 1.0 - r.a - r.b - r.c], lens.focal_px[0] / r.reference_px));
        let mut projector = Self {
            model: lens.model,
            focal: DVec2::from_array(lens.focal_px),
            center: DVec2::from_array(lens.center_px),
            radial,
            max_angle: limit,
            max_radius: 0.0,
        };
        projector.max_angle = projector.monotonic_limit(limit);
        if projector.max_angle < SMALLEST_USABLE_ANGLE {
            return Err(LensError::Folded { angle_deg: projector.max_angle.to_degrees() });
        }
        projector.max_radius = projector.radius(projector.max_angle);
        Ok(projector)
    }

    /// The widest usable angle from the axis in radians.
    pub fn max_angle(&self) -> f64 {
        self.max_angle
    }

    /// The principal point in pixels.
    pub fn center(&self) -> DVec2 {
        self.center
    }

    /// How far inside of the lens's image circle a pixel lies, in pixels; negative outside. The circle ends at
    /// [`max_angle`](Self::max_angle).
    pub fn limit_px(&self, pixel: DVec2) -> f64 {
        let radius = ((pixel - self.center) / self.focal).length();
        (self.max_radius - radius) * self.focal.min_element()
    }

    /// Pixels a degree at the centre of the picture, the mean of both axes.
    pub fn px_per_deg(&self) -> f64 {
        let slope = self.radius(1e-4) / 1e-4;
        (self.focal.x + self.focal.y) / 2.0 * slope * 1_f64.to_radians()
    }

    /// The pixel that a direction is seen at; `None` if the lens does not see it. The direction need not be normalised.
    pub fn project(&self, ray: DVec3) -> Option<DVec2> {
        let (theta, direction) = polar(ray)?;
        (theta <= self.max_angle).then(|| self.center + self.plane(theta, direction) * self.focal)
    }

    /// Like [`project`](Self::project), but beyond the widest angle the picture goes on with the slope that it has there,
    /// so that a curve over its edge stays smooth. `None` only for directions without length or with NaN.
    pub fn project_extended(&self, ray: DVec3) -> Option<DVec2> {
        let (theta, direction) = polar(ray)?;
        let inside = theta.min(self.max_angle);
        let edge = self.plane(inside, direction);
        let beyond = (theta - inside) / STEP;
        let slope = if beyond > 0.0 { edge - self.plane(inside - STEP, direction) } else { DVec2::ZERO };
        Some(self.center + (edge + slope * beyond) * self.focal)
    }

    /// The direction (of length 1) that a pixel sees; `None` if the pixel lies outside of the lens's picture.
    pub fn unproject(&self, pixel: DVec2) -> Option<DVec3> {
        self.unproject_plane((pixel - self.center) / self.focal)
    }

    /// Like [`unproject`](Self::unproject), but pixels outside of the lens's picture go on with the slope at its edge.
    pub fn unproject_extended(&self, pixel: DVec2) -> Option<DVec3> {
        let plane = (pixel - self.center) / self.focal;
        if let Some(ray) = self.unproject_plane(plane) {
            return Some(ray);
        }
        let direction = plane.try_normalize()?;
        // Tangential distortion moves the edge a little: step inwards from the radial limit until the pixel is seen.
        let inner = (0..8).map(|step| self.max_radius * (1.0 - 0.01 * f64::from(step * step)) - STEP).find_map(|radius| {
            let (outer, _) = polar(self.unproject_plane(direction * radius)?)?;
            let (inner, _) = polar(self.unproject_plane(direction * (radius - 1e-4))?)?;
            Some((radius, outer, (outer - inner) / 1e-4))
        });
        let (radius, angle, slope) = inner?;
        let theta = angle + slope * (plane.length() - radius);
        Some((direction * theta.sin()).extend(theta.cos()))
    }

    /// The radius in focal lengths of a ray `theta` radians from the axis, without tangential distortion.
    fn radius(&self, theta: f64) -> f64 {
        let radius = self.model.ideal_radius(theta);
        match self.radial {
            None => radius,
            Some(([a, b, c, d], scale)) => {
                let rho = radius * scale;
                radius * (d + rho * (c + rho * (b + rho * a)))
            }
        }
    }

    /// How far (in radians, at most `limit`) the radius grows with the angle.
    fn monotonic_limit(&self, limit: f64) -> f64 {
        let grows = |theta: f64| {
            let (before, after) = (self.radius(theta - STEP), self.radius(theta));
            after < LARGEST_RADIUS && after > before
        };
        let angle = |step: u32| limit * f64::from(step) / f64::from(FOLD_SEARCH_STEPS);
        let mut last = 0.0;
        for step in 1..=FOLD_SEARCH_STEPS {
            let radius = self.radius(angle(step));
            // A pole of a rational model between two steps shows as a fall of the radius.
            if !grows(angle(step)) || radius <= last {
                let (mut low, mut high) = (angle(step - 1), angle(step));
                for _ in 0..40 {
                    let middle = (low + high) / 2.0;
                    if grows(middle) && self.radius(middle) > last { low = middle } else { high = middle }
                }
                return low;
            }
            last = radius;
        }
        limit
    }

    /// The point in the picture plane, in focal lengths, of a ray `theta` from the axis towards `direction`.
    fn plane(&self, theta: f64, direction: DVec2) -> DVec2 {
        match (&self.model, self.radial) {
            (LensModel::BrownConrady { k, p }, None) => brown_distort(k, p, direction * theta.tan()),
            _ => direction * self.radius(theta),
        }
    }

    fn unproject_plane(&self, plane: DVec2) -> Option<DVec3> {
        if !plane.is_finite() {
            return None;
        }
        match (&self.model, self.radial) {
            (LensModel::BrownConrady { k, p }, None) if p[0] != 0.0 || p[1] != 0.0 => self.brown_unproject(k, p, plane),
            _ => {
                let radius = plane.length();
                if radius > self.max_radius {
                    return None;
                }
                let theta = self.angle(radius);
                Some((plane.normalize_or_zero() * theta.sin()).extend(theta.cos()))
            }
        }
    }

    /// The angle whose radius is `radius` (at most the largest one): Newton's method, kept inside of a shrinking bracket.
    fn angle(&self, radius: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.max_angle);
        let mut theta = radius.min(self.max_angle);
        for _ in 0..64 {
            let error = self.radius(theta) - radius;
            if error > 0.0 {
                high = theta
            } else {
                low = theta
            }
            let slope = (self.radius(theta + STEP) - self.radius(theta - STEP)) / (2.0 * STEP);
            let newton = theta - error / slope;
            let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
            if (next - theta).abs() < 1e-15 {
                return next;
            }
            theta = next;
        }
        theta
    }

    /// Undoes radial and tangential distortion together by Newton's method in two dimensions.
    fn brown_unproject(&self, k: &[f64; 6], p: &[f64; 2], plane: DVec2) -> Option<DVec3> {
        let start = self.angle(plane.length().min(self.max_radius));
        let mut point = plane.normalize_or_zero() * start.tan();
        for _ in 0..32 {
            let value = brown_distort(k, p, point);
            let error = value - plane;
            let step = STEP * (1.0 + point.length());
            let dx = (brown_distort(k, p, point + DVec2::X * step) - value) / step;
            let dy = (brown_distort(k, p, point + DVec2::Y * step) - value) / step;
            let determinant = dx.x * dy.y - dy.x * dx.y;
            let delta = DVec2::new(error.x * dy.y - dy.x * error.y, dx.x * error.y - error.x * dx.y) / determinant;
            if !delta.is_finite() {
                return None;
            }
            point -= delta;
            if delta.length() < 1e-13 * (1.0 + point.length()) {
                break;
            }
        }
        let converged = (brown_distort(k, p, point) - plane).length() < 1e-9 * (1.0 + plane.length());
        let seen = point.length().atan() <= self.max_angle;
        (converged && seen).then(|| point.extend(1.0).normalize())
    }
}

/// Angle from the axis and unit direction in the picture plane; `None` for a ray without length or with NaN.
fn polar(ray: DVec3) -> Option<(f64, DVec2)> {
    let across = ray.truncate();
    let length = across.length();
    let theta = length.atan2(ray.z);
    let usable = theta.is_finite() && length.is_finite() && (length > 0.0 || ray.z != 0.0);
    usable.then(|| (theta, if length > 0.0 { across / length } else { DVec2::X }))
}

fn brown_distort(k: &[f64; 6], p: &[f64; 2], point: DVec2) -> DVec2 {
    let r2 = point.length_squared();
    let xy = point.x * point.y;
    let tangential = DVec2::new(
        2.0 * p[0] * xy + p[1] * (r2 + 2.0 * point.x * point.x),
        p[0] * (r2 + 2.0 * point.y * point.y) + 2.0 * p[1] * xy,
    );
    point * brown_radial(k, r2) + tangential
}
