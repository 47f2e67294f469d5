//! The `Switch` node: one of several pictures, with a transition.

use crate::pass::{EffectParameters, EffectPass, SettingError, check};
use bevy::prelude::*;
use studio_gpu::{picture::PictureUniform, prelude::*};
use studio_graph::prelude::*;

/// How a switch goes from one input to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect)]
#[reflect(Default)]
pub enum Transition {
    /// From one frame to the next.
    #[default]
    Cut,
    /// One fades into the other.
    Fade,
    /// An edge moves over the picture.
    Wipe {
        /// The way it moves, in degrees: 0 to the right, 90 down.
        angle_deg: f32,
    },
    /// To black and out of it again.
    DipToBlack,
}

/// Shows one of its inputs. The transition runs on the time stamps of the frames, so an offline run repeats; inputs of other
/// sizes are stretched to the size of the first that is linked.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(TakesLatest)]
pub struct Switch {
    /// How many inputs it has.
    #[reflect(@2..=16_u32)]
    pub inputs: u32,
    /// The input that is shown, from 1.
    #[reflect(@1..=16_u32)]
    pub active: u32,
    /// How it gets there.
    pub transition: Transition,
    /// How long that takes, in milliseconds.
    #[reflect(@0.0..=60_000.0_f32)]
    pub duration_ms: f32,
}

impl Default for Switch {
    fn default() -> Self {
        Self { inputs: 2, active: 1, transition: Transition::Cut, duration_ms: 1000.0 }
    }
}

impl NodeKind for Switch {
    const DISPLAY_NAME: &'static str = "Switch";
    const CATEGORY: &'static str = "Compose";

    fn pins(&self) -> Vec<PinSpec> {
        let inputs =
            (1..=self.inputs.clamp(2, 16)).map(|number| PinSpec::input(format!("input {number}"), DataType::VIDEO_FRAME));
        inputs.chain([PinSpec::output("frame", DataType::VIDEO_FRAME)]).collect()
    }
}

/// `struct Transition` of `effects.wgsl`.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct TransitionParameters {
    before: PictureUniform,
    after: PictureUniform,
    shape: [f32; 4],
    kind: [u32; 4],
}

impl EffectParameters for TransitionParameters {
    const ENTRY_POINT: &'static str = "transition";
    const PICTURES: usize = 2;
}

impl Transition {
    /// Width of a wipe's edge, in shares of its way.
    const SOFTNESS: f32 = 0.02;

    /// What the shader has to know; `progress` from 0 to 1.
    ///
    /// # Errors
    /// [`SettingError`] if the angle is no number.
    pub fn parameters(
        self,
        before: &GpuPicture,
        after: &GpuPicture,
        progress: f32,
    ) -> Result<TransitionParameters, SettingError> {
        let (kind, angle_deg) = match self {
            Self::Cut | Self::Fade => (0, 0.0),
            Self::Wipe { angle_deg } => (1, angle_deg),
            Self::DipToBlack => (2, 0.0),
        };
        check("transition.angle_deg", angle_deg, -1e6, 1e6, "a number, a million at most")?;
        let direction = Vec2::from_angle(angle_deg.to_radians());
        Ok(TransitionParameters {
            before: before.uniform(),
            after: after.uniform(),
            shape: [progress.clamp(0.0, 1.0), Self::SOFTNESS, direction.x, direction.y],
            kind: [kind, 0, 0, 0],
        })
    }
}

/// A transition under way: which input it leaves, and since when.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Leaving {
    input: usize,
    since_ns: Option<u64>,
}

/// Where a switch is in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Course {
    active: Option<usize>,
    leaving: Option<Leaving>,
    shown: Option<(usize, u64)>,
}

impl Course {
    /// The input to come from and how far the transition is, or nothing while there is none; `now_ns` is the time stamp of the
    /// frame that is shown next.
    fn step(&mut self, settings: &Switch, active: usize, now_ns: u64) -> Option<(usize, f32)> {
        if self.active != Some(active) {
            let before = self.active.replace(active);
            let runs = settings.transition != Transition::Cut && settings.duration_ms > 0.0;
            self.leaving = before.filter(|_| runs).map(|input| Leaving { input, since_ns: None });
        }
        let leaving = self.leaving.as_mut()?;
        let since_ns = *leaving.since_ns.get_or_insert(now_ns);
        // A file that starts again is no reason to hang in between.
        let passed_ms = now_ns.saturating_sub(since_ns) as f64 / 1e6;
        let progress = (passed_ms / f64::from(settings.duration_ms)) as f32;
        if progress >= 1.0 || now_ns < since_ns {
            self.leaving = None;
            return None;
        }
        Some((leaving.input, progress))
    }
}

/// What a switch keeps.
pub(crate) struct SwitchState {
    pass: EffectPass<TransitionParameters>,
    course: Course,
}

pub(crate) fn run_switch(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Switch>>,
    mut states: Local<NodeStates<SwitchState>>,
    mut gpu: GpuContext,
) -> Result {
    let settings = settings.of(run.node);
    check("duration_ms", settings.duration_ms, 0.0, 60_000.0, "0 to 60000")?;
    let frame_of = |input: usize| run.inputs.get(input).and_then(|(_, frame)| frame.as_ref());
    let last = run.inputs.len().saturating_sub(1);
    let active = (settings.active.max(1) as usize - 1).min(last);
    let Some(first) = run.frames().next() else { return Ok(()) };
    let size = first.picture.size;
    let make = || Ok(SwitchState { pass: EffectPass::new(gpu.device(), size)?, course: Course::default() });
    let state = states.get_or_make(&gpu, run.node, |_| true, make)?;
    if state.pass.target().size != size {
        state.pass = EffectPass::new(gpu.device(), size)?;
    }
    // Until the active input has a picture, what was shown before it stays.
    let Some(after) = frame_of(active) else { return Ok(()) };
    let under_way = state.course.step(&settings, active, after.stamp.pts.0);
    let shown = (active, after.stamp.frame_id);
    if state.course.shown.replace(shown) == Some(shown) && under_way.is_none() {
        return Ok(());
    }
    let (before, progress) = match under_way.and_then(|(input, progress)| Some((frame_of(input)?, progress))) {
        Some(under_way) => under_way,
        None if after.picture.size == size && !after.picture.format.is_yuv() => {
            run.set_output("frame", after.clone())?;
            return Ok(());
        }
        None => (after, 1.0),
    };
    let transition = if progress < 1.0 { settings.transition } else { Transition::Cut };
    let parameters = transition.parameters(&before.picture, &after.picture, progress)?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    state.pass.encode(device, queue, encoder, &parameters, &before.picture, Some(&after.picture), None);
    run.set_output("frame", GpuFrame { picture: state.pass.target().clone(), ..after.clone() })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_lasts_as_long_as_its_frames_say() {
        let settings = Switch { transition: Transition::Fade, duration_ms: 100.0, ..Switch::default() };
        let mut course = Course::default();
        assert_eq!(course.step(&settings, 0, 5_000_000), None, "the first input is there at once");
        assert_eq!(course.step(&settings, 1, 1_000_000_000), Some((0, 0.0)));
        assert_eq!(course.step(&settings, 1, 1_050_000_000), Some((0, 0.5)));
        assert_eq!(course.step(&settings, 1, 1_100_000_000), None);
        assert_eq!(course.step(&settings, 1, 1_150_000_000), None, "it does not begin again");
        let cut = Switch { transition: Transition::Cut, ..settings.clone() };
        assert_eq!(course.step(&cut, 0, 1_200_000_000), None);
        course.step(&settings, 1, 1_300_000_000);
        assert_eq!(course.step(&settings, 1, 7), None, "a clock that jumps back ends it");
    }
}
