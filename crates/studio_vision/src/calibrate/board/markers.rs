//! Which part of a `ChArUco` board a lattice of corners is: read from the markers in its squares.
//!
//! The markers are read where the lattice's squares are, rather than looked for as outlines: a square is small, so that a fisheye hardly bends
//! it, and markers that are blurred or cut still leave the others to say where the board is. They vote for a turn and a shift of the lattice.

use super::{Board, BoardCorner, BoardMarkers, MarkerDictionary};
use crate::calibrate::{CalibrateError, GrayPicture};
use bevy::math::{DMat3, DVec2, IVec2};
use std::collections::BTreeMap;

/// Markers that must agree on where the board is.
const LEAST_VOTES: usize = 2;
/// Corners that must be known at least: a board's place has six numbers, and the corners of a strip do not say them.
const LEAST_CORNERS: usize = 6;
/// How much lighter a marker's surroundings must be than its border, of 255.
const LEAST_CONTRAST: f64 = 12.0;
/// Share of a marker's border that may be lighter than the threshold.
const BORDER_ERRORS: f64 = 0.2;

/// Corners of a lattice, by place, as they are on screen: the second axis is clockwise from the first.
struct Lattice {
    corners: BTreeMap<[i32; 2], DVec2>,
}

/// A square of a lattice with what can be read in it.
struct Cell {
    place: IVec2,
    /// From the unit square to pixels.
    pixel_from_cell: DMat3,
}

/// The bits of a cell, in each of the four ways that it can be turned.
struct Reading {
    place: IVec2,
    bits: [u64; 4],
}

/// Where a lattice is on the board.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placement {
    /// Quarter turns.
    turn: usize,
    shift: [i32; 2],
}

impl Placement {
    /// The place on the board, counted in squares, of a lattice's place.
    fn apply(self, place: IVec2) -> IVec2 {
        turned(place, self.turn) + IVec2::from_array(self.shift)
    }
}

fn turned(place: IVec2, turn: usize) -> IVec2 {
    (0..turn).fold(place, |place, _| IVec2::new(-place.y, place.x))
}

/// The board's corners that the lattices of a picture are, counted from the board's first inner corner.
pub(super) fn place(
    picture: &GrayPicture,
    board: &Board,
    markers: &BoardMarkers,
    lattices: &[Vec<BoardCorner>],
) -> Result<Vec<BoardCorner>, CalibrateError> {
    let lattices: Vec<Lattice> =
        lattices.iter().filter(|corners| corners.len() >= 4).map(|corners| Lattice::new(corners)).collect();
    let cells: Vec<Vec<Cell>> = lattices.iter().map(|lattice| lattice.cells(picture)).collect();
    let mut placed: Vec<(usize, usize, Placement)> = Vec::new();
    for (index, cells) in cells.iter().enumerate() {
        let readings = read(picture, cells, markers.dictionary.bits(), markers.marker_mm / board.square_mm, false);
        if let Some((placement, votes)) = elect(board, &identify(&readings, markers.dictionary)) {
            placed.push((votes, index, placement));
        }
    }
    // What more markers agree on comes first; a lattice that says the same corners are elsewhere is another board.
    placed.sort_by_key(|(votes, index, _)| (std::cmp::Reverse(*votes), *index));
    let mut found: BTreeMap<[i32; 2], DVec2> = BTreeMap::new();
    for (_, index, placement) in placed {
        let corners =
            lattices[index].corners.iter().map(|(place, pixel)| (placement.apply(IVec2::from_array(*place)) - 1, *pixel));
        let size = IVec2::new(board.corners[0] as i32, board.corners[1] as i32);
        let corners: Vec<_> = corners.filter(|(place, _)| place.cmpge(IVec2::ZERO).all() && place.cmplt(size).all()).collect();
        if corners.iter().all(|(place, _)| !found.contains_key(&place.to_array())) {
            found.extend(corners.into_iter().map(|(place, pixel)| (place.to_array(), pixel)));
        }
    }
    if found.is_empty() {
        let (what, reason) = diagnose(picture, board, markers, &cells);
        return Err(CalibrateError::TooLittle { found: what, reason: format!("{}: {reason}", picture.name) });
    }
    let sides = [0, 1].map(|axis: usize| found.keys().map(|place| place[axis]).collect::<std::collections::BTreeSet<_>>().len());
    if found.len() < LEAST_CORNERS || sides[0] < 2 || sides[1] < 2 {
        let reason = format!("{}: {LEAST_CORNERS} corners in two rows must be seen", picture.name);
        return Err(CalibrateError::TooLittle { found: format!("{} corners of the board", found.len()), reason });
    }
    Ok(found.into_iter().map(|(place, pixel)| BoardCorner { place: IVec2::from_array(place), pixel }).collect())
}

impl Lattice {
    fn new(corners: &[BoardCorner]) -> Self {
        let corners: BTreeMap<[i32; 2], DVec2> = corners.iter().map(|corner| (corner.place.to_array(), corner.pixel)).collect();
        let handedness = corners.iter().filter_map(|(&[x, y], pixel)| {
            let (right, down) = (corners.get(&[x + 1, y])?, corners.get(&[x, y + 1])?);
            Some((*right - *pixel).perp_dot(*down - *pixel).signum())
        });
        if handedness.sum::<f64>() >= 0.0 {
            return Self { corners };
        }
        Self { corners: corners.into_iter().map(|([x, y], pixel)| ([-x, y], pixel)).collect() }
    }

    /// A corner, or where it would be one step beyond the lattice.
    fn corner(&self, [x, y]: [i32; 2]) -> Option<DVec2> {
        let at = |x, y| self.corners.get(&[x, y]).copied();
        at(x, y).or_else(|| {
            [[1, 0], [-1, 0], [0, 1], [0, -1]].into_iter().find_map(|[dx, dy]| {
                let (near, next) = (at(x + dx, y + dy)?, at(x + 2 * dx, y + 2 * dy)?);
                let step = near - next;
                // Steps grow or shrink with distance, as those before did.
                let growth = at(x + 3 * dx, y + 3 * dy)
                    .map_or(1.0, |last| (step.length() / next.distance(last).max(1e-9)).clamp(0.7, 1.4));
                Some(near + step * growth)
            })
        })
    }

    /// The squares whose corners are all known or one step beyond, and in the picture.
    fn cells(&self, picture: &GrayPicture) -> Vec<Cell> {
        let size = picture.size().as_dvec2();
        let is_inside = |pixel: &DVec2| pixel.cmpge(DVec2::ZERO).all() && pixel.cmple(size).all();
        let near = self.corners.keys().flat_map(|&[x, y]| [[x, y], [x - 1, y], [x, y - 1], [x - 1, y - 1]]);
        let places: std::collections::BTreeSet<[i32; 2]> = near.collect();
        let cell = |[x, y]: [i32; 2]| {
            let corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]].map(|place| self.corner(place).filter(is_inside));
            let [Some(a), Some(b), Some(c), Some(d)] = corners else { return None };
            Some(Cell { place: IVec2::new(x, y), pixel_from_cell: from_unit_square([a, b, c, d])? })
        };
        places.into_iter().filter_map(cell).collect()
    }
}

/// The homography that takes the unit square's corners, clockwise from the origin, to four points (Heckbert, “Fundamentals of Texture Mapping
/// and Image Warping”, 1989); `None` if they are no convex quadrilateral.
fn from_unit_square([a, b, c, d]: [DVec2; 4]) -> Option<DMat3> {
    let turns = [(a, b, c), (b, c, d), (c, d, a), (d, a, b)];
    if turns.into_iter().any(|(a, b, c)| (b - a).perp_dot(c - b) <= 0.0) {
        return None;
    }
    let (across, down, sum) = (b - c, d - c, a - b + c - d);
    let determinant = across.perp_dot(down);
    let (g, h) = (sum.perp_dot(down) / determinant, across.perp_dot(sum) / determinant);
    let (x, y) = (b - a + b * g, d - a + d * h);
    Some(DMat3::from_cols(x.extend(g), y.extend(h), a.extend(1.0)))
}

/// Reads the cells that look like markers: a dark border in a light square. A mirrored reading is as if the picture were mirrored.
fn read(picture: &GrayPicture, cells: &[Cell], bits: u32, marker_share: f64, mirrored: bool) -> Vec<Reading> {
    let side = f64::from(bits + 2);
    cells
        .iter()
        .filter_map(|cell| {
            let luma = |place: DVec2| {
                let pixel = cell.pixel_from_cell * place.extend(1.0);
                f64::from(picture.luma(pixel.truncate() / pixel.z))
            };
            let mean = |places: &mut dyn Iterator<Item = DVec2>| {
                let (sum, count) = places.fold((0.0, 0), |(sum, count), place| (sum + luma(place), count + 1));
                sum / f64::from(count.max(1))
            };
            let margin = (1.0 - marker_share) / 4.0;
            let around = (0..8).map(|step| (f64::from(step) + 0.5) / 8.0).flat_map(|along| {
                let along = margin + along * (1.0 - 2.0 * margin);
                [(along, margin), (along, 1.0 - margin), (margin, along), (1.0 - margin, along)].map(|(x, y)| DVec2::new(x, y))
            });
            let light = mean(&mut around.into_iter());
            // Each bit is the mean of five samples in its middle half.
            let offsets = [[0.0, 0.0], [-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]];
            let bit = |x: u32, y: u32| {
                let x = if mirrored { bits + 1 - x } else { x };
                let middle = DVec2::new(f64::from(x), f64::from(y)) + 0.5;
                let sample =
                    |offset: [f64; 2]| (middle + DVec2::from_array(offset)) / side * marker_share + (1.0 - marker_share) / 2.0;
                mean(&mut offsets.into_iter().map(sample))
            };
            let values: Vec<f64> =
                (0..bits + 2).flat_map(|y| (0..bits + 2).map(move |x| (x, y))).map(|(x, y)| bit(x, y)).collect();
            let is_border = |index: usize| {
                let (x, y) = (index as u32 % (bits + 2), index as u32 / (bits + 2));
                x == 0 || y == 0 || x > bits || y > bits
            };
            let border: Vec<f64> =
                values.iter().enumerate().filter(|(index, _)| is_border(*index)).map(|(_, value)| *value).collect();
            let dark = border.iter().sum::<f64>() / border.len() as f64;
            let threshold = (light + dark) / 2.0;
            let errors = border.iter().filter(|value| **value > threshold).count();
            if light - dark < LEAST_CONTRAST || errors as f64 > BORDER_ERRORS * border.len() as f64 {
                return None;
            }
            let inner = values.iter().enumerate().filter(|(index, _)| !is_border(*index));
            let first = inner.fold(0_u64, |all, (_, value)| all << 1 | u64::from(*value > threshold));
            let next = |of: u64| turned_bits(of, bits);
            let (second, third) = (next(first), next(next(first)));
            Some(Reading { place: cell.place, bits: [first, second, third, next(third)] })
        })
        .collect()
}

/// Bits as they are read when the board's first axis is a quarter turn further back in the lattice.
fn turned_bits(of: u64, bits: u32) -> u64 {
    let places = (0..bits).flat_map(|y| (0..bits).map(move |x| (x, y)));
    places.fold(0, |all, (x, y)| {
        let (from_x, from_y) = (y, bits - 1 - x);
        all << 1 | of >> (bits * bits - 1 - (from_y * bits + from_x)) & 1
    })
}

/// The markers that readings are of: where, which, and turned how often.
fn identify(readings: &[Reading], dictionary: MarkerDictionary) -> Vec<(IVec2, u32, usize)> {
    let marker = |reading: &Reading| {
        let turns = reading.bits.iter().enumerate().filter_map(|(turn, bits)| Some((dictionary.find(*bits)?, turn)));
        turns.min_by_key(|((_, wrong), _)| *wrong).map(|((id, _), turn)| (reading.place, id, turn))
    };
    readings.iter().filter_map(marker).collect()
}

/// Where most markers put the lattice, and how many do. Half of all must agree.
fn elect(board: &Board, markers: &[(IVec2, u32, usize)]) -> Option<(Placement, usize)> {
    let mut votes: BTreeMap<Placement, usize> = BTreeMap::new();
    for (place, id, turn) in markers {
        let Some(square) = board.square_of(*id) else { continue };
        // A cell's middle is half a step off its place, and turns with it.
        let shift = (square * 2 + 1 - turned(*place * 2 + 1, *turn)) / 2;
        *votes.entry(Placement { turn: *turn, shift: shift.to_array() }).or_default() += 1;
    }
    let (placement, count) = votes.into_iter().max_by_key(|(placement, votes)| (*votes, std::cmp::Reverse(*placement)))?;
    (count >= LEAST_VOTES && count * 2 > markers.len()).then_some((placement, count))
}

/// Why no lattice is the board: what was found, and what may be wrong.
fn diagnose(picture: &GrayPicture, board: &Board, markers: &BoardMarkers, cells: &[Vec<Cell>]) -> (String, String) {
    let dictionary = markers.dictionary;
    let share = markers.marker_mm / board.square_mm;
    let count = cells.iter().map(Vec::len).max().unwrap_or(0);
    if count == 0 {
        let reason =
            "no ChArUco board found. A good part of it must be sharp, evenly lit, and its squares at least 12 pixels".to_owned();
        return ("no lattice of corners".to_owned(), reason);
    }
    // Each lattice's markers, and how many squares look like markers.
    let read_all = |dictionary: MarkerDictionary, share: f64, mirrored: bool| -> Vec<(Vec<(IVec2, u32, usize)>, usize)> {
        let of_lattice = |cells: &Vec<Cell>| {
            let readings = read(picture, cells, dictionary.bits(), share, mirrored);
            let mut markers = identify(&readings, dictionary);
            if mirrored {
                // The mirrored lattice has its first axis reversed.
                markers.iter_mut().for_each(|(place, ..)| place.x = -1 - place.x);
            }
            (markers, readings.len())
        };
        cells.iter().map(of_lattice).collect()
    };
    let votes = |board: &Board, lattices: &[(Vec<(IVec2, u32, usize)>, usize)]| {
        let votes = lattices.iter().filter_map(|(markers, _)| elect(board, markers)).map(|(_, votes)| votes);
        votes.max().unwrap_or(0)
    };
    let most = |lattices: &[(Vec<(IVec2, u32, usize)>, usize)]| {
        lattices.iter().max_by_key(|(markers, _)| markers.len()).cloned().unwrap_or_default()
    };
    let as_said = read_all(dictionary, share, false);
    let (own, like_markers) = most(&as_said);
    let found = format!("{} markers of {dictionary} in {count} squares", own.len());
    if votes(board, &read_all(dictionary, share, true)) > 0 {
        return (found, "the picture is mirrored: turn mirroring off in the camera or the program that saved it".to_owned());
    }
    if let Some(legacy) =
        board.markers.map(|markers| Board { markers: Some(BoardMarkers { legacy: !markers.legacy, ..markers }), ..*board })
        && votes(&legacy, &as_said) > 0
    {
        let said = if markers.legacy { "is not of the legacy layout" } else { "is of the legacy layout (OpenCV before 4.6)" };
        return (found, format!("the board {said}"));
    }
    for columns in 4..=40 {
        let other = Board { corners: [columns - 1, board.corners[1].max(board.corners[0])], ..*board };
        if columns != board.squares()[0] && votes(&other, &as_said) > 2 {
            return (
                found,
                format!("its markers lie as on a board of {columns} columns: the board should have {}", board.squares()[0]),
            );
        }
    }
    for step in 6..=19 {
        let share = f64::from(step) / 20.0;
        if votes(board, &read_all(dictionary, share, false)) > 2 {
            let reason = format!(
                "its markers are about {share:.2} of a square: measure marker and square, {:.2} is said",
                markers.marker_mm / board.square_mm
            );
            return (found, reason);
        }
    }
    // The largest dictionary of each size has all of the smaller ones.
    for largest in MarkerDictionary::all().filter(|other| other.count() == 1000) {
        let (markers, like) = most(&read_all(largest, share, false));
        if markers.len() >= 3 && markers.len() * 2 > like {
            let highest = markers.iter().map(|(_, id, _)| *id).max().unwrap_or(0);
            if let Some(other) = largest.of_size(highest + 1).filter(|other| *other != dictionary) {
                return (
                    found,
                    format!("its markers look like those of {other}: name the dictionary that the board was made with"),
                );
            }
        }
    }
    let reason = if like_markers == 0 {
        "no markers in the squares: is it a checkerboard?"
    } else {
        "too few markers can be read: show the board larger, sharper and evenly lit, and check its dictionary and its sizes"
    };
    (found, reason.to_owned())
}

/// Whether two corners are joined by an edge of squares: dark all along one side and light along the other. What lies inside of markers is not.
pub(super) fn is_edge(picture: &GrayPicture, from: DVec2, to: DVec2) -> bool {
    let along = to - from;
    let aside = along.perp().normalize_or_zero() * (along.length() * 0.05).clamp(1.5, 4.0);
    let differences = [0.2, 0.35, 0.5, 0.65, 0.8].map(|part| {
        let place = from + along * part;
        f64::from(picture.luma(place + aside) - picture.luma(place - aside))
    });
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    mean.abs() > 6.0 && differences.iter().all(|difference| difference * mean.signum() > 0.2 * mean.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::math::DVec3;

    #[test]
    fn a_square_goes_to_where_its_corners_are() {
        let corners = [[10.0, 12.0], [50.0, 8.0], [47.0, 40.0], [14.0, 33.0]].map(DVec2::from_array);
        let homography = from_unit_square(corners).expect("convex");
        for (place, corner) in [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]].into_iter().zip(corners) {
            let at = homography * DVec3::new(place[0], place[1], 1.0);
            assert!((at.truncate() / at.z).distance(corner) < 1e-9);
        }
        assert!(from_unit_square([corners[0], corners[3], corners[2], corners[1]]).is_none());
    }

    #[test]
    fn four_turns_are_none() {
        let bits = 0b1011_0101_0011_0010;
        assert_eq!((0..4).fold(bits, |bits, _| turned_bits(bits, 4)), bits);
        assert_ne!(turned_bits(bits, 4), bits);
    }
}
