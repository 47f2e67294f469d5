//! The `Backdrop` node: a picture of the sphere behind, and among, the objects of a scene.
//!
//! It is drawn into each 3D camera's picture after the opaque objects, straight from the frame's planes: no copy, no image
//! asset, and the frame of this very update. It writes depth, so objects nearer than the picture's surface stand before it, and
//! what lies behind it is hidden.

use super::{
    frustum::EyeFrustum,
    rig::{Eye, RigCamera},
    viewpoint::Viewpoints,
};
use bevy::{
    core_pipeline::{
        core_3d::{CORE_3D_DEPTH_FORMAT, main_opaque_pass_3d, main_transparent_pass_3d},
        schedule::{Core3d, Core3dSystems},
    },
    ecs::entity::EntityHashMap,
    math::Mat3,
    platform::collections::HashMap,
    prelude::*,
    render::{
        Extract, ExtractSchedule, RenderApp,
        renderer::{RenderContext, RenderQueue, ViewQuery},
        sync_world::RenderEntity,
        view::{ExtractedView, ViewDepthTexture, ViewTarget},
    },
};
use core::f32::consts::{PI, TAU};
use studio_frame::prelude::*;
use studio_gpu::{
    pass::{BindGroupCache, numbered, parameter_buffer, shader},
    picture::PictureUniform,
    prelude::*,
};
use studio_graph::prelude::*;

/// What the values of a picture of distances mean, in its first channel: luma, or red.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub enum DepthCoding {
    /// White is nearest: inverse distances, even between those of `near_m` (white) and `far_m` (black). What depth estimators and
    /// disparities give.
    Inverse {
        /// Distance of white in metres, above 0.
        near_m: f32,
        /// Distance of black in metres; 0 is infinity.
        far_m: f32,
    },
    /// Black is nearest: distances, even between `near_m` (black) and `far_m` (white).
    Linear {
        /// Distance of black in metres, above 0.
        near_m: f32,
        /// Distance of white in metres.
        far_m: f32,
    },
}

impl Default for DepthCoding {
    fn default() -> Self {
        Self::Inverse { near_m: 0.3, far_m: 0.0 }
    }
}

impl DepthCoding {
    /// Offset and factor of the value, and 1 if they give the distance, 0 if its inverse.
    fn numbers(self) -> Vec4 {
        let inverse = |distance: f32| if distance > 0.0 { distance.recip() } else { 0.0 };
        match self {
            Self::Inverse { near_m, far_m } => {
                let (black, white) = (inverse(far_m), inverse(near_m.max(1e-3)));
                Vec4::new(black, white - black, 0.0, 0.0)
            }
            Self::Linear { near_m, far_m } => Vec4::new(near_m.max(1e-3), far_m - near_m.max(1e-3), 1.0, 0.0),
        }
    }
}

/// Shows a picture of the sphere (stitched video, say) all around the scene: infinitely far, at a distance, or at the distances
/// that a second picture gives. Objects nearer than it stand before it; those behind it are hidden. Stereo pictures show each
/// eye of a rig its own.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Backdrop {
    /// The name or path of the entity that stands in the middle of the picture. Empty: the middle of whoever looks.
    pub center: String,
    /// Turns the picture to the right, in degrees, −180 to 180.
    #[reflect(@-180.0..=180.0_f32)]
    pub yaw_deg: f32,
    /// Turns the picture up, in degrees, −90 to 90.
    #[reflect(@-90.0..=90.0_f32)]
    pub pitch_deg: f32,
    /// Turns the picture clockwise, in degrees, −180 to 180.
    #[reflect(@-180.0..=180.0_f32)]
    pub roll_deg: f32,
    /// How far away the picture is without a picture of distances, in metres, 0 to 100000; 0 is infinitely far.
    #[reflect(@0.0..=100_000.0_f32)]
    pub distance_m: f32,
    /// What the picture of distances means.
    pub depth: DepthCoding,
    /// Factor of the picture's light, 0 to 100.
    #[reflect(@0.0..=100.0_f32)]
    pub brightness: f32,
}

impl Default for Backdrop {
    fn default() -> Self {
        Self {
            center: String::new(),
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            distance_m: 0.0,
            depth: DepthCoding::default(),
            brightness: 1.0,
        }
    }
}

impl NodeKind for Backdrop {
    const DISPLAY_NAME: &'static str = "Backdrop";
    const CATEGORY: &'static str = "Scene";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::input("depth", DataType::VIDEO_FRAME)]
    }
}

/// The newest pictures of the backdrops.
#[derive(Resource, Default)]
struct Backdrops(EntityHashMap<(GpuFrame, Option<GpuFrame>)>);

/// Where backdrops' middles are, and where the cameras of rigs stand.
#[derive(Resource, Default)]
struct Places {
    centers: EntityHashMap<Vec3>,
    /// By the camera in the render world: which eye it is, and the middle of its rig.
    cameras: EntityHashMap<(Eye, Vec3)>,
}

pub(super) fn plugin(app: &mut App) {
    app.add_gpu_node::<Backdrop, _>(run_backdrop);
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app.init_resource::<Backdrops>().init_resource::<Places>().add_systems(ExtractSchedule, extract_places).add_systems(
        Core3d,
        draw_backdrops.after(main_opaque_pass_3d).before(main_transparent_pass_3d).in_set(Core3dSystems::MainPass),
    );
}

fn extract_places(
    nodes: Extract<Query<(Entity, &Backdrop)>>,
    viewpoints: Extract<Viewpoints>,
    places: Extract<Query<&GlobalTransform>>,
    cameras: Extract<Query<(RenderEntity, &Eye, &RigCamera)>>,
    reports: Extract<Res<FailureReport>>,
    mut known: ResMut<Places>,
    mut backdrops: ResMut<Backdrops>,
) {
    known.centers.clear();
    known.cameras.clear();
    backdrops.0.retain(|node, _| nodes.contains(*node));
    if nodes.is_empty() {
        return;
    }
    for (node, settings) in nodes.iter().filter(|(_, settings)| !settings.center.is_empty()) {
        match viewpoints.entity(&settings.center).and_then(|center| places.get(center).ok()) {
            Some(place) => {
                known.centers.insert(node, place.translation());
            }
            None => reports.failure(
                node,
                format!(
                    "no entity of the scene is called “{}”: the backdrop has no middle, and follows whoever looks",
                    settings.center
                ),
            ),
        }
    }
    for (camera, eye, rig) in &cameras {
        if let Ok(place) = places.get(rig.rig) {
            known.cameras.insert(camera, (*eye, place.translation()));
        }
    }
}

fn run_backdrop(In(run): In<GpuNodeRun>, mut backdrops: ResMut<Backdrops>) -> Result {
    let frame = run.input("frame")?.clone();
    let depth = run.input("depth").ok().cloned();
    backdrops.0.insert(run.node, (frame, depth));
    Ok(())
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct BackdropParameters {
    picture: PictureUniform,
    world_from_view: [[f32; 4]; 3],
    picture_from_world: [[f32; 4]; 3],
    frustum: [f32; 4],
    eye: [f32; 4],
    part: [f32; 4],
    depth_part: [f32; 4],
    shape: [f32; 4],
    depth: [f32; 4],
    tangents: [f32; 4],
    kind: [u32; 4],
}

/// Offset and scale of an eye's part of a picture.
fn part_of(layout: StereoLayout, eye: Eye) -> [f32; 4] {
    let second = f32::from(u8::from(eye == Eye::Right)) * 0.5;
    match layout {
        StereoLayout::Mono => [0.0, 0.0, 1.0, 1.0],
        StereoLayout::TopBottom => [0.0, second, 1.0, 0.5],
        StereoLayout::LeftRight => [second, 0.0, 0.5, 1.0],
    }
}

fn rows(rotation: Mat3) -> [[f32; 4]; 3] {
    let transposed = rotation.transpose();
    [transposed.x_axis, transposed.y_axis, transposed.z_axis].map(|row| row.extend(0.0).to_array())
}

/// What is kept from frame to frame: pipelines by what they draw into, and parameters by view and backdrop.
#[derive(Default)]
struct BackdropPass {
    device: Option<wgpu::Device>,
    pipelines: HashMap<(wgpu::TextureFormat, u32), (wgpu::RenderPipeline, BindGroupCache)>,
    samplers: Option<[wgpu::Sampler; 2]>,
    parameters: HashMap<(Entity, Entity), wgpu::Buffer>,
}

impl BackdropPass {
    fn sampler(device: &wgpu::Device, wraps: bool) -> wgpu::Sampler {
        studio_gpu::pass::linear_sampler(device, "backdrop", wraps)
    }

    fn pipeline(device: &wgpu::Device, format: wgpu::TextureFormat, samples: u32) -> wgpu::RenderPipeline {
        let module = shader(device, "backdrop", include_str!("../../../../shaders/backdrop.wgsl"));
        device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("backdrop"),
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("cover"),
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: Some(wgpu::DepthStencilState {
                format: CORE_3D_DEPTH_FORMAT,
                depth_write_enabled: Some(true),
                depth_compare: Some(wgpu::CompareFunction::GreaterEqual),
                stencil: Default::default(),
                bias: Default::default(),
            }),
            multisample: wgpu::MultisampleState { count: samples, ..Default::default() },
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("backdrop"),
                compilation_options: Default::default(),
                targets: &[Some(format.into())],
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}

fn draw_backdrops(
    view: ViewQuery<(Entity, &ExtractedView, &ViewTarget, &ViewDepthTexture, &Msaa)>,
    backdrops: Res<Backdrops>,
    settings: Res<NodeSettings<Backdrop>>,
    places: Res<Places>,
    queue: Res<RenderQueue>,
    mut kept: Local<BackdropPass>,
    mut context: RenderContext,
) {
    if backdrops.0.is_empty() {
        return;
    }
    let (camera, extracted, target, depth_texture, msaa) = view.into_inner();
    let Some(frustum) = EyeFrustum::of_matrix(&extracted.clip_from_view) else { return };
    let device = context.render_device().wgpu_device().clone();
    let kept = &mut *kept;
    if kept.device.as_ref() != Some(&device) {
        *kept = BackdropPass { device: Some(device.clone()), ..default() };
    }
    let (format, samples) = (target.main_texture_format(), msaa.samples());
    let samplers = kept.samplers.get_or_insert_with(|| [false, true].map(|wraps| BackdropPass::sampler(&device, wraps)));
    let (pipeline, bind_groups) = kept
        .pipelines
        .entry((format, samples))
        .or_insert_with(|| (BackdropPass::pipeline(&device, format, samples), BindGroupCache::default()));
    if kept.parameters.len() > 4096 {
        kept.parameters.clear();
    }
    let (_, rotation, eye_at) = extracted.world_from_view.to_scale_rotation_translation();
    let (eye, rig_at) = places.cameras.get(&camera).copied().unwrap_or((Eye::Both, eye_at));
    let mut nodes: Vec<&Entity> = backdrops.0.keys().collect();
    nodes.sort_unstable();
    for node in nodes {
        let Some((frame, depth)) = backdrops.0.get(node) else { continue };
        let wanted = settings.of(*node);
        let center = places.centers.get(node).copied().unwrap_or(rig_at);
        let turn = Quat::from_rotation_y(-wanted.yaw_deg.to_radians())
            * Quat::from_rotation_x(wanted.pitch_deg.to_radians())
            * Quat::from_rotation_z(-wanted.roll_deg.to_radians());
        let (kind, angle) = match frame.projection {
            PictureProjection::Equirectangular => (0, TAU),
            PictureProjection::HalfEquirectangular => (1, PI),
            PictureProjection::Fisheye { fov_deg } => (2, fov_deg.to_radians()),
            PictureProjection::CubeMap => (3, TAU),
            PictureProjection::Rectilinear { fov_deg } => (4, fov_deg.clamp(1.0, 179.0).to_radians()),
            PictureProjection::OffAxis { .. } => (4, PI),
        };
        let part = part_of(frame.stereo, eye);
        let tangents = match frame.projection {
            PictureProjection::OffAxis { right, .. } if eye == Eye::Right => right,
            PictureProjection::OffAxis { left, .. } => left,
            _ => {
                let across = (angle / 2.0).min(1.55).tan();
                let size = frame.picture.size.as_vec2() * Vec2::new(part[2], part[3]);
                let up = across * size.y / size.x.max(1.0);
                [across, across, up, up]
            }
        };
        let near = extracted.clip_from_view.w_axis.z;
        let values = BackdropParameters {
            picture: frame.picture.uniform(),
            world_from_view: rows(Mat3::from_quat(rotation)),
            picture_from_world: rows(Mat3::from_quat(turn.inverse())),
            frustum: [frustum.left, frustum.right, frustum.down, frustum.up],
            eye: (eye_at - center).extend(near).to_array(),
            part,
            depth_part: depth.as_ref().map_or([0.0, 0.0, 1.0, 1.0], |depth| part_of(depth.stereo, eye)),
            shape: [wanted.distance_m.max(0.0), wanted.brightness.clamp(0.0, 100.0), angle, 0.0],
            depth: wanted.depth.numbers().to_array(),
            tangents,
            kind: [kind, u32::from(depth.is_some()), 0, 0],
        };
        let buffer =
            kept.parameters.entry((camera, *node)).or_insert_with(|| parameter_buffer::<BackdropParameters>(&device, "backdrop"));
        queue.write_buffer(buffer, 0, bytemuck::bytes_of(&values));
        // Across the seam of a whole sphere the picture goes on; not so where the other eye's part is beside it.
        let wraps = kind == 0 && frame.stereo != StereoLayout::LeftRight;
        let [first, second, third] = frame.picture.plane_views();
        let distances = depth.as_ref().map_or(first, |depth| depth.picture.view());
        let resources = [
            buffer.as_entire_binding(),
            wgpu::BindingResource::Sampler(&samplers[usize::from(wraps)]),
            wgpu::BindingResource::TextureView(first),
            wgpu::BindingResource::TextureView(second),
            wgpu::BindingResource::TextureView(third),
            wgpu::BindingResource::TextureView(distances),
        ];
        let bindings = bind_groups.get(&device, &pipeline.get_bind_group_layout(0), &numbered(&resources));
        let mut pass = context.command_encoder().begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("backdrop"),
            color_attachments: &[Some(target.get_color_attachment())],
            depth_stencil_attachment: Some(depth_texture.get_attachment(wgpu::StoreOp::Store)),
            ..Default::default()
        });
        if let Some(viewport) = (extracted.viewport.z > 0).then_some(extracted.viewport.as_vec4()) {
            pass.set_viewport(viewport.x, viewport.y, viewport.z, viewport.w, 0.0, 1.0);
        }
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.draw(0..3, 0..1);
    }
}
