//! The `Blend` node: a layer over a base.

use crate::pass::{EffectParameters, EffectPass, SettingError, check};
use bevy::prelude::*;
use studio_gpu::{picture::PictureUniform, prelude::*};
use studio_graph::prelude::*;

/// How a layer's colours and those below it make one; the formulas are those of W3C Compositing and Blending Level 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub enum BlendMode {
    /// The layer covers the base.
    #[default]
    Normal,
    /// The sum of both.
    Add,
    /// The product of both: never lighter than either.
    Multiply,
    /// The product of the negatives: never darker than either.
    Screen,
    /// Multiply in the base's shadows, screen in its lights.
    Overlay,
    /// How far both differ.
    Difference,
    /// The lighter of both, for each of red, green and blue.
    Lighten,
    /// The darker of both, for each of red, green and blue.
    Darken,
}

/// Where a layer lies on the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect)]
#[reflect(Default)]
pub enum LayerPlace {
    /// It covers the whole base, stretched to its shape.
    #[default]
    Fill,
    /// As large as the base allows, in its own shape, in the middle.
    Fit,
    /// At a place of its own, in shares of the base's width and height.
    At {
        /// Its upper left corner.
        origin: Vec2,
        /// Its width and height.
        size: Vec2,
    },
}

/// Lays one picture over another. Without a layer, or as long as none came, the base passes as it is.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(TakesLatest)]
pub struct Blend {
    /// How the colours mix.
    pub mode: BlendMode,
    /// How much of the layer is seen.
    #[reflect(@0.0..=1.0_f32)]
    pub opacity: f32,
    /// Where the layer lies.
    pub place: LayerPlace,
}

impl Default for Blend {
    fn default() -> Self {
        Self { mode: BlendMode::Normal, opacity: 1.0, place: LayerPlace::Fill }
    }
}

impl NodeKind for Blend {
    const DISPLAY_NAME: &'static str = "Blend";
    const CATEGORY: &'static str = "Compose";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("base", DataType::VIDEO_FRAME),
            PinSpec::input("layer", DataType::VIDEO_FRAME),
            PinSpec::input("mask", DataType::VIDEO_FRAME),
            PinSpec::output("frame", DataType::VIDEO_FRAME),
        ]
    }
}

/// `struct Blend` of `effects.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct BlendParameters {
    base: PictureUniform,
    layer: PictureUniform,
    place: [f32; 4],
    strength: [f32; 4],
    mode: [u32; 4],
}

impl EffectParameters for BlendParameters {
    const ENTRY_POINT: &'static str = "blend";
    const PICTURES: usize = 2;
    const MASK: bool = true;
}

impl BlendParameters {
    /// Parameters for a layer at `place` (origin and size in shares of the base).
    pub(crate) fn new(
        base: &GpuPicture,
        layer: &GpuPicture,
        place: Rect,
        opacity: f32,
        mode: BlendMode,
        mask: Option<&GpuPicture>,
    ) -> Self {
        let size = place.size().max(Vec2::splat(1e-6));
        // What makes grey samples of the mask's first plane 0 to 1.
        let [scale, offset] = mask.map_or([1.0, 0.0], |mask| {
            let [row, ..] = mask.uniform().rgb_from_yuv;
            if mask.format.is_yuv() { [row[0], row[3] + (row[1] + row[2]) * 0.5] } else { [1.0, 0.0] }
        });
        Self {
            base: base.uniform(),
            layer: layer.uniform(),
            place: [place.min.x, place.min.y, size.x, size.y],
            strength: [opacity, f32::from(u8::from(mask.is_some())), scale, offset],
            mode: [mode as u32, 0, 0, 0],
        }
    }
}

impl Blend {
    /// What the shader has to know.
    ///
    /// # Errors
    /// [`SettingError`] for what is no number or out of its range.
    pub fn parameters(
        &self,
        base: &GpuPicture,
        layer: &GpuPicture,
        mask: Option<&GpuPicture>,
    ) -> Result<BlendParameters, SettingError> {
        check("opacity", self.opacity, 0.0, 1.0, "a share from 0 to 1")?;
        let place = match self.place {
            LayerPlace::Fill => Rect::new(0.0, 0.0, 1.0, 1.0),
            LayerPlace::Fit => {
                let (base, layer) = (base.size.as_vec2(), layer.size.as_vec2());
                Rect::from_center_size(Vec2::splat(0.5), layer * (base / layer).min_element() / base)
            }
            LayerPlace::At { origin, size } => {
                for (name, value) in [("place.origin.x", origin.x), ("place.origin.y", origin.y)] {
                    check(name, value, -1e3, 1e3, "a number, a thousand at most")?;
                }
                for (name, value) in [("place.size.x", size.x), ("place.size.y", size.y)] {
                    check(name, value, 1e-6, 1e3, "a number above 0, a thousand at most")?;
                }
                Rect::from_corners(origin, origin + size)
            }
        };
        Ok(BlendParameters::new(base, layer, place, self.opacity, self.mode, mask))
    }
}

pub(crate) fn run_blend(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Blend>>,
    mut states: Local<NodeStates<EffectPass<BlendParameters>>>,
    mut gpu: GpuContext,
) -> Result {
    if run.is_awaited("base") {
        return Ok(());
    }
    let base = run.input("base")?.clone();
    let Ok(layer) = run.input("layer") else {
        run.set_output("frame", base)?;
        return Ok(());
    };
    let mask = run.input("mask").ok().map(|mask| &*mask.picture);
    let parameters = settings.of(run.node).parameters(&base.picture, &layer.picture, mask)?;
    let size = base.picture.size;
    let state =
        states.get_or_make(&gpu, run.node, |state| state.target().size == size, || Ok(EffectPass::new(gpu.device(), size)?))?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.encode(device, queue, encoder, &parameters, &base.picture, Some(&layer.picture), mask);
    run.set_output("frame", GpuFrame { picture: state.target().clone(), ..base })?;
    Ok(())
}
