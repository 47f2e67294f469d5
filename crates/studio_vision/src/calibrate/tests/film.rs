//! Boards in front of lenses whose model is known.

use crate::{
    calibrate::{Board, GrayPicture},
    lens::{Lens, LensProjector},
};
use bevy::math::{DMat3, DVec2, DVec3, IVec2};
use std::collections::BTreeMap;

pub(super) const SIZE: [u32; 2] = [800, 600];

/// A board and where it stands: its middle `distance_mm` away in a direction, turned by angles around its own axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    /// Yaw and pitch of the direction.
    pub look_deg: [f64; 2],
    /// Around its horizontal axis, its vertical one, and its normal.
    pub tilt_deg: [f64; 3],
    pub distance_mm: f64,
}

/// What makes a picture worse.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flaws {
    /// One standard deviation of noise, of 255.
    pub noise: f64,
    /// One standard deviation of the blur.
    pub blur_px: f64,
    pub is_mirrored: bool,
}

impl Stand {
    /// From the board's frame, its middle at the origin, to the lens's: turn and middle.
    fn pose(&self) -> (DMat3, DVec3) {
        let [yaw, pitch] = self.look_deg.map(f64::to_radians);
        let [x, y, spin] = self.tilt_deg.map(f64::to_radians);
        let look = DMat3::from_rotation_y(yaw) * DMat3::from_rotation_x(pitch);
        let turn = look * DMat3::from_rotation_x(x) * DMat3::from_rotation_y(y) * DMat3::from_rotation_z(spin);
        (turn, look * DVec3::Z * self.distance_mm)
    }
}

fn middle(board: &Board) -> DVec2 {
    DVec2::from_array(board.squares().map(f64::from)) * board.square_mm / 2.0
}

/// Where an inner corner is seen.
pub(super) fn truth(lens: &Lens, board: &Board, stand: &Stand, place: IVec2) -> DVec2 {
    let (turn, shift) = stand.pose();
    let point = turn * ((place.as_dvec2() + 1.0) * board.square_mm - middle(board)).extend(0.0) + shift;
    LensProjector::new(lens).expect("valid").project(point).expect("in the picture")
}

/// A picture of a board.
pub(super) fn film(lens: &Lens, name: &str, board: &Board, stand: &Stand, flaws: Flaws) -> GrayPicture {
    let projector = LensProjector::new(lens).expect("valid");
    let mut black: BTreeMap<[i32; 2], Vec<[DVec2; 2]>> = BTreeMap::new();
    for rectangle in board.black_mm().expect("a good board") {
        let square = ((rectangle[0] + rectangle[1]) / 2.0 / board.square_mm).floor().as_ivec2();
        black.entry(square.to_array()).or_default().push(rectangle);
    }
    let (turn, middle_of_board) = stand.pose();
    let normal = turn * DVec3::Z;
    let size_mm = middle(board) * 2.0;
    let luma = |pixel: DVec2| {
        let Some(ray) = projector.unproject(pixel) else { return 20.0 };
        let distance = normal.dot(middle_of_board) / normal.dot(ray);
        if distance.is_nan() || distance <= 0.0 {
            return 120.0;
        }
        let place = (turn.transpose() * (ray * distance - middle_of_board)).truncate() + size_mm / 2.0;
        let margin = 0.7 * board.square_mm;
        if place.cmplt(DVec2::splat(-margin)).any() || place.cmpgt(size_mm + margin).any() {
            return 120.0;
        }
        let square = (place / board.square_mm).floor().as_ivec2().to_array();
        let is_black = black
            .get(&square)
            .is_some_and(|black| black.iter().any(|[low, high]| place.cmpge(*low).all() && place.cmplt(*high).all()));
        if is_black { 25.0 } else { 230.0 }
    };
    // Only where a pixel's corners differ there is an edge in it, which takes more than one sample.
    let [width, height] = SIZE.map(|side| side as usize);
    let corners: Vec<f64> = (0..(width + 1) * (height + 1))
        .map(|index| luma(DVec2::new((index % (width + 1)) as f64, (index / (width + 1)) as f64)))
        .collect();
    let pixels = (0..width * height).map(|index| {
        let (x, y) = (index % width, index / width);
        let at = |dx: usize, dy: usize| corners[(y + dy) * (width + 1) + x + dx];
        let first = at(0, 0);
        if [at(1, 0), at(0, 1), at(1, 1)].iter().all(|corner| *corner == first) {
            return first;
        }
        let samples = (0..16).map(|part| DVec2::new(f64::from(part % 4), f64::from(part / 4)) / 4.0 + 0.125);
        samples.map(|part| luma(DVec2::new(x as f64, y as f64) + part)).sum::<f64>() / 16.0
    });
    let mut pixels: Vec<f64> = pixels.collect();
    if flaws.blur_px > 0.0 {
        pixels = blurred(&blurred(&pixels, width, flaws.blur_px, true), width, flaws.blur_px, false);
    }
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = || {
        // The sum of twelve evenly distributed numbers is nearly normal.
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24)
        };
        (0..12).map(|_| next()).sum::<f64>() - 6.0
    };
    let picture = image::GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| {
        let x = if flaws.is_mirrored { SIZE[0] - 1 - x } else { x };
        let value = pixels[y as usize * width + x as usize];
        image::Luma([(value + flaws.noise * noise()).round().clamp(0.0, 255.0) as u8])
    });
    if let Some(folder) = std::env::var_os("NEURAL_STUDIO_TEST_PICTURES") {
        picture.save(std::path::Path::new(&folder).join(format!("{name}.png"))).expect("a folder");
    }
    GrayPicture::new(name, &image::DynamicImage::ImageLuma8(picture)).expect("a good size")
}

fn blurred(pixels: &[f64], width: usize, sigma_px: f64, across: bool) -> Vec<f64> {
    let reach = (3.0 * sigma_px).ceil() as i64;
    let weights: Vec<f64> = (-reach..=reach).map(|at| (-0.5 * (at as f64 / sigma_px).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let height = pixels.len() / width;
    let pixel = |index: usize| {
        let (x, y) = ((index % width) as i64, (index / width) as i64);
        let at = |step: i64| {
            let (x, y) = if across { (x + step, y) } else { (x, y + step) };
            pixels[y.clamp(0, height as i64 - 1) as usize * width + x.clamp(0, width as i64 - 1) as usize]
        };
        weights.iter().zip(-reach..).map(|(weight, step)| weight * at(step)).sum::<f64>() / sum
    };
    (0..pixels.len()).map(pixel).collect()
}

/// A board in eight places, tilted in eight ways. `reach_deg`: how far from the axis.
pub(super) fn stands(reach_deg: f64, distance_mm: f64) -> Vec<Stand> {
    let places = [[0.0, 0.0], [-1.0, 0.0], [1.0, 0.2], [0.1, -0.7], [-0.1, 0.7], [0.7, 0.6], [-0.7, -0.5], [0.0, 0.1]];
    let tilts = [
        [25.0, 5.0, 3.0],
        [-20.0, 15.0, 10.0],
        [10.0, -25.0, -8.0],
        [-30.0, 0.0, 90.0],
        [15.0, 25.0, 4.0],
        [-5.0, -30.0, 12.0],
        [28.0, -10.0, 0.0],
        [0.0, 35.0, 45.0],
    ];
    let stand =
        |([x, y], tilt_deg): ([f64; 2], [f64; 3])| Stand { look_deg: [x * reach_deg, y * reach_deg], tilt_deg, distance_mm };
    places.into_iter().zip(tilts).map(stand).collect()
}
