//! Rectification: two cameras' pictures as flat cameras would take them that stand side by side and look the same way.
//!
//! Fusiello, Trucco and Verri, *A compact algorithm for rectification of stereo pairs* (Machine Vision and Applications 2000): the
//! new x axis is the direction from the first camera to the second, the new z axis is as near to the mean of the cameras' own as
//! it can be, and both new cameras share their intrinsics.

use super::{DisparityError, sphere::in_part};
use crate::{
    rig::{PreparedLens, PreparedRig, Rig},
    stitch::StMap,
};
use bevy::math::{DMat3, DVec2, DVec3, Rect, UVec2, Vec2Swizzles as _};
use studio_gpu::rgba::RgbaPass;

/// Cameras that are nearer to each other than this have no baseline, in metres.
const SHORTEST_BASELINE_M: f64 = 1e-4;
/// The widest angle between what two cameras look at, in degrees.
const WIDEST_CONVERGENCE_DEG: f64 = 60.0;

/// What both rectified cameras have in common, and how to draw their pictures.
#[derive(Clone, Debug)]
pub struct Rectification {
    rig: PreparedRig,
    rig_from_rectified: DMat3,
    center_px: DVec2,
    /// Size of each rectified picture in pixels.
    pub size: UVec2,
    /// The focal length in pixels of the rectified pictures.
    pub focal_px: f64,
    /// The distance of the cameras in metres.
    pub baseline_m: f64,
}

impl Rectification {
    /// Works out the rectified cameras of a rig of two lenses; the first is the left one, or the upper one.
    ///
    /// # Errors
    /// [`DisparityError::Geometry`] if there are not two lenses, if they stand at one place or one behind the other, if they look
    /// too far apart, or if the first stands to the right of the second. [`DisparityError::Rig`] if the rig is unusable.
    pub fn new(rig: &Rig) -> Result<Self, DisparityError> {
        let fail = |reason: String| Err(DisparityError::Geometry(format!("the calibration “{}”: {reason}", rig.name)));
        let prepared = PreparedRig::new(rig)?;
        let [first, second] = rig.lenses.as_slice() else {
            return fail(format!("{} lenses: stereo takes two, the left one first", rig.lenses.len()));
        };
        let [at_first, at_second] = [first, second].map(|lens| DVec3::from_array(lens.translation_m));
        let turns = [first, second].map(|lens| lens.orientation.rig_from_lens());
        let baseline_m = at_first.distance(at_second);
        if baseline_m < SHORTEST_BASELINE_M {
            return fail("both lenses stand at the same place: without a baseline there is no depth".to_owned());
        }
        let x = (at_second - at_first) / baseline_m;
        let apart_deg = turns[0].z_axis.angle_between(turns[1].z_axis).to_degrees();
        if apart_deg > WIDEST_CONVERGENCE_DEG {
            return fail(format!("the lenses look {apart_deg:.0}° apart: at most {WIDEST_CONVERGENCE_DEG}° can be matched"));
        }
        let ahead = (turns[0].z_axis + turns[1].z_axis).normalize();
        if ahead.cross(x).length() < 0.3 {
            return fail("one lens stands behind the other: stereo takes lenses beside each other".to_owned());
        }
        let y = ahead.cross(x).normalize();
        // Which way “right” is in the cameras' own pictures; stacked cameras give pictures on their side instead.
        let right = turns[0].transpose() * x;
        if right.x.abs() > right.y.abs() && right.x < 0.0 {
            return fail("the first lens stands to the right of the second: put the left one first".to_owned());
        }
        let rig_from_rectified = DMat3::from_cols(x, y, x.cross(y));
        let focal_px = prepared.lenses.iter().map(|lens| lens.projector.px_per_deg().to_degrees()).sum::<f64>() / 2.0;
        let picture = prepared.lenses[0].region;
        let own = DVec2::from_array(picture.max) - DVec2::from_array(picture.min);
        let on_its_side = right.y.abs() >= right.x.abs();
        let size = if on_its_side { own.yx() } else { own }.round().as_uvec2();
        // The middle of what the two look at lies in the middle of the picture, the same for both: what is infinitely far has no
        // disparity.
        let axes = turns.map(|turn| rig_from_rectified.transpose() * turn.z_axis);
        let middle = axes.iter().map(|axis| axis.truncate() / axis.z).sum::<DVec2>() / 2.0;
        let center_px = size.as_dvec2() / 2.0 - middle * focal_px;
        Ok(Self { rig: prepared, rig_from_rectified, center_px, size, focal_px, baseline_m })
    }

    /// The edges of the rectified pictures, to the left, right, up and down: tangents of the angles from straight ahead.
    pub fn edges(&self) -> [f64; 4] {
        let (center, size) = (self.center_px, self.size.as_dvec2());
        [center.x, size.x - center.x, center.y, size.y - center.y].map(|px| px / self.focal_px)
    }

    /// The direction in the rig's frame of one in the rectified cameras' frame (x right, y down, z ahead).
    pub fn rig_direction(&self, direction: DVec3) -> DVec3 {
        self.rig_from_rectified * direction
    }

    /// Depth in metres for a disparity in pixels of the rectified pictures: `z = f · B / d`. Infinite without disparity.
    pub fn depth_m(&self, disparity_px: f64) -> f64 {
        if disparity_px > 0.0 { self.focal_px * self.baseline_m / disparity_px } else { f64::INFINITY }
    }

    /// The maps from rectified pixels to each eye's part (in shares) of its frame, for [`StMapPass`](crate::stitch::StMapPass).
    /// Where the rig's lenses share a picture, the frames are that picture and the parts do not count.
    ///
    /// # Errors
    /// [`DisparityError::Map`] if the pictures are too large.
    pub fn maps(&self, frames: [UVec2; 2], parts: [Rect; 2]) -> Result<[StMap; 2], DisparityError> {
        let [first, second] = [0, 1].map(|eye| self.rig.lenses[eye].picture);
        let map = |eye: usize| -> Result<StMap, DisparityError> {
            let lens = &self.rig.lenses[eye];
            // Lenses that share a picture have their pixels counted in all of it.
            let part = if first == second { RgbaPass::WHOLE } else { parts[eye] };
            let picture = self.rig.pictures[lens.picture].as_dvec2();
            let pixels = (0..self.size.y).flat_map(|y| (0..self.size.x).map(move |x| UVec2::new(x, y)));
            let coordinates = pixels.map(|pixel| match self.source(lens, pixel.as_dvec2() + 0.5) {
                Some(at) => in_part(at / picture, frames[eye], part),
                None => [-1.0; 2],
            });
            Ok(StMap::new(self.size, coordinates.collect())?)
        };
        Ok([map(0)?, map(1)?])
    }

    /// Where a lens sees what a rectified pixel shows.
    fn source(&self, lens: &PreparedLens, pixel: DVec2) -> Option<DVec2> {
        let ray = ((pixel - self.center_px) / self.focal_px).extend(1.0).normalize();
        let sample = lens.sample(self.rig_direction(ray), None)?;
        (sample.edge_deg > 0.0).then_some(sample.pixel)
    }
}
