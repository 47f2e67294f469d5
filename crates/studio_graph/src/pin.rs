//! Pins, the types of data that flow between them, and the relationships that tie the graph together.

pub use crate::data_type::DataType;

use bevy::prelude::*;
use std::borrow::Cow;

/// Which way data goes through a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Reflect)]
pub enum PinDirection {
    /// Into the node; fed by at most one output.
    Input,
    /// Out of the node; feeds any number of inputs.
    Output,
}

/// What a node kind says of one of its pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinSpec {
    /// Name, unique among the node's pins of this direction.
    pub name: Cow<'static, str>,
    /// Way of the data.
    pub direction: PinDirection,
    /// Type of the data.
    pub data_type: DataType,
}

impl PinSpec {
    /// An input pin.
    pub fn input(name: impl Into<Cow<'static, str>>, data_type: DataType) -> Self {
        Self { name: name.into(), direction: PinDirection::Input, data_type }
    }

    /// An output pin.
    pub fn output(name: impl Into<Cow<'static, str>>, data_type: DataType) -> Self {
        Self { name: name.into(), direction: PinDirection::Output, data_type }
    }
}

impl From<&Pin> for PinSpec {
    fn from(pin: &Pin) -> Self {
        Self { name: pin.name.clone(), direction: pin.direction, data_type: pin.data_type.clone() }
    }
}

/// A pin of a node; lives on an entity of its own, tied to the node by [`PinOf`].
#[derive(Component, Clone, Debug, PartialEq, Eq)]
#[component(immutable)]
pub struct Pin {
    /// Name, unique among the node's pins of this direction.
    pub name: Cow<'static, str>,
    /// Way of the data.
    pub direction: PinDirection,
    /// Type of the data.
    pub data_type: DataType,
}

/// The node that a pin belongs to.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Pins)]
pub struct PinOf(pub Entity);

/// The pins of a node, inputs and outputs, in the order of its kind's declaration. Despawned with it.
#[derive(Component, Default, Debug)]
#[relationship_target(relationship = PinOf, linked_spawn)]
pub struct Pins(Vec<Entity>);

/// A link, on the input pin: the output pin that feeds it. Make links with [`connect`](crate::link::connect), which
/// checks them.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Feeds)]
pub struct FedBy(pub Entity);

/// The input pins that an output pin feeds.
#[derive(Component, Default, Debug)]
#[relationship_target(relationship = FedBy)]
pub struct Feeds(Vec<Entity>);

/// On an output pin of a subgraph or of its interface: it makes nothing itself and delivers what feeds this input pin.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[component(immutable)]
pub struct Delivers(pub Entity);

/// The node does no work: its outputs deliver what feeds other pins. Compiling leads links past it, so it costs nothing.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassThrough;

/// Pins that a node has besides those of its kind, behind them: a subgraph's interface, exposed settings.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraPins(pub Vec<PinSpec>);
