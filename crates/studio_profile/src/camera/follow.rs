//! Keeps each camera's nodes in line with its settings, its profile, and what comes in.

use super::{
    CameraNodes, CameraStatus, EyeView, OfCamera, VirtualCamera,
    pass::{eye_px, px_per_deg},
};
use crate::{
    library::HeadsetLibrary,
    plan::{PlanRequest, StreamPlan},
    profile::HeadsetProfile,
};
use bevy::prelude::*;
use std::time::Instant;
use studio_gpu::prelude::*;
use studio_graph::{blueprint::spawn::InBlueprint, link::find_pin, prelude::*};
use studio_media::nodes::VideoEncoder;
use studio_stream::nodes::{WebTransportOutput, WebTransportStatus};

/// The three nodes of a camera.
#[derive(Clone, Copy)]
struct Nodes {
    eyes: Entity,
    encoder: Entity,
    output: Entity,
}

/// What feeds a camera: output pins.
#[derive(Clone, Copy, Default)]
struct Sources {
    frame: Option<Entity>,
    motion: Option<Entity>,
    audio: Option<Entity>,
}

/// Exclusive, like all of the graph's own systems.
pub(super) fn follow_cameras(world: &mut World, mut cameras: Local<Option<QueryState<(Entity, &'static VirtualCamera)>>>) {
    let cameras = cameras.get_or_insert_with(|| QueryState::new(world));
    let known: Vec<(Entity, VirtualCamera)> = cameras.iter(world).map(|(camera, settings)| (camera, settings.clone())).collect();
    for (camera, settings) in known {
        let graph = world.resource::<CompiledGraph>();
        let compiled = graph.node(camera).filter(|compiled| compiled.runs);
        let Some(sources) = compiled.map(|compiled| Sources {
            frame: compiled.input("frame"),
            motion: compiled.input("motion"),
            audio: compiled.input("audio"),
        }) else {
            switch_off(world, camera);
            continue;
        };
        let Some(frame) = sources.frame else {
            switch_off(world, camera);
            continue;
        };
        // Its size tells how fine the stream can be.
        let Some(source) = world.get::<PinFrame>(frame).and_then(PinFrame::get) else { continue };
        match plan(world.resource::<HeadsetLibrary>(), &settings, &source) {
            Ok((profile, plan)) => {
                let nodes = nodes_of(world, camera).unwrap_or_else(|| switch_on(world, camera, &settings.profile));
                set_up(world, camera, nodes, &settings, &profile, plan);
                tie(world, nodes, sources);
            }
            Err(error) => {
                switch_off(world, camera);
                let due = world.get::<NodeStatus>(camera).is_some_and(|status| status.may_run(Instant::now()));
                let news = world.get::<NodeStatus>(camera).is_some_and(|status| status.error() != Some(&error));
                if news {
                    error!("{}: {error}", studio_graph::link::node_label(world, camera));
                }
                if (due || news)
                    && let Some(mut status) = world.get_mut::<NodeStatus>(camera)
                {
                    status.fail(error);
                }
            }
        }
    }
}

/// The profile and the stream that it gets of these pictures.
fn plan(library: &HeadsetLibrary, settings: &VirtualCamera, source: &GpuFrame) -> Result<(HeadsetProfile, StreamPlan), String> {
    let profile = library.get(&settings.profile).ok_or_else(|| library.no_such(&settings.profile))?;
    let most = settings.max_size;
    let request = PlanRequest {
        source_fps: settings.frame_rate_hz,
        source_px_per_deg: Some(px_per_deg(source.projection, eye_px(source.picture.size, source.stereo))),
        max_size: (most != UVec2::ZERO)
            .then(|| UVec2::new(if most.x == 0 { u32::MAX } else { most.x }, if most.y == 0 { u32::MAX } else { most.y })),
        codecs: vec![settings.codec],
    };
    let mut plan = profile.plan(&request).map_err(|error| error.to_string())?;
    if settings.max_bitrate_bps > 0 {
        plan.bitrate_bps = plan.bitrate_bps.min(settings.max_bitrate_bps.max(10_000));
    }
    Ok((profile.clone(), plan))
}

fn nodes_of(world: &World, camera: Entity) -> Option<Nodes> {
    let mut nodes = world.get::<CameraNodes>(camera)?.iter();
    Some(Nodes { eyes: nodes.next()?, encoder: nodes.next()?, output: nodes.next()? })
}

fn switch_off(world: &mut World, camera: Entity) {
    if world.get::<CameraNodes>(camera).is_none() {
        return;
    }
    world.entity_mut(camera).despawn_related::<CameraNodes>().remove::<CameraStatus>();
    if let Some(mut status) = world.get_mut::<NodeStatus>(camera) {
        *status = NodeStatus::Idle;
    }
}

/// An entity that is no camera any more has no camera's nodes.
pub(super) fn switch_off_removed(removed: On<Remove, VirtualCamera>, mut commands: Commands) {
    let camera = removed.entity;
    commands.queue(move |world: &mut World| {
        if world.get_entity(camera).is_ok() {
            switch_off(world, camera);
        }
    });
}

fn switch_on(world: &mut World, camera: Entity, profile: &str) -> Nodes {
    // They lie in the camera as a subgraph's nodes lie in it: no blueprint takes them for nodes of its own.
    let part = |part: &str| (Name::new(format!("{profile} {part}")), OfCamera(camera), InBlueprint(camera));
    let eyes = world.spawn((part("eyes"), EyeView::default())).id();
    let encoder = world.spawn((part("encoder"), VideoEncoder::default())).id();
    // The output listens as soon as it is there, so it comes with its own settings: see `set_up`.
    let output = world.spawn(part("output")).id();
    world.entity_mut(camera).insert(CameraStatus::default());
    world.flush();
    Nodes { eyes, encoder, output }
}

/// Inserts a component where it is not there yet or differs: what did not change is not touched, so it runs on.
fn keep<C: Component + PartialEq>(world: &mut World, node: Entity, wanted: C) {
    if world.get::<C>(node) != Some(&wanted) {
        world.entity_mut(node).insert(wanted);
    }
}

fn set_up(world: &mut World, camera: Entity, nodes: Nodes, settings: &VirtualCamera, profile: &HeadsetProfile, plan: StreamPlan) {
    let eyes = EyeView {
        size: plan.size,
        projection: plan.projection,
        stereo: plan.stereo,
        left_fov: *profile.left_fov,
        right_fov: *profile.right_fov,
        yaw_deg: settings.yaw_deg,
        pitch_deg: settings.pitch_deg,
        roll_deg: settings.roll_deg,
    };
    keep(world, nodes.eyes, eyes);
    let encoder = VideoEncoder {
        codec: plan.codec,
        provider: settings.provider.clone(),
        bitrate_bps: plan.bitrate_bps,
        preset: settings.preset,
        frame_rate_hz: plan.fps,
        ..default()
    };
    keep(world, nodes.encoder, encoder);
    let output = WebTransportOutput {
        bind: settings.bind.clone(),
        name: if settings.name.is_empty() { settings.profile.clone() } else { settings.name.clone() },
        host: settings.host.clone(),
        token: settings.token.clone(),
        ..default()
    };
    keep(world, nodes.output, output);
    world.flush();
    if let Some(mut status) = world.get_mut::<CameraStatus>(camera)
        && status.plan.as_ref() != Some(&plan)
    {
        status.plan = Some(plan);
    }
}

/// Links a camera's nodes to each other and to what feeds the camera.
fn tie(world: &mut World, nodes: Nodes, sources: Sources) {
    let Nodes { eyes, encoder, output } = nodes;
    let made = |world: &World, node: Entity, name: &str| find_pin(world, node, PinDirection::Output, name).ok();
    let (seen, moved, coded) = (made(world, eyes, "eyes"), made(world, eyes, "motion"), made(world, encoder, "packets"));
    // Without motion before the camera there is none behind it.
    let moved = moved.filter(|_| sources.motion.is_some());
    for (node, name, wanted) in [
        (eyes, "frame", sources.frame),
        (eyes, "motion", sources.motion),
        (encoder, "frame", seen),
        (encoder, "motion", moved),
        (output, "packets", coded),
        (output, "motion", moved),
        (output, "audio", sources.audio),
    ] {
        let Ok(input) = find_pin(world, node, PinDirection::Input, name) else { continue };
        let is = world.get::<FedBy>(input).map(|link| link.0);
        match wanted {
            Some(wanted) if is != Some(wanted) => drop(world.entity_mut(input).insert(FedBy(wanted))),
            None if is.is_some() => drop(world.entity_mut(input).remove::<FedBy>()),
            _ => {}
        }
    }
}

/// Shows on the camera how its nodes fare.
pub(super) fn show_cameras(
    mut cameras: Query<(&CameraNodes, &mut NodeStatus, &mut CameraStatus)>,
    nodes: Query<&NodeStatus, Without<CameraNodes>>,
    outputs: Query<&WebTransportStatus>,
) {
    for (parts, mut status, mut shown) in &mut cameras {
        let failed = nodes.iter_many(parts.iter()).find(|status| matches!(status, NodeStatus::Failed { .. }));
        let last = parts.iter().last().and_then(|output| nodes.get(output).ok());
        if let Some(wanted) = failed.or(last) {
            status.set_if_neq(wanted.clone());
        }
        let output = outputs.iter_many(parts.iter()).next();
        let (link, viewers) = output.map(|output| (output.viewer_link.clone(), output.stats.sessions)).unwrap_or_default();
        if shown.viewer_link != link || shown.viewers != viewers {
            (shown.viewer_link, shown.viewers) = (link, viewers);
        }
    }
}
