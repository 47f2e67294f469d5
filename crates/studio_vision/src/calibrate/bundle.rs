//! Bundle adjustment: the lenses' parameters for which control points fit best.
//!
//! A control point's pixel in one lens is carried to the surface and from there into the other lens, and the other way round; the distances to
//! where it was found, in pixels, are what is minimised (Triggs et al., “Bundle Adjustment: A Modern Synthesis”, 2000, with the points on a
//! surface in place of free ones), by the method of Levenberg and Marquardt in MINPACK's form (Moré, 1978).

use super::{CalibrateError, ControlPoint, Surface};
use crate::{
    lens::{LensModel, PanoRadial},
    rig::{Orientation, PreparedLens, Rig, RigLens},
};
use bevy::math::{DMat3, DQuat, DVec2, DVec3, UVec2};
use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, Owned};

/// A residual where a point cannot be carried over, in pixels: the solver goes back from there.
const IMPOSSIBLE_PX: f64 = 1e4;

/// What a calibration may change besides the lenses' directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// Focal lengths.
    pub focal: bool,
    /// Principal points.
    pub center: bool,
    /// Distortion: Kannala–Brandt's or Brown–Conrady's coefficients, or Hugin's radial ones for ideal lenses.
    pub distortion: bool,
    /// Where lenses stand. Needs a [`Surface`] at a known distance.
    pub translation: bool,
}

/// How a bundle is adjusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BundleSettings {
    /// What may change.
    pub free: Free,
    /// Where what the lenses see is.
    pub surface: Surface,
    /// The lens that keeps its direction and place, so that the rig as a whole does not turn.
    pub anchor: usize,
    /// Residuals beyond this many pixels count less and less (Cauchy's loss); `None` is plain least squares.
    pub robust_px: Option<f64>,
    /// How sure one is of the start, as standard deviations; `None` leaves everything to the control points.
    pub prior: Option<Prior>,
}

/// Standard deviations of what a calibration starts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Of a control point's pixel, which the others are weighed against: what noise and parallax make of it.
    pub point_px: f64,
    /// Of a direction, in degrees.
    pub angle_deg: f64,
    /// Of a focal length, as a share of it.
    pub focal: f64,
    /// Of a principal point, as a share of the focal length.
    pub center: f64,
    /// Of a distortion's coefficient.
    pub distortion: f64,
    /// Of a lens's place, in metres.
    pub translation_m: f64,
}

impl Default for Prior {
    fn default() -> Self {
        Self { point_px: 0.5, angle_deg: 5.0, focal: 0.02, center: 0.02, distortion: 0.02, translation_m: 0.05 }
    }
}

/// A rig's lenses after an adjustment.
#[derive(Clone, Debug)]
pub struct Adjusted {
    /// The rig.
    pub rig: Rig,
    /// Half of the sum of squared residuals before and after, robust loss and prior included.
    pub cost: [f64; 2],
    /// How often the equations were solved.
    pub evaluations: usize,
    /// How sure the directions are, as one standard deviation in degrees of the least certain axis of each lens, estimated from the
    /// residuals; infinite for a lens that the points do not hold.
    pub angle_sigma_deg: Vec<f64>,
}

/// One number that is solved for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Parameter {
    /// A turn around an axis of the lens, in radians.
    Turn(usize),
    /// Along an axis of the rig, in metres.
    Shift(usize),
    /// The logarithm of a focal length's factor.
    Focal(usize),
    /// In focal lengths.
    Center(usize),
    Distortion(usize),
}

impl Parameter {
    /// A step for numeric differentiation; all kinds are of a like size.
    const STEP: f64 = 1e-6;

    fn sigma(self, prior: &Prior) -> f64 {
        match self {
            Self::Turn(_) => prior.angle_deg.to_radians(),
            Self::Shift(_) => prior.translation_m,
            Self::Focal(_) => prior.focal,
            Self::Center(_) => prior.center,
            Self::Distortion(_) => prior.distortion,
        }
    }
}

/// The parameters of one lens.
fn parameters_of(lens: &RigLens, is_anchor: bool, free: Free) -> Vec<Parameter> {
    let mut list = Vec::new();
    if !is_anchor {
        list.extend((0..3).map(Parameter::Turn));
        if free.translation {
            list.extend((0..3).map(Parameter::Shift));
        }
    }
    if free.focal {
        list.extend((0..2).map(Parameter::Focal));
    }
    if free.center {
        list.extend((0..2).map(Parameter::Center));
    }
    if free.distortion {
        let count = match (&lens.lens.model, lens.lens.radial) {
            (_, Some(_)) => 3,
            (LensModel::KannalaBrandt { .. }, None) => 4,
            (LensModel::BrownConrady { .. }, None) => 5,
            (_, None) => 3,
        };
        list.extend((0..count).map(Parameter::Distortion));
    }
    list
}

/// A lens with some of its parameters changed.
fn changed(start: &RigLens, parameters: &[Parameter], values: &[f64]) -> RigLens {
    let mut lens = start.clone();
    let mut turn = DVec3::ZERO;
    for (parameter, &value) in parameters.iter().zip(values) {
        match *parameter {
            Parameter::Turn(axis) => turn[axis] = value,
            Parameter::Shift(axis) => lens.translation_m[axis] += value,
            Parameter::Focal(axis) => lens.lens.focal_px[axis] *= value.exp(),
            Parameter::Center(axis) => lens.lens.center_px[axis] += value * start.lens.focal_px[axis],
            Parameter::Distortion(index) => match (&mut lens.lens.radial, &mut lens.lens.model) {
                (Some(radial), _) => *[&mut radial.a, &mut radial.b, &mut radial.c][index] += value,
                (None, LensModel::KannalaBrandt { k }) => k[index] += value,
                (None, LensModel::BrownConrady { k, p }) => {
                    let coefficient = if index < 3 { &mut k[index] } else { &mut p[index - 3] };
                    *coefficient += value;
                }
                (radial @ None, _) => {
                    let mut abc = [0.0; 3];
                    abc[index] = value;
                    *radial = Some(PanoRadial { a: abc[0], b: abc[1], c: abc[2], reference_px: start.lens.focal_px[0] });
                }
            },
        }
    }
    if turn != DVec3::ZERO {
        let turned = start.orientation.rig_from_lens() * DMat3::from_quat(DQuat::from_scaled_axis(turn));
        lens.orientation = Orientation::Quaternion(DQuat::from_mat3(&turned).normalize().to_array());
    }
    lens
}

/// How far a control point's pixel in the second lens is from where the first lens's pixel says that it should be.
pub(super) fn residual(surface: &Surface, from: &PreparedLens, to: &PreparedLens, [pixel, found]: [DVec2; 2]) -> Option<DVec2> {
    Some(surface.project(to, surface.point(from, pixel)?)? - found)
}

struct Problem<'a> {
    start: &'a [RigLens],
    pictures: Vec<UVec2>,
    points: &'a [ControlPoint],
    settings: &'a BundleSettings,
    parameters: Vec<Vec<Parameter>>,
    /// Rows of priors: the column and the factor.
    priors: Vec<(usize, f64)>,
    values: DVector<f64>,
    lenses: Vec<Option<PreparedLens>>,
}

impl<'a> Problem<'a> {
    fn new(rig: &'a Rig, points: &'a [ControlPoint], settings: &'a BundleSettings) -> Self {
        let parameters: Vec<_> = rig
            .lenses
            .iter()
            .enumerate()
            .map(|(index, lens)| parameters_of(lens, index == settings.anchor, settings.free))
            .collect();
        let flat: Vec<Parameter> = parameters.iter().flatten().copied().collect();
        let priors = settings.prior.map_or_else(Vec::new, |prior| {
            flat.iter().enumerate().map(|(column, parameter)| (column, prior.point_px / parameter.sigma(&prior))).collect()
        });
        let mut problem = Self {
            start: &rig.lenses,
            pictures: rig.pictures.iter().map(|picture| UVec2::from_array(picture.size_px)).collect(),
            points,
            settings,
            parameters,
            priors,
            values: DVector::zeros(flat.len()),
            lenses: Vec::new(),
        };
        problem.lenses = (0..rig.lenses.len()).map(|lens| problem.lens(lens, problem.own(lens))).collect();
        problem
    }

    /// The first column of a lens.
    fn column(&self, lens: usize) -> usize {
        self.parameters[..lens].iter().map(Vec::len).sum()
    }

    fn own(&self, lens: usize) -> &[f64] {
        let first = self.column(lens);
        &self.values.as_slice()[first..first + self.parameters[lens].len()]
    }

    fn rig_lens(&self, lens: usize, values: &[f64]) -> RigLens {
        changed(&self.start[lens], &self.parameters[lens], values)
    }

    fn lens(&self, lens: usize, values: &[f64]) -> Option<PreparedLens> {
        PreparedLens::new(lens, &self.rig_lens(lens, values), &self.pictures).ok()
    }

    /// The four residuals of a point, both ways.
    fn of_point(&self, point: &ControlPoint, lenses: [Option<&PreparedLens>; 2]) -> [f64; 4] {
        let [first, second] = point.pixels;
        let ways = lenses[0].zip(lenses[1]).map(|(a, b)| {
            [residual(&self.settings.surface, a, b, [first, second]), residual(&self.settings.surface, b, a, [second, first])]
        });
        let robust = |way: Option<DVec2>| {
            let way = way.filter(|way| way.is_finite()).unwrap_or(DVec2::splat(IMPOSSIBLE_PX)).clamp_length_max(IMPOSSIBLE_PX);
            let Some(scale) = self.settings.robust_px else { return way };
            let square = way.length_squared() / (scale * scale);
            if square < 1e-12 { way } else { way * (square.ln_1p() / square).sqrt() }
        };
        let [there, back] = ways.unwrap_or([None; 2]).map(robust);
        [there.x, there.y, back.x, back.y]
    }
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for Problem<'_> {
    type ParameterStorage = Owned<f64, Dyn>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;

    fn set_params(&mut self, values: &DVector<f64>) {
        self.values.copy_from(values);
        self.lenses = (0..self.start.len()).map(|lens| self.lens(lens, self.own(lens))).collect();
    }

    fn params(&self) -> DVector<f64> {
        self.values.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        let of_points =
            self.points.iter().flat_map(|point| self.of_point(point, point.lenses.map(|lens| self.lenses[lens].as_ref())));
        let of_priors = self.priors.iter().map(|(column, factor)| self.values[*column] * factor);
        Some(DVector::from_iterator(self.points.len() * 4 + self.priors.len(), of_points.chain(of_priors)))
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let mut matrix = DMatrix::zeros(self.points.len() * 4 + self.priors.len(), self.values.len());
        for lens in 0..self.start.len() {
            let first = self.column(lens);
            for index in 0..self.parameters[lens].len() {
                let step = Parameter::STEP;
                let [less, more] = [-step, step].map(|step| {
                    let mut values = self.own(lens).to_vec();
                    values[index] += step;
                    self.lens(lens, &values)
                });
                for (row, point) in self.points.iter().enumerate().filter(|(_, point)| point.lenses.contains(&lens)) {
                    let with = |changed: &Option<PreparedLens>| {
                        let lenses = point.lenses.map(|of| if of == lens { changed.as_ref() } else { self.lenses[of].as_ref() });
                        self.of_point(point, lenses)
                    };
                    let (less, more) = (with(&less), with(&more));
                    for part in 0..4 {
                        matrix[(row * 4 + part, first + index)] = (more[part] - less[part]) / (2.0 * step);
                    }
                }
            }
        }
        for (row, (column, factor)) in self.priors.iter().enumerate() {
            matrix[(self.points.len() * 4 + row, *column)] = *factor;
        }
        Some(matrix)
    }
}

/// Adjusts the lenses of a rig to control points.
///
/// # Errors
/// [`CalibrateError`] if the rig is unusable, a point's lens does not exist, there are fewer equations than unknowns, or the solver finds no
/// way.
pub fn adjust(rig: &Rig, points: &[ControlPoint], settings: &BundleSettings) -> Result<Adjusted, CalibrateError> {
    rig.validate()?;
    settings.surface.validate()?;
    if settings.free.translation && settings.surface == Surface::Infinity {
        let reason = "cannot be free while everything is infinitely far away: say at which distance things are".to_owned();
        return Err(CalibrateError::Setting { setting: "translation", reason });
    }
    if settings.anchor >= rig.lenses.len() {
        let reason = format!("is lens {}, but the rig has {} lenses, counted from 0", settings.anchor, rig.lenses.len());
        return Err(CalibrateError::Setting { setting: "anchor", reason });
    }
    if let Some(point) = points.iter().find(|point| point.lenses.iter().any(|lens| *lens >= rig.lenses.len())) {
        let reason = format!("a control point joins the lenses {:?}, but the rig has {}", point.lenses, rig.lenses.len());
        return Err(CalibrateError::ControlPoints { file: rig.name.clone(), reason });
    }
    if let Some(prior) = settings.prior
        && ![prior.point_px, prior.angle_deg, prior.focal, prior.center, prior.distortion, prior.translation_m]
            .iter()
            .all(|sigma| *sigma > 0.0)
    {
        let reason = format!("is {prior:?}: standard deviations must be above 0");
        return Err(CalibrateError::Setting { setting: "prior", reason });
    }
    let problem = Problem::new(rig, points, settings);
    let unknowns = problem.values.len();
    // What a point says both ways is nearly the same.
    if points.len() * 2 + problem.priors.len() < unknowns || unknowns == 0 {
        return Err(CalibrateError::TooLittle {
            found: format!("{} control points", points.len()),
            reason: format!("{unknowns} numbers are looked for, which takes at least {}", unknowns.div_ceil(2)),
        });
    }
    let half_square = |problem: &Problem| problem.residuals().map_or(f64::NAN, |residuals| residuals.norm_squared() / 2.0);
    let before = half_square(&problem);
    let (problem, report) =
        LevenbergMarquardt::new().with_ftol(1e-10).with_xtol(1e-10).with_gtol(1e-12).with_patience(40).minimize(problem);
    let after = half_square(&problem);
    // Running out of patience is no failure if it got better on the way.
    if !after.is_finite() || after > before || report.termination.was_usage_issue() {
        return Err(CalibrateError::Diverged { reason: format!("{:?}", report.termination) });
    }
    let lenses = (0..rig.lenses.len()).map(|lens| problem.rig_lens(lens, problem.own(lens))).collect();
    let rig = Rig { lenses, ..rig.clone() };
    rig.validate()?;
    Ok(Adjusted {
        angle_sigma_deg: angle_sigmas(&problem, after),
        rig,
        cost: [before, after],
        evaluations: report.number_of_evaluations,
    })
}

/// Standard deviations of the turns from the curvature at the solution.
fn angle_sigmas(problem: &Problem, cost: f64) -> Vec<f64> {
    let unknowns = problem.values.len();
    let freedom = (problem.points.len() * 2).saturating_sub(unknowns).max(1) as f64;
    let covariance = problem.jacobian().and_then(|jacobian| {
        let normal = jacobian.tr_mul(&jacobian);
        let inverse = normal.cholesky().map(|factor| factor.inverse());
        inverse.filter(|inverse| inverse.iter().all(|value| value.is_finite()))
    });
    let sigma = |lens: usize| {
        let first = problem.column(lens);
        let turns = problem.parameters[lens].iter().enumerate().filter(|(_, parameter)| matches!(parameter, Parameter::Turn(_)));
        let variance =
            turns.map(|(index, _)| covariance.as_ref().map_or(f64::INFINITY, |matrix| matrix[(first + index, first + index)]));
        // Both ways of a point count as one.
        (variance.fold(0.0, f64::max) * 2.0 * cost / freedom).sqrt().to_degrees()
    };
    (0..problem.start.len()).map(sigma).collect()
}
