//! Node kinds that work on the CPU.

use super::{PinValue, Value};
use crate::{
    data_type::{DataType, DataTypes},
    registry::{AppNodeExt, NodeKind},
};
use bevy::prelude::*;
use core::any::Any;
use std::{borrow::Cow, sync::Arc};

/// What a node on the CPU misses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpuNodeError {
    /// Nothing feeds an input that the node needs, or nothing came from there yet.
    #[error("nothing came to the input “{0}”")]
    NoValue(String),
    /// The value is not what the node works on.
    #[error("what came to the input “{0}” is of another type than the node works on")]
    WrongType(String),
    /// The kind declares no such output.
    #[error("the node has no output “{0}”")]
    NoSuchOutput(String),
    /// The node's code failed.
    #[error("the node's code panicked: {0}")]
    Panicked(String),
}

/// An input of a node as it was linked when the graph was compiled.
pub(super) struct Input {
    pub(super) name: Cow<'static, str>,
    pub(super) data_type: DataType,
    /// What feeds it, and of which type that is.
    pub(super) source: Option<(PinValue, DataType)>,
}

impl Input {
    /// The value on it, turned into the type of the input.
    pub(super) fn value(&self, types: &DataTypes) -> Option<Value> {
        let (pin, from) = self.source.as_ref()?;
        let value = pin.get()?;
        if *from == self.data_type { Some(value) } else { types.convert(value, from, &self.data_type) }
    }

    pub(super) fn generation(&self) -> u64 {
        self.source.as_ref().map_or(0, |(pin, _)| pin.generation())
    }
}

/// One run of a node on the CPU.
pub struct CpuRun<'r> {
    pub(super) node: Entity,
    pub(super) inputs: &'r [Input],
    pub(super) outputs: &'r [(Cow<'static, str>, PinValue)],
    pub(super) types: &'r DataTypes,
    pub(super) state: &'r mut Option<Box<dyn Any + Send + Sync>>,
    pub(super) seconds: f64,
    pub(super) used_time: bool,
}

impl CpuRun<'_> {
    /// The node.
    pub fn node(&self) -> Entity {
        self.node
    }

    /// The value on an input, as the input's type; none if nothing came there yet.
    pub fn input(&self, name: &str) -> Option<Value> {
        self.inputs.iter().find(|input| input.name == name)?.value(self.types)
    }

    /// The number on an input.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.input(name)?.scalar()
    }

    /// The data on an input that the node cannot do without.
    ///
    /// # Errors
    /// [`CpuNodeError`] if nothing came there yet, or something else than `T`.
    pub fn data<T: Send + Sync + 'static>(&self, name: &str) -> Result<Arc<T>, CpuNodeError> {
        let value = self.input(name).ok_or_else(|| CpuNodeError::NoValue(name.to_owned()))?;
        value.get().ok_or_else(|| CpuNodeError::WrongType(name.to_owned()))
    }

    /// Puts a value on an output. What is equal to the value before makes nobody run.
    ///
    /// # Errors
    /// [`CpuNodeError::NoSuchOutput`].
    pub fn set(&self, name: &str, value: Value) -> Result<(), CpuNodeError> {
        let found = self.outputs.iter().find(|(output, _)| output == name);
        let (_, pin) = found.ok_or_else(|| CpuNodeError::NoSuchOutput(name.to_owned()))?;
        pin.set(value);
        Ok(())
    }

    /// The time of the newest frame in seconds. A node that asks for it runs again when time has moved on.
    pub fn seconds(&mut self) -> f64 {
        self.used_time = true;
        self.seconds
    }

    /// What the node keeps between runs; its default at first, and when another type is asked for.
    pub fn state<S: Default + Send + Sync + 'static>(&mut self) -> &mut S {
        if !self.state.as_ref().is_some_and(|state| state.is::<S>()) {
            *self.state = None;
        }
        let state = self.state.get_or_insert_with(|| Box::new(S::default()));
        match state.downcast_mut() {
            Some(state) => state,
            None => unreachable!("it was made to be of this type"),
        }
    }
}

/// The work of a kind.
pub(super) type Work = Arc<dyn Fn(EntityRef, &mut CpuRun) -> Result + Send + Sync>;
/// The nodes of a kind whose settings changed since it was asked last.
pub(super) type Changes = Box<dyn FnMut(&mut World, &mut Vec<Entity>) + Send + Sync>;

/// The kinds that work on the CPU.
#[derive(Resource, Default)]
pub(super) struct CpuKinds {
    pub(super) work: Vec<Work>,
    pub(super) changes: Vec<Changes>,
}

/// The node works on the CPU; its place among the kinds.
#[derive(Component, Clone, Copy)]
pub(super) struct CpuNode(pub(super) usize);

/// Registers node kinds that work on the CPU.
pub trait AppCpuNodeExt {
    /// Makes `K` a node kind whose work is a function of its settings and of the values on its inputs. It runs, in the graph's
    /// order, when one of those changed and every linked input has a value; nodes of one level that take their time run at the
    /// same time on the compute task pool. An error is the node's failure: it shows on the node, its outputs hold what they had,
    /// and it is tried again.
    fn add_cpu_node<K: NodeKind>(&mut self, work: impl Fn(&K, &mut CpuRun) -> Result + Send + Sync + 'static) -> &mut Self;
}

impl AppCpuNodeExt for App {
    fn add_cpu_node<K: NodeKind>(&mut self, work: impl Fn(&K, &mut CpuRun) -> Result + Send + Sync + 'static) -> &mut Self {
        self.register_node::<K>();
        let mut query: Option<QueryState<Entity, Changed<K>>> = None;
        let changes = move |world: &mut World, changed: &mut Vec<Entity>| {
            let query = query.get_or_insert_with(|| QueryState::new(world));
            changed.extend(query.iter(world));
        };
        let work = move |node: EntityRef, run: &mut CpuRun| match node.get::<K>() {
            Some(settings) => work(settings, run),
            None => Ok(()),
        };
        let mut kinds = self.world_mut().get_resource_or_init::<CpuKinds>();
        let place = kinds.work.len();
        kinds.work.push(Arc::new(work));
        kinds.changes.push(Box::new(changes));
        let mark = move |added: On<Add, K>, mut commands: Commands| {
            commands.entity(added.entity).insert(CpuNode(place));
        };
        self.add_observer(mark)
    }
}
