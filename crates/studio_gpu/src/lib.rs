//! Pictures on the GPU, and the driver that runs the graph's GPU nodes.
//!
//! | module | what it does |
//! |---|---|
//! | [`device`] | opens a GPU without an app, for tests, benches and tools |
//! | [`picture`] | textures for the planes of a picture; one upload a captured frame |
//! | [`frame`] | [`PinFrame`](frame::PinFrame): the newest frame on an output pin, seen from both worlds |
//! | [`handover`] | how the newest frame goes from a producer to its consumers |
//! | [`pool`] | textures that are used again, within a budget |
//! | [`node`] | registers a node kind's system in the render world |
//! | [`driver`] | uploads, runs the nodes in the graph's order, submits once |
//! | [`film`] | nodes whose pictures the cameras of a 3D scene make |
//! | [`readback`] | a ring of mapped buffers, delivered without a copy |
//! | [`upload`] | staging buffers used again, filled by several threads |
//! | [`yuv`] | RGBA to NV12 or P010 |
//! | [`mark`] | the `LatencyMark` node |
//! | [`present`] | the `WindowOutput` node: pictures in a window |
//! | [`preview`] | the `Preview` node, and pictures of pins for user interfaces |
//! | [`paint`] | draws a picture of any planes over a target |
//! | [`rgba`] | the `ColorConvert` node: any planes to RGBA |
//! | [`camera_move`] | the `CameraMove` node: a camera that moves over a picture |
//! | [`pass`] | what small passes share |
//! | [`timer`] | the GPU's own time for each node |

pub mod camera_move;
pub mod device;
pub mod driver;
pub mod film;
pub mod frame;
pub mod handover;
pub mod mark;
pub mod node;
pub mod paint;
mod parts;
pub mod pass;
pub mod picture;
pub mod pool;
pub mod present;
pub mod preview;
pub mod readback;
pub mod rgba;
pub mod timer;
pub mod upload;
pub mod yuv;

use bevy::{
    core_pipeline::schedule::camera_driver,
    prelude::*,
    render::{
        ExtractSchedule, RenderApp, RenderStartup,
        extract_component::ExtractComponentPlugin,
        renderer::{RenderGraph, RenderGraphSystems},
    },
};
use node::AppGpuNodeExt;
use studio_frame::prelude::*;
use studio_graph::{prelude::*, wake::StudioWaker};

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        StudioGpuPlugin,
        camera_move::CameraMove,
        film::{CameraCue, FilmsFor},
        frame::{GpuFrame, PinFrame, SourceFrame},
        mark::LatencyMark,
        node::{AppGpuNodeExt, GpuContext, GpuNodeRun, NodeSettings, NodeStates},
        picture::{GpuPicture, PictureUniform},
        pool::TexturePool,
        present::WindowOutput,
        preview::{PinPreview, Preview, preview_image},
        rgba::ColorConvert,
    };
}

/// Adds the GPU driver. Needs [`GraphPlugin`] and Bevy's render plugin before it; without a render app it only keeps
/// the pins.
pub struct StudioGpuPlugin;

impl Plugin for StudioGpuPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<LatencyLedger>()
            .init_resource::<CopyCounters>()
            .init_resource::<StudioWaker>()
            .init_resource::<driver::GpuBacklog>()
            .init_resource::<timer::NodeTimes>()
            .init_resource::<pool::TexturePool>()
            .add_observer(give_frame_to_pin);
        let backlog = app.world().resource::<driver::GpuBacklog>().clone();
        let times = app.world().resource::<timer::NodeTimes>().clone();
        let pool = app.world().resource::<pool::TexturePool>().clone();
        let (ledger, copies, waker, report) = (
            app.world().resource::<LatencyLedger>().clone(),
            app.world().resource::<CopyCounters>().clone(),
            app.world().resource::<StudioWaker>().clone(),
            app.world().resource::<FailureReport>().clone(),
        );
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        match driver::GpuInFlight::start() {
            Ok(in_flight) => render_app.insert_resource(in_flight),
            Err(error) => {
                error!("no thread for the GPU could be started, so no GPU node will run: {error}");
                return;
            }
        };
        render_app
            .insert_resource(backlog)
            .insert_resource(times)
            .insert_resource(pool)
            .insert_resource(ledger)
            .insert_resource(copies)
            .insert_resource(waker)
            .insert_resource(report)
            .init_resource::<StudioClock>()
            .init_resource::<driver::GpuEpoch>()
            .init_resource::<driver::GpuNodes>()
            .init_resource::<driver::GpuGraph>()
            .init_resource::<driver::GraphCommands>()
            .init_resource::<driver::FrameUploader>()
            .init_resource::<film::FilmCameras>()
            .init_resource::<preview::Previews>()
            .add_systems(RenderStartup, driver::start_epoch)
            .add_systems(ExtractSchedule, (driver::extract_graph, film::count_cameras, preview::extract_previews))
            .add_systems(
                RenderGraph,
                (
                    (driver::run_gpu_graph, preview::draw_previews).chain().before(camera_driver),
                    film::restore_shadow_views.after(camera_driver),
                )
                    .in_set(RenderGraphSystems::Render),
            );
        app.add_gpu_node::<mark::LatencyMark, _>(mark::run_latency_mark)
            .add_gpu_node::<rgba::ColorConvert, _>(rgba::run_color_convert)
            .add_gpu_node::<camera_move::CameraMove, _>(camera_move::run_camera_move)
            .add_gpu_node::<preview::Preview, _>(preview::run_preview)
            .add_plugins((present::PresentPlugin, ExtractComponentPlugin::<film::FilmsFor>::default()));
    }
}

fn give_frame_to_pin(added: On<Add, Pin>, pins: Query<&Pin>, mut commands: Commands) {
    let Ok(pin) = pins.get(added.entity) else { return };
    if pin.direction == PinDirection::Output && pin.data_type == DataType::VIDEO_FRAME {
        commands.entity(added.entity).insert(frame::PinFrame::default());
    }
}
