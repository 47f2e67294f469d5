//! A 3D scene around the viewer, beside the stream's picture: Bevy's cameras where the eyes are.

use crate::{Headset, HeadsetFrame, HeadsetPhase, HeadsetStatus, pose::XrView};
use bevy::{
    camera::{ManualTextureViewHandle, RenderTarget},
    prelude::*,
    render::{
        renderer::RenderDevice,
        texture::{ManualTextureView, ManualTextureViews},
    },
};
use std::sync::Arc;
use studio_gpu::prelude::*;
use studio_scene::stereo::{EyeFrustum, OffAxisProjection, SceneLook};

/// The place in a 3D scene at which someone with a headset is, with the ground plane's axes: Y up, −Z where the picture's middle is. What
/// is in the scene is seen before the stream's picture; where nothing is, the picture is seen.
///
/// Two cameras appear below this entity while the headset is on. With several such entities, the first one counts.
#[derive(Component, Clone, Copy, Debug, PartialEq, Reflect)]
#[reflect(Component, Default)]
#[require(Transform, Visibility)]
pub struct HeadsetScene {
    /// Distance of the near plane in metres, above 0.
    pub near_m: f32,
    /// Beyond this distance in metres objects are left out.
    pub far_m: f32,
    /// How the scene looks. Where nothing is, the stream's picture is seen: the background does not count.
    pub look: SceneLook,
}

impl Default for HeadsetScene {
    fn default() -> Self {
        Self { near_m: 0.05, far_m: 1000.0, look: SceneLook::default() }
    }
}

/// One of the two cameras: 0 is the left eye's.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) struct HeadsetEye(usize);

/// The pictures that the cameras render into.
#[derive(Resource, Default)]
pub(crate) struct EyeTargets {
    pictures: Option<[Arc<GpuPicture>; 2]>,
}

/// Away from the numbers that other parts of the program count from.
const FIRST_HANDLE: u32 = 0x5852_0000;
/// After the cameras of windows: those may be what the scene's screens show.
const FIRST_ORDER: isize = 100;

/// Makes the cameras when the headset is on and takes them down when it is off; makes their pictures as large as the headset wants them.
pub(crate) fn make_eyes(
    headset: Res<Headset>,
    status: Res<HeadsetStatus>,
    scenes: Query<(Entity, &HeadsetScene)>,
    eyes: Query<(Entity, &ChildOf), With<HeadsetEye>>,
    device: Option<Res<RenderDevice>>,
    views: Option<ResMut<ManualTextureViews>>,
    mut targets: ResMut<EyeTargets>,
    mut commands: Commands,
) {
    let (Some(device), Some(mut views)) = (device, views) else { return };
    let on = matches!(status.phase, HeadsetPhase::On(_));
    let scene = scenes.iter().next().filter(|_| on);
    for (eye, _) in eyes.iter().filter(|(_, parent)| scene.is_none_or(|(scene, _)| scene != parent.parent())) {
        commands.entity(eye).despawn();
    }
    let Some((scene, settings)) = scene else {
        if targets.pictures.take().is_some() {
            headset.show_scene(None);
            (0..2).for_each(|eye| drop(views.remove(&ManualTextureViewHandle(FIRST_HANDLE + eye))));
        }
        return;
    };
    let Some(size) = headset.eye_size() else { return };
    if targets.pictures.as_ref().is_none_or(|[left, _]| left.size != size) {
        let made = [0, 1].map(|_| GpuPicture::filmed(device.wgpu_device(), "headset scene", size).map(Arc::new));
        let [Ok(left), Ok(right)] = made else { return };
        for (eye, picture) in (0..).zip([&left, &right]) {
            let Some(target) = picture.srgb_target() else { return };
            let view = ManualTextureView { texture_view: target.into(), size, view_format: wgpu::TextureFormat::Rgba8UnormSrgb };
            views.insert(ManualTextureViewHandle(FIRST_HANDLE + eye), view);
        }
        targets.pictures = Some([left, right]);
    }
    if eyes.iter().any(|(_, parent)| parent.parent() == scene) {
        return;
    }
    for eye in 0..2 {
        let nothing = OffAxisProjection::new(EyeFrustum::square(1.0), settings.near_m.max(1e-3), settings.far_m);
        commands.spawn((
            Name::new(if eye == 0 { "Left eye" } else { "Right eye" }),
            HeadsetEye(eye),
            ChildOf(scene),
            Camera3d::default(),
            settings.look.components(),
            Camera {
                order: FIRST_ORDER + eye as isize,
                clear_color: ClearColorConfig::Custom(Color::NONE),
                is_active: false,
                ..default()
            },
            RenderTarget::TextureView(ManualTextureViewHandle(FIRST_HANDLE + eye as u32)),
            Projection::custom(nothing),
        ));
    }
}

/// Puts the cameras where the eyes will be when the frame is seen. Without a frame they do not render.
pub(crate) fn place_eyes(
    headset: Res<Headset>,
    frame: Res<HeadsetFrame>,
    targets: Res<EyeTargets>,
    scenes: Query<&HeadsetScene>,
    mut eyes: Query<(&HeadsetEye, &ChildOf, &mut Camera, &mut Transform, &mut Projection)>,
) {
    let frame = frame.0.as_ref().filter(|frame| frame.should_render);
    let mut filmed = false;
    for (eye, parent, mut camera, mut transform, mut projection) in &mut eyes {
        if camera.is_active != frame.is_some() {
            camera.is_active = frame.is_some();
        }
        let (Some(frame), Ok(scene)) = (frame, scenes.get(parent.parent())) else { continue };
        let XrView { eye: place, tangents, .. } = frame.views[eye.0.min(1)];
        *transform = Transform::from_isometry(frame.ahead.inverse() * place);
        let frustum = EyeFrustum { left: -tangents.left, right: tangents.right, down: -tangents.down, up: tangents.up };
        *projection = Projection::custom(OffAxisProjection::new(frustum, scene.near_m.max(1e-3), scene.far_m));
        filmed = true;
    }
    if filmed {
        headset.show_scene(targets.pictures.clone());
    }
}
