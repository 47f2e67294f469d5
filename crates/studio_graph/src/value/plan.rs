//! Running nodes on the CPU and feeding settings, level by level in the graph's order.

use super::{
    PinValue,
    cpu::{CpuKinds, CpuNode, CpuNodeError, CpuRun, Input, Work},
    expose::{ExposedSettings, Feed, feeds_of},
};
use crate::{
    clock::StudioTime,
    compile::{CompiledGraph, CompiledNode},
    data_type::{DataType, DataTypes},
    pin::{Pin, PinDirection, Pins},
    status::{FailureReport, NodeStatus},
};
use bevy::{
    ecs::entity::EntityHashMap,
    prelude::*,
    tasks::{ComputeTaskPool, TaskPool},
};
use core::any::Any;
use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// From so much time on a node is worth another thread: waking one costs some 10 µs.
const WORTH_A_THREAD: Duration = Duration::from_micros(50);

/// What a node keeps between runs and compilations.
#[derive(Default)]
struct Memory {
    /// What fed the inputs and how often that had changed, when the node ran last.
    seen: Vec<(Option<Entity>, u64)>,
    /// What its code keeps.
    state: Option<Box<dyn Any + Send + Sync>>,
    /// The time at which it ran, if it asked for it.
    ran_at: Option<f64>,
    failed: bool,
    /// Its settings changed since.
    stale: bool,
    cost: Duration,
}

struct Planned {
    node: Entity,
    work: Work,
    inputs: Vec<Input>,
    sources: Vec<Option<Entity>>,
    outputs: Vec<(Cow<'static, str>, PinValue)>,
    memory: Memory,
    /// Its settings changed, or it never ran.
    dirty: bool,
    outcome: Option<Result<(), String>>,
}

#[derive(Default)]
struct Level {
    feeds: Vec<Feed>,
    nodes: Vec<Planned>,
}

/// The nodes on the CPU and the settings that are fed, in the order of the compiled graph.
#[derive(Resource, Default)]
pub(super) struct ValuePlan {
    generation: Option<u64>,
    levels: Vec<Level>,
    places: EntityHashMap<(usize, usize)>,
    /// What nodes that do not run at present keep.
    resting: EntityHashMap<Memory>,
}

/// Whether there is anything to run or to plan.
pub(super) fn has_work(plan: Res<ValuePlan>, graph: Res<CompiledGraph>) -> bool {
    !plan.levels.is_empty() || plan.generation != Some(graph.generation)
}

/// Runs what changed.
pub(super) fn run_values(world: &mut World, mut changed: Local<Vec<Entity>>) {
    let mut plan = core::mem::take(&mut *world.resource_mut::<ValuePlan>());
    let graph = world.resource::<CompiledGraph>().clone();
    if plan.generation != Some(graph.generation) {
        plan = make_plan(world, plan, &graph);
    }
    if !plan.levels.is_empty() {
        mark_changed(world, &mut plan, &mut changed);
        let types = world.get_resource::<DataTypes>().cloned().unwrap_or_default();
        for level in &mut plan.levels {
            for feed in &mut level.feeds {
                if feed.apply(world, &types)
                    && let Some(planned) = level.nodes.iter_mut().find(|planned| planned.node == feed.node)
                {
                    planned.dirty = true;
                }
            }
            run_level(world, &mut level.nodes, &types);
        }
    }
    world.insert_resource(plan);
}

fn make_plan(world: &mut World, old: ValuePlan, graph: &CompiledGraph) -> ValuePlan {
    let mut plan = ValuePlan { generation: Some(graph.generation), resting: old.resting, ..default() };
    for planned in old.levels.into_iter().flat_map(|level| level.nodes) {
        plan.resting.insert(planned.node, planned.memory);
    }
    plan.resting.retain(|node, _| world.get::<CpuNode>(*node).is_some());
    for compiled in graph.nodes.iter().filter(|compiled| compiled.runs) {
        let kind = world.get::<CpuNode>(compiled.node).map(|node| node.0);
        let is_fed = world.get::<ExposedSettings>(compiled.node).is_some();
        if kind.is_none() && !is_fed {
            continue;
        }
        let inputs = inputs_of(world, compiled);
        let place = compiled.level as usize;
        if plan.levels.len() <= place {
            plan.levels.resize_with(place + 1, Level::default);
        }
        if is_fed {
            plan.levels[place].feeds.extend(feeds_of(world, compiled.node, &inputs));
        }
        let work = kind.and_then(|kind| world.resource::<CpuKinds>().work.get(kind).cloned());
        let Some(work) = work else { continue };
        let outputs = outputs_of(world, compiled);
        let memory = plan.resting.remove(&compiled.node);
        plan.levels[place].nodes.push(Planned {
            node: compiled.node,
            work,
            sources: compiled.inputs.iter().map(|(_, source)| *source).collect(),
            inputs,
            outputs,
            dirty: memory.as_ref().is_none_or(|memory| memory.stale),
            memory: memory.unwrap_or_default(),
            outcome: None,
        });
    }
    plan.levels.retain(|level| !(level.feeds.is_empty() && level.nodes.is_empty()));
    for (place, level) in plan.levels.iter().enumerate() {
        plan.places.extend(level.nodes.iter().enumerate().map(|(index, planned)| (planned.node, (place, index))));
    }
    plan
}

fn inputs_of(world: &World, compiled: &CompiledNode) -> Vec<Input> {
    let pins = world.get::<Pins>(compiled.node).into_iter().flat_map(|pins| pins.iter());
    let types: Vec<&Pin> =
        pins.filter_map(|pin| world.get::<Pin>(pin)).filter(|pin| pin.direction == PinDirection::Input).collect();
    let source = |pin: Entity| Some((world.get::<PinValue>(pin)?.clone(), world.get::<Pin>(pin)?.data_type.clone()));
    let inputs = compiled.inputs.iter().map(|(name, fed_by)| Input {
        name: name.clone(),
        data_type: types.iter().find(|pin| pin.name == *name).map_or(DataType::ANY, |pin| pin.data_type.clone()),
        source: fed_by.and_then(source),
    });
    inputs.collect()
}

fn outputs_of(world: &mut World, compiled: &CompiledNode) -> Vec<(Cow<'static, str>, PinValue)> {
    let pin_value = |(name, pin): &(Cow<'static, str>, Entity)| {
        let value = world.get::<PinValue>(*pin).cloned().unwrap_or_else(|| {
            let value = PinValue::default();
            world.entity_mut(*pin).insert(value.clone());
            value
        });
        (name.clone(), value)
    };
    compiled.outputs.iter().map(pin_value).collect()
}

/// Marks the nodes whose settings changed.
fn mark_changed(world: &mut World, plan: &mut ValuePlan, changed: &mut Vec<Entity>) {
    let mut asked = core::mem::take(&mut world.resource_mut::<CpuKinds>().changes);
    asked.iter_mut().for_each(|ask| ask(world, changed));
    world.resource_mut::<CpuKinds>().changes = asked;
    for node in changed.drain(..) {
        if let Some(&(level, index)) = plan.places.get(&node) {
            plan.levels[level].nodes[index].dirty = true;
        } else if let Some(memory) = plan.resting.get_mut(&node) {
            // It rests; when it runs again, it runs with what changed.
            memory.stale = true;
        }
    }
}

/// Runs the nodes of one level that have something new: side by side where that pays.
fn run_level(world: &mut World, nodes: &mut [Planned], types: &DataTypes) {
    let seconds = world.resource::<StudioTime>().seconds();
    let now = Instant::now();
    let (mut heavy, mut light): (Vec<&mut Planned>, Vec<&mut Planned>) = nodes
        .iter_mut()
        .filter(|planned| planned.is_due(world, seconds, now))
        .partition(|planned| planned.memory.cost >= WORTH_A_THREAD);
    if heavy.is_empty() && light.is_empty() {
        return;
    }
    let shared: &World = world;
    if heavy.len() > 1 {
        ComputeTaskPool::get_or_init(TaskPool::default).scope(|scope| {
            for planned in heavy.iter_mut() {
                scope.spawn(async move { planned.run(shared, types, seconds) });
            }
            light.iter_mut().for_each(|planned| planned.run(shared, types, seconds));
        });
    } else {
        heavy.iter_mut().chain(light.iter_mut()).for_each(|planned| planned.run(shared, types, seconds));
    }
    let report = shared.resource::<FailureReport>();
    for planned in heavy.into_iter().chain(light) {
        match planned.outcome.take() {
            Some(Ok(())) => report.success(planned.node),
            Some(Err(error)) => report.failure(planned.node, error),
            None => {}
        }
    }
}

impl Planned {
    fn is_due(&self, world: &World, seconds: f64, now: Instant) -> bool {
        // What is linked is waited for, as nodes on the GPU do.
        if self.inputs.iter().any(|input| input.source.is_some() && input.generation() == 0) {
            return false;
        }
        if self.dirty {
            return true;
        }
        if self.memory.failed {
            return world.get::<NodeStatus>(self.node).is_none_or(|status| status.may_run(now));
        }
        let seen = self.sources.iter().zip(&self.inputs).map(|(source, input)| (*source, input.generation()));
        self.memory.ran_at.is_some_and(|at| at != seconds) || !seen.eq(self.memory.seen.iter().copied())
    }

    fn run(&mut self, world: &World, types: &DataTypes, seconds: f64) {
        let Ok(node) = world.get_entity(self.node) else { return };
        self.dirty = false;
        self.memory.stale = false;
        self.memory.seen.clear();
        self.memory.seen.extend(self.sources.iter().zip(&self.inputs).map(|(source, input)| (*source, input.generation())));
        let mut run = CpuRun {
            node: self.node,
            inputs: &self.inputs,
            outputs: &self.outputs,
            types,
            state: &mut self.memory.state,
            seconds,
            used_time: false,
        };
        let start = Instant::now();
        // What a plugin's code does must not take the app with it. Its state is dropped, for it may be half done.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(node, &mut run)));
        let used_time = run.used_time;
        let outcome = outcome.unwrap_or_else(|panic| {
            self.memory.state = None;
            let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
            let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(CpuNodeError::Panicked(words).into())
        });
        self.memory.cost = start.elapsed();
        self.memory.ran_at = used_time.then_some(seconds);
        self.memory.failed = outcome.is_err();
        self.outcome = Some(outcome.map_err(|error| first_line(&error.to_string())));
    }
}

/// The part of an error that people read; a backtrace may follow it.
fn first_line(error: &str) -> String {
    error.lines().next().unwrap_or_default().trim().to_owned()
}
