//! The `Transform2d` and `Crop` nodes.

use crate::pass::{EffectParameters, EffectPass, SettingError, check};
use bevy::prelude::*;
use studio_gpu::{picture::PictureUniform, prelude::*};
use studio_graph::prelude::*;

/// Moves, scales and turns the picture. What it does not cover becomes transparent black.
///
/// The projection stays as it is: to turn a sphere, use the stitch's orientation or a sphere view.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Transform2d {
    /// How far the picture is moved, in shares of the output's width and height; x to the right, y down.
    pub offset: Vec2,
    /// How much larger it becomes; at 1 it just fits into the output. Negative values mirror it.
    pub scale: Vec2,
    /// How far it is turned, clockwise, in degrees.
    #[reflect(@-360.0..=360.0_f32)]
    pub rotation_deg: f32,
    /// The point that it is scaled and turned about, in shares of its width and height.
    pub pivot: Vec2,
    /// Width and height of the output in pixels; zero takes the input's.
    pub size: UVec2,
}

impl Default for Transform2d {
    fn default() -> Self {
        Self { offset: Vec2::ZERO, scale: Vec2::ONE, rotation_deg: 0.0, pivot: Vec2::splat(0.5), size: UVec2::ZERO }
    }
}

impl NodeKind for Transform2d {
    const DISPLAY_NAME: &'static str = "Transform";
    const CATEGORY: &'static str = "Picture";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

/// Cuts off the picture's margins. The output has the pixels that are left, rounded to even numbers.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Crop {
    /// What is cut off at the left, in shares of the width.
    #[reflect(@0.0..=1.0_f32)]
    pub left: f32,
    /// What is cut off at the right, in shares of the width.
    #[reflect(@0.0..=1.0_f32)]
    pub right: f32,
    /// What is cut off at the top, in shares of the height.
    #[reflect(@0.0..=1.0_f32)]
    pub top: f32,
    /// What is cut off at the bottom, in shares of the height.
    #[reflect(@0.0..=1.0_f32)]
    pub bottom: f32,
}

impl NodeKind for Crop {
    const DISPLAY_NAME: &'static str = "Crop";
    const CATEGORY: &'static str = "Picture";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

/// `struct Transform` of `effects.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct TransformParameters {
    picture: PictureUniform,
    u_row: [f32; 4],
    v_row: [f32; 4],
}

impl EffectParameters for TransformParameters {
    const ENTRY_POINT: &'static str = "transform";
    const PICTURES: usize = 1;
}

impl Transform2d {
    /// The output's size for an input of `input` pixels.
    pub fn output_size(&self, input: UVec2) -> UVec2 {
        UVec2::select(self.size.cmpeq(UVec2::ZERO), input, self.size)
    }

    /// What the shader has to know.
    ///
    /// # Errors
    /// [`SettingError`] for a scale of zero and for what is no number.
    pub fn parameters(&self, picture: &GpuPicture) -> Result<TransformParameters, SettingError> {
        const FAR: f32 = 1e6;
        for (name, value) in [("scale.x", self.scale.x), ("scale.y", self.scale.y)] {
            check(name, value.abs(), 1e-6, FAR, "a number other than zero, a million at most")?;
        }
        for (name, value) in [
            ("offset.x", self.offset.x),
            ("offset.y", self.offset.y),
            ("pivot.x", self.pivot.x),
            ("pivot.y", self.pivot.y),
            ("rotation_deg", self.rotation_deg),
        ] {
            check(name, value, -FAR, FAR, "a number, a million at most")?;
        }
        let (input, output) = (picture.size.as_vec2(), self.output_size(picture.size).as_vec2());
        let fit = (output / input).min_element();
        // From output to input: back from where the pivot went, turned back, scaled back.
        let back = Mat2::from_diagonal((self.scale * fit).recip()) * Mat2::from_angle(-self.rotation_deg.to_radians());
        let shift = self.pivot * input - back * ((self.pivot + self.offset) * output);
        let row = |index: usize| {
            let row = back.row(index) / input[index];
            [row.x, row.y, shift[index] / input[index], 0.0]
        };
        Ok(TransformParameters { picture: picture.uniform(), u_row: row(0), v_row: row(1) })
    }
}

impl Crop {
    fn kept(&self) -> Result<Rect, SettingError> {
        let kept = Rect::new(self.left, self.top, 1.0 - self.right, 1.0 - self.bottom);
        for (name, value) in [("left", self.left), ("right", self.right), ("top", self.top), ("bottom", self.bottom)] {
            check(name, value, 0.0, 1.0, "a share from 0 to 1")?;
        }
        check("left + right", self.left + self.right, 0.0, 0.999, "less than 1, so that something is left")?;
        check("top + bottom", self.top + self.bottom, 0.0, 0.999, "less than 1, so that something is left")?;
        Ok(kept)
    }

    /// The output's size for an input of `input` pixels.
    ///
    /// # Errors
    /// [`SettingError`] if nothing would be left.
    pub fn output_size(&self, input: UVec2) -> Result<UVec2, SettingError> {
        let left = self.kept()?.size() * input.as_vec2();
        Ok(((left / 2.0).round().as_uvec2() * 2).max(UVec2::splat(2)))
    }

    /// What the shader has to know.
    ///
    /// # Errors
    /// As [`output_size`](Self::output_size).
    pub fn parameters(&self, picture: &GpuPicture) -> Result<TransformParameters, SettingError> {
        let (kept, output) = (self.kept()?, self.output_size(picture.size)?.as_vec2());
        let step = kept.size() / output;
        Ok(TransformParameters {
            picture: picture.uniform(),
            u_row: [step.x, 0.0, kept.min.x, 0.0],
            v_row: [0.0, step.y, kept.min.y, 0.0],
        })
    }
}

type Pass = EffectPass<TransformParameters>;

pub(crate) fn run_transform(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Transform2d>>,
    mut states: Local<NodeStates<Pass>>,
    mut gpu: GpuContext,
) -> Result {
    let settings = settings.of(run.node);
    let frame = run.input("frame")?.clone();
    let parameters = settings.parameters(&frame.picture)?;
    draw(&run, &frame, settings.output_size(frame.picture.size), &parameters, &mut states, &mut gpu)
}

pub(crate) fn run_crop(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Crop>>,
    mut states: Local<NodeStates<Pass>>,
    mut gpu: GpuContext,
) -> Result {
    let settings = settings.of(run.node);
    let frame = run.input("frame")?.clone();
    let parameters = settings.parameters(&frame.picture)?;
    draw(&run, &frame, settings.output_size(frame.picture.size)?, &parameters, &mut states, &mut gpu)
}

fn draw(
    run: &GpuNodeRun,
    frame: &GpuFrame,
    size: UVec2,
    parameters: &TransformParameters,
    states: &mut NodeStates<Pass>,
    gpu: &mut GpuContext,
) -> Result {
    let state = states.get_or_make(gpu, run.node, |state| state.target().size == size, || Ok(Pass::new(gpu.device(), size)?))?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.encode(device, queue, encoder, parameters, &frame.picture, None, None);
    run.set_output("frame", GpuFrame { picture: state.target().clone(), ..frame.clone() })?;
    Ok(())
}
