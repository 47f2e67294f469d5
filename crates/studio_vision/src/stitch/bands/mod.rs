//! Multi-band blending: what is coarse fades over a wide band, what is fine over a narrow one.
//!
//! The method is that of Burt and Adelson, *A Multiresolution Spline With Application to Image Mosaics* (ACM Transactions on Graphics,
//! 1983): the pictures of the lenses are cut into bands by pyramids, and each band is blended with weights as smooth as itself. It is done
//! here as a correction of the plain stitch. The finest band, of details below sixteen pixels, is blended by the plain stitch with its
//! narrow seam; all others need no more than the lenses' pictures at an eighth of the size and below. So
//!
//! `output = Σᵢ wᵢ (Iᵢ + up(Dᵢ))`, with `Dᵢ = up(B₁) − up(Gᵢ,₁)` at an eighth of the size,
//!
//! where `Gᵢ,ₗ` is the pyramid of lens i, `B₁` the blend of all bands from the second on, and `up` doubles the size. `Dᵢ` vanishes where lens i
//! alone counts in all bands, so that only the surroundings of the seams cost anything: sixteen samples for each 64 of their pixels, and
//! one more sample a pixel. Where a lens sees nothing its pyramid is continued from its coarser levels, so that weights need not end where
//! its picture does.

mod pass;
#[cfg(test)]
mod tests;
mod tiles;

pub(super) use pass::BandsPass;
pub(super) use tiles::{CellWeights, LayerTile};

use super::map::CELL_PX;
use bevy::math::UVec2;

/// Fewest and most bands.
pub(super) const BANDS: core::ops::RangeInclusive<u32> = 2..=8;
/// Shortest side of the coarsest band, in texels.
const SHORTEST_TEXELS: u32 = 4;
/// A lens that has so much of the weight counts alone.
const ALONE: f32 = 0.998;

/// The coarse bands of one map. Level 0 has a texel for each cell, each further level half as many a side.
#[derive(Clone, Debug)]
pub(super) struct BandsMap {
    pub sizes: Vec<UVec2>,
    /// Whether the left and right edges meet.
    pub wraps: bool,
    /// What is drawn of the lenses, in their order.
    pub tiles: Vec<LayerTile>,
    /// For each level, the weights of all lenses, one lens after the other.
    pub weights: Vec<Vec<f32>>,
    pub lenses: u32,
    near: Vec<bool>,
}

impl BandsMap {
    /// Works out the bands from the weights of each lens in each cell. Of `tiles` those near seams are kept, wherever weights of `reach` have
    /// them.
    pub fn new(size_px: UVec2, bands: u32, wraps: bool, cells: &[Vec<f32>], reach: &[Vec<f32>], tiles: Vec<LayerTile>) -> Self {
        let mut sizes = vec![size_in_cells(size_px)];
        while sizes.len() < bands as usize && sizes[sizes.len() - 1].min_element() >= 2 * SHORTEST_TEXELS {
            sizes.push((sizes[sizes.len() - 1] + 1) / 2);
        }
        // Where levels do not halve evenly, the edges would not meet at the same place.
        let wraps = wraps && size_px.x.is_multiple_of(CELL_PX << (sizes.len() - 1));
        let near = near_seams(&sizes, &pyramid(&sizes, reach, wraps), wraps);
        let weights = pyramid(&sizes, cells, wraps);
        let mut map = Self { sizes, wraps, tiles: Vec::new(), weights, lenses: cells.len() as u32, near };
        map.tiles = tiles.into_iter().filter(|tile| map.is_near(tile.origin.map(u32::from).into(), tile.cells, 2)).collect();
        map.tiles.sort_by_key(|tile| tile.lens);
        map
    }

    /// Whether a square of cells, with a margin around it, is touched by the coarse bands of a seam.
    pub fn is_near(&self, origin: UVec2, cells: u32, margin: i32) -> bool {
        let size = self.sizes[0].as_ivec2();
        let (low, high) = (origin.as_ivec2() - margin, origin.as_ivec2() + cells as i32 + margin);
        let column = |x: i32| if self.wraps { x.rem_euclid(size.x) } else { x.clamp(0, size.x - 1) };
        (low.y.max(0)..high.y.min(size.y)).any(|y| (low.x..high.x).any(|x| self.near[(y * size.x + column(x)) as usize]))
    }
}

/// The weights of all levels from those of the finest: for each level, one lens after the other.
pub(super) fn pyramid(sizes: &[UVec2], cells: &[Vec<f32>], wraps: bool) -> Vec<Vec<f32>> {
    let mut weights = vec![cells.concat()];
    for pair in sizes.windows(2) {
        let finer = &weights[weights.len() - 1];
        let texels = pair[0].element_product() as usize;
        weights.push(finer.chunks_exact(texels).flat_map(|lens| halve(lens, pair[0], pair[1], wraps)).collect());
    }
    weights
}

/// A picture's size in cells.
fn size_in_cells(size_px: UVec2) -> UVec2 {
    (size_px + CELL_PX - 1) / CELL_PX
}

/// Halves a level with the kernel (1, 3, 3, 1) / 8 both ways, as the shader does.
fn halve(finer: &[f32], size: UVec2, halved: UVec2, wraps: bool) -> Vec<f32> {
    const KERNEL: [f32; 4] = [0.125, 0.375, 0.375, 0.125];
    let size = size.as_ivec2();
    let column = |x: i32| if wraps { x.rem_euclid(size.x) } else { x.clamp(0, size.x - 1) };
    let at = |x: i32, y: i32| finer[(y.clamp(0, size.y - 1) * size.x + column(x)) as usize];
    let texel = |index: u32| {
        let (x, y) = ((2 * (index % halved.x)) as i32, (2 * (index / halved.x)) as i32);
        let row = |y: i32| (-1..).zip(KERNEL).map(|(dx, share)| share * at(x + dx, y)).sum::<f32>();
        (-1..).zip(KERNEL).map(|(dy, share)| share * row(y + dy)).sum()
    };
    (0..halved.element_product()).map(texel).collect()
}

/// For each cell, whether any band is blended of several lenses there.
fn near_seams(sizes: &[UVec2], weights: &[Vec<f32>], wraps: bool) -> Vec<bool> {
    let mut near = vec![false; sizes[0].element_product() as usize];
    for (level, (size, weights)) in sizes.iter().zip(weights).enumerate() {
        let texels = size.element_product() as usize;
        let lenses = weights.len() / texels;
        let is_blended = |texel: usize| {
            let shares = (0..lenses).map(|lens| weights[lens * texels + texel]);
            let (sum, most) = shares.fold((0.0, 0.0_f32), |(sum, most), share| (sum + share, most.max(share)));
            sum > 1.0 - ALONE && most < ALONE
        };
        let blended: Vec<bool> = (0..texels).map(is_blended).collect();
        let (width, height) = (size.x as i32, size.y as i32);
        let column = |x: i32| if wraps { x.rem_euclid(width) } else { x.clamp(0, width - 1) };
        for (cell, near) in (0..sizes[0].element_product()).zip(&mut near) {
            if *near {
                continue;
            }
            // Doubling reaches over to the next texel.
            let (x, y) = (((cell % sizes[0].x) >> level) as i32, ((cell / sizes[0].x) >> level) as i32);
            *near = ((y - 1).max(0)..(y + 2).min(height))
                .any(|row| (x - 1..x + 2).any(|x| blended[(row * width + column(x)) as usize]));
        }
    }
    near
}
