//! The `VideoScreen` node: a picture of the graph on an object of the scene.

use super::viewpoint::Viewpoints;
use bevy::{
    ecs::entity::EntityHashMap,
    math::Affine2,
    prelude::*,
    render::{Extract, ExtractSchedule, RenderApp, render_asset::RenderAssets, texture::GpuImage},
};
use studio_frame::prelude::*;
use studio_gpu::{paint::PicturePainter, prelude::*};
use studio_graph::prelude::*;

/// How a picture lies on a screen's material.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum ScreenLight {
    /// The screen shows the picture as it is, whatever light falls on it.
    #[default]
    Unlit,
    /// The screen shines with the picture and reflects the scene's light besides.
    Emissive,
}

/// Shows a picture on an object of the scene: a monitor, a projection, a title. The picture is drawn on the GPU, in the same
/// frame, into the texture of the object's own copy of its material. Both eyes see the left part of stereo pictures.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct VideoScreen {
    /// The name of the object, or its path through the scene such as `/World/Monitor`. What lies below it shows the picture too.
    /// Empty: none yet.
    pub screen: String,
    /// How the picture lies on the material.
    pub light: ScreenLight,
    /// Factor of the picture's light where it shines, 0 to 1000000; 1 is as bright as white under Bevy's default exposure.
    #[reflect(@0.0..=1_000_000.0_f32)]
    pub brightness: f32,
    /// Whether the picture is turned upside down, for objects whose texture coordinates count from below.
    pub flip: bool,
}

impl Default for VideoScreen {
    fn default() -> Self {
        Self { screen: String::new(), light: ScreenLight::Unlit, brightness: 1000.0, flip: false }
    }
}

impl NodeKind for VideoScreen {
    const DISPLAY_NAME: &'static str = "Video screen";
    const CATEGORY: &'static str = "Scene";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME)]
    }
}

/// What each node has put on the scene.
#[derive(Resource, Default)]
struct HungScreens(EntityHashMap<ScreenOn>);

/// What a node has put on the scene.
struct ScreenOn {
    settings: VideoScreen,
    image: Handle<Image>,
    size: UVec2,
    stereo: StereoLayout,
    /// The objects, and the materials that they had.
    objects: Vec<(Entity, Handle<StandardMaterial>)>,
}

/// The images of screens in the render world.
#[derive(Resource, Default)]
struct Screens(EntityHashMap<AssetId<Image>>);

pub(super) fn plugin(app: &mut App) {
    app.init_resource::<HungScreens>()
        .add_gpu_node::<VideoScreen, _>(run_video_screen)
        .add_systems(Update, hang_screens.in_set(StudioSystems::Send));
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app.init_resource::<Screens>().add_systems(ExtractSchedule, extract_screens);
}

/// Gives objects materials that show pictures, when the first picture has come, and again when its size or the settings change.
fn hang_screens(
    nodes: Query<(Entity, &VideoScreen)>,
    mut hung: ResMut<HungScreens>,
    links: GraphLinks,
    pins: Query<&PinFrame>,
    viewpoints: Viewpoints,
    children: Query<&Children>,
    mut surfaces: Query<&mut MeshMaterial3d<StandardMaterial>>,
    images: Option<ResMut<Assets<Image>>>,
    materials: Option<ResMut<Assets<StandardMaterial>>>,
    mut failed: Local<EntityHashMap<String>>,
    reports: Res<FailureReport>,
    mut commands: Commands,
) {
    let (Some(mut images), Some(mut materials)) = (images, materials) else { return };
    hung.0.retain(|node, on| {
        let stays = nodes.get(*node).is_ok_and(|(_, settings)| !settings.screen.is_empty());
        if !stays {
            failed.remove(node);
            take_down(on, &mut surfaces);
        }
        stays
    });
    for (node, settings) in &nodes {
        let present = hung.0.get(&node);
        let frame = links.source(node, "frame").and_then(|pin| pins.get(pin).ok()).and_then(PinFrame::get);
        let Some(frame) = frame.filter(|_| !settings.screen.is_empty()) else { continue };
        let (size, stereo) = (frame.picture.size, frame.stereo);
        // Objects that came anew, with a reloaded stage, have their own material again.
        let hangs = |on: &ScreenOn| on.objects.iter().all(|(object, _)| surfaces.contains(*object));
        if present.is_some_and(|on| on.settings == *settings && on.size == size && on.stereo == stereo && hangs(on)) {
            continue;
        }
        let Some(object) = viewpoints.entity(&settings.screen) else {
            let error =
                format!("no entity of the scene is called “{}”: give the name or the path of the screen", settings.screen);
            fail(node, error, &mut failed, &reports);
            continue;
        };
        if let Some(on) = present {
            take_down(on, &mut surfaces);
        }
        let image = images.add(preview_image(size));
        let below = [object].into_iter().chain(children.iter_descendants(object));
        let mut objects = Vec::new();
        for object in below {
            let Ok(mut surface) = surfaces.get_mut(object) else { continue };
            let mut material = materials.get(&surface.0).cloned().unwrap_or_default();
            put_on(&mut material, settings, &image, stereo);
            objects.push((object, core::mem::replace(&mut surface.0, materials.add(material))));
        }
        if objects.is_empty() {
            let error = format!("“{}” has no surface to show a picture on, nor has anything below it", settings.screen);
            fail(node, error, &mut failed, &reports);
            continue;
        }
        failed.remove(&node);
        // The picture that is there already is drawn at once: of a still, no other comes.
        hung.0.insert(node, ScreenOn { settings: settings.clone(), image, size, stereo, objects });
        commands.entity(node).queue(|mut node: EntityWorldMut| {
            if let Some(mut settings) = node.get_mut::<VideoScreen>() {
                settings.set_changed();
            }
        });
    }
}

fn fail(node: Entity, error: String, failed: &mut EntityHashMap<String>, reports: &FailureReport) {
    if failed.get(&node) != Some(&error) {
        reports.failure(node, &error);
        failed.insert(node, error);
    }
}

fn take_down(on: &ScreenOn, surfaces: &mut Query<&mut MeshMaterial3d<StandardMaterial>>) {
    for (object, material) in &on.objects {
        if let Ok(mut surface) = surfaces.get_mut(*object) {
            surface.0 = material.clone();
        }
    }
}

fn put_on(material: &mut StandardMaterial, settings: &VideoScreen, image: &Handle<Image>, stereo: StereoLayout) {
    let mut part = match stereo {
        StereoLayout::Mono => Vec2::ONE,
        StereoLayout::TopBottom => Vec2::new(1.0, 0.5),
        StereoLayout::LeftRight => Vec2::new(0.5, 1.0),
    };
    let mut offset = Vec2::ZERO;
    if settings.flip {
        offset.y = part.y;
        part.y = -part.y;
    }
    material.uv_transform = Affine2::from_scale_angle_translation(part, 0.0, offset);
    match settings.light {
        ScreenLight::Unlit => {
            material.unlit = true;
            material.base_color = Color::WHITE;
            material.base_color_texture = Some(image.clone());
            material.emissive_texture = None;
        }
        ScreenLight::Emissive => {
            material.unlit = false;
            let light = settings.brightness.max(0.0);
            material.emissive = LinearRgba::rgb(light, light, light);
            material.emissive_texture = Some(image.clone());
        }
    }
}

fn extract_screens(hung: Extract<Res<HungScreens>>, mut screens: ResMut<Screens>) {
    screens.0.clear();
    screens.0.extend(hung.0.iter().map(|(node, on)| (*node, on.image.id())));
}

fn run_video_screen(
    In(run): In<GpuNodeRun>,
    screens: Res<Screens>,
    images: Res<RenderAssets<GpuImage>>,
    mut states: Local<NodeStates<PicturePainter>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    // The screen hangs as soon as the main world has seen the first picture.
    let Some(image) = screens.0.get(&run.node).and_then(|image| images.get(*image)) else { return Ok(()) };
    let format = image.texture.format();
    let fits = |painter: &PicturePainter| painter.format() == format;
    let painter = states.get_or_make(&gpu, run.node, fits, || Ok(PicturePainter::new(gpu.device(), format)))?;
    let target = wgpu::RenderPassColorAttachment {
        view: &image.texture_view,
        depth_slice: None,
        resolve_target: None,
        ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
    };
    let size = UVec2::new(image.texture.width(), image.texture.height());
    let (device, queue, encoder) = gpu.device_and_encoder();
    painter.paint(device, queue, encoder, target, size, &frame.picture, false);
    Ok(())
}
