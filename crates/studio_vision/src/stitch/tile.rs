//! Tiles of a map: the way from pixels to a lens's pixels as biquadratic polynomials.

use super::{
    map::{BLOCKS_PER_ROW, CELL_PX},
    view::Chart,
};
use bevy::math::DVec2;
use bytemuck::{Pod, Zeroable};

/// Marks in a tile's slot: the first and the last lens of the tile.
pub(super) const FIRST: u32 = 1 << 31;
pub(super) const LAST: u32 = 1 << 30;
/// Where a tile's slot holds its lens.
pub(super) const LENS_SHIFT: u32 = 26;

/// One tile of the output as one lens fills it.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Tile {
    /// Left, top, width and height in pixels.
    pub rectangle: [u16; 4],
    /// Left and top texel of its weights.
    pub weight_origin: [u16; 2],
    /// Which of the tiles with several lenses it is, its lens from bit 26 on, and marks.
    pub slot: u32,
    /// Nine triples of coefficients for (u, v, gain) in the order 1, s, s², t, st, s²t, t², st², s²t², and a zero.
    pub coefficients: [f32; 28],
}

/// A lens at a node of the grid.
#[derive(Clone, Copy, Default)]
pub(super) struct Node {
    /// Texture coordinates and gain.
    pub value: [f64; 3],
    pub edge_deg: f64,
}

impl Tile {
    pub fn new(part: &Chart, lens: usize, nodes: &[Node; 9]) -> Self {
        let mut coefficients = [0.0; 28];
        for channel in 0..3 {
            let polynomial = biquadratic(core::array::from_fn(|node| nodes[node].value[channel]));
            for (index, coefficient) in polynomial.into_iter().enumerate() {
                coefficients[3 * index + channel] = coefficient as f32;
            }
        }
        let size = part.max - part.min;
        let rectangle = [part.min.x, part.min.y, size.x, size.y].map(|px| px as u16);
        Self { rectangle, weight_origin: [0; 2], slot: (lens as u32) << LENS_SHIFT, coefficients }
    }

    /// Which of the blocks of weights is the tile's, where blocks have so many corners a side.
    pub fn block(&self, side: usize) -> usize {
        let [column, row] = self.weight_origin.map(|texel| usize::from(texel) / side);
        row * BLOCKS_PER_ROW + column
    }

    /// Texture coordinates and gain at a point of the tile, 0 to 1 across it; as the shader computes it.
    pub fn at(&self, DVec2 { x: s, y: t }: DVec2) -> [f64; 3] {
        core::array::from_fn(|channel| {
            let c = |index: usize| f64::from(self.coefficients[3 * index + channel]);
            let row = |start: usize| c(start) + s * (c(start + 1) + s * c(start + 2));
            row(0) + t * (row(3) + t * row(6))
        })
    }
}

/// Corners of weight cells across a tile.
pub(super) fn block_side(tile_px: u32) -> usize {
    (tile_px / CELL_PX) as usize + 1
}

/// The coefficients (1, s, s², t, st, s²t, t², st², s²t²) of the biquadratic through nine values at s, t = 0, ½, 1.
pub(super) fn biquadratic(values: [f64; 9]) -> [f64; 9] {
    // The quadratic through three values at 0, ½ and 1.
    let quadratic = |[a, b, c]: [f64; 3]| [a, 4.0 * b - 3.0 * a - c, 2.0 * (a + c) - 4.0 * b];
    let rows: [[f64; 3]; 3] = core::array::from_fn(|t| quadratic([values[3 * t], values[3 * t + 1], values[3 * t + 2]]));
    let columns: [[f64; 3]; 3] = core::array::from_fn(|power| quadratic([rows[0][power], rows[1][power], rows[2][power]]));
    core::array::from_fn(|index| columns[index % 3][index / 3])
}
