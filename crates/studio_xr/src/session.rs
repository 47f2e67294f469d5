//! A session with the headset: its states, its spaces, and the frame that is open.

use crate::{
    actions::{Actions, Wish},
    error::{Called, XrError},
    images::XrImages,
    log::{Event, XrLog},
    pacer::Pacer,
    pose::{self, XrView},
    runtime::{Connection, STEREO, VulkanBinding},
};
use bevy::prelude::*;
use openxr::{FrameStream, ReferenceSpaceType, SessionState, Space, SpaceLocationFlags, ViewStateFlags, Vulkan};
use std::time::{Duration, Instant};
use studio_graph::wake::StudioWaker;

/// One frame of the headset's display: when it will be seen, and from where.
#[derive(Resource, Clone, Debug)]
pub struct XrFrame {
    /// Counts the frames of the session, from 1.
    pub number: u64,
    /// When it will be seen.
    pub display_at: Instant,
    /// How long it will be seen.
    pub period: Duration,
    /// Whether it will be seen at all.
    pub should_render: bool,
    /// Left and right eye.
    pub views: [XrView; 2],
    /// The middle of the head, in the same space as the eyes.
    pub head: Isometry3d,
    /// Whether the headset knows where the head looks.
    pub tracked: bool,
    /// Where the eyes look, in the same space, where the headset follows them.
    pub gaze: Option<Dir3>,
    /// Where "ahead" is in that space: what the picture's middle is turned to.
    pub ahead: Isometry3d,
    pub(crate) time: openxr::Time,
}

impl XrFrame {
    /// Where the eyes look on the picture's sphere, or the head where the eyes are not followed: degrees to the right of the picture's
    /// middle, from -180 to 180, and up, from -90 to 90.
    pub fn look_deg(&self) -> (f32, f32) {
        let direction = self.gaze.map_or(self.head.rotation * Vec3::NEG_Z, |gaze| *gaze);
        pose::yaw_pitch_deg(self.ahead.rotation.inverse() * direction)
    }
}

/// What a change of the session's state asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    Nothing,
    Begin,
    End,
    /// The user or the runtime ended it for good.
    Leave,
    /// It is about to be lost, and may come back.
    Lose,
}

/// What OpenXR asks of an application in each state. States that are not known yet ask for nothing.
pub(crate) fn reaction(state: SessionState) -> Reaction {
    match state {
        SessionState::READY => Reaction::Begin,
        SessionState::STOPPING => Reaction::End,
        SessionState::EXITING => Reaction::Leave,
        SessionState::LOSS_PENDING => Reaction::Lose,
        _ => Reaction::Nothing,
    }
}

/// A session. Everything in it is gone with it.
pub(crate) struct XrSession {
    // The order is that of dropping: what belongs to the session goes before it.
    pub eyes: Option<XrImages>,
    pub content: Option<XrImages>,
    pub scene: Option<XrImages>,
    pub panel: Option<XrImages>,
    pub veil: Option<XrImages>,
    actions: Actions,
    pub base: Space,
    pub head: Space,
    pub stream: FrameStream<Vulkan>,
    pacer: Pacer,
    pub session: openxr::Session<Vulkan>,
    pub format: wgpu::TextureFormat,
    pub state: SessionState,
    running: bool,
    pub open: Option<XrFrame>,
    frames: u64,
    views: Option<[XrView; 2]>,
    /// Where "ahead" is in the base space: what the picture's middle is turned to.
    pub ahead: Isometry3d,
    /// Whether `ahead` is still to be taken from the head.
    pub recentre: bool,
}

impl XrSession {
    pub fn start(
        connection: &Connection,
        binding: &VulkanBinding,
        base: ReferenceSpaceType,
        waker: &StudioWaker,
    ) -> Result<Self, XrError> {
        let (session, waiter, stream) = connection.session(binding)?;
        let offered = session.enumerate_reference_spaces().called("xrEnumerateReferenceSpaces")?;
        // Every runtime has the local space; a stage needs a room that was measured.
        let kind = if offered.contains(&base) { base } else { ReferenceSpaceType::LOCAL };
        if kind != base {
            warn!("the headset knows no stage: the local space is used");
        }
        let here = openxr::Posef::IDENTITY;
        Ok(Self {
            eyes: None,
            content: None,
            scene: None,
            panel: None,
            veil: None,
            actions: Actions::attach(&connection.instance, &session, connection.gaze)?,
            base: session.create_reference_space(kind, here).called("xrCreateReferenceSpace")?,
            head: session.create_reference_space(ReferenceSpaceType::VIEW, here).called("xrCreateReferenceSpace")?,
            stream,
            pacer: Pacer::start(waiter, waker.clone())?,
            format: crate::images::format(&session, &connection.runtime)?,
            session,
            state: SessionState::UNKNOWN,
            running: false,
            open: None,
            frames: 0,
            views: None,
            ahead: Isometry3d::IDENTITY,
            // The local space begins where the user looks; a stage does not.
            recentre: kind != ReferenceSpaceType::LOCAL,
        })
    }

    /// Follows the session's state.
    pub fn enter(&mut self, state: SessionState, log: &XrLog) -> Result<Reaction, XrError> {
        self.state = state;
        log.write(Event::State { state: format!("{state:?}") });
        let reaction = reaction(state);
        match reaction {
            Reaction::Begin => {
                self.session.begin(STEREO).called("xrBeginSession")?;
                self.running = true;
            }
            Reaction::End if self.running => {
                self.running = false;
                self.open = None;
                self.session.end().called("xrEndSession")?;
            }
            _ => {}
        }
        Ok(reaction)
    }

    /// Begins a frame if the runtime has called for one.
    pub fn begin_frame(&mut self, clock: impl FnOnce() -> Option<openxr::Time>) -> Result<(), XrError> {
        if !self.running {
            // An answer to a wait of the time before is void.
            self.pacer.take();
            return Ok(());
        }
        if self.open.is_some() {
            // The renderer skipped an update.
            return Ok(());
        }
        let Some(answer) = self.pacer.take() else {
            self.pacer.ask();
            return Ok(());
        };
        let state = answer.called("xrWaitFrame")?;
        self.stream.begin().called("xrBeginFrame")?;
        self.frames += 1;
        let time = state.predicted_display_time;
        let (flags, located) = self.session.locate_views(STEREO, time, &self.base).called("xrLocateViews")?;
        let oriented = flags.contains(ViewStateFlags::ORIENTATION_VALID);
        if let (true, [left, right, ..]) = (oriented, located.as_slice()) {
            let mut views = [left, right].map(XrView::new);
            if let (false, Some(before)) = (flags.contains(ViewStateFlags::POSITION_VALID), &self.views) {
                // A headset that lost its place still knows where it looks.
                for (view, before) in views.iter_mut().zip(before) {
                    view.eye.translation = before.eye.translation;
                }
            }
            self.views = Some(views);
        }
        let found = self.head.locate(&self.base, time).called("xrLocateSpace")?;
        let Some(views) = self.views else {
            // It never knew where it looks: nothing can be drawn yet, but every frame that was begun must end.
            self.stream.end(time, openxr::EnvironmentBlendMode::OPAQUE, &[]).called("xrEndFrame")?;
            self.pacer.ask();
            return Ok(());
        };
        let known = SpaceLocationFlags::ORIENTATION_VALID;
        let between: Vec3 = views[0].eye.translation.midpoint(views[1].eye.translation).into();
        let head = if found.location_flags.contains(known) {
            pose::isometry(found.pose)
        } else {
            Isometry3d::new(between, views[0].eye.rotation)
        };
        let tracked = oriented && flags.contains(ViewStateFlags::ORIENTATION_TRACKED);
        if self.recentre && tracked {
            self.recentre = false;
            self.ahead = pose::level(head);
        }
        let gaze = self.actions.gaze(&self.base, time).map(|pose| pose::isometry(pose).rotation * Dir3::NEG_Z);
        let period = Duration::from_nanos(state.predicted_display_period.as_nanos().clamp(1_000_000, 1_000_000_000) as u64);
        let until = clock().map(|now| Duration::from_nanos((time.as_nanos() - now.as_nanos()).clamp(0, 1_000_000_000) as u64));
        self.open = Some(XrFrame {
            number: self.frames,
            display_at: Instant::now() + until.unwrap_or(period),
            period,
            should_render: state.should_render,
            views,
            head,
            tracked,
            gaze,
            ahead: self.ahead,
            time,
        });
        Ok(())
    }

    /// What the controllers ask for. They are ours while the session has the input's focus.
    pub fn wishes(&mut self) -> Result<Vec<Wish>, XrError> {
        if self.state == SessionState::FOCUSED { self.actions.wishes(&self.session) } else { Ok(Vec::new()) }
    }

    /// The names of the controllers' profiles, left and right; empty where there is none.
    pub fn controllers(&self) -> [String; 2] {
        [openxr::USER_HAND_LEFT, openxr::USER_HAND_RIGHT].map(|hand| {
            let instance = self.session.instance();
            let profile = instance.string_to_path(hand).and_then(|hand| self.session.current_interaction_profile(hand));
            profile
                .ok()
                .filter(|path| *path != openxr::Path::NULL)
                .and_then(|path| instance.path_to_string(path).ok())
                .unwrap_or_default()
        })
    }

    /// Has the next frame waited for: the open one has ended.
    pub fn ask_for_next(&self) {
        if self.running {
            self.pacer.ask();
        }
    }

    /// How long the runtime has not called for a frame.
    pub fn silence(&self) -> Duration {
        self.pacer.silence()
    }

    /// Frames that were begun.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Whether frames are drawn in this session now.
    pub const fn is_running(&self) -> bool {
        self.running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_asks_for_what_openxr_says() {
        let asked = |state| reaction(state);
        assert_eq!(asked(SessionState::READY), Reaction::Begin);
        assert_eq!(asked(SessionState::STOPPING), Reaction::End);
        assert_eq!(asked(SessionState::EXITING), Reaction::Leave);
        assert_eq!(asked(SessionState::LOSS_PENDING), Reaction::Lose);
        for state in [SessionState::IDLE, SessionState::SYNCHRONIZED, SessionState::VISIBLE, SessionState::FOCUSED] {
            assert_eq!(asked(state), Reaction::Nothing);
        }
        assert_eq!(asked(SessionState::from_raw(4711)), Reaction::Nothing, "a state of a later version harms nobody");
    }
}
