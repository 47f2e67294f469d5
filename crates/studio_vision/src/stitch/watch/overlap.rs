//! Where two lenses see the same: the patches of the sphere whose colours are compared.

use crate::{
    rig::{PreparedLens, PreparedRig},
    stitch::seams::{Border, BorderCell},
};
use bevy::math::{DVec2, DVec3};
use bytemuck::{Pod, Zeroable};
use core::{f64::consts::PI, ops::Range};

/// About how many patches are compared, however large the overlaps are.
const COMPARISONS: f64 = 1500.0;
/// Directions that are tried first, to learn how much of the sphere two lenses see.
const FIRST_DIRECTIONS: usize = 2048;
/// The most directions that are tried.
const MOST_DIRECTIONS: f64 = 65536.0;
/// Patches all over each lens that tell whether it delivers a picture at all.
const OWN_PATCHES: usize = 48;
/// Half of a patch's side in degrees: wide enough that a little parallax changes little of its mean colour.
const HALF_PATCH_DEG: f64 = 0.75;
/// How far inside of a lens's picture a patch's middle lies at least, in degrees.
pub(in crate::stitch) const MARGIN_DEG: f64 = 1.5;

/// A patch as a lens sees it: texture coordinates of its middle, and what half of its sides are there.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub(in crate::stitch) struct Patch {
    pub uv: [f32; 2],
    pub along: [f32; 2],
    pub across: [f32; 2],
}

/// A patch that two lenses see.
#[derive(Clone, Copy, Debug)]
pub(in crate::stitch) struct Comparison {
    pub lenses: [usize; 2],
    /// Its two patches in [`Overlaps::patches`].
    pub patches: [u32; 2],
    /// Where it lies in each lens's region, 0 to 1 from left to right and from top to bottom.
    pub places: [DVec2; 2],
    /// Logarithm of what undoes each lens's vignetting and the rig's exposures, for red, green and blue light.
    pub known: [DVec3; 2],
}

/// Every patch that is measured.
#[derive(Clone, Debug)]
pub(in crate::stitch) struct Overlaps {
    /// Those of one picture together.
    pub patches: Vec<Patch>,
    /// For each picture, which are in it.
    pub pictures: Vec<Range<u32>>,
    /// What both of two lenses see; each direction counts for the two lenses that see it farthest from their edges.
    pub comparisons: Vec<Comparison>,
    /// For each lens, patches all over it.
    pub own: Vec<Range<u32>>,
}

impl Overlaps {
    /// Finds the patches of a rig for a scene at a distance, in metres, or infinitely far.
    pub fn new(rig: &PreparedRig, distance_m: Option<f64>) -> Self {
        let sees_both = |directions: usize| {
            let list =
                sphere(directions).filter_map(move |direction| two_best(rig, direction, distance_m).map(|two| (direction, two)));
            list.collect::<Vec<_>>()
        };
        let mut seen = sees_both(FIRST_DIRECTIONS);
        if !seen.is_empty() {
            let directions = COMPARISONS / seen.len() as f64 * FIRST_DIRECTIONS as f64;
            seen = sees_both(directions.min(MOST_DIRECTIONS) as usize);
        }
        let mut collected = Collected::default();
        for (direction, lenses) in seen {
            let (along, across) = direction.any_orthonormal_pair();
            let half = HALF_PATCH_DEG.to_radians();
            collected.add(rig, direction, [along * half, across * half], lenses, distance_m);
        }
        Self::with_own(rig, collected, distance_m)
    }

    /// The cells of borders as patches, and those cells.
    pub fn of_borders(rig: &PreparedRig, distance_m: Option<f64>, borders: &[Border]) -> (Self, Vec<BorderCell>) {
        let mut collected = Collected::default();
        let mut cells = Vec::new();
        for (index, border) in borders.iter().enumerate() {
            for (column, row) in border.places() {
                let (direction, half_sides) = border.cell(column, row);
                let Some(offset_deg) = border.offset_deg(rig, direction, distance_m) else { continue };
                let comparison = collected.comparisons.len();
                if collected.add(rig, direction, half_sides, border.lenses, distance_m) {
                    cells.push(BorderCell { border: index, column, row, comparison, offset_deg: offset_deg as f32 });
                }
            }
        }
        (Self::with_own(rig, collected, distance_m), cells)
    }

    /// Adds patches all over each lens.
    fn with_own(rig: &PreparedRig, Collected { mut patches, comparisons }: Collected, distance_m: Option<f64>) -> Self {
        let own_first = patches.len();
        for (lens, prepared) in rig.lenses.iter().enumerate() {
            let inside = |direction: &DVec3| prepared.sample(*direction, distance_m).is_some_and(|at| at.edge_deg > MARGIN_DEG);
            let directions: Vec<DVec3> = sphere(FIRST_DIRECTIONS).filter(inside).collect();
            let every = directions.len().div_ceil(OWN_PATCHES).max(1);
            let own = directions.into_iter().step_by(every).filter_map(|direction| {
                let (along, across) = direction.any_orthonormal_pair();
                let half = HALF_PATCH_DEG.to_radians();
                patch(rig, lens, direction, [along * half, across * half], distance_m)
            });
            patches.extend(own.map(|(patch, _)| (lens, patch)));
        }
        Self::sorted(rig, &patches, comparisons, own_first)
    }

    /// Puts the patches of each picture together.
    fn sorted(rig: &PreparedRig, patches: &[(usize, Patch)], mut comparisons: Vec<Comparison>, own_first: usize) -> Self {
        let picture = |index: usize| rig.lenses[patches[index].0].picture;
        let mut order: Vec<usize> = (0..patches.len()).collect();
        order.sort_by_key(|&index| (picture(index), index >= own_first, patches[index].0));
        let mut place = vec![0; patches.len()];
        order.iter().zip(0..).for_each(|(&index, at)| place[index] = at);
        for comparison in &mut comparisons {
            comparison.patches = comparison.patches.map(|patch| place[patch as usize]);
        }
        let range = |is_in: &dyn Fn(usize) -> bool| {
            let start = order.iter().position(|&index| is_in(index)).unwrap_or_default() as u32;
            start..start + order.iter().filter(|&&index| is_in(index)).count() as u32
        };
        Self {
            patches: order.iter().map(|&index| patches[index].1).collect(),
            pictures: (0..rig.pictures.len()).map(|wanted| range(&|index| picture(index) == wanted)).collect(),
            own: (0..rig.lenses.len()).map(|lens| range(&|index| index >= own_first && patches[index].0 == lens)).collect(),
            comparisons,
        }
    }
}

/// Patches as they are found.
#[derive(Default)]
struct Collected {
    patches: Vec<(usize, Patch)>,
    comparisons: Vec<Comparison>,
}

impl Collected {
    /// Adds what two lenses see of a patch. Says whether both see it.
    fn add(
        &mut self,
        rig: &PreparedRig,
        direction: DVec3,
        half_sides: [DVec3; 2],
        lenses: [usize; 2],
        distance_m: Option<f64>,
    ) -> bool {
        let found = lenses.map(|lens| patch(rig, lens, direction, half_sides, distance_m));
        let [Some((first, first_px)), Some((second, second_px))] = found else { return false };
        let index = self.patches.len() as u32;
        self.patches.extend([(lenses[0], first), (lenses[1], second)]);
        let pixels = [first_px, second_px];
        self.comparisons.push(Comparison {
            lenses,
            patches: [index, index + 1],
            places: core::array::from_fn(|side| place(&rig.lenses[lenses[side]], pixels[side])),
            known: core::array::from_fn(|side| known_gain(&rig.lenses[lenses[side]], pixels[side])),
        });
        true
    }
}

/// Directions spread evenly over the sphere (a Fibonacci spiral).
pub(in crate::stitch) fn sphere(count: usize) -> impl Iterator<Item = DVec3> {
    let golden = PI * (3.0 - 5_f64.sqrt());
    (0..count).map(move |index| {
        let z = 1.0 - (2.0 * index as f64 + 1.0) / count as f64;
        let (sin, cos) = (golden * index as f64).sin_cos();
        DVec3::new(cos * (1.0 - z * z).sqrt(), sin * (1.0 - z * z).sqrt(), z)
    })
}

/// The two lenses that see a direction farthest from their edges, in the rig's order.
pub(in crate::stitch) fn two_best(rig: &PreparedRig, direction: DVec3, distance_m: Option<f64>) -> Option<[usize; 2]> {
    let edge = |lens: &PreparedLens| lens.sample(direction, distance_m).map_or(f64::MIN, |at| at.edge_deg);
    let mut edges: Vec<(f64, usize)> = rig.lenses.iter().map(edge).zip(0..).collect();
    edges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let [first, second, ..] = edges.as_slice() else { return None };
    (second.0 > MARGIN_DEG).then(|| [first.1.min(second.1), first.1.max(second.1)])
}

/// A lens's patch around a direction with half of its sides, and the pixel of its middle.
fn patch(
    rig: &PreparedRig,
    lens: usize,
    direction: DVec3,
    half_sides: [DVec3; 2],
    distance_m: Option<f64>,
) -> Option<(Patch, DVec2)> {
    let prepared = &rig.lenses[lens];
    let size = rig.pictures[prepared.picture].as_dvec2();
    let pixel = |towards: DVec3| Some(prepared.sample((direction + towards).normalize(), distance_m)?.pixel);
    let middle = pixel(DVec3::ZERO)?;
    let side = |towards: DVec3| Some(((pixel(towards)? - pixel(-towards)?) / 2.0 / size).as_vec2().to_array());
    let [along, across] = half_sides;
    Some((Patch { uv: (middle / size).as_vec2().to_array(), along: side(along)?, across: side(across)? }, middle))
}

fn place(lens: &PreparedLens, pixel: DVec2) -> DVec2 {
    let (min, max) = (DVec2::from_array(lens.region.min), DVec2::from_array(lens.region.max));
    ((pixel - min) / (max - min)).clamp(DVec2::ZERO, DVec2::ONE)
}

fn known_gain(lens: &PreparedLens, pixel: DVec2) -> DVec3 {
    let vignetting = lens.vignetting_gain(pixel);
    DVec3::from_array(lens.color_gain.map(|gain| (gain * vignetting).ln() * PreparedLens::GAMMA))
}
