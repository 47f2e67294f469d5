//! Nodes in a graph that runs, fed picture by picture.

mod network;
mod recalibrate;
mod stabilise;
mod stitch;

use super::StudioVisionPlugin;
use crate::flow::testing::rgba_frame;
use bevy::{
    app::PluginsState,
    asset::AssetPlugin,
    math::{DQuat, DVec3},
    prelude::*,
    render::{
        RenderPlugin,
        pipelined_rendering::PipelinedRenderingPlugin,
        renderer::{RenderDevice, RenderQueue},
    },
    winit::WinitPlugin,
};
use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};
use studio_frame::prelude::*;
use studio_gpu::{StudioGpuPlugin, prelude::*, readback::read_rgba};
use studio_graph::{GraphPlugin, prelude::*};

/// Delivers what a test puts on its pin.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Feed;

impl NodeKind for Feed {
    const DISPLAY_NAME: &'static str = "Feed";
    const CATEGORY: &'static str = "Test";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

struct Studio {
    app: App,
}

impl Studio {
    /// An app whose assets lie in a folder.
    fn new(clock: StudioClock, assets: &Path) -> Self {
        let mut app = App::new();
        let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
        app.add_plugins(
            DefaultPlugins
                .build()
                .disable::<WinitPlugin>()
                .disable::<PipelinedRenderingPlugin>()
                .disable::<bevy::log::LogPlugin>()
                .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
                .set(AssetPlugin { file_path: assets.display().to_string(), ..default() })
                .set(window),
        )
        .insert_resource(clock)
        .add_plugins((GraphPlugin, StudioGpuPlugin, StudioVisionPlugin))
        .register_node::<Feed>();
        while app.plugins_state() == PluginsState::Adding {
            std::thread::sleep(Duration::from_millis(1));
        }
        app.finish();
        app.cleanup();
        Self { app }
    }

    fn node(&mut self, node: impl Bundle) -> Entity {
        let node = self.app.world_mut().spawn((node, Watched)).id();
        self.app.world_mut().flush();
        node
    }

    fn link(&mut self, from: (Entity, &str), to: (Entity, &str)) {
        connect(self.app.world_mut(), from.0, from.1, to.0, to.1).expect("links");
    }

    fn output<P: Component + Clone>(&self, node: Entity, output: &str) -> P {
        let world = self.app.world();
        let is =
            |pin: &Entity| world.get::<Pin>(*pin).is_some_and(|pin| pin.name == output && pin.direction == PinDirection::Output);
        let pin = world.get::<Pins>(node).expect("a node").iter().find(is).expect("an output");
        world.get::<P>(pin).expect("of this type").clone()
    }

    /// Puts a picture on a feed's pin and runs the graph once.
    fn feed(&mut self, feed: Entity, frame: &VideoFrame, index: u64, projection: PictureProjection) {
        let device = self.app.world().resource::<RenderDevice>().wgpu_device().clone();
        let picture = GpuPicture::for_upload(&device, frame).expect("small");
        picture.upload(&self.queue(), frame);
        let stamp = FrameStamp { frame_id: index, pts: MediaTime::from_micros(index * 1_000_000 / 30), ..default() };
        let frame = GpuFrame { picture: Arc::new(picture), stamp, projection, stereo: StereoLayout::Mono };
        self.output::<PinFrame>(feed, "frame").set(frame);
        self.app.update();
    }

    fn queue(&self) -> wgpu::Queue {
        (**self.app.world().resource::<RenderQueue>().0).clone()
    }

    /// What is on an output.
    fn picture(&self, node: Entity, output: &str) -> Option<(u64, VideoFrame)> {
        let frame = self.output::<PinFrame>(node, output).get()?;
        let device = self.app.world().resource::<RenderDevice>().wgpu_device().clone();
        let rgba = read_rgba(&device, &self.queue(), &frame.picture.planes[0]).expect("read back");
        Some((frame.stamp.frame_id, rgba_frame(frame.picture.size, rgba)))
    }

    fn error(&self, node: Entity) -> Option<String> {
        self.app.world().get::<NodeStatus>(node)?.error().map(ToString::to_string)
    }
}

/// The mean absolute difference of two pictures, in code values.
fn difference(a: &VideoFrame, b: &VideoFrame) -> f64 {
    let (a, b) = (a.planes[0].data.as_ref(), b.planes[0].data.as_ref());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / (a.len() as f64 * 0.75)
}

/// A log in Gyroflow's format of a rig on such a path, at 500 Hz.
fn gcsv(path: impl Fn(f64) -> DQuat, duration_s: f64) -> String {
    let mut text =
        String::from("GYROFLOW IMU LOG\nversion,1.3\norientation,XYZ\ntscale,0.001\ngscale,1\nascale,1\nt,gx,gy,gz,ax,ay,az\n");
    for ms in (0..(duration_s * 1e3) as u32).step_by(2) {
        let time_s = f64::from(ms) / 1e3;
        let [before, now, after] = [-5e-4, 0.0, 5e-4].map(|step| path(time_s + step));
        let [rate, up] = [(before.inverse() * after).to_scaled_axis() / 1e-3, now.inverse() * DVec3::NEG_Y];
        writeln!(text, "{ms},{},{},{},{},{},{}", rate.x, -rate.y, -rate.z, up.x, -up.y, -up.z).expect("a string");
    }
    text
}
