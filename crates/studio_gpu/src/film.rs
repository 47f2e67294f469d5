//! Nodes that film: cameras of a 3D scene whose pictures are pictures of the graph.
//!
//! A kind registered with [`add_camera_node`](crate::node::AppGpuNodeExt::add_camera_node) owns cameras marked with
//! [`FilmsFor`]. The driver keeps them out of Bevy's own round of cameras and has them render when their node has a picture
//! to make: after every node that does not depend on a filming node (so what the scene shows is this frame's), and before the
//! node itself and all that hangs on it. Windows are drawn afterwards. So a picture passes through the scene without a frame of
//! delay; a graph without filming nodes runs as if there were no such thing.

use crate::frame::note_activity;
use bevy::{
    core_pipeline::schedule::RootNonCameraView,
    ecs::{
        entity::{EntityHashMap, EntityHashSet},
        system::SystemState,
    },
    prelude::*,
    render::{
        Extract,
        camera::{ExtractedCamera, SortedCameras},
        extract_component::ExtractComponent,
        render_resource::PipelineCache,
        renderer::{CurrentView, FlushCommands},
        view::ViewTarget,
    },
};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// On a camera: it films for this node, and renders when the node makes a picture, never else. Its target must not be a
/// window. A node's cameras render in the order of [`Camera::order`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, ExtractComponent)]
pub struct FilmsFor(pub Entity);

/// On a node that films: the picture that its cameras are to make next, where no picture on an input sets the pace. Clones share
/// the cue; it is seen from both worlds.
#[derive(Component, Clone, Default)]
pub struct CameraCue(Arc<Mutex<Option<FrameStamp>>>);

impl CameraCue {
    /// Asks for a picture with this stamp. False, and nothing is asked for, while an earlier one is still to be made.
    pub fn call(&self, stamp: FrameStamp) -> bool {
        let mut cue = self.0.lock();
        if cue.is_some() {
            return false;
        }
        *cue = Some(stamp);
        note_activity();
        true
    }

    /// Whether a picture was asked for that is still to be made.
    pub fn is_pending(&self) -> bool {
        self.0.lock().is_some()
    }

    pub(crate) fn pending(&self) -> Option<FrameStamp> {
        *self.0.lock()
    }

    pub(crate) fn take(&self) -> Option<FrameStamp> {
        self.0.lock().take()
    }
}

/// How long a picture waits for the pipelines of what it shows: a shader that never compiles must not hold up the graph.
const PIPELINE_WAIT: Duration = Duration::from_secs(20);

/// The cameras of the nodes that film, taken out of Bevy's round for this frame.
#[derive(Resource, Default)]
pub(crate) struct FilmCameras {
    of_node: EntityHashMap<Vec<Entity>>,
    /// How many cameras each node has in the main world.
    expected: EntityHashMap<usize>,
    /// Nodes that have made a picture: live, these no longer wait for pipelines.
    rolling: EntityHashSet,
    compiling_since: Option<Instant>,
    compiling: bool,
    /// Shadow maps that were drawn for this frame already, to be given back after Bevy's round of cameras.
    shadows_drawn: Vec<(Entity, RootNonCameraView)>,
    shadows_are_drawn: bool,
}

impl FilmCameras {
    /// Whether all of a node's cameras are there, and can show everything that is to be seen. Until a node's first picture, and offline always, they
    /// wait until every pipeline is compiled: what is still being compiled would be missing from the picture.
    pub(crate) fn can_roll(&self, node: Entity, live: bool) -> bool {
        let there = self.of_node.get(&node).map_or(0, Vec::len);
        let complete = there > 0 && self.expected.get(&node) == Some(&there);
        complete && (!self.compiling || (live && self.rolling.contains(&node)))
    }

    pub(crate) fn forget(&mut self, node: Entity) {
        self.rolling.remove(&node);
    }
}

/// Counts the cameras that nodes have: not all of them may have reached the render world.
pub(crate) fn count_cameras(cameras: Extract<Query<&FilmsFor>>, mut films: ResMut<FilmCameras>) {
    films.expected.clear();
    for FilmsFor(node) in &cameras {
        *films.expected.entry(*node).or_default() += 1;
    }
}

/// Takes the cameras that film for nodes out of Bevy's round.
pub(crate) fn withhold_cameras(world: &mut World, query: &mut QueryState<(&'static FilmsFor, Has<ViewTarget>)>) {
    world.resource_scope(|world, mut films: Mut<FilmCameras>| {
        films.of_node.values_mut().for_each(Vec::clear);
        films.shadows_are_drawn = false;
        world.resource_scope(|world, mut sorted: Mut<SortedCameras>| {
            sorted.0.retain(|camera| match query.get(world, camera.entity) {
                Ok((FilmsFor(node), has_target)) => {
                    // A camera without a target yet renders nothing.
                    if has_target {
                        films.of_node.entry(*node).or_default().push(camera.entity);
                    }
                    false
                }
                Err(_) => true,
            });
        });
        films.of_node.retain(|_, cameras| !cameras.is_empty());
        if films.of_node.is_empty() {
            return;
        }
        let waits = world.resource::<PipelineCache>().waiting_pipelines().next().is_some();
        films.compiling_since = waits.then(|| films.compiling_since.unwrap_or_else(Instant::now));
        films.compiling = films.compiling_since.is_some_and(|since| since.elapsed() < PIPELINE_WAIT);
    });
}

/// Has a node's cameras render, and submits what they recorded.
pub(crate) fn film(world: &mut World, node: Entity, flush: &mut SystemState<FlushCommands<'static>>) -> Result {
    let mut films = world.resource_mut::<FilmCameras>();
    films.rolling.insert(node);
    let cameras = films.of_node.get(&node).cloned().unwrap_or_default();
    // The shadow maps of point and spot lights are everyone's: drawn once a frame, before the first camera.
    if !core::mem::replace(&mut films.shadows_are_drawn, true) {
        let mut views = world.query::<(Entity, &RootNonCameraView)>();
        let shadows: Vec<(Entity, RootNonCameraView)> = views.iter(world).map(|(entity, view)| (entity, *view)).collect();
        for (entity, view) in &shadows {
            world.insert_resource(CurrentView(*entity));
            world.run_schedule(view.0);
            world.entity_mut(*entity).remove::<RootNonCameraView>();
        }
        world.resource_mut::<FilmCameras>().shadows_drawn = shadows;
    }
    for camera in cameras {
        let Some(schedule) = world.get::<ExtractedCamera>(camera).map(|camera| camera.schedule) else { continue };
        world.insert_resource(CurrentView(camera));
        world.run_schedule(schedule);
    }
    world.remove_resource::<CurrentView>();
    flush.get_mut(world)?.flush();
    Ok(())
}

/// Gives back what [`film`] took from Bevy's round.
pub(crate) fn restore_shadow_views(world: &mut World) {
    let shadows = core::mem::take(&mut world.resource_mut::<FilmCameras>().shadows_drawn);
    for (entity, view) in shadows {
        if let Ok(mut entity) = world.get_entity_mut(entity) {
            entity.insert(view);
        }
    }
}
