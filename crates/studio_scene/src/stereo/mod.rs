//! Scenes seen by two eyes, by a sphere, or by fisheye lenses.
//!
//! | module | what it does |
//! |---|---|
//! | [`frustum`] | off-axis view frusta, and the projection made of one |
//! | [`rig`] | [`StereoRig`]: two eyes on an entity |
//! | [`deferred`] | surfaces drawn first and lit afterwards, by a compute shader |
//! | [`shadows`] | one set of shadow maps for several cameras |
//! | [`reuse`] | shadow maps that are not drawn again while nothing in them moves |
//! | [`plan`] | which cameras make a picture of the sphere, and omnidirectional stereo |
//! | [`backdrop`] | the [`Backdrop`] node: a picture of the sphere behind and among the scene's objects |
//! | [`screen`] | the [`VideoScreen`] node: a picture on an object of the scene |
//! | [`settings`] | the [`SceneView`] node: a picture of the scene for the graph |

pub mod backdrop;
pub mod camera;
mod cascades;
pub mod deferred;
pub mod frustum;
mod lens_rig;
mod output;
mod pace;
pub mod plan;
mod resample;
pub mod reuse;
pub mod rig;
pub mod screen;
pub mod settings;
pub mod shadows;
mod targets;
#[cfg(test)]
mod tests;
mod view;
mod viewpoint;

pub use backdrop::{Backdrop, DepthCoding};
pub use camera::{SceneLook, SceneSamples, SceneShading, SceneToneMapping};
pub use frustum::{EyeFrustum, OffAxisProjection, ShadowReach};
pub use reuse::ShadowReuse;
pub use rig::{Eye, EyeAngles, EyeView, RigCamera, StereoRig, StereoTargets};
pub use screen::{ScreenLight, VideoScreen};
pub use settings::{SceneProjection, SceneView, StereoPacking};
pub use shadows::SharesShadowsOf;

use bevy::{
    camera::{CameraUpdateSystems, visibility::VisibilitySystems},
    light::SimulationLightSystems,
    prelude::*,
    render::{ExtractSchedule, RenderApp},
};
use studio_gpu::prelude::*;
use studio_graph::prelude::*;
use studio_vision::rig::Rig;

/// Adds stereo rigs and the nodes [`SceneView`], [`Backdrop`] and [`VideoScreen`]. Needs Bevy's 3D renderer, the graph and its GPU driver before it.
pub struct SceneViewPlugin;

impl Plugin for SceneViewPlugin {
    fn build(&self, app: &mut App) {
        app.register_type::<StereoRig>()
            .init_resource::<view::SceneViews>()
            .add_message::<AssetEvent<Rig>>()
            .add_camera_node::<SceneView, _>(view::run_scene_view)
            .add_systems(Startup, |mut commands: Commands| {
                commands.spawn((Name::new("Scene origin"), viewpoint::OriginViewpoint));
            })
            .add_systems(Update, (view::make_cameras, view::call_for_pictures).chain().in_set(StudioSystems::Capture))
            .add_systems(PostUpdate, rig::make_eyes.before(TransformSystems::Propagate).before(CameraUpdateSystems))
            .add_systems(
                PostUpdate,
                rig::place_cameras
                    .after(TransformSystems::Propagate)
                    .before(VisibilitySystems::UpdateFrusta)
                    .before(SimulationLightSystems::UpdateDirectionalLightCascades)
                    .before(SimulationLightSystems::AssignLightsToClusters),
            );
        shadows::plugin(app);
        reuse::plugin(app);
        deferred::plugin(app);
        output::plugin(app);
        backdrop::plugin(app);
        screen::plugin(app);
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app.init_resource::<view::FilmingNodes>().add_systems(ExtractSchedule, view::extract_filming);
    }
}
