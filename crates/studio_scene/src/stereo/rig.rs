//! Two eyes on an entity.

use super::{
    camera::{SceneLook, film_camera},
    frustum::{EyeFrustum, OffAxisProjection, ShadowReach},
    shadows::SharesShadowsOf,
    viewpoint::Viewpoints,
};
use crate::look::StageView;
use bevy::{
    camera::{Exposure, RenderTarget},
    ecs::system::SystemParam,
    prelude::*,
};

/// Which eye a camera is.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
#[reflect(Component)]
pub enum Eye {
    /// Both see the same.
    #[default]
    Both,
    /// The left one.
    Left,
    /// The right one.
    Right,
}

impl Eye {
    /// Where the eye stands, in shares of the distance between the eyes: −½ left, ½ right.
    pub const fn side(self) -> f32 {
        match self {
            Self::Both => 0.0,
            Self::Left => -0.5,
            Self::Right => 0.5,
        }
    }
}

/// The angles that an eye sees, in degrees from straight ahead, each outwards: all are positive where straight ahead is within
/// the view.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct EyeAngles {
    /// To the left, above −90 and below 90.
    pub left_deg: f32,
    /// To the right.
    pub right_deg: f32,
    /// Up.
    pub up_deg: f32,
    /// Down.
    pub down_deg: f32,
}

impl EyeAngles {
    fn frustum(self) -> EyeFrustum {
        let tangent = |degrees: f32| degrees.clamp(-89.0, 89.0).to_radians().tan();
        EyeFrustum {
            left: -tangent(self.left_deg),
            right: tangent(self.right_deg),
            down: -tangent(self.down_deg),
            up: tangent(self.up_deg),
        }
    }
}

/// How much each eye sees.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub enum EyeView {
    /// The same symmetric view for both.
    Symmetric {
        /// Full vertical angle in degrees, above 0 and below 180.
        vertical_deg: f32,
        /// Width by height.
        aspect: f32,
    },
    /// As a headset's lenses show it.
    Angles {
        /// What the left eye sees.
        left_eye: EyeAngles,
        /// What the right eye sees.
        right_eye: EyeAngles,
    },
    /// By tangents, for instance of a camera that is there already.
    Frusta {
        /// What the left eye sees.
        left_eye: EyeFrustum,
        /// What the right eye sees.
        right_eye: EyeFrustum,
    },
}

/// Two eyes side by side, looking along the entity's −Z with parallel axes and off-axis frusta (see
/// [`frustum`](super::frustum)). With [`StereoTargets`] on the same entity two cameras appear as its children and render into
/// those; a `SceneView` node that looks from this entity takes the rig's numbers for its pictures.
///
/// Lengths are metres of the world, whatever the entity's scale.
#[derive(Component, Clone, Debug, PartialEq, Reflect)]
#[reflect(Component, Default)]
#[require(Transform, Visibility)]
pub struct StereoRig {
    /// Distance between the eyes in metres, 0 to 10; people's is 0.05 to 0.075.
    pub ipd_m: f32,
    /// Distance in metres at which nothing has parallax; none is infinite, as in headsets.
    pub convergence_m: Option<f32>,
    /// Distance of the near plane in metres, above 0.
    pub near_m: f32,
    /// Beyond this distance in metres objects are left out.
    pub far_m: f32,
    /// How much each eye sees.
    pub view: EyeView,
    /// How the pictures look.
    pub look: SceneLook,
}

impl Default for StereoRig {
    fn default() -> Self {
        Self {
            ipd_m: 0.063,
            convergence_m: None,
            near_m: 0.05,
            far_m: 1000.0,
            view: EyeView::Symmetric { vertical_deg: 60.0, aspect: 16.0 / 9.0 },
            look: SceneLook::default(),
        }
    }
}

impl StereoRig {
    /// Where an eye stands, to the right of the middle, in metres.
    pub fn offset_m(&self, eye: Eye) -> f32 {
        self.ipd_m.clamp(0.0, 10.0) * eye.side()
    }

    /// An eye's frustum, sheared for the convergence.
    pub fn frustum(&self, eye: Eye) -> EyeFrustum {
        let bare = match (self.view, eye) {
            (EyeView::Symmetric { vertical_deg, aspect }, _) => EyeFrustum::symmetric(vertical_deg, aspect.clamp(0.01, 100.0)),
            (EyeView::Angles { right_eye, .. }, Eye::Right) => right_eye.frustum(),
            (EyeView::Angles { left_eye, .. }, _) => left_eye.frustum(),
            (EyeView::Frusta { right_eye, .. }, Eye::Right) => right_eye,
            (EyeView::Frusta { left_eye, .. }, _) => left_eye,
        };
        let convergence = self.convergence_m.filter(|distance| *distance > 0.0 && distance.is_finite());
        convergence.map_or(bare, |distance| bare.sheared(-self.offset_m(eye) / distance))
    }

    /// An eye's projection. The left eye's shadow maps of directional lights cover what the right one sees.
    pub fn projection(&self, eye: Eye) -> OffAxisProjection {
        let near = if self.near_m > 1e-4 { self.near_m } else { 1e-4 };
        let mut projection = OffAxisProjection::new(self.frustum(eye), near, self.far_m.max(near * 2.0));
        if eye == Eye::Left {
            projection.shadow_reach =
                ShadowReach::Pair { other: self.frustum(Eye::Right), offset_m: self.offset_m(Eye::Right) - self.offset_m(eye) };
        }
        projection
    }
}

/// Where the eyes of a [`StereoRig`] render to.
#[derive(Component, Clone, Debug)]
pub struct StereoTargets {
    /// The left eye's picture.
    pub left: RenderTarget,
    /// The right eye's picture, as large.
    pub right: RenderTarget,
    /// [`Camera::order`] of the left eye; the right eye's is one more. No camera of another rig may lie between them.
    pub order: isize,
}

/// A camera that belongs to a rig: it follows its rig's pose, without its scale, after transforms have been propagated.
#[derive(Component, Clone, Copy, Debug)]
pub struct RigCamera {
    /// What it hangs on.
    pub rig: Entity,
    /// Where it stands in the rig's frame, in metres.
    pub pose: Isometry3d,
}

/// The eyes that a rig made.
#[derive(Component)]
pub(super) struct StereoEyes([Entity; 2]);

/// The eyes that see, and what they have of a stage.
#[derive(SystemParam)]
pub(super) struct StageEyes<'w, 's> {
    rigs: Query<'w, 's, (Entity, &'static StereoEyes)>,
    viewpoints: Viewpoints<'w, 's>,
    eyes: Query<'w, 's, (Has<StageView>, Option<&'static Exposure>)>,
}

impl StageEyes<'_, '_> {
    /// Lets eyes see a stage as [`SceneView`](super::SceneView)s see it: with its sky, its default light, and exposed for its lights.
    fn see_stages(&self, commands: &mut Commands) {
        for (rig, StereoEyes(cameras)) in &self.rigs {
            let Some(view) = self.viewpoints.at(rig) else { continue };
            for camera in *cameras {
                let Ok((sees_stage, exposure)) = self.eyes.get(camera) else { continue };
                if exposure.is_none_or(|exposure| exposure.ev100 != view.ev100) {
                    commands.entity(camera).try_insert(Exposure { ev100: view.ev100 });
                }
                match (view.sees_stage, sees_stage) {
                    (true, false) => _ = commands.entity(camera).try_insert(StageView),
                    (false, true) => _ = commands.entity(camera).try_remove::<StageView>(),
                    _ => {}
                }
            }
        }
    }
}

/// Gives rigs with targets their eyes, and brings those up to date.
pub(super) fn make_eyes(
    rigs: Query<
        (Entity, Ref<StereoRig>, Ref<StereoTargets>, Option<&StereoEyes>),
        Or<(Changed<StereoRig>, Changed<StereoTargets>, Added<StereoTargets>)>,
    >,
    mut removed: RemovedComponents<StereoTargets>,
    eyes: Query<&StereoEyes, Without<StereoTargets>>,
    seeing: StageEyes,
    mut commands: Commands,
) {
    seeing.see_stages(&mut commands);
    for rig in removed.read() {
        if let Ok(StereoEyes(cameras)) = eyes.get(rig) {
            cameras.iter().for_each(|camera| commands.entity(*camera).try_despawn());
            commands.entity(rig).try_remove::<StereoEyes>();
        }
    }
    for (entity, rig, targets, present) in &rigs {
        let cameras = present.map_or_else(|| [commands.spawn_empty().id(), commands.spawn_empty().id()], |eyes| eyes.0);
        let sides = [(Eye::Left, &targets.left, 0), (Eye::Right, &targets.right, 1)];
        for ((eye, target, order), camera) in sides.into_iter().zip(cameras) {
            let pose = Isometry3d::from_translation(Vec3::X * rig.offset_m(eye));
            commands.entity(camera).insert((
                Name::new(format!("{eye:?} eye")),
                film_camera(rig.projection(eye), target.clone(), targets.order + order, &rig.look),
                rig.look.components(),
                RigCamera { rig: entity, pose },
                eye,
                ChildOf(entity),
            ));
            rig.look.shade(&mut commands.entity(camera));
            if rig.look.hdr {
                commands.entity(camera).insert(bevy::camera::Hdr);
            } else {
                commands.entity(camera).remove::<bevy::camera::Hdr>();
            }
        }
        let [left, right] = cameras;
        commands.entity(right).insert(SharesShadowsOf(left));
        commands.entity(entity).insert(StereoEyes(cameras));
    }
}

/// Puts cameras where their rigs are.
pub(super) fn place_cameras(
    mut cameras: Query<(&RigCamera, &mut GlobalTransform)>,
    rigs: Query<&GlobalTransform, Without<RigCamera>>,
) {
    for (camera, mut place) in &mut cameras {
        let Ok(rig) = rigs.get(camera.rig) else { continue };
        let (_, rotation, translation) = rig.to_scale_rotation_translation();
        let pose = Isometry3d::new(translation, rotation) * camera.pose;
        place.set_if_neq(GlobalTransform::from_isometry(pose));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::camera::CameraProjection as _;

    fn seen(rig: &StereoRig, eye: Eye, point: Vec3) -> f32 {
        rig.projection(eye).get_clip_from_view().project_point3(point - Vec3::X * rig.offset_m(eye)).x
    }

    #[test]
    fn what_stands_at_the_convergence_has_no_parallax_and_what_is_nearer_pops_out() {
        let rig = StereoRig { convergence_m: Some(2.0), ..default() };
        let parallax = |distance: f32| {
            let point = Vec3::new(0.3, -0.2, -distance);
            seen(&rig, Eye::Right, point) - seen(&rig, Eye::Left, point)
        };
        assert!(parallax(2.0).abs() < 1e-6);
        assert!(parallax(1.0) < 0.0, "crossed: the right eye sees it farther left");
        assert!(parallax(4.0) > 0.0);
        // Bourke: parallax on the screen is ipd (1 − convergence / distance), in shares of half the screen's width.
        let half_width = rig.frustum(Eye::Both).right * 2.0;
        assert!((parallax(4.0) - 0.063 * (1.0 - 2.0 / 4.0) / half_width).abs() < 1e-5);
    }

    #[test]
    fn eyes_see_a_stage_while_there_is_one_as_other_views_do() {
        use crate::{look::exposure, stage::UsdStageRoot};
        let mut app = App::new();
        app.add_systems(Update, make_eyes);
        let target = || RenderTarget::Image(Handle::<Image>::default().into());
        let targets = StereoTargets { left: target(), right: target(), order: 0 };
        app.world_mut().spawn((StereoRig::default(), targets, Transform::default()));
        let eyes = |app: &mut App| {
            // What a frame spawns is seen by the next.
            app.update();
            app.update();
            let mut eyes = app.world_mut().query::<(&Eye, Has<StageView>, &Exposure)>();
            eyes.iter(app.world()).map(|(_, sees_stage, exposure)| (sees_stage, exposure.ev100)).collect::<Vec<_>>()
        };
        assert_eq!(eyes(&mut app), [(false, Exposure::default().ev100); 2]);
        let stage = app.world_mut().spawn(UsdStageRoot(Handle::default())).id();
        assert_eq!(eyes(&mut app), [(true, exposure(0.0).ev100); 2]);
        app.world_mut().despawn(stage);
        assert_eq!(eyes(&mut app), [(false, Exposure::default().ev100); 2]);
    }

    #[test]
    fn infinitely_far_convergence_has_symmetric_frusta() {
        let rig = StereoRig::default();
        assert_eq!(rig.frustum(Eye::Left), rig.frustum(Eye::Right));
        let far = Vec3::new(0.0, 0.0, -1e6);
        assert!((seen(&rig, Eye::Right, far) - seen(&rig, Eye::Left, far)).abs() < 1e-6);
    }

    #[test]
    fn a_headset_s_angles_become_tangents() {
        let angles = EyeAngles { left_deg: 45.0, right_deg: 30.0, up_deg: 40.0, down_deg: 50.0 };
        let mirrored = EyeAngles { left_deg: 30.0, right_deg: 45.0, ..angles };
        let rig = StereoRig { view: EyeView::Angles { left_eye: angles, right_eye: mirrored }, ..default() };
        let left = rig.frustum(Eye::Left);
        assert!((left.left + 1.0).abs() < 1e-6 && (left.right - 30_f32.to_radians().tan()).abs() < 1e-6, "{left:?}");
        assert!((rig.frustum(Eye::Right).right - 1.0).abs() < 1e-6);
    }
}
