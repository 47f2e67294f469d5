//! What lenses see of the same, measured now and then: what exposures are brought together by, and seams found by.
//!
//! Some 1500 patches of the sphere that two lenses see (some 2000 cells of borders, where seams move) are measured on the GPU ([`measure`]), a
//! dozen times a second; what is found, twelve bytes a patch and lens, comes back through a ring of buffers without anyone waiting for it.

mod measure;
mod overlap;

pub(super) use measure::PatchColor;
pub use measure::StitchMeasurement;
pub(super) use overlap::{Comparison, MARGIN_DEG, Overlaps, sphere, two_best};

use super::{
    LensHealth, StitchExposure, StitchSeams, StitchSettings,
    gains::{BlockTexture, Follower},
    map::CELL_PX,
    seams::{Border, SeamFinder, SeamOffsets, Seen},
    weights::WeightRule,
};
use crate::rig::{PreparedLens, PreparedRig};
use bevy::math::{UVec2, Vec3};
use measure::MeasurePass;
use std::time::Duration;
use studio_gpu::picture::GpuPicture;

/// Shortest time from one measurement to the next.
const INTERVAL: Duration = Duration::from_millis(80);

/// What a stitch keeps for what changes with the pictures.
pub(super) struct Watch {
    overlaps: Overlaps,
    pass: MeasurePass,
    follower: Follower,
    blocks: BlockTexture,
    seams: Option<SeamFinder>,
    measured_at: Option<Duration>,
}

/// What changed since the last frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    /// A lens dropped out or came back.
    pub health: bool,
    /// Seams moved.
    pub seams: bool,
}

impl Watch {
    /// What the settings ask for; none if nothing changes with the pictures, or the rig has one lens only.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, rig: &PreparedRig, settings: &StitchSettings) -> Option<Self> {
        let is_adaptive = settings.seams == StitchSeams::Adaptive;
        let is_compensated = settings.exposure != StitchExposure::Fixed;
        if !(is_adaptive || is_compensated) || rig.lenses.len() < 2 {
            return None;
        }
        let distance_m = settings.distance_m.map(f64::from);
        let (overlaps, seams) = if is_adaptive {
            let borders = Border::all(rig, distance_m);
            let step_deg = settings.view.deg_per_px(UVec2::from_array(settings.size_px), rig) * f64::from(CELL_PX);
            let fade_deg = WeightRule::new(settings.blend, step_deg).fade_deg();
            let (overlaps, cells) = Overlaps::of_borders(rig, distance_m, &borders);
            (overlaps, Some(SeamFinder::new(&borders, cells, fade_deg)))
        } else {
            (Overlaps::new(rig, distance_m), None)
        };
        let side = settings.exposure.side();
        let blocks = BlockTexture::new(device, queue, side, rig.lenses.len());
        let pass = MeasurePass::new(device, queue, &overlaps);
        let settle_s = is_compensated.then_some(settings.exposure_settle_s);
        let follower = Follower::new(rig.lenses.len(), side as usize, settle_s);
        Some(Self { overlaps, pass, follower, blocks, seams, measured_at: None })
    }

    /// Goes on from the gains and seams of another watch of the same rig.
    pub fn go_on_from(&mut self, queue: &wgpu::Queue, before: &Self) {
        self.follower.go_on_from(&before.follower);
        self.blocks.write(queue, &self.follower);
        if let (Some(seams), Some(before)) = (&mut self.seams, &before.seams) {
            seams.go_on_from(before);
        }
    }

    /// Records a measurement of the frame of a moment; none where the one before is not long ago.
    pub fn measure(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[&GpuPicture],
        at: Duration,
    ) -> Option<StitchMeasurement> {
        // A moment before the last one: a clip that starts again.
        if self.measured_at.is_some_and(|last| at.checked_sub(last).is_some_and(|passed| passed < INTERVAL)) {
            return None;
        }
        let measurement = self.pass.encode(device, queue, encoder, &self.overlaps, inputs, at)?;
        self.measured_at = Some(at);
        Some(measurement)
    }

    /// Takes in what has been measured, and lets seams glide to where they should be at a moment.
    pub fn take(&mut self, queue: &wgpu::Queue, now: Duration) -> Change {
        let mut change = Change::default();
        if let Some((at, colors)) = self.pass.take() {
            change.health = self.follower.follow(&self.overlaps, &colors, at);
            self.blocks.write(queue, &self.follower);
            if let Some(seams) = &mut self.seams {
                let (overlaps, follower) = (&self.overlaps, &self.follower);
                let seen = |index: usize| {
                    let Comparison { lenses, patches, known, .. } = &overlaps.comparisons[index];
                    let gain = |side: usize| (known[side].as_vec3() + follower.lens_gain(lenses[side])).exp();
                    Seen::new(patches.map(|patch| colors[patch as usize]), [gain(0), gain(1)])
                };
                seams.find(seen, at);
            }
        }
        change.seams = self.seams.as_mut().is_some_and(|seams| seams.glide(now));
        change
    }

    /// Factors of a lens's gamma-coded red, green and blue.
    pub fn of_lens(&self, lens: usize) -> Vec3 {
        (self.follower.lens_gain(lens) / PreparedLens::GAMMA as f32).exp()
    }

    /// How the lenses fare.
    pub fn health(&self) -> &[LensHealth] {
        self.follower.health()
    }

    /// The blocks of gains: a layer for each lens.
    pub fn blocks(&self) -> &wgpu::TextureView {
        &self.blocks.view
    }

    /// Where the seams run now; none where they are fixed.
    pub fn seams(&self) -> Option<Vec<SeamOffsets<'_>>> {
        self.seams.as_ref().map(SeamFinder::offsets)
    }
}
