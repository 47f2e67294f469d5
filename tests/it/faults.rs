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
    // Runs are reported with the next update, fields with the GPU's pace.
    assert!(fields[0].abs_diff(flows[0]) <= 5, "one field a frame: {flows:?} runs, {fields:?} fields");
}

#[test]
fn a_source_that_fails_is_shown_retried_and_does_not_stop_the_rest() {
    let (mut app, source, output) = studio();
    let broken =
        app.world_mut().spawn((VideoFileInput { source: "/nonexistent/film.mp4".to_owned(), ..default() }, Watched)).id();
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
    let stitch = world.spawn((Stitch { rig, pictures: 1, ..default() }, Watched)).id();
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
fn a_lens_that_drops_out_is_named_at_the_node_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = |name: &str, right: bool| {
        let path = folder.path().join(name);
        let colour = |x: u32, y: u32| image::Rgb([(x * 3 % 200 + 30) as u8, (y % 180 + 40) as u8, ((x + y) % 150 + 50) as u8]);
        let seen = |x: u32, y: u32| if x < 320 || right { colour(x, y) } else { image::Rgb([0, 0, 0]) };
        image::RgbImage::from_fn(640, 320, seen).save(&path).expect("written");
        path.display().to_string()
    };
    let (whole, half) = (picture("whole.png", true), picture("half.png", false));
    let mut app = tap::app();
    let world = app.world_mut();
    let rig = world.resource_mut::<Assets<Rig>>().add(Rig::dual_fisheye([640, 320], 200.0));
    let source = world.spawn(StillInput { path: half, ..default() }).id();
    let settings = StitchSettings::equirectangular(320, 160);
    let stitch = world.spawn((Stitch { rig, pictures: 1, settings, ..default() }, Watched)).id();
    world.flush();
    connect(world, source, "frame", stitch, "picture 1").expect("links");
    let warning = move |app: &App| app.world().get::<NodeWarning>(stitch).map(|warning| warning.0.clone());
    until(&mut app, "the stitch says which lens is black", |app| warning(app).is_some());
    let words = warning(&app).expect("said");
    assert!(words.contains("is black") && words.contains("cable"), "{words}");
    app.world_mut().entity_mut(source).insert(StillInput { path: whole, ..default() });
    until(&mut app, "the lens is back", |app| warning(app).is_none());
}

#[test]
fn a_failing_gpu_node_is_tried_less_and_less_and_at_once_when_it_may_go_well() {
    let mut app = tap::app();
    let world = app.world_mut();
    let source = world.spawn(TestPatternInput { size: UVec2::new(320, 160), ..default() }).id();
    let convert = world.spawn(ColorConvert).id();
    let encoder = world.spawn((VideoEncoder::default(), Watched)).id();
    world.flush();
    connect(world, source, "frame", convert, "frame").expect("links");
    connect(world, source, "frame", encoder, "frame").expect("links");
    // The GPU's first frame may take seconds where everything is made at once.
    until(&mut app, "it fails", |app| app.world().get::<NodeStatus>(encoder).is_some_and(|status| status.error().is_some()));
    let start = Instant::now();
    until(&mut app, "four seconds are over", |_| start.elapsed() > Duration::from_secs(4));
    let Some(NodeStatus::Failed { attempts, error, .. }) = app.world().get::<NodeStatus>(encoder) else { panic!("it fails") };
    // At 0, 0.5, 1.5 and 3.5 s.
    assert!((2..=5).contains(attempts), "tried {attempts} times in 4 s");
    assert!(error.contains("Colour convert"), "{error}");
    connect(app.world_mut(), convert, "frame", encoder, "frame").expect("links");
    let mended = Instant::now();
    until(&mut app, "it encodes", |app| frames(app, encoder) > 0);
    assert!(mended.elapsed() < Duration::from_millis(1500), "it took {:?} to try again", mended.elapsed());
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

#[test]
fn a_stitch_takes_an_stmap_instead_of_a_rig() {
    let (mut app, source, _) = studio();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mirror.png");
    // Left and right change places. The field's STMaps count from the bottom left.
    let map = image::ImageBuffer::<image::Rgb<u16>, _>::from_fn(320, 160, |x, y| {
        let share = |at: f32, of: f32| ((at + 0.5) / of * 65_535.0) as u16;
        image::Rgb([65_535 - share(x as f32, 320.0), 65_535 - share(y as f32, 160.0), 0])
    });
    map.save(&path).expect("written");
    let world = app.world_mut();
    let direct = tap::Shared::default();
    let mirrored = tap::Shared::default();
    let nodes = [
        world.spawn(ColorConvert).id(),
        world.spawn(tap::Tap { pictures: direct.clone() }).id(),
        world.spawn(Stitch { st_map: path.display().to_string(), ..default() }).id(),
        world.spawn(tap::Tap { pictures: mirrored.clone() }).id(),
    ];
    world.flush();
    connect(world, source, "frame", nodes[0], "frame").expect("links");
    connect(world, nodes[0], "frame", nodes[1], "frame").expect("links");
    connect(world, nodes[0], "frame", nodes[2], "picture 1").expect("links");
    connect(world, nodes[2], "picture", nodes[3], "frame").expect("links");
    until(&mut app, "both taps hold pictures", |_| {
        [&direct, &mirrored].iter().all(|tap| tap.lock().expect("whole").order.len() > 2)
    });
    let (direct, mirrored) = (direct.lock().expect("whole"), mirrored.lock().expect("whole"));
    let id = mirrored.order[0];
    let (was, is) = (&direct.frames[&id].rgba, &mirrored.frames[&id].rgba);
    let mut differences = Vec::new();
    for (y, x) in (0..160).flat_map(|y| (0..320).map(move |x| (y, x))) {
        differences.push(was[(y * 320 + x) * 4 + 1].abs_diff(is[(y * 320 + 319 - x) * 4 + 1]));
    }
    let mean = differences.iter().map(|difference| f64::from(*difference)).sum::<f64>() / differences.len() as f64;
    assert!(mean < 2.0, "the mirrored picture differs by {mean:.2} on average");
}
