//! What a network takes and gives, and whether that is what a task needs.

use crate::{ModelError, ModelSettings, PixelRange};
use bevy::math::UVec2;
use ort::{
    session::Session,
    value::{Outlet, TensorElementType},
};
use std::path::Path;

/// What a network is to find in two pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairTask {
    /// Optical flow: what is at `p` in the first picture is at `p + flow` in the second one.
    Flow,
    /// Disparity of a rectified pair: what is at `x` in the left picture is at `x − disparity` in the right one.
    Disparity,
}

impl PairTask {
    /// Channels of the result.
    pub fn channels(self) -> usize {
        match self {
            Self::Flow => 2,
            Self::Disparity => 1,
        }
    }

    /// What it finds, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flow => "optical flow",
            Self::Disparity => "disparity",
        }
    }

    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Flow => {
                "two pictures as inputs of 32-bit floats, 1×3×height×width each (or one input of 1×6×height×width), and an output 1×2×height×width"
            }
            Self::Disparity => {
                "two pictures as inputs of 32-bit floats, 1×3×height×width each (or one input of 1×6×height×width), and an output \
                 1×1×height×width, 1×height×width or 1×height×width×1"
            }
        }
    }
}

/// How a model takes its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSignature {
    /// What the model finds.
    pub task: PairTask,
    /// The inputs' names: one for each picture, or one for both.
    pub inputs: Vec<String>,
    /// Channels of one picture: 3, or 1 for luma.
    pub channels: usize,
    /// The only size that the model takes, in pixels; none: any.
    pub fixed_size: Option<UVec2>,
    /// What width and height are padded to a multiple of, in pixels, where the size is not fixed.
    pub multiple: u32,
    /// The numbers for black and white; never `Auto`.
    pub pixel_range: PixelRange,
    /// The outputs that may be the result.
    pub outputs: Vec<String>,
}

impl PairSignature {
    /// The most pixels that a model is given: a picture of 4096×2304.
    pub const MOST_PIXELS: u64 = 4096 * 2304;
    /// What fits every network that is in use: their coarsest level is a 64th of the picture at most.
    const DEFAULT_MULTIPLE: u32 = 64;

    /// Checks a model.
    pub(crate) fn of(session: &Session, task: PairTask, path: &Path, settings: &ModelSettings) -> Result<Self, ModelError> {
        let refuse = |why: String| ModelError::Signature {
            path: path.to_owned(),
            task: task.name(),
            why,
            expected: task.expected(),
            has: described(session),
        };
        let inputs = session.inputs();
        let shapes = inputs.iter().map(|input| float_shape(input).map_err(&refuse)).collect::<Result<Vec<_>, _>>()?;
        let pictures = match shapes.len() {
            1 => 2,
            2 => 1,
            other => return Err(refuse(format!("it takes {other} inputs"))),
        };
        let mut fixed = [None; 2];
        let mut channels = None;
        for (shape, input) in shapes.iter().zip(inputs) {
            let &[batch, depth, height, width] = shape.as_slice() else {
                return Err(refuse(format!("its input “{}” has {} dimensions", input.name(), shape.len())));
            };
            if batch > 1 {
                return Err(refuse(format!("its input “{}” takes {batch} pictures at a time", input.name())));
            }
            let of_one = match (depth, pictures) {
                (-1 | 3, 1) | (-1 | 6, 2) => 3,
                (1, 1) | (2, 2) => 1,
                _ => return Err(refuse(format!("its input “{}” has {depth} channels", input.name()))),
            };
            if channels.replace(of_one).is_some_and(|before| before != of_one) {
                return Err(refuse("its inputs differ in channels".to_owned()));
            }
            for (known, side) in fixed.iter_mut().zip([width, height]) {
                if side >= 0 && known.replace(side).is_some_and(|before| before != side) {
                    return Err(refuse("its inputs differ in size".to_owned()));
                }
            }
        }
        let fixed_size = match fixed {
            [None, None] => None,
            [Some(width), Some(height)] => {
                let sides = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
                let size = UVec2::from_array(sides);
                check_size(path, size)?;
                Some(size)
            }
            _ => return Err(refuse("only one side of its pictures is fixed".to_owned())),
        };
        let fits = |output: &&Outlet| float_shape(output).is_ok_and(|shape| result_size(task, &shape).is_some());
        let outputs: Vec<_> = session.outputs().iter().filter(fits).map(|output| output.name().to_owned()).collect();
        if outputs.is_empty() {
            return Err(refuse("no output of it fits".to_owned()));
        }
        let said = |key: &str| session.metadata().ok().and_then(|metadata| metadata.custom(key));
        let multiple = said("size_multiple").and_then(|words| words.trim().parse().ok()).unwrap_or(Self::DEFAULT_MULTIPLE);
        let pixel_range = match (settings.pixel_range, said("pixel_range")) {
            (PixelRange::Auto, None) => PixelRange::Byte,
            (PixelRange::Auto, Some(words)) => {
                let known = PixelRange::NAMES.iter().find(|(name, _)| *name == words.trim());
                known.map(|(_, range)| *range).ok_or_else(|| {
                    let names = PixelRange::NAMES.map(|(name, _)| name).join(", ");
                    refuse(format!("its metadata says the pixel range “{words}”, which is none of {names}"))
                })?
            }
            (chosen, _) => chosen,
        };
        Ok(Self {
            task,
            inputs: inputs.iter().map(|input| input.name().to_owned()).collect(),
            channels: channels.unwrap_or(3),
            fixed_size,
            multiple: multiple.clamp(1, 256),
            pixel_range,
            outputs,
        })
    }
}

/// Refuses sizes that no model is given.
pub(crate) fn check_size(path: &Path, size: UVec2) -> Result<(), ModelError> {
    let pixels = u64::from(size.x) * u64::from(size.y);
    if size.min_element() < 16 || pixels > PairSignature::MOST_PIXELS {
        return Err(ModelError::TooLarge {
            path: path.to_owned(),
            size: format!("{}×{}", size.x, size.y),
            most: PairSignature::MOST_PIXELS,
        });
    }
    Ok(())
}

/// Width and height of a result of this shape, if it is one. Its first channel comes first in every layout that is taken.
pub(crate) fn result_size(task: PairTask, shape: &[i64]) -> Option<[i64; 2]> {
    let one = |batch: i64| batch == 1 || batch == -1;
    match (task, shape) {
        (PairTask::Flow, &[batch, 2, height, width]) if one(batch) => Some([width, height]),
        // A shape that is not known before the model ran is looked at then.
        (_, &[batch, -1, height, width]) if one(batch) => Some([width, height]),
        (PairTask::Disparity, &[batch, 1 | 2, height, width]) if one(batch) => Some([width, height]),
        (PairTask::Disparity, &[batch, height, width, 1]) if one(batch) => Some([width, height]),
        (PairTask::Disparity, &[batch, height, width]) if one(batch) => Some([width, height]),
        _ => None,
    }
}

fn float_shape(outlet: &Outlet) -> Result<Vec<i64>, String> {
    match (outlet.dtype().tensor_type(), outlet.dtype().tensor_shape()) {
        (Some(TensorElementType::Float32), Some(shape)) => Ok(shape.to_vec()),
        (Some(other), _) => Err(format!("“{}” holds {other} and not 32-bit floats", outlet.name())),
        _ => Err(format!("“{}” is no tensor", outlet.name())),
    }
}

/// The model's inputs and outputs in words.
fn described(session: &Session) -> String {
    let words = |outlet: &Outlet| {
        let kind = outlet.dtype().tensor_type().map_or_else(|| "no tensor".to_owned(), |kind| kind.to_string());
        let sides = outlet.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default();
        let sides: Vec<_> = sides.iter().map(|side| if *side < 0 { "?".to_owned() } else { side.to_string() }).collect();
        format!("{} {kind} {}", outlet.name(), sides.join("×"))
    };
    let all = |outlets: &[Outlet]| outlets.iter().take(8).map(words).collect::<Vec<_>>().join(", ");
    format!("inputs [{}] and outputs [{}]", all(session.inputs()), all(session.outputs()))
}
