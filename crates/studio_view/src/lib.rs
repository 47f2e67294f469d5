//! The viewer: a graph of its own that receives a stream, makes frames between the received ones, and shows the sphere.
//!
//! `StreamInput → FrameSynthesis → SphereView → WindowOutput`, and for sound `StreamInput → AudioOutput`

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

pub mod command;
pub mod controls;
mod handover;
pub mod hud;
pub mod input;
pub mod playing;
mod receive;
pub mod reporting;
mod sound;
pub mod sphere;
pub mod stats;

use bevy::{prelude::*, render::RenderApp, window::PrimaryWindow};
use bevy_egui::{EguiPlugin, EguiPrimaryContextPass};
use studio_gpu::{prelude::*, present::WindowTaken};
use studio_graph::prelude::*;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        StudioViewPlugin,
        input::{StreamInput, StreamInputStats},
        playing::DisplayTime,
        reporting::ViewerIdentity,
        sphere::SphereView,
    };
}

/// Adds [`StreamInput`](input::StreamInput) and [`SphereView`](sphere::SphereView); in a window also the controls and the
/// head-up display.
pub struct StudioViewPlugin;

impl Plugin for StudioViewPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<stats::ViewStats>();
        let stats = app.world().resource::<stats::ViewStats>().clone();
        app.init_resource::<playing::DisplayTime>()
            .init_resource::<reporting::ViewerIdentity>()
            .init_resource::<reporting::ViewerLook>();
        input::add_stream_input(app);
        app.add_message::<command::ViewerCommand>()
            .add_systems(Update, command::obey.after(StudioSystems::Compile).before(StudioSystems::Send))
            .add_gpu_node::<sphere::SphereView, _>(sphere::run_sphere_view)
            .add_systems(Update, sphere::limit_synthesis.in_set(StudioSystems::Send));
        if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
            render_app.insert_resource(stats);
        }
        let mut windows = app.world_mut().query_filtered::<(), With<PrimaryWindow>>();
        let windowed = windows.iter(app.world()).next().is_some();
        if windowed {
            // Where an editor has the window, keys and mouse are its own.
            let viewing = any_with_component::<sphere::SphereView>.and_then(not(resource_exists::<WindowTaken>));
            app.init_resource::<hud::HudVisible>()
                .init_resource::<controls::ViewScale>()
                .add_plugins(EguiPlugin::default())
                .add_systems(
                    Update,
                    (controls::look_around, controls::press_keys, controls::follow_window)
                        .chain()
                        .before(command::obey)
                        .run_if(viewing.clone()),
                )
                .add_systems(EguiPrimaryContextPass, hud::draw_hud.run_if(viewing));
        }
    }
}
