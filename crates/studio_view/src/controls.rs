//! Looking around with mouse, keyboard and gamepad.

use crate::{hud::HudVisible, sphere::SphereView};
use bevy::{
    app::AppExit,
    input::mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll},
    prelude::*,
    window::{MonitorSelection, PrimaryWindow, WindowMode},
};
use studio_media::nodes::AudioOutput;
use studio_vision::nodes::{FrameSynthesis, SynthesisMode};

/// Degrees a second at which keys and sticks turn the view.
const TURN_DEG_PER_S: f32 = 75.0;

/// Turns the view: drag, arrow keys or WASD, right stick; the wheel, + and -, and the triggers zoom; R looks ahead again.
pub(crate) fn look_around(
    mut views: Query<&mut SphereView>,
    windows: Query<&Window, With<PrimaryWindow>>,
    keys: Res<ButtonInput<KeyCode>>,
    buttons: Res<ButtonInput<MouseButton>>,
    motion: Res<AccumulatedMouseMotion>,
    scroll: Res<AccumulatedMouseScroll>,
    gamepads: Query<&Gamepad>,
    time: Res<Time>,
) {
    let Ok(window) = windows.single() else { return };
    let step = TURN_DEG_PER_S * time.delta_secs();
    let axis = |positive: [KeyCode; 2], negative: [KeyCode; 2]| {
        f32::from(u8::from(keys.any_pressed(positive))) - f32::from(u8::from(keys.any_pressed(negative)))
    };
    let mut turn = Vec2::new(
        axis([KeyCode::ArrowRight, KeyCode::KeyD], [KeyCode::ArrowLeft, KeyCode::KeyA]),
        axis([KeyCode::ArrowUp, KeyCode::KeyW], [KeyCode::ArrowDown, KeyCode::KeyS]),
    ) * step;
    let mut zoom =
        axis([KeyCode::Minus, KeyCode::NumpadSubtract], [KeyCode::Equal, KeyCode::NumpadAdd]) * step - scroll.delta.y * 3.0;
    for gamepad in &gamepads {
        let stick = gamepad.right_stick();
        let dead_zone = if stick.length() > 0.12 { stick } else { Vec2::ZERO };
        turn += dead_zone * step;
        let trigger = |button| gamepad.get(button).unwrap_or_default();
        zoom += (trigger(GamepadButton::LeftTrigger2) - trigger(GamepadButton::RightTrigger2)) * step;
    }
    let reset = keys.just_pressed(KeyCode::KeyR) || gamepads.iter().any(|pad| pad.just_pressed(GamepadButton::RightThumb));
    for mut view in &mut views {
        if buttons.pressed(MouseButton::Left) {
            // The picture follows the pointer: a drag over the whole width turns by the angle of view.
            let degrees_per_px = view.fov_deg / window.width().max(1.0);
            turn += Vec2::new(-motion.delta.x, motion.delta.y) * degrees_per_px;
        }
        if reset {
            let SphereView { yaw_deg, pitch_deg, fov_deg, .. } = SphereView::default();
            *view = SphereView { yaw_deg, pitch_deg, fov_deg, ..view.clone() };
        }
        if turn != Vec2::ZERO || zoom != 0.0 {
            view.turn(turn.x, turn.y, zoom);
        }
    }
}

/// One press of a key makes sound so much louder or softer.
const VOLUME_STEP_DB: f32 = 3.0;
/// The range of the volume keys.
const VOLUME_RANGE_DB: core::ops::RangeInclusive<f32> = -60.0..=12.0;

/// M mutes the sound and lets it be heard again; Page Up and Page Down make it louder and softer.
pub(crate) fn set_volume(keys: Res<ButtonInput<KeyCode>>, mut outputs: Query<&mut AudioOutput>) {
    let pressed = |key| f32::from(u8::from(keys.just_pressed(key)));
    let steps = pressed(KeyCode::PageUp) - pressed(KeyCode::PageDown);
    for mut output in &mut outputs {
        if keys.just_pressed(KeyCode::KeyM) {
            output.mute = !output.mute;
        }
        if steps != 0.0 {
            output.gain_db = (output.gain_db + steps * VOLUME_STEP_DB).clamp(*VOLUME_RANGE_DB.start(), *VOLUME_RANGE_DB.end());
            output.mute = false;
        }
    }
}

/// G turns frame generation on, to side by side, and off; H shows and hides the display; F fills the screen; Q quits.
pub(crate) fn press_keys(
    keys: Res<ButtonInput<KeyCode>>,
    gamepads: Query<&Gamepad>,
    mut synthesis: Query<&mut FrameSynthesis>,
    mut views: Query<&mut SphereView>,
    mut hud: ResMut<HudVisible>,
    mut windows: Query<&mut Window, With<PrimaryWindow>>,
    mut exit: MessageWriter<AppExit>,
) {
    let pressed =
        |key: KeyCode, button: GamepadButton| keys.just_pressed(key) || gamepads.iter().any(|pad| pad.just_pressed(button));
    if pressed(KeyCode::KeyG, GamepadButton::South) {
        for mut node in &mut synthesis {
            node.mode = match node.mode {
                SynthesisMode::Off => SynthesisMode::On,
                SynthesisMode::On => SynthesisMode::SideBySide,
                SynthesisMode::SideBySide => SynthesisMode::Off,
            };
            for mut view in &mut views {
                view.split = if node.mode == SynthesisMode::SideBySide { 0.5 } else { 0.0 };
            }
        }
    }
    if pressed(KeyCode::KeyH, GamepadButton::Start) {
        hud.0 = !hud.0;
    }
    if keys.just_pressed(KeyCode::KeyF) {
        for mut window in &mut windows {
            window.mode = match window.mode {
                WindowMode::Windowed => WindowMode::BorderlessFullscreen(MonitorSelection::Current),
                _ => WindowMode::Windowed,
            };
        }
    }
    if keys.any_just_pressed([KeyCode::KeyQ, KeyCode::Escape]) {
        exit.write(AppExit::Success);
    }
}

/// How many pixels of the view go into one of the window, along a side: below 1, the view is drawn smaller and enlarged.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct ViewScale(pub f32);

impl Default for ViewScale {
    fn default() -> Self {
        Self(1.0)
    }
}

/// Keeps the view as large as the window.
pub(crate) fn follow_window(
    windows: Query<&Window, (With<PrimaryWindow>, Changed<Window>)>,
    scale: Res<ViewScale>,
    mut views: Query<&mut SphereView>,
) {
    let Ok(window) = windows.single() else { return };
    let pixels = Vec2::new(window.physical_width() as f32, window.physical_height() as f32) * scale.0.clamp(0.1, 1.0);
    let size = pixels.as_uvec2().max(UVec2::splat(16));
    for mut view in &mut views {
        if view.size != size {
            view.size = size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::ecs::system::RunSystemOnce;

    #[test]
    fn a_turned_view_looks_where_it_was_turned() {
        let mut view = SphereView::default();
        view.turn(90.0, 0.0, 0.0);
        assert!((view.direction(Vec2::ZERO) - Vec3::X).length() < 1e-5, "right is +X: {}", view.direction(Vec2::ZERO));
        view.turn(-90.0, 120.0, 0.0);
        assert!((view.direction(Vec2::ZERO) - Vec3::Y).length() < 1e-5, "up stops at the zenith: {}", view.direction(Vec2::ZERO));
        view.turn(270.0, 0.0, 500.0);
        assert_eq!((view.yaw_deg, view.fov_deg), (-90.0, 150.0));
    }

    #[test]
    fn keys_set_the_volume() {
        let mut world = World::new();
        let output = world.spawn(AudioOutput::default()).id();
        let mut press = |key| {
            let mut keys = ButtonInput::<KeyCode>::default();
            keys.press(key);
            world.insert_resource(keys);
            world.run_system_once(set_volume).unwrap();
            let output = world.get::<AudioOutput>(output).unwrap();
            (output.gain_db, output.mute)
        };
        assert_eq!(press(KeyCode::PageUp), (3.0, false));
        assert_eq!(press(KeyCode::KeyM), (3.0, true));
        assert_eq!(press(KeyCode::PageDown), (0.0, false), "who turns the volume wants to hear");
        assert_eq!((0..30).map(|_| press(KeyCode::PageDown)).last(), Some((-60.0, false)));
    }
}
