//! Looking around with mouse, keyboard and gamepad.

use crate::{command::ViewerCommand, hud::HudVisible, sphere::SphereView};
use bevy::{
    app::AppExit,
    input::mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll},
    prelude::*,
    window::{MonitorSelection, PrimaryWindow, WindowMode},
};

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

/// P or space stops the picture; G turns frame generation on, to side by side, and off; V goes round the renditions; M mutes the sound;
/// Page Up and Page Down make it louder and softer; H shows and hides the display; F fills the screen; Q quits.
pub(crate) fn press_keys(
    keys: Res<ButtonInput<KeyCode>>,
    gamepads: Query<&Gamepad>,
    mut told: MessageWriter<ViewerCommand>,
    mut hud: ResMut<HudVisible>,
    mut windows: Query<&mut Window, With<PrimaryWindow>>,
    mut exit: MessageWriter<AppExit>,
) {
    let pressed =
        |key: KeyCode, button: GamepadButton| keys.just_pressed(key) || gamepads.iter().any(|pad| pad.just_pressed(button));
    if keys.just_pressed(KeyCode::KeyP) || pressed(KeyCode::Space, GamepadButton::East) {
        told.write(ViewerCommand::TogglePause);
    }
    if pressed(KeyCode::KeyG, GamepadButton::South) {
        told.write(ViewerCommand::NextGeneration);
    }
    if keys.just_pressed(KeyCode::KeyV) {
        told.write(ViewerCommand::NextQuality);
    }
    if keys.just_pressed(KeyCode::KeyM) {
        told.write(ViewerCommand::ToggleMute);
    }
    for (key, steps) in [(KeyCode::PageUp, 1.0), (KeyCode::PageDown, -1.0)] {
        if keys.just_pressed(key) {
            told.write(ViewerCommand::Volume(steps));
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
    fn keys_tell_the_viewer() {
        let mut world = World::new();
        world.init_resource::<HudVisible>();
        world.init_resource::<Messages<AppExit>>();
        let mut press = |key| {
            let mut keys = ButtonInput::<KeyCode>::default();
            keys.press(key);
            world.insert_resource(keys);
            world.insert_resource(Messages::<ViewerCommand>::default());
            world.run_system_once(press_keys).unwrap();
            world.resource_mut::<Messages<ViewerCommand>>().drain().collect::<Vec<_>>()
        };
        assert_eq!(press(KeyCode::PageUp), [ViewerCommand::Volume(1.0)]);
        assert_eq!(press(KeyCode::PageDown), [ViewerCommand::Volume(-1.0)]);
        assert_eq!(press(KeyCode::KeyM), [ViewerCommand::ToggleMute]);
        assert_eq!(press(KeyCode::Space), [ViewerCommand::TogglePause]);
        assert_eq!(press(KeyCode::KeyG), [ViewerCommand::NextGeneration]);
        assert_eq!(press(KeyCode::KeyV), [ViewerCommand::NextQuality]);
        assert_eq!(press(KeyCode::KeyX), []);
    }
}
