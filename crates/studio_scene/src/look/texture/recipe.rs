//! What a texture on the GPU is made of: which channel of which picture goes where.

use bevy::math::Vec4;
use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};
use studio_usd::snapshot::{TextureChannels, TextureColorSpace, TextureInput, TextureWrap};

/// How a texture is made. Equal recipes give equal textures, so this is the key that textures are shared by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextureRecipe {
    /// Where red, green, blue and alpha come from.
    pub channels: [Channel; 4],
    /// What the numbers are.
    pub encoding: Encoding,
    /// Beyond the left and right edge, and beyond the upper and lower one.
    pub wrap: [TextureWrap; 2],
}

/// What the numbers of a texture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A colour: kept as sRGB where it has eight bits.
    Color,
    /// Numbers.
    Data,
    /// Directions, with 0 to 1 for -1 to 1.
    Normal,
}

/// Where a channel of a texture comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The same everywhere.
    Constant(Number),
    /// A channel of a picture.
    Picture(ChannelRead),
}

/// A channel of a picture: `number * scale + bias`, the number taken out of sRGB first where the picture is sRGB.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelRead {
    /// The picture; empty where the layer's asset was not found.
    pub identifier: Arc<str>,
    /// As written in the layer, for messages.
    pub authored: Arc<str>,
    /// 0 to 3 for red, green, blue and alpha.
    pub channel: u8,
    /// Whether the numbers are sRGB.
    pub color_space: TextureColorSpace,
    /// Multiplied by this.
    pub scale: Number,
    /// Added.
    pub bias: Number,
    /// In place of all of it where the picture cannot be read; scale and bias do not apply.
    pub fallback: Number,
}

/// A finite number that can be part of a key.
#[derive(Clone, Copy, Debug)]
pub struct Number(f32);

impl Number {
    /// A number; what is not finite becomes 0.
    pub fn new(value: f32) -> Self {
        // Adding 0 makes -0 equal to 0 bit by bit.
        Self(if value.is_finite() { value + 0.0 } else { 0.0 })
    }

    /// The number.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Channel {
    /// The same number everywhere.
    pub fn constant(value: f32) -> Self {
        Self::Constant(Number::new(value))
    }

    /// The channel of a texture that an output of three channels has as its `component` (0 to 2), or the one channel it reads.
    pub fn read(input: &TextureInput, component: usize) -> Self {
        let channel = match input.channels {
            TextureChannels::Rgb => component.min(2),
            TextureChannels::R => 0,
            TextureChannels::G => 1,
            TextureChannels::B => 2,
            TextureChannels::A => 3,
        };
        let at = |vector: Vec4| Number::new(vector.to_array().get(channel).copied().unwrap_or_default());
        Self::Picture(ChannelRead {
            identifier: input.resolved.as_str().into(),
            authored: input.authored.as_str().into(),
            channel: channel as u8,
            color_space: input.color_space,
            scale: at(input.scale),
            bias: at(input.bias),
            fallback: at(input.fallback),
        })
    }
}

impl TextureRecipe {
    /// The pictures, each once.
    pub fn pictures(&self) -> Vec<&ChannelRead> {
        let mut reads: Vec<&ChannelRead> = Vec::new();
        for channel in &self.channels {
            if let Channel::Picture(read) = channel
                && !reads.iter().any(|other| other.identifier == read.identifier && other.authored == read.authored)
            {
                reads.push(read);
            }
        }
        reads
    }
}
