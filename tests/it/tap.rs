//! A node that keeps every picture that comes through, for looking at them afterwards.

use bevy::prelude::*;
use neural_studio::{prelude::*, studio_gpu::readback::ReadbackRing};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// A picture in RGBA, and the stamp it came with.
#[derive(Clone)]
pub struct Kept {
    pub stamp: FrameStamp,
    pub size: UVec2,
    pub rgba: Vec<u8>,
}

/// The pictures that came through a tap: by frame number, and the numbers in the order of their coming.
#[derive(Default)]
pub struct Pictures {
    pub frames: BTreeMap<u64, Kept>,
    pub order: Vec<u64>,
    /// The newest that is on its way here, or has arrived.
    pub taken: Option<u64>,
}

pub type Shared = Arc<Mutex<Pictures>>;

/// Keeps what comes in.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
pub struct Tap {
    #[reflect(ignore)]
    pub pictures: Shared,
}

impl NodeKind for Tap {
    const DISPLAY_NAME: &'static str = "Tap";
    const CATEGORY: &'static str = "Test";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME)]
    }
}

pub fn run_tap(
    In(run): In<GpuNodeRun>,
    taps: Res<NodeSettings<Tap>>,
    mut states: Local<NodeStates<ReadbackRing>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    let (size, pictures) = (frame.picture.size, taps.of(run.node).pictures);
    let row = (size.x as usize * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize);
    let bytes = (row * size.y as usize) as u64;
    let ring = states.get_or_make(
        &gpu,
        run.node,
        |ring| ring.bytes() == bytes,
        || Ok(ReadbackRing::new(gpu.device(), "tap", bytes, 4)),
    )?;
    let slot = ring.wait(gpu.device())?;
    gpu.encoder().copy_texture_to_buffer(
        frame.picture.planes[0].as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: slot.buffer(),
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row as u32), rows_per_image: None },
        },
        frame.picture.planes[0].size(),
    );
    pictures.lock().expect("no test panicked holding it").taken = Some(frame.stamp.frame_id);
    gpu.after_submit(move || {
        slot.deliver(move |data| {
            let data = data.expect("the GPU's picture");
            let rgba = data.chunks(row).flat_map(|line| line[..size.x as usize * 4].iter().copied()).collect();
            let mut pictures = pictures.lock().expect("no test panicked holding it");
            pictures.order.push(frame.stamp.frame_id);
            pictures.frames.insert(frame.stamp.frame_id, Kept { stamp: frame.stamp, size, rgba });
        });
    });
    Ok(())
}

/// An app without a window that knows taps.
pub fn app() -> App {
    let mut app = neural_studio::app(AppWindow::None).expect("a GPU, a software one will do");
    app.add_gpu_node::<Tap, _>(run_tap);
    app.finish();
    app.cleanup();
    app
}
