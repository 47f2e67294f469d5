//! A rig's calibration from what its overlapping pictures have in common.

use super::{
    BundleSettings, CalibrateError, ControlPoint, Free, Prior, Surface, adjust,
    bundle::residual,
    consensus::consensus,
    features::{Feature, View},
    matching,
    overlap::{Disagreement, overlap_luma},
    picture::{self, GrayPicture, LensPicture},
};
use crate::rig::{PreparedRig, Rig};
use bevy::math::{DVec2, DVec3};
use serde::Serialize;

/// Matches that two lenses must have in common at least, and more where many pairs may agree by chance.
const LEAST_MATCHES: usize = 8;
/// A lens that is more black or white than this says too little.
const LARGEST_UNUSABLE: f64 = 0.9;
/// A direction less certain than this is not taken.
const LARGEST_SIGMA_DEG: f64 = 1.0;

/// How much larger the root mean square of what was held out may become while its median falls: matches that are none.
const LARGEST_RMS_RATIO: f64 = 1.25;

/// How a rig is refined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefineSettings {
    /// What may change besides directions.
    pub free: Free,
    /// Where what the lenses see is.
    pub surface: Surface,
    /// How far the rig's directions may be off, in degrees, 0.1 to 20.
    pub search_deg: f64,
    /// How far matches may disagree with each other, in degrees, above 0 and at most 5: what parallax makes of them.
    pub agree_deg: f64,
    /// Residuals beyond this many pixels count less and less, above 0.
    pub robust_px: f64,
    /// How sure one is of the rig that is started from.
    pub prior: Prior,
    /// The lens that keeps its direction.
    pub anchor: usize,
    /// The largest side at which features are looked for in pictures, in pixels, 64 to 8192.
    pub largest_px: u32,
}

impl Default for RefineSettings {
    fn default() -> Self {
        Self {
            free: Free::default(),
            surface: Surface::Infinity,
            search_deg: 5.0,
            agree_deg: 0.75,
            robust_px: 1.0,
            prior: Prior::default(),
            anchor: 0,
            largest_px: 2048,
        }
    }
}

impl RefineSettings {
    fn validate(&self) -> Result<(), CalibrateError> {
        let fail = |setting, reason: String| Err(CalibrateError::Setting { setting, reason });
        if !(0.1..=20.0).contains(&self.search_deg) {
            return fail("search_deg", format!("is {}: it must be 0.1 to 20 degrees", self.search_deg));
        }
        if !(self.agree_deg > 0.0 && self.agree_deg <= 5.0) {
            return fail("agree_deg", format!("is {}: it must be above 0 and at most 5 degrees", self.agree_deg));
        }
        if !(self.robust_px > 0.0 && self.robust_px.is_finite()) {
            return fail("robust_px", format!("is {}: it must be above 0", self.robust_px));
        }
        if !(64..=8192).contains(&self.largest_px) {
            return fail("largest_px", format!("is {}: it must be 64 to 8192", self.largest_px));
        }
        self.surface.validate()
    }
}

/// Lengths of residuals, in pixels of the rig's pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Residuals {
    /// How many.
    pub count: usize,
    /// Half are smaller.
    pub median_px: f64,
    /// Nine in ten are smaller.
    pub p90_px: f64,
    /// The root of the mean square.
    pub rms_px: f64,
}

impl Residuals {
    /// Of the lengths of residuals in pixels.
    pub fn of(lengths: impl IntoIterator<Item = f64>) -> Self {
        let mut lengths: Vec<f64> = lengths.into_iter().collect();
        lengths.sort_by(f64::total_cmp);
        let at =
            |share: f64| lengths.get(((lengths.len() as f64 * share) as usize).min(lengths.len().saturating_sub(1))).copied();
        let mean = lengths.iter().map(|length| length * length).sum::<f64>() / lengths.len().max(1) as f64;
        Self { count: lengths.len(), median_px: at(0.5).unwrap_or(0.0), p90_px: at(0.9).unwrap_or(0.0), rms_px: mean.sqrt() }
    }
}

/// A match and how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The pixels.
    pub point: ControlPoint,
    /// From the second pixel to where the rig says that it should be, before and after, in pixels.
    pub offsets_px: [DVec2; 2],
    /// Whether the rig was fitted without it.
    pub held_out: bool,
}

/// What became of a lens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LensReport {
    /// Its name.
    pub name: String,
    /// Matches that it has with others.
    pub matches: usize,
    /// How well they fit before and after.
    pub residuals: [Residuals; 2],
    /// How far its direction changed, in degrees.
    pub turned_deg: f64,
    /// How sure the direction is: one standard deviation in degrees; `None` for the lens that keeps it and for lenses that are as they were.
    pub sigma_deg: Option<f64>,
    /// Why it is as it was; empty where it was refined.
    pub kept: String,
}

/// A refined rig and how well it fits.
#[derive(Clone, Debug)]
pub struct Refinement {
    /// The rig: what could not be improved is as it was.
    pub rig: Rig,
    /// All matches.
    pub matches: Vec<Match>,
    /// What became of each lens.
    pub lenses: Vec<LensReport>,
    /// Matches that were fitted to, before and after.
    pub fitted: [Residuals; 2],
    /// Matches that were not, before and after: every third.
    pub held_out: [Residuals; 2],
    /// How much lenses disagree where they overlap, before and after.
    pub overlap: [Disagreement; 2],
    /// What to look at.
    pub warnings: Vec<String>,
}

/// Refines a rig's directions, and what else is free, from one picture of each of its cameras, taken at the same moment. `tell` is told what is
/// being done.
///
/// # Errors
/// [`CalibrateError`] if pictures do not belong to the rig, or too little was found in them. What concerns only some of the lenses is in the
/// report, and these stay as they are.
pub fn refine_rig(
    rig: &Rig,
    pictures: &[GrayPicture],
    settings: &RefineSettings,
    tell: &mut dyn FnMut(&str),
) -> Result<Refinement, CalibrateError> {
    settings.validate()?;
    let start = PreparedRig::new(rig)?;
    if rig.lenses.len() < 2 {
        let reason = "a rig of one lens overlaps with nothing; `calibrate lens` finds its model from a board".to_owned();
        return Err(CalibrateError::TooLittle { found: "one lens".to_owned(), reason });
    }
    if settings.anchor >= rig.lenses.len() {
        let reason = format!("is lens {}, but the rig has {} lenses, counted from 0", settings.anchor, rig.lenses.len());
        return Err(CalibrateError::Setting { setting: "anchor", reason });
    }
    let pictures = picture::of_rig(rig, pictures, settings.largest_px)?;
    let mut warnings = Vec::new();
    let mut kept: Vec<String> = vec![String::new(); rig.lenses.len()];
    for (index, lens) in start.lenses.iter().enumerate() {
        let [black, white] = pictures[lens.picture].unusable(lens);
        for (share, what) in [(black, "black: is its cap on"), (white, "overexposed: film it again with less light")] {
            if share > LARGEST_UNUSABLE {
                kept[index] = format!("{:.0} % of its picture is {what}", share * 100.0);
            } else if share > 0.5 {
                warnings.push(format!("“{}”: {:.0} % of its picture is {what}", rig.lenses[index].name, share * 100.0));
            }
        }
    }
    let finder = Finder { pictures: &pictures, settings, kept: &kept };
    tell("looking for what lenses have in common");
    let first = finder.matches(rig, settings.search_deg)?;
    let bundle = |robust_px| BundleSettings {
        free: Free { translation: settings.free.translation, ..Free::default() },
        surface: settings.surface,
        anchor: settings.anchor,
        robust_px: Some(robust_px),
        prior: Some(settings.prior),
    };
    let is_lonely = |index: usize| kept[index].is_empty() && !first.iter().any(|point| point.lenses.contains(&index));
    if first.len() < LEAST_MATCHES || (0..rig.lenses.len()).any(is_lonely) {
        let exchanged = exchanged_pictures(rig, &finder, first.len());
        if exchanged.is_some() || first.len() < LEAST_MATCHES {
            return Err(nothing_in_common(&finder, first.len(), exchanged));
        }
    }
    tell(&format!("{} matches: adjusting", first.len()));
    // Directions and places first: what they explain must not end up in the lenses.
    let poses = Free { translation: settings.free.translation, ..Free::default() };
    let coarse = adjust(rig, &first, &BundleSettings { free: poses, ..bundle(settings.robust_px * 4.0) })?;
    tell("looking again, closer by");
    let mut second = finder.matches(&coarse.rig, (settings.search_deg / 4.0).clamp(0.5, settings.search_deg))?;
    if second.len() < first.len() / 2 {
        second = first;
    }
    let is_held_out = |index: usize| index % 3 == 2;
    let fitted: Vec<ControlPoint> =
        second.iter().enumerate().filter(|(index, _)| !is_held_out(*index)).map(|(_, point)| *point).collect();
    tell(&format!("{} matches, {} of them held out: adjusting", second.len(), second.len() - fitted.len()));
    for (index, reason) in kept.iter_mut().enumerate() {
        if reason.is_empty() && !second.iter().any(|point| point.lenses.contains(&index)) {
            *reason = "it has no matches with other lenses".to_owned();
        }
    }
    let mut free = settings.free;
    let (refined, sigma_deg) = loop {
        // Lenses that stay as they are have no say.
        let points: Vec<ControlPoint> =
            fitted.iter().filter(|point| point.lenses.iter().all(|lens| kept[*lens].is_empty())).copied().collect();
        if points.len() < LEAST_MATCHES {
            break (rig.clone(), vec![0.0; rig.lenses.len()]);
        }
        let close = adjust(rig, &points, &BundleSettings { free: poses, ..bundle(settings.robust_px * 4.0) })?;
        let mut adjusted = adjust(&close.rig, &points, &bundle(settings.robust_px))?;
        if free != poses {
            adjusted = adjust(&adjusted.rig, &points, &BundleSettings { free, ..bundle(settings.robust_px) })?;
        }
        let uncertain = |lens: &usize| {
            *lens != settings.anchor && kept[*lens].is_empty() && adjusted.angle_sigma_deg[*lens] > LARGEST_SIGMA_DEG
        };
        let worst = (0..rig.lenses.len())
            .filter(uncertain)
            .max_by(|a, b| adjusted.angle_sigma_deg[*a].total_cmp(&adjusted.angle_sigma_deg[*b]));
        let Some(worst) = worst else { break (adjusted.rig, adjusted.angle_sigma_deg) };
        let sigma = adjusted.angle_sigma_deg[worst];
        if free == poses {
            kept[worst] = format!("its matches leave its direction open by {sigma:.2}°");
        } else {
            let name = &rig.lenses[worst].name;
            warnings.push(format!(
                "focal lengths, centres and distortion are as they were: with them, matches leave the direction of “{name}” open by {sigma:.2}°"
            ));
            free = poses;
        }
    };
    let mut refined = refined;
    for (index, lens) in rig.lenses.iter().enumerate() {
        if !kept[index].is_empty() {
            refined.lenses[index] = lens.clone();
            warnings.push(format!("“{}” is as it was: {}", lens.name, kept[index]));
        }
    }
    let mut refinement = report(rig, refined, &second, is_held_out, settings, &kept, &sigma_deg, warnings)?;
    let [before, after] = refinement.held_out;
    if before.count > 0 && (after.median_px > before.median_px || after.rms_px > before.rms_px * LARGEST_RMS_RATIO) {
        let warning = format!(
            "the rig is as it was: refined, what was held out fits within {:.2} px (RMS {:.2}), and unrefined within {:.2} px ({:.2})",
            after.median_px, after.rms_px, before.median_px, before.rms_px
        );
        let mut warnings = refinement.warnings;
        warnings.push(warning.clone());
        let kept = vec![warning; rig.lenses.len()];
        refinement = report(rig, rig.clone(), &second, is_held_out, settings, &kept, &sigma_deg, warnings)?;
    }
    tell("comparing overlaps");
    refinement.overlap = overlap_luma([rig, &refinement.rig], &pictures, &settings.surface)?;
    Ok(refinement)
}

/// Finds matches in the pictures of a rig.
struct Finder<'a> {
    pictures: &'a [LensPicture],
    settings: &'a RefineSettings,
    /// Lenses that are left out have a reason.
    kept: &'a [String],
}

impl Finder<'_> {
    /// The matches of all pairs of lenses that agree with each other.
    fn matches(&self, rig: &Rig, search_deg: f64) -> Result<Vec<ControlPoint>, CalibrateError> {
        let prepared = PreparedRig::new(rig)?;
        // One size for all: features are compared, and the coarsest lens decides.
        let pixel_deg = prepared
            .lenses
            .iter()
            .map(|lens| 1.0 / (lens.projector.px_per_deg() * self.pictures[lens.picture].scale.min_element()))
            .fold(0.0, f64::max);
        let view = |index: usize| {
            let lens = &prepared.lenses[index];
            let picture = &self.pictures[lens.picture];
            View { lens, picture, surface: &self.settings.surface, pixel_rad: pixel_deg.to_radians() }
        };
        let features: Vec<Vec<Feature>> = (0..prepared.lenses.len())
            .map(|index| {
                if !self.kept[index].is_empty() {
                    return Vec::new();
                }
                let overlaps = |point: DVec3| {
                    prepared.lenses.iter().enumerate().any(|(other, lens)| {
                        let seen = self.settings.surface.project(lens, point).map(|pixel| lens.edge_deg(pixel));
                        other != index && seen.is_some_and(|edge_deg| edge_deg > -search_deg / 2.0)
                    })
                };
                view(index).features(overlaps)
            })
            .collect();
        let mut points = Vec::new();
        for first in 0..features.len() {
            for second in first + 1..features.len() {
                points.extend(self.pair(
                    [first, second],
                    [&view(first), &view(second)],
                    [&features[first], &features[second]],
                    search_deg,
                ));
            }
        }
        Ok(points)
    }

    fn pair(&self, lenses: [usize; 2], views: [&View; 2], features: [&[Feature]; 2], search_deg: f64) -> Vec<ControlPoint> {
        let pairs = matching::pairs(features[0], features[1], views[0], search_deg.to_radians());
        let found: Vec<(ControlPoint, [DVec3; 2])> = pairs
            .into_iter()
            .filter_map(|(a, b)| {
                let point = matching::control_point(lenses, views, [&features[0][a], &features[1][b]])?;
                let on_surface = self.settings.surface.point(views[1].lens, point.pixels[1])?;
                Some((point, [features[0][a].point, on_surface]))
            })
            .collect();
        let places: Vec<[DVec3; 2]> = found.iter().map(|(_, places)| *places).collect();
        let agree = consensus(&self.settings.surface, &places, self.settings.agree_deg.to_radians());
        let agreeing: Vec<ControlPoint> =
            found.iter().zip(&agree).filter(|(_, agrees)| **agrees).map(|((point, _), _)| *point).collect();
        // Where the search is much wider than what may disagree, many pairs that agree by chance are a small share of all.
        let share = (self.settings.agree_deg / search_deg).powi(2);
        let needed = if share < 0.1 { LEAST_MATCHES.max((3.0 * share * found.len() as f64) as usize) } else { LEAST_MATCHES };
        if agreeing.len() < needed { Vec::new() } else { agreeing }
    }
}

/// Two pictures with which far more matches are found when they are exchanged.
fn exchanged_pictures(rig: &Rig, finder: &Finder, found: usize) -> Option<[usize; 2]> {
    for first in 0..rig.pictures.len() {
        for second in first + 1..rig.pictures.len() {
            if rig.pictures[first] != rig.pictures[second] {
                continue;
            }
            let mut exchanged = rig.clone();
            for lens in &mut exchanged.lenses {
                if lens.picture as usize == first {
                    lens.picture = second as u32;
                } else if lens.picture as usize == second {
                    lens.picture = first as u32;
                }
            }
            let matches = finder.matches(&exchanged, finder.settings.search_deg).map_or(0, |points| points.len());
            if matches >= 2 * LEAST_MATCHES && matches > 2 * found {
                return Some([first, second]);
            }
        }
    }
    None
}

/// Why too little could be matched.
fn nothing_in_common(finder: &Finder, found: usize, exchanged: Option<[usize; 2]>) -> CalibrateError {
    let found = format!("{found} matches between overlapping lenses");
    if let Some([first, second]) = exchanged {
        let reason = format!("pictures {first} and {second} (counted from 0) seem to be exchanged: give them in the rig's order");
        return CalibrateError::TooLittle { found, reason };
    }
    let settings = finder.settings;
    let dark = finder.kept.iter().filter(|reason| !reason.is_empty()).count();
    let reason = if dark > 0 {
        format!("{dark} of the lenses are black or overexposed: light the scene, and film it again")
    } else {
        format!(
            "at least {LEAST_MATCHES} are needed. The pictures must be of the same moment, their overlaps show something with detail, and the rig \
             be right within {}°: give a wider search if it is not",
            settings.search_deg
        )
    };
    CalibrateError::TooLittle { found, reason }
}

/// How well a rig fits matches.
fn report(
    before: &Rig,
    after: Rig,
    points: &[ControlPoint],
    is_held_out: impl Fn(usize) -> bool,
    settings: &RefineSettings,
    kept: &[String],
    sigma_deg: &[f64],
    warnings: Vec<String>,
) -> Result<Refinement, CalibrateError> {
    let prepared = [PreparedRig::new(before)?, PreparedRig::new(&after)?];
    let offset = |rig: &PreparedRig, point: &ControlPoint| {
        let [a, b] = point.lenses.map(|lens| &rig.lenses[lens]);
        residual(&settings.surface, a, b, point.pixels).unwrap_or(DVec2::splat(f64::INFINITY))
    };
    let residuals = |wanted: &dyn Fn(usize, &ControlPoint) -> bool| {
        [0, 1].map(|side| {
            let chosen = points.iter().enumerate().filter(|(index, point)| wanted(*index, point));
            Residuals::of(chosen.map(|(_, point)| point.residual_px(&prepared[side], &settings.surface)))
        })
    };
    let lenses = before.lenses.iter().zip(&after.lenses).enumerate();
    let lenses = lenses
        .map(|(index, (old, new))| {
            let turn = old.orientation.rig_from_lens().transpose() * new.orientation.rig_from_lens();
            let angle = bevy::math::DQuat::from_mat3(&turn).to_axis_angle().1.to_degrees();
            let of_lens = residuals(&|_, point: &ControlPoint| point.lenses.contains(&index));
            LensReport {
                name: old.name.clone(),
                matches: of_lens[0].count,
                residuals: of_lens,
                turned_deg: angle.min(360.0 - angle),
                sigma_deg: (index != settings.anchor && kept[index].is_empty()).then_some(sigma_deg[index]),
                kept: kept[index].clone(),
            }
        })
        .collect();
    let matches = points.iter().enumerate().map(|(index, point)| Match {
        point: *point,
        offsets_px: [0, 1].map(|side| offset(&prepared[side], point)),
        held_out: is_held_out(index),
    });
    Ok(Refinement {
        matches: matches.collect(),
        lenses,
        fitted: residuals(&|index, _| !is_held_out(index)),
        held_out: residuals(&|index, _| is_held_out(index)),
        overlap: [Disagreement::default(); 2],
        warnings,
        rig: after,
    })
}
