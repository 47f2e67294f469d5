//! What is on a board, and where.

use super::MarkerDictionary;
use crate::calibrate::CalibrateError;
use bevy::math::{DVec2, IVec2};

/// A board of squares, as a checkerboard has them or with markers in its white ones (`ChArUco`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Board {
    /// Inner corners across and down: one less than squares.
    pub corners: [u32; 2],
    /// Side of a square in millimetres.
    pub square_mm: f64,
    /// The markers in its white squares; `None`: a checkerboard.
    pub markers: Option<BoardMarkers>,
}

/// The markers of a `ChArUco` board: in its white squares, counted row by row from the top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoardMarkers {
    /// Where they are from.
    pub dictionary: MarkerDictionary,
    /// Side of a marker with its black border, in millimetres.
    pub marker_mm: f64,
    /// Whether a board with an even number of rows begins with a white square, as OpenCV made them before 4.6.
    pub legacy: bool,
}

impl Board {
    /// A checkerboard of so many inner corners across and down.
    pub fn checker(corners: [u32; 2], square_mm: f64) -> Self {
        Self { corners, square_mm, markers: None }
    }

    /// A `ChArUco` board of so many squares across and down.
    pub fn charuco(squares: [u32; 2], square_mm: f64, markers: BoardMarkers) -> Self {
        Self { corners: squares.map(|side| side.saturating_sub(1)), square_mm, markers: Some(markers) }
    }

    /// Squares across and down.
    pub fn squares(&self) -> [u32; 2] {
        self.corners.map(|corners| corners.saturating_add(1))
    }

    pub(super) fn validate(&self) -> Result<(), CalibrateError> {
        let [across, down] = self.corners;
        let refuse = |setting, reason| Err(CalibrateError::Setting { setting, reason });
        if !(3..=100).contains(&across) || !(3..=100).contains(&down) {
            let reason = format!("has {across}×{down} inner corners: it must have 3 to 100 each way, one less than its squares");
            return refuse("board", reason);
        }
        if !(self.square_mm > 0.0 && self.square_mm <= 1e5) {
            let reason = format!("has squares of {} mm: they must be above 0 and at most 100000", self.square_mm);
            return refuse("board", reason);
        }
        let Some(markers) = self.markers else { return Ok(()) };
        if !(0.3..=0.95).contains(&(markers.marker_mm / self.square_mm)) {
            let reason = format!(
                "are {} mm wide, and squares {} mm: a marker must be 0.3 to 0.95 of its square",
                markers.marker_mm, self.square_mm
            );
            return refuse("markers", reason);
        }
        let needed = self.marker_count();
        if needed > markers.dictionary.count() {
            let larger = markers.dictionary.of_size(needed).map_or_else(String::new, |larger| format!(": {larger} has enough"));
            let reason = format!("{} is too small for the {needed} markers of the board{larger}", markers.dictionary);
            return refuse("dictionary", reason);
        }
        Ok(())
    }

    /// Whether a square, counted from 0 at the top left, is black.
    pub(super) fn is_black(&self, square: IVec2) -> bool {
        let starts_white = self.markers.is_some_and(|markers| markers.legacy) && self.squares()[1].is_multiple_of(2);
        (square.x + square.y).rem_euclid(2) == i32::from(starts_white)
    }

    pub(super) fn marker_count(&self) -> u32 {
        let [across, down] = self.squares();
        let black_first = across * down / 2;
        if self.is_black(IVec2::ZERO) { black_first } else { across * down - black_first }
    }

    /// The square that a marker is in; `None` if the board has fewer.
    pub(super) fn square_of(&self, id: u32) -> Option<IVec2> {
        if id >= self.marker_count() {
            return None;
        }
        let across = self.squares()[0];
        // Two rows have as many white squares as a row has squares.
        let (pair, rest) = (id / across, id % across);
        let first_row = if self.is_black(IVec2::ZERO) { across / 2 } else { across.div_ceil(2) };
        let (row, place) = if rest < first_row { (pair * 2, rest) } else { (pair * 2 + 1, rest - first_row) };
        let shift = u32::from(self.is_black(IVec2::new(0, row as i32)));
        Some(IVec2::new((place * 2 + shift) as i32, row as i32))
    }

    /// What is black on it: rectangles from their top left to their bottom right in millimetres from the board's top left. They touch and
    /// do not overlap.
    ///
    /// # Errors
    /// [`CalibrateError::Setting`] if the board is unusable.
    pub fn black_mm(&self) -> Result<Vec<[DVec2; 2]>, CalibrateError> {
        self.validate()?;
        let [across, down] = self.squares().map(|side| side as i32);
        let squares = (0..down).flat_map(|y| (0..across).map(move |x| IVec2::new(x, y))).filter(|square| self.is_black(*square));
        let at = |place: IVec2| place.as_dvec2() * self.square_mm;
        let mut black: Vec<[DVec2; 2]> = squares.map(|square| [at(square), at(square + 1)]).collect();
        let Some(markers) = self.markers else { return Ok(black) };
        let bits = markers.dictionary.bits();
        let cell_mm = markers.marker_mm / f64::from(bits + 2);
        for id in 0..self.marker_count() {
            let (Some(square), Some(pattern)) = (self.square_of(id), markers.dictionary.pattern(id)) else { continue };
            let corner = at(square) + (self.square_mm - markers.marker_mm) / 2.0;
            for y in 0..bits + 2 {
                // Bits that are black beside each other are one rectangle, so that no line shows between them.
                let mut from = None;
                for x in 0..=bits + 2 {
                    let is_inside = (1..=bits).contains(&x) && (1..=bits).contains(&y);
                    let is_white = x == bits + 2 || is_inside && pattern >> (bits * bits - 1 - ((y - 1) * bits + x - 1)) & 1 == 1;
                    match (from, is_white) {
                        (None, false) => from = Some(x),
                        (Some(start), true) => {
                            let place = |x: u32, y: u32| corner + DVec2::new(f64::from(x), f64::from(y)) * cell_mm;
                            black.push([place(start, y), place(x, y + 1)]);
                            from = None;
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(black)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(squares: [u32; 2], legacy: bool) -> Board {
        let dictionary = "4x4_50".parse().expect("known");
        Board::charuco(squares, 25.0, BoardMarkers { dictionary, marker_mm: 18.0, legacy })
    }

    #[test]
    fn markers_lie_where_opencv_puts_them() {
        let first =
            |squares, legacy| (0..6).filter_map(|id| board(squares, legacy).square_of(id)).map(|at| at.to_array()).collect();
        let first: [Vec<[i32; 2]>; 4] = [first([5, 4], false), first([5, 7], true), first([4, 3], false), first([5, 4], true)];
        let five = vec![[1, 0], [3, 0], [0, 1], [2, 1], [4, 1], [1, 2]];
        assert_eq!(first[0], five);
        assert_eq!(first[1], five, "odd rows have one layout");
        assert_eq!(first[2], [[1, 0], [3, 0], [0, 1], [2, 1], [1, 2], [3, 2]]);
        assert_eq!(first[3], [[0, 0], [2, 0], [4, 0], [1, 1], [3, 1], [0, 2]]);
        for squares in [[5, 4], [5, 7], [4, 3], [7, 5]] {
            for legacy in [false, true] {
                let board = board(squares, legacy);
                let white = (0..squares[1] as i32).flat_map(|y| (0..squares[0] as i32).map(move |x| IVec2::new(x, y)));
                let white: Vec<_> = white.filter(|square| !board.is_black(*square)).collect();
                let places: Vec<_> = (0..board.marker_count()).filter_map(|id| board.square_of(id)).collect();
                assert_eq!(places, white, "{squares:?} {legacy}");
            }
        }
    }

    #[test]
    fn boards_that_cannot_be_are_refused() {
        let refusal = |board: Board| board.black_mm().expect_err("refused").to_string();
        assert!(refusal(board([12, 12], false)).contains("4x4_100 has enough"));
        let mut wide = board([5, 7], false);
        wide.square_mm = 18.0;
        assert!(refusal(wide).contains("0.3 to 0.95"));
        assert!(refusal(board([2, 7], false)).contains("inner corners"));
        assert!(refusal(board([u32::MAX, 7], false)).contains("inner corners"));
    }
}
