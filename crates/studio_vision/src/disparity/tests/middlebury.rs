//! Figures on pairs with ground truth.

use super::{Picture, disparities};
use crate::{
    disparity::{DisparityPaths, DisparityQuality, DisparitySettings},
    flow::testing::shared_data,
};
use std::path::Path;

/// Percent of the pixels with known disparity, right of the columns that have no partner at the largest one, that are more than a
/// pixel off; holes are off.
fn bad_percent(folder: &Path, [left, right, truth]: [&str; 3], truth_scale: f32, settings: &DisparitySettings) -> f32 {
    let [left, right, truth] = [left, right, truth].map(|file| Picture::read(&folder.join(file)));
    let found = disparities(&left, &right, settings);
    let width = left.size.x as usize;
    let known = found.iter().zip(truth.rgba.as_chunks::<4>().0).enumerate();
    let known = known.filter(|(index, (_, truth))| index % width >= settings.range_px as usize && truth[0] > 0);
    let off: Vec<bool> =
        known.map(|(_, (found, truth))| (*found as f32 / 16.0 - f32::from(truth[0]) / truth_scale).abs() > 1.0).collect();
    100.0 * off.iter().filter(|off| **off).count() as f32 / off.len() as f32
}

#[test]
fn bad_pixels_on_middlebury() {
    let Some(pairs) = shared_data("stereo/middlebury") else { return };
    // For comparison, OpenCV's SGBM with blocks of 5 on the same pixels: 8.4, 15.9 and 5.5 percent.
    for (quality, paths, most) in [
        (DisparityQuality::Fast, DisparityPaths::Four, [8.5, 9.0, 5.0]),
        (DisparityQuality::Balanced, DisparityPaths::Four, [6.0, 8.5, 3.0]),
        (DisparityQuality::Balanced, DisparityPaths::Eight, [5.0, 8.0, 2.5]),
        (DisparityQuality::High, DisparityPaths::Eight, [5.0, 8.0, 2.2]),
    ] {
        let settings = DisparitySettings { quality, paths, ..Default::default() };
        let found = [("tsukuba", 16.0), ("teddy", 4.0), ("poster", 8.0)]
            .map(|(name, scale)| bad_percent(&pairs.join(name), ["im2.png", "im6.png", "disp2.png"], scale, &settings));
        eprintln!("{quality:?}, {paths:?} paths: {found:.2?} % bad on tsukuba, teddy, poster");
        assert!(
            found.iter().zip(most).all(|(found, most)| *found <= most),
            "{quality:?}, {paths:?}: {found:?}, expected {most:?}"
        );
    }
}
