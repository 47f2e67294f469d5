//! A node of your own: `Tint` multiplies the picture by a colour, on the GPU, with its setting live. Registering it is all it
//! takes to be in the editor's lists, its inspector, the files and the schema: `--edit` opens the editor over this graph.
//!
//! `cargo run --example custom_node -- --edit`

use bevy::prelude::*;
use neural_studio::{
    prelude::*,
    studio_gpu::pass::{ComputeKernel, parameter_buffer},
};
use std::sync::Arc;

/// Multiplies the picture by a colour.
#[derive(Component, Reflect, Default, Clone)]
#[reflect(Component, Default, Node)]
pub struct Tint {
    /// What red, green and blue are multiplied by.
    rgb: Vec3,
}

impl NodeKind for Tint {
    const DISPLAY_NAME: &'static str = "Tint";
    const CATEGORY: &'static str = "Colour";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

const SHADER: &str = "
@group(0) @binding(0) var<uniform> tint: vec4<f32>;
@group(0) @binding(1) var source: texture_2d<f32>;
@group(0) @binding(2) var result: texture_storage_2d<rgba8unorm, write>;
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    textureStore(result, id.xy, textureLoad(source, id.xy, 0) * tint);
}";

type State = (ComputeKernel, wgpu::Buffer, Arc<GpuPicture>);

fn tint(
    In(run): In<GpuNodeRun>,
    tints: Res<NodeSettings<Tint>>,
    mut states: Local<NodeStates<State>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    let size = frame.picture.size;
    let (kernel, uniform, target) = states.get_or_make(
        &gpu,
        run.node,
        |state| state.2.size == size,
        || {
            let target = Arc::new(GpuPicture::rgba(gpu.device(), "tint", size)?);
            Ok((
                ComputeKernel::new(gpu.device(), "tint", SHADER, "main"),
                parameter_buffer::<[f32; 4]>(gpu.device(), "tint"),
                target,
            ))
        },
    )?;
    gpu.queue().write_buffer(uniform, 0, bytemuck::bytes_of(&tints.of(run.node).rgb.extend(1.0).to_array()));
    let textures = [frame.picture.view(), target.view()].map(wgpu::BindingResource::TextureView);
    let resources = [uniform.as_entire_binding(), textures[0].clone(), textures[1].clone()];
    let (device, _, encoder) = gpu.device_and_encoder();
    kernel.dispatch(device, encoder, "tint", &resources, size);
    run.set_output("frame", GpuFrame { picture: target.clone(), ..frame })?;
    Ok(())
}

/// Adds the node to an app.
pub fn add_tint(app: &mut App) {
    app.add_gpu_node::<Tint, _>(tint);
}

fn main() -> Result<AppExit> {
    let mut app = neural_studio::app_from_args("Tint")?;
    app.add_plugins(add_tint).add_systems(Startup, set_up);
    if std::env::args().any(|argument| argument == "--edit") {
        app.add_plugins(StudioEditorPlugin::default());
    }
    Ok(app.run())
}

fn set_up(mut commands: Commands) {
    let nodes = [commands.spawn(TestPatternInput::default()).id(), commands.spawn(ColorConvert).id()];
    let tint = commands.spawn(Tint { rgb: Vec3::new(1.0, 0.6, 0.3) }).id();
    let window = commands.spawn(WindowOutput::default()).id();
    commands.connect(nodes[0], "frame", nodes[1], "frame");
    commands.connect(nodes[1], "frame", tint, "frame");
    commands.connect(tint, "frame", window, "frame");
}
