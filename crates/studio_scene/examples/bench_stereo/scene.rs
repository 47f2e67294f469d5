//! The scene that is measured, and the head that looks at it.

use bevy::{camera::RenderTarget, prelude::*, render::render_resource::TextureUsages};
use studio_scene::stereo::{Eye, EyeView, SceneLook, SharesShadowsOf, StereoRig, StereoTargets};

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Size {
    pub eye: UVec2,
    /// Objects along each side of the field of objects.
    pub side: u32,
    /// Segments around each object's ball, of half as many rings.
    pub segments: u32,
    pub frames: u32,
}

pub const HEADSET: Size = Size { eye: UVec2::new(2064, 2208), side: 8, segments: 128, frames: 300 };
pub const SOFTWARE: Size = Size { eye: UVec2::new(258, 276), side: 8, segments: 24, frames: 6 };

/// On the ball that moves where one does.
#[derive(Component)]
pub struct Rolls;

/// Balls of eight materials on a floor, a sun and two lamps with shadows, and a rig among them. Returns the triangles.
pub fn scene(world: &mut World, size: Size, look: SceneLook) -> u32 {
    let ball = Sphere::new(0.45).mesh().uv(size.segments, size.segments / 2);
    let triangles_of_ball = ball.indices().map_or(0, |indices| indices.len() as u32 / 3);
    // A mesh for each row, so that not all of it is one instanced draw.
    let balls: Vec<Handle<Mesh>> = (0..size.side).map(|_| world.resource_mut::<Assets<Mesh>>().add(ball.clone())).collect();
    let floor = world.resource_mut::<Assets<Mesh>>().add(Plane3d::default().mesh().size(60.0, 60.0).build());
    let materials: Vec<Handle<StandardMaterial>> = (0..8_u32)
        .map(|index| {
            world.resource_mut::<Assets<StandardMaterial>>().add(StandardMaterial {
                base_color: Color::hsl(index as f32 * 45.0, 0.7, 0.5),
                perceptual_roughness: 0.1 + 0.1 * index as f32,
                metallic: if index % 2 == 0 { 0.0 } else { 1.0 },
                ..default()
            })
        })
        .collect();
    let grey = world.resource_mut::<Assets<StandardMaterial>>().add(Color::srgb(0.4, 0.4, 0.4));
    world.spawn((Mesh3d(floor), MeshMaterial3d(grey), Transform::from_xyz(0.0, -1.0, -8.0)));
    for (row, ball) in balls.iter().enumerate() {
        for column in 0..size.side {
            let place =
                Vec3::new(column as f32 - size.side as f32 / 2.0 + 0.5, (row % 2) as f32 * 0.6 - 0.5, -3.0 - row as f32 * 1.2);
            let material = &materials[(row + column as usize) % materials.len()];
            let mut ball =
                world.spawn((Mesh3d(ball.clone()), MeshMaterial3d(material.clone()), Transform::from_translation(place)));
            if (row, column) == (2, size.side / 2) {
                ball.insert(Rolls);
            }
        }
    }
    let sun = DirectionalLight { illuminance: 3000.0, shadow_maps_enabled: true, ..default() };
    world.spawn((sun, Transform::default().looking_to(Vec3::new(-1.0, -2.0, -1.0), Vec3::Y)));
    let lamp = PointLight { intensity: 400_000.0, range: 20.0, shadow_maps_enabled: true, ..default() };
    world.spawn((lamp, Transform::from_xyz(2.0, 3.0, -5.0)));
    let spot = SpotLight { intensity: 800_000.0, range: 30.0, shadow_maps_enabled: true, outer_angle: 0.6, ..default() };
    world.spawn((spot, Transform::from_xyz(-4.0, 5.0, -2.0).looking_at(Vec3::new(0.0, -1.0, -8.0), Vec3::Y)));
    let target = |world: &mut World| {
        let mut image = Image::new_target_texture(size.eye.x, size.eye.y, wgpu::TextureFormat::Rgba8UnormSrgb, None);
        image.data = None;
        image.texture_descriptor.usage |= TextureUsages::COPY_SRC;
        RenderTarget::Image(world.resource_mut::<Assets<Image>>().add(image).into())
    };
    let targets = StereoTargets { left: target(world), right: target(world), order: 0 };
    let aspect = size.eye.x as f32 / size.eye.y as f32;
    let view = EyeView::Symmetric { vertical_deg: 95.0, aspect };
    world.spawn((StereoRig { view, look, ..default() }, targets));
    triangles_of_ball * size.side * size.side + 2
}

/// Moves the head as a seated wearer's looks about: up to 17° to each side and 4 cm, at most 26° a second at 90 frames a second.
pub fn move_head(world: &mut World, frame: u32) {
    let phase = frame as f32 / 90.0;
    let turn = Quat::from_euler(EulerRot::YXZ, 0.3 * (phase * 1.5).sin(), 0.08 * (phase * 1.1).sin(), 0.0);
    let place = Vec3::new(0.04 * (phase * 1.3).sin(), 0.02 * (phase * 0.9).sin(), 0.03 * (phase * 0.7).sin());
    let mut rigs = world.query_filtered::<&mut Transform, With<StereoRig>>();
    for mut transform in rigs.iter_mut(world) {
        *transform = Transform::from_translation(place).with_rotation(turn);
    }
}

/// Moves one ball, in sight of all lights: their shadow maps have to be drawn anew.
pub fn roll_ball(world: &mut World, frame: u32) {
    let mut balls = world.query_filtered::<&mut Transform, With<Rolls>>();
    for mut transform in balls.iter_mut(world) {
        transform.translation.y = 0.3 * (frame as f32 / 30.0).sin();
    }
}

/// Which eyes render, and whose shadows they use.
#[derive(Clone, Copy, PartialEq)]
pub enum Eyes {
    One,
    Two,
    TwoWithShadowsOfTheirOwn,
}

pub fn set_eyes(world: &mut World, eyes: Eyes) {
    let mut cameras = world.query::<(Entity, &Eye, &mut Camera)>();
    let mut right = None;
    let mut left = None;
    for (entity, eye, mut camera) in cameras.iter_mut(world) {
        if *eye == Eye::Right {
            camera.is_active = eyes != Eyes::One;
            right = Some(entity);
        } else {
            left = Some(entity);
        }
    }
    if let (Some(left), Some(right)) = (left, right) {
        let mut right = world.entity_mut(right);
        if eyes == Eyes::TwoWithShadowsOfTheirOwn {
            right.remove::<SharesShadowsOf>();
        } else {
            right.insert(SharesShadowsOf(left));
        }
    }
}
