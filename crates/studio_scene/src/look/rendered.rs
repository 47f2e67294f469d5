//! What Bevy draws, against what light should do: one app without a window, on any Vulkan device.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::look::{camera::Eyes, photometry, texture::Number};
use bevy::{
    camera::RenderTarget,
    image::Image,
    math::DVec3,
    pbr::StandardMaterial,
    render::{
        RenderPlugin,
        gpu_readback::{Readback, ReadbackComplete},
        pipelined_rendering::PipelinedRenderingPlugin,
        render_resource::{Extent3d, TextureDimension, TextureFormat, TextureUsages},
    },
    winit::WinitPlugin,
};
use half::f16;
use std::{
    io::Cursor,
    sync::{Arc, Mutex},
};
use studio_usd::snapshot::{
    self, InputSource, Light, LightKind, PreviewSurface, Sampled, TextureChannels, TextureColorSpace, TextureInput, TextureWrap,
};

const SIDE_PX: u32 = 32;
/// The stage is in centimetres.
const METERS_PER_UNIT: f64 = 0.01;

pub(super) fn light(kind: LightKind, intensity: f32) -> Light {
    Light {
        kind,
        intensity: intensity.into(),
        exposure: 0.0.into(),
        color: Vec3::ONE.into(),
        enable_color_temperature: false,
        color_temperature_k: 6500.0.into(),
        normalize: false,
        diffuse: 1.0,
        specular: 1.0,
        casts_shadows: false,
        shaping: None,
    }
}

pub(super) fn camera(focal_length: f32, film: Vec2) -> snapshot::Camera {
    snapshot::Camera {
        orthographic: false,
        focal_length: focal_length.into(),
        horizontal_aperture: film.x.into(),
        vertical_aperture: film.y.into(),
        horizontal_aperture_offset: 0.0.into(),
        vertical_aperture_offset: 0.0.into(),
        clipping_range: Vec2::new(1.0, 10_000.0).into(),
        f_stop: 0.0.into(),
        focus_distance: 0.0.into(),
        exposure: 0.0.into(),
        shutter: (0.0, 0.0),
        stereo_role: snapshot::StereoRole::Mono,
    }
}

pub(super) fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Arc<[u8]> {
    let picture = image::RgbaImage::from_fn(width, height, |x, y| image::Rgba(pixel(x, y)));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

pub(super) fn texture(name: &str, channels: TextureChannels) -> TextureInput {
    TextureInput {
        authored: name.to_owned(),
        resolved: name.to_owned(),
        channels,
        wrap_s: TextureWrap::Repeat,
        wrap_t: TextureWrap::Repeat,
        color_space: TextureColorSpace::Auto,
        scale: Vec4::ONE,
        bias: Vec4::ZERO,
        fallback: Vec4::new(0.0, 0.0, 0.0, 1.0),
        uv_primvar: "st".to_owned(),
        uv_transform: snapshot::UvTransform::default(),
    }
}

/// A quad of 4 m at the origin of a stage in centimetres, filmed head on from 3 m.
struct Studio {
    app: App,
    root: Entity,
    quad: Entity,
    prim: Entity,
    lamp: Entity,
    pixels: Arc<Mutex<Vec<u8>>>,
}

impl Studio {
    fn open() -> Self {
        let mut app = App::new();
        let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
        app.add_plugins(
            DefaultPlugins
                .build()
                .disable::<WinitPlugin>()
                .disable::<PipelinedRenderingPlugin>()
                .disable::<bevy::log::LogPlugin>()
                .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
                .set(window),
        );
        app.add_plugins(LookPlugin);
        app.insert_resource(DefaultLighting { is_enabled: false, ..default() });
        while app.plugins_state() == bevy::app::PluginsState::Adding {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        app.finish();
        app.cleanup();
        let size = Extent3d { width: SIDE_PX, height: SIDE_PX, depth_or_array_layers: 1 };
        let mut target = Image::new_uninit(size, TextureDimension::D2, TextureFormat::Rgba16Float, default());
        target.data = None;
        target.texture_descriptor.usage |= TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC;
        let world = app.world_mut();
        let target = world.resource_mut::<Assets<Image>>().add(target);
        let mesh = Mesh::from(Rectangle::new(400.0, 400.0)).with_generated_tangents().unwrap();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(mesh);
        let matt = display_material(false, false, false).material;
        let matt = StandardMaterial { base_color: Color::WHITE, ..matt };
        let matt = world.resource_mut::<Assets<StandardMaterial>>().add(matt);
        let root = world.spawn((Transform::from_scale(Vec3::splat(METERS_PER_UNIT as f32)), Visibility::default())).id();
        let quad = world.spawn((Mesh3d(mesh), MeshMaterial3d(matt), ChildOf(root))).id();
        let lamp = world.spawn((Transform::from_xyz(0.0, 0.0, 200.0), Visibility::default(), ChildOf(root))).id();
        let prim = world.spawn((Transform::from_xyz(0.0, 0.0, 300.0), Visibility::default(), ChildOf(root))).id();
        let options = CameraOptions { meters_per_unit: METERS_PER_UNIT, is_active: true, ..default() };
        insert_camera(&mut world.commands().entity(prim), &camera(50.0, Vec2::splat(20.0)), &options);
        world.flush();
        let eye = world.get::<Eyes>(prim).unwrap().iter().next().unwrap();
        world.entity_mut(eye).insert((RenderTarget::Image(target.clone().into()), Msaa::Off));
        world.get_mut::<Camera>(eye).unwrap().clear_color = ClearColorConfig::Custom(Color::BLACK);
        let pixels = Arc::new(Mutex::new(Vec::new()));
        let filled = pixels.clone();
        world.spawn(Readback::texture(target)).observe(move |read: On<ReadbackComplete>| {
            *filled.lock().unwrap() = read.data.clone();
        });
        Self { app, root, quad, prim, lamp, pixels }
    }

    fn light(&mut self, light: &Light, options: LightOptions) {
        let options = LightOptions { meters_per_unit: METERS_PER_UNIT, ..options };
        let world = self.app.world_mut();
        insert_light(&mut world.commands().entity(self.lamp), light, &options);
        world.flush();
    }

    fn wear(&mut self, material: StandardMaterial) {
        let world = self.app.world_mut();
        let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
        world.entity_mut(self.quad).insert(MeshMaterial3d(material));
    }

    /// The picture, after all changes have reached it.
    fn film(&mut self, name: &str) -> impl Fn(u32, u32) -> Vec3 + use<> {
        for _ in 0..8 {
            self.app.update();
        }
        let bytes = self.pixels.lock().unwrap().clone();
        assert!(!bytes.is_empty(), "nothing was read back");
        // Rows are padded to 256 bytes, which 32 pixels of 8 bytes are.
        let pixel = move |x: u32, y: u32| {
            let at = ((y * SIDE_PX + x) * 8) as usize;
            let channel = |index: usize| f16::from_le_bytes([bytes[at + 2 * index], bytes[at + 2 * index + 1]]).to_f32();
            Vec3::new(channel(0), channel(1), channel(2))
        };
        if let Ok(folder) = std::env::var("STUDIO_SCENE_PICTURES") {
            let byte = |value: f32| (texture::srgb_from_linear(value.clamp(0.0, 1.0)) * 255.0 + 0.5) as u8;
            let picture = image::RgbImage::from_fn(SIDE_PX, SIDE_PX, |x, y| image::Rgb(pixel(x, y).to_array().map(byte)));
            picture.save(format!("{folder}/{name}.png")).unwrap();
        }
        pixel
    }

    fn middle(&mut self, name: &str) -> Vec3 {
        self.film(name)(SIDE_PX / 2, SIDE_PX / 2)
    }
}

fn assert_close(what: &str, value: f32, expected: f64, tolerance: f64) {
    assert!((f64::from(value) - expected).abs() <= tolerance * expected.abs(), "{what}: {value} rather than {expected}");
}

/// Illuminance in lux below the middle of a rectangle of 1 nit: the integral of cos² / r² over it.
fn facing_rectangle_lx(width: f64, height: f64, distance: f64) -> f64 {
    const STEPS: i32 = 100;
    let step = DVec3::new(width, height, 0.0) / f64::from(STEPS);
    let mut sum = 0.0;
    for x in 0..STEPS {
        for y in 0..STEPS {
            let at =
                DVec3::new((f64::from(x) + 0.5) * step.x - width / 2.0, (f64::from(y) + 0.5) * step.y - height / 2.0, distance);
            let cos = distance / at.length();
            sum += cos * cos / at.length_squared();
        }
    }
    sum * step.x * step.y
}

#[test]
fn pictures_are_as_bright_as_light_is() {
    let mut studio = Studio::open();
    // A white, matt surface has the luminance E / π, and a camera without exposure shows 1 nit as 1.
    let ball = LightKind::Sphere { radius: 5.0, treat_as_point: false };
    studio.light(&light(ball.clone(), 1000.0), LightOptions::default());
    assert_close("ball", studio.middle("ball").x, 1000.0 * 0.000_625, 0.01);
    // The same, but in a prim that is scaled by two: four times the area.
    let lamp = studio.lamp;
    studio.app.world_mut().get_mut::<Transform>(lamp).unwrap().scale = Vec3::splat(2.0);
    assert_close("scaled ball", studio.middle("scaled-ball").x, 4.0 * 1000.0 * 0.000_625, 0.01);
    studio.app.world_mut().get_mut::<Transform>(lamp).unwrap().scale = Vec3::ONE;

    // A cone of 20° leaves the middle as bright, and the corner (at 38°) dark.
    let shaping = snapshot::LightShaping { cone_angle_deg: 10.0, cone_softness: 0.2, focus: 0.0, ies_file: String::new() };
    studio.light(&Light { shaping: Some(shaping), ..light(ball.clone(), 1000.0) }, LightOptions::default());
    let picture = studio.film("cone");
    assert_close("cone", picture(16, 16).x, 0.625, 0.01);
    assert!(picture(0, 0).x < 0.01, "beyond the cone there is {}", picture(0, 0).x);

    let rect = LightKind::Rect { width: 100.0, height: 50.0, texture: String::new() };
    studio.light(&light(rect.clone(), 10.0), LightOptions::default());
    let expected = 10.0 * facing_rectangle_lx(1.0, 0.5, 2.0) / std::f64::consts::PI;
    assert_close("rectangle", studio.middle("rectangle").x, expected, 0.03);
    studio.light(&light(rect, 10.0), LightOptions { area_lights: AreaLights::Spot, ..default() });
    assert_close("rectangle as a spot", studio.middle("rectangle-spot").x, 10.0 * 0.5 / 4.0 / std::f64::consts::PI, 0.03);
    studio.light(&light(LightKind::Disk { radius: 30.0 }, 20.0), LightOptions::default());
    // Below the middle of a disk: E = π L r² / (r² + d²).
    assert_close("disk", studio.middle("disk").x, 20.0 * 0.09 / (0.09 + 4.0), 0.03);

    let sun = Light {
        exposure: 1.0.into(),
        color: Vec3::new(1.0, 0.5, 0.25).into(),
        ..light(LightKind::Distant { angle_deg: 0.0 }, 1.0)
    };
    studio.light(&sun, LightOptions::default());
    let lit = studio.middle("sun") * std::f32::consts::PI;
    assert!(lit.abs_diff_eq(Vec3::new(2.0, 1.0, 0.5), 0.02), "sun: {lit}");
    // Values over time.
    let mut brightening = sun.clone();
    brightening.intensity = Sampled { samples: vec![(0.0, 0.0), (10.0, 1.0)], ..default() };
    studio.light(&brightening, LightOptions::default());
    assert!(studio.middle("sunrise-0").x < 1e-3);
    let mut usd_light = studio.app.world_mut().get_mut::<UsdLight>(lamp).unwrap();
    UsdLight::set_time(&mut usd_light, 5.0);
    assert_close("half of the sunrise", studio.middle("sunrise-5").x, 1.0 / std::f64::consts::PI, 0.01);
    // The camera's exposure counts in stops, down here.
    let prim = studio.prim;
    studio.app.world_mut().get_mut::<UsdCamera>(prim).unwrap().camera.exposure = (-1.0).into();
    assert_close("a stop less", studio.middle("stop").x, 0.5 / std::f64::consts::PI, 0.01);
    studio.app.world_mut().get_mut::<UsdCamera>(prim).unwrap().camera.exposure = 0.0.into();

    // A sky of one colour.
    let dome = |texture: &str| LightKind::Dome {
        texture: texture.to_owned(),
        texture_format: "automatic".to_owned(),
        pole_is_stage_up: false,
    };
    studio.light(&light(dome(""), 0.5), LightOptions::default());
    assert_close("plain sky", studio.middle("sky-plain").x, 0.5, 0.02);

    sky_pictures(&mut studio, &light(dome("sky.png"), 0.5));
    textured_quad(&mut studio);
    headlight(&mut studio);
}

/// A sky with a picture: +Z half of it is white, -X quarter red, the rest black; it lights and is seen.
fn sky_pictures(studio: &mut Studio, sky: &Light) {
    // The middle of the picture is +Z, a quarter from the left is +X, three quarters -X.
    let bytes = png(128, 64, |x, _| match x {
        32..96 => [255; 4],
        96..112 => [255, 0, 0, 255],
        _ => [0, 0, 0, 255],
    });
    let source = move |_: &str| Ok(Some(bytes.clone()));
    let baker = TextureBaker::new(Arc::new(source), TextureOptions::default());
    let dome = dome_light(sky, 0.0, snapshot::UpAxis::Y).unwrap();
    let baked = bake_dome(&baker, &dome, &DomeOptions { max_face_px: 64, specular_px: 16, samples: 8 }).unwrap();
    let world = studio.app.world_mut();
    let maps =
        world.resource_scope(|_, mut images: Mut<Assets<Image>>| baked.into_maps("Dome", &mut |_, image| images.add(image)));
    studio.light(sky, LightOptions::default());
    // A light that is made anew has none.
    studio.app.world_mut().entity_mut(studio.lamp).insert(maps);
    // The quad faces +Z and gathers the white half, but for what the red part adds.
    assert_close("sky with a picture", studio.middle("sky-lit").y, 0.5, 0.15);
    // Look past the quad: it is in the way only of -Z.
    let (prim, quad) = (studio.prim, studio.quad);
    studio.app.world_mut().entity_mut(quad).insert(Visibility::Hidden);
    for (direction, expected, name) in [
        (Vec3::Z, Vec3::splat(0.5), "sky-z"),
        (Vec3::NEG_Z, Vec3::ZERO, "sky-minus-z"),
        (Vec3::new(-1.0, 0.0, -0.3), Vec3::new(0.5, 0.0, 0.0), "sky-minus-x"),
        (Vec3::new(1.0, 0.0, -0.3), Vec3::ZERO, "sky-x"),
    ] {
        *studio.app.world_mut().get_mut::<Transform>(prim).unwrap() =
            Transform::from_xyz(0.0, 0.0, 300.0).looking_to(direction, Vec3::Y);
        let seen = studio.middle(name);
        assert!(seen.abs_diff_eq(expected, 0.02), "towards {direction}: {seen} rather than {expected}");
    }
    // A turned dome: what was at +Z is at +X.
    *studio.app.world_mut().get_mut::<Transform>(prim).unwrap() =
        Transform::from_xyz(0.0, 0.0, 300.0).looking_to(Vec3::X, Vec3::Y);
    studio.app.world_mut().get_mut::<Transform>(studio.lamp).unwrap().rotation = Quat::from_rotation_y(90_f32.to_radians());
    let seen = studio.middle("sky-turned");
    assert!(seen.abs_diff_eq(Vec3::splat(0.5), 0.02), "a turned sky: {seen}");
    let world = studio.app.world_mut();
    *world.get_mut::<Transform>(prim).unwrap() = Transform::from_xyz(0.0, 0.0, 300.0);
    *world.get_mut::<Transform>(studio.lamp).unwrap() = Transform::from_xyz(0.0, 0.0, 200.0);
    world.entity_mut(studio.lamp).remove::<DomeMaps>();
    world.entity_mut(quad).insert(Visibility::Inherited);
}

/// A picture on the quad stands upright, and a normal map's green points up.
fn textured_quad(studio: &mut Studio) {
    let colors = png(64, 64, |x, y| match (x < 32, y < 32) {
        (true, true) => [255, 0, 0, 255],
        (false, true) => [0, 255, 0, 255],
        (true, false) => [0, 0, 255, 255],
        (false, false) => [188, 188, 188, 255],
    });
    // Up by 45°: (0, 1, 1) / √2.
    let up = png(2, 2, |_, _| [128, 218, 218, 255]);
    let source = move |name: &str| Ok(Some(if name == "up.png" { up.clone() } else { colors.clone() }));
    let baker = TextureBaker::new(Arc::new(source), TextureOptions::default());
    let mut set = TextureSet::default();
    let mut wear = |studio: &mut Studio, surface: PreviewSurface| {
        let material = snapshot::Material { surface: Some(surface), left_out: Vec::new() };
        let options =
            MaterialOptions { double_sided: false, uv_channel: &|_| Some(bevy::mesh::UvChannel::Uv0), has_primvar: &|_| false };
        let mut made = super::material(&material, &options);
        let notes = studio
            .app
            .world_mut()
            .resource_scope(|_, mut images: Mut<Assets<Image>>| made.finish(&mut set, &baker, &mut |_, image| images.add(image)));
        assert!(notes.is_empty() && made.textures.is_empty(), "{notes:?}");
        studio.wear(made.material);
    };
    // Rough, and without a highlight: what is left is the diffuse part.
    let matt = PreviewSurface { use_specular_workflow: true, roughness: 1.0.into(), ..default() };
    let mut surface = matt.clone();
    surface.diffuse_color.source = Some(InputSource::Texture(texture("colors.png", TextureChannels::Rgb)));
    wear(studio, surface.clone());
    studio.light(&light(LightKind::Distant { angle_deg: 0.0 }, std::f32::consts::PI), LightOptions::default());
    let picture = studio.film("textured");
    for (x, y, expected) in
        [(4, 4, Vec3::X), (27, 4, Vec3::Y), (4, 27, Vec3::Z), (27, 27, Vec3::splat(texture::linear_from_srgb(188.0 / 255.0)))]
    {
        assert!(picture(x, y).abs_diff_eq(expected, 0.02), "at {x}, {y}: {} rather than {expected}", picture(x, y));
    }

    let mut surface = matt;
    surface.diffuse_color = Vec3::ONE.into();
    let mut normal = texture("up.png", TextureChannels::Rgb);
    (normal.scale, normal.bias, normal.color_space) = (Vec4::splat(2.0), Vec4::splat(-1.0), TextureColorSpace::Raw);
    surface.normal = Some(normal);
    wear(studio, surface);
    let world = studio.app.world_mut();
    // From above and in front: head on for a normal that points up by 45°.
    *world.get_mut::<Transform>(studio.lamp).unwrap() = Transform::from_xyz(0.0, 100.0, 100.0).looking_at(Vec3::ZERO, Vec3::Y);
    // Bevy's diffuse lobe is brighter or darker by a few percent away from the normal.
    assert_close("a normal that points up", studio.middle("normal-up").x, 1.0, 0.1);
    *studio.app.world_mut().get_mut::<Transform>(studio.lamp).unwrap() =
        Transform::from_xyz(0.0, -100.0, 100.0).looking_at(Vec3::ZERO, Vec3::Y);
    let below = studio.middle("normal-up-lit-from-below").x;
    assert!(below < 0.02, "lit from below a normal that points up is dark, not {below}");
}

/// A stage without lights is lit from the camera, and no more once there is a light.
fn headlight(studio: &mut Studio) {
    let matt = StandardMaterial { base_color: Color::WHITE, ..display_material(false, false, false).material };
    studio.wear(matt);
    let lamp = studio.lamp;
    let world = studio.app.world_mut();
    remove_light(&mut world.commands().entity(lamp));
    world.flush();
    world.insert_resource(DefaultLighting { ambient_nits: 0.0, ..default() });
    assert_close("headlight", studio.middle("headlight").x, 0.9, 0.02);
    studio.app.world_mut().resource_mut::<DefaultLighting>().ambient_nits = 0.1;
    assert_close("headlight and ambient light", studio.middle("headlight-ambient").x, 1.0, 0.02);
    studio.light(&light(LightKind::Distant { angle_deg: 0.0 }, 0.0), LightOptions::default());
    let dark = studio.middle("headlight-off").x;
    assert!(dark < 1e-3, "with a light of its own, even a dark one, there is no headlight: {dark}");
    assert!(studio.app.world().get_entity(studio.root).is_ok());
}

#[test]
fn numbers_of_recipes_are_equal_bit_by_bit() {
    assert_eq!(Number::new(-0.0), Number::new(0.0));
    assert_eq!(Number::new(f32::NAN), Number::new(0.0));
    assert!(photometry::BRIGHTEST < f64::from(f32::MAX));
}
