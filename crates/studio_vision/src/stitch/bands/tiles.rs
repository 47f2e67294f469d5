//! What the coarse bands take from the map of the plain stitch.

use super::size_in_cells;
use crate::stitch::{map::CELL_PX, tile::biquadratic};
use bevy::math::UVec2;
use bytemuck::{Pod, Zeroable};

/// A lens covers a cell in full from so many cells inside of its picture's edge.
const FADE_CELLS: f64 = 2.0;

/// A tile as one lens sees it, for the coarse bands: whole cells of eight pixels.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(in crate::stitch) struct LayerTile {
    /// Left and top, in cells.
    pub origin: [u16; 2],
    /// The lens.
    pub lens: u32,
    /// Side in cells.
    pub cells: u32,
    pub unused: u32,
    /// Nine quadruples of coefficients for (u, v, gain, coverage) in the order 1, s, s², t, st, s²t, t², st², s²t².
    pub coefficients: [f32; 36],
}

impl LayerTile {
    /// A tile at a pixel. `nodes` are its 3 × 3 nodes as the lens sees them: texture coordinates and gain, and how far inside of the lens's
    /// edge they lie, in cells.
    pub fn new(min_px: UVec2, cells: u32, lens: usize, nodes: [([f64; 3], f64); 9]) -> Self {
        let mut coefficients = [0.0; 36];
        for channel in 0..4 {
            let polynomial = biquadratic(nodes.map(|(value, edge_cells)| match channel {
                // From nothing at the edge to all; farther in or out does not matter, and would bend the polynomial.
                3 => (edge_cells / FADE_CELLS).clamp(-4.0, 5.0),
                channel => value[channel],
            }));
            for (index, coefficient) in polynomial.into_iter().enumerate() {
                coefficients[4 * index + channel] = coefficient as f32;
            }
        }
        let origin = (min_px / CELL_PX).to_array().map(|cell| cell as u16);
        Self { origin, lens: lens as u32, cells, unused: 0, coefficients }
    }
}

/// The weight of each lens in each cell of a picture.
#[derive(Clone, Debug)]
pub(in crate::stitch) struct CellWeights {
    columns: u32,
    pub lenses: Vec<Vec<f32>>,
}

impl CellWeights {
    /// None anywhere.
    pub fn new(size_px: UVec2, lenses: usize) -> Self {
        let cells = size_in_cells(size_px);
        Self { columns: cells.x, lenses: vec![vec![0.0; cells.element_product() as usize]; lenses] }
    }

    /// Takes a tile over (left, top, width, height in pixels): a lens's weights in bytes on the corners of cells, with the number of corners
    /// in a row; or none where the lens fills the tile alone.
    pub fn set(&mut self, lens: usize, rectangle: [u16; 4], corners: Option<(&[u8], usize)>) {
        let [left, top, width, height] = rectangle.map(u32::from);
        for y in 0..height.div_ceil(CELL_PX) {
            for x in 0..width.div_ceil(CELL_PX) {
                let weight = corners.map_or(1.0, |(bytes, side)| {
                    let first = y as usize * side + x as usize;
                    let sum: f32 =
                        [first, first + 1, first + side, first + side + 1].map(|corner| f32::from(bytes[corner])).iter().sum();
                    sum / (4.0 * 255.0)
                });
                self.lenses[lens][((top / CELL_PX + y) * self.columns + left / CELL_PX + x) as usize] = weight;
            }
        }
    }
}
