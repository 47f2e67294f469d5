//! Boards with markers, filmed by lenses whose model is known.

use super::{
    boards::apart_px,
    film::{Flaws, Stand, film, stands, truth},
};
use crate::{
    calibrate::{Board, BoardMarkers, BoardModel, GrayPicture, calibrate_lens, find_board},
    lens::{Lens, LensModel},
};

fn board(squares: [u32; 2], dictionary: &str, legacy: bool) -> Board {
    let dictionary = dictionary.parse().expect("known");
    Board::charuco(squares, 25.0, BoardMarkers { dictionary, marker_mm: 18.0, legacy })
}

fn pinhole() -> Lens {
    Lens {
        model: LensModel::BrownConrady { k: [-0.21, 0.07, -0.01, 0.0, 0.0, 0.0], p: [0.0008, -0.0005] },
        focal_px: [640.0, 642.0],
        center_px: [391.2, 306.4],
        radial: None,
        max_angle_deg: None,
    }
}

fn fisheye() -> Lens {
    Lens {
        model: LensModel::KannalaBrandt { k: [-0.03, 0.006, -0.002, 0.0003] },
        focal_px: [262.0, 260.0],
        center_px: [407.3, 295.6],
        radial: None,
        max_angle_deg: None,
    }
}

/// Mean and largest distance of a picture's corners from where they are, and how many there are.
fn errors_px(lens: &Lens, board: &Board, stand: &Stand, flaws: Flaws) -> Option<(f64, f64, usize)> {
    let found = find_board(&film(lens, "board", board, stand, flaws), board);
    let found = found.map_err(|error| println!("{error}")).ok()?;
    let errors: Vec<f64> = found.iter().map(|corner| corner.pixel.distance(truth(lens, board, stand, corner.place))).collect();
    Some((errors.iter().sum::<f64>() / errors.len() as f64, errors.iter().copied().fold(0.0, f64::max), errors.len()))
}

#[test]
fn corners_are_known_by_their_markers() {
    let flawed = Flaws { noise: 4.0, blur_px: 0.8, ..Flaws::default() };
    let cases = [
        (pinhole(), 16.0, 420.0, board([8, 6], "4x4_50", false), 0, flawed),
        (pinhole(), 16.0, 420.0, board([8, 6], "4x4_50", true), 5, flawed),
        (pinhole(), 16.0, 420.0, board([7, 5], "6x6_250", false), 3, Flaws::default()),
        (fisheye(), 55.0, 200.0, board([8, 6], "5x5_100", false), 1, flawed),
        (fisheye(), 55.0, 200.0, board([7, 5], "4x4_50", false), 7, flawed),
    ];
    for (lens, reach_deg, distance_mm, board, stand, flaws) in cases {
        let stand = stands(reach_deg, distance_mm)[stand];
        let (mean, largest, count) = errors_px(&lens, &board, &stand, flaws).expect("found");
        println!("{board:?} {stand:?}: mean {mean:.3} px, largest {largest:.3} px, {count} corners");
        let all = (board.corners[0] * board.corners[1]) as usize;
        assert!(mean < 0.1 && largest < 0.35 && count * 10 >= all * 7, "{mean} {largest} {count} of {all}");
    }
}

#[test]
fn a_board_cut_by_the_edge_of_the_picture_keeps_its_numbers() {
    let (lens, board) = (pinhole(), board([8, 6], "4x4_50", false));
    let stand = Stand { look_deg: [-27.0, 14.0], tilt_deg: [10.0, 20.0, 15.0], distance_mm: 330.0 };
    let picture = film(&lens, "cut", &board, &stand, Flaws::default());
    let found = find_board(&picture, &board).expect("found");
    assert!((6..30).contains(&found.len()), "{} corners", found.len());
    for corner in found {
        assert!(corner.pixel.distance(truth(&lens, &board, &stand, corner.place)) < 0.35, "{corner:?}");
    }
}

#[test]
fn a_lens_is_found_from_boards_with_markers() {
    let (lens, board) = (fisheye(), board([8, 6], "4x4_50", false));
    let flaws = Flaws { noise: 3.0, blur_px: 0.7, ..Flaws::default() };
    let stands = stands(55.0, 190.0);
    let pictures: Vec<GrayPicture> =
        stands.iter().zip(0..).map(|(stand, index)| film(&lens, &format!("markers {index}"), &board, stand, flaws)).collect();
    let found = calibrate_lens(&pictures, &board, BoardModel::Fisheye, &mut |_| ()).expect("enough boards");
    let apart = apart_px(&lens, &found.rig.lenses[0].lens, found.seen_deg);
    let focal_px = found.rig.lenses[0].lens.focal_px;
    println!("rms {:.3} px, {apart:.3} px off to {:.0}°, focal lengths {focal_px:.2?}", found.residuals.rms_px, found.seen_deg);
    assert!(found.residuals.rms_px < 0.2 && found.seen_deg > 60.0);
    assert!(apart < 0.7 && (focal_px[0] / lens.focal_px[0] - 1.0).abs() < 0.003, "{apart} px, {focal_px:?}");
}

#[test]
fn what_is_wrong_with_a_board_is_said() {
    let (lens, stand) = (pinhole(), stands(16.0, 420.0)[0]);
    let printed = board([8, 6], "4x4_50", false);
    let picture = film(&lens, "eight by six", &printed, &stand, Flaws::default());
    let refusal = |picture: &GrayPicture, board: &Board| find_board(picture, board).expect_err("refused").to_string();
    let says = |board: Board, what: &str| {
        let refusal = refusal(&picture, &board);
        assert!(refusal.contains("eight by six: ") && refusal.contains(what), "{refusal}");
    };
    says(board([8, 6], "5x5_100", false), "those of 4x4_50");
    says(board([8, 6], "4x4_50", true), "not of the legacy layout");
    says(board([6, 8], "4x4_50", false), "a board of 8 columns");
    let mut thin = printed;
    thin.markers.as_mut().expect("markers").marker_mm = 12.0;
    says(thin, "of a square: measure");
    let mirrored = film(&lens, "mirrored", &printed, &stand, Flaws { is_mirrored: true, ..Flaws::default() });
    assert!(refusal(&mirrored, &printed).contains("the picture is mirrored"), "{}", refusal(&mirrored, &printed));
    let checker = film(&lens, "checker", &Board::checker([7, 5], 25.0), &stand, Flaws::default());
    assert!(refusal(&checker, &printed).contains("is it a checkerboard?"), "{}", refusal(&checker, &printed));
    let wall = GrayPicture::new("wall", &image::DynamicImage::new_luma8(800, 600)).expect("a good size");
    assert!(refusal(&wall, &printed).contains("wall: no ChArUco board found"));
}

#[test]
fn a_printed_board_is_found_again() {
    let board = board([7, 5], "5x5_100", false);
    let png = board.to_png(10.0, 150.0).expect("a good size");
    let picture = image::load_from_memory(&png).expect("a PNG");
    // 7 × 25 mm and two margins of 10 mm, 25.4 mm an inch.
    assert_eq!(
        [picture.width(), picture.height()],
        [(195.0 / 25.4 * 150.0_f64).round() as u32, (145.0 / 25.4 * 150.0_f64).round() as u32]
    );
    assert_eq!(png[12..16], *b"IHDR");
    let at = png.windows(4).position(|name| name == b"pHYs").expect("a size in metres");
    assert_eq!((png[at + 4..at + 8].to_vec(), png[at + 12]), (5906_u32.to_be_bytes().to_vec(), 1), "dots a metre");
    let found = find_board(&GrayPicture::new("print", &picture).expect("a good size"), &board).expect("found");
    assert_eq!(found.len(), 24);
    for corner in found {
        let expected = ((corner.place.as_dvec2() + 1.0) * 25.0 + 10.0) / 25.4 * 150.0;
        assert!(corner.pixel.distance(expected) < 0.1, "{corner:?} {expected}");
    }
    let svg = board.to_svg(10.0).expect("a good size");
    assert!(svg.contains("width=\"195mm\" height=\"145mm\" viewBox=\"0 0 195 145\""), "{svg}");
    let rectangles = svg.matches('M').count();
    assert_eq!(rectangles, board.black_mm().expect("a good board").len());
    assert!(board.to_png(10.0, 1e5).expect_err("refused").to_string().contains("dpi"));
    assert!(board.to_svg(f64::NAN).expect_err("refused").to_string().contains("margin"));
}
