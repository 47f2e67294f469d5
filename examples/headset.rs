//! A picture and a 3D scene in a headset, in an app of your own. Without a headset it says so and runs on.
//!
//! `cargo run --example headset`

use bevy::prelude::*;
use neural_studio::{app::headset_app_from_args, prelude::*, studio_xr::HeadsetLayers};

fn main() -> Result<AppExit> {
    // The headset first: the app must be on its GPU.
    let headset = Headset::open(HeadsetOptions::default())?;
    let mut app = headset_app_from_args("Headset", headset)?;
    app.add_systems(Startup, (show_picture, show_scene)).add_systems(Update, (turn, say));
    Ok(app.run())
}

/// Any node's pictures will do: a stream's, a camera's, a file's.
fn show_picture(mut commands: Commands) {
    let pattern = commands.spawn(TestPatternInput::default()).id();
    let headset = commands.spawn(HeadsetOutput { layers: HeadsetLayers::Auto, screen_distance_m: 3.0, ..default() }).id();
    commands.connect(pattern, "frame", headset, "frame");
}

#[derive(Component)]
struct Turns;

/// Someone whose eyes are 1.6 m above the ground has a cube before them.
fn show_scene(mut commands: Commands, mut meshes: ResMut<Assets<Mesh>>, mut materials: ResMut<Assets<StandardMaterial>>) {
    commands.spawn((HeadsetScene::default(), Transform::from_xyz(0.0, 1.6, 0.0)));
    commands.spawn((DirectionalLight::default(), Transform::from_xyz(1.0, 3.0, 2.0).looking_at(Vec3::ZERO, Vec3::Y)));
    let (mesh, material) = (meshes.add(Cuboid::from_length(0.3)), materials.add(Color::srgb(0.9, 0.4, 0.1)));
    commands.spawn((Turns, Mesh3d(mesh), MeshMaterial3d(material), Transform::from_xyz(0.4, 1.4, -1.2)));
}

fn turn(mut cubes: Query<&mut Transform, With<Turns>>, time: Res<Time>) {
    for mut cube in &mut cubes {
        cube.rotate_y(0.8 * time.delta_secs());
    }
}

fn say(status: Res<HeadsetStatus>) {
    if status.is_added() || status.is_changed() {
        match (&status.phase, &status.error) {
            (_, Some(error)) => info_once!("no headset: {error}"),
            (phase, None) => debug!("{phase:?} at {:.0} Hz", status.display_hz),
        }
    }
}
