//! The lens model for which boards are flat.

use super::{Board, BoardCorner, find_board, pose::Pose, spread::most_different};
use crate::{
    calibrate::{CalibrateError, GrayPicture, Residuals},
    lens::{Lens, LensModel, LensProjector},
    rig::{Rig, RigLens, RigPicture},
};
use bevy::math::{DVec2, UVec2};
use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, Owned};
use serde::Serialize;

/// Views that are needed at least.
const LEAST_VIEWS: usize = 3;
/// The most views that are solved for: those that differ most.
const MOST_VIEWS: usize = 60;
/// A step for numeric differentiation; all parameters are of a like size.
const STEP: f64 = 1e-6;
/// Residual of a corner that the lens cannot show, in pixels.
const IMPOSSIBLE_PX: f64 = 1e4;
/// A focal length less certain than this share of it leaves the lens open.
const LARGEST_FOCAL_SIGMA: f64 = 0.02;

/// Which lens model is solved for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoardModel {
    /// Kannala and Brandt's, k₁ to k₄: fisheyes.
    #[default]
    Fisheye,
    /// Brown and Conrady's, k₁, k₂, p₁, p₂, k₃: flat pictures.
    Pinhole,
}

/// What became of one picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewReport {
    /// The picture.
    pub name: String,
    /// Corners found on the board; 0 if it was not found.
    pub corners: usize,
    /// How well they fit.
    pub residuals: Residuals,
    /// Why it was left out; empty where it was not.
    pub left_out: String,
}

/// A calibrated lens.
#[derive(Clone, Debug)]
pub struct LensCalibration {
    /// The lens as a rig of one, looking ahead.
    pub rig: Rig,
    /// What became of each picture.
    pub views: Vec<ViewReport>,
    /// How well all corners fit.
    pub residuals: Residuals,
    /// One standard deviation of the focal lengths and the principal point in pixels: fx, fy, cx, cy.
    pub sigma_px: [f64; 4],
    /// The widest angle from the axis at which a corner was seen, in degrees: beyond it the model is a guess.
    pub seen_deg: f64,
    /// Each corner: its picture, pixel, and the offset to where the model says that it should be.
    pub corners: Vec<(usize, DVec2, DVec2)>,
}

/// One picture of the board.
struct Sight {
    /// Points of the board in millimetres and pixels.
    points: Vec<(DVec2, DVec2)>,
}

/// Finds a lens's model from pictures of a board, all taken with the same lens and settings. `tell` is told what is being done.
///
/// # Errors
/// [`CalibrateError`] if pictures differ in size, the board was found in fewer than three of them, or what was found leaves the lens open.
pub fn calibrate_lens(
    pictures: &[GrayPicture],
    board: &Board,
    model: BoardModel,
    tell: &mut dyn FnMut(&str),
) -> Result<LensCalibration, CalibrateError> {
    let Some(first) = pictures.first() else {
        let reason = format!("at least {LEAST_VIEWS} are needed, and ten to twenty are better");
        return Err(CalibrateError::TooLittle { found: "no pictures".to_owned(), reason });
    };
    let size = first.size();
    if let Some(other) = pictures.iter().find(|picture| picture.size() != size) {
        let (picture, given) = (other.name.clone(), other.size());
        let (expected_width, expected_height) = (size.x, size.y);
        return Err(CalibrateError::PictureShape { picture, width: given.x, height: given.y, expected_width, expected_height });
    }
    let mut views = Vec::new();
    let mut sights: Vec<(usize, Sight)> = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        tell(&format!("looking for the board in {}", picture.name));
        let view =
            |corners, left_out| ViewReport { name: picture.name.clone(), corners, residuals: Residuals::default(), left_out };
        match find_board(picture, board) {
            Ok(corners) => {
                views.push(view(corners.len(), String::new()));
                let point = |corner: BoardCorner| (corner.place.as_dvec2() * board.square_mm, corner.pixel);
                sights.push((index, Sight { points: corners.into_iter().map(point).collect() }));
            }
            Err(error @ CalibrateError::TooLittle { .. }) => views.push(view(0, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    if sights.len() < LEAST_VIEWS {
        let reason = views.iter().find(|view| !view.left_out.is_empty()).map_or_else(String::new, |view| view.left_out.clone());
        return Err(CalibrateError::TooLittle {
            found: format!("the board in {} of {} pictures", sights.len(), pictures.len()),
            reason: format!("at least {LEAST_VIEWS} are needed. {reason}"),
        });
    }
    let pixels: Vec<Vec<DVec2>> =
        sights.iter().map(|(_, sight)| sight.points.iter().map(|(_, pixel)| *pixel).collect()).collect();
    let chosen = most_different(&pixels, f64::from(size.x), MOST_VIEWS);
    tell(&format!("the board is in {} of {} pictures: solving for {} of them", sights.len(), pictures.len(), chosen.len()));
    for (at, (index, _)) in sights.iter().enumerate() {
        if chosen.binary_search(&at).is_err() {
            views[*index].left_out = format!("the {MOST_VIEWS} pictures that differ most are enough");
        }
    }
    sights.retain(|(index, _)| views[*index].left_out.is_empty());
    let points: Vec<Sight> = sights.iter().map(|(_, sight)| Sight { points: sight.points.clone() }).collect();
    let (lens, poses) = start(&points, size, model)?;
    let solve = |lens, poses, distortion, points: &[Sight]| solve(Problem::new(lens, poses, points, distortion));
    let (lens, poses, _) = solve(lens, poses, false, &points)?;
    let (lens, poses, _) = solve(lens, poses, true, &points)?;
    // What is far off is no corner of the board.
    let residuals = Problem::new(lens.clone(), poses.clone(), &points, true).offsets();
    let limit = 4.0 * Residuals::of(residuals.iter().flatten().map(|offset| offset.length())).median_px.max(0.05);
    let points: Vec<Sight> = points
        .iter()
        .zip(&residuals)
        .map(|(sight, offsets)| {
            let good = sight.points.iter().zip(offsets).filter(|(_, offset)| offset.length() <= limit);
            Sight { points: good.map(|(point, _)| *point).collect() }
        })
        .collect();
    let (lens, poses, sigma_px) = solve(lens, poses, true, &points)?;
    if !(sigma_px[0] / lens.focal_px[0] < LARGEST_FOCAL_SIGMA && sigma_px[1] / lens.focal_px[1] < LARGEST_FOCAL_SIGMA) {
        return Err(CalibrateError::TooLittle {
            found: format!(
                "{} views that leave the focal length open by {:.1} px of {:.1}",
                sights.len(),
                sigma_px[0],
                lens.focal_px[0]
            ),
            reason: "tilt the board by 20° to 40° in different directions, and show it at the edges of the picture too"
                .to_owned(),
        });
    }
    let projector =
        LensProjector::new(&lens).map_err(|source| crate::rig::RigError::Lens { index: 0, name: "board".to_owned(), source })?;
    let problem = Problem::new(lens.clone(), poses, &points, true);
    let mut corners = Vec::new();
    let mut seen_deg = 0.0_f64;
    for (((index, _), sight), offsets) in sights.iter().zip(&points).zip(problem.offsets()) {
        views[*index].corners = sight.points.len();
        views[*index].residuals = Residuals::of(offsets.iter().map(|offset| offset.length()));
        for ((_, pixel), offset) in sight.points.iter().zip(offsets) {
            corners.push((*index, *pixel, offset));
            let angle = projector.unproject(*pixel).map_or(0.0, |ray| ray.z.clamp(-1.0, 1.0).acos().to_degrees());
            seen_deg = seen_deg.max(angle);
        }
    }
    let rig = Rig {
        name: format!("lens calibrated from {} pictures of a board", sights.len()),
        pictures: vec![RigPicture { size_px: size.to_array() }],
        lenses: vec![RigLens::new("lens", 0, lens)],
    };
    rig.validate()?;
    let residuals = Residuals::of(corners.iter().map(|(_, _, offset)| offset.length()));
    Ok(LensCalibration { rig, views, residuals, sigma_px, seen_deg, corners })
}

/// The undistorted lens, of all focal lengths, for which the boards' places explain their corners best.
fn start(sights: &[Sight], size: UVec2, model: BoardModel) -> Result<(Lens, Vec<Pose>), CalibrateError> {
    let width = f64::from(size.max_element());
    let lens = |focal: f64| Lens {
        model: match model {
            BoardModel::Fisheye => LensModel::KannalaBrandt { k: [0.0; 4] },
            BoardModel::Pinhole => LensModel::BrownConrady { k: [0.0; 6], p: [0.0; 2] },
        },
        focal_px: [focal; 2],
        center_px: (size.as_dvec2() / 2.0).to_array(),
        radial: None,
        max_angle_deg: None,
    };
    let attempt = |focal: f64| -> Option<(f64, Lens, Vec<Pose>)> {
        let lens = lens(focal);
        let projector = LensProjector::new(&lens).ok()?;
        let mut sum = 0.0;
        let poses = sights
            .iter()
            .map(|sight| {
                let rays = sight.points.iter().map(|(point, pixel)| Some((*point, projector.unproject(*pixel)?)));
                let pose = Pose::from_rays(&rays.collect::<Option<Vec<_>>>()?)?;
                let squares = sight.points.iter().map(|(point, pixel)| {
                    let offset =
                        projector.project_extended(pose.apply(*point)).map_or(IMPOSSIBLE_PX, |seen| seen.distance(*pixel));
                    // A corner far off says no more than one 20 pixels off.
                    offset.min(20.0).powi(2)
                });
                sum += squares.sum::<f64>();
                Some(pose)
            })
            .collect::<Option<Vec<_>>>()?;
        Some((sum, lens, poses))
    };
    // From a circle of 360° in the picture to a long telephoto lens, in steps of 8 %.
    let best = (0..48).filter_map(|step| attempt(width * 0.15 * 1.08_f64.powi(step))).min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, lens, poses)| (lens, poses)).ok_or_else(|| CalibrateError::TooLittle {
        found: format!("{} views", sights.len()),
        reason: "no focal length puts the boards in front of the lens: is it the right model (fisheye or pinhole)?".to_owned(),
    })
}

/// The least squares problem: lens and places of the boards.
struct Problem<'a> {
    lens: Lens,
    poses: Vec<Pose>,
    sights: &'a [Sight],
    /// Numbers of the lens that are solved for.
    own: usize,
    values: DVector<f64>,
}

impl<'a> Problem<'a> {
    fn new(lens: Lens, poses: Vec<Pose>, sights: &'a [Sight], distortion: bool) -> Self {
        let coefficients = match (&lens.model, distortion) {
            (_, false) => 0,
            (LensModel::BrownConrady { .. }, true) => 5,
            (_, true) => 4,
        };
        let own = 4 + coefficients;
        let values = DVector::zeros(own + 6 * poses.len());
        Self { lens, poses, sights, own, values }
    }

    fn lens_with(&self, values: &[f64]) -> Lens {
        let mut lens = self.lens.clone();
        for axis in 0..2 {
            lens.focal_px[axis] *= values[axis].exp();
            lens.center_px[axis] += values[2 + axis] * self.lens.focal_px[0];
        }
        for (index, value) in values[4..].iter().enumerate() {
            match &mut lens.model {
                LensModel::KannalaBrandt { k } => k[index] += value,
                LensModel::BrownConrady { k, p } => *(if index < 3 { &mut k[index] } else { &mut p[index - 3] }) += value,
                _ => {}
            }
        }
        lens
    }

    fn pose_with(&self, view: usize, by: &[f64]) -> Pose {
        self.poses[view].moved(by)
    }

    fn of_view(&self, view: usize) -> &[f64] {
        let first = self.own + 6 * view;
        &self.values.as_slice()[first..first + 6]
    }

    /// The offsets of a view's corners.
    fn view(&self, projector: Option<&LensProjector>, pose: &Pose, view: usize) -> Vec<DVec2> {
        let offset = |(point, pixel): &(DVec2, DVec2)| {
            let seen = projector.and_then(|projector| projector.project_extended(pose.apply(*point)));
            let offset = seen.map_or(DVec2::splat(IMPOSSIBLE_PX), |seen| seen - *pixel);
            if offset.is_finite() { offset.clamp_length_max(IMPOSSIBLE_PX) } else { DVec2::splat(IMPOSSIBLE_PX) }
        };
        self.sights[view].points.iter().map(offset).collect()
    }

    fn offsets(&self) -> Vec<Vec<DVec2>> {
        let projector = LensProjector::new(&self.lens_with(&self.values.as_slice()[..self.own])).ok();
        (0..self.poses.len()).map(|view| self.view(projector.as_ref(), &self.pose_with(view, self.of_view(view)), view)).collect()
    }

    fn rows(&self) -> usize {
        self.sights.iter().map(|sight| sight.points.len() * 2).sum()
    }
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for Problem<'_> {
    type ParameterStorage = Owned<f64, Dyn>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;

    fn set_params(&mut self, values: &DVector<f64>) {
        self.values.copy_from(values);
    }

    fn params(&self) -> DVector<f64> {
        self.values.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        let offsets = self.offsets().into_iter().flatten().flat_map(|offset| offset.to_array());
        Some(DVector::from_iterator(self.rows(), offsets))
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let mut matrix = DMatrix::zeros(self.rows(), self.values.len());
        let own = &self.values.as_slice()[..self.own];
        let current = LensProjector::new(&self.lens_with(own)).ok();
        let changed: Vec<[Option<LensProjector>; 2]> = (0..self.own)
            .map(|column| {
                [-STEP, STEP].map(|step| {
                    let mut values = own.to_vec();
                    values[column] += step;
                    LensProjector::new(&self.lens_with(&values)).ok()
                })
            })
            .collect();
        let mut row = 0;
        for view in 0..self.poses.len() {
            let pose = self.pose_with(view, self.of_view(view));
            let count = self.sights[view].points.len();
            let mut put = |column: usize, less: &[DVec2], more: &[DVec2]| {
                for (index, (less, more)) in less.iter().zip(more).enumerate() {
                    let slope = (*more - *less) / (2.0 * STEP);
                    matrix[(row + 2 * index, column)] = slope.x;
                    matrix[(row + 2 * index + 1, column)] = slope.y;
                }
            };
            for (column, [less, more]) in changed.iter().enumerate() {
                put(column, &self.view(less.as_ref(), &pose, view), &self.view(more.as_ref(), &pose, view));
            }
            for part in 0..6 {
                let [less, more] = [-STEP, STEP].map(|step| {
                    let mut by = self.of_view(view).to_vec();
                    by[part] += step;
                    self.view(current.as_ref(), &self.pose_with(view, &by), view)
                });
                put(self.own + 6 * view + part, &less, &more);
            }
            row += 2 * count;
        }
        Some(matrix)
    }
}

/// Solves, and says how sure the focal lengths and the principal point are, in pixels.
fn solve(problem: Problem) -> Result<(Lens, Vec<Pose>, [f64; 4]), CalibrateError> {
    let square = |problem: &Problem| problem.residuals().map_or(f64::NAN, |residuals| residuals.norm_squared());
    let before = square(&problem);
    let rows = problem.rows();
    if rows < problem.values.len() {
        let found = format!("{} corners", rows / 2);
        return Err(CalibrateError::TooLittle {
            found,
            reason: format!("{} numbers are looked for: show the board more often", problem.values.len()),
        });
    }
    let (problem, report) =
        LevenbergMarquardt::new().with_ftol(1e-12).with_xtol(1e-12).with_gtol(1e-14).with_patience(20).minimize(problem);
    let after = square(&problem);
    if !after.is_finite() || after > before || report.termination.was_usage_issue() {
        return Err(CalibrateError::Diverged { reason: format!("{:?}", report.termination) });
    }
    let lens = problem.lens_with(&problem.values.as_slice()[..problem.own]);
    let poses = (0..problem.poses.len()).map(|view| problem.pose_with(view, problem.of_view(view))).collect();
    let variance = after / (rows - problem.values.len()).max(1) as f64;
    let inverse = problem.jacobian().and_then(|jacobian| Some(jacobian.tr_mul(&jacobian).cholesky()?.inverse()));
    let sigma_px = [0, 1, 2, 3].map(|column| {
        let relative = inverse.as_ref().map_or(f64::INFINITY, |matrix| (matrix[(column, column)] * variance).sqrt());
        relative * lens.focal_px[if column == 1 { 1 } else { 0 }]
    });
    Ok((lens, poses, sigma_px))
}
