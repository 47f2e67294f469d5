//! The `WindowOutput` node: pictures in a window.

use crate::{frame::GpuFrame, node::*, paint::PicturePainter};
use bevy::{
    camera::RenderTarget,
    core_pipeline::{Core2d, schedule::Core2dSystems},
    ecs::entity::EntityHashMap,
    prelude::*,
    render::{
        Render, RenderApp, RenderSystems,
        extract_component::{ExtractComponent, ExtractComponentPlugin},
        renderer::{RenderContext, RenderDevice, RenderQueue, ViewQuery},
        view::ViewTarget,
    },
    window::{PrimaryWindow, WindowRef},
};
use studio_frame::prelude::*;
use studio_graph::prelude::*;

/// Shows the pictures that come in, as large as the window allows, in their own shape. Luma and chroma planes are turned
/// into colours while they are drawn: what a camera delivers reaches the window with one upload and no other copy.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct WindowOutput {
    /// Whether the picture fills the window, losing its margins, instead of leaving black bars.
    pub fill: bool,
}

impl NodeKind for WindowOutput {
    const DISPLAY_NAME: &'static str = "Window output";
    const CATEGORY: &'static str = "Output";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME)]
    }
}

/// The camera through which a [`WindowOutput`] node draws into its window.
#[derive(Component, Clone, Copy, ExtractComponent)]
pub struct WindowOutputCamera(pub Entity);

/// The newest frame of each window output, and those whose arrival in the window is still to be written down.
#[derive(Resource, Default)]
struct Presented {
    frames: EntityHashMap<(GpuFrame, bool)>,
    drawn: Vec<FrameStamp>,
}

pub(crate) struct PresentPlugin;

impl Plugin for PresentPlugin {
    fn build(&self, app: &mut App) {
        app.add_gpu_node::<WindowOutput, _>(run_window_output)
            .add_plugins(ExtractComponentPlugin::<WindowOutputCamera>::default())
            .add_observer(add_camera)
            .add_observer(remove_camera);
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .init_resource::<Presented>()
            .add_systems(Core2d, draw_window_outputs.in_set(Core2dSystems::MainPass))
            .add_systems(Render, record_presented.after(RenderSystems::Render).before(RenderSystems::Cleanup));
    }
}

/// Present where something else has the primary window, such as an editor, which shows window outputs itself.
#[derive(Resource, Default)]
pub struct WindowTaken;

fn add_camera(
    added: On<Add, WindowOutput>,
    windows: Query<(), With<PrimaryWindow>>,
    taken: Option<Res<WindowTaken>>,
    mut commands: Commands,
) {
    if taken.is_some() {
        return;
    }
    if windows.is_empty() {
        info!("there is no window: the window output shows nothing");
        return;
    }
    commands.spawn((
        Name::new("Window output camera"),
        Camera2d,
        Msaa::Off,
        RenderTarget::Window(WindowRef::Primary),
        WindowOutputCamera(added.entity),
    ));
}

fn remove_camera(removed: On<Remove, WindowOutput>, cameras: Query<(Entity, &WindowOutputCamera)>, mut commands: Commands) {
    for (camera, _) in cameras.iter().filter(|(_, camera)| camera.0 == removed.entity) {
        commands.entity(camera).despawn();
    }
}

fn run_window_output(In(run): In<GpuNodeRun>, mut presented: ResMut<Presented>) -> Result {
    let frame = run.input("frame")?.clone();
    presented.frames.insert(run.node, (frame, true));
    Ok(())
}

fn draw_window_outputs(
    view: ViewQuery<(&ViewTarget, &WindowOutputCamera)>,
    settings: Res<NodeSettings<WindowOutput>>,
    queue: Res<RenderQueue>,
    mut presented: ResMut<Presented>,
    mut painters: Local<EntityHashMap<PicturePainter>>,
    mut context: RenderContext,
) {
    let (target, camera) = view.into_inner();
    let Some((frame, new)) = presented.frames.get_mut(&camera.0) else { return };
    let frame = frame.clone();
    if core::mem::take(new) {
        presented.drawn.push(frame.stamp);
    }
    let device: &RenderDevice = context.render_device();
    let device = device.wgpu_device().clone();
    let format = target.main_texture_format();
    if painters.get(&camera.0).is_none_or(|painter| painter.format() != format) {
        painters.insert(camera.0, PicturePainter::new(&device, format));
    }
    let Some(painter) = painters.get(&camera.0) else { return };
    let window = target.main_texture().size();
    let size = UVec2::new(window.width, window.height);
    let attachment = target.get_color_attachment();
    let fill = settings.of(camera.0).fill;
    painter.paint(&device, &queue, context.command_encoder(), attachment, size, &frame.picture, fill);
}

/// Writes down when the GPU was through with the frames drawn into windows.
fn record_presented(mut presented: ResMut<Presented>, queue: Res<RenderQueue>, ledger: Res<LatencyLedger>) {
    for stamp in presented.drawn.drain(..) {
        let ledger = ledger.clone();
        queue.on_submitted_work_done(move || {
            ledger.record(stamp.frame_id, Stage::WINDOW, UnixTime::now().since(stamp.captured_at))
        });
    }
}
