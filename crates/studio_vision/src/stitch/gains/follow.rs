//! Gains over time: they follow what is measured, and stay where nothing can be.

use super::solve::{Difference, solve_blocks, solve_lenses};
use crate::stitch::watch::{Overlaps, PatchColor};
use bevy::math::Vec3;
use std::time::Duration;

/// Farthest that gains go from the rig's own, as a logarithm of light: two stops.
const FARTHEST: f64 = 2.0 * core::f64::consts::LN_2;
/// Quickest change of a gain, as a logarithm of light a second: half a stop.
const QUICKEST_PER_S: f64 = 0.5 * core::f64::consts::LN_2;
/// Longest time that one step makes up for.
const LONGEST_STEP_S: f64 = 0.5;
/// A lens with fewer patches that both it and a neighbour see is not measured.
const FEWEST_PATCHES: usize = 12;
/// A patch counts if so much of it is neither black nor clipped, in both lenses.
const USABLE: f32 = 0.99;
/// A colour of less light says nothing of gains.
const DARKEST_LIGHT: f32 = 0.003;
/// A change of both lenses' light, as a logarithm, in half of all patches: another scene.
const CUT: f32 = 0.25;

/// A lens with less mean light is black, if another has at least four times as much.
const BLACK_LIGHT: f32 = 0.0015;
/// A lens is overexposed if no more than this share of it is neither black nor clipped, and it is this bright.
const CLIPPED: (f32, f32) = (0.1, 0.6);
/// How long a lens is bad before it is out.
const OUT_AFTER_S: f64 = 0.3;
/// How long a lens stands still, to the last bit, while others move before it is out: no camera's noise does.
const FROZEN_AFTER_S: f64 = 3.0;
/// How long a lens has to stand still before its gain is held.
const HELD_AFTER_S: f64 = 0.5;
/// How long a lens is good before it is back.
const BACK_AFTER_S: f64 = 0.5;

/// How a lens fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LensHealth {
    /// It delivers a picture.
    #[default]
    Good,
    /// It is black while others are not.
    Black,
    /// It shows nearly nothing but white.
    Overexposed,
    /// Its picture stands still, to the last bit, while those of other cameras move.
    Frozen,
}

impl LensHealth {
    /// What to tell people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Good => "delivers a picture",
            Self::Black => "is black: look for its cap, cable and power",
            Self::Overexposed => "is overexposed: shorten its exposure",
            Self::Frozen => "stands still while others move: look for its cable and power",
        }
    }
}

#[derive(Clone, Copy, Default)]
struct LensState {
    health: LensHealth,
    /// What it seems to be right now, and for how long.
    seems: LensHealth,
    seems_s: f64,
    still_s: f64,
}

/// The gains in use.
pub(in crate::stitch) struct Follower {
    /// For red, green and blue, the logarithm of each lens's gain of light.
    lenses: [Vec<f64>; 3],
    /// What each block adds; empty without blocks.
    blocks: [Vec<f64>; 3],
    side: usize,
    /// None: gains stay as the rig's.
    settle_s: Option<f64>,
    has_started: bool,
    states: Vec<LensState>,
    health: Vec<LensHealth>,
    last: Option<(Duration, Vec<PatchColor>)>,
}

impl Follower {
    /// Starts with the rig's own gains, and stays there without a time to settle in. Without blocks, `side` is 1.
    pub fn new(lenses: usize, side: usize, settle_s: Option<f32>) -> Self {
        let blocks = if side > 1 { lenses * side * side } else { 0 };
        Self {
            lenses: core::array::from_fn(|_| vec![0.0; lenses]),
            blocks: core::array::from_fn(|_| vec![0.0; blocks]),
            side,
            settle_s: settle_s.map(f64::from),
            has_started: false,
            states: vec![LensState::default(); lenses],
            health: vec![LensHealth::Good; lenses],
            last: None,
        }
    }

    /// Takes the gains and the lenses' health from another of the same rig.
    pub fn go_on_from(&mut self, before: &Self) {
        self.states.clone_from(&before.states);
        self.health.clone_from(&before.health);
        if self.settle_s.is_none() {
            return;
        }
        self.lenses.clone_from(&before.lenses);
        if self.side == before.side {
            self.blocks.clone_from(&before.blocks);
        }
        self.has_started = before.has_started;
    }

    /// Takes in what was measured at a moment. Says whether a lens dropped out or came back.
    pub fn follow(&mut self, overlaps: &Overlaps, colors: &[PatchColor], at: Duration) -> bool {
        if colors.len() < overlaps.patches.len() {
            return false;
        }
        let last = self.last.replace((at, colors.to_vec()));
        let passed = last.as_ref().and_then(|(last, _)| at.checked_sub(*last)).map_or(0.0, |passed| passed.as_secs_f64());
        let passed_s = passed.min(LONGEST_STEP_S);
        let last = last.map(|(_, colors)| colors);
        let changed = self.examine(overlaps, colors, last.as_deref(), passed_s);
        if let Some(settle_s) = self.settle_s
            && last.is_none_or(|last| !is_cut(overlaps, colors, &last))
        {
            self.approach(overlaps, colors, passed_s, settle_s);
        }
        changed
    }

    /// Logarithm of a lens's gain, for red, green and blue light.
    pub fn lens_gain(&self, lens: usize) -> Vec3 {
        Vec3::from_array(core::array::from_fn(|channel| self.lenses[channel][lens] as f32))
    }

    /// Logarithms of what the blocks add, lens after lens and row after row; none without blocks.
    pub fn blocks(&self) -> Option<Vec<Vec3>> {
        let [red, green, blue] = &self.blocks;
        let blocks =
            red.iter().zip(green).zip(blue).map(|((red, green), blue)| Vec3::new(*red as f32, *green as f32, *blue as f32));
        (self.side > 1).then(|| blocks.collect())
    }

    /// How the lenses fare.
    pub fn health(&self) -> &[LensHealth] {
        &self.health
    }

    /// Moves the gains towards those that explain what was measured.
    fn approach(&mut self, overlaps: &Overlaps, colors: &[PatchColor], passed_s: f64, settle_s: f64) {
        let usable: Vec<_> = (overlaps.comparisons.iter())
            .filter(|comparison| {
                comparison.lenses.iter().all(|lens| self.states[*lens].counts())
                    && comparison.patches.iter().all(|patch| colors[*patch as usize].usable >= USABLE)
            })
            .collect();
        let mut counts = vec![0; self.states.len()];
        usable.iter().flat_map(|comparison| comparison.lenses).for_each(|lens| counts[lens] += 1);
        let is_measured = |lens: usize| counts[lens] >= FEWEST_PATCHES;
        if !(0..counts.len()).any(is_measured) {
            return;
        }
        let all = (0..counts.len()).all(is_measured);
        // Without one of the lenses the others' mean is no longer the rig's: then they stay around where they are.
        let share = if self.has_started && settle_s > 0.0 { 1.0 - (-passed_s / settle_s).exp() } else { 1.0 };
        let most = if self.has_started { QUICKEST_PER_S * passed_s } else { f64::INFINITY };
        for channel in 0..3 {
            let differences: Vec<Difference> = (usable.iter())
                .filter(|comparison| comparison.lenses.iter().all(|lens| is_measured(*lens)))
                .filter_map(|comparison| {
                    let light = comparison.patches.map(|patch| colors[patch as usize].light[channel]);
                    let log = |side: usize| f64::from(light[side]).ln() + comparison.known[side][channel];
                    let log_gain = log(1) - log(0);
                    let is_bright = light.iter().all(|light| *light > DARKEST_LIGHT);
                    is_bright.then_some(Difference { lenses: comparison.lenses, places: comparison.places, log_gain })
                })
                .collect();
            let current = &mut self.lenses[channel];
            let wanted = if all { vec![0.0; current.len()] } else { current.clone() };
            let target = solve_lenses(&differences, current, &wanted);
            for (gain, target) in current.iter_mut().zip(&target) {
                let target = target.clamp(-FARTHEST, FARTHEST);
                *gain += ((target - *gain) * share).clamp(-most, most);
            }
            if self.side > 1 {
                let mut better = self.blocks[channel].clone();
                solve_blocks(&differences, &target, self.side, &mut better);
                for (gain, target) in self.blocks[channel].iter_mut().zip(better) {
                    let target = target.clamp(-FARTHEST, FARTHEST);
                    *gain += ((target - *gain) * share).clamp(-most, most);
                }
            }
        }
        self.has_started = true;
    }

    /// Looks at each lens's own patches. Says whether a lens dropped out or came back.
    fn examine(&mut self, overlaps: &Overlaps, colors: &[PatchColor], last: Option<&[PatchColor]>, passed_s: f64) -> bool {
        let own = |lens: usize| overlaps.own[lens].start as usize..overlaps.own[lens].end as usize;
        let mean = |lens: usize| {
            let patches = &colors[own(lens)];
            let sum = patches.iter().fold((0.0, 0.0), |(light, usable), patch| {
                (light + patch.light.iter().sum::<f32>() / 3.0, usable + patch.usable)
            });
            let count = patches.len().max(1) as f32;
            (sum.0 / count, sum.1 / count)
        };
        let lenses = 0..self.states.len();
        let means: Vec<(f32, f32)> = lenses.clone().map(mean).collect();
        let brightest = means.iter().map(|mean| mean.0).fold(0.0, f32::max);
        let picture = |lens: usize| overlaps.pictures.iter().position(|patches| patches.contains(&overlaps.own[lens].start));
        let moves = |lens: usize| last.is_none_or(|last| last[own(lens)] != colors[own(lens)]);
        let mut changed = false;
        for lens in lenses.clone() {
            let (light, usable) = means[lens];
            let others_move = lenses.clone().any(|other| picture(other) != picture(lens) && moves(other));
            let state = &mut self.states[lens];
            match (moves(lens), others_move) {
                (true, _) => state.still_s = 0.0,
                (false, true) => state.still_s += passed_s,
                (false, false) => {}
            }
            let seems = if own(lens).is_empty() {
                LensHealth::Good
            } else if light < BLACK_LIGHT && brightest > 4.0 * BLACK_LIGHT {
                LensHealth::Black
            } else if usable < CLIPPED.0 && light > CLIPPED.1 {
                LensHealth::Overexposed
            } else if state.still_s >= FROZEN_AFTER_S {
                LensHealth::Frozen
            } else {
                LensHealth::Good
            };
            state.seems_s = if seems == state.seems { state.seems_s + passed_s } else { 0.0 };
            state.seems = seems;
            let after_s = match seems {
                LensHealth::Good => BACK_AFTER_S,
                LensHealth::Black | LensHealth::Overexposed => OUT_AFTER_S,
                LensHealth::Frozen => 0.0,
            };
            if seems != state.health && state.seems_s >= after_s {
                state.health = seems;
                self.health[lens] = seems;
                changed = true;
            }
        }
        changed
    }
}

impl LensState {
    /// Whether what the lens shows says anything of its gain.
    fn counts(&self) -> bool {
        self.health == LensHealth::Good && self.seems == LensHealth::Good && self.still_s < HELD_AFTER_S
    }
}

/// Whether most patches changed their light in both lenses since the last measurement.
fn is_cut(overlaps: &Overlaps, colors: &[PatchColor], last: &[PatchColor]) -> bool {
    let luma = |color: &PatchColor| (color.light.iter().sum::<f32>() / 3.0).max(1e-4).ln();
    let mut changes: Vec<f32> = (overlaps.comparisons.iter())
        .map(|comparison| {
            let change = comparison.patches.map(|patch| (luma(&colors[patch as usize]) - luma(&last[patch as usize])).abs());
            change[0].min(change[1])
        })
        .collect();
    if changes.is_empty() {
        return false;
    }
    let middle = changes.len() / 2;
    *changes.select_nth_unstable_by(middle, f32::total_cmp).1 > CUT
}
