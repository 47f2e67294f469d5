//! Colour metadata and the matrices it stands for (ITU-T H.273).

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// The matrix between R′G′B′ and Y′CbCr (H.273 `MatrixCoefficients`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum ColorMatrix {
    /// ITU-R BT.601, standard definition.
    Bt601,
    /// ITU-R BT.709, high definition.
    #[default]
    Bt709,
    /// ITU-R BT.2020 with non-constant luminance, ultra-high definition.
    Bt2020,
}

impl ColorMatrix {
    /// The luma weights of red and blue, `(Kr, Kb)`.
    pub const fn luma_weights(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// Which code values black and white have (H.273 `VideoFullRangeFlag`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum ColorRange {
    /// 8-bit luma from 16 to 235, chroma from 16 to 240.
    #[default]
    Limited,
    /// All code values.
    Full,
}

/// The chromaticities of the primaries (H.273 `ColourPrimaries`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum ColorPrimaries {
    /// ITU-R BT.709 and sRGB.
    #[default]
    Bt709,
    /// SMPTE 170M (BT.601, 525 lines).
    Smpte170m,
    /// ITU-R BT.2020.
    Bt2020,
    /// SMPTE EG 432-1, Display P3.
    DisplayP3,
}

/// The transfer function (H.273 `TransferCharacteristics`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum TransferFunction {
    /// ITU-R BT.709.
    #[default]
    Bt709,
    /// IEC 61966-2-1.
    Srgb,
    /// SMPTE ST 2084, perceptual quantiser.
    Pq,
    /// ARIB STD-B67, hybrid log-gamma.
    Hlg,
}

/// Everything needed to turn code values into colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub struct ColorInfo {
    /// Matrix between R′G′B′ and Y′CbCr.
    pub matrix: ColorMatrix,
    /// Code values of black and white.
    pub range: ColorRange,
    /// Chromaticities of the primaries.
    pub primaries: ColorPrimaries,
    /// Transfer function.
    pub transfer: TransferFunction,
}

/// An affine map of colours: `out[i] = dot(rows[i].xyz, in) + rows[i].w`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorTransform {
    /// One row an output channel: three coefficients and an offset.
    pub rows: [Vec4; 3],
}

impl ColorTransform {
    /// Applies the map to one colour.
    pub fn apply(&self, color: Vec3) -> Vec3 {
        Vec3::from_array(self.rows.map(|row| row.truncate().dot(color) + row.w))
    }
}

impl ColorInfo {
    /// BT.709 limited range: what the studio encodes unless told otherwise.
    pub const BT709: Self = Self {
        matrix: ColorMatrix::Bt709,
        range: ColorRange::Limited,
        primaries: ColorPrimaries::Bt709,
        transfer: TransferFunction::Bt709,
    };

    /// Scale and offset of luma and chroma code values normalised to 0..1: `(y_scale, y_offset, c_scale)`, chroma centre
    /// is `128 / 255` (`512 / 1023` for 10 bits), in the normalisation of a GPU texture of `bit_depth` bits.
    fn quantisation(&self, bit_depth: u32) -> (f32, f32, f32, f32) {
        let max = ((1_u32 << bit_depth) - 1) as f32;
        let unit = (1_u32 << (bit_depth - 8)) as f32;
        let center = 128.0 * unit / max;
        match self.range {
            ColorRange::Limited => (219.0 * unit / max, 16.0 * unit / max, 224.0 * unit / max, center),
            ColorRange::Full => (1.0, 0.0, 1.0, center),
        }
    }

    /// The map from normalised Y′CbCr code values (0..1, as a `bit_depth`-bit texture delivers them) to R′G′B′ (0..1).
    pub fn rgb_from_yuv(&self, bit_depth: u32) -> ColorTransform {
        let (kr, kb) = self.matrix.luma_weights();
        let kg = 1.0 - kr - kb;
        let (y_scale, y_offset, c_scale, center) = self.quantisation(bit_depth);
        let (y, c) = (1.0 / y_scale, 1.0 / c_scale);
        let (r_cr, b_cb) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
        let rows =
            [Vec3::new(y, 0.0, r_cr * c), Vec3::new(y, -b_cb * kb / kg * c, -r_cr * kr / kg * c), Vec3::new(y, b_cb * c, 0.0)];
        let zero = Vec3::new(y_offset, center, center);
        ColorTransform { rows: rows.map(|row| row.extend(-row.dot(zero))) }
    }

    /// The map from R′G′B′ (0..1) to normalised Y′CbCr code values (0..1).
    pub fn yuv_from_rgb(&self, bit_depth: u32) -> ColorTransform {
        let (kr, kb) = self.matrix.luma_weights();
        let kg = 1.0 - kr - kb;
        let (y_scale, y_offset, c_scale, center) = self.quantisation(bit_depth);
        let luma = Vec3::new(kr, kg, kb);
        let cb = (Vec3::Z - luma) * (c_scale / (2.0 * (1.0 - kb)));
        let cr = (Vec3::X - luma) * (c_scale / (2.0 * (1.0 - kr)));
        ColorTransform { rows: [(luma * y_scale).extend(y_offset), cb.extend(center), cr.extend(center)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_color() -> impl Strategy<Value = ColorInfo> {
        (0..3, 0..2).prop_map(|(matrix, range)| ColorInfo {
            matrix: [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020][matrix as usize],
            range: [ColorRange::Limited, ColorRange::Full][range as usize],
            ..default()
        })
    }

    proptest! {
        #[test]
        fn yuv_and_back_is_the_identity(info in any_color(), depth in prop_oneof![Just(8_u32), Just(10)], r in 0_f32..1.0, g in 0_f32..1.0, b in 0_f32..1.0) {
            let rgb = Vec3::new(r, g, b);
            let back = info.rgb_from_yuv(depth).apply(info.yuv_from_rgb(depth).apply(rgb));
            prop_assert!((back - rgb).abs().max_element() < 1e-5, "{rgb} became {back}");
        }
    }

    #[test]
    fn known_code_values_of_bt709() {
        // ITU-R BT.709-6 §3: white is luma 235, black 16; full-range BT.601 red is (76, 85, 255) in JFIF.
        let to = |info: ColorInfo, rgb| (info.yuv_from_rgb(8).apply(rgb) * 255.0).round();
        assert_eq!(to(ColorInfo::BT709, Vec3::ONE), Vec3::new(235.0, 128.0, 128.0));
        assert_eq!(to(ColorInfo::BT709, Vec3::ZERO), Vec3::new(16.0, 128.0, 128.0));
        let jfif = ColorInfo { matrix: ColorMatrix::Bt601, range: ColorRange::Full, ..default() };
        let red = to(jfif, Vec3::X);
        assert_eq!((red.x, red.y), (76.0, 85.0));
    }
}
