//! Motion and depth by a network.

use super::{Feed, Studio};
use crate::{
    disparity::DisparitySettings,
    flow::testing::{rgba_frame, texture_at},
    network::VisionProvider,
    nodes::{Disparity, OpticalFlow},
};
use bevy::prelude::*;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;
use studio_ml::runtime;

fn network(name: &str) -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/onnx/").to_owned() + name
}

/// Whether models can be run. A machine that tests everything must have ONNX Runtime.
fn has_runtime() -> bool {
    let Err(error) = runtime::check() else { return true };
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "{error}");
    eprintln!("skipped: {error}");
    false
}

const SIZE: UVec2 = UVec2::new(320, 192);
const FLAT: PictureProjection = PictureProjection::Rectilinear { fov_deg: 60.0 };

/// A coloured texture whose content went by some pixels.
fn picture(by: Vec2) -> VideoFrame {
    let pixels = (0..SIZE.y).flat_map(|y| (0..SIZE.x).map(move |x| Vec2::new(x as f32, y as f32)));
    let data: Vec<u8> = pixels
        .flat_map(|place| {
            let at = place - by + Vec2::splat(500.0);
            let channel = |offset: f32| (127.5 + 127.0 * texture_at(4096, at + offset)).clamp(0.0, 255.0) as u8;
            [channel(0.0), channel(211.0), channel(97.0), 255]
        })
        .collect();
    rgba_frame(SIZE, data)
}

const STEP: Vec2 = Vec2::new(3.0, -2.0);

fn step(index: u64) -> VideoFrame {
    picture(STEP * index as f32)
}

fn flow_node(provider: VisionProvider, model: &str) -> OpticalFlow {
    OpticalFlow { working_width_px: SIZE.x, both_ways: true, provider, model: model.to_owned(), ..default() }
}

/// The median motion of the cells that are not at the edge.
fn motion(field: &MotionField) -> Vec2 {
    let inner = (1..field.grid.y - 1).flat_map(|row| (1..field.grid.x - 1).map(move |column| (column, row)));
    let cells: Vec<Vec2> = inner.map(|(column, row)| field.at(column, row).to_pixels()).collect();
    let middle = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    };
    Vec2::new(middle(cells.iter().map(|cell| cell.x).collect()), middle(cells.iter().map(|cell| cell.y).collect()))
}

fn studio(clock: StudioClock) -> Studio {
    Studio::new(clock, Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// Runs the graph until something is so.
fn update_until(studio: &mut Studio, what: &str, is_so: impl Fn(&Studio) -> bool) {
    let start = Instant::now();
    while !is_so(studio) {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
        studio.app.update();
    }
}

fn warning(studio: &Studio, node: Entity) -> Option<String> {
    studio.app.world().get::<NodeWarning>(node).map(|warning| warning.0.clone())
}

#[test]
fn offline_every_frame_has_the_networks_motion_and_confidence() {
    if !has_runtime() {
        return;
    }
    let run = || {
        let mut studio = studio(StudioClock::Offline);
        let feed = studio.node(Feed);
        let node = studio.node(flow_node(VisionProvider::Auto, &network("block_flow.onnx")));
        studio.link((feed, "frame"), (node, "frame"));
        let mut fields = Vec::new();
        for index in 0..4 {
            studio.feed(feed, &step(index), 10 + index, FLAT);
            assert_eq!(studio.error(node), None);
            let of_frame = |studio: &Studio| studio.output::<PinMotion>(node, "motion").of_frame(10 + index);
            update_until(&mut studio, "a field of the frame", |studio| of_frame(studio).is_some());
            let field = of_frame(&studio).expect("a field");
            if index == 0 {
                assert!(field.starts_scene());
                continue;
            }
            assert_eq!((field.previous_frame_id, field.picture_size), (9 + index, SIZE));
            let found = motion(&field);
            assert!((found - STEP).length() < 0.2, "{found}");
            let (frame_id, confidence) = studio.picture(node, "confidence").expect("a picture");
            assert_eq!((frame_id, confidence.size), (10 + index, SIZE));
            let sure = confidence.planes[0].data.chunks(4).filter(|texel| texel[0] > 128).count();
            assert!(sure as f32 > 0.8 * (SIZE.x * SIZE.y) as f32, "{sure}");
            fields.push(field.vectors);
        }
        assert_eq!(warning(&studio, node), None);
        fields
    };
    // Offline is reproducible.
    assert_eq!(run(), run());
}

#[test]
fn live_the_classical_flow_goes_on_until_the_network_is_open() {
    if !has_runtime() {
        return;
    }
    let mut studio = studio(StudioClock::Live);
    let feed = studio.node(Feed);
    let node = studio.node(flow_node(VisionProvider::Auto, &network("block_flow.onnx")));
    studio.link((feed, "frame"), (node, "frame"));
    studio.feed(feed, &step(0), 0, FLAT);
    let has_motion = |studio: &Studio| studio.output::<PinMotion>(node, "motion").newest().is_some();
    update_until(&mut studio, "the first field", has_motion);
    update_until(&mut studio, "no warning any more", |studio| warning(studio, node).is_none());
    // The network has the node now. It is slower than frames come: some fields are missing, those that are there are right.
    let (mut index, start) = (0, Instant::now());
    let mut of_network = Vec::new();
    while of_network.len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "two fields of the network within a minute");
        index += 1;
        studio.feed(feed, &step(index), index, FLAT);
        std::thread::sleep(Duration::from_millis(5));
        let (field, _) = studio.output::<PinMotion>(node, "motion").newest().expect("a field");
        let is_new = of_network.last() != Some(&field.stamp.frame_id);
        if !field.starts_scene() && is_new {
            let expected = STEP * (field.stamp.frame_id - field.previous_frame_id) as f32;
            let found = motion(&field);
            assert!((found - expected).length() < 0.3, "{found} for {expected}");
            of_network.push(field.stamp.frame_id);
        }
    }
    assert_eq!((studio.error(node), warning(&studio, node)), (None, None));
}

#[test]
fn a_model_that_does_not_work_is_named_and_the_classical_flow_goes_on_live_only() {
    if !has_runtime() {
        return;
    }
    for (model, words) in
        [("absent.onnx", "cannot be read"), ("classifier.onnx", "channels"), ("not_a_number.onnx", "not finite")]
    {
        let mut studio = studio(StudioClock::Live);
        let feed = studio.node(Feed);
        let node = studio.node(flow_node(VisionProvider::Auto, &network(model)));
        studio.link((feed, "frame"), (node, "frame"));
        let mut index = 0;
        let start = Instant::now();
        while !warning(&studio, node).is_some_and(|said| said.contains(words) && said.contains(model)) {
            assert!(start.elapsed() < Duration::from_secs(60), "{model}: {:?}", warning(&studio, node));
            studio.feed(feed, &step(index), index, FLAT);
            std::thread::sleep(Duration::from_millis(5));
            index += 1;
        }
        // The classical flow of the next frames.
        for _ in 0..2 {
            studio.feed(feed, &step(index), index, FLAT);
            index += 1;
        }
        let last = index - 1;
        let of_last = |studio: &Studio| studio.output::<PinMotion>(node, "motion").of_frame(last);
        update_until(&mut studio, "a classical field", |studio| of_last(studio).is_some());
        let found = motion(&of_last(&studio).expect("a field"));
        assert!((found - STEP).length() < 0.2, "{found}");
        assert_eq!(studio.error(node), None);
        // Without the model nothing is said any more.
        studio.app.world_mut().entity_mut(node).insert(flow_node(VisionProvider::Classical, &network(model)));
        update_until(&mut studio, "no warning any more", |studio| warning(studio, node).is_none());
    }
    for (clock, provider, model, words) in [
        (StudioClock::Live, VisionProvider::OnnxRuntime, network("absent.onnx"), "absent.onnx"),
        (StudioClock::Live, VisionProvider::OnnxRuntime, String::new(), "name its ONNX file"),
        (StudioClock::Offline, VisionProvider::Auto, network("not_a_number.onnx"), "not finite"),
    ] {
        let mut studio = studio(clock);
        let feed = studio.node(Feed);
        let node = studio.node(flow_node(provider, &model));
        studio.link((feed, "frame"), (node, "frame"));
        studio.feed(feed, &step(0), 0, FLAT);
        studio.feed(feed, &step(1), 1, FLAT);
        update_until(&mut studio, words, |studio| studio.error(node).is_some_and(|error| error.contains(words)));
    }
}

#[test]
fn depth_of_a_still_pair_comes_from_the_network_and_is_what_stereo_matching_says() {
    if !has_runtime() {
        return;
    }
    const SHIFT_PX: f32 = 12.0;
    let settings = |provider, model: &str| Disparity {
        matching: DisparitySettings { working_width_px: SIZE.x, ..default() },
        provider,
        model: model.to_owned(),
        near_m: 0.5,
        baseline_m: 0.2,
        ..default()
    };
    let eyes = [picture(Vec2::ZERO), picture(Vec2::new(-SHIFT_PX, 0.0))];
    let depth_of = |clock, settings: Disparity| {
        let mut studio = studio(clock);
        let feeds = [studio.node(Feed), studio.node(Feed)];
        let node = studio.node(settings);
        studio.link((feeds[0], "frame"), (node, "left"));
        studio.link((feeds[1], "frame"), (node, "right"));
        for (feed, eye) in feeds.iter().zip(&eyes) {
            studio.feed(*feed, eye, 7, FLAT);
        }
        update_until(&mut studio, "a picture of distances", |studio| {
            assert_eq!(studio.error(node), None);
            studio.picture(node, "depth").is_some() && warning(studio, node).is_none()
        });
        (studio, node)
    };
    // f · B / d, in shares of white at near_m.
    let focal_px = SIZE.x as f32 / 2.0 / 30_f32.to_radians().tan();
    let expected = 0.5 / (focal_px * 0.2 / SHIFT_PX) * 255.0;
    let middle = |frame: &VideoFrame| {
        let row = (SIZE.y / 2 * SIZE.x) as usize;
        let mut values: Vec<u8> =
            (SIZE.x / 2 - 10..SIZE.x / 2 + 10).map(|x| frame.planes[0].data[4 * (row + x as usize)]).collect();
        values.sort_unstable();
        f32::from(values[10])
    };
    for (clock, provider, model) in [
        (StudioClock::Offline, VisionProvider::Classical, String::new()),
        (StudioClock::Offline, VisionProvider::Auto, network("block_stereo.onnx")),
        (StudioClock::Live, VisionProvider::OnnxRuntime, network("block_stereo.onnx")),
    ] {
        let (studio, node) = depth_of(clock, settings(provider, &model));
        let (frame_id, depth) = studio.picture(node, "depth").expect("a picture");
        assert_eq!(frame_id, 7);
        let found = middle(&depth);
        assert!((found - expected).abs() < 2.0, "{provider:?}: {found}, expected {expected}");
        assert_eq!(studio.output::<PinFrame>(node, "picture").get().expect("a picture").stamp.frame_id, 7);
    }
}
