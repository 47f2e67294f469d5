//! Pictures of stages: what people see.
//!
//! `USD_PICTURES=folder` keeps the pictures. Those in `golden/` are of our own scenes: look at a new one before you put it there.

use super::*;
use bevy::{
    app::PluginsState,
    asset::RenderAssetUsages,
    camera::{RenderTarget, primitives::Aabb},
    core_pipeline::tonemapping::Tonemapping,
    log::LogPlugin,
    render::{
        RenderPlugin,
        gpu_readback::{Readback, ReadbackComplete},
        pipelined_rendering::PipelinedRenderingPlugin,
        render_resource::{TextureFormat, TextureUsages},
    },
    window::ExitCondition,
    winit::WinitPlugin,
};
use image::RgbaImage;
use studio_gpu::device::HeadlessGpu;
use studio_scene::{
    look::{EyeOf, StageView, exposure},
    stage::{UsdTime, bounds_below, frame},
};

/// A row of as many pixels needs no padding.
const SIZE: UVec2 = UVec2::new(320, 240);
const FOV_Y: f32 = 0.7;

#[derive(Resource)]
struct Target(Handle<Image>);

#[derive(Resource, Default)]
struct Taken(Option<Vec<u8>>);

/// An app that draws into a picture, if there is a GPU.
fn studio(folder: &Path) -> Option<App> {
    if let Err(error) = HeadlessGpu::open() {
        eprintln!("skipped: {error}");
        return None;
    }
    let mut app = App::new();
    app.add_plugins(
        DefaultPlugins
            .build()
            .disable::<WinitPlugin>()
            .disable::<PipelinedRenderingPlugin>()
            .disable::<LogPlugin>()
            .set(AssetPlugin { file_path: folder.display().to_string(), ..default() })
            .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
            .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() }),
    )
    .add_plugins(UsdPlugin)
    .init_resource::<Taken>()
    .insert_resource(ClearColor(Color::srgb(0.25, 0.3, 0.35)));
    while app.plugins_state() == PluginsState::Adding {
        std::thread::sleep(Duration::from_millis(1));
    }
    app.finish();
    app.cleanup();
    let mut image = Image::new_target_texture(SIZE.x, SIZE.y, TextureFormat::Rgba8UnormSrgb, None);
    image.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    image.asset_usage = RenderAssetUsages::default();
    let target = app.world_mut().resource_mut::<Assets<Image>>().add(image);
    app.insert_resource(Target(target.clone()));
    app.world_mut().spawn((
        Camera3d::default(),
        RenderTarget::Image(target.into()),
        Projection::Perspective(PerspectiveProjection { fov: FOV_Y, near: 0.001, ..default() }),
        Tonemapping::None,
        exposure(0.0),
        StageView,
        Msaa::Off,
    ));
    Some(app)
}

/// A picture of a stage from where all of it is seen.
fn picture(app: &mut App, path: &str, from: Vec3, time: Option<f64>) -> RgbaImage {
    picture_with(app, path, from, time, |_| {})
}

/// A picture of a stage loaded with settings.
fn picture_with(
    app: &mut App,
    path: &str,
    from: Vec3,
    time: Option<f64>,
    set: impl Fn(&mut UsdLoadSettings) + Send + Sync + 'static,
) -> RgbaImage {
    let root = show_with(app, path, set);
    if let Some(time) = time {
        *app.world_mut().get_mut::<UsdTime>(root).expect("a time") = UsdTime { time_code: time, playing: false, ..default() };
    }
    for _ in 0..3 {
        app.update();
    }
    let mut seen =
        bevy::ecs::system::SystemState::<(Query<&Children>, Query<(&Aabb, &GlobalTransform, &InheritedVisibility)>)>::new(
            app.world_mut(),
        );
    let (children, drawn) = seen.get(app.world()).expect("queries");
    let bounds = bounds_below(root, &children, &drawn).expect("something is drawn");
    let transform = frame(bounds, from, FOV_Y, SIZE.x as f32 / SIZE.y as f32);
    let mut cameras = app.world_mut().query_filtered::<&mut Transform, (With<StageView>, Without<EyeOf>)>();
    *cameras.single_mut(app.world_mut()).expect("one camera") = transform;
    for _ in 0..4 {
        app.update();
    }
    let target = app.world().resource::<Target>().0.clone();
    app.world_mut().resource_mut::<Taken>().0 = None;
    let reading = app
        .world_mut()
        .spawn(Readback::texture(target))
        .observe(|read: On<ReadbackComplete>, mut taken: ResMut<Taken>| taken.0 = Some(read.data.clone()))
        .id();
    run_until(app, "the picture", |world| world.resource::<Taken>().0.is_some());
    app.world_mut().despawn(reading);
    app.world_mut().despawn(root);
    let bytes = app.world_mut().resource_mut::<Taken>().0.take().expect("it was read");
    let picture = RgbaImage::from_raw(SIZE.x, SIZE.y, bytes).expect("a whole picture");
    if let Some(folder) = std::env::var_os("USD_PICTURES") {
        let name = Path::new(path).file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        picture.save(Path::new(&folder).join(format!("{name}.png"))).expect("a picture is saved");
    }
    picture
}

/// How many pixels are not the background.
fn drawn_share(picture: &RgbaImage) -> f32 {
    let background = *picture.get_pixel(0, 0);
    picture.pixels().filter(|pixel| **pixel != background).count() as f32 / (SIZE.x * SIZE.y) as f32
}

#[test]
fn the_corpus_is_seen() {
    let Some(corpus) = corpus() else { return };
    let Some(mut app) = studio(&corpus) else { return };
    let views: [(&str, Vec3, Option<f64>); 10] = [
        ("full_assets/Teapot/Teapot.usd", Vec3::new(0.5, 0.5, 1.0), None),
        ("full_assets/OpenChessSet/assets/Pawn/Pawn.usd", Vec3::new(0.3, 0.4, 1.0), None),
        ("test_assets/TextureCoordinateTest/TextureCoordinateTest.usda", Vec3::Z, None),
        ("docs/PrimvarInterpolation/primvar_interpolation.usda", Vec3::Z, None),
        // Three shadows that lie on the ground.
        ("test_assets/AlphaBlendSortTest/AlphaBlendSortTest.usda", Vec3::new(0.0, 1.0, 0.3), None),
        ("test_assets/USDZ/CesiumMan/CesiumMan.usdz", Vec3::new(1.0, 0.3, 1.0), Some(20.0)),
        ("test_assets/USDZ/RiggedSimple/RiggedSimple.usdz", Vec3::new(1.0, 0.3, 1.0), Some(20.0)),
        ("test_assets/TextureTransformTest/TextureTransformTest.usd", Vec3::Z, None),
        ("test_assets/RoughnessTest/RoughnessTest.usdz", Vec3::Z, None),
        ("full_assets/SubdivisionSurfaces/Creases_SpinningPyramids.usda", Vec3::new(0.2, 0.3, 1.0), Some(10.0)),
    ];
    for (path, from, time) in views {
        if !corpus.join(path).exists() {
            println!("skipped: {path} absent");
            continue;
        }
        let picture = picture_with(&mut app, path, from, time, |settings| settings.refine_level = 2);
        let share = drawn_share(&picture);
        assert!(share > 0.02, "{path}: {share} of the picture is drawn");
    }
}

/// A picture in four colours, so that what is turned or mirrored is seen: upper half red and blue, lower half green and yellow.
fn four_colors(folder: &Path, name: &str) {
    let picture = image::RgbImage::from_fn(64, 32, |x, y| {
        image::Rgb(match (x < 32, y < 16) {
            (true, true) => [200, 30, 30],
            (false, true) => [30, 30, 200],
            (true, false) => [30, 160, 30],
            (false, false) => [200, 200, 30],
        })
    });
    picture.save(folder.join(name)).expect("a picture is saved");
}

/// Whether a pixel has a colour, roughly.
fn is_near(picture: &RgbaImage, x: u32, y: u32, color: [u8; 3]) -> bool {
    let found = picture.get_pixel(x, y);
    found.0.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 24)
}

/// Compares a picture with the golden one. Drivers differ by a little; edges by one pixel.
fn assert_golden(name: &str, picture: &RgbaImage) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name);
    let golden = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgba8();
    assert_eq!(golden.dimensions(), picture.dimensions(), "{name}");
    let worst = |a: &image::Rgba<u8>, b: &image::Rgba<u8>| a.0.iter().zip(b.0).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0);
    let differences: Vec<u8> = golden.pixels().zip(picture.pixels()).map(|(a, b)| worst(a, b)).collect();
    let far = differences.iter().filter(|difference| **difference > 24).count() as f32 / differences.len() as f32;
    let mean = differences.iter().map(|difference| f32::from(*difference)).sum::<f32>() / differences.len() as f32;
    assert!(far < 0.01 && mean < 3.0, "{name}: {:.2} % of the pixels are other ones, mean difference {mean:.2}", far * 100.0);
}

#[test]
fn a_dome_with_a_picture_is_the_sky_and_lights_the_stage() {
    let folder = folder(&[("sky.usda", include_str!("scenes/sky.usda"))]);
    four_colors(folder.path(), "sky.png");
    let Some(mut app) = studio(folder.path()) else { return };
    let picture = picture(&mut app, "sky.usda", Vec3::Z, None);
    // The picture's edge is straight ahead, its left half to the right of it.
    assert!(is_near(&picture, 300, 20, [200, 30, 30]), "{:?}", picture.get_pixel(300, 20));
    assert!(is_near(&picture, 20, 20, [30, 30, 200]), "{:?}", picture.get_pixel(20, 20));
    assert!(is_near(&picture, 300, 220, [30, 160, 30]), "{:?}", picture.get_pixel(300, 220));
    assert!(is_near(&picture, 20, 220, [200, 200, 30]), "{:?}", picture.get_pixel(20, 220));
    assert_golden("sky.png", &picture);
}

#[test]
fn lights_look_as_they_did() {
    let folder = folder(&[("lights.usda", include_str!("scenes/lights.usda"))]);
    let Some(mut app) = studio(folder.path()) else { return };
    let picture = picture(&mut app, "lights.usda", Vec3::new(0.0, 0.9, 1.0), None);
    assert_golden("lights.png", &picture);
}

#[test]
fn surfaces_look_as_they_did() {
    let folder = folder(&[("surfaces.usda", include_str!("scenes/surfaces.usda"))]);
    four_colors(folder.path(), "four.png");
    let Some(mut app) = studio(folder.path()) else { return };
    let picture = picture(&mut app, "surfaces.usda", Vec3::Z, None);
    assert_golden("surfaces.png", &picture);
}
