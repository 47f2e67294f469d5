//! Reads bytes as a blueprint, checks it, writes it and reads it again: no panic, no hang, no unbounded memory, and what was
//! written says the same.

#![no_main]

use bevy::prelude::*;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use studio_graph::{
    blueprint::{check::check, problem::has_errors, read::read, spawn::spawn, write::write},
    prelude::*,
};

/// The graph's own kinds.
static KINDS: LazyLock<(AppTypeRegistry, DataTypes)> = LazyLock::new(|| {
    let mut app = App::new();
    app.add_plugins(GraphPlugin);
    (app.world().resource::<AppTypeRegistry>().clone(), app.world().resource::<DataTypes>().clone())
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let (blueprint, mut problems) = read(text);
    problems.extend(check(&blueprint, &KINDS.0.read(), &KINDS.1, None));
    let written = write(&blueprint);
    let (again, faults) = read(&written);
    assert_eq!(write(&again), written, "what is written is read as it was written");
    if !has_errors(&problems) {
        assert_eq!(faults, []);
        assert_eq!(again, blueprint);
        let mut app = App::new();
        app.add_plugins(GraphPlugin);
        let spawned = spawn(app.world_mut(), &blueprint, None);
        assert!(spawned.is_ok(), "what was checked can be spawned");
        app.update();
    }
});
