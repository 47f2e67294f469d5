//! What is not in every model file.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// The numbers that a network expects for black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum PixelRange {
    /// What the model's metadata says under `pixel_range`; without it, 0 to 255.
    #[default]
    Auto,
    /// 0 to 255: RAFT, `NeuFlow`, `CREStereo`, RAFT-Stereo.
    Byte,
    /// 0 to 1: PWC-Net, `HITNet`.
    Unit,
    /// −1 to 1: the RAFT of torchvision.
    Signed,
    /// Normalised by `ImageNet`'s mean and standard deviation of each channel.
    ImageNet,
}

impl PixelRange {
    /// How the metadata of a model names the ranges.
    pub(crate) const NAMES: [(&str, Self); 4] =
        [("0..255", Self::Byte), ("0..1", Self::Unit), ("-1..1", Self::Signed), ("imagenet", Self::ImageNet)];

    /// Factor and offset of a channel's code value.
    pub(crate) fn scale(self, channel: usize) -> [f32; 2] {
        // Mean and standard deviation as torchvision publishes them.
        const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
        const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
        match self {
            Self::Auto | Self::Byte => [1.0, 0.0],
            Self::Unit => [1.0 / 255.0, 0.0],
            Self::Signed => [2.0 / 255.0, -1.0],
            Self::ImageNet => {
                let [mean, deviation] = [MEAN, DEVIATION].map(|values| values[channel.min(2)]);
                [1.0 / (255.0 * deviation), -mean / deviation]
            }
        }
    }
}

/// How pictures are given to a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The numbers for black and white.
    pub pixel_range: PixelRange,
    /// Whether the network takes blue, green, red instead of red, green, blue.
    pub bgr: bool,
    /// Whether a stereo network says disparities as motions to the left, below 0, as RAFT-Stereo does.
    pub negative_disparity: bool,
}
