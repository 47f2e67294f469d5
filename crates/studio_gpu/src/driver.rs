//! The driver: uploads what was captured, then runs the GPU nodes in the graph's order, and submits once.
//!
//! Where nodes [film](crate::film) a scene, the graph runs in as many parts as there are filming nodes on the longest way
//! through it, and one more: the cameras render between the parts, and each part is submitted before its cameras.

use crate::{
    device::block_on,
    film::{CameraCue, FilmCameras, FilmsFor, film, withhold_cameras},
    frame::{GpuFrame, PinFrame, SourceFrame, activity, note_activity},
    node::GpuNodeRun,
    parts::{GraphPart, GraphParts},
    timer::{GpuTimer, NodeTimes},
    upload::Uploader,
};
use bevy::{
    ecs::{
        entity::{EntityHashMap, EntityHashSet},
        system::{SystemId, SystemState},
    },
    prelude::*,
    render::{
        Extract,
        renderer::{FlushCommands, RenderDevice, RenderQueue},
        view::ViewTarget,
    },
};
use parking_lot::Mutex;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use studio_frame::{ledger::CopyKind, prelude::*};
use studio_graph::{prelude::*, wake::StudioWaker};

/// Counts the devices there have been: everything that was made on an earlier one is void.
#[derive(Resource, Clone, Copy, Default)]
pub struct GpuEpoch(pub u64);

/// The GPU nodes and the systems that run them.
#[derive(Resource, Default)]
pub struct GpuNodes {
    nodes: EntityHashMap<GpuNode>,
    /// Activity and compilation at which every node had run and none waited: until either moves on, there is nothing to do.
    rested: Option<(u64, u64)>,
    /// Counts the nodes that came.
    kinds: u64,
    again: Arc<Mutex<EntityHashSet>>,
}

/// Has a node run once more with what is on its inputs: when something that it waited for is there. Any thread may ask.
#[derive(Clone)]
pub struct RunAgain {
    node: Entity,
    asked: Arc<Mutex<EntityHashSet>>,
    waker: StudioWaker,
}

impl RunAgain {
    /// Asks for it.
    pub fn ask(&self) {
        self.asked.lock().insert(self.node);
        note_activity();
        self.waker.wake();
    }
}

struct GpuNode {
    system: SystemId<In<GpuNodeRun>, Result>,
    stage: Stage,
    films: bool,
    settings_changed: bool,
    seen: Vec<u64>,
    failed: Option<Failed>,
    waiting_since: Option<Instant>,
    /// Inputs that were waited for in vain: nobody waits for them again until they deliver something.
    still: Vec<bool>,
    /// The shapes of the pictures with which the node ran without complaint.
    proven: Option<u64>,
}

/// A node's failures in a row, and with what the last one came: once that changes, the node is tried again at once.
#[derive(Clone, Copy)]
struct Failed {
    count: u32,
    retry_at: Instant,
    /// The compilation of the graph.
    generation: u64,
    /// The shapes of the pictures that came in.
    shapes: u64,
}

/// The part of an error that people read; a backtrace follows it.
fn first_lines(error: &str) -> String {
    let lines: Vec<&str> = error.lines().map(str::trim).filter(|line| !line.is_empty()).take(6).collect();
    let end = lines.iter().position(|line| line.starts_with("0:") || line.contains("stack backtrace")).unwrap_or(lines.len());
    lines[..end.max(1).min(lines.len())].join(" ")
}

/// How long a node waits, live, for the slower of its inputs under [`JoinPolicy::Match`].
const LIVE_JOIN_WAIT: Duration = Duration::from_millis(50);
/// The same offline, where it only finds out which inputs are pictures that stay.
const OFFLINE_JOIN_WAIT: Duration = Duration::from_secs(5);

impl GpuNodes {
    /// Whether a node is there.
    pub fn contains(&self, node: Entity) -> bool {
        self.nodes.contains_key(&node)
    }

    pub(crate) fn remove(&mut self, node: Entity) {
        self.nodes.remove(&node);
    }

    pub(crate) fn run_again(&self, node: Entity, waker: StudioWaker) -> RunAgain {
        RunAgain { node, asked: self.again.clone(), waker }
    }

    /// Nodes that were asked to run again are due as with new settings.
    fn heed_asked(&mut self) {
        for node in core::mem::take(&mut *self.again.lock()) {
            if let Some(node) = self.nodes.get_mut(&node) {
                node.settings_changed = true;
            }
        }
    }

    pub(crate) fn insert(&mut self, node: Entity, system: SystemId<In<GpuNodeRun>, Result>, stage: Stage, films: bool) {
        self.rested = None;
        let present = self.nodes.remove(&node);
        if present.is_none() {
            // Which nodes film decides in which part of the graph the others run.
            self.kinds += 1;
        }
        let seen = present.map(|present| present.seen).unwrap_or_default();
        self.nodes.insert(
            node,
            GpuNode {
                system,
                stage,
                films,
                settings_changed: true,
                seen,
                failed: None,
                waiting_since: None,
                still: Vec::new(),
                proven: None,
            },
        );
    }
}

/// The compiled graph and its pins' frames, in the render world.
#[derive(Resource, Default)]
pub(crate) struct GpuGraph {
    graph: CompiledGraph,
    pins: Arc<EntityHashMap<PinFrame>>,
    motions: EntityHashMap<PinMotion>,
    packets: EntityHashMap<PacketBus>,
    cues: EntityHashMap<CameraCue>,
    parts: GraphParts,
}

pub(crate) fn extract_graph(
    graph: Extract<Res<CompiledGraph>>,
    pins: Extract<Query<(Entity, &PinFrame)>>,
    motions: Extract<Query<(Entity, &PinMotion)>>,
    packets: Extract<Query<(Entity, &PacketBus)>>,
    cues: Extract<Query<(Entity, &CameraCue)>>,
    clock: Extract<Res<StudioClock>>,
    mut extracted: ResMut<GpuGraph>,
    mut extracted_clock: ResMut<StudioClock>,
) {
    extracted_clock.set_if_neq(**clock);
    if extracted.graph.generation != graph.generation {
        extracted.graph = graph.clone();
        extracted.motions = motions.iter().map(|(pin, motion)| (pin, motion.clone())).collect();
        extracted.packets = packets.iter().map(|(pin, bus)| (pin, bus.clone())).collect();
        extracted.cues = cues.iter().map(|(node, cue)| (node, cue.clone())).collect();
        extracted.pins = Arc::new(pins.iter().map(|(pin, frame)| (pin, frame.clone())).collect());
    }
}

/// Uploads what was captured.
#[derive(Resource, Default)]
pub(crate) struct FrameUploader(Uploader);

/// The commands of this frame's GPU nodes.
#[derive(Resource, Default)]
pub struct GraphCommands {
    encoder: Option<wgpu::CommandEncoder>,
    after_submit: Vec<Box<dyn FnOnce() + Send + Sync>>,
    timer: Option<GpuTimer>,
    /// The node whose time starts with its first command.
    untimed: Option<(u64, Stage, Entity)>,
}

impl GraphCommands {
    pub(crate) fn encoder(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        let encoder = self.encoder.get_or_insert_with(|| {
            device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("studio graph") })
        });
        if let (Some((frame_id, stage, node)), Some(timer)) = (self.untimed.take(), &mut self.timer) {
            timer.begin(encoder, frame_id, stage, node);
        }
        encoder
    }

    /// What was recorded so far, to be submitted before the rest.
    pub(crate) fn take_encoder(&mut self, device: &wgpu::Device) -> wgpu::CommandEncoder {
        self.encoder(device);
        let started = self.encoder.take();
        started.unwrap_or_else(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    /// From the next command on, the GPU's time is this node's. A node that records nothing costs no timestamps.
    fn begin_node(&mut self, frame_id: u64, stage: Stage, node: Entity) {
        self.untimed = Some((frame_id, stage, node));
    }

    fn end_node(&mut self) {
        self.untimed = None;
        if let (Some(encoder), Some(timer)) = (&mut self.encoder, &mut self.timer) {
            timer.end(encoder);
        }
    }

    pub(crate) fn after_submit(&mut self, action: impl FnOnce() + Send + Sync + 'static) {
        self.after_submit.push(Box::new(action));
    }
}

/// The submissions that the GPU has not finished, and the thread that waits for them so that readbacks are delivered
/// the moment they are done rather than with the next frame.
#[derive(Resource, Clone)]
pub(crate) struct GpuInFlight {
    count: Arc<AtomicUsize>,
    submissions: QueueSender<(wgpu::Device, wgpu::SubmissionIndex)>,
}

impl GpuInFlight {
    /// With more, live frames would queue up on a slow GPU and latency would grow.
    const MAX_LIVE: usize = 2;

    pub(crate) fn start() -> std::io::Result<Self> {
        let (submissions, waiting) = queue::<(wgpu::Device, wgpu::SubmissionIndex)>(16, QueuePolicy::Block);
        std::thread::Builder::new().name("gpu wait".to_owned()).spawn(move || {
            loop {
                match waiting.recv_timeout(Duration::from_secs(3600)) {
                    Ok((device, index)) => {
                        // A lost device ends the wait with an error; Bevy's error handler deals with the loss itself.
                        device
                            .poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(Duration::from_secs(10)) })
                            .ok();
                    }
                    Err(studio_frame::queue::ReceiveError::Empty) => {}
                    Err(studio_frame::queue::ReceiveError::Closed) => return,
                }
            }
        })?;
        Ok(Self { count: Arc::default(), submissions })
    }

    fn begin(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether the driver left the last update's work for later because the GPU was still busy with earlier frames. What
/// paces frames must not go on while it is: the state that it set was not drawn yet.
#[derive(Resource, Clone, Default)]
pub struct GpuBacklog(Arc<AtomicBool>);

impl GpuBacklog {
    /// Whether the last update's GPU work is still to be done.
    pub fn is_behind(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs the graph's GPU nodes: see the module's documentation.
pub(crate) fn run_gpu_graph(
    world: &mut World,
    cameras: &mut QueryState<(&'static FilmsFor, Has<ViewTarget>)>,
    flush: &mut SystemState<FlushCommands<'static>>,
) {
    withhold_cameras(world, cameras);
    let in_flight = world.resource::<GpuInFlight>().clone();
    let live = *world.resource::<StudioClock>() == StudioClock::Live;
    let behind = live && in_flight.count.load(Ordering::Acquire) >= GpuInFlight::MAX_LIVE;
    world.resource::<GpuBacklog>().0.store(behind, Ordering::Release);
    if behind {
        return;
    }
    let now = (activity(), world.resource::<GpuGraph>().graph.generation);
    if world.resource::<GpuNodes>().rested == Some(now) {
        return;
    }
    world.resource_mut::<GpuNodes>().heed_asked();
    let device = world.resource::<RenderDevice>().wgpu_device().clone();
    let queue = world.resource::<RenderQueue>().0.clone();
    let graph = world.resource::<GpuGraph>().graph.nodes.clone();
    let pins = world.resource::<GpuGraph>().pins.clone();
    let parts = graph_parts(world);
    let uploaded = upload_pending(world, &device, &queue, &pins);
    world.resource_mut::<GraphCommands>().timer.get_or_insert_with(|| GpuTimer::new(&device, &queue));
    for part in parts.iter() {
        for compiled in part.nodes.iter().filter_map(|place| graph.get(*place)) {
            run_node(world, compiled, &pins, &device, live);
        }
        for compiled in part.filming.iter().filter_map(|place| graph.get(*place)) {
            run_filming_node(world, compiled, &pins, &device, &queue, live, flush);
        }
    }
    let mut nodes = world.resource_mut::<GpuNodes>();
    let waits = |node: &GpuNode| node.failed.is_some() || node.waiting_since.is_some();
    nodes.rested = (!nodes.nodes.values().any(waits)).then_some(now);
    let mut commands = world.resource_mut::<GraphCommands>();
    let after_submit = core::mem::take(&mut commands.after_submit);
    let encoder = commands.encoder.take();
    let mut timer = commands.timer.take();
    if uploaded || encoder.is_some() {
        let ledger = world.resource::<LatencyLedger>().clone();
        let times = world.resource::<NodeTimes>().clone();
        let buffer = encoder.map(|mut encoder| {
            if let Some(timer) = &mut timer {
                timer.resolve(&mut encoder);
            }
            encoder.finish()
        });
        in_flight.begin();
        let index = queue.submit(buffer);
        let waker = world.resource::<StudioWaker>().clone();
        let count = in_flight.count.clone();
        queue.on_submitted_work_done(move || {
            count.fetch_sub(1, Ordering::AcqRel);
            waker.wake();
        });
        world.resource_mut::<FrameUploader>().0.submitted();
        after_submit.into_iter().for_each(|action| action());
        if let Some(timer) = &mut timer {
            timer.deliver(ledger, times);
        }
        in_flight.submissions.send((device, index));
    }
    world.resource_mut::<GraphCommands>().timer = timer;
}

/// The parts of the graph, worked out anew when the graph was compiled or nodes came.
fn graph_parts(world: &mut World) -> Arc<[GraphPart]> {
    world.resource_scope(|world, mut graph: Mut<GpuGraph>| {
        let nodes = world.resource::<GpuNodes>();
        let made_for = (graph.graph.generation, nodes.kinds);
        let GpuGraph { graph, parts, .. } = &mut *graph;
        parts.of(&graph.nodes, made_for, |node| nodes.nodes.get(&node).is_some_and(|node| node.films))
    })
}

/// Uploads the frames that wait on pins. Returns whether there were any.
fn upload_pending(world: &mut World, device: &wgpu::Device, queue: &wgpu::Queue, pins: &EntityHashMap<PinFrame>) -> bool {
    let mut uploaded = false;
    for pin in pins.values() {
        let Some(SourceFrame { frame, projection, stereo, stage }) = pin.take_pending() else { continue };
        let (ledger, copies) = (world.resource::<LatencyLedger>().clone(), world.resource::<CopyCounters>().clone());
        let start = Instant::now();
        let stamp = frame.stamp;
        ledger.record(stamp.frame_id, stage, UnixTime::now().since(stamp.captured_at));
        let picture = match pin.upload_target(device, &frame) {
            Ok(picture) => picture,
            Err(error) => {
                error!("a captured frame cannot be uploaded: {error}");
                continue;
            }
        };
        let mut commands = core::mem::take(&mut *world.resource_mut::<GraphCommands>());
        let mut uploader = world.resource_mut::<FrameUploader>();
        uploader.0.upload(device, queue, commands.encoder(device), &picture, &frame);
        world.insert_resource(commands);
        copies.count(stamp.frame_id, CopyKind::Upload, frame.format.picture_bytes(frame.size));
        ledger.record(stamp.frame_id, Stage::UPLOAD, start.elapsed());
        pin.set(GpuFrame { picture, stamp, projection, stereo });
        uploaded = true;
    }
    uploaded
}

fn frame_on(pins: &EntityHashMap<PinFrame>, source: Option<Entity>) -> Option<GpuFrame> {
    source.and_then(|pin| pins.get(&pin)).and_then(PinFrame::get)
}

/// What is known of a node that is to run now.
struct Due {
    system: SystemId<In<GpuNodeRun>, Result>,
    stage: Stage,
    proven: Option<u64>,
    /// The compilation of the graph.
    generation: u64,
}

/// Whether a node runs now; if it does, what it sees counts as seen.
fn due(
    world: &mut World,
    compiled: &CompiledNode,
    pins: &EntityHashMap<PinFrame>,
    live: bool,
    cue: Option<FrameStamp>,
) -> Option<Due> {
    let generations: Vec<u64> =
        compiled.inputs.iter().filter_map(|(_, source)| pins.get(&(*source)?)).map(PinFrame::generation).collect();
    let generation = world.resource::<GpuGraph>().graph.generation;
    let can_roll = world.resource::<FilmCameras>().can_roll(compiled.node, live);
    let mut nodes = world.resource_mut::<GpuNodes>();
    let node = nodes.nodes.get_mut(&compiled.node)?;
    // What takes the latest of its inputs takes what there is; everything else needs a picture on each.
    let missing = generations.iter().filter(|generation| **generation == 0).count();
    let nothing = missing == generations.len() && cue.is_none();
    if nothing || (missing > 0 && compiled.join != JoinPolicy::Latest) {
        return None;
    }
    let shapes = || shapes_of(compiled.inputs.iter().map(|(_, source)| frame_on(pins, *source)));
    let is_the_same = |failed: &Failed| failed.generation == generation && failed.shapes == shapes();
    if node.failed.is_some_and(|failed| Instant::now() < failed.retry_at && is_the_same(&failed)) {
        return None;
    }
    if node.films && !can_roll {
        node.waiting_since.get_or_insert_with(Instant::now);
        return None;
    }
    // Without pictures on inputs, a node that films goes by its cue.
    let called = generations.is_empty() && cue.is_some();
    if !called && !inputs_are_due(node, &generations, compiled.join, live) {
        return None;
    }
    node.seen = generations;
    node.waiting_since = None;
    if core::mem::take(&mut node.settings_changed) {
        node.proven = None;
    }
    Some(Due { system: node.system, stage: node.stage, proven: node.proven, generation })
}

fn run_node(world: &mut World, compiled: &CompiledNode, pins: &EntityHashMap<PinFrame>, device: &wgpu::Device, live: bool) {
    let Some(due) = due(world, compiled, pins, live, None) else { return };
    let run = describe(world, compiled, pins);
    let frame_id = run.frames().next().map(|frame| frame.stamp.frame_id).unwrap_or_default();
    world.resource_mut::<GraphCommands>().begin_node(frame_id, due.stage, compiled.node);
    perform(world, run, due, device);
    world.resource_mut::<GraphCommands>().end_node();
}

/// Runs a node that films: what lies before it is submitted, its cameras render, then the node makes a picture of theirs. Its
/// time on the GPU is that of the cameras too.
fn run_filming_node(
    world: &mut World,
    compiled: &CompiledNode,
    pins: &EntityHashMap<PinFrame>,
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    live: bool,
    flush: &mut SystemState<FlushCommands<'static>>,
) {
    let cue = world.resource::<GpuGraph>().cues.get(&compiled.node).cloned();
    let called = cue.as_ref().and_then(CameraCue::pending);
    let Some(due) = due(world, compiled, pins, live, called) else { return };
    if let Some(cue) = cue {
        cue.take();
    }
    let mut run = describe(world, compiled, pins);
    run.cue = called;
    let stamp = run.frames().next().map(|frame| frame.stamp).or(called).unwrap_or_default();
    let mut commands = world.resource_mut::<GraphCommands>();
    commands.begin_node(stamp.frame_id, due.stage, compiled.node);
    queue.submit([commands.take_encoder(device).finish()]);
    let after_submit = core::mem::take(&mut commands.after_submit);
    world.resource_mut::<FrameUploader>().0.submitted();
    after_submit.into_iter().for_each(|action| action());
    if let Err(error) = film(world, compiled.node, flush) {
        error!("the cameras' work cannot be submitted: {error}");
    }
    // The clock stops in commands of their own, also where the node itself records none.
    perform(world, run, due, device);
    let mut commands = world.resource_mut::<GraphCommands>();
    commands.encoder(device);
    commands.end_node();
}

/// What a run of a node is handed.
fn describe(world: &World, compiled: &CompiledNode, pins: &EntityHashMap<PinFrame>) -> GpuNodeRun {
    let motions = &world.resource::<GpuGraph>().motions;
    let motion_inputs =
        compiled.inputs.iter().filter_map(|(name, source)| Some((name.clone(), motions.get(&(*source)?)?.clone()))).collect();
    let motion_outputs =
        compiled.outputs.iter().filter_map(|(name, pin)| Some((name.clone(), motions.get(pin)?.clone()))).collect();
    let packets = &world.resource::<GpuGraph>().packets;
    let packet_outputs =
        compiled.outputs.iter().filter_map(|(name, pin)| Some((name.clone(), packets.get(pin)?.clone()))).collect();
    GpuNodeRun {
        node: compiled.node,
        cue: None,
        inputs: compiled.inputs.iter().map(|(name, source)| (name.clone(), frame_on(pins, *source))).collect(),
        linked: compiled.inputs.iter().filter(|(_, source)| source.is_some()).map(|(name, _)| name.clone()).collect(),
        outputs: compiled.outputs.iter().filter_map(|(name, pin)| Some((name.clone(), pins.get(pin)?.clone()))).collect(),
        motion_inputs,
        motion_outputs,
        packet_outputs,
    }
}

/// Runs a node's system and notes how it went.
fn perform(world: &mut World, run: GpuNodeRun, due: Due, device: &wgpu::Device) {
    let Due { system, proven, generation, .. } = due;
    let node_entity = run.node;
    // What the GPU refuses (a shader that does not compile, a picture it cannot hold) is this node's failure. It comes with
    // new settings and new pictures: what went well goes well again with pictures of the same shape.
    let shapes = shapes_of(run.inputs.iter().map(|(_, frame)| frame.clone()));
    let scopes = (proven != Some(shapes))
        .then(|| [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory].map(|filter| device.push_error_scope(filter)));
    let outcome = match world.run_system_with(system, run) {
        Ok(outcome) => outcome,
        Err(error) => Err(error.to_string().into()),
    };
    let refused = scopes.and_then(|[invalid, no_memory]| block_on(no_memory.pop()).or(block_on(invalid.pop())));
    let outcome = outcome.and_then(|()| refused.map_or(Ok(()), |error| Err(error.to_string().into())));
    let report = world.resource::<FailureReport>().clone();
    let mut nodes = world.resource_mut::<GpuNodes>();
    let Some(node) = nodes.nodes.get_mut(&node_entity) else { return };
    match outcome {
        Ok(()) => {
            node.failed = None;
            node.proven = Some(shapes);
            report.success(node_entity);
        }
        Err(error) => {
            let count = node.failed.map_or(1, |failed| failed.count.saturating_add(1));
            let retry_at = Instant::now() + NodeStatus::wait_after(count);
            node.failed = Some(Failed { count, retry_at, generation, shapes });
            node.proven = None;
            report.failure(node_entity, first_lines(&error.to_string()));
        }
    }
}

/// What tells one set of pictures' formats and sizes from another.
fn shapes_of(frames: impl Iterator<Item = Option<GpuFrame>>) -> u64 {
    let mut hasher = DefaultHasher::default();
    for frame in frames {
        frame.map(|frame| (frame.picture.format, frame.picture.size)).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a node runs now. With several inputs it waits as its policy says, so that pictures of one moment are joined.
/// Offline no frame may be lost, so nothing runs ahead of its late inputs.
fn inputs_are_due(node: &mut GpuNode, generations: &[u64], join: JoinPolicy, live: bool) -> bool {
    if node.settings_changed || node.seen.len() != generations.len() {
        return true;
    }
    let fresh: Vec<bool> = node.seen.iter().zip(generations).map(|(seen, now)| now > seen).collect();
    if !fresh.contains(&true) {
        return false;
    }
    node.still.resize(fresh.len(), false);
    for (still, fresh) in node.still.iter_mut().zip(&fresh) {
        *still &= !fresh;
    }
    if fresh.iter().zip(&node.still).all(|(fresh, still)| *fresh || *still) {
        return true;
    }
    let longest = match join {
        JoinPolicy::Latest if live => return true,
        JoinPolicy::Wait => return false,
        _ if live => LIVE_JOIN_WAIT,
        _ => OFFLINE_JOIN_WAIT,
    };
    if node.waiting_since.get_or_insert_with(Instant::now).elapsed() < longest {
        return false;
    }
    node.still = fresh.iter().map(|fresh| !fresh).collect();
    true
}

/// Everything made on an earlier device is void: a device lost and recovered starts a new epoch.
pub(crate) fn start_epoch(mut epoch: ResMut<GpuEpoch>, mut nodes: ResMut<GpuNodes>, mut commands: Commands) {
    epoch.0 += 1;
    nodes.rested = None;
    for node in nodes.nodes.values_mut() {
        node.settings_changed = true;
        node.proven = None;
    }
    commands.insert_resource(GraphCommands::default());
    commands.insert_resource(FrameUploader::default());
}
