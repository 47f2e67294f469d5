//! The `Stabilise` node.

use crate::stabilise::{
    ImuMounting, ImuTrack, RotationTrack, Smoothing, Stabiliser, TurnPass, camera_rotation, estimate_offset, turned_motion,
};
use bevy::{
    math::{DQuat, DVec3},
    prelude::*,
};
use std::{
    collections::VecDeque,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::{motion::MotionField, prelude::*};
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// Steadies pictures of the whole sphere: turns each against the camera's own turns.
///
/// How the camera turned comes from the motion of the pictures, which are held back until it is known (one picture, or as long as the
/// smoothing looks ahead), or from the log of an IMU that sat on the camera. `motion` is the motion of the steadied pictures, carried over,
/// not looked for again. Where pictures of a rig are stitched here, let the stitch use the log instead: it then resamples once.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Stabilise {
    /// Which of the camera's turns the pictures follow.
    pub smoothing: Smoothing,
    /// Whether the horizon stays as it is, however the camera tilts: level by an IMU's log, else as in the first picture.
    pub level: bool,
    /// A log of an IMU on the camera: Gyroflow's `.gcsv`, or a phone's in columns. Empty: the camera's turns are found in the pictures.
    #[reflect(@InputPath)]
    pub imu_log: String,
    /// How the log belongs to the pictures.
    pub imu: ImuMounting,
    /// With a log and motion: how far the log's time may be from `imu.offset_ms`, in milliseconds, 0 to 10000. Above 0 it is found by
    /// comparing how log and pictures turn.
    #[reflect(@0.0..=10_000.0_f32)]
    pub find_offset_ms: f32,
}

impl NodeKind for Stabilise {
    const DISPLAY_NAME: &'static str = "Stabilise";
    const CATEGORY: &'static str = "Spatial";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("frame", DataType::VIDEO_FRAME),
            PinSpec::input("motion", DataType::MOTION_FIELD),
            PinSpec::output("frame", DataType::VIDEO_FRAME),
            PinSpec::output("motion", DataType::MOTION_FIELD),
        ]
    }
}

/// Why pictures are not steadied.
#[derive(Debug, thiserror::Error)]
pub(super) enum StabiliseError {
    #[error(
        "only pictures of the whole sphere for both eyes can be turned (equirectangular, mono), not {0}: put the node behind a stitch"
    )]
    Projection(String),
    #[error("nothing says how the camera turned: connect the motion of these pictures (OpticalFlow) to “motion”, or set imu_log")]
    NoMotion,
    #[error("{0}")]
    Setting(String),
    #[error(
        "looking {look_ahead_s} s ahead holds back {count} pictures of {width}×{height}, more than {max} or {max_mb} MB: look ahead less, \
         or steady smaller pictures"
    )]
    TooMany { look_ahead_s: f64, count: usize, width: u32, height: u32, max: usize, max_mb: u64 },
    #[error("the motion of picture {0} did not come within {1} s")]
    Late(u64, u64),
}

/// The most pictures held back, and the most bytes of them.
const MOST_HELD: usize = 256;
const MOST_BYTES: u64 = 4 << 30;
/// Live, so many newer pictures come before one goes on without its motion.
const PATIENCE: usize = 4;
/// Offline, how long the motion of a picture is waited for.
const OFFLINE_WAIT: Duration = Duration::from_secs(10);
/// What of the sphere a turn must explain to be believed.
const LEAST_EXPLAINED: f64 = 0.25;
/// Seconds of turns that are kept beyond what smoothing needs.
const KEPT_S: f64 = 40.0;

/// A picture that waits.
struct Held {
    frame: GpuFrame,
    /// Once it is known how the camera turned.
    known: Option<Known>,
}

#[derive(Clone)]
struct Known {
    field: Option<MotionField>,
    /// Whether it starts a scene.
    cuts: bool,
}

/// What the node has to go by.
enum Source {
    Log(LogSource),
    Pictures(PictureSource),
}

struct LogSource {
    track: RotationTrack,
    offset_s: f64,
    /// Where the offset is to go, once it was found.
    found_s: Option<f64>,
    sync: Sync,
}

#[derive(Default)]
struct Sync {
    /// Pictures whose motion is still to come: number and time.
    pending: VecDeque<(u64, f64)>,
    times: VecDeque<(u64, f64)>,
    turns: Vec<([f64; 2], DVec3)>,
}

#[derive(Default)]
struct PictureSource {
    track: RotationTrack,
    held: VecDeque<Held>,
    spare: Vec<Arc<GpuPicture>>,
    /// Where the camera looked at the newest pictures, by number.
    looks: VecDeque<(u64, DQuat)>,
}

pub(super) struct StabiliseState {
    wanted: Stabilise,
    size: UVec2,
    turn: TurnPass,
    target: Arc<GpuPicture>,
    source: Source,
    stabiliser: Stabiliser,
    newest: Option<FrameStamp>,
    /// The last picture that went on, and how it was turned.
    last: Option<(u64, DQuat)>,
}

fn seconds(stamp: FrameStamp) -> f64 {
    stamp.pts.as_duration().as_secs_f64()
}

impl StabiliseState {
    fn new(device: &wgpu::Device, wanted: &Stabilise, size: UVec2) -> Result<Self> {
        wanted.smoothing.validate().map_err(StabiliseError::Setting)?;
        let source = if wanted.imu_log.is_empty() {
            Source::Pictures(PictureSource::default())
        } else {
            let track = ImuTrack::read(Path::new(&wanted.imu_log), &wanted.imu)?.track;
            Source::Log(LogSource { track, offset_s: wanted.imu.offset_ms / 1e3, found_s: None, sync: Sync::default() })
        };
        Ok(Self {
            wanted: wanted.clone(),
            size,
            turn: TurnPass::new(device),
            target: Arc::new(GpuPicture::rgba(device, "stabilise", size)?),
            source,
            stabiliser: Stabiliser::new(wanted.smoothing, wanted.level),
            newest: None,
            last: None,
        })
    }
}

impl LogSource {
    /// What the log says of a moment of the pictures. A found offset is gone to slowly, so that nothing jumps.
    fn time_s(&mut self, picture_s: f64, step_s: f64) -> f64 {
        const SLEW: f64 = 0.25;
        if let Some(found_s) = self.found_s {
            self.offset_s += (found_s - self.offset_s).clamp(-SLEW * step_s, SLEW * step_s);
        }
        picture_s + self.offset_s
    }

    /// Takes in what motion came, and finds the offset when there is enough.
    fn listen(&mut self, run: &GpuNodeRun, stamp: FrameStamp, within_s: f64) {
        const ENOUGH_S: f64 = 3.0;
        const ALIKE: f64 = 0.6;
        if within_s <= 0.0 || self.found_s.is_some() {
            return;
        }
        let sync = &mut self.sync;
        sync.pending.push_back((stamp.frame_id, seconds(stamp)));
        sync.times.push_back((stamp.frame_id, seconds(stamp)));
        while sync.pending.len() > 8 {
            sync.pending.pop_front();
        }
        while sync.times.len() > 64 {
            sync.times.pop_front();
        }
        sync.pending.retain(|(frame_id, to_s)| {
            let Some(field) = run.motion_of("motion", *frame_id) else { return true };
            let from = sync.times.iter().find(|(number, _)| *number == field.previous_frame_id).map(|(_, time_s)| *time_s);
            if let (Some(from_s), Some(turn)) = (from.filter(|from_s| from_s < to_s), camera_rotation(&field)) {
                sync.turns.push(([from_s, *to_s], turn.older_from_newer.to_scaled_axis()));
            }
            false
        });
        let span_s = sync.turns.last().map_or(0.0, |(last, _)| last[1]) - sync.turns.first().map_or(0.0, |(first, _)| first[0]);
        if span_s < ENOUGH_S {
            return;
        }
        let shifted: Vec<_> =
            sync.turns.iter().map(|(times, turn)| (times.map(|time_s| time_s + self.offset_s), *turn)).collect();
        match estimate_offset(&self.track, &shifted, within_s) {
            Some(found) if found.correlation > ALIKE => {
                let offset_s = self.offset_s + found.offset_s;
                info!("the IMU's log is {:.0} ms from the pictures' time (correlation {:.2})", offset_s * 1e3, found.correlation);
                self.found_s = Some(offset_s);
            }
            // The camera hardly moved, or something else did: the next seconds may tell.
            _ => sync.turns.clear(),
        }
    }
}

impl PictureSource {
    /// Keeps a copy of a picture: what delivered it draws its next one into the same texture.
    fn hold(&mut self, gpu: &mut GpuContext, frame: &GpuFrame, look_ahead_s: f64) -> Result {
        let count = self.held.len() + 1;
        let UVec2 { x: width, y: height } = frame.picture.size;
        if count > MOST_HELD || frame.picture.format.picture_bytes(frame.picture.size) as u64 * count as u64 > MOST_BYTES {
            self.held.clear();
            let error = StabiliseError::TooMany { look_ahead_s, count, width, height, max: MOST_HELD, max_mb: MOST_BYTES >> 20 };
            return Err(error.into());
        }
        let same = |spare: &Arc<GpuPicture>| {
            (spare.format, spare.size, spare.color) == (frame.picture.format, frame.picture.size, frame.picture.color)
        };
        let kept = match self.spare.iter().position(same) {
            Some(place) => self.spare.swap_remove(place),
            None => {
                self.spare.clear();
                let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST;
                let GpuPicture { format, size, color, .. } = *frame.picture;
                Arc::new(GpuPicture::new(gpu.device(), "held back", format, size, color, usage)?)
            }
        };
        for (from, to) in frame.picture.planes.iter().zip(&kept.planes) {
            gpu.encoder().copy_texture_to_texture(from.as_image_copy(), to.as_image_copy(), from.size());
        }
        self.held.push_back(Held { frame: GpuFrame { picture: kept, ..frame.clone() }, known: None });
        Ok(())
    }

    /// Works out where the camera looked at each picture whose motion came.
    fn look(&mut self, run: &GpuNodeRun, device: &wgpu::Device, live: bool) -> Result {
        let count = self.held.len();
        for place in 0..count {
            if self.held[place].known.is_some() {
                continue;
            }
            let stamp = self.held[place].frame.stamp;
            let is_first = self.looks.is_empty();
            let newer = count - 1 - place;
            // Offline, the motion of all but the newest picture is under way: nothing may go on without it.
            let field = match run.motion_of("motion", stamp.frame_id) {
                None if !is_first && newer > 0 && !live => Some(await_motion(run, device, stamp.frame_id)?),
                field => field,
            };
            let without = is_first || (live && newer >= PATIENCE);
            if field.is_none() && !without {
                break;
            }
            let look_before = |field: &MotionField| {
                let before = self.looks.iter().rev().find(|(number, _)| *number == field.previous_frame_id);
                before.or(self.looks.back()).map_or(DQuat::IDENTITY, |(_, look)| *look)
            };
            let turn = field.as_ref().and_then(camera_rotation).filter(|turn| turn.explained >= LEAST_EXPLAINED);
            let look = match (&field, turn) {
                (Some(field), Some(turn)) => look_before(field) * turn.older_from_newer,
                _ => self.looks.back().map_or(DQuat::IDENTITY, |(_, look)| *look),
            };
            let cuts = is_first || field.as_ref().is_some_and(MotionField::starts_scene);
            self.track.push(seconds(stamp), look);
            self.looks.push_back((stamp.frame_id, look));
            if self.looks.len() > 16 {
                self.looks.pop_front();
            }
            self.held[place].known = Some(Known { field, cuts });
        }
        self.track.forget_before(self.track.span_s().map_or(0.0, |[_, last_s]| last_s) - KEPT_S);
        Ok(())
    }

    /// The next picture that can go on.
    fn next(&mut self, look_ahead_s: f64) -> Option<Held> {
        let last_s = self.track.span_s()?[1];
        let first = self.held.front()?;
        (first.known.is_some() && last_s + 1e-6 >= seconds(first.frame.stamp) + look_ahead_s).then(|| self.held.pop_front())?
    }
}

/// Waits for the motion of a picture whose commands were submitted.
fn await_motion(run: &GpuNodeRun, device: &wgpu::Device, frame_id: u64) -> Result<MotionField> {
    let start = Instant::now();
    loop {
        if let Some(field) = run.motion_of("motion", frame_id) {
            return Ok(field);
        }
        if start.elapsed() > OFFLINE_WAIT {
            return Err(StabiliseError::Late(frame_id, OFFLINE_WAIT.as_secs()).into());
        }
        device.poll(wgpu::PollType::Poll)?;
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub(super) fn run_stabilise(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Stabilise>>,
    mut states: Local<NodeStates<StabiliseState>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    if (frame.projection, frame.stereo) != (PictureProjection::Equirectangular, StereoLayout::Mono) {
        return Err(StabiliseError::Projection(format!("{:?}, {:?}", frame.projection, frame.stereo)).into());
    }
    let wanted = settings.of(run.node);
    if wanted.imu_log.is_empty() && run.motion_inputs.is_empty() {
        return Err(StabiliseError::NoMotion.into());
    }
    let size = frame.picture.size;
    let state = states.get_or_make(
        &gpu,
        run.node,
        |state| state.wanted == wanted && state.size == size,
        || StabiliseState::new(gpu.device(), &wanted, size),
    )?;
    if state.newest == Some(frame.stamp) {
        return Ok(());
    }
    let before = state.newest.replace(frame.stamp);
    let look_ahead_s = wanted.smoothing.look_ahead_s();
    let (shown, turn, known) = match &mut state.source {
        Source::Log(log) => {
            let step_s = before.map_or(0.0, |before| (seconds(frame.stamp) - seconds(before)).max(0.0));
            log.listen(&run, frame.stamp, f64::from(wanted.find_offset_ms) / 1e3);
            let time_s = log.time_s(seconds(frame.stamp), step_s);
            (frame, state.stabiliser.rig_from_stable(&log.track, time_s), None)
        }
        Source::Pictures(pictures) => {
            let live = *gpu.clock == StudioClock::Live;
            pictures.hold(&mut gpu, &frame, look_ahead_s)?;
            pictures.look(&run, gpu.device(), live)?;
            let Some(Held { frame, known }) = pictures.next(look_ahead_s) else { return Ok(()) };
            if known.as_ref().is_some_and(|known| known.cuts) {
                state.stabiliser.reset();
            }
            let turn = state.stabiliser.rig_from_stable(&pictures.track, seconds(frame.stamp));
            pictures.spare.push(frame.picture.clone());
            (frame, turn, known)
        }
    };
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.turn.encode(device, queue, encoder, &shown.picture, &state.target, turn);
    if let Some(field) = known.as_ref().and_then(|known| known.field.as_ref()) {
        let motion = match state.last {
            Some((frame_id, older)) if frame_id == field.previous_frame_id => turned_motion(field, turn, older),
            // Of the picture that went before, nothing is known: the field says so.
            _ => MotionField { previous_frame_id: field.stamp.frame_id, ..field.clone() },
        };
        run.motion_output("motion")?.set(motion);
    }
    state.last = Some((shown.stamp.frame_id, turn));
    run.set_output("frame", GpuFrame { picture: state.target.clone(), ..shown })?;
    Ok(())
}
