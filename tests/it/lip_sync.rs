//! Pictures and sound over the stream, and how well they keep together.

use crate::tap::{self, Tap};
use bevy::prelude::*;
use neural_studio::{
    prelude::*, studio_frame::audio::AudioFormat, studio_media::audio::Sound, studio_stream::nodes::WebTransportStatus,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

/// Samples above this belong to a clap; Opus rings softly around it.
const LOUD: f32 = 0.1;
/// Claps that are looked at.
const CLAPS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(60);

/// A clap as it leaves the stream input.
#[derive(Clone, Copy, Debug)]
struct Clap {
    captured_at: UnixTime,
    left_at: UnixTime,
}

/// Listens on a bus for sounds that begin; counts the blocks.
#[derive(Default)]
struct Listener {
    claps: Vec<Clap>,
    blocks: u64,
}

fn listen(world: &World, node: Entity, pin: &str) -> (Arc<Mutex<Listener>>, SinkGuard<AudioBlock>) {
    let bus = pin_of(world, node, pin).and_then(|pin| world.get::<AudioBus>(pin)).expect("sound comes out there");
    let heard = Arc::<Mutex<Listener>>::default();
    let listener = heard.clone();
    let ear = Entity::from_raw_u32(u32::MAX - 7).expect("an id that no node has");
    let guard = bus.add_sink(ear, move |_: &AudioFormat, block: &AudioBlock| {
        let now = UnixTime::now();
        let mut heard = listener.lock().expect("no test panicked holding it");
        heard.blocks += 1;
        let channels = usize::from(block.format().channels);
        let Some(place) = block.samples().chunks(channels).position(|frame| frame[0].abs() > LOUD) else { return };
        // The place in the block counts: that is when the clap itself is heard.
        let inside = block.format().duration_of(place as u64).as_nanos() as u64;
        let captured_at = UnixTime(block.stamp.captured_at.0 + inside);
        if heard.claps.last().is_none_or(|last| captured_at.since(last.captured_at) > Duration::from_millis(500)) {
            heard.claps.push(Clap { captured_at, left_at: UnixTime(now.0 + inside) });
        }
    });
    (heard, guard)
}

fn pin_of(world: &World, node: Entity, name: &str) -> Option<Entity> {
    let pins = world.get::<Pins>(node)?;
    pins.iter().find(|pin| world.get::<Pin>(*pin).is_some_and(|pin| pin.name == name && pin.direction == PinDirection::Output))
}

/// When the stream input put its newest picture on its pin.
#[derive(Resource, Default)]
struct Shown {
    frames: u64,
    at: Option<UnixTime>,
}

fn note_pictures(inputs: Query<&NodeStatus, With<StreamInput>>, mut shown: ResMut<Shown>) {
    for status in &inputs {
        if let NodeStatus::Running { frames } = status
            && *frames != shown.frames
        {
            *shown = Shown { frames: *frames, at: Some(UnixTime::now()) };
        }
    }
}

/// Updates until the condition holds.
fn update_until(app: &mut App, what: &str, mut done: impl FnMut(&mut App) -> bool) {
    let start = Instant::now();
    while !done(app) {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        app.update();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn link_of(app: &mut App, stream: Entity) -> String {
    let mut link = None;
    update_until(app, "listening", |app| {
        link = app.world().get::<WebTransportStatus>(stream).and_then(|status| status.viewer_link.clone());
        link.is_some()
    });
    link.expect("it listens")
}

/// A tone's encoder on the `audio` pin of a new output; returns the output.
fn serve_sound(world: &mut World, codec: AudioCodec) -> Entity {
    let tone = world.spawn(ToneInput { sound: Sound::Clap, ..default() }).id();
    let encoder = world.spawn(AudioEncoder { codec, ..default() }).id();
    let stream = world.spawn(WebTransportOutput { bind: "127.0.0.1:0".into(), ..default() }).id();
    world.flush();
    connect(world, tone, "audio", encoder, "audio").expect("sound into the encoder");
    connect(world, encoder, "packets", stream, "audio").expect("coded sound into the stream");
    stream
}

/// A viewer with a muted output: something has to take the sound.
fn watch(world: &mut World, link: String) -> Entity {
    let input = world.spawn(StreamInput { link, ..default() }).id();
    let output = world.spawn(AudioOutput { provider: "fakesink".into(), ..default() }).id();
    world.flush();
    connect(world, input, "audio", output, "audio").expect("sound into the output");
    input
}

fn middle_and_worst(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.map(f64::abs).collect();
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() - 1])
}

/// How long a [`Late`] holds what comes through.
const LATE: Duration = Duration::from_millis(80);

/// A way of the pictures that takes longer than that of the sound, as on a busy GPU.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Late;

impl NodeKind for Late {
    const DISPLAY_NAME: &'static str = "Late";
    const CATEGORY: &'static str = "Test";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("packets", DataType::PACKET), PinSpec::output("packets", DataType::PACKET)]
    }
}

#[derive(Component)]
struct Delaying(#[expect(dead_code, reason = "keeps the sink on its bus")] SinkGuard);

fn run_late(
    nodes: Query<Entity, (With<Late>, Without<Delaying>)>,
    links: GraphLinks,
    buses: Query<&PacketBus>,
    mut commands: Commands,
) {
    for node in &nodes {
        let source = links.source(node, "packets").and_then(|pin| buses.get(pin).ok());
        let Some((source, target)) = source.zip(links.output(node, "packets").and_then(|pin| buses.get(pin).ok())) else {
            continue;
        };
        let (sender, units) = mpsc::sync_channel::<(Instant, PacketInfo, AccessUnit)>(1000);
        let (target, asked) = (target.clone(), source.clone());
        target.on_key_frame_request(move || asked.request_key_frame());
        std::thread::spawn(move || {
            for (came, info, unit) in units {
                std::thread::sleep((came + LATE).saturating_duration_since(Instant::now()));
                target.set_info(info);
                target.publish(&unit);
            }
        });
        let sink =
            move |info: &PacketInfo, unit: &AccessUnit| drop(sender.try_send((Instant::now(), info.clone(), unit.clone())));
        commands.entity(node).insert(Delaying(source.add_sink(node, sink)));
    }
}

#[test]
fn lip_sync_over_the_stream() {
    let _alone = crate::alone();
    lip_sync(false);
}

#[test]
fn lip_sync_with_pictures_that_take_long() {
    let _alone = crate::alone();
    lip_sync(true);
}

/// Measures how far a clap is from its flash, in their stamps and when they leave the stream input.
fn lip_sync(late: bool) {
    let mut app = tap::app();
    app.register_node::<Late>().add_systems(Update, run_late.in_set(StudioSystems::Capture));
    app.init_resource::<Shown>().add_systems(Update, note_pictures.in_set(StudioSystems::Collect));
    let world = app.world_mut();
    let stream = serve_sound(world, AudioCodec::Opus);
    // Small: a flash is drawn sooner than the pattern, which is a difference of the source and not of the stream.
    let pattern = TestPatternInput { size: (128, 64).into(), rate_hz: 30.0, flash: true, ..default() };
    let pattern = world.spawn(pattern).id();
    let convert = world.spawn(ColorConvert).id();
    let encoder = world.spawn(VideoEncoder { provider: "x264enc".into(), bitrate_bps: 2_000_000, ..default() }).id();
    world.flush();
    connect(world, pattern, "frame", convert, "frame").expect("pictures");
    connect(world, convert, "frame", encoder, "frame").expect("pictures");
    let coded = if late { world.spawn(Late).id() } else { encoder };
    world.flush();
    if late {
        connect(world, encoder, "packets", coded, "packets").expect("coded pictures");
    }
    connect(world, coded, "packets", stream, "packets").expect("coded pictures into the stream");
    let link = link_of(&mut app, stream);
    let world = app.world_mut();
    let input = watch(world, link);
    let (see, tap) = (world.spawn(ColorConvert).id(), world.spawn(Tap::default()).id());
    world.flush();
    connect(world, input, "frame", see, "frame").expect("pictures");
    connect(world, see, "frame", tap, "frame").expect("pictures");
    app.update();
    let (heard, _ear) = listen(app.world(), input, "audio");
    let pictures = app.world().get::<Tap>(tap).expect("it is one").pictures.clone();
    let frame_pin = pin_of(app.world(), input, "frame").expect("it has one");
    let mut shown: BTreeMap<u64, UnixTime> = BTreeMap::new();
    // The first second is for joining.
    update_until(&mut app, "claps", |app| {
        let at = app.world_mut().resource_mut::<Shown>().at.take();
        if let Some((at, frame)) = at.zip(app.world().get::<PinFrame>(frame_pin).and_then(PinFrame::get)) {
            shown.entry(frame.stamp.frame_id).or_insert(at);
        }
        heard.lock().expect("free").claps.len() > CLAPS + 1
    });
    let pictures = pictures.lock().expect("free");
    let bright = |rgba: &[u8]| rgba.chunks(4).map(|pixel| u32::from(pixel[1])).sum::<u32>() / (rgba.len() / 4) as u32;
    // A flash lights the lower part of the picture for one frame.
    let light: Vec<(FrameStamp, u32)> = pictures
        .frames
        .values()
        .map(|kept| (kept.stamp, bright(&kept.rgba[kept.rgba.len() - 4 * kept.size.x as usize * 4..])))
        .collect();
    let flashes: Vec<FrameStamp> = light.iter().filter(|(_, light)| *light > 200).map(|(stamp, _)| *stamp).collect();
    let claps = heard.lock().expect("free").claps.clone();
    let between = |late: UnixTime, early: UnixTime| (late.0 as f64 - early.0 as f64) / 1e6;
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    for clap in &claps[1..] {
        let near = flashes.iter().min_by_key(|flash| flash.captured_at.0.abs_diff(clap.captured_at.0));
        let Some((flash, left_at)) = near.and_then(|flash| Some((flash, shown.get(&flash.frame_id)?))) else { continue };
        if flash.captured_at.0.abs_diff(clap.captured_at.0) < 400_000_000 {
            pairs.push((between(clap.captured_at, flash.captured_at), between(clap.left_at, *left_at)));
        }
    }
    println!("clap after its flash in ms, by stamps and by when they leave: {pairs:.1?}");
    assert!(pairs.len() >= 5, "{} flashes, {} claps, {} pictures", flashes.len(), claps.len(), light.len());
    let stamps = middle_and_worst(pairs.iter().map(|pair| pair.0));
    let leaving = middle_and_worst(pairs.iter().map(|pair| pair.1));
    let picture_ages =
        pictures.frames.values().filter_map(|kept| Some(between(*shown.get(&kept.stamp.frame_id)?, kept.stamp.captured_at)));
    let (pictures_ms, sound_ms) =
        (middle_and_worst(picture_ages).0, middle_and_worst(claps.iter().map(|clap| between(clap.left_at, clap.captured_at))).0);
    println!(
        "lip sync (pictures late: {late}): stamps p50 {:.1} ms, worst {:.1} ms; leaving p50 {:.1} ms, worst {:.1} ms; pictures leave {pictures_ms:.1} ms, \
         claps {sound_ms:.1} ms after they were captured (p50)",
        stamps.0, stamps.1, leaving.0, leaving.1
    );
    assert!(stamps.1 <= 20.0 && leaving.1 <= 20.0);
}

#[test]
fn a_stream_of_sound_alone_is_heard_within_a_second_of_joining() {
    let _alone = crate::alone();
    for codec in [AudioCodec::Opus, AudioCodec::Aac] {
        let mut app = tap::app();
        let stream = serve_sound(app.world_mut(), codec);
        let link = link_of(&mut app, stream);
        // It has been on the air for a while.
        let joined = Instant::now() + Duration::from_millis(700);
        update_until(&mut app, "time", |_| Instant::now() >= joined);
        let joined = Instant::now();
        let input = watch(app.world_mut(), link);
        // An output that cannot play says so and disturbs nothing.
        let broken = app.world_mut().spawn(AudioOutput { provider: "no such sink".into(), ..default() }).id();
        app.world_mut().flush();
        connect(app.world_mut(), input, "audio", broken, "audio").expect("sound into the output");
        app.update();
        let (heard, _ear) = listen(app.world(), input, "audio");
        update_until(&mut app, "sound", |_| heard.lock().expect("free").blocks > 0);
        let after = joined.elapsed();
        println!("{codec:?}: a late joiner hears sound {after:?} after it joins");
        assert!(after < Duration::from_secs(1), "{after:?}");
        update_until(&mut app, "a clap and another", |_| heard.lock().expect("free").claps.len() >= 2);
        let world = app.world();
        let error = world.get::<NodeStatus>(broken).and_then(NodeStatus::error).unwrap_or_default();
        assert!(error.contains("no element `no such sink`"), "{error}");
        assert!(matches!(world.get::<NodeStatus>(input), Some(NodeStatus::Running { frames }) if *frames > 0));
        let stats = world.get::<StreamInputStats>(input).expect("it runs");
        assert!(stats.sound.contains(&format!("{codec:?}, 48.0 kHz, 2 channels")), "{}", stats.sound);
    }
}
