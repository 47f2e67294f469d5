//! Pictures to calibrate from.

use super::{CalibrateError, MAX_SIDE_PX};
use crate::rig::{PreparedLens, Rig};
use bevy::math::{DVec2, UVec2};

/// Luma from which on a pixel says nothing more, and below which it says nothing yet, 0 to 255.
const WHITE: f32 = 250.0;
const BLACK: f32 = 6.0;

/// Luma of a picture.
#[derive(Clone, Debug)]
pub struct GrayPicture {
    /// What to call it in messages.
    pub name: String,
    size: UVec2,
    /// 0 to 255, row by row.
    luma: Vec<f32>,
}

impl GrayPicture {
    /// Takes the luma of a picture; `name` is for messages.
    ///
    /// # Errors
    /// [`CalibrateError::PictureSize`] if the picture is tiny or huge.
    pub fn new(name: &str, picture: &image::DynamicImage) -> Result<Self, CalibrateError> {
        let (width, height) = (picture.width(), picture.height());
        if !(16..=MAX_SIDE_PX).contains(&width) || !(16..=MAX_SIDE_PX).contains(&height) {
            return Err(CalibrateError::PictureSize { picture: name.to_owned(), width, height });
        }
        let luma = picture.to_luma8().into_raw().into_iter().map(f32::from).collect();
        Ok(Self { name: name.to_owned(), size: UVec2::new(width, height), luma })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> UVec2 {
        self.size
    }

    /// The luma of a pixel, or of the nearest one inside.
    pub(super) fn at(&self, x: i32, y: i32) -> f32 {
        let (x, y) = (x.clamp(0, self.size.x as i32 - 1), y.clamp(0, self.size.y as i32 - 1));
        self.luma[y as usize * self.size.x as usize + x as usize]
    }

    /// The luma at a point, 0 to 255, between its four nearest pixels, whose centres are at halves.
    pub fn luma(&self, point: DVec2) -> f32 {
        let point = point - 0.5;
        let low = point.floor();
        let (part, x, y) = ((point - low).as_vec2(), low.x as i32, low.y as i32);
        let above = self.at(x, y) * (1.0 - part.x) + self.at(x + 1, y) * part.x;
        let below = self.at(x, y + 1) * (1.0 - part.x) + self.at(x + 1, y + 1) * part.x;
        above * (1.0 - part.y) + below * part.y
    }

    /// How much neighbouring pixels differ, squared: of two pictures of the same scene the sharper one has more.
    pub(super) fn sharpness(&self) -> f64 {
        let rows = self.luma.chunks_exact(self.size.x as usize).step_by(2);
        let differences = rows.flat_map(|row| row.windows(2)).map(|pair| f64::from(pair[1] - pair[0]).powi(2));
        differences.sum::<f64>() / f64::from(self.size.x * self.size.y)
    }

    /// The luma as 8-bit pixels.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.luma.iter().map(|luma| luma.round() as u8).collect()
    }

    /// Half the size, each pixel the mean of four.
    fn halved(&self) -> Self {
        let size = (self.size / 2).max(UVec2::ONE);
        let mean = |x: u32, y: u32| {
            let (x, y) = (x as i32 * 2, y as i32 * 2);
            (self.at(x, y) + self.at(x + 1, y) + self.at(x, y + 1) + self.at(x + 1, y + 1)) / 4.0
        };
        let luma = (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y))).map(|(x, y)| mean(x, y)).collect();
        Self { name: self.name.clone(), size, luma }
    }

    /// A little softer: noise moves features.
    fn smoothed(&self) -> Self {
        let blur = |across: bool, source: &Self| {
            let (dx, dy) = if across { (1, 0) } else { (0, 1) };
            let pixels = (0..self.size.y as i32).flat_map(|y| (0..self.size.x as i32).map(move |x| (x, y)));
            let luma = pixels.map(|(x, y)| (source.at(x - dx, y - dy) + source.at(x + dx, y + dy) + 2.0 * source.at(x, y)) / 4.0);
            Self { name: self.name.clone(), size: self.size, luma: luma.collect() }
        };
        blur(false, &blur(true, self))
    }
}

/// The picture of one of a rig's lenses as features are looked for in it.
pub(super) struct LensPicture {
    pub picture: GrayPicture,
    /// Pixels of this picture a pixel of the rig's.
    pub scale: DVec2,
}

impl LensPicture {
    /// The luma at a pixel of the rig.
    pub fn luma(&self, pixel: DVec2) -> f32 {
        self.picture.luma(pixel * self.scale)
    }

    /// How much of what a lens shows is black, and how much white, 0 to 1 each.
    pub fn unusable(&self, lens: &PreparedLens) -> [f64; 2] {
        let (mut all, mut black, mut white) = (0_u32, 0_u32, 0_u32);
        for y in (0..self.picture.size.y).step_by(8) {
            for x in (0..self.picture.size.x).step_by(8) {
                let pixel = (UVec2::new(x, y).as_dvec2() + 0.5) / self.scale;
                if lens.edge_deg(pixel) > 0.0 {
                    let luma = self.picture.at(x as i32, y as i32);
                    all += 1;
                    black += u32::from(luma < BLACK);
                    white += u32::from(luma > WHITE);
                }
            }
        }
        [black, white].map(|count| f64::from(count) / f64::from(all.max(1)))
    }
}

/// Prepares the pictures of a rig, none wider or higher than `largest_px`.
pub(super) fn of_rig(rig: &Rig, pictures: &[GrayPicture], largest_px: u32) -> Result<Vec<LensPicture>, CalibrateError> {
    if pictures.len() != rig.pictures.len() {
        return Err(CalibrateError::PictureCount { rig: rig.name.clone(), expected: rig.pictures.len(), got: pictures.len() });
    }
    let prepare = |(picture, expected): (&GrayPicture, &crate::rig::RigPicture)| {
        let size = UVec2::from_array(expected.size_px);
        let scale = picture.size.as_dvec2() / size.as_dvec2();
        if (scale.x / scale.y - 1.0).abs() > 0.01 {
            return Err(CalibrateError::PictureShape {
                picture: picture.name.clone(),
                width: picture.size.x,
                height: picture.size.y,
                expected_width: size.x,
                expected_height: size.y,
            });
        }
        let mut picture = picture.clone();
        while picture.size.max_element() > largest_px {
            picture = picture.halved();
        }
        let scale = picture.size.as_dvec2() / size.as_dvec2();
        Ok(LensPicture { picture: picture.smoothed(), scale })
    };
    pictures.iter().zip(&rig.pictures).map(prepare).collect()
}
