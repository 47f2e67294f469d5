//! Hugin projects (`.pto`): the image lines, as Panorama Tools' `nona.txt` describes them.
//!
//! Each `i` line is one lens. Lines with the same file name and size are lenses in one picture, as dual-fisheye cameras
//! deliver them. Everything about panoramas, optimisation, control points and masks is left aside.

use super::{Crop, Exposure, MAX_LENSES, Orientation, PixelRect, Rig, RigError, RigLens, RigPicture, Vignetting, YawPitchRoll};
use crate::lens::{Lens, LensModel, PanoRadial};
use std::collections::BTreeMap;

/// The values of one image line by parameter name, and where the line is.
struct ImageLine<'a> {
    file: &'a str,
    line: usize,
    numbers: BTreeMap<&'a str, f64>,
    crop: Option<[f64; 4]>,
    image: String,
}

/// The parameters that are read, longest first where one begins another.
const PARAMETERS: [&str; 24] = [
    "Eev", "Er", "Eb", "Va", "Vb", "Vc", "Vd", "TrX", "TrY", "TrZ", "w", "h", "f", "v", "a", "b", "c", "d", "e", "y", "p", "r",
    "g", "t",
];

impl Rig {
    /// Reads a Hugin project: lens types rectilinear, fisheye (circular and full-frame), orthographic, stereographic and
    /// equisolid; `v a b c d e y p r`, crop, vignetting, exposure and white balance, and links to earlier lines (`=0`).
    /// `file` is its name for messages.
    ///
    /// # Errors
    /// [`RigError`] with the line if a line cannot be understood or asks for something this rig cannot say.
    pub fn from_pto(file: &str, text: &str) -> Result<Self, RigError> {
        let mut lines: Vec<ImageLine> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if let Some(rest) = line.strip_prefix("i ") {
                if lines.len() == MAX_LENSES {
                    let reason = format!("more than {MAX_LENSES} images: a rig has 1 to {MAX_LENSES} lenses");
                    return Err(RigError::Syntax { file: file.to_owned(), line: index + 1, reason });
                }
                let parsed = parse_line(file, index + 1, rest, &lines)?;
                lines.push(parsed);
            }
        }
        if lines.is_empty() {
            let reason = "no image line (“i …”): this is no Hugin project, or an empty one".to_owned();
            return Err(RigError::Missing { file: file.to_owned(), reason });
        }
        let mean_ev = lines.iter().map(|line| line.number("Eev", 0.0)).sum::<f64>() / lines.len() as f64;
        let mut images: Vec<(&str, [u32; 2])> = Vec::new();
        let mut lenses = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let size_px = [line.size("w")?, line.size("h")?];
            let key = (line.image.as_str(), size_px);
            let picture = images.iter().position(|image| *image == key).unwrap_or_else(|| {
                images.push(key);
                images.len() - 1
            });
            lenses.push(line.lens(index, picture as u32, size_px, mean_ev)?);
        }
        let pictures = images.into_iter().map(|(_, size_px)| RigPicture { size_px }).collect();
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".pto").to_owned();
        let rig = Self { name, pictures, lenses };
        rig.validate()?;
        Ok(rig)
    }
}

fn parse_line<'a>(file: &'a str, line: usize, rest: &'a str, earlier: &[ImageLine]) -> Result<ImageLine<'a>, RigError> {
    let fail = |reason: String| RigError::Syntax { file: file.to_owned(), line, reason };
    let mut parsed = ImageLine { file, line, numbers: BTreeMap::new(), crop: None, image: String::new() };
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("n\"");
        if let Some(name) = quoted {
            let end = name.find('"').ok_or_else(|| fail("the file name has no closing quote".to_owned()))?;
            parsed.image = name[..end].to_owned();
            rest = name[end + 1..].trim_start();
            continue;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let token = &rest[..end];
        rest = rest[end..].trim_start();
        if let Some(values) = token.strip_prefix('S').or_else(|| token.strip_prefix('C')) {
            let values: Vec<f64> = values.split(',').map_while(|value| value.parse().ok()).collect();
            let crop = <[f64; 4]>::try_from(values).map_err(|_| fail(format!("the crop “{token}” must be four numbers")))?;
            parsed.crop = Some(crop);
            continue;
        }
        // Parameters that are not read (Ra, Tpy, j, Vm, …) begin with other names or are not followed by a number.
        let Some((name, value)) = PARAMETERS.iter().find_map(|name| token.strip_prefix(name).map(|value| (*name, value))) else {
            continue;
        };
        if value.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let number = match value.strip_prefix('=') {
            None => value.parse().map_err(|_| fail(format!("“{token}”: “{value}” is no number")))?,
            Some(link) => link
                .parse::<usize>()
                .ok()
                .and_then(|index| earlier.get(index))
                .map(|line| line.number(name, 0.0))
                .ok_or_else(|| fail(format!("“{token}” must link to one of the {} images before it", earlier.len())))?,
        };
        parsed.numbers.insert(name, number);
    }
    Ok(parsed)
}

impl ImageLine<'_> {
    fn fail(&self, reason: String) -> RigError {
        RigError::Syntax { file: self.file.to_owned(), line: self.line, reason }
    }

    fn number(&self, name: &str, default: f64) -> f64 {
        self.numbers.get(name).copied().unwrap_or(default)
    }

    fn size(&self, name: &str) -> Result<u32, RigError> {
        let value = self.number(name, 0.0);
        if value.fract() == 0.0 && (1.0..=32768.0).contains(&value) {
            return Ok(value as u32);
        }
        Err(self.fail(format!("“{name}{value}”: the image's size must be 1 to 32768 pixels")))
    }

    fn lens(&self, index: usize, picture: u32, size_px: [u32; 2], mean_ev: f64) -> Result<RigLens, RigError> {
        for name in ["g", "t", "TrX", "TrY", "TrZ"] {
            if self.number(name, 0.0) != 0.0 {
                return Err(self.fail(format!(
                    "“{name}{}”: shear and translation are not supported, set them to 0",
                    self.number(name, 0.0)
                )));
            }
        }
        let [width, height] = size_px.map(f64::from);
        let circular = self.number("f", 0.0) == 2.0;
        let (model, widest_deg) = match self.number("f", 0.0) {
            0.0 => (LensModel::BrownConrady { k: [0.0; 6], p: [0.0; 2] }, 179.0),
            // One picture can hold two lenses side by side, so the field of view across it can exceed 360°.
            2.0 | 3.0 => (LensModel::Equidistant, 2000.0),
            8.0 => (LensModel::Orthographic, 180.0),
            10.0 => (LensModel::Stereographic, 358.0),
            21.0 => (LensModel::Equisolid, 720.0),
            other => {
                return Err(self.fail(format!(
                    "lens type f{other} is not supported: use rectilinear (f0), fisheye (f2, f3), orthographic (f8), stereographic (f10) \
                     or equisolid (f21)"
                )));
            }
        };
        let fov_deg = self.number("v", 0.0);
        if !(fov_deg > 0.0 && fov_deg <= widest_deg) {
            return Err(self.fail(format!("“v{fov_deg}”: the field of view must be above 0 and at most {widest_deg} degrees")));
        }
        let center_px = [width / 2.0 + self.number("d", 0.0), height / 2.0 + self.number("e", 0.0)];
        let mut lens = Lens::ideal(model, fov_deg, width, center_px);
        let [a, b, c] = ["a", "b", "c"].map(|name| self.number(name, 0.0));
        if [a, b, c] != [0.0; 3] {
            lens.radial = Some(PanoRadial { a, b, c, reference_px: width.min(height) / 2.0 });
        }
        let crop = match self.crop {
            None | Some([0.0, 0.0, 0.0, 0.0]) => Crop::Full,
            Some([left, right, top, bottom]) if circular => Crop::Circle {
                center_px: [(left + right) / 2.0, (top + bottom) / 2.0],
                radius_px: (right - left).min(bottom - top) / 2.0,
            },
            Some([left, right, top, bottom]) => Crop::Rectangle(PixelRect { min: [left, top], max: [right, bottom] }),
        };
        let coefficients = ["Vb", "Vc", "Vd"].map(|name| self.number(name, 0.0));
        let vignetting = (coefficients != [0.0; 3]).then(|| Vignetting { coefficients, radius_px: width.hypot(height) / 2.0 });
        // A higher Eev let less light in, so its picture is brightened; Er and Eb say how much red and blue came too much.
        let white_balance = [1.0 / self.number("Er", 1.0), 1.0, 1.0 / self.number("Eb", 1.0)];
        Ok(RigLens {
            name: format!("image {index}"),
            picture,
            region: None,
            lens,
            orientation: Orientation::Angles(YawPitchRoll::new(
                self.number("y", 0.0),
                self.number("p", 0.0),
                self.number("r", 0.0),
            )),
            translation_m: [0.0; 3],
            crop,
            vignetting,
            exposure: Exposure { gain_ev: self.number("Eev", 0.0) - mean_ev, white_balance },
        })
    }
}
