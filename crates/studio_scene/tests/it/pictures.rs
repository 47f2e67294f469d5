//! Pictures of stages: what people see.
//!
//! `USD_PICTURES=folder` keeps the pictures. `USD_GOLDEN=write` makes the golden ones anew: look at them before you commit them.

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
    look::{StageView, exposure},
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
    let root = show(app, path);
    if let Some(time) = time {
        *app.world_mut().get_mut::<UsdTime>(root).expect("a time") = UsdTime { time_code: time, playing: false, ..default() };
    }
    for _ in 0..3 {
        app.update();
    }
    let mut seen = bevy::ecs::system::SystemState::<(Query<&Children>, Query<(&Aabb, &GlobalTransform)>)>::new(app.world_mut());
    let (children, drawn) = seen.get(app.world()).expect("queries");
    let bounds = bounds_below(root, &children, &drawn).expect("something is drawn");
    let transform = frame(bounds, from, FOV_Y, SIZE.x as f32 / SIZE.y as f32);
    let mut cameras = app.world_mut().query_filtered::<&mut Transform, With<StageView>>();
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
    let views: [(&str, Vec3, Option<f64>); 8] = [
        ("full_assets/Teapot/Teapot.usd", Vec3::new(0.5, 0.5, 1.0), None),
        ("full_assets/OpenChessSet/assets/Pawn/Pawn.usd", Vec3::new(0.3, 0.4, 1.0), None),
        ("test_assets/TextureCoordinateTest/TextureCoordinateTest.usda", Vec3::Z, None),
        ("docs/PrimvarInterpolation/primvar_interpolation.usda", Vec3::Z, None),
        ("test_assets/AlphaBlendSortTest/AlphaBlendSortTest.usda", Vec3::new(0.1, 0.3, 1.0), None),
        ("test_assets/USDZ/CesiumMan/CesiumMan.usdz", Vec3::new(1.0, 0.3, 1.0), Some(20.0)),
        ("test_assets/TextureTransformTest/TextureTransformTest.usda", Vec3::Z, None),
        ("test_assets/USDZ/RoughnessTest/RoughnessTest.usdz", Vec3::Z, None),
    ];
    for (path, from, time) in views {
        if !corpus.join(path).exists() {
            println!("skipped: {path} absent");
            continue;
        }
        let picture = picture(&mut app, path, from, time);
        let share = drawn_share(&picture);
        assert!(share > 0.02, "{path}: {share} of the picture is drawn");
    }
}
