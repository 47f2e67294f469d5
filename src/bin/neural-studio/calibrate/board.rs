//! Boards: how they are described on the command line, and how they are printed.

#![allow(clippy::doc_markdown, reason = "comments of arguments are the help that is read on a terminal")]

use super::{check_outputs, write};
use crate::{Failure, report::say};
use clap::Args;
use neural_studio::studio_vision::calibrate::{Board, BoardMarkers, MarkerDictionary};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct BoardArgs {
    /// The board: a checkerboard by its inner corners across and down, one less than its squares (9x6); a ChArUco board by its squares
    /// across and down (charuco:8x6)
    #[arg(long, value_name = "9x6|charuco:8x6", value_parser = parse_board)]
    board: Shape,
    /// Side of a square in millimetres
    #[arg(long, default_value_t = 25.0)]
    square_mm: f64,
    /// ChArUco: side of a marker with its black border, in millimetres
    #[arg(long)]
    marker_mm: Option<f64>,
    /// ChArUco: the markers' dictionary, as OpenCV calls it; 4x4_50 if left out
    #[arg(long, value_name = "4x4_50")]
    dictionary: Option<MarkerDictionary>,
    /// ChArUco: an even number of rows begins with a white square, as OpenCV made boards before 4.6
    #[arg(long)]
    legacy: bool,
}

#[derive(Clone, Copy)]
enum Shape {
    /// By inner corners.
    Checker([u32; 2]),
    /// By squares.
    Charuco([u32; 2]),
}

fn parse_board(text: &str) -> Result<Shape, String> {
    match text.split_once(':') {
        None => super::parse_size(text).map(Shape::Checker),
        Some(("checker", corners)) => super::parse_size(corners).map(Shape::Checker),
        Some(("charuco", squares)) => super::parse_size(squares).map(Shape::Charuco),
        Some((kind, _)) => Err(format!("`{kind}` is no kind of board: write 9x6, checker:9x6 or charuco:8x6")),
    }
}

impl BoardArgs {
    pub(super) fn board(&self) -> Result<Board, Failure> {
        match self.board {
            Shape::Checker(_) if self.marker_mm.is_some() || self.dictionary.is_some() || self.legacy => Err(
                "--marker-mm, --dictionary and --legacy are for ChArUco boards: name one as --board charuco:8x6, by its squares"
                    .into(),
            ),
            Shape::Checker(corners) => Ok(Board::checker(corners, self.square_mm)),
            Shape::Charuco(squares) => {
                let marker_mm =
                    self.marker_mm.ok_or("a ChArUco board needs --marker-mm: the side of a marker with its black border")?;
                let dictionary = self.dictionary.map_or_else(|| "4x4_50".parse(), Ok)?;
                Ok(Board::charuco(squares, self.square_mm, BoardMarkers { dictionary, marker_mm, legacy: self.legacy }))
            }
        }
    }
}

#[derive(Args)]
pub(super) struct PrintArgs {
    #[command(flatten)]
    board: BoardArgs,
    /// White margin around the board, in millimetres; a board needs some to be found
    #[arg(long, default_value_t = 10.0)]
    margin_mm: f64,
    /// Dots an inch of a PNG
    #[arg(long, default_value_t = 300.0)]
    dpi: f64,
    /// The file to write: .svg, or .png
    #[arg(short, long, value_name = "board.svg|board.png")]
    output: PathBuf,
}

pub(super) fn print(args: &PrintArgs) -> Result<(), Failure> {
    check_outputs(&[Some(&args.output)], &[])?;
    let board = args.board.board()?;
    let ending = args.output.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let bytes = match ending.as_deref() {
        Some("svg") => board.to_svg(args.margin_mm)?.into_bytes(),
        Some("png") => board.to_png(args.margin_mm, args.dpi)?,
        _ => return Err(format!("{}: boards are written as .svg or .png", args.output.display()).into()),
    };
    write(&args.output, &bytes)?;
    let [width, height] = board.paper_mm(args.margin_mm)?;
    let [across, down] = board.squares().map(|squares| f64::from(squares) * board.square_mm);
    say(&format!(
        "print it at 100 % on {width:.1}×{height:.1} mm or more, then measure: the squares together are {across:.1}×{down:.1} mm"
    ));
    Ok(())
}
