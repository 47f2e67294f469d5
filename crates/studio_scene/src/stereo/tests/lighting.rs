//! Pictures of lit scenes: however they are shaded, and whether or not their shadow maps are kept, they show the same.

use super::*;

impl Studio {
    /// A floor, objects of several materials, and a sun and two lamps with shadows.
    fn lit_scene(&mut self) -> Entity {
        let world = self.app.world_mut();
        let floor = world.resource_mut::<Assets<Mesh>>().add(Plane3d::default().mesh().size(30.0, 30.0).build());
        let ball = world.resource_mut::<Assets<Mesh>>().add(small_sphere(0.6));
        let cube = world.resource_mut::<Assets<Mesh>>().add(Cuboid::from_length(0.9));
        let mut add = |material: StandardMaterial| world.resource_mut::<Assets<StandardMaterial>>().add(material);
        let grey = add(StandardMaterial { base_color: Color::srgb(0.5, 0.5, 0.5), ..default() });
        let materials = [
            StandardMaterial { base_color: Color::srgb(0.8, 0.2, 0.1), perceptual_roughness: 0.3, ..default() },
            StandardMaterial { base_color: Color::srgb(0.9, 0.7, 0.3), metallic: 1.0, perceptual_roughness: 0.4, ..default() },
            StandardMaterial { base_color: Color::srgb(0.1, 0.3, 0.8), emissive: LinearRgba::rgb(0.0, 40.0, 10.0), ..default() },
            StandardMaterial { base_color: Color::srgb(0.2, 0.9, 0.6), unlit: true, ..default() },
            StandardMaterial { base_color: Color::srgba(0.9, 0.9, 0.2, 0.5), alpha_mode: AlphaMode::Blend, ..default() },
            // What a G-buffer cannot hold.
            StandardMaterial { specular_tint: Color::srgb(1.0, 0.2, 0.2), perceptual_roughness: 0.2, ..default() },
        ]
        .map(add);
        world.spawn((Mesh3d(floor), MeshMaterial3d(grey), Transform::from_xyz(0.0, -1.0, -5.0)));
        for (index, material) in materials.into_iter().enumerate() {
            let place = Transform::from_xyz(index as f32 * 1.1 - 2.75, -0.3 + 0.2 * (index % 2) as f32, -4.5);
            let mesh = if index % 2 == 0 { ball.clone() } else { cube.clone() };
            world.spawn((Mesh3d(mesh), MeshMaterial3d(material), place.with_rotation(Quat::from_rotation_y(0.5))));
        }
        let moving = add_cube(world, cube, Transform::from_xyz(0.0, 0.9, -4.0));
        let sun = DirectionalLight { illuminance: 2000.0, shadow_maps_enabled: true, ..default() };
        world.spawn((sun, Transform::default().looking_to(Vec3::new(-1.0, -2.0, -1.0), Vec3::Y)));
        let lamp = PointLight { intensity: 200_000.0, shadow_maps_enabled: true, ..default() };
        world.spawn((lamp, Transform::from_xyz(1.5, 2.0, -3.0)));
        let spot = SpotLight { intensity: 400_000.0, shadow_maps_enabled: true, outer_angle: 0.5, ..default() };
        world.spawn((spot, Transform::from_xyz(-3.0, 3.0, -1.0).looking_at(Vec3::new(-1.0, -1.0, -5.0), Vec3::Y)));
        moving
    }

    /// In the render world: how many shadow maps cameras will draw, and how many lamps.
    fn shadow_maps_drawn(&mut self) -> (usize, usize) {
        let render = self.app.get_sub_app_mut(RenderApp).expect("a GPU").world_mut();
        let cascades =
            render.query_filtered::<&ViewLightEntities, With<FilmsFor>>().iter(render).map(|view| view.lights.len()).sum();
        let lamps = render.query::<&bevy::core_pipeline::schedule::RootNonCameraView>().iter(render).count();
        (cascades, lamps)
    }
}

fn add_cube(world: &mut World, cube: Handle<Mesh>, place: Transform) -> Entity {
    let white = world.resource_mut::<Assets<StandardMaterial>>().add(Color::WHITE);
    world.spawn((Mesh3d(cube), MeshMaterial3d(white), place)).id()
}

#[test]
fn surfaces_lit_by_compute_look_as_those_lit_where_they_are_drawn() {
    let mut studio = Studio::new();
    studio.lit_scene();
    let size = UVec2::new(480, 320);
    for (name, hdr) in [("", false), ("_float", true)] {
        let background = Color::srgb(0.2, 0.3, 0.5);
        let forward = SceneLook { background, hdr, ..default() };
        let views = [SceneShading::Forward, SceneShading::Deferred].map(|shading| {
            // Lit by compute, a pixel has one sample without being told.
            let samples = if shading == SceneShading::Forward { SceneSamples::One } else { SceneSamples::default() };
            studio.node(SceneView { size, look: SceneLook { shading, samples, ..forward }, ..default() })
        });
        let pictures = studio.film(&[(views[0], "frame"), (views[1], "frame")]);
        pictures[0].save(&format!("forward{name}"));
        pictures[1].save(&format!("deferred{name}"));
        let same = pictures[0].psnr(&pictures[1]);
        println!("deferred{name} against forward: {same:.1} dB");
        assert!(same > 42.0, "{same} dB");
        let render = studio.app.get_sub_app_mut(RenderApp).expect("a GPU").world_mut();
        let passes = render.query::<&deferred::LightPass>().iter(render).count();
        assert_eq!(passes, 1, "one of the two is lit by compute");
        views.into_iter().for_each(|view| {
            studio.app.world_mut().despawn(view);
        });
        studio.app.update();
    }
}

#[test]
fn shadow_maps_are_kept_while_nothing_moves_and_drawn_when_something_does() {
    let mut studio = Studio::new();
    let cube = studio.lit_scene();
    let size = UVec2::new(240, 160);
    let projection = SceneProjection::StereoFlat { packing: StereoPacking::TwoPictures };
    let view = studio.node(SceneView { size, projection, look: look(), ..default() });
    let outputs = [(view, "left"), (view, "right")];
    studio.film(&outputs);
    let rests = (0..40).any(|_| {
        studio.app.update();
        studio.shadow_maps_drawn() == (0, 0)
    });
    assert!(rests, "nothing moves, yet {:?} maps are drawn", studio.shadow_maps_drawn());
    let before = studio.film(&outputs);
    studio.app.world_mut().get_mut::<Transform>(cube).expect("placed").translation.x -= 1.5;
    studio.app.update();
    assert_eq!(studio.shadow_maps_drawn(), (4, 7), "the sun's cascades, the lamp's six sides and the spot's");
    let kept = studio.film(&outputs);
    studio.app.insert_resource(ShadowReuse { enabled: false, ..default() });
    studio.app.update();
    assert_eq!(studio.shadow_maps_drawn(), (4, 7));
    let fresh = studio.film(&outputs);
    for (index, name) in ["kept_left", "kept_right"].into_iter().enumerate() {
        kept[index].save(name);
        fresh[index].save(&name.replace("kept", "fresh"));
        let (same, other) = (kept[index].psnr(&fresh[index]), kept[index].psnr(&before[index]));
        println!("{name}: {same:.1} dB against maps drawn anew, {other:.1} dB against before");
        assert!(same > 35.0 && same > other + 10.0, "{same} dB, {other} dB");
    }
}
