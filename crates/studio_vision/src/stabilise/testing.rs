//! Paths, and pictures that cameras on them see.

use super::{RotationTrack, TurnPass, picture::direction_of};
use crate::flow::testing::{gpu, grey_frame, read_texture, rgba_frame, texture_at, upload};
use bevy::math::{DQuat, DVec3, UVec2, Vec2};
use core::f64::consts::TAU;
use studio_frame::picture::VideoFrame;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};

/// A rig that is shaken by 3° around each axis at frequencies from 1 to 5 Hz, and pans slowly to the right.
pub(crate) fn shaken(time_s: f64, pan_deg_per_s: f64) -> DQuat {
    let wave = |hz: f64, phase: f64| (TAU * (hz * time_s + phase)).sin();
    let shake = DVec3::new(
        wave(1.0, 0.1) + 0.5 * wave(3.3, 0.4),
        wave(1.7, 0.3) + 0.5 * wave(4.1, 0.2),
        wave(2.3, 0.7) + 0.5 * wave(5.0, 0.9),
    );
    DQuat::from_rotation_y((pan_deg_per_s * time_s).to_radians()) * DQuat::from_scaled_axis(shake * 2_f64.to_radians())
}

/// A track of so many moments a second.
pub(crate) fn track_of(path: impl Fn(f64) -> DQuat, duration_s: f64, rate_hz: f64) -> RotationTrack {
    let mut track = RotationTrack::default();
    for index in 0..(duration_s * rate_hz) as u32 {
        let time_s = f64::from(index) / rate_hz;
        track.push(time_s, path(time_s));
    }
    track
}

/// The root mean square of the angles between consecutive rotations, in degrees.
pub(crate) fn jitter_deg(path: &[DQuat]) -> f64 {
    let squares = path.windows(2).map(|pair| pair[0].angle_between(pair[1]).to_degrees().powi(2));
    (squares.sum::<f64>() / (path.len() - 1) as f64).sqrt()
}

/// A smooth random texture around a sphere, 0 to 1.
pub(crate) fn sphere_grey(direction: DVec3) -> f32 {
    // Three flat textures around the axes are one around the sphere.
    let planes = [(direction.x, direction.y), (direction.y, direction.z), (direction.z, direction.x)];
    let value: f32 = planes.iter().map(|(a, b)| texture_at(1024, Vec2::new(*a as f32 + 1.0, *b as f32 + 1.0) * 400.0)).sum();
    (0.5 + 0.3 * value).clamp(0.0, 1.0)
}

/// Films the textured sphere.
pub(crate) struct Cinema {
    pass: TurnPass,
    sphere: GpuPicture,
    target: GpuPicture,
}

impl Cinema {
    /// A cinema with pictures of a size.
    pub fn new(size: UVec2) -> Self {
        let fine = size * 2;
        let sphere = grey_frame(fine, |pixel| sphere_grey(direction_of(pixel.as_dvec2() + 0.5, fine.as_dvec2())));
        let target = GpuPicture::rgba(&gpu().device, "filmed", size).expect("fits");
        Self { pass: TurnPass::new(&gpu().device), sphere: upload(&sphere), target }
    }

    /// What a camera that is turned so sees.
    pub fn film(&mut self, world_from_rig: DQuat) -> VideoFrame {
        let HeadlessGpu { device, queue, .. } = gpu();
        let mut encoder = device.create_command_encoder(&Default::default());
        self.pass.encode(device, queue, &mut encoder, &self.sphere, &self.target, world_from_rig);
        queue.submit([encoder.finish()]);
        rgba_frame(self.target.size, read_texture(&self.target.planes[0], 4))
    }
}
