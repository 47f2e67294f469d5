//! Local preview: one upload, nothing else.

use bevy::prelude::*;
use neural_studio::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn a_preview_costs_one_upload_a_frame_and_no_readback() {
    let mut app = crate::tap::app();
    let world = app.world_mut();
    let source = world.spawn(CameraInput { device: "gst:videotestsrc is-live=true".to_owned(), ..default() }).id();
    let window = world.spawn(WindowOutput::default()).id();
    world.flush();
    connect(world, source, "frame", window, "frame").expect("links");
    let start = Instant::now();
    let copies = app.world().resource::<CopyCounters>().clone();
    while copies.frames().len() < 20 {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", app.world().get::<NodeStatus>(source));
        app.update();
        std::thread::sleep(Duration::from_millis(5));
    }
    for (frame, count) in copies.frames() {
        assert_eq!(count, CopyCount { cpu: 0, upload: 1, readback: 0 }, "frame {frame}");
    }
}
