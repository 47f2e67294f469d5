//! What each pass takes, under several settings.

use crate::{
    app, finish, median, percentile_95, save_pictures,
    scene::{Eyes, Size, move_head, scene, set_eyes},
    stamps::Stamped,
};
use bevy::{
    core_pipeline::prepass::DepthPrepass,
    diagnostic::DiagnosticsStore,
    light::{CascadeShadowConfigBuilder, DirectionalLightShadowMap, ShadowFilteringMethod},
    prelude::*,
    render::{diagnostic::RenderDiagnosticsPlugin, renderer::RenderDevice},
};
use std::{collections::BTreeMap, path::Path};
use studio_scene::stereo::{Eye, SceneLook, SceneSamples, SceneShading, ShadowReuse};

/// A setting to measure: its name, the eyes' look, and what else is changed.
struct Variant {
    name: &'static str,
    look: SceneLook,
    eyes: Eyes,
    change: fn(&mut World),
}

fn variants() -> Vec<Variant> {
    let one = SceneLook { samples: SceneSamples::One, ..default() };
    let deferred = SceneLook { shading: SceneShading::Deferred, ..one };
    let look = |name, look, eyes| Variant { name, look, eyes, change: |_| () };
    let variant = |name, change: fn(&mut World)| Variant { name, look: one, eyes: Eyes::Two, change };
    vec![
        look("deferred, two eyes", deferred, Eyes::Two),
        look("deferred, one eye", deferred, Eyes::One),
        look("deferred, light in 16-bit floats", SceneLook { hdr: true, ..deferred }, Eyes::Two),
        Variant { name: "deferred, every shadow map in every frame", look: deferred, eyes: Eyes::Two, change: redraw },
        look("forward, two eyes, one sample", one, Eyes::Two),
        look("forward, one eye, one sample", one, Eyes::One),
        look("forward, two eyes, four samples", SceneLook::default(), Eyes::Two),
        variant("forward, every shadow map in every frame", redraw),
        look("forward, light in 16-bit floats", SceneLook { hdr: true, ..one }, Eyes::Two),
        variant("no shadows", |world| set_shadows(world, false, false, false)),
        variant("the sun's shadows alone", |world| set_shadows(world, true, false, false)),
        variant("the sun alone, with shadows", |world| {
            set_shadows(world, true, false, false);
            let lamps: Vec<Entity> =
                world.query_filtered::<Entity, Or<(With<PointLight>, With<SpotLight>)>>().iter(world).collect();
            lamps.into_iter().for_each(|lamp| {
                world.despawn(lamp);
            });
        }),
        variant("every shadow map in every frame, two cascades", |world| {
            redraw(world);
            let config = CascadeShadowConfigBuilder { num_cascades: 2, ..default() }.build();
            each::<DirectionalLight>(world, |light| {
                light.insert(config.clone());
            });
        }),
        variant("every shadow map in every frame, of 1024", |world| {
            redraw(world);
            world.insert_resource(DirectionalLightShadowMap { size: 1024 });
        }),
        variant("shadows filtered by 2×2", |world| {
            each::<Eye>(world, |eye| {
                eye.insert(ShadowFilteringMethod::Hardware2x2);
            });
        }),
        variant("depth first", |world| {
            each::<Eye>(world, |eye| {
                eye.insert(DepthPrepass);
            });
        }),
        variant("unlit materials", |world| {
            let mut materials = world.resource_mut::<Assets<StandardMaterial>>();
            let ids: Vec<_> = materials.ids().collect();
            for id in ids {
                if let Some(mut material) = materials.get_mut(id) {
                    material.unlit = true;
                }
            }
            set_shadows(world, false, false, false);
        }),
    ]
}

/// As it is without keeping shadow maps.
fn redraw(world: &mut World) {
    world.insert_resource(ShadowReuse { enabled: false, ..default() });
}

fn each<C: Component>(world: &mut World, change: impl Fn(&mut EntityWorldMut)) {
    let entities: Vec<Entity> = world.query_filtered::<Entity, With<C>>().iter(world).collect();
    entities.into_iter().for_each(|entity| change(&mut world.entity_mut(entity)));
}

fn set_shadows(world: &mut World, sun: bool, point: bool, spot: bool) {
    world.query::<&mut DirectionalLight>().iter_mut(world).for_each(|mut light| light.shadow_maps_enabled = sun);
    world.query::<&mut PointLight>().iter_mut(world).for_each(|mut light| light.shadow_maps_enabled = point);
    world.query::<&mut SpotLight>().iter_mut(world).for_each(|mut light| light.shadow_maps_enabled = spot);
}

/// Measures the variants and prints a table of each.
pub fn table(size: Size, pictures: Option<&Path>) -> Result {
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    for variant in variants() {
        if only.as_ref().is_some_and(|only| !variant.name.contains(only.as_str())) {
            continue;
        }
        let mut app = app();
        app.add_plugins(RenderDiagnosticsPlugin);
        finish(&mut app);
        scene(app.world_mut(), size, variant.look);
        // The rig makes its cameras in the first update.
        app.update();
        (variant.change)(app.world_mut());
        set_eyes(app.world_mut(), variant.eyes);
        run(&mut app, size, variant.name)?;
        if let Some(folder) = pictures {
            save_pictures(&mut app, folder, &variant.name.replace([' ', ','], "_"))?;
        }
    }
    Ok(())
}

fn run(app: &mut App, size: Size, name: &str) -> Result {
    let device = app.world().resource::<RenderDevice>().wgpu_device().clone();
    let stamped = app.world().resource::<Stamped>().clone();
    (0..4).for_each(|frame| {
        move_head(app.world_mut(), frame);
        app.update();
    });
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let mut intervals: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let frames = (size.frames / 4).max(5);
    for frame in 0..frames {
        move_head(app.world_mut(), frame);
        app.update();
        device.poll(wgpu::PollType::wait_indefinitely())?;
        // A frame that draws none of a light's shadows has no stamps of them.
        let mut sums: BTreeMap<&'static str, f64> = ["point shadows", "spot shadows"].map(|name| (name, 0.0)).into();
        for (name, ms) in stamped.read(&device).unwrap_or_default() {
            *sums.entry(name).or_default() += ms;
        }
        sums.into_iter().for_each(|(name, ms)| intervals.entry(name).or_default().push(ms));
    }
    println!("\n{name}");
    for (name, times) in intervals {
        println!("  {name:<34} {:>8.3} ms, {:>8.3} ms at worst of 95 %", median(times.clone()), percentile_95(times));
    }
    let store = app.world().resource::<DiagnosticsStore>();
    let mut passes: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for diagnostic in store.iter() {
        let path = diagnostic.path().as_str();
        let Some((pass, figure)) = path.strip_prefix("render/").and_then(|path| path.rsplit_once('/')) else { continue };
        // Both eyes' passes count as one pass: what came in during a frame belongs together.
        let values: Vec<f64> = diagnostic.measurements().map(|measurement| measurement.value).collect();
        let times: std::collections::BTreeSet<_> = diagnostic.measurements().map(|measurement| measurement.time).collect();
        if !times.is_empty() {
            passes.entry(pass.to_owned()).or_default().insert(figure.to_owned(), values.iter().sum::<f64>() / times.len() as f64);
        }
    }
    for (pass, figures) in passes {
        let figure = |name: &str| figures.get(name).copied();
        let Some(gpu_ms) = figure("elapsed_gpu") else { continue };
        let count = |name: &str| figure(name).map_or_else(String::new, |count| format!("{:>9.3} M", count / 1e6));
        println!(
            "  {pass:<34} {gpu_ms:>8.3} ms  vertices {}  triangles {} → {}  fragments {}",
            count("vertex_shader_invocations"),
            count("clipper_invocations"),
            count("clipper_primitives_out"),
            count("fragment_shader_invocations"),
        );
    }
    Ok(())
}
