//! GPU nodes: how a node kind's work runs in the render world.

use crate::{
    driver::{GpuEpoch, GpuNodes, GraphCommands, RunAgain},
    film::{CameraCue, FilmCameras},
    frame::{GpuFrame, PinFrame},
    readback::{ReadbackError, ReadbackSlot},
};
use bevy::{
    ecs::{
        entity::{EntityHashMap, EntityHashSet},
        system::{SystemId, SystemParam},
    },
    prelude::*,
    render::{
        Extract, ExtractSchedule, RenderApp,
        renderer::{RenderDevice, RenderQueue},
    },
};
use bytes::Bytes;
use std::{borrow::Cow, marker::PhantomData};
use studio_frame::prelude::*;
use studio_graph::{prelude::*, wake::StudioWaker};

/// One run of a GPU node: what the driver hands to the node kind's system.
pub struct GpuNodeRun {
    /// The node, as the main world names it.
    pub node: Entity,
    /// For a node that films: the picture that was asked for by a [`CameraCue`].
    pub cue: Option<FrameStamp>,
    /// Inputs in order of declaration, with the frames on them.
    pub inputs: Vec<(Cow<'static, str>, Option<GpuFrame>)>,
    /// The inputs that are linked, whether a frame came or not.
    pub linked: Vec<Cow<'static, str>>,
    /// Outputs in order of declaration.
    pub outputs: Vec<(Cow<'static, str>, PinFrame)>,
    /// Inputs of motion fields that something feeds.
    pub motion_inputs: Vec<(Cow<'static, str>, PinMotion)>,
    /// Outputs of motion fields.
    pub motion_outputs: Vec<(Cow<'static, str>, PinMotion)>,
    /// Outputs of coded pictures.
    pub packet_outputs: Vec<(Cow<'static, str>, PacketBus)>,
}

/// What a GPU node misses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuNodeError {
    /// Nothing feeds an input that the node needs.
    #[error("nothing is connected to the input “{0}”")]
    NotConnected(String),
    /// The kind declares no such output.
    #[error("the node has no output “{0}”")]
    NoSuchOutput(String),
}

impl GpuNodeRun {
    /// The frame on an input.
    pub fn input(&self, name: &str) -> Result<&GpuFrame, GpuNodeError> {
        let found = self.inputs.iter().find(|(input, _)| input == name).and_then(|(_, frame)| frame.as_ref());
        found.ok_or_else(|| GpuNodeError::NotConnected(name.to_owned()))
    }

    /// Whether an input is linked and no frame has come yet: seen only by nodes that take the latest of their inputs.
    pub fn is_awaited(&self, name: &str) -> bool {
        self.input(name).is_err() && self.linked.iter().any(|linked| linked == name)
    }

    /// Every frame on the inputs, in order of declaration.
    pub fn frames(&self) -> impl Iterator<Item = &GpuFrame> {
        self.inputs.iter().filter_map(|(_, frame)| frame.as_ref())
    }

    /// The motion field of a frame on an input, if it came.
    pub fn motion_of(&self, name: &str, frame_id: u64) -> Option<MotionField> {
        self.motion_inputs.iter().find(|(input, _)| input == name)?.1.of_frame(frame_id)
    }

    /// The pin of a motion output, to be written when the field has been read back.
    pub fn motion_output(&self, name: &str) -> Result<PinMotion, GpuNodeError> {
        let found = self.motion_outputs.iter().find(|(output, _)| output == name);
        found.map(|(_, pin)| pin.clone()).ok_or_else(|| GpuNodeError::NoSuchOutput(name.to_owned()))
    }

    /// The bus of a packet output.
    pub fn packet_output(&self, name: &str) -> Result<PacketBus, GpuNodeError> {
        let found = self.packet_outputs.iter().find(|(output, _)| output == name);
        found.map(|(_, bus)| bus.clone()).ok_or_else(|| GpuNodeError::NoSuchOutput(name.to_owned()))
    }

    /// Puts a frame on an output.
    pub fn set_output(&self, name: &str, frame: GpuFrame) -> Result<(), GpuNodeError> {
        self.output(name)?.set(frame);
        Ok(())
    }

    /// The pin of an output, to draw into pictures of its own ring.
    pub fn output(&self, name: &str) -> Result<&PinFrame, GpuNodeError> {
        let found = self.outputs.iter().find(|(output, _)| output == name);
        found.map(|(_, pin)| pin).ok_or_else(|| GpuNodeError::NoSuchOutput(name.to_owned()))
    }
}

/// The settings of every node of kind `K`, in the render world.
#[derive(Resource, Deref)]
pub struct NodeSettings<K: NodeKind + Clone>(EntityHashMap<K>);

impl<K: NodeKind + Clone> NodeSettings<K> {
    /// The settings of a node; the kind's defaults if it vanished this very frame.
    pub fn of(&self, node: Entity) -> K {
        self.0.get(&node).cloned().unwrap_or_default()
    }
}

/// What a GPU node records its work with.
#[derive(SystemParam)]
pub struct GpuContext<'w> {
    device: Res<'w, RenderDevice>,
    queue: Res<'w, RenderQueue>,
    commands: ResMut<'w, GraphCommands>,
    epoch: Res<'w, GpuEpoch>,
    nodes: Res<'w, GpuNodes>,
    waker: Res<'w, StudioWaker>,
    /// Where latency is written down.
    pub ledger: Res<'w, LatencyLedger>,
    /// Where copies are counted.
    pub copies: Res<'w, CopyCounters>,
    /// Live or offline.
    pub clock: Res<'w, StudioClock>,
}

impl GpuContext<'_> {
    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        self.device.wgpu_device()
    }

    /// Counts the devices there have been: what was made on an earlier one is void.
    pub fn epoch(&self) -> u64 {
        self.epoch.0
    }

    /// The queue. Use it for `write_buffer` and `write_texture`; the driver submits.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue.0
    }

    /// The encoder that all of this frame's nodes record into, in the graph's order.
    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.commands.encoder(self.device.wgpu_device())
    }

    /// Device and encoder at once.
    pub fn device_and_encoder(&mut self) -> (&wgpu::Device, &wgpu::Queue, &mut wgpu::CommandEncoder) {
        let device = self.device.wgpu_device();
        (device, &self.queue.0, self.commands.encoder(device))
    }

    /// What has a node run once more, when something that it waits for is there.
    pub fn run_again(&self, node: Entity) -> RunAgain {
        self.nodes.run_again(node, self.waker.clone())
    }

    /// Submits what the graph recorded so far, waits for the GPU, and takes what was copied into a slot: for offline work that needs
    /// a result before it goes on. Live, nothing waits: use [`after_submit`](Self::after_submit).
    ///
    /// # Errors
    /// What [`ReadbackSlot::read`] says.
    pub fn submit_and_read(&mut self, slot: ReadbackSlot) -> Result<Bytes, ReadbackError> {
        let device = self.device.wgpu_device();
        let submission = self.queue.0.submit([self.commands.take_encoder(device).finish()]);
        slot.read(device, submission)
    }

    /// Calls `action` once the frame's commands are submitted (for `map_async`).
    pub fn after_submit(&mut self, action: impl FnOnce() + Send + Sync + 'static) {
        self.commands.after_submit(action);
    }
}

/// What a GPU node kind keeps for each of its nodes between runs: pipelines, textures, rings.
///
/// Use it as a `Local` of the kind's system. States vanish when the next node of the kind runs after their own is gone, and all
/// of them when the GPU was lost. A kind whose states hold much keeps them in a resource and calls [`retain`](Self::retain).
pub struct NodeStates<S> {
    states: EntityHashMap<S>,
    epoch: u64,
}

impl<S> Default for NodeStates<S> {
    fn default() -> Self {
        Self { states: EntityHashMap::default(), epoch: 0 }
    }
}

impl<S> NodeStates<S> {
    /// Lets go of the states of all other nodes.
    pub fn retain(&mut self, keep: impl Fn(Entity) -> bool) {
        self.states.retain(|node, _| keep(*node));
    }

    /// The node's state; made with `make` if there is none or `fits` says that it no longer does.
    pub fn get_or_make(
        &mut self,
        gpu: &GpuContext,
        node: Entity,
        fits: impl FnOnce(&S) -> bool,
        make: impl FnOnce() -> Result<S>,
    ) -> Result<&mut S> {
        if self.epoch != gpu.epoch.0 {
            self.states.clear();
            self.epoch = gpu.epoch.0;
        }
        self.states.retain(|node, _| gpu.nodes.contains(*node));
        if self.states.get(&node).is_some_and(|state| !fits(state)) {
            self.states.remove(&node);
        }
        match self.states.entry(node) {
            bevy::platform::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            bevy::platform::collections::hash_map::Entry::Vacant(entry) => Ok(entry.insert(make()?)),
        }
    }
}

#[derive(Resource)]
struct KindSystem<K> {
    system: SystemId<In<GpuNodeRun>, Result>,
    films: bool,
    kind: PhantomData<fn() -> K>,
}

/// Registers GPU node kinds.
pub trait AppGpuNodeExt {
    /// Makes `K` a node kind whose work is `system`, run in the render world in the graph's order, once for each of its
    /// nodes whose inputs or settings changed. Add the render plugin (`DefaultPlugins`) first.
    fn add_gpu_node<K: NodeKind + Clone, M>(&mut self, system: impl IntoSystem<In<GpuNodeRun>, Result, M> + 'static)
    -> &mut Self;

    /// The same for a kind whose nodes [film](crate::film): `system` runs after the node's cameras have rendered, when a frame
    /// came in or, where nothing is linked, the node's [`CameraCue`] asks for one.
    fn add_camera_node<K: NodeKind + Clone, M>(
        &mut self,
        system: impl IntoSystem<In<GpuNodeRun>, Result, M> + 'static,
    ) -> &mut Self;
}

impl AppGpuNodeExt for App {
    fn add_gpu_node<K: NodeKind + Clone, M>(
        &mut self,
        system: impl IntoSystem<In<GpuNodeRun>, Result, M> + 'static,
    ) -> &mut Self {
        add_kind::<K, M>(self, system, false)
    }

    fn add_camera_node<K: NodeKind + Clone, M>(
        &mut self,
        system: impl IntoSystem<In<GpuNodeRun>, Result, M> + 'static,
    ) -> &mut Self {
        self.register_required_components::<K, CameraCue>();
        add_kind::<K, M>(self, system, true)
    }
}

fn add_kind<K: NodeKind + Clone, M>(
    app: &mut App,
    system: impl IntoSystem<In<GpuNodeRun>, Result, M> + 'static,
    films: bool,
) -> &mut App {
    app.register_node::<K>();
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return app };
    let system = render_app.world_mut().register_system(system);
    render_app
        .insert_resource(KindSystem::<K> { system, films, kind: PhantomData })
        .insert_resource(NodeSettings::<K>(EntityHashMap::default()))
        .add_systems(ExtractSchedule, extract_nodes::<K>);
    app
}

fn extract_nodes<K: NodeKind + Clone>(
    changed: Extract<Query<(Entity, &K), Changed<K>>>,
    present: Extract<Query<(), With<K>>>,
    mut removed: Extract<RemovedComponents<K>>,
    kind: Res<KindSystem<K>>,
    mut settings: ResMut<NodeSettings<K>>,
    mut nodes: ResMut<GpuNodes>,
    mut films: ResMut<FilmCameras>,
) {
    let gone: EntityHashSet = removed.read().filter(|node| !present.contains(*node)).collect();
    for node in gone {
        settings.0.remove(&node);
        nodes.remove(node);
        films.forget(node);
    }
    for (node, component) in &changed {
        settings.0.insert(node, component.clone());
        nodes.insert(node, kind.system, Stage(K::DISPLAY_NAME), kind.films);
    }
}
