//! The `WindowOutput` node: pictures in a window.

use crate::{
    frame::GpuFrame,
    node::*,
    pass::{BindGroupCache, cover_pipeline, linear_sampler, numbered, parameter_buffer},
    picture::PictureUniform,
};
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

fn add_camera(added: On<Add, WindowOutput>, windows: Query<(), With<PrimaryWindow>>, mut commands: Commands) {
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

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct PresentUniform {
    picture: PictureUniform,
    /// Scale from the window's coordinates (-1..1) to the picture's, and 1 where the target decodes sRGB, 0 elsewhere.
    scale: [f32; 2],
    to_linear: f32,
    padding: f32,
}

struct PresentPipeline {
    pipeline: wgpu::RenderPipeline,
    sampler: wgpu::Sampler,
    uniform: wgpu::Buffer,
    format: wgpu::TextureFormat,
    layout: wgpu::BindGroupLayout,
    bind_groups: BindGroupCache,
}

fn present_pipeline(device: &wgpu::Device, format: wgpu::TextureFormat) -> PresentPipeline {
    let pipeline = cover_pipeline(device, "present", include_str!("../../../shaders/present.wgsl"), "present", format);
    let sampler = linear_sampler(device, "present", false);
    let uniform = parameter_buffer::<PresentUniform>(device, "present");
    let layout = pipeline.get_bind_group_layout(0);
    PresentPipeline { pipeline, sampler, uniform, format, layout, bind_groups: BindGroupCache::default() }
}

fn draw_window_outputs(
    view: ViewQuery<(&ViewTarget, &WindowOutputCamera)>,
    settings: Res<NodeSettings<WindowOutput>>,
    queue: Res<RenderQueue>,
    mut presented: ResMut<Presented>,
    mut pipelines: Local<EntityHashMap<PresentPipeline>>,
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
    let stale = pipelines.get(&camera.0).is_none_or(|pipeline| pipeline.format != format);
    if stale {
        pipelines.insert(camera.0, present_pipeline(&device, format));
    }
    let Some(pipeline) = pipelines.get(&camera.0) else { return };
    let window = target.main_texture().size();
    let window_aspect = window.width as f32 / window.height as f32;
    let aspect = frame.picture.size.x as f32 / frame.picture.size.y as f32;
    let wider = (aspect > window_aspect) != settings.of(camera.0).fill;
    let scale = if wider { [1.0, aspect / window_aspect] } else { [window_aspect / aspect, 1.0] };
    let values = PresentUniform {
        picture: frame.picture.uniform(),
        scale,
        to_linear: f32::from(u8::from(format.is_srgb())),
        padding: 0.0,
    };
    queue.write_buffer(&pipeline.uniform, 0, bytemuck::bytes_of(&values));
    let [first, second, third] = frame.picture.plane_views();
    let resources = [
        pipeline.uniform.as_entire_binding(),
        wgpu::BindingResource::Sampler(&pipeline.sampler),
        wgpu::BindingResource::TextureView(first),
        wgpu::BindingResource::TextureView(second),
        wgpu::BindingResource::TextureView(third),
    ];
    let bindings = pipeline.bind_groups.get(&device, &pipeline.layout, &numbered(&resources));
    let attachment = target.get_color_attachment();
    let mut pass = context.command_encoder().begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("present"),
        color_attachments: &[Some(attachment)],
        ..Default::default()
    });
    pass.set_pipeline(&pipeline.pipeline);
    pass.set_bind_group(0, &bindings, &[]);
    pass.draw(0..3, 0..1);
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
