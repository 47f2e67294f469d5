//! Sharp pictures out of a clip.

use super::GrayPicture;

/// Memory for the pictures that are kept, in bytes, and how many there are at least and at most.
const MEMORY_BYTES: usize = 1 << 30;
const PICTURES: [usize; 2] = [12, 120];

/// Keeps the sharpest picture of each stretch of a clip, however long that is. Stretches are of the same number of frames; when there are too
/// many for the memory, two each become one.
#[derive(Debug)]
pub struct SharpFrames {
    /// Frames a stretch.
    stretch: usize,
    frames: usize,
    kept: Vec<(f64, GrayPicture)>,
}

impl Default for SharpFrames {
    fn default() -> Self {
        Self { stretch: 1, frames: 0, kept: Vec::new() }
    }
}

impl SharpFrames {
    /// Takes the clip's next frame.
    pub fn push(&mut self, picture: GrayPicture) {
        let size = picture.size();
        let bytes = size.x as usize * size.y as usize * size_of::<f32>();
        let most = (MEMORY_BYTES / bytes.max(1)).clamp(PICTURES[0], PICTURES[1]);
        let sharpness = picture.sharpness();
        let stretch = self.frames / self.stretch;
        self.frames += 1;
        match self.kept.get_mut(stretch) {
            Some(kept) if kept.0 < sharpness => *kept = (sharpness, picture),
            Some(_) => {}
            None => self.kept.push((sharpness, picture)),
        }
        if self.kept.len() > most {
            self.stretch *= 2;
            let mut kept: Vec<(f64, GrayPicture)> = Vec::with_capacity(most);
            for (index, next) in self.kept.drain(..).enumerate() {
                match kept.last_mut() {
                    Some(last) if index % 2 == 1 => {
                        if last.0 < next.0 {
                            *last = next;
                        }
                    }
                    _ => kept.push(next),
                }
            }
            self.kept = kept;
        }
    }

    /// How many frames were taken.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The pictures, in the clip's order.
    pub fn finish(self) -> Vec<GrayPicture> {
        self.kept.into_iter().map(|(_, picture)| picture).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_clip_keeps_its_sharp_frames_all_along() {
        let mut frames = SharpFrames::default();
        for index in 0..1000_u32 {
            // Every seventh frame is sharp: stripes instead of gray.
            let is_sharp = index % 7 == 3;
            let luma = |x: u32| if is_sharp && x % 4 < 2 { 200 } else { 100 };
            let picture = image::GrayImage::from_fn(32, 32, |x, _| image::Luma([luma(x)]));
            frames.push(GrayPicture::new(&index.to_string(), &picture.into()).expect("a good size"));
        }
        assert_eq!(frames.frames(), 1000);
        let numbers: Vec<u32> = frames.finish().iter().filter_map(|picture| picture.name.parse().ok()).collect();
        assert!((60..=120).contains(&numbers.len()), "{}", numbers.len());
        assert!(numbers.iter().all(|number| number % 7 == 3), "{numbers:?}");
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] < 32), "{numbers:?}");
        assert!(numbers[0] < 16 && numbers[numbers.len() - 1] > 980);
    }
}
