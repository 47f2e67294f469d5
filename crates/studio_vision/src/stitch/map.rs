//! The map of a stitch: tiles with polynomials.

mod builder;

use super::{StitchError, StitchSettings, StitchView, bands::BandsMap, seams::SeamMap, tile::Tile};
use crate::{rig::PreparedRig, stabilise::RowMotion};
use bevy::math::UVec2;
use builder::Builder;
use core::ops::Range;
#[cfg(test)]
use {super::tile::LAST, bevy::math::DVec2};

/// Side of a cell of the weight grid in pixels; every tile size is a multiple.
pub(super) const CELL_PX: u32 = 8;
/// Tile sizes, best first: the first whose polynomials are good enough is taken.
const TILE_SIZES_PX: [u32; 4] = [64, 32, 16, 8];
/// The largest error of a polynomial, in pixels of the lens's picture, that does not call for smaller tiles.
const GOOD_ERROR_PX: f64 = 0.04;
/// Weight blocks a row of the weight texture.
pub(super) const BLOCKS_PER_ROW: usize = 512;

/// Tiles of one size.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Side of a tile in pixels.
    pub tile_px: u32,
    /// For each lens, the tiles that it fills alone, by what is done to them.
    pub filled: Vec<[(TileTraits, Range<u32>); 4]>,
    /// For each lens, the tiles that it has a share in.
    pub blended: Vec<Range<u32>>,
    /// The tiles that no lens sees.
    pub black: Range<u32>,
}

/// What is done to tiles of a lens beside drawing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct TileTraits {
    /// Coarse bands reach them.
    pub corrected: bool,
    /// Another lens sees some of them too, and the two are aligned.
    pub aligned: bool,
}

impl TileTraits {
    const ALL: [Self; 4] = [
        Self { corrected: false, aligned: false },
        Self { corrected: true, aligned: false },
        Self { corrected: false, aligned: true },
        Self { corrected: true, aligned: true },
    ];
}

/// The way from every pixel of the output to the lenses' pixels.
#[derive(Clone, Debug)]
pub struct StitchMap {
    pub(super) tiles: Vec<Tile>,
    /// Large tiles, and small ones where lenses overlap.
    pub(super) layers: Vec<Layer>,
    /// Pixels in all tiles with several lenses.
    pub(super) sum_px: u64,
    /// Weights of overlap tiles, in blocks of one byte a cell corner.
    pub(super) weights: Vec<u8>,
    pub(super) weights_size: UVec2,
    /// The coarse bands of a multi-band blend.
    pub(super) bands: Option<BandsMap>,
    /// The tiles whose weights follow seams.
    pub(super) seams: Option<SeamMap>,
    /// Whether lenses are aligned in their overlaps.
    pub(super) aligned: bool,
    tile_px: u32,
    max_error_px: f64,
    blended_share: f64,
}

impl StitchMap {
    /// Works out the map, with the largest tiles that keep it within 0.04 pixels of the lens models.
    ///
    /// # Errors
    /// [`StitchError::Setting`] if a setting is out of range.
    pub fn new(rig: &PreparedRig, settings: &StitchSettings) -> Result<Self, StitchError> {
        Self::with_rows(rig, settings, None)
    }

    /// The same where the rig turned while its pictures were read, row by row.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_rows(rig: &PreparedRig, settings: &StitchSettings, rows: Option<&RowMotion>) -> Result<Self, StitchError> {
        let mut map = Self::with_tiles(rig, settings, rows, TILE_SIZES_PX[0])?;
        for &tile_px in &TILE_SIZES_PX[1..] {
            if map.max_error_px <= GOOD_ERROR_PX {
                break;
            }
            map = Self::with_tiles(rig, settings, rows, tile_px)?;
        }
        Ok(map)
    }

    /// Works out the map with tiles of 8, 16, 32 or 64 pixels.
    pub(super) fn with_tiles(
        rig: &PreparedRig,
        settings: &StitchSettings,
        rows: Option<&RowMotion>,
        tile_px: u32,
    ) -> Result<Self, StitchError> {
        settings.validate()?;
        let size = UVec2::from_array(settings.size_px);
        let mut builder = Builder::new(rig, settings, rows, tile_px);
        for chart in settings.view.charts(size, rig)? {
            builder.add_chart(&chart);
        }
        Ok(builder.finish(size, settings.view == StitchView::Equirectangular))
    }

    /// Side of a large tile in pixels.
    pub fn tile_px(&self) -> u32 {
        self.tile_px
    }

    /// The largest distance found between the map and the lens models, in pixels of the rig's pictures.
    pub fn max_error_px(&self) -> f64 {
        self.max_error_px
    }

    /// The share of the output's pixels that lie in tiles with more than one lens or an edge, about 0 to 1.
    pub fn blended_share(&self) -> f64 {
        self.blended_share
    }
}

#[cfg(test)]
impl StitchMap {
    /// Calls for every pixel of every tile with the lens and its texture coordinates.
    pub(super) fn visit(&self, mut each: impl FnMut(usize, DVec2, DVec2)) {
        for layer in &self.layers {
            let filled = layer.all_filled();
            let lists = filled.iter().enumerate().chain(layer.blended.iter().enumerate());
            for (lens, tile) in lists.flat_map(|(lens, tiles)| tiles.clone().map(move |tile| (lens, tile))) {
                let tile = &self.tiles[tile as usize];
                let [left, top, width, height] = tile.rectangle.map(u32::from);
                for index in 0..width * height {
                    let local = DVec2::new(f64::from(index % width) + 0.5, f64::from(index / width) + 0.5);
                    let [u, v, _] = tile.at(local / f64::from(layer.tile_px));
                    each(lens, local + DVec2::new(f64::from(left), f64::from(top)), DVec2::new(u, v));
                }
            }
        }
    }

    /// Calls for every pixel of every tile with the lens's weight there.
    pub(super) fn visit_weights(&self, mut each: impl FnMut(u32, u32, f64)) {
        for layer in &self.layers {
            for (blended, tile) in [(false, &layer.all_filled()), (true, &layer.blended)]
                .into_iter()
                .flat_map(|(blended, lists)| lists.iter().cloned().flatten().map(move |tile| (blended, tile)))
            {
                let tile = &self.tiles[tile as usize];
                let [left, top, width, height] = tile.rectangle.map(u32::from);
                for index in 0..width * height {
                    let (x, y) = (index % width, index / width);
                    let corner = |dx: u32, dy: u32| {
                        let column = u32::from(tile.weight_origin[0]) + x / CELL_PX + dx;
                        let row = u32::from(tile.weight_origin[1]) + y / CELL_PX + dy;
                        f64::from(self.weights[(row * self.weights_size.x + column) as usize]) / 255.0
                    };
                    let part = |offset: u32| (f64::from(offset % CELL_PX) + 0.5) / f64::from(CELL_PX);
                    let mix = |a: f64, b: f64, part: f64| a + (b - a) * part;
                    let weight = mix(mix(corner(0, 0), corner(1, 0), part(x)), mix(corner(0, 1), corner(1, 1), part(x)), part(y));
                    each(left + x, top + y, if blended { weight } else { 1.0 });
                }
            }
        }
    }

    /// How many pixels are written.
    pub(super) fn drawn_px(&self) -> u64 {
        let tiles = self.layers.iter().flat_map(|layer| {
            let alone = layer.all_filled().into_iter().chain([layer.black.clone()]).flatten();
            let last = layer.blended.iter().cloned().flatten().filter(|tile| self.tiles[*tile as usize].slot & LAST != 0);
            alone.chain(last).map(|tile| &self.tiles[tile as usize])
        });
        tiles.map(|tile| u64::from(tile.rectangle[2]) * u64::from(tile.rectangle[3])).sum()
    }
}

#[cfg(test)]
impl Layer {
    /// For each lens, the tiles that it fills alone.
    fn all_filled(&self) -> Vec<Range<u32>> {
        self.filled.iter().map(|parts| parts[0].1.start..parts[3].1.end).collect()
    }
}
