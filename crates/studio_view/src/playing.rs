//! Puts received pictures on the pin when they are on, by the jitter buffer that every viewer shares
//! ([`studio_stream::playout`]).

use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_frame::prelude::*;
use studio_graph::prelude::*;
use studio_stream::playout::{Chosen, Playout};

/// Decoded pictures held at most: beyond it the newest win. At 30 pictures a second more than the longest jitter that is followed.
const PICTURES: usize = 14;
/// Frames drawn for one received where the display does not say how fast it is: as they came, and halfway.
const STEPS: u32 = 2;

/// When the next frame is going to be seen. Without a moment that is now: a window's frame is shown as soon as it is drawn. A
/// headset's runtime predicts it.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisplayTime {
    /// The moment at which the frame that is drawn next is seen.
    pub at: Option<Instant>,
    /// The time between two frames of the display; frames are generated to fill it.
    pub interval: Option<Duration>,
}

/// A decoded picture.
pub(crate) struct Decoded {
    pub frame: VideoFrame,
    /// Counts the publisher's sessions: another one has another time line.
    pub session: u64,
    pub ready_at: Instant,
}

struct Waiting {
    stamp: FrameStamp,
    /// In pixels; another rendition has another.
    size: UVec2,
    /// None once it is on the pin.
    frame: Option<VideoFrame>,
}

/// The pictures of one stream input.
pub(crate) struct Playing {
    playout: Playout<Waiting>,
    session: Option<u64>,
    /// What is on the pin, what was there before, and the moment between the two that is shown.
    on_pin: Option<u64>,
    before: Option<u64>,
    phase: f64,
    /// The newest picture towards which none could be generated.
    without_motion: Option<u64>,
}

/// What is to be done for the next frame.
pub(crate) struct Step {
    /// A picture for the pin.
    pub submit: Option<VideoFrame>,
    /// The moment wanted of the synthesis.
    pub phase: f32,
    /// How long it is until the picture on the pin is itself on.
    pub until_current: Duration,
    /// Whether a frame could not be generated for want of motion.
    pub lacked_motion: bool,
}

impl Playing {
    pub fn new(target_delay_ms: Option<f32>) -> Self {
        let mut playout = Playout::new(PICTURES);
        playout.set_target_ms(target_delay_ms.map(f64::from));
        Self { playout, session: None, on_pin: None, before: None, phase: 1.0, without_motion: None }
    }

    /// Takes a decoded picture; says whether it begins another session.
    pub fn push(&mut self, decoded: Decoded) -> bool {
        let Decoded { frame, session, ready_at } = decoded;
        let restarts = self.session.replace(session) != Some(session);
        if restarts {
            self.playout.restart();
            (self.on_pin, self.before, self.phase) = (None, None, 1.0);
        }
        let (stamp, size) = (frame.stamp, frame.size);
        self.playout.push(Waiting { stamp, size, frame: Some(frame) }, stamp.pts.as_duration(), ready_at);
        restarts
    }

    /// How long pictures are held, in milliseconds.
    pub fn target_delay_ms(&self) -> f64 {
        self.playout.pace().jitter_ms()
    }

    /// Frames drawn for one received.
    fn steps(&self, generates: bool, interval: Option<Duration>) -> u32 {
        match (generates, interval) {
            (false, _) => 1,
            (true, None) => STEPS,
            (true, Some(interval)) => self.playout.pace().steps(interval.as_secs_f64() * 1000.0),
        }
    }

    /// What is on at `at`; none if that is what is shown already.
    pub fn step(&mut self, at: Instant, generates: bool, interval: Option<Duration>, motion: Option<&PinMotion>) -> Option<Step> {
        let steps = self.steps(generates, interval);
        let (on_pin, before, shown, lacked_before) = (self.on_pin, self.before, self.phase, self.without_motion);
        let mut lacked = None;
        let may_generate = |first: &Waiting, second: &Waiting| {
            let alike = first.size == second.size;
            let (first, second) = (first.stamp.frame_id, second.stamp.frame_id);
            // The synthesis has the two newest pictures that were on the pin.
            let has_both = on_pin == Some(first) || (on_pin == Some(second) && before == Some(first));
            let field = motion.and_then(|motion| motion.of_frame(second));
            let moves = alike && field.is_some_and(|field| field.previous_frame_id == first && !field.starts_scene());
            if has_both && !moves {
                lacked = Some(second);
            }
            has_both && moves
        };
        let Chosen { current, phase, until_current, .. } = self.playout.choose(at, steps, may_generate)?;
        let frame_id = current.stamp.frame_id;
        let lacked_motion = lacked.is_some() && lacked != lacked_before;
        // The moment went back a little since the delay grew: what was seen stays.
        let goes_back = on_pin.is_some_and(|on_pin| frame_id < on_pin || (frame_id == on_pin && phase <= shown));
        if goes_back {
            self.without_motion = lacked.or(lacked_before);
            return None;
        }
        let submit = current.frame.take();
        if submit.is_some() {
            (self.before, self.on_pin) = (on_pin, Some(frame_id));
        }
        (self.phase, self.without_motion) = (phase, lacked.or(lacked_before));
        Some(Step { submit, phase: phase as f32, until_current, lacked_motion })
    }

    /// When to look again if nothing comes.
    pub fn next_change(&self, at: Instant, generates: bool, interval: Option<Duration>) -> Option<Instant> {
        self.playout.next_change(at, self.steps(generates, interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const FRAME: Duration = Duration::from_millis(40);

    fn picture(frame_id: u64) -> VideoFrame {
        let stamp = FrameStamp { frame_id, captured_at: UnixTime(0), pts: MediaTime(FRAME.as_nanos() as u64 * frame_id) };
        let planes = vec![Plane { data: Bytes::from(vec![0; 64]), stride: 16 }];
        VideoFrame { stamp, format: PixelFormat::Rgba8, size: UVec2::new(4, 4), color: ColorInfo::default(), planes }
    }

    fn field(frame_id: u64) -> MotionField {
        MotionField {
            stamp: FrameStamp { frame_id, ..default() },
            previous_frame_id: frame_id - 1,
            picture_size: UVec2::splat(8),
            grid: UVec2::ONE,
            wraps: false,
            vectors: vec![MotionVector::default()].into(),
        }
    }

    #[test]
    fn pictures_go_to_the_pin_once_and_those_between_only_where_there_is_motion() {
        let (start, mut playing, motion) = (Instant::now(), Playing::new(None), PinMotion::default());
        let ready = |id: u64| start + FRAME * id as u32 + Duration::from_millis(5);
        let mut drawn = Vec::new();
        for id in 0..40 {
            playing.push(Decoded { frame: picture(id), session: 1, ready_at: ready(id) });
            if id > 0 && id % 4 != 0 {
                motion.set(field(id));
            }
            for half in 0..2 {
                let at = ready(id) + FRAME / 2 * half + Duration::from_millis(1);
                if let Some(step) = playing.step(at, true, None, Some(&motion)) {
                    drawn.push((id, step.submit.map(|frame| frame.stamp.frame_id), step.phase, step.lacked_motion));
                }
            }
        }
        let of = |id: u64| drawn.iter().filter(|(at, ..)| *at == id).map(|(_, on, phase, _)| (*on, *phase)).collect::<Vec<_>>();
        assert_eq!(of(30), [(Some(30), 0.5), (None, 1.0)]);
        assert_eq!(of(32), [(Some(32), 1.0)], "none is made without motion");
        let submitted: Vec<u64> = drawn.iter().filter_map(|(_, on, ..)| *on).collect();
        assert!(submitted.is_sorted_by(|one, next| one < next) && submitted.len() > 35, "{submitted:?}");
    }

    #[test]
    fn another_session_begins_anew() {
        let (start, mut playing) = (Instant::now(), Playing::new(Some(50.0)));
        for id in 100..110 {
            playing.push(Decoded { frame: picture(id), session: 1, ready_at: start + FRAME * id as u32 });
        }
        assert!(playing.step(start + FRAME * 112, false, None, None).is_some());
        let again = playing.push(Decoded { frame: picture(0), session: 2, ready_at: start + FRAME * 120 });
        let step = playing.step(start + FRAME * 120 + Duration::from_millis(51), false, None, None);
        assert!(again && step.and_then(|step| step.submit).is_some_and(|frame| frame.stamp.frame_id == 0));
    }
}
