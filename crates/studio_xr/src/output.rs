//! The `HeadsetOutput` node: pictures in a headset.

use crate::Headset;
use bevy::{prelude::*, render::RenderApp};
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// How pictures reach the eyes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum HeadsetLayers {
    /// As they are, where the headset's compositor takes them so: it moves them with the head at the display's own rate, and they are
    /// sampled once. Drawn for each eye elsewhere.
    #[default]
    Auto,
    /// Always drawn for each eye.
    EyeViews,
}

/// What is seen where the picture is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum HeadsetBackground {
    /// Black.
    #[default]
    Opaque,
    /// The room, in headsets that can show it.
    Passthrough,
}

/// Shows the pictures that come in to someone who wears a headset: around them, or on a screen in front of them.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(Watched)]
pub struct HeadsetOutput {
    /// How pictures reach the eyes.
    pub layers: HeadsetLayers,
    /// How far away flat pictures hang, in metres.
    #[reflect(@0.5..=20.0_f32)]
    pub screen_distance_m: f32,
    /// What is seen beside flat pictures and behind half a sphere.
    pub background: HeadsetBackground,
}

impl Default for HeadsetOutput {
    fn default() -> Self {
        Self { layers: HeadsetLayers::Auto, screen_distance_m: 2.5, background: HeadsetBackground::Opaque }
    }
}

impl NodeKind for HeadsetOutput {
    const DISPLAY_NAME: &'static str = "Headset output";
    const CATEGORY: &'static str = "Output";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME)]
    }
}

/// The picture that is to be seen.
pub(crate) struct Shown {
    pub node: Entity,
    pub frame: GpuFrame,
    /// Whether the headset has not got it yet.
    pub fresh: bool,
}

/// The newest picture for the headset. There is one headset: of several outputs, the one that got a picture last is seen.
#[derive(Resource, Default)]
pub(crate) struct HeadsetPicture(pub Option<Shown>);

/// Adds the [`HeadsetOutput`] node. Its pictures are seen with a [`StudioXrPlugin`](crate::StudioXrPlugin) in the app; without, it says that
/// there is no headset.
pub struct HeadsetOutputPlugin;

impl Plugin for HeadsetOutputPlugin {
    fn build(&self, app: &mut App) {
        app.add_gpu_node::<HeadsetOutput, _>(run_headset_output);
        if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
            render_app.init_resource::<HeadsetPicture>();
        }
    }
}

fn run_headset_output(In(run): In<GpuNodeRun>, headset: Option<Res<Headset>>, mut picture: ResMut<HeadsetPicture>) -> Result {
    if headset.is_none() {
        return Err("the program was started without a headset: --xr opens it".into());
    }
    let frame = run.input("frame")?.clone();
    picture.0 = Some(Shown { node: run.node, frame, fresh: true });
    Ok(())
}
