//! The bands between neighbouring lenses as pictures: where each lens sees their texels, and which texels of a lens's grid lie in them.

use crate::{
    rig::{PreparedLens, PreparedRig},
    stitch::{
        seams::Border,
        watch::{MARGIN_DEG, two_best},
    },
};
use bevy::math::{DVec2, DVec3, UVec2};
use bytemuck::{Pod, Zeroable};
use core::f64::consts::TAU;

/// Rows of a band, and of one that is wider than so many degrees.
const ROWS: u32 = 64;
const WIDE_ROWS: (f64, u32) = (24.0, 128);
/// The most columns of a band.
const MOST_COLUMNS: u32 = 2048;
/// Columns come in multiples of this, as the levels of the flow's pyramid are exact halves.
const GRANULE: u32 = 16;
/// The largest disparity as a share of a band's height: as far as the flow looks, and short of folding the picture.
const FARTHEST: f64 = 0.375;
/// Columns of a border that lie empty in a row before its ends count as apart, as a share.
const GAP: f64 = 0.08;
/// Bending begins and ends within so many degrees, or this share of an overlap.
const FADE: (f64, f64) = (2.0, 0.2);
/// How far inside of a lens's edge its picture is compared, in degrees: from nothing to all.
const COMPARED_DEG: [f64; 2] = [0.3, 1.0];
/// Texels of a side of the grid over each lens's region that says what is added to texture coordinates.
pub(super) const GRID: u32 = 256;

/// The band around the border of two lenses.
pub(super) struct Strip {
    pub lenses: [usize; 2],
    pub size: UVec2,
    /// Whether its ends meet.
    pub wraps: bool,
    /// The largest disparity in texels.
    pub bound_px: f32,
    border: Border,
    /// Where it begins about the border's axis, and how far it goes, in turns.
    first: f64,
    length: f64,
}

/// A texel of a lens's grid that lies in a band, as in the shader.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Bend {
    texel: u32,
    place: [f32; 2],
    share: f32,
    weight: f32,
}

/// What a band's texels are to its two lenses.
pub(super) struct StripMap {
    /// Texture coordinates in the first lens's picture and in the second's.
    pub places: Vec<[f32; 4]>,
    /// What undoes both vignettings, and how far both see it.
    pub traits: Vec<[f32; 4]>,
}

impl Strip {
    /// All bands of a rig, for a scene at a distance in metres or infinitely far.
    pub fn all(rig: &PreparedRig, distance_m: Option<f64>, max_disparity_deg: f64) -> Vec<Self> {
        let borders = Border::all(rig, distance_m);
        borders.into_iter().filter_map(|border| Self::new(rig, distance_m, max_disparity_deg, border)).collect()
    }

    fn new(rig: &PreparedRig, distance_m: Option<f64>, max_disparity_deg: f64, border: Border) -> Option<Self> {
        let mut used = vec![false; border.columns];
        for (column, row) in border.places() {
            used[column] |= border.offset_deg(rig, border.cell(column, row).0, distance_m).is_some();
        }
        let (first, count) = longest_use(&used)?;
        let columns = border.columns as f64;
        let [low, high] = border.latitudes();
        let height_deg = (high - low).to_degrees();
        let rows = if height_deg > WIDE_ROWS.0 { WIDE_ROWS.1 } else { ROWS };
        let length = count as f64 / columns;
        let across = f64::from(rows) * length * 360.0 * ((low + high) / 2.0).cos() / height_deg;
        let columns_px = ((across as u32).next_multiple_of(GRANULE)).clamp(rows, MOST_COLUMNS);
        let bound_px = (max_disparity_deg / height_deg).min(FARTHEST) * f64::from(rows);
        Some(Self {
            lenses: border.lenses,
            size: UVec2::new(columns_px, rows),
            wraps: count == border.columns,
            bound_px: bound_px as f32,
            first: first as f64 / columns,
            length,
            border,
        })
    }

    /// The direction of a place, in texels, in the rig's frame.
    fn direction(&self, place: DVec2) -> DVec3 {
        let [low, high] = self.border.latitudes();
        let part = place / self.size.as_dvec2();
        self.border.direction((self.first + part.x * self.length) * TAU, low + part.y * (high - low))
    }

    /// Where a direction lies, in texels; none outside of the band.
    fn place(&self, direction: DVec3) -> Option<DVec2> {
        let [low, high] = self.border.latitudes();
        let along = (self.border.along(direction) - self.first).rem_euclid(1.0) / self.length;
        let up = (self.border.latitude(direction) - low) / (high - low);
        // The band's edges were found by samples: a texel may lie a little beyond.
        (along <= 1.0 && (-0.05..=1.05).contains(&up)).then(|| DVec2::new(along, up) * self.size.as_dvec2())
    }

    /// Works out what the lenses see of each texel.
    pub fn map(&self, rig: &PreparedRig, distance_m: Option<f64>) -> StripMap {
        let lenses = self.lenses.map(|lens| &rig.lenses[lens]);
        let mut map = StripMap { places: Vec::new(), traits: Vec::new() };
        for index in 0..self.size.element_product() {
            let place = UVec2::new(index % self.size.x, index / self.size.x).as_dvec2() + 0.5;
            let direction = self.direction(place);
            let seen = lenses.map(|lens| {
                let sample = lens.sample(direction, distance_m)?;
                let uv = sample.pixel / rig.pictures[lens.picture].as_dvec2();
                Some((uv.as_vec2(), lens.vignetting_gain(sample.pixel) as f32, sample.edge_deg))
            });
            let [Some((first, first_gain, first_deg)), Some((second, second_gain, second_deg))] = seen else {
                map.places.push([0.0; 4]);
                map.traits.push([1.0, 1.0, 0.0, 0.0]);
                continue;
            };
            let [from, to] = COMPARED_DEG;
            let both = smooth((first_deg.min(second_deg) - from) / (to - from)) as f32;
            map.places.push([first.x, first.y, second.x, second.y]);
            map.traits.push([first_gain, second_gain, both, 0.0]);
        }
        map
    }
}

impl Bend {
    /// For each band, the texels of its lenses' grids that lie in it.
    pub fn all(strips: &[Strip], rig: &PreparedRig, distance_m: Option<f64>) -> Vec<Vec<Self>> {
        let mut bends: Vec<Vec<Self>> = strips.iter().map(|_| Vec::new()).collect();
        for (lens, prepared) in rig.lenses.iter().enumerate() {
            for texel in 0..GRID * GRID {
                let texel = UVec2::new(texel % GRID, texel / GRID);
                if let Some((index, bend)) = Self::of_texel(strips, rig, distance_m, (lens, prepared), texel) {
                    bends[index].push(bend);
                }
            }
        }
        bends
    }

    fn of_texel(
        strips: &[Strip],
        rig: &PreparedRig,
        distance_m: Option<f64>,
        (lens, prepared): (usize, &PreparedLens),
        texel: UVec2,
    ) -> Option<(usize, Self)> {
        let (min, max) = (DVec2::from_array(prepared.region.min), DVec2::from_array(prepared.region.max));
        let pixel = min + texel.as_dvec2() / f64::from(GRID - 1) * (max - min);
        if prepared.edge_deg(pixel) <= MARGIN_DEG {
            return None;
        }
        let direction = prepared.seen_from_rig(pixel, distance_m)?;
        let lenses = two_best(rig, direction, distance_m).filter(|lenses| lenses.contains(&lens))?;
        let index = strips.iter().position(|strip| strip.lenses == lenses)?;
        let place = strips[index].place(direction)?.as_vec2();
        let edge = |lens: usize| rig.lenses[lens].sample(direction, distance_m).map_or(-180.0, |sample| sample.edge_deg);
        let [first, second] = lenses.map(edge);
        let others = (0..rig.lenses.len()).filter(|other| !lenses.contains(other)).map(edge);
        let third = others.fold(-180.0, f64::max);
        let (least, fade) = (first.min(second), FADE.0.min(FADE.1 * (first + second)));
        let weight = smooth((least - MARGIN_DEG) / fade) * smooth((least - third) / fade);
        let [first, second] = [first, second].map(|edge| (edge - MARGIN_DEG).max(0.0));
        let share = first / (first + second).max(1e-9);
        let mark = if lens == lenses[1] { 1 << 31 } else { 0 };
        let packed = texel.x | texel.y << 12 | (lens as u32) << 24 | mark;
        Some((index, Self { texel: packed, place: place.to_array(), share: share as f32, weight: weight as f32 }))
    }
}

/// From 0 to 1, slow at both ends.
fn smooth(part: f64) -> f64 {
    let part = part.clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

/// The first column and the number of columns of a ring without its longest gap; all of them if no gap is long. None where all are unused.
fn longest_use(used: &[bool]) -> Option<(usize, usize)> {
    let columns = used.len();
    if !used.contains(&true) {
        return None;
    }
    let gap_from = |start: usize| (0..columns).take_while(|step| !used[(start + step) % columns]).count();
    let (start, gap) = (0..columns).map(|start| (start, gap_from(start))).max_by_key(|(_, gap)| *gap)?;
    if (gap as f64) < GAP * columns as f64 {
        return Some((0, columns));
    }
    Some(((start + gap) % columns, columns - gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_used_part_of_a_ring_is_found_across_its_ends() {
        assert_eq!(longest_use(&[false; 40]), None);
        assert_eq!(longest_use(&[true; 40]), Some((0, 40)));
        let mut used = [true; 40];
        used[10..30].fill(false);
        assert_eq!(longest_use(&used), Some((30, 20)));
    }
}
