//! The `CameraMove` node: a camera that moves over a picture.

use crate::{frame::GpuFrame, node::*, rgba::ConvertState};
use bevy::prelude::*;
use studio_frame::prelude::*;
use studio_graph::prelude::*;

/// Moves a camera over the pictures that come in, a still for example: from one part of the picture to another, softly
/// starting and ending, back again if it repeats.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct CameraMove {
    /// What the camera shows first, in shares of the picture's width and height.
    pub from: Rect,
    /// What it shows at the end of the move.
    pub to: Rect,
    /// How long the move takes, in seconds, above 0.
    pub duration_s: f32,
    /// Whether the camera goes back and forth instead of staying.
    pub repeat: bool,
    /// Width and height of the pictures that go out, in pixels.
    pub size: UVec2,
}

impl Default for CameraMove {
    fn default() -> Self {
        let to = Rect::from_center_half_size(Vec2::new(0.5, 0.5), Vec2::splat(0.4));
        Self { from: Rect::new(0.0, 0.0, 1.0, 1.0), to, duration_s: 8.0, repeat: true, size: UVec2::new(1280, 640) }
    }
}

impl NodeKind for CameraMove {
    const DISPLAY_NAME: &'static str = "Camera move";
    const CATEGORY: &'static str = "Transform";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

impl CameraMove {
    /// What the camera shows at a time of the source.
    pub fn part_at(&self, pts: MediaTime) -> Rect {
        let turns = pts.as_duration().as_secs_f32() / self.duration_s.max(1e-3);
        let way = if self.repeat { 1.0 - (turns.rem_euclid(2.0) - 1.0).abs() } else { turns.clamp(0.0, 1.0) };
        let eased = way * way * (3.0 - 2.0 * way);
        Rect { min: self.from.min.lerp(self.to.min, eased), max: self.from.max.lerp(self.to.max, eased) }
    }
}

pub(crate) fn run_camera_move(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<CameraMove>>,
    mut states: Local<NodeStates<ConvertState>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    let camera = settings.of(run.node);
    let size = camera.size.max(UVec2::ONE);
    let state = states.get_or_make(
        &gpu,
        run.node,
        |state| state.target.size == size,
        || ConvertState::new(gpu.device(), "camera move", size),
    )?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.pass.encode(device, queue, encoder, &frame.picture, &state.target, camera.part_at(frame.stamp.pts));
    run.set_output("frame", GpuFrame { picture: state.target.clone(), ..frame })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_camera_goes_there_and_back() {
        let camera = CameraMove { duration_s: 2.0, ..default() };
        let at = |seconds: u64| camera.part_at(MediaTime::from_micros(seconds * 1_000_000));
        assert_eq!((at(0), at(2), at(4)), (camera.from, camera.to, camera.from));
        let once = CameraMove { repeat: false, ..camera.clone() };
        assert_eq!(once.part_at(MediaTime::from_micros(60_000_000)), camera.to);
    }
}
