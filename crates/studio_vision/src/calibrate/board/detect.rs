//! Boards in pictures.
//!
//! Corners come from the `ChESS` detector (Bennett and Lasenby, “`ChESS` – Quick and Robust Detection of Chess-board Features”, CVIU 2014). They
//! are joined to a lattice from neighbour to neighbour along their own axes, so that a lens may bend the board as it likes.

use super::{Board, markers};
use crate::calibrate::{CalibrateError, GrayPicture};
use bevy::math::{DVec2, IVec2};
use chess_corners::{Detector, DetectorConfig, ImageRefiner};
use std::collections::{BTreeMap, VecDeque};

/// The most corners that are looked at in a picture: more is foliage.
const MOST_CORNERS: usize = 6000;
/// How far a neighbour may lie off an axis, as the sine of an angle.
const OFF_AXIS: f64 = 0.35;
/// How far a lattice's next corner may be from where the two before it point, as a share of their distance.
const OFF_LATTICE: f64 = 0.35;
/// Corners that a board must show at least.
const LEAST_CORNERS: usize = 12;

/// An inner corner of a board in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoardCorner {
    /// Which inner corner: of a board with markers counted from its first one, at the top left; of a checkerboard from an arbitrary one, as
    /// it looks the same from several sides.
    pub place: IVec2,
    /// The pixel; the first pixel's centre is at a half.
    pub pixel: DVec2,
}

/// A corner with the directions of the edges that meet there.
struct Cross {
    pixel: DVec2,
    axes: [DVec2; 2],
}

/// Finds a board in a picture, or the part of it that can be seen: of a checkerboard the largest one in one piece, of a board with
/// markers all that they say where it belongs. One board is expected in a picture.
///
/// # Errors
/// [`CalibrateError::TooLittle`] if there is no board, or another one than described; [`CalibrateError::Setting`] if the board's
/// description is unusable.
pub fn find_board(picture: &GrayPicture, board: &Board) -> Result<Vec<BoardCorner>, CalibrateError> {
    board.validate()?;
    let lattices = lattices(picture)?;
    match &board.markers {
        Some(on_it) => markers::place(picture, board, on_it, &lattices),
        None => checker(picture, board, lattices),
    }
}

/// The lattices that a picture's corners are joined to.
fn lattices(picture: &GrayPicture) -> Result<Vec<Vec<BoardCorner>>, CalibrateError> {
    let crosses = crosses(picture)?;
    let neighbours: Vec<[Option<usize>; 4]> = (0..crosses.len()).map(|index| neighbours(picture, &crosses, index)).collect();
    let mut lattices = Vec::new();
    let mut seen = vec![false; crosses.len()];
    for start in 0..crosses.len() {
        if seen[start] {
            continue;
        }
        let lattice = grow(&crosses, &neighbours, start);
        lattice.values().for_each(|index| seen[*index] = true);
        let corner =
            |(place, index): (&[i32; 2], &usize)| BoardCorner { place: IVec2::from_array(*place), pixel: crosses[*index].pixel };
        lattices.push(lattice.iter().map(corner).collect());
    }
    Ok(lattices)
}

/// The part of the largest lattice that is a checkerboard.
fn checker(picture: &GrayPicture, board: &Board, lattices: Vec<Vec<BoardCorner>>) -> Result<Vec<BoardCorner>, CalibrateError> {
    let best = lattices.into_iter().rev().max_by_key(Vec::len).unwrap_or_default();
    let none =
        |found: String, reason: &str| Err(CalibrateError::TooLittle { found, reason: format!("{}: {reason}", picture.name) });
    if best.len() < LEAST_CORNERS {
        let reason = "no checkerboard found. The whole board or a good part of it must be sharp, evenly lit, and its squares at least 10 pixels";
        return none(format!("a lattice of {} corners", best.len()), reason);
    }
    let all = best.len();
    // Edges of the board and what lies around it can look like corners: the part of the lattice that is as large as the board and has the
    // most corners is the board.
    let [across, down] = board.corners.map(|side| side as i32);
    let mut best = [IVec2::new(across, down), IVec2::new(down, across)]
        .into_iter()
        .map(|size| fullest_part(&best, size))
        .max_by_key(Vec::len)
        .unwrap_or_default();
    let low = best.iter().fold(IVec2::MAX, |low, corner| low.min(corner.place));
    let high = best.iter().fold(IVec2::MIN, |high, corner| high.max(corner.place));
    let size = high - low + 1;
    if (all - best.len()) * 2 > best.len() {
        let reason = format!("the board should have {across}×{down} inner corners: count them, one less than squares");
        return none(format!("a lattice of {all} corners, {} of them in {}×{},", best.len(), size.x, size.y), &reason);
    }
    if size.min_element() < 3 {
        return none(format!("a strip of {}×{} corners", size.x, size.y), "three corners each way must be seen");
    }
    best.iter_mut().for_each(|corner| corner.place -= low);
    Ok(best)
}

/// The corners in the rectangle of a size that has the most of them.
fn fullest_part(corners: &[BoardCorner], size: IVec2) -> Vec<BoardCorner> {
    let in_part = |low: IVec2| {
        let corners = corners.iter().filter(move |corner| corner.place.cmpge(low).all() && corner.place.cmplt(low + size).all());
        corners.copied().collect::<Vec<_>>()
    };
    let starts = |axis: usize| {
        let places = corners.iter().map(|corner| corner.place[axis]);
        let (low, high) = (places.clone().min().unwrap_or(0), places.max().unwrap_or(0));
        low..=(high - size[axis] + 1).max(low)
    };
    let lows = starts(1).flat_map(|y| starts(0).map(move |x| IVec2::new(x, y)));
    lows.map(in_part).max_by_key(Vec::len).unwrap_or_default()
}

fn crosses(picture: &GrayPicture) -> Result<Vec<Cross>, CalibrateError> {
    let unusable = |reason: String| CalibrateError::TooLittle { found: picture.name.clone(), reason };
    let config = DetectorConfig::chess().with_refiner(ImageRefiner::saddle_point());
    let mut detector = Detector::new(config).map_err(|error| unusable(error.to_string()))?;
    let size = picture.size();
    let found = detector.detect_u8(&picture.to_bytes(), size.x, size.y).map_err(|error| unusable(error.to_string()))?;
    let mut found: Vec<_> = found.into_iter().filter(|corner| corner.x.is_finite() && corner.y.is_finite()).collect();
    found.sort_by(|a, b| b.response.total_cmp(&a.response).then(a.y.total_cmp(&b.y)).then(a.x.total_cmp(&b.x)));
    // Weak answers are texture.
    let least = found.get(found.len().min(30) / 2).map_or(0.0, |corner| corner.response * 0.1);
    let strong = found.into_iter().take(MOST_CORNERS).filter(|corner| corner.response > least);
    let cross = |corner: chess_corners::CornerDescriptor| {
        let axes = corner.axes?.map(|axis| DVec2::from_angle(f64::from(axis.angle)));
        Some(Cross { pixel: DVec2::new(f64::from(corner.x), f64::from(corner.y)) + 0.5, axes })
    };
    Ok(strong.filter_map(cross).collect())
}

/// The nearest corners along both axes, forwards and backwards: `[+0, +1, −0, −1]`. A neighbour must have an axis along the line between
/// the two as well, and squares' edges run along that line.
fn neighbours(picture: &GrayPicture, crosses: &[Cross], index: usize) -> [Option<usize>; 4] {
    let own = &crosses[index];
    let mut nearest: [Option<(f64, usize)>; 4] = [None; 4];
    for (other, cross) in crosses.iter().enumerate() {
        let away = cross.pixel - own.pixel;
        let distance = away.length();
        if other == index || distance < 4.0 {
            continue;
        }
        let away = away / distance;
        for (side, nearest) in nearest.iter_mut().enumerate() {
            let axis = own.axes[side % 2] * if side < 2 { 1.0 } else { -1.0 };
            let is_ahead = away.dot(axis) > 0.0 && away.perp_dot(axis).abs() < OFF_AXIS;
            let is_joined = cross.axes.iter().any(|axis| away.perp_dot(*axis).abs() < OFF_AXIS);
            let is_nearer = nearest.is_none_or(|(least, _)| distance < least);
            if is_ahead && is_joined && is_nearer && markers::is_edge(picture, own.pixel, cross.pixel) {
                *nearest = Some((distance, other));
            }
        }
    }
    nearest.map(|nearest| nearest.map(|(_, other)| other))
}

/// The lattice that a corner is part of.
fn grow(crosses: &[Cross], neighbours: &[[Option<usize>; 4]], start: usize) -> BTreeMap<[i32; 2], usize> {
    let mut lattice = BTreeMap::from([([0, 0], start)]);
    // With each corner goes which of its sides is the lattice's first direction, and whether its second is the next or the one before.
    let mut frames = BTreeMap::from([(start, (0_usize, 1_usize))]);
    let mut queue = VecDeque::from([([0, 0], start)]);
    let back = |side: usize| (side + 2) % 4;
    while let Some((place, index)) = queue.pop_front() {
        let Some(&(right, down)) = frames.get(&index) else { continue };
        for (side, step) in [(right, [1, 0]), (down, [0, 1]), (back(right), [-1, 0]), (back(down), [0, -1])] {
            let Some(next) = neighbours[index][side] else { continue };
            let target = [place[0] + step[0], place[1] + step[1]];
            if lattice.contains_key(&target) || frames.contains_key(&next) {
                continue;
            }
            // It must be its neighbour's neighbour, and lie where the corner behind points.
            let Some(arrival) = (0..4).find(|side| neighbours[next][*side] == Some(index)) else { continue };
            let behind = lattice.get(&[place[0] - step[0], place[1] - step[1]]);
            let is_in_line = behind.is_none_or(|behind| {
                let expected = crosses[index].pixel * 2.0 - crosses[*behind].pixel;
                crosses[next].pixel.distance(expected) < OFF_LATTICE * crosses[index].pixel.distance(crosses[*behind].pixel)
            });
            if !is_in_line {
                continue;
            }
            // The direction that was gone in goes on opposite of where one came from; the other one is the axis nearest to the old one.
            let ahead = back(arrival);
            let other = if step[0] != 0 { down } else { right };
            let direction = |of: usize, side: usize| crosses[of].axes[side % 2] * if side < 2 { 1.0 } else { -1.0 };
            let across = [(ahead + 1) % 4, (ahead + 3) % 4];
            let likeness = across.map(|side| direction(next, side).dot(direction(index, other)));
            let across = across[usize::from(likeness[1] > likeness[0])];
            let forwards = if step[0] + step[1] > 0 { ahead } else { arrival };
            frames.insert(next, if step[0] != 0 { (forwards, across) } else { (across, forwards) });
            lattice.insert(target, next);
            queue.push_back((target, next));
        }
    }
    lattice
}
