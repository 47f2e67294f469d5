//! The `TextOverlay` node: words over the picture.

use crate::{
    blend::{BlendMode, BlendParameters},
    pass::{EffectPass, SettingError, check},
    raster::{Layer, Words, rasterise},
};
use bevy::prelude::*;
use std::sync::Arc;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// Where words stand in the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub enum TextAnchor {
    /// At the top, to the left.
    TopLeft,
    /// At the top, in the middle.
    Top,
    /// At the top, to the right.
    TopRight,
    /// Half way down, to the left.
    Left,
    /// In the middle.
    Center,
    /// Half way down, to the right.
    Right,
    /// At the bottom, to the left.
    BottomLeft,
    /// At the bottom, in the middle.
    #[default]
    Bottom,
    /// At the bottom, to the right.
    BottomRight,
}

impl TextAnchor {
    /// Its place in shares of the room that is left.
    pub const fn share(self) -> Vec2 {
        let (x, y) = match self {
            Self::TopLeft => (0.0, 0.0),
            Self::Top => (0.5, 0.0),
            Self::TopRight => (1.0, 0.0),
            Self::Left => (0.0, 0.5),
            Self::Center => (0.5, 0.5),
            Self::Right => (1.0, 0.5),
            Self::BottomLeft => (0.0, 1.0),
            Self::Bottom => (0.5, 1.0),
            Self::BottomRight => (1.0, 1.0),
        };
        Vec2::new(x, y)
    }
}

/// Writes words over the picture. They are drawn anew only when they, their look or the picture's size change.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct TextOverlay {
    /// The words, of one line or several; 4096 letters at most.
    pub text: String,
    /// A font file, TrueType or OpenType; empty for the one that comes along (Ubuntu Light).
    #[reflect(@InputPath)]
    pub font: String,
    /// Height of a line, in shares of the picture's height.
    #[reflect(@0.005..=1.0_f32)]
    pub size: f32,
    /// The words' colour.
    pub color: LinearRgba,
    /// Width of the outline, in shares of a line's height; 0 for none.
    #[reflect(@0.0..=0.2_f32)]
    pub outline: f32,
    /// The outline's colour.
    pub outline_color: LinearRgba,
    /// What lies behind the words; transparent for nothing.
    pub box_color: LinearRgba,
    /// Where they stand.
    pub anchor: TextAnchor,
    /// How far from the picture's edges, in shares of its height.
    #[reflect(@0.0..=0.5_f32)]
    pub margin: f32,
}

impl Default for TextOverlay {
    fn default() -> Self {
        Self {
            text: "Neural Studio".to_owned(),
            font: String::new(),
            size: 0.08,
            color: LinearRgba::WHITE,
            outline: 0.05,
            outline_color: LinearRgba::BLACK,
            box_color: LinearRgba::NONE,
            anchor: TextAnchor::Bottom,
            margin: 0.05,
        }
    }
}

impl NodeKind for TextOverlay {
    const DISPLAY_NAME: &'static str = "Text";
    const CATEGORY: &'static str = "Compose";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

/// Why words cannot be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TextError {
    /// A setting is out of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// There are too many letters.
    #[error("the text has {0} letters: {most} at most", most = TextOverlay::MAX_LETTERS)]
    TooLong(usize),
    /// The font file cannot be read.
    #[error("the font {path} cannot be read: {reason}; choose a TrueType or OpenType file")]
    Font {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl TextOverlay {
    /// The most letters.
    pub const MAX_LETTERS: usize = 4096;
    /// The largest font file, in bytes.
    const MAX_FONT_BYTES: u64 = 64 << 20;

    /// The words for a picture of `size` pixels: RGBA with straight alpha, and where they lie in shares of the picture. None for
    /// no words.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn layer(&self, size: UVec2) -> Result<Option<(Layer, Rect)>, TextError> {
        check("size", self.size, 0.005, 1.0, "0.005 to 1")?;
        check("outline", self.outline, 0.0, 0.2, "0 to 0.2")?;
        check("margin", self.margin, 0.0, 0.5, "0 to 0.5")?;
        let letters = self.text.chars().count();
        if letters > Self::MAX_LETTERS {
            return Err(TextError::TooLong(letters));
        }
        let own = (!self.font.is_empty()).then(|| self.read_font()).transpose()?;
        let picture = size.as_vec2();
        let words = Words {
            text: &self.text,
            font: own.as_deref().unwrap_or(epaint_default_fonts::UBUNTU_LIGHT),
            line_px: (self.size * picture.y).max(4.0),
            color: self.color,
            outline_px: self.outline * self.size * picture.y,
            outline_color: self.outline_color,
            box_color: self.box_color,
            align: self.anchor.share().x,
            most: size,
        };
        let layer = rasterise(&words).map_err(|reason| TextError::Font { path: self.font.clone(), reason })?;
        Ok(layer.map(|layer| {
            let (own, margin) = (layer.size.as_vec2(), self.margin * picture.y);
            let room = picture - own - 2.0 * margin;
            // On whole pixels, so that the words are as sharp as they were drawn.
            let at = (Vec2::splat(margin) + room * self.anchor.share()).round();
            (layer, Rect::from_corners(at / picture, (at + own) / picture))
        }))
    }

    fn read_font(&self) -> Result<Vec<u8>, TextError> {
        let refuse = |reason: String| TextError::Font { path: self.font.clone(), reason };
        let size = std::fs::metadata(&self.font).map_err(|error| refuse(error.to_string()))?.len();
        if size > Self::MAX_FONT_BYTES {
            return Err(refuse(format!("it has {size} bytes, {} at most", Self::MAX_FONT_BYTES)));
        }
        std::fs::read(&self.font).map_err(|error| refuse(error.to_string()))
    }
}

/// The words as they were drawn last.
pub(crate) struct TextState {
    settings: TextOverlay,
    pass: EffectPass<BlendParameters>,
    layer: Option<(Arc<GpuPicture>, Rect)>,
}

impl TextState {
    fn new(gpu: &GpuContext, settings: TextOverlay, size: UVec2) -> Result<Self> {
        let device = gpu.device();
        let layer = match settings.layer(size)? {
            Some((layer, place)) => {
                let picture = GpuPicture::rgba(device, "text", layer.size)?;
                let bytes_per_row = Some(layer.size.x * 4);
                gpu.queue().write_texture(
                    picture.planes[0].as_image_copy(),
                    &layer.rgba,
                    wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None },
                    picture.planes[0].size(),
                );
                Some((Arc::new(picture), place))
            }
            None => None,
        };
        Ok(Self { settings, pass: EffectPass::new(device, size)?, layer })
    }
}

pub(crate) fn run_text(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<TextOverlay>>,
    mut states: Local<NodeStates<TextState>>,
    mut gpu: GpuContext,
) -> Result {
    let settings = settings.of(run.node);
    let frame = run.input("frame")?.clone();
    let size = frame.picture.size;
    let fits = |state: &TextState| state.settings == settings && state.pass.target().size == size;
    let state = states.get_or_make(&gpu, run.node, fits, || TextState::new(&gpu, settings.clone(), size))?;
    let Some((layer, place)) = &state.layer else {
        run.set_output("frame", frame)?;
        return Ok(());
    };
    let parameters = BlendParameters::new(&frame.picture, layer, *place, 1.0, BlendMode::Normal, None);
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.pass.encode(device, queue, encoder, &parameters, &frame.picture, Some(layer), None);
    run.set_output("frame", GpuFrame { picture: state.pass.target().clone(), ..frame })?;
    Ok(())
}
