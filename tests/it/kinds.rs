//! Every kind of node, run once.

use bevy::prelude::*;
use neural_studio::{
    app::app_in,
    prelude::*,
    studio_graph::{
        blueprint::{
            overrides::Override,
            read::read,
            spawn::{node_named, spawn},
        },
        registry::{KindEntry, kinds},
    },
    studio_stream::nodes::WebTransportStatus,
};
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

/// Each kind of the registry stands in this blueprint; a kind that is missing there fails the test below.
const EVERY_KIND: &str = include_str!("every_kind.blueprint.ron");

/// A WAV file of so many samples: 48 kHz, one channel, 16 bits.
fn wav(samples: u32) -> Vec<u8> {
    let word = |number: u32| number.to_le_bytes();
    let data = samples * 2;
    let head: [&[u8]; 7] = [b"RIFF", &word(data + 36), b"WAVEfmt ", &word(16), &[1, 0, 1, 0], &word(48_000), &word(96_000)];
    let mut bytes = [&head.concat()[..], &[2, 0, 16, 0], b"data", &word(data)].concat();
    bytes.extend((0..samples).flat_map(|sample| (((sample * 7919) % 20_001) as i16 - 10_000).to_le_bytes()));
    bytes
}

#[test]
fn every_kind_of_the_registry_runs() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut app = app_in(AppWindow::None, &base).expect("a GPU, a software one will do");
    app.finish();
    app.cleanup();
    let (mut blueprint, problems) = read(EVERY_KIND);
    assert_eq!(problems, []);
    let registry = app.world().resource::<AppTypeRegistry>().clone();
    {
        let registry = registry.read();
        // Kinds of the tests themselves are known here too.
        let ours = |kind: &&KindEntry| kind.registration.type_info().type_path().starts_with("studio_");
        let known: BTreeSet<String> = kinds(&registry).iter().filter(ours).map(|kind| kind.name.to_owned()).collect();
        let inner = blueprint.subgraphs.iter().flat_map(|subgraph| &subgraph.graph.nodes);
        let there: BTreeSet<String> = blueprint.nodes.iter().chain(inner).map(|node| node.kind.clone()).collect();
        assert_eq!(known, there, "kinds that are not in tests/it/every_kind.blueprint.ron, or no longer in the registry");
        let file = folder.path().join("all.mp4").display().to_string();
        Override::new("recorder", "path", format!("{file:?}")).apply(&mut blueprint, &registry).expect("it has a path");
        let sound = folder.path().join("noise.wav");
        std::fs::write(&sound, wav(24_000)).expect("a file of the test's own folder");
        let sound = format!("{:?}", sound.display().to_string());
        Override::new("sound file", "source", sound).apply(&mut blueprint, &registry).expect("it has a source");
    }
    let world = app.world_mut();
    let root = spawn(world, &blueprint, Some(base)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let node = |world: &World, name: &str| {
        let mut way = name.split('/');
        way.try_fold(root, |inside, name| node_named(world, inside, name)).expect("it is in the blueprint")
    };
    // A subgraph and its interface run as what lies in it.
    let stands_for_others = |kind: &str| kind.starts_with("Subgraph");
    let nodes = blueprint.nodes.iter().filter(|node| !stands_for_others(&node.kind));
    let mut names: Vec<String> = nodes.map(|node| node.name.clone()).collect();
    names.push("group/convert".to_owned());
    for name in &names {
        let entity = node(world, name);
        world.entity_mut(entity).insert(Watched);
    }
    let start = Instant::now();
    let mut linked = false;
    loop {
        app.update();
        let world = app.world_mut();
        let stream = node(world, "stream");
        let link = world.get::<WebTransportStatus>(stream).and_then(|status| status.viewer_link.clone());
        if let Some(link) = link.filter(|_| !linked) {
            linked = true;
            let watch = node(world, "watch");
            world.get_mut::<StreamInput>(watch).expect("it is one").link = link;
        }
        let waiting: Vec<String> = names
            .iter()
            .filter_map(|name| {
                let status = world.get::<NodeStatus>(node(world, name))?;
                // Without a headset it says so.
                if name == "eyewear" {
                    let says_so = status.error().is_some_and(|error| error.contains("without a headset"));
                    return (!says_so).then(|| format!("{name}: {status:?}"));
                }
                let runs = matches!(status, NodeStatus::Running { frames } if *frames > 0) || *status == NodeStatus::Ended;
                (!runs).then(|| format!("{name}: {status:?}"))
            })
            .collect();
        if waiting.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "these do not run:\n{}", waiting.join("\n"));
        std::thread::sleep(Duration::from_millis(5));
    }
}
