//! Motion for the eyes' pictures: worked out once, on the source, and carried over.
//!
//! Where a pixel of an eye's picture comes from is fixed by the view, so the place in the source and how a step there turns into a
//! step here (the derivative of the map, by central differences) are worked out once for each cell of the grid. A field then
//! costs one look-up and a product of two by two a cell.

use super::{EyeView, pass::eye_parts};
use bevy::{ecs::entity::EntityHashMap, prelude::*};
use core::f32::consts::PI;
use std::sync::Arc;
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// What a map was worked out for.
#[derive(Clone, PartialEq)]
struct MapKey {
    view: EyeView,
    projection: PictureProjection,
    stereo: StereoLayout,
    picture_size: UVec2,
    grid: UVec2,
}

/// One cell: which cell of the source's grid it shows, and the columns of the matrix from steps there to steps here, in pixels.
#[derive(Clone, Copy)]
struct CellMap {
    source: u32,
    here_from_there: Mat2,
}

struct MotionMap {
    key: MapKey,
    grid: UVec2,
    cells: Vec<Option<CellMap>>,
}

/// The direction at a place (0 to 1 to the right and down) of an eye's picture; none outside of what it shows.
fn direction_at(projection: PictureProjection, eye: usize, at: Vec2) -> Option<Vec3> {
    let sphere = |longitude: f32, latitude: f32| {
        Vec3::new(longitude.sin() * latitude.cos(), latitude.sin(), -longitude.cos() * latitude.cos())
    };
    Some(match projection {
        PictureProjection::Equirectangular => sphere((at.x - 0.5) * 2.0 * PI, (0.5 - at.y) * PI),
        PictureProjection::HalfEquirectangular => sphere((at.x - 0.5) * PI, (0.5 - at.y) * PI),
        PictureProjection::OffAxis { left, right } => {
            let [left, right, up, down] = if eye == 0 { left } else { right };
            Vec3::new(at.x * (left + right) - left, up - at.y * (up + down), -1.0).normalize()
        }
        // Motion is carried over to what headsets get, and no cell of a cube map has neighbours across its edges.
        _ => return None,
    })
}

/// Where a direction lies in an eye's picture, 0 to 1 to the right and down.
fn place(projection: PictureProjection, eye: usize, direction: Vec3) -> Option<Vec2> {
    let sphere = |width: f32| {
        let (longitude, latitude) = (direction.x.atan2(-direction.z), direction.y.clamp(-1.0, 1.0).asin());
        (longitude.abs() <= width / 2.0).then(|| Vec2::new(0.5 + longitude / width, 0.5 - latitude / PI))
    };
    let inside = |at: Vec2| (at.cmpge(Vec2::ZERO).all() && at.cmple(Vec2::ONE).all()).then_some(at);
    match projection {
        PictureProjection::Equirectangular => sphere(2.0 * PI),
        PictureProjection::HalfEquirectangular => sphere(PI),
        PictureProjection::OffAxis { left, right } if direction.z < 0.0 => {
            let [left, right, up, down] = if eye == 0 { left } else { right };
            let at = direction.truncate() / -direction.z;
            inside(Vec2::new((at.x + left) / (left + right), (up - at.y) / (up + down)))
        }
        _ => None,
    }
}

impl MotionMap {
    /// The length of a cell's side here, at least: finer ones tell viewers nothing.
    const LEAST_CELL_PX: u32 = 8;
    /// Cells across at most.
    const MOST_COLUMNS: u32 = 240;

    fn new(key: MapKey) -> Self {
        let size = key.view.size.max(UVec2::ONE);
        let columns = (size.x / Self::LEAST_CELL_PX).clamp(2, Self::MOST_COLUMNS);
        let rows = (columns * size.y / size.x).max(2);
        let grid = UVec2::new(columns, rows);
        let cell = |index: u32| Self::cell(&key, (UVec2::new(index % columns, index / columns).as_vec2() + 0.5) / grid.as_vec2());
        let cells = (0..columns * rows).map(cell).collect();
        Self { key, grid, cells }
    }

    /// The cell whose middle lies at a place of the picture that goes out.
    fn cell(key: &MapKey, at: Vec2) -> Option<CellMap> {
        let (here_parts, there_parts) = (eye_parts(key.view.stereo), eye_parts(key.stereo));
        let in_part = |part: [f32; 4]| {
            let [x, y, width, height] = part;
            (at - Vec2::new(x, y)) / Vec2::new(width, height)
        };
        let (eye, here) = here_parts
            .into_iter()
            .map(in_part)
            .enumerate()
            .find(|(_, at)| at.cmpge(Vec2::ZERO).all() && at.cmple(Vec2::ONE).all())?;
        let projection = key.view.picture_projection();
        let rotation = key.view.rotation();
        let there = |here: Vec2| place(key.projection, eye, rotation * direction_at(projection, eye, here)?);
        let middle = there(here)?;
        let px = |parts: [[f32; 4]; 2], size: UVec2| {
            let [.., width, height] = *parts.get(eye)?;
            Some(size.as_vec2() * Vec2::new(width, height))
        };
        let (here_px, there_px) = (px(here_parts, key.view.size)?, px(there_parts, key.picture_size)?);
        // Two pixels to either side; a step over the seam of a whole sphere is the short way round.
        let slope = |axis: Vec2| {
            let step = axis * 2.0 / here_px;
            let mut difference = there(here + step)? - there(here - step)?;
            if key.projection == PictureProjection::Equirectangular {
                difference.x -= difference.x.round();
            }
            Some(difference * there_px / 4.0)
        };
        let there_from_here = Mat2::from_cols(slope(Vec2::X)?, slope(Vec2::Y)?);
        // At a pole every step there is the same step here.
        if there_from_here.determinant().abs() < 1e-4 {
            return None;
        }
        let [x, y, width, height] = *there_parts.get(eye)?;
        let in_picture = Vec2::new(x, y) + middle * Vec2::new(width, height);
        let cell = (in_picture * key.grid.as_vec2()).as_uvec2().min(key.grid.saturating_sub(UVec2::ONE));
        Some(CellMap { source: cell.y * key.grid.x + cell.x, here_from_there: there_from_here.inverse() })
    }

    fn carry_over(&self, field: &MotionField) -> MotionField {
        let vector = |cell: &Option<CellMap>| {
            let Some(cell) = cell else { return MotionVector::default() };
            let there = field.vectors.get(cell.source as usize).copied().unwrap_or_default();
            MotionVector::from_pixels(cell.here_from_there * there.to_pixels())
        };
        let vectors: Arc<[MotionVector]> = self.cells.iter().map(vector).collect();
        let wraps = self.key.view.picture_projection() == PictureProjection::Equirectangular
            && self.key.view.stereo != StereoLayout::LeftRight;
        MotionField { picture_size: self.key.view.size, grid: self.grid, wraps, vectors, ..*field }
    }
}

/// The maps of the nodes, and which field each has carried over last.
#[derive(Default)]
pub(super) struct MotionMaps(EntityHashMap<(MotionMap, u64)>);

/// Carries the source's newest field over to each view that runs.
pub(super) fn carry_motion(
    views: Query<(Entity, &EyeView)>,
    links: GraphLinks,
    frames: Query<&PinFrame>,
    motions: Query<&PinMotion>,
    mut maps: Local<MotionMaps>,
) {
    maps.0.retain(|node, _| links.runs(*node));
    for (node, view) in &views {
        let Some((field, generation)) = links.source(node, "motion").and_then(|pin| motions.get(pin).ok()?.newest()) else {
            continue;
        };
        let output = links.output(node, "motion").and_then(|pin| motions.get(pin).ok());
        let frame = links.source(node, "frame").and_then(|pin| frames.get(pin).ok()?.get());
        let (Some(output), Some(frame)) = (output, frame) else { continue };
        let GpuFrame { projection, stereo, .. } = frame;
        let key = MapKey { view: view.clone(), projection, stereo, picture_size: field.picture_size, grid: field.grid };
        let known = maps.0.remove(&node).filter(|(map, _)| map.key == key);
        let (map, seen) = known.unwrap_or_else(|| (MotionMap::new(key), 0));
        if seen != generation {
            output.set(map.carry_over(&field));
        }
        maps.0.insert(node, (map, generation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProfileProjection;

    fn field(size: UVec2, grid: UVec2, motion_px: Vec2) -> MotionField {
        MotionField {
            stamp: FrameStamp { frame_id: 7, ..default() },
            previous_frame_id: 6,
            picture_size: size,
            grid,
            wraps: true,
            vectors: vec![MotionVector::from_pixels(motion_px); grid.element_product() as usize].into(),
        }
    }

    #[test]
    fn a_turn_of_the_sphere_is_the_same_turn_for_every_view() {
        // The sphere turns by 8 of 1600 pixels: 1.8 degrees of longitude.
        let (size, grid) = (UVec2::new(1600, 800), UVec2::new(100, 50));
        let field = field(size, grid, Vec2::new(8.0, 0.0));
        let map = |projection, stereo, size| {
            let view = EyeView { size, projection, stereo, ..default() };
            let key = MapKey {
                view,
                projection: PictureProjection::Equirectangular,
                stereo: StereoLayout::Mono,
                picture_size: field.picture_size,
                grid,
            };
            MotionMap::new(key).carry_over(&field)
        };
        // VR180 side by side, 1.8 degrees of 180 across 800 pixels: 8 pixels, wherever.
        let half = map(ProfileProjection::HalfEquirectangular, StereoLayout::LeftRight, UVec2::new(1600, 800));
        assert_eq!((half.picture_size, half.stamp.frame_id, half.wraps), (UVec2::new(1600, 800), 7, false));
        for (column, row) in [(50, 50), (150, 50), (20, 30)] {
            let found = half.at(column, row).to_pixels();
            assert!((found - Vec2::new(8.0, 0.0)).length() < 0.15, "{column},{row}: {found}");
        }
        // Flat, 90 degrees across 800 pixels: 400 pixels a radian in the middle, so 1.8 degrees are 12.57 pixels.
        let flat = map(ProfileProjection::Rectilinear, StereoLayout::Mono, UVec2::new(800, 800));
        let found = flat.at(flat.grid.x / 2, flat.grid.y / 2).to_pixels();
        assert!((found - Vec2::new(12.57, 0.0)).length() < 0.3, "{found}");
        // At the right edge, 45 degrees aside, it is twice that: the derivative of the tangent.
        let found = flat.at(flat.grid.x - 1, flat.grid.y / 2).to_pixels();
        assert!((found.x - 25.0).abs() < 1.2, "{found}");
    }

    #[test]
    fn what_a_mono_view_of_the_same_sphere_gets_is_the_field_itself() {
        let (size, grid) = (UVec2::new(960, 480), UVec2::new(120, 60));
        let field = field(size, grid, Vec2::new(-3.0, 2.0));
        let view = EyeView { size, projection: ProfileProjection::Equirectangular, stereo: StereoLayout::Mono, ..default() };
        let key =
            MapKey { view, projection: PictureProjection::Equirectangular, stereo: StereoLayout::Mono, picture_size: size, grid };
        let same = MotionMap::new(key).carry_over(&field);
        assert_eq!(same.grid, grid);
        for row in 1..59 {
            for column in 0..120 {
                let off = (same.at(column, row).to_pixels() - Vec2::new(-3.0, 2.0)).length();
                assert!(off < 0.1, "{column},{row}: {off}");
            }
        }
    }
}
