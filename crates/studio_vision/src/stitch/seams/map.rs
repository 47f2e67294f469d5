//! From a seam's offsets to the lenses' weights.

use super::Border;
use crate::stitch::{
    bands::CellWeights,
    map::BLOCKS_PER_ROW,
    weights::{WeightRule, quantise},
};
use bevy::math::{DVec3, UVec2};

/// The corner of a cell of the weight grid.
#[derive(Clone, Copy, Debug)]
struct Corner {
    /// The border that it lies in and where along it, in turns.
    along: Option<(u16, f32)>,
    /// How much of it is inside of the picture that is drawn, 0 to 1.
    coverage: f32,
}

/// Where the seam of a border runs.
#[derive(Clone, Copy, Debug)]
pub(in crate::stitch) struct SeamOffsets<'a> {
    /// The border's lenses.
    pub lenses: [usize; 2],
    /// For each column of the border, how much deeper than in the middle the first lens sees the seam, and less deep the second.
    pub degrees: &'a [f32],
}

/// A tile that more than one lens may fill.
#[derive(Clone, Debug)]
struct SeamTile {
    /// Left, top, width and height in pixels.
    rectangle: [u16; 4],
    corners: Vec<Corner>,
    /// For each corner, how deep each lens sees it, in degrees.
    edges_deg: Vec<f32>,
    /// The block of weights of each lens that may have a share, by their places in the list of all blocks.
    blocks: Vec<Option<usize>>,
}

/// Collects the tiles as a map is worked out.
pub(in crate::stitch) struct SeamMapBuilder {
    borders: Vec<Border>,
    tiles: Vec<SeamTile>,
}

/// The tiles whose weights depend on seams, and all weights.
#[derive(Clone, Debug)]
pub(in crate::stitch) struct SeamMap {
    borders: Vec<Border>,
    tiles: Vec<SeamTile>,
    rule: WeightRule,
    lenses: usize,
    /// Corners in a row of a tile.
    side: usize,
    /// The texture of weights, and its width.
    pub weights: Vec<u8>,
    width: usize,
    /// The weight of each lens in each cell, where there are coarse bands.
    pub cells: Option<CellWeights>,
}

impl SeamMapBuilder {
    pub fn new(borders: Vec<Border>) -> Self {
        Self { borders, tiles: Vec::new() }
    }

    /// Adds a tile: for each of its corners the direction in the rig's frame, how deep each lens sees it, and its coverage.
    pub fn add(
        &mut self,
        rectangle: [u16; 4],
        corners: &[(Option<DVec3>, Vec<f64>, f64)],
        blocks: Vec<Option<usize>>,
        margin_deg: f64,
    ) {
        let corner = |(direction, edges, coverage): &(Option<DVec3>, Vec<f64>, f64)| {
            let mut order: Vec<usize> = (0..edges.len()).collect();
            order.sort_by(|a, b| edges[*b].total_cmp(&edges[*a]));
            let best = match order.as_slice() {
                [first, second, ..] if edges[*second] > margin_deg => Some([*first.min(second), *first.max(second)]),
                _ => None,
            };
            let border = best.and_then(|lenses| self.borders.iter().position(|border| border.lenses == lenses));
            let along =
                border.zip(*direction).map(|(index, direction)| (index as u16, self.borders[index].along(direction) as f32));
            Corner { along, coverage: *coverage as f32 }
        };
        let found = corners.iter().map(corner).collect();
        let edges_deg = corners.iter().flat_map(|(_, edges, _)| edges.iter().map(|edge| *edge as f32)).collect();
        self.tiles.push(SeamTile { rectangle, corners: found, edges_deg, blocks });
    }

    /// Puts the tiles and the finished weights together.
    pub fn finish(
        self,
        rule: WeightRule,
        lenses: usize,
        side: usize,
        (weights, size): (Vec<u8>, UVec2),
        cells: Option<CellWeights>,
    ) -> SeamMap {
        SeamMap { borders: self.borders, tiles: self.tiles, rule, lenses, side, weights, width: size.x as usize, cells }
    }
}

impl SeamMap {
    /// Works out the weights for seams with these offsets. Borders that are not among them keep their seams in the middle.
    pub fn weigh(&mut self, seams: &[SeamOffsets]) {
        let of_border = |border: &Border| seams.iter().find(|seam| seam.lenses == border.lenses).map(|seam| seam.degrees);
        let offsets: Vec<Option<&[f32]>> = self.borders.iter().map(of_border).collect();
        let mut weights = vec![0.0; self.lenses];
        let mut bytes = vec![0; self.lenses];
        let mut blocks = vec![vec![0_u8; self.side * self.side]; self.lenses];
        for tile in &self.tiles {
            for (index, corner) in tile.corners.iter().enumerate() {
                let edges = &tile.edges_deg[index * self.lenses..(index + 1) * self.lenses];
                weights.iter_mut().zip(edges).for_each(|(weight, edge)| *weight = f64::from(*edge));
                let shift = corner.along.and_then(|(border, along)| {
                    let offset = between(offsets[usize::from(border)]?, along);
                    Some((self.borders[usize::from(border)].lenses, f64::from(offset)))
                });
                self.rule.weigh_shifted(&mut weights, shift);
                weights.iter_mut().for_each(|weight| *weight *= f64::from(corner.coverage));
                quantise(&weights, &mut bytes);
                blocks.iter_mut().zip(&bytes).for_each(|(block, byte)| block[index] = *byte);
            }
            for ((lens, block), place) in blocks.iter().enumerate().zip(&tile.blocks) {
                let Some(place) = place else { continue };
                let (left, top) = (place % BLOCKS_PER_ROW * self.side, place / BLOCKS_PER_ROW * self.side);
                for (row, line) in block.chunks_exact(self.side).enumerate() {
                    let start = (top + row) * self.width + left;
                    self.weights[start..start + self.side].copy_from_slice(line);
                }
                if let Some(cells) = &mut self.cells {
                    cells.set(lens, tile.rectangle, Some((block, self.side)));
                }
            }
        }
    }

    /// For each lens and cell, an equal share for each lens that may have one: where coarse bands may reach, wherever seams run.
    pub fn reach(&self, cells: &CellWeights) -> CellWeights {
        let mut reach = cells.clone();
        for tile in &self.tiles {
            let sharing = tile.blocks.iter().flatten().count().max(1);
            let share = vec![(255 / sharing) as u8; self.side * self.side];
            for (lens, _) in tile.blocks.iter().enumerate().filter(|(_, block)| block.is_some()) {
                reach.set(lens, tile.rectangle, Some((&share, self.side)));
            }
        }
        reach
    }
}

/// The offset between the columns around a place, in turns.
fn between(offsets: &[f32], along: f32) -> f32 {
    let columns = offsets.len();
    let at = along * columns as f32 - 0.5;
    let column = at.floor();
    let offset = |column: f32| offsets[(column as i64).rem_euclid(columns as i64) as usize];
    offset(column) + (offset(column + 1.0) - offset(column)) * (at - column)
}
