//! The OpenXR viewer: a stream's pictures in a headset.
//!
//! `StreamInput → FrameSynthesis → HeadsetOutput`, with [`StudioXrPlugin`] in the app:
//!
//! ```no_run
//! use bevy::prelude::*;
//! use studio_xr::{Headset, HeadsetOptions, StudioXrPlugin};
//!
//! // The headset first: the app must be on its GPU.
//! let headset = Headset::open(HeadsetOptions::default()).expect("no log was asked for");
//! App::new().add_plugins(DefaultPlugins.set(headset.render_plugin())).add_plugins(StudioXrPlugin(headset)).run();
//! ```
//!
//! # Why the frame loop is ours
//!
//! `bevy_mod_openxr` opens the GPU through the runtime, which has its pitfalls, and that part is used. The rest of it ends the
//! program when the runtime fails in a call, makes swapchains of two layers in one size alone, destroys images that are the runtime's, and
//! holds the whole app until the runtime calls for a frame. So instance, session, frames and layers are handled here, on the `openxr` crate:
//!
//! - Every error is handled. What it makes void is let go, the app goes on in its window or without one, and the headset is looked
//!   for again every two seconds. A runtime that was killed and came back gets a new instance and a new session on the old
//!   device: it asks no more of a device than that it is on the headset's GPU. If the headset is on another one then, or the GPU was
//!   lost, a new start of the program is needed, and the message says so.
//! - A thread of its own waits for the runtime's call (`xrWaitFrame`) and wakes the app; the app's loop never does. All other calls
//!   are made between updates and in the render schedule, where nothing else uses the GPU's queue: OpenXR asks for that.
//! - A runtime that answers nothing at all (its service was stopped, not killed) holds the app in one of these, until it goes on or is killed.
//!
//! # A frame
//!
//! Before an update, the frame that the runtime called for begins, and the eyes are located for the time when it will be seen
//! ([`HeadsetFrame`]). The update's stream inputs choose the moment of the stream that belongs
//! to that time ([`DisplayTime`]), and set the frame synthesis to it. After
//! rendering, what came out goes into images shared with the compositor, and layers of them end the frame. A picture that was handed
//! over already is not drawn again: the compositor shows it anew, with the head's newest direction.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod actions;
mod error;
mod headset;
mod images;
mod layers;
mod log;
mod output;
mod pacer;
mod panel;
mod pose;
mod present;
mod runtime;
mod scene;
mod session;
mod shape;
mod veil;
mod viewing;

pub use error::XrError;
pub use headset::{Headset, HeadsetOptions, HeadsetPhase, HeadsetSpace, HeadsetStatus};
pub use output::{HeadsetBackground, HeadsetLayers, HeadsetOutput, HeadsetOutputPlugin};
pub use panel::HeadsetPanel;
pub use pose::XrView;
pub use scene::HeadsetScene;
pub use session::XrFrame;

use crate::{output::HeadsetPicture, present::Present};
use bevy::{
    camera::CameraUpdateSystems,
    prelude::*,
    render::{
        Render, RenderApp, RenderSystems,
        renderer::{RenderDevice, RenderQueue},
    },
};
use studio_frame::prelude::*;
use studio_gpu::{driver::GpuEpoch, prelude::*};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_stream::report::ViewerKind;
use studio_view::{
    command::ViewerCommand,
    playing::DisplayTime,
    reporting::{ViewerIdentity, ViewerLook},
    stats::ViewStats,
};

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        Headset, HeadsetFrame, HeadsetOptions, HeadsetOutput, HeadsetPhase, HeadsetScene, HeadsetStatus, StudioXrPlugin,
    };
}

/// Adds the headset's frames and its status, and the [`HeadsetOutput`] node where it is not there. Needs the studio's other plugins before it, and Bevy's render
/// plugin from the same [`Headset`].
pub struct StudioXrPlugin(pub Headset);

/// The frame of the headset's display that this update is for; none where the runtime called for none since the last one.
#[derive(Resource, Clone, Debug, Default)]
pub struct HeadsetFrame(pub Option<XrFrame>);

impl Plugin for StudioXrPlugin {
    fn build(&self, app: &mut App) {
        if !app.is_plugin_added::<HeadsetOutputPlugin>() {
            app.add_plugins(HeadsetOutputPlugin);
        }
        app.init_resource::<ViewStats>()
            .add_message::<ViewerCommand>()
            .init_resource::<HeadsetFrame>()
            .init_resource::<HeadsetPanel>()
            .init_resource::<DisplayTime>()
            .init_resource::<ViewerLook>()
            .init_resource::<scene::EyeTargets>()
            .register_type::<HeadsetScene>()
            .insert_resource(self.0.clone())
            .insert_resource(self.0.status())
            .add_systems(First, (follow_headset, viewing::tell_viewer).chain())
            .add_systems(
                PostUpdate,
                (scene::make_eyes, ApplyDeferred, scene::place_eyes)
                    .chain()
                    .before(TransformSystems::Propagate)
                    .before(CameraUpdateSystems),
            )
            .add_systems(Update, panel::write_panel.in_set(StudioSystems::Report));
        // Without a headset at the start there is none later on.
        if self.0.status().phase != HeadsetPhase::Off {
            app.insert_resource(ViewerIdentity::of_kind(ViewerKind::OpenXr));
        }
        let stats = app.world().resource::<ViewStats>().clone();
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .insert_resource(self.0.clone())
            .insert_resource(stats)
            .add_systems(Render, present.after(RenderSystems::Render).before(RenderSystems::Cleanup));
    }
}

fn follow_headset(
    headset: Res<Headset>,
    waker: Res<StudioWaker>,
    mut frame: ResMut<HeadsetFrame>,
    mut status: ResMut<HeadsetStatus>,
    mut panel: ResMut<HeadsetPanel>,
    mut told: MessageWriter<ViewerCommand>,
) {
    let mut core = headset.0.lock();
    frame.0 = core.update(&waker);
    status.set_if_neq(core.status.clone());
    told.write_batch(core.told.drain(..));
    if core::mem::take(&mut core.panel_wished) {
        panel.0 = !panel.0;
    }
}

/// Ends the headset's frame with the newest picture.
fn present(
    headset: Res<Headset>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    settings: Res<NodeSettings<HeadsetOutput>>,
    epoch: Res<GpuEpoch>,
    stats: Res<ViewStats>,
    ledger: Res<LatencyLedger>,
    mut picture: ResMut<HeadsetPicture>,
) {
    let mut core = headset.0.lock();
    if epoch.0 > 1 {
        core.lose_gpu();
    }
    let settings = picture.0.as_ref().map(|shown| settings.of(shown.node)).unwrap_or_default();
    let present = Present { device: device.wgpu_device(), queue: &queue.0, settings: &settings, shown: picture.0.as_mut() };
    let Some(stamp) = core.present(present) else { return };
    let (stats, ledger) = (stats.clone(), ledger.clone());
    queue.on_submitted_work_done(move || stats.shown(stamp, &ledger));
}
