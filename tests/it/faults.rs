//! What goes wrong in the middle of a stream.

use crate::tap;
use bevy::prelude::*;
use neural_studio::prelude::*;
use std::time::{Duration, Instant};

/// A graph that publishes a test pattern; returns the app, the source and the output.
fn studio() -> (App, Entity, Entity) {
    let mut app = tap::app();
    let world = app.world_mut();
    let source = world.spawn(TestPatternInput { size: UVec2::new(320, 160), ..default() }).id();
    let convert = world.spawn(ColorConvert).id();
    let flow = world.spawn(OpticalFlow { working_width_px: 160, quality: FlowQuality::Fast, ..default() }).id();
    let encoder = world.spawn(VideoEncoder { bitrate_bps: 1_000_000, ..default() }).id();
    let output = world.spawn(WebTransportOutput { bind: "127.0.0.1:0".to_owned(), ..default() }).id();
    world.flush();
    for (from, out, to, input) in [
        (source, "frame", convert, "frame"),
        (convert, "frame", flow, "frame"),
        (convert, "frame", encoder, "frame"),
        (encoder, "packets", output, "packets"),
        (flow, "motion", output, "motion"),
    ] {
        connect(world, from, out, to, input).expect("links");
    }
    (app, source, output)
}

fn until(app: &mut App, what: &str, mut done: impl FnMut(&App) -> bool) {
    let start = Instant::now();
    while !done(app) {
        assert!(start.elapsed() < Duration::from_secs(40), "it never came to this: {what}");
        app.update();
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn frames(app: &App, node: Entity) -> u64 {
    match app.world().get::<NodeStatus>(node) {
        Some(NodeStatus::Running { frames }) => *frames,
        _ => 0,
    }
}

#[test]
fn one_computation_of_motion_serves_the_encoder_and_the_stream() {
    let (mut app, _, output) = studio();
    until(&mut app, "ten motion fields are out", |app| {
        app.world().get::<WebTransportStatus>(output).is_some_and(|status| status.stats.motion_fields >= 10)
    });
    let world = app.world_mut();
    let flows: Vec<u64> = world
        .query::<(&OpticalFlow, &NodeStatus)>()
        .iter(world)
        .map(|(_, status)| match status {
            NodeStatus::Running { frames } => *frames,
            _ => 0,
        })
        .collect();
    let fields: Vec<u64> =
        world.query::<&PinMotion>().iter(world).map(PinMotion::generation).filter(|fields| *fields > 0).collect();
    assert_eq!((flows.len(), fields.len()), (1, 1), "one node computes, one pin holds");
    assert!(fields[0] <= flows[0] && flows[0] <= fields[0] + 5, "one field a frame: {flows:?} runs, {fields:?} fields");
}

#[test]
fn a_source_that_fails_is_shown_retried_and_does_not_stop_the_rest() {
    let (mut app, source, output) = studio();
    let broken = app.world_mut().spawn(VideoFileInput { source: "/nonexistent/film.mp4".to_owned(), ..default() }).id();
    until(&mut app, "the broken source says so", |app| {
        app.world().get::<NodeStatus>(broken).and_then(NodeStatus::error).is_some()
    });
    let error = app.world().get::<NodeStatus>(broken).and_then(NodeStatus::error).expect("an error").to_owned();
    assert!(error.contains("/nonexistent/film.mp4"), "{error}");
    let before = frames(&app, source);
    until(&mut app, "the others go on", |app| frames(app, source) > before + 10);
    // The file appears: the node finds it by itself.
    let file = std::env::temp_dir().join(format!("neural-studio-late-{}.mp4", std::process::id()));
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/clips/gear360_sway.mp4"), &file).expect("copied");
    app.world_mut().entity_mut(broken).insert(VideoFileInput { source: file.display().to_string(), ..default() });
    until(&mut app, "the late file plays", |app| frames(app, broken) > 3);
    std::fs::remove_file(&file).expect("removed");
    assert!(app.world().get::<WebTransportStatus>(output).is_some_and(|status| status.stats.access_units > 0));
}

#[test]
fn a_stitch_with_the_wrong_picture_says_which_and_the_graph_goes_on() {
    let (mut app, source, _) = studio();
    let world = app.world_mut();
    let rig = world.resource_mut::<Assets<Rig>>().add(Rig::dual_fisheye([1000, 1000], 190.0));
    let stitch = world.spawn(Stitch { rig, pictures: 1, ..default() }).id();
    world.flush();
    connect(world, source, "frame", stitch, "picture 1").expect("links");
    until(&mut app, "the stitch says what is wrong", |app| {
        app.world().get::<NodeStatus>(stitch).and_then(NodeStatus::error).is_some()
    });
    let error = app.world().get::<NodeStatus>(stitch).and_then(NodeStatus::error).expect("an error").to_owned();
    assert!(error.contains("320×160") && error.contains("1000×1000"), "{error}");
    let before = frames(&app, source);
    until(&mut app, "the source goes on", |app| frames(app, source) > before + 10);
}

#[test]
fn links_of_the_wrong_type_and_cycles_are_refused_by_name() {
    let mut app = tap::app();
    let world = app.world_mut();
    let nodes = [world.spawn(ColorConvert).id(), world.spawn((Name::new("second"), ColorConvert)).id()];
    let encoder = world.spawn(VideoEncoder::default()).id();
    world.flush();
    connect(world, nodes[0], "frame", nodes[1], "frame").expect("links");
    let cycle = connect(world, nodes[1], "frame", nodes[0], "frame").expect_err("a cycle").to_string();
    assert!(cycle.contains("second") && cycle.contains("Colour convert"), "{cycle}");
    let types = connect(world, nodes[0], "frame", encoder, "motion").expect_err("types").to_string();
    assert!(types.contains("video frame") && types.contains("motion field"), "{types}");
    let pin = connect(world, nodes[0], "picture", encoder, "frame").expect_err("no such pin").to_string();
    assert!(pin.contains("picture") && pin.contains("frame"), "{pin}");
}
