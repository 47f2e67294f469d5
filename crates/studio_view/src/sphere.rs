//! The `SphereView` node: a window into the sphere.

use bevy::prelude::*;
use std::{
    f32::consts::{FRAC_PI_2, PI},
    sync::Arc,
};
use studio_frame::projection::{PictureProjection, StereoLayout};
use studio_gpu::{
    device::GpuError,
    pass::{SpecializedKernel, linear_sampler, parameter_buffer},
    picture::{PictureUniform, projection_number},
    prelude::*,
};
use studio_graph::prelude::*;
use studio_vision::nodes::FrameSynthesis;

/// Shows the part of the sphere that lies in front of the viewer, as a flat perspective picture.
///
/// With a second picture on `reference`, the view's left part shows that one: for comparing two versions of one frame.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(Watched)]
pub struct SphereView {
    /// Width and height of the view in pixels.
    pub size: UVec2,
    /// Looking direction, degrees to the right.
    pub yaw_deg: f32,
    /// Looking direction, degrees up, from -90 to 90.
    #[reflect(@-90.0..=90.0_f32)]
    pub pitch_deg: f32,
    /// Horizontal angle of view in degrees, from 20 to 150.
    #[reflect(@20.0..=150.0_f32)]
    pub fov_deg: f32,
    /// How much of the view's width, from the left, shows the reference: 0 to 1.
    #[reflect(@0.0..=1.0_f32)]
    pub split: f32,
}

impl Default for SphereView {
    fn default() -> Self {
        Self { size: UVec2::new(1280, 720), yaw_deg: 0.0, pitch_deg: 0.0, fov_deg: 90.0, split: 0.0 }
    }
}

impl NodeKind for SphereView {
    const DISPLAY_NAME: &'static str = "Sphere view";
    const CATEGORY: &'static str = "View";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("frame", DataType::VIDEO_FRAME),
            PinSpec::input("reference", DataType::VIDEO_FRAME),
            PinSpec::output("view", DataType::VIDEO_FRAME),
        ]
    }
}

impl SphereView {
    /// Turns the view; pitch stays between straight down and straight up, the angle of view within its range.
    pub fn turn(&mut self, yaw_deg: f32, pitch_deg: f32, zoom_deg: f32) {
        self.yaw_deg = (self.yaw_deg + yaw_deg + 180.0).rem_euclid(360.0) - 180.0;
        self.pitch_deg = (self.pitch_deg + pitch_deg).clamp(-90.0, 90.0);
        self.fov_deg = (self.fov_deg + zoom_deg).clamp(20.0, 150.0);
    }

    /// The direction in which a point of the view lies; `at` from -1 to 1, right and up. X is right, Y up, -Z ahead.
    pub fn direction(&self, at: Vec2) -> Vec3 {
        let half = (self.fov_deg.to_radians() / 2.0).tan();
        let aspect = self.size.x as f32 / self.size.y.max(1) as f32;
        let flat = Vec3::new(at.x * half, at.y * half / aspect, -1.0);
        (self.rotation() * flat).normalize()
    }

    /// The part of a picture that the view shows, in shares of its width and height, with a margin; it may run over the right
    /// edge. `None` where that is not worth working out: other projections than whole spheres, and views with a pole in them.
    pub fn visible_region(&self, projection: PictureProjection) -> Option<Rect> {
        const STEPS: i32 = 12;
        const MARGIN: f32 = 0.01;
        if projection != PictureProjection::Equirectangular {
            return None;
        }
        // The extremes of longitude and latitude lie on the view's border, or on its vertical middle line.
        let border = (-STEPS..=STEPS).map(|step| step as f32 / STEPS as f32);
        let points = border.flat_map(|at| {
            [Vec2::new(at, -1.0), Vec2::new(at, 1.0), Vec2::new(-1.0, at), Vec2::new(1.0, at), Vec2::new(0.0, at)]
        });
        let ahead = self.yaw_deg.to_radians();
        let (mut low, mut high) = (Vec2::splat(f32::MAX), Vec2::splat(f32::MIN));
        for direction in points.map(|at| self.direction(at)) {
            let longitude = direction.x.atan2(-direction.z) - ahead;
            let longitude = (longitude + PI).rem_euclid(2.0 * PI) - PI;
            let angles = Vec2::new(longitude, direction.y.clamp(-1.0, 1.0).asin());
            (low, high) = (low.min(angles), high.max(angles));
        }
        if high.x - low.x > 1.2 * PI {
            return None;
        }
        let left = (0.5 + (low.x + ahead) / (2.0 * PI) - MARGIN).rem_euclid(1.0);
        let width = (high.x - low.x) / (2.0 * PI) + 2.0 * MARGIN;
        let (top, bottom) = (0.5 - high.y / PI - MARGIN, 0.5 - low.y / PI + MARGIN);
        Some(Rect::new(left, top.max(0.0), left + width, bottom.min(1.0)))
    }

    /// Pixels across that the view needs of a whole picture to be sharp.
    pub fn wanted_width_px(&self, projection: PictureProjection, stereo: StereoLayout) -> f32 {
        let eyes = if stereo == StereoLayout::LeftRight { 2.0 } else { 1.0 };
        let picture_deg = match projection {
            PictureProjection::Equirectangular => 360.0,
            PictureProjection::HalfEquirectangular => 180.0,
            // Three faces side by side.
            PictureProjection::CubeMap => 270.0,
            PictureProjection::Fisheye { fov_deg } | PictureProjection::Rectilinear { fov_deg } => fov_deg,
            PictureProjection::OffAxis { .. } => self.fov_deg,
        };
        self.size.x as f32 * eyes * picture_deg / self.fov_deg
    }

    fn rotation(&self) -> Quat {
        Quat::from_euler(EulerRot::YXZ, -self.yaw_deg.to_radians(), self.pitch_deg.to_radians().clamp(-FRAC_PI_2, FRAC_PI_2), 0.0)
    }
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct SphereUniform {
    picture: PictureUniform,
    reference: PictureUniform,
    /// Columns of the rotation from view to world.
    rotation: [[f32; 4]; 3],
    /// Tangents of half the horizontal and vertical angle of view, the split, and the picture's own angle in radians.
    shape: [f32; 4],
    /// Offset and scale of the left eye's part of the picture.
    eye: [f32; 4],
    /// Edges of the picture's own view, as tangents to the left, right, up and down, where it is off its axis.
    edges: [f32; 4],
}

/// Renders views of the sphere.
pub struct SpherePass {
    kernel: SpecializedKernel<3>,
    repeat: wgpu::Sampler,
    clamp: wgpu::Sampler,
    uniform: wgpu::Buffer,
    target: Arc<GpuPicture>,
}

impl SpherePass {
    /// Makes a pass with a target of the view's size.
    pub fn new(device: &wgpu::Device, size: UVec2) -> Result<Self, GpuError> {
        // A compute pass, not a render pass: Mesa 22's software Vulkan keeps the memory of every render pass it ran.
        Ok(Self {
            kernel: SpecializedKernel::new(
                device,
                "sphere view",
                include_str!("../../../shaders/sphere_view.wgsl"),
                "sphere_view",
                ["PICTURE", "PLANES", "REFERENCE_PLANES"],
            ),
            repeat: linear_sampler(device, "sphere view", true),
            clamp: linear_sampler(device, "sphere view", false),
            uniform: parameter_buffer::<SphereUniform>(device, "sphere view"),
            target: Arc::new(GpuPicture::rgba(device, "sphere view", size)?),
        })
    }

    /// The picture that views are rendered into.
    pub const fn target(&self) -> &Arc<GpuPicture> {
        &self.target
    }

    /// Records the rendering of one view. `reference` must have the projection of `frame`.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        view: &SphereView,
        frame: &GpuFrame,
        reference: Option<&GpuFrame>,
    ) {
        let split = if reference.is_some() { view.split } else { 0.0 };
        let reference = reference.unwrap_or(frame);
        let tangent = (view.fov_deg.clamp(20.0, 150.0).to_radians() / 2.0).tan();
        let aspect = view.size.x as f32 / view.size.y.max(1) as f32;
        let (projection, angle_deg) = projection_number(frame.projection);
        let edges = match frame.projection {
            PictureProjection::OffAxis { left, .. } => left,
            _ => [1.0; 4],
        };
        let eye = match frame.stereo {
            StereoLayout::Mono => [0.0, 0.0, 1.0, 1.0],
            StereoLayout::TopBottom => [0.0, 0.0, 1.0, 0.5],
            StereoLayout::LeftRight => [0.0, 0.0, 0.5, 1.0],
        };
        let rotation = Mat3::from_quat(view.rotation());
        let values = SphereUniform {
            picture: frame.picture.uniform(),
            reference: reference.picture.uniform(),
            rotation: [rotation.x_axis, rotation.y_axis, rotation.z_axis].map(|column| column.extend(0.0).to_array()),
            shape: [tangent, tangent / aspect, split, f32::to_radians(angle_deg)],
            eye,
            edges,
        };
        queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&values));
        let sampler = if projection == 0 && frame.stereo != StereoLayout::LeftRight { &self.repeat } else { &self.clamp };
        let (planes, reference_planes) = (frame.picture.plane_views(), reference.picture.plane_views());
        let mut resources = vec![self.uniform.as_entire_binding(), wgpu::BindingResource::Sampler(sampler)];
        resources.extend(planes.into_iter().chain(reference_planes).map(wgpu::BindingResource::TextureView));
        resources.push(wgpu::BindingResource::TextureView(self.target.view()));
        let layouts = [values.picture, values.reference].map(|picture| picture.plane_layout[0]);
        let kernel = self.kernel.with(device, [projection, layouts[0], layouts[1]]);
        kernel.dispatch(device, encoder, "sphere view", &resources, self.target.size);
    }
}

/// Has frames generated only where the view looks.
pub(crate) fn limit_synthesis(
    views: Query<(Entity, &SphereView)>,
    links: GraphLinks,
    pins: Query<(&PinFrame, &PinOf, Option<&Feeds>)>,
    mut synthesis: Query<&mut FrameSynthesis>,
) {
    for (node, view) in &views {
        let Some((frame, owner, feeds)) = links.source(node, "frame").and_then(|pin| pins.get(pin).ok()) else { continue };
        let Ok(mut synthesis) = synthesis.get_mut(owner.0) else { continue };
        // Where something else takes the frames too, such as a second view or a headset, each would make the other's part stale.
        let alone = feeds.is_some_and(|feeds| feeds.len() == 1);
        let region = frame.get().filter(|_| alone).and_then(|frame| view.visible_region(frame.projection));
        if synthesis.region != region {
            synthesis.region = region;
        }
    }
}

pub(crate) fn run_sphere_view(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<SphereView>>,
    mut states: Local<NodeStates<SpherePass>>,
    shown: Res<crate::stats::ViewStats>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    let reference = run.input("reference").ok().cloned();
    let view = settings.of(run.node);
    let size = view.size.max(UVec2::ONE);
    let state =
        states.get_or_make(&gpu, run.node, |state| state.target.size == size, || Ok(SpherePass::new(gpu.device(), size)?))?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.encode(device, queue, encoder, &view, &frame, reference.as_ref());
    let (queue, stats, ledger) = (gpu.queue().clone(), shown.clone(), gpu.ledger.clone());
    let stamp = frame.stamp;
    // The picture counts as seen when the GPU has drawn it, not when it was told to.
    gpu.after_submit(move || queue.on_submitted_work_done(move || stats.shown(stamp, &ledger)));
    let projection = PictureProjection::Rectilinear { fov_deg: view.fov_deg };
    run.set_output("view", GpuFrame { picture: state.target.clone(), projection, ..frame })?;
    Ok(())
}
