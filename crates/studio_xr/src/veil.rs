//! Darkness while the headset does not know where the head looks: a picture that stands still on a turning head makes people ill.

use bevy::prelude::*;
use std::time::Duration;

/// A dark sheet right before the eyes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Veil {
    level: f32,
    written: Option<u8>,
}

impl Veil {
    /// The image's size in pixels: it has one colour.
    pub const SIZE: UVec2 = UVec2::splat(8);
    /// Where it hangs, before the head.
    pub const DISTANCE_M: f32 = 0.4;
    /// So large that it has no edges for any headset.
    pub const SIZE_M: Vec2 = Vec2::splat(12.0);
    /// How long it takes to fall and to rise.
    const FADE: Duration = Duration::from_millis(300);

    /// Another frame of the display has passed.
    pub fn advance(&mut self, tracked: bool, period: Duration) {
        let step = period.as_secs_f32() / Self::FADE.as_secs_f32();
        self.level = (self.level + if tracked { -step } else { step }).clamp(0.0, 1.0);
    }

    /// How dark it is, from 0 to 1.
    pub const fn level(&self) -> f32 {
        self.level
    }

    /// Whether the image must be written anew.
    pub fn take_change(&mut self) -> bool {
        let level = (self.level * 255.0).round() as u8;
        level > 0 && self.written.replace(level) != Some(level)
    }

    /// The image.
    pub fn pixels(level: f32) -> Vec<u8> {
        let alpha = (level * 255.0).round() as u8;
        [0, 0, 0, alpha].repeat((Self::SIZE.x * Self::SIZE.y) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_when_tracking_is_lost_and_rises_again() {
        let mut veil = Veil::default();
        let frame = Duration::from_millis(10);
        veil.advance(true, frame);
        assert!(veil.level() == 0.0 && !veil.take_change(), "nothing hangs before the eyes of who is tracked");
        let mut levels = Vec::new();
        for _ in 0..40 {
            veil.advance(false, frame);
            levels.push(veil.level());
        }
        assert!(levels.is_sorted() && levels[9] > 0.3 && levels[9] < 0.4 && levels[39] == 1.0, "{levels:?}");
        assert!(veil.take_change() && !veil.take_change());
        for _ in 0..40 {
            veil.advance(true, frame);
        }
        assert_eq!(veil.level(), 0.0);
    }
}
