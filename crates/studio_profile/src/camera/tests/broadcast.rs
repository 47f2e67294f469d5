//! One graph to several headsets, with viewers on loopback.

use crate::{
    StudioProfilePlugin,
    camera::{CameraNodes, CameraStatus, EyeView, VirtualCamera},
    library::HeadsetLibrary,
};
use bevy::{
    app::PluginsState, log::LogPlugin, prelude::*, render::pipelined_rendering::PipelinedRenderingPlugin, winit::WinitPlugin,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_gpu::{StudioGpuPlugin, prelude::*};
use studio_graph::{GraphPlugin, prelude::*};
use studio_media::{
    capture::TestPatternInput,
    decode::{DecoderSettings, VideoDecoder},
    nodes::{StudioMediaPlugin, VideoEncoder},
};
use studio_stream::{
    nodes::StudioStreamPlugin,
    prelude::{Subscriber, SubscriberConfig, ViewerEvent},
    viewer_link::ViewerLink,
};
use studio_vision::{
    nodes::{OpticalFlow, Stitch, StudioVisionPlugin},
    rig::Rig,
    stitch::StitchSettings,
};

const PATIENCE: Duration = Duration::from_secs(90);
const STITCHED: UVec2 = UVec2::new(512, 256);

/// Held by tests that stream: two at once would measure each other's load.
static STREAMING: std::sync::Mutex<()> = std::sync::Mutex::new(());

struct Studio {
    app: App,
    source: Entity,
    stitch: Entity,
    flow: Entity,
}

impl Studio {
    /// Capture, stitch and flow, and nothing behind them yet.
    fn new() -> Self {
        let mut app = App::new();
        let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
        let plugins = DefaultPlugins.build();
        app.add_plugins(
            plugins
                .disable::<WinitPlugin>()
                .disable::<PipelinedRenderingPlugin>()
                .disable::<LogPlugin>()
                .set(window)
                .set(bevy::render::RenderPlugin { synchronous_pipeline_compilation: true, ..default() }),
        );
        app.add_plugins((GraphPlugin, StudioGpuPlugin, StudioMediaPlugin, StudioVisionPlugin, StudioStreamPlugin));
        app.add_plugins(StudioProfilePlugin).insert_resource(HeadsetLibrary::with_folder(None));
        while app.plugins_state() == PluginsState::Adding {
            std::thread::sleep(Duration::from_millis(1));
        }
        app.finish();
        app.cleanup();
        let world = app.world_mut();
        let rig = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/rigs/gear360.rig.ron");
        let rig = world.resource_mut::<Assets<Rig>>().add(Rig::read(rig.as_ref()).expect("the shipped rig"));
        let source = world.spawn(TestPatternInput { size: STITCHED, rate_hz: 15.0, ..default() }).id();
        let settings = StitchSettings::equirectangular(STITCHED.x, STITCHED.y);
        let stitch = world.spawn(Stitch { rig, pictures: 1, settings, ..default() }).id();
        let flow = world.spawn(OpticalFlow { working_width_px: 256, ..default() }).id();
        world.flush();
        connect(world, source, "frame", stitch, "picture 1").expect("links");
        connect(world, stitch, "picture", flow, "frame").expect("links");
        Self { app, source, stitch, flow }
    }

    fn camera(&mut self, profile: &str) -> Entity {
        let world = self.app.world_mut();
        let max_size = UVec2::new(320, 320);
        let settings = VirtualCamera { profile: profile.to_owned(), max_size, frame_rate_hz: 15.0, ..default() };
        let camera = world.spawn(settings).id();
        world.flush();
        connect(world, self.stitch, "picture", camera, "frame").expect("links");
        connect(world, self.flow, "motion", camera, "motion").expect("links");
        camera
    }

    /// Updates until something is so.
    fn until(&mut self, what: &str, mut so: impl FnMut(&mut App) -> bool) {
        let start = Instant::now();
        while !so(&mut self.app) {
            assert!(start.elapsed() < PATIENCE, "{what} does not come; {}", self.statuses());
            self.app.update();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn statuses(&mut self) -> String {
        let world = self.app.world_mut();
        let mut nodes = world.query::<(&studio_graph::registry::NodeName, &NodeStatus)>();
        nodes.iter(world).map(|(name, status)| format!("{}: {status:?}", name.0)).collect::<Vec<_>>().join("; ")
    }

    fn frames(&self, node: Entity) -> u64 {
        match self.app.world().get::<NodeStatus>(node) {
            Some(NodeStatus::Running { frames }) => *frames,
            _ => 0,
        }
    }

    fn link(&self, camera: Entity) -> Option<ViewerLink> {
        self.app.world().get::<CameraStatus>(camera)?.viewer_link.as_deref()?.parse().ok()
    }

    fn parts(&self, camera: Entity) -> Vec<Entity> {
        self.app.world().get::<CameraNodes>(camera).map(|nodes| nodes.iter().collect()).unwrap_or_default()
    }
}

/// Receives and decodes a stream; keeps the decoded sizes and the stamps.
struct Viewer {
    subscriber: Subscriber,
    decoder: Option<VideoDecoder>,
    decoded: Arc<std::sync::Mutex<Vec<(u64, UVec2, f64)>>>,
    info: Option<Arc<StreamInfo>>,
    fields: Vec<MotionField>,
}

impl Viewer {
    fn new(link: ViewerLink) -> Self {
        let subscriber = Subscriber::connect(link, SubscriberConfig::default()).expect("a subscriber");
        Self { subscriber, decoder: None, decoded: Arc::default(), info: None, fields: Vec::new() }
    }

    fn pump(&mut self) {
        while let Ok(received) = self.subscriber.units().try_recv() {
            // Another picture is another decoder's.
            if self.info.as_ref().is_some_and(|info| *info != received.info) {
                self.decoder = None;
            }
            let decoded = self.decoded.clone();
            let decoder = self.decoder.get_or_insert_with(|| {
                VideoDecoder::new(&received.info, DecoderSettings::default(), move |output| {
                    let luma = &output.frame.planes[0];
                    let size = output.frame.size;
                    let rows = luma.data.chunks(luma.stride).take(size.y as usize);
                    let values: Vec<f64> =
                        rows.flat_map(|row| row[..size.x as usize].iter().map(|value| f64::from(*value))).collect();
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
                    decoded.lock().expect("unpoisoned").push((output.frame.stamp.frame_id, size, spread));
                })
                .expect("a decoder")
            });
            decoder.push(&received.unit).expect("decodes");
            self.info = Some(received.info.clone());
        }
        while let Ok(motion) = self.subscriber.motion().try_recv() {
            self.fields.push(motion.motion.field);
        }
    }

    fn count(&self) -> usize {
        self.decoded.lock().expect("unpoisoned").len()
    }

    fn was_cut_off(&self) -> bool {
        let mut cut = false;
        while let Ok(event) = self.subscriber.events().try_recv() {
            cut |= matches!(event, ViewerEvent::Disconnected { .. } | ViewerEvent::Failed(_));
        }
        cut
    }
}

#[test]
fn one_graph_is_received_and_decoded_by_three_headsets_each_in_its_own_shape() {
    let _alone = STREAMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut studio = Studio::new();
    let profiles = ["generic-360", "quest-3", "generic-flat"];
    let cameras = profiles.map(|profile| studio.camera(profile));
    studio.until("three links", |app| {
        cameras.iter().all(|camera| app.world().get::<CameraStatus>(*camera).is_some_and(|status| status.viewer_link.is_some()))
    });
    let mut viewers: Vec<Viewer> = cameras.iter().map(|camera| Viewer::new(studio.link(*camera).expect("a link"))).collect();
    studio.until("ten pictures and motion for each", |_| {
        viewers.iter_mut().for_each(Viewer::pump);
        viewers.iter().all(|viewer| viewer.count() >= 10 && viewer.fields.len() >= 3)
    });
    let shapes: BTreeMap<&str, (UVec2, StereoLayout, PictureProjection)> = profiles
        .iter()
        .zip(&viewers)
        .map(|(profile, viewer)| {
            let info = viewer.info.clone().expect("described");
            assert!(viewer.decoded.lock().expect("unpoisoned").iter().all(|(_, size, _)| *size == info.size), "{profile}");
            (*profile, (info.size, info.stereo, info.projection))
        })
        .collect();
    assert_eq!(shapes["generic-360"], (UVec2::new(320, 160), StereoLayout::Mono, PictureProjection::Equirectangular));
    assert_eq!(shapes["quest-3"], (UVec2::new(320, 160), StereoLayout::LeftRight, PictureProjection::HalfEquirectangular));
    let (size, stereo, projection) = shapes["generic-flat"];
    assert_eq!(stereo, StereoLayout::Mono);
    let PictureProjection::OffAxis { left, .. } = projection else { panic!("{projection:?}") };
    assert!(
        (left[0] - 1.0).abs() < 1e-4 && (left[2] - 0.5625).abs() < 1e-4 && size.x <= 320 && size.x > size.y,
        "{size} {left:?}"
    );
    for (profile, viewer) in profiles.iter().zip(&viewers) {
        // There is something in the pictures.
        let decoded = viewer.decoded.lock().expect("unpoisoned").clone();
        assert!(decoded.iter().all(|(_, _, spread)| *spread > 5.0), "{profile}: {decoded:?}");
        assert!(decoded.windows(2).all(|pair| pair[1].0 > pair[0].0), "{profile}: {decoded:?}");
        let field = viewer.fields.last().expect("a field");
        assert_eq!(field.picture_size, viewer.info.as_ref().expect("described").size, "{profile}: in its own pixels");
    }
}

#[test]
fn a_saved_profile_changes_the_stream_of_a_headset_that_watches() {
    let _alone = STREAMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let text = include_str!("../../../../../headsets/generic-360.headset.ron").replace("\"generic-360\"", "\"mine\"");
    let write = |text: &str| std::fs::write(folder.path().join("mine.headset.ron"), text).expect("written");
    write(&text);
    let mut studio = Studio::new();
    studio.app.insert_resource(HeadsetLibrary::with_folder(Some(folder.path().to_owned())));
    let camera = studio.camera("mine");
    studio.until("a link", |app| app.world().get::<CameraStatus>(camera).is_some_and(|status| status.viewer_link.is_some()));
    let link = studio.link(camera);
    let mut viewer = Viewer::new(link.clone().expect("a link"));
    let until_size = |studio: &mut Studio, viewer: &mut Viewer, size: UVec2| {
        studio.until(&format!("a picture of {size}"), |_| {
            viewer.pump();
            viewer.decoded.lock().expect("unpoisoned").last().is_some_and(|(_, decoded, _)| *decoded == size)
        });
    };
    until_size(&mut studio, &mut viewer, UVec2::new(320, 160));
    write(&text.replace("value: Mono", "value: TopBottom"));
    until_size(&mut studio, &mut viewer, UVec2::splat(320));
    assert_eq!(viewer.info.as_ref().expect("described").stereo, StereoLayout::TopBottom);
    // What was saved last cannot be read: the stream goes on.
    write("(version: 1, id: ");
    let before = viewer.count();
    studio.until("the library's word", |app| app.world().resource::<HeadsetLibrary>().faults().next().is_some());
    studio.until("more pictures", |_| {
        viewer.pump();
        viewer.count() >= before + 5
    });
    assert_eq!(studio.app.world().get::<CameraStatus>(camera).map(|status| status.viewers), Some(1));
    assert!(!viewer.was_cut_off() && studio.link(camera) == link, "the viewer was disturbed");
}

/// Runs with cameras for these profiles until so many frames were stitched. Returns how many frames each stage ran for, and the
/// read-backs of each frame.
fn counts(profiles: &[&str]) -> (Studio, Vec<Entity>, Vec<CopyCount>) {
    let mut studio = Studio::new();
    studio.app.insert_resource(StudioClock::Offline);
    studio.app.world_mut().entity_mut(studio.source).insert(TestPatternInput {
        size: STITCHED,
        rate_hz: 15.0,
        frames: Some(24),
        flash: false,
    });
    let cameras: Vec<Entity> = profiles.iter().map(|profile| studio.camera(profile)).collect();
    let source = studio.source;
    studio.until("the end", |app| app.world().get::<NodeStatus>(source) == Some(&NodeStatus::Ended));
    // What is under way arrives.
    for _ in 0..60 {
        studio.app.update();
        std::thread::sleep(Duration::from_millis(5));
    }
    let copies = studio.app.world().resource::<CopyCounters>().frames();
    (studio, cameras, copies.into_iter().map(|(_, count)| count).collect())
}

#[test]
fn capture_stitch_and_flow_run_once_whatever_the_number_of_headsets() {
    let _alone = STREAMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut seen = Vec::new();
    for profiles in [&["quest-3"][..], &["quest-3", "generic-360", "valve-index"][..]] {
        let (studio, cameras, copies) = counts(profiles);
        let (stitched, moved) = (studio.frames(studio.stitch), studio.frames(studio.flow));
        let cameras: Vec<Vec<Entity>> = cameras.iter().map(|camera| studio.parts(*camera)).collect();
        let eyes: Vec<u64> = cameras.iter().map(|parts| studio.frames(parts[0])).collect();
        let coded: Vec<u64> = cameras.iter().map(|parts| studio.frames(parts[1])).collect();
        println!("{} headsets: stitched {stitched}, flow {moved}, eyes {eyes:?}, coded {coded:?}", profiles.len());
        // The first frame of each run tells the size; the cameras' nodes come with the next updates.
        assert_eq!((stitched, moved), (24, 24), "{profiles:?}");
        assert!(eyes.iter().all(|frames| (18..=24).contains(frames)), "{eyes:?}");
        assert_eq!(eyes, coded, "each eye view is coded once");
        assert_eq!(copies.len(), 24);
        assert!(copies.iter().all(|count| count.upload == 1 && count.cpu == 0), "{copies:?}");
        // Of a frame in the middle, each headset has read back its own picture and nothing else is read.
        assert_eq!(copies[16].readback as usize, profiles.len(), "{copies:?}");
        let ledger = studio.app.world().resource::<LatencyLedger>().clone();
        if let Some(stitch) = ledger.stage(Stage::STITCH) {
            // While every buffer for timestamps is under way a frame goes untimed.
            let views = ledger.stage(Stage("Eye view")).map_or(0, |stage| stage.count);
            assert!(stitch.count <= 24 && views <= eyes.iter().sum::<u64>(), "{profiles:?}: {views} of {}", stitch.count);
        }
        seen.push(studio.app.world().resource::<TexturePool>().stats());
    }
    assert!(seen[1].used_bytes > seen[0].used_bytes, "{seen:?}");
}

#[test]
fn a_headset_switched_off_costs_nothing_and_disturbs_nobody() {
    let _alone = STREAMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut studio = Studio::new();
    let (stays, goes) = (studio.camera("generic-360"), studio.camera("quest-3"));
    studio.until("two links", |app| {
        [stays, goes]
            .iter()
            .all(|camera| app.world().get::<CameraStatus>(*camera).is_some_and(|status| status.viewer_link.is_some()))
    });
    let mut viewer = Viewer::new(studio.link(stays).expect("a link"));
    studio.until("pictures", |_| {
        viewer.pump();
        viewer.count() >= 3
    });
    let pool = studio.app.world().resource::<TexturePool>().clone();
    let (link, both) = (studio.link(stays), pool.stats().used_bytes);
    let parts = studio.parts(goes);
    assert_eq!(parts.len(), 3);
    for round in 1..=2 {
        studio.app.world_mut().entity_mut(goes).insert(Bypass);
        let before = viewer.count();
        studio.until("the others' pictures", |_| {
            viewer.pump();
            viewer.count() >= before + 5
        });
        assert!(studio.parts(goes).is_empty() && studio.app.world().get::<CameraStatus>(goes).is_none());
        let world = studio.app.world_mut();
        assert_eq!(world.query::<&EyeView>().iter(world).count(), 1);
        assert_eq!(world.query::<&VideoEncoder>().iter(world).count(), 1);
        // 320×160 of four bytes for each of its pictures is free again.
        assert!(pool.stats().used_bytes + 320 * 160 * 4 <= both, "round {round}: {:?} of {both}", pool.stats());
        studio.app.world_mut().entity_mut(goes).remove::<Bypass>();
        studio.until("its link again", |app| {
            viewer.pump();
            app.world().get::<CameraStatus>(goes).is_some_and(|status| status.viewer_link.is_some())
        });
        let mut second = Viewer::new(studio.link(goes).expect("a link"));
        studio.until("its pictures", |_| {
            viewer.pump();
            second.pump();
            second.count() >= 2
        });
    }
    assert!(parts.iter().all(|part| studio.app.world().get_entity(*part).is_err()));
    assert!(!viewer.was_cut_off() && studio.link(stays) == link, "the other headset's viewer was disturbed");
    let decoded = viewer.decoded.lock().expect("unpoisoned").clone();
    assert!(decoded.windows(2).all(|pair| pair[1].0 > pair[0].0), "{decoded:?}");
    // Without any camera nothing is asked for, so nothing runs.
    for camera in [stays, goes] {
        studio.app.world_mut().despawn(camera);
    }
    for _ in 0..5 {
        studio.app.update();
    }
    let graph = studio.app.world().resource::<CompiledGraph>();
    assert!(!graph.runs(studio.stitch) && !graph.runs(studio.flow));
    assert_eq!(pool.stats().used_bytes, 0, "{:?}", pool.stats());
}

#[test]
fn a_camera_without_its_profile_says_what_there_is_and_one_that_cannot_decode_says_why() {
    let _alone = STREAMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut studio = Studio::new();
    let lost = studio.camera("qest-3");
    let camera = studio.camera("quest-2");
    studio.app.world_mut().get_mut::<VirtualCamera>(camera).expect("there").codec = VideoCodec::Av1;
    let error =
        |app: &App, camera: Entity| app.world().get::<NodeStatus>(camera).and_then(|status| status.error().map(str::to_owned));
    studio.until("both errors", |app| error(app, lost).is_some() && error(app, camera).is_some());
    let said = error(&studio.app, lost).expect("said");
    assert!(said.contains("there is no headset profile “qest-3”: did you mean “quest-"), "{said}");
    let said = error(&studio.app, camera).expect("said");
    assert!(said.contains("decodes H264, H265, and Av1 can be encoded here"), "{said}");
}
