//! The `ColorCorrection` node.

use crate::pass::{EffectParameters, EffectPass, SettingError, check};
use bevy::{
    math::{DMat3, DVec2, DVec3},
    prelude::*,
};
use studio_gpu::{picture::PictureUniform, prelude::*};
use studio_graph::prelude::*;

/// Corrects colours: exposure and white balance in linear light, then contrast, the ASC CDL (slope, offset, power) and
/// saturation on the coded values. With its defaults the picture stays as it is.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct ColorCorrection {
    /// How much lighter, in stops.
    #[reflect(@-10.0..=10.0_f32)]
    pub exposure_ev: f32,
    /// The daylight that is taken for white, in kelvin: higher makes the picture warmer. 6504 leaves it as it is.
    #[reflect(@4000.0..=25_000.0_f32)]
    pub temperature_k: f32,
    /// From green (-1) to magenta (1), across the daylights.
    #[reflect(@-1.0..=1.0_f32)]
    pub tint: f32,
    /// How far values lie from middle grey; 1 leaves them.
    #[reflect(@0.0..=4.0_f32)]
    pub contrast: f32,
    /// What red, green and blue are multiplied by.
    pub slope: Vec3,
    /// What is then added to them.
    pub offset: Vec3,
    /// What power is then taken of them.
    pub power: Vec3,
    /// How colourful it is: 0 is grey, 1 leaves it.
    #[reflect(@0.0..=4.0_f32)]
    pub saturation: f32,
}

impl Default for ColorCorrection {
    fn default() -> Self {
        Self {
            exposure_ev: 0.0,
            temperature_k: NEUTRAL_K as f32,
            tint: 0.0,
            contrast: 1.0,
            slope: Vec3::ONE,
            offset: Vec3::ZERO,
            power: Vec3::ONE,
            saturation: 1.0,
        }
    }
}

impl NodeKind for ColorCorrection {
    const DISPLAY_NAME: &'static str = "Colour correction";
    const CATEGORY: &'static str = "Colour";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

/// The daylight that sRGB's white is.
const NEUTRAL_K: f64 = 6504.0;
/// How far a whole tint lies from the daylights, in CIE 1960 uv.
const TINT_DUV: f64 = 0.02;

/// `struct Correction` of `effects.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct CorrectionParameters {
    picture: PictureUniform,
    linear_rows: [[f32; 4]; 3],
    slope: [f32; 4],
    offset: [f32; 4],
    power: [f32; 4],
}

impl EffectParameters for CorrectionParameters {
    const ENTRY_POINT: &'static str = "correct";
    const PICTURES: usize = 1;
}

/// Chromaticity of CIE daylight of a correlated colour temperature from 4000 to 25000 K (CIE 15:2004, 3.1).
fn daylight_xy(kelvin: f64) -> DVec2 {
    let t = kelvin;
    let x = if t <= 7000.0 {
        -4.6070e9 / t.powi(3) + 2.9678e6 / t.powi(2) + 0.09911e3 / t + 0.244063
    } else {
        -2.0064e9 / t.powi(3) + 1.9018e6 / t.powi(2) + 0.24748e3 / t + 0.237040
    };
    DVec2::new(x, -3.0 * x * x + 2.870 * x - 0.275)
}

/// CIE 1960 uv of xy, and back.
fn uv_of(xy: DVec2) -> DVec2 {
    DVec2::new(4.0 * xy.x, 6.0 * xy.y) / (-2.0 * xy.x + 12.0 * xy.y + 3.0)
}

fn xy_of(uv: DVec2) -> DVec2 {
    DVec2::new(3.0 * uv.x, 2.0 * uv.y) / (2.0 * uv.x - 8.0 * uv.y + 4.0)
}

/// The map of linear sRGB that makes the white of a daylight and a tint sRGB's own, by the Bradford transform (ICC.1:2022,
/// annex E).
pub fn white_balance(kelvin: f64, tint: f64) -> DMat3 {
    let xyz = |xy: DVec2| DVec3::new(xy.x / xy.y, 1.0, (1.0 - xy.x - xy.y) / xy.y);
    let neutral = xyz(daylight_xy(NEUTRAL_K));
    let at = uv_of(daylight_xy(kelvin));
    let along = (uv_of(daylight_xy(kelvin + 1.0)) - at).normalize();
    // A magenta picture comes of taking a greenish light, above the daylights in v, for white.
    let taken = xyz(xy_of(at + DVec2::new(along.y, -along.x) * tint * TINT_DUV));
    let bradford = DMat3::from_cols_array_2d(&[[0.8951, -0.7502, 0.0389], [0.2664, 1.7135, -0.0685], [-0.1614, 0.0367, 1.0296]]);
    let rgb_to_xyz = DMat3::from_cols_array_2d(&[
        [0.412_390_799_265_959_5, 0.212_639_005_871_510_36, 0.019_330_818_715_591_85],
        [0.357_584_339_383_877_96, 0.715_168_678_767_755_9, 0.119_194_779_794_625_99],
        [0.180_480_788_401_834_3, 0.072_192_315_360_733_71, 0.950_532_152_249_660_7],
    ]);
    let scale = DMat3::from_diagonal(bradford * neutral / (bradford * taken));
    rgb_to_xyz.inverse() * bradford.inverse() * scale * bradford * rgb_to_xyz
}

impl ColorCorrection {
    /// What the shader has to know.
    ///
    /// # Errors
    /// [`SettingError`] for what is no number or out of its range.
    pub fn parameters(&self, picture: &GpuPicture) -> Result<CorrectionParameters, SettingError> {
        check("exposure_ev", self.exposure_ev, -10.0, 10.0, "-10 to 10")?;
        check("temperature_k", self.temperature_k, 4000.0, 25_000.0, "4000 to 25000")?;
        check("tint", self.tint, -1.0, 1.0, "-1 to 1")?;
        check("contrast", self.contrast, 0.0, 4.0, "0 to 4")?;
        check("saturation", self.saturation, 0.0, 4.0, "0 to 4")?;
        for channel in 0..3 {
            check("slope", self.slope[channel], 0.0, 100.0, "0 to 100")?;
            check("offset", self.offset[channel], -10.0, 10.0, "-10 to 10")?;
            check("power", self.power[channel], 0.01, 100.0, "0.01 to 100")?;
        }
        let balance = white_balance(f64::from(self.temperature_k), f64::from(self.tint));
        let linear = balance * f64::from(self.exposure_ev).exp2();
        let row = |index: usize| linear.row(index).as_vec3().extend(0.0).to_array();
        Ok(CorrectionParameters {
            picture: picture.uniform(),
            linear_rows: [row(0), row(1), row(2)],
            slope: self.slope.extend(self.contrast).to_array(),
            offset: self.offset.extend(self.saturation).to_array(),
            power: self.power.extend(0.0).to_array(),
        })
    }
}

pub(crate) fn run_color_correction(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<ColorCorrection>>,
    mut states: Local<NodeStates<EffectPass<CorrectionParameters>>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    let parameters = settings.of(run.node).parameters(&frame.picture)?;
    let size = frame.picture.size;
    let state =
        states.get_or_make(&gpu, run.node, |state| state.target().size == size, || Ok(EffectPass::new(gpu.device(), size)?))?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.encode(device, queue, encoder, &parameters, &frame.picture, None, None);
    run.set_output("frame", GpuFrame { picture: state.target().clone(), ..frame })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daylight_is_where_the_tables_say() {
        // D65, D50 and D75 of CIE 15.
        for (kelvin, x, y) in [(6504.0, 0.3127, 0.3290), (5003.0, 0.3457, 0.3585), (7504.0, 0.2990, 0.3149)] {
            let xy = daylight_xy(kelvin);
            assert!((xy - DVec2::new(x, y)).length() < 5e-4, "{kelvin}: {xy}");
            assert!((xy_of(uv_of(xy)) - xy).length() < 1e-12);
        }
    }

    #[test]
    fn white_balance_goes_the_way_people_expect() {
        assert!(white_balance(NEUTRAL_K, 0.0).abs_diff_eq(DMat3::IDENTITY, 1e-9));
        let warm = white_balance(9000.0, 0.0) * DVec3::ONE;
        assert!(warm.x > 1.0 && warm.z < 1.0, "{warm}");
        let magenta = white_balance(NEUTRAL_K, 1.0) * DVec3::ONE;
        assert!(magenta.y < magenta.x && magenta.y < magenta.z, "{magenta}");
    }
}
