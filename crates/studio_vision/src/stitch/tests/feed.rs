//! Stitches that are fed frame by frame.

use super::{GPU, upload_rgba};
use crate::{
    lens::{Lens, LensModel},
    rig::{Crop, Exposure, Orientation, PreparedLens, PreparedRig, Rig, RigLens, RigPicture, YawPitchRoll},
    stitch::{StitchMeasurement, StitchPass, StitchSettings, reference::Image},
};
use bevy::math::{DVec2, DVec3, UVec2};
use core::f64::consts::{PI, TAU};
use std::time::Duration;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, readback::read_rgba};

pub(in crate::stitch) const SIZE: UVec2 = UVec2::new(768, 384);
pub(in crate::stitch) const SIDE_PX: u32 = 320;

/// Cameras in a ring, each with a picture of its own.
pub(in crate::stitch) fn ring(cameras: u32, fov_deg: f64) -> Rig {
    let side = f64::from(SIDE_PX);
    let center_px = [side / 2.0; 2];
    let lens = |index: u32| RigLens {
        name: format!("camera {index}"),
        picture: index,
        region: None,
        lens: Lens::ideal(LensModel::Equidistant, fov_deg, side, center_px),
        orientation: Orientation::Angles(YawPitchRoll::new(360.0 * f64::from(index) / f64::from(cameras), 0.0, 0.0)),
        translation_m: [0.0; 3],
        crop: Crop::Circle { center_px, radius_px: side / 2.0 },
        vignetting: None,
        exposure: Exposure::default(),
    };
    Rig {
        name: "ring".to_owned(),
        pictures: vec![RigPicture { size_px: [SIDE_PX; 2] }; cameras as usize],
        lenses: (0..cameras).map(lens).collect(),
    }
}

/// A world without black and white, turned a little at each moment.
pub(in crate::stitch) fn world(direction: DVec3, moment: f64) -> DVec3 {
    let wave = |axis: DVec3, rate: f64| (rate * direction.dot(axis) + moment).sin();
    let coarse = DVec3::new(wave(DVec3::X, 3.0), wave(DVec3::Y, 4.0), wave(DVec3::Z, 5.0));
    let fine = wave(DVec3::new(0.6, 0.0, 0.8), 25.0) * wave(DVec3::new(0.0, 1.0, 0.0), 21.0);
    DVec3::splat(0.42) + 0.12 * coarse + 0.08 * fine
}

/// What the cameras film, each with factors of light.
pub(in crate::stitch) fn film(rig: &Rig, moment: f64, factors: impl Fn(usize, DVec2) -> DVec3) -> Vec<GpuPicture> {
    let rig = PreparedRig::new(rig).expect("valid");
    let picture = |index: usize| {
        let lens = &rig.lenses[index];
        upload_rgba(&Image::from_fn(rig.pictures[index], |pixel| {
            let factor = factors(index, pixel).powf(1.0 / PreparedLens::GAMMA);
            lens.direction(pixel).map_or(DVec3::ZERO, |direction| world(direction, moment) * factor)
        }))
    };
    (0..rig.lenses.len()).map(picture).collect()
}

/// The world as a stitch should show it.
pub(in crate::stitch) fn truth(moment: f64) -> Image {
    Image::from_fn(SIZE, |point| {
        let (lon, lat) = ((point.x / f64::from(SIZE.x) - 0.5) * TAU, (0.5 - point.y / f64::from(SIZE.y)) * PI);
        world(DVec3::new(lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos()), moment)
    })
}

/// A stitch that is fed frame by frame.
pub(in crate::stitch) struct Feed {
    pub pass: StitchPass,
    output: GpuPicture,
    at: Duration,
}

impl Feed {
    pub fn new(rig: &Rig, settings: &StitchSettings) -> Self {
        let pass = StitchPass::new(&GPU.device, &GPU.queue, rig, settings).expect("valid");
        let output = pass.output_picture(&GPU.device, "test").expect("fits");
        Self { pass, output, at: Duration::ZERO }
    }

    /// One frame, a tenth of a second after the one before it. What it is measured with counts from the next one on.
    pub fn frame(&mut self, inputs: &[GpuPicture]) {
        let HeadlessGpu { device, queue, .. } = &*GPU;
        let inputs: Vec<&GpuPicture> = inputs.iter().collect();
        let mut encoder = device.create_command_encoder(&Default::default());
        let measurement = self.pass.measure(device, queue, &mut encoder, &inputs, self.at).expect("pictures fit");
        self.pass.encode(device, queue, &mut encoder, &inputs, &self.output, None).expect("pictures fit");
        queue.submit([encoder.finish()]);
        measurement.into_iter().for_each(StitchMeasurement::deliver);
        device.poll(wgpu::PollType::wait_indefinitely()).expect("the GPU finishes");
        self.at += Duration::from_millis(100);
    }

    pub fn picture(&self) -> Image {
        let rgba = read_rgba(&GPU.device, &GPU.queue, &self.output.planes[0]).expect("readable");
        Image { size: self.output.size, rgba }
    }

    /// The picture against the world, but for above and below the ring, where no camera looks.
    pub fn psnr(&self, moment: f64) -> f64 {
        self.picture().psnr_where(&truth(moment), |_, y| (SIZE.y / 6..SIZE.y * 5 / 6).contains(&y))
    }
}
