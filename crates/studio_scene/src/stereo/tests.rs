//! Pictures of small scenes, measured.

mod lighting;

use super::*;
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::{
    app::PluginsState, camera::visibility::RenderLayers, pbr::ViewLightEntities, render::RenderPlugin,
    render::pipelined_rendering::PipelinedRenderingPlugin, winit::WinitPlugin,
};
use core::f32::consts::{PI, TAU};
use std::sync::Arc;
use studio_frame::prelude::*;
use studio_gpu::{
    picture::GpuPicture,
    readback::{ReadbackRing, read_rgba},
    yuv::YuvPass,
};
use studio_graph::link::connect;
use studio_vision::{nodes::Stitch, stitch::StitchSettings};

/// Delivers what a test puts on its pin.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Feed;

impl NodeKind for Feed {
    const DISPLAY_NAME: &'static str = "Feed";
    const CATEGORY: &'static str = "Test";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

/// Notes the stamps that come.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Note {
    #[reflect(ignore)]
    seen: Arc<std::sync::Mutex<Vec<FrameStamp>>>,
}

impl NodeKind for Note {
    const DISPLAY_NAME: &'static str = "Note";
    const CATEGORY: &'static str = "Test";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME)]
    }
}

fn run_note(In(run): In<GpuNodeRun>, notes: Res<NodeSettings<Note>>) -> Result {
    notes.of(run.node).seen.lock().expect("not poisoned").push(run.input("frame")?.stamp);
    Ok(())
}

struct Picture {
    size: UVec2,
    rgba: Vec<u8>,
    frame: GpuFrame,
}

impl Picture {
    fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let start = ((y * self.size.x + x) * 4) as usize;
        [self.rgba[start], self.rgba[start + 1], self.rgba[start + 2]]
    }

    fn save(&self, name: &str) {
        if let Some(folder) = std::env::var_os("STUDIO_TEST_PICTURES") {
            let path = std::path::Path::new(&folder).join(format!("{name}.png"));
            image::save_buffer(path, &self.rgba, self.size.x, self.size.y, image::ColorType::Rgba8).expect("writes");
        }
    }

    /// The centre of what is bright in a channel within a rectangle, in pixels from its left and top edges.
    fn centroid(&self, min: UVec2, max: UVec2, channel: usize) -> Option<Vec2> {
        let (mut sum, mut weight) = (Vec2::ZERO, 0.0);
        for y in min.y..max.y.min(self.size.y) {
            for x in min.x..max.x.min(self.size.x) {
                let bright = f32::from(self.at(x, y)[channel]);
                // What is stored is gamma-coded; a covered share of a pixel is a share of its light.
                let light = (bright / 255.0).powf(2.2);
                sum += Vec2::new(x as f32 + 0.5, y as f32 + 0.5) * light;
                weight += light;
            }
        }
        (weight > 0.05).then(|| sum / weight)
    }

    fn psnr(&self, other: &Self) -> f64 {
        assert_eq!(self.size, other.size);
        let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
        let error: f64 = self.rgba.iter().zip(&other.rgba).map(square).sum::<f64>() / self.rgba.len() as f64;
        10.0 * (255.0_f64.powi(2) / error.max(1e-9)).log10()
    }
}

struct Studio {
    app: App,
}

impl Studio {
    fn new() -> Self {
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
        )
        .insert_resource(StudioClock::Offline)
        .add_plugins((GraphPlugin, StudioGpuPlugin, studio_vision::nodes::StudioVisionPlugin, SceneViewPlugin))
        .register_node::<Feed>()
        .add_gpu_node::<Note, _>(run_note);
        while app.plugins_state() == PluginsState::Adding {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        app.finish();
        app.cleanup();
        app.insert_resource(GlobalAmbientLight::NONE);
        Self { app }
    }

    fn node(&mut self, node: impl Bundle) -> Entity {
        let node = self.app.world_mut().spawn((node, Watched)).id();
        self.app.world_mut().flush();
        node
    }

    fn link(&mut self, from: (Entity, &str), to: (Entity, &str)) {
        connect(self.app.world_mut(), from.0, from.1, to.0, to.1).expect("links");
    }

    fn pin(&self, node: Entity, output: &str) -> PinFrame {
        let world = self.app.world();
        let pins = world.get::<Pins>(node).expect("a node");
        let pin = pins
            .iter()
            .find(|pin| world.get::<Pin>(*pin).is_some_and(|pin| pin.name == output && pin.direction == PinDirection::Output));
        world.get::<PinFrame>(pin.expect("an output")).cloned().expect("of frames")
    }

    fn gpu(&self) -> (wgpu::Device, wgpu::Queue) {
        let device = self.app.world().resource::<RenderDevice>().wgpu_device().clone();
        let queue = (**self.app.world().resource::<RenderQueue>().0).clone();
        (device, queue)
    }

    /// Updates until each output has had some frames, and reads the last ones.
    fn film(&mut self, outputs: &[(Entity, &str)]) -> Vec<Picture> {
        self.app.update();
        let pins: Vec<PinFrame> = outputs.iter().map(|(node, output)| self.pin(*node, output)).collect();
        // Shaders are loaded in the background, and the first pictures may lack what was not on the GPU yet.
        for _ in 0..1000 {
            self.app.update();
            let newest = |pin: &PinFrame| pin.get().map_or(0, |frame| frame.stamp.frame_id);
            if pins.iter().all(|pin| newest(pin) >= 3) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let (device, queue) = self.gpu();
        let status: Vec<String> =
            outputs.iter().map(|(node, _)| format!("{:?}", self.app.world().get::<NodeStatus>(*node))).collect();
        assert!(status.iter().all(|status| !status.contains("Failed")), "{status:?}");
        pins.iter()
            .map(|pin| {
                let frame = pin.get().unwrap_or_else(|| panic!("no picture came: {status:?}"));
                let rgba = read_rgba(&device, &queue, &frame.picture.planes[0]).expect("read back");
                Picture { size: frame.picture.size, rgba, frame }
            })
            .collect()
    }

    /// A picture on a feed's pin, from a function of the pixel.
    fn feed(
        &mut self,
        feed: Entity,
        size: UVec2,
        (projection, stereo): (PictureProjection, StereoLayout),
        stamp: FrameStamp,
        color: impl Fn(u32, u32) -> [u8; 3],
    ) {
        let (device, queue) = self.gpu();
        let pixel = |index: u32| {
            let [r, g, b] = color(index % size.x, index / size.x);
            [r, g, b, 255]
        };
        let data: Vec<u8> = (0..size.x * size.y).flat_map(pixel).collect();
        let frame = VideoFrame::from_packed(stamp, PixelFormat::Rgba8, size, ColorInfo::default(), data.into()).expect("whole");
        let picture = GpuPicture::for_upload(&device, &frame).expect("small");
        picture.upload(&queue, &frame);
        self.pin(feed, "frame").set(GpuFrame { picture: Arc::new(picture), stamp, projection, stereo });
    }

    /// An object that shows one colour whatever the light.
    fn object(&mut self, mesh: impl Into<Mesh>, place: Transform, color: Color) -> Entity {
        let world = self.app.world_mut();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(mesh.into());
        let material = StandardMaterial { base_color: color, unlit: true, ..default() };
        let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
        world.spawn((Mesh3d(mesh), MeshMaterial3d(material), place)).id()
    }
}

/// Exact colours, and no more work than needed.
fn look() -> SceneLook {
    SceneLook { tone_mapping: SceneToneMapping::None, ..default() }
}

fn small_sphere(radius: f32) -> Mesh {
    Sphere::new(radius).mesh().ico(3).expect("few triangles")
}

#[test]
fn a_flat_view_is_upright_and_reaches_what_depends_on_it_in_the_same_update() {
    let mut studio = Studio::new();
    studio.object(Cuboid::from_length(1.0), Transform::from_xyz(-1.5, 0.0, -5.0), Color::srgb(1.0, 0.0, 0.0));
    studio.object(Cuboid::from_length(1.0), Transform::from_xyz(0.0, 1.5, -5.0), Color::srgb(0.0, 1.0, 0.0));
    let view = studio.node(SceneView { size: UVec2::new(320, 320), look: look(), fps: 25.0, ..default() });
    let note = Note::default();
    let seen = note.seen.clone();
    let note = studio.node(note);
    studio.link((view, "frame"), (note, "frame"));
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("flat");
    // Half of the picture is 5 · tan 30° = 2.887 m at the objects' distance; their front is at 4.5 m.
    let expected = 160.0 - 1.5 / (4.5 * 30_f32.to_radians().tan()) * 160.0;
    let red = picture.centroid(UVec2::ZERO, picture.size, 0).expect("red");
    assert!((red.x - expected).abs() < 6.0 && (red.y - 160.0).abs() < 1.5, "red is at {red}, not at {expected}");
    let green = picture.centroid(UVec2::ZERO, picture.size, 1).expect("green");
    assert!((green.y - expected).abs() < 6.0 && (green.x - 160.0).abs() < 1.5, "green is at {green}");
    assert_eq!(picture.at(red.x as u32, 160), [255, 0, 0], "exact colours without tone mapping");
    assert!(matches!(picture.frame.projection, PictureProjection::Rectilinear { fov_deg } if (fov_deg - 60.0).abs() < 0.01));
    // Every picture reached the node behind the view in the update in which it was made, and in order.
    let seen = seen.lock().expect("not poisoned").clone();
    assert_eq!(seen.last().map(|stamp| stamp.frame_id), Some(picture.frame.stamp.frame_id));
    assert!(seen.iter().enumerate().all(|(index, stamp)| stamp.frame_id == index as u64), "{seen:?}");
    assert!(seen.iter().all(|stamp| stamp.pts.as_micros() == stamp.frame_id * 40_000), "offline, times are exact");
    // What the encoder does with it.
    let (device, queue) = studio.gpu();
    let pass = YuvPass::new(&device, &queue, PixelFormat::Nv12, picture.size, ColorInfo::BT709);
    let ring = ReadbackRing::new(&device, "test", pass.bytes(), 1);
    let slot = ring.acquire().expect("free");
    let mut encoder = device.create_command_encoder(&Default::default());
    pass.encode(&device, &mut encoder, &picture.frame.picture, slot.buffer());
    queue.submit([encoder.finish()]);
    let (sender, receiver) = queue::queue(1, QueuePolicy::Block);
    slot.deliver(move |bytes| {
        sender.send(bytes);
    });
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the GPU finishes");
    let planes =
        pass.layout().frame(picture.frame.stamp, receiver.try_recv().expect("delivered").expect("mapped")).expect("planes");
    let luma = f32::from(planes.row(0, 160)[red.x as usize]);
    assert!((luma - (16.0 + 219.0 * 0.2126)).abs() < 2.0, "the luma of red is {luma}");
}

use studio_frame::queue;

#[test]
fn a_picture_that_comes_in_sets_the_pace_and_its_stamp_goes_out_in_the_same_update() {
    let mut studio = Studio::new();
    let feed = studio.node(Feed);
    let view = studio.node(SceneView { size: UVec2::splat(32), look: look(), ..default() });
    studio.link((feed, "frame"), (view, "pace"));
    let shape = (PictureProjection::Equirectangular, StereoLayout::Mono);
    studio.app.update();
    for id in [7_u64, 8, 12] {
        let stamp = FrameStamp { frame_id: id, captured_at: UnixTime(id * 1000), pts: MediaTime(id * 10) };
        studio.feed(feed, UVec2::splat(8), shape, stamp, |_, _| [9, 9, 9]);
        studio.app.update();
        // Shaders are loaded in the background; once they are there, no picture waits.
        while id == 7 && studio.pin(view, "frame").get().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
            studio.app.update();
        }
        assert_eq!(studio.pin(view, "frame").get().map(|frame| frame.stamp), Some(stamp));
        let before = studio.pin(view, "frame").generation();
        studio.app.update();
        assert_eq!(studio.pin(view, "frame").generation(), before, "nothing is filmed while nothing comes");
    }
}

#[test]
fn the_eyes_of_flat_stereo_see_the_right_parallax_and_share_their_shadows() {
    let mut studio = Studio::new();
    studio.object(small_sphere(0.05), Transform::from_xyz(0.2, 0.0, -2.0), Color::srgb(1.0, 0.0, 0.0));
    let size = UVec2::new(640, 320);
    let stereo = SceneProjection::StereoFlat { packing: StereoPacking::SideBySide };
    let view = SceneView { projection: stereo, size, look: look(), ipd_m: 0.2, ..default() };
    let view = studio.node(view);
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("side_by_side");
    assert_eq!(picture.frame.stereo, StereoLayout::LeftRight);
    let tangent = 30_f32.to_radians().tan();
    let expected = |eye: f32| 160.0 + (0.2 - eye) / 2.0 / tangent * 160.0;
    let left = picture.centroid(UVec2::ZERO, UVec2::new(320, 320), 0).expect("left");
    let right = picture.centroid(UVec2::new(320, 0), size, 0).expect("right");
    assert!((left.x - expected(-0.1)).abs() < 0.7, "left {left}, expected {}", expected(-0.1));
    assert!((right.x - 320.0 - expected(0.1)).abs() < 0.7, "right {right}, expected {}", expected(0.1));

    // The right eye's shadows are those that were drawn for the left one: as a camera of its own sees them there.
    let mut lit = Studio::new();
    let world = lit.app.world_mut();
    let ground = world.resource_mut::<Assets<Mesh>>().add(Plane3d::default().mesh().size(20.0, 20.0).build());
    let cube = world.resource_mut::<Assets<Mesh>>().add(Cuboid::from_length(1.0));
    let white = world.resource_mut::<Assets<StandardMaterial>>().add(Color::WHITE);
    world.spawn((Mesh3d(ground), MeshMaterial3d(white.clone()), Transform::from_xyz(0.0, -1.0, -4.0)));
    world.spawn((Mesh3d(cube), MeshMaterial3d(white), Transform::from_xyz(0.5, 0.0, -5.0)));
    let light = DirectionalLight { illuminance: 2000.0, shadow_maps_enabled: true, ..default() };
    world.spawn((light, Transform::default().looking_to(Vec3::new(-1.0, -2.0, -1.0), Vec3::Y)));
    world.spawn((Name::new("there"), Transform::from_xyz(0.1, 0.0, 0.0)));
    let two = SceneProjection::StereoFlat { packing: StereoPacking::TwoPictures };
    let size = UVec2::new(256, 256);
    let eyes = lit.node(SceneView { projection: two, size, look: look(), ipd_m: 0.2, ..default() });
    let alone = lit.node(SceneView { camera: "there".to_owned(), size, look: look(), ..default() });
    let pictures = lit.film(&[(eyes, "left"), (eyes, "right"), (alone, "frame")]);
    for (picture, name) in pictures.iter().zip(["shadow_left", "shadow_right", "shadow_alone"]) {
        picture.save(name);
    }
    let same = pictures[1].psnr(&pictures[2]);
    let other = pictures[0].psnr(&pictures[2]);
    println!("right eye against a camera of its own: {same:.1} dB, left eye: {other:.1} dB");
    assert!(same > 30.0 && same > other + 6.0, "{same} dB");
    let sharing = lit.app.world_mut().query::<&SharesShadowsOf>().iter(lit.app.world()).count();
    assert_eq!(sharing, 1);
    // Of the three cameras, the one that shares has no cascades drawn.
    let render = lit.app.get_sub_app_mut(RenderApp).expect("a GPU").world_mut();
    let mut cascades: Vec<usize> =
        render.query_filtered::<&ViewLightEntities, With<FilmsFor>>().iter(render).map(|view| view.lights.len()).collect();
    cascades.sort_unstable();
    assert_eq!(cascades, [0, 4, 4]);
}

/// Directions with the faces' and strips' edges and corners among them: azimuth and elevation in degrees.
const DIRECTIONS: [(f32, f32); 12] = [
    (0.0, 0.0),
    (45.0, 0.0),
    (-45.0, 10.0),
    (135.0, -10.0),
    (-135.0, 0.0),
    (90.0, 45.0),
    (0.0, 45.0),
    (-90.0, -45.0),
    (20.0, -45.0),
    (-20.0, 62.0),
    (160.0, -62.0),
    (179.0, 20.0),
];

fn on_sphere((azimuth, elevation): (f32, f32), distance: f32) -> Vec3 {
    plan::direction(azimuth.to_radians(), elevation.to_radians()) * distance
}

/// Where in an equirectangular part of a picture something stands, in pixels from its middle, looking only around where it should
/// be. The weight of a row is its width on the sphere.
fn found(picture: &Picture, part: (UVec2, UVec2), expected: Vec2) -> Option<Vec2> {
    let low = (expected - 20.0).max(part.0.as_vec2()).as_uvec2();
    let high = (expected + 20.0).min(part.1.as_vec2()).as_uvec2();
    picture.centroid(low, high, 0)
}

#[test]
fn an_equirectangular_view_puts_objects_where_they_are_at_every_edge_of_its_faces() {
    let mut studio = Studio::new();
    for direction in DIRECTIONS {
        studio.object(small_sphere(0.12), Transform::from_translation(on_sphere(direction, 6.0)), Color::WHITE);
    }
    let size = UVec2::new(720, 360);
    let projection = SceneProjection::Equirect360Mono;
    let view = studio.node(SceneView { projection, size, look: look(), samples: 3, ..default() });
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("equirect");
    assert_eq!(picture.frame.projection, PictureProjection::Equirectangular);
    for (azimuth, elevation) in DIRECTIONS {
        let expected = Vec2::new(360.0 + azimuth * 2.0, 180.0 - elevation * 2.0);
        if expected.x > 710.0 {
            continue;
        }
        let at = found(&picture, (UVec2::ZERO, size), expected).unwrap_or_else(|| panic!("nothing at {azimuth}, {elevation}"));
        // Far from the horizon a round thing is no longer symmetric up and down.
        assert!(
            (at.x - expected.x).abs() < 0.5 && (at.y - expected.y).abs() < 0.6,
            "{azimuth}, {elevation}: at {at}, not {expected}"
        );
    }
}

#[test]
fn stereo_of_the_sphere_has_the_parallax_of_the_viewing_circle() {
    let mut studio = Studio::new();
    let (ipd, near) = (0.4_f32, 2.0_f32);
    let directions = [(10.0_f32, 0.0_f32), (-100.0, 0.0), (60.0, 20.0), (150.0, -15.0)];
    for (azimuth, elevation) in directions {
        studio.object(
            small_sphere(0.04),
            Transform::from_translation(on_sphere((azimuth, elevation), near)),
            Color::srgb(1.0, 0.0, 0.0),
        );
    }
    // As good as infinitely far.
    let far = [(35.0_f32, 0.0_f32), (-150.0, 5.0)];
    for direction in far {
        studio.object(small_sphere(16.0), Transform::from_translation(on_sphere(direction, 900.0)), Color::srgb(1.0, 0.0, 0.0));
    }
    let size = UVec2::new(720, 720);
    let projection = SceneProjection::Equirect360Stereo;
    let view = SceneView {
        projection,
        size,
        look: SceneLook { samples: SceneSamples::Four, ..look() },
        ipd_m: ipd,
        strips: 24,
        samples: 2,
        ..default()
    };
    let view = studio.node(view);
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("ods");
    assert_eq!(picture.frame.stereo, StereoLayout::TopBottom);
    let halves = [(UVec2::ZERO, UVec2::new(720, 360)), (UVec2::new(0, 360), size)];
    let check = |(azimuth, elevation): (f32, f32), distance: f32| {
        for (eye, (half, side)) in halves.iter().zip([1.0, -1.0]).enumerate() {
            let horizontal = distance * elevation.to_radians().cos();
            let turned = azimuth + side * (ipd / 2.0 / horizontal).asin().to_degrees();
            // The eye on the circle is nearer to the point than the middle is.
            let height = distance * elevation.to_radians().sin();
            let up = height.atan2((horizontal.powi(2) - (ipd / 2.0).powi(2)).sqrt()).to_degrees();
            let expected = Vec2::new(360.0 + turned * 2.0, half.0.y as f32 + 180.0 - up * 2.0);
            let at = found(&picture, *half, expected).unwrap_or_else(|| panic!("eye {eye}: nothing at {azimuth}"));
            assert!((at - expected).abs().max_element() < 0.6, "eye {eye}, {azimuth}, {elevation}: at {at}, not {expected}");
        }
    };
    directions.into_iter().for_each(|direction| check(direction, near));
    far.into_iter().for_each(|direction| check(direction, 900.0));
}

#[test]
fn vr180_shows_the_front_half_to_each_eye() {
    let mut studio = Studio::new();
    studio.object(small_sphere(0.04), Transform::from_translation(on_sphere((-40.0, 0.0), 2.0)), Color::srgb(1.0, 0.0, 0.0));
    let size = UVec2::new(720, 360);
    let view = SceneView { projection: SceneProjection::Vr180Stereo, size, look: look(), ipd_m: 0.2, strips: 24, ..default() };
    let view = studio.node(view);
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("vr180");
    assert_eq!(
        (picture.frame.projection, picture.frame.stereo),
        (PictureProjection::HalfEquirectangular, StereoLayout::LeftRight)
    );
    for (left, side) in [(0_u32, 1.0_f32), (360, -1.0)] {
        let turned = -40.0 + side * (0.1_f32 / 2.0).asin().to_degrees();
        let expected = Vec2::new(left as f32 + 180.0 + turned * 2.0, 180.0);
        let at = found(&picture, (UVec2::new(left, 0), UVec2::new(left + 360, 360)), expected).expect("seen");
        assert!((at - expected).abs().max_element() < 0.6, "at {at}, not {expected}");
    }
}

/// A smooth picture of the whole sphere, the same at its left and right edges.
fn sky(x: u32, y: u32, size: UVec2) -> [u8; 3] {
    let (longitude, latitude) = ((x as f32 + 0.5) / size.x as f32 * TAU, (y as f32 + 0.5) / size.y as f32 * PI);
    let level = |value: f32| (128.0 + 100.0 * value).round() as u8;
    let wide = latitude.sin();
    [level(longitude.sin() * wide), level((2.0 * longitude).cos() * wide * wide), level(latitude.cos())]
}

#[test]
fn a_backdrop_comes_through_the_cube_without_seams_and_the_right_way_round() {
    let mut studio = Studio::new();
    let feed = studio.node(Feed);
    let backdrop = studio.node(Backdrop::default());
    studio.link((feed, "frame"), (backdrop, "frame"));
    let size = UVec2::new(512, 256);
    let shape = (PictureProjection::Equirectangular, StereoLayout::Mono);
    studio.feed(feed, size, shape, FrameStamp::default(), |x, y| sky(x, y, size));
    let view = studio.node(SceneView { projection: SceneProjection::Equirect360Mono, size, look: look(), ..default() });
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("sky");
    let worst = (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y))).map(|(x, y)| {
        let (is, should) = (picture.at(x, y), sky(x, y, size));
        ((0..3).map(|channel| is[channel].abs_diff(should[channel])).max().unwrap_or_default(), x, y)
    });
    let worst = worst.max().expect("pixels");
    println!("worst pixel: {worst:?}");
    assert!(worst.0 <= 4, "off by {} at {}, {}", worst.0, worst.1, worst.2);
}

#[test]
fn a_backdrop_hides_what_lies_behind_it_and_stands_behind_what_is_nearer() {
    for with_depth in [false, true] {
        let mut studio = Studio::new();
        let feed = studio.node(Feed);
        let distances = studio.node(Feed);
        let coding = DepthCoding::Linear { near_m: 1.0, far_m: 11.0 };
        let distance_m = if with_depth { 0.0 } else { 5.0 };
        let backdrop = studio.node(Backdrop { distance_m, depth: coding, ..default() });
        studio.link((feed, "frame"), (backdrop, "frame"));
        let shape = (PictureProjection::Equirectangular, StereoLayout::Mono);
        studio.feed(feed, UVec2::new(64, 32), shape, FrameStamp::default(), |_, _| [0, 0, 255]);
        if with_depth {
            studio.link((distances, "frame"), (backdrop, "depth"));
            // 5 m on the left, 10 m on the right.
            let code = |x: u32| if x < 32 { 102 } else { 230 };
            studio.feed(distances, UVec2::new(64, 32), shape, FrameStamp::default(), |x, _| [code(x), 0, 0]);
        }
        studio.object(Cuboid::from_length(0.5), Transform::from_xyz(-1.0, 0.0, -3.0), Color::srgb(1.0, 0.0, 0.0));
        studio.object(Cuboid::from_length(0.5), Transform::from_xyz(-1.0, 1.5, -8.0), Color::srgb(0.0, 1.0, 0.0));
        studio.object(Cuboid::from_length(0.5), Transform::from_xyz(1.0, 1.5, -8.0), Color::srgb(0.0, 1.0, 0.0));
        let view = studio.node(SceneView { size: UVec2::splat(256), look: look(), ..default() });
        let picture = studio.film(&[(view, "frame")]).remove(0);
        picture.save(if with_depth { "occlusion_depth" } else { "occlusion" });
        let pixel = |x: f32, y: f32, z: f32| {
            let scale = 128.0 / 30_f32.to_radians().tan() / z;
            picture.at((128.0 + x * scale) as u32, (128.0 - y * scale) as u32)
        };
        assert_eq!(pixel(-1.0, 0.0, 2.8), [255, 0, 0], "at 3 m before the picture");
        assert_eq!(pixel(-1.0, 1.5, 8.0), [0, 0, 255], "at 8 m behind it");
        let right = if with_depth { [0, 255, 0] } else { [0, 0, 255] };
        assert_eq!(pixel(1.0, 1.5, 7.8), right, "on the right, with a picture of distances, it is 10 m away");
    }
}

#[test]
fn each_eye_sees_its_own_half_of_a_stereo_backdrop() {
    let mut studio = Studio::new();
    let feed = studio.node(Feed);
    let backdrop = studio.node(Backdrop::default());
    studio.link((feed, "frame"), (backdrop, "frame"));
    let shape = (PictureProjection::Equirectangular, StereoLayout::TopBottom);
    studio.feed(feed, UVec2::new(64, 64), shape, FrameStamp::default(), |_, y| if y < 32 { [255, 0, 0] } else { [0, 255, 0] });
    let projection = SceneProjection::StereoFlat { packing: StereoPacking::TwoPictures };
    let view = studio.node(SceneView { projection, size: UVec2::splat(64), look: look(), ..default() });
    let pictures = studio.film(&[(view, "left"), (view, "right")]);
    assert_eq!((pictures[0].at(32, 32), pictures[1].at(32, 32)), ([255, 0, 0], [0, 255, 0]));
}

#[test]
fn a_screen_in_the_scene_shows_the_picture_upright_and_gives_its_material_back() {
    let mut studio = Studio::new();
    let screen = studio.object(Rectangle::new(2.0, 2.0), Transform::from_xyz(0.0, 0.0, -2.0), Color::srgb(0.0, 0.0, 1.0));
    let wall = studio.app.world_mut().spawn((Name::new("wall"), Transform::default(), Visibility::default())).id();
    studio.app.world_mut().entity_mut(screen).insert((Name::new("screen"), ChildOf(wall), RenderLayers::default()));
    let before = studio.app.world().get::<MeshMaterial3d<StandardMaterial>>(screen).cloned().expect("a material");
    let feed = studio.node(Feed);
    let node = studio.node(VideoScreen { screen: "/wall/screen".to_owned(), ..default() });
    studio.link((feed, "frame"), (node, "frame"));
    let shape = (PictureProjection::Rectilinear { fov_deg: 60.0 }, StereoLayout::Mono);
    let color = |x: u32, y: u32| match (x < 32, y < 32) {
        (true, true) => [255, 0, 0],
        (false, true) => [0, 255, 0],
        (true, false) => [255, 255, 0],
        (false, false) => [255, 255, 255],
    };
    studio.feed(feed, UVec2::splat(64), shape, FrameStamp::default(), color);
    let view = studio.node(SceneView { size: UVec2::splat(128), look: look(), ..default() });
    let picture = studio.film(&[(view, "frame")]).remove(0);
    picture.save("screen");
    let corners = [picture.at(40, 40), picture.at(88, 40), picture.at(40, 88), picture.at(88, 88)];
    assert_eq!(corners, [[255, 0, 0], [0, 255, 0], [255, 255, 0], [255, 255, 255]]);
    studio.app.world_mut().despawn(node);
    studio.app.update();
    assert_eq!(studio.app.world().get::<MeshMaterial3d<StandardMaterial>>(screen), Some(&before));
}

#[test]
fn stitching_what_a_rig_of_lenses_films_gives_the_scene_again() {
    let mut studio = Studio::new();
    let feed = studio.node(Feed);
    let backdrop = studio.node(Backdrop::default());
    studio.link((feed, "frame"), (backdrop, "frame"));
    let sky_size = UVec2::new(512, 256);
    let shape = (PictureProjection::Equirectangular, StereoLayout::Mono);
    studio.feed(feed, sky_size, shape, FrameStamp::default(), |x, y| sky(x, y, sky_size));
    for (index, direction) in DIRECTIONS.into_iter().enumerate() {
        let color = Color::hsl(index as f32 * 30.0, 0.8, 0.5);
        studio.object(Cuboid::from_length(0.8), Transform::from_translation(on_sphere(direction, 4.0)), color);
    }
    let rig = Rig::dual_fisheye([1024, 512], 200.0);
    let rig = studio.app.world_mut().resource_mut::<Assets<Rig>>().add(rig);
    let size = UVec2::new(512, 256);
    let projection = SceneProjection::Lenses { rig: rig.clone(), pictures: 1 };
    let lenses = studio.node(SceneView { projection, size: UVec2::new(1024, 512), look: look(), ..default() });
    let settings = StitchSettings::equirectangular(size.x, size.y);
    let stitch = studio.node(Stitch { rig, settings, ..default() });
    studio.link((lenses, "picture 1"), (stitch, "picture 1"));
    let truth = studio.node(SceneView { projection: SceneProjection::Equirect360Mono, size, look: look(), ..default() });
    let pictures = studio.film(&[(lenses, "picture 1"), (stitch, "picture"), (truth, "frame")]);
    for (picture, name) in pictures.iter().zip(["fisheye", "stitched", "truth"]) {
        picture.save(name);
    }
    let psnr = pictures[1].psnr(&pictures[2]);
    println!("stitched fisheyes against the scene: {psnr:.1} dB");
    assert!(psnr > 40.0, "{psnr} dB");
}

#[test]
fn a_viewpoint_that_is_not_there_is_said_by_name() {
    let mut studio = Studio::new();
    let view = studio.node(SceneView { camera: "/World/Nowhere".to_owned(), size: UVec2::splat(16), ..default() });
    (0..3).for_each(|_| studio.app.update());
    let status = studio.app.world().get::<NodeStatus>(view).and_then(|status| status.error().map(str::to_owned));
    assert!(status.is_some_and(|error| error.contains("/World/Nowhere")));
    studio.app.world_mut().get_mut::<SceneView>(view).expect("there").camera = String::new();
    (0..6).for_each(|_| studio.app.update());
    assert!(studio.pin(view, "frame").get().is_some(), "and once it is mended, the view films");
}
