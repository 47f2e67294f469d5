//! Sound through a running graph.

use bevy::prelude::*;
use neural_studio::{
    prelude::*,
    studio_graph::blueprint::{
        read::read,
        spawn::{node_named, spawn},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const MIX: &str = r#"(version: 1, nodes: {
    "tone": (kind: "ToneInput", settings: (level_dbfs: -20.0)),
    "claps": (kind: "ToneInput", settings: (sound: Clap, frequency_hz: 500.0)),
    "mixer": (kind: "AudioMixer", settings: (channels: [(gain_db: 20.0)]),
        drivers: {"channels[0].gain_db": Expression("-6 + 0 * t")}),
    "encoder": (kind: "AudioEncoder"),
}, links: ["tone.audio -> mixer.input 1", "claps.audio -> mixer.input 2", "mixer.audio -> encoder.audio"])"#;

#[test]
fn a_mixer_follows_its_settings_and_links_while_it_runs() {
    let mut app = app(AppWindow::None).expect("a GPU, a software one will do");
    app.finish();
    app.cleanup();
    let (blueprint, problems) = read(MIX);
    assert_eq!(problems, []);
    let root = spawn(app.world_mut(), &blueprint, None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let beyond = read(&MIX.replace("channels[0].gain_db", "channels[3].gain_db")).0;
    let refused = spawn(app.world_mut(), &beyond, None).expect_err("there are not so many channels");
    assert!(
        refused.iter().any(|problem| problem.message.contains("AudioMixer has no number “channels[3].gain_db”")),
        "{refused:#?}"
    );
    let node = |app: &mut App, name: &str| node_named(app.world_mut(), root, name).expect("it is in the blueprint");
    let (mixer, encoder) = (node(&mut app, "mixer"), node(&mut app, "encoder"));
    app.world_mut().entity_mut(encoder).insert(Watched);
    let until = |app: &mut App, what: &str, holds: &dyn Fn(&AudioMeters) -> bool| {
        let start = Instant::now();
        loop {
            app.update();
            let meters = app.world().get::<AudioMeters>(mixer).expect("a mixer has meters").clone();
            if holds(&meters) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "{what}: {meters:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let near = |level: f32, wanted: f32| (level - wanted).abs() < 0.5;
    until(&mut app, "the tone behind its gain, and the claps", &|meters| {
        meters.inputs.len() == 2 && near(meters.inputs[0].level.peak_dbfs, -26.0) && meters.inputs[1].level.peak_dbfs > -13.0
    });
    assert!(app.world().get::<AudioMeters>(mixer).expect("meters").inputs.iter().all(|input| input.late_ms == 0.0));
    // Blocks follow each other without a gap, whatever is turned.
    let pin = app.world().resource::<CompiledGraph>().node(mixer).and_then(|node| node.output("audio")).expect("an output");
    let bus = app.world().get::<AudioBus>(pin).expect("sound").clone();
    let (next, gaps) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let sink = (next.clone(), gaps.clone());
    let guard = bus.add_sink(root, move |_, block| {
        let expected = sink.0.swap(block.end().0, Ordering::Relaxed);
        if expected != 0 && expected.abs_diff(block.stamp.pts.0) > 1000 {
            sink.1.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut settings = app.world_mut().get_mut::<AudioMixer>(mixer).expect("a mixer");
    // The first gain stays driven.
    settings.channels = vec![MixerChannel { mute: true, ..default() }, MixerChannel { delay_ms: 200.0, ..default() }];
    settings.gain_db = 6.0;
    until(&mut app, "the tone is silenced", &|meters| meters.inputs.first().is_some_and(|input| input.level.peak_dbfs < -80.0));
    assert!(next.load(Ordering::Relaxed) > 0 && gaps.load(Ordering::Relaxed) == 0, "the mixed sound has gaps");
    drop(guard);
    let tone = node(&mut app, "tone");
    app.world_mut().despawn(tone);
    until(&mut app, "the claps alone go on", &|meters| {
        meters.inputs.first().is_some_and(|input| input.level == AudioLevel::default()) && meters.output.peak_dbfs > -7.0
    });
    assert!(matches!(app.world().get::<NodeStatus>(encoder), Some(NodeStatus::Running { .. })));
}
