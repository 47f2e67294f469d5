//! Finding where seams should run, over time.

use super::{Border, SeamOffsets, border::ROWS, path::cheapest};
use crate::{rig::PreparedLens, stitch::watch::PatchColor};
use bevy::math::Vec3;
use std::time::Duration;

/// What every cell costs: differences well below it, such as noise, decide nothing.
const FLOOR: f32 = 0.012;
/// What lenses that differ cost, beside code values of difference; detail, as it may be displaced; and what moves.
const DETAIL: f32 = 0.25;
const MOTION: f32 = 3.0;
/// Changes from one measurement to the next below this are noise, in code values.
const MOTION_NOISE: f32 = 0.012;
/// How long what moved is remembered, in seconds.
const MEMORY_S: f32 = 0.4;
/// What the rows at the band's edges cost more than its middle.
const EDGE: f32 = 0.015;
/// How long a seam takes to glide most of its way, in seconds.
const GLIDE_S: f64 = 0.2;
/// A seam this near to its aim, in degrees, is there.
const THERE_DEG: f32 = 0.02;

/// A cell of a border that both lenses see.
#[derive(Clone, Copy, Debug)]
pub(in crate::stitch) struct BorderCell {
    pub border: usize,
    pub column: usize,
    pub row: usize,
    /// Which of the comparisons it is.
    pub comparison: usize,
    /// The offset of a seam through its middle, in degrees.
    pub offset_deg: f32,
}

struct Line {
    lenses: [usize; 2],
    columns: usize,
    /// Rows that the fade across the seam reaches to both sides.
    reach: usize,
    way: Option<Vec<Option<usize>>>,
    aim_deg: Vec<f32>,
    offsets_deg: Vec<f32>,
}

/// The seams of a rig.
pub(in crate::stitch) struct SeamFinder {
    lines: Vec<Line>,
    cells: Vec<BorderCell>,
    /// For each cell, how much it moved lately.
    motion: Vec<f32>,
    last: Option<(Duration, Vec<[Vec3; 2]>)>,
    glided_at: Option<Duration>,
    /// Whether the first way was found, and nobody was told.
    is_new: bool,
    /// Whether there were seams before: the first way is then glided to.
    goes_on: bool,
}

/// What both lenses show of a cell, with their gains: gamma-coded colours, and how much detail is in them.
pub(in crate::stitch) struct Seen {
    pub colors: [Vec3; 2],
    pub detail: f32,
}

impl SeamFinder {
    /// For seams that fade over so many degrees to both sides.
    pub fn new(borders: &[Border], cells: Vec<BorderCell>, fade_deg: f64) -> Self {
        let line = |border: &Border| Line {
            lenses: border.lenses,
            columns: border.columns,
            reach: ((fade_deg / border.row_deg()).round() as usize).clamp(1, ROWS / 3),
            way: None,
            aim_deg: vec![0.0; border.columns],
            offsets_deg: vec![0.0; border.columns],
        };
        Self {
            lines: borders.iter().map(line).collect(),
            motion: vec![0.0; cells.len()],
            cells,
            last: None,
            glided_at: None,
            is_new: false,
            goes_on: false,
        }
    }

    /// Begins with the seams of another calibration of the same lenses, and glides from there.
    pub fn go_on_from(&mut self, before: &Self) {
        for line in &mut self.lines {
            let same = |other: &&Line| (other.lenses, other.columns) == (line.lenses, line.columns);
            if let Some(other) = before.lines.iter().find(same) {
                line.aim_deg.clone_from(&other.aim_deg);
                line.offsets_deg.clone_from(&other.offsets_deg);
                self.goes_on = before.last.is_some();
            }
        }
        self.glided_at = before.glided_at;
    }

    /// Takes in what was measured at a moment.
    pub fn find(&mut self, seen: impl Fn(usize) -> Seen, at: Duration) {
        let seen: Vec<Seen> = self.cells.iter().map(|cell| seen(cell.comparison)).collect();
        let colors = seen.iter().map(|seen| seen.colors).collect();
        let is_first = self.last.is_none() && !self.goes_on;
        self.is_new |= is_first;
        if let Some((last_at, last)) = self.last.replace((at, colors)) {
            let passed_s = at.checked_sub(last_at).map_or(0.0, |passed| passed.as_secs_f32());
            let fade = (-passed_s / MEMORY_S).exp();
            for ((motion, seen), last) in self.motion.iter_mut().zip(&seen).zip(&last) {
                let moved = [0, 1].map(|side| (seen.colors[side] - last[side]).abs().max_element());
                *motion = (*motion * fade).max(moved[0].max(moved[1]) - MOTION_NOISE).max(0.0);
            }
        }
        for (index, line) in self.lines.iter_mut().enumerate() {
            let mut costs = vec![f32::INFINITY; line.columns * ROWS];
            let mut offsets = vec![0.0; costs.len()];
            for ((cell, seen), motion) in
                self.cells.iter().zip(&seen).zip(&self.motion).filter(|((cell, ..), _)| cell.border == index)
            {
                let difference = (seen.colors[0] - seen.colors[1]).abs().element_sum() / 3.0;
                let beside = (2 * cell.row + 1) as f32 / ROWS as f32 - 1.0;
                let at = cell.column * ROWS + cell.row;
                costs[at] = FLOOR + difference + DETAIL * seen.detail + MOTION * motion + EDGE * beside * beside;
                offsets[at] = cell.offset_deg;
            }
            let way = cheapest(&spread(&costs, line.reach), ROWS, line.way.as_deref());
            for (column, row) in way.iter().enumerate() {
                line.aim_deg[column] = row.map_or(0.0, |row| offsets[column * ROWS + row]);
            }
            line.way = Some(way);
            if is_first {
                line.offsets_deg.clone_from(&line.aim_deg);
            }
        }
    }

    /// Lets the seams glide to where they should be at a moment. Says whether they moved.
    pub fn glide(&mut self, at: Duration) -> bool {
        let passed = self.glided_at.replace(at).and_then(|last| at.checked_sub(last));
        let share = passed.map_or(0.0, |passed| 1.0 - (-passed.as_secs_f64() / GLIDE_S).exp()) as f32;
        let mut moved = core::mem::take(&mut self.is_new);
        for line in &mut self.lines {
            for (offset, aim) in line.offsets_deg.iter_mut().zip(&line.aim_deg) {
                let way = aim - *offset;
                if way == 0.0 || share == 0.0 {
                    continue;
                }
                *offset = if way.abs() < THERE_DEG { *aim } else { *offset + share * way };
                moved = true;
            }
        }
        moved
    }

    /// Where the seams run now.
    pub fn offsets(&self) -> Vec<SeamOffsets<'_>> {
        self.lines.iter().map(|line| SeamOffsets { lenses: line.lenses, degrees: &line.offsets_deg }).collect()
    }
}

/// A seam is not a line but a fade: a cell costs something of the worst that the fade reaches.
fn spread(costs: &[f32], reach: usize) -> Vec<f32> {
    let spread = |(index, cost): (usize, &f32)| {
        let (first, row) = (index - index % ROWS, index % ROWS);
        let near = &costs[first + row.saturating_sub(reach)..first + (row + reach + 1).min(ROWS)];
        let worst = near.iter().copied().filter(|cost| cost.is_finite()).fold(*cost, f32::max);
        0.5 * (cost + worst)
    };
    costs.iter().enumerate().map(spread).collect()
}

impl Seen {
    /// Of what was measured: the two patches, and what to multiply their light by.
    pub fn new(patches: [PatchColor; 2], gains: [Vec3; 2]) -> Self {
        let colors = core::array::from_fn(|side| {
            (Vec3::from_array(patches[side].light) * gains[side]).powf(1.0 / PreparedLens::GAMMA as f32)
        });
        Self { colors, detail: patches[0].detail.max(patches[1].detail) }
    }
}
