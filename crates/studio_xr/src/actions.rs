//! Controllers and eyes: which button means what.
//!
//! | button | short | held |
//! |---|---|---|
//! | select (A, X, trigger) | play and pause | turn the picture's middle to where the head looks |
//! | menu | show and hide the panel | leave |
//! | second (B, Y, grip) | turn the picture's middle | |
//! | stick pressed | next way of frame generation | |
//! | stick up and down | volume | |

use crate::error::{Called, XrError};
use openxr::{Action, ActionSet, ActiveActionSet, Binding, Instance, Path, Posef, Session, Space, Vulkan};
use std::time::{Duration, Instant};
use studio_view::command::ViewerCommand;

/// What a controller asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wish {
    /// What every viewer can be told.
    Viewer(ViewerCommand),
    /// Turn the picture's middle to where the head looks.
    Recentre,
    /// Show or hide the panel.
    Panel,
    /// End the session.
    Leave,
}

/// A button held for this long means something else.
const HOLD: Duration = Duration::from_millis(1_000);
/// How far a stick must be moved, and how often it counts while it is.
const STICK: f32 = 0.6;
const STICK_EVERY: Duration = Duration::from_millis(250);

/// Which actions a controller's buttons are bound to, by OpenXR's names. The same on both hands, except where a hand is named.
const BINDINGS: [(&str, &[(Button, &str)]); 5] = [
    ("khr/simple_controller", &[(Button::Select, "*/input/select/click"), (Button::Menu, "*/input/menu/click")]),
    (
        "oculus/touch_controller",
        &[
            (Button::Select, "left/input/x/click"),
            (Button::Select, "right/input/a/click"),
            (Button::Select, "*/input/trigger/value"),
            (Button::Second, "left/input/y/click"),
            (Button::Second, "right/input/b/click"),
            (Button::Menu, "left/input/menu/click"),
            (Button::Press, "*/input/thumbstick/click"),
            (Button::Stick, "*/input/thumbstick/y"),
        ],
    ),
    (
        "valve/index_controller",
        &[
            (Button::Menu, "left/input/a/click"),
            (Button::Select, "right/input/a/click"),
            (Button::Select, "*/input/trigger/click"),
            (Button::Second, "*/input/b/click"),
            (Button::Press, "*/input/thumbstick/click"),
            (Button::Stick, "*/input/thumbstick/y"),
        ],
    ),
    (
        "htc/vive_controller",
        &[
            (Button::Select, "*/input/trigger/click"),
            (Button::Second, "*/input/squeeze/click"),
            (Button::Menu, "*/input/menu/click"),
            (Button::Press, "*/input/trackpad/click"),
            (Button::Stick, "*/input/trackpad/y"),
        ],
    ),
    (
        "microsoft/motion_controller",
        &[
            (Button::Select, "*/input/trigger/value"),
            (Button::Second, "*/input/squeeze/click"),
            (Button::Menu, "*/input/menu/click"),
            (Button::Press, "*/input/thumbstick/click"),
            (Button::Stick, "*/input/thumbstick/y"),
        ],
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Button {
    Select,
    Second,
    Menu,
    Press,
    Stick,
}

/// A button's way down and up again.
#[derive(Clone, Copy, Debug, Default)]
struct Press {
    since: Option<Instant>,
    held: bool,
}

impl Press {
    /// Says `short` when it is let go in time, `long` once when it has been held.
    fn follow(&mut self, down: bool, now: Instant, short: Wish, long: Option<Wish>) -> Option<Wish> {
        match (down, self.since) {
            (true, None) => *self = Self { since: Some(now), held: false },
            (true, Some(since)) if !self.held && now - since >= HOLD => {
                self.held = true;
                return long;
            }
            (false, Some(_)) => {
                let was_short = !core::mem::take(self).held;
                return was_short.then_some(short);
            }
            _ => {}
        }
        None
    }
}

/// A stick that counts again and again while it is moved.
#[derive(Clone, Copy, Debug, Default)]
struct Steps(Option<Instant>);

impl Steps {
    fn follow(&mut self, value: f32, now: Instant) -> Option<f32> {
        if !value.is_finite() || value.abs() < STICK {
            self.0 = None;
            return None;
        }
        if self.0.is_some_and(|last| now - last < STICK_EVERY) {
            return None;
        }
        self.0 = Some(now);
        Some(value.signum())
    }
}

/// The actions of a session.
pub(crate) struct Actions {
    // The space before the action that it belongs to.
    gaze: Option<(Space, Action<Posef>)>,
    select: Action<bool>,
    second: Action<bool>,
    menu: Action<bool>,
    press: Action<bool>,
    stick: Action<f32>,
    set: ActionSet,
    presses: [Press; 4],
    steps: Steps,
}

impl Actions {
    /// Names the actions to the runtime, proposes buttons for them, and attaches them to a session.
    pub fn attach(instance: &Instance, session: &Session<Vulkan>, with_gaze: bool) -> Result<Self, XrError> {
        let set = instance.create_action_set("viewer", "Viewer", 0).called("xrCreateActionSet")?;
        let button = |name: &str, shown: &str| set.create_action::<bool>(name, shown, &[]).called("xrCreateAction");
        let select = button("select", "Play and pause; hold to look ahead")?;
        let second = button("recentre", "Look ahead")?;
        let menu = button("menu", "Figures; hold to leave")?;
        let press = button("generation", "Frame generation")?;
        let stick = set.create_action::<f32>("volume", "Volume", &[]).called("xrCreateAction")?;
        let path = |text: &str| instance.string_to_path(text).called("xrStringToPath");
        for (profile, buttons) in BINDINGS {
            let mut bindings = Vec::new();
            for (button, place) in buttons.iter().flat_map(|(button, place)| hands(place).map(|place| (*button, place))) {
                let place = path(&place)?;
                bindings.push(match button {
                    Button::Select => Binding::new(&select, place),
                    Button::Second => Binding::new(&second, place),
                    Button::Menu => Binding::new(&menu, place),
                    Button::Press => Binding::new(&press, place),
                    Button::Stick => Binding::new(&stick, place),
                });
            }
            // A runtime need not know every controller.
            let profile = path(&format!("/interaction_profiles/{profile}"))?;
            if let Err(result) = instance.suggest_interaction_profile_bindings(profile, &bindings) {
                bevy::log::debug!("the headset's runtime does not take the buttons of a controller: {result}");
            }
        }
        let gaze = if with_gaze { Self::follow_eyes(instance, session, &set) } else { None };
        session.attach_action_sets(&[&set]).called("xrAttachSessionActionSets")?;
        let (presses, steps) = Default::default();
        Ok(Self { gaze, select, second, menu, press, stick, set, presses, steps })
    }

    /// Eyes that cannot be followed after all are no reason to do without a picture.
    fn follow_eyes(instance: &Instance, session: &Session<Vulkan>, set: &ActionSet) -> Option<(Space, Action<Posef>)> {
        let gaze = set.create_action::<Posef>("gaze", "Gaze", &[]).ok()?;
        let place = instance.string_to_path("/user/eyes_ext/input/gaze_ext/pose").ok()?;
        let profile = instance.string_to_path("/interaction_profiles/ext/eye_gaze_interaction").ok()?;
        instance.suggest_interaction_profile_bindings(profile, &[Binding::new(&gaze, place)]).ok()?;
        let space = gaze.create_space(session, Path::NULL, Posef::IDENTITY).ok()?;
        Some((space, gaze))
    }

    /// What the buttons ask for now.
    pub fn wishes(&mut self, session: &Session<Vulkan>) -> Result<Vec<Wish>, XrError> {
        session.sync_actions(&[ActiveActionSet::new(&self.set)]).called("xrSyncActions")?;
        let down = |action: &Action<bool>| {
            let state = action.state(session, Path::NULL).called("xrGetActionStateBoolean")?;
            Ok::<bool, XrError>(state.is_active && state.current_state)
        };
        let now = Instant::now();
        let meanings = [
            (&self.select, Wish::Viewer(ViewerCommand::TogglePause), Some(Wish::Recentre)),
            (&self.second, Wish::Recentre, None),
            (&self.menu, Wish::Panel, Some(Wish::Leave)),
            (&self.press, Wish::Viewer(ViewerCommand::NextGeneration), None),
        ];
        let mut wishes = Vec::new();
        for ((action, short, long), press) in meanings.into_iter().zip(&mut self.presses) {
            wishes.extend(press.follow(down(action)?, now, short, long));
        }
        let stick = self.stick.state(session, Path::NULL).called("xrGetActionStateFloat")?;
        let moved = if stick.is_active { stick.current_state } else { 0.0 };
        wishes.extend(self.steps.follow(moved, now).map(|steps| Wish::Viewer(ViewerCommand::Volume(steps))));
        Ok(wishes)
    }

    /// Where the eyes look, if they are followed.
    pub fn gaze(&self, base: &Space, time: openxr::Time) -> Option<Posef> {
        let found = self.gaze.as_ref()?.0.locate(base, time).ok()?;
        found.location_flags.contains(openxr::SpaceLocationFlags::ORIENTATION_VALID).then_some(found.pose)
    }
}

/// The paths of a binding: of one hand, or of both.
fn hands(place: &str) -> impl Iterator<Item = String> {
    let both = ["left", "right"].into_iter();
    let (hand, rest) = place.split_once('/').unwrap_or((place, ""));
    let (hand, rest) = (hand.to_owned(), rest.to_owned());
    both.filter(move |side| hand == "*" || hand == *side).map(move |side| format!("/user/hand/{side}/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_press_and_a_long_one_mean_different_things() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut press = Press::default();
        let mut follow = |down, ms| press.follow(down, at(ms), Wish::Panel, Some(Wish::Leave));
        assert_eq!([follow(true, 0), follow(true, 100)], [None, None]);
        assert_eq!(follow(false, 200), Some(Wish::Panel));
        assert_eq!([follow(true, 300), follow(true, 1_200)], [None, None]);
        assert_eq!(follow(true, 1_300), Some(Wish::Leave));
        assert_eq!([follow(true, 3_000), follow(false, 3_100), follow(false, 3_200)], [None; 3], "it means it once");
    }

    #[test]
    fn a_stick_counts_while_it_is_moved_and_its_drift_does_not() {
        let start = Instant::now();
        let mut steps = Steps::default();
        let counted: Vec<_> = (0..10).filter_map(|step| steps.follow(0.9, start + Duration::from_millis(100 * step))).collect();
        assert_eq!(counted, [1.0; 4]);
        assert_eq!(steps.follow(-0.8, start + Duration::from_secs(2)), Some(-1.0));
        assert_eq!(steps.follow(0.2, start + Duration::from_secs(3)), None);
        assert_eq!(steps.follow(f32::NAN, start + Duration::from_secs(4)), None);
    }

    #[test]
    fn buttons_are_on_the_hands_that_have_them() {
        assert_eq!(hands("left/input/x/click").collect::<Vec<_>>(), ["/user/hand/left/input/x/click"]);
        assert_eq!(hands("*/input/menu/click").count(), 2);
        for (profile, buttons) in BINDINGS {
            for needed in [Button::Select, Button::Menu] {
                assert!(buttons.iter().any(|(button, _)| *button == needed), "{profile} has no {needed:?}");
            }
        }
    }
}
