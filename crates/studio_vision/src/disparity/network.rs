//! Distances by a network's disparities.

use super::{
    DepthPass, DepthSettings, DisparityError, DisparityPass, DisparitySettings, EyePart,
    plan::{DisparityPlan, HOLE},
};
use crate::{pixels::PackedPixels, rig::Rig};
use bevy::math::{Rect, UVec2};
use studio_frame::projection::PictureProjection;
use studio_ml::{Dense, PairResult};

/// A [`DepthPass`] whose disparities a network finds, in the middle of it: first the eyes' pixels leave the GPU, then disparities come.
pub struct NetworkDepth(DepthPass);

impl NetworkDepth {
    /// Makes it as [`DepthPass::new`] does. `network_size` is the only size in pixels that the network takes, if there is only one.
    ///
    /// # Errors
    /// As for [`DepthPass::new`].
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        frames: [(UVec2, Rect); 2],
        projection: PictureProjection,
        calibration: Option<&Rig>,
        settings: &DepthSettings,
        network_size: Option<UVec2>,
    ) -> Result<Self, DisparityError> {
        let matcher = |size, matching: &DisparitySettings| DisparityPass::of_network(device, size, matching, network_size);
        DepthPass::with_matcher(device, queue, frames, projection, calibration, settings, matcher).map(Self)
    }

    /// Bytes of both eyes' pixels.
    pub fn pixel_bytes(&self) -> u64 {
        2 * PackedPixels::bytes_of(self.plan().size)
    }

    /// Records what the network reads: the left eye's pixels and then the right eye's, four bytes each (red, green, blue, luma), into a
    /// buffer of [`pixel_bytes`](Self::pixel_bytes).
    ///
    /// # Errors
    /// As for [`DepthPass::encode`].
    pub fn encode_pixels(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        [left, right]: [EyePart; 2],
        target: &wgpu::Buffer,
    ) -> Result<(), DisparityError> {
        self.0.encode_pixels(device, queue, encoder, left, right)?;
        let bytes = PackedPixels::bytes_of(self.plan().size);
        for (eye, at) in self.0.matching().pixel_buffers().into_iter().zip([0, bytes]) {
            encoder.copy_buffer_to_buffer(eye, 0, target, at, bytes);
        }
        Ok(())
    }

    /// Hands over what the network found, and records what makes distances of it. With the right eye's disparities, what the two do not
    /// agree on becomes a hole.
    pub fn encode_distances(&self, queue: &wgpu::Queue, encoder: &mut wgpu::CommandEncoder, found: &PairResult) {
        self.0.matching().write_disparities(queue, &sixteenths(found, &self.plan().settings));
        self.0.encode_distances(encoder);
    }

    /// The sizes and settings of the matching.
    pub fn plan(&self) -> &DisparityPlan {
        self.0.matching().plan()
    }

    /// The pictures that come out.
    pub fn depth(&self) -> &DepthPass {
        &self.0
    }
}

/// Disparities as stereo matching has them.
fn sixteenths(found: &PairResult, settings: &DisparitySettings) -> Vec<i32> {
    let Dense { size, values } = &found.forward;
    let width = size.x as usize;
    let agrees = |index: usize, disparity: f32, right: &[f32]| {
        let (row, x) = (index / width, index % width);
        let there = (x as f32 - disparity).round() as i64;
        let there = if settings.wraps { there.rem_euclid(width as i64) } else { there };
        let other = usize::try_from(there).ok().filter(|x| *x < width).map(|x| right[row * width + x]);
        // Half a pixel for the place having been rounded.
        other.is_some_and(|other| (other - disparity).abs() <= settings.left_right_px as f32 + 0.5)
    };
    let right = found.backward.as_ref().map(|right| right.values.as_slice());
    let places = values.iter().enumerate();
    places
        .map(|(index, &disparity)| match right {
            Some(right) if !agrees(index, disparity, right) => HOLE,
            _ => (disparity * 16.0).round() as i32,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_eyes_do_not_agree_on_is_a_hole() {
        let dense = |values: [f32; 6]| Dense { size: UVec2::new(6, 1), values: values.to_vec() };
        let forward = dense([0.0, 2.0, 1.25, 2.0, 2.0, -1.0]);
        let backward = Some(dense([0.25, 9.0, 2.0, 0.0, -1.0, 0.0]));
        let found = PairResult { forward, backward };
        let settings = DisparitySettings { left_right_px: 1, ..Default::default() };
        // Out of the picture; beyond the tolerance; agreeing; out of the picture to the right.
        assert_eq!(sixteenths(&found, &settings), [0, HOLE, HOLE, HOLE, 32, HOLE]);
        let ring = DisparitySettings { wraps: true, ..settings };
        assert_eq!(sixteenths(&found, &ring)[5], -16);
        let alone = PairResult { backward: None, ..found };
        assert_eq!(sixteenths(&alone, &settings), [0, 32, 20, 32, 32, -16]);
    }
}
