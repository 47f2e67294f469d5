//! Tells the rest of the viewer when the next frame will be seen, and where its viewer looks. Which moment of the stream is shown then, the
//! stream input decides.

use crate::{HeadsetFrame, HeadsetPhase, HeadsetStatus, XrFrame};
use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_view::{playing::DisplayTime, reporting::ViewerLook};

/// A headset whose runtime called for no frame for so long lies on the table, or its runtime hangs: who still watches has the window.
const UNUSED: Duration = Duration::from_millis(500);

pub(crate) fn tell_viewer(
    frame: Res<HeadsetFrame>,
    status: Res<HeadsetStatus>,
    windows: Query<(), With<Window>>,
    mut last: Local<Option<XrFrame>>,
    mut display: ResMut<DisplayTime>,
    mut look: ResMut<ViewerLook>,
) {
    if !matches!(status.phase, HeadsetPhase::On(_)) {
        *last = None;
    } else if frame.0.is_some() {
        last.clone_from(&frame.0);
    }
    let (time, seen) = viewing(frame.0.is_some(), last.as_ref(), !windows.is_empty(), Instant::now());
    display.set_if_neq(time);
    look.set_if_neq(seen);
}

/// When what is drawn at `now` is seen, and where the viewer looks. `last` is the newest frame that the runtime called for; `is_open`, whether it
/// is still to be drawn.
fn viewing(is_open: bool, last: Option<&XrFrame>, window: bool, now: Instant) -> (DisplayTime, ViewerLook) {
    let Some(last) = last.filter(|last| is_open || now < last.display_at + UNUSED) else {
        return (DisplayTime::default(), if window { ViewerLook::View } else { ViewerLook::Unknown });
    };
    // Between two frames, what is drawn ahead is for the next one. One that is overdue does not hold the stream.
    let at = if is_open { last.display_at } else { (last.display_at + last.period).max(now) };
    // Who sees another program looks at that.
    let look = if last.tracked && last.should_render {
        let (yaw_deg, pitch_deg) = last.look_deg();
        ViewerLook::At { yaw_deg, pitch_deg }
    } else {
        ViewerLook::Unknown
    };
    (DisplayTime { at: Some(at), interval: Some(last.period) }, look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::XrView;

    const PERIOD: Duration = Duration::from_millis(10);

    /// A frame of a head that looks 90 degrees to the right.
    fn frame(display_at: Instant) -> XrFrame {
        let eye = openxr::View { pose: openxr::Posef::IDENTITY, fov: openxr::Fovf::default() };
        XrFrame {
            number: 1,
            display_at,
            period: PERIOD,
            should_render: true,
            views: [XrView::new(&eye), XrView::new(&eye)],
            head: Isometry3d::from_rotation(Quat::from_rotation_y(-core::f32::consts::FRAC_PI_2)),
            tracked: true,
            gaze: None,
            ahead: Isometry3d::IDENTITY,
            time: openxr::Time::from_nanos(1),
        }
    }

    #[test]
    fn a_frame_is_drawn_for_the_moment_at_which_it_is_seen() {
        let now = Instant::now();
        let last = frame(now + PERIOD);
        let (time, look) = viewing(true, Some(&last), false, now);
        assert_eq!(time, DisplayTime { at: Some(now + PERIOD), interval: Some(PERIOD) });
        let ViewerLook::At { yaw_deg, pitch_deg } = look else { panic!("{look:?}") };
        assert!((yaw_deg - 90.0).abs() < 0.01 && pitch_deg.abs() < 0.01, "{look:?}");
        assert_eq!(viewing(false, Some(&last), false, now).0.at, Some(now + PERIOD * 2), "the next one");
        let late = now + PERIOD * 9;
        assert_eq!(viewing(false, Some(&last), false, late).0.at, Some(late), "the stream goes on");
    }

    #[test]
    fn a_headset_that_nobody_wears_does_not_hold_the_window() {
        let now = Instant::now();
        let last = frame(now);
        let later = now + UNUSED;
        assert_eq!(viewing(false, Some(&last), true, later), (DisplayTime::default(), ViewerLook::View));
        assert_eq!(viewing(false, Some(&last), false, later), (DisplayTime::default(), ViewerLook::Unknown));
        assert_eq!(viewing(false, None, true, now), (DisplayTime::default(), ViewerLook::View));
    }

    #[test]
    fn who_sees_another_program_or_whose_head_is_not_known_looks_nowhere() {
        let now = Instant::now();
        for last in [XrFrame { tracked: false, ..frame(now) }, XrFrame { should_render: false, ..frame(now) }] {
            assert_eq!(viewing(true, Some(&last), true, now).1, ViewerLook::Unknown);
        }
    }
}
