//! How a map's tiles are worked out.

use super::{
    super::{
        StitchAlignment, StitchBlend, StitchSeams, StitchSettings,
        bands::{BandsMap, CellWeights, LayerTile},
        seams::{Border, SeamMapBuilder},
        tile::{FIRST, LAST, Node, Tile, block_side},
        view::Chart,
        watch::MARGIN_DEG,
        weights::{WeightRule, quantise},
    },
    BLOCKS_PER_ROW, CELL_PX, Layer, StitchMap, TileTraits,
};
use crate::{rig::PreparedRig, stabilise::RowMotion};
use bevy::{
    math::{DMat3, DVec2, DVec3, UVec2},
    tasks::{ComputeTaskPool, TaskPool},
};
use core::ops::Range;

/// How many charts that are cut once more are worth a task of their own.
const CHARTS_AT_ONCE: usize = 16;
/// How many nodes of a lens are worth a task of their own.
const NODES_AT_ONCE: u32 = 512;
/// About how many tiles a lens are checked against the lens model.
const CHECKED_TILES: usize = 1000;

/// What the lenses have at a node.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    Nothing,
    Lens(usize),
    Several,
}

/// Tiles of one size as they are found.
struct Found {
    tile_px: u32,
    /// Whether another lens sees some of it, and the tile.
    filled: Vec<Vec<(bool, Tile)>>,
    blended: Vec<Vec<Tile>>,
    black: Vec<Tile>,
}

/// A chart's tiles of one size, as they were worked out.
struct Cut {
    /// For each lens, every node of the grid.
    nodes: Vec<Vec<Node>>,
    fills: Vec<Fill>,
    /// The tiles with several lenses or an edge, row by row, where they are not cut once more.
    weighed: Vec<Weighed>,
}

/// A tile with several lenses or an edge.
struct Weighed {
    /// As each lens sees it.
    tiles: Vec<Tile>,
    /// Each lens's weights on the corners of cells.
    blocks: Vec<Vec<u8>>,
    /// Where corners look, how deep in each lens's picture they lie, and how much of the view they are; for seams.
    corners: Vec<(Option<DVec3>, Vec<f64>, f64)>,
}

pub(super) struct Builder<'a> {
    rig: &'a PreparedRig,
    rig_from_view: DMat3,
    /// Where the rig looked while each row was read.
    rows: Option<&'a RowMotion>,
    distance_m: Option<f64>,
    rule: WeightRule,
    deg_per_px: f64,
    found: Vec<Found>,
    slots: u32,
    blocks: Vec<Vec<u8>>,
    /// For a multi-band blend, how many bands, and every tile as every lens sees it.
    bands: Option<(u32, Vec<LayerTile>)>,
    seams: Option<SeamMapBuilder>,
    aligned: bool,
    tiles_seen: usize,
    check_every: usize,
    max_error_px: f64,
}

impl<'a> Builder<'a> {
    pub fn new(rig: &'a PreparedRig, settings: &StitchSettings, rows: Option<&'a RowMotion>, tile_px: u32) -> Self {
        let size = UVec2::from_array(settings.size_px);
        let deg_per_px = settings.view.deg_per_px(size, rig);
        let tile_count = (size.x.div_ceil(tile_px) * size.y.div_ceil(tile_px)) as usize;
        let lenses = rig.lenses.len();
        let found =
            |tile_px| Found { tile_px, filled: vec![Vec::new(); lenses], blended: vec![Vec::new(); lenses], black: Vec::new() };
        Self {
            rig,
            rig_from_view: settings.orientation.matrix(),
            rows,
            distance_m: settings.distance_m.map(f64::from),
            rule: WeightRule::new(settings.blend, deg_per_px * f64::from(CELL_PX)),
            deg_per_px,
            // Tiles with several lenses are cut once more: the band that costs twice shall be narrow.
            found: if tile_px > CELL_PX { vec![found(tile_px), found(tile_px / 2)] } else { vec![found(tile_px)] },
            slots: 0,
            blocks: Vec::new(),
            bands: match settings.blend {
                StitchBlend::MultiBand { bands } => Some((bands, Vec::new())),
                StitchBlend::Nearest | StitchBlend::Feather { .. } => None,
            },
            seams: (settings.seams == StitchSeams::Adaptive)
                .then(|| SeamMapBuilder::new(Border::all(rig, settings.distance_m.map(f64::from)))),
            // The rows of a rolling shutter lie elsewhere in every frame: what was found of the lenses does not hold for them.
            aligned: settings.alignment != StitchAlignment::Fixed && rows.is_none() && lenses > 1,
            tiles_seen: 0,
            check_every: (tile_count / CHECKED_TILES).max(1),
            max_error_px: 0.0,
        }
    }

    /// Adds the tiles of a chart, and those with several lenses as tiles of the next layer.
    pub fn add_chart(&mut self, chart: &Chart) {
        let cut = self.cut(chart, 0);
        let deeper = self.add_cut(chart, 0, cut);
        let this = &*self;
        let cuts = ComputeTaskPool::get_or_init(TaskPool::default).scope(|scope| {
            for charts in deeper.chunks(CHARTS_AT_ONCE) {
                scope.spawn(async move { charts.iter().map(|chart| this.cut(chart, 1)).collect::<Vec<_>>() });
            }
        });
        for (chart, cut) in deeper.iter().zip(cuts.into_iter().flatten()) {
            self.add_cut(chart, 1, cut);
        }
    }

    /// The grid of a chart's tiles, and of their nodes.
    fn grids(chart: &Chart, tile_px: u32) -> (UVec2, UVec2) {
        let size = chart.max - chart.min;
        let tiles = UVec2::new(size.x.div_ceil(tile_px), size.y.div_ceil(tile_px));
        (tiles, tiles * 2 + 1)
    }

    /// Works out a chart's tiles of a layer.
    fn cut(&self, chart: &Chart, layer: usize) -> Cut {
        let tile_px = self.found[layer].tile_px;
        let (tiles, grid) = Self::grids(chart, tile_px);
        let nodes = self.nodes(chart, tile_px, grid);
        let fills = self.fills(chart, tile_px, grid, &nodes);
        let mut cut = Cut { nodes, fills, weighed: Vec::new() };
        if layer + 1 == self.found.len() {
            for (x, y) in (0..tiles.y).flat_map(|y| (0..tiles.x).map(move |x| (x, y))) {
                let at = |index: u32| ((2 * y + index / 3) * grid.x + 2 * x + index % 3) as usize;
                let is_shared = cut.fills[at(0)] == Fill::Several || (1..9).any(|index| cut.fills[at(index)] != cut.fills[at(0)]);
                if is_shared {
                    let values = |nodes: &Vec<Node>| core::array::from_fn(|index| nodes[at(index as u32)]);
                    let nodes: Vec<[Node; 9]> = cut.nodes.iter().map(values).collect();
                    cut.weighed.push(self.weigh(&chart.part(chart.min + UVec2::new(x, y) * tile_px, tile_px), layer, &nodes));
                }
            }
        }
        cut
    }

    /// Adds the tiles of a chart as they were worked out; gives back the parts that are to be cut once more.
    fn add_cut(&mut self, chart: &Chart, layer: usize, cut: Cut) -> Vec<Chart> {
        let tile_px = self.found[layer].tile_px;
        let is_finest = layer + 1 == self.found.len();
        let (tiles, grid) = Self::grids(chart, tile_px);
        let Cut { nodes, fills, weighed } = cut;
        let (mut weighed, mut deeper) = (weighed.into_iter(), Vec::new());
        for y in 0..tiles.y {
            for x in 0..tiles.x {
                let at = |index: u32| ((2 * y + index / 3) * grid.x + 2 * x + index % 3) as usize;
                let min = chart.min + UVec2::new(x, y) * tile_px;
                let part = chart.part(min, tile_px);
                let fill = fills[at(0)];
                if layer == 0 {
                    self.add_layers(&part, |lens, node| nodes[lens][at(node)]);
                }
                let is_uniform = (1..9).all(|index| fills[at(index)] == fill);
                let values = |nodes: &Vec<Node>| core::array::from_fn(|index| nodes[at(index as u32)]);
                match fill {
                    Fill::Nothing if is_uniform => self.found[layer].black.push(Tile::new(&part, 0, &[Node::default(); 9])),
                    Fill::Lens(lens) if is_uniform => {
                        let tile = Tile::new(&part, lens, &values(&nodes[lens]));
                        self.check(&part, tile_px, lens, &tile);
                        let seen_by = nodes.iter().filter(|nodes| (0..9).any(|index| nodes[at(index)].edge_deg > 0.0)).count();
                        self.found[layer].filled[lens].push((seen_by > 1, tile));
                    }
                    _ if is_finest => weighed.next().into_iter().for_each(|weighed| self.add_blended(&part, layer, weighed)),
                    _ => deeper.push(part),
                }
            }
        }
        deeper
    }

    fn point(chart: &Chart, step: f64, x: f64, y: f64) -> DVec2 {
        chart.min.as_dvec2() + DVec2::new(x, y) * step
    }

    /// Every lens at every node; nodes lie on the corners, edge middles and centres of tiles. Many are worked out on all cores.
    fn nodes(&self, chart: &Chart, tile_px: u32, grid: UVec2) -> Vec<Vec<Node>> {
        let lenses = self.rig.lenses.len();
        let step = f64::from(tile_px) / 2.0;
        let rows = |rows: Range<u32>| {
            let mut nodes = vec![Vec::with_capacity(rows.len() * grid.x as usize); lenses];
            for (x, y) in rows.flat_map(|y| (0..grid.x).map(move |x| (x, y))) {
                let point = Self::point(chart, step, f64::from(x), f64::from(y));
                let direction = chart.direction(point, self.rig).map(|direction| self.rig_from_view * direction);
                let brightness = chart.brightness(point, self.rig);
                for (lens, nodes) in nodes.iter_mut().enumerate() {
                    let mut node = self.node(lens, direction);
                    node.value[2] *= brightness;
                    nodes.push(node);
                }
            }
            nodes
        };
        let rows_at_once = (NODES_AT_ONCE / (grid.x * lenses as u32)).max(1);
        if grid.y <= rows_at_once {
            return rows(0..grid.y);
        }
        let rows = &rows;
        let parts = ComputeTaskPool::get_or_init(TaskPool::default).scope(|scope| {
            for first in (0..grid.y).step_by(rows_at_once as usize) {
                scope.spawn(async move { rows(first..(first + rows_at_once).min(grid.y)) });
            }
        });
        let mut parts = parts.into_iter();
        let mut nodes = parts.next().unwrap_or_default();
        for part in parts {
            nodes.iter_mut().zip(part).for_each(|(nodes, more)| nodes.extend(more));
        }
        nodes
    }

    fn node(&self, lens: usize, direction: Option<DVec3>) -> Node {
        let prepared = &self.rig.lenses[lens];
        let picture = self.rig.pictures[prepared.picture].as_dvec2();
        let sample = direction.and_then(|direction| match self.rows {
            Some(rows) => rows.sample(prepared, picture, direction, self.distance_m),
            None => prepared.sample(direction, self.distance_m),
        });
        let Some(sample) = sample else { return Node { value: [0.0, 0.0, 1.0], edge_deg: -180.0 } };
        let uv = sample.pixel / picture;
        Node { value: [uv.x, uv.y, prepared.vignetting_gain(sample.pixel)], edge_deg: sample.edge_deg }
    }

    fn fills(&self, chart: &Chart, tile_px: u32, grid: UVec2, nodes: &[Vec<Node>]) -> Vec<Fill> {
        let step = f64::from(tile_px) / 2.0;
        // Beyond this distance from a lens's edge, no pixel of a tile can be inside.
        let out_of_reach = -1.5 * f64::from(tile_px) * self.deg_per_px;
        let mut weights = vec![0.0; nodes.len()];
        (0..grid.x * grid.y)
            .map(|index| {
                let edges = nodes.iter().map(|nodes| nodes[index as usize].edge_deg);
                weights.iter_mut().zip(edges.clone()).for_each(|(weight, edge)| *weight = edge);
                self.rule.weigh(&mut weights);
                let point = Self::point(chart, step, f64::from(index % grid.x), f64::from(index / grid.x));
                let reach_px = 1.5 * f64::from(tile_px) + 2.0 * f64::from(CELL_PX);
                if chart.inside_px(point, self.rig) < -reach_px || edges.fold(f64::MIN, f64::max) < out_of_reach {
                    return Fill::Nothing;
                }
                let full = weights
                    .iter()
                    .position(|weight| *weight >= 1.0 - 1e-9)
                    .filter(|_| chart.coverage(point, self.rig, f64::from(CELL_PX)) >= 1.0)
                    // A seam may come to wherever another lens sees anything.
                    .filter(|lens| {
                        self.seams.is_none()
                            || nodes
                                .iter()
                                .enumerate()
                                .all(|(other, nodes)| other == *lens || nodes[index as usize].edge_deg < MARGIN_DEG)
                    });
                full.map_or(Fill::Several, Fill::Lens)
            })
            .collect()
    }

    /// Works out how much of a tile with several lenses or an edge is each lens's.
    fn weigh(&self, part: &Chart, layer: usize, nodes: &[[Node; 9]]) -> Weighed {
        let tile_px = self.found[layer].tile_px;
        let tiles: Vec<Tile> = nodes.iter().enumerate().map(|(lens, nodes)| Tile::new(part, lens, nodes)).collect();
        let side = block_side(tile_px);
        let mut blocks = vec![vec![0_u8; side * side]; nodes.len()];
        let mut weights = vec![0.0; nodes.len()];
        let mut bytes = vec![0; nodes.len()];
        let mut corners = Vec::new();
        for corner in 0..side * side {
            let offset = DVec2::new((corner % side) as f64, (corner / side) as f64) * f64::from(CELL_PX);
            for (lens, tile) in tiles.iter().enumerate() {
                let prepared = &self.rig.lenses[lens];
                let [u, v, _] = tile.at(offset / f64::from(tile_px));
                weights[lens] = prepared.edge_deg(DVec2::new(u, v) * self.rig.pictures[prepared.picture].as_dvec2());
            }
            let coverage = part.coverage(part.min.as_dvec2() + offset, self.rig, f64::from(CELL_PX));
            if self.seams.is_some() {
                let direction = part.direction(part.min.as_dvec2() + offset, self.rig);
                corners.push((direction.map(|direction| self.rig_from_view * direction), weights.clone(), coverage));
            }
            self.rule.weigh(&mut weights);
            weights.iter_mut().for_each(|weight| *weight *= coverage);
            quantise(&weights, &mut bytes);
            blocks.iter_mut().zip(&bytes).for_each(|(block, byte)| block[corner] = *byte);
        }
        Weighed { tiles, blocks, corners }
    }

    /// Adds a tile with several lenses or an edge, once for each lens that has a share in it.
    fn add_blended(&mut self, part: &Chart, layer: usize, Weighed { tiles, blocks, corners }: Weighed) {
        let tile_px = self.found[layer].tile_px;
        let side = block_side(tile_px);
        let may_share = |lens: usize| corners.iter().any(|(_, edges, _)| edges[lens] > 0.0);
        let has_share: Vec<bool> =
            (blocks.iter().enumerate()).map(|(lens, block)| block.iter().any(|weight| *weight > 0) || may_share(lens)).collect();
        let (Some(first), Some(last)) = (has_share.iter().position(|has| *has), has_share.iter().rposition(|has| *has)) else {
            self.found[layer].black.push(Tile::new(part, 0, &[Node::default(); 9]));
            return;
        };
        if let Some(seams) = &mut self.seams {
            let mut next = self.blocks.len()..;
            let places = has_share.iter().map(|has| if *has { next.next() } else { None }).collect();
            seams.add(tiles[first].rectangle, &corners, places, MARGIN_DEG);
        }
        for (lens, (mut tile, block)) in tiles.into_iter().zip(blocks).enumerate().filter(|(lens, _)| has_share[*lens]) {
            let (column, row) = (self.blocks.len() % BLOCKS_PER_ROW, self.blocks.len() / BLOCKS_PER_ROW);
            tile.weight_origin = [(column * side) as u16, (row * side) as u16];
            tile.slot |= self.slots | if lens == first { FIRST } else { 0 } | if lens == last { LAST } else { 0 };
            self.check(part, tile_px, lens, &tile);
            self.found[layer].blended[lens].push(tile);
            self.blocks.push(block);
        }
        self.slots += 1;
    }

    /// Keeps a tile for the coarse bands as each lens sees it that sees any of it.
    fn add_layers(&mut self, part: &Chart, node: impl Fn(usize, u32) -> Node) {
        let (cell_deg, cells) = (self.deg_per_px * f64::from(CELL_PX), self.found[0].tile_px / CELL_PX);
        let Some((_, tiles)) = &mut self.bands else { return };
        for lens in 0..self.rig.lenses.len() {
            let nodes: [Node; 9] = core::array::from_fn(|index| node(lens, index as u32));
            if nodes.iter().any(|node| node.edge_deg > 0.0) {
                let seen = nodes.map(|Node { value, edge_deg }| (value, edge_deg / cell_deg));
                tiles.push(LayerTile::new(part.min, cells, lens, seen));
            }
        }
    }

    /// The weight of each lens in each cell of the picture, as its tiles say.
    fn cell_weights(&self, size: UVec2) -> CellWeights {
        let mut weights = CellWeights::new(size, self.rig.lenses.len());
        let side = self.found.last().map_or(1, |found| block_side(found.tile_px));
        for found in &self.found {
            for (lens, tile) in
                (found.filled.iter().enumerate()).flat_map(|(lens, tiles)| tiles.iter().map(move |(_, tile)| (lens, tile)))
            {
                weights.set(lens, tile.rectangle, None);
            }
            for (lens, tile) in
                (found.blended.iter().enumerate()).flat_map(|(lens, tiles)| tiles.iter().map(move |tile| (lens, tile)))
            {
                weights.set(lens, tile.rectangle, Some((&self.blocks[tile.block(side)], side)));
            }
        }
        weights
    }

    /// Compares a tile with the lens model between its nodes, for a sample of all tiles.
    fn check(&mut self, part: &Chart, tile_px: u32, lens: usize, tile: &Tile) {
        self.tiles_seen += 1;
        if !self.tiles_seen.is_multiple_of(self.check_every) {
            return;
        }
        let picture = self.rig.pictures[self.rig.lenses[lens].picture].as_dvec2();
        for (s, t) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
            let point = part.min.as_dvec2() + DVec2::new(s, t) * f64::from(tile_px);
            let inside = point.cmplt(part.max.as_dvec2()).all() && part.inside_px(point, self.rig) > 0.0;
            let node = self.node(lens, part.direction(point, self.rig).map(|direction| self.rig_from_view * direction));
            if inside && node.edge_deg > 0.0 {
                let [u, v, _] = tile.at(DVec2::new(s, t));
                let error = (DVec2::new(u - node.value[0], v - node.value[1]) * picture).length();
                self.max_error_px = self.max_error_px.max(error);
            }
        }
    }

    pub fn finish(mut self, size: UVec2, wraps: bool) -> StitchMap {
        let cells = self.bands.is_some().then(|| self.cell_weights(size));
        let tile_px = self.found[0].tile_px;
        let fine_px = self.found.last().map_or(tile_px, |found| found.tile_px);
        let side = block_side(fine_px);
        let rows = self.blocks.len().div_ceil(BLOCKS_PER_ROW).max(1);
        let weights_size = UVec2::new((BLOCKS_PER_ROW * side) as u32, (rows * side) as u32);
        let mut weights = vec![0; (weights_size.x * weights_size.y) as usize];
        for (index, block) in self.blocks.iter().enumerate() {
            let (left, top) = (index % BLOCKS_PER_ROW * side, index / BLOCKS_PER_ROW * side);
            for (row, line) in block.chunks_exact(side).enumerate() {
                let start = (top + row) * weights_size.x as usize + left;
                weights[start..start + side].copy_from_slice(line);
            }
        }
        let seams = self
            .seams
            .take()
            .map(|seams| seams.finish(self.rule, self.rig.lenses.len(), side, (weights.clone(), weights_size), cells.clone()));
        let bands = self.bands.take().zip(cells).map(|((bands, tiles), cells)| {
            let reach = seams.as_ref().map(|seams| seams.reach(&cells));
            BandsMap::new(size, bands, wraps, &cells.lenses, &reach.as_ref().unwrap_or(&cells).lenses, tiles)
        });
        let sum_px = u64::from(self.slots) * u64::from(fine_px * fine_px);
        let mut tiles = Vec::new();
        let mut append = |list: Vec<Tile>| {
            let start = tiles.len() as u32;
            tiles.extend(list);
            start..tiles.len() as u32
        };
        let is_near = |tile: &Tile, tile_px: u32| {
            let [left, top, ..] = tile.rectangle.map(u32::from);
            bands.as_ref().is_some_and(|bands| bands.is_near(UVec2::new(left, top) / CELL_PX, tile_px / CELL_PX, 1))
        };
        let aligned = self.aligned;
        let layer = |Found { tile_px, filled, blended, black }| {
            let filled = filled
                .into_iter()
                .map(|tiles: Vec<(bool, Tile)>| {
                    let traits = |(is_shared, tile): &(bool, Tile)| TileTraits {
                        corrected: is_near(tile, tile_px),
                        aligned: aligned && *is_shared,
                    };
                    let of = |wanted| tiles.iter().filter(|tile| traits(tile) == wanted).map(|(_, tile)| *tile).collect();
                    TileTraits::ALL.map(|wanted| (wanted, append(of(wanted))))
                })
                .collect();
            Layer { tile_px, filled, blended: blended.into_iter().map(&mut append).collect(), black: append(black) }
        };
        StitchMap {
            layers: self.found.into_iter().map(layer).collect(),
            tiles,
            sum_px,
            weights,
            weights_size,
            bands,
            seams,
            aligned,
            tile_px,
            max_error_px: self.max_error_px,
            blended_share: sum_px as f64 / (f64::from(size.x) * f64::from(size.y)),
        }
    }
}
